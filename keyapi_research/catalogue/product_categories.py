"""Product categories: the ranking of their ads, and the detail of some."""

# fmt: off - a declaration reads as a table: one entry, one line or two
from __future__ import annotations

from typing import Final

from ..arguments import check_category_filter, check_id
from ..client import Call, Client
from ..fetch import Errors, Ids, MaxAge, call_of, fetch_function
from ..model import PAGES, Column, Endpoint, Parameter, Table, declare
from ..places import DeepestLevel, Field, FromQuery, Position
from .audiences import audience_columns, audience_rows
from .shared import (
    A_PARAMETER,
    ANY_REGION,
    METADATA,
    REGION,
    REPORTED,
    SAMPLE,
    SEARCH,
    SEARCH_PARAMETER,
    TIME_SCOPE,
    TIME_SCOPE_PARAMETER,
    count_of,
    cover,
    id_column,
)


def _levels(base: str) -> tuple[str, ...]:
    return tuple(f"{base}.{level}_ecom_category" for level in ("third", "second", "first"))


def _category_identity(base: str) -> DeepestLevel:
    return DeepestLevel(_levels(base), "id")


def _category_extras(base: str) -> tuple[str, ...]:
    return tuple(f"{level}.{leaf}" for level in _levels(base) for leaf in ("label", "parent_id"))


def _category_columns(base: str, category_id: Column) -> tuple[Column, ...]:
    """Columns of a product category: its own id first, then the levels above."""
    third, second, first = _levels(base)
    of_level = [
        Column(f"category_l{number}{suffix}", kind, Field(f"{path}.{leaf}"),
               f"{what} of the level-{number} category.", SAMPLE, optional=number > 1)
        for number, path in ((1, first), (2, second), (3, third))
        for suffix, kind, leaf, what in (("_id", "id", "id", "Id"), ("", "text", "value", "English name"))
    ]
    return (
        category_id,
        Column("category", "text", DeepestLevel((third, second, first), "value"),
               "English name of the category: the deepest level present.", SAMPLE),
        Column("category_level", "text", Field(f"{base}.ecom_type"), "Level of the row: l1, l2 or l3.",
               "inferred: equals an upstream request parameter of that name"),
        *of_level,
        Column("slug", "text", Field(f"{base}.url_title"), "Name as in TikTok's page address.", SAMPLE),
    )


PRODUCT_RANKING = Endpoint(
    name="product_insights",
    path="/v1/tiktok/insights/products",
    credits=2,
    page="商品洞察 (product insights)",
    parameters=(
        ANY_REGION, TIME_SCOPE_PARAMETER, SEARCH_PARAMETER,
        Parameter("category_id", "filter_category_id", "ecom_category_id", check_category_filter,
                  "Only rows of this category, documented for level 3 alone; None for all."),
    ),
    identity=_category_identity("list[]"),
    record="list",
    paging=PAGES,
    not_tabled=("pagination", "has_more", *_category_extras("list[]")),
)


_SMALL_MONEY: Final = "money, probably USD"
_CURRENCY: Final = "the currency is not documented; implied costs per thousand impressions fit USD"
_ENGAGEMENT: Final = "inferred: whether of the category's videos or its ads is not stated"
_INSIGHT: Final = "list[]"

_TOTAL_NOTE: Final = "do not derive clicks or conversions from it: the columns of a row do not reconcile"

