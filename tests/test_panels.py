"""`kr.panel`: rounds are paid once, missed ones stay missed, and whatever breaks off goes on."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import re
import signal
import subprocess
import sys
import textwrap
import threading
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from clocks import Clock
from stores import Place

import keyapi_research as kr
from keyapi_research.panels import panel
from keyapi_research.panels.file import read_panel
from keyapi_research.sandbox import Fault, Sandbox
from keyapi_research.store import Store

pytestmark = pytest.mark.both_stores

TOKEN = "a-token-of-the-tests"
HEAD = """\
name = "perfume"
every = "7D"
starts = 2026-12-01
credits_per_round = 100
store = "perfume.sqlite"
"""
LISTED = """
[[fetch]]
function = "fetch_hashtags"
ids = ["perfume", "scentoftheday", "vanillaperfume"]
region = "US"
period = 30
"""
RANKED = """
[[fetch]]
function = "fetch_trending_hashtags"
region = "US"
period = 30
limit = 20

[[fetch]]
function = "fetch_hashtags"
from = "trending_hashtags.hashtag_name"
region = "US"
period = 30
"""
PRICED = """
[[fetch]]
function = "fetch_endpoint"
path = "/v1/tiktok/influencer/livestreams/analytics"
params = {user_id = "7288986759428588590"}
credits = 50
limit = 10
"""
Write = Callable[..., Path]


def quoted(store: object) -> str:
    """Write a store in TOML."""
    return json.dumps(str(store))


def state_of(place: Place, name: str = "perfume") -> Any:
    """Return what a store is, to the byte."""
    if place.on_server:
        return [*place.content(name), place.rows("SELECT * FROM keyapi_claims ORDER BY 1", name=name)]
    return place(name).read_bytes()


class World:
    """What the sandbox says of one thing on one day is the same, however often and in whatever order it is requested.

    Its days are those of the clock.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.said: dict[tuple[str, ...], str] = {}

    def __call__(self, path: str, params: Mapping[str, str], envelope: dict[str, Any]) -> dict[str, Any]:
        thing = (str(self._clock.today), path, *(f"{key}={value}" for key, value in sorted(params.items())))
        data = json.loads(json.dumps(envelope["data"]))
        if isinstance(data, dict) and data.get("info"):
            data["info"]["publish_cnt"] = int(hashlib.sha256("".join(thing).encode()).hexdigest()[:6], 16)
        return {**envelope, "data": json.loads(self.said.setdefault(thing, json.dumps(data)))}


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """A clock that is set, in the first round."""
    one = Clock("2026-12-01 08:00")
    monkeypatch.setattr(time, "time_ns", one)
    return one


