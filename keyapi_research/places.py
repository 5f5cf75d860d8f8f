"""Places: where a value of a table comes from.

A path starts at the answer's `data`; `[]` means "each item".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Field:
    """A value of the answer; where no row has that field, the value at `around`, beside the list of rows."""

    path: str
    around: str = ""

    def __str__(self) -> str:
        return f"data.{self.path}".replace("data.[]", "data[]").removesuffix(".")


@dataclass(frozen=True, slots=True)
class CountOf:
    """The number of items of a list of the answer."""

    path: str

    def __str__(self) -> str:
        return f"len(data.{self.path})"


@dataclass(frozen=True, slots=True)
class Position:
    """The place in the list the rows come from, from 1."""

    of: str

    def __str__(self) -> str:
        return f"place in {self.of}"


@dataclass(frozen=True, slots=True)
class Constant:
    """Which of several lists a row comes from."""

    value: str

    def __str__(self) -> str:
        return f'"{self.value}"'


@dataclass(frozen=True, slots=True)
class Coded:
    """A code of the answer, translated; codes that are not listed become missing values."""

    path: str
    codes: Mapping[int, str]

    def __str__(self) -> str:
        return f"{Field(self.path)} ({', '.join(f'{code} = {name}' for code, name in self.codes.items())})"


@dataclass(frozen=True, slots=True)
class DeepestLevel:
    """A leaf of the deepest level that has an id, whether or not the id can be read."""

    levels: tuple[str, ...]
    leaf: str

    def __str__(self) -> str:
        return f"deepest present of {', '.join(f'{Field(level)}.{self.leaf}' for level in self.levels)}"


@dataclass(frozen=True, slots=True)
class FromQuery:
    """A parameter of the query. Answers repeat only the id, which is then compared with the one requested."""

    checked: Field | DeepestLevel | None = None

    def __str__(self) -> str:
        return f"as requested (= {self.checked}, checked)" if self.checked else "as requested"


@dataclass(frozen=True, slots=True)
class PerList:
    """One place for each list of the table's rows, in their order; `written` is a shorter text for `describe`."""

    places: tuple[Constant | Field | Coded | None, ...]
    written: str = ""

    def __str__(self) -> str:
        return self.written or " or ".join("NA" if place is None else str(place) for place in self.places)


@dataclass(frozen=True, slots=True)
class Metadata:
    """Something the package knows about the answer itself."""

    what: str

    def __str__(self) -> str:
        return self.what


Place = FromQuery | Field | CountOf | Position | Coded | DeepestLevel | PerList | Metadata
