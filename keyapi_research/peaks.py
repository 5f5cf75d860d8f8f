"""The shape of trends: how long they rise and fall, and when they burst."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import MappingProxyType
from typing import Final, TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd

from .docstrings import complete
from .entities import ENTITY_IDS, Needs, check_columns, find_entities, typed
from .errors import InvalidArgumentError
from .model import DTYPES, OBSERVED_AT

F = TypeVar("F", bound=Callable[..., object])
Floats = npt.NDArray[np.float64]

_SHAPE: Final = MappingProxyType(
    {
        "peak": DTYPES["time"], "days_up": "float64", "up_seen": "boolean", "days_down": "float64",
        "down_seen": "boolean",
    }
)  # fmt: skip
_BURST: Final = MappingProxyType(
    {
        "burst": "Int64", "start": DTYPES["time"], "centre": DTYPES["time"], "end": DTYPES["time"], "height": "float64",
        "complete": "boolean",
    }
)  # fmt: skip
_HIGH, _LOW = 0.5, 0.4  # of the highest value: a burst is at the first, and over below the second
_DAY: Final = 86_400_000_000  # microseconds
_DATE, _SHARE, _VALUE, _PIECE = "date", "share_of_peak", "value", "piece"  # of trends; the last two of stitched ones

_TRENDS: Final = """\
trends : pandas.DataFrame
    Rows of hashtag_trends, music_trends, trending_hashtag_trends or trending_music_trends, each observation a series of
    its own; or what `kr.stitch_trends` made of them, each piece a series."""
_RAISES: Final = """\
InvalidArgumentError
    Columns or ids are missing, or a series has two values of one date."""


def _documented(function: F) -> F:
    return complete(function, {"trends": _TRENDS}, Raises=_RAISES)


def _needs(name: str) -> Needs:
    return Needs(name, (_DATE, _SHARE), f"From hashtags or music: kr.{name}(df.keyapi.trend()).")


@_documented
def half_times(trends: pd.DataFrame) -> pd.DataFrame:
    """Return how long each series takes from half of its peak up to it, and from the peak down to half of it.

    Returns
    -------
    pandas.DataFrame
        One row per series, in order of appearance: what identifies it (and `observed_at` or `piece`), then

        peak : datetime64[us, UTC]
            First date of its highest value.
        days_up, days_down : float64
            Days from the last crossing of half of the peak to the peak, and from the last date of the peak to the first
            crossing; between two dates on a straight line. A series crosses half of its peak where it is below it:
            exactly half is not, as in `bursts`. If it does not cross it on this side, the days to its end: it took at
            least so long (right-censored).
        up_seen, down_seen : boolean
            Whether it crosses half of its peak on this side.

    Notes
    -----
    Costs nothing. Only the highest peak of a series counts. Noise makes half times shorter on both sides: the highest
    of noisy values is too high, and the first crossing comes too early. Do not leave out what is not seen, or slow
    ones become rare: use a method for censored data, such as the estimator of Kaplan and Meier.

    Examples
    --------
    >>> days = pd.date_range("2026-01-01", periods=6, tz="UTC")
    >>> trend = pd.DataFrame({"hashtag_name": "cats", "date": days, "share_of_peak": [0.1, 0.4, 1.0, 0.9, 0.8, 0.6]})
    >>> kr.half_times(trend)[["days_up", "up_seen", "days_down", "down_seen"]].round(2)
       days_up  up_seen  days_down  down_seen
    0     0.83     True        3.0      False
    """
    series, identity = _read(trends, _needs("half_times"))
    shapes = pd.DataFrame([_shape(one) for one in series], columns=[*_SHAPE])
    shapes["peak"] = pd.to_datetime(shapes["peak"], utc=True)  # else not a time where no series has a peak
    shapes = shapes.astype(_SHAPE)
    return pd.concat([identity, shapes], axis=1)


@_documented
def bursts(trends: pd.DataFrame) -> pd.DataFrame:
    """Return when each series stands high: its bursts, with their first, middle and last dates.

    A burst is where the series is at half of its highest value or above. If it does not fall below 0.4 of that value in
    between, it is one burst, so that noise around a half does not make many of one.

    Returns
    -------
    pandas.DataFrame
        One row per burst, series in order of appearance: what identifies the series (and `observed_at` or `piece`),
        then

        burst : Int64
            1 for the first burst of the series.
        start, end : datetime64[us, UTC]
            First and last date at half of the highest value or above. Of weekly values the first days of these weeks.
        centre : datetime64[us, UTC]
            Mean of these dates, weighted by what is above half: finer than the step of the dates.
        height : float64
            Highest value of the burst, as a share of the highest of the series.
        complete : boolean
            False where the burst is under way on the first or last date: it may be longer and higher, and its centre
            lies elsewhere.

    Notes
    -----
    Costs nothing. A series that never falls below half of its highest value is one burst that is not complete. Few
    bursts show no rhythm: compare the days between complete ones, and say how many there are.

    Examples
    --------
    >>> weeks = pd.date_range("2026-01-01", periods=8, freq="7D", tz="UTC")
    >>> shares = [0.1, 0.6, 0.8, 0.2, 0.1, 1.0, 0.3, 0.1]
    >>> trend = pd.DataFrame({"hashtag_name": "cats", "date": weeks, "share_of_peak": shares})
    >>> found = kr.bursts(trend)
    >>> found[["burst", "start", "centre", "height", "complete"]].assign(centre=found["centre"].dt.date)
       burst                     start      centre  height  complete
    0      1 2026-01-08 00:00:00+00:00  2026-01-13     0.8      True
    1      2 2026-02-05 00:00:00+00:00  2026-02-05     1.0      True
    """
    series, identity = _read(trends, _needs("bursts"))
    found = [(at, number, *burst) for at, one in enumerate(series) for number, burst in enumerate(_bursts(one), 1)]
    made = pd.DataFrame(found, columns=["series", *_BURST]).astype({"series": "int64", **_BURST})
    return pd.concat([identity.iloc[made.pop("series")].reset_index(drop=True), made], axis=1)


def _read(trends: pd.DataFrame, needs: Needs) -> tuple[list[pd.DataFrame], pd.DataFrame]:
    """Return the known values of each series by date, and what identifies it, in order of appearance."""
    stitched = isinstance(trends, pd.DataFrame) and _SHARE not in trends.columns and _PIECE in trends.columns
    frame = trends.rename(columns={_VALUE: _SHARE}) if stitched else trends
    check_columns(frame, needs)
    found = find_entities(frame, needs)
    keys = dict.fromkeys(name for table in needs.tables for name in table.key if name != _DATE)
    identity = [name for name in (*keys, _PIECE, OBSERVED_AT.name) if name in frame.columns]
    rows = typed(frame, [*identity, _DATE, _SHARE])
    pieces = rows[_PIECE].to_numpy() if _PIECE in rows else np.zeros(len(rows))
    rows["series"] = rows.assign(entity=found.codes, piece=pieces).groupby(["entity", "piece"], sort=False).ngroup()
    ids = [name for name in identity if name in ENTITY_IDS]
    if missing := int((rows[_DATE].isna() | rows[ids].isna().all(axis=1)).sum()):
        raise InvalidArgumentError(f"{missing:,} of {len(rows):,} rows have no date or no id. Leave them out")
    if np.isinf(rows[_SHARE]).any():
        raise InvalidArgumentError(f"{_SHARE} has infinite values. Leave them out")
    if rows.duplicated(["series", _DATE]).any():
        raise InvalidArgumentError(
            "a series has two values of one date. Join several observations with kr.stitch_trends first, or keep "
            "observed_at"
        )
    known = rows.dropna(subset=_SHARE).sort_values(["series", _DATE])
    parts = dict(list(known.groupby("series")))
    numbers = rows["series"].drop_duplicates()
    made = trends.loc[~rows["series"].duplicated().to_numpy(), identity].reset_index(drop=True)
    return [parts.get(number, known.iloc[:0]) for number in numbers], made


def _days(series: pd.DataFrame) -> Floats:
    moments = series[_DATE].dt.tz_convert(None).to_numpy(dtype="datetime64[us]")
    return np.asarray(moments.astype(np.int64) / _DAY, dtype=np.float64)


def _shape(series: pd.DataFrame) -> tuple[object, float, bool | None, float, bool | None]:
    """Return the date of the peak, and days to half of it on both sides, with whether they are seen."""
    days, values = _days(series), series[_SHARE].to_numpy()
    if not (values > 0).any():
        return pd.NaT, np.nan, None, np.nan, None
    highest = np.flatnonzero(values == values.max())
    first, last = highest[0], highest[-1]
    up = _to_half(days[first] - days[first::-1], values[first::-1])
    down = _to_half(days[last:] - days[last], values[last:])
    return series[_DATE].iloc[first], *up, *down


def _to_half(days: Floats, values: Floats) -> tuple[float, bool]:
    """Return the days from a peak to half of it, and whether it gets there."""
    half = values[0] / 2
    below = np.flatnonzero(values < half)
    if not len(below):
        return float(days[-1]), False
    after = below[0]
    share = (values[after - 1] - half) / (values[after - 1] - values[after])
    return float(days[after - 1] + share * (days[after] - days[after - 1])), True


def _bursts(series: pd.DataFrame) -> Iterator[tuple[object, ...]]:
    """Yield the bursts of a series."""
    days, values = _days(series), series[_SHARE].to_numpy()
    if not (values > 0).any():
        return
    highest = values.max()
    high, low = np.flatnonzero(values >= _HIGH * highest), np.flatnonzero(values < _LOW * highest)
    for stretch in np.split(high, np.flatnonzero(np.diff(np.searchsorted(low, high))) + 1):
        first, last = stretch[0], stretch[-1]
        above = values[stretch] - _HIGH * highest
        centre = np.average(days[stretch], weights=above if above.any() else None)
        dates = (pd.Timestamp(round(day * _DAY), unit="us", tz="UTC") for day in (days[first], centre, days[last]))
        yield *dates, values[stretch].max() / highest, bool(first > 0 and last < len(values) - 1)
