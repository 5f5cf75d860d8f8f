"""What `df.keyapi` can do, as functions of a frame; each is declared with the tables, and their columns, it is for."""

from __future__ import annotations

import inspect
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Final, TypeVar

import pandas as pd

from .. import schema
from ..client import Call, Client, find_client, ledger_frame
from ..endpoints import ENDPOINT_OF, ENDPOINTS
from ..errors import InvalidArgumentError
from ..fetch import Errors, MaxAge, fetches, make_call
from ..fetch.docstrings import COMMON, complete
from ..frames import IDENTIFYING, Needs, choose, columns_of, nearest, reading_client, tables_in
from ..plots.reading import PARTS, engagement_rates
from ..schema import OBSERVED_AT, SOURCE, TABLES, Constant, PerList, Table
from ..store import Observation, when
from ..tidy import empty_frame
from . import answers
from .follow import LINKS, Link, asks_of
from .recognise import ask_which, explain_missing, refuse
from .validation import find_breaches

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True)
class Method:
    """A method of the accessor, and the columns it needs of each table it is for; None: it takes any frame."""

    function: Callable[..., Any]
    needs: Needs | None

    def applies(self, frame: pd.DataFrame) -> bool:
        """Whether a frame supports it."""
        return self.needs is None or bool(fitting(self.needs, frame))


METHODS: Final[dict[str, Method]] = {}


def _for(needs: Needs | None) -> Callable[[F], F]:
    """Declare what a method of `df.keyapi` is for; its docstring is completed by what all methods have in common."""

    def register(function: F) -> F:
        METHODS[function.__name__] = Method(function, needs)

        def parameters(written: Mapping[str, str]) -> Mapping[str, str]:
            own = re.split(r"\n(?=\S)", written.get("Parameters", ""))
            described = {**COMMON, **{text.partition(" : ")[0]: text for text in own}}
            _, *names = inspect.signature(function).parameters  # without the frame
            return {"Parameters": "\n".join(described[name] for name in names)}

        complete(function, parameters)
        return function

    return register


# Which table is meant ---------------------------------------------------------------------------------------


def fitting(needs: Needs, frame: pd.DataFrame) -> list[Table]:
    """Tables a frame holds that have the columns needed of them."""
    columns = columns_of(frame)
    return [table for table in tables_in(columns) if table.name in needs and needs[table.name] <= columns]


def find_table(frame: pd.DataFrame, method: str, needs: Needs, of: str | None, *, for_answers: bool = False) -> Table:
    """Tell which of a frame's tables a method is to work on; `for_answers`: any of those that came with one answer.

    Raises
    ------
    AttributeError
        The frame holds none that the method is for, several that may be meant, or not all columns of the one named.
    InvalidArgumentError
        `of` is no table that the method is for.
    """
    if of is not None:
        if of not in needs:
            raise InvalidArgumentError(f"{method}(of=...) takes one of {', '.join(needs)}; got {of!r}")
        if not needs[of] <= columns_of(frame):
            raise AttributeError(f"{method}(of={of!r}): {explain_missing(TABLES[of], needs[of], frame)}")
        return TABLES[of]
    found = fitting(needs, frame)
    if not found:
        raise refuse(f"{method}()", needs, frame)
    table = choose(found, for_answers=for_answers)
    if table is None:
        raise ask_which(method, found)
    return table


def _not_needed(client: Client | None) -> None:
    """Check the client of a method that needs none: it takes one so that all methods are called alike."""
    if client is not None:
        find_client(client)


# Parts of the answer a row came from ------------------------------------------------------------------------

Parts = Mapping[str, Table]  # by the table whose rows' answers have them


def _parts(tables: Iterable[Table]) -> Parts:
    return MappingProxyType({ENDPOINT_OF[table.name].tables[0].name: table for table in tables})


def _keyed_by(column: str) -> Iterable[Table]:
    return (table for endpoint in ENDPOINTS for table in endpoint.tables[1:] if column in table.key)


def _identifying(tables: Iterable[str]) -> Needs:
    return MappingProxyType({name: IDENTIFYING[name] for name in tables})


