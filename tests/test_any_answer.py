"""A thousand calls that nobody thought of: a frame without a lost value, or a typed error; never anything else."""

from __future__ import annotations

import json
import random
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import date
from typing import Any

import numpy as np
import pandas as pd
import pytest

import keyapi_research as kr
from keyapi_research.sandbox import Fault, Sandbox

PERSONAL = {"contact_email", "signature", "nick_name", "avatar", "gender"}
KEYS = (
    "id", "user_id", "ids", "value", "list", "items", "data", "total", "has_more", "observed_at", "source", "q", "page",
    "a.b", "a", "b", "c/d", " ", "", ".", "..", "[]", "x[]", "[].y", "a[].b", ".k", "k.", "\ud800", "\udfff",
    "\u00e9", "\u732b", "\U0001f431", "\x00", "\n", "-1", "params.source", "data.source", "nick_name", "avatar",
    "gender",
)  # fmt: skip
TEXTS = ("", " ", "x", "true", "null", "NaN", "[1]", '{"a": 1}', "\ud800", "\x00", "7117191641181555995", "\u00e9")


class Chance:
    """Random JSON, paths, parameters and options, the same ones each time."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.pick = self.random.choice

    def scalar(self) -> Any:
        whole = self.pick((0, 1, -1, -99999, 10**14, 10**15, -(10**16), 2**53 + 1, 2**63, -(2**70), 10**40))
        other = self.pick((0.0, -0.5, 1.0, 1e15, 1e22, 0.1, 1e-9, 1.7e308))
        return self.pick((None, True, False, whole, self.random.randrange(10**6), other, self.pick(TEXTS)))

    def json(self, depth: int = 0) -> Any:
        kind = self.random.random()
        if depth > 4 or kind < 0.15 + 0.1 * depth:
            return self.scalar()
        if kind < 0.55:
            if self.random.random() < 0.5:  # items that are alike, as rows are
                return [self.object(depth + 1) for _ in range(self.random.randrange(5))]
            return [self.json(depth + 1) for _ in range(self.random.randrange(4))]
        return self.object(depth)

    def object(self, depth: int) -> dict[str, Any]:
        return {self.pick(KEYS): self.json(depth + 1) for _ in range(self.random.randrange(6))}

    def body(self, data: Any) -> bytes:
        whole = json.dumps({"code": 0, "message": "ok", "data": data}).encode()
        odd = (
            whole[: len(whole) // 2], b"", b"null", b"[]", b"<html>", b'{"code": 0}', b'{"data": [1]}', b'"x"', b"\xff",
            b'{"code": 0, "data": {"code": 0, "data": [{"a": 1}]}}', b'{"code": 500, "data": [1]}',
        )  # fmt: skip
        return whole if self.random.random() < 0.9 else self.pick(odd)

    def path(self, number: int) -> Any:
        ill = ("/v1/../x", "/v1/%00", "v1/x", "/v1/x?y", 5, None, "/v2/x", "/v1//x", "/v1/x/", "\ud800", "/v1/\u00e9")
        return f"/v1/any/{number}" if self.random.random() < 0.95 else self.pick(ill)

    def params(self) -> Any:
        names = ("q", "id", "source", "page", "a.b", "f[]", "token", "a b", 7, "observed_at", "user_id", "value")
        good = ("", " x", "caf\u00e9", "1,2", 1, -1.5, True, None, date(2026, 1, 2), np.int64(3))
        if self.random.random() < 0.9:
            return {self.pick(names[:6]): self.pick(good) for _ in range(self.random.randrange(4))}
        ill = (*TEXTS, np.nan, [1], b"x", 10**40, {"a": 1}, object())
        return {self.pick(names): self.pick(ill) for _ in range(self.random.randrange(4))}

    def options(self) -> dict[str, Any]:
        options: dict[str, Any] = {}
        if self.random.random() < 0.2:
            ways = ("", "[]", "list[]", "list[].items[]", "a", "a.b[]", "items[]", "data[].a", "[][]", "[", 5, "[].[]")
            options["rows"] = self.pick(ways)
        if self.random.random() < 0.2:
            options["paging"] = self.pick((("page_num", "page_size", 5), ("p", "s", 20), ("p", "s", 0), "p"))
            options["limit"] = self.pick((1, 3, 20, None))
        if self.random.random() < 0.5:
            options["personal"] = True
        return options


def written(value: Any) -> str:
    """A scalar as one text, whatever dtype its column has."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, bool | np.bool_):
        return "true" if value else "false"
    if isinstance(value, float | np.floating) and abs(value) < 10**15 and value == int(value):
        value = int(value)
    return repr(value) if isinstance(value, float) else str(value)


