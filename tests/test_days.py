"""Days of creators and products: requested as ranges, stored one by one, and paid once."""

from __future__ import annotations

import hashlib
import inspect
import json
import random
import subprocess
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from clocks import Clock

import keyapi_research as kr
from keyapi_research.sandbox import SOURCE_HEADER, Fault, Sandbox

Make = Callable[..., kr.Client]
PATH = "/v1/tiktok/influencer/trends/analytics"
HOUR = 3600
USERS = [str(6_900_000_000_000_000_000 + number) for number in range(20)]
COUNTS = (
    "total_comments_cnt", "total_digg_1d_cnt", "total_digg_cnt", "total_followers_1d_cnt", "total_followers_cnt",
    "total_live_cnt", "total_post_video_cnt", "total_sale_1d_cnt", "total_sale_gmv_1d_amt", "total_shares_cnt",
    "total_views_cnt",
)  # fmt: skip


def day(text: str) -> date:
    return date.fromisoformat(text)


def days_of(first: date, last: date) -> list[date]:
    return [first + timedelta(days=n) for n in range((last - first).days + 1)]


def drawn(*key: object) -> float:
    return int(hashlib.sha256(repr(key).encode()).hexdigest()[:8], 16) / 0xFFFFFFFF


class Server:
    """What the service knows: which days it tells, some of them late; it answers page by page, in some order."""

    def __init__(self, sandbox: Sandbox, clock: Clock, *, told: float = 0.8, descending: bool = False) -> None:
        self.sandbox, self.clock, self.share, self.descending = sandbox, clock, told, descending
        self.pages: list[tuple[str, str, str, tuple[str, ...]]] = []  # user, start, end, days of each page
        sandbox.extra_headers = {SOURCE_HEADER: ""}  # its answers count as real
        sandbox.mutate = self.answer

    def tells(self, user: str, one: date) -> bool:
        late = int(drawn(user, one, "late") * 6) if drawn(user, one, "is late") < 0.3 else 1
        return drawn(user, one) < self.share and (self.clock.today - one).days >= late

    def answer(self, path: str, params: dict[str, str], envelope: dict[str, Any]) -> dict[str, Any]:
        if path != PATH:
            return envelope
        user, size = params["user_id"], int(params["page_size"])
        found = [one for one in days_of(day(params["start_date"]), day(params["end_date"])) if self.tells(user, one)]
        if self.descending:
            found.reverse()
        page = found[(int(params["page_num"]) - 1) * size :][:size]
        self.pages.append((user, params["start_date"], params["end_date"], tuple(map(str, page))))
        rows = [{"user_id": user, "dt": str(one), **dict.fromkeys(COUNTS, one.toordinal())} for one in page]
        return {**envelope, "data": rows}


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    moved = Clock("2026-06-15 09:00")
    monkeypatch.setattr(time, "time_ns", moved)
    return moved


@pytest.fixture
def earnest(sandbox: Sandbox, clock: Clock) -> Sandbox:
    """A server whose answers count as real, so that its today is the clock's."""
    sandbox.extra_headers = {SOURCE_HEADER: ""}
    return sandbox


@pytest.fixture
def server(sandbox: Sandbox, clock: Clock) -> Server:
    return Server(sandbox, clock)


