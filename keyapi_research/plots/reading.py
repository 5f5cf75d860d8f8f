"""What the pictures show, worked out before anything is drawn: pure pandas, no matplotlib, no store."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from .. import schema
from ..errors import InvalidArgumentError
from ..schema import AGE_BANDS, COLUMN_DTYPES, TABLES, Column, Constant, PerList
from ..settings import SANDBOX, SANDBOX_TODAY

Floats = npt.NDArray[np.float64]
Dates = npt.NDArray[np.datetime64]


def _constants(column: str) -> list[str]:
    place = schema.HASHTAG_AUDIENCE[column].place
    places = place.places if isinstance(place, PerList) else ()
    return [one.value for one in places if isinstance(one, Constant)]


DIMENSIONS: Final[Mapping[str, str]] = MappingProxyType(
    dict(zip(_constants("dimension"), _constants("score_unit"), strict=True))
)
INDEXED: Final = tuple(name for name, unit in DIMENSIONS.items() if unit == "index")
AGE_ORDER: Final = sorted(set(AGE_BANDS.values()), key=lambda band: (int(band[:2]), band.endswith("+")))
AVERAGE: Final = 100.0  # of an index, by its declaration
MOST_BARS: Final = 6  # entities side by side
MOST_SEGMENTS: Final = 12
MOST_GROUPS: Final = 7
MOST_CATEGORIES: Final = 20
TREND: Final = ("date", "share_of_peak")
AUDIENCE: Final = ("dimension", "segment_id", "segment", "score")
PRODUCTS: Final = ("ctr_pct", "cvr_pct", "impressions", "category_l1", "category")
_LEVELS: Final = (1, 2, 3)
HIERARCHY: Final = ("category_id", *(f"category_l{level}" for level in _LEVELS))
PARTS: Final[Mapping[str, str]] = MappingProxyType(
    {"like_rate": "likes", "comment_rate": "comments", "share_rate": "shares"}
)
RATES: Final = ("engagement_rate", *PARTS)
MEASURES: Final[Mapping[str, Column]] = MappingProxyType(
    {
        column.name: column
        for column in schema.PRODUCT_INSIGHTS.columns
        if column.kind in ("count", "number") and column.unit != "rank"
    }
)
_ADVICE: Final[Mapping[str, str]] = MappingProxyType(
    {
        "plots.trend": "From hashtags, music or a list of either call df.keyapi.plot.trend(), which is "
        "plots.trend(df.keyapi.trend()).",
        "plots.audience": "From product_details, hashtags or music call df.keyapi.plot.audience(), which is "
        "plots.audience(df.keyapi.audience()).",
        "plots.overlap": "From hashtags or music call df.keyapi.plot.overlap(), or put audiences together: "
        "plots.overlap(pd.concat([tags.keyapi.audience(), sounds.keyapi.audience()])).",
        "audience_similarity": "From hashtags or music: kr.audience_similarity(df.keyapi.audience()).",
        "plots.products": "Such a frame comes from kr.fetch_product_insights(...).",
        "plots.categories": "Such a frame comes from kr.fetch_product_insights(...).",
        "plots.engagement": "Such a frame comes from kr.fetch_videos(...), with or without .keyapi.engagement().",
    }
)


# Columns ----------------------------------------------------------------------------------------------------


def check_columns(df: object, call: str, needed: Sequence[str]) -> None:
    """Check that a frame has what a picture or a computation needs.

    Parameters
    ----------
    df : object
        What the user passed.
    call : str
        The function as its users call it, for the message.
    needed : sequence of str
        Columns that must be there.

    Raises
    ------
    InvalidArgumentError
        No frame, or columns are missing: it names them and says where they come from.
    """
    if not isinstance(df, pd.DataFrame):
        raise InvalidArgumentError(f"{call} reads a DataFrame; got {type(df).__name__}. {_ADVICE[call]}")
    missing = [name for name in needed if name not in df.columns]
    if missing:
        tables = [table.name for table in TABLES.values() if set(needed) <= set(table.names)]
        inside = [name for name in missing if name in df.index.names]
        hint = f" ({', '.join(inside)} is in the index: df.reset_index())" if inside else ""
        raise InvalidArgumentError(
            f"{call} needs the columns {', '.join(needed)}; this frame has no {', '.join(missing)}{hint}. "
            f"It reads rows of {', '.join(tables)}. {_ADVICE[call]}"
        )
    twice = [name for name in needed if isinstance(df[name], pd.DataFrame)]
    if twice:
        raise InvalidArgumentError(f"{call}: the frame has several columns named {', '.join(twice)}")


def typed(df: pd.DataFrame, names: Iterable[str]) -> pd.DataFrame:
    """Take columns that are there, in the one form the pictures compute with, whatever file they came from."""
    return pd.DataFrame({name: _typed(df[name]) for name in dict.fromkeys(names) if name in df.columns}).reset_index(
        drop=True
    )


def _typed(column: pd.Series[Any]) -> pd.Series[Any]:
    dtype = COLUMN_DTYPES.get(str(column.name), "float64")
    try:
        if dtype.startswith("datetime"):
            as_text = not pd.api.types.is_datetime64_any_dtype(column)
            return pd.to_datetime(column, utc=True, format="ISO8601" if as_text else None)
        if dtype in ("Int64", "float64"):
            return pd.Series(
                pd.to_numeric(column).to_numpy(dtype="float64", na_value=np.nan), index=column.index, name=column.name
            )
    except (ValueError, TypeError) as error:
        raise InvalidArgumentError(
            f"column {column.name} cannot be read as {dtype} ({error}); read the file again with kr.read_csv(path)"
        ) from error
    return column.astype("string")


@dataclass(frozen=True)
class Origin:
    """Where the rows of a picture came from and when, and whether any of them is made up."""

    text: str
    synthetic: bool


def find_origin(df: pd.DataFrame) -> Origin:
    """Say where rows came from and when. A merge's suffixed columns count where there are no others.

    Rows are made up where any column of that kind says so, suffixed or not.
    """
    if not isinstance(df, pd.DataFrame):
        raise InvalidArgumentError(f"source and age are told by the rows of a DataFrame; got {type(df).__name__}")
    if df.empty:
        return Origin("source: no rows", synthetic=False)
    plain, suffixed = _columns_like(df, "source")
    sources = sorted({str(one) for column in plain or suffixed for one in column.dropna().unique()})
    synthetic = any(column.astype("string").eq(SANDBOX).any() for column in plain + suffixed)
    named = ", ".join(_sandbox() if one == SANDBOX else one for one in sources)
    said = f"source{'s' if len(sources) > 1 else ''}: {named or 'not in this frame'}"
    said_when = next(filter(None, _columns_like(df, "observed_at")), [])
    stamps = [pd.to_datetime(column, utc=True, errors="coerce", format="ISO8601").dropna() for column in said_when]
    moments = [moment for column in stamps for moment in (column.min(), column.max()) if not column.empty]
    if not moments:
        return Origin(f"{said}; observed: not in this frame", synthetic)
    first, last = (f"{moment:%Y-%m-%d}" for moment in (min(moments), max(moments)))
    days = first if first == last else f"{first} to {last}"
    # nobody observed a made-up market: it is dated by its own today, whenever it was asked
    seen = "fetched" if sources == [SANDBOX] else "observed"
    return Origin(f"{said}, {seen} {days} (UTC)", synthetic)


def _sandbox() -> str:
    return f"{SANDBOX} (SYNTHETIC, its today is {SANDBOX_TODAY:%Y-%m-%d})"


def _columns_like(df: pd.DataFrame, name: str) -> tuple[list[pd.Series[Any]], list[pd.Series[Any]]]:
    """Columns of this name, and those of this name with a suffix."""
    labels = [str(label) for label in df.columns]
    return (
        [df.iloc[:, i] for i, label in enumerate(labels) if label == name],
        [df.iloc[:, i] for i, label in enumerate(labels) if label.startswith(f"{name}_")],
    )


# Entities ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Name:
    """What an entity is called on a picture, and what in plain characters where no font can write that."""

    text: str
    plain: str = ""


@dataclass(frozen=True)
class Batches:
    """Which entity each row belongs to, by number; their names; and what all of them have in common."""

    codes: npt.NDArray[np.intp]
    names: list[Name]
    shared: str


_CALLED: Final = (
    ("hashtag_name", "hashtag_name", "#"),
    ("clip_id", "title", "sound "),
    ("category_id", "category", "category "),
)


def identity_of(needed: Sequence[str]) -> list[str]:
    """List what tells entities apart in the tables with these columns: their keys without these columns."""
    keys = [name for table in TABLES.values() if set(needed) <= set(table.names) for name in table.key]
    return [name for name in dict.fromkeys(keys) if name not in needed]


def find_entities(df: pd.DataFrame, call: str, needed: Sequence[str]) -> Batches:
    """Give the entities of a frame numbers, in order of appearance, and names.

    Two pulls of one series are two entities: each is scaled on its own peak.
    """
    identity = identity_of(needed)
    ids = [name for name, _, _ in _CALLED if name in identity]
    if not any(name in df.columns for name in ids):
        raise InvalidArgumentError(
            f"{call} needs one of the columns {', '.join(ids)} to tell rows of one series from another's. "
            + _ADVICE[call]
        )
    rows = typed(df, [*identity, "observed_at", *(name for _, name, _ in _CALLED)])
    keys = [name for name in (*identity, "observed_at") if name in rows]
    codes = rows.groupby(keys, dropna=False, sort=False).ngroup().to_numpy().astype(np.intp)
    first = rows.loc[~pd.Series(codes).duplicated()]
    windows, shared = _tell_windows(first)
    return Batches(codes, _name_entities(first, keys, windows), shared)


def _tell_windows(rows: pd.DataFrame) -> tuple[list[list[str]], str]:
    """Say region and window of each row, where rows differ in them; and of all rows, where they do not."""
    records = rows.to_dict("records")
    regions = [_tell("region", row.get("region")) for row in records]
    windows = [_tell("period", row.get("period")) or _tell("time_scope", row.get("time_scope")) for row in records]
    differing = [told for told in (regions, windows) if len(set(told)) > 1]
    shared = [told[0] for told in (regions, windows) if len(set(told)) == 1 and told[0]]
    return [[told[place] for told in differing] for place in range(len(records))], ", ".join(shared)


def _varying(rows: pd.DataFrame, names: Iterable[str]) -> list[str]:
    return [name for name in names if name in rows and len(rows[name].drop_duplicates()) > 1]


def _name_entities(first: pd.DataFrame, keys: list[str], windows: list[list[str]]) -> list[Name]:
    """Name entities; what tells namesakes apart is added until no two are called the same."""
    named = [_call(row) for row in first.to_dict("records")]
    added = [list(more) for more in windows]
    for name in (key for key in keys if key not in ("hashtag_name", "region", "period")):
        calls = [(one.text, *more) for one, more in zip(named, added, strict=True)]
        told = [_tell(name, value) for value in first[name]]
        ways = Counter(call for call, _ in set(zip(calls, told, strict=True)))
        for call, more, one in zip(calls, added, told, strict=True):
            if ways[call] > 1:  # it does tell namesakes apart
                more.append(one)
    return [
        Name(_with(one.text, more), _with(one.plain, more) if one.plain else "")
        for one, more in zip(named, added, strict=True)
    ]


def elide(text: str, most: int = 28) -> str:
    """Shorten a name in its middle: what tells namesakes apart is often at the end."""
    if len(text) <= most:
        return text
    head, tail = most * 2 // 3, len(text) - (most - most * 2 // 3 - 1)
    while head > 1 and unicodedata.category(text[head]).startswith("M"):  # a mark stays with its letter
        head -= 1
    while tail < len(text) and unicodedata.category(text[tail]).startswith("M"):
        tail += 1
    return f"{text[:head]}…{text[tail:]}"


def numbered(labels: Iterable[str]) -> list[str]:
    """Tell labels apart that became the same."""
    seen: Counter[str] = Counter()
    told = []
    for label in labels:
        seen[label] += 1
        told.append(label if seen[label] == 1 else f"{label} ({seen[label]})")
    return told


def _with(name: str, more: list[str]) -> str:
    said = [one for one in more if one]
    return f"{name} ({', '.join(said)})" if said else name


def _call(row: dict[Any, Any]) -> Name:
    for of, spoken, sign in _CALLED:
        plain = row.get(of)
        if plain is not None and not pd.isna(plain):
            name = row.get(spoken)
            by_id = elide(f"{sign}{plain}")
            if of == spoken:
                return Name(by_id)
            return Name(by_id if name is None or pd.isna(name) else elide(str(name)), by_id)
    return Name("(no name)")


def _tell(column: str, value: Any) -> str:
    if pd.isna(value):
        return ""
    if column in ("period", "time_scope"):
        days = f"{value:g}" if isinstance(value, float) else str(value)
        return f"{days} day{'s' if days != '1' else ''}" if days.isdecimal() else days
    if column == "observed_at":
        return f"observed {value:%Y-%m-%d %H:%M:%S}"
    return str(value) if column in ("region", "clip_id", "category_id") else f"{column} {value}"


# Trend ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Line:
    """One series, with a missing value wherever a bucket is missing, so that no line is drawn across the gap."""

    name: Name
    dates: Dates
    values: Floats


def find_lines(df: pd.DataFrame) -> tuple[list[Line], str]:
    """Take the series of a frame apart; also what they have in common."""
    check_columns(df, "plots.trend", TREND)
    entities = find_entities(df, "plots.trend", TREND)
    rows = typed(df, TREND).assign(entity=entities.codes).dropna(subset=["date"])
    rows = rows.drop_duplicates(["entity", "date"]).sort_values(["entity", "date"])
    lines = [_line(entities.names[part["entity"].iloc[0]], part) for _, part in rows.groupby("entity")]
    return lines, entities.shared


def _line(name: Name, rows: pd.DataFrame) -> Line:
    dates = rows["date"].dt.tz_convert(None).to_numpy(dtype="datetime64[us]")
    values = rows["share_of_peak"].to_numpy(dtype="float64")
    after = gaps(dates)
    return Line(
        name, np.insert(dates, after, dates[after - 1] + np.timedelta64(1, "us")), np.insert(values, after, np.nan)
    )


def gaps(dates: Dates) -> npt.NDArray[np.intp]:
    """Find where buckets are missing: places whose date is more than 1.5 steps after the one before.

    The step is the most frequent distance of the series itself (the smallest of several), never the period.
    """
    if len(dates) < 2:  # noqa: PLR2004 - no distance
        return np.array([], dtype=np.intp)
    distances = np.diff(dates)
    found, counts = np.unique(distances, return_counts=True)
    step = found[counts.argmax()]
    return np.flatnonzero(distances / step > 1.5) + 1  # noqa: PLR2004 - months differ by a tenth


# Audience ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Audience:
    """Scores of some entities: a row for each segment, a column for each entity; missing = not listed."""

    dimension: str
    names: list[Name]
    segments: list[str]
    scores: Floats
    shared: str
    notes: tuple[str, ...]


def find_audience(df: pd.DataFrame, dimension: str | None) -> Audience:
    """Take one dimension of audiences: ages in age order, others by their highest index."""
    check_columns(df, "plots.audience", AUDIENCE)
    present = df["dimension"].dropna().astype("string").unique()
    if dimension is not None:
        check_dimension(dimension, DIMENSIONS)
    chosen = dimension or next((one for one in DIMENSIONS if one in present), "age")
    rows = df[_is_dimension(df, chosen)]
    notes = [f"No {chosen} rows; the frame has {', '.join(present)}."] if rows.empty and len(present) else []
    if dimension is None and len(present) > 1:
        notes.append(f"Shown: {chosen}. Also in the frame: {', '.join(one for one in present if one != chosen)}.")
    entities = find_entities(rows, "plots.audience", AUDIENCE)
    segments, scores = _spread(rows, entities)
    if len(entities.names) > MOST_BARS:
        notes.append(f"The first {MOST_BARS} of {len(entities.names)} entities.")
        scores = scores[:, :MOST_BARS]
    listed = np.flatnonzero(~np.isnan(scores).all(axis=1))
    if chosen == "age":
        order = sorted(listed, key=lambda i: (_age_place(segments[i]), segments[i]))
    else:
        order = sorted(listed, key=lambda i: -np.nanmax(scores[i]))
    return Audience(
        chosen, entities.names[:MOST_BARS], [segments[i] for i in order], scores[order], entities.shared, tuple(notes)
    )


def check_dimension(dimension: object, allowed: Iterable[str]) -> None:
    """Check the name of a dimension."""
    if not isinstance(dimension, str) or dimension not in set(allowed):
        raise InvalidArgumentError(f"dimension is one of {', '.join(map(repr, allowed))}; got {dimension!r}")


def _spread(rows: pd.DataFrame, entities: Batches) -> tuple[list[str], Floats]:
    """Spread scores: a row for each segment, a column for each entity, missing where it is not listed."""
    long = typed(rows, AUDIENCE).assign(entity=entities.codes).dropna(subset=["segment_id", "score"])
    long["segment"] = long["segment"].fillna("code " + long["segment_id"])
    # two lists have other codes for one age band
    same = long["segment_id"].where(long["dimension"] != "age", long["segment"])
    codes, ids = pd.factorize(same)
    scores = np.full((len(ids), len(entities.names)), np.nan)
    scores[codes, long["entity"]] = long["score"]
    labels = long.loc[~same.duplicated(), "segment"]
    return [str(label) for label in labels], scores


def _is_dimension(df: pd.DataFrame, dimension: str) -> npt.NDArray[np.bool_]:
    return (df["dimension"].astype("string") == dimension).fillna(value=False).to_numpy(dtype=bool)


def _age_place(band: str) -> int:
    return AGE_ORDER.index(band) if band in AGE_ORDER else len(AGE_ORDER)


# Overlap ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Overlap:
    """How alike audiences are: similarities (missing where no segment is in both lists) and shared segments."""

    names: list[Name]
    similarity: Floats
    common: npt.NDArray[np.intp]
    shared: str
    notes: tuple[str, ...]


def find_overlap(df: pd.DataFrame, dimension: str) -> Overlap:
    """Compare the audiences of entities; those that are alike stand side by side."""
    every = compare_audiences(df, dimension, "plots.overlap")
    listed = np.flatnonzero(every.common.diagonal())
    alike = side_by_side(np.nan_to_num(every.similarity[np.ix_(listed, listed)]))
    order = [int(listed[i]) for i in alike]
    left_out = len(every.names) - len(order)
    return Overlap(
        [every.names[i] for i in order],
        every.similarity[np.ix_(order, order)],
        every.common[np.ix_(order, order)],
        every.shared,
        (f"{left_out} without a list by {dimension} left out.",) if left_out else (),
    )


def compare_audiences(df: pd.DataFrame, dimension: str, call: str) -> Overlap:
    """Compare the audiences of all entities of a frame, in order of appearance, whether they have a list or not."""
    check_columns(df, call, AUDIENCE)
    check_dimension(dimension, INDEXED)
    entities = find_entities(df, call, AUDIENCE)
    here = _is_dimension(df, dimension)
    _, scores = _spread(df[here], replace(entities, codes=entities.codes[here]))
    return Overlap(entities.names, *compare(scores), entities.shared, ())


def compare(scores: Floats) -> tuple[Floats, npt.NDArray[np.intp]]:
    """Cosine similarity of log(index / 100) between columns, over all listed segments.

    A segment that only one of two lists names counts as average (100) in the other: its index is unknown, not zero.
    Where no segment is in both lists nothing is known, and the similarity is missing.

    Parameters
    ----------
    scores : numpy.ndarray
        A row for each segment, a column for each entity; NaN = not listed.

    Returns
    -------
    similarity, common : numpy.ndarray
        Similarities from -1 to 1, and how many segments are in both lists.
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