PRODUCT_INSIGHTS = declare(Table(
    PRODUCT_RANKING,
    name="product_insights",
    row="product category in the ranking",
    key=("region", "time_scope", "search", "filter_category_id", "category_id"),
    rows=(_INSIGHT,),
    columns=(
        REGION, TIME_SCOPE, SEARCH,
        Column("filter_category_id", "id", FromQuery(), "Category filter as requested; missing = none.", A_PARAMETER),
        Column("position", "count", Position("the ranking"), "Place in the ranking as requested, filters included.",
               "inferred: the answers are in ranking order; what ranks them is not documented", "rank", 1),
        *_category_columns(
            _INSIGHT,
            Column("category_id", "id", _category_identity(_INSIGHT),
                   "Id of the category: the deepest level present.",
                   "inferred: documented is that the third level is what product detail takes"),
        ),
        Column("posts", "count", Field("list[].post"), "Videos; rounded to about 3 digits.",
               "inferred: TikTok explains the figure as the number of videos, for keywords", "videos", 0),
        Column("posts_change_pct", "number", Field("list[].post_change"),
               "Change of posts against an earlier period; 0.27 is +0.27 %.",
               "inferred: values below -1 rule out a ratio; which period it is compared with is unknown", "percent"),
        Column("impressions", "count", Field("list[].impression"), "Ad impressions, rounded.",
               "inferred: by its name; TikTok's glossary documents the concept", "impressions", 0),
        Column("ctr_pct", "number", Field("list[].ctr"), f"Click-through rate; {_TOTAL_NOTE}.",
               "inferred: the percent scale; TikTok documents the concept", "percent", 0),
        Column("cvr_pct", "number", Field("list[].cvr"), f"Conversion rate; {_TOTAL_NOTE}.",
               "inferred: percent scale; the denominator is unknown (TikTok's own pages differ)", "percent", 0),
        Column("view_6s_pct", "number", Field("list[].play_six_rate"), "Views of 6 seconds or more, of all views.",
               "inferred: the percent scale; TikTok's top-ads page documents the concept", "percent", 0),
        Column("cpa", "number", Field("list[].cpa"),
               "Cost per conversion (an action). Missing where it is 0 beside a cvr of 0: there were no conversions.",
               f"inferred: {_CURRENCY}", f"{_SMALL_MONEY}, per conversion", 0, zero_beside="cvr_pct"),
        Column("cost", "number", Field("list[].cost"), "Ad spend, rounded to about 3 digits.",
               f"inferred: {_CURRENCY}", _SMALL_MONEY, 0),
        Column("likes", "count", Field("list[].like"), "Likes over the window.", _ENGAGEMENT, "likes", 0),
        Column("comments", "count", Field("list[].comment"), "Comments over the window.", _ENGAGEMENT, "comments", 0),
        Column("shares", "count", Field("list[].share"), "Shares over the window.", _ENGAGEMENT, "shares", 0),
        cover("list[].cover_url"),
        *METADATA,
    ),
    leads_to={"fetch_details": ("category_id", "product_details")},
))


@fetch_function(PRODUCT_INSIGHTS)
def fetch_product_insights(
    *,
    region: str = "all_regions",
    time_scope: str | int = 1,
    search: str | None = None,
    category_id: str | int | None = None,
    limit: int | None = 20,
    max_age: MaxAge = None,
    client: Client | None = None,
) -> Call:
    """Return the ranking of product categories by their ads: reach, rates and costs.

    Examples
    --------
    >>> kr.fetch_product_insights(limit=1)["category"].item()
    'Perfume'
    """
    return call_of(PRODUCT_INSIGHTS, locals())


PRODUCT_DETAIL = Endpoint(
    name="product_detail",
    path="/v1/tiktok/insights/product/detail",
    credits=2,
    page="商品洞察详情 (product insight detail)",
    entity=Parameter("category_ids", "category_id", "id", check_id, "Ids of product categories."),
    parameters=(ANY_REGION, TIME_SCOPE_PARAMETER),
    identity=_category_identity("info"),
    record="info",
    not_tabled=_category_extras("info"),
    example="601583",
)


_CATEGORY_ID = id_column("category_id", "id", "Id of the product category requested.",
                          _category_identity("info"))
_PRODUCT_KEY: Final = ("region", "time_scope", "category_id")
_OF_DETAILS: Final = ((_PRODUCT_KEY, "product_details"),)

