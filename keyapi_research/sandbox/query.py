"""One checked request, as the families of endpoints read it, and what their lists have in common."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from .curves import Levels, total

T = TypeVar("T")
Place = tuple[str, int | None]  # an entry of a list, and its rank in the list of the period before


@dataclass(frozen=True)
class Query:
    """A request to a world: parameters, checked and in canonical form; which answer about them it gets; on what day."""

    seed: str
    n: int
    now: int
    region: str
    params: Mapping[str, str | None]
    page_cap: int

    def text(self, name: str) -> str:
        """Return a parameter that always has a value."""
        return str(self.params[name])

    @property
    def period(self) -> int:
        """Days of a trend."""
        return int(self.text("period"))

    def filter(self, name: str, unset: str | None) -> str | None:
        """Return a parameter that may be left out, None where it was."""
        value = self.params[name]
        return None if value == unset else value

    def page(self, key: str, entries: Sequence[T], row_of: Callable[[T], dict[str, Any]]) -> dict[str, Any]:
        """Return the requested page of a list, with its pagination."""
        page, limit = int(self.text("page")), min(int(self.text("limit")), self.page_cap)
        rows = [row_of(entry) for entry in entries[(page - 1) * limit : page * limit]]
        total = len(entries)
        return {
            key: rows,
            "pagination": {"page": page, "size": len(rows), "total": total, "has_more": page * limit < total},
        }


def chart(
    entries: Iterable[tuple[float, str, Levels]],
    *,
    period: int,
    most: int,
    most_before: int,
    kept: Container[str],
) -> list[Place]:
    """Return the list of a day, of entries with their size; those of ``kept`` are in it however they do."""
    recent = max(3, period // 6)
    current, earlier = [], []
    for size, name, levels in entries:
        current.append((-size * total(levels[-recent:]), name))
        earlier.append((-size * total(levels[-period - recent : -period]), name))
    before = {name: rank for rank, (_, name) in enumerate(sorted(earlier)[:most_before], start=1)}
    chosen = sorted(current, key=lambda entry: (entry[1] not in kept, entry))[:most]
    return [(name, before.get(name)) for _, name in sorted(chosen)]


def movement(rank: int, before: int | None) -> dict[str, int]:
    """Return how an entry of a list has moved: by how many places, and which way; of a new one, that it is new."""
    if before is None:
        return {"rank_diff_type": 4}
    return {"rank_diff": abs(before - rank), "rank_diff_type": 1 if before > rank else 3 if before < rank else 2}
