"""Rankings of a day, week or month: which cycle is meant, when it is final, what is paid; and creators by username."""

from __future__ import annotations

import json
import time
import warnings
import zipfile
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from clocks import Clock

import keyapi_research as kr
from keyapi_research.sandbox import SOURCE_HEADER, Fault, Sandbox

Make = Callable[..., kr.Client]
CREATORS = "/v1/tiktok/influencer/ranking/analytics"
DETAIL = "/v1/tiktok/influencer/detail/analytics"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    moved = Clock("2026-06-17 12:00")  # a Wednesday
    monkeypatch.setattr(time, "time_ns", moved)
    return moved


@pytest.fixture
def real(sandbox: Sandbox, clock: Clock) -> Sandbox:
    """A server whose answers count as real, so that they grow old and its today is the clock's."""
    sandbox.extra_headers = {SOURCE_HEADER: ""}
    sandbox.today = date(2026, 6, 17)
    return sandbox


def sent(sandbox: Sandbox) -> list[str]:
    return [request.params["date"] for request in sandbox.requests]


def quietly(fetch: Callable[[], Any]) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", kr.KeyAPIWarning)
        return fetch()


# Which cycle is meant -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cycle", "given", "first"),
    [
        ("day", None, "2026-06-16"),
        ("day", "2026-06-16", "2026-06-16"),
        ("week", None, "2026-06-08"),
        ("week", "2026-06-14", "2026-06-08"),  # a Sunday
        ("week", "2026-06-08", "2026-06-08"),  # a Monday
        ("week", date(2026, 1, 1), "2025-12-29"),
        ("month", None, "2026-05-01"),
        ("month", "2026-05-31", "2026-05-01"),
        ("month", pd.Timestamp("2026-04-17"), "2026-04-01"),
        ("month", datetime(2026, 2, 28), "2026-02-01"),  # noqa: DTZ001 - a day without a zone
    ],
)
def test_any_day_of_a_cycle_means_its_first(
    client: kr.Client, real: Sandbox, cycle: str, given: Any, first: str
) -> None:
    frame = kr.fetch_product_rankings(region="US", cycle=cycle, date=given, limit=10, client=client)
    assert sent(real) == [first]
    assert [str(one.date()) for one in frame["date"].unique()] == [first]
    assert str(frame["date"].dtype) == "datetime64[us, UTC]"
    again = kr.fetch_product_rankings(region="US", cycle=cycle, date=first, limit=10, client=client)
    assert again.equals(frame)
    assert real.charged == 1


@pytest.mark.parametrize(
    ("cycle", "given", "last"),
    [
        ("day", "2026-06-17", "2026-06-16"),
        ("day", "2027-01-01", "2026-06-16"),
        ("week", "2026-06-15", "2026-06-08"),
        ("week", "2026-06-17", "2026-06-08"),
        ("month", "2026-06-01", "2026-05-01"),
        ("month", "2026-06-30", "2026-05-01"),
    ],
)
@pytest.mark.parametrize("fetch", [kr.fetch_creator_rankings, kr.fetch_product_rankings, kr.fetch_video_rankings])
def test_a_cycle_that_is_not_over_is_refused_at_no_cost(
    client: kr.Client, real: Sandbox, fetch: Callable[..., pd.DataFrame], cycle: str, given: str, last: str
) -> None:
    for call in (lambda: fetch(region="US", cycle=cycle, date=given, client=client),
                 lambda: kr.plan(fetch, region="US", cycle=cycle, date=given, client=client)):  # fmt: skip
        with pytest.raises(kr.InvalidArgumentError, match=f"is not over yet: today is 2026-06-17. Pass {last} or ear"):
            call()
    assert not real.requests


def test_the_day_turns_at_midnight_utc(client: kr.Client, real: Sandbox, clock: Clock) -> None:
    clock.set("2026-06-14 23:59:30")
    assert client.policy.today == date(2026, 6, 14)
    with pytest.raises(kr.InvalidArgumentError):
        kr.fetch_creator_rankings(region="US", cycle="week", date="2026-06-10", client=client)
    clock.set("2026-06-15 00:00:30")
    kr.fetch_creator_rankings(region="US", cycle="week", date="2026-06-10", client=client)
    assert sent(real) == ["2026-06-08", "2026-06-08"]


