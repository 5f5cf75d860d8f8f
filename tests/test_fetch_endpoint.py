"""Any endpoint: what is refused, what arrives at the server, which pages are pulled, and what is said of them."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

import keyapi_research as kr
from keyapi_research.sandbox import Fault, Sandbox

Make = Callable[..., kr.Client]
PATH = "/v1/tests/any"
CAPTIONS = "/v1/tiktok/video/captions"
SHOPS = "/v1/tiktok/shop/list/analytics"
VIDEOS = "/v1/tiktok/video/detail/analytics"
HASHTAG = "/v1/tiktok/trending/hashtag/detail"
HASHTAGS = "/v1/tiktok/trending/hashtags"
PHOTO = "/v1/tiktok/realtime/product/photo-search"


def answer(data: Any, **more: Any) -> Fault:
    return Fault(body=json.dumps({"code": 0, "message": "ok", "data": data, **more}).encode())


def serve(sandbox: Sandbox, data: Any) -> None:
    """Answer every request with the same data."""
    sandbox.on_request = lambda *_: answer(data)


def values(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.drop(columns=["observed_at", "source"])


# What is refused ----------------------------------------------------------------------------------------------

REFUSED = {
    "unknown price": (("/v1/tiktok/none",), {}, r"the price of /v1/tiktok/none is not known, so nothing was sent.*"
                      r"fetch_endpoint\(\.\.\., credits=1\)"),
    "price nobody read": (("/v1/tiktok/live/detail", {"room_id": 1}), {}, "the price of .* is not known"),
    "misspelt path": (("/v1/tiktok/video/caption",), {}, "Did you mean '/v1/tiktok/video/captions'"),
    "host": (("https://api.keyapi.ai/v1/tiktok/x",), {"credits": 1}, "Leave out the host"),
    "host without scheme": (("//evil.example/v1/tiktok/x",), {"credits": 1}, "Leave out the host"),
    "no slash": (("v1/tiktok/x",), {"credits": 1}, "path must be as KeyAPI's pages write it"),
    "dots": (("/v1/tiktok/../../admin",), {"credits": 1}, "path must be"),
    "one dot": (("/v1/./x",), {"credits": 1}, "path must be"),
    "coded": (("/v1/tiktok/%2e%2e/x",), {"credits": 1}, "path must be"),
    "query": (("/v1/tiktok/x?a=1",), {"credits": 1}, "Pass parameters as params="),
    "fragment": (("/v1/tiktok/x#a",), {"credits": 1}, "Pass parameters as params="),
    "backslash": (("/v1\\tiktok",), {"credits": 1}, "path must be"),
    "line break": (("/v1/tiktok/x\n",), {"credits": 1}, "path must be"),
    "space": (("/v1/tiktok/ x",), {"credits": 1}, "path must be"),
    "long path": (("/v1/" + "x" * 300,), {"credits": 1}, "path must be"),
    "path that is no text": ((7,), {"credits": 1}, "path must be"),
    "POST": ((PHOTO, {"sk": "x"}), {"credits": 1}, "is a POST endpoint. This package sends GET requests only"),
    "POST, by pages": ((PHOTO,), {"credits": 1, "paging": ("p", "s", 10)}, "is a POST endpoint"),
    "list": ((PATH, {"ids": ["1", "2"]}), {"credits": 1}, 'Pass several ids as text: "1,2,3"'),
    "array": ((PATH, {"ids": np.array([1, 2])}), {"credits": 1}, "Pass several ids as text"),
    "Series": ((PATH, {"ids": pd.Series(["1"])}), {"credits": 1}, "Pass several ids as text"),
    "dict": ((PATH, {"a": {"b": 1}}), {"credits": 1}, "a must be text, a number, a flag, a date or None"),
    "bytes": ((PATH, {"a": b"x"}), {"credits": 1}, "a must be text"),
    "object": ((PATH, {"a": object()}), {"credits": 1}, "a must be text"),
    "params that are no dict": ((PATH, [("a", 1)]), {"credits": 1}, "params must be a dict"),
    "name that is no text": ((PATH, {1: "a"}), {"credits": 1}, "params must be .name: value."),
    "name with a space": ((PATH, {"a b": "a"}), {"credits": 1}, "params must be .name: value."),
    "empty name": ((PATH, {"": "a"}), {"credits": 1}, "params must be .name: value."),
    "name with &": ((PATH, {"a&b": "a"}), {"credits": 1}, "params must be .name: value."),
    "price zero": ((PATH,), {"credits": 0}, "credits must be a whole number of at least 1"),
    "price that is a flag": ((PATH,), {"credits": True}, "credits must be a whole number"),
    "price that is text": ((PATH,), {"credits": "1"}, "credits must be a whole number"),
    "fraction of a credit": ((PATH,), {"credits": 0.5}, "credits must be a whole number"),
    "paging that is a name": ((PATH,), {"credits": 1, "paging": "page"}, "paging must be"),
    "paging of two": ((PATH,), {"credits": 1, "paging": ("page", 10)}, "paging must be"),
    "paging of size zero": ((PATH,), {"credits": 1, "paging": ("page", "size", 0)}, "paging must be a whole number"),
    "paging by one name": ((PATH,), {"credits": 1, "paging": ("p", "p", 9)}, "the page and its size are two"),
    "rows without list": ((SHOPS, {"region": "US"}), {"rows": ""}, "has no list, but the pages of .* do"),
    "limit": ((SHOPS, {"region": "US"}), {"limit": 0}, "limit must be"),
    "personal": ((PATH,), {"credits": 1, "personal": 1}, "personal must be True or False"),
    "max_age": ((PATH,), {"credits": 1, "max_age": -1}, "max_age"),
    "no id": ((VIDEOS, {"video_ids": " , "}), {}, 'no id was given. Pass one, or several as "1,2,3"'),
}


@pytest.mark.parametrize(("args", "options", "match"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused_sends_nothing(
    sandbox: Sandbox, client: kr.Client, args: tuple[Any, ...], options: dict[str, Any], match: str
) -> None:
    with pytest.raises(kr.InvalidArgumentError, match=match):
        kr.fetch_endpoint(*args, client=client, **options)
    assert (sandbox.requests, len(client.ledger()), client.credits_spent) == ([], 0, 0)


CREDENTIALS = (
    "token", "api_key", "apikey", "authorization", "password", "secret", "cookie", "X-Api-Key", "accessToken",
    "msToken", "Token", "TOKEN", "apiKey", "APIKey", "API_KEY", "x_api_key", "Authorization", "client_secret",
    "clientSecret", "cookies", "set-cookie", "accesstoken", "mstoken", "xapikey", "api.key", "auth_token",
    "user[token]", "passwords", "page_api_key",
)  # fmt: skip
HARMLESS = (
    "keyword", "sk", "sec_uid", "page_token", "next_page_token", "pageToken", "nextToken", "keys", "key", "tokenizer",
    "region", "secretary", "sec_user_id", "passes", "cookiebook", "author", "f[0]", "a.b",
)  # fmt: skip


@pytest.mark.parametrize("name", CREDENTIALS)
def test_parameter_named_like_a_credential_is_refused(sandbox: Sandbox, client: kr.Client, name: str) -> None:
    with pytest.raises(kr.InvalidArgumentError, match="looks like a credential") as raised:
        kr.fetch_endpoint(PATH, {name: "abcdefgh"}, credits=1, client=client)
    assert "abcdefgh" not in str(raised.value)
    assert not sandbox.requests


def test_parameters_that_only_look_like_it_are_sent(sandbox: Sandbox, client: kr.Client) -> None:
    serve(sandbox, [{"a": 1}])
    sent = {name: str(number) for number, name in enumerate(HARMLESS)}
    kr.fetch_endpoint(PATH, sent, credits=1, client=client)
    assert sandbox.requests[-1].params == sent


# The token ----------------------------------------------------------------------------------------------------

TOKEN = "kc-canary-7f3a9b"


@pytest.mark.parametrize(
    ("path", "params"),
    [
        (PATH, {"q": TOKEN}),
        (PATH, {"q": f"Bearer {TOKEN}"}),
        (PATH, {"q": f"{TOKEN}\n"}),
        (PATH, f"key={TOKEN}"),
        (f"{PATH}?key={TOKEN}", None),
        (f"https://x:{TOKEN}@api.keyapi.ai{PATH}", None),
        (VIDEOS, {"video_ids": f"1,{TOKEN},2"}),
        ("/v1/tiktok/influencer/detail/analytics", {"unique_ids": f"a,{TOKEN}"}),
        (SHOPS, {"region": TOKEN}),
        (PATH, {"q": f"{TOKEN}{'x' * 9000}"}),
    ],
)
@pytest.mark.parametrize("offline", [False, True])
def test_token_as_a_value_is_nowhere(
    sandbox: Sandbox, make_client: Make, tmp_path: Path, caplog: pytest.LogCaptureFixture, path: str, params: Any,
    *, offline: bool,
) -> None:  # fmt: skip
    serve(sandbox, [{"a": 1}])
    with make_client() as first:  # something is stored, so that it can be opened offline
        kr.fetch_endpoint(PATH, {"q": "x"}, credits=1, client=first)
    client = make_client(token=TOKEN, offline=offline)
    shown = []
    with caplog.at_level(logging.DEBUG):
        for call in (kr.fetch_endpoint, lambda *a, **k: kr.plan(kr.fetch_endpoint, *a, **k)):
            with pytest.raises(kr.InvalidArgumentError) as raised:
                call(path, params, credits=1, client=client)
            shown += [str(raised.value), repr(raised.value.__dict__), repr(raised.value.failures)]
    shown += [caplog.text, repr(client), repr(client.status())]
    client.close()
    assert len(sandbox.requests) == 1
    assert not [text for text in shown if TOKEN in text]
    assert not [file.name for file in tmp_path.iterdir() if TOKEN.encode() in file.read_bytes()]


# What arrives -------------------------------------------------------------------------------------------------


class Region(str, Enum):  # noqa: UP042 - as code for older versions of Python has it
    US = "US"


SENT = {
    "text": ("cats", "cats"),
    "spaces": (" a  b ", " a  b "),
    "what an address has a meaning for": ("a&b=c+d#e/f?g;h%20", "a&b=c+d#e/f?g;h%20"),
    "unicode": ("caf\u00e9 \u732b \U0001f431\u200d", "caf\u00e9 \u732b \U0001f431\u200d"),
    "empty": ("", ""),
    "number": (7, "7"),
    "negative": (-7, "-7"),
    "long": (71171916411815559951234, "71171916411815559951234"),
    "fraction": (0.1, "0.1"),
    "whole float": (7.0, "7"),
    "NumPy": (np.int64(7), "7"),
    "NumPy, unsigned": (np.uint64(2**63 + 1), "9223372036854775809"),
    "NumPy, fraction": (np.float64(0.25), "0.25"),
    "NumPy, text": (np.str_("x"), "x"),
    "NumPy, flag": (np.bool_(True), "true"),
    "NumPy, day": (np.datetime64("2026-01-02"), "2026-01-02"),
    "NumPy, midnight": (np.datetime64("2026-01-02T00:00:00"), "2026-01-02"),
    "flags": (False, "false"),
    "day": (date(2026, 1, 2), "2026-01-02"),
    "midnight": (datetime(2026, 1, 2), "2026-01-02"),  # noqa: DTZ001 - a day as a reader writes it
    "Timestamp": (pd.Timestamp("2026-01-02"), "2026-01-02"),
    "Timestamp in UTC": (pd.Timestamp("2026-01-02", tz="UTC"), "2026-01-02"),
    "enumeration": (Region.US, "US"),
    "8,000 characters": ("x" * 8000, "x" * 8000),
}


@pytest.mark.parametrize(("value", "expected"), SENT.values(), ids=SENT)
def test_values_arrive_exactly(sandbox: Sandbox, client: kr.Client, value: Any, expected: str) -> None:
    serve(sandbox, [{"a": 1}])
    frame = kr.fetch_endpoint(PATH, {"q": value, "none": None}, credits=1, client=client)
    assert sandbox.requests[-1].params == {"q": expected}
    assert frame["q"].tolist() == [expected]
    kr.fetch_endpoint(PATH, {"q": expected}, credits=1, client=client)
    assert len(sandbox.requests) == 1  # it is one query, however it was spelt


@pytest.mark.parametrize(
    ("value", "match"),
    [
        (float("nan"), "the value is missing .*Pass None to leave it out"),
        (pd.NA, "the value is missing"),
        (pd.NaT, "the value is missing"),
        (np.datetime64("NaT", "D"), "the value is missing"),
        (float("inf"), "Pass text"),
        (1e17, "the last digits .* may be lost. Pass text"),
        (10**40, "Pass text"),
        (datetime(2026, 1, 2, 3), "has a time of day"),  # noqa: DTZ001 - as above
        (np.datetime64("2026-01-02T03:00"), "has a time of day"),
        ("a\nb", "control character"),
        ("\x00", "control character"),
        ("\ud800", "control character"),
        ("x" * 8001, "at most 8,000 characters"),
        (1j, "must be text, a number"),
        (pd.Timedelta(1), "must be text, a number"),
    ],
)
def test_values_that_cannot_be_sent_as_they_are(sandbox: Sandbox, client: kr.Client, value: Any, match: str) -> None:
    with pytest.raises(kr.InvalidArgumentError, match=match):
        kr.fetch_endpoint(PATH, {"q": value}, credits=1, client=client)
    assert not sandbox.requests


def test_decimals_are_sent_with_all_their_digits(sandbox: Sandbox, client: kr.Client) -> None:
    serve(sandbox, [{"a": 1}])
    kr.fetch_endpoint(PATH, {"q": Decimal("0.10")}, credits=1, client=client)
    assert sandbox.requests[-1].params == {"q": "0.10"}


def test_order_of_parameters_does_not_matter(sandbox: Sandbox, client: kr.Client) -> None:
    serve(sandbox, [{"a": 1}])
    kr.fetch_endpoint(PATH, {"x": 1, "y": 2}, credits=1, client=client)
    frame = kr.fetch_endpoint(PATH, {"y": "2", "x": "1"}, credits=1, client=client)
    assert frame[["x", "y"]].iloc[0].tolist() == ["1", "2"]
    assert len(sandbox.requests) == 1


# Pages --------------------------------------------------------------------------------------------------------

WAY = ("page_num", "page_size", 10)


def pages(sandbox: Sandbox, total: int, *, more: bool | None = None, cap: int = 100, first: int = 0) -> list[str]:
    """Serve a list page by page, and note which pages are requested."""
    asked: list[str] = []

    def respond(_: str, params: dict[str, str]) -> Fault:
        asked.append(params["page_num"])
        page, size = int(params["page_num"]), min(cap, int(params["page_size"]))
        items = [{"n": first + at} for at in range(size * (page - 1), min(size * page, total))]
        told = {} if more is None else {"has_more": size * page < total}
        return answer({"list": items, "total": total, **told})

    sandbox.on_request = respond
    return asked


@pytest.mark.parametrize(
    ("total", "more", "limit", "expected", "rows"),
    [
        (35, None, 20, ["1", "2"], 20),
        (35, None, 5, ["1"], 5),
        (35, None, 30, ["1", "2", "3"], 30),
        (35, None, 31, ["1", "2", "3", "4"], 31),
        (35, None, None, ["1", "2", "3", "4"], 35),
        (35, True, None, ["1", "2", "3", "4"], 35),
        (30, True, None, ["1", "2", "3"], 30),
        (30, None, None, ["1", "2", "3", "4"], 30),  # only an empty page says that there is no more
        (7, None, 20, ["1"], 7),
        (10, True, 20, ["1"], 10),
    ],
)
def test_pages(
    sandbox: Sandbox, make_client: Make, total: int, more: bool | None, limit: int | None,
    expected: list[str], rows: int,
) -> None:  # fmt: skip
    asked = pages(sandbox, total, more=more)
    client = make_client()
    options = {"credits": 2, "paging": WAY, "limit": limit, "client": client}
    plan = kr.plan(kr.fetch_endpoint, PATH, {"q": "x"}, **options)
    frame = kr.fetch_endpoint(PATH, {"q": "x"}, **options)
    assert asked == expected
    assert frame["n"].tolist() == list(range(rows))
    assert list(frame) == ["q", "total", *(["has_more"] if more else []), "n", "observed_at", "source"]
    assert client.credits_spent == 2 * len(asked)
    assert plan.credits_max is None or plan.credits_max >= client.credits_spent
    assert {params["page_size"] for params in map(json.loads, client.ledger()["params"])} == {"10"}
    kr.fetch_endpoint(PATH, {"q": "x"}, **options)
    assert kr.plan(kr.fetch_endpoint, PATH, {"q": "x"}, **options).requests == 0
    assert asked == expected


def test_known_endpoints_bring_their_paging(sandbox: Sandbox, client: kr.Client) -> None:
    asked = pages(sandbox, 35)
    frame = kr.fetch_endpoint(SHOPS, {"region": "US"}, client=client)
    assert (asked, len(frame), client.credits_spent) == (["1", "2"], 20, 2)
    assert sandbox.requests[0].params == {"region": "US", "page_num": "1", "page_size": "10"}


def test_page_in_params_is_one_request(sandbox: Sandbox, client: kr.Client) -> None:
    asked = pages(sandbox, 35)
    frame = kr.fetch_endpoint(SHOPS, {"region": "US", "page_num": 2, "page_size": 5}, limit=3, client=client)
    assert frame["n"].tolist() == [5, 6, 7, 8, 9]
    assert frame[["page_num", "page_size"]].iloc[0].tolist() == ["2", "5"]
    assert asked == ["2"]


@pytest.mark.parametrize(("total", "rows"), [(35, 10), (7, 7), (10, 10)])
def test_first_page_in_params_is_one_request_and_that_of_the_ranking(
    sandbox: Sandbox, client: kr.Client, total: int, rows: int
) -> None:
    asked = pages(sandbox, total)
    params = {"region": "US", "page_num": 1, "page_size": 10}
    assert kr.plan(kr.fetch_endpoint, SHOPS, params, client=client).credits_max == 1
    frame = kr.fetch_endpoint(SHOPS, params, client=client)
    assert (frame["n"].tolist(), asked) == (list(range(rows)), ["1"])
    again = kr.fetch_endpoint(SHOPS, {"region": "US"}, limit=rows, client=client)
    assert_frame_equal(values(again), values(frame))
    assert asked == ["1"]


def test_first_page_of_another_size_than_expected_comes_whole(sandbox: Sandbox, client: kr.Client) -> None:
    serve(sandbox, {"list": [{"n": number} for number in range(7)]})
    frame = kr.fetch_endpoint("/v1/tiktok/trending/videos", {"page": 1, "limit": 20}, client=client)
    assert (len(frame), len(sandbox.requests)) == (7, 1)


def test_page_that_repeats_ends_it_and_has_no_rows(sandbox: Sandbox, client: kr.Client) -> None:
    serve(sandbox, {"list": [{"n": number} for number in range(10)]})
    frame = kr.fetch_endpoint(PATH, credits=1, paging=WAY, limit=None, client=client)
    assert frame["n"].tolist() == list(range(10))
    assert len(sandbox.requests) == 2


def test_pages_capped_by_the_server_are_all_pulled(sandbox: Sandbox, client: kr.Client) -> None:
    def respond(_: str, params: dict[str, str]) -> Fault:
        page = int(params["p"])
        return answer([{"n": number} for number in range(10 * (page - 1), 10 * page)] if page < 4 else [])

    sandbox.on_request = respond
    options = {"credits": 1, "paging": ("p", "s", 20), "client": client}
    frame = kr.fetch_endpoint(PATH, limit=25, **options)
    assert (frame["n"].tolist(), len(sandbox.requests)) == (list(range(25)), 3)
    assert kr.fetch_endpoint(PATH, limit=None, **options)["n"].tolist() == list(range(30))
    assert len(sandbox.requests) == 4


def test_page_without_any_list_is_one_row_and_the_last(sandbox: Sandbox, client: kr.Client) -> None:
    serve(sandbox, {"total": 0})
    frame = kr.fetch_endpoint(PATH, {"q": "x"}, credits=1, paging=WAY, client=client)
    assert (frame["total"].tolist(), len(sandbox.requests)) == ([0], 1)


def test_pages_with_other_columns_and_places_lose_nothing(sandbox: Sandbox, client: kr.Client) -> None:
    answers = [
        {"list": [{"a": number, "b": number} for number in range(10)]},
        {"list": [{"a": f"x{number}", "c": None} for number in range(10)]},
        {"items": [{"a": 1.5, "d": number} for number in range(10)]},
        {"list": None, "end": True},
    ]
    sandbox.on_request = lambda _, params: answer(answers[int(params["page_num"]) - 1])
    frame = kr.fetch_endpoint(PATH, credits=1, paging=WAY, limit=None, client=client)
    assert values(frame).dtypes.astype(str).to_dict() == {"a": "string", "b": "Int64", "c": "string", "d": "Int64"}
    assert len(frame) == 30
    assert frame["a"].tolist() == [*map(str, range(10)), *(f"x{number}" for number in range(10)), *["1.5"] * 10]
    assert frame["d"].tolist() == [pd.NA] * 20 + list(range(10))


def test_limit_counts_the_items_of_the_pages_whatever_the_rows_are(sandbox: Sandbox, client: kr.Client) -> None:
    def respond(_: str, params: dict[str, str]) -> Fault:
        first = 10 * int(params["page_num"]) - 10
        items = [{"n": number, "parts": [1, 2]} for number in range(first, first + 10)]
        return answer({"list": items, "tags": ["a", "b", "c"]})

    sandbox.on_request = respond
    options = {"credits": 1, "paging": WAY, "limit": 12, "client": client}
    assert kr.fetch_endpoint(PATH, **options)["n"].tolist() == list(range(12))
    parts = kr.fetch_endpoint(PATH, rows="list[].parts[]", **options)
    assert parts["n"].tolist() == [number for number in range(12) for _ in range(2)]
    assert kr.fetch_endpoint(PATH, rows="tags[]", **options)["value"].tolist() == ["a", "b", "c"] * 2
    assert len(sandbox.requests) == 2


def test_pages_an_hour_old_are_pulled_anew(
    sandbox: Sandbox, make_client: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = pages(sandbox, 35)
    options = {"credits": 1, "paging": WAY}
    kr.fetch_endpoint(PATH, limit=10, client=make_client(), **options)
    kr.fetch_endpoint(PATH, limit=20, client=make_client(), **options)
    assert asked == ["1", "2"]
    now = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: now() + 4000 * 10**9)
    plan = kr.plan(kr.fetch_endpoint, PATH, limit=30, client=make_client(), **options)
    assert (plan.requests, "more than an hour old" in plan.note) == (3, True)
    assert len(kr.fetch_endpoint(PATH, limit=30, client=make_client(), **options)) == 30
    assert asked == ["1", "2", "1", "2", "3"]


# Parameters that were ignored ---------------------------------------------------------------------------------


def test_answer_equal_to_that_of_other_parameters_is_warned_of_once(sandbox: Sandbox, client: kr.Client) -> None:
    sandbox.on_request = lambda *_: answer([{"a": 1}, {"a": 2}], requestId=f"r{len(sandbox.requests)}")
    kr.fetch_endpoint(PATH, {"regoin": "US"}, credits=1, client=client)
    with pytest.warns(kr.SchemaDriftWarning) as caught:
        kr.fetch_endpoint(PATH, {"regoin": "DE"}, credits=1, client=client)
    assert str(caught[0].message) == (
        f'{PATH}: the answer to {{"regoin":"DE"}} equals the one to {{"regoin":"US"}}: KeyAPI may have ignored a '
        "parameter, or both have the same rows. Check the names of the parameters on its page"
    )


@pytest.mark.parametrize("data", [[{"a": 1}], {"a": 1, "b": 2, "c": 3}, {"list": [{"a": 1}]}])
def test_equal_answers_of_one_row_say_nothing(
    sandbox: Sandbox, client: kr.Client, recwarn: pytest.WarningsRecorder, data: Any
) -> None:
    serve(sandbox, data)
    for region in ("US", "DE"):
        kr.fetch_endpoint(PATH, {"region": region}, credits=1, client=client)
    assert not recwarn.list


def test_equal_answers_say_nothing_of_the_same_parameters_or_of_another_endpoint(
    sandbox: Sandbox, client: kr.Client, recwarn: pytest.WarningsRecorder
) -> None:
    serve(sandbox, [{"a": 1}, {"a": 2}])
    kr.fetch_endpoint(PATH, {"region": "US"}, credits=1, client=client)
    kr.fetch_endpoint(PATH, {"region": "US"}, credits=1, max_age=0, client=client)
    kr.fetch_endpoint("/v1/tests/other", {"region": "DE"}, credits=1, client=client)
    assert (len(sandbox.requests), recwarn.list) == (3, [])


def test_a_path_that_is_inferred_is_said_before_it_is_paid_for(make_client: Callable[..., kr.Client]) -> None:
    client = make_client()
    path = "/v1/tiktok/influencer/livestreams/analytics"
    plan = kr.plan(kr.fetch_endpoint, path, {"user_id": "7"}, credits=1, client=client)
    assert "its path is inferred" in plan.note
    captions = kr.plan(kr.fetch_endpoint, "/v1/tiktok/video/captions", {"video_id": "7"}, client=client)
    assert "inferred" not in captions.note
