"""Creators: who they are, what they gained, posted and sold, day by day; and those that lead a market."""

# fmt: off - a declaration reads as a table: one entry, one line or two
from __future__ import annotations

from dataclasses import replace
from typing import Final

from ..arguments import check_category_filter, check_handle, check_id
from ..client import Call, Client
from ..fetch import Errors, Ids, MaxAge, call_of, fetch_function
from ..model import Column, Endpoint, Parameter, Series, Table, declare
from ..periods import day_final_on, ranking_final_on, settle_cycle
from ..places import Constant, Field, FromQuery, PerList
from .shared import (
    ANALYTICS_PAGES,
    BY_USER,
    CYCLE,
    CYCLE_REQUESTED,
    DATE_OF_DAY,
    DAY,
    DAYS_OF_USER,
    GMV,
    LIST_PLACE,
    MARKET_RANKED,
    METADATA,
    PRODUCT_CATEGORY,
    RANKED_BY,
    RANKING_DATE,
    RANKING_DAY,
    REQUIRED_REGION,
    SPECIFIED,
    SPECIFIED_PARAMETER,
    UPSTREAM_SAMPLE,
    Day,
    Start,
    check_niche,
    gained,
    of_day,
    of_window,
    price,
    ranked_by_parameter,
    total,
    total_money,
    windows_column,
)
from .texts import read_counts, read_ranks

IDS: Final = "Ids of creators (user_id)."
_POSTING: Final = {
    "hour": "[].influencer_video_publish_hour",
    "weekday": "[].influencer_video_publish_week",
    "duration": "[].influencer_video_duration_level",
}

CREATOR_DETAIL = Endpoint(
    name="creator_analytics",
    path="/v1/tiktok/influencer/detail/analytics",
    credits=1,
    page="Influencer Detail (Analytics)",
    entity=Parameter("user_ids", "user_id", "user_ids", check_id, "Ids of creators, or handles where by says so."),
    parameters=(),
    identity=Field("[].user_id"),
    record="",
    batch=10,
    texts={**dict.fromkeys(_POSTING.values(), read_counts), "[].product_category_list": read_ranks},
    not_tabled=(
        "[].avatar", "[].contact_email", "[].gender", "[].nick_name", "[].signature",
        "[].most_category_product", "[].off_mark",
    ),
    example="104962950695723008",
)
CREATOR_BY_NAME = replace(
    CREATOR_DETAIL,
    name="creator_analytics_by_name",
    entity=Parameter("user_ids", "username", "unique_ids", check_handle, "Handles of creators, with or without @."),
    identity=Field("[].unique_id"),
    identity_kind="handle",
    example="",
    also=CREATOR_DETAIL,
)


USER = Column("user_id", "id", FromQuery(Field("[].user_id")), "TikTok's id of the creator, which does not change.",
               SPECIFIED)
_USERNAME = Column("username", "text", Field("[].unique_id"), "Handle of the creator, without @; handles change.",
                   SPECIFIED)
_NICHE = Column("niche", "text", Field("[].category"), "What the creator's account is about.", SPECIFIED)
_SELLS = Column("sales_flag", "integer", Field("[].sales_flag"),
                "How the creator sells: 0 = does not, 1 = video, 2 = live, 3 = both, 4 = showcase.", SPECIFIED, "code")
_SCORE = Column("ec_score", "number", Field("[].ec_score"), "EchoTik's score of the creator, of unknown meaning.",
                "unknown: its formula and range are not documented; 2.62 to 8.5 were seen", "score")
_REGION = Column("creator_region", "text", Field("[].region"), "Region of the creator, ISO-2.", SPECIFIED)
_OF_CREATOR: Final = ((("user_id",), "creators"),)
_WINDOWS: Final = (1, 7, 30, 90)

