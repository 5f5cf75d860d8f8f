"""Products of TikTok Shop: what they are, what they sold day by day and through whom; search and rankings."""

# fmt: off - a declaration reads as a table: one entry, one line or two
from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from ..arguments import check_id, check_price, check_price_range
from ..client import Call, Client
from ..fetch import Errors, Ids, MaxAge, call_of, fetch_function
from ..model import Column, Endpoint, Parameter, Series, Table, declare
from ..periods import day_final_on, ranking_final_on, settle_cycle
from ..places import Coded, Field, FromQuery, PerList
from ..settings import read_flag
from .shared import (
    ANALYTICS_PAGES,
    BY_PRODUCT,
    BY_USER,
    CYCLE,
    CYCLE_REQUESTED,
    DATE_OF_DAY,
    DAY,
    DAYS_OF_PRODUCT,
    FILTER_CATEGORIES,
    GMV,
    LIST_PLACE,
    MARKET_RANKED,
    METADATA,
    RANKED_BY,
    RANKING_DATE,
    RANKING_DAY,
    REQUIRED_REGION,
    SORTED_BY,
    SPECIFIED,
    SPECIFIED_PARAMETER,
    UPSTREAM_SAMPLE,
    Day,
    Start,
    category,
    category_parameters,
    gained,
    of_day,
    of_window,
    price,
    ranked_by_parameter,
    sort_parameter,
    total,
    total_money,
    windows_column,
)

_IDS: Final = "Ids of products of TikTok Shop."
_PROMOTED: Final = "1729383941730701675"  # of EchoTik's example of a creator's products
_WINDOWS: Final = (1, 7, 15, 30, 60, 90)
_OF_WINDOWS: Final = (
    of_window("units_window_est", "[].total_sale_Nd_cnt", _WINDOWS, "Units sold in the window, estimated.", "units"),
    of_window("gmv_window_est", "[].total_sale_gmv_Nd_amt", _WINDOWS, "Sales value of the window, estimated.", GMV,
              kind="number"),
    of_window("videos_window", "[].total_video_Nd_cnt", _WINDOWS, "Videos with the product added in the window.",
              "videos"),
    of_window("video_units_window_est", "[].total_video_sale_Nd_cnt", _WINDOWS,
              "Units sold through videos in the window, estimated.", "units"),
    of_window("video_gmv_window_est", "[].total_video_sale_gmv_Nd_amt", _WINDOWS,
              "Sales value through videos in the window, estimated.", GMV, kind="number"),
    of_window("lives_window", "[].total_live_Nd_cnt", _WINDOWS, "Live streams with the product added in the window.",
              "live streams"),
    of_window("live_units_window_est", "[].total_live_sale_Nd_cnt", _WINDOWS,
              "Units sold through live streams in the window, estimated.", "units"),
    of_window("live_gmv_window_est", "[].total_live_sale_gmv_Nd_amt", _WINDOWS,
              "Sales value through live streams in the window, estimated.", GMV, kind="number"),
    of_window("video_creators_window", "[].total_ifl_video_Nd_cnt", _WINDOWS,
              "Creators with videos of the product in the window.", "creators"),
    of_window("live_creators_window", "[].total_ifl_live_Nd_cnt", _WINDOWS,
              "Creators with live streams of the product in the window.", "creators"),
    of_window("views_window", "[].total_views_Nd_cnt", _WINDOWS, "Views of the product's videos in the window.",
              "views"),
)


def _fields(columns: Iterable[Column]) -> list[str]:
    """List the paths of columns that differ by window."""
    places = (place for column in columns if isinstance(column.place, PerList) for place in column.place.places)
    return [place.path for place in places if isinstance(place, Field)]


_NOT_TABLED: Final = (
    "[].cover_url", "[].desc_detail", "[].discount", "[].sale_props", "[].skus", "[].specification",
    "[].shipping_price",
)

PRODUCT_DETAIL = Endpoint(
    name="product_analytics",
    path="/v1/tiktok/product/detail/analytics",
    credits=1,
    page="Product Detail (Analytics)",
    entity=Parameter("product_ids", "product_id", "product_ids", check_id, _IDS),
    parameters=(),
    identity=Field("[].product_id"),
    record="",
    batch=10,
    not_tabled=_NOT_TABLED,
    example="1729383769606034185",
)


_REQUESTED = Column("product_id", "id", FromQuery(Field("[].product_id")), "TikTok Shop's id of the product.",
                    SPECIFIED)
