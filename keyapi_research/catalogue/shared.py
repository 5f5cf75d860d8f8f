"""What several families share: parameters, and columns that many tables have."""

# fmt: off - a declaration reads as a table: one entry, one line or two
from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from types import MappingProxyType
from typing import Final

from ..arguments import ALL_REGIONS, check_months_back, check_period, check_region, check_search, check_time_scope
from ..model import OBSERVED_AT, SOURCE, Column, Parameter
from ..places import Coded, CountOf, DeepestLevel, Field, FromQuery
from ..settings import read_flag

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
    """Return the parameter of the days back, one of some."""
    days = ", ".join(map(str, allowed))
    return Parameter("period", "period", "period", check_period(*allowed), f"Days back: one of {days}.", 7)



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

RANK_MOVEMENTS: Final[Mapping[int, str]] = MappingProxyType({1: "up", 2: "same", 3: "down", 4: "new"})
def cover(path: str, status: str = "unknown: null in every sample") -> Column:
    """Return the address of a cover image as a column."""
    return Column("cover_url", "text", Field(path), "Address of the cover image; signed addresses expire.",
                  status, "URL", optional=True)


def count_of(name: str, path: str, what: str, *, optional: bool = False) -> Column:
    """Return the number of items of a list as a column."""
    return Column(name, "count", CountOf(path),
                  f"Number of {what} in the answer: 0 = none, missing = the answer does not tell.",
                  "documented: counted by this package", what, 0, optional=optional)


def id_column(name: str, kind: str, meaning: str, checked: Field | DeepestLevel) -> Column:
    """Return the id of a query as a column: the answer repeats it, and is held against it."""
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
               f"{status}; a size without sign in a real answer of 100 hashtags, 15 of them falling", "ranks",
               optional=True),
    )


def rank_movement(base: str) -> Column:
    """Return the direction of `rank_change` as a column."""
    return Column("rank_movement", "text", Coded(f"{base}.rank_diff_type", RANK_MOVEMENTS), "up, same, down or new.",
                  "inferred: 1, 2 and 4 from KeyAPI's own examples; 3 = down is supported by a real answer")