CREATORS = declare(Table(
    CREATOR_DETAIL,
    name="creators",
    row="creator",
    key=("user_id",),
    rows=("[]",),
    columns=(
        USER, _USERNAME, _REGION, _NICHE,
        Column("language", "text", Field("[].language"), "Language of the creator, as a code.", SPECIFIED),
        _SELLS,
        Column("showcase", "flag", Field("[].show_case_flag"), "Whether the creator has opened a showcase.",
               SPECIFIED),
        Column("shop_id", "id", Field("[].seller_id"), "Shop that is linked to the creator; missing = none.",
               SPECIFIED),
        _SCORE,
        Column("first_seen", "date", Field("[].first_crawl_dt"),
               "Day on which EchoTik first collected the creator, not when the account was opened.",
               f"{SPECIFIED}; that it is no launch date is inferred", "UTC"),
        total("followers", "[].total_followers_cnt", "Followers.", "followers"),
        total("following", "[].total_following_cnt", "Accounts that the creator follows.", "accounts"),
        total("videos", "[].total_post_video_cnt", "Videos posted.", "videos"),
        total("lives", "[].total_live_cnt", "Live streams held.", "live streams"),
        total("views", "[].total_views_cnt", "Views of the creator's videos.", "views"),
        total("likes", "[].total_digg_cnt", "Likes of the creator's videos, as EchoTik collected them.", "likes"),
        total("comments", "[].total_comments_cnt", "Comments on the creator's videos.", "comments"),
        total("shares", "[].total_shares_cnt", "Shares of the creator's videos.", "shares"),
        total("profile_likes", "[].total_likes_cnt",
              "By its name, the likes that the profile shows; larger than `likes` in EchoTik's example.", "likes",
              "unknown: how it differs from total_digg_cnt is not documented"),
        total("products", "[].total_product_cnt", "Products promoted.", "products"),
        total("units_sold_est", "[].total_sale_cnt", "Units sold, estimated.", "units"),
        total_money("gmv_est", "[].total_sale_gmv_amt", "Sales value, estimated."),
        Column("engagement_ratio", "number", Field("[].interaction_rate"), "Interactions as a ratio, not a percent.",
               "inferred: from the size of the values; what it is a ratio of is not documented", "ratio", 0),
        Column("views_per_video_30d", "count", Field("[].per_views_avg_30d_cnt"),
               "Average views of the videos of the last 30 days.", UPSTREAM_SAMPLE, "views", 0, optional=True,
               of="of the window"),
        Column("views_per_selling_video_7d", "count", Field("[].per_video_product_views_avg_7d_cnt"),
               "Average views of the videos with products of the last 7 days.", SPECIFIED, "views", 0,
               of="of the window"),
        Column("views_per_selling_video_30d", "count", Field("[].per_video_product_views_avg_30d_cnt"),
               "Average views of the videos with products of the last 30 days.", UPSTREAM_SAMPLE, "views", 0,
               optional=True, of="of the window"),
        replace(price("price_avg_30d", "[].avg_30d_price",
                      "Average price of what the creator sold in the last 30 days; 0 may mean that nothing was sold."),
                of="of the window"),
        Column("most_viewed_video_id", "id", Field("[].most_views_video"), "The creator's video with the most views.",
               SPECIFIED),
        *METADATA,
    ),
    leads_to={**BY_USER, **DAYS_OF_USER}, ways=(CREATOR_BY_NAME,),
))
CREATOR_WINDOWS = declare(Table(
    CREATOR_DETAIL,
    name="creator_windows",
    row="creator x window of 1, 7, 30 or 90 days",
    key=("user_id", "window_days"),
    rows=("[]",) * len(_WINDOWS),
    columns=(
        USER,
        windows_column(_WINDOWS),
        of_window("followers_gained", "[].total_followers_Nd_cnt", _WINDOWS,
                  "Followers gained in the window; negative where they fell.", "followers"),
        of_window("likes_gained", "[].total_digg_Nd_cnt", _WINDOWS, "Likes gained in the window.", "likes"),
        of_window("products_window", "[].total_product_Nd_cnt", _WINDOWS,
                  "Products promoted in the window; known for 30 days only.", "products", only=30),
        of_window("gmv_window_est", "[].total_sale_gmv_Nd_amt", _WINDOWS,
                  "Sales value of the window, estimated; known for 30 days only.", GMV, only=30, kind="number"),
        of_window("video_gmv_window_est", "[].total_video_sale_gmv_Nd_amt", _WINDOWS,
                  "Sales value through videos in the window, estimated; known for 30 days only.", GMV, UPSTREAM_SAMPLE,
                  only=30, kind="number", optional=True),
        of_window("live_gmv_window_est", "[].total_live_sale_gmv_Nd_amt", _WINDOWS,
                  "Sales value through live streams in the window, estimated; known for 30 days only.", GMV,
                  UPSTREAM_SAMPLE, only=30, kind="number", optional=True),
        of_window("video_units_window_est", "[].total_video_sale_Nd_cnt", _WINDOWS,
                  "Units sold through videos in the window, estimated; known for 30 days only.", "units", only=30),
        of_window("video_products_window", "[].total_video_product_Nd_cnt", _WINDOWS,
                  "Products promoted by videos in the window; known for 30 days only.", "products", only=30),
        *METADATA,
    ),
    references=_OF_CREATOR, reached_by="windows", leads_to=BY_USER, ways=(CREATOR_BY_NAME,),
))
CREATOR_POSTING = declare(Table(
    CREATOR_DETAIL,
    name="creator_posting",
    row="creator x hour, weekday or length of videos",
    key=("user_id", "dimension", "bucket"),
    rows=tuple(f"{path}[]" for path in _POSTING.values()),
    columns=(
        USER,
        Column("dimension", "text", PerList(tuple(map(Constant, _POSTING))),
               "What is counted: hour or weekday of posting, or duration.", SPECIFIED),
        Column("bucket", "text", PerList(tuple(Field(f"{path}[].bucket") for path in _POSTING.values())),
               'Hour as "00" to "23" (time zone unknown), weekday as "1" to "7" (which day is first is unknown), or '
               'length as "15s-30s".',
               "unknown: the time zone and the first weekday are not documented"),
        Column("videos", "count", PerList(tuple(Field(f"{path}[].videos") for path in _POSTING.values())),
               "Videos in the bucket.", f"{SPECIFIED}; over which time is not documented", "videos", 0),
        *METADATA,
    ),
    references=_OF_CREATOR, reached_by="posting", leads_to=BY_USER, ways=(CREATOR_BY_NAME,),
))
CREATOR_CATEGORIES = declare(Table(
    CREATOR_DETAIL,
    name="creator_categories",
    row="creator x product category sold",
    key=("user_id", "position"),
    rows=("[].product_category_list[]",),
    columns=(
        USER,
        Column("position", "count", Field("[].product_category_list[].rank"),
               "Place among the categories that the creator sells.",
               "inferred: read off EchoTik's example; what the order is by is not documented", "place", 1,
               optional=True),
        *(
            Column(f"category_l{level}_id", "id", Field(f"[].product_category_list[].l{level}"),
                   f"Product category of level {level}.", "inferred: read off EchoTik's example", optional=True,
                   missing=("0",))
            for level in (1, 2, 3)
        ),
        *METADATA,
    ),
    references=_OF_CREATOR, reached_by="categories", leads_to=BY_USER, ways=(CREATOR_BY_NAME,),
))


