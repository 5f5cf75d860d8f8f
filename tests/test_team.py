"""A store on a server that several machines share: what is paid, kept and said when connections and servers fail."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import random
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

import psycopg
import pytest
from faulty import certificate
from pandas.testing import assert_frame_equal
from stores import HOST, Server, open_server, pooler, rows_of, run_sql, wait_until
from test_processes import (  # noqa: F401 - fixtures
    LONG,
    PATIENT,
    Begin,
    Desk,
    begin,
    desk,
    helper,
    paid,
    parts,
    tags,
    wait_until_more,
)

import keyapi_research as kr
from keyapi_research import settings
from keyapi_research.sandbox import Sandbox
from keyapi_research.store import Store, postgres

slow = pytest.mark.slow
Make = Callable[..., kr.Client]
PASSWORD = "kettle-of-fish-4711"  # of the tests' server alone


@pytest.fixture(scope="module")
def durable() -> Iterator[Server]:
    """A server whose answers survive a power cut."""
    one = open_server(fsync=True)
    yield one
    one.remove()


@pytest.fixture
def online(address: str, make_client: Make) -> Callable[..., kr.Client]:
    """Make clients of the sandbox on the new database."""
    return lambda **options: make_client(**{"store": address, **options})


# Addresses ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("address", [
    f"postgresql://me:{PASSWORD}@host/db",
    f"postgres://me:{PASSWORD}@host/db",
    f"POSTGRESQL://me:{PASSWORD}@host",
    f"postgresql://me:{PASSWORD}/x@host/db",
    f"postgresql://me:{PASSWORD}?x@host/db",
    f"postgresql://me:{PASSWORD}#x@host/db",
    f"postgresql://:{PASSWORD}@host/db",
    f"postgresql://me:{PASSWORD}@[::1]:5432/db?sslmode=require",
    f"postgresql://me:a@b{PASSWORD}@host/db",
    f"postgresql://host/db?user=me&password={PASSWORD}",
    f"postgresql://host/db?sslmode=require&PassWord={PASSWORD}",
    f"postgresql://host/db?sslpassword={PASSWORD}",
    f"postgresql://host/db?oauth_client_secret={PASSWORD}",
    f"postgresql://host/db?scram_client_key={PASSWORD}",
    f"postgresql://host/db?pass%77ord={PASSWORD}",
])  # fmt: skip
def test_a_password_in_the_address_is_refused_and_not_said(
    address: str, tmp_path: Path, no_libpq_environment: None
) -> None:
    panel = tmp_path / "p.toml"
    panel.write_text(PANEL.format(store=address))
    with kr.Client(sandbox=True, store=":memory:") as other:
        for refused in (
            lambda: kr.Client(sandbox=True, store=address),
            lambda: kr.connect(token="t", store=address, offline=True),
            lambda: kr.import_store(address, client=other),
            lambda: kr.panel(panel),
        ):
            with pytest.raises(kr.InvalidArgumentError, match="PGPASSWORD") as caught:
                refused()
            assert PASSWORD not in "".join(traceback.format_exception(caught.value))


PANEL = """
name = "perfume"
every = "7D"
starts = 2026-02-01
credits_per_round = 10
sandbox = true
store = "{store}"
[[fetch]]
function = "fetch_hashtags"
ids = ["perfume"]
"""


@pytest.fixture
def no_libpq_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of libpq's own environment."""
    for name in [name for name in os.environ if name.startswith("PG")]:
        monkeypatch.delenv(name)


def test_all_that_libpq_hides_of_an_address_is_refused() -> None:
    hidden = {one.keyword.decode() for one in psycopg.pq.Conninfo.get_defaults() if one.dispchar == b"*"}
    assert "password" in hidden
    assert hidden <= settings._SECRETS


