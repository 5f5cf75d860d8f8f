"""What a check reads and what it finds, and what several checks need."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..model import OBSERVED_AT, TABLES, Table

Severity = Literal["wrong", "suspect", "note"]
SEVERITIES: Final[tuple[Severity, ...]] = get_args(Severity)  # the worst first
Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]

IDS: Final = ("user_id", "video_id", "product_id")
MAY_FALL: Final = frozenset(  # people leave, take likes back, and delete what they posted
    {"followers", "following", "likes", "profile_likes", "comments", "favorites", "reviews"}
    | {"videos", "lives", "products", "creators"}
)
MOST_NAMED: Final = 5
UNLIKELY: Final = 1e-6  # of chance: how rarely what is found would come by itself
NEARLY_ALL: Final = 0.9
FEW: Final = 20  # rows, days or ids: fewer say little of what is usual
TINY: Final = 10  # a difference of less is a return, a deletion or a rounding
_MOST_DECIMALS: Final = 6


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that was found: see the columns of `audit`."""

    check: str
    severity: Severity
    table: str
    entity: str
    column: str
    first: pd.Timestamp
    last: pd.Timestamp
    n: int
    evidence: str


@dataclass(frozen=True)
class Held:
    """What is audited: frames by the names of their tables, each read when it is first needed.

    Tables that stand `beside` are not audited; what these are held against may be in them.
    """

    read: Callable[[str], pd.DataFrame]
    names: tuple[str, ...]
    thresholds: Mapping[str, float]
    beside: tuple[str, ...] = ()

    def tables(self, *, series: bool | None = None) -> Iterator[tuple[Table, pd.DataFrame]]:
        """Yield tables that have rows; only series of days, or none of them."""
        for name in self.names:
            table = TABLES[name]
            if series in (None, table.endpoint.series is not None):
                frame = self.read(name)
                if len(frame):
                    yield table, frame

    def find(self, name: str) -> pd.DataFrame | None:
        """Return a table, if it is there, whether it is audited or not."""
        return self.read(name) if name in (*self.names, *self.beside) else None


Check = Callable[[Held], Iterator[Finding]]


# Rows -------------------------------------------------------------------------------------------------------


def ids_of(table: Table) -> list[str]:
    """Return the columns of a key that are ids."""
    return [name for name in table.key if name in IDS]


def when_of(table: Table) -> str:
    """Return the column that says when: the day of a series, else the moment of observation."""
    return table.key[1] if table.endpoint.series is not None else OBSERVED_AT.name


def numbers(values: pd.Series[Any]) -> Floats:
    """Return a column as numbers, NaN where missing."""
    return values.to_numpy(dtype=np.float64, na_value=np.nan)


def newest_of(frame: pd.DataFrame, names: Iterable[str]) -> pd.DataFrame:
    """Return the newest observation of each, in the order of the names."""
    by = list(names)
    ordered = frame.sort_values([*by, OBSERVED_AT.name])
    return ordered.drop_duplicates(by, keep="last").reset_index(drop=True)


def codes_of(frame: pd.DataFrame, names: Iterable[str]) -> npt.NDArray[np.intp]:
    """Return a number for each combination of some columns, in the order of appearance."""
    return np.asarray(frame.groupby(list(names), dropna=False, sort=False).ngroup(), dtype=np.intp)


def places_by(codes: npt.NDArray[Any]) -> Iterator[npt.NDArray[np.intp]]:
    """Yield the places of each code, in their order."""
    order = np.argsort(codes, kind="stable")
    yield from np.split(order, np.flatnonzero(np.diff(codes[order])) + 1) if len(order) else ()


def runs(marked: Bools) -> Iterator[tuple[int, int]]:
    """Yield the first place of each run of marked places, and the place after its last."""
    edges = np.flatnonzero(np.diff(np.r_[False, marked, False]))
    yield from zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)


# Words ------------------------------------------------------------------------------------------------------


def entity_at(frame: pd.DataFrame, ids: Iterable[str], place: int) -> str:
    """Return the entity of a row in words."""
    return words(frame[name].iloc[place] for name in ids)


def words(values: Iterable[Any]) -> str:
    """Return ids, parameters and days as text, without what is missing."""
    return ", ".join(moment(one) if isinstance(one, pd.Timestamp) else str(one) for one in values if not _is_blank(one))


def _is_blank(value: Any) -> bool:
    return bool(pd.isna(value)) or not str(value)


def moment(value: Any) -> str:
    """Return a day, or a moment to the minute, as text."""
    time = pd.Timestamp(value)
    return f"{time:%Y-%m-%d}" if time == time.floor("D") else f"{time:%Y-%m-%d %H:%M}"


def figures(*values: float) -> list[str]:
    """Return numbers as text, with as many decimals as they differ in."""
    for decimals in range(_MOST_DECIMALS + 1):
        texts = [f"{value:,.{decimals}f}" for value in values]
        if len(set(texts)) == len(set(values)):
            break
    return texts