@fetch_function(CREATORS)
def fetch_creators(
    user_ids: Ids,
    *,
    by: str = "user_id",
    max_age: MaxAge = None,
    errors: Errors = "raise",
    client: Client | None = None,
) -> Call:
    """Return the niche, followers and sales of creators, one row per creator.

    Parameters
    ----------
    by : {"user_id", "username"}
        What `user_ids` are: ids, or handles with or without @. Answers by handle serve the ids, too.

    Examples
    --------
    >>> kr.fetch_creators("@GadgetByRiley_1cv5g", by="username")[["user_id", "username", "niche"]]
                   user_id             username                niche
    0  6144029478790867105  gadgetbyriley_1cv5g  Finance & Investing
    """
    return call_of(CREATORS, locals())


@fetch_function(CREATOR_WINDOWS)
def fetch_creator_windows(
    user_ids: Ids,
    *,
    by: str = "user_id",
    max_age: MaxAge = None,
    errors: Errors = "raise",
    client: Client | None = None,
) -> Call:
    """Return what creators gained in the last 1, 7, 30 and 90 days, one row per creator and window.

    Parameters
    ----------
    by : {"user_id", "username"}
        What `user_ids` are: ids, or handles with or without @. Answers by handle serve the ids, too.

    Examples
    --------
    >>> kr.plan(kr.fetch_creator_windows, ["@tiktok", "nba"], by="username").credits
    1
    """
    return call_of(CREATOR_WINDOWS, locals())


@fetch_function(CREATOR_POSTING)
def fetch_creator_posting(
    user_ids: Ids,
    *,
    by: str = "user_id",
    max_age: MaxAge = None,
    errors: Errors = "raise",
    client: Client | None = None,
) -> Call:
    """Return when creators post and how long their videos are, one row per creator and bucket.

    Parameters
    ----------
    by : {"user_id", "username"}
        What `user_ids` are: ids, or handles with or without @. Answers by handle serve the ids, too.

    Examples
    --------
    >>> kr.plan(kr.fetch_creator_posting, ["104962950695723008", "3993047"]).credits
    1
    """
    return call_of(CREATOR_POSTING, locals())