class Model:
    """The rule, written another way: what each range of days costs, and which of them are known after it."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.known: dict[tuple[str, date], tuple[bool, date, float]] = {}  # told, the day and hour it was requested

    def lacks(self, user: str, one: date, max_age: float | None) -> bool:
        if (user, one) not in self.known or max_age == 0:
            return True
        told, requested, hour = self.known[user, one]
        if told:
            final = requested >= one + timedelta(days=3)
            return not final and max_age is not None and self.server.clock.hours - hour > max_age
        final = requested > one + timedelta(days=3)
        return not final and self.server.clock.hours - hour > (24 if max_age is None else max_age)

    def pay(self, users: Sequence[str], first: date, last: date, max_age: float | None = None) -> tuple[int, int]:
        """Return what a call costs, and at most costs."""
        cost = most = 0
        for user in users:
            missing = [one for one in days_of(first, last) if self.lacks(user, one, max_age)]
            while missing:
                blocks, end = 1, missing[0] + timedelta(days=10)
                taken = [missing.pop(0)]
                while missing and missing[0] <= end:
                    if missing[0] == end:
                        blocks, end = blocks + 1, end + timedelta(days=10)
                    taken.append(missing.pop(0))
                most += blocks
                cost += self.pull(user, taken)
        return cost, most

    def pull(self, user: str, missing: list[date]) -> int:
        told = [one for one in days_of(missing[0], missing[-1]) if self.server.tells(user, one)]
        told.sort(reverse=self.server.descending)
        left, now = set(missing), (self.server.clock.today, self.server.clock.hours)
        for pages in range(1, 100):
            page, told = told[:10], told[10:]
            self.known |= {(user, one): (True, *now) for one in page}
            left -= set(page)
            if len(page) < 10:
                self.known |= {(user, one): (False, *now) for one in left}
                return pages
            if not left:
                return pages
        raise AssertionError("no end")

    def rows(self, users: Sequence[str], first: date, last: date) -> list[tuple[str, date]]:
        return [(user, one) for user in users for one in days_of(first, last) if self.known[user, one][0]]


def rows_of(frame: pd.DataFrame) -> list[tuple[str, date]]:
    return [(user, one.date()) for user, one in zip(frame["user_id"], frame["date"], strict=True)]


def quietly(fetch: Callable[[], Any]) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", kr.KeyAPIWarning)
        return fetch()


# What is paid -----------------------------------------------------------------------------------------------------


LONG = [pytest.param(seed, 125, marks=pytest.mark.slow) for seed in range(4)]


@pytest.mark.parametrize(("seed", "calls"), [(4, 40), pytest.param(7, 40, marks=pytest.mark.slow), *LONG])
def test_calls_cost_what_the_rule_says_and_never_more_than_planned(
    make_client: Make, sandbox: Sandbox, clock: Clock, seed: int, calls: int
) -> None:
    rng = random.Random(seed)
    server = Server(sandbox, clock, told=(0.95, 0.8, 0.35, 0.8)[seed % 4], descending=seed % 4 == 3)
    client, model = make_client(max_call_credits=None), Model(server)
    for _ in range(calls):
        clock.advance(rng.choice([0, 0, 1, 5, 30, 100]) * HOUR)
        users = rng.sample(USERS, rng.choice([1, 1, 2, 5]))
        last = clock.today - timedelta(days=rng.choice([1, 1, 1, 2, 10, 40]))
        first = last - timedelta(days=rng.choice([0, 0, 3, 9, 10, 25, 60]))
        max_age, hours = rng.choice([(None, None)] * 6 + [("1D", 24.0), ("12h", 12.0), (0, 0.0)])
        options = {"start": str(first), "end": last, "max_age": max_age, "client": client}
        before = sandbox.charged
        plan = kr.plan(kr.fetch_creator_days, users, **options)
        frame = quietly(lambda: kr.fetch_creator_days(users, **options))  # noqa: B023 - called at once
        cost, most = model.pay(users, first, last, hours)
        assert sandbox.charged - before == cost
        assert (plan.credits, plan.credits_max, plan.requests) == (most, most, most)
        assert rows_of(frame) == model.rows(users, first, last)
    assert client.credits_spent == sandbox.charged == int(client.ledger()["credits"].sum())


WORKER = """
import sys, json, time, warnings
_real = time.time_ns
time.time_ns = lambda: _real() + {ahead!r}
import keyapi_research as kr
warnings.simplefilter("ignore", kr.KeyAPIWarning)
client = kr.Client(
    token="a-token-of-the-tests", base_url={url!r}, store={store!r}, requests_per_second=None, progress=False
)
print("ready", flush=True)
sys.stdin.readline()
told = []
for user, first, last in json.loads({calls!r}):
    frame = kr.fetch_creator_days(user, start=first, end=last, client=client)
    told.append((user, first, last, [str(one.date()) for one in frame["date"]]))
