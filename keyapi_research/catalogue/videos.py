"""Videos: who posted them, what they are and show, how they did; and those that lead a market."""

# fmt: off - a declaration reads as a table: one entry, one line or two
from __future__ import annotations

from dataclasses import replace
from typing import Final

from ..arguments import check_category_filter, check_id
from ..client import Call, Client
from ..fetch import Errors, Ids, MaxAge, call_of, fetch_function
from ..model import Column, Endpoint, Parameter, Table, declare
from ..periods import ranking_final_on, settle_cycle
from ..places import Field, FromQuery, Position
from ..settings import read_flag
from .shared import (
    ANALYTICS_PAGES,
    BY_PRODUCT,
    BY_USER,
    CYCLE,
    CYCLE_REQUESTED,
    GMV,
    LIST_PLACE,
    MARKET_RANKED,
    METADATA,
    PRODUCT_CATEGORY,
    RANKED_BY,
    RANKING_DATE,
    RANKING_DAY,
    REPORTED,
    REQUIRED_REGION,
    SAMPLE,
    SPECIFIED,
    SPECIFIED_PARAMETER,
    Day,
    count_of,
    cover,
    gained,
    ranked_by_parameter,
    specified,
    total,
)
from .texts import read_list

VIDEO_ANALYTICS = Endpoint(
    name="video_analytics",
    path="/v1/tiktok/video/detail/analytics",
    credits=1,
    page="视频详情分析 (video detail analytics)",
    entity=Parameter("video_ids", "video_id", "video_ids", check_id, "Ids of videos."),
    parameters=(),
    identity=Field("[].video_id"),
    record="",
    batch=10,
    texts={"[].video_products": read_list},
    not_tabled=("[].product_category_list",),
    example="7117191641181555995",
)


_LIFETIME: Final = "inferred: by its name, a lifetime total at the last crawl"
_SEEN_LATELY: Final = "inferred: by its name; not in the response schema, a user saw it since mid-2026"


def _grown(name: str, path: str, what: str, days: int) -> Column:
    last = "day" if days == 1 else f"{days} days"
    return Column(name, "integer", Field(path), f"{what} gained in the {last} before the latest collection.",
                  "documented: the response schema's title; may be a day or more behind the call", what.lower(),
                  of="of the window")


USER = Column("user_id", "id", Field("[].user_id"), "TikTok's id of the creator.", "documented: response schema")
POSTED: Final = (
    Column("username", "text", Field("[].unique_id"), "Handle of the creator, without @.",
           "inferred: EchoTik's specification calls it the TikTok ID"),
    Column("description", "text", Field("[].video_desc"), "Caption, hashtags included.", REPORTED),
    Column("created_at", "time", Field("[].create_time"), "When the video was posted.",
           "inferred: reported as epoch seconds; the video id's own time agrees", "UTC"),
    Column("creator_region", "text", Field("[].region"), "Region of the creator or the video, ISO-2.", SAMPLE,
           optional=True),
    Column("duration_s", "count", Field("[].duration"), "Length.", REPORTED, "seconds", 0),
)
FRAME: Final = (
    Column("width_px", "count", Field("[].width"), "Frame width.", REPORTED, "pixels", 0),
    Column("height_px", "count", Field("[].height"), "Frame height.", REPORTED, "pixels", 0),
    Column("resolution", "text", Field("[].ratio"), "Resolution label as 720p, not an aspect ratio.", REPORTED),
    Column("size_bytes", "count", Field("[].data_size"), "File size.", REPORTED, "bytes", 0),
)
MADE_BY_AI = Column("ai_generated", "flag", Field("[].created_by_ai"), "Whether the video is marked as made by AI.",
                    "inferred: EchoTik specifies a parameter of this name for its video ranking")
SELLS = Column("sales_flag", "integer", Field("[].sales_flag"),
               "How the video sells: 0 = not. A flag without sales occurs.",
               "documented: 0 in the response schema; 1 = video, 2 = live for a sibling endpoint only", "code")
