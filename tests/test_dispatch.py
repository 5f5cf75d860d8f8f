"""How requests go out: side by side, evenly, again only where that cannot be paid twice, and to nobody else."""

from __future__ import annotations

import contextlib
import gc
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest

import keyapi_research as kr
from keyapi_research.catalogue.hashtags import HASHTAG_DETAIL
from keyapi_research.client.call import Collection
from keyapi_research.client.delivery import Request as Sent
from keyapi_research.client.delivery import is_worth_another, judge
from keyapi_research.client.pacing import Pace
from keyapi_research.client.transport import Reply, TransportFailure
from keyapi_research.queries import make_queries
from keyapi_research.sandbox import Fault, Request, Sandbox
from keyapi_research.store.sqlite import SQLite

Make = Callable[..., kr.Client]
TOKEN = "a-token-of-the-tests"


def tags(*numbers: int) -> list[str]:
    return [f"tag{number}" for number in numbers]


def most_at_once(requests: Sequence[Request]) -> int:
    edges = sorted([(r.started, 1) for r in requests] + [(r.finished, -1) for r in requests])
    return int(np.cumsum([step for _, step in edges]).max())


def stamps(client: kr.Client) -> Any:
    """Moments of sending, in their order: who is stamped first need not be recorded first."""
    return np.sort(client.ledger()["sent_at"].astype("int64").to_numpy() / 1e6)


class Recorder:
    """A server that keeps the bytes it is sent and answers as it is told; no answer: it only listens."""

    def __init__(self, *answers: bytes) -> None:
        self.heard: list[bytes] = []
        self._answers = answers
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(5)
                for answer in self._answers or (b"",):
                    self.heard.append(connection.recv(65536))
                    connection.sendall(answer)

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


@pytest.fixture
def record() -> Iterator[Callable[..., Recorder]]:
    servers: list[Recorder] = []

    def start(*answers: bytes) -> Recorder:
        servers.append(Recorder(*answers))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hardly any wait before another attempt, where how long is another test's."""
    monkeypatch.setattr("keyapi_research.client.dispatch.jittered", lambda attempt: 0.01)


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


# Side by side --------------------------------------------------------------------------------------------------


def meet(sandbox: Sandbox, number: int) -> None:
    """Answer only where so many requests wait at once."""
    together = threading.Barrier(number)

    def wait(*_: object) -> None:
        together.wait(60)

    sandbox.on_request = wait


@pytest.mark.parametrize("workers", [1, 4])
def test_as_many_at_once_as_allowed(workers: int, make_client: Make, sandbox: Sandbox) -> None:
    meet(sandbox, workers)
    kr.fetch_hashtags(tags(*range(12)), client=make_client(max_workers=workers))
    assert most_at_once(sandbox.requests) == workers


def test_all_calls_of_a_client_share_its_workers(make_client: Make, sandbox: Sandbox) -> None:
    meet(sandbox, 3)
    client = make_client(max_workers=3)
    calls = [threading.Thread(target=kr.fetch_hashtags, args=(tags(n, n + 10, n + 20),), kwargs={"client": client})
             for n in range(4)]
    for call in calls:
        call.start()
    for call in calls:
        call.join()
    assert len(sandbox.requests) == 12
    assert most_at_once(sandbox.requests) == 3


def test_connections_are_kept(client: kr.Client, sandbox: Sandbox) -> None:
    accepted = []
    accept = sandbox._listener.process_request
    sandbox._listener.process_request = lambda *of: (accepted.append(1), accept(*of))
    kr.fetch_hashtags(tags(*range(30)), client=client)
    kr.fetch_hashtags(tags(*range(30, 60)), client=client)
    assert len(accepted) <= 4


def test_rows_are_in_the_order_of_the_ids_whatever_the_answers_are_in(make_client: Make, sandbox: Sandbox) -> None:
    sandbox.on_request = lambda _, params: Fault(delay=0.1 if params["hashtag_name"] == "tag0" else 0)
    frame = kr.fetch_hashtags(tags(0, 1, 2, 3), client=make_client())
    assert frame["hashtag_name"].tolist() == tags(0, 1, 2, 3)


# Evenly --------------------------------------------------------------------------------------------------------


def test_sends_are_an_interval_apart_by_their_own_stamps(make_client: Make, sandbox: Sandbox) -> None:
    client = make_client(requests_per_second=20, max_workers=8, max_call_credits=None)
    kr.fetch_hashtags(tags(*range(25)), client=client)
    sent = stamps(client)
    assert np.diff(sent).min() >= 1 / 20
    assert (sent[20:] - sent[:-20]).min() >= 1.0  # 21 consecutive sends


def test_the_pace_is_the_clients_not_the_calls(make_client: Make, sandbox: Sandbox) -> None:
    client = make_client(requests_per_second=25)
    calls = [threading.Thread(target=kr.fetch_hashtags, args=(tags(n, n + 10, n + 20),), kwargs={"client": client})
             for n in range(3)]
    for call in calls:
        call.start()
    for call in calls:
        call.join()
    kr.fetch_product_insights(region="US", limit=60, client=client)
    assert np.diff(stamps(client)).min() >= 1 / 25


@pytest.mark.usefixtures("hurried")
def test_attempts_keep_the_pace_too(make_client: Make, sandbox: Sandbox) -> None:
    client = make_client(requests_per_second=4, retries=1)
    sandbox.faults.put(Fault(status=500))
    kr.fetch_hashtags("cats", client=client)
    assert np.diff(stamps(client)).min() >= 0.25