_FOUND = Column("product_id", "id", Field("[].product_id"), "TikTok Shop's id of the product.", SPECIFIED)
_NAMED: Final = (
    Column("product_name", "text", Field("[].product_name"), "Name of the product.", SPECIFIED),
    category(1, "[].category_id"),
    category(2, "[].category_l2_id"),
    category(3, "[].category_l3_id"),
    price("price_avg", "[].spu_avg_price", "Average price of the product's variants."),
    price("price_min", "[].min_price", "Lowest price of the product's variants."),
    price("price_max", "[].max_price", "Highest price of the product's variants."),
    Column("commission", "number", Field("[].product_commission_rate"),
           "Commission of the creator, as in the answer: 10 and 0 were seen.",
           "unknown: percent or ratio is not documented", "percent or ratio"),
)


def _product_columns(*, listed: bool) -> tuple[Column, ...]:
    """List the columns of a product; the specification has some only where it is `listed` by the search."""
    evidence = SPECIFIED if listed else "inferred: EchoTik's specification of the list, whose rows are the same"
    return (
        *_NAMED,
        Column("market", "text", Field("[].region"), "Market that the answer names, ISO-2.", SPECIFIED),
        Column("shop_id", "id", Field("[].seller_id"), "Shop that sells the product.", SPECIFIED),
        Column("rating", "number", Field("[].product_rating"), "Rating by buyers; missing where nobody reviewed it.",
               f"{SPECIFIED}; that a 0 beside 0 reviews is none is inferred", "stars", 0, zero_beside="reviews"),
        total("reviews", "[].review_count", "Reviews.", "reviews"),
        Column("free_shipping", "flag", Field("[].free_shipping"), "Whether shipping is free.", SPECIFIED),
        Column("origin", "text", Coded("[].from_flag", {1: "local", 2: "cross_border"}),
               "Whether the shop is local or sells across a border.", evidence, optional=not listed),
        Column("bestseller", "flag", Field("[].is_hot"), "Whether the product is marked as a bestseller.", evidence,
               optional=not listed),
        Column("fully_managed", "flag", Field("[].is_s_shop"), "Whether TikTok fully manages the shop.", SPECIFIED),
        Column("brand_shop", "flag", Field("[].shop_type"), "Whether the shop is that of a brand.", evidence,
               optional=not listed),
        Column("sales_flag", "integer", Field("[].sales_flag"),
               "Main channel of the sales: 0 = none, 1 = video, 2 = live.",
               f"{SPECIFIED}; 0 is read off the example", "code"),
        Column("sales_trend", "text", Coded("[].sales_trend_flag", {0: "flat", 1: "up", 2: "down"}),
               "How units moved over 7 days: flat, up or down.", SPECIFIED),
        Column("off_mark", "integer", Field("[].off_mark"), "Below 2 = on sale.", SPECIFIED, "code"),
        Column("first_seen", "date", Field("[].first_crawl_dt"), "First day of collection, not of the launch.",
               f"{SPECIFIED}; that it is no launch date is inferred", "UTC"),
        Column("last_seen", "date", Field("[].last_crawl_dt"), "Latest day of collection.", UPSTREAM_SAMPLE, "UTC",
               optional=True),
        total("creators", "[].total_ifl_cnt", "Creators who promote the product.", "creators"),
        total("videos", "[].total_video_cnt", "Videos with the product.", "videos"),
        total("lives", "[].total_live_cnt", "Live streams with the product.", "live streams"),
        total("views", "[].total_views_cnt", "Views of the product's videos.", "views"),
        total("units_sold_est", "[].total_sale_cnt", "Units sold by all sellers, estimated.", "units"),
        total_money("gmv_est", "[].total_sale_gmv_amt", "Sales value over all sellers, estimated."),
        total("video_units_est", "[].total_video_sale_cnt", "Units sold through videos, estimated.", "units"),
        total_money("video_gmv_est", "[].total_video_sale_gmv_amt", "Sales value through videos, estimated."),
        total("live_units_est", "[].total_live_sale_cnt", "Units sold through live streams, estimated.", "units"),
        total_money("live_gmv_est", "[].total_live_sale_gmv_amt", "Sales value through live streams, estimated."),
    )


