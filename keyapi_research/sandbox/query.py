"""One checked request, as the families of endpoints read it, and what the lists of hashtags and of sounds share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from . import curves, effects
from .identity import Setting

T = TypeVar("T")
Place = tuple[str, int | None]  # an entry of a list, and its rank in the list of the period before
_KNOWN_BEFORE = 0.85  # of the candidates: where there are too few for a cut, the last are new


@dataclass(frozen=True)
class Query:
    """A request to a world: parameters, checked and in canonical form; which answer about them it gets; on what day."""

    setting: Setting
    n: int
    now: int
    region: str
    params: Mapping[str, str | None]
    page_cap: int

    def text(self, name: str) -> str:
        """Return a parameter that always has a value."""
        return str(self.params[name])

    @property
    def seed(self) -> str:
        """Seed of the world."""
        return self.setting.seed

    @property
    def period(self) -> int:
        """Days of a trend."""
        return int(self.text("period"))

    def filter(self, name: str, unset: str) -> str | None:
        """Return a parameter that may be left out, None where it was."""
        value = self.params[name]
        return None if value == unset else value

    def page(self, key: str, entries: Sequence[T], row_of: Callable[[T], dict[str, Any]]) -> dict[str, Any]:
        """Return the requested page of a list, with its pagination."""
        page, limit = int(self.text("page")), min(int(self.text("limit")), self.page_cap)
        rows = [dict(sorted(row_of(entry).items())) for entry in entries[(page - 1) * limit : page * limit]]
        total = len(entries)
        return {
            key: rows,
            "pagination": {"page": page, "size": len(rows), "total": total, "has_more": page * limit < total},
        }

    def top(
        self,
        key: str,
        places: Iterable[Place],
        row_of: Callable[[str], dict[str, Any]],
        wanted: Callable[[str], bool] = lambda _: True,
    ) -> dict[str, Any]:
        """Return the requested page of a list of what trends, of the entries that are wanted."""
        new_only = self.text("new_to_top_100") == "true"
        found = [
            (rank, name, before)
            for rank, (name, before) in enumerate(places, start=1)
            if (before is None or not new_only) and wanted(name)
        ]
        return self.page(
            key, found, lambda entry: {**row_of(entry[1]), "rank": entry[0], **movement(entry[0], entry[2])}
        )


def chart(
    sizes: Iterable[tuple[str, float]], setting: Setting, region: str, period: int, now: int, *, most: int
) -> list[Place]:
    """Return the list of a day, of entries with their size; those of a family are in it however they do."""
    recent = max(3, period // 6)
    current, earlier = [], []
    for name, size in sizes:
        levels = curves.levels(setting, name, region, period, now)
        current.append((-size * curves.total(levels[-recent:]), name))
        earlier.append((-size * curves.total(levels[-period - recent : -period]), name))
    known = min(most, int(len(earlier) * _KNOWN_BEFORE))
    before = {name: rank for rank, (_, name) in enumerate(sorted(earlier)[:known], start=1)}
    chosen = sorted(current, key=lambda entry: (entry[1] not in effects.FAMILY_OF, entry))[:most]
    return [(name, before.get(name)) for _, name in sorted(chosen)]


def movement(rank: int, before: int | None) -> dict[str, int]:
    """Return how an entry of a list has moved: by how many places, and which way; of a new one, that it is new."""
    if before is None:
        return {"rank_diff_type": 4}
    return {"rank_diff": abs(before - rank), "rank_diff_type": 1 if before > rank else 3 if before < rank else 2}
