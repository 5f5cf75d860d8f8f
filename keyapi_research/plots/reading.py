"""What the pictures show, worked out before anything is drawn: pure pandas, no matplotlib, no store."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from .. import schema
from ..errors import InvalidArgumentError
from ..schema import AGE_BANDS, COLUMN_DTYPES, TABLES, ByList, Column, Constant

Floats = npt.NDArray[np.float64]
Dates = npt.NDArray[np.datetime64]


def _constants(column: str) -> list[str]:
    place = schema.HASHTAG_AUDIENCE[column].place
    places = place.places if isinstance(place, ByList) else ()
    return [one.value for one in places if isinstance(one, Constant)]


DIMENSIONS: Final[Mapping[str, str]] = MappingProxyType(
    dict(zip(_constants("dimension"), _constants("score_unit"), strict=True))
)
AGE_ORDER: Final = sorted(set(AGE_BANDS.values()), key=lambda band: (int(band[:2]), band.endswith("+")))
AVERAGE: Final = 100.0  # of an index, by its declaration
TREND: Final = ("date", "share_of_peak")
AUDIENCE: Final = ("dimension", "segment_id", "segment", "score")
PRODUCTS: Final = ("ctr_pct", "cvr_pct", "impressions", "category_l1")
HIERARCHY: Final = ("category_id", "category_l1", "category_l2")
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
        "trend": "From hashtags, music or a list of either call df.keyapi.plot.trend(), which is "
        "plots.trend(df.keyapi.trend()).",
        "audience": "From product_details, hashtags or music call df.keyapi.plot.audience(), which is "
        "plots.audience(df.keyapi.audience()).",
        "overlap": "From hashtags or music call df.keyapi.plot.overlap(), or put audiences together: "
        "plots.overlap(pd.concat([tags.keyapi.audience(), sounds.keyapi.audience()])).",
        "products": "Such a frame comes from kr.fetch_product_insights(...).",
        "categories": "Such a frame comes from kr.fetch_product_insights(...).",
        "engagement": "Such a frame comes from kr.fetch_videos(...), with or without .keyapi.engagement().",
    }
)


# Columns ----------------------------------------------------------------------------------------------------


def check_columns(df: object, plot: str, needed: Sequence[str], example: Sequence[str] = ()) -> pd.DataFrame:
    """Check that a frame has what a picture needs.

    Parameters
    ----------
    df : object
        What the user passed.
    plot : str
        Name of the picture, for the message.
    needed : sequence of str
        Columns that must be there.
    example : sequence of str, optional
        Columns by which the message finds the tables that fit; by default the needed ones.

    Returns
    -------
    pandas.DataFrame
        The same frame.

    Raises
    ------
    InvalidArgumentError
        No frame, or columns are missing: it names them and says where they come from.
    """
    if not isinstance(df, pd.DataFrame):
        raise InvalidArgumentError(f"plots.{plot} draws a DataFrame; got {type(df).__name__}. {_ADVICE[plot]}")
    missing = [name for name in needed if name not in df.columns]
    if missing:
        tables = [table.name for table in TABLES.values() if set(example or needed) <= set(table.names)]
        inside = [name for name in missing if name in df.index.names]
        hint = f" ({', '.join(inside)} is in the index: df.reset_index())" if inside else ""
        raise InvalidArgumentError(
            f"plots.{plot} needs the columns {', '.join(needed)}; this frame has no {', '.join(missing)}{hint}. "
            f"It draws rows of {', '.join(tables)}. {_ADVICE[plot]}"
        )
    twice = [name for name in needed if isinstance(df[name], pd.DataFrame)]
    if twice:
        raise InvalidArgumentError(f"plots.{plot}: the frame has several columns named {', '.join(twice)}")
    return df


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
    """Say where rows came from and when, from all source and observed_at columns, a merge's suffixed ones too."""
    if df.empty:
        return Origin("source: no rows", synthetic=False)
    sources = sorted({str(one) for column in _like(df, "source") for one in column.dropna().unique()})
    stamps = pd.concat(
        [pd.Series([], dtype="datetime64[us, UTC]")]
        + [_typed(column.rename("observed_at")).dropna() for column in _like(df, "observed_at")]
    )
    said = f"source{'s' if len(sources) > 1 else ''}: {', '.join(sources) or 'not in this frame'}"
    if stamps.empty:
        return Origin(f"{said}; observed: not in this frame", "sandbox" in sources)
    first, last = (f"{day:%Y-%m-%d}" for day in (stamps.min(), stamps.max()))
    days = first if first == last else f"{first} to {last}"
    return Origin(f"{said}, observed {days} (UTC)", "sandbox" in sources)


def _like(df: pd.DataFrame, name: str) -> list[pd.Series[Any]]:
    places = [i for i, label in enumerate(df.columns) if label == name or str(label).startswith(f"{name}_")]
    return [df.iloc[:, i] for i in places]


