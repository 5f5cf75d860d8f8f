"""Answers that nobody would send: the documented ones and lists of the sandbox, mutated."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from keyapi_research.model import Endpoint, endpoints
from keyapi_research.queries import Query, make_queries, make_query
from keyapi_research.sandbox import Sandbox

Place = tuple[str | int, ...]


@dataclass(frozen=True)
class Case:
    """What is requested of an endpoint, and the normal answer (of a ranking, two pages)."""

    endpoint: Endpoint
    queries: tuple[Query, ...]
    pages: tuple[dict[str, Any], ...]


IDS = {
    "product_detail": "601583",
    "video_analytics": ["7117191641181555995", "7300000000000000001", "7300000000000000002"],
    "hashtag_detail": "ufc324",
    "music_detail": "6703723351497508865",
    "creator_analytics": ["104962950695723008", "6144029478790867105", "6198855012115420486"],
    "product_analytics": ["1729383769606034185", "1729427001450849881", "1729496492640599035"],
}


def short(node: Any) -> Any:
    """Lists of three, so that mutations hit every kind of place."""
    if isinstance(node, dict):
        return {name: short(value) for name, value in node.items()}
    return [short(one) for one in node[:3]] if isinstance(node, list) else node


def make_case(endpoint: Endpoint) -> Case:
    arguments = {p.argument: p.default for p in endpoint.parameters}
    ids = IDS.get(endpoint.name)
    queries = (make_query(endpoint, arguments),) if ids is None else make_queries(endpoint, ids, arguments)
    params = dict(queries[0].params)
    if endpoint.batch > 1:
        params[queries[0].endpoint.inputs[0].api_name] = ",".join(query.id for query in queries)
    server = Sandbox(page_cap=3)
    pages = []
    for number in (1, 2) if ids is None else (1,):
        query = "&".join(f"{name}={value}" for name, value in {**params, "page": str(number)}.items())
        pages.append(short(json.loads(server.respond("GET", f"{endpoint.path}?{query}", "Bearer x").body)))
    assert all(page["code"] == 0 for page in pages)
    return Case(endpoint, queries, tuple(pages))


OTHERS = ("product_insights", "trending_hashtags", "trending_music")
CASES = {endpoint.name: make_case(endpoint) for endpoint in endpoints() if endpoint.name in (*IDS, *OTHERS)}

# Values ---------------------------------------------------------------------------------------------------------


def deep(levels: int) -> str:
    return f"\x00deep {levels}\x00"  # written out at the end: neither we nor hypothesis need to nest that far


SCALARS = st.sampled_from(
    [None, True, False, 0, 1, -1, -99999, 3, 7, 200, 402, 429, 500, 50004, 2**53 + 1, 2**63 - 1, 2**63, -(2**63),
     10**30, 10**400, 1769472000, 1769472000000, 0.5, -0.0, 1.5, 3.0, 1e22, 1e308, float("inf"), float("-inf"),
     float("nan"), "", " ", "\t\n", "0", "1", "-1", "--5", "+7", "007", "402", "1e5", "1e999", "NaN", "Infinity", "٣",
     "²", "true", "False", "null", "NA", "US", "ALL", "\ud800", "a\udfff", "\x00", "\u202e", "=1+1", "#", "#ufc324",
     "UFC324", "x" * 300, "2026-02-03", "1769472000", "7117191641181555995", "601583", " 601583 ",
     "6703723351497508865", "<script>", deep(60), deep(500), deep(980), deep(100_000)]
)
WEIRD = st.recursive(
    SCALARS | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=4,
)

# Mutations ------------------------------------------------------------------------------------------------------


class Doubled(list[tuple[str, Any]]):
    """An object of which a key comes twice."""


def visit(node: Any, place: Place = ()) -> Iterator[tuple[Place, Any]]:
    yield place, node
    if isinstance(node, dict):
        for name, value in node.items():
            yield from visit(value, (*place, name))
    elif isinstance(node, list) and not isinstance(node, Doubled):
        for at, value in enumerate(node):
            yield from visit(value, (*place, at))


def replaced(node: Any, place: Place, value: Any) -> Any:
    """The same with another value at a place."""
    if not place:
        return value
    node = copy.copy(node)
    node[place[0]] = replaced(node[place[0]], place[1:], value)
    return node


def changed_object(node: dict[str, Any], name: str, unusual: Any, donor: Any) -> dict[str, Any]:
    rest = {key: value for key, value in node.items() if key != name}
    return {
        "drop": rest,
        "empty": {},
        "rename": {**rest, f"{name}s": node[name]},
        "camel case": {**rest, re.sub("_(.)", lambda found: found[1].upper(), name): node[name]},
        "new key": {**node, "new\ud800": unusual},
        "double, first": Doubled([(name, unusual), *node.items()]),
        "double, last": Doubled([*node.items(), (name, donor)]),
    }


def changed_list(node: list[Any], at: int, unusual: Any, donor: Any) -> dict[str, Any]:
    return {
        "drop": node[:at] + node[at + 1 :],
        "empty": [],
        "repeat": node + node,
        "reverse": node[::-1],
        "foreign items": [unusual, *node, None, donor],
    }


@st.composite
def mutated(draw: st.DrawFn, whole: Any) -> Any:
    for _ in range(draw(st.integers(1, 3))):
        depth = draw(st.sampled_from([1, 2, 3, 99, 99, 99]))  # else nearly all would fall on leaves
        places = [place for place in visit(whole) if len(place[0]) <= depth]
        place, node = draw(st.sampled_from(places))
        unusual, donor = draw(WEIRD), draw(st.sampled_from(places))[1]
        text = json.dumps(node) if isinstance(node, dict | list) else str(node)
        ways = {
            "unusual": unusual, "of elsewhere": donor, "as text": text,
            "in a list": [node], "in an object": {"data": node},
        }  # fmt: skip
        if node and isinstance(node, dict):
            ways |= changed_object(node, draw(st.sampled_from(list(node))), unusual, donor)
        elif node and isinstance(node, list) and not isinstance(node, Doubled):
            ways |= changed_list(node, draw(st.integers(0, len(node) - 1)), unusual, donor)
        whole = replaced(whole, place, ways[draw(st.sampled_from(sorted(ways)))])
    return whole


def written(node: Any) -> str:
    if isinstance(node, dict | Doubled):
        pairs = node.items() if isinstance(node, dict) else node
        return "{" + ", ".join(f"{json.dumps(str(name))}: {written(value)}" for name, value in pairs) + "}"
    return "[" + ", ".join(map(written, node)) + "]" if isinstance(node, list) else json.dumps(node)


def spelled(node: Any) -> str:
    text = written(node)
    return re.sub(r'"\\u0000deep (\d+)\\u0000"', lambda found: "[" * int(found[1]) + "]" * int(found[1]), text)


# Answers --------------------------------------------------------------------------------------------------------


class Body(bytes):
    """An answer of which hypothesis shows only the beginning."""

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(repr(bytes(self[:2000])))


WRAPPERS = ["%s"] * 7 + ['{"code": 200, "msg": "ok", "data": %s}', '{"code": 0, "data": %s}', "[%s]"]
ENCODINGS = ["utf-8"] * 10 + ["utf-8-sig", "utf-16", "utf-32-le", "latin-1", "cp037"]
STATUSES = [200, 200, 200, 201, 206, 302, 400, 402, 429, 500, 999]


@st.composite
def bodies(draw: st.DrawFn, whole: Any) -> Body:
    text = draw(st.sampled_from(WRAPPERS)).replace("%s", spelled(draw(mutated(whole))))
    body = text.encode(draw(st.sampled_from(ENCODINGS)))
    return Body(body[: draw(st.integers(0, len(body)))] if draw(st.integers(0, 19)) == 0 else body)


@st.composite
def conversations(draw: st.DrawFn, name: str) -> list[bytes]:
    """The answers of a case, one of them mutated."""
    pages = CASES[name].pages
    answers = [Body(json.dumps(page).encode()) for page in pages]
    broken = draw(st.integers(0, len(pages) - 1))
    answers[broken] = draw(bodies(pages[broken]))
    return answers


@st.composite
def envelopes(draw: st.DrawFn) -> tuple[str, bytes, int]:
    """A case, an answer of which only the envelope matters, and its HTTP status."""
    name = draw(st.sampled_from(sorted(CASES)))
    data = draw(st.sampled_from([CASES[name].pages[0]["data"], {}, None, [], "", {"info": {}}, {"list": []}]) | WEIRD)
    whole = {"code": 0, "data": data}
    for field in draw(st.lists(st.sampled_from(["code", "message", "msg", "requestId", "request_id", "data", "more"]))):
        whole[field] = draw(SCALARS) if field == "code" else draw(WEIRD)
    for _ in range(draw(st.integers(0, 2))):
        whole = {"code": draw(SCALARS), "message": draw(WEIRD), "data": whole}
    return name, Body(spelled(whole).encode()), draw(st.sampled_from(STATUSES))