def side_by_side(similarity: Floats) -> list[int]:
    """Order entities so that those alike are neighbours: average linkage, the closest ends joined."""
    members = {i: [i] for i in range(len(similarity))}
    link = similarity.astype("float64")
    np.fill_diagonal(link, -np.inf)
    while len(members) > 1:
        a, b = sorted(int(i) for i in np.unravel_index(link.argmax(), link.shape))
        left, right = members[a], members.pop(b)
        turns = [(x, y) for x in (left, left[::-1]) for y in (right, right[::-1])]
        x, y = max(turns, key=lambda pair: similarity[pair[0][-1], pair[1][0]])
        link[a] = link[:, a] = (len(left) * link[a] + len(right) * link[b]) / (len(left) + len(right))
        link[b] = link[:, b] = link[a, a] = -np.inf
        members[a] = x + y
    return next(iter(members.values()), [])


# Products ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Points:
    """Product categories as points, in the frame's order; group = place in groups."""

    rows: pd.DataFrame
    groups: list[str]
    names: list[Name]
    shared: str
    notes: list[str]


OTHER: Final = "other"


def find_points(df: pd.DataFrame) -> Points:
    """Take the points of the ctr x cvr picture; the level-1 categories with most impressions get a colour each."""
    check_columns(df, "plots.products", PRODUCTS)
    rows = typed(df, [*PRODUCTS, "category_id", "region", "time_scope"])
    drawn = rows.dropna(subset=["ctr_pct", "cvr_pct"])
    notes = []
    if len(drawn) < len(rows):
        notes.append(f"{_rows(len(rows) - len(drawn))} without ctr or cvr not drawn.")
    unknown = int(drawn["impressions"].isna().sum())
    if unknown:
        notes.append(f"{_rows(unknown)} without impressions drawn as a small cross.")
    totals = drawn.groupby("category_l1")["impressions"].sum().sort_values(ascending=False, kind="stable")
    groups = [str(name) for name in totals.index[:MOST_GROUPS]]
    group = drawn["category_l1"].map({name: i for i, name in enumerate(groups)}).astype("float64")
    if group.isna().any():
        groups.append(OTHER)
    place = group.fillna(len(groups) - 1).astype("int64")
    windows, shared = _tell_windows(drawn)
    called = [_call(row) for row in drawn.to_dict("records")]
    names = [Name(_with(name.text, more), name.plain) for name, more in zip(called, windows, strict=True)]
    return Points(drawn.assign(group=place).reset_index(drop=True), groups, names, shared, notes)


