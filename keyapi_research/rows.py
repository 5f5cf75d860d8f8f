"""The rows of any answer: where they are, and every value of each by its path; nothing is lost or guessed.

A path is written as `describe` writes it, without `data.`: "[]" means "each item", "" the answer itself.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final

Place = tuple[Any, ...]  # of a value: the number of objects around its own, then the keys that lead to it
Values = dict[Place, Any]
_NESTED: Final = (dict, list)


def has_nothing(data: Any) -> bool:
    """Whether an answer has nothing: no data, or nothing but one empty list."""
    return is_empty(data) or (find_rows(data).endswith("[]") and not counted_items(data))


def is_empty(data: Any) -> bool:
    """Whether there are no data at all."""
    return data is None or data in ({}, [], "")


def is_empty_list(data: Any, path: str) -> bool:
    """Whether there is a list without an item at a path, or null instead of one."""
    above, _, last = path.rpartition(".")
    found, parent = dig(data, path)[1], dig(data, above)[1]
    return found == [] or (found is None and isinstance(parent, dict) and last in parent)


def find_rows(data: Any) -> str:
    """Return the path of the rows: the items of the only list of objects, at most two levels down, else the answer."""
    if isinstance(data, list):
        return "[]"
    if not isinstance(data, dict):
        return ""
    lists = {path: items for path, items in _lists(data, 2) if "[]" not in path and dig(data, path)[1] is items}
    of_objects = [path for path, items in lists.items() if items and all(isinstance(one, dict) for one in items)]
    if len(of_objects) == 1:
        return f"{of_objects[0]}[]"
    sole = next(iter(lists), None)
    return f"{sole}[]" if sole is not None and not lists[sole] and _count_lists(data) == 1 else ""


def counted_items(data: Any, path: str = "") -> list[Any]:
    """Return the items of a page: of the list at a path if it has objects, else the rows found, else of that list."""
    given = dig(data, path)[1] if path else None
    if isinstance(given, list) and all(isinstance(one, dict) for one in given):
        return given
    way = find_rows(data)
    found = dig(data, way.removesuffix("[]"))[1] if way.endswith("[]") else given
    return found if isinstance(found, list) else []


def _lists(node: Mapping[str, Any], depth: int) -> Iterator[tuple[str, list[Any]]]:
    """Yield the lists in an object, by their paths, down to a number of levels."""
    for name, value in node.items():
        if isinstance(value, list):
            yield name, value
        elif isinstance(value, dict) and depth > 1:
            yield from ((f"{name}.{inner}", items) for inner, items in _lists(value, depth - 1))


def _count_lists(node: Any) -> int:
    inner = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    return isinstance(node, list) + sum(map(_count_lists, inner))


def paths_of_lists(data: Any, path: str = "") -> Iterator[str]:
    """Yield the paths of all lists that are not empty, as `rows` takes them."""
    if isinstance(data, list) and data:
        yield f"{path}[]"
        yield from dict.fromkeys(inner for item in data for inner in paths_of_lists(item, f"{path}[]"))
    elif isinstance(data, dict):
        for name, value in data.items():
            yield from paths_of_lists(value, f"{path}.{name}".removeprefix("."))


def leave_out(node: Any, names: Collection[str], left: set[str]) -> Any:
    """Return an answer without some fields, wherever they are; note in `left` which of them it had."""
    if isinstance(node, list):
        return [leave_out(one, names, left) if isinstance(one, _NESTED) else one for one in node]
    if not isinstance(node, dict):
        return node
    there = [name for name in names if name in node]
    left.update(there)
    made = {name: value for name, value in node.items() if name not in there} if there else node
    changed = {name: leave_out(value, names, left) for name, value in made.items() if isinstance(value, _NESTED)}
    return {**made, **changed} if changed else made


def blank_out(node: Any, names: Collection[str], blanked: set[str]) -> Any:
    """Return an answer with some fields blank, wherever they are; note in `blanked` which of them had something."""
    if isinstance(node, list):
        return [blank_out(one, names, blanked) for one in node]
    if not isinstance(node, dict):
        return node
    there = {name for name in names if node.get(name)}
    blanked.update(there)
    return {
        name: ("" if isinstance(value, str) else None) if name in there else blank_out(value, names, blanked)
        for name, value in node.items()
    }


def _steps(path: str) -> tuple[list[str], str]:
    """Split a path into the steps to each of its lists, and the rest after the last."""
    first, *others = path.split("[]")
    *lists, last = [first, *(way.removeprefix(".") for way in others)]
    return lists, last


def each_at(node: Any, path: str) -> list[Any]:
    """Return every value at a path, those of all items where it goes through lists."""
    nodes = [node]
    lists, last = _steps(path)
    for way in lists:
        found = (dig(one, way)[1] for one in nodes)
        nodes = [item for items in found if isinstance(items, list) for item in items]
    return [value for one in nodes if (value := dig(one, last)[1]) is not None]


def leads(data: Any, path: str) -> bool:
    """Whether a path leads somewhere in the data; it does, too, where a list on the way is empty."""
    nodes = [data]
    lists, last = _steps(path)
    for way in lists:
        found = [items for one in nodes if isinstance(items := dig(one, way)[1], list)]
        nodes = [item for items in found for item in items]
        if not nodes:
            return bool(found)
    return not last or any(dig(one, last)[1] is not None for one in nodes)


def dig(node: Any, way: str) -> tuple[tuple[str, ...], Any]:
    """Follow a dotted path, whose keys may have dots, too. Return the keys and the value; None where there is none."""
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


def read_rows(data: Any, path: str, *, counted: str = "", most: int | None = None) -> Iterator[Values]:
    """Yield the values of each row, those of the objects around it first; `most` of the items of a page count."""
    lists, last = _steps(path)
    page = counted_items(data, counted)
    found: list[tuple[Values, Any]] = [({}, data)]
    for depth, way in enumerate(lists):
        inner = []
        for above, node in found:
            keys, items = dig(node, way)
            if isinstance(items, list):
                around = _with_values(above, node, depth, aside=keys) if keys else above
                inner += [(around, item) for item in (items[:most] if items is page else items)]
        found = inner
    for above, node in found:
        keys, row = dig(node, last)
        around = _with_values(above, node, len(lists), aside=keys) if last else above
        yield _with_values(around, row, len(lists) + bool(last)) if keys or not last else around


def _with_values(above: Values, node: Any, depth: int, *, aside: tuple[str, ...] = ()) -> Values:
    """Return the values of an object beside those of the objects around it."""
    made = dict(above)
    _add_values(made, node, (depth,), aside)
    return made


def _add_values(made: Values, node: Any, at: Place, aside: tuple[str, ...]) -> None:
    """Add each scalar of an object, lists and empty objects as JSON text; the keys `aside` are left out."""
    if not isinstance(node, dict):
        made[(*at, "value")] = _as_json(node) if isinstance(node, list) else node
        return
    for name, value in node.items():
        place = (*at, name)
        if aside and place[1:] == aside:
            continue
        if not isinstance(value, _NESTED):
            made[place] = value
        elif isinstance(value, dict) and value:
            _add_values(made, value, place, aside)
        else:
            made[place] = _as_json(value)


def _as_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def level_of(path: str) -> str:
    """Return the path of the items of the innermost list that a path goes through."""
    return path[: path.rindex("[]") + 2] if "[]" in path else ""


def paths_of_objects(path: str) -> list[str]:
    """Return the paths of the objects around a row, from the answer itself to the row."""
    *lists, last = path.split("[]")
    paths = [""]
    for way in lists:
        paths.append(f"{paths[-1]}{way}[]")
    return [*paths, f"{paths[-1]}{last}"] if last else paths
