"""Input that nobody here chose: a frame that is exactly as declared, or a typed error, and nothing paid for is lost."""

from __future__ import annotations

import copy
import json
import pickle
import re
import time
import unicodedata
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import IntEnum
from fractions import Fraction
from ipaddress import IPv4Address
from pathlib import Path
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
    """An answer of which hypothesis shows only the beginning."""

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(repr(bytes(self[:2000])))


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
Place = tuple[str | int, ...]


def walk(node: Any, path: Place = ()) -> Iterator[tuple[Place, Any]]:
    yield path, node
    if isinstance(node, dict):
        for name, value in node.items():
            yield from walk(value, (*path, name))
    elif isinstance(node, list) and not isinstance(node, Doubled):
        for at, value in enumerate(node):
            yield from walk(value, (*path, at))


def replaced(node: Any, path: Place, change: Callable[[Any], Any]) -> Any:
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
    return [next((one for one in ids if one is not None and one != "" and not str(one).isspace()), None) for ids in levels]


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
def conversations(draw: st.DrawFn) -> tuple[str, list[bytes]]:
    name = draw(st.sampled_from(sorted(CASES)))
    case = CASES[name]
    broken = draw(st.integers(0, len(case.pages) - 1))
    return name, [draw(bodies(page)) if at == broken else Body(json.dumps(page).encode()) for at, page in enumerate(case.pages)]


@given(conversations())
@settings(BUDGET, max_examples=1500)
def test_any_answer_is_a_table_or_a_typed_error(conversation: tuple[str, list[bytes]]) -> None:
    name, answers = conversation
    check_answers(CASES[name], answers)


@st.composite
def envelopes(draw: st.DrawFn) -> tuple[str, bytes, int]:
    name = draw(st.sampled_from(sorted(CASES)))
    data = draw(st.sampled_from([CASES[name].pages[0]["data"], {}, None, [], "", {"info": {}}, {"list": []}]) | WEIRD)
    whole = {"code": 0, "data": data}
    for field in draw(st.lists(st.sampled_from(["code", "message", "msg", "requestId", "request_id", "data", "more"]))):
        whole[field] = draw(WEIRD)
    for _ in range(draw(st.integers(0, 2))):
        whole = {"code": draw(SCALARS), "message": draw(WEIRD), "data": whole}
    return name, Body(spelled(whole).encode()), draw(st.sampled_from([200, 200, 200, 201, 206, 302, 400, 402, 429, 500, 999]))


@given(envelopes())
@settings(BUDGET, max_examples=1000)
def test_any_envelope_is_taken_for_what_it_is_worth(answer: tuple[str, bytes, int]) -> None:
    name, body, status = answer
    case = CASES[name]
    taken = take(case, body, status)
    if status >= 300 or isinstance(taken, kr.KeyAPIError):
        assert isinstance(taken, kr.KeyAPIError)
    else:
        tabulate(case, taken)


def test_the_mutations_reach_tables_and_errors() -> None:
    for case in CASES.values():
        check_answers(case, [json.dumps(page).encode() for page in case.pages])


# Over HTTP ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Line:
    """A client, and a server that gives the next of some answers."""

    server: Sandbox
    client: kr.Client
    answers: list[bytes]


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Line]:
    store = tmp_path_factory.mktemp("fuzz") / "store.sqlite"
    with Sandbox() as server, kr.Client(
        token="a-token-of-the-tests", base_url=server.url, store=store, requests_per_second=None, retries=0,
        progress=False, max_call_credits=None,
    ) as client:
        answers: list[bytes] = []
        server.on_request = lambda *_: Fault(status=200, body=answers.pop(0) if answers else b'{"code": 0, "data": null}')
        yield Line(server, client, answers)


def fetch(case: Case, table: Table, client: kr.Client, **options: Any) -> tuple[pd.DataFrame | kr.KeyAPIError, list[str]]:
    """A call, and what it said."""
    function = getattr(kr, f"fetch_{table.name}")
    ids = [] if case.endpoint.entity is None else [IDS[case.endpoint.name]]
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            got = function(*ids, client=client, **options)
        except kr.KeyAPIError as error:
            got = error
    assert all(issubclass(one.category, kr.KeyAPIWarning) and one.filename == __file__ for one in said)
    assert all(len(str(one.message).encode()) < 20_000 for one in said)
    return got, [one.category.__name__ for one in said]