def test_the_default_is_five_a_second_and_none_in_the_sandbox(make_client: Make) -> None:
    with kr.Client(sandbox=True, store=":memory:", progress=False) as client:
        assert client.settings.requests_per_second is None
    with kr.Client(sandbox=True, store=":memory:", requests_per_second=5) as client:
        assert client.settings.requests_per_second == 5
    assert kr.Client(token=TOKEN, store=":memory:").settings.requests_per_second == 5


@pytest.mark.of_a_file
def test_what_a_locked_store_held_up_does_not_come_in_a_burst(
    make_client: Make, sandbox: Sandbox, tmp_path: Path
) -> None:
    client = make_client(requests_per_second=10, store=tmp_path / "locked.sqlite")
    kr.fetch_hashtags("before", client=client)
    other = sqlite3.connect(tmp_path / "locked.sqlite", isolation_level=None, check_same_thread=False)
    other.execute("BEGIN EXCLUSIVE")
    release = threading.Timer(1, other.close)
    release.start()
    kr.fetch_hashtags(tags(*range(6)), client=client)
    release.join()
    sent, noted = np.sort([one.started for one in sandbox.requests[1:]]), stamps(client)
    assert np.diff(noted).min() >= 0.1
    assert sent[-1] - sent[0] > 0.4  # five intervals, less what the first was late
    assert noted[1] - noted[0] > 0.9  # when it went out, not when it might have


def take(pace: Pace, stop: threading.Event) -> bool:
    with pace.turn(stop) as has_come:
        return has_come


def test_stopping_wakes_who_waits_for_the_pace() -> None:
    pace, stop = Pace(0.01), threading.Event()
    assert take(pace, stop)
    threading.Timer(0.05, stop.set).start()
    began = time.monotonic()
    assert not take(pace, stop)
    assert time.monotonic() - began < 30  # not 100


# 429 -----------------------------------------------------------------------------------------------------------


def in_seconds(seconds: int) -> str:
    return format_datetime(datetime.now(UTC) + timedelta(seconds=seconds), usegmt=True)


@pytest.mark.parametrize(
    ("header", "least", "most"),
    [("1", 1.0, 2.0), (lambda: in_seconds(2), 0.9, 3.0), (None, 0.25, 1.5), ("soon", 0.25, 1.5), ("-3", 0.0, 1.5),
     (lambda: in_seconds(-100), 0.0, 1.5)],
    ids=["seconds", "date", "nothing", "nonsense", "negative", "past"],
)
def test_429_waits_as_long_as_the_header_has_it(
    header: Any, least: float, most: float, client: kr.Client, sandbox: Sandbox
) -> None:
    header = header() if callable(header) else header
    sandbox.faults.put(Fault(status=429, headers={} if header is None else {"Retry-After": header}))
    assert len(kr.fetch_hashtags("cats", client=client)) == 1
    first, second = stamps(client)
    assert least <= second - first <= most
    assert sandbox.charged == 2


@pytest.mark.usefixtures("hurried")
def test_429_inside_a_200_is_a_429(client: kr.Client, sandbox: Sandbox) -> None:
    sandbox.faults.put(Fault(code=429, inside_200=True, headers={"Retry-After": "0"}))
    assert len(kr.fetch_hashtags("cats", client=client)) == 1
    assert client.ledger()["code"].tolist() == [429, 0]


def test_429_stops_the_other_requests_too_and_slows_down(make_client: Make, sandbox: Sandbox) -> None:
    client = make_client(max_workers=4)
    sandbox.faults.put(Fault(status=429, headers={"Retry-After": "1"}))
    sandbox.latency = 0.02
    kr.fetch_hashtags(tags(*range(8)), client=client)
    sent = sorted(stamps(client))  # of two threads the later one may be written down first
    assert len(sent) == 9
    gap = int(np.diff(sent).argmax())
    assert np.diff(sent)[gap] > 0.9
    limited = client.ledger().query("http_status == 429").iloc[0]
    heard = limited["sent_at"].timestamp() + limited["elapsed_s"]
    assert sent[gap] < heard + 0.3  # before the wait came only what was under way, however slow the machine
    assert np.diff(sent)[gap + 1 :].min() >= 0.05


@pytest.mark.parametrize("header", ["61", "86400", lambda: in_seconds(3600)])
def test_429_for_longer_than_a_minute_is_raised_at_once(header: Any, make_client: Make, sandbox: Sandbox) -> None:
    client = make_client(max_workers=1)
    header = header() if callable(header) else header
    sandbox.faults.put(Fault(status=429, headers={"Retry-After": header}))
    began = time.monotonic()
    with pytest.raises(kr.RateLimitedError) as caught:
        kr.fetch_hashtags(tags(1, 2, 3), errors="warn", client=client)
    assert time.monotonic() - began < 30
    assert caught.value.retry_after == pytest.approx(3600 if header.endswith("GMT") else float(header), abs=2)
    assert caught.value.retryable
    assert caught.value.failures is not None
    assert caught.value.failures["error"].tolist() == ["RateLimitedError", "NotSent", "NotSent"]
    assert len(sandbox.requests) == 1


def test_a_minute_is_waited_for_and_no_longer() -> None:
    assert is_worth_another(kr.RateLimitedError("slow down", retry_after=60.0))
    assert not is_worth_another(kr.RateLimitedError("slow down", retry_after=60.1))


