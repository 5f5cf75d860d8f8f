"""The endpoints: what may be asked, how it is written on the wire, what it costs, which tables it gives.

Another endpoint is one more block here, its tables in `schema` and its fetch functions in `fetch`.
"""

# fmt: off - a declaration reads as a table: one entry, one line or two
from __future__ import annotations

import hashlib
import json
import math
import numbers
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from types import MappingProxyType
from typing import Final

import pandas as pd

from . import schema
from .arguments import (
    ALL_REGIONS,
    Value,
    check_category_filter,
    check_hashtag,
    check_id,
    check_industry,
    check_months_back,
    check_music_region,
    check_period,
    check_region,
    check_search,
    check_time_scope,
    is_missing,
    plain_value,
)
from .errors import InvalidArgumentError, listed
from .schema import DeepestLevel, Field, FromQuery, Table
from .settings import read_flag

PAGE_SIZE: Final = 20
SMALLEST_PAGE: Final = 10  # the smallest cap KeyAPI's pages mention
_KEY_VERSION: Final = "1"


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter: the argument of the fetch function, the column of the tables and the word on the wire.

    `unset` is the word that says "none" on the wire; None leaves the parameter out.
    """

    argument: str
    column: str
    api_name: str
    check: Callable[[str, object], Value]
    meaning: str
    default: Value = None
    unset: str | None = None
    check_before_sending: Callable[[Value, Sequence[date]], None] | None = None

    def write(self, value: Value) -> str | None:
        """Write a value as it goes over the wire."""
        if value is None:
            return self.unset
        return str(value).lower() if isinstance(value, bool) else str(value)


@dataclass(frozen=True, eq=False)
class Endpoint:
    """One endpoint of KeyAPI and the tables it gives; the first is its own, the others come free with it.

    `record` is the part of `data` an answer is empty without. `batch` ids go into one request; a ranking has pages
    instead of ids. `page` is the title of KeyAPI's page, `docs.keyapi.ai` lists them.
    """

    name: str
    path: str
    credits: int
    page: str
    parameters: tuple[Parameter, ...]
    tables: tuple[Table, ...]
    record: str
    entity: Parameter | None = None
    batch: int = 1
    not_tabled: tuple[str, ...] = ()

    @property
    def ranking(self) -> bool:
        """Whether the endpoint is asked page by page instead of by id."""
        return self.entity is None

    @property
    def inputs(self) -> tuple[Parameter, ...]:
        """All parameters that make up what is asked, the id first."""
        return self.parameters if self.entity is None else (self.entity, *self.parameters)

    @cached_property
    def columns(self) -> Mapping[str, Parameter]:
        """Parameters by the column they fill."""
        return {parameter.column: parameter for parameter in self.inputs}

    @cached_property
    def identity(self) -> Field | DeepestLevel:
        """Where an answer says whom it is about (of a ranking: whom a row is about)."""
        table = self.tables[0]
        declared = table[self.entity.column if self.entity else table.key[-1]].place
        place = declared.checked if isinstance(declared, FromQuery) else declared
        if not isinstance(place, Field | DeepestLevel):
            raise TypeError(f"{self.name} declares no place for its identity")
        return place

    @cached_property
    def market(self) -> Field | None:
        """Where an answer names its market."""
        places = (column.place for column in self.tables[0].columns if column.name == "market")
        return next((place for place in places if isinstance(place, Field)), None)

    @property
    def price(self) -> str:
        """Say what a request costs, and how much it brings."""
        each = f"a page of up to {PAGE_SIZE} rows" if self.ranking else f"per request of up to {self.batch} ids"
        each = "an id" if self.batch == 1 and not self.ranking else each
        return f"{self.credits} credit{'s' if self.credits > 1 else ''} {each}"

    def cost(self, entities: int) -> int:
        """Credits of asking for so many entities (or pages)."""
        return math.ceil(entities / self.batch) * self.credits


@dataclass(frozen=True)
class Query:
    """One entity asked for: a video, a hashtag x region x period, or a whole ranking."""

    endpoint: Endpoint
    values: tuple[Value, ...]  # in the order of `endpoint.inputs`

    @property
    def value_of(self) -> dict[str, Value]:
        """What was asked, by column."""
        return dict(zip((p.column for p in self.endpoint.inputs), self.values, strict=True))

    @property
    def id(self) -> str:
        """The id or name asked for; of a ranking, its parameters."""
        if self.endpoint.entity is not None:
            return str(self.values[0])
        return ", ".join(f"{name}={value}" for name, value in self.value_of.items() if value is not None)

    @property
    def params(self) -> dict[str, str]:
        """Parameters as they go over the wire."""
        written = {p.api_name: p.write(value) for p, value in zip(self.endpoint.inputs, self.values, strict=True)}
        return {api_name: text for api_name, text in written.items() if text is not None}

    @cached_property
    def key(self) -> str:
        """Stable key of the entity: versioned, without host, the same on every machine."""
        written = json.dumps([_KEY_VERSION, self.endpoint.path, sorted(self.params.items())], ensure_ascii=True)
        return f"k{_KEY_VERSION}-{hashlib.sha256(written.encode()).hexdigest()[:40]}"


def make_query(endpoint: Endpoint, arguments: Mapping[str, object]) -> Query:
    """Check the arguments of one call and make an ask of them."""
    return Query(endpoint, tuple(p.check(p.argument, arguments[p.argument]) for p in endpoint.inputs))


def make_queries(endpoint: Endpoint, ids: object, arguments: Mapping[str, object]) -> tuple[Query, ...]:
    """Check ids and arguments; one ask for each distinct id, in the order given."""
    entity = endpoint.entity
    if entity is None:
        raise TypeError(f"{endpoint.name} is not asked by id")
    rest = tuple(p.check(p.argument, arguments[p.argument]) for p in endpoint.parameters)
    distinct = dict.fromkeys(entity.check(entity.argument, one) for one in each_id(entity, ids))
    return tuple(Query(endpoint, (one, *rest)) for one in distinct)


def query_of(path: str, params: Mapping[str, str]) -> Query:
    """Read an ask from what went over the wire for it.

    Raises
    ------
    KeyError
        This version of the package knows no such endpoint, or a parameter is missing.
    InvalidArgumentError
        A parameter is not what the endpoint takes.
    """
    endpoint = BY_PATH[path]
    return Query(endpoint, tuple(_read_back(parameter, params) for parameter in endpoint.inputs))


def _read_back(parameter: Parameter, params: Mapping[str, str]) -> Value:
    """Read a parameter as it went over the wire."""
    text: str | bool | None = params.get(parameter.api_name)
    if text == parameter.unset:
        text = None
    elif isinstance(parameter.default, bool):
        text = {"true": True, "false": False}[str(text)]
    return parameter.check(parameter.argument, text)


def each_id(entity: Parameter, ids: object) -> Iterable[object]:
    """Take one id or any iterable of them."""
    if isinstance(ids, pd.DataFrame):
        has = listed([str(column) for column in ids.columns]) or "no columns"
        raise InvalidArgumentError(
            f"{entity.argument} takes ids, not a DataFrame: "
            + (
                f'pass its column, as df["{entity.column}"]'
                if entity.column in ids.columns
                else f"pass the column that has them. There is no {entity.column} in this one; it has {has}"
            )
        )
    ids = plain_value(ids)
    if getattr(ids, "ndim", 1) == 0:  # one value in an array of NumPy's
        ids = ids.item()  # type: ignore[attr-defined]
    if isinstance(ids, str | numbers.Number | None) or is_missing(ids):
        return (ids,)
    if isinstance(ids, bytes | Mapping) or not isinstance(ids, Iterable):
        raise InvalidArgumentError(
            f"{entity.argument} takes one id, or a list, Series or Index of them; got {type(ids).__name__}"
        )
    return ids


_ANY_REGION = Parameter("region", "region", "region", check_region, f'ISO-2 country code, or "{ALL_REGIONS}".',
                        ALL_REGIONS)
_MUSIC_REGION = Parameter("region", "region", "region", check_music_region, "ISO-2 country code.", "US")
_TIME_SCOPE = Parameter(
    "time_scope", "time_scope", "time_scope", check_time_scope,
    'Window: 1, 7 or 30 days back, or a month as "2025-10" (up to four months back).', "1",
    check_before_sending=check_months_back,
)
_SEARCH = Parameter(
    "search", "search", "search_keyword", check_search, "Search word; None for no search.", None, "FALSE"
)
_NEW_ONLY = Parameter("new_only", "new_only", "new_to_top_100", read_flag,
                      "Only entries that are new to the top 100.", default=False)


def _period(*allowed: int) -> Parameter:
    days = ", ".join(map(str, allowed))
    return Parameter("period", "period", "period", check_period(*allowed), f"Days back: one of {days}.", 7)


PRODUCT_INSIGHTS = Endpoint(
    name="product_insights",
    path="/v1/tiktok/insights/products",
    credits=2,
    page="商品洞察 (product insights)",
    parameters=(
        _ANY_REGION, _TIME_SCOPE, _SEARCH,
        Parameter("category_id", "filter_category_id", "ecom_category_id", check_category_filter,
                  "Only rows of this category; None for all."),
    ),
    tables=(schema.PRODUCT_INSIGHTS,),
    record="list",
    not_tabled=("pagination", "has_more", *schema.category_extras("list[]")),
)
PRODUCT_DETAIL = Endpoint(
    name="product_detail",
    path="/v1/tiktok/insights/product/detail",
    credits=2,
    page="商品洞察详情 (product insight detail)",
    entity=Parameter("category_ids", "category_id", "id", check_id, "Ids of product categories."),
    parameters=(_ANY_REGION, _TIME_SCOPE),
    tables=(schema.PRODUCT_DETAILS, schema.PRODUCT_AUDIENCE, schema.PRODUCT_HASHTAGS, schema.PRODUCT_POSTS),
    record="info",
    not_tabled=schema.category_extras("info"),
)
VIDEO_ANALYTICS = Endpoint(
    name="video_analytics",
    path="/v1/tiktok/video/detail/analytics",
    credits=1,
    page="视频详情分析 (video detail analytics)",
    entity=Parameter("video_ids", "video_id", "video_ids", check_id, "Ids of videos."),
    parameters=(),
    tables=(schema.VIDEOS,),
    record="",
    batch=10,
)
HASHTAG_DETAIL = Endpoint(
    name="hashtag_detail",
    path="/v1/tiktok/trending/hashtag/detail",
    credits=2,
    page="热门 Hashtag 详情 (trending hashtag detail)",
    entity=Parameter("hashtag_names", "hashtag_name", "hashtag_name", check_hashtag,
                     "Names of hashtags, with or without #; compared in lower case."),
    parameters=(_ANY_REGION, _period(7, 30, 120, 365, 1095)),
    tables=(schema.HASHTAGS, schema.HASHTAG_TRENDS, schema.HASHTAG_AUDIENCE, schema.RELATED_HASHTAGS),
    record="info",
    not_tabled=("info.hashtag_name", "info.country_info.id", "info.industry_info.label", "info.related_items",
                "info.description"),
)
MUSIC_DETAIL = Endpoint(
    name="music_detail",
    path="/v1/tiktok/trending/music/detail",
    credits=2,
    page="热门音乐详情 (trending music detail)",
    entity=Parameter("clip_ids", "clip_id", "clip_id", check_id, "Ids of sounds (clip ids)."),
    parameters=(_MUSIC_REGION, _period(7, 30, 120)),
    tables=(schema.MUSIC, schema.MUSIC_TRENDS, schema.MUSIC_AUDIENCE, schema.MUSIC_VIDEOS),
    record="sound",
    not_tabled=("sound.clip_id", "liked", "disliked", "sound.is_search", "sound.rank_diff_type"),
)
TRENDING_HASHTAGS = Endpoint(
    name="trending_hashtags",
    path="/v1/tiktok/trending/hashtags",
    credits=2,
    page="trending hashtags (list)",
    parameters=(
        _ANY_REGION, _period(7, 30, 120),
        Parameter("industry", "filter_industry_id", "industry_id", check_industry,
                  "Only hashtags of this industry, by id or name; None for all.", None, "nothing"),
        _NEW_ONLY,
    ),
    tables=(schema.TRENDING_HASHTAGS, schema.TRENDING_HASHTAG_TRENDS, schema.TRENDING_HASHTAG_CREATORS),
    record="list",
    not_tabled=("pagination", "has_more", "list[].country_info.id", "list[].industry_info.label"),
)
TRENDING_MUSIC = Endpoint(
    name="trending_music",
    path="/v1/tiktok/trending/music",
    credits=2,
    page="trending music (list)",
    parameters=(
        _MUSIC_REGION, _period(7, 30, 120), _SEARCH, _NEW_ONLY,
        Parameter("commercial_only", "commercial_only", "commercial_music", read_flag,
                  "Only sounds cleared for commercial use.", default=False),
    ),
    tables=(schema.TRENDING_MUSIC, schema.TRENDING_MUSIC_TRENDS),
    record="sound_list",
    not_tabled=("pagination", "has_more", "sound_list[].is_search", "sound_list[].related_items"),
)

ENDPOINTS: Final[tuple[Endpoint, ...]] = (
    PRODUCT_INSIGHTS, PRODUCT_DETAIL, VIDEO_ANALYTICS, HASHTAG_DETAIL, MUSIC_DETAIL,
    TRENDING_HASHTAGS, TRENDING_MUSIC,
)
ENDPOINT_OF: Final[Mapping[str, Endpoint]] = MappingProxyType(
    {table.name: endpoint for endpoint in ENDPOINTS for table in endpoint.tables}
)
BY_PATH: Final[Mapping[str, Endpoint]] = MappingProxyType({endpoint.path: endpoint for endpoint in ENDPOINTS})