def _rows(count: int) -> str:
    return f"{count:,} row{'s' if count != 1 else ''}"


# Categories -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Hierarchy:
    """Categories of one level within level-1 ones, the one to show first first.

    Rows have l1, name, value, n (how many rows it sums up), and total and of (the same of the level-1 category).
    """

    rows: pd.DataFrame
    level: int
    deepest: int
    lowest: bool
    summed: bool
    column: Column
    shared: str
    notes: list[str]


def find_hierarchy(df: pd.DataFrame, measure: str, level: int = 2, *, lowest: bool = False) -> Hierarchy:
    """Add up, or take medians of, a measure over the categories below each category of a level."""
    column = MEASURES.get(measure)
    if column is None:
        raise InvalidArgumentError(f"measure is one of {', '.join(MEASURES)}; got {measure!r}")
    if level not in _LEVELS or isinstance(level, bool):
        raise InvalidArgumentError(f"level is 1, 2 or 3; got {level!r}")
    check_columns(df, "plots.categories", (*HIERARCHY, measure))
    rows = typed(df, [*HIERARCHY, measure, "region", "time_scope", "observed_at"])
    _check_once(rows)
    rows, deepest, notes = _deepest_rows(rows)
    missing = int(rows[measure].isna().sum())
    if missing:
        notes.append(f"{_rows(missing)} without {measure} left out.")
    rows = rows.dropna(subset=[measure])
    names = [f"category_l{one}" for one in range(1, level + 1)]
    for one, name in enumerate(names, 1):
        rows[name] = rows[name].fillna(f"(no level {one})")
    summed = can_be_summed(column)
    how = "sum" if summed else "median"
    inner = rows.groupby(names, sort=False)[measure].agg([how, "size"]).reset_index()
    inner = inner.rename(columns={how: "value", "size": "n"}).assign(l1=inner["category_l1"], name=inner[names[-1]])
    outer = rows.groupby("category_l1")[measure].agg([how, "size"])
    inner = inner.assign(total=inner["l1"].map(outer[how]), of=inner["l1"].map(outer["size"]))
    inner = inner.sort_values("value", ascending=lowest, kind="stable")[["l1", "name", "value", "n", "total", "of"]]
    shared = _tell_windows(rows)[1]
    return Hierarchy(inner.reset_index(drop=True), level, deepest, lowest, summed, column, shared, notes)