@fetch_function(CREATOR_CATEGORIES)
def fetch_creator_categories(
    user_ids: Ids,
    *,
    by: str = "user_id",
    max_age: MaxAge = None,
    errors: Errors = "raise",
    client: Client | None = None,
) -> Call:
    """Return the product categories that creators sell, one row per creator and category.

    Parameters
    ----------
    by : {"user_id", "username"}
        What `user_ids` are: ids, or handles with or without @. Answers by handle serve the ids, too.

    Examples
    --------
    >>> kr.plan(kr.fetch_creator_categories, ["104962950695723008", "3993047"]).credits
    1
    """
    return call_of(CREATOR_CATEGORIES, locals())


CREATOR_RANKING = Endpoint(
    name="creator_rankings",
    path="/v1/tiktok/influencer/ranking/analytics",
    credits=1,
    page="Influencer Ranking (Analytics)",
    parameters=(
        REQUIRED_REGION, RANKING_DATE, CYCLE,
        ranked_by_parameter("influencer_rank_field", {"followers": "1", "sales": "2"}, "sales"),
        Parameter("category_id", "filter_category_id", "product_category_id", check_category_filter,
                  f"{PRODUCT_CATEGORY} It is sent under two names: which of them counts is not known.",
                  beside={"category_id": None}),
        Parameter("niche", "filter_niche", "influencer_category_name", check_niche,
                  'Niche by its English name, such as "Beauty"; None for all.'),
    ),
    identity=Field("[].user_id"),
    record="",
    paging=ANALYTICS_PAGES,
    settle=settle_cycle,
    dated="date",
    final_on=ranking_final_on,
    sample={"region": "US"},
    # By their names, most_category_l2_id and _l3_id are lower levels; in the example they are other first ones.
    not_tabled=(
        "[].avatar", "[].nick_name", "[].region", "[].product_category_list",
        "[].most_category_id", "[].most_category_l2_id", "[].most_category_l3_id",
    ),
)

_STANDING: Final = f"{SPECIFIED}; which day the total refers to is not documented"

CREATOR_RANKINGS = declare(Table(
    CREATOR_RANKING,
    name="creator_rankings",
    row="creator in the ranking",
    key=("region", "date", "cycle", "ranked_by", "filter_category_id", "filter_niche", "user_id"),
    rows=("[]",),
    columns=(
        MARKET_RANKED, RANKING_DAY, CYCLE_REQUESTED, RANKED_BY,
        Column("filter_category_id", "id", FromQuery(),
               "Product category as requested; missing = all. Whether KeyAPI filters by it is not certain.",
               "inferred: a user found EchoTik's name of the parameter without effect; so it is sent under both names"),
        Column("filter_niche", "text", FromQuery(), "Niche as requested; missing = all.", SPECIFIED_PARAMETER),
        LIST_PLACE,
        Column("user_id", "id", Field("[].user_id"), "TikTok's id of the creator, which does not change.", SPECIFIED),
        _USERNAME, _NICHE, _SELLS, _SCORE,
        gained("followers_gained", "[].total_followers_cnt", "Followers gained in the cycle.", "followers",
               "followers"),
        gained("likes_gained", "[].total_digg_cnt", "Likes gained in the cycle.", "likes"),
        gained("videos_posted", "[].total_post_video_cnt", "Videos posted in the cycle.", "videos"),
        gained("lives_held", "[].total_live_cnt", "Live streams held in the cycle.", "live streams"),
        gained("products_promoted", "[].total_product_cnt", "Products first promoted in the cycle.", "products"),
        gained("units_period_est", "[].total_sale_cnt", "Units sold in the cycle, estimated.", "units", "sales"),
        gained("gmv_period_est", "[].total_sale_gmv_amt", "Sales value of the cycle, estimated.", GMV, "sales",
               kind="number"),
        total("followers", "[].total_followers_history_cnt", "Followers.", "followers", _STANDING),
        total("likes", "[].total_digg_history_cnt", "Likes.", "likes", _STANDING),
        total("videos", "[].total_post_video_history_cnt", "Videos posted.", "videos", _STANDING),
        total("lives", "[].total_live_history_cnt", "Live streams held.", "live streams", _STANDING),
        total("products", "[].total_product_history_cnt", "Products promoted.", "products", _STANDING),
        total("units_sold_est", "[].total_sale_history_cnt", "Units sold, estimated.", "units", _STANDING),
        total_money("gmv_est", "[].total_sale_gmv_history_amt", "Sales value, estimated.", _STANDING),
        *METADATA,
    ),
    leads_to={**BY_USER, **DAYS_OF_USER},
))