PRODUCTS = declare(Table(
    PRODUCT_DETAIL,
    name="products",
    row="product",
    key=("product_id",),
    rows=("[]",),
    columns=(_REQUESTED, *_product_columns(listed=False), *METADATA),
    leads_to={**BY_PRODUCT, **DAYS_OF_PRODUCT},
))
PRODUCT_WINDOWS = declare(Table(
    PRODUCT_DETAIL,
    name="product_windows",
    row="product x window of 1, 7, 15, 30, 60 or 90 days",
    key=("product_id", "window_days"),
    rows=("[]",) * len(_WINDOWS),
    columns=(_REQUESTED, windows_column(_WINDOWS), *_OF_WINDOWS, *METADATA),
    references=((("product_id",), "products"),), reached_by="windows", leads_to=BY_PRODUCT,
))


@fetch_function(PRODUCTS)
def fetch_products(
    product_ids: Ids,
    *,
    max_age: MaxAge = None,
    errors: Errors = "raise",
    client: Client | None = None,
) -> Call:
    """Return the names, prices and sales of products, one row per product.

    Examples
    --------
    >>> kr.fetch_products(["1729427001450849881", "1729496492640599035"])["units_sold_est"].tolist()
    [218097, 76033]
    """
    return call_of(PRODUCTS, locals())


@fetch_function(PRODUCT_WINDOWS)
def fetch_product_windows(
    product_ids: Ids,
    *,
    max_age: MaxAge = None,
    errors: Errors = "raise",
    client: Client | None = None,
) -> Call:
    """Return what products sold in the last 1, 7, 15, 30, 60 and 90 days, one row per product and window.

    Examples
    --------
    >>> kr.plan(kr.fetch_product_windows, "1729383769606034185").credits
    1
    """
    return call_of(PRODUCT_WINDOWS, locals())


PRODUCT_RANKING = Endpoint(
    name="product_rankings",
    path="/v1/tiktok/product/ranking/analytics",
    credits=1,
    page="Product Ranking (Analytics)",
    parameters=(
        REQUIRED_REGION, RANKING_DATE, CYCLE,
        ranked_by_parameter("product_rank_field", {"units": "1", "creators": "2"}, "units"),
        *category_parameters(),
    ),
    identity=Field("[].product_id"),
    record="",
    paging=ANALYTICS_PAGES,
    settle=settle_cycle,
    dated="date",
    final_on=ranking_final_on,
    sample={"region": "US"},
    not_tabled=("[].region",),
)


_FILTERS: Final = tuple(column.name for column in FILTER_CATEGORIES)

PRODUCT_RANKINGS = declare(Table(
    PRODUCT_RANKING,
    name="product_rankings",
    row="product in the ranking",
    key=("region", "date", "cycle", "ranked_by", *_FILTERS, "product_id"),
    rows=("[]",),
    columns=(
        MARKET_RANKED, RANKING_DAY, CYCLE_REQUESTED, RANKED_BY, *FILTER_CATEGORIES, LIST_PLACE, _FOUND, *_NAMED,
        gained("creators_period", "[].total_ifl_cnt", "Creators who began to promote it in the cycle.", "creators",
               "creators"),
        gained("videos_period", "[].total_video_cnt", "Videos with it added in the cycle.", "videos"),
        gained("lives_period", "[].total_live_cnt", "Live streams with it added in the cycle.", "live streams"),
        gained("units_period_est", "[].total_sale_cnt", "Units sold in the cycle, estimated.", "units", "units"),
        gained("gmv_period_est", "[].total_sale_gmv_amt", "Sales value of the cycle, estimated.", GMV, "units",
               kind="number"),
        *METADATA,
    ),
    leads_to={**BY_PRODUCT, **DAYS_OF_PRODUCT},
))


@fetch_function(PRODUCT_RANKINGS)
def fetch_product_rankings(
    *,
    region: str,
    date: Day | None = None,
    cycle: str = "day",
    ranked_by: str = "units",
    category_l1_id: str | int | None = None,
    category_l2_id: str | int | None = None,
    category_l3_id: str | int | None = None,
    limit: int | None = 20,
    max_age: MaxAge = None,
    client: Client | None = None,
) -> Call:
    """Return the products that lead a market in a day, week or month, and what each sold in it.

    Examples
    --------
    >>> top = kr.fetch_product_rankings(region="US", date="2026-01-26", cycle="week", category_l1_id="601450", limit=2)
    >>> top[["product_name", "units_period_est", "creators_period"]]  # not ranked by creators: missing, not 0
              product_name  units_period_est  creators_period
    0  Fernway Hair Dye 96              1315             <NA>
    1    Tandem Perfume 62               967             <NA>
    """
    return call_of(PRODUCT_RANKINGS, locals())