def first_rows(hierarchy: Hierarchy, most: int) -> tuple[pd.DataFrame, list[str]]:
    """Take the categories that are drawn, group by group, the group with the first of them first; and a note."""
    rows = hierarchy.rows
    shown = rows.head(most)
    best = {l1: place for place, l1 in reversed(list(enumerate(shown["l1"])))}
    shown = shown.assign(best=shown["l1"].map(best)).sort_values("best", kind="stable").drop(columns="best")
    kind = "lowest" if hierarchy.lowest else "highest"
    cut = [f"The {len(shown)} {kind} of {len(rows)} level-{hierarchy.level} categories."]
    return shown.reset_index(drop=True), cut if len(shown) < len(rows) else []


def can_be_summed(column: Column) -> bool:
    """Whether a measure adds up over categories: amounts do, rates and amounts per something do not."""
    return "percent" not in column.unit and " per " not in column.unit


def _check_once(rows: pd.DataFrame) -> None:
    """Refuse frames in which a category comes twice: no sum or median over them means anything."""
    again = rows.drop_duplicates()["category_id"].dropna().duplicated()
    if again.any():
        several = _varying(rows, ("region", "time_scope", "observed_at"))
        cut = f", as df[df[{several[0]!r}] == {str(rows[several[0]].iloc[0])!r}]" if several else ""
        raise InvalidArgumentError(
            f"plots.categories draws one ranking: {int(again.sum())} categories come more than once in this frame "
            f"(it has several values of {', '.join(several) or 'nothing that tells them apart'}); take one{cut}"
        )


