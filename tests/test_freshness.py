"""How old an answer may be, what was known when, and what can be read without a request."""

from __future__ import annotations

import socket
import time
import warnings
from collections.abc import Callable
from datetime import date, datetime, timedelta, timezone
from typing import Any

import numpy as np
import pandas as pd
import pytest
from clocks import Clock
from stores import Place

import keyapi_research as kr
from keyapi_research.sandbox import SOURCE_HEADER, Fault, Sandbox

pytestmark = pytest.mark.both_stores

HOUR = 3600
DAY = 24 * HOUR
Make = Callable[..., kr.Client]


def tags(*numbers: int) -> list[str]:
    return [f"tag{number}" for number in numbers]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    moved = Clock()
    monkeypatch.setattr(time, "time_ns", moved)
    return moved


@pytest.fixture
def earnest(sandbox: Sandbox) -> Sandbox:
    """A server that does not say it is a sandbox: its answers count as real, and grow old."""
    sandbox.extra_headers = {SOURCE_HEADER: ""}
    return sandbox


@pytest.fixture
def cut_off(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """From this call on nothing may touch the network."""

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("the network was touched")

    def cut() -> None:
        for owner, name in ((socket.socket, "connect"), (socket, "create_connection"), (socket, "getaddrinfo")):
            monkeypatch.setattr(owner, name, refuse)

    return cut


def bodies(place: Place) -> list[tuple[str, str]]:
    return place.rows("SELECT key, value FROM responses ORDER BY key")


def silently(fetch: Callable[[], Any]) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return fetch()


# Stale rows are served and said --------------------------------------------------------------------------------


def test_what_is_old_is_served_and_warned_of_once(make_client: Make, earnest: Sandbox, clock: Clock) -> None:
    client = make_client()
    kr.fetch_hashtags(tags(1, 2), client=client)
    clock.advance(2 * DAY)
    kr.fetch_hashtags(tags(3), client=client)
    clock.advance(1.5 * DAY)
    kr.fetch_hashtags(tags(4), client=client)
    with pytest.warns(kr.StaleDataWarning) as caught:
        frame = kr.fetch_hashtags(tags(1, 2, 3, 4), client=client)
    assert len(frame) == 4
    text = str(caught[0].message)
    for words in ("3 of 4 rows of hashtags", "(the oldest", "4 days)", "6 credits", 'hashtags(..., max_age="1D")'):
        assert words in text
    assert caught[0].filename == __file__
    assert silently(lambda: kr.fetch_hashtags(tags(1), client=client)).shape[0] == 1  # once a table
    with pytest.warns(kr.StaleDataWarning, match="rows of hashtag_trends"):
        kr.fetch_hashtag_trends(tags(1), client=client)
    with pytest.warns(kr.StaleDataWarning):  # and once a client
        kr.fetch_hashtags(tags(1), client=make_client(timeout=9))
    assert earnest.charged == 8


@pytest.mark.filterwarnings("ignore::keyapi_research.SchemaDriftWarning")
def test_old_pages_are_counted_by_their_rows(client: kr.Client, earnest: Sandbox, clock: Clock) -> None:
    kr.fetch_product_insights(region="US", limit=40, client=client)
    clock.advance(3 * DAY)
    with pytest.warns(kr.StaleDataWarning, match=r"25 of 25 rows of product_insights.*4 credits"):
        kr.fetch_product_insights(region="US", limit=25, client=client)


def test_a_table_without_rows_is_not_old(client: kr.Client, earnest: Sandbox, clock: Clock) -> None:
    earnest.mutate = lambda path, params, envelope: {
        **envelope, "data": {"info": {**envelope["data"]["info"], "trend": []}},
    }
    kr.fetch_hashtags("cats", client=client)
    clock.advance(3 * DAY)
    assert kr.fetch_hashtag_trends("cats", client=client).empty  # nothing to warn of
    with pytest.warns(kr.StaleDataWarning, match="1 of 1 rows of hashtags"):
        kr.fetch_hashtags("cats", client=client)


def test_a_day_is_not_old(client: kr.Client, earnest: Sandbox, clock: Clock) -> None:
    kr.fetch_hashtags(tags(1), client=client)
    clock.advance(DAY - 60)
    silently(lambda: kr.fetch_hashtags(tags(1), client=client))
    clock.advance(120)
    with pytest.warns(kr.StaleDataWarning):
        kr.fetch_hashtags(tags(1), client=client)


def test_nothing_grows_old_in_the_sandbox_offline_or_where_any_age_will_do(
    make_client: Make, sandbox: Sandbox, earnest: Sandbox, clock: Clock, place: Place
) -> None:
    kr.fetch_hashtags(tags(1), client=make_client())
    clock.advance(100 * DAY)
    silently(lambda: kr.fetch_hashtags(tags(1), max_age="any", client=make_client()))
    silently(lambda: kr.fetch_hashtags(tags(1), client=make_client(max_age="any")))
    silently(lambda: kr.fetch_hashtags(tags(1), max_age="200D", client=make_client()))
    silently(lambda: kr.fetch_hashtags(tags(1), client=make_client(offline=True)))
    silently(lambda: kr.fetch_hashtags(tags(1), client=make_client(as_of="2200-01-01")))
    silently(lambda: kr.fetch_hashtags(tags(1), client=make_client(as_of="9999-12-31")))  # beyond pandas' nanoseconds
    sandbox.extra_headers = {}
    synthetic = make_client(store=place("synthetic"))
    kr.fetch_hashtags(tags(1), client=synthetic)
    clock.advance(100 * DAY)
    silently(lambda: kr.fetch_hashtags(tags(1), client=synthetic))
    assert sandbox.charged == 4


@pytest.mark.parametrize(
    ("observed", "stale"), [("2026-01-20", True), ("2026-02-02 23:59", True), ("2026-02-03 00:01", False)]
)
def test_a_month_that_was_over_does_not_grow_old(
    observed: str, stale: bool, client: kr.Client, earnest: Sandbox, clock: Clock
) -> None:
    clock.set(observed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", kr.IncompleteDataWarning)  # before its end
        kr.fetch_product_details("601583", time_scope="2026-01", client=client)
    clock.advance(200 * DAY)
    fetch = lambda: kr.fetch_product_details("601583", time_scope="2026-01", client=client)  # noqa: E731
    if stale:
        with pytest.warns(kr.StaleDataWarning):
            fetch()
    else:
        silently(fetch)
    assert earnest.charged == 2


# max_age -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("max_age", "requested_again"),
    [("1D", True), ("3D", False), (timedelta(days=1), True), (pd.Timedelta("3D"), False), ("47h", True),
     ("49h", False), (np.timedelta64(1, "D"), True), (np.timedelta64(3 * 86_400 * 10**9, "ns"), False),
     (0, True), ("any", False), (None, False)],
)
@pytest.mark.parametrize("where", ["call", "client"])
@pytest.mark.filterwarnings("ignore::keyapi_research.StaleDataWarning")
def test_max_age_pays_for_what_is_newer(
    max_age: Any, requested_again: bool, where: str, make_client: Make, earnest: Sandbox, clock: Clock
) -> None:
    kr.fetch_hashtags(tags(1), client=make_client())
    clock.advance(2 * DAY)
    client = make_client(max_age=max_age) if where == "client" else make_client()
    options = {"max_age": max_age} if where == "call" else {}
    assert kr.plan(kr.fetch_hashtags, tags(1), client=client, **options).credits == 2 * requested_again
    frame = kr.fetch_hashtags(tags(1), client=client, **options)
    assert earnest.charged == 2 + 2 * requested_again
    age = pd.Timestamp(time.time_ns(), tz="UTC") - frame["observed_at"][0]
    assert (age < pd.Timedelta("1min")) == requested_again


def test_the_call_goes_before_the_client(make_client: Make, sandbox: Sandbox, clock: Clock) -> None:
    client = make_client(max_age="1h")
    kr.fetch_hashtags(tags(1), client=client)
    clock.advance(2 * HOUR)
    kr.fetch_hashtags(tags(1), max_age="any", client=client)
    kr.fetch_hashtags(tags(1), max_age="3h", client=client)
    assert sandbox.charged == 2
    kr.fetch_hashtags(tags(1), client=client)
    assert sandbox.charged == 4


def test_only_what_is_too_old_is_requested_again(client: kr.Client, sandbox: Sandbox, clock: Clock) -> None:
    ids = [str(7_100_000_000_000_000_001 + n) for n in range(12)]
    kr.fetch_videos(ids[:10], client=client)
    clock.advance(2 * DAY)
    kr.fetch_videos(ids[10:], client=client)
    plan = kr.plan(kr.fetch_videos, ids, max_age="1D", client=client)
    assert (plan.requests, plan.stored) == (1, 2)
    kr.fetch_videos(ids, max_age="1D", client=client)
    assert sandbox.requests[-1].params["video_ids"] == ",".join(ids[:10])


@pytest.mark.parametrize(
    "max_age",
    [1, -1, 3600, 0.5, True, "yesterday", "-1D", float("nan"), np.True_, pd.NaT, "", [1], "5", "0.5", ".", np.int64(5)],
)
def test_other_ages_are_refused(max_age: Any, make_client: Make, sandbox: Sandbox) -> None:
    with pytest.raises(kr.InvalidArgumentError, match="max_age must be"):
        kr.fetch_hashtags(tags(1), max_age=max_age, client=make_client())
    with pytest.raises(kr.InvalidArgumentError, match="max_age must be"):
        make_client(max_age=max_age)
    assert sandbox.requests == []


# History -------------------------------------------------------------------------------------------------------


def test_a_refresh_adds_and_overwrites_nothing(
    client: kr.Client, sandbox: Sandbox, clock: Clock, place: Place
) -> None:
    first = kr.fetch_hashtags(tags(1, 2), client=client)
    before = bodies(place)
    clock.advance(HOUR)
    second = kr.fetch_hashtags(tags(1), max_age=0, client=client)
    clock.advance(HOUR)
    third = kr.fetch_hashtags(tags(1), max_age="30min", client=client)
    after = bodies(place)
    assert [row for row in after if row in before] == before
    assert len(after) == 4
    assert client.status().answers == 4
    newest = kr.fetch_hashtags(tags(1), client=client)
    pd.testing.assert_frame_equal(newest, third)
    history = newest.keyapi.history(client=client)
    expected = pd.concat([first.head(1), second, third], ignore_index=True)
    pd.testing.assert_frame_equal(history.reset_index(drop=True), expected)


def test_a_clock_set_back_does_not_hide_the_newest(client: kr.Client, sandbox: Sandbox, clock: Clock) -> None:
    first = kr.fetch_hashtags(tags(1), client=client)
    clock.advance(-DAY)
    second = kr.fetch_hashtags(tags(1), max_age=0, client=client)
    assert second["observed_at"][0] < first["observed_at"][0]  # each says when it came, as the clock had it
    pd.testing.assert_frame_equal(kr.fetch_hashtags(tags(1), client=client), second)
    assert len(second.keyapi.history(client=client)) == 2


def test_a_moment_to_come_is_not_fresh(client: kr.Client, sandbox: Sandbox, clock: Clock) -> None:
    clock.advance(400 * DAY)
    kr.fetch_hashtags(tags(1), client=client)
    kr.fetch_product_insights(region="US", limit=20, client=client)
    with pytest.warns(kr.MissingDataWarning):
        kr.fetch_hashtags("missing1", client=client)
    clock.advance(-400 * DAY)
    assert sandbox.charged == 6
    kr.fetch_hashtags(tags(1), max_age="1D", client=client)
    assert sandbox.charged == 8
    kr.fetch_hashtags(tags(1), max_age="1D", client=client)  # the new one is
    assert sandbox.charged == 8
    with pytest.warns(kr.MissingDataWarning):
        kr.fetch_hashtags("missing1", client=client)
    assert sandbox.charged == 10
    assert kr.plan(kr.fetch_product_insights, region="US", limit=40, client=client).requests == 2


@pytest.mark.parametrize(
    "fault",
    [Fault(status=500), Fault(close="mid_body"), Fault(status=402), Fault(delay=0.5), Fault(body=b"<html>"),
     Fault(body=b'{"code": 0, "data": {"info": {"hashtag_name": "another"}}}'),
     Fault(code=500, inside_200=True)],
    ids=["500", "reset", "402", "timeout", "no JSON", "another id", "500 in a 200"],
)
def test_a_refresh_that_fails_leaves_the_old_answer(
    fault: Fault, make_client: Make, sandbox: Sandbox, clock: Clock, place: Place
) -> None:
    client = make_client(retries=0, timeout=(1, 0.3))
    old = kr.fetch_hashtags(tags(1), client=client)
    before = bodies(place)
    clock.advance(HOUR)
    sandbox.faults.put(fault)
    with pytest.raises(kr.KeyAPIError, match="Older answers for 1 of them are still stored and are returned"):
        kr.fetch_hashtags(tags(1), max_age=0, client=client)
    assert bodies(place) == before
    pd.testing.assert_frame_equal(kr.fetch_hashtags(tags(1), client=client), old)


def test_a_failed_refresh_is_reported_where_it_only_warns(make_client: Make, sandbox: Sandbox) -> None:
    client = make_client(retries=0, max_workers=1)
    kr.fetch_hashtags(tags(1), client=client)
    sandbox.faults.put(Fault(status=500))
    with pytest.warns(kr.IncompleteDataWarning, match="Older answers for 1 of them"):
        kr.fetch_hashtags(tags(1, 2), max_age=0, errors="warn", client=client)


@pytest.mark.filterwarnings("ignore::keyapi_research.SchemaDriftWarning")
def test_a_ranking_whose_refresh_breaks_off_is_still_there(
    make_client: Make, sandbox: Sandbox, clock: Clock
) -> None:
    client = make_client(retries=0)
    old = kr.fetch_product_insights(region="US", limit=60, client=client)
    clock.advance(2 * HOUR)
    sandbox.on_request = lambda _, params: Fault(status=500) if params["page"] == "2" else None
    with pytest.raises(kr.ServerError, match="earlier ranking is still stored") as caught:
        kr.fetch_product_insights(region="US", limit=60, max_age="1h", client=client)
    assert caught.value.frame is not None
    assert len(caught.value.frame) == 20
    pd.testing.assert_frame_equal(kr.fetch_product_insights(region="US", limit=60, client=client), old)
    newest = kr.fetch_product_insights(region="US", limit=20, client=client)
    pd.testing.assert_frame_equal(newest, caught.value.frame)
    sandbox.on_request = None
    plan = kr.plan(kr.fetch_product_insights, region="US", limit=60, max_age="1h", client=client)
    assert plan.credits == 4  # goes on from the page that came


def test_a_first_failure_does_not_speak_of_older_answers(make_client: Make, sandbox: Sandbox) -> None:
    client = make_client(retries=0)
    sandbox.faults.put(Fault(status=500))
    with pytest.raises(kr.ServerError) as caught:
        kr.fetch_hashtags(tags(1), client=client)
    assert "lder answers" not in str(caught.value)


# as_of ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def observed(make_client: Make, sandbox: Sandbox, clock: Clock) -> dict[str, pd.DataFrame]:
    """A store with three observations of one hashtag, by their times."""
    client = make_client()
    frames = {}
    for moment in ("2026-03-01 10:00", "2026-03-02 10:00", "2026-03-02 22:00"):
        clock.set(moment)
        frames[moment] = kr.fetch_hashtags(tags(1), max_age=0, client=client)
    clock.set("2026-06-01")
    return frames


@pytest.mark.parametrize(
    ("as_of", "moment"),
    [
        ("2026-03-01", "2026-03-01 10:00"),  # a bare date includes its day
        (date(2026, 3, 2), "2026-03-02 22:00"),
        ("2026-03-02 11:00", "2026-03-02 10:00"),  # naive is UTC
        (datetime(2026, 3, 2, 11), "2026-03-02 10:00"),  # noqa: DTZ001 - naive on purpose
        (datetime(2026, 3, 2, 11, tzinfo=timezone(timedelta(hours=2))), "2026-03-01 10:00"),
        (pd.Timestamp("2026-03-02 23:00", tz="Asia/Tokyo"), "2026-03-02 10:00"),
        ("2026-03-02T11:00:00Z", "2026-03-02 10:00"),
        ("2026-03-02 00:00", "2026-03-01 10:00"),
        ("2100-01-01", "2026-03-02 22:00"),
    ],
)
def test_as_of_reads_the_newest_answer_of_then(
    as_of: Any, moment: str, observed: dict[str, pd.DataFrame], cut_off: Callable[[], None], place: Place
) -> None:
    cut_off()
    with kr.Client(store=place(), as_of=as_of) as client:  # without a token
        for max_age in (None, 0, "1h"):
            frame = kr.fetch_hashtags(tags(1), max_age=max_age, client=client)
            pd.testing.assert_frame_equal(frame, observed[moment])


@pytest.mark.usefixtures("observed")
def test_before_the_first_answer_there_is_none(place: Place) -> None:
    with (
        kr.Client(store=place(), as_of="2026-02-28") as client,
        pytest.raises(kr.NotStoredError, match=r"as of 2026-02-28 23:59 UTC.*1 request = 2 credits"),
    ):
        kr.fetch_hashtags(tags(1), client=client)


@pytest.mark.parametrize(
    ("as_of", "moment"),
    [
        ("2026-02-03", "2026-02-03T23:59:59.999999"),
        (date(2026, 2, 3), "2026-02-03T23:59:59.999999"),
        (np.datetime64("2026-02-03"), "2026-02-03T23:59:59.999999"),
        ("2026-02-03 00:00", "2026-02-03T00:00:00"),
        ("2026-02-03T12", "2026-02-03T12:00:00"),
        (datetime(2026, 2, 3),  # noqa: DTZ001 - naive is UTC
         "2026-02-03T00:00:00"),
        (pd.Timestamp("2026-02-03"), "2026-02-03T00:00:00"),
        ("2026-02-03 01:00+02:00", "2026-02-02T23:00:00"),
    ],
)
def test_a_bare_date_includes_its_day_however_it_is_written(as_of: Any, moment: str, client: kr.Client) -> None:
    kr.fetch_hashtags(tags(1), client=client)
    with kr.Client(store=client.settings.store, as_of=as_of) as then:
        assert then.settings.as_of == datetime.fromisoformat(f"{moment}+00:00")


@pytest.mark.parametrize("as_of", ["then", "NaT", 5.5, True, "", "2026-02", "2026/2", "2026", np.datetime64("2026-02")])
def test_other_moments_are_refused(as_of: Any, make_client: Make, client: kr.Client) -> None:
    with pytest.raises(kr.InvalidArgumentError, match="as_of must be a"):
        make_client(as_of=as_of)


@pytest.mark.filterwarnings("ignore::keyapi_research.SchemaDriftWarning")
def test_a_ranking_as_of_then_has_the_pages_of_then(make_client: Make, sandbox: Sandbox, clock: Clock) -> None:
    client = make_client()
    clock.set("2026-03-01 10:00")
    kr.fetch_product_insights(region="US", limit=20, client=client)
    clock.set("2026-03-01 10:30")
    kr.fetch_product_insights(region="US", limit=40, client=client)
    clock.set("2026-03-05 10:00")
    kr.fetch_product_insights(region="US", limit=40, max_age=0, client=client)
    early, late = make_client(as_of="2026-03-01 10:15"), make_client(as_of="2026-03-02")
    assert len(kr.fetch_product_insights(region="US", limit=20, client=early)) == 20
    with pytest.raises(kr.NotStoredError, match="2 requests = 4 credits"):
        kr.fetch_product_insights(region="US", limit=40, client=early)  # the page of then cannot be extended now
    frame = kr.fetch_product_insights(region="US", limit=40, client=late)
    assert len(frame) == 40
    assert frame["observed_at"].dt.strftime("%m-%d %H:%M").unique().tolist() == ["03-01 10:00", "03-01 10:30"]


def test_confirmed_missing_ids_are_served_as_stored(make_client: Make, sandbox: Sandbox, clock: Clock) -> None:
    client = make_client()
    clock.set("2026-03-01")
    sandbox.faults.put(Fault(body=b'{"code": 0, "data": null, "message": "success"}'))
    with pytest.warns(kr.MissingDataWarning):
        kr.fetch_hashtags(tags(1), client=client)
    clock.set("2026-03-10")
    assert len(kr.fetch_hashtags(tags(1), client=client)) == 1
    for as_of, rows in (("2026-03-05", 0), ("2026-03-20", 1)):
        then = make_client(as_of=as_of)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            frame = kr.fetch_hashtags(tags(1), client=then)
        assert len(frame) == rows
        assert [warning.category for warning in caught] == [kr.MissingDataWarning] * (1 - rows)


# Offline -------------------------------------------------------------------------------------------------------


def test_offline_serves_what_is_stored_and_lists_all_that_is_not(
    client: kr.Client, sandbox: Sandbox, cut_off: Callable[[], None], place: Place
) -> None:
    ids = [str(7_100_000_000_000_000_001 + n) for n in range(30)]
    online = kr.fetch_videos(ids[:5], client=client)
    cut_off()
    with kr.Client(store=place(), offline=True) as offline:  # without a token
        pd.testing.assert_frame_equal(kr.fetch_videos(ids[:5], max_age=0, client=offline), online)
        with pytest.raises(kr.NotStoredError, match=r"3 requests = 3 credits") as caught:
            kr.fetch_videos(ids, client=offline)
        failures = caught.value.failures
        assert failures is not None
        assert failures["id"].tolist() == ids[5:]
        assert failures["error"].unique().tolist() == ["NotStoredError"]
        assert caught.value.endpoint == "/v1/tiktok/video/detail/analytics"
        shown = str(place()).replace("postgres@", "")  # an address without its user
        for words in (*ids[5:], shown, "without offline"):
            assert words in str(caught.value)
        plan = kr.plan(kr.fetch_videos, ids, client=offline)
        assert (plan.requests, plan.credits, plan.stored) == (3, 3, 5)
        assert (offline.credits_spent, offline.credits_saved) == (0, 1)
    assert len(sandbox.requests) == 1


def test_offline_warn_leaves_out_what_is_not_stored(client: kr.Client, cut_off: Callable[[], None]) -> None:
    online = kr.fetch_hashtags(tags(1, 2), client=client)
    cut_off()
    with kr.Client(store=client.settings.store, offline=True) as offline:
        with pytest.warns(kr.IncompleteDataWarning, match=r"1 of 3 .*: tag3 \(NotStoredError\).*1 request = 2 credits"):
            frame = kr.fetch_hashtags(tags(1, 3, 2), errors="warn", client=offline)
        pd.testing.assert_frame_equal(frame, online)
        with pytest.warns(kr.IncompleteDataWarning, match="1 of 1"):
            nothing = kr.fetch_hashtags(tags(4), errors="warn", client=offline)
        assert nothing.empty
        assert nothing.dtypes.equals(online.dtypes)


def test_offline_an_open_ended_ranking_costs_at_least_a_page(client: kr.Client) -> None:
    kr.fetch_hashtags(tags(1), client=client)
    with (
        kr.Client(store=client.settings.store, offline=True) as offline,
        pytest.raises(kr.NotStoredError, match="takes at least 1 request = 2 credits"),
    ):
        kr.fetch_product_insights(limit=None, client=offline)


def test_a_store_in_memory_cannot_be_offline() -> None:
    with pytest.raises(kr.StoreError, match="new and empty"):
        kr.Client(store=":memory:", offline=True)


def test_a_ranking_that_is_partly_stored_is_not_enough_offline(
    client: kr.Client, sandbox: Sandbox, cut_off: Callable[[], None], make_client: Make
) -> None:
    kr.fetch_product_insights(region="US", limit=40, client=client)
    cut_off()
    offline = make_client(offline=True)
    assert len(kr.fetch_product_insights(region="US", limit=40, client=offline)) == 40
    assert len(kr.fetch_product_insights(region="US", limit=33, client=offline)) == 33
    with pytest.raises(kr.NotStoredError, match="pages of"):
        kr.fetch_product_insights(region="US", limit=41, client=offline)
    with pytest.raises(kr.NotStoredError, match="pages of"):
        kr.fetch_product_insights(region="US", limit=None, client=offline)
    with pytest.raises(kr.NotStoredError, match=r"region=GB.*2 requests = 4 credits"):
        kr.fetch_product_insights(region="GB", limit=40, client=offline)


def test_how_far_back_a_month_lies_matters_only_for_what_is_sent(
    client: kr.Client, sandbox: Sandbox, make_client: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    kr.fetch_product_details("601583", time_scope="2025-10", client=client)
    monkeypatch.setattr("keyapi_research.client.policy.SANDBOX_TODAY", date(2026, 3, 1))
    assert len(kr.fetch_product_details("601583", time_scope="2025-10", client=client)) == 1
    assert len(kr.fetch_product_details("601583", time_scope="2025-10", client=make_client(offline=True))) == 1
    for options in ({"region": "US"}, {"max_age": 0}):
        with pytest.raises(kr.InvalidArgumentError, match=r"out of range.*from 2025-11"):
            kr.fetch_product_details("601583", time_scope="2025-10", client=client, **options)
    assert sandbox.charged == 2