@pytest.mark.parametrize("store", [
    f"host=h user=me password={PASSWORD}", f"host=h user=me Password = '{PASSWORD}'",
    f"jdbc:postgresql://me:{PASSWORD}@host/db", f"postgresql:me:{PASSWORD}@host/db",
    f"postgresql+psycopg://me:{PASSWORD}@host/db", f"'postgresql://me:{PASSWORD}@host/db'",
])  # fmt: skip
def test_what_is_almost_an_address_is_no_file_and_is_not_said(
    store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with kr.Client(sandbox=True, store=":memory:") as other:
        for refused in (lambda: kr.Client(sandbox=True, store=store), lambda: kr.import_store(store, client=other)):
            with pytest.raises(kr.InvalidArgumentError, match="postgresql://user@host/database") as caught:
                refused()
            assert PASSWORD not in "".join(traceback.format_exception(caught.value))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("address", [
    "postgresql://host:5432/db?application_name=a@b", "postgresql://host:5432/db?user=ana@example.org",
])  # fmt: skip
def test_an_option_may_have_an_at(address: str) -> None:
    assert settings.read_address(address) == address


@pytest.mark.parametrize("address", ["postgresql://me@host", "postgresql://", "postgres://host/?user=me"])
def test_an_address_without_a_database_is_refused(address: str) -> None:
    with pytest.raises(kr.InvalidArgumentError, match="names no database"):
        kr.Client(sandbox=True, store=address)


def test_the_environment_names_the_address_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEYAPI_STORE", f"postgresql://me:{PASSWORD}@host/db")
    with pytest.raises(kr.InvalidArgumentError, match="KEYAPI_STORE: the address has a password") as caught:
        kr.Client(sandbox=True)
    assert PASSWORD not in str(caught.value)


@pytest.mark.parametrize("address", [
    "postgresql://host/db?no_such_option=1", "postgresql://[::1/db",
    "postgresql://host/%zz", "postgresql://host/db?sslmode", "postgresql://host/d b", "postgresql://host/\n",
])  # fmt: skip
def test_a_malformed_address_is_refused_with_the_form_it_has(address: str) -> None:
    with pytest.raises(kr.InvalidArgumentError, match=r"postgresql://user@host|white space"):
        kr.Client(sandbox=True, store=address)


def test_a_server_that_does_not_answer_is_an_error_at_once() -> None:
    with socket.create_server((HOST, 0)) as nobody:
        port = nobody.getsockname()[1]
    began = time.monotonic()
    with pytest.raises(kr.StoreError, match=rf"postgresql://{HOST}:{port}/db: .*PGPASSWORD"):
        kr.Client(sandbox=True, store=f"postgresql://me@{HOST}:{port}/db")
    assert time.monotonic() - began < postgres.Postgres.patience


def test_without_the_driver_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(kr.MissingPackageError, match=r"psycopg.* extras? .*team"):
        kr.Client(sandbox=True, store="postgresql://host/db")


# Paid once ---------------------------------------------------------------------------------------------------------


@slow
@pytest.mark.parametrize("seed", [*range(10), *(pytest.param(seed, marks=pytest.mark.long) for seed in range(10, 20))])
def test_ids_are_paid_once_whatever_is_killed_restarted_and_cut(
    seed: int, begin: Begin, sandbox: Sandbox, durable: Server  # noqa: F811
) -> None:
    sandbox.latency = 0.03
    dice = random.Random(seed)
    store = durable.make()
    lists = [tags(*part) for part in parts(8, each=40, common=20)]
    total = 20 + 8 * 20
    killed: set[int] = set()

    def start(number: int) -> Any:
        return begin("fetch_hashtags", lists[number], store=store, client={"timeout": (5, 10)}, tries=50)

    children = [start(number) for number in range(8)]

    def kill() -> None:
        alive = [number for number, child in enumerate(children) if not child.ended]
        if alive:
            number = dice.choice(alive)
            killed.add(children[number].pid)
            children[number].kill()
            children[number] = start(number)

    def restart() -> None:
        durable.stop(dice.choice(["fast", "immediate"]))
        time.sleep(dice.uniform(0, 0.5))
        durable.start()

    events: list[Callable[[], Any]] = [kill, kill, kill, restart, durable.cut, durable.cut, durable.cut]
    dice.shuffle(events)
    for event in events:
        wait_until_more(sandbox, dice.randint(1, 20), children)
        event()
    for child, names in zip(children, lists, strict=True):
        told = child.result(5 * LONG)
        assert told["error"] is None, told
        assert told["columns"]["hashtag_name"] == names
    again = paid(sandbox) - Counter(tags(*range(total)))
    rows = rows_of(store, "SELECT params, credits, client FROM keyapi_ledger")
    lost = Counter(
        json.loads(params)["hashtag_name"]
        for params, credits_, client in rows
        if credits_ is None and int(client.split(":")[1]) in killed
    )
    assert again <= lost  # what was in flight in the killed
    assert lost.total() <= len(killed) * 4
    known = Counter(json.loads(params)["hashtag_name"] for params, credits_, _ in rows if credits_ is not None)
    assert known == Counter(tags(*range(total)))  # each answer is kept, and once
    with kr.Client(store=store, offline=True) as reader:
        assert reader.status().answers == total
        assert kr.fetch_hashtags(lists[0], client=reader)["hashtag_name"].tolist() == lists[0]
    durable.drop(store)


@slow
def test_a_connection_that_is_cut_while_its_request_is_paid_is_made_anew(
    online: Make, sandbox: Sandbox, server: Server, desk: Desk  # noqa: F811
) -> None:
    desk.held = {"tag0"}
    client = online()
    told: list[Any] = []
    call = threading.Thread(target=lambda: told.append(kr.fetch_hashtags(tags(0, 1), client=client)))
    call.start()
    desk.wait_for("tag0")
    wait_until(lambda: client.ledger()["credits"].count() == 1, LONG)
    assert server.cut() == 1
    desk.release()
    call.join(LONG)
    assert told[0]["hashtag_name"].tolist() == tags(0, 1)
    assert paid(sandbox) == Counter(tags(0, 1))
    assert client.ledger()["credits"].tolist() == [2, 2]


@slow
def test_an_answer_that_could_not_be_written_is_kept_and_stored_at_the_next_call(
    online: Make, sandbox: Sandbox, server: Server, desk: Desk, monkeypatch: pytest.MonkeyPatch  # noqa: F811
) -> None:
    monkeypatch.setattr(postgres.Postgres, "patience", 0.3)
    desk.held = {"tag0"}
    client = online(timeout=PATIENT)
    told: list[BaseException] = []

    def fetch() -> None:
        try:
            kr.fetch_hashtags("tag0", client=client)
        except kr.KeyAPIError as error:
            told.append(error)

    call = threading.Thread(target=fetch)
    call.start()
    desk.wait_for("tag0")
    server.stop()
    desk.release()
    call.join(LONG)
    server.start()
    assert isinstance(told[0], kr.StoreError)
    assert "tag0" in json.dumps(told[0].answer[0]["data"])
    assert "was lost" in str(told[0])
    with online() as other:  # the claim holds for who comes back: nobody else pays for it
        late: list[Any] = []
        waits = threading.Thread(target=lambda: late.append(kr.fetch_hashtags("tag0", client=other)))
        waits.start()
        assert kr.fetch_hashtags("tag0", client=client)["hashtag_name"].tolist() == ["tag0"]
        waits.join(LONG)
        assert_frame_equal(late[0], kr.fetch_hashtags("tag0", client=client))
    assert paid(sandbox) == Counter(tags(0))


@slow
def test_the_claim_of_an_answer_that_could_not_be_written_is_not_released(
    online: Make, sandbox: Sandbox, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = online()

    def no_room(*_: object, **__: object) -> None:
        raise kr.StoreError("no room")

    with monkeypatch.context() as patch:
        patch.setattr(client.store, "keep", no_room)
        with pytest.raises(kr.StoreError, match="no room"):
            kr.fetch_hashtags("tag0", client=client)
    [(done,)] = rows_of(address, "SELECT done FROM keyapi_claims")
    assert done == 0
    assert len(kr.fetch_hashtags("tag0", client=client)) == 1
    assert rows_of(address, "SELECT done FROM keyapi_claims") == []
    assert paid(sandbox) == Counter(tags(0))


@slow
def test_calls_that_begin_while_the_server_is_down_wait_for_it(online: Make, sandbox: Sandbox, server: Server) -> None:
    client = online()
    kr.fetch_hashtags("tag0", client=client)
    server.stop()
    starts = threading.Timer(1, server.start)
    starts.start()
    assert len(kr.fetch_hashtags(tags(0, 1), client=client)) == 2
    starts.join()
    assert paid(sandbox) == Counter(tags(0, 1))


@slow
def test_claims_hold_for_a_while_after_the_server_was_started(
    online: Make, sandbox: Sandbox, server: Server, desk: Desk, address: str  # noqa: F811
) -> None:
    """While it was down nobody could renew them: who is back first would pay again."""
    desk.held = {"tag0"}
    client, other = online(timeout=PATIENT), online(timeout=PATIENT)
    calls = [threading.Thread(target=lambda one=one: kr.fetch_hashtags("tag0", client=one)) for one in (client, other)]
    calls[0].start()
    desk.wait_for("tag0")
    rows_of(address, "UPDATE keyapi_claims SET until = until - 60000000")  # as after an outage of a minute
    server.stop()
    server.start()
    calls[1].start()
    wait_until(lambda: run_sql(address, WAITS) != [], LONG)
    desk.release()
    for call in calls:
        call.join(LONG)
    assert desk.arrived == ["tag0"]


WAITS = "SELECT 1 FROM pg_stat_activity WHERE query LIKE '%keyapi.claims%' AND application_name = 'keyapi_research'"


@slow
def test_a_call_that_is_stopped_before_its_turn_sends_nothing_and_leaves_no_claim(
    online: Make, sandbox: Sandbox, address: str
) -> None:
    slow_one, client = online(requests_per_second=0.02), online()
    kr.fetch_hashtags("tag0", client=slow_one)
    ended: list[Any] = []

    def fetch() -> None:
        try:
            kr.fetch_hashtags(tags(1, 2), client=client)
        except kr.KeyAPIError as error:
            ended.append(error)

    call = threading.Thread(target=fetch)
    call.start()
    wait_until(lambda: len(rows_of(address, "SELECT 1 FROM keyapi_ledger")) == 3, LONG)
    client.close()
    call.join(LONG)
    assert isinstance(ended[0], kr.StoreError | kr.FetchIncompleteError)
    assert paid(sandbox) == Counter(tags(0))
    ledger = slow_one.ledger()
    assert ledger["message"].tolist()[1:] == ["not delivered: the call was stopped before it was sent"] * 2
    assert rows_of(address, "SELECT 1 FROM keyapi_claims") == []
    assert slow_one.limit_store(100).spent == 2


# What stands in the way --------------------------------------------------------------------------------------------


class Held:
    """The lock of who writes, held by another program."""

    def __init__(self, address: str) -> None:
        self._other = psycopg.connect(address)
        self._address = address

    def __enter__(self) -> Self:
        self._other.execute(f"SELECT pg_advisory_xact_lock({postgres._LOCK})")
        return self

    def __exit__(self, *_: object) -> None:
        self._other.close()

    def wait_for(self, number: int) -> None:
        """Wait until so many wait for it."""
        waiting = (
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND database ="
            " (SELECT oid FROM pg_database WHERE datname = current_database())"
        )
        wait_until(lambda: run_sql(self._address, waiting) == [(number,)], LONG)


def begin_one(store: Store, entity: str = "e", lasts: float = 9) -> Any:
    """Begin a request for one entity."""
    return store.begin(
        iter([(entity,)]), most=1, page=0, since=(0, 0), mine=0, lasts=lasts, describe=lambda _: {},
        spacing=0, endpoint="/v1/x", price=2, attempt=1,
    )  # fmt: skip


def started(act: Callable[[], Any]) -> tuple[threading.Thread, list[Any]]:
    """Do something in a thread; its result is in the list when it ends."""
    told: list[Any] = []

    def work() -> None:
        try:
            told.append(act())
        except kr.KeyAPIError as error:
            told.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    return thread, told


@slow
def test_a_claim_does_not_end_while_its_owner_waits_to_renew_it(address: str) -> None:
    owner, other = (Store(address, source="sandbox", read_only=False) for _ in range(2))
    claimed = begin_one(owner, lasts=1)
    with Held(address) as held:
        begins, told = started(lambda: begin_one(other))
        held.wait_for(1)
        renews, _ = started(lambda: owner.renew([claimed.request], 9))
        held.wait_for(2)
        time.sleep(1.5)  # until the claim would be over
    begins.join(LONG)
    renews.join(LONG)
    assert told[0].elsewhere == ("e",)
    owner.close()
    other.close()


@slow
def test_an_interrupt_leaves_the_store_usable_and_unlocked(address: str) -> None:
    store = Store(address, source="sandbox", read_only=False)
    dice, interrupted = random.Random(1), 0

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    locks = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"
    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        for turn in range(200):
            try:
                signal.setitimer(signal.ITIMER_REAL, dice.uniform(0.0001, 0.004))
                while True:
                    store.set_limit("day", turn)
                    store.counts()
            except KeyboardInterrupt:
                interrupted += 1
            store.set_limit("day", turn)
            assert store.limits()[0].credits == turn
            assert run_sql(address, locks) == [(0,)]
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert interrupted == 200
    store.close()


@slow
def test_after_a_crash_claims_hold_until_their_owners_can_renew_them(address: str) -> None:
    """The server is the same then, and did not start anew; but it was away."""
    store = Store(address, source="sandbox", read_only=False)
    wait_until(lambda: not was_away(store), LONG)
    with psycopg.connect(address) as victim:
        os.kill(victim.info.backend_pid, signal.SIGKILL)
        wait_until(lambda: victim_is_gone(address), LONG)
        victim.close()
    assert was_away(store)
    store.close()


def was_away(store: Store) -> bool:
    """Whether claims hold that would be over if the server had not been away."""
    return store._db.claim_time() < store.now() - 300_000_000


def victim_is_gone(address: str) -> bool:
    with contextlib.suppress(psycopg.OperationalError):
        recovered = "SELECT checkpoint_time > now() - interval '5 s' FROM pg_control_checkpoint()"
        return run_sql(address, recovered) == [(True,)]
    return False


@slow
def test_what_an_administrator_set_neither_loses_answers_nor_damages_them(
    address: str, online: Make, sandbox: Sandbox
) -> None:
    name = address.rpartition("/")[2]
    run_sql(address, *(
        f"ALTER DATABASE {name} SET {one}"
        for one in (
            "synchronous_commit = off", "statement_timeout = '400ms'", "extra_float_digits = 0",
            "default_transaction_isolation = 'repeatable read'", "search_path = pg_catalog",
        )
    ))  # fmt: skip
    client = online()
    with Held(address) as held:
        fetching, told = started(lambda: kr.fetch_hashtags(tags(0, 1), client=client))
        held.wait_for(1)
        time.sleep(1)
    fetching.join(LONG)
    assert told[0]["hashtag_name"].tolist() == tags(0, 1)
    assert client.ledger()["elapsed_s"].notna().all()
    with client.store._db.transaction() as db:
        said = {one: db.execute(f"SHOW {one}").fetchone()[0] for one in ("synchronous_commit", *PATIENT_WITH_FEW)}
    assert said == {"synchronous_commit": "on", **PATIENT_WITH_FEW}


# Who stands still is cut.
PATIENT_WITH_FEW = {"idle_in_transaction_session_timeout": "30s", "tcp_keepalives_idle": "10"}


@slow
def test_who_waits_goes_on_waiting_while_others_write(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(address, source="sandbox", read_only=False)
    monkeypatch.setattr(postgres.Postgres, "patience", 1.0)
    others = []

    def write() -> None:
        with psycopg.connect(address) as one:
            one.execute(f"SELECT pg_advisory_xact_lock({postgres._LOCK})")
            one.execute("UPDATE keyapi.meta SET value = value WHERE name = 'totals'")
            time.sleep(0.3)

    with Held(address) as held:
        for number in range(8):
            others.append(threading.Thread(target=write))
            others[-1].start()
            held.wait_for(number + 1)
        begins, told = started(lambda: begin_one(store))
        held.wait_for(9)
    begins.join(LONG)
    for one in others:
        one.join(LONG)
    assert told[0].request == 1
    with Held(address):
        begins, told = started(lambda: begin_one(store, "f"))
        begins.join(LONG)
    assert "has locked" in str(told[0])
    store.close()


@slow
def test_a_statement_that_fails_is_undone_and_named_and_not_logged(
    address: str, online: Make, caplog: pytest.LogCaptureFixture
) -> None:
    client = online()
    kr.fetch_hashtags("tag0", client=client)
    run_sql(address, "ALTER TABLE keyapi.claims ADD CHECK (done > 1) NOT VALID")  # the last that is written
    with pytest.raises(kr.StoreError, match="violates check constraint"):
        kr.fetch_hashtags("tag1", client=client)
    assert rows_of(address, "SELECT count(*) FROM keyapi_ledger") == [(1,)]
    assert [one for one in caplog.records if one.name == "psycopg"] == []


# Pace and limits ---------------------------------------------------------------------------------------------------


def most_within_a_second(sent_at: list[int]) -> int:
    """The most sends of any span of a second, both ends counted."""
    moments = sorted(sent_at)
    return max(sum(first <= one <= first + 1_000_000 for one in moments) for first in moments)


@slow
def test_one_pace_holds_for_all_processes_together(
    begin: Begin, sandbox: Sandbox, address: str, tmp_path: Path  # noqa: F811
) -> None:
    gate, rate = tmp_path / "gate", 20
    lists = [tags(*range(15 * number, 15 * number + 15)) for number in range(8)]
    options = {"requests_per_second": rate}
    children = [begin("fetch_hashtags", names, store=address, gate=gate, client=options) for names in lists]
    for child in children:
        child.wait_until_ready()
    gate.touch()
    for child in children:
        assert child.result(5 * LONG)["error"] is None
    sent_at = [at for (at,) in rows_of(address, "SELECT sent_at FROM keyapi_ledger")]
    assert len(sent_at) == 120
    assert most_within_a_second(sent_at) <= rate
    assert paid(sandbox) == Counter(tags(*range(120)))


class Turns:
    """A store whose server's clock a test moves; asks for turns."""

    def __init__(self, address: str) -> None:
        self.now, self.address = 1_000_000_000_000_000, address
        self.store = Store(address, source="sandbox", read_only=False)
        self._number = 0

    def __str__(self) -> str:  # in the place of the server's clock
        return f"{self.now}::bigint"

    def next(self, spacing: int) -> tuple[float, float]:
        """Begin a request; return when it may go out, in seconds from the clock's beginning, and its wait."""
        self._number += 1
        begun = self.store.begin(
            iter([(f"e{self._number}",)]), most=1, page=0, since=(0, 0), mine=0, lasts=9, describe=lambda _: {},
            spacing=spacing, endpoint="/v1/x", price=2, attempt=1,
        )  # fmt: skip
        [row] = self.store.ledger([begun.request])
        return (row[1] - 1_000_000_000_000_000) / 1e6, begun.wait


@pytest.fixture
def turns(address: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Turns]:
    """Turns of a new store."""
    made = Turns(address)
    monkeypatch.setattr(postgres.Postgres, "clock", made)
    yield made
    made.store.close()


@slow
def test_of_differing_paces_the_slowest_holds_until_a_minute_after_its_last_send(turns: Turns) -> None:
    assert turns.next(200_000) == (0, 0)
    assert turns.next(200_000) == (0.2005, 0.2005)
    assert turns.next(1_000_000) == (1.201, 1.201)  # a slower one comes
    assert turns.next(200_000) == (2.2015, 2.2015)
    assert turns.next(0) == (3.202, 3.202)  # also for who has no pace of its own
    turns.now += 61_000_000
    assert turns.next(200_000) == (61, 0)
    assert turns.next(200_000) == (62.0005, 1.0005)  # the slow one's last turn was at 3.202
    turns.now += 61_000_000
    assert turns.next(200_000) == (122, 0)
    assert turns.next(200_000) == (122.2005, 0.2005)


@slow
def test_a_pace_slower_than_a_minute_holds_until_its_next_send(turns: Turns) -> None:
    assert turns.next(90_000_000) == (0, 0)
    turns.now += 80_000_000
    assert turns.next(200_000) == (90.0005, 10.0005)


@slow
def test_without_a_pace_nobody_waits(turns: Turns) -> None:
    assert [turns.next(0) for _ in range(3)] == [(0, 0)] * 3
    assert rows_of(turns.address, "SELECT * FROM keyapi_pace") == []


@slow
def test_a_clock_that_is_set_back_by_hours_does_not_stop_everybody(turns: Turns) -> None:
    turns.next(200_000)
    turns.now -= 7_200_000_000
    assert turns.next(200_000) == (-7200, 0)
    assert turns.next(200_000) == (-7199.7995, 0.2005)


@slow
def test_a_limit_holds_to_the_credit_over_all_processes(
    begin: Begin, sandbox: Sandbox, address: str, online: Make, tmp_path: Path  # noqa: F811
) -> None:
    client = online()
    client.limit_store(75, per="day")  # 37 requests of 2 credits
    client.limit_store(1000)
    gate = tmp_path / "gate"
    lists = [tags(*range(15 * number, 15 * number + 15)) for number in range(8)]
    children = [begin("fetch_hashtags", names, store=address, gate=gate) for names in lists]
    for child in children:
        child.wait_until_ready()
    gate.touch()
    errors = [child.result()["error"] for child in children]
    assert set(errors) <= {None, "BudgetExceededError"}
    assert "BudgetExceededError" in errors
    assert sandbox.charged == 74
    limits = {one.per: one for one in client.status().limits}
    assert (limits["day"].spent, limits["month"].spent) == (74, 74)


# Secrets -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def with_password(address: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address for a role that has a password, which is in libpq's environment."""
    run_sql(
        address,
        "DROP ROLE IF EXISTS with_password",
        f"CREATE ROLE with_password LOGIN PASSWORD '{PASSWORD}'",
        f"GRANT ALL ON DATABASE {address.rpartition('/')[2]} TO with_password",
    )
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    return address.replace("postgres@", "with_password@")


@slow
def test_the_password_is_nowhere(
    with_password: str, server: Server, sandbox: Sandbox, make_client: Make, tmp_path: Path,
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG)
    said: list[str] = []
    client = make_client(store=with_password)
    frame = kr.fetch_hashtags(tags(0, 1), client=client)
    said += [repr(client), repr(client.status()), client.status()._repr_html_(), repr(client.settings)]
    said += [frame.to_csv(), client.ledger().to_csv(), repr(vars(client)), repr(vars(client.store))]
    said += [repr(vars(client.store._db)), repr(client.store._db._db), str(client.store._db._db.info.get_parameters())]
    said.append(repr(frame.attrs))
    archive, exported = tmp_path / "a.zip", tmp_path / "parquet"
    said.append(repr(kr.freeze(archive, client=client)))
    said.append(repr(kr.export_store(exported, client=client)))
    with kr.Client(base_url=sandbox.url, token="t", store=tmp_path / "own.sqlite") as own:
        said.append(repr(kr.import_store(with_password, client=own)))
    server.cut()
    assert len(kr.fetch_hashtags(tags(0, 1), client=client)) == 2
    for broken in (f"{with_password}-none", f"{with_password}?sslmode=require"):
        with pytest.raises(kr.StoreError) as caught:
            make_client(store=broken)
        told = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
        said.append("".join(told.format()))
    processes = [one / "cmdline" for one in Path("/proc").iterdir() if one.name.isdecimal()]
    for file in processes:
        with contextlib.suppress(OSError):  # it has ended meanwhile
            said.append(file.read_bytes().decode(errors="replace"))
    said += [repr(rows_of(with_password, f"SELECT * FROM {table}")) for table in TABLES]
    said += [caplog.text, *capfd.readouterr()]
    assert [one for one in said if PASSWORD in one] == []
    written = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert len(written) > 3
    assert [file for file in written if PASSWORD.encode() in file.read_bytes()] == []
    with zipfile.ZipFile(archive) as opened:
        assert not any(PASSWORD.encode() in opened.read(name) for name in opened.namelist())


TABLES = ("responses", "keyapi_meta", "keyapi_ledger", "keyapi_answers", "keyapi_claims", "keyapi_pace")


@slow
def test_the_password_file_of_libpq_is_read(
    with_password: str, make_client: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PGPASSWORD")
    with pytest.raises(kr.StoreError, match=r"no connection to .*password.*PGPASSWORD"):
        make_client(store=with_password)
    file = tmp_path / "pgpass"
    file.write_text(f"{HOST}:*:*:with_password:{PASSWORD}\n")
    file.chmod(0o600)
    monkeypatch.setenv("PGPASSFILE", str(file))
    assert len(kr.fetch_hashtags("tag0", client=make_client(store=with_password))) == 1


@slow
def test_options_of_tls_are_taken_as_they_are(make_client: Make, tmp_path: Path) -> None:
    server = open_server(tls=True)
    try:
        address, root = server.make().replace(HOST, "localhost"), tmp_path / "root.pem"
        root.write_bytes(server.certificate.read_bytes())
        for options, encrypted in (
            ("?sslmode=disable", False), ("?sslmode=require", True), (f"?sslmode=verify-full&sslrootcert={root}", True),
        ):  # fmt: skip
            client = make_client(store=address + options)
            found = client.store._db.rows("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
            assert found == [(encrypted,)], options
            assert len(kr.fetch_hashtags("tag0", client=client)) == 1
        stranger, _ = certificate(tmp_path, subprocess.run)
        with pytest.raises(kr.StoreError, match="certificate verify failed"):
            make_client(store=f"{address}?sslmode=verify-full&sslrootcert={stranger}")
    finally:
        server.remove()


# Rights ------------------------------------------------------------------------------------------------------------


def role(address: str, name: str, *grants: str) -> str:
    """Make a role with some rights; return its address."""
    run_sql(
        address,
        f"DO $$ BEGIN CREATE ROLE {name} LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$",
        *(f"GRANT {one} TO {name}" for one in grants),
    )
    return address.replace("postgres@", f"{name}@")


GUIDE = Path(__file__).parent.parent / "docs" / "guide" / "team.md"
WRITE = re.findall(r"GRANT (.*) TO ben;", GUIDE.read_text())
READ = [one.replace("SELECT, INSERT, UPDATE, DELETE", "SELECT") for one in WRITE]


def test_the_rights_of_the_guide_are_those_of_the_messages() -> None:
    assert postgres._GRANT in [f"GRANT {one}" for one in WRITE]
    assert len(WRITE) == 2
    assert READ != WRITE


@slow
def test_a_role_that_may_only_read_can_read_plan_and_replay_and_is_told_the_rest(
    address: str, online: Make, make_client: Make, sandbox: Sandbox, tmp_path: Path
) -> None:
    before = kr.fetch_hashtags(tags(0, 1), client=online())
    requests = len(sandbox.requests)
    reads = role(address, "reads", *READ)
    client = make_client(store=reads)
    assert_frame_equal(kr.fetch_hashtags(tags(0, 1), client=client), before)
    plan = kr.plan(kr.fetch_hashtags, tags(0, 1, 2), client=client)
    assert (plan.stored, plan.credits) == (2, 2)
    assert client.status().answers == 2
    assert len(client.ledger()) == 2
    archive = tmp_path / "a.zip"
    kr.freeze(archive, client=client)
    with kr.Client(replay=archive) as replayed:
        assert_frame_equal(kr.fetch_hashtags(tags(0, 1), client=replayed), before)
    advice = "may only read postgresql://.*GRANT SELECT, INSERT, UPDATE, DELETE"
    with kr.Client(base_url=sandbox.url, token="t", store=tmp_path / "own.sqlite") as own:
        assert kr.import_store(reads, client=own).answers == 2
        with pytest.raises(kr.StoreError, match=advice):
            kr.import_store(tmp_path / "own.sqlite", client=client)
    for act in (
        lambda: kr.fetch_hashtags("tag2", client=client),
        lambda: client.limit_store(5),
        lambda: kr.fetch_hashtags(tags(0), max_age=0, client=client),
    ):
        with pytest.raises(kr.StoreError, match=advice):
            act()
    panel = tmp_path / "p.toml"
    panel.write_text(PANEL.format(store=reads))
    with pytest.raises(kr.StoreError, match=advice):
        kr.panel(panel).run()
    with kr.Client(store=reads, offline=True) as offline:
        assert_frame_equal(kr.fetch_hashtags(tags(0, 1), client=offline), before)
    assert len(sandbox.requests) == requests


@slow
def test_roles_that_lack_a_right_are_told_which(address: str, online: Make, make_client: Make) -> None:
    database = address.rpartition("/")[2]
    role(address, "stranger")
    run_sql(address, f"REVOKE CREATE ON DATABASE {database} FROM PUBLIC", "REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    with pytest.raises(kr.StoreError, match=r"no store in .*may not make one.*GRANT CREATE ON DATABASE"):
        make_client(store=address.replace("postgres@", "stranger@"))
    with pytest.raises(kr.StoreError, match=r"no store in .*nothing to read yet"):
        kr.Client(store=address, offline=True)
    kr.fetch_hashtags("tag0", client=online())
    for options in ({}, {"offline": True}):
        with pytest.raises(kr.StoreError, match=r"you may not read .*GRANT USAGE ON SCHEMA keyapi"):
            make_client(store=address.replace("postgres@", "stranger@"), **options)
    run_sql(address, "GRANT USAGE ON SCHEMA keyapi TO stranger", "GRANT SELECT ON keyapi.meta TO stranger")
    with pytest.raises(kr.StoreError, match="you may not read"):
        make_client(store=address.replace("postgres@", "stranger@"))
    writes = make_client(store=role(address, "writes", *WRITE))
    assert len(kr.fetch_hashtags(tags(0, 1), client=writes)) == 2
    run_sql(address, "REVOKE INSERT ON ALL TABLES IN SCHEMA keyapi FROM writes")  # while it is connected
    with pytest.raises(kr.StoreError, match=r"you lack a right on .*GRANT"):
        kr.fetch_hashtags("tag2", client=writes)


@slow
def test_a_server_that_is_only_read_is_read(address: str, online: Make, make_client: Make, sandbox: Sandbox) -> None:
    kr.fetch_hashtags("tag0", client=online())
    reads = f"{address}?options=-c%20default_transaction_read_only%3Don"
    client = make_client(store=reads)
    assert len(kr.fetch_hashtags("tag0", client=client)) == 1
    with pytest.raises(kr.StoreError, match=r"may only read .*Connect to a server that can be written"):
        kr.fetch_hashtags("tag1", client=client)
    assert paid(sandbox) == Counter(tags(0))


# Versions, other programs ------------------------------------------------------------------------------------------


@slow
def test_two_versions_refuse_each_others_newer_schema(
    address: str, make_client: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    newer = postgres.formats.FORMAT + 1
    with monkeypatch.context() as patch:
        patch.setattr(postgres.formats, "FORMAT", newer)
        make_client(store=address).close()
    for options in ({}, {"offline": True}):
        with pytest.raises(kr.StoreError, match=f"has format {newer}, but this version .* reads format 2. Update the"):
            make_client(store=address, **options)
    with kr.Client(sandbox=True, store=":memory:") as other, pytest.raises(kr.StoreError, match=f"format {newer}"):
        kr.import_store(address, client=other)
    rows_of(address, "UPDATE keyapi_meta SET value = 'x' WHERE name = 'format'")
    with pytest.raises(kr.StoreError, match="its format was changed"):
        make_client(store=address)


@slow
def test_what_is_no_store_is_not_opened(address: str, server: Server, make_client: Make) -> None:
    run_sql(address, "CREATE SCHEMA keyapi", "CREATE TABLE keyapi.ledger (id int)")
    with pytest.raises(kr.StoreError, match=r"the schema keyapi of .* is not a store"):
        make_client(store=address)
    run_sql(address, "DROP TABLE keyapi.ledger", "CREATE TABLE keyapi.notes (text text)")
    assert len(kr.fetch_hashtags("tag0", client=make_client(store=address))) == 1  # beside it other tables may be
    latin = server.make("ENCODING 'LATIN1' TEMPLATE template0")
    with pytest.raises(kr.StoreError, match=r"encoding LATIN1.*ENCODING 'UTF8'"):
        make_client(store=latin)
    server.drop(latin)


@slow
@pytest.mark.parametrize("damage", [
    "UPDATE responses SET value = replace(value, 'tag0', 'tag9')",
    "DELETE FROM responses",
    "UPDATE keyapi_answers SET absent = 1 WHERE id = 1",
    "DELETE FROM keyapi_answers WHERE id = 1",
    "UPDATE keyapi_answers SET entity = entity || 'x'",
])  # fmt: skip
def test_rows_that_were_changed_are_never_data_and_never_paid_again(
    damage: str, address: str, online: Make, sandbox: Sandbox
) -> None:
    client = online()
    kr.fetch_hashtags(tags(0, 1), client=client)
    rows_of(address, damage)
    with pytest.raises(kr.StoreError, match="is damaged"):
        kr.fetch_hashtags(tags(0, 1), client=client)
    assert len(sandbox.requests) == 2


@slow
def test_a_pooler_may_stand_in_between(address: str, server: Server, make_client: Make, sandbox: Sandbox) -> None:
    sandbox.latency = 0.01
    with pooler(server) as port:
        through = address.replace(f":{server.port}/", f":{port}/")
        clients = [make_client(store=through, requests_per_second=200) for _ in range(6)]
        clients[0].limit_store(1000)
        found: list[Any] = []
        calls = [
            threading.Thread(target=lambda one=one: found.append(kr.fetch_hashtags(tags(*range(30)), client=one)))
            for one in clients
        ]
        for call in calls:
            call.start()
        for call in calls:
            call.join(LONG)
        assert len(found) == 6
        for frame in found:
            assert_frame_equal(frame, found[0])
        order: list[str] = []

        def take(one: kr.Client) -> None:
            with one.store.alone("x"):
                order.append("in")
                one.limit_store(1000)
                order.append("out")

        with clients[0].store.alone("x"):
            waiting = [threading.Thread(target=take, args=(one,)) for one in clients[1:]]
            for one in waiting:
                one.start()
            time.sleep(1)  # more of them than the pooler has connections
            clients[0].limit_store(900)
            assert order == []
        for one in waiting:
            one.join(LONG)
        assert order == ["in", "out"] * 5
    assert paid(sandbox) == Counter(tags(*range(30)))