def test_429_for_longer_than_a_minute_does_not_stall_the_next_call(make_client: Make, sandbox: Sandbox) -> None:
    client = make_client()
    sandbox.faults.put(Fault(status=429, headers={"Retry-After": "61"}))
    with pytest.raises(kr.RateLimitedError):
        kr.fetch_hashtags(tags(1), client=client)
    began = time.monotonic()
    assert len(kr.fetch_hashtags(tags(1), client=client)) == 1
    assert time.monotonic() - began < 30


def test_slowing_down_while_somebody_waits_is_not_forgotten() -> None:
    pace = Pace(20)
    stop = threading.Event()
    take(pace, stop)
    waiting = threading.Thread(target=take, args=(pace, stop))
    waiting.start()
    pace.slow_down(0.4)
    began = time.monotonic()
    waiting.join(60)
    assert time.monotonic() - began > 0.35


def test_who_stands_in_line_hears_his_own_stop() -> None:
    pace = Pace(0.01)
    first, second = threading.Event(), threading.Event()
    take(pace, first)
    holding = threading.Thread(target=take, args=(pace, first))
    holding.start()
    time.sleep(0.05)
    second.set()
    began = time.monotonic()
    assert not take(pace, second)
    assert time.monotonic() - began < 30  # not 100
    first.set()
    holding.join(60)


@pytest.mark.usefixtures("hurried")
def test_429_again_and_again_ends(make_client: Make, sandbox: Sandbox) -> None:
    client = make_client(retries=2)
    for _ in range(3):
        sandbox.faults.put(Fault(status=429, headers={"Retry-After": "0"}))
    with pytest.raises(kr.RateLimitedError) as caught:
        kr.fetch_hashtags("cats", client=client)
    assert caught.value.retry_after == 0
    assert client.ledger()["attempt"].tolist() == [1, 2, 3]
    assert client.credits_spent == 0


# What is made of an answer -------------------------------------------------------------------------------------

CATS = b'{"code": 0, "message": "success", "request_id": "r1", "data": {"info": {"hashtag_name": "cats"}}}'
JUDGED: dict[str, tuple[Any, tuple[Any, ...], int, type[kr.KeyAPIError] | None, bool]] = {
    # what came; http_status, code and credits of the ledger; what budgets count; the error; whether it is sent again
    "data": (CATS, (200, 0, 2), 2, None, False),
    "data about another": (CATS.replace(b"cats", b"dogs"), (200, 0, 2), 2, None, False),
    "another shape": (b'{"code": 0, "message": "success"}', (200, 0, 2), 2, kr.UnexpectedResponseError, False),
    "no JSON": (b"<html>", (200, None, None), 2, kr.UnexpectedResponseError, False),
    "no credits left": (b'{"code": 402, "message": "no"}', (200, 402, 0), 0, kr.CreditsExhaustedError, False),
    "a server error": (b'{"code": 503, "message": "busy"}', (200, 503, 0), 0, kr.ServerError, True),
    "a server error of its own": (b'{"code": 50004, "message": "no"}', (200, 50004, 0), 0, kr.ServerError, False),
    "too many requests": (b'{"code": 429, "message": "slow"}', (200, 429, 0), 0, kr.RateLimitedError, True),
    "half an answer": (TransportFailure("reset", delivered=True, elapsed_s=1), (None,) * 3, 2, kr.NetworkError, False),
    "nobody there": (TransportFailure("no", delivered=False, elapsed_s=1), (None,) * 3, 0, kr.NetworkError, True),
}


@pytest.mark.parametrize("what", JUDGED)
def test_what_came_of_a_request_is_judged_by_one_table(what: str) -> None:
    came, ledger, cost, kind, again = JUDGED[what]
    request = Sent(HASHTAG_DETAIL, make_queries(HASHTAG_DETAIL, ["cats"], {"region": "US", "period": 7}))
    if isinstance(came, bytes):
        payload = None if came == b"<html>" else json.loads(came)
        came = Reply(200, came, payload, retry_after=None, synthetic=False, elapsed_s=0.1, arrived_at=1)
    verdict = judge(request, came, "keyapi")
    outcome = verdict.outcome
    assert (outcome.http_status, outcome.code, outcome.credits) == ledger
    assert (verdict.cost, verdict.again) == (cost, again)
    assert type(verdict.error) is (kind or type(None))
    assert len(verdict.found) == (0 if kind else 1)
    assert verdict.source == (None if kind else "keyapi")


# What is tried again -------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("hurried")
@pytest.mark.parametrize("retries", [0, 1, 2])
def test_an_answered_failure_is_tried_again_so_often(retries: int, make_client: Make, sandbox: Sandbox) -> None:
    client = make_client(retries=retries)
    for status in [500, 502, 503][: retries + 1]:
        sandbox.faults.put(Fault(status=status))
    with pytest.raises(kr.ServerError):
        kr.fetch_hashtags("cats", client=client)
    ledger = client.ledger()
    assert ledger["attempt"].tolist() == list(range(1, retries + 2))
    assert ledger["credits"].tolist() == [0] * (retries + 1)
    assert len(kr.fetch_hashtags("cats", client=client)) == 1


