"""The methods of `df.keyapi`: a class of them, each declared with the columns it needs of the tables it is for."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import date, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

import pandas as pd

from ..client import Call, Client, find_client, ledger_frame
from ..docstrings import complete
from ..errors import InvalidArgumentError, shown
from ..fetch import Errors, MaxAge, fetches, make_call
from ..frames import Needs, identifying_columns, reading_client
from ..measures import PARTS, engagement_rates, fill_days
from ..model import OBSERVED_AT, SOURCE, Table
from ..store import Observation, when
from ..tidy import empty_frame
from . import answers
from .follow import links_of, needs_of, parts_of, queries_of
from .recognise import AccessorError, find_table, fitting, joined, refuse
from .validation import check_frame, vocabulary

if TYPE_CHECKING:
    from .pictures import Pictures

F = TypeVar("F", bound=Callable[..., Any])


def _viewed(_: str) -> Needs:
    counts = {"views", *PARTS.values()}
    return {name: identifying_columns()[name] | counts for name in ("videos", "creator_videos")}


def offer(needs: Callable[[str], Needs] | None) -> Callable[[F], F]:
    """Declare the columns a method needs, by its name (None: any frame will do), and complete its docstring."""

    def declare(method: F) -> F:
        method.needs = needs  # type: ignore[attr-defined]
        parts = [table.name for table in parts_of(method.__name__).values()]
        if not parts:
            return complete(method)
        return complete(method, Returns=f"pandas.DataFrame\n    {joined(parts, 'or')}, in the order of the rows.")

    return declare


# The methods ------------------------------------------------------------------------------------------------


class Methods:
    """The methods of a frame. In the examples `kr` is connected to the sandbox."""

    def __init__(self, frame: pd.DataFrame) -> None:
        self._frame = frame

    @offer(needs_of)
    def trend(self, *, of: str | None = None, client: Client | None = None) -> pd.DataFrame:
        """Return the popularity over time that came with the rows; free, nothing is sent.

        Examples
        --------
        >>> kr.fetch_hashtags("ufc324").keyapi.trend()["share_of_peak"].tolist()
        [1.0, 0.7, 0.48, 0.31, 0.26, 0.25, 0.3]
        """
        return self._read_part("trend", of, client)

    @offer(needs_of)
    def audience(
        self, dimension: str | None = None, *, of: str | None = None, client: Client | None = None
    ) -> pd.DataFrame:
        """Return who watches, as it came with the rows; free, nothing is sent.

        Parameters
        ----------
        dimension : {"age", "interest", "country"}, optional
            Only this one; all that the answers have if left out.

        Examples
        --------
        >>> kr.fetch_hashtags("ufc324").keyapi.audience("age")["score"].tolist()
        [65.0, 23.0, 12.0]
        """
        table = self._find_table("audience", of)
        known = vocabulary(parts_of("audience")[table.name]["dimension"])
        if dimension is not None and not (isinstance(dimension, str) and dimension in known):
            raise InvalidArgumentError(
                f"dimension of {table.name} must be one of {', '.join(known)}; got {shown(dimension)}"
            )
        whole = self._read_part("audience", of, client)
        return whole if dimension is None else whole[whole["dimension"] == dimension].reset_index(drop=True)

    @offer(needs_of)
    def posts(self, *, of: str | None = None, client: Client | None = None) -> pd.DataFrame:
        """Return the ids of popular videos that came with product categories; free, nothing is sent."""
        return self._read_part("posts", of, client)

    @offer(needs_of)
    def hashtags(self, *, of: str | None = None, client: Client | None = None) -> pd.DataFrame:
        """Return the popular hashtags that came with product categories; free, nothing is sent."""
        return self._read_part("hashtags", of, client)

    @offer(needs_of)
    def related(self, *, of: str | None = None, client: Client | None = None) -> pd.DataFrame:
        """Return the related hashtags that came with hashtags; free, nothing is sent."""
        return self._read_part("related", of, client)

    @offer(needs_of)
    def example_videos(self, *, of: str | None = None, client: Client | None = None) -> pd.DataFrame:
        """Return the ids of videos that use the sounds, as they came with them; free, nothing is sent."""
        return self._read_part("example_videos", of, client)

    @offer(needs_of)
    def windows(self, *, of: str | None = None, client: Client | None = None) -> pd.DataFrame:
        """Return what creators or products gained in the last days, as it came with them; free, nothing is sent."""
        return self._read_part("windows", of, client)

    @offer(needs_of)
    def posting(self, *, of: str | None = None, client: Client | None = None) -> pd.DataFrame:
        """Return when creators post and how long their videos are, as it came with them; free, nothing is sent."""
        return self._read_part("posting", of, client)

    @offer(needs_of)
    def categories(self, *, of: str | None = None, client: Client | None = None) -> pd.DataFrame:
        """Return the product categories that creators sell, as they came with them; free, nothing is sent."""
        return self._read_part("categories", of, client)

    @offer(needs_of)
    def products(self, *, of: str | None = None, client: Client | None = None) -> pd.DataFrame:
        """Return the ids of the products that videos show, as they came with them; free, nothing is sent."""
        return self._read_part("products", of, client)

    @offer(needs_of)
    def fill_days(self, *, gains: int | None = None, of: str | None = None, client: Client | None = None) -> pd.DataFrame:
        """Return one row a day, from the first to the last day of each creator or product; free, nothing is sent.

        Parameters
        ----------
        gains : 0 or None
            What stands for the gains of a day that was not told: missing by default. Whether such a day is a day
            without change is not known.

        Returns
        -------
        pandas.DataFrame
            The columns of the frame and `filled` (boolean), whether a row was filled in. Its totals and prices,
            observed_at and source are those of the day before it that was told.
        """
        _check_client(client)
        return fill_days(self._frame, self._find_table("fill_days", of), gains)

    @offer(needs_of)
    @fetches
    def fetch_details(
        self,
        *,
        period: int | str | None = None,
        max_age: MaxAge = None,
        errors: Errors = "raise",
        of: str | None = None,
        client: Client | None = None,
    ) -> Call:
        """Fetch the details of the categories, hashtags or sounds in the rows; each that is not stored costs 2 credits.

        Region and window are those of the rows, so rows of several regions may stand in one frame.

        Parameters
        ----------
        period : int, optional
            Days back, instead of the rows' own; rows of product_hashtags have none (then 7). Not for categories.

        Returns
        -------
        pandas.DataFrame
            product_details of product_insights; hashtags of related_hashtags, product_hashtags and trending_hashtags;
            music of trending_music; in the order of the rows.

        Examples
        --------
        >>> top = kr.fetch_product_insights(region="US", time_scope=7, limit=5)
        >>> kr.plan(top.keyapi.fetch_details).credits
        10
        """
        given = {} if period is None else {"period": period}
        return self._follow("fetch_details", given, locals())

    @offer(needs_of)
    @fetches
    def fetch_videos(
        self, *, max_age: MaxAge = None, errors: Errors = "raise", of: str | None = None, client: Client | None = None
    ) -> Call:
        """Fetch the videos that the rows name, or that came with them; each ten not stored cost 1 credit.

        Returns
        -------
        pandas.DataFrame
            videos of product_details (all their `posts()`), product_posts or music_videos, each once, in the order of
            the rows; rows without an id are passed over.

        Examples
        --------
        >>> category = kr.fetch_product_details("601583")
        >>> kr.plan(category.keyapi.fetch_videos).credits
        5
        """
        return self._follow("fetch_videos", {}, locals())

    @offer(needs_of)
    @fetches
    def fetch_hashtags(
        self,
        period: int | str = 7,
        *,
        max_age: MaxAge = None,
        errors: Errors = "raise",
        of: str | None = None,
        client: Client | None = None,
    ) -> Call:
        """Fetch the hashtags that the rows name, or that came with them; each that is not stored costs 2 credits.

        Parameters
        ----------
        period : int
            Days back: one of 7, 30, 120, 365, 1095.

        Returns
        -------
        pandas.DataFrame
            hashtags of product_details (all their `hashtags()`), product_hashtags or related_hashtags, each once, for
            the rows' own region, in the order of the rows; rows without a name are passed over.

        Examples
        --------
        >>> kr.fetch_product_details("601583").keyapi.fetch_hashtags(period=30)["period"].unique().tolist()
        [30]
        """
        return self._follow("fetch_hashtags", {"period": period}, locals())

    @offer(needs_of)
    @fetches
    def fetch_creators(
        self, *, max_age: MaxAge = None, errors: Errors = "raise", of: str | None = None, client: Client | None = None
    ) -> Call:
        """Fetch the creators that the rows name; each ten not stored cost 1 credit.

        Returns
        -------
        pandas.DataFrame
            creators, each once, in the order of the rows; rows without an id are passed over.
        """
        return self._follow("fetch_creators", {}, locals())

    @offer(needs_of)
    @fetches
    def fetch_products(
        self, *, max_age: MaxAge = None, errors: Errors = "raise", of: str | None = None, client: Client | None = None
    ) -> Call:
        """Fetch the products that the rows name, or that came with them; each ten not stored cost 1 credit.

        Returns
        -------
        pandas.DataFrame
            products, of videos all their `products()`, each once, in the order of the rows; rows without an id are
            passed over.
        """
        return self._follow("fetch_products", {}, locals())

    @offer(needs_of)
    @fetches
    def fetch_days(
        self,
        start: str | date | timedelta,
        end: str | date | None = None,
        *,
        max_age: MaxAge = None,
        errors: Errors = "raise",
        of: str | None = None,
        client: Client | None = None,
    ) -> Call:
        """Fetch the days of the creators or products in the rows; each ten days not stored cost at most 1 credit.

        Parameters
        ----------
        start : str, date or timedelta
            First day, or the length of what ends with `end`: "90D".
        end : str or date, optional
            Last day, included; yesterday if left out.

        Returns
        -------
        pandas.DataFrame
            creator_days or product_days, one row per day that KeyAPI told, in the order of the rows.
        """
        return self._follow("fetch_days", {"start": start, "end": end}, locals())

    @offer(needs_of)
    @fetches
    def fetch_creator_videos(
        self,
        sort: str = "posted",
        *,
        limit: int | None = 20,
        max_age: MaxAge = None,
        errors: Errors = "raise",
        of: str | None = None,
        client: Client | None = None,
    ) -> Call:
        """Fetch the videos of the creators in the rows; each page of up to 10 that is not stored costs 1 credit.

        Parameters
        ----------
        sort : {"posted", "views", "units", "gmv"}
            Order of the list, descending.
        limit : int or None
            Maximum number of videos of each creator; None for all.

        Returns
        -------
        pandas.DataFrame
            creator_videos, in the order of the rows.
        """
        return self._follow("fetch_creator_videos", {"sort": sort}, locals())

    @offer(needs_of)
    @fetches
    def fetch_creator_products(
        self,
        sort: str = "showcase",
        *,
        limit: int | None = 20,
        max_age: MaxAge = None,
        errors: Errors = "raise",
        of: str | None = None,
        client: Client | None = None,
    ) -> Call:
        """Fetch the products that the creators in the rows promote; each page of up to 10 not stored costs 1 credit.

        Parameters
        ----------
        sort : {"showcase", "units", "gmv", "price", "video_units", "video_gmv"}
            Order of the list, descending.
        limit : int or None
            Maximum number of products of each creator; None for all.

        Returns
        -------
        pandas.DataFrame
            creator_products, in the order of the rows.
        """
        return self._follow("fetch_creator_products", {"sort": sort}, locals())

    @offer(needs_of)
    @fetches
    def fetch_product_creators(
        self,
        sort: str = "gmv",
        *,
        limit: int | None = 20,
        max_age: MaxAge = None,
        errors: Errors = "raise",
        of: str | None = None,
        client: Client | None = None,
    ) -> Call:
        """Fetch the creators who promote the products in the rows; each page of up to 10 not stored costs 1 credit.

        Parameters
        ----------
        sort : {"followers", "likes", "units", "gmv", "videos", "views", "live_views"}
            Order of the list, descending.
        limit : int or None
            Maximum number of creators of each product; None for all.

        Returns
        -------
        pandas.DataFrame
            product_creators, in the order of the rows.
        """
        return self._follow("fetch_product_creators", {"sort": sort}, locals())

    @offer(_viewed)
    def engagement(self, *, of: str | None = None, client: Client | None = None) -> pd.DataFrame:
        """Return the rows with the shares of a video's views that became likes, comments and shares.

        Returns
        -------
        pandas.DataFrame
            A copy with like_rate, comment_rate, share_rate and engagement_rate = (likes + comments + shares) / views,
            float64 from 0. Missing where views is missing or 0, or where a part is missing.

        Examples
        --------
        >>> videos = kr.fetch_videos("7117191641181555995").keyapi.engagement()
        >>> round(float(videos["like_rate"].item()), 4)
        0.0862
        """
        _check_client(client)
        self._find_table("engagement", of)
        rates = engagement_rates(self._frame)
        return self._frame.assign(**{name: rates[name].to_numpy() for name in (*PARTS, "engagement_rate")})

    @offer(needs_of)
    def history(self, *, of: str | None = None, client: Client | None = None) -> pd.DataFrame:
        """Return all stored observations of the rows, fetched before and since; free, nothing is sent.

        Returns
        -------
        pandas.DataFrame
            The columns of the table, a row for each key of the frame in each answer, by key, then observed_at. Of a
            ranking an observation is one pull of its pages. With `as_of`, up to then.

        Examples
        --------
        >>> videos = kr.fetch_videos("7117191641181555995")
        >>> videos = kr.fetch_videos("7117191641181555995", max_age=0)
        >>> len(videos.keyapi.history())
        2
        """
        table = self._find_table("history", of)
        if self._frame.empty:
            return empty_frame(table)
        return answers.read_history(self._frame, table, reading_client(client), "history()")

    @offer(needs_of)
    def raw(self, *, of: str | None = None, client: Client | None = None) -> list[dict[str, Any]]:
        """Return the stored answers of the rows as they came, also what no column has; free, nothing is sent.

        Returns
        -------
        list of dict
            Each distinct answer once, in the order of the rows: KeyAPI's envelope, with code, message and data. Of a
            ranking an answer is a page; of videos that came together each has its own.

        Examples
        --------
        >>> [answer] = kr.fetch_hashtags("ufc324").keyapi.raw()
        >>> answer["data"]["info"]["industry_info"]["label"]
        'label_28000000000'
        """
        found = self._find_answers("raw", of, client)
        return list(reading_client(client).store.envelopes([one.id for one in found])) if found else []

    @offer(needs_of)
    def provenance(self, *, of: str | None = None, client: Client | None = None) -> pd.DataFrame:
        """Return which requests brought the rows, when, and at what price; free, nothing is sent.

        Returns
        -------
        pandas.DataFrame
            One row per answer behind the rows, in their order: endpoint, params (JSON text), request_id (KeyAPI's, for
            its support), observed_at, credits (Int64), source and n_entities (Int64). `credits` are those of the whole
            request, which was for `n_entities` ids or days: sum them over distinct requests only.

        Examples
        --------
        >>> kr.fetch_hashtags(["ufc324", "perfume"]).keyapi.provenance()["credits"].tolist()
        [2, 2]
        """
        found = self._find_answers("provenance", of, client)
        return _provenance_of(found, reading_client(client) if found else None)

    @offer(None)
    def validate(self, *, of: str | None = None, client: Client | None = None) -> pd.DataFrame:
        """Return the frame itself if it is what its table is declared to be; free, nothing is sent or read.

        Returns
        -------
        pandas.DataFrame
            The frame itself. Columns of your own do not matter.

        Raises
        ------
        InvalidArgumentError
            It is not: every breach of columns, dtypes, keys, ranges and vocabularies is listed.
        """
        _check_client(client)
        check_frame(self._frame, of)
        return self._frame

    @offer(None)
    def to_csv(
        self, path: str | os.PathLike[str], *, excel: bool = False, index: bool = False, client: Client | None = None
    ) -> None:
        """Write the frame to a file that `kr.read_csv` brings back as it was: ids, missing values, times, text.

        Parameters
        ----------
        path : path
            The file; compressed where its name ends in .gz, .bz2, .zip or .xz.
        excel : bool
            For spreadsheets: ids stay whole, and no cell is taken for a formula.
        index : bool
            The index is never written; only False is accepted.

        Examples
        --------
        >>> import tempfile, pathlib
        >>> file = pathlib.Path(tempfile.mkdtemp()) / "videos.csv"
        >>> kr.fetch_videos("7117191641181555995").keyapi.to_csv(file)
        >>> kr.read_csv(file)["video_id"].item()
        '7117191641181555995'
        """
        _check_client(client)
        from ..export import write_csv  # noqa: PLC0415 - Tab does not wait for what only this needs

        write_csv(self._frame, path, excel=excel, index=index)

    @property
    def plot(self) -> Pictures:
        """The pictures of the frame."""
        from .pictures import Pictures  # noqa: PLC0415 - as above

        return Pictures(self._frame)

    def _find_table(self, method: str, of: str | None, *, for_answers: bool = False) -> Table:
        return find_table(self._frame, method, _needs_of(method) or {}, of, for_answers=for_answers)

    def _find(self, table: Table, method: str, client: Client | None, *, used: bool = True) -> answers.Found:
        """Find the stored answers of the rows, and note that they were used; an empty frame needs no connection."""
        if self._frame.empty:
            return []
        connection = reading_client(client)
        found = answers.find(self._frame, table, connection, f"{method}()")
        if used:
            connection.records.note_read(answers.distinct(found))
        return found

    def _find_answers(self, method: str, of: str | None, client: Client | None) -> list[Observation]:
        return answers.distinct(self._find(self._find_table(method, of, for_answers=True), method, client))

    def _read_part(self, method: str, of: str | None, client: Client | None) -> pd.DataFrame:
        table = self._find_table(method, of)
        return answers.read(parts_of(method)[table.name], self._find(table, method, client), client)

    def _follow(self, method: str, given: Mapping[str, object], options: Mapping[str, Any]) -> Call:
        """Make the call that fetches what the rows name, or what a part of their answers names."""
        client, table = options["client"], self._find_table(method, options["of"])
        link = links_of(method)[table.name]
        if link.table is table:
            today = cache(lambda: find_client(client).policy.today)
            queries = queries_of(self._frame, link, given, today)
            relative = bool(queries) and given.get(link.target.endpoint.dated, "") is None
            return make_call(link.target, queries, options, today=today() if relative else None)
        found = self._find(table, method, client, used=False)
        queries = queries_of(answers.read(link.table, found, client), link, given)
        return replace(make_call(link.target, queries, options), read=tuple(answers.distinct(found)))


def _check_client(client: Client | None) -> None:
    """Check the client of a method that needs none: it accepts one so that all methods are called alike."""
    if client is not None:
        find_client(client)


def _provenance_of(found: list[Observation], client: Client | None) -> pd.DataFrame:
    requests = client.store.ledger(one.request for one in found) if client else []
    ledger = ledger_frame(requests).set_axis([number for number, *_ in requests])
    brought = ledger.reindex([one.request for one in found]).reset_index(drop=True)
    columns = {
        "endpoint": pd.array([one.endpoint for one in found], dtype="string"),
        "params": pd.array([one.params for one in found], dtype="string"),
        "request_id": brought["request_id"],
        OBSERVED_AT.name: pd.Series([when(one.observed_at) for one in found], dtype=OBSERVED_AT.dtype),
        "credits": brought["credits"],
        SOURCE.name: pd.array([client.source if client else ""] * len(found), dtype="string"),
        "n_entities": brought["n_entities"],
    }
    return pd.DataFrame(columns)


# Methods of a frame -----------------------------------------------------------------------------------------


def find_method(frame: pd.DataFrame, name: str) -> Any:
    """Return a method of a frame, or its pictures; an AttributeError explains why there is none."""
    if name not in _names():
        raise AccessorError(f"df.keyapi has no {name!r}. Choose from {joined(_names())}")
    needs = _needs_of(name)
    if needs is not None and not fitting(needs, frame):
        raise refuse(f"{name}()", needs, frame)
    return getattr(Methods(frame), name)


def names_for(frame: pd.DataFrame) -> list[str]:
    """Return the names of what a frame supports."""
    pictures = [name for name in dir(Methods(frame).plot) if not name.startswith("_")]
    supported = [name for name in _names() if (needs := _needs_of(name)) is None or fitting(needs, frame)]
    return [name for name in supported if name != "plot" or pictures]


def _names() -> list[str]:
    return [name for name in vars(Methods) if not name.startswith("_")]


def _needs_of(name: str) -> Needs | None:
    """Return what a method needs of a frame; None: it takes any."""
    needs: Callable[[str], Needs] | None = getattr(vars(Methods)[name], "needs", None)
    return needs(name) if needs else None
