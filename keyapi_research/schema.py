"""The tables: every column declared once.

From these declarations come the parsing, the dtypes, the empty frames, `describe` and the data dictionary, the
CSV reader, the data package schema and the tests. A path starts at the answer's `data`; `[]` means "each item",
so a table has one row per answer (no `[]` in its `rows`) or one per item of a list.

Statuses are `documented` (KeyAPI's or TikTok's own pages say so), `inferred` (from samples, arithmetic or other
people's documentation) and `unknown`, each with its reason.
"""

# fmt: off - a declaration reads as a table: one entry, one line or two
from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

DTYPES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "id": "string",
        "text": "string",
        "hashtag": "string",
        "count": "Int64",
        "integer": "Int64",
        "number": "float64",
        "flag": "boolean",
        "time": "datetime64[us, UTC]",
    }
)
NOT_AVAILABLE: Final = -99999  # the sentinel of video analytics
NO_ID: Final = str(NOT_AVAILABLE)
FLAG_WORDS: Final[Mapping[str, bool]] = MappingProxyType({"true": True, "1": True, "false": False, "0": False})
_EXACT_FLOATS: Final = 2**53


# Marks without width, marks of direction, and what asks for a colourful or a plain emoji.
_UNSEEN: Final = (
    0x00AD, 0x034F, 0x061C, 0x180E, 0x200B, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2060, 0x2070),
    0xFE0E, 0xFE0F, 0xFEFF, *range(0xFFF9, 0xFFFC),
)
_FOLDED: Final = dict.fromkeys(_UNSEEN) | {full: full - 0xFEE0 for full in range(0xFF01, 0xFF5F)}  # full-width ASCII
_JOINERS: Final = re.compile(r"(.?)([\u200c\u200d]+)(?=(.?))", re.DOTALL)
_LEAD: Final = re.compile(r"[\s#]*")
_LONGEST_NAME: Final = 1000  # TikTok's have 100 at most; sorting the accents of a long text takes minutes


def _joined(found: re.Match[str]) -> str:
    """Keep joiners where they join: scripts and emoji have them, ASCII has not."""
    before, joiners, after = found.groups()
    return before + joiners if before > "\x7f" and after > "\x7f" else before


def _write_hashtag(name: str) -> str:
    text = name.strip().lower() if name.isascii() else _write_letters(name).strip()
    lead = _LEAD.match(text) if text.startswith("#") else None
    return text[lead.end() :] if lead and lead[0].count("#") == 1 else text


def _write_letters(name: str) -> str:
    text = unicodedata.normalize("NFC", name.translate(_FOLDED))
    text = text.lower().replace("i\u0307", "i")  # the small form of a capital I with dot
    return unicodedata.normalize("NFC", _JOINERS.sub(_joined, text))


def normal_hashtag(name: str) -> str:
    """Write a hashtag name the one way it is asked, keyed and compared; what is written so stays so.

    Parameters
    ----------
    name : str
        A name, with or without its `#`.

    Returns
    -------
    str
        Stripped, one leading `#` dropped, without marks that nobody sees, full-width letters as usual ones, NFC,
        lower-cased. What is too long for a name is only stripped.
    """
    text = name.strip()
    while len(text) <= _LONGEST_NAME and (written := _write_hashtag(text)) != text:
        text = written  # what was dropped may have kept apart what belongs together
    return text


def writable(text: str) -> str:
    """Replace half a surrogate pair, which no file can hold; JSON can.

    Parameters
    ----------
    text : str
        Any text.

    Returns
    -------
    str
        The same where it can be written.
    """
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def is_blank(value: object) -> bool:
    """Whether an answer has nothing there: null, text without a character, or the sentinel.

    Parameters
    ----------
    value : object
        What the answer has.

    Returns
    -------
    bool
        False also for what is there and cannot be read.
    """
    if isinstance(value, str):
        return value.strip() in {"", NO_ID}
    return value is None or value == NOT_AVAILABLE


def plain_id(value: object) -> str | None:
    """Write an id of an answer as text, whatever JSON type it came in; None where digits may be lost.

    Parameters
    ----------
    value : object
        What the answer has: text, a whole number, or anything else.

    Returns
    -------
    str or None
        The id; None for missing values and for numbers too large for the type they came in.
    """
    if is_blank(value):
        return None
    if isinstance(value, str):
        return writable(value.strip())
    if isinstance(value, float) and value.is_integer() and abs(value) < _EXACT_FLOATS:
        return str(int(value))
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else None


# Where a value comes from -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Field:
    """A value of the answer."""

    path: str

    def __str__(self) -> str:
        return f"data.{self.path}".replace("data.[]", "data[]")