# Entities ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Name:
    """What an entity is called on a picture, and what in plain characters where no font can write that."""

    text: str
    plain: str = ""


@dataclass(frozen=True)
class Entities:
    """Which entity each row belongs to, by number; their names; and what all of them have in common."""

    codes: npt.NDArray[np.intp]
    names: list[Name]
    shared: str


_CALLED: Final = (("hashtag_name", "hashtag_name", "#"), ("clip_id", "title", "sound "), ("category_id", "category", ""))
_ALWAYS_TOLD: Final = ("region", "period", "time_scope")


def identity_of(needed: Sequence[str]) -> list[str]:
    """List what tells entities apart in the tables with these columns: their keys without these columns."""
    keys = [name for table in TABLES.values() if set(needed) <= set(table.names) for name in table.key]
    return [name for name in dict.fromkeys(keys) if name not in needed]


def find_entities(df: pd.DataFrame, plot: str, needed: Sequence[str]) -> Entities:
    """Number the entities of a frame in order of appearance and name them.

    Two pulls of one series are two entities: each is scaled on its own peak.
    """
    identity = identity_of(needed)
    ids = [name for name, _, _ in _CALLED if name in identity]
    if not any(name in df.columns for name in ids):
        raise InvalidArgumentError(
            f"plots.{plot} needs one of the columns {', '.join(ids)} to tell rows of one series from another's. "
            + _ADVICE[plot]
        )
    rows = typed(df, [*identity, "observed_at", *(name for _, name, _ in _CALLED)])
    keys = [name for name in (*identity, "observed_at") if name in rows]
    codes = rows.groupby(keys, dropna=False, sort=False).ngroup().to_numpy(dtype=np.intp)
    first = rows.loc[~pd.Series(codes).duplicated()]
    told = [name for name in _ALWAYS_TOLD if name in keys]
    constant = [name for name in told if first[name].nunique(dropna=False) == 1]
    names = _name_entities(first, keys, [name for name in told if name not in constant])
    shared = ", ".join(_tell(name, first[name].iloc[0]) for name in constant if first[name].notna().any())
    return Entities(codes, names, shared)


def _name_entities(first: pd.DataFrame, keys: list[str], told: list[str]) -> list[Name]:
    """Name entities; what tells namesakes apart is added until no two are called the same."""
    named = [_call(row) for row in first.to_dict("records")]
    added = [[_tell(name, row[name]) for name in told] for row in first.to_dict("records")]
    for name in (key for key in keys if key not in told):
        calls = Counter((one.text, *more) for one, more in zip(named, added, strict=True))
        if max(calls.values(), default=0) <= 1:
            break
        for one, more, value in zip(named, added, first[name], strict=True):
            if calls[(one.text, *more)] > 1 and name not in ("hashtag_name", *_ALWAYS_TOLD):
                more.append(_tell(name, value))
    return [
        Name(_with(one.text, more), _with(one.plain, more) if one.plain else "")
        for one, more in zip(named, added, strict=True)
    ]


def _with(name: str, more: list[str]) -> str:
    said = [one for one in more if one]
    return f"{name} ({', '.join(said)})" if said else name


def _call(row: dict[Any, Any]) -> Name:
    for of, spoken, sign in _CALLED:
        plain = row.get(of)
        if plain is not None and not pd.isna(plain):
            name = row.get(spoken)
            if of == spoken:
                return Name(f"{sign}{plain}")
            by_id = f"{sign or f'{spoken} '}{plain}"
            return Name(by_id, by_id) if name is None or pd.isna(name) else Name(str(name), by_id)
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
    check_columns(df, "trend", TREND)
    entities = find_entities(df, "trend", TREND)
    rows = typed(df, TREND).assign(entity=entities.codes).dropna(subset=["date"])
    rows = rows.drop_duplicates(["entity", "date"]).sort_values(["entity", "date"])
    parts = {int(code): part for code, part in rows.groupby("entity")}
    empty = rows.iloc[:0]
    lines = [_line(name, parts.get(code, empty)) for code, name in enumerate(entities.names)]
    return [line for line in lines if len(line.dates)], entities.shared


def _line(name: Name, rows: pd.DataFrame) -> Line:
    dates = rows["date"].dt.tz_convert(None).to_numpy(dtype="datetime64[us]")
    values = rows["share_of_peak"].to_numpy(dtype="float64")
    after = gaps(dates)
    return Line(name, np.insert(dates, after, dates[after - 1] + np.timedelta64(1, "us")), np.insert(values, after, np.nan))


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
    notes: list[str] = field(default_factory=list)