def test_attempts_wait_longer_and_never_the_same(make_client: Make, sandbox: Sandbox) -> None:
    client = make_client(retries=2)
    for _ in range(2):
        sandbox.faults.put(Fault(status=500))
    kr.fetch_hashtags("cats", client=client)
    first, second = np.diff(stamps(client))
    assert 0.25 <= first <= 1.0
    assert 0.5 <= second <= 1.5


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (Fault(delay=0.6), kr.NetworkError),
        (Fault(close="before"), kr.NetworkError),
        (Fault(close="mid_body"), kr.NetworkError),
        (Fault(headers={"Content-Length": "100000"}), kr.NetworkError),
        (Fault(body=b"<html>"), kr.UnexpectedResponseError),
        (Fault(status=302, headers={"Location": "/elsewhere"}), kr.UnexpectedResponseError),
    ],
    ids=["read timeout", "closed", "reset in the body", "short body", "no JSON", "redirect"],
)
def test_what_may_have_been_charged_is_not_sent_again(
    fault: Fault, kind: type[kr.KeyAPIError], make_client: Make, sandbox: Sandbox
) -> None:
    client = make_client(timeout=(1, 0.3), retries=2)
    sandbox.faults.put(fault)
    with pytest.raises(kind, match=r"may have been charged|not followed") as caught:
        kr.fetch_hashtags("cats", client=client)
    assert caught.value.frame is not None
    assert caught.value.frame.empty
    assert len(client.ledger()) == 1
    assert client.ledger()["credits"].isna().all()
    assert client.credits_spent == 2
    assert len(kr.fetch_hashtags("cats", client=client)) == 1  # the next call requests it again


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 418])
def test_refusals_are_not_sent_again(status: int, client: kr.Client, sandbox: Sandbox) -> None:
    sandbox.faults.put(Fault(status=status))
    with pytest.raises(kr.KeyAPIError) as caught:
        kr.fetch_hashtags("cats", client=client)
    assert not caught.value.retryable
    assert len(sandbox.requests) == 1
    assert client.ledger()["credits"].tolist() == [0]


@pytest.mark.usefixtures("hurried")
@pytest.mark.parametrize("base_url", ["http://127.0.0.1:{port}", "https://127.0.0.1:{port}", "https://no.such.invalid"])
def test_what_was_surely_not_delivered_is_tried_again_and_costs_nothing(base_url: str, make_client: Make) -> None:
    client = make_client(base_url=base_url.format(port=closed_port()), retries=1, max_credits=2)
    with pytest.raises(kr.NetworkError, match="nothing was delivered or charged") as caught:
        kr.fetch_hashtags("cats", client=client)
    assert caught.value.retryable
    ledger = client.ledger()
    assert ledger["attempt"].tolist() == [1, 2]
    assert ledger["credits"].isna().all()
    assert client.credits_spent == 0