TRENDS: Final = _parts(_keyed_by("date"))
AUDIENCES: Final = _parts(_keyed_by("dimension"))
POSTS: Final = _parts([schema.PRODUCT_POSTS])
HASHTAGS: Final = _parts([schema.PRODUCT_HASHTAGS])
RELATED: Final = _parts([schema.RELATED_HASHTAGS])
EXAMPLE_VIDEOS: Final = _parts([schema.MUSIC_VIDEOS])


def _read_part(frame: pd.DataFrame, method: str, parts: Parts, of: str | None, client: Client | None) -> pd.DataFrame:
    table = find_table(frame, method, _identifying(parts), of)
    return _part_of(frame, table, parts[table.name], method, client)


def _part_of(frame: pd.DataFrame, table: Table, part: Table, method: str, client: Client | None) -> pd.DataFrame:
    if frame.empty:
        return empty_frame(part)
    connection = reading_client(client)
    found = answers.find(frame, table, connection, f"{method}()")
    connection.records.note_read(answers.distinct(found))
    return answers.read(part, found, connection)


@_for(_identifying(TRENDS))
def trend(df: pd.DataFrame, *, of: str | None = None, client: Client | None = None) -> pd.DataFrame:
    """Give the popularity over time that came with the rows; free, nothing is sent.

    Returns
    -------
    pandas.DataFrame
        hashtag_trends, music_trends, trending_hashtag_trends or trending_music_trends of the very answers the rows
        came from (of the newest, where the frame has no observed_at), in the order of the rows.

    Raises
    ------
    AttributeError
        The frame has no rows of hashtags, music, trending_hashtags or trending_music, or of several of them.
    NotStoredError
        An answer is not in the store; it says what fetching would cost.

    Examples
    --------
    >>> import keyapi_research as kr
    >>> client = kr.connect(sandbox=True, store=":memory:")
    >>> kr.fetch_hashtags("ufc324").keyapi.trend()["share_of_peak"].tolist()
    [1.0, 0.7, 0.48, 0.31, 0.26, 0.25, 0.3]
    """
    return _read_part(df, "trend", TRENDS, of, client)


@_for(_identifying(AUDIENCES))
def audience(
    df: pd.DataFrame, dimension: str | None = None, *, of: str | None = None, client: Client | None = None
) -> pd.DataFrame:
    """Give who watches, as it came with the rows; free, nothing is sent.

    Parameters
    ----------
    dimension : {"age", "interest", "country"}, optional
        Only this one; all that the answers have if left out.

    Returns
    -------
    pandas.DataFrame
        product_audience, hashtag_audience or music_audience of the very answers the rows came from (of the newest,
        where the frame has no observed_at), in the order of the rows.

    Raises
    ------
    AttributeError
        The frame has no rows of product_details, hashtags or music, or of several of them.
    InvalidArgumentError
        There is no such dimension.
    NotStoredError
        An answer is not in the store; it says what fetching would cost.

    Examples
    --------
    >>> import keyapi_research as kr
    >>> client = kr.connect(sandbox=True, store=":memory:")
    >>> kr.fetch_hashtags("ufc324").keyapi.audience("age")["score"].tolist()
    [65.0, 23.0, 12.0]
    """
    table = find_table(df, "audience", _identifying(AUDIENCES), of)
    place = AUDIENCES[table.name]["dimension"].place
    known = [one.value for one in place.places if isinstance(one, Constant)] if isinstance(place, PerList) else []
    if dimension is not None and dimension not in known:
        raise InvalidArgumentError(f"dimension of {table.name} is one of {', '.join(known)}; got {dimension!r}")
    whole = _part_of(df, table, AUDIENCES[table.name], "audience", client)
    return whole if dimension is None else whole[whole["dimension"] == dimension].reset_index(drop=True)


@_for(_identifying(POSTS))
def posts(df: pd.DataFrame, *, of: str | None = None, client: Client | None = None) -> pd.DataFrame:
    """Give the ids of popular videos that came with product categories; free, nothing is sent.

    Returns
    -------
    pandas.DataFrame
        product_posts of the very answers the rows came from (of the newest, where the frame has no observed_at), in
        the order of the rows.

    Raises
    ------
    AttributeError
        The frame has no rows of product_details.
    NotStoredError
        An answer is not in the store; it says what fetching would cost.

    Examples
    --------
    >>> import keyapi_research as kr
    >>> client = kr.connect(sandbox=True, store=":memory:")
    >>> len(kr.fetch_product_details("601583").keyapi.posts())
    50
    """
    return _read_part(df, "posts", POSTS, of, client)