def check_call(line: Line, case: Case, table: Table, answers: Sequence[bytes]) -> None:
    """A call that meets these answers: a frame or a typed error, the ledger exact, and nothing paid for is lost."""
    line.server.reset()
    line.answers[:] = answers
    client, price = line.client, case.endpoint.credits
    before, spent, kept = len(client.ledger()), client.credits_spent, client.status()
    got, _ = fetch(case, table, client, max_age=0)
    rows = client.ledger().iloc[before:]
    sent = len(line.server.requests)
    assert len(rows) == sent >= 1
    assert set(rows["credits"].dropna()) <= {0, price}
    assert client.credits_spent - spent == int(rows["credits"].fillna(price).sum())
    now = client.status()
    stored = now.answers + now.absences - kept.answers - kept.absences
    paid = int((rows["credits"] == price).sum())
    if isinstance(got, pd.DataFrame):
        assert breaches(table, got, case.asks) == []
        assert (rows["credits"] == price).all()
        assert stored == (sent if case.endpoint.entity is None else len(case.asks))
        again, _ = fetch(case, table, client)
        assert len(line.server.requests) == sent, "what was paid for is stored"
        pd.testing.assert_frame_equal(again, got)
    else:
        assert got.frame is not None
        assert got.failures is not None
        assert breaches(table, got.frame, case.asks) == []
        pickle.loads(pickle.dumps(got))
        if rows["credits"].iloc[-1] is pd.NA or paid == sent:
            assert got.answer, "what is not stored is on the error"


@given(conversations(), st.integers(0, 3))
@settings(BUDGET, max_examples=120)
def test_any_answer_over_http(line: Line, conversation: tuple[str, list[bytes]], table: int) -> None:
    name, answers = conversation
    tables = CASES[name].endpoint.tables
    check_call(line, CASES[name], tables[table % len(tables)], answers)


LONG = "x" * 10**7
LARGE = {
    "a long text": lambda page: replaced(page, ("message",), lambda _: LONG),
    "a long key": lambda page: {**page, "data": {**page["data"], LONG: 1}},
    "a long value": lambda page: replaced(page, ("data", "info"), lambda info: {**info, "video_url": LONG, "new": LONG}),
    "a long name": lambda page: replaced(page, ("data", "info", "hashtag_name"), lambda _: LONG),
    "a long market": lambda page: replaced(page, ("data", "info", "country_info", "label"), lambda _: LONG),
    "many keys": lambda page: {**page, "data": {**page["data"], **{f"k{n}": n for n in range(10**5)}}},
    "many rows": lambda page: replaced(page, ("data", "info", "trend"), lambda trend: trend * 10**5),
    "a long refusal": lambda page: {**page, "code": 500, "message": LONG, "requestId": LONG},
}


@pytest.mark.parametrize("kind", LARGE)
def test_ten_megabytes(kind: str, line: Line) -> None:
    case = CASES["hashtag_detail"]
    body = json.dumps(LARGE[kind](case.pages[0])).encode()
    assert len(body) > 10**6
    started = time.monotonic()
    check_call(line, case, case.endpoint.tables[1 if kind == "many rows" else 0], [body])
    assert time.monotonic() - started < 10


# Arguments ------------------------------------------------------------------------------------------------------


class Mute:
    """Something that cannot be written into a message."""

    def __repr__(self) -> str:
        raise RuntimeError("no")


