"""Music: the detail of some sounds, and the top 100 of a market."""

# fmt: off - a declaration reads as a table: one entry, one line or two
from __future__ import annotations

from typing import Final

from ..arguments import check_id
from ..client import Call, Client
from ..fetch import Errors, Ids, MaxAge, call_of, fetch_function
from ..model import PAGES, Column, Endpoint, Parameter, Table, declare
from ..places import Field, FromQuery, Position
from ..settings import read_flag
from .audiences import audience_columns, audience_rows
from .shared import (
    A_PARAMETER,
    BY_NAME,
    LISTED,
    METADATA,
    MUSIC_REGION,
    NEW_ONLY,
    NEW_ONLY_PARAMETER,
    PERIOD,
    REGION,
    REPORTED,
    SAMPLE,
    SEARCH,
    SEARCH_PARAMETER,
    TREND_POINTS,
    count_of,
    cover,
    id_column,
    longevity_columns,
    period_parameter,
    rank_columns,
    rank_movement,
    trend_columns,
)

MUSIC_DETAIL = Endpoint(
    name="music_detail",
    path="/v1/tiktok/trending/music/detail",
    credits=2,
    page="热门音乐详情 (trending music detail)",
    entity=Parameter("clip_ids", "clip_id", "clip_id", check_id, "Ids of sounds (clip ids)."),
    parameters=(MUSIC_REGION, period_parameter(7, 30, 120)),
    identity=Field("sound.clip_id"),
    record="sound",
    not_tabled=("sound.clip_id", "liked", "disliked", "sound.is_search", "sound.rank_diff_type"),
    example="6703723351497508865",
)


_CLIP = id_column("clip_id", "id", "TikTok's id of the sound.", Field("sound.clip_id"))
_MUSIC_KEY: Final = ("region", "period", "clip_id")
_OF_MUSIC: Final = ((_MUSIC_KEY, "music"),)


def _sound_columns(base: str) -> tuple[Column, ...]:
    return (
        Column("song_id", "id", Field(f"{base}.song_id"), "Another id of the song.",
               "unknown: how it relates to clip_id is not documented", optional=True),
        Column("title", "text", Field(f"{base}.title"), "Title.", REPORTED),
        Column("author", "text", Field(f"{base}.author"), "Artist.", REPORTED),
        Column("duration_s", "count", Field(f"{base}.duration"), "Length.", REPORTED, "seconds", 0),
        Column("market", "text", Field(f"{base}.country_code"), "Market the answer names, ISO-2.", SAMPLE),
        Column("commercial_use", "flag", Field(f"{base}.if_cml"), "Whether the sound is cleared for commercial use.",
               f"{REPORTED}; CML read as Commercial Music Library is inferred"),
        Column("promoted", "flag", Field(f"{base}.promoted"), "Whether the sound is promoted.", BY_NAME),
    )


def _list_count(base: str) -> Column:
    return Column("times_on_list", "count", Field(f"{base}.on_list_times"), "By its name, times on the chart.",
                  "unknown: null in every sample", "times", 0, optional=True)


def _sound_links(base: str) -> tuple[Column, ...]:
    return (
        Column("slug", "text", Field(f"{base}.url_title"), "Title as in TikTok's page address.", SAMPLE),
        Column("url", "text", Field(f"{base}.link"), "Page of the sound on TikTok.", SAMPLE, "URL"),
    )