def _deepest_rows(rows: pd.DataFrame) -> tuple[pd.DataFrame, int, list[str]]:
    """Keep rows of one level: a level-2 row beside its level-3 rows would count twice."""
    rows = rows.drop_duplicates()
    level = 1 + rows["category_l2"].notna().astype(int) + rows["category_l3"].notna().astype(int)
    deep = level == level.max()
    deepest = 0 if rows.empty else int(level.max())
    above = int((~deep).sum())
    notes = [f"{_rows(above)} above level {deepest} left out, so nothing counts twice."] if above else []
    return rows[deep], deepest, notes


# Engagement -------------------------------------------------------------------------------------------------


def find_rates(df: pd.DataFrame) -> tuple[dict[str, Floats], int]:
    """Take the engagement rates of videos, each video once (its newest row); also how many videos there are."""
    ready = isinstance(df, pd.DataFrame) and set(RATES) <= set(df.columns)
    if not ready:
        check_columns(df, "plots.engagement", ("views", *PARTS.values()))
    once = _newest(df)
    rates = typed(once, RATES) if ready else engagement_rates(once)
    return {name: rates[name].to_numpy(dtype="float64") for name in RATES}, len(once)


def _newest(df: pd.DataFrame) -> pd.DataFrame:
    keys = typed(df, ["video_id", "observed_at"])
    if "video_id" not in keys:
        return df
    if "observed_at" in keys:
        keys = keys.sort_values("observed_at", kind="stable", na_position="first")
    kept = keys[~keys["video_id"].duplicated(keep="last") | keys["video_id"].isna()]
    return df.iloc[np.sort(kept.index.to_numpy())]


def engagement_rates(df: pd.DataFrame) -> pd.DataFrame:
    """Compute like_rate, comment_rate, share_rate and engagement_rate, each per view.

    Parameters
    ----------
    df : pandas.DataFrame
        With views, likes, comments and shares.

    Returns
    -------
    pandas.DataFrame
        The four rates as float64 on the same index; missing where views is missing or 0, or a part is missing.
    """
    counts = typed(df, ("views", *PARTS.values()))
    views = counts["views"].where(counts["views"] > 0)
    rates = pd.DataFrame({rate: counts[part] / views for rate, part in PARTS.items()})
    rates.insert(0, "engagement_rate", sum((counts[part] for part in PARTS.values()), start=0 * views) / views)
    rates.index = df.index
    return rates
