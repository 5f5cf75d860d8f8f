"""Input that nobody here chose: a frame that is exactly as declared, or a typed error, and nothing paid for is lost."""

from __future__ import annotations

import json
import pickle
import re
import unicodedata
import warnings
from collections import Counter
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
from mutations import CASES, IDS, SCALARS, Case, conversations, envelopes, replaced

import keyapi_research as kr
from keyapi_research.drift import find_drift
from keyapi_research.envelope import Found, match, open_envelope, read_json
from keyapi_research.model import TABLES, Column, Endpoint, Table
from keyapi_research.queries import Query, make_queries, make_query
from keyapi_research.sandbox import Fault, Sandbox
from keyapi_research.store import Answer, Observation
from keyapi_research.tidy import make_frames

NOON = 1_770_120_000_000_000  # 2026-02-03 12:00 UTC
LONG_RUN = 400


def budget(few: int, many: int) -> Any:
    """How many inputs: in the suite, and in the slow run."""
    return pytest.mark.parametrize("examples", [few, pytest.param(many, marks=pytest.mark.long)])


def explore(examples: int, strategy: st.SearchStrategy[Any], check: Callable[[Any], None]) -> None:
    """Hold a property against many inputs: in the suite the same ones each time, in a long run always others."""
    run = settings(
        max_examples=examples, derandomize=examples < LONG_RUN, deadline=None, database=None,
        phases=[Phase.generate] if examples < LONG_RUN else [Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    run(given(strategy)(check))()


# What must hold -------------------------------------------------------------------------------------------------

DTYPES = {"id": "string", "text": "string", "hashtag": "string", "count": "Int64", "integer": "Int64",
          "number": "float64", "flag": "boolean", "time": "datetime64[us, UTC]", "date": "datetime64[us, UTC]"}


def breaches(table: Table, frame: pd.DataFrame, queries: Sequence[Query]) -> list[str]:
    """What is wrong with a frame, by another reading of the declaration than the one that made it."""
    dtypes = [(name, str(dtype)) for name, dtype in frame.dtypes.items()]
    if dtypes != [(column.name, DTYPES[column.kind]) for column in table.columns]:
        return [f"columns: {dtypes}"]
    if not isinstance(frame.index, pd.RangeIndex) or frame.index.start != 0:
        return [f"index: {frame.index}"]
    values = {name: [None if pd.isna(value) else value for value in frame[name].tolist()] for name in frame}
    found = [
        f"{column.name}: {value!r}"
        for column in table.columns
        for value in values[column.name]
        if value is not None and not fits(column, value)
    ]
    keys = list(zip(*(values[name] for name in table.key), strict=True))
    # A filter that was not requested is missing in all rows; any other part of a key never is.
    needed = [at for at, name in enumerate(table.key) if queries[0].value_of.get(name, "") is not None]
    if any(key[at] is None for key in keys for at in needed):
        found.append("a key is missing")
    if len(set(keys)) < len(keys):
        found.append("a key comes twice")
    for name in queries[0].value_of:
        others = set(values[name]) - {query.value_of[name] for query in queries}
        if others:
            found.append(f"{name}: {others} was not requested")
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
    """Whom each row of an answer is about, read by hand."""
    if endpoint.name == "hashtag_detail":
        return [at(data, "info", "hashtag_name")]
    if endpoint.name == "music_detail":
        return [at(data, "sound", "clip_id")]
    if endpoint.name in NAMED:
        lists, name = NAMED[endpoint.name]
        return [at(row, name) for row in at(data, *lists) or ()]
    rows = [at(data, "info")] if endpoint.name == "product_detail" else at(data, "list") or ()
    levels = [[at(row, f"{level}_ecom_category", "id") for level in ("third", "second", "first")] for row in rows]
    there = [[one for one in ids if one is not None and str(one).strip()] for ids in levels]
    return [next(iter(ids), None) for ids in there]


NAMED = {
    "video_analytics": ((), "video_id"),
    "creator_analytics": ((), "user_id"),
    "product_analytics": ((), "product_id"),
    "trending_hashtags": (("list",), "hashtag_name"),
    "trending_music": (("sound_list",), "clip_id"),
}


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


def observed(query: Query, at: int) -> Answer:
    """A stored answer to a query, observed at a moment."""
    return Answer(query, Observation(1, query.key, query.endpoint.path, "{}", at, False, 1, 1, 0, 0, 0, None))


def tabulate(case: Case, found: Sequence[Found]) -> None:
    """Make every table of an answer."""
    there = [one for one in found if not one.absent]
    answers = [observed(one.query, NOON + number) for number, one in enumerate(there)]
    envelopes = [json.loads(json.dumps(one.envelope)) for one in there]  # as the store keeps them
    frames, _ = make_frames(case.endpoint.tables, answers, envelopes, source="sandbox")
    for table, frame in zip(case.endpoint.tables, frames, strict=True):
        assert breaches(table, frame, case.queries) == []
    assert complaints(frames[0]) == []
    check_rows(case, frames[0], envelopes)
    new, gone = find_drift(case.endpoint, envelopes)
    assert all(isinstance(path, str) for path in new | gone)


def complaints(frame: pd.DataFrame) -> list[str]:
    """What `validate` says, but for ids that are none in the answer: these are kept as they are."""
    try:
        frame.keyapi.validate()
    except kr.InvalidArgumentError as error:
        return [line for line in str(error).splitlines()[1:] if not line.endswith("not valid ids (digits only)")]
    return []


def open_answer(case: Case, body: bytes, status: int = 200) -> list[Found] | kr.KeyAPIError:
    """Open an answer as the client does."""
    try:
        payload = read_json(body)
    except ValueError:
        payload = None
    try:
        found = match(case.endpoint, case.queries, open_envelope(status, body, payload, retry_after=None))
    except kr.KeyAPIError as error:
        return checked(error)
    assert len(found) == len(case.queries)
    return [one for one in found if isinstance(one, Found) or not checked(one)]


def checked(error: kr.KeyAPIError) -> kr.KeyAPIError:
    """An error that has the answer, and a text that can be read and printed."""
    assert error.answer is not None
    assert len(str(error).encode()) < 5000
    return error


# Answers --------------------------------------------------------------------------------------------------------


def items(node: Any, path: str) -> int:
    """How many things are at a path of an answer."""
    head, inside, rest = path.partition("[]")
    for name in head.split(".") if head else ():
        node = at(node, name)
    return sum(items(one, rest.removeprefix(".")) if rest else 1 for one in node or ()) if inside else 1


@pytest.mark.parametrize("name", CASES)
def test_normal_answers_arrive_whole(name: str) -> None:
    case = CASES[name]
    queries = case.queries * len(case.pages) if case.endpoint.entity is None else case.queries
    envelopes = [one.envelope for page in case.pages for one in open_answer(case, json.dumps(page).encode())]
    answers = [observed(query, NOON + number) for number, query in enumerate(queries)]
    frames, issues = make_frames(case.endpoint.tables, answers, envelopes, source="sandbox")
    assert not issues.duplicates
    assert not issues.unreadable
    for table, frame in zip(case.endpoint.tables, frames, strict=True):
        if not any(path.removesuffix("[]") in case.endpoint.texts for path in table.rows):
            assert len(frame) == sum(items(envelope["data"], path) for envelope in envelopes for path in table.rows)
        assert len(frame) > 0 or table.name in ("music_videos", "video_products")
        assert breaches(table, frame, case.queries) == []


@budget(20, 2_000)
@pytest.mark.parametrize("name", CASES)
def test_any_answer_is_a_table_or_a_typed_error(name: str, examples: int) -> None:
    reached: Counter[str] = Counter()

    def check(answers: list[bytes]) -> None:
        found: list[Found] = []
        for body in answers:
            opened = open_answer(CASES[name], body)
            if isinstance(opened, kr.KeyAPIError):
                reached["error"] += 1
                return
            found += opened
        reached["table" if found else "nothing"] += 1
        tabulate(CASES[name], found)

    explore(examples, conversations(name), check)
    assert min(reached["error"], reached["table"]) > examples / 20, reached


@budget(100, 5_000)
def test_any_envelope_is_data_or_a_typed_error(examples: int) -> None:
    kinds: Counter[str] = Counter()

    def check(answer: tuple[str, bytes, int]) -> None:
        name, body, status = answer
        opened = open_answer(CASES[name], body, status)
        kinds[type(opened).__name__] += 1
        if isinstance(opened, kr.KeyAPIError):
            return
        assert status < 300
        tabulate(CASES[name], opened)

    explore(examples, envelopes(), check)
    assert {"list", "UnexpectedResponseError", "ServerError", "CreditsExhaustedError", "RateLimitedError"} <= set(kinds)


# Over HTTP ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Line:
    """A client, and a server that sends the next of some answers."""

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
        server.on_request = lambda *_: Fault(body=answers.pop(0) if answers else b'{"code": 0, "data": null}')
        yield Line(server, client, answers)


def fetch(case: Case, table: Table, client: kr.Client, **options: Any) -> pd.DataFrame | kr.KeyAPIError:
    """A call; its warnings are short, of our classes, and point here."""
    function = getattr(kr, f"fetch_{table.name}")
    ids = [] if case.endpoint.entity is None else [IDS[case.endpoint.name]]
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            got = function(*ids, client=client, **options)
        except kr.KeyAPIError as error:
            got = error
    assert all(issubclass(one.category, kr.KeyAPIWarning) and one.filename == __file__ for one in said)
    assert all(len(str(one.message).encode()) < 5000 for one in said)
    return got


def check_call(line: Line, case: Case, table: Table, answers: Sequence[bytes]) -> None:
    """A call that meets these answers: a frame or a typed error, the ledger exact, and nothing paid for is lost."""
    line.server.reset()
    line.answers[:] = answers
    client, price = line.client, case.endpoint.credits
    before, spent, kept = len(client.ledger()), client.credits_spent, client.status()
    got = fetch(case, table, client, max_age=0)
    rows = client.ledger().iloc[before:]
    sent = len(line.server.requests)
    assert len(rows) == sent >= 1
    assert set(rows["credits"].dropna()) <= {0, price}
    assert client.credits_spent - spent == int(rows["credits"].fillna(price).sum())
    now = client.status()
    stored = now.answers + now.absences - kept.answers - kept.absences
    if isinstance(got, pd.DataFrame):
        assert breaches(table, got, case.queries) == []
        assert (rows["credits"] == price).all()
        assert stored == (sent if case.endpoint.entity is None else len(case.queries))
        again = fetch(case, table, client)
        assert len(line.server.requests) == sent, "what was paid for is stored"
        pd.testing.assert_frame_equal(again, got)
    else:
        assert got.frame is not None
        assert got.failures is not None
        assert breaches(table, got.frame, case.queries) == []
        pickle.loads(pickle.dumps(got))
        if rows["credits"].iloc[-1] is pd.NA or (rows["credits"] == price).all():
            assert got.answer is not None, "what is not stored is on the error"


@budget(25, 500)
def test_any_answer_over_http(examples: int, line: Line) -> None:
    def check(call: tuple[str, list[bytes]]) -> None:
        table, answers = call
        check_call(line, CASES[TABLES[table].endpoint.name], TABLES[table], answers)

    tables = st.sampled_from(sorted(name for name, table in TABLES.items() if table.endpoint.name in CASES))
    explore(examples, tables.flatmap(lambda t: st.tuples(st.just(t), conversations(TABLES[t].endpoint.name))), check)


def test_an_answer_with_a_foreign_row_is_stored_and_on_the_error(line: Line) -> None:
    case = CASES["video_analytics"]
    page = replaced(case.pages[0], ("data", 0, "video_id"), "99")
    check_call(line, case, case.endpoint.tables[0], [json.dumps(page).encode()])
    line.answers[:] = [json.dumps(page).encode()]
    error = fetch(case, case.endpoint.tables[0], line.client, max_age=0)
    assert isinstance(error, kr.FetchIncompleteError)
    assert error.answer == [page]
    assert error.frame["video_id"].tolist() == IDS["video_analytics"][1:]


LONG = "x" * 10**7
PAGE = CASES["hashtag_detail"].pages[0]
LARGE = {
    "a long text": replaced(PAGE, ("message",), LONG),
    "a long key": replaced(PAGE, ("data",), {**PAGE["data"], LONG: 1}),
    "a long value": replaced(PAGE, ("data", "info", "video_url"), LONG),
    "a long name": replaced(PAGE, ("data", "info", "hashtag_name"), LONG),
    "a long market": replaced(PAGE, ("data", "info", "country_info", "label"), LONG),
    "a long refusal": {"code": 500, "message": LONG, "requestId": LONG, "data": None},
    "many keys": replaced(PAGE, ("data",), {**PAGE["data"], **{f"k{number}": number for number in range(10**5)}}),
    "many rows": replaced(PAGE, ("data", "info", "trend"), PAGE["data"]["info"]["trend"] * 10**4),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", LARGE)
def test_ten_megabytes(kind: str, line: Line) -> None:
    case = CASES["hashtag_detail"]
    body = json.dumps(LARGE[kind]).encode()
    assert len(body) > 10**6
    check_call(line, case, case.endpoint.tables[1 if kind == "many rows" else 0], [body])


# Arguments ------------------------------------------------------------------------------------------------------


class Mute:
    """Something that cannot be written into a message."""

    def __repr__(self) -> str:
        raise RuntimeError("no")


OBJECTS = st.recursive(
    SCALARS
    | st.sampled_from(
        [b"123", bytearray(b"1"), memoryview(b"12"), 1j, Decimal("1.5"), Decimal("NaN"), Fraction(7, 1), object(), ...,
         int, len, range(3), slice(3), iter(["1"]), Path("cats"), IntEnum("Digit", "ONE").ONE, IPv4Address("1.2.3.4"),
         Exception("x"), re.compile("x"), date(2026, 2, 3), datetime(2026, 2, 3, tzinfo=UTC), timedelta(days=1)]
    )
    | st.sampled_from(
        [np.nan, np.datetime64("NaT", "us"), np.int64(7), np.uint64(2**63), np.float32(7), np.bool_(True),
         np.str_("cats"), np.array(7), np.array("cats"), np.array([["1", "2"]]), np.array([]), np.ma.masked]
    )
    | st.sampled_from(
        [pd.NA, pd.NaT, pd.Series([1.5, None]), pd.Series(["1", None], dtype="string"), pd.Index(["1", "2"]),
         pd.Series(["1"], dtype="category"), pd.DataFrame({"video_id": ["1"]}), pd.DataFrame(), pd.Interval(0, 1),
         pd.MultiIndex.from_tuples([("1", 2)]), pd.Timestamp("2026-02-03"), pd.Timedelta("1D"),
         pd.array([1, None], dtype="Int64")]
    )
    | st.sampled_from(["a,b", "#Cats", "##cats", "UK", "us", "all_regions", "2025-10", "2025-13", "٧"])
    | st.integers() | st.floats() | st.text(max_size=5) | st.integers(0, 10**19).map(str),
    lambda inner: st.lists(inner, max_size=3) | st.tuples(inner, inner)
    | st.frozensets(st.text(max_size=2), max_size=2) | st.dictionaries(st.text(max_size=2), inner, max_size=2),
    max_leaves=5,
)


@st.composite
def calls(draw: st.DrawFn) -> tuple[str, Any, dict[str, Any]]:
    """An endpoint, what is given for its ids, and for some of its other arguments."""
    name = draw(st.sampled_from(sorted(CASES)))
    names = [p.argument for p in CASES[name].endpoint.parameters]
    others = draw(st.lists(st.sampled_from(names), max_size=2)) if names else []
    return name, draw(OBJECTS), {one: draw(OBJECTS) for one in others}


def make_some(endpoint: Endpoint, ids: Any, **given: Any) -> tuple[Query, ...]:
    arguments = {p.argument: given.get(p.argument, p.default) for p in endpoint.parameters}
    try:
        return (make_query(endpoint, arguments),) if endpoint.entity is None else make_queries(endpoint, ids, arguments)
    except kr.InvalidArgumentError as error:
        text = str(error)
    assert len(text.encode()) < 2000
    return ()


@budget(100, 20_000)
def test_any_argument_becomes_queries_or_is_refused(examples: int) -> None:
    def check(call: tuple[str, Any, dict[str, Any]]) -> None:
        name, ids, given = call
        endpoint = CASES[name].endpoint
        queries = make_some(endpoint, ids, **given)
        assert len({query.key for query in queries}) == len(queries)
        for query in queries:
            assert all(isinstance(text, str) for text in query.params.values())
            written = "".join(query.params.values())
            # Joiners and direction controls belong to names in many scripts; letters may be newer than this Python.
            assert all(one.isprintable() or unicodedata.category(one) in ("Cf", "Cn", "Co") for one in written)
            again = {p.argument: value for p, value in zip(endpoint.inputs, query.values, strict=True)}
            [same] = make_some(endpoint, query.values[0], **again)  # noqa: PD011 - not pandas
            assert same == query, "what was made of an argument is an argument, and the same one"

    explore(examples, calls(), check)


@budget(100, 20_000)
def test_a_hashtag_has_one_name(examples: int) -> None:
    endpoint = CASES["hashtag_detail"].endpoint

    def check(name: str) -> None:
        for query in make_some(endpoint, name):
            assert [one.id for one in make_some(endpoint, [query.id, f" #{query.id}", name])] == [query.id]

    explore(examples, st.text(alphabet="##aA\u0130e\u0301\u00df\u2003 ,", max_size=4) | st.text(max_size=4), check)


@pytest.mark.parametrize(
    "value", [10**5000, -(10**5000), Mute(), [Mute()], "x" * 10**7, b"x" * 10**7],
    ids=["huge", "huge, negative", "mute", "mute in a list", "long text", "long bytes"],
)
@pytest.mark.parametrize("name", CASES)
def test_what_cannot_be_written_is_refused(name: str, value: Any) -> None:
    endpoint = CASES[name].endpoint
    if endpoint.entity is not None and (endpoint is not CASES["hashtag_detail"].endpoint or value != "x" * 10**7):
        assert make_some(endpoint, value) == ()
        assert make_some(endpoint, [value]) == ()
    for parameter in endpoint.parameters:
        if not (parameter.argument == "search" and isinstance(value, str)):
            assert make_some(endpoint, IDS.get(name), **{parameter.argument: value}) == ()