@pytest.mark.usefixtures("hurried")
def test_a_server_that_speaks_no_tls_gets_no_request(make_client: Make, record: Callable[..., Recorder]) -> None:
    server = record(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    client = make_client(base_url=server.url.replace("http://", "https://"), retries=1)
    with pytest.raises(kr.NetworkError, match="nothing was delivered"):
        kr.fetch_hashtags("cats", client=client)
    assert len(client.ledger()) == 2
    assert client.credits_spent == 0


def test_a_server_that_comes_back_is_found(make_client: Make, sandbox: Sandbox) -> None:
    port = closed_port()
    client = make_client(base_url=f"http://127.0.0.1:{port}")
    with Sandbox(port=port) as late:
        late.close()
        threading.Timer(0.1, late.start).start()
        assert len(kr.fetch_hashtags("cats", client=client)) == 1
    assert client.ledger()["credits"].isna().tolist()[0]
    assert client.ledger()["credits"].tolist()[-1] == 2
    assert client.credits_spent == 2


def test_a_connection_closed_while_idle_is_not_used_again(client: kr.Client, sandbox: Sandbox) -> None:
    kr.fetch_hashtags(tags(1), client=client)
    for connection in sandbox._listener.connections.values():
        connection.shutdown(socket.SHUT_RDWR)
    time.sleep(0.05)
    kr.fetch_hashtags(tags(2), client=client)
    assert client.ledger()["credits"].tolist() == [2, 2]


# When some fail ------------------------------------------------------------------------------------------------


def fail(sandbox: Sandbox, **faults: Fault) -> None:
    sandbox.on_request = lambda _, params: faults.get(params.get("hashtag_name", ""))


def test_the_rest_is_finished_and_a_rerun_pays_for_what_is_missing(make_client: Make, sandbox: Sandbox) -> None:
    client = make_client(retries=0)
    fail(sandbox, tag1=Fault(status=500, message="es index"), tag3=Fault(close="before"))
    with pytest.raises(kr.FetchIncompleteError, match=r"2 of 5 ids.*rerun.*2 requests = 4 credits") as caught:
        kr.fetch_hashtags(tags(*range(5)), client=client)
    error = caught.value
    assert error.retryable
    assert error.frame is not None
    assert error.frame["hashtag_name"].tolist() == tags(0, 2, 4)
    assert error.failures is not None
    assert {name: str(dtype) for name, dtype in error.failures.dtypes.items()} == {
        "id": "string", "error": "string", "status_code": "Int64", "code": "Int64", "message": "string",
        "request_id": "string", "retryable": "boolean",
    }
    failures = error.failures.set_index("id")
    assert failures.loc["tag1", ["error", "status_code", "code", "message"]].tolist() == [
        "ServerError", 500, 500, "es index"
    ]
    assert failures.loc["tag3", "error"] == "NetworkError"
    assert failures["retryable"].tolist() == [True, True]
    assert sandbox.charged == 6
    sandbox.on_request = None
    assert kr.plan(kr.fetch_hashtags, tags(*range(5)), client=client).credits == 4
    assert kr.fetch_hashtags(tags(*range(5)), client=client)["hashtag_name"].tolist() == tags(*range(5))
    assert sandbox.charged == 10


def test_warn_returns_the_partial_table(make_client: Make, sandbox: Sandbox) -> None:
    client = make_client(retries=0)
    fail(sandbox, tag1=Fault(status=500))
    with pytest.warns(kr.IncompleteDataWarning, match="1 of 3 ids.*1 request = 2 credits") as caught:
        frame = kr.fetch_hashtags(tags(0, 1, 2), errors="warn", client=client)
    assert frame["hashtag_name"].tolist() == tags(0, 2)
    assert caught[0].filename == __file__
    with pytest.warns(kr.IncompleteDataWarning, match="1 of 1"):
        nothing = kr.fetch_hashtags(tags(1), errors="warn", client=client)
    assert nothing.empty
    assert nothing.dtypes.equals(frame.dtypes)


def test_one_and_the_same_error_is_raised_itself(make_client: Make, sandbox: Sandbox) -> None:
    client = make_client(retries=0)
    fail(sandbox, tag1=Fault(status=500), tag2=Fault(status=500), tag3=Fault(status=503), tag4=Fault(status=400))
    with pytest.raises(kr.ServerError, match=r"0 of 2 came.*2 requests = 4 credits") as caught:
        kr.fetch_hashtags(tags(1, 2), client=client)
    assert caught.value.code == 500
    assert caught.value.failures is not None
    assert caught.value.failures["id"].tolist() == tags(1, 2)
    for others in (tags(1, 3), tags(1, 4)):  # another code, another class
        with pytest.raises(kr.FetchIncompleteError):
            kr.fetch_hashtags(others, client=client)
    with pytest.raises(kr.FetchIncompleteError, match="1 of 2"):  # not every id failed
        kr.fetch_hashtags(tags(1, 9), client=client)
    with pytest.raises(kr.InvalidRequestError):
        kr.fetch_hashtags(tags(4), client=client)


def test_a_batch_fails_as_a_whole(make_client: Make, sandbox: Sandbox) -> None:
    client = make_client(retries=0, max_workers=1)
    sandbox.faults.put(Fault(status=500))
    ids = [str(7_100_000_000_000_000_000 + n) for n in range(1, 13)]
    with pytest.raises(kr.FetchIncompleteError, match=r"10 of 12 ids.*1 request = 1 credit\b") as caught:
        kr.fetch_videos(ids, client=client)
    assert caught.value.frame is not None
    assert caught.value.frame["video_id"].tolist() == ids[10:]


@pytest.mark.parametrize("errors", ["raise", "warn"])
@pytest.mark.parametrize(
    ("status", "kind"),
    [(401, kr.AuthenticationError), (402, kr.CreditsExhaustedError), (403, kr.AccessDeniedError)],
)
@pytest.mark.parametrize("inside_200", [False, True])
def test_hard_stops_send_nothing_more(
    inside_200: bool, status: int, kind: type[kr.KeyAPIError], errors: Any, make_client: Make, sandbox: Sandbox
) -> None:
    client = make_client(max_workers=1)
    kr.fetch_hashtags(tags(0), client=client)
    sandbox.faults.put(Fault())
    sandbox.faults.put(Fault(code=status, status=None if inside_200 else status, inside_200=inside_200))
    with pytest.raises(kind) as caught:
        kr.fetch_hashtags(tags(*range(6)), errors=errors, client=client)
    error = caught.value
    assert type(error) is kind
    assert error.frame is not None
    assert error.frame["hashtag_name"].tolist() == tags(0, 1)
    assert error.failures is not None
    assert error.failures["id"].tolist() == tags(2, 3, 4, 5)
    assert error.failures["error"].tolist() == [kind.__name__, "NotSent", "NotSent", "NotSent"]
    assert len(sandbox.requests) == 3
    assert sandbox.charged == client.credits_spent == 4
    kr.fetch_hashtags(tags(*range(6)), client=client)
    assert sandbox.charged == 12


def test_the_account_runs_dry(make_client: Make, sandbox: Sandbox) -> None:
    client = make_client(max_workers=1)
    sandbox.credits = 5
    with pytest.raises(kr.CreditsExhaustedError) as caught:
        kr.fetch_hashtags(tags(*range(5)), client=client)
    assert caught.value.frame is not None
    assert len(caught.value.frame) == 2
    sandbox.credits = None
    kr.fetch_hashtags(tags(*range(5)), client=client)
    assert sandbox.charged == client.ledger()["credits"].sum() == 10


@pytest.mark.usefixtures("hurried")
@pytest.mark.parametrize(("status", "code"), [(500, 50004), (503, 1000), (200, 500), (200, 503)])
def test_any_5xx_is_tried_again(status: int, code: int, client: kr.Client, sandbox: Sandbox) -> None:
    sandbox.faults.put(Fault(status=status, code=code))
    assert len(kr.fetch_hashtags("cats", client=client)) == 1
    assert client.ledger()["attempt"].tolist() == [1, 2]


def test_a_code_of_its_own_inside_a_200_is_not_tried_again(client: kr.Client, sandbox: Sandbox) -> None:
    sandbox.faults.put(Fault(status=200, code=50004))
    with pytest.raises(kr.ServerError):
        kr.fetch_hashtags("cats", client=client)
    assert len(sandbox.requests) == 1


def test_what_was_sent_is_not_called_not_sent(make_client: Make, sandbox: Sandbox) -> None:
    refused = threading.Event()

    def answer(_: str, params: dict[str, str]) -> Fault:
        if params["hashtag_name"] == "tag1":
            refused.set()
            return Fault(status=500)
        assert refused.wait(60)
        return Fault(status=401, delay=0.1)

    sandbox.on_request = answer
    with pytest.raises(kr.AuthenticationError) as caught:
        kr.fetch_hashtags(tags(1, 2), client=make_client(max_workers=2))
    assert caught.value.failures is not None
    assert caught.value.failures["error"].tolist() == ["ServerError", "AuthenticationError"]
    assert caught.value.failures["status_code"].tolist() == [500, 401]


# Ctrl-C --------------------------------------------------------------------------------------------------------

INTERRUPTED = """
    import sys
    import keyapi_research as kr
    url, store = sys.argv[1:]
    try:
        with kr.Client(token="a-token-of-the-tests", base_url=url, store=store, requests_per_second=None,
                       timeout=(5, 300), progress=False) as client:
            kr.fetch_hashtags([f"tag{n}" for n in range(40)], client=client)
    except KeyboardInterrupt:
        sys.exit(3)
"""


def interrupt(sandbox: Sandbox, store: Any, *, times: int) -> float:
    """Run a call of forty ids in a process, press Ctrl-C when four are in flight; give the seconds until it ended."""
    arrived = threading.Semaphore(0)
    sandbox.on_request = lambda *_: arrived.release()
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(INTERRUPTED), sandbox.url, str(store)], env=environment
    ) as child:
        for _ in range(4):
            assert arrived.acquire(timeout=60)
        began = time.monotonic()
        for _ in range(times):
            child.send_signal(signal.SIGINT)
            time.sleep(0.3)
        assert child.wait(timeout=120) == 3
        return time.monotonic() - began


