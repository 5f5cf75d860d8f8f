"""What several families share: parameters, and columns that many tables have."""

# fmt: off - a declaration reads as a table: one entry, one line or two
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date, timedelta
from functools import partial
from types import MappingProxyType
from typing import Any, Final

from ..arguments import (
    ALL_REGIONS,
    check_category_filter,
    check_choice,
    check_months_back,
    check_period,
    check_region,
    check_search,
    check_time_scope,
    nearest_name,
)
from ..errors import InvalidArgumentError, shown
from ..model import OBSERVED_AT, SOURCE, Column, Paging, Parameter
from ..periods import CYCLES, check_day
from ..places import Coded, Constant, CountOf, DeepestLevel, Field, FromQuery, PerList, Position
from ..settings import read_flag
from .listed import niches

# Parameters

ANY_REGION = Parameter("region", "region", "region", check_region, f'ISO-2 country code, or "{ALL_REGIONS}".',
                        ALL_REGIONS)
MUSIC_REGION = Parameter("region", "region", "region", partial(check_region, all_regions=False), "ISO-2 country code.",
                         "US")
TIME_SCOPE_PARAMETER = Parameter(
    "time_scope", "time_scope", "time_scope", check_time_scope,
    'Window: 1, 7 or 30 days back, or a month as "2025-10" (up to four months back).', "1",
    check_before_sending=check_months_back,
)
SEARCH_PARAMETER = Parameter(
    "search", "search", "search_keyword", check_search, "Search word; None for no search.", None, "FALSE"
)
NEW_ONLY_PARAMETER = Parameter("new_only", "new_only", "new_to_top_100", read_flag,
                      "Only entries that are new to the top 100.", default=False)


def period_parameter(*allowed: int) -> Parameter:
    """Return the parameter that selects the days back."""
    days = ", ".join(map(str, allowed))
    return Parameter("period", "period", "period", check_period(*allowed), f"Days back: one of {days}.", 7)


# Of the analytics endpoints

Day = str | date
Start = str | date | timedelta
_ALSO_SEEN: Final = "Entertainment"  # a niche in an example answer, which is not in the list
ANALYTICS_PAGES: Final = Paging("page_num", "page_size", 10)
REQUIRED_REGION = Parameter("region", "region", "region", partial(check_region, all_regions=False),
                            "Market, as an ISO-2 country code.", required=True)
RANKING_DATE = Parameter("date", "date", "date", check_day,
                         "Any day of the cycle; None for the last cycle that is over.")
CYCLE = Parameter("cycle", "cycle", "rank_type", check_choice(*CYCLES),
                  "Length of the cycle: day, week (from Monday) or month.", "day",
                  codes={"day": "1", "week": "2", "month": "3"})
DAY = Parameter("date", "date", "dt", check_day, "Day; requested as a range.")


def check_niche(name: str, value: object) -> str | None:
    """Return a creator niche by its English name, or None."""
    if value is None:
        return None
    by_name = {niche.lower(): niche for niche in (*niches(), _ALSO_SEEN)}
    written = value.strip().lower() if isinstance(value, str) else ""
    if written in by_name:
        return by_name[written]
    near = nearest_name(written, by_name)
    hint = f" Did you mean {by_name[near]!r}?" if near else ""
    raise InvalidArgumentError(
        f"{name}: {shown(value)} is not a niche of creators.{hint} Choose from {'; '.join(sorted(by_name.values()))}"
    )


def choice_parameter(argument: str, column: str, api_name: str, meaning: str, codes: Mapping[Any, str | None],
                     default: str, beside: Mapping[str, str | None] = MappingProxyType({})) -> Parameter:
    """Return a parameter whose values are words here and codes in the API."""
    return Parameter(argument, column, api_name, check_choice(*codes), f"{meaning}: one of {', '.join(codes)}.",
                     default, codes=dict(codes), beside=dict(beside))


def ranked_by_parameter(api_name: str, codes: Mapping[Any, str | None], default: str) -> Parameter:
    """Return the parameter that selects what is ranked."""
    return choice_parameter("ranked_by", "ranked_by", api_name, "What is ranked", codes, default)


def sort_parameter(api_name: str, codes: Mapping[Any, str | None], default: str) -> Parameter:
    """Return the parameter that selects the order, always descending."""
    return choice_parameter("sort", "sorted_by", api_name, "Order, descending", codes, default,
                            {"sort_type": "1"})


PRODUCT_CATEGORY: Final = "Id of a product category of level 1; None for all."


def category_parameters() -> tuple[Parameter, ...]:
    """List the filters by category, one per level."""
    return tuple(
        Parameter(f"category_l{level}_id", f"filter_category_l{level}_id", api_name, check_category_filter,
                  f"Id of a category of level {level}; None for all.")
        for level, api_name in enumerate(("category_id", "category_l2_id", "category_l3_id"), 1)
    )


# Columns