def find_audience(df: pd.DataFrame, dimension: str | None, *, most_names: int, most_segments: int) -> Audience:
    """Take one dimension of audiences: ages in age order, others by their highest index."""
    check_columns(df, "audience", AUDIENCE)
    present = df["dimension"].dropna().astype("string").unique()
    chosen = check_dimension(dimension, DIMENSIONS) or next((one for one in DIMENSIONS if one in present), "age")
    rows = df[(df["dimension"].astype("string") == chosen).fillna(value=False).to_numpy(dtype=bool)]
    notes = [f"No {chosen} rows; the frame has {', '.join(present)}."] if rows.empty and len(present) else []
    if dimension is None and len(present) > 1:
        notes.append(f"Shown: {chosen}. Also in the frame: {', '.join(one for one in present if one != chosen)}.")
    entities, table = _pivot(rows, "audience")
    if len(entities.names) > most_names:
        notes.append(f"The first {most_names} of {len(entities.names)} entities.")
        table = table.iloc[:, :most_names].dropna(how="all")
    labels = table.index.get_level_values("segment")
    if chosen == "age":
        table = table.iloc[np.argsort([_age_place(label) for label in labels], kind="stable")]
    else:
        table = table.iloc[np.argsort(-table.max(axis=1).to_numpy(), kind="stable")]
        if len(table) > most_segments:
            notes.append(f"The {most_segments} highest of {len(table)} segments.")
            table = table.iloc[:most_segments]
    if table.isna().to_numpy().any():
        notes.append("No bar: not in that entity's list, which is unknown, not zero.")
    return Audience(
        chosen,
        entities.names[:most_names],
        [str(label) for label in table.index.get_level_values("segment")],
        table.to_numpy(dtype="float64"),
        entities.shared,
        notes,
    )


def check_dimension(dimension: object, allowed: Iterable[str]) -> str | None:
    """Check the name of a dimension."""
    if dimension is None or (isinstance(dimension, str) and dimension in set(allowed)):
        return dimension
    raise InvalidArgumentError(f"dimension is one of {', '.join(map(repr, allowed))}; got {dimension!r}")


def _pivot(rows: pd.DataFrame, plot: str) -> tuple[Entities, pd.DataFrame]:
    """Spread scores: a row for each segment, a column for each entity."""
    entities = find_entities(rows, plot, ("dimension", "segment_id"))
    long = typed(rows, AUDIENCE).assign(entity=entities.codes).dropna(subset=["segment_id", "score"])
    long["segment"] = long["segment"].fillna("code " + long["segment_id"])
    long["segment"] = long.groupby("segment_id")["segment"].transform("first")  # one label, also if answers differ
    long = long.drop_duplicates(["entity", "segment_id"])
    table = long.set_index(["segment_id", "segment", "entity"])["score"].unstack("entity", sort=False)
    return entities, table.reindex(columns=range(len(entities.names)))


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


def find_overlap(df: pd.DataFrame, dimension: str) -> Overlap:
    """Compare the audiences of entities; those that are alike stand side by side."""
    check_columns(df, "overlap", AUDIENCE)
    check_dimension(dimension, indexed := [name for name, unit in DIMENSIONS.items() if unit == "index"])
    if dimension not in indexed:
        raise InvalidArgumentError(f"dimension is one of {', '.join(map(repr, indexed))}; got {dimension!r}")
    everything = find_entities(df, "overlap", ("dimension", "segment_id"))
    here = (df["dimension"].astype("string") == dimension).fillna(value=False).to_numpy(dtype=bool)
    entities, table = _pivot(df[here], "overlap")
    left_out = len(everything.names) - len(entities.names)
    scores = table.to_numpy(dtype="float64")
    similarity, common = compare(scores)
    order = side_by_side(np.nan_to_num(similarity))
    names = [entities.names[i] for i in order]
    note = f"{left_out} without a list of this dimension left out" if left_out else ""
    return Overlap(
        names, similarity[np.ix_(order, order)], common[np.ix_(order, order)],
        ", ".join(one for one in (entities.shared, note) if one),
    )


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
    notes: list[str]


OTHER: Final = "other"


def find_points(df: pd.DataFrame, most_groups: int) -> Points:
    """Take the points of the ctr x cvr picture; the level-1 categories with most impressions get a colour each."""
    check_columns(df, "products", PRODUCTS)
    identity = [name for name in ("category", "category_id", "region", "time_scope") if name in df.columns]
    rows = typed(df, [*PRODUCTS, *identity])
    drawn = rows.dropna(subset=["ctr_pct", "cvr_pct"])
    notes = []
    if len(drawn) < len(rows):
        notes.append(f"{_rows(len(rows) - len(drawn))} without ctr or cvr not drawn.")
    unknown = int(drawn["impressions"].isna().sum())
    if unknown:
        notes.append(f"{_rows(unknown)} without impressions drawn as a small cross.")
    totals = drawn.groupby("category_l1")["impressions"].sum().sort_values(ascending=False, kind="stable")
    groups = [str(name) for name in totals.index[:most_groups]]
    group = drawn["category_l1"].map({name: i for i, name in enumerate(groups)}).astype("float64")
    if group.isna().any():
        groups.append(OTHER)
    place = group.fillna(len(groups) - 1).astype("int64")
    told = [name for name in ("region", "time_scope") if name in drawn and drawn[name].nunique(dropna=False) > 1]
    names = [
        Name(_with(_call(row).text, [_tell(name, row[name]) for name in told]), str(row.get("category_id") or ""))
        for row in drawn.to_dict("records")
    ]
    return Points(drawn.assign(group=place).reset_index(drop=True), groups, names, notes)


