"""Creators, products and their days, where something breaks in the middle or is not as it should be."""

from __future__ import annotations

import threading
import time
import warnings
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import keyapi_research as kr
from keyapi_research.archive_format import read_manifest
from keyapi_research.sandbox import SOURCE_HEADER, Fault, Sandbox

Make = Callable[..., kr.Client]
DAYS = "/v1/tiktok/influencer/trends/analytics"
USER, OTHER = "6900000000000000001", "6900000000000000002"


class Clock:
    """This machine's clock, to be moved."""

    def __init__(self) -> None:
        self._real, self._ahead = time.time_ns, 0

    def __call__(self) -> int:
        return self._real() + self._ahead

    @property
    def today(self) -> date:
        return datetime.fromtimestamp(self() / 1e9, UTC).date()

    def advance(self, hours: float) -> None:
        self._ahead += int(hours * 3600 * 1e9)

    def set(self, moment: str) -> None:
        self._ahead = pd.Timestamp(moment, tz="UTC").as_unit("ns").value - self._real()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    moved = Clock()
    moved.set("2026-06-15 09:00")
    monkeypatch.setattr(time, "time_ns", moved)
    return moved


@pytest.fixture
def real(sandbox: Sandbox, clock: Clock) -> Sandbox:
    """A server that tells every day, page by page, and whose answers count as real."""
    sandbox.extra_headers = {SOURCE_HEADER: ""}
    sandbox.mutate = answer_days
    return sandbox


COUNTS = (
    "total_comments_cnt", "total_digg_1d_cnt", "total_digg_cnt", "total_followers_1d_cnt", "total_followers_cnt",
    "total_live_cnt", "total_post_video_cnt", "total_sale_1d_cnt", "total_sale_gmv_1d_amt", "total_shares_cnt",
    "total_views_cnt",
)  # fmt: skip


def a_row(user: str, day: str, views: int = 1) -> dict[str, Any]:
    return {"user_id": user, "dt": day, **dict.fromkeys(COUNTS, 1), "total_views_cnt": views}


def answer_days(path: str, params: dict[str, str], envelope: dict[str, Any]) -> dict[str, Any]:
    if path != DAYS or "start_date" not in params:
        return envelope
    days = pd.date_range(params["start_date"], params["end_date"]).strftime("%Y-%m-%d")
    start = (int(params["page_num"]) - 1) * int(params["page_size"])
    return {**envelope, "data": [a_row(params["user_id"], day) for day in days[start:][: int(params["page_size"])]]}


def days_of(users: Any, start: str, end: str, client: kr.Client, **options: Any) -> pd.DataFrame:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", kr.KeyAPIWarning)
        return kr.fetch_creator_days(users, start=start, end=end, client=client, **options)


def quietly(fetch: Callable[..., pd.DataFrame], *args: Any, **options: Any) -> pd.DataFrame:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", kr.KeyAPIWarning)
        return fetch(*args, **options)


# Calendar -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [{"start": "90D", "end": "0001-01-05"}, {"start": "2D", "end": "0001-01-01"}])
def test_a_length_that_begins_before_the_calendar_is_refused(client: kr.Client, arguments: dict[str, Any]) -> None:
    with pytest.raises(kr.InvalidArgumentError):
        kr.fetch_creator_days(USER, client=client, **arguments)


@pytest.mark.parametrize("cycle", ["day", "week", "month"])
def test_the_last_cycle_of_the_calendar_is_not_over(client: kr.Client, cycle: str) -> None:
    with pytest.raises(kr.InvalidArgumentError, match=r"9999-12-31.* is not over yet"):
        kr.fetch_creator_rankings(region="US", date="9999-12-31", cycle=cycle, client=client)