@_for(_identifying(HASHTAGS))
def hashtags(df: pd.DataFrame, *, of: str | None = None, client: Client | None = None) -> pd.DataFrame:
    """Give the popular hashtags that came with product categories; free, nothing is sent.

    Returns
    -------
    pandas.DataFrame
        product_hashtags of the very answers the rows came from (of the newest, where the frame has no observed_at),
        in the order of the rows.

    Raises
    ------
    AttributeError
        The frame has no rows of product_details.
    NotStoredError
        An answer is not in the store; it says what fetching would cost.

    Examples
    --------
    >>> import keyapi_research as kr
    >>> client = kr.connect(sandbox=True, store=":memory:")
    >>> kr.fetch_product_details("601583").keyapi.hashtags()["hashtag_name"].tolist()[:2]
    ['vlog', 'perfume']
    """
    return _read_part(df, "hashtags", HASHTAGS, of, client)


@_for(_identifying(RELATED))
def related(df: pd.DataFrame, *, of: str | None = None, client: Client | None = None) -> pd.DataFrame:
    """Give the related hashtags that came with hashtags; free, nothing is sent.

    Returns
    -------
    pandas.DataFrame
        related_hashtags of the very answers the rows came from (of the newest, where the frame has no observed_at),
        in the order of the rows.

    Raises
    ------
    AttributeError
        The frame has no rows of hashtags.
    NotStoredError
        An answer is not in the store; it says what fetching would cost.

    Examples
    --------
    >>> import keyapi_research as kr
    >>> client = kr.connect(sandbox=True, store=":memory:")
    >>> len(kr.fetch_hashtags("ufc324").keyapi.related())
    5
    """
    return _read_part(df, "related", RELATED, of, client)


@_for(_identifying(EXAMPLE_VIDEOS))
def example_videos(df: pd.DataFrame, *, of: str | None = None, client: Client | None = None) -> pd.DataFrame:
    """Give the ids of videos that use the sounds, as they came with them; free, nothing is sent.

    Returns
    -------
    pandas.DataFrame
        music_videos of the very answers the rows came from (of the newest, where the frame has no observed_at), in
        the order of the rows.

    Raises
    ------
    AttributeError
        The frame has no rows of music.
    NotStoredError
        An answer is not in the store; it says what fetching would cost.

    Examples
    --------
    >>> import keyapi_research as kr
    >>> client = kr.connect(sandbox=True, store=":memory:")
    >>> kr.fetch_music("6703723351497508865").keyapi.example_videos().empty  # the documented answer has none
    True
    """
    return _read_part(df, "example_videos", EXAMPLE_VIDEOS, of, client)


# What the rows name, fetched --------------------------------------------------------------------------------

Links = Mapping[str, Link]  # by the table of the rows; the link may be of a part of their answers


def _links(**links: Link) -> Links:
    return MappingProxyType(links)


DETAILS: Final = _links(**{name: link for name, link in LINKS.items() if link.gives is not schema.VIDEOS})
VIDEOS: Final = _links(
    product_details=LINKS["product_posts"],
    **{name: link for name, link in LINKS.items() if link.gives is schema.VIDEOS},
)
NAMED_HASHTAGS: Final = _links(
    product_details=LINKS["product_hashtags"],
    # of a list of hashtags the rows are hashtags themselves: that is fetch_details
    **{name: link for name, link in LINKS.items() if link.gives is schema.HASHTAGS and link.table.references},
)


def _needed(links: Links) -> Needs:
    return MappingProxyType(
        {
            name: IDENTIFYING[name] | ({link.column.name} if link.table.name == name else set())
            for name, link in links.items()
        }
    )


def _follow(
    frame: pd.DataFrame,
    method: str,
    links: Links,
    given: Mapping[str, object],
    *,
    of: str | None,
    max_age: MaxAge,
    errors: Errors,
    client: Client | None,
) -> Call:
    table = find_table(frame, method, _needed(links), of)
    link = links[table.name]
    rows, behind = frame, []
    if link.table is not table:
        rows = empty_frame(link.table)
        if not frame.empty:
            connection = reading_client(client)
            found = answers.find(frame, table, connection, f"{method}()")
            rows, behind = answers.read(link.table, found, connection), answers.distinct(found)
    call = make_call(link.gives, asks_of(rows, link, given), max_age=max_age, errors=errors, client=client)
    return replace(call, read=tuple(behind))


