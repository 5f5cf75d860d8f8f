"""Names, settings, tokens, paths, proxies and answers: read as they are meant, or refused with a reason."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import textwrap
import time
import unicodedata
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import requests
from faulty import Faulty, certificate, envelope, http, then_close, tunnel
from hypothesis import given, settings
from hypothesis import strategies as st

import keyapi_research as kr
from keyapi_research.client import transport
from keyapi_research.envelope import open_envelope, read_json
from keyapi_research.sandbox import Fault, Sandbox
from keyapi_research.settings import (
    DEFAULT_CALL_CREDITS,
    Settings,
    check_base_url,
    read_as_of,
    read_max_age,
    read_settings,
    read_token,
    source_of,
)
from keyapi_research.spelling import normal_hashtag

Make = Callable[..., kr.Client]
TOKEN = "a-token-of-the-tests"
POSTS = 12142  # of the documented answer
GOOD = http(envelope())
PACKAGE = Path(kr.__file__).parents[1]


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy and no certificates of whoever runs the tests."""
    for name in list(os.environ):
        if name.lower().endswith("_proxy") or name in {"REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"}:
            monkeypatch.delenv(name)


def run(code: str, **environment: str) -> str:
    """Run Python in a process of its own, with warnings as errors."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(PACKAGE), **environment},
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def settings_of(**options: Any) -> Settings:
    given_ = {
        "token": "some-token",
        "base_url": None,
        "sandbox": False,
        "store": ":memory:",
        "offline": False,
        "as_of": None,
        "max_age": None,
        "max_credits": None,
        "max_call_credits": DEFAULT_CALL_CREDITS,
        "requests_per_second": 5,
        "max_workers": 4,
        "timeout": (5, 30),
        "retries": 2,
        "progress": None,
        **options,
    }
    return read_settings(given_)


# What other programs do to requests -----------------------------------------------------------------------------


def test_a_cache_installed_before_the_import_answers_nothing(tmp_path: Path) -> None:
    sent = run(f"""
        import requests_cache
        requests_cache.install_cache({str(tmp_path / "x")!r})
        import keyapi_research as kr
        from keyapi_research.sandbox import Sandbox
        with Sandbox() as server, kr.Client(token="t", base_url=server.url, store=":memory:", progress=False) as client:
            for _ in range(3):
                kr.fetch_hashtags("cats", max_age=0, client=client)
            print(len(server.requests), client.credits_spent)
    """)
    assert sent == "3 6"


@pytest.mark.parametrize("name", ["Session", "session", "get", "request"])
def test_requests_patched_by_a_function_changes_nothing(
    name: str, client: kr.Client, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    def patched(*args: Any, **kwargs: Any) -> Any:
        raise AssertionError("nobody calls this")

    for module in (requests, requests.sessions, requests.api):
        monkeypatch.setattr(module, name, patched, raising=False)
    for _ in range(2):
        assert len(kr.fetch_hashtags("cats", max_age=0, client=client)) == 1
    assert len(sandbox.requests) == 2


def test_the_headers_are_those_of_requests_and_ours(make_client: Make) -> None:
    with Faulty(http(envelope(), "Set-Cookie: a=b"), GOOD) as server:
        client = make_client(base_url=server.url)
        for _ in range(2):
            kr.fetch_hashtags("ufc324", max_age=0, client=client)
    names = [line.partition(":")[0] for line in server.heads[1].strip().splitlines()[1:]]
    assert sorted(names) == ["Accept", "Accept-Encoding", "Authorization", "Connection", "Host", "User-Agent"]
    assert "User-Agent: keyapi-research/" in server.heads[1]


def test_a_bundle_of_certificates_is_the_environments(
    make_client: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CURL_CA_BUNDLE", str(tmp_path / "none.pem"))
    with Faulty(GOOD) as server:
        client = make_client(base_url=server.url.replace("http:", "https:"), retries=0)
        with pytest.raises(kr.NetworkError, match=r"nothing was delivered.*none\.pem"):
            kr.fetch_hashtags("ufc324", client=client)
    assert server.connections == 0


# Connections that were idle -------------------------------------------------------------------------------------


def test_a_connection_that_was_idle_for_long_is_not_used(make_client: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    def dies_silently(connection: socket.socket) -> None:
        connection.sendall(http(envelope("first")))
        connection.recv(65536)  # whatever comes on it is lost

    with Faulty(dies_silently, http(envelope("second")), http(envelope("third"))) as server:
        client = make_client(base_url=server.url, timeout=(1, 1), retries=0)
        monkeypatch.setattr(transport, "_IDLE", 0.0)
        for name in ("first", "second"):
            assert kr.fetch_hashtags(name, client=client)["hashtag_name"].tolist() == [name]
        assert server.connections == 2
        monkeypatch.setattr(transport, "_IDLE", 30.0)  # the second one is young enough
        assert len(kr.fetch_hashtags("third", client=client)) == 1
        assert server.connections == 2
        assert client.ledger()["credits"].tolist() == [2, 2, 2]


def test_a_machine_that_slept_opens_a_new_connection(make_client: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    with Faulty(GOOD) as server:
        client = make_client(base_url=server.url)
        kr.fetch_hashtags("ufc324", client=client)
        awake = transport._clocks
        monkeypatch.setattr(transport, "_clocks", lambda: (awake()[0], awake()[1] + 3600))  # one clock stood still
        kr.fetch_hashtags("ufc324", max_age=0, client=client)
        assert server.connections == 2


def test_what_cannot_connect_anew_was_not_delivered(make_client: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    def accepts_no_other(connection: socket.socket) -> None:
        server._listener.shutdown(socket.SHUT_RDWR)
        connection.sendall(GOOD)
        connection.recv(65536)

    monkeypatch.setattr(transport, "_IDLE", 0.0)
    with Faulty(accepts_no_other) as server:
        client = make_client(base_url=server.url, retries=0)
        kr.fetch_hashtags("ufc324", client=client)
        with pytest.raises(kr.NetworkError, match="nothing was delivered"):
            kr.fetch_hashtags("ufc324", max_age=0, client=client)
    assert len(server.heads) == 1
    assert client.credits_spent == 2


def test_an_idle_tunnel_through_a_proxy_is_opened_anew(
    make_client: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ssl = pytest.importorskip("ssl")
    try:
        cert, key = certificate(tmp_path, subprocess.run)
    except OSError:
        pytest.skip("there is no openssl command to make a certificate with")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    monkeypatch.setattr(transport, "_IDLE", 0.0)
    with Faulty(GOOD, tls=context) as server, Faulty(tunnel(server.port)) as proxy:
        monkeypatch.setenv("https_proxy", proxy.url)
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(cert))
        client = make_client(base_url="https://nobody.invalid")
        for _ in range(2):
            assert kr.fetch_hashtags("ufc324", max_age=0, client=client)["posts"].tolist() == [POSTS]
        assert [head.split(" ")[0] for head in proxy.heads] == ["CONNECT", "CONNECT"]
        assert client.ledger()["credits"].tolist() == [2, 2]
        client.close()


# Passwords of proxies -------------------------------------------------------------------------------------------

PROXIES = {
    "number sign": ("http://bob:pw#1word@127.0.0.1:1", ["pw#1word", "1word"]),
    "slash": ("http://bob:pass/word@127.0.0.1:1", ["pass/word", "bob:pass"]),
    "at": ("http://bob:se@cret-word@127.0.0.1:1", ["cret-word"]),
    "percent": ("http://bob:se%2Fcr%23et@127.0.0.1:1", ["se%2Fcr%23et", "se/cr#et"]),
    "port like": ("http://bob:12345678@127.0.0.1:1", ["12345678"]),
    "no scheme": ("bob:hunter22@127.0.0.1:1", ["hunter22"]),
    "socks": ("socks5://bob:hunter22@127.0.0.1:1", ["hunter22"]),
    "user only": ("http://key-as-a-user@127.0.0.1:1", ["key-as-a-user"]),
    "short": ("http://bob:pw@127.0.0.1:1", ["bob:pw@"]),
    "letters": ("http://bob:p\u00e4ssw\u00f6rd@127.0.0.1:1", ["p\u00e4ssw\u00f6rd"]),
}


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"])
@pytest.mark.parametrize("kind", PROXIES)
def test_a_proxys_password_is_in_no_error_and_not_in_the_ledger(
    kind: str, variable: str, make_client: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    address, secrets = PROXIES[kind]
    monkeypatch.setenv(variable, address)
    client = make_client(base_url="https://nobody.invalid", retries=0)
    with pytest.raises(kr.NetworkError) as caught:
        kr.fetch_hashtags("ufc324", client=client)
    said = [str(caught.value), caught.value.message, client.ledger().to_csv(), repr(vars(caught.value))]
    assert not [text for text in said for secret in secrets if secret in text]
    assert "nothing was delivered" in said[0]


REASONS = {
    "nobody there": ({}, "http://127.0.0.1:{port}", "ConnectionError: Connection refused"),
    "no proxy there": ({"HTTPS_PROXY": "http://a:pw@127.0.0.1:{port}"}, "https://nobody.invalid", "Connection refused"),
    "no certificates": ({"REQUESTS_CA_BUNDLE": "/nonexistent/bundle.pem"}, "https://nobody.invalid", "no certificates"),
}


@pytest.mark.parametrize("why", REASONS)
def test_an_error_of_the_network_has_its_reason(why: str, make_client: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    variables, url, reason = REASONS[why]
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    for name, value in variables.items():
        monkeypatch.setenv(name, value.format(port=port))
    client = make_client(base_url=url.format(port=port), retries=0)
    with pytest.raises(kr.NetworkError, match=reason):
        kr.fetch_hashtags("ufc324", client=client)
    assert reason in client.ledger().loc[0, "message"]


def test_a_proxy_that_wants_a_login_is_named(make_client: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    with Faulty(then_close(b"HTTP/1.1 407 hunter22 is wrong\r\n\r\n")) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url.replace("://", "://bob:hunter22@"))
        with pytest.raises(kr.NetworkError, match=r"Tunnel connection failed: 407\)") as caught:
            kr.fetch_hashtags("ufc324", client=make_client(base_url="https://nobody.invalid", retries=0))
        assert "hunter22" not in str(caught.value)


# Answers --------------------------------------------------------------------------------------------------------

TWICE = {
    "code": b'{"code":402,"message":"x","data":null,"code":0}',
    "data": b'{"code":0,"data":{"info":{"hashtag_name":"a"}},"data":{"info":{"hashtag_name":"cats"}}}',
    "message": b'{"code":0,"message":"a","message":"b","data":{}}',
    "escaped": b'{"code":402,"\\u0063ode":0,"data":{}}',
    "inner": b'{"code":0,"data":{"code":402,"code":0,"data":{}}}',
    "inner of inner": b'{"code":0,"data":{"code":0,"data":{"code":402,"code":0,"data":{}}}}',
    "spaced": b'{ "code" : 402 , "data" : null , "code"\t: 0 }',
}


@pytest.mark.parametrize("kind", TWICE)
def test_an_envelope_with_a_key_twice_is_not_served(kind: str, client: kr.Client, sandbox: Sandbox) -> None:
    sandbox.faults.put(Fault(status=200, body=TWICE[kind]))
    with pytest.raises(kr.UnexpectedResponseError, match=r"a key comes twice.*may have been charged") as caught:
        kr.fetch_hashtags("cats", client=client)
    assert caught.value.answer == TWICE[kind].decode()
    assert not caught.value.retryable
    assert client.ledger()["credits"].isna().tolist() == [True]
    assert client.credits_spent == 2


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32-le"])
def test_a_key_twice_is_seen_in_every_encoding(encoding: str) -> None:
    with pytest.raises(ValueError, match="a key comes twice"):
        read_json(TWICE["code"].decode().encode(encoding))


@pytest.mark.parametrize("inside", ['{"code":1,"code":2}', '[{"message":1,"message":2}]', '"\\\\u0063ode"'])
def test_a_key_twice_deeper_in_the_data_is_keyapis_business(inside: str) -> None:
    body = f'{{"code":0,"message":"ok","data":{{"info":{{"x":{inside}}}}}}}'.encode()
    assert open_envelope(200, body, read_json(body), retry_after=None).data["info"]


def test_a_refusal_with_a_key_twice_keeps_its_status(client: kr.Client, sandbox: Sandbox) -> None:
    sandbox.faults.put(Fault(status=402, body=TWICE["code"]))
    with pytest.raises(kr.CreditsExhaustedError):
        kr.fetch_hashtags("cats", client=client)


@pytest.mark.parametrize("sign", ["\n", "\t", "\x00", "\x1f", "\r\n"])
def test_control_characters_inside_a_text_are_accepted(sign: str, make_client: Make) -> None:
    body = envelope(message="MARK").replace(b"MARK", f"well{sign}done".encode())
    with Faulty(http(body)) as server:
        client = make_client(base_url=server.url)
        assert kr.fetch_hashtags("ufc324", client=client)["posts"].tolist() == [POSTS]
        assert client.ledger()["credits"].tolist() == [2]


def test_the_documented_answers_are_read_as_they_are(documented: dict[str, Any]) -> None:
    for whole in documented.values():
        assert read_json(json.dumps(whole).encode()) == whole


CODES = {
    40000: kr.InvalidRequestError,
    40101: kr.AuthenticationError,
    40200: kr.CreditsExhaustedError,
    40300: kr.AccessDeniedError,
    40400: kr.NotFoundError,
    42900: kr.RateLimitedError,
    42201: kr.InvalidRequestError,
    4001: kr.InvalidRequestError,
    429001: kr.RateLimitedError,
    50004: kr.ServerError,
    10001: kr.ServerError,
    20001: kr.ServerError,
    -40000: kr.ServerError,
    404: kr.NotFoundError,
    503: kr.ServerError,
}


@pytest.mark.parametrize("as_text", [False, True])
@pytest.mark.parametrize("code", CODES)
def test_a_long_code_is_what_its_first_digits_are(code: int, as_text: bool) -> None:
    body = json.dumps({"code": str(code) if as_text else code, "msg": "failed on the 'max' tag"}).encode()
    with pytest.raises(kr.KeyAPIError) as caught:
        open_envelope(200, body, read_json(body), retry_after=None)
    assert type(caught.value) is CODES[code]
    assert caught.value.code == code
    assert caught.value.status_code == 200
    assert caught.value.retryable == (CODES[code] in {kr.ServerError, kr.RateLimitedError})


@pytest.mark.parametrize(("code", "sent"), [(40000, 1), (40101, 1), (50004, 1), (42900, 3)])
def test_a_long_code_is_sent_again_only_where_a_short_one_is(
    code: int, sent: int, make_client: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("keyapi_research.client.dispatch.jittered", lambda attempt: 0.01)
    with Faulty(http(json.dumps({"code": code, "msg": "no"}).encode())) as server:
        client = make_client(base_url=server.url)
        with pytest.raises(kr.KeyAPIError):
            kr.fetch_hashtags("ufc324", client=client)
        assert len(server.heads) == sent
        assert client.credits_spent == 0


# Hashtags -------------------------------------------------------------------------------------------------------

ONE_NAME = {
    "perfume": [
        "perfume",
        "perfume\u200b",
        "\u200eperfume",
        "\uff03perfume",
        "\uff50\uff45\uff52\uff46\uff55\uff4d\uff45",
        "\ufeffperfume",
        "per\u00adfume",
        "\u2067perfume\u2069",
        "#\u200bperfume",
        "\u200b#perfume",
        "per\u200dfume",
        "\u061cperfume",
        "# perfume",
        "perfume\ufe0f",
        "\uff30ERFUME",
        "\u2060 #perfume \u2060",
        "perfume\u200c",
    ],
    "istanbul": ["\u0130stanbul", "I\u0307stanbul", "istanbul", "i\u0307stanbul", "I\u200b\u0307stanbul"],
    "\u2764": ["\u2764", "\u2764\ufe0f", "\u2764\ufe0e"],
    "caf\u00e9": ["cafe\u0301", "cafe\u200b\u0301", "CAF\u00c9", "caf\u200d\u00e9"],
}


@pytest.mark.parametrize("name", ONE_NAME)
def test_spellings_that_look_the_same_are_one_request(name: str, client: kr.Client, sandbox: Sandbox) -> None:
    frame = kr.fetch_hashtags(ONE_NAME[name], client=client)
    assert frame["hashtag_name"].tolist() == [name]
    assert [one.params["hashtag_name"] for one in sandbox.requests] == [name]
    assert client.credits_spent == 2


@pytest.mark.parametrize("answered", ["perfume\u200b", "\uff30erfume", "\u200e#Perfume"])
def test_an_answer_that_spells_the_name_in_another_way_is_about_it(answered: str, make_client: Make) -> None:
    with Faulty(http(envelope(answered))) as server:
        client = make_client(base_url=server.url)
        assert kr.fetch_hashtags("perfume", client=client)["hashtag_name"].tolist() == ["perfume"]


@pytest.mark.parametrize(
    "name",
    [
        "\uff76\uff9e",
        "\u2116",
        "\ufb01",
        "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
        "\U0001f468\u200d\U0001f469",
        "\u0915\u094d\u200d\u0937",
        "\u00df",
        "i\u0131",
        "\u03c3\u03b1\u03c2",
        "1\u20e3",
        "a#b",
        "\U0001f3f4\U000e0067\U000e0062\U000e007f",
    ],
)
def test_names_that_need_nothing_are_left_alone(name: str) -> None:
    assert normal_hashtag(name) == name
    assert normal_hashtag(f" #{name} ") == name


@pytest.mark.parametrize(
    ("name", "right"),
    [
        ("\u200dperfume", "perfume"),
        ("a\u200d\u200cb", "ab"),
        ("\u00e9\u200d", "\u00e9"),
        ("\u00e9\u200da", "\u00e9a"),
        ("a\u200d\u00e9", "a\u00e9"),
    ],
)
def test_joiners_go_where_they_join_nothing(name: str, right: str) -> None:
    assert normal_hashtag(name) == right


@settings(max_examples=200, derandomize=True, deadline=None, database=None)
@given(
    st.text()
    | st.text(
        alphabet="##aAI\u0130\u0131e\u0307\u0301\u0327\u00df\u212a\u2003 ,\u200b\u200c\u200d\u200e\ufe0f\uff03\uff21"
    )
)
def test_a_name_in_its_one_form_stays_so(name: str) -> None:
    once = normal_hashtag(name)
    assert normal_hashtag(once) == once
    assert len(once) > 1000 or unicodedata.is_normalized("NFC", once)


@pytest.mark.parametrize(
    "name", ["a" + "\u0301\u0327" * 20_000, "a" * 301, "#" * 301, "\u200b" * 301 + "a", "x" * 10**7]
)
def test_a_name_that_is_too_long_is_refused_at_once(name: str, client: kr.Client, sandbox: Sandbox) -> None:
    started = time.process_time()
    with pytest.raises(kr.InvalidArgumentError, match="at most 300"):
        kr.fetch_hashtags(name, client=client)
    assert time.process_time() - started < 2
    assert not sandbox.requests


def test_a_name_of_40000_accents_in_an_answer_takes_no_time() -> None:
    started = time.process_time()
    normal_hashtag("a" + "\u0301\u0327" * 20_000)
    assert time.process_time() - started < 1


@pytest.mark.parametrize(
    "address",
    [
        "https://www.tiktok.com/tag/perfume",
        "http://tiktok.com/tag/perfume?lang=en",
        "tiktok.com/tag/perfume",
        "/tag/x",
        "HTTPS://WWW.TIKTOK.COM/TAG/Perfume",
        "https:\uff0f\uff0fwww.tiktok.com\uff0ftag\uff0fperfume",
    ],
)
def test_an_address_for_a_hashtag_is_refused(address: str, client: kr.Client, sandbox: Sandbox) -> None:
    with pytest.raises(kr.InvalidArgumentError, match="pass only the name after /tag/"):
        kr.fetch_hashtags(["perfume", address], client=client)
    assert not sandbox.requests


@pytest.mark.parametrize("name", ["a/b", "https://example.com", "://", "/", "@user/video/1"])
def test_a_name_with_a_slash_is_refused(name: str, client: kr.Client, sandbox: Sandbox) -> None:
    with pytest.raises(kr.InvalidArgumentError, match="slash"):
        kr.fetch_hashtags(name, client=client)
    assert not sandbox.requests


@pytest.mark.parametrize(
    "address",
    [
        "https://www.tiktok.com/music/original-sound-7016547803243022337",
        "tiktok.com/music/x-7016547803243022337?lang=en",
    ],
)
def test_an_address_of_music_says_which_digits_to_pass(address: str, client: kr.Client) -> None:
    with pytest.raises(kr.InvalidArgumentError, match="digits at its end"):
        kr.fetch_music(address, client=client)


@pytest.mark.parametrize(
    "region", ["\u0131t", "\u017fe", "\u00df", "\uff35\uff33", "u\u017f", "all_region\u017f", "\u0130T"]
)
def test_a_region_is_of_ascii_letters(region: str, client: kr.Client, sandbox: Sandbox) -> None:
    with pytest.raises(kr.InvalidArgumentError, match="ISO-2"):
        kr.fetch_hashtags("cats", region=region, client=client)
    assert not sandbox.requests


# Tokens ---------------------------------------------------------------------------------------------------------

PASTED = [
    "Bearer abc-123",
    "bearer\tabc-123",
    "BEARER  abc-123",
    '"abc-123"',
    "'abc-123'",
    "\u201cabc-123\u201d",
    "\u2018abc-123\u2019",
    '"Bearer abc-123"',
    "Bearer 'abc-123'",
    " \u00ab abc-123 \u00bb\n",
    "Bearer: abc-123",
    "Authorization: Bearer abc-123",
    "'\"abc-123\"'",
]


@pytest.mark.parametrize("way", ["argument", "KEYAPI_TOKEN"])
@pytest.mark.parametrize("pasted", PASTED)
def test_a_token_pasted_with_more_is_cleaned_and_that_is_said(
    pasted: str, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if way == "KEYAPI_TOKEN":
        monkeypatch.setenv(way, pasted)
    with pytest.warns(kr.KeyAPIWarning, match=r"Bearer|quotes") as caught:
        secret, origin = read_token(pasted if way == "argument" else None)
    assert secret is not None
    assert secret.reveal() == "abc-123"
    assert origin == way
    assert len(caught) == 1
    assert "abc" not in str(caught[0].message)


def test_the_cleaned_token_is_what_is_sent(make_client: Make) -> None:
    with Faulty(GOOD) as server:
        with pytest.warns(kr.KeyAPIWarning, match="quotes and the word Bearer"):
            client = make_client(token=f'"Bearer {TOKEN}"', base_url=server.url)
        kr.fetch_hashtags("ufc324", client=client)
    assert f"Authorization: Bearer {TOKEN}\r\n" in server.heads[0]


@pytest.mark.parametrize("token", ["abc-123", " abc\n-123 ", "bearer_123", "Bearerabc", "'abc", 'a"b'])
def test_a_token_that_is_one_is_left_alone(token: str) -> None:
    secret, _ = read_token(token)
    assert secret is not None
    assert secret.reveal() == "".join(token.split())


@pytest.mark.parametrize("token", ["Bearer", "bearer ", '"Bearer "', "''", "Bearer ''", "Authorization: Bearer"])
def test_a_token_that_is_only_the_word_is_refused(token: str) -> None:
    with pytest.warns(kr.KeyAPIWarning), pytest.raises(kr.InvalidArgumentError, match="Copy the key"):
        read_token(token)


# Hosts ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "https://api.keyapi.ai.",
        "https://API.KeyAPI.ai./",
        "https://api.keyapi.ai.:443",
        "https://api.keyapi.ai:443/",
        " https://api.keyapi.ai ",
    ],
)
def test_keyapi_is_keyapi_however_its_host_is_written(url: str) -> None:
    assert source_of(check_base_url(url)) == "keyapi"
    assert source_of(url.strip()) == "keyapi"
    assert settings_of(base_url=url).source == "keyapi"


@pytest.mark.parametrize("url", ["https://sandbox", "https://keyapi", "https://SANDBOX:8443/x", "https://keyapi./"])
def test_the_name_of_a_source_for_a_host_is_refused(url: str) -> None:
    with pytest.raises(kr.InvalidArgumentError, match="is the name of a source"):
        kr.Client(token=TOKEN, base_url=url, store=":memory:")


@pytest.mark.parametrize(
    "url",
    [
        "https://a\nb",
        "https://a\tb",
        "https://a\rb.example",
        "https://exam ple.com",
        "https://a\x00b",
        "https://a\u200bb",
        "https://a.example/x\ny",
        "https://a\u00a0b",
        "ht\ntps://a.example",
        "https://api.\u212aeyapi.ai",
        "https://a%2eb",
        "https://a%0ab",
        "https://\uff41.example",
        "https://b\u00fccher.example",
        "https://[::1%25eth0]",
        "https://.",
        "https://api.keyapi.ai..",
        "https://\u2024",
    ],
)
def test_a_host_with_what_no_host_has_is_refused(url: str) -> None:
    with pytest.raises(kr.InvalidArgumentError, match="base_url must be https://"):
        kr.Client(token=TOKEN, base_url=url, store=":memory:")


@pytest.mark.parametrize(
    ("url", "right"),
    [
        ("http://localhost.:8080", "http://localhost:8080"),
        ("http://127.0.0.1.", "http://127.0.0.1"),
        ("http://[::1]:80/", "http://[::1]:80"),
        ("https://xn--bcher-kva.example./v", "https://xn--bcher-kva.example/v"),
        ("https://A.example:443/", "https://A.example:443"),
    ],
)
def test_a_dot_at_the_end_changes_no_host(url: str, right: str) -> None:
    assert check_base_url(url) == right


@pytest.mark.parametrize("url", ["http://localhost.example.com.", "http://api.keyapi.ai.", "http://127.0.0.1.example."])
def test_a_dot_at_the_end_makes_no_host_this_machine(url: str) -> None:
    with pytest.raises(kr.InvalidArgumentError, match="plain http"):
        check_base_url(url)


# Paths ----------------------------------------------------------------------------------------------------------


def linked(kind: str, folder: Path) -> tuple[Path, Path]:
    """Make a path with links in it, and tell the file it leads to."""
    real = folder / "real"
    real.mkdir()
    file = real / "study.sqlite"
    if kind == "file":
        kr.Client(token=TOKEN, store=file).close()
    way = {
        "file": folder / "link.sqlite",
        "dangling": folder / "link.sqlite",
        "chain": folder / "c.sqlite",
        "folder": folder / "folder" / file.name,
        "dots": folder / "folder" / ".." / "real" / file.name,
    }[kind]
    if kind in {"folder", "dots"}:
        (folder / "folder").symlink_to(real)
    elif kind == "chain":
        (folder / "a.sqlite").symlink_to(Path("real") / file.name)
        (folder / "b.sqlite").symlink_to(folder / "a.sqlite")
        way.symlink_to("b.sqlite")
    else:
        way.symlink_to(file)
    return way, file


@pytest.mark.parametrize("variable", [False, True])
@pytest.mark.parametrize("kind", ["file", "dangling", "chain", "folder", "dots"])
def test_a_store_behind_a_link_is_the_file_itself(
    kind: str, variable: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    way, file = linked(kind, tmp_path)
    if variable:
        monkeypatch.setenv("KEYAPI_STORE", str(way))
    with kr.Client(token=TOKEN, store=None if variable else way) as client:
        assert client.settings.store == str(file)
        assert client.store.path == str(file)
    assert file.is_file()
    assert settings_of(store=way) == settings_of(store=file)


@pytest.mark.parametrize("kind", ["itself", "two", "folder"])
def test_links_that_lead_in_a_loop_are_refused(kind: str, tmp_path: Path) -> None:
    loop = tmp_path / "loop"
    loop.symlink_to(tmp_path / "other" if kind == "two" else loop)
    (tmp_path / "other").symlink_to(loop)
    with pytest.raises(kr.StoreError, match="loop"):
        kr.Client(token=TOKEN, store=loop / "study.sqlite" if kind == "folder" else loop)


@pytest.mark.skipif(sys.platform == "win32", reason="a working folder cannot be removed there")
@pytest.mark.parametrize("option", ["store='a.sqlite'", "replay='a.zip'", "store='a.sqlite', offline=True"])
def test_a_working_folder_that_is_gone_is_said(option: str, tmp_path: Path) -> None:
    said = run(f"""
        import os
        import keyapi_research as kr
        os.mkdir({str(tmp_path / "gone")!r}); os.chdir({str(tmp_path / "gone")!r}); os.rmdir({str(tmp_path / "gone")!r})
        try:
            kr.connect(token="t", {option})
        except kr.StoreError as error:
            print(error)
        kr.connect(token="t", store={str(tmp_path / "whole.sqlite")!r}).status()
    """)
    assert "working folder, which no longer exists" in said


@pytest.mark.skipif(sys.platform == "win32", reason="names are Unicode there")
@pytest.mark.parametrize("option", ["store", "replay"])
def test_a_name_that_the_locale_cannot_write_is_refused(option: str) -> None:
    said = run(
        f"""
        import keyapi_research as kr
        try:
            kr.connect(token="t", {option}="stud\\u0438e.sqlite")
        except kr.InvalidArgumentError as error:
            print(error)
    """,
        LC_ALL="C",
        PYTHONUTF8="0",
        PYTHONCOERCECLOCALE="0",
    )
    assert "PYTHONUTF8=1" in said


@pytest.mark.skipif(sys.platform == "win32", reason="names are Unicode there")
def test_a_name_of_bytes_works_in_every_locale(tmp_path: Path) -> None:
    (tmp_path / "\u0438").mkdir()
    said = run(
        """
        import os, sys
        import keyapi_research as kr
        store = os.environ["FOLDER"] + "/a.sqlite"
        with kr.Client(sandbox=True, store=store, progress=False) as client:
            print(len(kr.fetch_hashtags("cats", client=client)))
    """,
        FOLDER=str(tmp_path / "\u0438"),
        LC_ALL="C",
        PYTHONUTF8="0",
        PYTHONCOERCECLOCALE="0",
    )
    assert said == "1"
    assert (tmp_path / "\u0438" / "a.sqlite").is_file()


@pytest.mark.parametrize("path", ["a\ud800.sqlite", "a\0b"])
def test_a_path_that_no_file_system_can_write_is_refused(path: str) -> None:
    for option in ({"store": path}, {"replay": path}):
        with pytest.raises(kr.InvalidArgumentError):
            kr.Client(token=TOKEN, **option)


# Limits, ages and moments ---------------------------------------------------------------------------------------


def test_the_default_limit_of_a_call_is_told_from_the_same_number_given() -> None:
    assert DEFAULT_CALL_CREDITS == 100
    assert repr(DEFAULT_CALL_CREDITS) == "100"
    unsaid, said = settings_of(), settings_of(max_call_credits=100)
    assert (unsaid.max_call_credits, unsaid.call_credits_passed) == (100, False)
    assert (said.max_call_credits, said.call_credits_passed) == (100, True)
    assert unsaid != said
    assert not settings_of(max_call_credits=None).call_credits_passed


@pytest.mark.parametrize(
    ("given_", "right"), [(DEFAULT_CALL_CREDITS, None), (None, None), (100, 100), (20, 20), (0, 0)]
)
def test_in_the_sandbox_only_a_limit_that_was_given_holds(given_: int | None, right: int | None) -> None:
    read = settings_of(sandbox=True, max_call_credits=given_)
    assert read.max_call_credits == right
    assert read.call_credits_passed == (right is not None)


@pytest.mark.parametrize(
    "age",
    [
        pd.NA,
        pd.NaT,
        np.nan,
        np.datetime64("NaT", "s"),
        np.timedelta64("NaT", "s"),
        "NaT",
        np.inf,
        "99999999999D",
        np.timedelta64(2**62, "D"),
        10**400,
        [1],
        np.array(["any", "1D"]),
        True,
        pd.Series(["1D"]),
        "",
        "1e400 days",
        timedelta.min,
    ],
)
def test_an_invalid_age_is_refused(age: Any) -> None:
    with pytest.raises(kr.InvalidArgumentError, match="max_age must be a duration"):
        read_max_age(age)


@pytest.mark.parametrize(
    ("age", "right"),
    [
        ("1D", timedelta(days=1)),
        (0, timedelta(0)),
        ("0", timedelta(0)),
        ("any", "any"),
        (np.timedelta64(6, "h"), timedelta(hours=6)),
        (None, None),
        (np.int64(0), timedelta(0)),
        (pd.Timedelta("6h"), timedelta(hours=6)),
    ],
)
def test_an_age_is_read(age: Any, right: Any) -> None:
    assert read_max_age(age) == right


FIRST, LAST = datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, 999999, UTC)
EDGES = {
    "9999-12-31": datetime(9999, 12, 31, 23, 59, 59, 999999, UTC),
    "0001-01-01": datetime(1, 1, 1, 23, 59, 59, 999999, UTC),
    "1677-09-21": datetime(1677, 9, 21, 23, 59, 59, 999999, UTC),
    LAST.replace(tzinfo=None): LAST,
    FIRST.replace(tzinfo=None): FIRST,
    LAST.date(): LAST,
    np.datetime64("9999-12-31T23:59:59"): datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC),
}


@pytest.mark.parametrize("moment", EDGES, ids=repr)
def test_a_moment_at_the_edge_of_the_calendar_is_read(moment: Any) -> None:
    assert read_as_of(moment) == EDGES[moment]
    assert settings_of(store="x.sqlite", as_of=moment).as_of == EDGES[moment]


@pytest.mark.parametrize(
    "moment",
    [
        pd.NA,
        pd.NaT,
        np.nan,
        np.datetime64("NaT", "s"),
        "9999-12-31 23:59-05:00",
        "0001-01-01 00:00+05:00",
        "10000-01-01",
        np.datetime64(2**63 - 1, "s"),
        np.datetime64(-(2**62), "us"),
        np.datetime64("10000-01-01"),
        "-0044-03-15",
        "99999999999",
        np.datetime64(2**62, "D"),
        "",
        [1],
        pd.Series(["2026-02-03"]),
        "0000-00-00",
        UTC,
    ],
    ids=repr,
)
def test_a_moment_that_no_calendar_has_is_refused(moment: Any) -> None:
    with pytest.raises(kr.InvalidArgumentError, match="as_of must be a date or a time"):
        read_as_of(moment)


@pytest.mark.parametrize(
    "moment", ["03/02/2026", "13/02/2026", "now", "today", "2026Q4", "2026-02", "2026W06", "Feb 3 2026"]
)
def test_a_moment_that_is_not_written_as_iso_is_refused(moment: str) -> None:
    with pytest.raises(kr.InvalidArgumentError, match="as_of must be a date or a time"):
        read_as_of(moment)


@pytest.mark.parametrize(
    ("moment", "right"),
    [
        ("2026-02-03", datetime(2026, 2, 3, 23, 59, 59, 999999, UTC)),
        ("2026-02-03T12:00Z", datetime(2026, 2, 3, 12, 0, 0, 0, UTC)),
        (" 2026-02-03 12:00:01.5+01:00 ", datetime(2026, 2, 3, 11, 0, 1, 500000, UTC)),
        ("2026-02-03 12:00 UTC", datetime(2026, 2, 3, 12, 0, 0, 0, UTC)),
    ],
)
def test_a_moment_written_as_iso_is_read(moment: str, right: datetime) -> None:
    assert read_as_of(moment) == right


@pytest.mark.parametrize(
    "moment",
    [pd.Timestamp.min, pd.Timestamp.max, np.datetime64(2**63 - 1, "ns"), pd.Timestamp("2262-04-11", tz="Asia/Tokyo")],
)
def test_pandas_own_edges_are_read(moment: Any) -> None:
    read = read_as_of(moment)
    assert read is not None
    assert abs(read.year - 1970) in {292, 293}


@pytest.mark.parametrize(
    "option",
    [
        "base_url",
        "token",
        "store",
        "replay",
        "sandbox",
        "offline",
        "max_credits",
        "retries",
        "timeout",
        "max_workers",
        "max_call_credits",
        "requests_per_second",
        "progress",
    ],
)
@pytest.mark.parametrize("missing", [pd.NA, pd.NaT, np.nan], ids=repr)
def test_a_missing_value_for_an_option_is_refused(option: str, missing: Any) -> None:
    with pytest.raises(kr.InvalidArgumentError):
        kr.Client(**{"token": TOKEN, "store": ":memory:", option: missing})


@pytest.mark.parametrize(
    "value", [np.datetime64("2026-01"), np.datetime64("2026"), pd.Timestamp("2026-01-10", tz="Asia/Shanghai")]
)
def test_a_month_or_another_zone_is_no_day(value: Any, client: kr.Client) -> None:
    with pytest.raises(kr.InvalidArgumentError, match="must be a day"):
        kr.fetch_creator_days("3993047", start=value, client=client)


def test_what_is_ambiguous_to_pandas_is_a_wrong_argument(client: kr.Client, tmp_path: Path) -> None:
    some = pd.Series(["hashtags"])
    frame = kr.fetch_hashtags("cats", client=client)
    kr.fetch_endpoint("/v1/tiktok/video/captions", {"video_id": "7117191641181555995"}, client=client)
    for call in (
        lambda: kr.stored("hashtags", observations=some, client=client),
        lambda: kr.stored(some, client=client),
        lambda: kr.audit(frame, client=client),
        lambda: kr.audit("/v1/tiktok/video/captions", client=client),
        lambda: kr.fetch_creators("1", by=some, client=client),
        lambda: kr.import_store(frame, client=client),
        lambda: kr.export_store(tmp_path / "e", tables=[["hashtags"]], client=client),
        lambda: kr.freeze(tmp_path / "a.zip", partial="no", client=client),
        lambda: frame.keyapi.to_csv(tmp_path / "a.csv", excel=pd.NA),
    ):
        with pytest.raises(kr.InvalidArgumentError):
            call()