@dataclass(frozen=True, slots=True)
class CountOf:
    """How many items a list of the answer has."""

    path: str

    def __str__(self) -> str:
        return f"len(data.{self.path})"


@dataclass(frozen=True, slots=True)
class Position:
    """Place in the list the rows come from, from 1."""

    of: str

    def __str__(self) -> str:
        return f"place in {self.of}"


@dataclass(frozen=True, slots=True)
class Constant:
    """Which of several lists a row comes from."""

    value: str

    def __str__(self) -> str:
        return f'"{self.value}"'


@dataclass(frozen=True, slots=True)
class Coded:
    """A code of the answer, translated; codes that are not listed give a missing value."""

    path: str
    codes: Mapping[int, str]

    def __str__(self) -> str:
        return f"{Field(self.path)} ({', '.join(f'{code} = {name}' for code, name in self.codes.items())})"


@dataclass(frozen=True, slots=True)
class DeepestLevel:
    """A leaf of the deepest level whose id is there; an id that cannot be read is there, too."""

    levels: tuple[str, ...]
    leaf: str

    def __str__(self) -> str:
        return f"deepest present of {', '.join(f'{Field(level)}.{self.leaf}' for level in self.levels)}"


@dataclass(frozen=True, slots=True)
class FromQuery:
    """A parameter of the call. The answers do not say it, but for the id, which is checked."""

    checked: Field | DeepestLevel | None = None

    def __str__(self) -> str:
        return f"asked for (= {self.checked}, checked)" if self.checked else "asked for"


@dataclass(frozen=True, slots=True)
class PerList:
    """One place for each list of the table's rows, in their order."""

    places: tuple[Constant | Field | Coded | None, ...]

    def __str__(self) -> str:
        return " or ".join("NA" if place is None else str(place) for place in self.places)


@dataclass(frozen=True, slots=True)
class Metadata:
    """Something the package knows about the answer itself."""

    what: str

    def __str__(self) -> str:
        return self.what


Place = FromQuery | Field | CountOf | Position | Coded | DeepestLevel | PerList | Metadata


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table.

    `evidence` is the status and its reason; where parts of a meaning are known differently, the weakest counts.
    `least` and `most` are the values that can be right: others become missing, reported unless they are negative
    counts. `zero_beside` names a column whose zero makes a zero here mean "not computable". `optional` columns
    are known to be left out of answers at times.
    """

    name: str
    kind: str
    place: Place
    meaning: str
    evidence: str
    unit: str = ""
    least: float | None = None
    most: float | None = None
    zero_beside: str = ""
    optional: bool = False

    @property
    def dtype(self) -> str:
        """The pandas dtype."""
        return DTYPES[self.kind]

    @property
    def status(self) -> str:
        """How far its meaning is known: documented, inferred or unknown."""
        return self.evidence.partition(":")[0]

    @property
    def reason(self) -> str:
        """Why it is known that far."""
        return self.evidence.partition(": ")[2]


@dataclass(frozen=True, eq=False, slots=True)
class Table:
    """One tidy table: its columns, key and the lists its rows come from."""

    name: str
    row: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]
    rows: tuple[str, ...]
    sorted_by: str = ""
    references: tuple[tuple[tuple[str, ...], str], ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Column names in order."""
        return tuple(column.name for column in self.columns)

    def __getitem__(self, name: str) -> Column:
        return next(column for column in self.columns if column.name == name)


# Columns that many tables share -----------------------------------------------------------------------------

_PERIOD: Final = "documented: a parameter of the endpoint"
_SAMPLE: Final = "inferred: read off KeyAPI's example answer"
_NAME: Final = "inferred: from the field's name"
_TREND: Final = (
    "inferred: the scale of 0..1; that each point is relative to the series' own peak is documented by TikTok's page"
)

REGION = Column("region", "text", FromQuery(), "Country (ISO-2) or all_regions, as asked for.", _PERIOD)
TIME_SCOPE = Column(
    "time_scope", "text", FromQuery(), "Window as asked for: 1, 7 or 30 days back, or a month YYYY-MM.", _PERIOD
)
PERIOD = Column("period", "integer", FromQuery(), "Window as asked for, in days back.", _PERIOD, "days")
SEARCH = Column("search", "text", FromQuery(), "Search word as asked for; missing = no search.", _PERIOD)
NEW_ONLY = Column("new_only", "flag", FromQuery(), "Whether only entries new to the top 100 were asked for.", _PERIOD)
OBSERVED_AT = Column(
    "observed_at", "time", Metadata("when the answer arrived"),
    "When the answer arrived here. The day the figures refer to is not in the answer.",
    "documented: stamped by this package", "UTC",
)
SOURCE = Column(
    "source", "text", Metadata("where the answer came from"),
    "keyapi, sandbox (synthetic data), or the host of another base URL.", "documented: stamped by this package",
)
_METADATA: Final = (OBSERVED_AT, SOURCE)

