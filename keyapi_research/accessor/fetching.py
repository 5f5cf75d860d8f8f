"""What every method of `df.keyapi` does with its frame, and the methods that pay for what is not stored."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import date, timedelta
from functools import cache
from typing import Any, TypeVar

import pandas as pd

from ..client import Call, Client, find_client
from ..docstrings import complete
from ..errors import InvalidArgumentError
from ..fetch import Errors, MaxAge, fetches, make_call
from ..frames import Needs, reading_client
from ..model import SOURCE, Table
from ..settings import SANDBOX
from . import answers
from .follow import any_of, links_of, needs_of, parts_of, queries_of
from .recognise import find_table, joined

F = TypeVar("F", bound=Callable[..., Any])


def offer(needs: Callable[[str], Needs] | None) -> Callable[[F], F]:
    """Declare the columns a method needs, by its name (None: any frame will do), and complete its docstring."""

    def declare(method: F) -> F:
        method.needs = needs  # type: ignore[attr-defined]
        parts = [table.name for table in parts_of(method.__name__).values()]
        if not parts:
            return complete(method)
        return complete(method, Returns=f"pandas.DataFrame\n    {joined(parts, 'or')}, in the order of the rows.")

    return declare


class Frame:
    """A frame, and what its methods have in common."""

    def __init__(self, frame: pd.DataFrame) -> None:
        self._frame = frame

    def _find_table(self, method: str, of: str | None, *, for_answers: bool = False) -> Table:
        needs: Callable[[str], Needs] | None = getattr(type(self), method).needs
        return find_table(self._frame, method, needs(method) if needs else {}, of, for_answers=for_answers)

    def _find(self, table: Table, method: str, client: Client | None, *, used: bool = True) -> answers.Found:
        """Find the stored answers of the rows, and note that they were used; an empty frame needs no connection."""
        if self._frame.empty:
            return []
        connection = reading_client(client)
        found = answers.find(self._frame, table, connection, f"{method}()")
        if used:
            connection.records.note_read(answers.distinct(found))
        return found

    def _read_part(self, method: str, of: str | None, client: Client | None) -> pd.DataFrame:
        table = self._find_table(method, of)
        return answers.read(parts_of(method)[table.name], self._find(table, method, client), client)


def _check_real(frame: pd.DataFrame, client: Client | None) -> None:
    """Refuse to pay for what synthetic rows name: KeyAPI has nothing of them."""
    if not frame.loc[:, frame.columns == SOURCE.name].isin([SANDBOX]).to_numpy().any():
        return
    connection = find_client(client)
    if connection.policy.pays:
        raise InvalidArgumentError(
            f"these rows are synthetic (source {SANDBOX}), but this connection pays {connection.source} for what their "
            "ids name, and nobody has these ids: nothing was sent. Fetch the rows here first, or connect(sandbox=True)"
        )


class Fetching(Frame):
    """The methods that fetch what the rows of a frame name."""

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

        Examples
        --------
        >>> top = kr.fetch_video_rankings(region="US", cycle="month", limit=10)
        >>> kr.plan(top.keyapi.fetch_creators).credits
        1
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

        Examples
        --------
        >>> found = kr.fetch_product_search(region="US", limit=20)
        >>> kr.plan(found.keyapi.fetch_products).credits
        2
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
            creator_days or product_days, one row per day in the answers, in the order of the rows.

        Examples
        --------
        >>> creators = kr.fetch_creators(["3993047", "104962950695723008"])
        >>> kr.plan(creators.keyapi.fetch_days, "30D").credits
        6
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

        Examples
        --------
        >>> kr.plan(kr.fetch_creators("3993047").keyapi.fetch_creator_videos, "views", limit=30).credits
        3
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

        Examples
        --------
        >>> kr.plan(kr.fetch_creators("3993047").keyapi.fetch_creator_products).credits
        2
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

        Examples
        --------
        >>> kr.plan(kr.fetch_products("1729383769606034185").keyapi.fetch_product_creators, limit=10).credits
        1
        """
        return self._follow("fetch_product_creators", {"sort": sort}, locals())

    def _follow(self, method: str, given: Mapping[str, object], options: Mapping[str, Any]) -> Call:
        """Make the call that fetches what the rows name, or what a part of their answers names."""
        client, links = options["client"], links_of(method)
        _check_real(self._frame, client)
        table = self._find_table(method, any_of(self._frame, method, given) if options["of"] is None else options["of"])
        link = links[table.name]
        if link.table is table:
            today = cache(lambda: find_client(client).policy.today)
            queries = queries_of(self._frame, link, given, today)
            return make_call(link.target, queries, {**options, **given}, today)
        found = self._find(table, method, client, used=False)
        queries = queries_of(answers.read(link.table, found, client), link, given)
        return replace(make_call(link.target, queries, options), read=tuple(answers.distinct(found)))
