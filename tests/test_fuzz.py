"""Input that nobody here chose: a frame that is exactly as declared, or a typed error, and nothing paid for is lost."""

from __future__ import annotations

import copy
import json
import re
import unicodedata
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import keyapi_research as kr
from keyapi_research.endpoints import ENDPOINTS, Ask, Endpoint, make_ask, make_asks
from keyapi_research.envelope import Found, match, open_envelope, read_json
from keyapi_research.sandbox import Fault, Sandbox
from keyapi_research.schema import Column, Table
from keyapi_research.tidy import Source, find_drift, make_frame

NOON = 1_770_120_000_000_000  # 2026-02-03 12:00 UTC
BUDGET = settings(
    derandomize=True, deadline=None, database=None, phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)

# What the answers are made of: the documented ones, and lists of the sandbox ------------------------------------


@dataclass(frozen=True)
class Case:
    """What is asked of an endpoint, and the normal answer (of a ranking, two pages)."""

    endpoint: Endpoint
    asks: tuple[Ask, ...]
    pages: tuple[dict[str, Any], ...]

    def __repr__(self) -> str:
        return self.endpoint.name


IDS = {
    "product_detail": "601583",
    "video_analytics": ["7117191641181555995", "7300000000000000001", "7300000000000000002"],
    "hashtag_detail": "ufc324",
    "music_detail": "6703723351497508865",
}


def short(node: Any) -> Any:
    """Lists of three, so that a mutation hits every kind of place."""
    if isinstance(node, dict):
        return {name: short(value) for name, value in node.items()}
    return [short(one) for one in node[:3]] if isinstance(node, list) else node


def make_case(endpoint: Endpoint) -> Case:
    arguments = {p.argument: p.default for p in endpoint.parameters}
    ids = IDS.get(endpoint.name)
    asks = (make_ask(endpoint, arguments),) if ids is None else make_asks(endpoint, ids, arguments)
    params = dict(asks[0].params)
    if endpoint.batch > 1:
        params["video_ids"] = ",".join(ask.id for ask in asks)
    server = Sandbox(page_cap=3)
    pages = []
    for number in (1, 2) if ids is None else (1,):
        query = "&".join(f"{name}={value}" for name, value in {**params, "page": str(number)}.items())
        pages.append(short(json.loads(server.respond("GET", f"{endpoint.path}?{query}", "Bearer x").body)))
    assert all(page["code"] == 0 for page in pages)
    return Case(endpoint, asks, tuple(pages))


CASES = {endpoint.name: make_case(endpoint) for endpoint in ENDPOINTS}

# Mutations ------------------------------------------------------------------------------------------------------


class Body(bytes):
    """An answer whose repr stays short when it is long."""

    def __repr__(self) -> str:
        return f"{bytes(self[:2000])!r}{f' and {len(self) - 2000} more' if len(self) > 2000 else ''}"


class Doubled(list[tuple[str, Any]]):
    """An object of which a key comes twice."""


def deep(levels: int) -> str:
    return f"\x00deep {levels}\x00"  # written out at the end: neither we nor hypothesis need to nest that far


SCALARS = st.sampled_from(
    [None, True, False, 0, 1, -1, -99999, 3, 7, 200, 402, 2**53 + 1, 2**63 - 1, 2**63, -(2**63), 10**30, 10**400,
     1769472000, 1769472000000, 0.5, -0.0, 1.5, 3.0, 1e22, 1e308, float("inf"), float("-inf"), float("nan"), "", " ",
     "\t\n", "0", "1", "-1", "--5", "+7", "007", "1e5", "1e999", "NaN", "Infinity", "٣", "²", "true", "False", "null",
     "NA", "US", "ALL", "\ud800", "a\udfff", "\x00", "\u202e", "=1+1", "#", "#ufc324", "UFC324", "x" * 300,
     "2026-02-03", "1769472000", "7117191641181555995", "601583", " 601583 ", "6703723351497508865", "<script>",
     deep(60), deep(500), deep(980), deep(100_000)]
)
WEIRD = st.recursive(
    SCALARS | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=4,
)
Path = tuple[str | int, ...]


