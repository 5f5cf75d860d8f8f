"""The fetch functions: one for each table, all the same way through."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from .. import endpoints, schema
from ..arguments import check_limit
from ..client import Call, Client
from ..endpoints import ENDPOINT_OF
from ..schema import Table
from .docstrings import document
from .notices import Errors, say_what_is_odd
from .table import MaxAge, fetches, make_call, plan, read_table, run

__all__ = [
    "Errors",
    "Ids",
    "MaxAge",
    "fetch_hashtag_audience",
    "fetch_hashtag_trends",
    "fetch_hashtags",
    "fetch_music",
    "fetch_music_audience",
    "fetch_music_trends",
    "fetch_music_videos",
    "fetch_product_audience",
    "fetch_product_details",
    "fetch_product_hashtags",
    "fetch_product_insights",
    "fetch_product_posts",
    "fetch_related_hashtags",
    "fetch_trending_hashtag_creators",
    "fetch_trending_hashtag_trends",
    "fetch_trending_hashtags",
    "fetch_trending_music",
    "fetch_trending_music_trends",
    "fetch_videos",
    "fetches",
    "make_call",
    "plan",
    "read_table",
    "run",
    "say_what_is_odd",
]

Ids = str | int | Iterable[str | int]


def _by_id(
    table: Table, ids: object, arguments: Mapping[str, object], max_age: MaxAge, errors: Errors, client: Client | None
) -> Call:
    queries = endpoints.make_queries(ENDPOINT_OF[table.name], ids, arguments)
    return make_call(table, queries, max_age=max_age, errors=errors, client=client)


def _by_page(
    table: Table, arguments: Mapping[str, object], limit: int | None, max_age: MaxAge, client: Client | None
) -> Call:
    most = check_limit(limit)
    query = endpoints.make_query(ENDPOINT_OF[table.name], arguments)
    return make_call(table, (query,), limit=most, max_age=max_age, client=client)


@document(schema.PRODUCT_INSIGHTS)
@fetches
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
    """Fetch the ranking of product categories: reach, rates and costs of their ads.

    Examples
    --------
    >>> import keyapi_research as kr
    >>> client = kr.connect(sandbox=True, store=":memory:")
    >>> kr.fetch_product_insights(limit=1)["category"].item()
    'Perfume'
    """
    arguments = {"region": region, "time_scope": time_scope, "search": search, "category_id": category_id}
    return _by_page(schema.PRODUCT_INSIGHTS, arguments, limit, max_age, client)


@document(schema.PRODUCT_DETAILS)
@fetches
def fetch_product_details(
    category_ids: Ids,
    *,
    region: str = "all_regions",
    time_scope: str | int = 1,
    max_age: MaxAge = None,
    errors: Errors = "raise",
    client: Client | None = None,
) -> Call:
    """Fetch product categories: their levels, and how much else the answers have.

    Examples
    --------
    >>> import keyapi_research as kr
    >>> client = kr.connect(sandbox=True, store=":memory:")
    >>> kr.fetch_product_details("601583")["category"].item()
    'Perfume'
    """
    return _by_id(
        schema.PRODUCT_DETAILS, category_ids, {"region": region, "time_scope": time_scope}, max_age, errors, client
    )


@document(schema.PRODUCT_AUDIENCE)
@fetches
def fetch_product_audience(
    category_ids: Ids,
    *,
    region: str = "all_regions",
    time_scope: str | int = 1,
    max_age: MaxAge = None,
    errors: Errors = "raise",
    client: Client | None = None,
) -> Call:
    """Fetch who watches product categories: shares of ages, index of interests.

    Examples
    --------
    >>> import keyapi_research as kr
    >>> client = kr.connect(sandbox=True, store=":memory:")
    >>> kr.fetch_product_audience("601583")["segment"].tolist()
    ['25-34', '18-24', '35-44', '45-54', '55+']
    """
    return _by_id(
        schema.PRODUCT_AUDIENCE, category_ids, {"region": region, "time_scope": time_scope}, max_age, errors, client
    )


@document(schema.PRODUCT_HASHTAGS)
@fetches
def fetch_product_hashtags(
    category_ids: Ids,
    *,
    region: str = "all_regions",
    time_scope: str | int = 1,
    max_age: MaxAge = None,
    errors: Errors = "raise",
    client: Client | None = None,
) -> Call:
    """Fetch the popular hashtags of product categories.

    Examples
    --------
    >>> import keyapi_research as kr
    >>> client = kr.connect(sandbox=True, store=":memory:")
    >>> kr.fetch_product_hashtags("601583")["hashtag_name"].tolist()[:2]
    ['vlog', 'perfume']
    """
    return _by_id(
        schema.PRODUCT_HASHTAGS, category_ids, {"region": region, "time_scope": time_scope}, max_age, errors, client
    )


@document(schema.PRODUCT_POSTS)
@fetches
def fetch_product_posts(
    category_ids: Ids,
    *,
    region: str = "all_regions",
    time_scope: str | int = 1,
    max_age: MaxAge = None,
    errors: Errors = "raise",
    client: Client | None = None,
) -> Call:
    """Fetch the ids of popular videos of product categories.

    Examples
    --------
    >>> import keyapi_research as kr
    >>> client = kr.connect(sandbox=True, store=":memory:")
    >>> len(kr.fetch_product_posts("601583"))
    50
    """
    return _by_id(
        schema.PRODUCT_POSTS, category_ids, {"region": region, "time_scope": time_scope}, max_age, errors, client
    )


@document(schema.VIDEOS)
@fetches
def fetch_videos(
    video_ids: Ids,
    *,
    max_age: MaxAge = None,
    errors: Errors = "raise",
    client: Client | None = None,
) -> Call:
    """Fetch videos: who posted them, what they are, how they did.

    Examples
    --------
    >>> import keyapi_research as kr
    >>> client = kr.connect(sandbox=True, store=":memory:")
    >>> int(kr.fetch_videos("7117191641181555995")["views"].item())
    211100
    """
    return _by_id(schema.VIDEOS, video_ids, {}, max_age, errors, client)


@document(schema.HASHTAGS)
@fetches
def fetch_hashtags(
    hashtag_names: Ids,
    *,
    region: str = "all_regions",
    period: int | str = 7,
    max_age: MaxAge = None,
    errors: Errors = "raise",
    client: Client | None = None,
) -> Call:
    """Fetch hashtags: posts, views and how much else the answers have.

    Examples
    --------
    >>> import keyapi_research as kr
    >>> client = kr.connect(sandbox=True, store=":memory:")
    >>> int(kr.fetch_hashtags("#UFC324")["posts"].item())
    12142
    """
    return _by_id(schema.HASHTAGS, hashtag_names, {"region": region, "period": period}, max_age, errors, client)


@document(schema.HASHTAG_TRENDS)
@fetches
def fetch_hashtag_trends(
    hashtag_names: Ids,
    *,
    region: str = "all_regions",
    period: int | str = 7,
    max_age: MaxAge = None,
    errors: Errors = "raise",
    client: Client | None = None,
) -> Call:
    """Fetch the popularity of hashtags over time, each relative to its own peak.

    Examples
    --------
    >>> import keyapi_research as kr
    >>> client = kr.connect(sandbox=True, store=":memory:")
    >>> kr.fetch_hashtag_trends("ufc324")["share_of_peak"].tolist()
    [1.0, 0.7, 0.48, 0.31, 0.26, 0.25, 0.3]
    """
    return _by_id(schema.HASHTAG_TRENDS, hashtag_names, {"region": region, "period": period}, max_age, errors, client)


@document(schema.HASHTAG_AUDIENCE)
@fetches
def fetch_hashtag_audience(
    hashtag_names: Ids,
    *,
    region: str = "all_regions",
    period: int | str = 7,
    max_age: MaxAge = None,
    errors: Errors = "raise",
    client: Client | None = None,
) -> Call:
    """Fetch who watches hashtags: shares of ages, index of interests and countries.

    Examples
    --------
    >>> import keyapi_research as kr
    >>> client = kr.connect(sandbox=True, store=":memory:")
    >>> kr.fetch_hashtag_audience("ufc324")["dimension"].value_counts().to_dict()
    {'country': 11, 'interest': 5, 'age': 3}
    """
    return _by_id(schema.HASHTAG_AUDIENCE, hashtag_names, {"region": region, "period": period}, max_age, errors, client)


@document(schema.RELATED_HASHTAGS)
@fetches
def fetch_related_hashtags(
    hashtag_names: Ids,
    *,
    region: str = "all_regions",
    period: int | str = 7,
    max_age: MaxAge = None,
    errors: Errors = "raise",
    client: Client | None = None,
) -> Call:
    """Fetch the hashtags related to some.

    Examples
    --------
    >>> import keyapi_research as kr
    >>> client = kr.connect(sandbox=True, store=":memory:")
    >>> kr.fetch_related_hashtags("ufc324")["related_hashtag_name"].tolist()[:2]
    ['paddypimblett', 'justingaethje']
    """
    return _by_id(schema.RELATED_HASHTAGS, hashtag_names, {"region": region, "period": period}, max_age, errors, client)


@document(schema.MUSIC)
@fetches
def fetch_music(
    clip_ids: Ids,
    *,
    region: str = "US",
    period: int | str = 7,
    max_age: MaxAge = None,
    errors: Errors = "raise",
    client: Client | None = None,
) -> Call:
    """Fetch sounds: what they are and how much else the answers have.

    Examples
    --------
    >>> import keyapi_research as kr
    >>> client = kr.connect(sandbox=True, store=":memory:")
    >>> kr.fetch_music("6703723351497508865")["title"].item()
    'New Sun'
    """
    return _by_id(schema.MUSIC, clip_ids, {"region": region, "period": period}, max_age, errors, client)


@document(schema.MUSIC_TRENDS)
@fetches
def fetch_music_trends(
    clip_ids: Ids,
    *,
    region: str = "US",
    period: int | str = 7,
    max_age: MaxAge = None,
    errors: Errors = "raise",
    client: Client | None = None,
) -> Call:
    """Fetch the popularity of sounds over time, each relative to its own peak.

    Examples
    --------
    >>> import keyapi_research as kr
    >>> client = kr.connect(sandbox=True, store=":memory:")
    >>> kr.fetch_music_trends("6703723351497508865")["share_of_peak"].tolist()
    [0.06, 0.05, 0.31, 0.3, 0.1, 0.36, 1.0]
    """
    return _by_id(schema.MUSIC_TRENDS, clip_ids, {"region": region, "period": period}, max_age, errors, client)


@document(schema.MUSIC_AUDIENCE)
@fetches
def fetch_music_audience(
    clip_ids: Ids,
    *,
    region: str = "US",
    period: int | str = 7,
    max_age: MaxAge = None,
    errors: Errors = "raise",
    client: Client | None = None,
) -> Call:
    """Fetch who listens to sounds: shares of ages, index of interests and countries.

    Examples
    --------
    >>> import keyapi_research as kr
    >>> client = kr.connect(sandbox=True, store=":memory:")
    >>> kr.fetch_music_audience("6703723351497508865")["dimension"].value_counts().to_dict()
    {'country': 10, 'interest': 5}
    """
    return _by_id(schema.MUSIC_AUDIENCE, clip_ids, {"region": region, "period": period}, max_age, errors, client)


@document(schema.MUSIC_VIDEOS)
@fetches
def fetch_music_videos(
    clip_ids: Ids,
    *,
    region: str = "US",
    period: int | str = 7,
    max_age: MaxAge = None,
    errors: Errors = "raise",
    client: Client | None = None,
) -> Call:
    """Fetch example videos of sounds.

    Examples
    --------
    >>> import keyapi_research as kr
    >>> client = kr.connect(sandbox=True, store=":memory:")
    >>> len(kr.fetch_music_videos("6703723351497508865"))
    0
    """
    return _by_id(schema.MUSIC_VIDEOS, clip_ids, {"region": region, "period": period}, max_age, errors, client)


@document(schema.TRENDING_HASHTAGS)
@fetches
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
    """Fetch the top 100 hashtags.

    Examples
    --------
    >>> import keyapi_research as kr
    >>> client = kr.connect(sandbox=True, store=":memory:")
    >>> len(kr.fetch_trending_hashtags(region="US", limit=5))
    5
    """
    arguments = {"region": region, "period": period, "industry": industry, "new_only": new_only}
    return _by_page(schema.TRENDING_HASHTAGS, arguments, limit, max_age, client)


@document(schema.TRENDING_HASHTAG_TRENDS)
@fetches
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
    """Fetch the popularity over time of the hashtags of a top 100.

    Examples
    --------
    >>> import keyapi_research as kr
    >>> client = kr.connect(sandbox=True, store=":memory:")
    >>> int(kr.fetch_trending_hashtag_trends(region="US", limit=5)["hashtag_name"].nunique())
    5
    """
    arguments = {"region": region, "period": period, "industry": industry, "new_only": new_only}
    return _by_page(schema.TRENDING_HASHTAG_TRENDS, arguments, limit, max_age, client)


@document(schema.TRENDING_HASHTAG_CREATORS)
@fetches
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
    """Fetch the creators named with the hashtags of a top 100.

    Examples
    --------
    >>> import keyapi_research as kr
    >>> client = kr.connect(sandbox=True, store=":memory:")
    >>> "creator_name" in kr.fetch_trending_hashtag_creators(region="US", limit=5)
    True
    """
    arguments = {"region": region, "period": period, "industry": industry, "new_only": new_only}
    return _by_page(schema.TRENDING_HASHTAG_CREATORS, arguments, limit, max_age, client)


@document(schema.TRENDING_MUSIC)
@fetches
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
    """Fetch the top 100 sounds.

    Examples
    --------
    >>> import keyapi_research as kr
    >>> client = kr.connect(sandbox=True, store=":memory:")
    >>> len(kr.fetch_trending_music(region="US", limit=5))
    5
    """
    arguments = {
        "region": region,
        "period": period,
        "search": search,
        "new_only": new_only,
        "commercial_only": commercial_only,
    }
    return _by_page(schema.TRENDING_MUSIC, arguments, limit, max_age, client)


@document(schema.TRENDING_MUSIC_TRENDS)
@fetches
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
    """Fetch the popularity over time of the sounds of a top 100.

    Examples
    --------
    >>> import keyapi_research as kr
    >>> client = kr.connect(sandbox=True, store=":memory:")
    >>> int(kr.fetch_trending_music_trends(region="US", limit=5)["clip_id"].nunique())
    5
    """
    arguments = {
        "region": region,
        "period": period,
        "search": search,
        "new_only": new_only,
        "commercial_only": commercial_only,
    }
    return _by_page(schema.TRENDING_MUSIC_TRENDS, arguments, limit, max_age, client)
