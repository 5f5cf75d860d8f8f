"""`kr.stored`: every table of everything in the store equals what the fetch functions gave, and nothing is sent."""

from __future__ import annotations

import shutil
import sqlite3
import warnings
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from pandas.testing import assert_frame_equal
from stores import Place
from test_accessor import World
from test_stored_by_others import PATH, PROFILE, WAY, declare, serve

import keyapi_research as kr
from keyapi_research import holdings
from keyapi_research.model import TABLES
from keyapi_research.sandbox import Sandbox

pytestmark = pytest.mark.both_stores

Make = Callable[..., kr.Client]
CAPTIONS = "/v1/tiktok/video/captions"


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", kr.KeyAPIWarning)
        made = World()
    yield made
    made.client.close()


def sorted_rows(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.sort_values(list(frame.columns), ignore_index=True)


@pytest.mark.parametrize("name", TABLES)
def test_every_table_is_what_was_fetched(name: str, world: World) -> None:
    before = world.sent
    table, fetched = TABLES[name], world[name]
    stored = kr.stored(name, client=world.client)
    assert_frame_equal(stored.dtypes.to_frame(), fetched.dtypes.to_frame())
    keys = [one for one in (*table.key, "observed_at") if fetched[one].notna().any()]
    wanted = pd.MultiIndex.from_frame(fetched[keys])
    there = stored[pd.MultiIndex.from_frame(stored[keys]).isin(wanted)]
    assert_frame_equal(sorted_rows(there), sorted_rows(fetched))
    if table.endpoint.ranking:  # all rows of the pages that were paid for
        assert len(stored) >= len(fetched)
    assert_frame_equal(sorted_rows(kr.stored(name, observations="all", client=world.client)), sorted_rows(stored))
    assert world.sent == before


def test_every_table_of_an_imported_store_is_the_same(
    world: World, make_client: Make, tmp_path: Path, place: Place
) -> None:
    client = make_client()
    with closing(sqlite3.connect(tmp_path / "world.sqlite")) as file:
        world.client.store._db._db.backup(file)
    if place.on_server:
        with make_client(store=place("world")) as shared:
            kr.import_store(tmp_path / "world.sqlite", client=shared)
    done = kr.import_store(place("world"), client=client)
    there = world.client.status()
    assert (done.answers, done.absences, done.known) == (there.answers, there.absences, 0)
    assert (done.requests, done.credits) == (there.requests, there.credits_in_ledger)
    for name in TABLES:
        given = kr.stored(name, client=world.client)
        assert len(given)
        for which in ("latest", "all"):
            assert_frame_equal(sorted_rows(kr.stored(name, observations=which, client=client)), sorted_rows(given))


def test_what_there_is(world: World) -> None:
    listed = kr.stored(client=world.client)
    assert listed.dtypes.astype(str).tolist() == ["string", *["Int64"] * 2, *["datetime64[us, UTC]"] * 2]
    assert listed.columns.tolist() == ["table", "entities", "observations", "first", "last"]
    assert set(listed["table"]) == set(TABLES)
    one = listed.set_index("table").loc["hashtags"]
    assert (one["entities"], one["observations"]) == (3, 3)
    times = world["hashtags"]["observed_at"]
    assert (one["first"], one["last"]) == (times.min(), times.max())


def test_the_ledger_is_no_table_and_the_message_says_where_it_is(client: kr.Client) -> None:
    with pytest.raises(kr.InvalidArgumentError, match=r"kr\.ledger\(\)"):
        kr.stored("ledger", client=client)


def test_an_empty_store_has_empty_tables(client: kr.Client) -> None:
    assert kr.stored(client=client).empty
    frame = kr.stored("videos", client=client)
    assert frame.empty
    assert frame.dtypes.astype(str).tolist() == [column.dtype for column in TABLES["videos"].columns]


def test_latest_and_all_after_refreshes(client: kr.Client, sandbox: Sandbox) -> None:
    tags = ["perfume", "ufc324"]
    first = pd.concat([kr.fetch_hashtags(one, client=client) for one in tags], ignore_index=True)
    second = kr.fetch_hashtags("perfume", max_age=0, client=client)
    charged = len(sandbox.requests)
    latest = kr.stored("hashtags", client=client)
    assert_frame_equal(latest, pd.concat([first.iloc[[1]], second], ignore_index=True))
    both = kr.stored("hashtags", observations="all", client=client)
    assert_frame_equal(both, pd.concat([first.iloc[[1]], first.iloc[[0]], second], ignore_index=True))
    assert_frame_equal(
        kr.stored("hashtag_trends", client=client), kr.fetch_hashtag_trends(tags[::-1], client=client)
    )
    assert len(sandbox.requests) == charged


def test_offline_as_of_and_in_a_replay(make_client: Make, tmp_path: Path) -> None:
    online = make_client()
    first = kr.fetch_hashtags("perfume", client=online)
    first = pd.concat([first, kr.fetch_hashtags("ufc324", client=online)], ignore_index=True)
    between = first["observed_at"].max()
    kr.fetch_hashtags("perfume", max_age=0, client=online)
    whole = kr.stored("hashtags", client=online)
    kr.freeze(tmp_path / "study.zip", client=online)
    assert_frame_equal(kr.stored("hashtags", client=make_client(offline=True)), whole)
    assert_frame_equal(kr.stored("hashtags", client=make_client(as_of=between.to_pydatetime())), first)
    with kr.replay(tmp_path / "study.zip") as reader:
        assert_frame_equal(kr.stored("hashtags", client=reader), whole)


def test_a_replay_takes_the_pull_that_the_study_took(client: kr.Client, tmp_path: Path) -> None:
    kr.fetch_trending_hashtags(region="US", period=7, limit=60, client=client)
    last = kr.fetch_trending_hashtags(region="US", period=7, limit=20, max_age=0, client=client)
    whole = kr.stored("trending_hashtags", client=client)
    assert len(whole) == len(last) == 20
    kr.freeze(tmp_path / "study.zip", client=client)
    with kr.Client(replay=tmp_path / "study.zip") as reader:
        assert_frame_equal(kr.stored("trending_hashtags", client=reader), whole)


def test_what_kr_stored_read_is_frozen_with_the_study(make_client: Make, tmp_path: Path, place: Place) -> None:
    with make_client() as earlier:
        kr.fetch_hashtags(["perfume", "ufc324"], client=earlier)
    client = make_client() if place.on_server else make_client(store=shutil.copy(place(), place("copy")))
    whole = kr.stored("hashtags", client=client)
    assert kr.freeze(tmp_path / "study.zip", client=client).answers == 2
    with kr.replay(tmp_path / "study.zip") as reader:
        assert_frame_equal(kr.stored("hashtags", client=reader), whole)


def test_nothing_for_an_entity_is_no_row(client: kr.Client, sandbox: Sandbox) -> None:
    tags = kr.fetch_hashtags(["perfume", "gym"], client=client)
    sandbox.mutate = lambda path, params, envelope: {**envelope, "data": None}
    with pytest.warns(kr.MissingDataWarning):
        kr.fetch_hashtags("gym", max_age=0, client=client)
    assert kr.stored("hashtags", client=client)["hashtag_name"].tolist() == ["perfume"]
    everything = kr.stored("hashtags", observations="all", client=client)
    assert_frame_equal(sorted_rows(everything), sorted_rows(tags))
    assert kr.stored(client=client).set_index("table")["entities"]["hashtags"] == 2


def pulled(client: kr.Client, limit: int | None, **options: Any) -> pd.DataFrame:
    return kr.fetch_product_insights(region="US", time_scope=7, limit=limit, client=client, **options)


def test_of_rankings_the_newest_whole_pull(client: kr.Client, sandbox: Sandbox) -> None:
    whole = pulled(client, 40)
    assert_frame_equal(kr.stored("product_insights", client=client), whole)
    again = pulled(client, 20, max_age=0)
    assert_frame_equal(kr.stored("product_insights", client=client), again)
    both = kr.stored("product_insights", observations="all", client=client)
    assert_frame_equal(both, pd.concat([whole, again], ignore_index=True))
    assert kr.stored(client=client)["observations"].tolist() == [2]


def test_a_pull_that_broke_off_shows_only_where_there_is_no_other(make_client: Make) -> None:
    client = make_client(max_credits=2)
    with pytest.raises(kr.BudgetExceededError):
        pulled(client, None)
    broken = kr.stored("product_insights", client=client)
    assert len(broken) == 20
    whole = make_client()
    short = pulled(whole, 15)  # what is stored has them
    assert_frame_equal(kr.stored("product_insights", client=whole).head(15), short)
    limited = make_client(max_credits=2)
    complete = pulled(whole, 20, max_age=0)
    with pytest.raises(kr.BudgetExceededError):
        pulled(limited, None, max_age=0)
    assert_frame_equal(kr.stored("product_insights", client=whole), complete)
    assert len(kr.stored("product_insights", observations="all", client=whole)) == 60


def test_pages_that_came_later_are_numbered_after_the_first(client: kr.Client) -> None:
    pulled(client, 20)
    mark = holdings.last_answer(client)
    whole = pulled(client, 40)
    [new] = holdings.frames_of(TABLES["product_insights"], client, after=mark)
    assert_frame_equal(new, whole.iloc[20:].reset_index(drop=True))
    [old] = holdings.frames_of(TABLES["product_insights"], client, upto=mark)
    assert_frame_equal(old, whole.head(20))


def test_creators_by_username_are_there_once(client: kr.Client) -> None:
    ids = kr.fetch_creator_rankings(region="US", limit=10, client=client)["user_id"].head(3)
    names = kr.fetch_creators(ids, client=client)["username"]
    by_name = kr.fetch_creators(names, by="username", max_age=0, client=client)
    assert_frame_equal(sorted_rows(kr.stored("creators", client=client)), sorted_rows(by_name))
    assert len(kr.stored("creators", observations="all", client=client)) == 6
    assert kr.stored(client=client).set_index("table")["entities"]["creators"] == 3


def test_a_path_without_a_table(client: kr.Client) -> None:
    fetched = kr.fetch_endpoint(CAPTIONS, {"video_id": "7117191641181555995"}, client=client)
    assert kr.stored(client=client)["table"].tolist() == [CAPTIONS]
    assert_frame_equal(kr.stored(CAPTIONS, client=client), fetched)


def test_what_is_not_there_is_named(client: kr.Client) -> None:
    with pytest.raises(kr.InvalidArgumentError, match="Did you mean 'hashtags'"):
        kr.stored("hashtag", client=client)
    with pytest.raises(kr.InvalidArgumentError, match="observations must be"):
        kr.stored("hashtags", observations="newest", client=client)  # type: ignore[arg-type]


def test_batches_make_the_same_table(client: kr.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    kr.fetch_hashtags(["perfume", "ufc324", "diy", "smellgood", "fyp"], client=client)
    kr.fetch_hashtags(["ufc324", "fyp"], max_age=0, client=client)
    pulled(client, 40)
    whole = {(name, which): kr.stored(name, observations=which, client=client)
             for name in ("hashtags", "hashtag_trends", "product_insights") for which in ("latest", "all")}
    monkeypatch.setattr(holdings, "_CHUNK", 2)
    for (name, which), frame in whole.items():
        assert_frame_equal(kr.stored(name, observations=which, client=client), frame)
        parts = list(holdings.frames_of(TABLES[name], client, observations=which, size=1))
        assert_frame_equal(pd.concat(parts, ignore_index=True), frame)


def test_an_answer_about_somebody_else_is_never_served(client: kr.Client, sandbox: Sandbox) -> None:
    serve(sandbox, lambda _: {"id": "2", "n": 5})
    kr.fetch_endpoint(PATH, {"id": "1"}, credits=1, client=client)
    fetch = declare(**PROFILE, identity="id")
    with pytest.raises(kr.UnexpectedResponseError):
        fetch("1", client=client)
    for which in ("latest", "all"):
        with pytest.warns(kr.IncompleteDataWarning, match="'1' are about another id, so they have no rows"):
            assert kr.stored("things", observations=which, client=client).empty


def test_pages_about_somebody_else_are_never_served(client: kr.Client, sandbox: Sandbox) -> None:
    serve(sandbox, lambda p: [{"uid": "2", "n": 10 * int(p["page_num"]) + one} for one in range(10)])
    kr.fetch_endpoint(PATH, {"id": "1"}, credits=1, paging=WAY, client=client)
    columns = {"n": ("id", "n")}
    fetch = declare(by="id", paging=WAY, rows="[]", key="n", columns=columns, identity="uid")
    with pytest.raises(kr.UnexpectedResponseError):
        fetch("1", client=client)
    for which in ("latest", "all"):
        with pytest.warns(kr.IncompleteDataWarning, match="'1' are about another id, so they have no rows"):
            assert kr.stored("things", observations=which, client=client).empty


def test_a_pull_stays_whole_when_a_later_call_wanted_more_and_broke_off(make_client: Make) -> None:
    client = make_client()
    pulled(client, 40)
    newest = pulled(client, 20, max_age=0)
    with pytest.raises(kr.BudgetExceededError):
        pulled(make_client(max_credits=2), None)  # one page more of the newest pull
    stored = kr.stored("product_insights", client=client)
    assert_frame_equal(stored.head(20), newest)
    assert len(stored) == 40
    assert len(kr.stored("product_insights", observations="all", client=client)) == 80