AGE_BANDS: Final[Mapping[int, str]] = MappingProxyType(
    {18: "18-24", 25: "25-34", 35: "35-44", 45: "45-54", 55: "55+", 3: "18-24", 4: "25-34", 5: "35+"}
)
RANK_MOVEMENTS: Final[Mapping[int, str]] = MappingProxyType({1: "up", 2: "same", 3: "down", 4: "new"})
_AGES: Final = (
    "age bands are inferred (products: 18..55 equal TikTok Ads' bands and end at 55+; hashtags and music: 3, 4, 5 "
    "are read as 18-24, 25-34, 35+ from public code, other public maps disagree); so a 35+ and a 55+ band are "
    "not the same people"
)


def _levels(base: str) -> tuple[str, ...]:
    return tuple(f"{base}.{level}_ecom_category" for level in ("third", "second", "first"))


def category_identity(base: str) -> DeepestLevel:
    """Where a product category says which one it is."""
    return DeepestLevel(_levels(base), "id")


def category_extras(base: str) -> tuple[str, ...]:
    """List what a product category carries that no column has."""
    return tuple(f"{level}.{leaf}" for level in _levels(base) for leaf in ("label", "parent_id"))


def _category_columns(base: str, category_id: Column) -> tuple[Column, ...]:
    """Columns of a product category: its own id first, then the levels above."""
    third, second, first = _levels(base)
    of_level = [
        Column(f"category_l{number}{suffix}", kind, Field(f"{path}.{leaf}"),
               f"{what} of the level-{number} category.", _SAMPLE, optional=number > 1)
        for number, path in ((1, first), (2, second), (3, third))
        for suffix, kind, leaf, what in (("_id", "id", "id", "Id"), ("", "text", "value", "English name"))
    ]
    return (
        category_id,
        Column("category", "text", DeepestLevel((third, second, first), "value"),
               "English name of the category: the deepest level present.", _SAMPLE),
        Column("category_level", "text", Field(f"{base}.ecom_type"), "Level of the row: l1, l2 or l3.",
               "inferred: equals an upstream request parameter of that name"),
        *of_level,
        Column("slug", "text", Field(f"{base}.url_title"), "Name as in TikTok's page address.", _SAMPLE),
    )


def _cover(path: str, status: str = "unknown: null in every sample") -> Column:
    return Column("cover_url", "text", Field(path), "Address of the cover image; signed addresses expire.",
                  status, "URL", optional=True)


def _count_of(name: str, path: str, what: str, *, optional: bool = False) -> Column:
    return Column(name, "count", CountOf(path),
                  f"Number of {what} in the answer: 0 = none, missing = the answer does not tell.",
                  "documented: counted by this package", what, 0, optional=optional)


_TREND_COUNT: Final = "trend points"


def _asked_key(name: str, kind: str, meaning: str, checked: Field | DeepestLevel) -> Column:
    return Column(name, kind, FromQuery(checked), meaning, "documented: the endpoint is asked by it")


def _trend_columns(path: str) -> tuple[Column, ...]:
    return (
        Column("date", "time", Field(f"{path}[].time"),
               "Start of the bucket, 00:00 UTC. Compute the step from the data, never from the period.",
               "inferred: all samples fall on 00:00 UTC; daily at 7 days, weekly at 120", "UTC"),
        Column("share_of_peak", "number", Field(f"{path}[].value"),
               "Popularity relative to this series' own peak in this window. Levels of two series, regions or "
               "pulls cannot be compared.", _TREND, "share of own peak", 0, 1),
    )


_DIMENSIONS: Final[Mapping[str, str]] = MappingProxyType(
    {"age": "ages", "interest": "interests", "country": "countries"}
)


def _audience_rows(base: str) -> tuple[str, ...]:
    return tuple(f"{base}.audience_{plural}[]" for plural in _DIMENSIONS.values())