A_PARAMETER: Final = "documented: a parameter of the endpoint"
SAMPLE: Final = "inferred: read off KeyAPI's example answer"
BY_NAME: Final = "inferred: from the field's name"
TREND_SCALE: Final = (
    "inferred: the scale of 0..1; that each point is relative to the series' own peak is documented by TikTok's page"
)

REPORTED: Final = "inferred: reported by an unofficial copy of EchoTik's documentation"
TREND_POINTS: Final = "trend points"
LISTED: Final = "documented: by KeyAPI's example of the list"

REGION = Column("region", "text", FromQuery(), "Country (ISO-2) or all_regions, as requested.", A_PARAMETER)
TIME_SCOPE = Column(
    "time_scope", "text", FromQuery(), "Window as requested: 1, 7 or 30 days back, or a month YYYY-MM.", A_PARAMETER
)
PERIOD = Column("period", "integer", FromQuery(), "Window as requested, in days back.", A_PARAMETER, "days")
SEARCH = Column("search", "text", FromQuery(), "Search word as requested; missing = no search.", A_PARAMETER)
NEW_ONLY = Column("new_only", "flag", FromQuery(), "Whether only entries new to the top 100 were requested.",
                  A_PARAMETER)
METADATA: Final = (OBSERVED_AT, SOURCE)

SPECIFIED: Final = "inferred: EchoTik's specification of the same endpoint"
SPECIFIED_PARAMETER: Final = "inferred: a parameter in EchoTik's specification of the same endpoint"
UPSTREAM_SAMPLE: Final = "inferred: read off EchoTik's example answer; its specification does not list it"
GMV: Final = "money, currency not documented"
_RANKED: Final = f"{SPECIFIED}; that only what is ranked is filled is read off its examples"

MARKET_RANKED = Column("region", "text", FromQuery(),
                       "Market (ISO-2), as requested; not where a creator comes from.", SPECIFIED_PARAMETER)
RANKING_DAY = Column("date", "date", FromQuery(),
                     "First day of the cycle, as requested: the day, its Monday or the first of the month.",
                     SPECIFIED_PARAMETER, "UTC")
CYCLE_REQUESTED = Column("cycle", "text", FromQuery(), "day, week or month, as requested.", SPECIFIED_PARAMETER)
RANKED_BY = Column("ranked_by", "text", FromQuery(), "What is ranked, as requested.", SPECIFIED_PARAMETER)
SORTED_BY = Column("sorted_by", "text", FromQuery(), "Order of the list, as requested; always descending.",
                   SPECIFIED_PARAMETER)
FILTER_CATEGORIES: Final = tuple(
    Column(f"filter_category_l{level}_id", "id", FromQuery(),
           f"Category of level {level} as requested; missing = all.", SPECIFIED_PARAMETER)
    for level in (1, 2, 3)
)
DATE_OF_DAY = Column("date", "date", FromQuery(Field("[].dt")),
                     "The day. A day missing from the answer has no row; that does not mean zero.",
                     f"{SPECIFIED}; in which time zone a day begins is not documented", "UTC")
LIST_PLACE = Column("position", "count", Position("data[]"), "Place in the list, counted through its pages.",
                    "documented: counted by this package", "place", 1)

# What methods of df.keyapi fetch by the ids in the rows: the column of the ids, and the table that is fetched.
BY_USER: Final = {
    "fetch_creators": ("user_id", "creators"),
    "fetch_creator_videos": ("user_id", "creator_videos"),
    "fetch_creator_products": ("user_id", "creator_products"),
}
BY_PRODUCT: Final = {
    "fetch_products": ("product_id", "products"),
    "fetch_product_creators": ("product_id", "product_creators"),
}
DAYS_OF_USER: Final = {"fetch_days": ("user_id", "creator_days")}
DAYS_OF_PRODUCT: Final = {"fetch_days": ("product_id", "product_days")}


def total(name: str, path: str, meaning: str, unit: str, evidence: str = SPECIFIED, *,
          optional: bool = False) -> Column:
    """Return a lifetime count as a column."""
    return Column(name, "count", Field(path), meaning, evidence, unit, 0, optional=optional, of="total")


def total_money(name: str, path: str, meaning: str, evidence: str = SPECIFIED) -> Column:
    """Return a lifetime sum of money as a column."""
    return Column(name, "number", Field(path), meaning, evidence, GMV, 0, of="total")


def specified(*columns: Column) -> list[Column]:
    """Return columns of KeyAPI's own page as those of another endpoint, where only EchoTik specifies them."""
    return [replace(column, evidence=SPECIFIED) for column in columns]


def of_day(name: str, path: str, meaning: str, unit: str, kind: str = "integer") -> Column:
    """Return what was gained on one day as a column."""
    return Column(name, kind, Field(path), meaning, SPECIFIED, unit, of="of the day")