@pytest.fixture
def write(sandbox: Sandbox, tmp_path: Path, place: Place, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Write the file of a panel, whose requests go to the sandbox; a store in a file is named relative to it."""
    monkeypatch.setenv("KEYAPI_BASE_URL", sandbox.url)
    monkeypatch.setenv("KEYAPI_TOKEN", TOKEN)
    first = kr.connect(store=":memory:", requests_per_second=None, progress=False)  # a panel has its key and pace
    on_server = {"store": quoted(place("perfume"))} if place.on_server else {}

    def made(fetches: str = LISTED, file: str = "perfume.toml", **changes: str) -> Path:
        head = HEAD
        for key, value in (on_server | changes).items():
            head = re.sub(rf"^{key} = .*$", f"{key} = {value}", head, flags=re.MULTILINE)
        path = tmp_path / file
        path.write_text(head + fetches, "utf-8")
        return path

    yield made
    first.close()
    if kr.client.connection.IN_USE.client is not None:
        kr.client.connection.IN_USE.client.close()


# Rounds ---------------------------------------------------------------------------------------------------------


def test_a_round_is_paid_once_however_often_it_is_run(write: Write, sandbox: Sandbox, clock: Clock) -> None:
    path = write()
    plan = panel(path).plan()
    assert (plan.round, plan.credits, plan.credits_per_round, plan.rounds) == (1, 6, 6, 53)
    assert plan.credits_per_year == 53 * 6
    assert sandbox.requests == []
    for _ in range(3):
        status = panel(path).run()
        assert (status.round, status.state, status.done, status.missed) == (1, "done", (1,), ())
        assert (status.credits_spent, sandbox.charged) == (6, 6)
    clock.set("2026-12-07 23:59")
    assert panel(path).run().credits_spent == 6
    clock.set("2026-12-08 00:00")
    assert panel(path).status().state == "due"
    assert panel(path).run().done == (1, 2)
    assert sandbox.charged == 12


def test_a_missed_round_stays_missed(write: Write, sandbox: Sandbox, clock: Clock) -> None:
    path = write()
    panel(path).run()
    clock.set("2026-12-24 12:00")
    status = panel(path).run()
    assert (status.done, status.missed) == ((1, 4), (2, 3))
    table = panel(path).table("hashtags")
    assert table["round"].tolist() == [1, 1, 1, 4, 4, 4]
    assert table.columns.tolist() == ["round", *kr.fetch_hashtags([]).columns]
    assert table.loc[3:, "observed_at"].min() >= pd.Timestamp("2026-12-24 12:00", tz="UTC")
    assert status.rounds["state"].tolist() == ["done", "missed", "missed", "done"]
    assert sandbox.charged == 12


def test_before_the_first_round_nothing_is_due(write: Write, sandbox: Sandbox, clock: Clock) -> None:
    clock.set("2026-11-30 23:00")
    status = panel(write()).run()
    assert (status.round, status.state, status.next) == (0, "not begun", datetime(2026, 12, 1, tzinfo=UTC))
    assert sandbox.requests == []


def test_ids_come_from_an_earlier_fetch_of_the_same_round(write: Write, sandbox: Sandbox, clock: Clock) -> None:
    path = write(RANKED)
    assert panel(path).plan().credits == 4 + 40  # pages of ten rows, at most
    panel(path).run()
    lists, tags = (panel(path).table(name) for name in ("trending_hashtags", "hashtags"))
    assert tags["hashtag_name"].tolist() == lists["hashtag_name"].tolist()
    assert sandbox.charged == 42
    assert set(panel(path).table("hashtag_trends")["hashtag_name"]) <= set(tags["hashtag_name"])
    assert sandbox.charged == 42


def test_a_budget_that_is_met_is_said_and_the_round_goes_on(write: Write, sandbox: Sandbox, clock: Clock) -> None:
    path = write(credits_per_round="5")
    with pytest.raises(kr.BudgetExceededError, match=r"round 1 of perfume.*at least 6 in"):
        panel(path).run()
    assert sandbox.charged == 4  # two of three
    assert panel(path).status().state == "incomplete"
    with pytest.raises(kr.BudgetExceededError):
        panel(path).run()
    assert sandbox.charged == 4
    assert panel(write(credits_per_round="6")).run().state == "done"
    assert sandbox.charged == 6


def test_what_was_not_answered_counts_what_the_file_says_it_costs(
    write: Write, sandbox: Sandbox, clock: Clock
) -> None:
    path = write(PRICED, credits_per_round="60")
    for refused in (kr.NetworkError, kr.BudgetExceededError):
        sandbox.faults.put(Fault(close="before"))
        with pytest.raises(refused):
            panel(path).run()
        assert panel(path).status().credits_spent == 50
    assert len(sandbox.requests) == 1


def test_a_round_whose_source_is_down_goes_on_later(write: Write, sandbox: Sandbox, clock: Clock) -> None:
    path = write()
    sandbox.on_request = lambda path, params: Fault(status=503) if params["hashtag_name"] == "vanillaperfume" else None
    with pytest.raises(kr.FetchIncompleteError):
        panel(path).run()
    before = sandbox.charged
    assert panel(path).status().state == "incomplete"
    sandbox.on_request = None
    assert panel(path).run().state == "done"
    assert sandbox.charged == before + 2


def test_a_changed_file_goes_on_under_its_name(write: Write, sandbox: Sandbox, clock: Clock) -> None:
    path = write()
    panel(path).run()
    write(LISTED.replace('"perfume", ', ""))
    assert panel(path).status().file_since == 0
    assert panel(path).run().done == (1,)
    assert sandbox.charged == 6  # the round is done
    clock.set("2026-12-08 01:00")
    status = panel(path).run()
    assert (status.done, status.file_since) == ((1, 2), 2)
    assert panel(path).table("hashtags")["round"].tolist() == [1, 1, 1, 2, 2]


def test_months_from_the_31st_end_with_the_month(write: Write) -> None:
    file = read_panel(write(every='"1M"', starts="2027-01-31"))
    there = read_panel(write(every='"1M"', starts="2027-01-31T00:00:00+08:00"))
    assert [f"{there.begins(one):%m-%d %H}" for one in (1, 2, 3)] == ["01-30 16", "02-27 16", "03-30 16"]
    assert [file.begins(one).date().isoformat() for one in range(1, 6)] == [
        "2027-01-31", "2027-02-28", "2027-03-31", "2027-04-30", "2027-05-31",
    ]  # fmt: skip
    moments = ["2027-01-30", "2027-01-31", "2027-02-27", "2027-02-28", "2027-03-30", "2027-03-31", "2031-03-31"]
    numbers = [file.number_at(datetime.fromisoformat(one).replace(tzinfo=UTC)) for one in moments]
    assert numbers == [0, 1, 1, 2, 2, 3, 51]


# Cut off, again and again ---------------------------------------------------------------------------------------

RUN_WHEN_TOLD = """
    import os, sys, time
    import keyapi_research as kr
    import keyapi_research.panels, keyapi_research.sandbox, tqdm
    import keyapi_research.store.postgres
    from clocks import Clock
    from stores import THIS_CLOCK
    keyapi_research.store.postgres.Postgres.clock = THIS_CLOCK
    for moment in sys.stdin:  # a fork for each line: importing pandas each time would take a minute
        child = os.fork()
        if not child:
            time.time_ns = Clock(moment.strip())
            kr.connect(store=":memory:", requests_per_second=None, progress=False)
            kr.panel(sys.argv[1]).run()
            os._exit(0)
        print(child, flush=True)
        os.waitpid(child, 0)
        print("ended", flush=True)
"""


def answered(store: Path | str) -> list[tuple[int, str, str]]:
    """Round, endpoint and parameters of each request that was answered and paid, by the ledger."""
    with kr.Client(store=store, offline=True) as client:
        ledger = client.ledger()
    paid = ledger[ledger["credits"] > 0]
    days = (paid["sent_at"] - pd.Timestamp("2026-12-01", tz="UTC")).dt.days
    return list(zip(days // 6 + 1, paid["endpoint"], paid["params"], strict=True))


@pytest.mark.skipif(os.name != "posix", reason="needs signals of POSIX")
@pytest.mark.parametrize(
    ("rounds", "kills", "missed", "budgets"),
    [
        (5, {2: 9}, {4}, {3: 21}),
        pytest.param(
            15, {2: 1, 3: 2, 4: 3, 9: 10, 13: 17}, {6, 7}, {11: 21}, marks=pytest.mark.slow,
        ),
        pytest.param(
            60,
            {2: 1, 3: 2, 4: 3, 9: 10, 13: 17, 20: 20, 21: 21, 33: 5, 48: 12, 60: 21},
            {6, 7, 40}, {11: 21, 50: 1},
            marks=pytest.mark.long,
        ),
    ],
)  # fmt: skip
def test_a_panel_that_is_cut_off_ends_with_the_same_tables(
    rounds: int, kills: dict[int, int], missed: set[int], budgets: dict[int, int],
    write: Write, sandbox: Sandbox, clock: Clock, place: Place,
) -> None:  # fmt: skip
    sandbox.mutate = World(clock)
    every = {"every": '"6D"', "credits_per_round": "60"}
    calm = write(RANKED, "calm.toml", store=quoted(place("calm")), **every)
    path = write(RANKED, **every)
    year = panel(path).plan()
    assert (year.credits_per_round, year.rounds, year.credits_per_year) == (44, 61, 61 * 44)  # pages of ten rows: 44
    killed: list[int] = []
    with subprocess.Popen(
        [sys.executable, "-W", "ignore:This process:DeprecationWarning", "-c", textwrap.dedent(RUN_WHEN_TOLD), path],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])},
    ) as going:  # fmt: skip
        for number in range(1, rounds + 1):
            if number in missed:
                continue
            moment = pd.Timestamp("2026-12-01 08:00") + pd.Timedelta(days=6 * (number - 1) + number % 6)
            clock.set(str(moment))
            panel(calm).run()
            if number in budgets:
                write(RANKED, **{**every, "credits_per_round": str(budgets[number])})
                with pytest.raises(kr.BudgetExceededError):
                    panel(path).run()
                assert panel(path).status().rounds["credits"].iloc[-1] <= budgets[number]
                write(RANKED, **every)
            if number in kills:
                left = itertools.count(kills[number], -1)
                going.stdin.write(f"{moment}\n")
                going.stdin.flush()
                child = int(going.stdout.readline())

                def kill(path: str, params: dict[str, str], left: Iterator[int] = left, child: int = child) -> None:
                    if next(left) == 1:
                        os.kill(child, signal.SIGKILL)
                        killed.append(child)

                sandbox.on_request = kill
                assert going.stdout.readline() == "ended\n"
                sandbox.on_request = None
                assert panel(path).status().state == "incomplete"
                clock.advance(60)  # what a killed program requested is not waited for any more
            before = sandbox.charged
            assert panel(path).run().state == "done"
            if number not in kills and number not in budgets:
                assert sandbox.charged - before == 42
            assert panel(path).run().state == "done"
    assert len(killed) == len(kills)

    status, undisturbed = panel(path).status(), panel(calm).status()
    assert status.done == undisturbed.done == tuple(one for one in range(1, rounds + 1) if one not in missed)
    assert status.missed == undisturbed.missed == tuple(sorted(missed))
    assert status.incomplete == ()
    for name in ("trending_hashtags", "hashtags", "hashtag_trends"):
        table, wanted = panel(path).table(name), panel(calm).table(name)
        pd.testing.assert_frame_equal(table.drop(columns="observed_at"), wanted.drop(columns="observed_at"))
        number = (table["observed_at"] - pd.Timestamp("2026-12-01", tz="UTC")).dt.days // 6 + 1
        assert (number == table["round"]).all()  # nothing is dated back
        assert len(table) > 10 * len(status.done)

    each = Counter(answered(place("perfume")))
    assert set(each.values()) == {1}  # what was answered was paid once
    assert set(each) == set(answered(place("calm")))
    in_flight = sandbox.charged - undisturbed.credits_spent - 42 * len(status.done)
    assert 0 <= in_flight <= 2 * 4 * len(kills)  # up to four requests of two credits, each time
    assert 42 * len(status.done) <= status.credits_spent <= 42 * len(status.done) + 2 * 4 * len(kills)
    assert undisturbed.credits_spent == 42 * len(status.done) <= year.credits_per_year


def test_a_year_of_listed_ids_costs_what_its_plan_says(write: Write, sandbox: Sandbox, clock: Clock) -> None:
    path = write(every='"1M"', starts="2026-12-31")
    clock.set("2026-12-31 01:00")
    plan = panel(path).plan()
    assert (plan.rounds, plan.credits_per_year) == (12, 72)
    for month in pd.date_range("2026-12-31", periods=12, freq="ME"):
        clock.set(f"{month.date()} 23:00")
        status = panel(path).run()
    assert status.done == tuple(range(1, 13))
    assert sandbox.charged == status.credits_spent == plan.credits_per_year
    assert panel(path).table("hashtags").groupby("round").size().tolist() == [3] * 12


# Two at once ----------------------------------------------------------------------------------------------------

RUN = "import sys, keyapi_research as kr; print(kr.panel(sys.argv[1]).run().state)"


def test_two_runs_at_once_pay_once(write: Write, sandbox: Sandbox) -> None:
    """Each is a program of its own; the first gets no answer until the second waits for it.

    The second has started before, so that the first does not wait in vain where programs start slowly.
    """
    ids = ", ".join(f'"tag{number}"' for number in range(8))
    path = write(LISTED.replace('"perfume"', ids), starts=pd.Timestamp.now("UTC").date().isoformat())
    begun, go_on = threading.Event(), threading.Event()

    def hold(path: str, params: Mapping[str, str]) -> None:
        begun.set()
        assert go_on.wait(120)

    sandbox.on_request = hold
    ready = f"import sys, keyapi_research.panels; print('ready', flush=True); sys.stdin.readline(); {RUN}"
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    with subprocess.Popen([sys.executable, "-c", ready, path], **pipes, text=True) as second:
        assert second.stdout.readline() == "ready\n"
        with subprocess.Popen([sys.executable, "-c", RUN, path], stdout=subprocess.PIPE, text=True) as first:
            assert begun.wait(120)
            second.stdin.write("\n")
            second.stdin.flush()
            assert "waiting for another program" in second.stderr.readline()
            go_on.set()
            assert [one.communicate()[0] for one in (first, second)] == ["done\n"] * 2
    assert Counter(one.params["hashtag_name"] for one in sandbox.requests).most_common(1)[0][1] == 1
    assert sandbox.charged == 20
    status = panel(path).status()
    assert (status.done, status.credits_spent) == ((1,), 20)


# What a round has -----------------------------------------------------------------------------------------------


def test_what_was_fetched_in_the_interval_is_not_paid_again(
    write: Write, sandbox: Sandbox, clock: Clock, place: Place
) -> None:
    path = write()
    with kr.Client(store=place("perfume")) as client:
        clock.set("2026-11-30 23:59")
        kr.fetch_hashtags("perfume", region="US", period=30, client=client)  # before
        clock.set("2026-12-01 00:01")
        kr.fetch_hashtags("scentoftheday", region="US", period=30, client=client)
    assert panel(path).plan().credits == 4
    clock.set("2026-12-05 12:00")
    assert panel(path).run().credits_spent == 4
    assert sandbox.charged == 8
    table = panel(path).table("hashtags")
    assert table["observed_at"].dt.day.tolist() == [5, 1, 5]
    assert panel(path).plan().credits == 0


def test_a_round_keeps_what_it_had_whatever_is_stored_later(
    write: Write, sandbox: Sandbox, clock: Clock, place: Place
) -> None:
    path = write(RANKED)
    panel(path).run()
    before = {name: panel(path).table(name) for name in ("trending_hashtags", "hashtags", "hashtag_trends")}
    clock.set("2026-12-01 08:30")
    with kr.Client(store=place("colleague"), requests_per_second=None) as client:
        kr.fetch_trending_hashtags(region="US", period=30, limit=20, client=client)
        kr.fetch_hashtags(before["hashtags"]["hashtag_name"][:3], region="US", period=30, client=client)
    clock.set("2026-12-03 08:00")
    with kr.Client(store=place("perfume"), requests_per_second=None) as client:
        kr.import_store(place("colleague"), client=client)
        kr.fetch_trending_hashtags(region="US", period=30, limit=20, max_age=0, client=client)
        kr.fetch_hashtags(before["hashtags"]["hashtag_name"][:3], region="US", period=30, max_age=0, client=client)
    for name, table in before.items():
        pd.testing.assert_frame_equal(panel(path).table(name), table)
    spent = sandbox.charged
    assert panel(path).run().credits_spent == 42
    assert sandbox.charged == spent


def test_a_round_without_a_row_is_empty_not_missed(write: Write, sandbox: Sandbox, clock: Clock) -> None:
    path = write(RANKED)
    panel(path).run()
    clock.set("2026-12-08 09:00")
    sandbox.mutate = lambda path, params, envelope: {**envelope, "data": None}
    status = panel(path).run()
    assert (status.done, status.credits_spent) == ((1, 2), 44)
    for name in ("trending_hashtags", "hashtags", "hashtag_trends"):
        table = panel(path).table(name)
        assert set(table["round"]) == {1}
        assert dict(table.dtypes) == {"round": pd.Int64Dtype(), **dict(kr.stored(name).head(0).dtypes)}


@pytest.mark.parametrize("limits", [(5, 10), (10, 5), (20, 50), (50, 20)])
def test_a_list_that_two_fetches_share_counts_once(
    limits: tuple[int, int], write: Write, clock: Clock, place: Place
) -> None:
    one = RANKED.split("\n\n", maxsplit=1)[0]
    path = write("\n".join(one.replace("20", str(limit)) for limit in limits))
    panel(path).run()
    table = panel(path).table("trending_hashtags")
    with kr.Client(store=place("perfume"), offline=True) as client:
        longer = kr.fetch_trending_hashtags(region="US", period=30, limit=max(limits), client=client)
    assert table["hashtag_name"].tolist() == longer["hashtag_name"].tolist()
    assert len(table) >= max(limits) * 0.9


def test_a_list_across_the_beginning_of_a_round_is_of_neither(write: Write, sandbox: Sandbox, clock: Clock) -> None:
    path = write(RANKED.split("\n\n", maxsplit=1)[0].replace("20", "60"), every='"1D"')
    clock.set("2026-12-01 23:59:50")
    sandbox.on_request = lambda path, params: (
        clock.set("2026-12-02 00:00:10") if params.get("page") == "2" else None
    )
    with pytest.raises(kr.FetchIncompleteError, match="ended at 2026-12-02 00:00"):
        panel(path).run()
    sandbox.on_request = None
    clock.set("2026-12-02 06:15")
    before, plan = sandbox.charged, panel(path).plan().credits
    with pytest.warns(kr.IncompleteDataWarning):
        assert panel(path).table("trending_hashtags").empty
    assert panel(path).run().done == (2,)
    assert sandbox.charged - before == 6 <= plan


def test_ids_come_from_whole_lists_only(write: Write, sandbox: Sandbox, clock: Clock) -> None:
    path = write(RANKED.replace("20", "60"), credits_per_round="200")
    sandbox.on_request = lambda path, params: Fault(status=400) if params.get("page") == "3" else None
    for _ in range(2):
        with pytest.raises(kr.KeyAPIError, match="round 1 of perfume is incomplete"):
            panel(path).run()
    assert sandbox.charged == 4
    sandbox.on_request = None
    assert panel(path).run().state == "done"


def test_a_waiting_run_does_the_round_that_is_due_then(
    write: Write, sandbox: Sandbox, clock: Clock, place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    path = write()
    panel(path).run()
    clock.set("2026-12-08 08:00")
    waiting = threading.Thread(target=panel(path).run)
    other = Store(str(place("perfume")), source=None, read_only=False)
    with closing(other), other.alone("perfume"):
        waiting.start()
        while "waiting for another program" not in caplog.text:
            assert waiting.is_alive()
            time.sleep(0.01)
        assert sandbox.charged == 6
        clock.set("2026-12-15 08:00")
    waiting.join()
    assert panel(path).status().done == (1, 3)
    assert sandbox.charged == 12


def test_a_round_that_ends_while_it_is_run_is_incomplete_and_said(
    write: Write, sandbox: Sandbox, clock: Clock
) -> None:
    path = write(LISTED + RANKED)
    clock.set("2026-12-07 23:50")
    number = itertools.count(1)

    def tick(path: str, params: Mapping[str, str]) -> None:
        if next(number) == 3:
            clock.set("2026-12-08 00:10")

    sandbox.on_request = tick
    with pytest.raises(kr.FetchIncompleteError, match="round 1 of perfume ended at 2026-12-08 00:00 UTC while it was"):
        panel(path).run()
    status = panel(path).status()
    assert (status.round, status.state, status.done, status.incomplete) == (2, "due", (), (1,))
    with pytest.warns(kr.IncompleteDataWarning, match="round 1 is incomplete"):
        table = panel(path).table("hashtags")
    assert set(table["round"]) == {1}
    assert 0 < len(table) < 3
    assert (table["observed_at"] < pd.Timestamp("2026-12-08", tz="UTC")).all()
    assert panel(path).run().done == (2,)
    with pytest.warns(kr.IncompleteDataWarning):
        assert len(panel(path).table("trending_hashtags")) == 20


def test_old_answers_do_not_fill_a_round_that_was_cut_off(write: Write, sandbox: Sandbox, clock: Clock) -> None:
    path = write()
    panel(path).run()
    clock.set("2026-12-08 10:00")
    sandbox.on_request = lambda path, params: None if params["hashtag_name"] == "perfume" else Fault(status=400)
    with pytest.raises(kr.FetchIncompleteError):
        panel(path).run()
    clock.set("2027-01-08 10:00")
    status = panel(path).status()
    assert (status.done, status.incomplete, status.missed) == ((1,), (2,), (3, 4, 5))
    assert status.rounds["state"].tolist() == ["done", "incomplete", "missed", "missed", "missed", "due"]
    with pytest.warns(kr.IncompleteDataWarning, match="round 2 is incomplete"):
        table = panel(path).table("hashtags")
    assert table[["round", "hashtag_name"]].to_numpy().tolist() == [
        [1, "perfume"], [1, "scentoftheday"], [1, "vanillaperfume"], [2, "perfume"],
    ]  # fmt: skip


def test_the_age_that_a_connection_allows_makes_no_round_of_old_answers(
    write: Write, sandbox: Sandbox, clock: Clock
) -> None:
    path = write()
    panel(path).run()
    kr.connect(store=":memory:", max_age="any")
    clock.set("2026-12-08 10:00")
    assert panel(path).run().credits_spent == 12
    kr.connect(store=":memory:", max_age=0)
    clock.set("2026-12-15 10:00")
    assert panel(path).run().credits_spent == 18
    assert panel(path).run().credits_spent == 18


def test_answers_of_the_round_are_not_stale(write: Write, sandbox: Sandbox, clock: Clock, tmp_path: Path) -> None:
    sandbox.extra_headers = {"X-KeyAPI-Source": "127.0.0.1"}  # of synthetic data nothing is said
    path = write()
    sandbox.on_request = lambda path, params: Fault(status=400) if params["hashtag_name"] == "perfume" else None
    with pytest.raises(kr.FetchIncompleteError):
        panel(path).run()
    sandbox.on_request = None
    clock.set("2026-12-06 10:00")
    assert panel(path).run().credits_spent == 6
    assert set(panel(path).table("hashtags")["source"]) == {"127.0.0.1"}


def test_pages_smaller_than_any_that_was_seen_do_not_pass_the_budget(
    write: Write, sandbox: Sandbox, clock: Clock
) -> None:
    sandbox.page_cap = 4
    path = write(RANKED, credits_per_round="5")
    assert panel(path).plan().fetches[0] == ("fetch_trending_hashtags", 4)
    with pytest.raises(kr.BudgetExceededError, match=r"round 1 of perfume is incomplete.*Set credits_per_round to at"):
        panel(path).run()
    assert sandbox.charged == 4 == panel(path).status().credits_spent


def test_ids_from_a_table_of_many_rows_an_answer_are_limited_by_the_budget_alone(
    write: Write, sandbox: Sandbox, clock: Clock
) -> None:
    path = write("""
[[fetch]]
function = "fetch_product_posts"
ids = ["601583"]

[[fetch]]
function = "fetch_videos"
from = "product_posts.video_id"
""", credits_per_round="20")
    plan = panel(path).plan()
    assert plan.fetches == (("fetch_product_posts", 2), ("fetch_videos", None))
    assert (plan.credits_per_round, plan.credits_per_year) == (20, 53 * 20)
    assert "how many ids come from another table is not known in advance" in plan.note
    assert panel(path).run().state == "done"
    assert 2 < sandbox.charged <= 20
    assert set(panel(path).table("videos")["video_id"]) <= set(panel(path).table("product_posts")["video_id"])


def test_days_that_are_final_are_paid_once(write: Write, clock: Clock, place: Place) -> None:
    path = write("sandbox = true" + """
[[fetch]]
function = "fetch_product_rankings"
region = "US"
date = 2026-01-25
limit = 3

[[fetch]]
function = "fetch_product_days"
from = "product_rankings.product_id"
start = 2026-01-25
""")
    plan = panel(path).plan()  # nine days up to 2026-02-02: a request for each product
    assert plan.fetches == (("fetch_product_rankings", 1), ("fetch_product_days", 3))
    assert panel(path).run().credits_spent == plan.credits == 4
    clock.set("2026-12-09")
    plan = panel(path).plan()
    assert panel(path).run().credits_spent == 4 + 3
    assert plan.credits == 3  # the ranking is closed; of the days the last are not final
    with kr.Client(store=place("perfume"), offline=True) as client:
        first = [json.loads(one)["start_date"] for one in client.ledger()["params"].tail(3)]
    assert min(first) >= "2026-01-31"  # final three days later, and where it is missing one day more
    days = panel(path).table("product_days")
    assert set(days.groupby("round")["date"].min().dt.strftime("%Y-%m-%d")) == {"2026-01-25"}
    first, second = days.groupby("round").size()
    assert first == second > 3 * 3


def test_a_round_keeps_its_day_after_midnight(write: Write, sandbox: Sandbox, clock: Clock, place: Place) -> None:
    sandbox.extra_headers = {"X-KeyAPI-Source": "127.0.0.1"}  # as KeyAPI, whose days go by
    with kr.Client(store=place("perfume")) as client:
        kr.fetch_hashtags("perfume", client=client)
    path = write(LISTED + """
[[fetch]]
function = "fetch_product_rankings"
region = "US"
limit = 3
""")
    clock.set("2026-12-01 23:50")
    sandbox.on_request = lambda path, params: Fault(status=400) if "ranking" in path else None
    with pytest.raises(kr.KeyAPIError):
        panel(path).run()
    clock.set("2026-12-02 00:10")
    sandbox.on_request = None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", kr.MissingDataWarning)  # this world ends before
        assert panel(path).run().state == "done"
    days = {one.params["date"] for one in sandbox.requests if "ranking" in one.path}
    assert len(days) == 1


def test_one_table_of_two_markets_and_any_endpoint(write: Write, sandbox: Sandbox, clock: Clock) -> None:
    path = write(RANKED.replace('"US"', '"GB"', 1).split("\n\n")[0] + RANKED + """
[[fetch]]
function = "fetch_endpoint"
path = "/v1/tiktok/video/captions"
params = { video_id = "7117191641181555995" }

[[fetch]]
function = "fetch_hashtag_trends"
from = "trending_hashtags.hashtag_name"
region = "US"
period = 30
""")
    plan = panel(path).plan()
    assert [price for _, price in plan.fetches] == [4, 4, 80, 1, 80]
    assert panel(path).run().state == "done"
    lists = panel(path).table("trending_hashtags")
    assert lists["region"].tolist() == ["GB"] * 20 + ["US"] * 20
    names = panel(path).table("hashtags")["hashtag_name"]
    assert set(names) == set(lists["hashtag_name"])
    trends = panel(path).table("hashtag_trends")  # of two fetches that have the same answers
    assert not trends.duplicated(["round", "hashtag_name", "date"]).any()
    assert panel(path).table("/v1/tiktok/video/captions")["data"].item().startswith("WEBVTT")


def test_what_fails_does_not_stop_what_comes_after_it(write: Write, sandbox: Sandbox, clock: Clock) -> None:
    path = write(LISTED + RANKED)
    sandbox.on_request = lambda path, params: Fault(status=400) if params.get("hashtag_name") == "perfume" else None
    with pytest.raises(kr.FetchIncompleteError, match="round 1 of perfume is incomplete: 1 of 3 ids of"):
        panel(path).run()
    with pytest.warns(kr.IncompleteDataWarning):
        assert len(panel(path).table("trending_hashtags")) == 20
    with pytest.warns(kr.IncompleteDataWarning):
        assert panel(path).table("hashtags")["hashtag_name"].nunique() >= 19
    before = sandbox.charged
    assert panel(path).plan().credits <= 2 + 4
    sandbox.on_request = None
    assert panel(path).run().state == "done"
    assert sandbox.charged == before + 2


def test_values_that_can_be_no_ids_are_left_out_and_said(write: Write, sandbox: Sandbox, clock: Clock) -> None:
    def mutate(path: str, params: Mapping[str, str], envelope: dict[str, Any]) -> dict[str, Any]:
        if path.endswith("/trending/hashtags"):
            envelope["data"]["list"][2]["hashtag_name"] = "two words"
        return envelope

    sandbox.mutate = mutate
    path = write(RANKED)
    with pytest.warns(kr.IncompleteDataWarning, match=r"'two words' of trending_hashtags\.hashtag_name can be no ids"):
        assert panel(path).run().state == "done"
    assert sandbox.charged == 2 + 19 * 2
    assert "two words" in set(panel(path).table("trending_hashtags")["hashtag_name"])
    assert len(panel(path).table("hashtags")) == 19
    assert panel(path).plan().credits == 0


def test_an_answer_with_its_rows_elsewhere_spoils_its_own_table_only(
    write: Write, sandbox: Sandbox, clock: Clock
) -> None:
    path = write("""
[[fetch]]
function = "fetch_endpoint"
path = "/v1/tiktok/trending/hashtags"
params = { region = "US", period = "30", page = 1, page_size = 20 }
rows = "list[]"
""" + LISTED)
    panel(path).run()
    clock.set("2026-12-08 10:00")
    sandbox.mutate = lambda path, params, envelope: (
        {**envelope, "data": {"other": []}} if path.endswith("hashtags") else envelope
    )
    for _ in range(2):
        with pytest.raises(kr.KeyAPIError, match=r"list\[\]"):
            panel(path).run()
    with pytest.warns(kr.IncompleteDataWarning):
        assert len(panel(path).table("hashtags")) == 6
    with pytest.warns(kr.IncompleteDataWarning) as told:
        assert set(panel(path).table("/v1/tiktok/trending/hashtags")["round"]) == {1}
    assert any("have no rows" in str(one.message) for one in told)


def test_a_clock_that_was_wrong_makes_no_round_of_nothing(write: Write, sandbox: Sandbox, clock: Clock) -> None:
    path = write()
    clock.set("2026-12-08 10:00")  # a week ahead
    sandbox.on_request = lambda path, params: Fault(status=400) if params["hashtag_name"] == "perfume" else None
    with pytest.raises(kr.FetchIncompleteError):
        panel(path).run()
    sandbox.on_request = None
    clock.set("2026-12-01 10:00")
    assert panel(path).run().done == (1,)
    with pytest.warns(kr.IncompleteDataWarning, match="round 2"):
        assert len(panel(path).table("hashtags").query("round == 1")) == 3
    clock.set("2026-12-09 10:00")
    assert panel(path).run().done == (1, 2)
    assert panel(path).table("hashtags")["round"].tolist() == [1, 1, 1, 2, 2, 2]

    clock.set("2026-12-15 10:00")
    sandbox.on_request = lambda path, params: clock.advance(-10)  # set right in the middle of a round
    assert panel(path).run().done == (1, 2, 3)
    assert len(panel(path).table("hashtags").query("round == 3")) == 3


def test_what_others_spend_in_the_same_program_is_not_of_the_round(
    write: Write, sandbox: Sandbox, clock: Clock, place: Place
) -> None:
    path, other = write(credits_per_round="6"), write(RANKED, "other.toml", name='"other"')
    started, fetched = threading.Event(), threading.Event()

    def hold(path: str, params: Mapping[str, str]) -> None:
        if params.get("hashtag_name") == "perfume":
            started.set()
            assert fetched.wait(60)

    sandbox.on_request = hold
    one = threading.Thread(target=panel(path).run)
    one.start()
    assert started.wait(60)
    panel(other).run()
    with kr.Client(store=place("perfume"), requests_per_second=None) as client:
        kr.fetch_hashtags("something", client=client)
    fetched.set()
    one.join()
    assert panel(path).status().credits_spent == 6
    assert panel(other).status().credits_spent == sandbox.charged - 6 - 2 > 30


def test_lists_by_id_are_fetched_as_far_as_the_budget_goes(write: Write, sandbox: Sandbox, clock: Clock) -> None:
    with kr.Client(sandbox=True, store=":memory:") as client:
        creators = kr.fetch_creator_rankings(region="US", limit=5, client=client)["user_id"]
    ids = ", ".join(f'"{one}"' for one in creators)
    path = write(f"""
[[fetch]]
function = "fetch_creator_videos"
ids = [{ids}]
limit = 10
""", credits_per_round="3")
    assert panel(path).plan().note == (
        "a round may need 5 credits, so credits_per_round may stop it before its end"
    )
    with pytest.raises(kr.BudgetExceededError, match=r"only 0 of the round's 3 are left.*at least 5 in"):
        panel(path).run()
    assert sandbox.charged == 3


@pytest.mark.parametrize("token", [TOKEN, 'a-token-with-"quotes"-in-it'])
def test_the_key_is_not_stored_where_it_stands_in_the_file(
    token: str, write: Write, sandbox: Sandbox, clock: Clock, place: Place
) -> None:
    kr.connect(token=token, store=":memory:")
    path = write(LISTED.replace('"perfume"', f"'{token}'"))
    kr.connect(token=token, store=":memory:")
    with pytest.raises(kr.InvalidArgumentError, match="has the token in it") as refused:
        panel(path).run()
    assert token not in str(refused.value)
    assert sandbox.requests == []
    cells = [cell for table in place.content("perfume") for row in table for cell in row]
    assert "totals" in cells
    stored = "\n".join(map(str, cells)).encode() + (b"" if place.on_server else place("perfume").read_bytes())
    assert not any(part in stored for part in (token.encode(), json.dumps(token)[1:-1].encode()))


def test_a_filter_that_makes_errors_of_warnings_does_not_stop_a_round(
    write: Write, sandbox: Sandbox, clock: Clock
) -> None:
    sandbox.mutate = lambda path, params, envelope: (
        {**envelope, "data": None} if params["hashtag_name"] == "perfume" else envelope
    )
    path = write(LISTED + LISTED.replace("US", "GB"))
    with pytest.raises(kr.MissingDataWarning):
        panel(path).run()
    assert panel(path).status().state == "done"
    assert sandbox.charged == 12


def test_nothing_is_written_where_nothing_is_due(write: Write, sandbox: Sandbox, clock: Clock, place: Place) -> None:
    path = write()
    panel(path).run()
    before = state_of(place)
    assert panel(path).run().state == "done"
    assert state_of(place) == before


@pytest.mark.parametrize(("start", "price"), [('"30D"', 3), ('"5d"', 1), ("2026-01-04", 3), ('"20260104"', 3)])
def test_days_may_begin_a_length_ago(start: str, price: int, write: Write, clock: Clock) -> None:
    path = write(f"""sandbox = true
[[fetch]]
function = "fetch_product_days"
ids = ["1729384000000000001"]
start = {start}
""", every='"1D"')
    assert panel(path).plan().credits_per_round == price
    assert 0 < panel(path).run().credits_spent <= price  # days that are not there make it cheaper
    assert panel(path).status().state == "done"
    assert not panel(path).table("product_days").empty


@pytest.mark.parametrize("start", ['"yesterday"', '"2026/01/01"', "[1]", "true", '"99999D"', '""'])
def test_a_start_that_is_none_is_named_by_line(start: str, write: Write) -> None:
    path = write(f"""[[fetch]]
function = "fetch_product_days"
ids = "1729384000000000001"
start = {start}
""")
    with pytest.raises(kr.InvalidArgumentError, match=r"line 9: start"):
        panel(path)


def test_a_study_of_days_begins_before_its_first_day_is_over(write: Write, clock: Clock) -> None:
    clock.set("2026-02-03 08:00")
    path = write("sandbox = true" + """
[[fetch]]
function = "fetch_product_days"
ids = ["1729384000000000001"]
start = 2026-02-03
""", starts="2026-02-03", every='"1M"')
    plan = panel(path).plan()
    assert (plan.credits, plan.credits_per_round) == (0, 4)  # none now; a month later 28 days and three more
    with pytest.warns(kr.IncompleteDataWarning, match="no day is over since its start, 2026-02-03"):
        assert panel(path).run().state == "done"
    assert panel(path).table("product_days").empty


def test_personal_data_go_with_the_file_as_it_is_now(write: Write, sandbox: Sandbox, clock: Clock) -> None:
    endpoint = """
[[fetch]]
function = "fetch_endpoint"
path = "/v1/tiktok/trending/hashtags"
params = {{ region = "US", period = "30", page = 1, page_size = {} }}
rows = "list[].creators[]"
"""
    for size in range(16, 20):  # whatever the order of their hashes
        path = write(endpoint.format(size) + "personal = true\n", name=f'"p{size}"')
        panel(path).run()
        assert panel(path).table("/v1/tiktok/trending/hashtags")["nick_name"].notna().all()
        path = write(endpoint.format(size), name=f'"p{size}"')
        assert "nick_name" not in panel(path).table("/v1/tiktok/trending/hashtags")


def test_a_file_of_untyped_rows_that_was_changed(write: Write, sandbox: Sandbox, clock: Clock) -> None:
    endpoint = """
[[fetch]]
function = "fetch_endpoint"
path = "/v1/tiktok/trending/hashtags"
params = { region = "US", period = "30", page = 1, page_size = 20 }
rows = "list[]"
"""
    panel(write(endpoint)).run()
    clock.set("2026-12-08 10:00")
    path = write(endpoint.replace('"list[]"', '"list[].trend[]"').replace("US", "GB"))
    panel(path).run()
    table = panel(path).table("/v1/tiktok/trending/hashtags")
    assert table.groupby("round").size()[1] == 20
    assert table.groupby("round").size()[2] > 100
    assert table["region"].tolist() == ["US"] * 20 + ["GB"] * (len(table) - 20)
    with pytest.raises(kr.InvalidArgumentError, match=r"rows of /v1/tiktok/trending/hashtags must be as in the fetch"):
        panel(write(endpoint + endpoint.replace("list[]", "")))


# The file, changed ----------------------------------------------------------------------------------------------


def test_what_is_changed_back_is_the_same_since_then(write: Write, clock: Clock) -> None:
    other = LISTED.replace('"perfume", ', "")
    changed = []
    for number, fetches in enumerate([LISTED, other, LISTED, LISTED]):
        clock.set(str(pd.Timestamp("2026-12-01") + pd.Timedelta(days=7 * number)))
        changed.append(panel(write(fetches)).run().file_since)
    assert changed == [1, 2, 3, 3]
    assert panel(write(other)).status().file_since == 0


@pytest.mark.parametrize("change", [{"every": '"1D"'}, {"every": '"1M"'}, {"starts": "2026-11-30"}])
def test_other_intervals_are_refused_under_the_same_name(
    change: dict[str, str], write: Write, sandbox: Sandbox, clock: Clock
) -> None:
    panel(write()).run()
    path = write(**change)
    for method in (panel(path).run, panel(path).plan, panel(path).status, lambda: panel(path).table("hashtags")):
        with pytest.raises(kr.InvalidArgumentError, match=r"every or starts was changed\. Round 1 of perfume was from"):
            method()
    assert sandbox.charged == 6
    assert panel(write(name='"perfume-2"', **change)).run().state == "done"
    assert sandbox.charged == 6


# Where nothing may be sent --------------------------------------------------------------------------------------


def test_a_store_of_another_source_is_refused(
    write: Write, sandbox: Sandbox, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write()
    panel(path).run()
    monkeypatch.delenv("KEYAPI_BASE_URL")
    kr.connect(store=":memory:")  # to KeyAPI itself
    clock.set("2026-12-08 10:00")
    with pytest.raises(kr.StoreError, match="sandbox"):
        panel(path).run()
    assert sandbox.charged == 6


@pytest.mark.of_a_file
def test_a_file_that_is_no_store_is_refused(write: Write, sandbox: Sandbox, clock: Clock) -> None:
    with pytest.raises(kr.StoreError, match="it is not an SQLite file"):
        panel(write(store='"perfume.toml"')).run()
    assert sandbox.requests == []


def test_a_connection_that_sends_nothing_holds_for_panels(
    write: Write, sandbox: Sandbox, clock: Clock, tmp_path: Path, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write()
    kr.Client(store=place("other")).close()
    kr.connect(store=place("other"), offline=True)
    with pytest.raises(kr.StoreError, match=r"perfume was not run.*sends nothing \(offline\)"):
        panel(path).run()
    kr.connect(sandbox=True, store=":memory:")
    with pytest.raises(kr.StoreError, match="the connection in use is the sandbox, but this panel fetches real data"):
        panel(path).run()
    kr.connect(store=":memory:")
    monkeypatch.setenv("KEYAPI_REPLAY", str(tmp_path / "study.zip"))
    with pytest.raises(kr.StoreError, match="KEYAPI_REPLAY is set"):
        panel(path).run()
    assert panel(path).status().state == "due"
    assert sandbox.requests == []
    if not place.on_server:
        place("perfume").touch()  # as a program leaves it that is killed while it makes a store
        assert panel(path).status().state == "due"


def test_a_client_of_its_own_is_used_for_its_key_and_its_pace(
    write: Write, sandbox: Sandbox, clock: Clock, monkeypatch: pytest.MonkeyPatch, place: Place
) -> None:
    path = write()
    monkeypatch.delenv("KEYAPI_TOKEN")
    kr.connect(sandbox=True, store=":memory:")
    with (
        Sandbox(token="another-key") as server,
        kr.Client(token="another-key", base_url=server.url, store=place("other")) as client,
    ):
        assert kr.panel(path, client=client).run().state == "done"
        assert client.status().answers == 0  # they are in the panel's store
        assert server.charged == 6
    with pytest.raises(kr.InvalidArgumentError, match="client must come from"):
        kr.panel(path, client="me")


def test_synthetic_data_need_no_key(
    write: Write, sandbox: Sandbox, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KEYAPI_TOKEN")
    path = write("sandbox = true\n" + LISTED)
    assert panel(path).run().state == "done"
    assert set(panel(path).table("hashtags")["source"]) == {"sandbox"}
    assert sandbox.requests == []


def test_the_limit_of_a_store_and_a_budget_hold(
    write: Write, sandbox: Sandbox, clock: Clock, place: Place
) -> None:
    path = write()
    with kr.budget(3), pytest.raises(kr.BudgetExceededError, match="the budget of 3 credits"):
        panel(path).run()
    with kr.Client(store=place("perfume")) as client:
        client.limit_store(4, per="day")
    with pytest.raises(kr.BudgetExceededError, match="day"):
        panel(path).run()
    assert panel(path).status().state == "incomplete"
    clock.set("2026-12-02 09:00")
    with kr.Client(store=place("perfume")) as client:
        client.limit_store(None, per="day")
    assert panel(path).run().state == "done"
    assert sandbox.charged == 6


# Mistakes -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ('"7D"', '"7H"', 'line 2: every must be days or months, such as "7D"'),
        ("2026-12-01", '"soon"', "line 3: starts must be a date such as 2026-12-01, without quotes"),
        ("= 100", '= "x"', "line 4: credits_per_round must be a whole number of at least 1"),
        ("every =", "evry =", "line 2: evry is not a setting of a panel. Did you mean every?"),
        ('"perfume"\n', '"perfume\n', "line 1: this is not TOML"),
        ("fetch_hashtags", "fetch_hashtag", "line 14: function must be a fetch function such as fetch_hashtags"),
        ("period = 30\nlimit", "period = 31\nlimit", "line 10: period must be one of 7, 30, 120 (days); got 31"),
        ("trending_hashtags.hashtag_name", "trending.hashtag_name", 'line 15: from must be "table.column" of a fetch'),
        (".hashtag_name", ".tag", "line 15: trending_hashtags has no column 'tag'. It has region"),
        ("limit = 20", "limits = 20", "line 11: fetch_trending_hashtags does not take limits here"),
        ('from = "trending_hashtags.hashtag_name"\n', "", "line 14: fetch_hashtags needs ids"),
        ('name = "perfume"', 'name = "per/fume"', "line 1: name must be 1 to 80 letters"),
        ('every = "7D"\n', "", "every is missing: a panel has name, every, starts, credits_per_round"),
        ("2026-12-01", "9999-12-31", "line 3: starts must be a date such as 2026-12-01"),
        ("= 100", "= 0", "line 4: credits_per_round must be a whole number of at least 1; got 0"),
        ("= 100", f"= {'9' * 5000}", "this is not TOML"),
        ("store = ", 'store = ":memory:" # ', "line 5: store must be a file"),
        ("store = ", 'store = "postgresql://me:secret@host/db" # ',
         "line 5: store: the address has a password in it, or an @ other than the one before the host. Leave a"),
        ("limit = 20", "limitt = 1", "line 11: fetch_trending_hashtags does not take limitt here. Did you mean limit?"),
        ('"fetch_hashtags"', '["fetch_hashtags"]', "line 14: function must be a fetch function such as"),
        ('"fetch_hashtags"', '"fetch_hashtagz"', "line 14: function must be a fetch function such as fetch_hashtags; "
         "got 'fetch_hashtagz'. Did you mean fetch_hashtags?"),
    ],
)
def test_a_mistake_is_named_with_its_line(write: Write, before: str, after: str, message: str) -> None:
    path = write(RANKED)
    text = path.read_text("utf-8")
    assert before in text
    path.write_text(text.replace(before, after, 1), "utf-8")
    with pytest.raises(kr.InvalidArgumentError, match=rf"perfume\.toml(, |: ){re.escape(message)}") as mistake:
        panel(path)
    assert "secret" not in str(mistake.value)


def test_tables_that_nobody_fetches(write: Write) -> None:
    with pytest.raises(kr.InvalidArgumentError, match=r"perfume makes 'videos'\. They make hashtag_audience, hashtag"):
        panel(write()).table("videos")
    empty = panel(write()).table("hashtags")
    assert empty.empty
    assert empty["round"].dtype == "Int64"


def test_dates_of_a_synthetic_panel_are_those_of_the_sandbox(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_text(
        'name = "a"\nevery = "1D"\nstarts = 2026-11-01\ncredits_per_round = 30\nsandbox = true\n[[fetch]]\n'
        'function = "fetch_creator_rankings"\nregion = "US"\ndate = 2026-03-01\nlimit = 5\n'
    )
    with pytest.raises(kr.InvalidArgumentError, match=r"a.toml, line 9: .*2026-03-01 is not over yet"):
        panel(path)