def _audience_columns(base: str) -> tuple[Column, ...]:
    lists = dict(zip(_DIMENSIONS, _audience_rows(base), strict=True))
    info = {name: f"{lists[name]}.{name}_info" for name in lists if name != "age"}
    age = f"{lists['age']}.age_level"

    def per_list(of_age: Constant | Field | Coded | None, leaf: str) -> PerList:
        return PerList((of_age, *(Field(f"{path}.{leaf}") for path in info.values())))

    return (
        Column("dimension", "text", PerList(tuple(Constant(name) for name in lists)),
               "What the audience is split by: age, interest or country (of products no country was seen).",
               "documented: which list the row is in"),
        Column("segment_id", "id", per_list(Field(age), "id"),
               "Code of the segment: the API's age_level; the id of the interest; the GeoNames id of the country. "
               "Interest ids of products and of hashtags and music are different lists.", f"inferred: {_AGES}"),
        Column("segment_code", "text", per_list(None, "label"),
               "Label of the interest, ISO-2 code of the country; missing for ages.",
               "inferred: read off samples; the interests of products are a third party's"),
        Column("segment", "text", per_list(Coded(age, AGE_BANDS), "value"),
               "Age band, English name of the interest or the country.", f"inferred: {_AGES}"),
        Column("score", "number", PerList(tuple(Field(f"{path}.score") for path in lists.values())),
               "Ages: percent of the audience. Interests and countries: an index, 100 = average; not a share, "
               "unbounded, never summed.",
               "inferred: ages by their sum of 100, interests by likeness to countries; for countries TikTok's page "
               "documents it (200 = twice as popular there as worldwide)", "see score_unit", 0),
        Column("score_unit", "text", PerList(tuple(Constant("percent" if name == "age" else "index")
                                                  for name in lists)),
               "percent (ages) or index (100 = average).", "inferred: see score"),
    )


def _longevity(base: str) -> tuple[Column, ...]:
    status = "unknown: 0 in every sample, so a zero is no evidence of zero"
    return (
        Column("popular_days", "count", Field(f"{base}.longevity.popular_days"), "By its name, days of popularity.",
               status, "days?", 0),
        Column("current_popularity", "count", Field(f"{base}.longevity.current_popularity"),
               "By its name, popularity now.", status, "?", 0),
    )


# Products ---------------------------------------------------------------------------------------------------

_SMALL_MONEY: Final = "money, probably USD"
_CURRENCY: Final = "the currency is not documented; implied costs per thousand impressions fit USD"
_ENGAGEMENT: Final = "inferred: whether of the category's videos or its ads is not stated"
_INSIGHT: Final = "list[]"

_TOTAL_NOTE: Final = "do not derive clicks or conversions from it: the columns of a row do not reconcile"

PRODUCT_INSIGHTS = Table(
    name="product_insights",
    row="product category in the ranking",
    key=("region", "time_scope", "search", "filter_category_id", "category_id"),
    rows=(_INSIGHT,),
    columns=(
        REGION, TIME_SCOPE, SEARCH,
        Column("filter_category_id", "id", FromQuery(), "Category filter as asked for; missing = none.", _PERIOD),
        Column("position", "count", Position("the ranking"), "Place in the ranking as asked, filters included.",
               "inferred: the answers are in ranking order; what ranks them is not documented", "rank", 1),
        *_category_columns(
            _INSIGHT,
            Column("category_id", "id", category_identity(_INSIGHT),
                   "Id of the category: the deepest level present.",
                   "documented: the third level is what product detail is asked by; the levels above are inferred"),
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
               "Cost per action. 0 beside a cvr of 0 means no conversions, not free, and is missing here.",
               f"inferred: {_CURRENCY}", f"{_SMALL_MONEY}, per conversion", 0, zero_beside="cvr_pct"),
        Column("cost", "number", Field("list[].cost"), "Ad spend, rounded to about 3 digits.",
               f"inferred: {_CURRENCY}", _SMALL_MONEY, 0),
        Column("likes", "count", Field("list[].like"), "Likes over the window.", _ENGAGEMENT, "likes", 0),
        Column("comments", "count", Field("list[].comment"), "Comments over the window.", _ENGAGEMENT, "comments", 0),
        Column("shares", "count", Field("list[].share"), "Shares over the window.", _ENGAGEMENT, "shares", 0),
        _cover("list[].cover_url"),
        *_METADATA,
    ),
)

_CATEGORY_ID = _asked_key("category_id", "id", "Id of the product category asked for.",
                          category_identity("info"))
_PRODUCT_KEY: Final = ("region", "time_scope", "category_id")
_OF_DETAILS: Final = ((_PRODUCT_KEY, "product_details"),)