MEASURES: Final = (
    total("views", "[].total_views_cnt", "Views.", "views", _LIFETIME),
    total("likes", "[].total_digg_cnt", "Likes.", "likes", "documented: the response schema's title"),
    total("comments", "[].total_comments_cnt", "Comments.", "comments", _LIFETIME),
    total("shares", "[].total_shares_cnt", "Shares.", "shares", _LIFETIME),
    total("favorites", "[].total_favorites_cnt", "Saves.", "saves",
          f"{_LIFETIME}; -99999 is read as not available"),
    _grown("views_1d", "[].total_views_1d_cnt", "Views", 1),
    _grown("views_7d", "[].total_views_7d_cnt", "Views", 7),
    _grown("views_30d", "[].total_views_30d_cnt", "Views", 30),
    _grown("likes_1d", "[].total_digg_1d_cnt", "Likes", 1),
    _grown("likes_7d", "[].total_digg_7d_cnt", "Likes", 7),
    _grown("likes_30d", "[].total_digg_30d_cnt", "Likes", 30),
    total("units_sold_est", "[].total_video_sale_cnt", "Units sold, estimated by KeyAPI.", "units",
          "documented: the response schema calls it estimated"),
    Column("gmv_est", "number", Field("[].total_video_sale_gmv_amt"),
           "Sales value, estimated by KeyAPI. A 0 may mean not computed: until mid-2026 a user saw 0 for all.",
           "documented: as an estimate; the currency is not (USD by a third party's field map)", GMV, 0, of="total"),
)
PAID_AD = Column("paid_ad", "flag", Field("[].is_ad"), "Whether the video is a paid advertisement.", _SEEN_LATELY,
                 optional=True)


VIDEOS = declare(Table(
    VIDEO_ANALYTICS,
    name="videos",
    row="video",
    key=("video_id",),
    rows=("[]",),
    columns=(
        Column("video_id", "id", FromQuery(Field("[].video_id")), "TikTok's id of the video.",
               "documented: response schema"),
        USER, *POSTED, *FRAME, MADE_BY_AI, SELLS, *MEASURES,
        cover("[].reflow_cover", "documented: response schema; signed addresses expire"),
        PAID_AD,
        count_of("n_products", "[].video_products", "products", optional=True),
        *METADATA,
    ),
    leads_to={**BY_USER, "fetch_products": ("video_products", "products")},
))
VIDEO_PRODUCTS = declare(Table(
    VIDEO_ANALYTICS,
    name="video_products",
    row="video x product",
    key=("video_id", "position"),
    rows=("[].video_products[]",),
    columns=(
        Column("video_id", "id", FromQuery(Field("[].video_id")), "TikTok's id of the video.",
               "documented: response schema"),
        Column("position", "count", Position("data[].video_products[]"), "Place in the answer's list.",
               "unknown: what the order means is not documented", "place", 1),
        Column("product_id", "id", Field("[].video_products[]"),
               "Product that the video shows. The video's sales are one figure, not split by product.",
               _SEEN_LATELY, optional=True),
        *METADATA,
    ),
    references=((("video_id",), "videos"),), reached_by="products",
    leads_to=BY_PRODUCT,
))


@fetch_function(VIDEOS)
def fetch_videos(
    video_ids: Ids,
    *,
    max_age: MaxAge = None,
    errors: Errors = "raise",
    client: Client | None = None,
) -> Call:
    """Return the creators, properties and results of videos, one row per video.

    Examples
    --------
    >>> int(kr.fetch_videos("7117191641181555995")["views"].item())
    211100
    """
    return call_of(VIDEOS, locals())


