"""What a check reads and what it finds, and what several checks need."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..model import OBSERVED_AT, TABLES, Table

Severity = Literal["wrong", "suspect", "note"]
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
FEW: Final = 20  # rows or days: fewer say little of what is usual


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
    """What is audited: frames by the names of their tables, each read when it is first needed."""

    read: Callable[[str], pd.DataFrame]
    names: tuple[str, ...]
    thresholds: Mapping[str, float]

    def tables(self, *, series: bool | None = None) -> Iterator[tuple[Table, pd.DataFrame]]:
        """Yield tables that have rows; only series of days, or none of them."""
        for name in self.names:
            table = TABLES[name]
            if series in (None, table.endpoint.series is not None):
                frame = self.read(name)
                if len(frame):
                    yield table, frame


Check = Callable[[Held], Iterator[Finding]]


def ids_of(table: Table) -> list[str]:
    """Return the columns of a key that are ids."""
    return [name for name in table.key if name in IDS]


def numbers(values: pd.Series[Any]) -> Floats:
    """Return a column as numbers, NaN where missing."""
    return values.to_numpy(dtype=np.float64, na_value=np.nan)


def entity_at(frame: pd.DataFrame, ids: Iterable[str], place: int) -> str:
    """Return the entity of a row in words."""
    return words(frame[name].iloc[place] for name in ids)


def words(values: Iterable[Any]) -> str:
    """Return ids as text, without what is missing."""
    return ", ".join(str(one) for one in values if not pd.isna(one) and str(one))


def moment(value: Any) -> str:
    """Return a day, or a moment to the minute, as text."""
    time = pd.Timestamp(value)
    return f"{time:%Y-%m-%d}" if time == time.floor("D") else f"{time:%Y-%m-%d %H:%M}"


def newest_of(frame: pd.DataFrame, names: Iterable[str]) -> pd.DataFrame:
    """Return the newest observation of each, in the order of the names."""
    by = list(names)
    ordered = frame.sort_values([*by, OBSERVED_AT.name])
    return ordered.drop_duplicates(by, keep="last").reset_index(drop=True)


def runs(marked: Bools) -> Iterator[tuple[int, int]]:
    """Yield the first place of each run of marked places, and the place after its last."""
    edges = np.flatnonzero(np.diff(np.r_[False, marked, False]))
    yield from zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)