PRODUCT_DETAILS = Table(
    name="product_details",
    row="product category",
    key=_PRODUCT_KEY,
    rows=("info",),
    columns=(
        REGION, TIME_SCOPE,
        *_category_columns("info", _CATEGORY_ID),
        _count_of("n_posts", "info.posts", "videos"),
        _count_of("n_hashtags", "info.hashtags", "hashtags"),
        _count_of("n_audience_ages", "info.audience_ages", "age bands", optional=True),
        _count_of("n_audience_interests", "info.audience_interests", "interests", optional=True),
        _cover("info.cover_url"),
        *_METADATA,
    ),
)
PRODUCT_AUDIENCE = Table(
    name="product_audience",
    row="category x segment",
    key=(*_PRODUCT_KEY, "dimension", "segment_id"),
    rows=_audience_rows("info"),
    columns=(REGION, TIME_SCOPE, _CATEGORY_ID, *_audience_columns("info"), *_METADATA),
    references=_OF_DETAILS,
)
PRODUCT_HASHTAGS = Table(
    name="product_hashtags",
    row="category x hashtag",
    key=(*_PRODUCT_KEY, "position"),
    rows=("info.hashtags[]",),
    columns=(
        REGION, TIME_SCOPE, _CATEGORY_ID,
        Column("position", "count", Position("data.info.hashtags[]"), "Place in the answer's list.",
               "unknown: what the order means is not documented", "place", 1),
        Column("hashtag_name", "hashtag", Field("info.hashtags[]"), "Related popular hashtag, as it is asked for.",
               "inferred: reported by an unofficial copy of EchoTik's documentation"),
        *_METADATA,
    ),
    references=_OF_DETAILS,
)
PRODUCT_POSTS = Table(
    name="product_posts",
    row="category x video",
    key=(*_PRODUCT_KEY, "position"),
    rows=("info.posts[]",),
    columns=(
        REGION, TIME_SCOPE, _CATEGORY_ID,
        Column("position", "count", Position("data.info.posts[]"), "Place in the answer's list.",
               "unknown: the order is not documented and not by age", "place", 1),
        Column("video_id", "id", Field("info.posts[]"), "A popular video of the category.",
               "inferred: reported by an unofficial copy of EchoTik's documentation"),
        *_METADATA,
    ),
    references=_OF_DETAILS,
)

# Videos -----------------------------------------------------------------------------------------------------

_REPORTED: Final = "inferred: reported by an unofficial copy of EchoTik's documentation"
_LIFETIME: Final = "inferred: by its name, a lifetime total at the last crawl"


def _grown(name: str, path: str, what: str, days: int) -> Column:
    plural = "s" if days > 1 else ""
    return Column(name, "integer", Field(path), f"{what} gained in the last {days} day{plural} before the crawl.",
                  "documented: the response schema's title; may be a day or more behind the call", what.lower())


VIDEOS = Table(
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
        Column("description", "text", Field("[].video_desc"), "Caption, hashtags included.", _REPORTED),
        Column("created_at", "time", Field("[].create_time"), "When the video was posted.",
               "inferred: reported as epoch seconds; the video id's own time agrees", "UTC"),
        Column("creator_region", "text", Field("[].region"), "Region of the creator or the video, ISO-2.", _SAMPLE,
               optional=True),
        Column("duration_s", "count", Field("[].duration"), "Length.", _REPORTED, "seconds", 0),
        Column("width_px", "count", Field("[].width"), "Frame width.", _REPORTED, "pixels", 0),
        Column("height_px", "count", Field("[].height"), "Frame height.", _REPORTED, "pixels", 0),
        Column("resolution", "text", Field("[].ratio"), "Resolution label as 720p, not an aspect ratio.", _REPORTED),
        Column("size_bytes", "count", Field("[].data_size"), "File size.", _REPORTED, "bytes", 0),
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
        Column("gmv_est", "number", Field("[].total_video_sale_gmv_amt"), "Sales value, estimated by KeyAPI.",
               "documented: as an estimate; the currency is not (USD by a third party's field map)",
               "money, currency not documented", 0),
        _cover("[].reflow_cover", "documented: response schema; signed addresses expire"),
        *_METADATA,
    ),
)

# Hashtags ---------------------------------------------------------------------------------------------------

_HASHTAG = _asked_key("hashtag_name", "hashtag", "Name as asked for: lower case, without #.",
                      Field("info.hashtag_name"))
_HASHTAG_KEY: Final = ("region", "period", "hashtag_name")
_OF_HASHTAGS: Final = ((_HASHTAG_KEY, "hashtags"),)
_IN_PERIOD: Final = "inferred: in-period by public field notes, and never above the overall figure in the sample"
_OVERALL: Final = "inferred: overall by its name; whether worldwide or of the region is unknown"


def _market_columns(base: str) -> tuple[Column, ...]:
    return (
        Column("market", "text", Field(f"{base}.country_info.label"),
               "Market the answer names: ISO-2, or ALL for all regions.", _SAMPLE),
        Column("market_name", "text", Field(f"{base}.country_info.value"), "Name of that market.", _SAMPLE),
        Column("industry_id", "id", Field(f"{base}.industry_info.id"), "First-level ad industry.", _SAMPLE,
               optional=True),
        Column("industry", "text", Field(f"{base}.industry_info.value"), "Name of that industry.", _SAMPLE,
               optional=True),
        Column("promoted", "flag", Field(f"{base}.is_promoted"), "Whether it belongs to a paid campaign.",
               "inferred: from a public field description"),
    )


