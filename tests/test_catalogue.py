"""The list of endpoints against the sandbox's: two readings of the same pages, made apart."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from keyapi_research.catalogue import listed as module
from keyapi_research.catalogue.listed import Listed, listed
from keyapi_research.model import endpoints
from keyapi_research.sandbox import listed as sandbox_module
from keyapi_research.sandbox.listed import LISTED

LIST = Path(module.__file__).with_name("endpoints.json")
EXAMPLES = Path(sandbox_module.__file__).parent / "examples"
BOTH = pytest.mark.parametrize("path", LISTED)
PAGES = ("page_num", "page_size", 10)
SEEN_IN_USE = {  # names that contradict the pages, or are guesses; the sandbox ignores them, as KeyAPI probably does
    "/v1/tiktok/influencer/ranking/analytics": {"category_id"},
    "/v1/tiktok/influencer/videos": {"page_num", "page_size"},
    "/v1/tiktok/realtime/product/search": {"keyword"},
    "/v1/tiktok/video/products/analytics": {"video_id"},
    "/v1/tiktok/search/analytics": {"keyword"},
}
INVENTED = {
    **dict.fromkeys(("unique_id", "unique_ids", "handle"), "creator_[a-z]"),
    **dict.fromkeys(("nick_name", "nickname", "name"), "(Creator|User) [A-Z]"),
    **dict.fromkeys(("contact_email", "email"), "(creator@example.com)?"),
    **dict.fromkeys(("signature", "bio"), r"(creator@example.com \n)?bio text"),
}


def required(one: Listed) -> set[frozenset[str]]:
    """Return what an endpoint needs, as groups of names of which one is sent."""
    groups = {frozenset({parameter.name}) for parameter in one.parameters if parameter.required is True}
    texts = {parameter.required for parameter in one.parameters if isinstance(parameter.required, str)}
    return groups | {frozenset(re.split(r", | or ", text.removeprefix("one of "))) for text in texts}


def test_the_sandbox_answers_what_is_in_the_list() -> None:
    assert set(LISTED) <= set(listed())
    assert {listed()[path].method for path in LISTED} == {"GET"}


@BOTH
def test_prices_agree_and_what_is_not_known_costs_one_credit_in_the_sandbox(path: str) -> None:
    assert LISTED[path].credits == (1 if listed()[path].credits is None else listed()[path].credits)


@BOTH
def test_required_parameters_agree(path: str) -> None:
    assert required(listed()[path]) == {frozenset(names.split("|")) for names in LISTED[path].required}


@BOTH
def test_names_of_parameters_agree(path: str) -> None:
    names = {name for group in (*LISTED[path].required, *LISTED[path].optional) for name in group.split("|")}
    more = SEEN_IN_USE.get(path, set())
    assert {parameter.name for parameter in listed()[path].parameters} == names | more
    sources = {parameter.source for parameter in listed()[path].parameters if parameter.name in more}
    assert sources <= {"inferred: seen in use", "a guess"}


def test_several_ids_go_into_one_request_where_the_tables_say_so() -> None:
    known = [(one, one.entity) for one in endpoints(yours=False) if one.batch > 1]
    batches = {one.path: (entity.api_name, one.batch) for one, entity in known if entity}
    for path, (name, most) in batches.items():
        assert name in listed()[path].batch
        assert listed()[path].per_request == most
    assert {path for path, one in listed().items() if one.batch} == set(batches)


@BOTH
def test_paging_and_cursors_agree(path: str) -> None:
    assert listed()[path].paging == (PAGES if "page_num" in LISTED[path].required else None)
    assert listed()[path].cursor == (None if LISTED[path].first_offset is None else "offset")


# No person ------------------------------------------------------------------------------------------------------


def named(node: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Yield the texts of an answer with the name of their field; of a field that is an object, with its name, too."""
    inner = node.items() if isinstance(node, dict) else ((key, one) for one in node) if isinstance(node, list) else ()
    for name, value in inner:
        yield from named(value, key if name == "value" else name)
    if isinstance(node, str):
        yield key, node


@pytest.mark.parametrize("file", sorted((EXAMPLES / "listed").glob("*.json")), ids=lambda file: file.stem)
def test_no_person_is_named_in_an_example(file: Path) -> None:
    texts = [(name, text) for name, text in named(json.loads(file.read_text("utf-8"))) if name in INVENTED]
    assert [pair for pair in texts if not re.fullmatch(INVENTED[pair[0]], pair[1])] == []


def test_no_person_is_named_in_the_two_lists() -> None:
    queries = [query for one in LISTED.values() for query in one.examples.values()]
    handles = [query[name] for query in queries for name in ("unique_id", "unique_ids") if name in query]
    assert len(handles) == 5
    assert all(re.fullmatch("creator_[a-z]", handle) for handle in handles)
    lists = LIST.read_text("utf-8") + (EXAMPLES / "listed.toml").read_text("utf-8")
    assert lists.count("@") == lists.count('"handle without @"')
    assert not [e for e in listed().values() for p in e.parameters if p.name.startswith("unique_id") and p.default]
