"""Videos: who posted them, what they are, how they did."""

# fmt: off - a declaration reads as a table: one entry, one line or two
from __future__ import annotations

from typing import Final

from ..arguments import check_id
from ..client import Call, Client
from ..fetch import Errors, Ids, MaxAge, call_of, fetch_function
from ..model import Column, Endpoint, Parameter, Table, declare
from ..places import Field, FromQuery
from .shared import METADATA, REPORTED, SAMPLE, cover

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
    example="7117191641181555995",
)


_LIFETIME: Final = "inferred: by its name, a lifetime total at the last crawl"


def _grown(name: str, path: str, what: str, days: int) -> Column:
    plural = "s" if days > 1 else ""
    return Column(name, "integer", Field(path), f"{what} gained in the last {days} day{plural} before the crawl.",
                  "documented: the response schema's title; may be a day or more behind the call", what.lower())


VIDEOS = declare(Table(
    VIDEO_ANALYTICS,
    name="videos",
    row="video",
    key=("video_id",),
    rows=("[]",),
    columns=(
        Column("video_id", "id", FromQuery(Field("[].video_id")), "TikTok's id of the video.",
               "documented: response schema"),
        Column("user_id", "id", Field("[].user_id"), "TikTok's id of the creator.", "documented: response schema"),
        Column("username", "text", Field("[].unique_id"), "Handle of the creator, without @.",
               "documented: EchoTik calls it the TikTok ID"),
        Column("description", "text", Field("[].video_desc"), "Caption, hashtags included.", REPORTED),
        Column("created_at", "time", Field("[].create_time"), "When the video was posted.",
               "inferred: reported as epoch seconds; the video id's own time agrees", "UTC"),
        Column("creator_region", "text", Field("[].region"), "Region of the creator or the video, ISO-2.", SAMPLE,
               optional=True),
        Column("duration_s", "count", Field("[].duration"), "Length.", REPORTED, "seconds", 0),
        Column("width_px", "count", Field("[].width"), "Frame width.", REPORTED, "pixels", 0),
        Column("height_px", "count", Field("[].height"), "Frame height.", REPORTED, "pixels", 0),
        Column("resolution", "text", Field("[].ratio"), "Resolution label as 720p, not an aspect ratio.", REPORTED),
        Column("size_bytes", "count", Field("[].data_size"), "File size.", REPORTED, "bytes", 0),
        Column("ai_generated", "flag", Field("[].created_by_ai"), "Whether the video is marked as made by AI.",
               "documented: by EchoTik, as a parameter of its rank list"),
        Column("sales_flag", "integer", Field("[].sales_flag"),
               "How the video sells: 0 = not. A flag without sales occurs.",
               "documented: 0 in the response schema; 1 = video, 2 = live for a sibling endpoint only", "code"),
        Column("views", "count", Field("[].total_views_cnt"), "Views.", _LIFETIME, "views", 0),
        Column("likes", "count", Field("[].total_digg_cnt"), "Likes.",
               "documented: the response schema's title", "likes", 0),
        Column("comments", "count", Field("[].total_comments_cnt"), "Comments.", _LIFETIME, "comments", 0),
        Column("shares", "count", Field("[].total_shares_cnt"), "Shares.", _LIFETIME, "shares", 0),
        Column("favorites", "count", Field("[].total_favorites_cnt"), "Saves.",
               f"{_LIFETIME}; -99999 is read as not available", "saves", 0),
        _grown("views_1d", "[].total_views_1d_cnt", "Views", 1),
        _grown("views_7d", "[].total_views_7d_cnt", "Views", 7),
        _grown("views_30d", "[].total_views_30d_cnt", "Views", 30),
        _grown("likes_1d", "[].total_digg_1d_cnt", "Likes", 1),
        _grown("likes_7d", "[].total_digg_7d_cnt", "Likes", 7),
        _grown("likes_30d", "[].total_digg_30d_cnt", "Likes", 30),
        Column("units_sold_est", "count", Field("[].total_video_sale_cnt"), "Units sold, estimated by KeyAPI.",
               "documented: the response schema calls it estimated", "units", 0),
        Column("gmv_est", "number", Field("[].total_video_sale_gmv_amt"),
               "Sales value, estimated by KeyAPI. A 0 may mean not computed: until mid-2026 a user saw 0 for all.",
               "documented: as an estimate; the currency is not (USD by a third party's field map)",
               "money, currency not documented", 0),
        cover("[].reflow_cover", "documented: response schema; signed addresses expire"),
        *METADATA,
    ),
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