MUSIC = declare(Table(
    MUSIC_DETAIL,
    name="music",
    row="sound",
    key=_MUSIC_KEY,
    rows=("sound",),
    columns=(
        REGION, PERIOD, _CLIP,
        *_sound_columns("sound"),
        *rank_columns("sound", "inferred: null in the detail, filled in the list", optional=True),
        _list_count("sound"),
        Column("likes", "count", Field("like_count"), "Likes of the sound's page.",
               "unknown: null in every sample, apparently needs a logged-in user", "likes", 0, optional=True),
        *longevity_columns("sound"),
        count_of("n_trend_points", "sound.trend", TREND_POINTS),
        count_of("n_audience_ages", "sound.audience_ages", "age bands", optional=True),
        count_of("n_audience_interests", "sound.audience_interests", "interests", optional=True),
        count_of("n_audience_countries", "sound.audience_countries", "countries", optional=True),
        count_of("n_videos", "sound.related_items", "videos", optional=True),
        *_sound_links("sound"),
        Column("audio_url", "text", Field("sound.music_url"), "Address of the audio file.", REPORTED, "URL",
               optional=True),
        cover("sound.cover", REPORTED),
        *METADATA,
    ),
))
MUSIC_TRENDS = declare(Table(
    MUSIC_DETAIL,
    name="music_trends",
    row="sound x date",
    key=(*_MUSIC_KEY, "date"),
    rows=("sound.trend[]",),
    sorted_by="date",
    columns=(REGION, PERIOD, _CLIP, *trend_columns("sound.trend"), *METADATA),
    references=_OF_MUSIC, reached_by="trend",
))
MUSIC_AUDIENCE = declare(Table(
    MUSIC_DETAIL,
    name="music_audience",
    row="sound x segment",
    key=(*_MUSIC_KEY, "dimension", "segment_id"),
    rows=audience_rows("sound"),
    columns=(REGION, PERIOD, _CLIP, *audience_columns("sound"), *METADATA),
    references=_OF_MUSIC, reached_by="audience",
))
MUSIC_VIDEOS = declare(Table(
    MUSIC_DETAIL,
    name="music_videos",
    row="sound x video",
    key=(*_MUSIC_KEY, "position"),
    rows=("sound.related_items[]",),
    columns=(
        REGION, PERIOD, _CLIP,
        Column("position", "count", Position("data.sound.related_items[]"), "Place in the answer's list.",
               "unknown: what the order means is not documented", "place", 1),
        Column("video_id", "id", Field("sound.related_items[].item_id"),
               "Example video that uses the sound. An id ending in 000 may have been rounded before it reached "
               "KeyAPI; that cannot be repaired.",
               "inferred: documents conflict (related music or videos); the ids are those of videos", optional=True),
        Column("cover_uri", "text", Field("sound.related_items[].cover_uri"), "Cover of that video (not an address).",
               "inferred: from a third party's samples; null in KeyAPI's example", optional=True),
        *METADATA,
    ),
    references=_OF_MUSIC, reached_by="example_videos",
    leads_to={"fetch_videos": ("video_id", "videos")},
))


@fetch_function(MUSIC)
def fetch_music(
    clip_ids: Ids,
    *,
    region: str = "US",
    period: int | str = 7,
    max_age: MaxAge = None,
    errors: Errors = "raise",
    client: Client | None = None,
) -> Call:
    """Return the title, author, rank and likes of sounds, one row per sound.

    Examples
    --------
    >>> kr.fetch_music("6703723351497508865")["title"].item()
    'New Sun'
    """
    return call_of(MUSIC, locals())


@fetch_function(MUSIC_TRENDS)
def fetch_music_trends(
    clip_ids: Ids,
    *,
    region: str = "US",
    period: int | str = 7,
    max_age: MaxAge = None,
    errors: Errors = "raise",
    client: Client | None = None,
) -> Call:
    """Return the popularity of sounds over time, each relative to its own peak.

    Examples
    --------
    >>> kr.fetch_music_trends("6703723351497508865")["share_of_peak"].tolist()
    [0.06, 0.05, 0.31, 0.3, 0.1, 0.36, 1.0]
    """
    return call_of(MUSIC_TRENDS, locals())


@fetch_function(MUSIC_AUDIENCE)
def fetch_music_audience(
    clip_ids: Ids,
    *,
    region: str = "US",
    period: int | str = 7,
    max_age: MaxAge = None,
    errors: Errors = "raise",
    client: Client | None = None,
) -> Call:
    """Return the audience of sounds: percentages by age, indices by interest and country.

    Examples
    --------
    >>> kr.fetch_music_audience("6703723351497508865")["dimension"].value_counts().to_dict()
    {'country': 10, 'interest': 5}
    """
    return call_of(MUSIC_AUDIENCE, locals())


