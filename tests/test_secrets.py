"""The token is nowhere: not in the store, a log, a repr, an error or a traceback."""

from __future__ import annotations

import http.client
import io
import json
import logging
import pickle
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from faulty import Faulty

import keyapi_research as kr
from keyapi_research.sandbox import Fault, Sandbox

CANARY = "kc-canary/7f+3a"  # with characters that JSON and URLs write in another way
SPELLINGS = (CANARY, CANARY.replace("/", "\\/"), "kc-canary%2F7f%2B3a")


def holds_canary(data: bytes | str) -> bool:
    text = data.decode("latin-1") if isinstance(data, bytes) else data
    return any(spelling in text for spelling in SPELLINGS) or "7f+3a" in text or "kc-canary" in text


def deep_traceback(error: BaseException) -> str:
    """The traceback with every local variable, of the error and of all it came from."""
    return "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> io.StringIO:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    for name in ("urllib3", "requests", "requests_cache", "keyapi_research"):
        logging.getLogger(name).setLevel(logging.DEBUG)
    yield stream
    root.removeHandler(handler)
    root.setLevel(logging.WARNING)


def echo(path: str, params: dict[str, str], envelope: dict[str, Any]) -> dict[str, Any]:
    """A server that repeats the token wherever it can."""
    del path, params
    info = envelope["data"]["info"] if isinstance(envelope["data"], dict) else envelope["data"][0]
    info["echo"] = {CANARY: [f"Bearer {CANARY}"]}
    return {**envelope, "message": f"hello {CANARY}", "requestId": CANARY}