HASHTAGS = Table(
    name="hashtags",
    row="hashtag",
    key=_HASHTAG_KEY,
    rows=("info",),
    columns=(
        REGION, PERIOD, _HASHTAG,
        Column("hashtag_id", "id", Field("info.hashtag_id"), "TikTok's challenge id, 16 or 19 digits.", _SAMPLE),
        *_market_columns("info"),
        Column("posts", "count", Field("info.publish_cnt"), "Posts within the period and region.", _IN_PERIOD,
               "posts", 0),
        Column("views", "count", Field("info.video_views"), "Views of those posts.", _IN_PERIOD, "views", 0),
        Column("posts_all", "count", Field("info.publish_cnt_all"), "Posts overall.", _OVERALL, "posts", 0),
        Column("views_all", "count", Field("info.video_views_all"), "Views overall.", _OVERALL, "views", 0),
        *_longevity("info"),
        _count_of("n_trend_points", "info.trend", _TREND_COUNT),
        _count_of("n_audience_ages", "info.audience_ages", "age bands", optional=True),
        _count_of("n_audience_interests", "info.audience_interests", "interests", optional=True),
        _count_of("n_audience_countries", "info.audience_countries", "countries", optional=True),
        _count_of("n_related", "info.related_hashtags", "hashtags"),
        Column("url", "text", Field("info.video_url"), "Page of the hashtag on TikTok (not a video).", _SAMPLE, "URL"),
        *_METADATA,
    ),
)
HASHTAG_TRENDS = Table(
    name="hashtag_trends",
    row="hashtag x date",
    key=(*_HASHTAG_KEY, "date"),
    rows=("info.trend[]",),
    sorted_by="date",
    columns=(REGION, PERIOD, _HASHTAG, *_trend_columns("info.trend"), *_METADATA),
    references=_OF_HASHTAGS,
)
HASHTAG_AUDIENCE = Table(
    name="hashtag_audience",
    row="hashtag x segment",
    key=(*_HASHTAG_KEY, "dimension", "segment_id"),
    rows=_audience_rows("info"),
    columns=(REGION, PERIOD, _HASHTAG, *_audience_columns("info"), *_METADATA),
    references=_OF_HASHTAGS,
)
RELATED_HASHTAGS = Table(
    name="related_hashtags",
    row="hashtag x related hashtag",
    key=(*_HASHTAG_KEY, "position"),
    rows=("info.related_hashtags[]",),
    columns=(
        REGION, PERIOD, _HASHTAG,
        Column("position", "count", Position("data.info.related_hashtags[]"), "Place in the answer's list.",
               "unknown: what the order means is not documented", "place", 1),
        Column("related_hashtag_id", "id", Field("info.related_hashtags[].hashtag_id"),
               "TikTok's id of the related hashtag.", _SAMPLE),
        Column("related_hashtag_name", "text", Field("info.related_hashtags[].hashtag_name"),
               "Its name, as answered.", _SAMPLE),
        Column("related_url", "text", Field("info.related_hashtags[].video_url"), "Its page on TikTok.", _SAMPLE,
               "URL"),
        *_METADATA,
    ),
    references=_OF_HASHTAGS,
)

# Music ------------------------------------------------------------------------------------------------------

_CLIP = _asked_key("clip_id", "id", "TikTok's id of the sound.", Field("sound.clip_id"))
_MUSIC_KEY: Final = ("region", "period", "clip_id")
_OF_MUSIC: Final = ((_MUSIC_KEY, "music"),)


def _sound_columns(base: str) -> tuple[Column, ...]:
    return (
        Column("song_id", "id", Field(f"{base}.song_id"), "Another id of the song.",
               "unknown: how it relates to clip_id is not documented", optional=True),
        Column("title", "text", Field(f"{base}.title"), "Title.", _REPORTED),
        Column("author", "text", Field(f"{base}.author"), "Artist.", _REPORTED),
        Column("duration_s", "count", Field(f"{base}.duration"), "Length.", _REPORTED, "seconds", 0),
        Column("market", "text", Field(f"{base}.country_code"), "Market the answer names, ISO-2.", _SAMPLE),
        Column("commercial_use", "flag", Field(f"{base}.if_cml"), "Whether the sound is cleared for commercial use.",
               f"{_REPORTED}; CML read as Commercial Music Library is inferred"),
        Column("promoted", "flag", Field(f"{base}.promoted"), "Whether the sound is promoted.", _NAME),
    )