PRODUCT_TRENDS = Endpoint(
    name="product_days",
    path="/v1/tiktok/product/trends/analytics",
    credits=1,
    page="Product Trends (Analytics)",
    entity=Parameter("product_ids", "product_id", "product_id", check_id, _IDS),
    parameters=(DAY,),
    identity=Field("[].product_id"),
    record="",
    series=Series("start_date", "end_date", Field("[].dt"), ANALYTICS_PAGES, reach=210),
    dated="end",
    final_on=day_final_on,
    example=_PROMOTED,
)


PRODUCT_DAYS = declare(Table(
    PRODUCT_TRENDS,
    name="product_days",
    row="product x day",
    key=("product_id", "date"),
    rows=("[]",),
    columns=(
        _REQUESTED, DATE_OF_DAY,
        replace(price("price_avg", "[].spu_avg_price", "Average price of the product's variants on the day."),
                of="of the day"),
        total("creators", "[].total_ifl_cnt", "Creators who promote the product.", "creators"),
        total("videos", "[].total_video_cnt", "Videos with the product.", "videos"),
        total("lives", "[].total_live_cnt", "Live streams with the product.", "live streams"),
        of_day("units_day_est", "[].total_sale_1d_cnt", "Units sold on the day by all sellers, estimated.", "units"),
        of_day("gmv_day_est", "[].total_sale_gmv_1d_amt", "Sales value of the day over all sellers, estimated.", GMV,
               "number"),
        total("units_sold_est", "[].total_sale_cnt", "Units sold by all sellers, estimated.", "units"),
        total_money("gmv_est", "[].total_sale_gmv_amt", "Sales value over all sellers, estimated."),
        *METADATA,
    ),
    leads_to={**BY_PRODUCT, **DAYS_OF_PRODUCT},
))


@fetch_function(PRODUCT_DAYS)
def fetch_product_days(
    product_ids: Ids,
    *,
    start: Start,
    end: Day | None = None,
    max_age: MaxAge = None,
    errors: Errors = "raise",
    client: Client | None = None,
) -> Call:
    """Return the price and sales of products day by day. Many days are missing from the answers: they have no row.

    Parameters
    ----------
    start : str or date or timedelta
        First day, or the length of the period that ends with the last one, such as "90D".
    end : str or date, optional
        Last day, included; yesterday if omitted.

    Examples
    --------
    >>> kr.plan(kr.fetch_product_days, "1729383769606034185", start="2026-01-01", end="2026-01-14").credits
    2
    """
    return call_of(PRODUCT_DAYS, locals())


PRODUCT_CREATOR_LIST = Endpoint(
    name="product_creators",
    path="/v1/tiktok/product/creators/analytics",
    credits=1,
    page="Product Creators (Analytics)",
    entity=Parameter("product_ids", "product_id", "product_id", check_id, _IDS),
    parameters=(
        sort_parameter("product_influencer_sort_field", {
            "followers": "1", "likes": "2", "units": "3", "gmv": "4", "videos": "5", "views": "6", "live_views": "7",
        }, "gmv"),
    ),
    identity=Field("[].user_id"),
    record="",
    paging=ANALYTICS_PAGES,
    owner=Field("[].product_id"),
    not_tabled=("[].avatar", "[].nick_name"),
    example=_PROMOTED,
)


PRODUCT_CREATORS = declare(Table(
    PRODUCT_CREATOR_LIST,
    name="product_creators",
    row="product x creator who promotes it",
    key=("product_id", "sorted_by", "user_id"),
    rows=("[]",),
    columns=(
        _REQUESTED, SORTED_BY, LIST_PLACE,
        Column("user_id", "id", Field("[].user_id"), "TikTok's id of the creator, which does not change.", SPECIFIED),
        Column("creator_region", "text", Field("[].region"), "Region of the creator, ISO-2.", SPECIFIED),
        Column("niche", "text", Field("[].category"), "What the creator's account is about.", SPECIFIED),
        total("followers", "[].total_followers_cnt", "Followers of the creator.", "followers"),
        total("following", "[].total_following_cnt", "Accounts that the creator follows.", "accounts"),
        total("likes", "[].total_digg_cnt", "Likes of the creator.", "likes"),
        total("videos", "[].total_post_video_cnt", "Videos that the creator posted.", "videos"),
        total("lives", "[].total_live_cnt", "Live streams that the creator held.", "live streams"),
        total("views", "[].total_views_cnt", "Views of the creator's videos.", "views"),
        total("live_views", "[].total_live_views_cnt", "Views of the creator's live streams.", "views"),
        total("units_by_creator_est", "[].per_product_ifl_sale_cnt",
              "Units of this product that this creator sold, estimated.", "units"),
        total_money("gmv_by_creator_est", "[].per_product_ifl_gmv_amt",
                    "Sales value of this product by this creator, estimated."),
        *METADATA,
    ),
    leads_to={**BY_PRODUCT, **BY_USER},
))


