"""Hashtags: the detail of some, and the top 100 of a market."""

# fmt: off - a declaration reads as a table: one entry, one line or two
from __future__ import annotations

from typing import Final

from ..arguments import check_hashtag, check_industry
from ..client import Call, Client
from ..fetch import Errors, Ids, MaxAge, call_of, fetch_function
from ..model import PAGES, Column, Endpoint, Parameter, Table, declare
from ..places import Field, FromQuery, Position
from .audiences import audience_columns, audience_rows
from .shared import (
    A_PARAMETER,
    ANY_REGION,
    LISTED,
    METADATA,
    NEW_ONLY,
    NEW_ONLY_PARAMETER,
    PERIOD,
    REGION,
    SAMPLE,
    TREND_POINTS,
    count_of,
    id_column,
    longevity_columns,
    period_parameter,
    rank_columns,
    rank_movement,
    trend_columns,
)

HASHTAG_DETAIL = Endpoint(
    name="hashtag_detail",
    path="/v1/tiktok/trending/hashtag/detail",
    credits=2,
    page="热门 Hashtag 详情 (trending hashtag detail)",
    entity=Parameter("hashtag_names", "hashtag_name", "hashtag_name", check_hashtag,
                     "Names of hashtags, with or without #; compared in lower case."),
    parameters=(ANY_REGION, period_parameter(7, 30, 120, 365, 1095)),
    identity=Field("info.hashtag_name"),
    identity_kind="hashtag",
    record="info",
    not_tabled=("info.hashtag_name", "info.country_info.id", "info.industry_info.label", "info.related_items",
                "info.description"),
    example="ufc324",
)


_HASHTAG = id_column("hashtag_name", "hashtag", "Name as requested: lower case, without #.",
                      Field("info.hashtag_name"))
_HASHTAG_KEY: Final = ("region", "period", "hashtag_name")
_OF_HASHTAGS: Final = ((_HASHTAG_KEY, "hashtags"),)
_IN_PERIOD: Final = "inferred: in-period by public field notes, and never above the overall figure in the sample"
_OVERALL: Final = "inferred: overall by its name; whether worldwide or of the region is unknown"


def _market_columns(base: str) -> tuple[Column, ...]:
    return (
        Column("market", "text", Field(f"{base}.country_info.label"),
               "Market the answer names: ISO-2, or ALL for all regions.", SAMPLE),
        Column("market_name", "text", Field(f"{base}.country_info.value"), "Name of that market.", SAMPLE),
        Column("industry_id", "id", Field(f"{base}.industry_info.id"), "First-level ad industry.", SAMPLE,
               optional=True),
        Column("industry", "text", Field(f"{base}.industry_info.value"), "Name of that industry.", SAMPLE,
               optional=True),
        Column("promoted", "flag", Field(f"{base}.is_promoted"), "Whether it belongs to a paid campaign.",
               "inferred: from a public field description"),
    )


HASHTAGS = declare(Table(
    HASHTAG_DETAIL,
    name="hashtags",
    row="hashtag",
    key=_HASHTAG_KEY,
    rows=("info",),
    columns=(
        REGION, PERIOD, _HASHTAG,
        Column("hashtag_id", "id", Field("info.hashtag_id"), "TikTok's challenge id, 16 or 19 digits.", SAMPLE),
        *_market_columns("info"),
        Column("posts", "count", Field("info.publish_cnt"), "Posts within the period and region.", _IN_PERIOD,
               "posts", 0),
        Column("views", "count", Field("info.video_views"), "Views of those posts.", _IN_PERIOD, "views", 0),
        Column("posts_all", "count", Field("info.publish_cnt_all"), "Posts overall.", _OVERALL, "posts", 0),
        Column("views_all", "count", Field("info.video_views_all"), "Views overall.", _OVERALL, "views", 0),
        *longevity_columns("info"),
        count_of("n_trend_points", "info.trend", TREND_POINTS),
        count_of("n_audience_ages", "info.audience_ages", "age bands", optional=True),
        count_of("n_audience_interests", "info.audience_interests", "interests", optional=True),
        count_of("n_audience_countries", "info.audience_countries", "countries", optional=True),
        count_of("n_related", "info.related_hashtags", "hashtags"),
        Column("url", "text", Field("info.video_url"), "Page of the hashtag on TikTok (not a video).", SAMPLE, "URL"),
        *METADATA,
    ),
))
HASHTAG_TRENDS = declare(Table(
    HASHTAG_DETAIL,
    name="hashtag_trends",
    row="hashtag x date",
    key=(*_HASHTAG_KEY, "date"),
    rows=("info.trend[]",),
    sorted_by="date",
    columns=(REGION, PERIOD, _HASHTAG, *trend_columns("info.trend"), *METADATA),
    references=_OF_HASHTAGS, reached_by="trend",
))
HASHTAG_AUDIENCE = declare(Table(
    HASHTAG_DETAIL,
    name="hashtag_audience",
    row="hashtag x segment",
    key=(*_HASHTAG_KEY, "dimension", "segment_id"),
    rows=audience_rows("info"),
    columns=(REGION, PERIOD, _HASHTAG, *audience_columns("info"), *METADATA),
    references=_OF_HASHTAGS, reached_by="audience",
))
RELATED_HASHTAGS = declare(Table(
    HASHTAG_DETAIL,
    name="related_hashtags",
    row="hashtag x related hashtag",
    key=(*_HASHTAG_KEY, "position"),
    rows=("info.related_hashtags[]",),
    columns=(
        REGION, PERIOD, _HASHTAG,
        Column("position", "count", Position("data.info.related_hashtags[]"), "Place in the answer's list.",
               "unknown: what the order means is not documented", "place", 1),
        Column("related_hashtag_id", "id", Field("info.related_hashtags[].hashtag_id"),
               "TikTok's id of the related hashtag.", SAMPLE),
        Column("related_hashtag_name", "text", Field("info.related_hashtags[].hashtag_name"),
               "Its name, as answered.", SAMPLE),
        Column("related_url", "text", Field("info.related_hashtags[].video_url"), "Its page on TikTok.", SAMPLE,
               "URL"),
        *METADATA,
    ),
    references=_OF_HASHTAGS, reached_by="related",
    leads_to={"fetch_details": ("related_hashtag_name", "hashtags"),
              "fetch_hashtags": ("related_hashtag_name", "hashtags")},
))