# When it is final -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cycle", "given", "observed", "final"),
    [
        ("day", "2026-06-10", "2026-06-12 23:00", False),  # it ended with the 10th: two days after are the 13th
        ("day", "2026-06-10", "2026-06-13 01:00", True),
        ("week", "2026-06-01", "2026-06-09 23:00", False),  # ended with Sunday the 7th
        ("week", "2026-06-01", "2026-06-10 01:00", True),
        ("month", "2026-05-01", "2026-06-02 23:00", False),
        ("month", "2026-05-01", "2026-06-03 01:00", True),
    ],
)
def test_a_ranking_observed_two_days_after_its_cycle_stays(
    client: kr.Client, real: Sandbox, clock: Clock, cycle: str, given: str, observed: str, final: bool
) -> None:
    def fetch(**options: Any) -> int:
        before = real.charged
        kr.fetch_creator_rankings(region="US", cycle=cycle, date=given, limit=5, client=client, **options)
        return real.charged - before

    clock.set(observed)
    assert fetch() == 1
    clock.set("2026-06-30 12:00")
    if final:
        assert [fetch(), fetch(max_age="1D"), fetch(max_age=0)] == [0, 0, 1]
    else:
        with pytest.warns(kr.StaleDataWarning, match="5 of 5 rows of creator_rankings"):
            assert fetch() == 0
        assert [fetch(max_age="1D"), fetch(max_age="1D")] == [1, 0]  # which is final now


def test_an_empty_ranking_is_an_absence_of_a_day(client: kr.Client, real: Sandbox, clock: Clock) -> None:
    def fetch(**options: Any) -> int:
        before = real.charged
        with pytest.warns(kr.MissingDataWarning, match="KeyAPI has nothing for 1 page: region=IS, date=2026-05-01"):
            frame = kr.fetch_creator_rankings(
                region="IS", date="2026-05-01", cycle="day", limit=10, client=client, **options
            )
        assert (len(frame), list(frame.dtypes)) == (0, list(expected))
        return real.charged - before

    expected = kr.fetch_creator_rankings(region="US", limit=1, client=client).dtypes
    assert [fetch(), fetch()] == [1, 0]
    clock.set("2026-06-18 13:00")
    assert [fetch(), fetch()] == [1, 0]
    assert client.status().absences == 2


# Pages, filters, what is extended -------------------------------------------------------------------------------------


def test_a_larger_limit_goes_on_within_the_hour_and_starts_again_after_it(
    client: kr.Client, real: Sandbox, clock: Clock
) -> None:
    options = {"region": "US", "cycle": "week", "date": "2026-06-01", "client": client}
    first = kr.fetch_creator_rankings(limit=10, **options)
    assert kr.plan(kr.fetch_creator_rankings, limit=25, **options).credits == 2
    more = kr.fetch_creator_rankings(limit=25, **options)
    assert [request.params["page_num"] for request in real.requests] == ["1", "2", "3"]
    assert more["position"].tolist() == list(range(1, 26))
    assert more.head(10).equals(first)
    clock.set("2026-06-17 14:00")
    plan = kr.plan(kr.fetch_creator_rankings, limit=35, **options)
    assert (plan.credits, plan.note) == (
        4, "fetches the whole ranking again, because the stored pages are more than an hour old"
    )  # fmt: skip
    kr.fetch_creator_rankings(limit=35, **options)
    assert real.charged == 3 + 4