@fetch_function(PRODUCT_CREATORS)
def fetch_product_creators(
    product_ids: Ids,
    *,
    sort: str = "gmv",
    limit: int | None = 20,
    max_age: MaxAge = None,
    errors: Errors = "raise",
    client: Client | None = None,
) -> Call:
    """Return the creators who promote products and what each sold of them; `limit` counts for each product.

    Examples
    --------
    >>> kr.fetch_product_creators("1729427001450849881", limit=3)["units_by_creator_est"].tolist()
    [205324, 4951, 1163]
    """
    return call_of(PRODUCT_CREATORS, locals())


PRODUCT_LIST = Endpoint(
    name="product_search",
    path="/v1/tiktok/product/list/analytics",
    credits=1,
    page="Product List (Analytics)",
    parameters=(
        REQUIRED_REGION, *category_parameters(),
        Parameter("min_price", "filter_min_price", "min_spu_avg_price", check_price,
                  "Lowest average price; None for no limit."),
        Parameter("max_price", "filter_max_price", "max_spu_avg_price", check_price,
                  "Highest average price; None for no limit."),
        Parameter("on_sale", "filter_on_sale", "off_mark", read_flag,
                  "Only products on sale; False for those that are not, too.", default=True,
                  codes={True: "0", False: None}),
        sort_parameter("product_sort_field", {
            "units": "1", "gmv": "2", "price": "3", "units_7d": "4", "units_30d": "5", "gmv_7d": "6", "gmv_30d": "7",
        }, "units_30d"),
    ),
    identity=Field("[].product_id"),
    record="",
    paging=ANALYTICS_PAGES,
    settle=check_price_range,
    sample={"region": "US"},
    not_tabled=(*_NOT_TABLED, *_fields(_OF_WINDOWS)),
)


PRODUCT_SEARCH = declare(Table(
    PRODUCT_LIST,
    name="product_search",
    row="product found",
    key=("region", *_FILTERS, "filter_min_price", "filter_max_price", "filter_on_sale", "sorted_by", "product_id"),
    rows=("[]",),
    columns=(
        MARKET_RANKED, *FILTER_CATEGORIES,
        Column("filter_min_price", "number", FromQuery(), "Lowest average price as requested; missing = no limit.",
               SPECIFIED_PARAMETER, GMV),
        Column("filter_max_price", "number", FromQuery(), "Highest average price as requested; missing = no limit.",
               SPECIFIED_PARAMETER, GMV),
        Column("filter_on_sale", "flag", FromQuery(), "Whether only products on sale were requested.",
               SPECIFIED_PARAMETER),
        SORTED_BY, LIST_PLACE, _FOUND, *_product_columns(listed=True),
        *METADATA,
    ),
    leads_to={**BY_PRODUCT, **DAYS_OF_PRODUCT},
))


@fetch_function(PRODUCT_SEARCH)
def fetch_product_search(
    *,
    region: str,
    category_l1_id: str | int | None = None,
    category_l2_id: str | int | None = None,
    category_l3_id: str | int | None = None,
    min_price: float | None = None,
    max_price: float | None = None,
    on_sale: bool = True,
    sort: str = "units_30d",
    limit: int | None = 20,
    max_age: MaxAge = None,
    client: Client | None = None,
) -> Call:
    """Return the products of a market by category and price, one row per product.

    Examples
    --------
    >>> kr.fetch_product_search(region="US", min_price=5, max_price=9.99, limit=3)["price_avg"].tolist()
    [7.6, 6.5, 9.39]
    """
    return call_of(PRODUCT_SEARCH, locals())