def _rows(count: int) -> str:
    return f"{count:,} row{'s' if count != 1 else ''}"


# Categories -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Hierarchy:
    """Level-2 categories within level-1 ones: rows with l1, l2, value, n, and total (of the level-1 category)."""

    rows: pd.DataFrame
    summed: bool
    column: Column
    shared: str
    notes: list[str]


def find_hierarchy(df: pd.DataFrame, measure: str, most: int) -> Hierarchy:
    """Add up, or take medians of, a measure over the categories below each level-2 category."""
    column = MEASURES.get(measure)
    if column is None:
        raise InvalidArgumentError(f"measure is one of {', '.join(MEASURES)}; got {measure!r}")
    check_columns(df, "categories", (*HIERARCHY, measure))
    rows = typed(df, [*HIERARCHY, measure, "category_l3_id", "region", "time_scope", "observed_at"])
    _check_once(rows)
    rows, notes = _deepest_rows(rows)
    missing = int(rows[measure].isna().sum())
    if missing:
        notes.append(f"{_rows(missing)} without {measure} left out.")
    rows = rows.dropna(subset=[measure])
    rows["category_l1"] = rows["category_l1"].fillna("(no level 1)")
    rows["category_l2"] = rows["category_l2"].fillna("(no level 2)")
    summed = can_be_summed(column)
    how = "sum" if summed else "median"
    inner = rows.groupby(["category_l1", "category_l2"], sort=False)[measure].agg([how, "size"]).reset_index()
    inner.columns = pd.Index(["l1", "l2", "value", "n"])
    inner["total"] = inner["l1"].map(rows.groupby("category_l1")[measure].agg(how))
    shown = inner.sort_values("value", ascending=False, kind="stable").head(most)
    if len(shown) < len(inner):
        notes.append(f"The {most} highest of {len(inner)} level-2 categories.")
    shown = shown.sort_values(["total", "l1", "value"], ascending=[False, True, False], kind="stable")
    told = [name for name in _ALWAYS_TOLD if name in rows and rows[name].nunique() == 1]
    shared = ", ".join(_tell(name, rows[name].iloc[0]) for name in told)
    return Hierarchy(shown.reset_index(drop=True), summed, column, shared, notes)


def can_be_summed(column: Column) -> bool:
    """Whether a measure adds up over categories: amounts do, rates and amounts per something do not."""
    return "percent" not in column.unit and " per " not in column.unit


def _check_once(rows: pd.DataFrame) -> None:
    """Refuse frames in which a category comes twice: no sum or median over them means anything."""
    told = [name for name in ("region", "time_scope", "observed_at") if name in rows]
    again = rows.drop_duplicates()["category_id"].dropna().duplicated()
    if again.any():
        several = [name for name in told if rows[name].nunique(dropna=False) > 1]
        cut = f", as df[df[{several[0]!r}] == {str(rows[several[0]].iloc[0])!r}]" if several else ""
        raise InvalidArgumentError(
            f"plots.categories draws one ranking: {int(again.sum())} categories come more than once in this frame "
            f"(it has several values of {', '.join(several) or 'nothing that tells them apart'}); take one{cut}"
        )


def _deepest_rows(rows: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Keep rows of one level: a level-2 row beside its level-3 rows would count twice."""
    rows = rows.drop_duplicates()
    if "category_l3_id" not in rows:
        return rows, []
    deep = rows["category_l3_id"].notna()
    if not deep.any() or deep.all():
        return rows, []
    return rows[deep], [f"{_rows(int((~deep).sum()))} of level 1 or 2 left out: level-3 rows are counted."]


# Engagement -------------------------------------------------------------------------------------------------


def find_rates(df: pd.DataFrame) -> tuple[dict[str, Floats], int]:
    """Take the engagement rates of videos, each video once (its newest row); also how many videos there are."""
    ready = all(name in df.columns for name in RATES) if isinstance(df, pd.DataFrame) else False
    if not ready:
        check_columns(df, "engagement", ("views", *PARTS.values()))
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
    return rates.set_index(df.index)