def _rank_columns(base: str, status: str, *, optional: bool) -> tuple[Column, ...]:
    return (
        Column("rank", "count", Field(f"{base}.rank"), "Place in the chart.", status, "rank", 0, optional=optional),
        Column("rank_change", "integer", Field(f"{base}.rank_diff"), "Change of the place; missing when new.",
               f"{status}; the sign when falling is unknown", "ranks", optional=True),
    )


def _list_count(base: str) -> Column:
    return Column("times_on_list", "count", Field(f"{base}.on_list_times"), "By its name, times on the chart.",
                  "unknown: null in every sample", "times", 0, optional=True)


def _sound_links(base: str) -> tuple[Column, ...]:
    return (
        Column("slug", "text", Field(f"{base}.url_title"), "Title as in TikTok's page address.", _SAMPLE),
        Column("url", "text", Field(f"{base}.link"), "Page of the sound on TikTok.", _SAMPLE, "URL"),
    )


MUSIC = Table(
    name="music",
    row="sound",
    key=_MUSIC_KEY,
    rows=("sound",),
    columns=(
        REGION, PERIOD, _CLIP,
        *_sound_columns("sound"),
        *_rank_columns("sound", "inferred: null in the detail, filled in the list", optional=True),
        _list_count("sound"),
        Column("likes", "count", Field("like_count"), "Likes of the sound's page.",
               "unknown: null in every sample, apparently needs a logged-in user", "likes", 0, optional=True),
        *_longevity("sound"),
        _count_of("n_trend_points", "sound.trend", _TREND_COUNT),
        _count_of("n_audience_ages", "sound.audience_ages", "age bands", optional=True),
        _count_of("n_audience_interests", "sound.audience_interests", "interests", optional=True),
        _count_of("n_audience_countries", "sound.audience_countries", "countries", optional=True),
        _count_of("n_videos", "sound.related_items", "videos", optional=True),
        *_sound_links("sound"),
        Column("audio_url", "text", Field("sound.music_url"), "Address of the audio file.", _REPORTED, "URL",
               optional=True),
        _cover("sound.cover", _REPORTED),
        *_METADATA,
    ),
)
MUSIC_TRENDS = Table(
    name="music_trends",
    row="sound x date",
    key=(*_MUSIC_KEY, "date"),
    rows=("sound.trend[]",),
    sorted_by="date",
    columns=(REGION, PERIOD, _CLIP, *_trend_columns("sound.trend"), *_METADATA),
    references=_OF_MUSIC,
)
MUSIC_AUDIENCE = Table(
    name="music_audience",
    row="sound x segment",
    key=(*_MUSIC_KEY, "dimension", "segment_id"),
    rows=_audience_rows("sound"),
    columns=(REGION, PERIOD, _CLIP, *_audience_columns("sound"), *_METADATA),
    references=_OF_MUSIC,
)
MUSIC_VIDEOS = Table(
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
        *_METADATA,
    ),
    references=_OF_MUSIC,
)

# Lists ------------------------------------------------------------------------------------------------------

_LISTED: Final = "documented: by KeyAPI's example of the list"
_MOVEMENT_STATUS: Final = "inferred: 1, 2 and 4 from KeyAPI's own examples, 3 = down by elimination"
_FILTER_INDUSTRY = Column(
    "filter_industry_id", "id", FromQuery(), "Industry filter as asked for; missing = none.", _PERIOD
)
_LISTED_HASHTAG = Column("hashtag_name", "hashtag", Field("list[].hashtag_name"), "Name as it is asked for.", _LISTED)
_HASHTAG_LIST_KEY: Final = ("region", "period", "filter_industry_id", "new_only", "hashtag_name")
_HASHTAG_LIST_ASKED: Final = (REGION, PERIOD, _FILTER_INDUSTRY, NEW_ONLY)
_OF_HASHTAG_LIST: Final = ((_HASHTAG_LIST_KEY, "trending_hashtags"),)


def _movement(base: str) -> Column:
    return Column("rank_movement", "text", Coded(f"{base}.rank_diff_type", RANK_MOVEMENTS),
                  "up, same, down or new.", _MOVEMENT_STATUS)