def test_the_first_ctrl_c_waits_for_what_is_in_flight(make_client: Make, sandbox: Sandbox, tmp_path: Any) -> None:
    sandbox.latency = 2
    interrupt(sandbox, tmp_path / "store.sqlite", times=1)
    assert len(sandbox.requests) == 4  # nothing more was sent
    client = make_client()
    assert client.status().answers == 4
    assert client.ledger()["credits"].tolist() == [2] * 4
    sandbox.latency, sandbox.on_request = 0, None
    kr.fetch_hashtags(tags(*range(40)), client=client)
    assert sandbox.charged == 80


def test_the_second_ctrl_c_leaves_at_once(make_client: Make, sandbox: Sandbox, tmp_path: Any) -> None:
    sandbox.latency = 90
    assert interrupt(sandbox, tmp_path / "store.sqlite", times=2) < 60
    ledger = make_client().ledger()
    assert len(ledger) == 4
    assert ledger["credits"].isna().all()


def press_ctrl_c() -> None:
    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)


def finish(job: Callable[[], Any]) -> Any:
    """Run a job that would wait for ever if something was lost."""
    got: list[Any] = []
    thread = threading.Thread(target=lambda: got.append(job()), daemon=True)
    thread.start()
    thread.join(60)
    assert got, "it never came back"
    return got[0]


def test_ctrl_c_in_a_ranking_keeps_the_page(client: kr.Client, sandbox: Sandbox) -> None:
    def press(_: str, params: dict[str, str]) -> Fault:
        if params["page"] == "2":
            press_ctrl_c()
        return Fault(delay=0.1)

    sandbox.on_request = press
    with pytest.raises(KeyboardInterrupt):
        kr.fetch_product_insights(region="US", limit=60, client=client)
    sandbox.on_request = None
    assert client.status().answers == 2
    assert len(finish(lambda: kr.fetch_product_insights(region="US", limit=60, client=client))) == 60
    assert sandbox.charged == client.credits_spent == 6


def test_ctrl_c_releases_the_budget(make_client: Make, sandbox: Sandbox) -> None:
    client = make_client(max_workers=1)

    def press(*_: Any) -> Fault:
        press_ctrl_c()
        return Fault(delay=0.1)

    sandbox.on_request = press
    with kr.budget(20, client=client) as budget:
        with pytest.raises(KeyboardInterrupt):
            kr.fetch_hashtags(tags(*range(10)), client=client)
        sandbox.on_request = None
        assert (budget.spent, budget.remaining) == (2, 18)
        frame = finish(lambda: kr.fetch_hashtags(tags(*range(10)), client=client))
    assert len(frame) == 10
    assert sandbox.charged == budget.spent == 20


