"""The methods of `df.keyapi`: a class of them, each declared with the columns it needs of the tables it is for."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from ..client import Client, find_client, ledger_frame
from ..entities import why_not
from ..errors import InvalidArgumentError, shown
from ..frames import Needs, identifying_columns, reading_client
from ..measures import PARTS, RATED, engagement_rates, fill_days
from ..model import OBSERVED_AT, SOURCE, TABLES
from ..store import Observation, when
from ..tidy import empty_frame
from . import answers
from .fetching import Fetching, offer
from .follow import needs_of, parts_of
from .recognise import AccessorError, fitting, joined, refuse
from .validation import check_frame, vocabulary

if TYPE_CHECKING:
    from .pictures import Pictures


def _rated(_: str) -> Needs:
    keys = identifying_columns()
    return {table.name: keys[table.name] | {*RATED.columns} for table in RATED.tables}


def _daily(_: str) -> Needs:
    keys = identifying_columns()
    return {name: keys[name] for name, table in TABLES.items() if table.endpoint.series is not None}


# The methods ------------------------------------------------------------------------------------------------


class Methods(Fetching):
    """The methods of a frame. In the examples `kr` is connected to the sandbox."""

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
        """Return what creators or products gained in the last days, as it came with them; free, nothing is sent.

        Examples
        --------
        >>> kr.fetch_creators("3993047").keyapi.windows()["window_days"].tolist()
        [1, 7, 30, 90]
        """
        return self._read_part("windows", of, client)

    @offer(needs_of)
    def posting(self, *, of: str | None = None, client: Client | None = None) -> pd.DataFrame:
        """Return when creators post and how long their videos are, as it came with them; free, nothing is sent.

        Examples
        --------
        >>> kr.fetch_creators("3993047").keyapi.posting()["dimension"].unique().tolist()
        ['hour', 'weekday', 'duration']
        """
        return self._read_part("posting", of, client)

    @offer(needs_of)
    def categories(self, *, of: str | None = None, client: Client | None = None) -> pd.DataFrame:
        """Return the product categories that creators sell, as they came with them; free, nothing is sent."""
        return self._read_part("categories", of, client)

    @offer(needs_of)
    def products(self, *, of: str | None = None, client: Client | None = None) -> pd.DataFrame:
        """Return the ids of the products that videos show, as they came with them; free, nothing is sent."""
        return self._read_part("products", of, client)

    @offer(_daily)
    def fill_days(
        self, *, gains: int | None = None, of: str | None = None, client: Client | None = None
    ) -> pd.DataFrame:
        """Return one row a day, from the first to the last day of each creator or product; free, nothing is sent.

        KeyAPI's answers do not have every day. A day missing from them has no row, which does not mean that nothing
        happened on it.

        Parameters
        ----------
        gains : 0 or None
            Value of the measures of the day (such as units_day_est) in the rows that are added: missing, or 0 to count
            these days as days without change.

        Returns
        -------
        pandas.DataFrame
            The columns of the frame and `filled` (boolean): whether a row was added. Creators or products are in the
            order of the rows, their days in order. In an added row totals, prices, observed_at and source are those
            of the last day before it that has a row; columns of your own are missing. It came with no answer: `raw()`
            and `provenance()` are for rows that were not added.

        Examples
        --------
        >>> import pandas as pd
        >>> days = pd.DataFrame({"product_id": "1729383769606034185", "date": ["2026-01-01", "2026-01-03"],
        ...                      "units_sold_est": [40, 44], "units_day_est": [2, 3]})
        >>> days.keyapi.fill_days()[["units_sold_est", "units_day_est", "filled"]]
           units_sold_est  units_day_est  filled
        0              40              2   False
        1              40           <NA>    True
        2              44              3   False
        """
        _check_client(client)
        return fill_days(self._frame, self._find_table("fill_days", of), gains)

    @offer(_rated)
    def engagement(self, *, of: str | None = None, client: Client | None = None) -> pd.DataFrame:
        """Return the rows with the shares of a video's views that became likes, comments and shares.

        For videos and creator_videos. In rankings these measures are gains of a period, in creators and creator_days
        those of all videos together; neither has a rate per view of a video.

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
        if of is not None:  # which of two tables is meant makes no difference
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

    @offer(needs_of)
    def audit(
        self, *, thresholds: Mapping[str, float] | None = None, of: str | None = None, client: Client | None = None
    ) -> pd.DataFrame:
        """Look for numbers in the answers of the rows that contradict each other; free, nothing is sent.

        Parameters
        ----------
        thresholds : dict, optional
            By check, the size from which something is reported; `kr.audit` has the checks and their defaults.

        Returns
        -------
        pandas.DataFrame
            Findings, as of `kr.audit`: of all tables that the answers of the rows have.

        Examples
        --------
        >>> kr.fetch_videos("7117191641181555995").keyapi.audit()["check"].tolist()
        []
        """
        from ..audits import audit_answers  # noqa: PLC0415 - not at the first Tab

        table = self._find_table("audit", of, for_answers=True)
        found = self._find(table, "audit", client)
        connection = reading_client(client) if found else None
        return audit_answers(table.endpoint, lambda one: answers.read(one, found, client), connection, thresholds)

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
        """Write the frame to a file that `kr.read_csv` brings back as it was: all columns of tables.

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

    @offer(None)
    def to_excel(self, path: str | os.PathLike[str], *, client: Client | None = None) -> None:
        """Write the frame to an Excel workbook that `kr.read_excel` brings back as it was, times to the millisecond.

        Parameters
        ----------
        path : path
            The file, ending in .xlsx. The index is not written. A second sheet says what the columns are.

        Raises
        ------
        InvalidArgumentError
            A text is longer than a cell (32,767 characters), the frame larger than a sheet, or two columns have one
            name; the file is as it was.
        StoreError
            The file cannot be written.
        MissingPackageError
            openpyxl is not installed.

        Notes
        -----
        Ids and whole numbers of more than 15 digits are text, and no text is a formula. Times are UTC. Characters that
        a workbook cannot have are written as Excel does (``_x000D_``). An empty text is missing when it is read.

        Examples
        --------
        >>> import tempfile, pathlib
        >>> file = pathlib.Path(tempfile.mkdtemp()) / "videos.xlsx"
        >>> kr.fetch_videos("7117191641181555995").keyapi.to_excel(file)
        >>> kr.read_excel(file)["video_id"].item()
        '7117191641181555995'
        """
        _check_client(client)
        from ..export import write_excel  # noqa: PLC0415 - as above

        write_excel(self._frame, path)

    @offer(None)
    def to_parquet(self, path: str | os.PathLike[str], *, client: Client | None = None) -> None:
        """Write the frame to one Parquet file that `kr.read_parquet` brings back as it was.

        Parameters
        ----------
        path : path
            The file. The index is not written.

        Raises
        ------
        InvalidArgumentError
            The frame cannot be written as Parquet: a column has values of several kinds, or two have one name.
        StoreError
            The file cannot be written.
        MissingPackageError
            pyarrow is not installed.

        Examples
        --------
        >>> import tempfile, pathlib
        >>> file = pathlib.Path(tempfile.mkdtemp()) / "videos.parquet"
        >>> kr.fetch_videos("7117191641181555995").keyapi.to_parquet(file)
        >>> kr.read_parquet(file)["video_id"].item()
        '7117191641181555995'
        """
        _check_client(client)
        from ..export import write_parquet  # noqa: PLC0415 - as above

        write_parquet(self._frame, path)

    @property
    def plot(self) -> Pictures:
        """The pictures of the frame."""
        from .pictures import Pictures  # noqa: PLC0415 - as above

        return Pictures(self._frame)

    def _find_answers(self, method: str, of: str | None, client: Client | None) -> list[Observation]:
        return answers.distinct(self._find(self._find_table(method, of, for_answers=True), method, client))


def _check_client(client: Client | None) -> None:
    """Check the client of a method that needs none: it accepts one so that all methods are called alike."""
    if client is not None:
        find_client(client)


def _provenance_of(found: list[Observation], client: Client | None) -> pd.DataFrame:
    requests = client.store.ledger(one.request for one in found) if client else []
    ledger = ledger_frame(requests).set_axis([row.id for row in requests])
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


METHODS: Final[Mapping[str, Any]] = MappingProxyType(
    {name: one for part in (Methods, Fetching) for name, one in vars(part).items() if not name.startswith("_")}
)  # `plot` is one, those that pay are the last


# Methods of a frame -----------------------------------------------------------------------------------------


def find_method(frame: pd.DataFrame, name: str) -> Any:
    """Return a method of a frame, or its pictures; an AttributeError explains why there is none."""
    if name not in METHODS:
        raise AccessorError(f"df.keyapi has no {name!r}. Choose from {joined(METHODS)}")
    needs = _needs_of(name)
    if needs is not None and not fitting(needs, frame):
        raise refuse(f"{name}()", needs, frame, why_not(frame, RATED) if needs == _rated(name) else "")
    return getattr(Methods(frame), name)


def names_for(frame: pd.DataFrame) -> list[str]:
    """Return the names of what a frame supports."""
    pictures = [name for name in dir(Methods(frame).plot) if not name.startswith("_")]
    supported = [name for name in METHODS if (needs := _needs_of(name)) is None or fitting(needs, frame)]
    return [name for name in supported if name != "plot" or pictures]


def _needs_of(name: str) -> Needs | None:
    """Return what a method needs of a frame; None: it takes any."""
    needs: Callable[[str], Needs] | None = getattr(METHODS[name], "needs", None)
    return needs(name) if needs else None