@_for(_needed(DETAILS))
@fetches
def fetch_details(
    df: pd.DataFrame,
    *,
    period: int | str | None = None,
    max_age: MaxAge = None,
    errors: Errors = "raise",
    of: str | None = None,
    client: Client | None = None,
) -> Call:
    """Fetch the details of the categories, hashtags or sounds in the rows; pays for what is not stored.

    Region and window are those of the rows, so rows of several regions may stand in one frame.

    Parameters
    ----------
    period : int, optional
        Days back, instead of the rows' own; rows of product_hashtags have none (then 7). Not for product categories.

    Returns
    -------
    pandas.DataFrame
        product_details of product_insights; hashtags of related_hashtags, product_hashtags and trending_hashtags;
        music of trending_music; in the order of the rows.

    Raises
    ------
    AttributeError
        The frame has no rows of these tables, or of several of them.
    KeyAPIError
        As the fetch function of the table.

    Notes
    -----
    Price: 2 credits for each category, hashtag or sound that is not stored; `kr.plan(df.keyapi.fetch_details)` says
    how many these are.

    Examples
    --------
    >>> import keyapi_research as kr
    >>> client = kr.connect(sandbox=True, store=":memory:")
    >>> top = kr.fetch_product_insights(region="US", time_scope=7, limit=5)
    >>> kr.plan(top.keyapi.fetch_details).credits
    10
    >>> len(top.keyapi.fetch_details())
    5
    """
    given = {} if period is None else {"period": period}
    return _follow(df, "fetch_details", DETAILS, given, of=of, max_age=max_age, errors=errors, client=client)


@_for(_needed(VIDEOS))
@fetches
def fetch_videos(
    df: pd.DataFrame,
    *,
    max_age: MaxAge = None,
    errors: Errors = "raise",
    of: str | None = None,
    client: Client | None = None,
) -> Call:
    """Fetch the videos that the rows name, or that came with them; pays for what is not stored.

    Returns
    -------
    pandas.DataFrame
        videos of product_details (all their `posts()`), product_posts or music_videos, each once, in the order of
        the rows. Rows without an id are passed over.

    Raises
    ------
    AttributeError
        The frame has no rows of these tables, or of several of them.
    NotStoredError
        The posts of a category are not in the store.
    KeyAPIError
        As `kr.fetch_videos`.

    Notes
    -----
    Price: 1 credit for each ten videos that are not stored.

    Examples
    --------
    >>> import keyapi_research as kr
    >>> client = kr.connect(sandbox=True, store=":memory:")
    >>> category = kr.fetch_product_details("601583")
    >>> kr.plan(category.keyapi.fetch_videos).credits
    5
    """
    return _follow(df, "fetch_videos", VIDEOS, {}, of=of, max_age=max_age, errors=errors, client=client)


@_for(_needed(NAMED_HASHTAGS))
@fetches
def fetch_hashtags(
    df: pd.DataFrame,
    period: int | str = 7,
    *,
    max_age: MaxAge = None,
    errors: Errors = "raise",
    of: str | None = None,
    client: Client | None = None,
) -> Call:
    """Fetch the hashtags that the rows name, or that came with them; pays for what is not stored.

    The region is that of the rows.

    Parameters
    ----------
    period : int
        Days back: one of 7, 30, 120, 365, 1095.

    Returns
    -------
    pandas.DataFrame
        hashtags of product_details (all their `hashtags()`), product_hashtags or related_hashtags, each once, in the
        order of the rows. Rows without a name are passed over.

    Raises
    ------
    AttributeError
        The frame has no rows of these tables, or of several of them.
    NotStoredError
        The hashtags of a category are not in the store.
    KeyAPIError
        As `kr.fetch_hashtags`.

    Notes
    -----
    Price: 2 credits for each hashtag that is not stored.

    Examples
    --------
    >>> import keyapi_research as kr
    >>> client = kr.connect(sandbox=True, store=":memory:")
    >>> kr.fetch_product_details("601583").keyapi.fetch_hashtags(period=30)["period"].unique().tolist()
    [30]
    """
    given = {"period": period}
    return _follow(df, "fetch_hashtags", NAMED_HASHTAGS, given, of=of, max_age=max_age, errors=errors, client=client)


