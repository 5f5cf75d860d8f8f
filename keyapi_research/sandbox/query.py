"""One checked request, as the families of endpoints read it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from . import curves

T = TypeVar("T")


@dataclass(frozen=True)
class Query:
    """A request to a world: its parameters, checked and in canonical form, and which answer about them it gets."""

    seed: str
    n: int
    params: Mapping[str, str | None]
    page_cap: int

    def text(self, name: str) -> str:
        """Return a parameter that always has a value."""
        return str(self.params[name])

    def filter(self, name: str, unset: str | None) -> str | None:
        """Return a parameter that may be left out, None where it was."""
        value = self.params[name]
        return None if value == unset else value

    def flag(self, name: str) -> bool:
        """Return whether a flag is set."""
        return self.params[name] == "true"

    @property
    def region(self) -> str:
        """Country code, or ``all_regions``."""
        return self.text("region")

    @property
    def period(self) -> int:
        """Days of a trend."""
        return int(self.text("period"))

    @property
    def time_scope(self) -> str:
        """Days of a ranking, or its month."""
        return self.text("time_scope")

    @property
    def now(self) -> int:
        """Day of the answer."""
        return curves.today(self.n)

    def page(self, key: str, entries: Sequence[T], row_of: Callable[[T], dict[str, Any]]) -> dict[str, Any]:
        """Return the requested page of a list, with its pagination."""
        page, limit = int(self.text("page")), min(int(self.text("limit")), self.page_cap)
        rows = [row_of(entry) for entry in entries[(page - 1) * limit : page * limit]]
        total = len(entries)
        return {
            key: rows,
            "pagination": {"page": page, "size": len(rows), "total": total, "has_more": page * limit < total},
        }