@fetch_function(HASHTAGS)
def fetch_hashtags(
    hashtag_names: Ids,
    *,
    region: str = "all_regions",
    period: int | str = 7,
    max_age: MaxAge = None,
    errors: Errors = "raise",
    client: Client | None = None,
) -> Call:
    """Return the posts and views of hashtags, one row per hashtag.

    Examples
    --------
    >>> int(kr.fetch_hashtags("#UFC324")["posts"].item())
    12142
    """
    return call_of(HASHTAGS, locals())


@fetch_function(HASHTAG_TRENDS)
def fetch_hashtag_trends(
    hashtag_names: Ids,
    *,
    region: str = "all_regions",
    period: int | str = 7,
    max_age: MaxAge = None,
    errors: Errors = "raise",
    client: Client | None = None,
) -> Call:
    """Return the popularity of hashtags over time, each relative to its own peak.

    Examples
    --------
    >>> kr.fetch_hashtag_trends("ufc324")["share_of_peak"].tolist()
    [1.0, 0.7, 0.48, 0.31, 0.26, 0.25, 0.3]
    """
    return call_of(HASHTAG_TRENDS, locals())


@fetch_function(HASHTAG_AUDIENCE)
def fetch_hashtag_audience(
    hashtag_names: Ids,
    *,
    region: str = "all_regions",
    period: int | str = 7,
    max_age: MaxAge = None,
    errors: Errors = "raise",
    client: Client | None = None,
) -> Call:
    """Return the audience of hashtags: percentages by age, indices by interest and country.

    Examples
    --------
    >>> kr.fetch_hashtag_audience("ufc324")["dimension"].value_counts().to_dict()
    {'country': 11, 'interest': 5, 'age': 3}
    """
    return call_of(HASHTAG_AUDIENCE, locals())


@fetch_function(RELATED_HASHTAGS)
def fetch_related_hashtags(
    hashtag_names: Ids,
    *,
    region: str = "all_regions",
    period: int | str = 7,
    max_age: MaxAge = None,
    errors: Errors = "raise",
    client: Client | None = None,
) -> Call:
    """Return the hashtags related to the given ones.

    Examples
    --------
    >>> kr.fetch_related_hashtags("ufc324")["related_hashtag_name"].tolist()[:2]
    ['paddypimblett', 'justingaethje']
    """
    return call_of(RELATED_HASHTAGS, locals())


HASHTAG_RANKING = Endpoint(
    name="trending_hashtags",
    path="/v1/tiktok/trending/hashtags",
    credits=2,
    page="trending hashtags (list)",
    parameters=(
        ANY_REGION, period_parameter(7, 30, 120),
        Parameter("industry", "filter_industry_id", "industry_id", check_industry,
                  "Only hashtags of this industry, by id or name; None for all.", None, "nothing"),
        NEW_ONLY_PARAMETER,
    ),
    identity=Field("list[].hashtag_name"),
    identity_kind="hashtag",
    record="list",
    paging=PAGES,
    not_tabled=("pagination", "has_more", "list[].country_info.id", "list[].industry_info.label"),
)