# What the rows are ------------------------------------------------------------------------------------------

_VIEWED: Final[Needs] = MappingProxyType(
    {schema.VIDEOS.name: IDENTIFYING[schema.VIDEOS.name] | {"views", *PARTS.values()}}
)


@_for(_VIEWED)
def engagement(df: pd.DataFrame, *, of: str | None = None, client: Client | None = None) -> pd.DataFrame:
    """Compute how many of a video's views became likes, comments and shares.

    Returns
    -------
    pandas.DataFrame
        A copy with like_rate, comment_rate, share_rate and engagement_rate = (likes + comments + shares) / views,
        float64 from 0. Missing where views is missing or 0, or where a part is missing.

    Raises
    ------
    AttributeError
        The frame has no rows of videos, or not their views, likes, comments and shares.

    Examples
    --------
    >>> import keyapi_research as kr
    >>> client = kr.connect(sandbox=True, store=":memory:")
    >>> videos = kr.fetch_videos("7117191641181555995").keyapi.engagement()
    >>> round(float(videos["like_rate"].item()), 4)
    0.0862
    """
    _not_needed(client)
    find_table(df, "engagement", _VIEWED, of)
    rates = engagement_rates(df)
    return df.assign(**{name: rates[name].to_numpy() for name in (*PARTS, "engagement_rate")})


@_for(IDENTIFYING)
def history(df: pd.DataFrame, *, of: str | None = None, client: Client | None = None) -> pd.DataFrame:
    """Give all stored observations of the rows, what was fetched before and since; free, nothing is sent.

    Returns
    -------
    pandas.DataFrame
        The columns of the table, a row for each key of the frame in each answer, by key, then observed_at. Of a
        ranking an observation is one walk through its pages. With `as_of`, up to then.

    Raises
    ------
    AttributeError
        The frame holds no table, or several.
    NotStoredError
        Nothing is stored of a row; it says what fetching would cost.

    Examples
    --------
    >>> import keyapi_research as kr
    >>> client = kr.connect(sandbox=True, store=":memory:")
    >>> videos = kr.fetch_videos("7117191641181555995")
    >>> videos = kr.fetch_videos("7117191641181555995", max_age=0)
    >>> len(videos.keyapi.history())
    2
    """
    table = find_table(df, "history", IDENTIFYING, of)
    return empty_frame(table) if df.empty else answers.read_history(df, table, reading_client(client), "history()")


def _answers_behind(frame: pd.DataFrame, method: str, table: Table, client: Client) -> list[Observation]:
    behind = answers.distinct(answers.find(frame, table, client, f"{method}()"))
    client.records.note_read(behind)
    return behind


@_for(IDENTIFYING)
def raw(df: pd.DataFrame, *, of: str | None = None, client: Client | None = None) -> list[dict[str, Any]]:
    """Give the stored answers of the rows as they came, also what no column has; free, nothing is sent.

    Returns
    -------
    list of dict
        Each distinct answer once, in the order of the rows: KeyAPI's envelope, with code, message and data. Of a
        ranking an answer is a page; of videos that came together each has its own.

    Raises
    ------
    AttributeError
        The frame holds no table, or several.
    NotStoredError
        An answer is not in the store; it says what fetching would cost.

    Examples
    --------
    >>> import keyapi_research as kr
    >>> client = kr.connect(sandbox=True, store=":memory:")
    >>> [answer] = kr.fetch_hashtags("ufc324").keyapi.raw()
    >>> answer["data"]["info"]["industry_info"]["label"]
    'label_28000000000'
    """
    table = find_table(df, "raw", IDENTIFYING, of, for_answers=True)
    if df.empty:
        return []
    connection = reading_client(client)
    behind = _answers_behind(df, "raw", table, connection)
    return list(connection.store.envelopes([one.id for one in behind]))


