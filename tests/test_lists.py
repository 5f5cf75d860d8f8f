"""The two lists that ids come from: what they cost, that filters are part of what is stored, and where they lead."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd
import pytest

import keyapi_research as kr
from keyapi_research.sandbox import Sandbox

LISTS: dict[str, tuple[Callable[..., object], list[str]]] = {
    "trending_hashtags": (kr.fetch_trending_hashtags, ["trending_hashtag_trends", "trending_hashtag_creators"]),
    "trending_music": (kr.fetch_trending_music, ["trending_music_trends"]),
}


@pytest.mark.parametrize(("page_cap", "charged"), [(20, 10), (10, 20)])
def test_a_list_of_a_hundred_is_paid_once(
    page_cap: int, charged: int, client: kr.Client, sandbox: Sandbox
) -> None:
    sandbox.page_cap = page_cap
    plan = kr.plan(kr.fetch_trending_hashtags, region="US", limit=100, client=client)
    assert (plan.credits, plan.credits_max) == (10, 20)
    frame = kr.fetch_trending_hashtags(region="US", limit=100, client=client)
    assert 98 <= len(frame) <= 100  # the list has a hundred places; a hashtag may hold two
    assert frame["hashtag_name"].is_unique
    assert sandbox.charged == charged
    for table in LISTS["trending_hashtags"][1]:
        embedded = getattr(kr, f"fetch_{table}")(region="US", limit=100, client=client)
        assert set(embedded["hashtag_name"]) <= set(frame["hashtag_name"])
    assert kr.fetch_trending_hashtags(region="US", limit=100, client=client).equals(frame)
    assert sandbox.charged == charged


def test_a_hashtag_that_appears_twice_across_pages_appears_once(client: kr.Client, sandbox: Sandbox) -> None:
    first: list[dict[str, object]] = []

    def repeat(path: str, params: dict[str, str], envelope: dict[str, dict[str, list[dict[str, object]]]]) -> object:
        del path
        if params["page"] == "1":
            first.append(envelope["data"]["list"][0])
        else:
            envelope["data"]["list"][0] = {**first[0], "rank": 21, "publish_cnt": 1}
        return envelope

    sandbox.mutate = repeat
    frame = kr.fetch_trending_hashtags(region="US", limit=30, client=client)
    assert client.status().duplicates == 1
    assert len(frame) == 29  # of thirty rows that came: what counts for the price is the rows
    assert len(sandbox.requests) == 2
    assert (frame["hashtag_name"] == first[0]["hashtag_name"]).sum() == 1
    assert frame["rank"].iloc[0] == 1  # the first place counts


def test_filters_are_part_of_what_is_stored_and_of_the_rows(client: kr.Client, sandbox: Sandbox) -> None:
    requests = [
        {}, {"industry": "Pets"}, {"industry": "19000000000"}, {"new_only": True}, {"period": 30}, {"region": "US"},
    ]
    for options in requests:
        kr.fetch_trending_hashtags(limit=5, client=client, **options)
    assert len(sandbox.requests) == 5  # the name and the id of an industry are one filter
    pets = kr.fetch_trending_hashtags(limit=5, industry="pets", client=client)
    assert pets["filter_industry_id"].unique().tolist() == ["19000000000"]
    assert not pets["new_only"].any()
    assert kr.fetch_trending_hashtags(limit=5, new_only=True, client=client)["new_only"].all()
    assert len(sandbox.requests) == 5
    for options in ({}, {"search": "sun"}, {"commercial_only": True}, {"new_only": True}):
        kr.fetch_trending_music(limit=5, client=client, **options)
    assert len(sandbox.requests) == 9
    assert sandbox.requests[-2].params["commercial_music"] == "true"


def test_movements_are_words(client: kr.Client) -> None:
    frame = kr.fetch_trending_hashtags(region="US", limit=100, client=client)
    assert set(frame["rank_movement"]) == {"up", "same", "down", "new"}
    assert frame.loc[frame["rank_movement"] == "new", "rank_change"].isna().all()
    status = kr.describe("trending_hashtags").set_index("column").loc["rank_movement", "status"]
    assert status.startswith("inferred")


def test_lists_lead_to_the_details_of_their_rows(client: kr.Client, sandbox: Sandbox) -> None:
    tags = kr.fetch_trending_hashtags(region="US", period=30, limit=3, client=client)
    details = tags.keyapi.fetch_details(client=client)
    assert details["hashtag_name"].tolist() == tags["hashtag_name"].tolist()
    assert details[["region", "period"]].drop_duplicates().to_numpy().tolist() == [["US", 30]]
    assert details["hashtag_id"].tolist() == tags["hashtag_id"].tolist()
    sounds = kr.fetch_trending_music(limit=3, client=client)
    assert kr.plan(sounds.keyapi.fetch_details, client=client).credits == 6
    assert sounds.keyapi.fetch_details(client=client)["title"].tolist() == sounds["title"].tolist()
    assert sandbox.charged == 2 + 6 + 2 + 6


def test_flags_may_come_from_a_column_of_flags(client: kr.Client) -> None:
    flags = pd.Series([True, False], dtype="boolean")
    plan = kr.plan(kr.fetch_trending_hashtags, new_only=flags[0], client=client)
    assert plan.requests == 1
    assert kr.fetch_trending_hashtags(new_only=flags[0], limit=3, client=client)["new_only"].tolist() == [True] * 3
    assert kr.plan(kr.fetch_trending_hashtags, new_only=True, client=client).stored == 1