print(json.dumps(told))
client.close()
"""


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 5))])
def test_two_processes_never_pay_a_day_twice(make_client: Make, clock: Clock, tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    with Sandbox(latency=0.02) as one, Sandbox(latency=0.02) as other:
        servers = [Server(one, clock), Server(other, clock)]
        store = tmp_path / "store.sqlite"
        make_client(base_url=one.url, store=store).close()
        whom = [rng.choice(USERS) for _ in range(40)]  # the same for both, so that they meet
        processes = []
        for sandbox in (one, other):
            calls = []
            for user in whom:
                last = clock.today - timedelta(days=rng.choice([1, 5, 9, 20]))
                first = last - timedelta(days=rng.choice([0, 5, 12, 30]))
                calls.append((user, str(first), str(last)))
            script = WORKER.format(
                ahead=clock.ahead, url=sandbox.url, store=str(store), calls=json.dumps(calls)
            )
            processes.append(
                subprocess.Popen(
                    [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
                )
            )
        assert [process.stdout.readline() for process in processes] == ["ready\n"] * 2
        for process in processes:  # they begin together
            process.stdin.write("\n")
            process.stdin.flush()
        told = [json.loads(process.communicate(timeout=120)[0]) for process in processes]
        assert [process.returncode for process in processes] == [0, 0]
        # The ranges in the order in which they were claimed: each lacks its first and its last day by then, and takes
        # the pages that one program alone would need. (The order of the calls says nothing: they overlap.)
        with kr.Client(offline=True, store=store) as reader:
            sent = [json.loads(params) for params in reader.ledger()["params"]]
        assert one.charged + other.charged == len(sent) > 20
        ranges = Counter((each["user_id"], each["start_date"], each["end_date"]) for each in sent)
        model = Model(servers[0])
        for (user, first, last), pages in ranges.items():
            missing = [each for each in days_of(day(first), day(last)) if model.lacks(user, each, None)]
            assert [missing[0], missing[-1]] == [day(first), day(last)]
            assert pages == model.pull(user, missing)
        for calls in told:
            for user, first, last, found in calls:
                assert found == [str(d) for d in days_of(day(first), day(last)) if servers[0].tells(user, d)]


def test_what_is_missing_is_sent_as_one_range_of_blocks(client: kr.Client, server: Server) -> None:
    server.share = 1.0
    quietly(lambda: kr.fetch_creator_days(USERS[0], start="2026-03-01", end="2026-03-20", client=client))
    assert server.pages[-1][1:3] == ("2026-03-01", "2026-03-20")
    assert [len(page[3]) for page in server.pages] == [10, 10]
    frame = kr.fetch_creator_days(USERS[0], start="2026-03-01", end="2026-03-30", client=client)
    assert [page[1:3] for page in server.pages[2:]] == [("2026-03-21", "2026-03-30")]
    assert len(frame) == 30
    assert frame["date"].is_monotonic_increasing


def test_blocks_apart_are_ranges_of_their_own(client: kr.Client, server: Server) -> None:
    server.share = 1.0
    for start, end in (("2026-03-05", "2026-03-24"), ("2026-03-01", "2026-03-30")):
        kr.fetch_creator_days(USERS[0], start=start, end=end, client=client)
    assert {page[1:3] for page in server.pages[2:]} == {("2026-03-01", "2026-03-04"), ("2026-03-25", "2026-03-30")}


def test_a_sparse_series_ends_with_a_short_page(client: kr.Client, server: Server, sandbox: Sandbox) -> None:
    server.share = 0.1
    plan = kr.plan(kr.fetch_creator_days, USERS[0], start="2026-01-01", end="2026-02-19", client=client)
    assert (plan.requests, plan.credits, plan.credits_max, plan.stored) == (5, 5, 5, 0)
    frame = kr.fetch_creator_days(USERS[0], start="2026-01-01", end="2026-02-19", client=client)
    assert 0 < len(frame) < 10
    assert sandbox.charged == client.credits_spent == 1
    again = kr.plan(kr.fetch_creator_days, USERS[0], start="2026-01-01", end="2026-02-19", client=client)
    assert (again.requests, again.stored) == (0, 50)


def test_a_day_that_comes_along_is_one_more_observation(client: kr.Client, server: Server, clock: Clock) -> None:
    server.share = 1.0
    kr.fetch_creator_days(USERS[0], start="2026-03-03", end="2026-03-04", client=client)
    clock.advance(1 * HOUR)
    frame = kr.fetch_creator_days(USERS[0], start="2026-03-01", end="2026-03-05", client=client)
    assert len(set(frame["observed_at"])) == 1
    history = frame.keyapi.history(client=client)
    assert history.groupby("date").size().tolist() == [1, 1, 2, 2, 1]


def test_a_recent_day_that_was_not_told_is_requested_again_after_a_day_and_an_old_one_never(
    client: kr.Client, server: Server, clock: Clock, sandbox: Sandbox
) -> None:
    server.share = 0.0

    def fetch(back: int, **options: Any) -> int:
        before, one = sandbox.charged, clock.today - timedelta(days=back)
        quietly(lambda: kr.fetch_creator_days(USERS[0], start=one, end=one, client=client, **options))
        return sandbox.charged - before

    first = clock.today
    assert [fetch(3), fetch(4), fetch(3), fetch(4)] == [1, 1, 0, 0]
    clock.advance(25 * HOUR)
    assert clock.today == first + timedelta(days=1)
    assert [fetch(5), fetch(4)] == [0, 1]  # the former was requested more than three days after it
    clock.advance(25 * HOUR)
    assert fetch(5) == 0  # and now the latter was
    assert fetch(5, max_age="1h") == 0
    assert fetch(5, max_age=0) == 1


def test_a_day_told_three_days_after_itself_is_final(
    client: kr.Client, server: Server, clock: Clock, sandbox: Sandbox
) -> None:
    server.share, server.tells = 1.0, lambda *_: True  # type: ignore[method-assign]
    start, end = clock.today - timedelta(days=4), clock.today - timedelta(days=1)
    kr.fetch_creator_days(USERS[0], start=start, end=end, client=client)
    clock.advance(26 * HOUR)
    plan = kr.plan(kr.fetch_creator_days, USERS[0], start=start, end=end, max_age="1D", client=client)
    assert (plan.requests, plan.stored) == (1, 2)
    with pytest.warns(kr.StaleDataWarning, match=r"2 of 4 rows of creator_days .* for 1 credits"):
        kr.fetch_creator_days(USERS[0], start=start, end=end, client=client)
    kr.fetch_creator_days(USERS[0], start=start, end=end, max_age="1D", client=client)
    assert server.pages[-1][1:3] == (str(start + timedelta(days=2)), str(end))
    clock.advance(26 * HOUR)
    for _ in range(2):
        kr.fetch_creator_days(USERS[0], start=start, end=end, max_age="1h", client=client)
    assert sandbox.charged == 3  # yesterday's was told two days after itself
    kr.fetch_creator_days(USERS[0], start=start, end=end, max_age=0, client=client)
    assert server.pages[-1][1:3] == (str(start), str(end))


# What is said -----------------------------------------------------------------------------------------------------


def test_a_creator_without_any_day_is_missing_data(client: kr.Client, server: Server) -> None:
    server.tells = lambda user, one: user == USERS[0] and one.day != 5  # type: ignore[method-assign]
    with pytest.warns(kr.MissingDataWarning) as caught:
        frame = kr.fetch_creator_days(USERS[:2], start="2026-03-01", end="2026-03-08", client=client)
    assert set(frame["user_id"]) == {USERS[0]}
    [text] = [str(one.message) for one in caught]
    assert text.startswith(f"KeyAPI has nothing for 1 user_id: {USERS[1]!r} (8 days from 2026-03-01 to 2026-03-08)")
    assert len(kr.fetch_creator_days(USERS[0], start="2026-03-01", end="2026-03-08", client=client)) == 7


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"start": "2026-06-20"}, "start 2026-06-20 is after end 2026-06-14"),
        (
            {"start": "2026-06-01", "end": "2026-06-15"},
            "end 2026-06-15 is not over yet (today is 2026-06-15). Pass 2026-06-14",
        ),
        ({"start": "2026-06-01", "end": "2027-06-15"}, "is not over yet"),
        ({"start": 90}, 'start must be a day such as "2026-01-01", or a length in whole days such as "90D"; got 90'),
        ({"start": "1h"}, "start must be a day"),
        ({"start": "3W"}, 'or a length in whole days such as "90D"; got '),
        ({"start": "0D"}, "start must be a day"),
        ({"start": "-3D"}, "start must be a day"),
        ({"start": "yesterday"}, "start must be a day"),
        ({"start": None}, "start must be a day"),
        ({"start": "2026-02-30"}, "start must be a day"),
        ({"start": datetime(2026, 6, 1, 12)}, "without a time"),  # noqa: DTZ001 - it is refused
        ({"start": "1990-01-01"}, "at most 3,660 are allowed"),
        ({"start": "90D", "end": "soon"}, "end must be a day"),
    ],
)
def test_dates_are_checked_before_anything_is_sent(
    client: kr.Client, server: Server, sandbox: Sandbox, arguments: dict[str, Any], text: str
) -> None:
    with pytest.raises(kr.InvalidArgumentError) as caught:
        kr.fetch_creator_days(USERS[0], client=client, **arguments)
    assert text in str(caught.value)
    assert not sandbox.requests


@pytest.mark.parametrize(
    "start",
    [
        "3D",
        " 3d ",
        timedelta(days=3),
        pd.Timedelta("3D"),
        "2026-06-12",
        "20260612",
        date(2026, 6, 12),
        pd.Timestamp("2026-06-12"),
        pd.Timestamp("2026-06-12").to_datetime64(),
    ],
)
def test_a_start_is_a_day_or_the_length_of_what_ends_yesterday(client: kr.Client, server: Server, start: Any) -> None:
    server.tells = lambda *_: True  # type: ignore[method-assign]
    frame = kr.fetch_creator_days(USERS[0], start=start, client=client)
    assert [str(one.date()) for one in frame["date"]] == ["2026-06-12", "2026-06-13", "2026-06-14"]


def test_no_ids_are_an_empty_table(client: kr.Client, server: Server, sandbox: Sandbox) -> None:
    frame = kr.fetch_creator_days([], start="90D", client=client)
    assert (len(frame), str(frame["date"].dtype)) == (0, "datetime64[us, UTC]")
    assert not sandbox.requests


# What is no answer ------------------------------------------------------------------------------------------------


def a_row(user: str, one: str) -> dict[str, Any]:
    return {"user_id": user, "dt": one, **dict.fromkeys(COUNTS, 1)}


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ([a_row(USERS[0], "2026-03-01"), a_row(USERS[0], "2026-04-01")], "but the answer has 2026-04-01"),
        ([a_row(USERS[0], "2026-02-28")], "2026-03-01 to 2026-03-02 were requested"),
        ([a_row(USERS[1], "2026-03-01")], f"the answer has rows about '{USERS[1]}'"),
        ([a_row(USERS[0], "1 March")], "a row whose day (data[].dt) is '1 March'"),
        ([{**a_row(USERS[0], "x"), "dt": None}], "a row whose day"),
        (["2026-03-01"], "the answer has rows about None"),
        ({"list": []}, "is not a list"),
        ("nothing", "is not a list"),
    ],
)
def test_days_and_creators_nobody_requested_are_no_answer(
    client: kr.Client, earnest: Sandbox, data: Any, text: str
) -> None:
    sandbox = earnest
    sandbox.mutate = lambda _, __, envelope: {**envelope, "data": data}
    with pytest.raises(kr.UnexpectedResponseError) as caught:
        kr.fetch_creator_days(USERS[0], start="2026-03-01", end="2026-03-02", client=client)
    assert text in str(caught.value)
    assert caught.value.answer["data"] == data
    assert len(caught.value.frame) == 0
    assert caught.value.failures["id"].tolist() == [USERS[0]]
    assert client.status().answers == 0
    sandbox.mutate = lambda _, __, envelope: {**envelope, "data": [a_row(USERS[0], f"2026-03-0{n}") for n in (1, 2)]}
    assert len(kr.fetch_creator_days(USERS[0], start="2026-03-01", end="2026-03-02", client=client)) == 2


@pytest.mark.parametrize("data", [None, [], {}, ""])
def test_no_data_is_days_not_told(client: kr.Client, earnest: Sandbox, data: Any) -> None:
    earnest.mutate = lambda _, __, envelope: {**envelope, "data": data}
    frame = quietly(lambda: kr.fetch_creator_days(USERS[0], start="2026-03-01", end="2026-03-02", client=client))
    assert len(frame) == 0
    assert client.status().absences == 2


def test_a_server_that_repeats_its_first_page_is_not_paid_for_ever(client: kr.Client, earnest: Sandbox) -> None:
    sandbox = earnest
    rows = [a_row(USERS[0], str(one)) for one in days_of(day("2026-03-01"), day("2026-03-10"))]
    sandbox.mutate = lambda _, __, envelope: {**envelope, "data": rows}
    with pytest.raises(kr.UnexpectedResponseError, match="3 pages were requested"):
        kr.fetch_creator_days(USERS[0], start="2026-03-01", end="2026-03-30", client=client)
    assert sandbox.charged == 3
    assert len(kr.fetch_creator_days(USERS[0], start="2026-03-01", end="2026-03-10", client=client)) == 10
    assert kr.plan(kr.fetch_creator_days, USERS[0], start="2026-03-11", end="2026-03-20", client=client).requests == 1


def test_a_day_that_comes_twice_counts_once(client: kr.Client, earnest: Sandbox) -> None:
    sandbox = earnest
    rows = [a_row(USERS[0], "2026-03-01"), {**a_row(USERS[0], "2026-03-01"), "total_views_cnt": 9}]
    sandbox.mutate = lambda _, __, envelope: {**envelope, "data": rows}
    frame = kr.fetch_creator_days(USERS[0], start="2026-03-01", end="2026-03-01", client=client)
    assert frame["views"].tolist() == [1]
    assert client.status().duplicates == 1


# What breaks ------------------------------------------------------------------------------------------------------


def test_a_range_that_breaks_off_keeps_its_pages_and_goes_on(
    make_client: Make, sandbox: Sandbox, server: Server
) -> None:
    client = make_client(retries=0)
    server.tells = lambda *_: True  # type: ignore[method-assign]
    sandbox.on_request = lambda _, params: Fault(status=400) if params["page_num"] == "2" else None
    with pytest.raises(kr.InvalidRequestError) as caught:
        kr.fetch_creator_days(USERS[0], start="2026-03-01", end="2026-03-30", client=client)
    assert len(caught.value.frame) == 10
    assert "10 rows came. A rerun pays only for what is missing: 2 requests = 2 credits" in str(caught.value)
    sandbox.on_request = None
    assert len(kr.fetch_creator_days(USERS[0], start="2026-03-01", end="2026-03-30", client=client)) == 30
    assert sandbox.charged == 3


def test_one_creator_that_fails_leaves_the_others(make_client: Make, sandbox: Sandbox, server: Server) -> None:
    client = make_client(retries=0)
    server.tells = lambda *_: True  # type: ignore[method-assign]
    sandbox.on_request = lambda _, params: Fault(status=400) if params["user_id"] == USERS[1] else None
    with pytest.raises(kr.FetchIncompleteError, match="1 of 3 ids of fetch_creator_days failed") as caught:
        kr.fetch_creator_days(USERS[:3], start="2026-03-01", end="2026-03-20", client=client)
    assert (len(caught.value.frame), caught.value.failures["id"].tolist()) == (40, [USERS[1]])
    with pytest.warns(kr.IncompleteDataWarning, match="1 of 3 ids"):
        frame = kr.fetch_creator_days(USERS[:3], start="2026-03-01", end="2026-03-20", errors="warn", client=client)
    assert list(dict.fromkeys(frame["user_id"])) == [USERS[0], USERS[2]]


def test_a_budget_is_held_for_all_blocks(client: kr.Client, server: Server, sandbox: Sandbox) -> None:
    with (
        kr.budget(2),
        pytest.raises(kr.BudgetExceededError, match=r"fetch_creator_days \(3 requests\) costs 3 credits"),
    ):
        kr.fetch_creator_days(USERS[0], start="2026-03-01", end="2026-03-30", client=client)
    assert not sandbox.requests
    server.share = 0.1
    with kr.budget(3) as budget:
        kr.fetch_creator_days(USERS[0], start="2026-03-01", end="2026-03-30", client=client)
    assert (budget.spent, budget.remaining) == (1, 2)


def test_offline_names_the_days_that_are_not_stored(make_client: Make, server: Server) -> None:
    server.tells = lambda *_: True  # type: ignore[method-assign]
    kr.fetch_creator_days(USERS[0], start="2026-03-01", end="2026-03-10", client=make_client())
    offline = make_client(offline=True)
    with pytest.raises(kr.NotStoredError) as caught:
        kr.fetch_creator_days(USERS[:2], start="2026-03-01", end="2026-03-12", client=offline)
    text = str(caught.value)
    assert f"'{USERS[0]}' (2 days from 2026-03-11 to 2026-03-12)" in text
    assert f"'{USERS[1]}' (12 days from 2026-03-01 to 2026-03-12)" in text
    assert "3 requests = 3 credits" in text
    assert caught.value.failures["id"].tolist() == USERS[:2]


def test_a_request_without_an_answer_is_named_in_the_next_plan(
    make_client: Make, server: Server, sandbox: Sandbox
) -> None:
    client = make_client(retries=0)
    sandbox.faults.put(Fault(close="before"))
    with pytest.raises(kr.NetworkError):
        kr.fetch_creator_days(USERS[0], start="2026-03-01", end="2026-03-10", client=client)
    plan = kr.plan(kr.fetch_creator_days, USERS[0], start="2026-03-04", end="2026-03-05", client=client)
    assert "1 request = 1 credit for some of these had no usable answer before" in plan.note


# Today ------------------------------------------------------------------------------------------------------------


def a_study(client: kr.Client | None) -> list[pd.DataFrame]:
    return [
        kr.fetch_creator_days(USERS[:2], start="20D", client=client),
        kr.fetch_creator_days(USERS[2], start="2026-06-01", client=client),
    ]


def test_relative_dates_replay_unchanged_a_year_later(
    client: kr.Client, server: Server, clock: Clock, tmp_path: Path
) -> None:
    before = a_study(client)
    kr.freeze(tmp_path / "study.zip", client=client)
    clock.advance(365 * 24 * HOUR)
    with kr.Client(replay=tmp_path / "study.zip") as replayed:
        after = a_study(replayed)
        assert "2026-06-15" in str(replayed.policy.today)
    for one, other in zip(before, after, strict=True):
        pd.testing.assert_frame_equal(one, other)
    assert quietly(lambda: a_study(client))[0]["date"].min() > before[0]["date"].max()


def test_relative_dates_read_as_of_a_day_what_was_read_on_it(make_client: Make, server: Server, clock: Clock) -> None:
    before = a_study(make_client())
    clock.advance(30 * 24 * HOUR)
    quietly(lambda: a_study(make_client()))
    as_of = make_client(as_of="2026-06-15")
    assert as_of.policy.today == date(2026, 6, 15)
    for one, other in zip(before, a_study(as_of), strict=True):
        pd.testing.assert_frame_equal(one, other)


def test_calls_of_two_days_are_named_by_freeze(client: kr.Client, server: Server, clock: Clock, tmp_path: Path) -> None:
    for _ in range(2):
        quietly(lambda: kr.fetch_creator_days(USERS[0], start="3D", client=client))
        clock.advance(24 * HOUR)
    frozen = kr.freeze(tmp_path / "study.zip", client=client)
    assert frozen.differing == (f"fetch_creator_days(['{USERS[0]}'], start='2026-06-12', end='2026-06-14')",)


def test_the_sandbox_has_its_own_today(sandbox: Sandbox, make_client: Make) -> None:
    for client in (make_client(), make_client(sandbox=True, base_url=None, token=None, store=":memory:")):
        assert client.policy.today == date(2026, 2, 3)
        with pytest.raises(kr.InvalidArgumentError, match="today is 2026-02-03"):
            kr.fetch_creator_days(USERS[0], start="2026-02-01", end="2026-02-03", client=client)
    assert not sandbox.requests


# Elsewhere --------------------------------------------------------------------------------------------------------


def test_days_are_other_answers_than_pages_of_the_same_endpoint(
    client: kr.Client, server: Server, sandbox: Sandbox
) -> None:
    params = {"user_id": USERS[0], "start_date": "2026-03-01", "end_date": "2026-03-15"}
    server.tells = lambda *_: True  # type: ignore[method-assign]
    plain = kr.fetch_endpoint(PATH, params, client=client)
    days = kr.fetch_creator_days(USERS[0], start="2026-03-01", end="2026-03-15", client=client)
    assert plain["dt"].tolist() == [str(one.date()) for one in days["date"]]
    assert sandbox.charged == 4


def test_provenance_has_the_request_and_how_many_days_it_was_for(client: kr.Client, server: Server) -> None:
    server.tells = lambda *_: True  # type: ignore[method-assign]
    frame = kr.fetch_creator_days(USERS[0], start="2026-03-01", end="2026-03-12", client=client)
    found = frame.keyapi.provenance(client=client)
    assert found["n_entities"].tolist() == [12] * 10 + [2] * 2
    assert found["credits"].tolist() == [1] * 12
    assert found["request_id"].nunique() == 2


def test_parameters_as_sent(client: kr.Client, server: Server, sandbox: Sandbox) -> None:
    kr.fetch_creator_days(int(USERS[0]), start="2026-03-01", end="2026-03-02", client=client)
    [request] = sandbox.requests
    assert (request.path, list(request.params.items())) == (
        PATH,
        [
            ("user_id", USERS[0]),
            ("start_date", "2026-03-01"),
            ("end_date", "2026-03-02"),
            ("page_num", "1"),
            ("page_size", "10"),
        ],
    )
    assert json.loads(client.ledger()["params"][0]) == request.params


def test_threads_share_days(make_client: Make, server: Server, sandbox: Sandbox) -> None:
    import threading

    sandbox.latency = 0.05
    server.tells = lambda *_: True  # type: ignore[method-assign]
    client = make_client()
    frames: list[pd.DataFrame] = []
    ranges = [("2026-03-01", "2026-03-20"), ("2026-03-11", "2026-03-30"), ("2026-03-01", "2026-03-30")]

    def work(start: str, end: str) -> None:
        frames.append(kr.fetch_creator_days(USERS[0], start=start, end=end, client=client))

    threads = [threading.Thread(target=work, args=each) for each in ranges * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(map(len, frames)) == [20, 20, 20, 20, 30, 30]
    assert sandbox.charged == 3


def _signature() -> Iterator[str]:
    yield from inspect.signature(kr.fetch_creator_days).parameters


def test_its_signature() -> None:
    assert list(_signature()) == ["user_ids", "start", "end", "max_age", "errors", "client"]
