"""Numbers computed from rows: engagement rates of videos, how similar audiences are, series without gaps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import combinations
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from .catalogue.hashtags import HASHTAG_AUDIENCE
from .columns import Array, moments, read_column, read_times
from .entities import Entities, Name, Needs, check_columns, find_entities, numbered, typed
from .errors import InvalidArgumentError, shown
from .frames import check_partners, columns_of
from .model import DTYPES, OBSERVED_AT, SOURCE, Column, Table
from .places import Constant, PerList
from .settings import is_number

Floats = npt.NDArray[np.float64]


def _constants(column: str) -> list[str]:
    place = HASHTAG_AUDIENCE[column].place
    return [one.value for one in place.places if isinstance(one, Constant)] if isinstance(place, PerList) else []


PARTS: Final[Mapping[str, str]] = MappingProxyType(
    {"like_rate": "likes", "comment_rate": "comments", "share_rate": "shares"}
)
RATES: Final = (*PARTS, "engagement_rate")  # df.keyapi.engagement() adds them
RATED: Final = Needs(
    "engagement()",
    ("views", *PARTS.values()),
    "Such a frame comes from kr.fetch_videos(...) or kr.fetch_creator_videos(...).",
    each="video_id",
)
DIMENSIONS: Final[Mapping[str, str]] = MappingProxyType(
    dict(zip(_constants("dimension"), _constants("score_unit"), strict=True))
)
INDEXED: Final = tuple(name for name, unit in DIMENSIONS.items() if unit == "index")
AVERAGE: Final = 100.0  # of an index, by its declaration
AUDIENCE: Final = ("dimension", "segment_id", "segment", "score")
FILLED: Final = "filled"  # the column that fill_days adds
_DAY: Final = 86_400_000_000  # microseconds
_SIMILARITY: Final = Needs(
    "audience_similarity", AUDIENCE, "From hashtags or music: kr.audience_similarity(df.keyapi.audience())."
)


def engagement_rates(df: pd.DataFrame) -> pd.DataFrame:
    """Return engagement_rate, like_rate, comment_rate and share_rate of rows of videos, each per view.

    They are missing where views is missing or 0, or a part is missing.
    """
    counts = typed(df, ("views", *PARTS.values()))
    views = counts["views"].where(counts["views"] > 0)
    rates = pd.DataFrame({rate: counts[part] / views for rate, part in PARTS.items()})
    rates.insert(0, "engagement_rate", sum((counts[part] for part in PARTS.values()), start=0 * views) / views)
    rates.index = df.index
    return rates


def audience_similarity(df: pd.DataFrame, *, dimension: str = "country") -> pd.DataFrame:
    """Return how similar the audiences of hashtags, sounds or product categories are, one row per pair.

    These are the numbers of `kr.plots.overlap`, which says how they are computed.

    Parameters
    ----------
    df : pandas.DataFrame
        Rows of hashtag_audience, music_audience or product_audience, concatenated: dimension, segment_id, segment,
        score, and hashtag_name, clip_id or category_id.
    dimension : {"country", "interest"}, default "country"
        What to compare by.

    Returns
    -------
    pandas.DataFrame
        A row for each unordered pair of entities, in their order of appearance:

        first : string
            Name of one entity, as `kr.plots.overlap` writes it.
        second : string
            Name of the other one.
        similarity : float64
            Cosine similarity of the logarithms of index / 100, from -1 to 1; missing where the two lists share no
            segment, or one has none: that nothing is known does not mean that they are unlike.
        n_common : Int64
            How many segments are in both lists; a similarity that rests on one or two says little.

    Raises
    ------
    InvalidArgumentError
        Columns are missing, or there is no such dimension.

    Examples
    --------
    >>> tags = kr.fetch_hashtag_audience(["perfumetok", "smellgood", "ufc324"])
    >>> kr.audience_similarity(tags).round(2)
             first      second  similarity  n_common
    0  #perfumetok  #smellgood        0.87         7
    1  #perfumetok     #ufc324        0.05         1
    2   #smellgood     #ufc324         NaN         0
    """
    compared = compare_audiences(df, dimension, _SIMILARITY)
    names = numbered(name.label for name in compared.names)
    pairs = list(combinations(range(len(names)), 2))
    first, second = np.array(pairs, dtype=np.intp).reshape(-1, 2).T
    return pd.DataFrame(
        {
            "first": pd.array([names[i] for i in first], dtype="string"),
            "second": pd.array([names[i] for i in second], dtype="string"),
            "similarity": compared.similarity[first, second],
            "n_common": pd.array(compared.common[first, second], dtype="Int64"),
        }
    )


def compare_audiences(df: pd.DataFrame, dimension: str, needs: Needs) -> Similarity:
    """Compare the audiences of all entities of a frame, whether they have a list by this dimension or not."""
    check_columns(df, needs)
    check_dimension(dimension, INDEXED)
    entities = find_entities(df, needs)
    here = is_dimension(df, dimension)
    _, scores = spread_scores(df[here], replace(entities, codes=entities.codes[here]))
    return Similarity(entities.names, *compare(scores), entities.shared)


def compare(scores: Floats) -> tuple[Floats, npt.NDArray[np.intp]]:
    """Return the similarity of each two columns of scores (missing = not listed), and how many segments they share.

    A segment that only one of two lists names counts as average in the other: its index is unknown, not zero.
    """
    listed = ~np.isnan(scores)
    # an index of 0 has no logarithm: 1 is the lowest one seen on this scale
    excess = np.where(listed, np.log(np.maximum(np.where(listed, scores, AVERAGE), 1) / AVERAGE), 0)
    length = np.sqrt((excess**2).sum(axis=0))
    common = listed.T.astype(np.intp) @ listed.astype(np.intp)
    with np.errstate(divide="ignore", invalid="ignore"):
        similarity = np.clip((excess.T @ excess) / np.outer(length, length), -1, 1)
    similarity[common == 0] = np.nan
    return similarity, common


def check_dimension(dimension: object, allowed: Iterable[str]) -> None:
    """Check the name of a dimension."""
    if not isinstance(dimension, str) or dimension not in set(allowed):
        raise InvalidArgumentError(f"dimension is one of {', '.join(map(repr, allowed))}; got {dimension!r}")


def is_dimension(df: pd.DataFrame, dimension: str) -> npt.NDArray[np.bool_]:
    """Return which rows of audiences are of a dimension."""
    return (df["dimension"].astype("string") == dimension).fillna(value=False).to_numpy(dtype=bool)


def spread_scores(rows: pd.DataFrame, entities: Entities) -> tuple[list[str], Floats]:
    """Return segments and their scores: a row for each segment, a column for each entity, missing = not listed."""
    long = typed(rows, AUDIENCE).assign(entity=entities.codes).dropna(subset=["segment_id", "score"])
    long["segment"] = long["segment"].fillna("code " + long["segment_id"])
    # two lists have other codes for one age band
    same = long["segment_id"].where(long["dimension"] != "age", long["segment"])
    codes, ids = pd.factorize(same)
    scores = np.full((len(ids), len(entities.names)), np.nan)
    scores[codes, long["entity"]] = long["score"]
    return [str(label) for label in long.loc[~same.duplicated(), "segment"]], scores


@dataclass(frozen=True)
class Similarity:
    """How similar audiences are, pair by pair (missing where no segment is in both lists), and shared segments."""

    names: list[Name]
    similarity: Floats
    common: npt.NDArray[np.intp]
    shared: str


# Series without gaps ----------------------------------------------------------------------------------------


def fill_days(df: pd.DataFrame, table: Table, gains: object) -> pd.DataFrame:
    """Return one row a day of a series, from the first to the last day of each entity.

    In added rows the gains of the day are missing, or 0 (`gains`); all other columns of the table, prices too, are
    those of the day before. The user's own columns are missing there: what they mean is not known.
    """
    if gains is not None and not (is_number(gains) and gains == 0):
        raise InvalidArgumentError(f"gains must be None, for missing, or 0; got {shown(gains)}")
    if FILLED in df.columns:
        raise InvalidArgumentError(
            f"The frame has a column {FILLED} already. If fill_days() added it, start from the frame before that; "
            f'else rename it: df.rename(columns={{"{FILLED}": "was_filled"}})'
        )
    frame = _declared(df, table)
    entity, days = _entities_and_days(frame, table)
    order = np.lexsort((days, entity))
    entity, days = entity[order], days[order]
    same = entity[1:] == entity[:-1]
    times = np.append(np.where(same, np.diff(days), 1), 1)[: len(days)]  # rows that each row becomes
    rows = np.repeat(np.arange(len(days)), times)
    later = np.arange(len(rows)) - np.repeat(np.cumsum(times) - times, times)
    added = later > 0
    unique, columns = columns_of(frame), []
    for place, name in enumerate(frame.columns):
        values = frame.iloc[order[rows], place].reset_index(drop=True)
        declared = table[name] if name in table.names and name in unique else None
        if declared is None:
            values = values.mask(added)
        elif _is_gain(declared):
            values[added] = 0 if gains is not None else pd.NA if declared.dtype == DTYPES["count"] else np.nan
        elif name == _day_column(table):
            values = pd.Series(moments((days[rows] + later) * _DAY))
        columns.append(values)
    made: pd.DataFrame = pd.concat([*columns, pd.Series(added).astype("boolean")], axis=1)
    made.columns = pd.Index([*frame.columns, FILLED])
    return made


def _is_gain(column: Column) -> bool:
    """Whether a column is a gain of the day: gains may be negative, prices of the day may not."""
    return column.of == "of the day" and column.least is None


def _day_column(table: Table) -> str:
    [name] = (name for name in table.key if table[name].dtype == DTYPES["time"])
    return name


def _declared(df: pd.DataFrame, table: Table) -> pd.DataFrame:
    """Return a frame whose columns have the dtypes of their table, whatever a file made of them."""
    check_partners(df, table)
    columns = columns_of(df)
    wrong = [name for name in table.names if name in columns and str(df[name].dtype) != table[name].dtype]
    return df.assign(**{name: _read(df[name], table[name]) for name in wrong})


def _read(series: pd.Series[Any], column: Column) -> Array:
    if column.dtype == DTYPES["time"]:
        times = pd.array(read_times(series), dtype="Int64")
        return moments(times.to_numpy(dtype=np.int64, na_value=0), times.isna())
    try:
        return pd.array(read_column(series, column), dtype=column.dtype)  # type: ignore[call-overload]
    except (ValueError, TypeError) as error:
        raise InvalidArgumentError(
            f"Column {column.name} cannot be read as {column.dtype} ({error}). "
            "Read the file again with kr.read_csv(path)."
        ) from error


def _entities_and_days(frame: pd.DataFrame, table: Table) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.int64]]:
    """Return the number of the entity of each row, and its day since 1970; no day of an entity may be there twice."""
    for name in table.key:
        if missing := int(frame[name].isna().sum()):
            raise InvalidArgumentError(
                f'{name} is missing in {missing:,} rows. Drop them first: df.dropna(subset=["{name}"])'
            )
    day = _day_column(table)
    times = frame[day].dt.tz_convert(None).to_numpy(dtype="datetime64[us]").astype(np.int64)
    if (times % _DAY).any():
        raise InvalidArgumentError(f'{day} has times of day. Keep the days: df.assign({day}=df["{day}"].dt.floor("D"))')
    whose = [name for name in table.key if name != day]
    whose += [SOURCE.name] if SOURCE.name in columns_of(frame) else []
    entity = frame.groupby(whose, sort=False, dropna=False).ngroup().to_numpy().astype(np.intp)
    twice = pd.DataFrame({"entity": entity, "day": times}).duplicated()
    if twice.any():
        newest = f'.sort_values("{OBSERVED_AT.name}")' if OBSERVED_AT.name in columns_of(frame) else ""
        named = ", ".join(f'"{name}"' for name in (*whose, day))
        raise InvalidArgumentError(
            f"{int(twice.sum()):,} rows are about a day that the frame has already, as where it holds several "
            f'observations of one day. Keep one of each: df{newest}.drop_duplicates([{named}], keep="last")'
        )
    return entity, times // _DAY