@pytest.mark.parametrize("begun", [0, 1, 2])
def test_ctrl_c_while_a_call_starts_strands_nobody(
    begun: int, make_client: Make, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = make_client()
    start = threading.Thread.start
    left = [begun]

    def stumble(thread: threading.Thread) -> None:
        if thread.name == "keyapi":
            if not left[0]:
                raise KeyboardInterrupt
            left[0] -= 1
        start(thread)

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", stumble)
        with pytest.raises(KeyboardInterrupt):
            kr.fetch_hashtags(tags(*range(10)), client=client)
    assert len(finish(lambda: kr.fetch_hashtags(tags(*range(10)), client=client))) == 10
    assert sandbox.charged == 20


def test_ctrl_c_before_the_first_thread_strands_nobody(
    client: kr.Client, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stumble(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("keyapi_research.client.client.Progress", stumble)
        with pytest.raises(KeyboardInterrupt):
            kr.fetch_hashtags(tags(*range(10)), client=client)
    assert len(finish(lambda: kr.fetch_hashtags(tags(*range(10)), client=client))) == 10
    assert sandbox.charged == 20


# A closed client -----------------------------------------------------------------------------------------------


def test_a_closed_client_is_an_error_and_shown_as_closed(client: kr.Client, sandbox: Sandbox) -> None:
    client.close()
    client.close()
    assert "closed" in repr(client)
    with pytest.raises(kr.StoreError, match="closed; connect again"):
        kr.fetch_hashtags("cats", client=client)
    assert sandbox.requests == []


def test_a_default_client_that_was_closed_is_not_replaced_by_itself(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEYAPI_TOKEN", "a-token-of-the-tests")
    monkeypatch.setenv("KEYAPI_BASE_URL", sandbox.url)
    kr.connect(sandbox=True, store=":memory:").close()
    for use in (lambda: kr.fetch_hashtags("cats"), kr.status, kr.ledger):
        with pytest.raises(kr.StoreError, match="closed; connect again"):
            use()
    assert sandbox.requests == []


def test_a_client_that_is_dropped_leaves_no_sandbox_running() -> None:
    client = kr.Client(sandbox=True, store=":memory:")
    kr.fetch_hashtags("cats", client=client)
    [request] = client._sender.sandbox.requests
    port = urlsplit(client._sender.sandbox.url).port
    del client, request
    gc.collect()
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0


@pytest.mark.parametrize("header", ["0", "60"])
def test_closing_does_not_wait_for_another_attempt(header: str, make_client: Make, sandbox: Sandbox) -> None:
    client = make_client()
    sandbox.on_request = lambda *_: Fault(status=429, headers={"Retry-After": header} if header != "0" else {})
    errors: list[Any] = []

    def fetch() -> None:
        try:
            kr.fetch_hashtags(tags(1, 2), client=client)
        except kr.KeyAPIError as error:
            errors.append(error)

    thread = threading.Thread(target=fetch)
    thread.start()
    while not sandbox.requests:
        time.sleep(0.01)
    time.sleep(0.1)
    began = time.monotonic()
    client.close()
    thread.join(30)
    assert time.monotonic() - began < 30
    assert len(errors) == 1


def test_closing_waits_for_what_is_in_flight(make_client: Make, sandbox: Sandbox) -> None:
    client = make_client(max_workers=1)
    sandbox.latency = 0.2
    errors: list[Any] = []

    def fetch() -> None:
        try:
            kr.fetch_hashtags(tags(1, 2, 3), client=client)
        except kr.KeyAPIError as error:
            errors.append(error)

    thread = threading.Thread(target=fetch)
    thread.start()
    while not client.status().requests:
        time.sleep(0.01)
    client.close()
    thread.join(60)
    assert [type(error) for error in errors] == [kr.StoreError]
    assert errors[0].frame is not None
    assert errors[0].answer == []
    assert len(sandbox.requests) == 1
    assert make_client().ledger()["credits"].tolist() == [2]


# Other hosts, other headers ------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(status: int, client: kr.Client, sandbox: Sandbox) -> None:
    with Sandbox() as foreign:
        where = f"{foreign.url}/v1/tiktok/trending/hashtag/detail?hashtag_name=cats"
        sandbox.faults.put(Fault(status=status, headers={"Location": where}))
        with pytest.raises(kr.UnexpectedResponseError, match="is a redirect") as caught:
            kr.fetch_hashtags("cats", client=client)
        assert caught.value.status_code == status
        assert foreign.requests == []
    assert len(sandbox.requests) == 1
    assert client.ledger()["http_status"].tolist() == [status]


def test_the_body_of_a_redirect_is_not_data(client: kr.Client, sandbox: Sandbox) -> None:
    body = json.dumps({"code": 0, "message": "success", "data": {"info": {"hashtag_name": "cats"}}}).encode()
    sandbox.faults.put(Fault(status=302, headers={"Location": "/login"}, body=body))
    with pytest.raises(kr.UnexpectedResponseError):
        kr.fetch_hashtags("cats", client=client)
    assert client.status().answers == 0


UNFRIENDLY = {
    "Vary": "*", "Cache-Control": "no-store, max-age=0", "Pragma": "no-cache", "Expires": "0", "ETag": '"v1"',
    "Last-Modified": "Tue, 03 Feb 2026 00:00:00 GMT", "Set-Cookie": "session=of-the-server; Path=/", "Age": "99",
}


def test_headers_of_caches_change_nothing(make_client: Make, sandbox: Sandbox, tmp_path: Any) -> None:
    sandbox.extra_headers = UNFRIENDLY
    client = make_client()
    kr.fetch_hashtags(tags(1, 2), client=client)
    kr.fetch_hashtags(tags(1, 2), client=client)
    kr.fetch_hashtag_trends(tags(2, 1), client=make_client(timeout=9))
    kr.fetch_product_insights(region="US", limit=40, client=client)
    kr.fetch_product_insights(region="US", limit=40, client=client)
    assert sandbox.charged == 8
    kr.fetch_hashtags(tags(1), max_age=0, client=client)
    assert sandbox.charged == client.ledger()["credits"].sum() == 10
    client.close()
    for file in tmp_path.glob("store.sqlite*"):
        assert b"of-the-server" not in file.read_bytes()


def test_nothing_is_sent_back_but_the_answer(make_client: Make, record: Callable[..., Recorder]) -> None:
    refusal = b'{"code": 400, "data": null, "message": "no"}'
    head = "".join(f"{name}: {value}\r\n" for name, value in UNFRIENDLY.items())
    answer = f"HTTP/1.1 400 Bad Request\r\n{head}Content-Length: {len(refusal)}\r\n\r\n".encode() + refusal
    server = record(answer, answer)
    client = make_client(base_url=server.url)
    for _ in range(2):
        with pytest.raises(kr.InvalidRequestError):
            kr.fetch_hashtags("cats", client=client)
    assert len(server.heard) == 2
    for request in server.heard:
        line, *headers = request.decode().split("\r\n")
        assert line == "GET /v1/tiktok/trending/hashtag/detail?hashtag_name=cats&region=all_regions&period=7 HTTP/1.1"
        names = {header.partition(":")[0].lower() for header in headers if header}
        assert names <= {"host", "user-agent", "accept", "accept-encoding", "connection", "authorization"}
        assert request.count(TOKEN.encode()) == 1


# Found by reading and trying ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_certificates_that_are_not_there_do_not_matter_without_tls(
    name: str, make_client: Callable[..., kr.Client], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(name, str(tmp_path / "no.pem"))
    assert len(kr.fetch_hashtags("ufc324", client=make_client())) == 1


def test_what_is_in_flight_is_written_down_before_an_error_of_the_caller_goes_on(
    make_client: Callable[..., kr.Client], sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = make_client()
    kr.fetch_hashtags("ufc324", client=client)  # one usable answer: the others may come side by side
    first = iter([0.0])
    sandbox.on_request = lambda *_: Fault(delay=next(first, 1.0))

    def fail(*_: object) -> None:
        raise MemoryError("at any line")

    monkeypatch.setattr(Collection, "arrive", fail)
    with client.budget(100) as budget, pytest.raises(MemoryError):
        kr.fetch_hashtags([f"tag{number}" for number in range(8)], client=client)
    assert budget.spent == sandbox.charged - 2
    assert client.ledger()["http_status"].notna().all()


def test_a_paid_answer_is_kept_where_the_source_of_its_store_cannot_be_read(
    make_client: Callable[..., kr.Client], sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(SQLite, "patience", 0.3)
    client = make_client()
    with contextlib.closing(
        sqlite3.connect(tmp_path / "store.sqlite", isolation_level=None, check_same_thread=False)
    ) as other:

        def lock(*_: object) -> None:
            other.execute("BEGIN EXCLUSIVE")

        sandbox.on_request = lock
        with pytest.raises(kr.StoreError, match="locked"):
            kr.fetch_hashtags("ufc324", client=client)
        other.execute("ROLLBACK")
        sandbox.on_request = None
    assert len(kr.fetch_hashtags("ufc324", client=client)) == 1
    assert sandbox.charged == 2


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_fork_that_closes_what_another_thread_was_writing_with_ends(
    make_client: Callable[..., kr.Client], sandbox: Sandbox
) -> None:
    client = make_client()
    kr.fetch_hashtags("ufc324", client=client)
    locked, released = threading.Event(), threading.Event()

    def write() -> None:
        with client.store._db.transaction():
            locked.set()
            released.wait(60)

    writer = threading.Thread(target=write)
    writer.start()
    locked.wait(60)
    child = os.fork()
    if child == 0:
        try:
            client.close()
        finally:
            os._exit(0)
    ended = 0
    for _ in range(3000):
        ended = os.waitpid(child, os.WNOHANG)[0]
        if ended:
            break
        time.sleep(0.01)
    else:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    released.set()
    writer.join()
    assert ended == child


# A service that is down ------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("hurried")
@pytest.mark.parametrize(
    ("fault", "kind"), [(Fault(status=500, charge=True), kr.ServerError), (Fault(close="before"), kr.NetworkError)]
)
def test_where_the_first_requests_all_fail_the_rest_is_not_sent(
    fault: Fault, kind: type[kr.KeyAPIError], make_client: Make, sandbox: Sandbox
) -> None:
    sandbox.on_request = lambda path, params: fault
    client = make_client(retries=2, max_call_credits=None)
    with pytest.raises(kind, match=r"first 5 requests of this call failed, so 35 more ids were not requested") as told:
        kr.fetch_hashtags(tags(*range(40)), client=client)
    assert {one.params["hashtag_name"] for one in sandbox.requests} <= set(tags(*range(40)))
    assert len({one.params["hashtag_name"] for one in sandbox.requests}) == 5
    assert len(sandbox.requests) == (15 if kind is kr.ServerError else 5)  # what may have been charged is not repeated
    assert told.value.failures["error"].value_counts().to_dict() == {"NotSent": 35, kind.__name__: 5}
    sandbox.on_request = None
    assert len(kr.fetch_hashtags(tags(*range(40)), client=client)) == 40


@pytest.mark.usefixtures("hurried")
def test_a_service_that_answers_at_times_is_asked_for_all(make_client: Make, sandbox: Sandbox) -> None:
    sandbox.on_request = lambda path, params: None if params["hashtag_name"] == "tag3" else Fault(status=500)
    client = make_client(retries=0)
    with pytest.raises(kr.FetchIncompleteError):
        kr.fetch_hashtags(tags(*range(20)), client=client)
    assert len(sandbox.requests) == 20


@pytest.mark.parametrize("header", ["1.0", "1.5"])
def test_a_wait_with_a_fraction_is_a_wait(header: str, make_client: Make, sandbox: Sandbox) -> None:
    sandbox.faults.put(Fault(status=429, headers={"Retry-After": header}))
    kr.fetch_hashtags("cats", client=make_client())
    first, second = [one.started for one in sandbox.requests]
    assert second - first >= 1


def test_how_long_to_wait_is_said(make_client: Make, sandbox: Sandbox) -> None:
    sandbox.faults.put(Fault(status=429, headers={"Retry-After": "3600"}))
    with pytest.raises(kr.RateLimitedError, match="a wait of 3,600 seconds"):
        kr.fetch_hashtags("cats", client=make_client())