def walk(node: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    yield path, node
    if isinstance(node, dict):
        for name, value in node.items():
            yield from walk(value, (*path, name))
    elif isinstance(node, list) and not isinstance(node, Doubled):
        for at, value in enumerate(node):
            yield from walk(value, (*path, at))


def replaced(node: Any, path: Path, change: Callable[[Any], Any]) -> Any:
    """The same with what stands at a path changed."""
    if not path:
        return change(node)
    node = copy.copy(node)
    node[path[0]] = replaced(node[path[0]], path[1:], change)
    return node


def dropped(node: Any, name: str | int) -> Any:
    pairs = node.items() if isinstance(node, dict) else enumerate(node)
    rest = [(key, value) for key, value in pairs if key != name]
    return dict(rest) if isinstance(node, dict) else [value for _, value in rest]


@st.composite
def mutated(draw: st.DrawFn, whole: Any) -> Any:
    for _ in range(draw(st.integers(1, 3))):
        depth = draw(st.sampled_from([1, 2, 3, 99, 99, 99]))  # else nearly all would fall on leaves
        places = [place for place in walk(whole) if len(place[0]) <= depth]
        path, node = draw(st.sampled_from(places))
        donor = draw(st.sampled_from(places))[1]
        inside = isinstance(node, dict | list) and not isinstance(node, Doubled) and len(node) > 0
        name = draw(st.sampled_from(list(node) if isinstance(node, dict) else range(len(node)))) if inside else None
        ways: dict[str, Callable[[Any], Any]] = {
            "replace": lambda _, value=draw(WEIRD): value,
            "swap types": lambda _, value=donor: value,
            "as text": lambda old: json.dumps(old) if isinstance(old, dict | list) else str(old),
            "wrap": lambda old: [old],
            "wrap in object": lambda old: {"data": old, "info": old},
        }
        if inside:
            ways["drop"] = lambda old, name=name: dropped(old, name)
            ways["empty"] = lambda old: type(old)()
        if inside and isinstance(node, list):
            ways["repeat"] = lambda old: [*old, *old]
            ways["reverse"] = lambda old: old[::-1]
            ways["strangers"] = lambda old, value=draw(WEIRD): [value, *old, None]
        if inside and isinstance(node, dict):
            ways["double, last"] = lambda old, name=name, value=draw(WEIRD): Doubled([*old.items(), (name, value)])
            ways["double, first"] = lambda old, name=name, value=donor: Doubled([(name, value), *old.items()])
            ways["rename"] = lambda old, name=name, to=draw(st.text(max_size=6)): {
                (to if key == name else key): value for key, value in old.items()
            }
            ways["new key"] = lambda old, value=draw(WEIRD): {**old, "new\ud800": value}
        whole = replaced(whole, path, ways[draw(st.sampled_from(sorted(ways)))])
    return whole


def written(node: Any) -> str:
    if isinstance(node, dict | Doubled):
        pairs = node.items() if isinstance(node, dict) else node
        return "{" + ", ".join(f"{json.dumps(str(name))}: {written(value)}" for name, value in pairs) + "}"
    return "[" + ", ".join(map(written, node)) + "]" if isinstance(node, list) else json.dumps(node)


def spelled(node: Any) -> str:
    text = written(node)
    return re.sub(r'"\\u0000deep (\d+)\\u0000"', lambda found: "[" * int(found[1]) + "]" * int(found[1]), text)


@st.composite
def bodies(draw: st.DrawFn, whole: Any) -> bytes:
    text = spelled(draw(mutated(whole)))
    outer = draw(st.sampled_from(["{}"] * 6 + ['{{"code": 200, "msg": "ok", "data": {}}}', '{{"code": 0, "data": {}}}', "[{}]"]))
    text = outer.format(text) if outer != "{}" else text
    encoding = draw(st.sampled_from(["utf-8"] * 9 + ["utf-8-sig", "utf-16", "utf-32-le", "latin-1", "cp037"]))
    body = text.encode(encoding, "replace")
    return Body(body[: draw(st.integers(0, len(body)))] if draw(st.integers(0, 19)) == 0 else body)


DTYPES = {"id": "string", "text": "string", "hashtag": "string", "count": "Int64", "integer": "Int64",
          "number": "float64", "flag": "boolean", "time": "datetime64[us, UTC]"}

# What must hold -------------------------------------------------------------------------------------------------


def breaches(table: Table, frame: pd.DataFrame, asks: Sequence[Ask]) -> list[str]:
    """What is wrong with a frame, by another reading of the declaration than the one that made it."""
    if [(name, str(dtype)) for name, dtype in frame.dtypes.items()] != [(c.name, DTYPES[c.kind]) for c in table.columns]:
        return [f"columns: {dict(frame.dtypes)}"]
    if not isinstance(frame.index, pd.RangeIndex) or frame.index.start != 0:
        return [f"index: {frame.index}"]
    values = {name: [None if v is pd.NA or v != v else v for v in frame[name].tolist()] for name in frame}
    found = [
        f"{column.name}: {value!r}"
        for column in table.columns
        for value in values[column.name]
        if value is not None and not fits(column, value)
    ]
    keys = list(zip(*(values[name] for name in table.key), strict=True))
    # A filter that was not asked for is missing in all rows; any other part of a key never is.
    needed = [at for at, name in enumerate(table.key) if asks[0].value_of.get(name, "") is not None]
    if any(key[at] is None for key in keys for at in needed):
        found.append("a key is missing")
    if len(set(keys)) < len(keys):
        found.append("a key comes twice")
    for name in asks[0].value_of:
        odd = set(values[name]) - {ask.value_of[name] for ask in asks}
        if odd:
            found.append(f"{name}: {odd} was not asked for")
    if table.sorted_by:
        groups: dict[Any, list[Any]] = {}
        for key, moment, date in zip(keys, values["observed_at"], values[table.sorted_by], strict=True):
            groups.setdefault((key[:-1], moment), []).append(date)
        found += ["dates are not ascending" for dates in groups.values() if dates != sorted(dates)]
    return found


def fits(column: Column, value: Any) -> bool:
    if column.kind in ("id", "text", "hashtag"):
        text = isinstance(value, str) and value == writable(value) and value != ""
        return text and (column.kind == "text" or value == value.strip())
    if column.kind in ("count", "integer", "number"):
        least = -np.inf if column.least is None else column.least
        most = np.inf if column.most is None else column.most
        return bool(np.isfinite(value)) and value != -99999 and least <= value <= most
    return isinstance(value, bool) if column.kind == "flag" else 1970 <= value.year <= 9999


def plain(value: Any) -> str | None:
    """An id of the answer as text, for looking it up by hand."""
    if isinstance(value, float) and value == int(value):
        value = int(value)
    return None if isinstance(value, bool | list | dict | float) or value is None else str(value).strip()


def at(node: Any, *path: str) -> Any:
    for name in path:
        node = node.get(name) if isinstance(node, dict) else None
    return node


def about(endpoint: Endpoint, data: Any) -> list[Any]:
    """The rows an answer has and whom each is about, read by hand."""
    paths = {"hashtag_detail": ("info", "hashtag_name"), "music_detail": ("sound", "clip_id")}
    if endpoint.name in paths:
        return [at(data, *paths[endpoint.name])]
    rows = data if endpoint.name == "video_analytics" else at(data, {"trending_music": "sound_list"}.get(endpoint.name, "list"))
    if endpoint.name == "product_detail":
        rows = [at(data, "info")]
    name = {"video_analytics": "video_id", "trending_hashtags": "hashtag_name", "trending_music": "clip_id"}
    if endpoint.name in name:
        return [at(row, name[endpoint.name]) for row in rows or ()]
    levels = [[at(row, f"{level}_ecom_category", "id") for level in ("third", "second", "first")] for row in rows or ()]
    return [next((one for one in ids if plain(one)), None) for ids in levels]


def same(endpoint: Endpoint, value: Any, one: str) -> bool:
    if "hashtag" in endpoint.name:
        name = unicodedata.normalize("NFC", value).strip().removeprefix("#").lower() if isinstance(value, str) else None
        return name is not None and writable(unicodedata.normalize("NFC", name)) == one
    return plain(value) == one


def writable(text: str) -> str:
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def check_rows(case: Case, frame: pd.DataFrame, envelopes: Sequence[Mapping[str, Any]]) -> None:
    """Hold the first table's rows against whom the answers are about: never a row under a wrong id."""
    endpoint = case.endpoint
    key = endpoint.tables[0].key[-1]
    named = [one for envelope in envelopes for one in about(endpoint, envelope["data"])]
    if "position" in frame:
        for row in frame[["position", key]].itertuples(index=False):
            assert same(endpoint, named[row[0] - 1], row[1]), (row, named)
    else:
        for one in frame[key]:
            assert any(same(endpoint, value, one) for value in named), (one, named)


def tabulate(case: Case, found: Sequence[Found]) -> None:
    """Make every table of an answer."""
    there = [one for one in found if not one.absent]
    sources = [Source(one.ask, NOON + number) for number, one in enumerate(there)]
    envelopes = [json.loads(json.dumps(one.envelope)) for one in there]  # as the store keeps them
    for table in case.endpoint.tables:
        frame, _ = make_frame(table, sources, envelopes, source="sandbox")
        assert breaches(table, frame, case.asks) == []
        assert frame.keyapi.validate() is frame
        if table is case.endpoint.tables[0]:
            check_rows(case, frame, envelopes)
    new, gone = find_drift(case.endpoint, envelopes)
    assert all(isinstance(path, str) for path in new | gone)


def take(case: Case, body: bytes, status: int = 200) -> list[Found] | kr.KeyAPIError:
    """Take an answer as the client does."""
    try:
        payload = read_json(body)
    except ValueError:
        payload = None
    try:
        envelope = open_envelope(status, body, payload, retry_after=None)
    except kr.KeyAPIError as error:
        assert error.answer is not None
        str(error).encode()
        return error
    found = match(case.endpoint, case.asks, envelope)
    assert len(found) == len(case.asks)
    for one in found:
        if isinstance(one, kr.KeyAPIError):
            assert one.answer is not None
            str(one).encode()
    return [one for one in found if isinstance(one, Found)]


KINDS: dict[str, set[str]] = {}


def check_answers(case: Case, answers: Sequence[bytes]) -> None:
    found: list[Found] = []
    for body in answers:
        taken = take(case, body)
        KINDS.setdefault(case.endpoint.name, set()).add(type(taken).__name__)
        if isinstance(taken, kr.KeyAPIError):
            return
        found += taken
    tabulate(case, found)


@st.composite
def conversations(draw: st.DrawFn) -> tuple[Case, list[bytes]]:
    case = CASES[draw(st.sampled_from(sorted(CASES)))]
    broken = draw(st.integers(0, len(case.pages) - 1))
    return case, [draw(bodies(page)) if at == broken else Body(json.dumps(page).encode()) for at, page in enumerate(case.pages)]


@given(conversations())
@settings(BUDGET, max_examples=1500)
def test_any_answer_is_a_table_or_a_typed_error(conversation: tuple[Case, list[bytes]]) -> None:
    check_answers(*conversation)


@st.composite
def envelopes(draw: st.DrawFn) -> tuple[Case, bytes, int]:
    case = CASES[draw(st.sampled_from(sorted(CASES)))]
    data = draw(st.sampled_from([case.pages[0]["data"], {}, None, [], "", {"info": {}}, {"list": []}]) | WEIRD)
    whole = {"code": 0, "data": data}
    for name in draw(st.lists(st.sampled_from(["code", "message", "msg", "requestId", "request_id", "data", "more"]))):
        whole[name] = draw(WEIRD)
    for _ in range(draw(st.integers(0, 2))):
        whole = {"code": draw(SCALARS), "message": draw(WEIRD), "data": whole}
    return case, Body(spelled(whole).encode()), draw(st.sampled_from([200, 200, 200, 201, 206, 302, 400, 402, 429, 500, 999]))


@given(envelopes())
@settings(BUDGET, max_examples=1000)
def test_any_envelope_is_taken_for_what_it_is_worth(answer: tuple[Case, bytes, int]) -> None:
    case, body, status = answer
    taken = take(case, body, status)
    if status >= 300 or isinstance(taken, kr.KeyAPIError):
        assert isinstance(taken, kr.KeyAPIError)
    else:
        tabulate(case, taken)


def test_the_mutations_reach_tables_and_errors() -> None:
    for case in CASES.values():
        check_answers(case, [json.dumps(page).encode() for page in case.pages])