@fetch_function(MUSIC_VIDEOS)
def fetch_music_videos(
    clip_ids: Ids,
    *,
    region: str = "US",
    period: int | str = 7,
    max_age: MaxAge = None,
    errors: Errors = "raise",
    client: Client | None = None,
) -> Call:
    """Return example videos of sounds.

    Examples
    --------
    >>> len(kr.fetch_music_videos("6703723351497508865"))
    0
    """
    return call_of(MUSIC_VIDEOS, locals())


MUSIC_RANKING = Endpoint(
    name="trending_music",
    path="/v1/tiktok/trending/music",
    credits=2,
    page="trending music (list)",
    parameters=(
        MUSIC_REGION, period_parameter(7, 30, 120), SEARCH_PARAMETER, NEW_ONLY_PARAMETER,
        Parameter("commercial_only", "commercial_only", "commercial_music", read_flag,
                  "Only sounds cleared for commercial use.", default=False),
    ),
    identity=Field("sound_list[].clip_id"),
    record="sound_list",
    paging=PAGES,
    not_tabled=("pagination", "has_more", "sound_list[].is_search", "sound_list[].related_items"),
)


_MUSIC_LIST_KEY: Final = ("region", "period", "search", "new_only", "commercial_only", "clip_id")
_MUSIC_LIST_REQUESTED: Final = (
    REGION, PERIOD, SEARCH, NEW_ONLY,
    Column("commercial_only", "flag", FromQuery(), "Whether only sounds cleared for commercial use were requested.",
           A_PARAMETER),
)
_LISTED_CLIP = Column("clip_id", "id", Field("sound_list[].clip_id"), "TikTok's id of the sound.", LISTED)

TRENDING_MUSIC = declare(Table(
    MUSIC_RANKING,
    name="trending_music",
    row="sound in the top 100",
    key=_MUSIC_LIST_KEY,
    rows=("sound_list[]",),
    columns=(
        *_MUSIC_LIST_REQUESTED,
        *rank_columns("sound_list[]", LISTED, optional=False),
        rank_movement("sound_list[]"),
        _LISTED_CLIP,
        *_sound_columns("sound_list[]"),
        _list_count("sound_list[]"),
        count_of("n_trend_points", "sound_list[].trend", TREND_POINTS),
        count_of("n_videos", "sound_list[].related_items", "videos", optional=True),
        *_sound_links("sound_list[]"),
        cover("sound_list[].cover", REPORTED),
        *METADATA,
    ),
    leads_to={"fetch_details": ("clip_id", "music")},
))
TRENDING_MUSIC_TRENDS = declare(Table(
    MUSIC_RANKING,
    name="trending_music_trends",
    row="sound in the top 100 x date",
    key=(*_MUSIC_LIST_KEY, "date"),
    rows=("sound_list[].trend[]",),
    sorted_by="date",
    columns=(*_MUSIC_LIST_REQUESTED, _LISTED_CLIP, *trend_columns("sound_list[].trend"), *METADATA),
    references=((_MUSIC_LIST_KEY, "trending_music"),), reached_by="trend",
))


@fetch_function(TRENDING_MUSIC)
def fetch_trending_music(
    *,
    region: str = "US",
    period: int | str = 7,
    search: str | None = None,
    new_only: bool = False,
    commercial_only: bool = False,
    limit: int | None = 20,
    max_age: MaxAge = None,
    client: Client | None = None,
) -> Call:
    """Return the top 100 sounds.

    Examples
    --------
    >>> len(kr.fetch_trending_music(region="US", limit=5))
    5
    """
    return call_of(TRENDING_MUSIC, locals())


@fetch_function(TRENDING_MUSIC_TRENDS)
def fetch_trending_music_trends(
    *,
    region: str = "US",
    period: int | str = 7,
    search: str | None = None,
    new_only: bool = False,
    commercial_only: bool = False,
    limit: int | None = 20,
    max_age: MaxAge = None,
    client: Client | None = None,
) -> Call:
    """Return the popularity over time of the top 100 sounds.

    Examples
    --------
    >>> int(kr.fetch_trending_music_trends(region="US", limit=5)["clip_id"].nunique())
    5
    """
    return call_of(TRENDING_MUSIC_TRENDS, locals())