OBJECTS = st.recursive(
    SCALARS
    | st.sampled_from([
        b"123", bytearray(b"1"), 1j, Decimal("1.5"), Decimal("NaN"), Fraction(7, 1), object(), ..., int, len, date(2026, 2, 3), datetime(2026, 2, 3, tzinfo=UTC), timedelta(days=1), pd.NA, pd.NaT,
        np.nan, np.datetime64("NaT"), np.int64(7), np.uint64(2**63), np.float32(7), np.bool_(True), np.str_("cats"),
        np.array(7), np.array("cats"), np.array([["1", "2"]]), np.array([]), np.ma.masked, range(3),
        slice(3), memoryview(b"12"), iter(["1"]), pd.Series([1.5, None]), pd.Series(["1", None], dtype="string"),
        pd.Series(["1"], dtype="category"), pd.DataFrame({"video_id": ["1"]}), pd.DataFrame(), pd.Index(["1", "2"]),
        pd.MultiIndex.from_tuples([("1", 2)]), pd.Timestamp("2026-02-03"), pd.Timedelta("1D"), pd.Interval(0, 1),
        pd.array([1, None], dtype="Int64"), Path("cats"), IntEnum("Digit", "ONE").ONE, IPv4Address("1.2.3.4"),
        Exception("x"), re.compile("x"), "a,b", "#Cats", "##cats", "UK", "us", "all_regions", "2025-10", "2025-13", "٧",
    ])
    | st.integers() | st.floats() | st.text(max_size=5) | st.integers(0, 10**19).map(str),
    lambda inner: st.lists(inner, max_size=3) | st.tuples(inner, inner) | st.frozensets(st.text(max_size=2), max_size=2)
    | st.dictionaries(st.text(max_size=2), inner, max_size=2),
    max_leaves=5,
)


def take_arguments(endpoint: Endpoint, ids: Any, **given: Any) -> tuple[Ask, ...]:
    arguments = {p.argument: given.get(p.argument, p.default) for p in endpoint.parameters}
    try:
        asks = (make_ask(endpoint, arguments),) if endpoint.entity is None else make_asks(endpoint, ids, arguments)
    except kr.InvalidArgumentError as error:
        assert len(str(error).encode()) < 2000
        return ()
    return asks


@given(st.data())
@settings(BUDGET, max_examples=1500)
def test_any_argument_is_taken_or_refused(data: st.DataObject) -> None:
    endpoint = CASES[data.draw(st.sampled_from(sorted(CASES)))].endpoint
    names = [p.argument for p in endpoint.parameters]
    odd = data.draw(st.lists(st.sampled_from(names), max_size=2)) if names else []
    given = {name: data.draw(OBJECTS) for name in odd}
    asks = take_arguments(endpoint, data.draw(OBJECTS) if endpoint.entity else None, **given)
    assert len({ask.key for ask in asks}) == len(asks)
    for ask in asks:
        assert all(isinstance(text, str) and text.isprintable() for text in ask.params.values())
        again = {p.argument: value for p, value in zip(endpoint.asked, ask.values, strict=True)}
        assert make_ask(endpoint, again) == ask, "what was made of an argument is an argument, and the same one"


@given(st.text(alphabet="##aA\u0130e\u0301\u00df\u2003 ,", max_size=4) | st.text(max_size=4))
@settings(BUDGET, max_examples=500)
def test_a_hashtag_has_one_name(name: str) -> None:
    endpoint = CASES["hashtag_detail"].endpoint
    for ask in take_arguments(endpoint, name):
        assert [one.id for one in take_arguments(endpoint, [ask.id, f" #{ask.id}", name])] == [ask.id]


@pytest.mark.parametrize(
    "odd", [10**5000, -(10**5000), Mute(), [Mute()], "x" * 10**7, b"x" * 10**7],
    ids=["huge", "huge, negative", "mute", "mute in a list", "long text", "long bytes"],
)
@pytest.mark.parametrize("name", CASES)
def test_what_cannot_be_written_is_refused(name: str, odd: Any) -> None:
    endpoint = CASES[name].endpoint
    if endpoint.entity is not None and (endpoint is not CASES["hashtag_detail"].endpoint or odd != "x" * 10**7):
        assert take_arguments(endpoint, odd) == ()
        assert take_arguments(endpoint, [odd]) == ()
    for parameter in endpoint.parameters:
        if not (parameter.argument == "search" and isinstance(odd, str)):
            assert take_arguments(endpoint, IDS.get(name), **{parameter.argument: odd}) == ()