@pytest.mark.parametrize("today", ["0001-01-01", "0001-01-02", "9999-12-31"])
def test_a_today_at_an_end_of_the_calendar_is_a_day_of_which_nothing_is_stored(make_client: Make, today: str) -> None:
    make_client().close()
    then = make_client(as_of=today)
    with pytest.raises(kr.NotStoredError):
        kr.fetch_creator_days(USER, start="3D", client=then)
    for cycle in ("day", "week", "month"):
        with pytest.raises(kr.NotStoredError):
            kr.fetch_creator_rankings(region="US", cycle=cycle, client=then)


# Claims ---------------------------------------------------------------------------------------------------------------


def test_an_earlier_failure_is_not_the_failure_of_a_range_that_waits(make_client: Make, real: Sandbox) -> None:
    client, another = make_client(retries=0), make_client()
    real.on_request = lambda *_: Fault(status=400)
    with pytest.raises(kr.InvalidRequestError):
        days_of(USER, "2026-03-01", "2026-03-02", client)
    begun, go_on = threading.Event(), threading.Event()

    def wait(_: str, params: dict[str, str]) -> None:
        if params["start_date"] == "2026-03-09":
            begun.set()
            go_on.wait(10)

    real.on_request = wait
    other = threading.Thread(target=days_of, args=(USER, "2026-03-09", "2026-03-09", another))
    other.start()
    begun.wait(10)
    threading.Timer(0.3, go_on.set).start()
    frame = days_of(USER, "2026-03-01", "2026-03-10", client)
    other.join()
    assert len(frame) == 10


# What is said ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("back", "again"),
    [(40, "They are final: only max_age=0 requests them again"), (2, "They are requested again after")],
)
def test_it_is_said_whether_days_that_were_not_told_are_requested_again(
    client: kr.Client, real: Sandbox, clock: Clock, back: int, again: str
) -> None:
    real.mutate = lambda _, __, envelope: {**envelope, "data": []}
    day = clock.today - timedelta(days=back)
    with pytest.warns(kr.MissingDataWarning) as caught:
        kr.fetch_creator_days(USER, start=day, end=day, client=client)
    assert again in str(caught[0].message)
    clock.advance(25)
    assert kr.plan(kr.fetch_creator_days, USER, start=day, end=day, client=client).requests == (back == 2)


@pytest.mark.parametrize(
    ("filters", "warned"),
    [({"min_price": 0.5}, False), ({"on_sale": False}, False), ({"category_l1_id": "601450"}, True)],
)
def test_a_search_whose_first_rows_a_price_leaves_as_they_are_is_no_drift(
    client: kr.Client, real: Sandbox, filters: dict[str, Any], warned: bool
) -> None:
    rows = [{"product_id": f"17000000000000000{n}"} for n in range(10, 15)]
    real.mutate = lambda _, __, envelope: {**envelope, "data": rows}
    quietly(kr.fetch_product_search, region="US", client=client)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        kr.fetch_product_search(region="US", **filters, client=client)
    assert any("may have ignored a parameter" in str(one.message) for one in caught) == warned


# Handles --------------------------------------------------------------------------------------------------------------

CREATORS = "/v1/tiktok/influencer/detail/analytics"


def test_an_answer_by_handle_about_two_creators_serves_neither_by_id(
    client: kr.Client, real: Sandbox, tmp_path: Path
) -> None:
    rows = [
        {"user_id": USER, "unique_id": "foo", "product_category_list": "1-2-3:1"},
        {"user_id": OTHER, "unique_id": "Foo", "product_category_list": "4-5-6:1,7-8-9:2"},
    ]
    real.mutate = lambda _, params, envelope: {
        **envelope, "data": [one for one in rows if params.get("user_ids", one["user_id"]) == one["user_id"]]
    }  # fmt: skip
    quietly(kr.fetch_creators, ["foo"], by="username", client=client)
    frame = quietly(kr.fetch_creator_categories, [USER], client=client)
    assert frame["category_l1_id"].tolist() == ["1"]
    kr.freeze(tmp_path / "study.zip", client=client)
    with kr.Client(replay=tmp_path / "study.zip") as replayed:
        assert quietly(kr.fetch_creators, [USER], client=replayed)["user_id"].tolist() == [USER]


