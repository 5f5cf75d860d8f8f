"""One checked request about creators, products or their days, as the modules that answer it read it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, TypeVar

from . import curves, effects
from .identity import Creator, Product, Setting, creator_by_handle, creator_by_id, product_by_id

T = TypeVar("T")
LARGEST_LIST = 150


@dataclass(frozen=True)
class Inquiry:
    """A request: the world it is about, parameters in canonical form, which answer it gets, on what day."""

    setting: Setting
    today: int
    n: int
    params: Mapping[str, str | None]
    page_cap: int

    @property
    def now(self) -> int:
        """Day of the answer about an entity or of a list of its own, which moves on."""
        return self.today + self.setting.later(self.n)

    def text(self, name: str) -> str:
        """Return a parameter, an empty text where it was left out."""
        return self.params.get(name) or ""

    def day(self, name: str) -> int:
        """Return a date as the number of its day."""
        return curves.number_of(date.fromisoformat(self.text(name)))

    def page(self, entries: Sequence[T]) -> Sequence[T]:
        """Return the requested page of a list."""
        number, size = int(self.text("page_num")), int(self.text("page_size"))
        size = min(size, self.page_cap)
        return entries[(number - 1) * size : number * size]

    @property
    def creator(self) -> Creator | None:
        """Whom the request is about."""
        by_id = self.text("user_id")
        if by_id:
            return creator_by_id(self.setting.seed, by_id)
        return creator_by_handle(self.setting.seed, self.text("unique_id"))

    @property
    def product(self) -> Product | None:
        """The product that the request is about."""
        return product_by_id(self.setting.seed, self.text("product_id"))

    @property
    def told(self) -> range:
        """The days that may have rows."""
        return range(max(effects.FIRST_DAY, self.today - effects.DAYS_TOLD), min(self.today, effects.LAST_DAY + 1))

    @property
    def days(self) -> range:
        """The requested days of a series that may have rows."""
        return range(max(self.told.start, self.day("start_date")), min(self.told.stop, self.day("end_date") + 1))

    @property
    def cycle(self) -> range:
        """The days of a ranking: none where it is not over, or too long ago."""
        first = self.day("date")
        end = {"1": first + 1, "2": first + 7, "3": curves.month_start(first, -1)}[self.text("rank_type")]
        return range(first, end if self.told.start <= first and end <= self.told.stop else first)

    def sorted(self, rows: list[dict[str, Any]], field: str, names: Sequence[str], *, ignored: bool = False) -> None:
        """Sort rows as requested, descending unless ascending was; as they are where it was not or is ignored."""
        code = self.text(field)
        if code and not ignored:
            name = names[int(code) - 1]
            rows.sort(key=lambda row: float(row[name]), reverse=self.text("sort_type") != "0")

    def within(self, row: Mapping[str, Any]) -> bool:
        """Return whether a row is within all bounds (``min_``, ``max_``) and equals all other filters it has."""
        for name, value in self.params.items():
            if value is None or name in {"page_num", "page_size", "sort_type"}:
                continue
            if name.startswith(("min_", "max_")):
                known = float(row[name[4:]])
                if known < float(value) if name.startswith("min_") else known > float(value):
                    return False
            elif name in row and str(row[name]) != value:
                return False
        return True


def date_text(day: int) -> str:
    """Return a day as ``yyyy-MM-dd``."""
    return str(date.fromordinal(day + effects.EPOCH))


def date_number(day: int) -> int:
    """Return a day as the number yyyyMMdd."""
    return int(date_text(day).replace("-", ""))


def ranked(entries: Sequence[T], values: Sequence[int], identifiers: Sequence[str]) -> list[tuple[T, int]]:
    """Return the entries of a ranking: those with a value above 0, descending, ties by id."""
    order = sorted(range(len(entries)), key=lambda place: (-values[place], int(identifiers[place])))
    return [(entries[place], place) for place in order[:LARGEST_LIST] if values[place] > 0]