def scalars(node: Any, *, personal: bool) -> Iterator[str]:
    if isinstance(node, dict):
        for name, inner in node.items():
            if personal or name not in PERSONAL:
                yield from scalars(inner, personal=personal)
    elif isinstance(node, list):
        for inner in node:
            yield from scalars(inner, personal=personal)
    elif node is not None:
        yield written(node)


def values_of(pairs: list[tuple[str, Any]]) -> list[Any]:
    """An object as a list: of keys that no file can hold, two may be written alike."""
    return [value for _, value in pairs]


def cells(frame: pd.DataFrame) -> Iterator[str]:
    """Every value of a frame, those in JSON text of a cell one by one."""
    for name in frame:
        for value in frame[name].tolist():
            if pd.isna(value):
                continue
            whole_number = isinstance(value, str) and value.endswith(".0")  # written as text, beside a list
            yield written(float(value) if whole_number else value)
            if isinstance(value, str) and value[:1] in ("[", "{"):
                try:
                    yield from scalars(json.loads(value, object_pairs_hook=values_of), personal=True)
                except ValueError:
                    continue


def breaches(frame: pd.DataFrame) -> list[str]:
    """What is wrong with a frame whatever came."""
    found = [] if frame.columns.is_unique else ["a name comes twice"]
    found += [f"{name!r} is no text" for name in frame if not isinstance(name, str) or name.encode() is None]
    found += [] if [*frame][-2:] == ["observed_at", "source"] else ["what is stamped is not at the end"]
    for name in frame.columns[:-2]:
        kind, last = str(frame[name].dtype), name.rpartition(".")[2].removesuffix("[]")
        if kind not in ("string", "boolean", "Int64", "float64"):
            found.append(f"{name!r} is {kind}")
        if kind == "Int64" and (last in ("id", "ids") or last.endswith(("_id", "_ids", "id_str"))):
            found.append(f"{name!r} is a number")
        if kind == "Int64" and (frame[name].abs() >= 10**15).any():
            found.append(f"{name!r} has long numbers")
    return found


def sent(sandbox: Sandbox) -> int:
    return len(sandbox.requests)


def one_call(chance: Chance, number: int, sandbox: Sandbox, client: kr.Client) -> str:
    """Make a call; say what came of it, and assert that it is what was promised."""
    data = chance.json()
    path, params, options, body = chance.path(number), chance.params(), chance.options(), chance.body(data)
    sandbox.on_request = lambda *_: Fault(body=body)
    before, spent = sent(sandbox), client.credits_spent
    call = (path, params, options, body)
    try:
        frame = kr.fetch_endpoint(path, params, credits=1, client=client, **options)
    except kr.KeyAPIError as error:
        text, refused = str(error), isinstance(error, kr.InvalidArgumentError)
        kind = "refused" if refused else type(error).__name__
        frame = None
    if frame is None:
        assert text.encode(), call
        assert not refused or sent(sandbox) == before or "which is stored" in text, call
        return kind
    assert breaches(frame) == [], call
    requests = sent(sandbox) - before
    assert client.credits_spent - spent == requests, call
    if number % 4 == 0:
        again = kr.fetch_endpoint(path, params, credits=1, client=client, **options)
        assert sent(sandbox) == before + requests, call
        pd.testing.assert_frame_equal(again, frame)
    if options.get("rows") is None and body == json.dumps({"code": 0, "message": "ok", "data": data}).encode():
        missing = client.store.latest([one.entity for one in client.store.observations([client.store.last_ids()[0]])])
        if len(frame) or not any(one.absent for one in missing.values()):
            limited = options.get("paging") is not None and len(frame) >= (options["limit"] or np.inf)
            lost = Counter(scalars(data, personal="personal" in options)) - Counter(cells(frame))
            assert limited or not lost, (call, lost)
            return "whole"
    return "frame"


def run(sandbox: Sandbox, make_client: Callable[..., kr.Client], calls: range) -> Counter[str]:
    client = make_client(store=":memory:", retries=0, max_call_credits=None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", kr.KeyAPIWarning)
        return Counter(one_call(Chance(number), number, sandbox, client) for number in calls)


@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.parametrize("calls", [250, pytest.param(1000, marks=pytest.mark.slow)])
def test_a_thousand_calls(calls: int, sandbox: Sandbox, make_client: Callable[..., kr.Client]) -> None:
    came = run(sandbox, make_client, range(calls))
    assert came.total() == calls
    assert came["whole"] > 0.3 * calls, came
    assert came["refused"] > 0.05 * calls, came
    assert {"UnexpectedResponseError", "ServerError"} <= set(came), came


@pytest.mark.long
def test_many_more_calls(sandbox: Sandbox, make_client: Callable[..., kr.Client]) -> None:
    start = random.randrange(10**9)
    run(sandbox, make_client, range(start, start + 30_000))