def gained(name: str, path: str, meaning: str, unit: str, *filled_by: str, kind: str = "integer") -> Column:
    """Return what was gained in the cycle of a ranking as a column; `filled_by` are the rankings that fill it."""
    filled = "No ranking is known to fill it: a 0 becomes missing."
    if filled_by:
        filled = f"Filled where ranked_by is {' or '.join(filled_by)}; elsewhere a 0 becomes missing."
    return Column(name, kind, Field(path), f"{meaning} {filled}", _RANKED, unit,
                  of="of the period", zero_unless=("ranked_by", filled_by))


def price(name: str, path: str, meaning: str) -> Column:
    """Return a price as a column."""
    return Column(name, "number", Field(path), meaning,
                  f"{SPECIFIED}; the currency is not documented, sources conflict (USD or that of the market)", GMV, 0)


def per_window(path: str, windows: tuple[int, ...], only: int | None = None) -> PerList:
    """Return the fields of some windows, one for each row of an answer; `Nd` in the path is the window."""
    places = [Field(path.replace("Nd", f"{days}d")) if only in (None, days) else None for days in windows]
    return PerList(tuple(places), str(Field(path)) + (f" ({only} only)" if only else ""))


def windows_column(windows: tuple[int, ...]) -> Column:
    """Return the length of the window as a column."""
    return Column("window_days", "integer", PerList(tuple(Constant(str(days)) for days in windows),
                                                    "N of the field's name"),
                  "Length of the window, which ends the day before EchoTik's latest collection.", SPECIFIED, "days")


def of_window(name: str, path: str, windows: tuple[int, ...], meaning: str, unit: str, evidence: str = SPECIFIED, *,
              only: int | None = None, kind: str = "integer", optional: bool = False) -> Column:
    """Return what was gained in each window as a column."""
    return Column(name, kind, per_window(path, windows, only), meaning, evidence, unit, optional=optional,
                  of="of the window")


def category(level: int, path: str) -> Column:
    """Return the id of a product category of some level as a column."""
    return Column(f"category_l{level}_id", "id", Field(path), f'Product category of level {level}; "0" = none.',
                  f'{SPECIFIED}; that "0" means none is read off the examples', missing=("0",))


RANK_MOVEMENTS: Final[Mapping[int, str]] = MappingProxyType({1: "up", 2: "same", 3: "down", 4: "new"})
def cover(path: str, status: str = "unknown: null in every sample") -> Column:
    """Return the address of a cover image as a column."""
    return Column("cover_url", "text", Field(path), "Address of the cover image; signed addresses expire.",
                  status, "URL", optional=True)


def count_of(name: str, path: str, what: str, *, optional: bool = False) -> Column:
    """Return the number of items in a list as a column."""
    return Column(name, "count", CountOf(path),
                  f"Number of {what} in the answer: 0 = none, missing = not in the answer.",
                  "documented: counted by this package", what, 0, optional=optional)


def id_column(name: str, kind: str, meaning: str, checked: Field | DeepestLevel) -> Column:
    """Return the id of a query as a column; it is compared with the id in the answer."""
    return Column(name, kind, FromQuery(checked), meaning, "documented: the endpoint takes it")


def trend_columns(path: str) -> tuple[Column, ...]:
    """List the columns of a popularity series."""
    return (
        Column("date", "time", Field(f"{path}[].time"),
               "Start of the bucket, 00:00 UTC. Compute the step from the data, never from the period.",
               "inferred: all samples fall on 00:00 UTC; daily at 7 days, weekly at 120", "UTC"),
        Column("share_of_peak", "number", Field(f"{path}[].value"),
               "Popularity relative to this series' own peak in this window. Levels of two series, regions or "
               "pulls cannot be compared.", TREND_SCALE, "share of own peak", 0, 1),
    )


def longevity_columns(base: str) -> tuple[Column, ...]:
    """List the columns of what KeyAPI calls longevity."""
    status = "unknown: 0 in every sample, so a zero is no evidence of zero"
    return (
        Column("popular_days", "count", Field(f"{base}.longevity.popular_days"), "By its name, days of popularity.",
               status, "days?", 0),
        Column("current_popularity", "count", Field(f"{base}.longevity.current_popularity"),
               "By its name, popularity now.", status, "?", 0),
    )


def rank_columns(base: str, status: str, *, optional: bool) -> tuple[Column, ...]:
    """List the columns of the place in a chart."""
    return (
        Column("rank", "count", Field(f"{base}.rank"), "Place in the chart.", status, "rank", 0, optional=optional),
        Column("rank_change", "integer", Field(f"{base}.rank_diff"),
               "Places moved, size only: the direction is rank_movement. Missing when new.",
               "inferred: a size without sign in a real answer of 100 hashtags, 15 of them falling", "ranks",
               optional=True),
    )


def rank_movement(base: str) -> Column:
    """Return the direction of `rank_change` as a column."""
    return Column("rank_movement", "text", Coded(f"{base}.rank_diff_type", RANK_MOVEMENTS), "up, same, down or new.",
                  "inferred: 1, 2 and 4 from KeyAPI's own examples; 3 = down is supported by a real answer")