def test_an_answer_by_handle_without_an_id_is_reported(client: kr.Client, real: Sandbox) -> None:
    real.mutate = lambda _, __, envelope: {**envelope, "data": [{"user_id": None, "unique_id": "foo"}]}
    with pytest.warns(kr.SchemaDriftWarning, match="could not be read and are missing"):
        assert len(kr.fetch_creators(["foo"], by="username", client=client)) == 0


# Archives -------------------------------------------------------------------------------------------------------------


def test_calls_for_days_after_the_archives_today_are_named_or_replayed(
    client: kr.Client, real: Sandbox, clock: Clock, tmp_path: Path
) -> None:
    days_of(USER, "3D", None, client)  # type: ignore[arg-type]
    clock.advance(24)
    days_of(OTHER, "2026-06-14", "2026-06-15", client)  # over by now, but not on the day before
    frozen = kr.freeze(tmp_path / "study.zip", client=client)
    with kr.Client(replay=tmp_path / "study.zip") as replayed:
        try:
            again = len(days_of(OTHER, "2026-06-14", "2026-06-15", replayed))
        except kr.InvalidArgumentError:
            again = 0
    assert again == 2 or any(OTHER in one for one in frozen.differing)


def test_rankings_after_the_archives_today_are_named_or_replayed(
    client: kr.Client, real: Sandbox, clock: Clock, tmp_path: Path
) -> None:
    quietly(kr.fetch_creator_rankings, region="US", client=client)
    clock.advance(24)
    quietly(kr.fetch_creator_rankings, region="US", date="2026-06-15", client=client)
    frozen = kr.freeze(tmp_path / "study.zip", client=client)
    with kr.Client(replay=tmp_path / "study.zip") as replayed:
        try:
            again = len(quietly(kr.fetch_creator_rankings, region="US", date="2026-06-15", client=replayed))
        except kr.InvalidArgumentError:
            again = 0
    assert again or any("2026-06-15" in one for one in frozen.differing)


@pytest.mark.parametrize("fetch", [kr.fetch_creator_rankings, kr.fetch_product_creators])
def test_a_list_that_ends_with_an_empty_page_can_be_replayed(
    client: kr.Client, real: Sandbox, tmp_path: Path, fetch: Callable[..., pd.DataFrame]
) -> None:
    def answer(_: str, params: dict[str, str], envelope: dict[str, Any]) -> dict[str, Any]:
        rows = [{"user_id": f"69000000000000000{n}", "product_id": USER} for n in range(10, 20)]
        return {**envelope, "data": rows if params["page_num"] == "1" else []}

    real.mutate = answer
    given: dict[str, Any] = {"region": "US"} if fetch is kr.fetch_creator_rankings else {"product_ids": [USER]}
    before = quietly(fetch, **given, limit=20, client=client)
    assert (len(before), real.charged) == (10, 2)
    kr.freeze(tmp_path / "study.zip", client=client)
    with kr.Client(replay=tmp_path / "study.zip") as replayed:
        pd.testing.assert_frame_equal(quietly(fetch, **given, limit=20, client=replayed), before)


