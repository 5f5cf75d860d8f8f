"""Where the rows of any answer are, and what each of them has: every value by its path, nothing lost, nothing guessed.

A path is written as `describe` writes it, without `data.`: "[]" means "each item", "" the answer itself.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from .spelling import writable

Place = tuple[int, str]  # of a value: how many objects are around its own, and its path there
Values = dict[Place, Any]


def has_nothing(data: Any) -> bool:
    """Whether an answer has nothing: no data, or a list without an item that is the only one in it."""
    if data is None or data in ({}, [], ""):
        return True
    return find_rows(data).endswith("[]") and not page_items(data)


def find_rows(data: Any) -> str:
    """Return the path of the rows: the items of the only list of objects, at most two levels down, else the answer."""
    if isinstance(data, list):
        return "[]"
    if not isinstance(data, dict):
        return ""
    lists = dict(_lists(data, 2))
    of_objects = [path for path, items in lists.items() if items and all(isinstance(one, dict) for one in items)]
    if len(of_objects) == 1:
        return f"{of_objects[0]}[]"
    sole = next(iter(lists), None)
    return f"{sole}[]" if sole is not None and not lists[sole] and _count_lists(data) == 1 else ""


def page_items(data: Any) -> list[Any]:
    """Return the items of a page: of its only list of objects, else of the longest list there is."""
    if isinstance(data, list):
        return data
    lists = dict(_lists(data, 2)) if isinstance(data, dict) else {}
    return lists.get(find_rows(data).removesuffix("[]")) or max(lists.values(), key=len, default=[])


def _lists(node: Mapping[str, Any], depth: int) -> Iterator[tuple[str, list[Any]]]:
    """Yield the lists in an object, so many levels down, by their paths."""
    for name, value in node.items():
        if isinstance(value, list):
            yield name, value
        elif isinstance(value, dict) and depth > 1:
            yield from ((f"{name}.{inner}", items) for inner, items in _lists(value, depth - 1))


def _count_lists(node: Any) -> int:
    inner = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    return isinstance(node, list) + sum(map(_count_lists, inner))


def paths_of_lists(data: Any, path: str = "") -> Iterator[str]:
    """Yield the paths of all lists with an item in it, as `rows` takes them."""
    if isinstance(data, list) and data:
        yield f"{path}[]"
        yield from dict.fromkeys(inner for item in data for inner in paths_of_lists(item, f"{path}[]"))
    elif isinstance(data, dict):
        for name, value in data.items():
            yield from paths_of_lists(value, f"{path}.{name}".removeprefix("."))


def names_in(node: Any) -> Iterator[str]:
    """Yield the names of all fields of an answer."""
    if isinstance(node, dict):
        yield from node
    for inner in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from names_in(inner)


def each_at(node: Any, path: str) -> list[Any]:
    """Return every value at a path, those of all items where it goes through lists."""
    nodes = [node]
    *lists, last = path.split("[]")
    for way in lists:
        found = (dig(one, way.strip("."))[1] for one in nodes)
        nodes = [item for items in found if isinstance(items, list) for item in items]
    return [value for one in nodes if (value := dig(one, last.strip("."))[1]) is not None]


def dig(node: Any, way: str) -> tuple[tuple[str, ...], Any]:
    """Follow a dotted path; a key may have dots itself. Return the keys and the value, None where there is none."""
    if not way:
        return (), node
    if not isinstance(node, dict):
        return (), None
    first, _, rest = way.partition(".")
    if first in node and (found := dig(node[first], rest))[1] is not None:
        return (first, *found[0]), found[1]
    for name in sorted((one for one in node if "." in one), key=len, reverse=True):
        if way == name or way.startswith(f"{name}."):
            keys, value = dig(node[name], way[len(name) + 1 :])
            if value is not None:
                return (name, *keys), value
    return (), None


def read_rows(data: Any, path: str, *, without: Collection[str], most: int | None = None) -> Iterator[Values]:
    """Yield the values of each row, those of the objects around it first.

    Fields `without` which it should be are left out, also out of JSON text; `most` items of the first list count.
    """
    *lists, last = path.split("[]")
    found: list[tuple[Values, Any]] = [({}, data)]
    for depth, way in enumerate(lists):
        inner = []
        for above, node in found:
            around, items = _enter(node, way.strip("."), above, depth, without)
            if isinstance(items, list):
                inner += [(around, item) for item in (items[:most] if depth == 0 else items)]
        found = inner
    for above, node in found:
        around, row = _enter(node, last.strip("."), above, len(lists), without) if last else (above, node)
        yield _joined(around, len(lists) + bool(last), _values(row, without))


def _enter(node: Any, way: str, above: Values, depth: int, without: Collection[str]) -> tuple[Values, Any]:
    """Return the values beside a way, and what is at its end."""
    keys, value = dig(node, way)
    return (_joined(above, depth, _values(node, without, aside=keys)) if keys else above), value


def _joined(above: Values, depth: int, pairs: Iterable[tuple[str, Any]]) -> Values:
    """Add the values of an object; a key with a dot may look like the way to another: both are kept."""
    made = dict(above)
    for path, value in pairs:
        name = writable(path)
        while (depth, name) in made:
            name += "_"
        made[depth, name] = value
    return made


def _values(
    node: Any, without: Collection[str], *, prefix: str = "", aside: Sequence[str] = ()
) -> Iterator[tuple[str, Any]]:
    """Yield each scalar by its path, lists and empty objects as JSON text; what is at the keys `aside` is not read."""
    if not isinstance(node, dict):
        yield "value", _as_text(node, without) if isinstance(node, list) else node
        return
    for name, value in node.items():
        on_the_way = bool(aside) and name == aside[0]
        if name in without or (on_the_way and len(aside) == 1):
            continue
        if isinstance(value, dict) and value:
            yield from _values(value, without, prefix=f"{prefix}{name}.", aside=aside[1:] if on_the_way else ())
        else:
            yield f"{prefix}{name}", _as_text(value, without) if isinstance(value, dict | list) else value


def _as_text(value: Any, without: Collection[str]) -> str:
    return json.dumps(_leave_out(value, without), ensure_ascii=False, separators=(",", ":"))


def _leave_out(node: Any, without: Collection[str]) -> Any:
    if isinstance(node, dict):
        return {name: _leave_out(value, without) for name, value in node.items() if name not in without}
    return [_leave_out(one, without) for one in node] if isinstance(node, list) else node


def paths_of_objects(path: str) -> list[str]:
    """Return the paths of the objects around a row, from the answer itself to the row."""
    *lists, last = path.split("[]")
    paths = [""]
    for way in lists:
        paths.append(f"{paths[-1]}{way}[]")
    return [*paths, f"{paths[-1]}{last}"] if last else paths