@fetch_function(VIDEO_PRODUCTS)
def fetch_video_products(
    video_ids: Ids,
    *,
    max_age: MaxAge = None,
    errors: Errors = "raise",
    client: Client | None = None,
) -> Call:
    """Return the products that videos show, one row per video and product.

    Examples
    --------
    >>> len(kr.fetch_video_products("7117191641181555995"))
    0
    """
    return call_of(VIDEO_PRODUCTS, locals())


VIDEO_RANKING = Endpoint(
    name="video_rankings",
    path="/v1/tiktok/video/ranking/analytics",
    credits=1,
    page="Video Ranking (Analytics)",
    parameters=(
        REQUIRED_REGION, RANKING_DATE, CYCLE,
        ranked_by_parameter("video_rank_field", {"views": "1", "units": "2"}, "views"),
        Parameter("category_id", "filter_category_id", "product_category_id", check_category_filter,
                  PRODUCT_CATEGORY),
        Parameter("ai_only", "filter_ai_only", "created_by_ai", read_flag, "Only videos made by AI.",
                  default=False, codes={True: "true", False: None}),
    ),
    identity=Field("[].video_id"),
    record="",
    paging=ANALYTICS_PAGES,
    settle=settle_cycle,
    dated="date",
    final_on=ranking_final_on,
    sample={"region": "US"},
    not_tabled=(
        "[].avatar", "[].nick_name", "[].category", "[].product_category_list", "[].video_products",
    ),
)


VIDEO_RANKINGS = declare(Table(
    VIDEO_RANKING,
    name="video_rankings",
    row="video in the ranking",
    key=("region", "date", "cycle", "ranked_by", "filter_category_id", "filter_ai_only", "video_id"),
    rows=("[]",),
    columns=(
        MARKET_RANKED, RANKING_DAY, CYCLE_REQUESTED, RANKED_BY,
        Column("filter_category_id", "id", FromQuery(), "Product category as requested; missing = all.",
               SPECIFIED_PARAMETER),
        Column("filter_ai_only", "flag", FromQuery(), "Whether only videos made by AI were requested.",
               SPECIFIED_PARAMETER),
        LIST_PLACE,
        Column("video_id", "id", Field("[].video_id"), "TikTok's id of the video.", SPECIFIED),
        *specified(USER, *POSTED, MADE_BY_AI),
        replace(SELLS, meaning="How the video sells: 0 = does not, 1 = video, 2 = live.", evidence=SPECIFIED),
        gained("views_gained", "[].total_views_cnt", "Views gained in the cycle.", "views", "views"),
        gained("likes_gained", "[].total_digg_cnt", "Likes gained in the cycle.", "likes"),
        gained("comments_gained", "[].total_comments_cnt", "Comments gained in the cycle.", "comments"),
        gained("shares_gained", "[].total_shares_cnt", "Shares gained in the cycle.", "shares"),
        gained("favorites_gained", "[].total_favorites_cnt", "Saves gained in the cycle.", "saves"),
        gained("units_period_est", "[].total_video_sale_cnt", "Units sold in the cycle, estimated.", "units",
               "units"),
        gained("gmv_period_est", "[].total_video_sale_gmv_amt", "Sales value of the cycle, estimated.", GMV,
               "units", kind="number"),
        cover("[].reflow_cover", f"{SPECIFIED}; a user got 403 for such addresses"),
        *METADATA,
    ),
    leads_to={**BY_USER, "fetch_videos": ("video_id", "videos")},
))


@fetch_function(VIDEO_RANKINGS)
def fetch_video_rankings(
    *,
    region: str,
    date: Day | None = None,
    cycle: str = "day",
    ranked_by: str = "views",
    category_id: str | int | None = None,
    ai_only: bool = False,
    limit: int | None = 20,
    max_age: MaxAge = None,
    client: Client | None = None,
) -> Call:
    """Return the videos that lead a market in a day, week or month, and what each gained in it.

    Examples
    --------
    >>> kr.plan(kr.fetch_video_rankings, region="US", cycle="week", limit=30).credits
    3
    """
    return call_of(VIDEO_RANKINGS, locals())