_FILTER_INDUSTRY = Column(
    "filter_industry_id", "id", FromQuery(), "Industry filter as requested; missing = none.", A_PARAMETER
)
_LISTED_HASHTAG = Column("hashtag_name", "hashtag", Field("list[].hashtag_name"), "Name, as it is requested.", LISTED)
_HASHTAG_LIST_KEY: Final = ("region", "period", "filter_industry_id", "new_only", "hashtag_name")
_HASHTAG_LIST_REQUESTED: Final = (REGION, PERIOD, _FILTER_INDUSTRY, NEW_ONLY)
_OF_HASHTAG_LIST: Final = ((_HASHTAG_LIST_KEY, "trending_hashtags"),)

TRENDING_HASHTAGS = declare(Table(
    HASHTAG_RANKING,
    name="trending_hashtags",
    row="hashtag in the top 100",
    key=_HASHTAG_LIST_KEY,
    rows=("list[]",),
    columns=(
        *_HASHTAG_LIST_REQUESTED,
        *rank_columns("list[]", LISTED, optional=False),
        rank_movement("list[]"),
        _LISTED_HASHTAG,
        Column("hashtag_id", "id", Field("list[].hashtag_id"), "TikTok's challenge id.", LISTED),
        *_market_columns("list[]"),
        Column("posts", "count", Field("list[].publish_cnt"), "Posts within the period and region.", _IN_PERIOD,
               "posts", 0),
        Column("views", "count", Field("list[].video_views"), "Views of those posts.", _IN_PERIOD, "views", 0),
        count_of("n_trend_points", "list[].trend", TREND_POINTS),
        count_of("n_creators", "list[].creators", "creators"),
        *METADATA,
    ),
    leads_to={"fetch_details": ("hashtag_name", "hashtags")},
))
TRENDING_HASHTAG_TRENDS = declare(Table(
    HASHTAG_RANKING,
    name="trending_hashtag_trends",
    row="hashtag in the top 100 x date",
    key=(*_HASHTAG_LIST_KEY, "date"),
    rows=("list[].trend[]",),
    sorted_by="date",
    columns=(*_HASHTAG_LIST_REQUESTED, _LISTED_HASHTAG, *trend_columns("list[].trend"), *METADATA),
    references=_OF_HASHTAG_LIST, reached_by="trend",
))
TRENDING_HASHTAG_CREATORS = declare(Table(
    HASHTAG_RANKING,
    name="trending_hashtag_creators",
    row="hashtag in the top 100 x creator",
    key=(*_HASHTAG_LIST_KEY, "position"),
    rows=("list[].creators[]",),
    columns=(
        *_HASHTAG_LIST_REQUESTED, _LISTED_HASHTAG,
        Column("position", "count", Position("data.list[].creators[]"), "Place in the answer's list.",
               "unknown: what the order means is not documented", "place", 1),
        Column("creator_name", "text", Field("list[].creators[].nick_name"), "Display name of the creator.", LISTED),
        Column("avatar_url", "text", Field("list[].creators[].avatar_url"), "Picture of the creator.", LISTED, "URL"),
        *METADATA,
    ),
    references=_OF_HASHTAG_LIST,
))


@fetch_function(TRENDING_HASHTAGS)
def fetch_trending_hashtags(
    *,
    region: str = "all_regions",
    period: int | str = 7,
    industry: str | int | None = None,
    new_only: bool = False,
    limit: int | None = 20,
    max_age: MaxAge = None,
    client: Client | None = None,
) -> Call:
    """Return the top 100 hashtags.

    Examples
    --------
    >>> len(kr.fetch_trending_hashtags(region="US", limit=5))
    5
    """
    return call_of(TRENDING_HASHTAGS, locals())


@fetch_function(TRENDING_HASHTAG_TRENDS)
def fetch_trending_hashtag_trends(
    *,
    region: str = "all_regions",
    period: int | str = 7,
    industry: str | int | None = None,
    new_only: bool = False,
    limit: int | None = 20,
    max_age: MaxAge = None,
    client: Client | None = None,
) -> Call:
    """Return the popularity over time of the top 100 hashtags.

    Examples
    --------
    >>> int(kr.fetch_trending_hashtag_trends(region="US", limit=5)["hashtag_name"].nunique())
    5
    """
    return call_of(TRENDING_HASHTAG_TRENDS, locals())


@fetch_function(TRENDING_HASHTAG_CREATORS)
def fetch_trending_hashtag_creators(
    *,
    region: str = "all_regions",
    period: int | str = 7,
    industry: str | int | None = None,
    new_only: bool = False,
    limit: int | None = 20,
    max_age: MaxAge = None,
    client: Client | None = None,
) -> Call:
    """Return the creators listed with the top 100 hashtags.

    Examples
    --------
    >>> "creator_name" in kr.fetch_trending_hashtag_creators(region="US", limit=5)
    True
    """
    return call_of(TRENDING_HASHTAG_CREATORS, locals())