TRENDING_HASHTAGS = Table(
    name="trending_hashtags",
    row="hashtag in the top 100",
    key=_HASHTAG_LIST_KEY,
    rows=("list[]",),
    columns=(
        *_HASHTAG_LIST_ASKED,
        *_rank_columns("list[]", _LISTED, optional=False),
        _movement("list[]"),
        _LISTED_HASHTAG,
        Column("hashtag_id", "id", Field("list[].hashtag_id"), "TikTok's challenge id.", _LISTED),
        *_market_columns("list[]"),
        Column("posts", "count", Field("list[].publish_cnt"), "Posts within the period and region.", _IN_PERIOD,
               "posts", 0),
        Column("views", "count", Field("list[].video_views"), "Views of those posts.", _IN_PERIOD, "views", 0),
        _count_of("n_trend_points", "list[].trend", _TREND_COUNT),
        _count_of("n_creators", "list[].creators", "creators"),
        *_METADATA,
    ),
)
TRENDING_HASHTAG_TRENDS = Table(
    name="trending_hashtag_trends",
    row="hashtag in the top 100 x date",
    key=(*_HASHTAG_LIST_KEY, "date"),
    rows=("list[].trend[]",),
    sorted_by="date",
    columns=(*_HASHTAG_LIST_ASKED, _LISTED_HASHTAG, *_trend_columns("list[].trend"), *_METADATA),
    references=_OF_HASHTAG_LIST,
)
TRENDING_HASHTAG_CREATORS = Table(
    name="trending_hashtag_creators",
    row="hashtag in the top 100 x creator",
    key=(*_HASHTAG_LIST_KEY, "position"),
    rows=("list[].creators[]",),
    columns=(
        *_HASHTAG_LIST_ASKED, _LISTED_HASHTAG,
        Column("position", "count", Position("data.list[].creators[]"), "Place in the answer's list.",
               "unknown: what the order means is not documented", "place", 1),
        Column("creator_name", "text", Field("list[].creators[].nick_name"), "Display name of the creator.", _LISTED),
        Column("avatar_url", "text", Field("list[].creators[].avatar_url"), "Picture of the creator.", _LISTED, "URL"),
        *_METADATA,
    ),
    references=_OF_HASHTAG_LIST,
)

_MUSIC_LIST_KEY: Final = ("region", "period", "search", "new_only", "commercial_only", "clip_id")
_MUSIC_LIST_ASKED: Final = (
    REGION, PERIOD, SEARCH, NEW_ONLY,
    Column("commercial_only", "flag", FromQuery(), "Whether only sounds cleared for commercial use were asked for.",
           _PERIOD),
)
_LISTED_CLIP = Column("clip_id", "id", Field("sound_list[].clip_id"), "TikTok's id of the sound.", _LISTED)

TRENDING_MUSIC = Table(
    name="trending_music",
    row="sound in the top 100",
    key=_MUSIC_LIST_KEY,
    rows=("sound_list[]",),
    columns=(
        *_MUSIC_LIST_ASKED,
        *_rank_columns("sound_list[]", _LISTED, optional=False),
        _movement("sound_list[]"),
        _LISTED_CLIP,
        *_sound_columns("sound_list[]"),
        _list_count("sound_list[]"),
        _count_of("n_trend_points", "sound_list[].trend", _TREND_COUNT),
        _count_of("n_videos", "sound_list[].related_items", "videos", optional=True),
        *_sound_links("sound_list[]"),
        _cover("sound_list[].cover", _REPORTED),
        *_METADATA,
    ),
)
TRENDING_MUSIC_TRENDS = Table(
    name="trending_music_trends",
    row="sound in the top 100 x date",
    key=(*_MUSIC_LIST_KEY, "date"),
    rows=("sound_list[].trend[]",),
    sorted_by="date",
    columns=(*_MUSIC_LIST_ASKED, _LISTED_CLIP, *_trend_columns("sound_list[].trend"), *_METADATA),
    references=((_MUSIC_LIST_KEY, "trending_music"),),
)

TABLES: Final[Mapping[str, Table]] = MappingProxyType(
    {
        table.name: table
        for table in (
            PRODUCT_INSIGHTS, PRODUCT_DETAILS, PRODUCT_AUDIENCE, PRODUCT_HASHTAGS, PRODUCT_POSTS,
            VIDEOS,
            HASHTAGS, HASHTAG_TRENDS, HASHTAG_AUDIENCE, RELATED_HASHTAGS,
            MUSIC, MUSIC_TRENDS, MUSIC_AUDIENCE, MUSIC_VIDEOS,
            TRENDING_HASHTAGS, TRENDING_HASHTAG_TRENDS, TRENDING_HASHTAG_CREATORS,
            TRENDING_MUSIC, TRENDING_MUSIC_TRENDS,
        )
    }
)
RATES: Final = ("like_rate", "comment_rate", "share_rate", "engagement_rate")  # df.keyapi.engagement() adds them
COLUMN_DTYPES: Final[Mapping[str, str]] = MappingProxyType(
    {column.name: column.dtype for table in TABLES.values() for column in table.columns}
)