PRODUCT_DETAILS = declare(Table(
    PRODUCT_DETAIL,
    name="product_details",
    row="product category",
    key=_PRODUCT_KEY,
    rows=("info",),
    columns=(
        REGION, TIME_SCOPE,
        *_category_columns("info", _CATEGORY_ID),
        count_of("n_posts", "info.posts", "videos"),
        count_of("n_hashtags", "info.hashtags", "hashtags"),
        count_of("n_audience_ages", "info.audience_ages", "age bands", optional=True),
        count_of("n_audience_interests", "info.audience_interests", "interests", optional=True),
        cover("info.cover_url"),
        *METADATA,
    ),
    leads_to={"fetch_videos": ("product_posts", "videos"), "fetch_hashtags": ("product_hashtags", "hashtags")},
))
PRODUCT_AUDIENCE = declare(Table(
    PRODUCT_DETAIL,
    name="product_audience",
    row="category x segment",
    key=(*_PRODUCT_KEY, "dimension", "segment_id"),
    rows=audience_rows("info"),
    columns=(REGION, TIME_SCOPE, _CATEGORY_ID, *audience_columns("info"), *METADATA),
    references=_OF_DETAILS, reached_by="audience",
))
PRODUCT_HASHTAGS = declare(Table(
    PRODUCT_DETAIL,
    name="product_hashtags",
    row="category x hashtag",
    key=(*_PRODUCT_KEY, "position"),
    rows=("info.hashtags[]",),
    columns=(
        REGION, TIME_SCOPE, _CATEGORY_ID,
        Column("position", "count", Position("data.info.hashtags[]"), "Place in the answer's list.",
               "unknown: what the order means is not documented", "place", 1),
        Column("hashtag_name", "hashtag", Field("info.hashtags[]"), "Related popular hashtag, as it is requested.",
               REPORTED),
        *METADATA,
    ),
    references=_OF_DETAILS, reached_by="hashtags",
    leads_to={"fetch_details": ("hashtag_name", "hashtags"), "fetch_hashtags": ("hashtag_name", "hashtags")},
))
PRODUCT_POSTS = declare(Table(
    PRODUCT_DETAIL,
    name="product_posts",
    row="category x video",
    key=(*_PRODUCT_KEY, "position"),
    rows=("info.posts[]",),
    columns=(
        REGION, TIME_SCOPE, _CATEGORY_ID,
        Column("position", "count", Position("data.info.posts[]"), "Place in the answer's list.",
               "unknown: the order is not documented and not by age", "place", 1),
        Column("video_id", "id", Field("info.posts[]"), "A popular video of the category.", REPORTED),
        *METADATA,
    ),
    references=_OF_DETAILS, reached_by="posts",
    leads_to={"fetch_videos": ("video_id", "videos")},
))


@fetch_function(PRODUCT_DETAILS)
def fetch_product_details(
    category_ids: Ids,
    *,
    region: str = "all_regions",
    time_scope: str | int = 1,
    max_age: MaxAge = None,
    errors: Errors = "raise",
    client: Client | None = None,
) -> Call:
    """Return the names and levels of product categories, one row per category.

    Examples
    --------
    >>> kr.fetch_product_details("601583")["category"].item()
    'Perfume'
    """
    return call_of(PRODUCT_DETAILS, locals())


@fetch_function(PRODUCT_AUDIENCE)
def fetch_product_audience(
    category_ids: Ids,
    *,
    region: str = "all_regions",
    time_scope: str | int = 1,
    max_age: MaxAge = None,
    errors: Errors = "raise",
    client: Client | None = None,
) -> Call:
    """Return the audience of product categories: percentages by age, indices by interest.

    Examples
    --------
    >>> kr.fetch_product_audience("601583")["segment"].tolist()
    ['25-34', '18-24', '35-44', '45-54', '55+']
    """
    return call_of(PRODUCT_AUDIENCE, locals())


@fetch_function(PRODUCT_HASHTAGS)
def fetch_product_hashtags(
    category_ids: Ids,
    *,
    region: str = "all_regions",
    time_scope: str | int = 1,
    max_age: MaxAge = None,
    errors: Errors = "raise",
    client: Client | None = None,
) -> Call:
    """Return the popular hashtags of product categories.

    Examples
    --------
    >>> kr.fetch_product_hashtags("601583")["hashtag_name"].tolist()[:2]
    ['vlog', 'perfume']
    """
    return call_of(PRODUCT_HASHTAGS, locals())


@fetch_function(PRODUCT_POSTS)
def fetch_product_posts(
    category_ids: Ids,
    *,
    region: str = "all_regions",
    time_scope: str | int = 1,
    max_age: MaxAge = None,
    errors: Errors = "raise",
    client: Client | None = None,
) -> Call:
    """Return the ids of popular videos of product categories.

    Examples
    --------
    >>> len(kr.fetch_product_posts("601583"))
    50
    """
    return call_of(PRODUCT_POSTS, locals())
