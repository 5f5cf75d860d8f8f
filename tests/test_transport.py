"""HTTP as it really goes wrong: a typed error or the table, in bounded time, and a ledger that is exact."""

from __future__ import annotations

import gzip
import json
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from faulty import (
    Answer,
    Faulty,
    certificate,
    chunked,
    drip,
    endless,
    envelope,
    http,
    refuse,
    then_close,
    then_reset,
    then_wait,
    tunnel,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from stores import wait_until

import keyapi_research as kr
from keyapi_research.client import pacing, transport
from keyapi_research.settings import Secret

GOOD = http(envelope())
POSTS = 12142  # of the documented answer
PATIENCE = 0.4  # read timeout; a whole answer may take four of them
LONGEST = 30.0  # far more than a busy machine needs for that; what is not cut off lasts two minutes, or for ever
TOKEN = "a-token-of-the-tests"
BODY = envelope()
PACKED = gzip.compress(BODY)
MEGABYTE = b"x" * 2**20


@pytest.fixture(autouse=True)
def without_jitter(monkeypatch: pytest.MonkeyPatch) -> None:
    """Attempts a moment apart: how far is another test's."""
    monkeypatch.setattr("keyapi_research.client.dispatch.jittered", lambda attempt: 0.01 * attempt)


def connect(make_client: Callable[..., kr.Client], server: Faulty | str, **options: Any) -> kr.Client:
    url = server if isinstance(server, str) else server.url
    return make_client(**{"base_url": url, "timeout": (1, PATIENCE), **options})


def fetch(client: kr.Client, names: str | list[str] = "ufc324") -> pd.DataFrame:
    return kr.fetch_hashtags(names, client=client)


def fails(client: kr.Client, names: str | list[str] = "ufc324") -> kr.KeyAPIError:
    """Fetch, in bounded time, what cannot be had."""
    started = time.monotonic()
    with pytest.raises(kr.KeyAPIError) as caught:
        fetch(client, names)
    assert time.monotonic() - started < LONGEST
    assert caught.value.frame is not None
    assert caught.value.frame.empty
    return caught.value


def credits_of(client: kr.Client) -> list[int | None]:
    return [None if pd.isna(one) else int(one) for one in client.ledger()["credits"]]


# After sending: it may have been charged, so it is not sent again ------------------------------------------------

NETWORK, UNEXPECTED = kr.NetworkError, kr.UnexpectedResponseError
FAULTS: dict[str, tuple[Answer, type[kr.KeyAPIError]]] = {
    "closed without an answer": (then_close(b""), NETWORK),
    "reset without an answer": (then_reset(b""), NETWORK),
    "no answer in time": (then_wait(b""), NETWORK),
    "reset mid-head": (then_reset(GOOD[:20]), NETWORK),
    "reset mid-body": (then_reset(GOOD[:-100]), NETWORK),
    "closed mid-body": (then_close(GOOD[:-100]), NETWORK),
    "silent mid-body": (then_wait(GOOD[:-100]), NETWORK),
    "longer by its head than it is": (then_close(http(BODY, length=len(BODY) + 9)), NETWORK),
    "the same, left open": (then_wait(http(BODY, length=len(BODY) + 9)), NETWORK),
    "shorter by its head than it is": (http(BODY, length=len(BODY) - 9), UNEXPECTED),
    "two lengths": (http(BODY, "Content-Length: 7"), NETWORK),
    "an invalid length": (then_close(http(BODY[:-1], "Content-Length: many", length=-1)), UNEXPECTED),
    "invalid chunks": (then_close(chunked(BODY, end=b"zz\r\ngarbage\r\n")), NETWORK),
    "a negative chunk": (then_close(chunked(end=b"-5\r\n")), NETWORK),
    "a chunk too large": (then_close(chunked(BODY, end=b"ffffffffffffffffff\r\nx")), NETWORK),
    "chunks without an end": (then_close(chunked(BODY, end=b"")), NETWORK),
    "chunks cut short": (then_close(chunked(BODY)[:-80]), NETWORK),
    "invalid gzip": (http(BODY, "Content-Encoding: gzip"), NETWORK),
    "gzip damaged": (http(PACKED[:50] + b"\x00\xff" * 20 + PACKED[90:], "Content-Encoding: gzip"), NETWORK),
    "gzip cut short": (http(PACKED[:-200], "Content-Encoding: gzip"), UNEXPECTED),
    "invalid deflate": (http(BODY, "Content-Encoding: deflate"), NETWORK),
    "an encoding nobody knows": (http(PACKED, "Content-Encoding: rot13"), UNEXPECTED),
    "a body that drips": (drip(GOOD.replace(b"OK\r\n", b"OK\r\nA: b\r\n")[:60] * 99), NETWORK),
    "chunks that drip": (endless(chunked(BODY, end=b""), b"1\r\n \r\n"), NETWORK),
    "a head that drips": (drip(b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 999), NETWORK),
    "a head line that drips": (drip(b"HTTP/1.1 200 OK\r\nA: " + b"b" * 9999), NETWORK),
    "interim answers without an end": (endless(b"", b"HTTP/1.1 103 Early Hints\r\n\r\n"), NETWORK),
    "a head line too long": (http(BODY, "A: " + "b" * 70_000), NETWORK),
    "too many head lines": (http(BODY, *["A: b"] * 200), NETWORK),
    "another protocol": (then_close(b"SSH-2.0-OpenSSH_9.2\r\n" + b"\x00" * 99), NETWORK),
    "an invalid status": (then_close(b"HTTP/1.1 abc OK\r\n\r\n"), NETWORK),
    "no content": (http(status="204 No Content", length=-1), UNEXPECTED),
    "not modified": (http(status="304 Not Modified", length=-1), UNEXPECTED),
    "a redirect to itself": (http(b"", "Location: /", status="302 Found"), UNEXPECTED),
    "a redirect to nowhere": (http(b"", "Location: http://[::1", status="301 Moved"), UNEXPECTED),
    "a redirect without an end": (endless(http(b"", "Location: /", status="301 Moved", length=-1), MEGABYTE), NETWORK),
    "HTTP/1.0, cut short": (then_close(http(BODY[:-100], version="1.0", length=-1)), UNEXPECTED),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_may_have_been_charged_is_sent_once(fault: str, make_client: Callable[..., kr.Client]) -> None:
    answer, kind = FAULTS[fault]
    with Faulty(answer, GOOD) as server:
        client = connect(make_client, server)
        error = fails(client)
        assert type(error) is kind
        assert error.failures["id"].tolist() == ["ufc324"]
        assert error.retryable is (kind is kr.NetworkError)
        assert len(server.heads) == 1
        assert credits_of(client) == [None]  # nobody knows
        assert client.credits_spent == 2  # to be on the safe side
        assert client.status().answers == 0
        assert fetch(client)["posts"].tolist() == [POSTS]  # the next answer is the next request's own
        assert credits_of(client) == [None, 2]
        assert client.credits_spent == 4


def test_an_answer_without_an_end_is_cut_off(
    make_client: Callable[..., kr.Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert transport._LARGEST_BODY == 64 * 2**20
    with Faulty(endless(http(b'{"code": 0, "data": "', length=2**40), MEGABYTE)) as server:
        client = connect(make_client, server, timeout=(1, 5))
        assert "64 MB" in str(fails(client))
        assert credits_of(client) == [None]


def test_a_bomb_is_cut_off(make_client: Callable[..., kr.Client]) -> None:
    bomb = gzip.compress(b" " * 80 * 2**20, 9)
    assert len(bomb) < 100_000
    with Faulty(http(bomb, "Content-Encoding: gzip")) as server:
        assert "64 MB" in str(fails(connect(make_client, server, timeout=(1, 5))))


def test_a_drip_is_cut_off_whatever_the_answers_before(make_client: Callable[..., kr.Client]) -> None:
    """The deadline is each answer's own: one connection that lives longer than it is fine."""
    with Faulty(GOOD) as server:
        client = connect(make_client, server, timeout=(1, 0.05))
        for number in range(6):
            time.sleep(0.05)
            with pytest.raises(kr.UnexpectedResponseError, match="about 'ufc324'"):
                fetch(client, f"name{number}")
        assert fetch(client)["posts"].tolist() == [POSTS]
        assert server.connections == 1


# Before sending: surely not delivered, so it is sent again and counted for nothing -------------------------------


def unused_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def never_delivered(client: kr.Client, attempts: int) -> None:
    error = fails(client)
    assert type(error) is kr.NetworkError
    assert error.retryable
    assert "nothing was delivered or charged" in str(error)
    assert credits_of(client) == [None] * attempts
    assert client.ledger()["attempt"].tolist() == list(range(1, attempts + 1))
    assert client.ledger()["http_status"].isna().all()
    assert client.credits_spent == 0


def test_what_cannot_even_be_tried_was_never_delivered(
    make_client: Callable[..., kr.Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nonexistent/bundle.pem")
    never_delivered(make_client(base_url="https://nobody.invalid", retries=0), 1)
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    monkeypatch.setenv("ALL_PROXY", "gopher://127.0.0.1:1")
    never_delivered(make_client(base_url="https://nobody.invalid", retries=0, store=":memory:"), 1)


def test_refused(make_client: Callable[..., kr.Client]) -> None:
    never_delivered(connect(make_client, f"http://127.0.0.1:{unused_port()}"), 3)


@pytest.mark.parametrize("url", ["https://nobody.invalid", "https://a..b"])
def test_a_name_that_nobody_has(url: str, make_client: Callable[..., kr.Client]) -> None:
    never_delivered(connect(make_client, url, retries=1), 2)


@pytest.mark.parametrize(
    "url",
    ["https://no body.invalid", "https://*.b", "https://m\u00fcller.example", "https://[::1", "https://[x]",
     "https://a:b", "https://a:-1", "https://a:99999"],
)
def test_an_address_that_is_none(url: str, make_client: Callable[..., kr.Client]) -> None:
    with pytest.raises(kr.InvalidArgumentError, match="base_url must be"):
        connect(make_client, url)


@pytest.mark.parametrize("answer", [b"HTTP/1.1 502 Bad Gateway\r\n\r\n", b"HTTP/1.1 407 No\r\n\r\n", b"garbage\r\n"])
def test_a_proxy_that_does_not_let_through(
    answer: bytes, make_client: Callable[..., kr.Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    with Faulty(then_close(answer)) as proxy:
        monkeypatch.setenv("https_proxy", proxy.url)
        never_delivered(connect(make_client, "https://nobody.invalid", retries=1), 2)
        assert all(head.startswith("CONNECT nobody.invalid:443") and TOKEN not in head for head in proxy.heads)
        assert len(proxy.heads) == 2


def test_refused_at_first(make_client: Callable[..., kr.Client]) -> None:
    """A server that is up again a moment later answers a call that began before."""
    server = Faulty(GOOD, port=unused_port())
    client = connect(make_client, f"http://127.0.0.1:{server._port}", retries=50)

    def come_up() -> None:
        wait_until(lambda: client.ledger()["message"].notna().any(), 60)  # it was refused
        server.__enter__()

    start = threading.Thread(target=come_up)
    start.start()
    assert fetch(client)["posts"].tolist() == [POSTS]
    start.join()
    server.__exit__()
    assert credits_of(client)[-1] == 2
    assert set(credits_of(client)[:-1]) == {None}
    assert client.credits_spent == 2


def test_a_proxy_that_lets_through(
    tls: tuple[ssl.SSLContext, Path], make_client: Callable[..., kr.Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    with Faulty(drip(b"HTTP/1.1 200 OK\r\n" * 99), GOOD, tls=tls[0]) as server, Faulty(tunnel(server.port)) as proxy:
        monkeypatch.setenv("https_proxy", proxy.url)
        client = connect(make_client, "https://nobody.invalid")
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tls[1]))
        assert type(fails(client)) is kr.NetworkError  # the deadline holds through a proxy, too
        assert fetch(client)["posts"].tolist() == [POSTS]
        assert credits_of(client) == [None, 2]
        assert all(TOKEN not in head for head in proxy.heads)
        assert all(f"Bearer {TOKEN}" in head for head in server.heads)
        client.close()


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, Path]:
    if shutil.which("openssl") is None:
        pytest.skip("there is no openssl command to make a certificate with")
    cert, key = certificate(tmp_path_factory.mktemp("tls"), subprocess.run)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    return context, cert


def test_a_certificate_that_nobody_signed(
    tls: tuple[ssl.SSLContext, Path], make_client: Callable[..., kr.Client]
) -> None:
    with Faulty(GOOD, tls=tls[0]) as server:
        never_delivered(connect(make_client, server), 3)
        assert server.heads == []
        assert server.connections == 3


def test_plain_http_where_tls_is_expected(make_client: Callable[..., kr.Client]) -> None:
    with Faulty(GOOD) as server:
        never_delivered(connect(make_client, server.url.replace("http:", "https:"), retries=0, timeout=(0.2, 0.2)), 1)


def test_a_redirect_from_https_to_http_is_not_followed(
    tls: tuple[ssl.SSLContext, Path], make_client: Callable[..., kr.Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tls[1]))
    with Faulty(GOOD) as plain:
        moved = http(b"moved", f"Location: {plain.url}/v1", status="301 Moved Permanently")
        with Faulty(moved, drip(b"HTTP/1.1 200 OK\r\n" * 99), GOOD, tls=tls[0]) as server:
            client = connect(make_client, server)
            assert type(fails(client)) is kr.UnexpectedResponseError
            assert type(fails(client)) is kr.NetworkError  # the deadline holds through TLS, too
            assert fetch(client)["posts"].tolist() == [POSTS]
            assert client.ledger()["http_status"].isin([301, 200]).tolist() == [True, False, True]
            assert f"Authorization: Bearer {TOKEN}" in server.heads[0]
        assert plain.connections == 0


# What is unusual and still an answer ----------------------------------------------------------------------------

FINE: dict[str, Answer] = {
    "100 Continue before it": b"HTTP/1.1 100 Continue\r\n\r\n" + GOOD,
    "103 Early Hints before it": b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" * 3 + GOOD,
    "in chunks": chunked(BODY[:7], BODY[7:9], BODY[9:]),
    "gzip": http(PACKED, "Content-Encoding: gzip"),
    "HTTP/1.0 until it closes": then_close(http(BODY, version="1.0", length=-1)),
    "no length until it closes": then_close(http(BODY, length=-1)),
    "a byte-order mark": http(b"\xef\xbb\xbf" + BODY),
    "UTF-16": http(BODY.decode().encode("utf-16")),
    "another content type": http(BODY, "Content-Type: text/html; charset=latin-1"),
    "many head lines": http(BODY, *[f"X-{n}: {'y' * 500}" for n in range(90)]),
    "invalid head lines": then_close(http(BODY, "X: \xff\xfe\x80", "no colon here")),
    "closed after each answer": then_close(GOOD),
}


@pytest.mark.parametrize("how", FINE)
def test_unusual_answers_are_read(how: str, make_client: Callable[..., kr.Client]) -> None:
    with Faulty(FINE[how]) as server:
        client = connect(make_client, server, timeout=LONGEST)
        for _ in range(3):  # whatever the answer left behind on the connection
            assert kr.fetch_hashtags("ufc324", max_age=0, client=client)["posts"].tolist() == [POSTS]
            time.sleep(0.02)
        assert credits_of(client) == [2, 2, 2]
        assert client.ledger()["attempt"].tolist() == [1, 1, 1]
        assert len(server.heads) == 3


def test_an_early_hint_never_brings_the_answer_of_another_request(make_client: Callable[..., kr.Client]) -> None:
    def hint_first(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 103 Early Hints\r\n\r\n")
        time.sleep(0.05)
        connection.sendall(http(envelope("first")))
        connection.recv(65536)
        connection.sendall(http(envelope("second")))

    with Faulty(hint_first) as server:
        client = connect(make_client, server, max_workers=1)
        assert fetch(client, "first")["hashtag_name"].tolist() == ["first"]
        assert fetch(client, "second")["hashtag_name"].tolist() == ["second"]


def test_idle_connections_that_the_server_closes_are_replaced(make_client: Callable[..., kr.Client]) -> None:
    """Also where it closes just as the request leaves: that one may have been delivered, and is not sent again."""

    def leave_at_next(connection: socket.socket) -> None:
        connection.sendall(GOOD)
        connection.recv(65536)

    with Faulty(leave_at_next, GOOD) as server:
        client = connect(make_client, server)
        assert len(fetch(client)) == 1
        assert type(fails(client, "other")) is kr.NetworkError
        assert credits_of(client) == [2, None]


# Too many requests ----------------------------------------------------------------------------------------------


def test_a_storm_of_429_ends_in_time(
    make_client: Callable[..., kr.Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pacing, "_SLOWEST", 0.1)
    with Faulty(refuse(429)) as server:
        client = connect(make_client, server, retries=2)
        error = fails(client, ["a", "b", "c"])
        assert type(error) is kr.RateLimitedError
        assert error.retryable
        assert sorted(error.failures["id"]) == ["a", "b", "c"]
        assert sorted(server.inputs) == ["a"] * 3 + ["b"] * 3 + ["c"] * 3
        assert credits_of(client) == [0] * 9
        assert client.credits_spent == 0
        sent = client.ledger()["sent_at"].sort_values()
        assert (sent.diff().dropna().iloc[4:] > pd.Timedelta("90ms")).all(), "it has slowed down"


def test_a_storm_of_429_that_passes_is_survived(
    make_client: Callable[..., kr.Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pacing, "_SLOWEST", 0.1)
    names = [f"name{n}" for n in range(5)]
    wait = refuse(429, "Retry-After: 1")
    with Faulty(wait, *[http(envelope(name)) for name in names]) as server:
        client = connect(make_client, server, max_workers=1)
        started = time.monotonic()
        frame = fetch(client, names)
        assert 1.0 <= time.monotonic() - started < LONGEST
        assert frame["hashtag_name"].tolist() == names
        assert credits_of(client) == [0, 2, 2, 2, 2, 2]
        assert client.ledger()["attempt"].tolist() == [1, 2, 1, 1, 1, 1]


@pytest.mark.parametrize("wait", ["3600", "Wed, 21 Oct 2099 07:28:00 GMT", "9" * 5000])
def test_a_long_retry_after_is_not_waited_for(wait: str, make_client: Callable[..., kr.Client]) -> None:
    with Faulty(refuse(429, f"Retry-After: {wait}")) as server:
        client = connect(make_client, server, max_workers=1)
        error = fails(client, ["a", "b", "c"])
        assert type(error) is kr.RateLimitedError
        assert error.retry_after >= 3600
        assert len(server.heads) == 1
        assert error.failures["error"].tolist() == ["RateLimitedError", "NotSent", "NotSent"]


@pytest.mark.parametrize("wait", ["soon", "-5", "1e3", "", "Thu, 99 Foo 2099 07:28:00 GMT",
                                  "Mon, 01 Jan 99999999999 00:00:00 GMT"])
def test_an_invalid_retry_after_is_ignored(wait: str, make_client: Callable[..., kr.Client]) -> None:
    with Faulty(refuse(429, f"Retry-After: {wait}"), GOOD) as server:
        client = connect(make_client, server, timeout=(1, 3))
        assert len(fetch(client)) == 1
        assert len(server.heads) == 2


@pytest.mark.parametrize(("status", "attempts"), [(500, 3), (502, 3), (503, 3), (599, 3), (418, 1)])
def test_what_is_sent_again(status: int, attempts: int, make_client: Callable[..., kr.Client]) -> None:
    with Faulty(refuse(status)) as server:
        client = connect(make_client, server)
        fails(client)
        assert len(server.heads) == attempts
        assert credits_of(client) == [0] * attempts
        assert client.credits_spent == 0


# Anything at all ------------------------------------------------------------------------------------------------

WHOLE = [GOOD, chunked(BODY[:99], BODY[99:]), http(PACKED, "Content-Encoding: gzip", "Retry-After: 1"),
         http(BODY, "Location: /elsewhere", status="302 Found"), refuse(429, "Retry-After: 5")]
JUNK = [b"", b"\r\n", b"\r\n\r\n", b"\x00", b"\xff\xfe", b"0", b"-1", b"999999999999", b": ", b"HTTP/1.1 ", b"chunked",
        b"Transfer-Encoding: chunked\r\n", b"Content-Length: 5\r\n", b"Content-Encoding: br\r\n", b"{", b'"', b"gzip"]


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    data = draw(st.sampled_from(WHOLE))
    for _ in range(draw(st.integers(1, 4))):
        # Mostly in the head, where a few bytes matter more.
        at = draw(st.integers(0, 120) | st.integers(0, len(data)))
        data = data[:at] + draw(st.sampled_from(JUNK) | st.binary(max_size=6)) + data[at + draw(st.integers(0, 20)) :]
    return data


class _Changing:
    """Answers of which the newest counts."""

    def __init__(self) -> None:
        self.data = b""

    def __call__(self, connection: socket.socket) -> None:
        connection.sendall(self.data)


def reply_or_failure(sending: transport.Transport) -> transport.Reply | transport.TransportFailure:
    try:
        return sending.get("/v1", {"hashtag_name": "ufc324"})
    except transport.TransportFailure as failure:
        return failure


def test_damaged_bytes_are_an_answer_or_a_transport_failure() -> None:
    changing = _Changing()
    kinds: set[str] = set()
    with Faulty(changing) as server:
        sending = transport.Transport(server.url, Secret(TOKEN), timeout=(1, 1), connections=1)

        @settings(max_examples=200, derandomize=True, deadline=None, database=None)
        @given(damaged())
        def one(data: bytes) -> None:
            changing.data = data
            outcome = reply_or_failure(sending)
            if isinstance(outcome, transport.TransportFailure):
                assert outcome.delivered
                assert TOKEN not in str(outcome)
                kinds.add(str(outcome).partition(":")[0])
            else:
                assert 200 <= outcome.status <= 999
                assert outcome.payload is None or json.dumps(outcome.payload)
                kinds.add("reply")
            assert outcome.elapsed_s < 4.5

        one()
        sending.close()
    assert {"reply", "ConnectionError", "ChunkedEncodingError", "ContentDecodingError"} <= kinds