def test_the_canary_is_nowhere(
    sandbox: Sandbox, make_client: Callable[..., kr.Client], tmp_path: Path, log: io.StringIO,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[str] = []
    errors: list[BaseException] = []
    sandbox.extra_headers = {"X-Echo": CANARY, "Set-Cookie": f"session={CANARY}", "ETag": f'"{CANARY}"'}
    sandbox.mutate = echo
    client = make_client(token=f" {CANARY}\n", retries=0, timeout=(1, 0.5))
    with pytest.warns(kr.SchemaDriftWarning) as caught:
        kr.fetch_hashtags("cats", client=client)
    seen += [str(one.message) for one in caught]
    faults = [
        Fault(status=status, body=json.dumps({"code": status, "data": None, "message": f"no {CANARY}"}).encode())
        for status in (400, 401, 402, 403, 404, 429, 500)
    ]
    faults += [
        Fault(status=200, body=f"<html>{CANARY}</html>".encode()),
        Fault(status=200, body=json.dumps({"code": 0, "message": CANARY, "data": {"info": {"hashtag_name": CANARY}}})
              .replace("/", "\\/").encode()),
        Fault(status=302, headers={"Location": f"http://127.0.0.1:9/?{CANARY}"}),
        Fault(close="before"), Fault(close="mid_body"), Fault(delay=1.0),
    ]
    sandbox.mutate = None
    for number, fault in enumerate(faults):
        sandbox.faults.put(fault)
        with pytest.raises(kr.KeyAPIError) as raised:
            kr.fetch_hashtags(f"name{number}", client=client)
        errors.append(raised.value)
    for action in (
        lambda: kr.Client(token=f"{CANARY}\u0431", store=":memory:"),
        lambda: kr.Client(token=CANARY, store=tmp_path / "no" / "such" / "folder.sqlite"),
        lambda: kr.Client(token=CANARY, base_url="http://example.com"),
        lambda: kr.Client(token=CANARY, max_workers=0),
        lambda: kr.Client(token=[CANARY][0].encode(), store=":memory:"),  # type: ignore[arg-type]
        lambda: kr.connect(token=CANARY, timeout="x"),  # type: ignore[arg-type]
        lambda: kr.fetch_hashtags("a b", client=client),
        lambda: kr.fetch_hashtags("elsewhere", client=make_client(token=CANARY, base_url="http://127.0.0.1:1",
                                                                   retries=0, store=tmp_path / "other.sqlite")),
    ):
        with pytest.raises(kr.KeyAPIError) as raised:
            action()
        errors.append(raised.value)
    assert len({type(error) for error in errors}) >= 11

    seen += [repr(client), client._repr_html_(), repr(client.settings), str(client.settings), repr(client.status()),
             client.status()._repr_html_(), repr(vars(client)), repr(kr.plan(kr.fetch_hashtags, "x", client=client)),
             client.ledger().to_csv()]
    for error in errors:
        # Of a traceback only frames of this package count: the test's own hold the canary.
        trace = [frame for one in traceback.TracebackException.from_exception(error, capture_locals=True).stack
                 for frame in [one] if "tests" not in one.filename]
        seen += [str(error), repr(error), repr(error.__dict__), repr([frame.locals for frame in trace])]
        seen.append(repr(pickle.dumps(error)))
        assert error.__context__ is None or not holds_canary(deep_traceback(error.__context__)), error
    seen.append(log.getvalue())
    assert "trending" in log.getvalue(), "the log is listened to"
    for text in seen:
        assert not holds_canary(text)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    client.close()
    after = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    for name, data in [*before.items(), *after.items()]:
        assert not holds_canary(data), name
    assert b"[token]" in after["store.sqlite"], "the echo was stored, redacted"


def test_a_short_token_is_not_redacted(sandbox: Sandbox, make_client: Callable[..., kr.Client]) -> None:
    client = make_client(token="a")
    frame = kr.fetch_hashtags("banana", client=client)
    assert frame["hashtag_name"].tolist() == ["banana"]


def test_the_header_goes_out_and_netrc_does_not_replace_it(
    sandbox: Sandbox, make_client: Callable[..., kr.Client], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login a password b\n")
    monkeypatch.setenv("NETRC", str(netrc))
    strict = Sandbox(token=CANARY)
    with strict:
        kr.fetch_hashtags("cats", client=make_client(token=f"\t{CANARY} \r\n", base_url=strict.url))
    assert strict.charged == 2


def test_a_token_is_never_pickled(client: kr.Client) -> None:
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(client.settings)


@pytest.mark.parametrize("url", ["http://api.keyapi.ai", "ftp://127.0.0.1", "https://user:pass@api.keyapi.ai",
                                 "https://api.keyapi.ai?x=1", "api.keyapi.ai", "https://", "http://127.0.0.1:99999",
                                 "http://127.0.0.1.example.com", "http://localhost.example.com"])
def test_the_token_travels_over_https_or_stays_on_this_machine(url: str) -> None:
    with pytest.raises(kr.InvalidArgumentError, match="base_url"):
        kr.Client(token=CANARY, base_url=url, store=":memory:")


@pytest.mark.parametrize("form", ["%2F", "%2f", "quote", "html", "json twice", "base64"])
def test_an_echo_in_another_spelling_is_redacted_too(
    form: str, sandbox: Sandbox, make_client: Callable[..., kr.Client]
) -> None:
    token = 'kc&canary/7f+3a"x'
    spelled = {
        "%2F": "kc%26canary%2F7f%2B3a%22x", "%2f": "kc%26canary%2f7f%2b3a%22x", "quote": "kc%26canary/7f%2B3a%22x",
        "html": "kc&amp;canary/7f+3a&quot;x", "json twice": 'kc&canary/7f+3a\\\\\\"x',
        "base64": "a2MmY2FuYXJ5LzdmKzNhIng",
    }[form]
    sandbox.faults.put(Fault(status=400, message=f"your key {spelled} is not welcome"))
    with pytest.raises(kr.InvalidRequestError, match=r"your key \[token\] is not welcome") as caught:
        kr.fetch_hashtags("cats", client=make_client(token=token))
    assert spelled not in str(caught.value.answer)


def test_debugging_http_prints_no_token(
    sandbox: Sandbox, make_client: Callable[..., kr.Client], monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(http.client.HTTPConnection, "debuglevel", 1)
    kr.fetch_hashtags("cats", client=make_client(token=CANARY))
    out, err = capsys.readouterr()
    assert not holds_canary(out + err)


def test_an_invalid_header_line_is_not_logged(make_client: Callable[..., kr.Client], log: io.StringIO) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nno colon " + CANARY.encode() + b"\r\nX: y\r\n\r\n{}"
    with Faulty(head) as server, pytest.raises(kr.KeyAPIError):
        kr.fetch_hashtags("cats", client=make_client(token=CANARY, base_url=server.url, retries=0))
    assert not holds_canary(log.getvalue())