@_for(IDENTIFYING)
def provenance(df: pd.DataFrame, *, of: str | None = None, client: Client | None = None) -> pd.DataFrame:
    """Say which requests brought the rows, when, and at what price; free, nothing is sent.

    Returns
    -------
    pandas.DataFrame
        One row per answer behind the rows, in their order: endpoint, params (what was asked, as JSON text),
        request_id (KeyAPI's, for its support), observed_at, credits (Int64) and source. `credits` are those of the
        whole request: ten videos may have come with one, so sum them over distinct requests only.

    Raises
    ------
    AttributeError
        The frame holds no table, or several.
    NotStoredError
        An answer is not in the store; it says what fetching would cost.

    Examples
    --------
    >>> import keyapi_research as kr
    >>> client = kr.connect(sandbox=True, store=":memory:")
    >>> kr.fetch_hashtags(["ufc324", "perfume"]).keyapi.provenance()["credits"].tolist()
    [2, 2]
    """
    table = find_table(df, "provenance", IDENTIFYING, of, for_answers=True)
    if df.empty:
        return _provenance_of([], [], "")
    connection = reading_client(client)
    behind = _answers_behind(df, "provenance", table, connection)
    return _provenance_of(behind, connection.store.ledger(one.request for one in behind), connection.source)


def _provenance_of(behind: Sequence[Observation], requests: Sequence[tuple[Any, ...]], source: str) -> pd.DataFrame:
    ledger = ledger_frame(requests).set_axis([number for number, *_ in requests])
    brought = ledger.reindex([one.request for one in behind]).reset_index(drop=True)
    return pd.DataFrame(
        {
            "endpoint": pd.Series([one.endpoint for one in behind], dtype="string"),
            "params": pd.Series([one.params for one in behind], dtype="string"),
            "request_id": brought["request_id"],
            OBSERVED_AT.name: pd.Series([when(one.observed_at) for one in behind], dtype=OBSERVED_AT.dtype),
            "credits": brought["credits"],
            SOURCE.name: pd.Series([source] * len(behind), dtype=SOURCE.dtype),
        }
    )


@_for(None)
def validate(df: pd.DataFrame, *, of: str | None = None, client: Client | None = None) -> pd.DataFrame:
    """Hold the frame against what its table is declared to be; free, nothing is sent or read.

    Returns
    -------
    pandas.DataFrame
        The frame itself, if it is what it should be. Columns of your own do not matter.

    Raises
    ------
    InvalidArgumentError
        It is not; the message lists every breach: columns, dtypes, keys, ranges and unknown words.
    AttributeError
        The frame holds no table, or several.

    Examples
    --------
    >>> import keyapi_research as kr
    >>> client = kr.connect(sandbox=True, store=":memory:")
    >>> len(kr.fetch_hashtags("ufc324").keyapi.validate())
    1
    """
    _not_needed(client)
    table = _table_to_validate(df, of)
    breaches = find_breaches(df, table)
    if breaches:
        count = f"{len(breaches)} breach{'es' if len(breaches) > 1 else ''}"
        raise InvalidArgumentError("\n- ".join([f"these are no valid rows of {table.name}, {count}:", *breaches]))
    return df


def _table_to_validate(frame: pd.DataFrame, of: str | None) -> Table:
    """Tell what a frame should be, also where key columns are missing: that is a breach to be told."""
    if of is not None:
        if of not in TABLES:
            raise InvalidArgumentError(f"validate(of=...) takes one of {', '.join(TABLES)}; got {of!r}")
        return TABLES[of]
    near = nearest(columns_of(frame))
    return (
        near
        if near is not None and not fitting(IDENTIFYING, frame)
        else find_table(frame, "validate", IDENTIFYING, None)
    )


@_for(None)
def to_csv(
    df: pd.DataFrame, path: str | os.PathLike[str], *, excel: bool = False, client: Client | None = None
) -> None:
    """Write the frame to a file that `kr.read_csv` brings back as it was: ids, missing values, times, all text.

    Parameters
    ----------
    path : path
        The file; compressed where its name ends in .gz, .bz2, .zip or .xz. The index is not written.
    excel : bool
        For spreadsheets: ids stay whole, and no cell is taken for a formula.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> import keyapi_research as kr
    >>> client = kr.connect(sandbox=True, store=":memory:")
    >>> file = pathlib.Path(tempfile.mkdtemp()) / "videos.csv"
    >>> kr.fetch_videos("7117191641181555995").keyapi.to_csv(file)
    >>> kr.read_csv(file)["video_id"].item()
    '7117191641181555995'
    """
    _not_needed(client)
    from ..export import write_csv  # noqa: PLC0415 - Tab does not wait for what only this needs

    write_csv(df, path, excel=excel)