def test_all_pages_end_with_a_short_one(client: kr.Client, sandbox: Sandbox) -> None:
    frame = kr.fetch_creator_rankings(region="US", cycle="week", limit=None, client=client)
    pages = -(-(len(frame) + 1) // 10) if len(frame) % 10 == 0 else -(-len(frame) // 10)
    assert sandbox.charged == pages
    assert frame["user_id"].is_unique
    units = frame["units_period_est"].tolist()
    assert units == sorted(units, reverse=True)


def test_a_filter_without_effect_is_reported(client: kr.Client, sandbox: Sandbox) -> None:
    def ignore(path: str, params: dict[str, str], envelope: dict[str, Any]) -> dict[str, Any]:
        return {**envelope, "data": rows if path == CREATORS else envelope["data"]}

    options = {"region": "US", "cycle": "week", "limit": 10, "client": client}
    kr.fetch_creator_rankings(**options)
    rows = next(iter(client.store.envelopes([1])))["data"]
    kr.fetch_creator_rankings(category_id="601450", **options)  # the sandbox filters: nothing to report
    sandbox.mutate = ignore
    with pytest.warns(kr.SchemaDriftWarning, match="KeyAPI may have ignored a parameter, or both have the same rows"):
        kr.fetch_creator_rankings(niche="Beauty", **options)


def test_the_other_order_is_reported_too_but_not_two_filters(client: kr.Client, sandbox: Sandbox) -> None:
    options = {"region": "US", "cycle": "week", "limit": 10, "client": client}
    rows = []
    sandbox.mutate = lambda _, __, envelope: {**envelope, "data": rows or rows.extend(envelope["data"]) or rows}
    kr.fetch_product_rankings(category_l1_id="601450", **options)
    kr.fetch_product_rankings(category_l1_id="601152", **options)
    with pytest.warns(kr.SchemaDriftWarning, match="KeyAPI may have ignored a parameter"):
        kr.fetch_product_rankings(**options)


def test_a_search_without_a_hit_is_missing_data(client: kr.Client, sandbox: Sandbox) -> None:
    with pytest.warns(kr.MissingDataWarning, match="KeyAPI has nothing for 1 page"):
        frame = kr.fetch_product_search(region="US", min_price=99_999, client=client)
    assert len(frame) == 0
    assert str(frame["filter_min_price"].dtype) == "float64"


def test_a_page_that_fails_keeps_those_before_it(make_client: Make, sandbox: Sandbox) -> None:
    client = make_client(retries=0)
    sandbox.on_request = lambda _, params: Fault(status=400) if params["page_num"] == "3" else None
    with pytest.raises(kr.InvalidRequestError) as caught:
        kr.fetch_video_rankings(region="US", limit=40, client=client)
    assert caught.value.frame["position"].tolist() == list(range(1, 21))
    sandbox.on_request = None
    assert len(kr.fetch_video_rankings(region="US", limit=40, client=client)) == 40
    assert sandbox.charged == 4


def test_rankings_replay_a_year_later(client: kr.Client, real: Sandbox, clock: Clock, tmp_path: Path) -> None:
    def study(connection: kr.Client) -> list[pd.DataFrame]:
        cycles = ("day", "week", "month")
        return [kr.fetch_creator_rankings(region="US", cycle=cycle, client=connection) for cycle in cycles]

    before = study(client)
    kr.freeze(tmp_path / "study.zip", client=client)
    clock.set("2027-06-17 12:00")
    with kr.Client(replay=tmp_path / "study.zip") as replayed:
        for one, other in zip(before, study(replayed), strict=True):
            pd.testing.assert_frame_equal(one, other)
    assert real.charged == 6


def test_a_file_brings_dates_and_filters_back(client: kr.Client, sandbox: Sandbox, tmp_path: Path) -> None:
    frame = kr.fetch_product_rankings(region="US", cycle="month", category_l1_id="601450", limit=5, client=client)
    frame.keyapi.to_csv(tmp_path / "ranking.csv")
    back = kr.read_csv(tmp_path / "ranking.csv")
    pd.testing.assert_frame_equal(back, frame)
    assert back.keyapi.history(client=client).shape == frame.shape
    assert sandbox.charged == 1


# Creators by username -------------------------------------------------------------------------------------------------


def usernames(sandbox: Sandbox) -> list[str]:
    return [request.params.get("unique_ids", "") for request in sandbox.requests if request.path == DETAIL]


def test_handles_are_requested_in_one_way_and_serve_their_ids(client: kr.Client, sandbox: Sandbox) -> None:
    frame = kr.fetch_creators(["@Nba", "nba", " NBA ", "tiktok"], by="username", client=client)
    assert usernames(sandbox) == ["nba,tiktok"]
    assert frame["username"].tolist() == ["nba", "tiktok"]
    by_id = kr.fetch_creators(frame["user_id"], client=client)
    windows = kr.fetch_creator_windows(frame["user_id"], client=client)
    posting = kr.fetch_creator_posting(["TikTok"], by="username", client=client)
    assert by_id.equals(frame)
    assert set(windows["user_id"]) == set(frame["user_id"])
    assert posting["user_id"].unique().tolist() == [frame["user_id"][1]]
    assert sandbox.charged == 1
    assert frame.keyapi.windows(client=client).equals(windows)


def test_an_answer_by_id_does_not_serve_the_handle(client: kr.Client, sandbox: Sandbox) -> None:
    user = kr.fetch_creators("nba", by="username", client=client)["user_id"].item()
    other = kr.Client(token="x", base_url=sandbox.url, store=":memory:", progress=False)
    name = kr.fetch_creators(user, client=other)["username"].item()
    assert kr.plan(kr.fetch_creators, name, by="username", client=other).requests == 1
    other.close()


def test_a_handle_that_now_is_somebody_elses_is_another_observation(client: kr.Client, sandbox: Sandbox) -> None:
    first = kr.fetch_creators("nba", by="username", client=client)

    def renamed(_: str, __: dict[str, str], envelope: dict[str, Any]) -> dict[str, Any]:
        return {**envelope, "data": [{**row, "user_id": "6900000000000000001"} for row in envelope["data"]]}

    sandbox.mutate = renamed
    second = kr.fetch_creators("nba", by="username", max_age=0, client=client)
    assert second["user_id"].item() == "6900000000000000001"
    assert kr.fetch_creators("nba", by="username", client=client).equals(second)
    assert kr.fetch_creators(first["user_id"], client=client).equals(first)
    assert kr.fetch_creators("6900000000000000001", client=client).equals(second)
    assert sandbox.charged == 2


def test_an_answer_about_another_handle_is_not_used(client: kr.Client, sandbox: Sandbox) -> None:
    sandbox.mutate = lambda _, __, envelope: {
        **envelope, "data": [{**row, "unique_id": "somebody"} for row in envelope["data"]]
    }  # fmt: skip
    with pytest.raises(kr.UnexpectedResponseError, match="'nba' was requested, but the answer has rows about 'some"):
        kr.fetch_creators("@nba", by="username", client=client)
    assert client.status().answers == 0


def test_absent_handles_and_ids(client: kr.Client, sandbox: Sandbox) -> None:
    with pytest.warns(kr.MissingDataWarning, match="nothing for 1 username: x000000"):
        frame = kr.fetch_creators(["x000000", "nba"], by="username", client=client)
    assert frame["username"].tolist() == ["nba"]
    with pytest.warns(kr.MissingDataWarning, match="nothing for 1 user_id: 6900000000000000000"):
        assert kr.fetch_creators("6900000000000000000", client=client).empty


@pytest.mark.parametrize(
    ("given", "by", "text"),
    [
        ("nba", "user_id", "is not a valid id"),
        (["a b"], "username", "is not a valid handle. Pass several as a list."),
        (7, "username", 'must be handles such as "tiktok" or "@tiktok"'),
        ("nba", "handle", "by must be one of user_id, username; got 'handle'"),
        ("nba", None, "by must be one of user_id, username; got None"),
    ],
)
def test_wrong_handles_are_refused(client: kr.Client, sandbox: Sandbox, given: Any, by: Any, text: str) -> None:
    with pytest.raises(kr.InvalidArgumentError) as caught:
        kr.fetch_creators(given, by=by, client=client)
    assert text in str(caught.value)
    assert not sandbox.requests


def test_a_study_by_handles_is_replayed(client: kr.Client, sandbox: Sandbox, tmp_path: Path) -> None:
    def study(connection: kr.Client) -> list[pd.DataFrame]:
        creators = kr.fetch_creators(["nba", "tiktok"], by="username", client=connection)
        days = creators.keyapi.fetch_days("9D", client=connection)
        return [creators, creators.keyapi.windows(client=connection), days]

    before = study(client)
    frozen = kr.freeze(tmp_path / "study.zip", client=client)
    assert frozen.differing == ()
    with kr.Client(replay=tmp_path / "study.zip") as replayed:
        for one, other in zip(before, study(replayed), strict=True):
            pd.testing.assert_frame_equal(one, other)
        assert repr(kr.freeze(tmp_path / "study.zip", client=replayed)) == repr(frozen)


# Personal data --------------------------------------------------------------------------------------------------------


def test_archives_have_no_personal_data_unless_wanted(client: kr.Client, sandbox: Sandbox, tmp_path: Path) -> None:
    def person(_: str, __: dict[str, str], envelope: dict[str, Any]) -> dict[str, Any]:
        own = {"nick_name": "Ann Example", "signature": "call me", "contact_email": "ann@example.org",
               "avatar": "https://x/ann.png", "gender": "female"}  # fmt: skip
        return {**envelope, "data": [{**row, **{n: v for n, v in own.items() if n in row}} for row in envelope["data"]]}

    sandbox.mutate = person
    frames = [
        kr.fetch_creators("nba", by="username", client=client),
        kr.fetch_creator_rankings(region="US", cycle="week", limit=10, client=client),
    ]
    blank, whole = tmp_path / "blank.zip", tmp_path / "whole.zip"
    kr.freeze(blank, client=client)
    kr.freeze(whole, personal=True, client=client)
    for word in (b"Ann Example", b"call me", b"ann@example.org", b"ann.png", b'"female"'):
        assert word not in blank.read_bytes()
        assert word in whole.read_bytes()
    manifests = [json.loads(zipfile.ZipFile(path).read("manifest.json")) for path in (blank, whole)]
    assert manifests[0]["blanked"] == ["avatar", "contact_email", "gender", "nick_name", "signature"]
    assert "blanked" not in manifests[1]
    with kr.Client(replay=blank) as replayed:
        again = kr.fetch_creators("nba", by="username", client=replayed)
        pd.testing.assert_frame_equal(again, frames[0])
        [answer] = again.keyapi.raw(client=replayed)
        assert [answer["data"][0][name] for name in ("nick_name", "contact_email", "unique_id")] == ["", "", "nba"]
        pd.testing.assert_frame_equal(
            kr.fetch_creator_rankings(region="US", cycle="week", limit=10, client=replayed), frames[1]
        )


def test_names_that_a_table_has_stay_in_an_archive(client: kr.Client, sandbox: Sandbox, tmp_path: Path) -> None:
    frame = kr.fetch_trending_hashtag_creators(region="US", limit=20, client=client)
    assert frame["creator_name"].notna().any()
    kr.freeze(tmp_path / "study.zip", client=client)
    with kr.Client(replay=tmp_path / "study.zip") as replayed:
        pd.testing.assert_frame_equal(
            kr.fetch_trending_hashtag_creators(region="US", limit=20, client=replayed), frame
        )


def test_calls_that_showed_personal_data_are_named(client: kr.Client, sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.mutate = lambda _, __, envelope: {**envelope, "data": [{"nick_name": "Ann", "user_id": "1"}]}
    path = "/v1/tiktok/influencer/livestreams/analytics"
    kr.fetch_endpoint(path, {"user_id": "1"}, credits=1, personal=True, client=client)
    frozen = kr.freeze(tmp_path / "study.zip", client=client)
    assert [one.partition("(")[0] for one in frozen.differing] == ["fetch_endpoint"]
    assert kr.freeze(tmp_path / "whole.zip", personal=True, client=client).differing == ()


def test_personal_must_be_a_flag(client: kr.Client, tmp_path: Path) -> None:
    with pytest.raises(kr.InvalidArgumentError, match="personal must be True or False"):
        kr.freeze(tmp_path / "study.zip", personal="yes", client=client)  # type: ignore[arg-type]


def test_today_is_utc(make_client: Make, real: Sandbox) -> None:
    kr.fetch_creators("nba", by="username", client=make_client())
    assert make_client().policy.today == date(2026, 6, 17)
    assert make_client(as_of="2026-03-01T23:30:00-05:00").policy.today == date(2026, 3, 2)