@fetch_function(CREATOR_RANKINGS)
def fetch_creator_rankings(
    *,
    region: str,
    date: Day | None = None,
    cycle: str = "day",
    ranked_by: str = "sales",
    category_id: str | int | None = None,
    niche: str | None = None,
    limit: int | None = 20,
    max_age: MaxAge = None,
    client: Client | None = None,
) -> Call:
    """Return the creators that lead a market in a day, week or month, and what each gained in it.

    Examples
    --------
    The week is that of Monday, 26 January. What this ranking does not rank is missing, not 0.

    >>> top = kr.fetch_creator_rankings(region="US", cycle="week", date="2026-01-28", limit=3)
    >>> top[["position", "username", "units_period_est", "followers_gained"]]
       position             username  units_period_est  followers_gained
    0         1  gadgetbyriley_1cv5g              3703              <NA>
    1         2     clubbyhugo_1popx              2716              <NA>
    2         3     emre_diary_1uwzy              2495              <NA>
    """
    return call_of(CREATOR_RANKINGS, locals())


CREATOR_TRENDS = Endpoint(
    name="creator_days",
    path="/v1/tiktok/influencer/trends/analytics",
    credits=1,
    page="Influencer Trends (Analytics)",
    entity=Parameter("user_ids", "user_id", "user_id", check_id, IDS),
    parameters=(DAY,),
    identity=Field("[].user_id"),
    record="",
    series=Series("start_date", "end_date", Field("[].dt"), ANALYTICS_PAGES, reach=210),
    dated="end",
    final_on=day_final_on,
    example="3993047",
)


CREATOR_DAYS = declare(Table(
    CREATOR_TRENDS,
    name="creator_days",
    row="creator x day",
    key=("user_id", "date"),
    rows=("[]",),
    columns=(
        USER, DATE_OF_DAY,
        total("followers", "[].total_followers_cnt", "Followers.", "followers"),
        of_day("followers_gained", "[].total_followers_1d_cnt",
               "Followers gained on the day; negative where they fell.", "followers"),
        total("views", "[].total_views_cnt",
              "Views. There are no views of the day: subtract the total of the row before.", "views"),
        total("likes", "[].total_digg_cnt", "Likes.", "likes"),
        total("comments", "[].total_comments_cnt", "Comments.", "comments"),
        total("shares", "[].total_shares_cnt", "Shares.", "shares"),
        of_day("likes_gained", "[].total_digg_1d_cnt", "Likes gained on the day.", "likes"),
        total("videos", "[].total_post_video_cnt", "Videos posted.", "videos"),
        total("lives", "[].total_live_cnt", "Live streams held.", "live streams"),
        of_day("units_day_est", "[].total_sale_1d_cnt",
               "Units sold on the day, estimated. A 0 while views and followers move may mean that sales were not "
               "collected.", "units"),
        of_day("gmv_day_est", "[].total_sale_gmv_1d_amt",
               "Sales value of the day, estimated. A 0 while views and followers move may mean that sales were not "
               "collected: a user saw that for all domestic creators of a market.", GMV, "number"),
        *METADATA,
    ),
    leads_to={**BY_USER, **DAYS_OF_USER},
))


@fetch_function(CREATOR_DAYS)
def fetch_creator_days(
    user_ids: Ids,
    *,
    start: Start,
    end: Day | None = None,
    max_age: MaxAge = None,
    errors: Errors = "raise",
    client: Client | None = None,
) -> Call:
    """Return the followers, views and sales of creators day by day. A day missing from the answer has no row.

    Parameters
    ----------
    start : str or date or timedelta
        First day, or the length of the period that ends with the last one, such as "90D".
    end : str or date, optional
        Last day, included; yesterday if omitted.

    Examples
    --------
    The answer has nothing for 1 January, so that day has no row.

    >>> days = kr.fetch_creator_days("3993047", start="2026-01-01", end="2026-01-04")
    >>> days[["date", "followers", "followers_gained", "units_day_est"]]
                           date  followers  followers_gained  units_day_est
    0 2026-01-02 00:00:00+00:00      20058                 0              0
    1 2026-01-03 00:00:00+00:00      20057                -1              0
    2 2026-01-04 00:00:00+00:00      20058                 1              0

    Days that are stored cost nothing: 25 more are 3 pages.

    >>> kr.plan(kr.fetch_creator_days, "3993047", start="2025-12-07", end="2026-01-04").credits
    3
    """
    return call_of(CREATOR_DAYS, locals())