@pytest.mark.slow
def test_a_manifest_has_the_days_of_a_call_once(
    client: kr.Client, real: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("keyapi_research.archive_format._LARGEST_PART", 6_000)
    users = [str(int(USER) + number) for number in range(10)]
    before = days_of(users, "2026-01-01", "2026-04-10", client)
    frozen = kr.freeze(tmp_path / "study.zip", client=client)
    with kr.Client(replay=tmp_path / "study.zip") as replayed:
        pd.testing.assert_frame_equal(days_of(users, "2026-01-01", "2026-04-10", replayed), before)
        again = kr.freeze(tmp_path / "study.zip", client=replayed)
    assert (again.calls, again.failed, again.answers) == (1, (), 1_000) == (frozen.calls, frozen.failed, frozen.answers)


def test_a_creator_whose_days_failed_is_one_id_that_failed(make_client: Make, real: Sandbox, tmp_path: Path) -> None:
    client = make_client(retries=0)
    days_of(OTHER, "2026-03-01", "2026-03-03", client)
    real.on_request = lambda *_: Fault(status=400)
    days_of([USER, OTHER], "2026-03-01", "2026-03-03", client, errors="warn")
    with pytest.raises(kr.FetchIncompleteError, match=f"^1 ids failed and were not fetched later: {USER}\\. "):
        kr.freeze(tmp_path / "study.zip", client=client)
    frozen = kr.freeze(tmp_path / "study.zip", partial=True, client=client)
    with kr.Client(replay=tmp_path / "study.zip") as replayed:
        assert kr.freeze(tmp_path / "study.zip", client=replayed).failed == frozen.failed == (USER,)


@pytest.mark.xfail(strict=True, reason="only the archive that was blanked first names the fields")
def test_an_archive_of_a_replay_names_what_is_blank_in_it(client: kr.Client, real: Sandbox, tmp_path: Path) -> None:
    row = {"user_id": USER, "unique_id": "foo", "nick_name": "Foo Bar"}
    real.mutate = lambda _, __, envelope: {**envelope, "data": [row]}
    quietly(kr.fetch_creators, [USER], client=client)
    kr.freeze(tmp_path / "one.zip", client=client)
    with kr.Client(replay=tmp_path / "one.zip") as replayed:
        quietly(kr.fetch_creators, [USER], client=replayed)
        kr.freeze(tmp_path / "two.zip", client=replayed)
    assert read_manifest(str(tmp_path / "one.zip"))["blanked"] == ["nick_name"]
    assert read_manifest(str(tmp_path / "two.zip")).get("blanked") == ["nick_name"]


@pytest.mark.xfail(strict=True, reason="fields inside JSON texts are not looked for; no known answer has any")
def test_personal_fields_inside_a_text_are_blank_in_an_archive(
    client: kr.Client, real: Sandbox, tmp_path: Path
) -> None:
    row = {"user_id": USER, "unique_id": "foo", "category": '{"nick_name": "Foo Bar"}'}
    real.mutate = lambda _, __, envelope: {**envelope, "data": [row]}
    quietly(kr.fetch_creators, [USER], client=client)
    kr.freeze(tmp_path / "study.zip", client=client)
    assert b"Foo Bar" not in (tmp_path / "study.zip").read_bytes()


@pytest.mark.xfail(strict=True, reason="an archive without relative dates has no today, so that the clock counts")
def test_days_of_an_archive_can_be_replayed_where_the_clock_is_behind(
    client: kr.Client, real: Sandbox, clock: Clock, tmp_path: Path
) -> None:
    days_of(USER, "2026-06-10", "2026-06-14", client)
    kr.freeze(tmp_path / "study.zip", client=client)
    clock.set("2026-06-12 09:00")
    with kr.Client(replay=tmp_path / "study.zip") as replayed:
        assert len(days_of(USER, "2026-06-10", "2026-06-14", replayed)) == 5


# The token ------------------------------------------------------------------------------------------------------------


def test_a_token_given_as_a_handle_is_neither_sent_nor_stored(make_client: Make, real: Sandbox, tmp_path: Path) -> None:
    client = make_client(token="Mixed-Case-Token-0815")
    with pytest.raises(kr.InvalidArgumentError, match="has the token in it"):
        kr.fetch_creators(["@Mixed-Case-Token-0815"], by="username", client=client)
    assert not real.requests
    client.close()
    assert not any(b"mixed-case-token" in one.read_bytes().lower() for one in tmp_path.glob("store*"))
