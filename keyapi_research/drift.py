"""What answers have that no declaration knows, and what they lack that one knows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain, islice, pairwise
from typing import Any, Final

from .model import Endpoint
from .places import Coded, CountOf, DeepestLevel, Field, FromQuery, PerList
from .spelling import is_blank, writable

_CHUNK: Final = 100  # answers compared at once
_LONGEST_NAME: Final = 200  # of a field that a warning quotes


@dataclass(frozen=True)
class _Seen:
    """Paths that some answers have: those that end there, of these those with a value, and those that lead on."""

    ends: set[str] = field(default_factory=set)
    full: set[str] = field(default_factory=set)
    leads: set[str] = field(default_factory=set)

    def note(self, nodes: list[Any], path: str) -> None:
        """Note all paths from here on; `nodes` is what some answers have at this one."""
        objects = [node for node in nodes if type(node) is dict and node]
        lists = [node for node in nodes if type(node) is list and node]
        if objects or lists:
            self.leads.add(path)
        for name in dict.fromkeys(chain.from_iterable(objects)):
            self.note([node[name] for node in objects if name in node], f"{path}.{name}" if path else name)
        if lists:
            self.note(list(chain.from_iterable(lists)), f"{path}[]")
        if len(objects) + len(lists) < len(nodes):
            self.ends.add(path)
            if any(type(node) not in (dict, list) and not is_blank(node) for node in nodes):
                self.full.add(path)


def find_drift(endpoint: Endpoint, envelopes: Iterable[Mapping[str, Any]]) -> tuple[set[str], set[str]]:
    """Compare new answers with what is declared: return what of them no declaration knows, and what all of them lack.

    New are also values where an object or a list is declared; gone is only what has its place in the answers.
    """
    seen = _Seen()
    supply = iter(envelopes)
    while some := [one.get("data") for one in islice(supply, _CHUNK)]:
        seen.note(some, "")
    may_lack: dict[str, bool] = {}
    for path, optional in _declared(endpoint, seen):
        may_lack[path] = optional and may_lack.get(path, True)
    aside = set(endpoint.not_tabled)
    inner = {above for path in may_lack for above in islice(_above(path), 1, None)}
    known = {above for path in {*may_lack, *aside} for above in _above(path)}
    new = {path for path in seen.ends - known if aside.isdisjoint(_above(path))}
    flat = {path for path in seen.full & inner - endpoint.texts.keys() if aside.isdisjoint(_above(path))}
    lost = {_lost(path, seen) for path, optional in may_lack.items() if not optional}
    gone = {path for path in lost if path is not None and not may_lack.get(path, False)}
    named = {_named(path) for path in new} | {f"{_named(path)} (neither object nor list)" for path in flat}
    return named, {_named(path) for path in gone}


def _declared(endpoint: Endpoint, seen: _Seen) -> Iterator[tuple[str, bool]]:
    """Yield the paths an endpoint's tables know, and whether an answer may leave them out."""
    for table in endpoint.tables:
        if len(table.rows) > 1:  # which of several lists an answer has differs
            yield from ((path.removesuffix("[]"), True) for path in table.rows)
        for column in table.columns:
            places = column.place.places if isinstance(column.place, PerList) else (column.place,)
            for declared in places:
                place = declared.checked if isinstance(declared, FromQuery) else declared
                if isinstance(place, Field) and place.around and place.around in seen.ends:
                    yield place.around, column.optional
                elif isinstance(place, Field | CountOf | Coded):
                    yield place.path, column.optional
                elif isinstance(place, DeepestLevel):
                    yield from ((f"{level}.{place.leaf}", True) for level in place.levels)


def _above(path: str) -> Iterator[str]:
    """Yield a path and all that lead to it: `a.b[].c`, `a.b[]`, `a.b`, `a`, the root."""
    yield path
    while path:
        path = path.removesuffix("[]") if path.endswith("[]") else path.rpartition(".")[0]
        yield path


def _lost(path: str, seen: _Seen) -> str | None:
    """Return the part of a path that is gone though what it stands in is there; None where nothing is gone."""
    for below, above in pairwise(_above(path)):
        if below in seen.ends or below in seen.leads:
            return None
        if above in seen.leads:
            return below
    return None


def _named(path: str) -> str:
    return writable(str(Field(path)))[:_LONGEST_NAME]
