"""`kr.stitch_trends`: windows of a trend become one series, and the truth is within its bounds."""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

import keyapi_research as kr

Floats = npt.NDArray[np.float64]
START = pd.Timestamp("2026-01-01", tz="UTC")
Given = tuple[int, Sequence[float]]  # the first day of a window, and its shares


def frame_of(windows: Sequence[Given], *, step: int = 1, name: str = "cats", **more: Any) -> pd.DataFrame:
    """Rows as `trend()` gives them; a later window was observed later."""
    parts = []
    for number, (first, shares) in enumerate(windows):
        dates = START + pd.to_timedelta(first + step * np.arange(len(shares)), unit="D")
        seen = START + pd.Timedelta(days=500 + number)
        shown = {"date": dates, "share_of_peak": np.asarray(shares, dtype=float), "observed_at": seen}
        parts.append(pd.DataFrame({"hashtag_name": name, **shown, **more}))
    return pd.concat(parts, ignore_index=True).astype({"hashtag_name": "string"})


def cut(truth: Floats, length: int, every: int, decimals: int) -> list[Given]:
    """The windows that KeyAPI would show of a series."""
    firsts = range(0, len(truth) - length + 1, every)
    cuts = [(first, truth[first : first + length]) for first in firsts]
    return [(first, np.round(part / part.max(), decimals)) for first, part in cuts]


def series(kind: str, rng: np.random.Generator, days: int = 180) -> Floats:
    time = np.arange(days)
    if kind == "bursty":
        level = np.full(days, 5.0)
        for _ in range(rng.integers(3, 9)):
            height, width = rng.uniform(10, 100), rng.uniform(1.5, 8)
            level += height * np.exp(-np.abs(time - rng.uniform(0, days)) / width)
    elif kind == "stable":
        level = 50 * np.exp(np.cumsum(rng.normal(0, 0.03, days)))
    else:
        level = 100 * np.exp(-time / rng.uniform(20, 80)) + 1
    return level * np.exp(rng.normal(0, 0.1, days))


# The truth ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["bursty", "stable", "decaying"])
@pytest.mark.parametrize(
    ("length", "every", "decimals"),
    [(30, 7, 2), (7, 5, 2), *(pytest.param(*one, marks=pytest.mark.slow) for one in [(30, 20, 1), (14, 4, 3)])],
)
def test_the_truth_and_the_value_are_within_the_bounds(kind: str, length: int, every: int, decimals: int) -> None:
    rng = np.random.default_rng([ord(kind[0]), length, decimals])
    for _ in range(3):
        truth = series(kind, rng)
        windows = cut(truth, length, every, decimals)
        stitched = kr.stitch_trends(frame_of(windows), decimals=decimals)
        assert stitched["piece"].unique().tolist() == [1]
        seen = truth[: len(stitched)] / truth[: len(stitched)].max()
        assert (stitched["lower"] - 1e-9 <= seen).all()
        assert (seen <= stitched["upper"] + 1e-9).all()
        assert stitched["value"].between(stitched["lower"], stitched["upper"]).all()
        assert stitched["value"].max() == 1


# Bounds by another way ------------------------------------------------------------------------------------------


def exact(windows: Sequence[Given], half: float) -> tuple[list[float], list[float]]:
    """The bounds by trying every choice of the windows' peaks: then there are only ratios of two dates."""
    days = sorted({first + place for first, shares in windows for place in range(len(shares))})
    number = {day: place for place, day in enumerate(days)}
    count = len(days)
    lower, upper = [math.inf] * count, [0.0] * count
    tops = [[place for place, share in enumerate(shares) if share + half >= 1 - 1e-12] for _, shares in windows]
    for chosen in itertools.product(*tops):
        ratio = [[math.inf] * count for _ in days]  # at most, of column to row
        for day in range(count):
            ratio[day][day] = 1.0
        for (first, shares), top in zip(windows, chosen, strict=True):
            peak = number[first + top]
            for place, share in enumerate(shares):
                date = number[first + place]
                ratio[peak][date] = min(ratio[peak][date], share + half, 1.0)
                if share - half > 0:
                    ratio[date][peak] = min(ratio[date][peak], 1 / (share - half))
        for k, i, j in itertools.product(range(count), repeat=3):
            if not (math.isinf(ratio[i][k]) or math.isinf(ratio[k][j])):
                ratio[i][j] = min(ratio[i][j], ratio[i][k] * ratio[k][j])
        if any(ratio[day][day] < 1 - 1e-9 for day in range(count)):
            continue  # no series has its peaks there
        for date in range(count):
            upper[date] = max(upper[date], min(ratio[other][date] for other in range(count)))
            lower[date] = min(lower[date], *(1 / ratio[date][other] for other in range(count)))
    return lower, upper


def test_bounds_are_those_of_trying_every_peak() -> None:
    rng = np.random.default_rng(50)
    tied = cases = 0
    while cases < 50:
        decimals = int(rng.integers(1, 3))
        days = int(rng.integers(5, 9))
        truth = np.exp(rng.normal(0, 0.8, days)) if rng.random() < 0.5 else rng.uniform(0.93, 1, days)
        windows = cut(truth, int(rng.integers(3, min(5, days))), int(rng.integers(1, 3)), decimals)
        half = 0.5 * 10.0**-decimals
        stitched = kr.stitch_trends(frame_of(windows), decimals=decimals)
        if stitched["piece"].max() > 1:
            continue
        cases += 1
        tied += any(sum(share + half >= 1 for share in shares) > 1 for _, shares in windows)
        lower, upper = exact(windows, half)
        np.testing.assert_allclose(stitched["lower"], lower, atol=1e-9)
        np.testing.assert_allclose(stitched["upper"], upper, atol=1e-9)
    assert tied > 15  # where several dates may be the peak, which one linear programme does not know


# Pieces ---------------------------------------------------------------------------------------------------------


def columns(stitched: pd.DataFrame, *names: str) -> list[list[Any]]:
    return stitched[list(names)].round(3).to_numpy().tolist()


def test_the_shape_of_the_result() -> None:
    frame = frame_of([(0, [0.5, 1]), (1, [0.5, 1])], region="US", period=7)
    stitched = kr.stitch_trends(frame)
    made = ["date", "value", "lower", "upper", "windows", "piece"]
    assert stitched.columns.tolist() == ["region", "hashtag_name", *made]
    assert stitched.dtypes.astype(str).tolist() == [
        "string", "string", "datetime64[us, UTC]", "float64", "float64", "float64", "Int64", "Int64",
    ]
    empty = kr.stitch_trends(frame.iloc[:0])
    assert empty.dtypes.astype(str).tolist() == stitched.dtypes.astype(str).tolist()
    assert empty.empty


def test_one_window_is_itself_within_its_rounding() -> None:
    stitched = kr.stitch_trends(frame_of([(0, [0.2, 1, 0.5, 0])]))
    assert columns(stitched, "value", "lower", "upper", "windows", "piece") == [
        [0.2, 0.195, 0.205, 1, 1], [1, 1, 1, 1, 1], [0.5, 0.495, 0.505, 1, 1], [0, 0, 0.005, 1, 1],
    ]


def test_windows_without_common_dates_are_pieces() -> None:
    stitched = kr.stitch_trends(frame_of([(0, [0.5, 1]), (2, [1, 0.1]), (10, [0.3, 1])]))
    assert columns(stitched, "value", "piece") == [[0.5, 1], [1, 1], [1, 2], [0.1, 2], [0.3, 3], [1, 3]]


def test_a_window_between_two_joins_them() -> None:
    stitched = kr.stitch_trends(frame_of([(0, [0.5, 1]), (2, [1, 0.5]), (1, [0.5, 1])]))
    assert columns(stitched, "value", "piece") == [[0.25, 1], [0.5, 1], [1, 1], [0.5, 1]]


def test_one_common_date_is_enough_and_the_band_says_how_little_it_is() -> None:
    stitched = kr.stitch_trends(frame_of([(0, [1, 0.1]), (1, [0.2, 1])]))
    assert stitched["piece"].tolist() == [1, 1, 1]
    # The first window's peak against the second's: 0.2 / 0.1, each as exact as it is rounded.
    assert columns(stitched, "lower", "upper") == [
        [1, 1], [0.095, 0.105], [pytest.approx(0.095 / 0.205, abs=5e-4), pytest.approx(0.105 / 0.195, abs=5e-4)],
    ]


def test_zeros_in_common_say_nothing_about_levels() -> None:
    stitched = kr.stitch_trends(frame_of([(0, [1, 0, 0]), (1, [0, 0, 1])]))
    assert columns(stitched, "value", "piece") == [[1, 1], [0, 1], [0, 1], [1, 2]]
    one_sided = kr.stitch_trends(frame_of([(0, [1, 0.5, 0.2]), (1, [0, 0, 1])]))  # the second peak is far higher
    assert columns(one_sided, "value", "piece") == [[1, 1], [0.5, 1], [0.2, 1], [1, 2]]


def test_zeros_at_an_edge_do_not_part_what_a_value_joins() -> None:
    stitched = kr.stitch_trends(frame_of([(0, [1, 0.5, 0]), (1, [1, 0, 0])]))
    assert stitched["piece"].tolist() == [1, 1, 1, 1]
    assert stitched["value"].tolist() == pytest.approx([1, 0.5, 0, 0])
    assert stitched["upper"].tolist() == pytest.approx([1, 0.505, 0.0025 + 2.5e-5, 0.0025 + 2.5e-5], abs=1e-9)


def test_a_window_of_zeros_alone_has_no_value() -> None:
    stitched = kr.stitch_trends(frame_of([(0, [0, 0]), (5, [1, 0.5])]))
    assert stitched["value"].isna().tolist() == [True, True, False, False]
    assert columns(stitched, "lower", "upper", "piece")[:2] == [[0, 1, 1], [0, 1, 1]]


def test_a_window_whose_peak_is_not_shown_is_as_high_as_it_may_be() -> None:
    stitched = kr.stitch_trends(frame_of([(0, [0.4, 0.8]), (1, [0.5, 1])]))
    assert columns(stitched, "value") == [[0.25], [0.5], [1]]


def test_missing_buckets_and_unsorted_rows() -> None:
    truth = np.array([16, 20, 40, 80, 40, 20])
    frame = frame_of(cut(truth, 4, 1, 2)).sample(frac=1, random_state=3)
    frame = frame[frame["date"] != START + pd.Timedelta(days=1)]
    stitched = kr.stitch_trends(frame)
    assert len(stitched) == 5
    assert stitched["date"].is_monotonic_increasing
    assert columns(stitched, "value") == [[0.2], [0.5], [1], [0.5], [0.25]]


def test_an_observation_that_is_there_twice_counts_once() -> None:
    frame = frame_of([(0, [0.5, 1]), (1, [0.5, 1])])
    twice = pd.concat([frame, frame], ignore_index=True)
    pd.testing.assert_frame_equal(kr.stitch_trends(twice), kr.stitch_trends(frame))


def test_several_series_are_stitched_one_by_one() -> None:
    cats, dogs = frame_of([(0, [0.5, 1])], name="cats"), frame_of([(0, [1, 0.25])], name="dogs")
    stitched = kr.stitch_trends(pd.concat([dogs, cats], ignore_index=True))
    assert columns(stitched, "hashtag_name", "value") == [["dogs", 1], ["dogs", 0.25], ["cats", 0.5], ["cats", 1]]


# Revised pasts --------------------------------------------------------------------------------------------------


def test_a_revised_date_is_named_and_the_newest_observation_counts() -> None:
    older, newer = [0.5, 0.4, 1, 0.5], [0.4, 1, 0.25, 0.8]  # the last of the older one was 0.5, now 0.25
    with pytest.warns(kr.TrendConflictWarning, match=r"newest observation counts: #cats .*at 2026-01-04") as caught:
        stitched = kr.stitch_trends(frame_of([(0, older), (1, newer)]))
    assert len(caught) == 1
    assert columns(stitched, "value", "windows", "piece") == [
        [0.5, 1, 1], [0.4, 2, 1], [1, 2, 1], [0.25, 1, 1], [0.8, 1, 1],
    ]


def test_a_window_that_contradicts_on_most_dates_is_left_out() -> None:
    with pytest.warns(kr.TrendConflictWarning, match=r"left out"):
        stitched = kr.stitch_trends(frame_of([(0, [0.9, 1, 0.1, 0.7]), (1, [0.2, 1, 0.3, 0.9])]))
    assert columns(stitched, "value", "piece") == [[0.2, 1], [1, 1], [0.3, 1], [0.9, 1]]


def test_a_revision_amid_many_windows_keeps_the_chain() -> None:
    rng = np.random.default_rng(8)
    truth = series("stable", rng, 90)
    revised = truth.copy()
    revised[40] *= 3
    windows = cut(truth, 30, 5, 2)[:7] + cut(revised, 30, 5, 2)[7:]
    with pytest.warns(kr.TrendConflictWarning, match="2026-02-10"):
        stitched = kr.stitch_trends(frame_of(windows))
    assert stitched["piece"].unique().tolist() == [1]
    seen = revised / revised.max()
    assert (stitched["lower"] - 1e-9 <= seen).all()
    assert (seen <= stitched["upper"] + 1e-9).all()


def test_what_fits_warns_of_nothing() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        kr.stitch_trends(frame_of([(0, [0.5, 1, 0.33]), (1, [1, 0.33, 0.01])]))


# Refused --------------------------------------------------------------------------------------------------------


def test_daily_beside_weekly_windows_are_refused_with_their_periods() -> None:
    daily, weekly = frame_of([(0, [0.5, 1, 0.4])], period=7), frame_of([(0, [0.5, 1])], step=7, period=120)
    with pytest.raises(kr.InvalidArgumentError, match=r"daily \(period 7\); weekly \(period 120\)"):
        kr.stitch_trends(pd.concat([daily, weekly], ignore_index=True))
    of_months = [frame_of([(0, [0.5, 1])], step=step, period=365) for step in (28, 31)]
    months = pd.concat([of_months[0], of_months[1].assign(observed_at=START)], ignore_index=True)
    assert len(kr.stitch_trends(months)) == 3


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda f: f.drop(columns="observed_at"), "observed_at"),
        (lambda f: f.drop(columns="hashtag_name"), "hashtag_name"),
        (lambda f: f.assign(share_of_peak=f["share_of_peak"] * 100), "from 0 to 1"),
        (lambda f: f.assign(share_of_peak=f["share_of_peak"] / 3), "more than 2 decimals"),
        (lambda f: f.assign(observed_at=START), "two values of one date"),
        (lambda f: f.assign(source=["keyapi", "sandbox"] * 2), "one source"),
        (lambda f: f["date"], "DataFrame"),
    ],
)
def test_what_cannot_be_stitched_is_refused(change: Any, what: str) -> None:
    with pytest.raises(kr.InvalidArgumentError, match=what):
        kr.stitch_trends(change(frame_of([(0, [0.5, 1]), (1, [0.4, 1])])))


@pytest.mark.parametrize("decimals", [-1, 10, 1.5, True, "2", None])
def test_decimals_must_be_a_number_of_them(decimals: Any) -> None:
    with pytest.raises(kr.InvalidArgumentError, match="decimals must be"):
        kr.stitch_trends(frame_of([(0, [0.5, 1])]), decimals=decimals)


# What is not as it should be ------------------------------------------------------------------------------------


def test_a_window_without_its_peak_still_has_the_truth_within_its_bounds() -> None:
    """Two dates are shown as 1; the one that was the peak is left out, as it was revised or has no value."""
    truth = np.array([50.45, 99.55, 30, 40, 20, 100])
    later = np.array([99.55, 30, 40, 20, 30, 80])  # the peak of the first window was revised
    windows = [(0, np.round(truth / 100, 2)), (1, np.round(later / 99.55, 2))]
    with pytest.warns(kr.TrendConflictWarning, match="at 2026-01-06"):
        stitched = kr.stitch_trends(frame_of(windows))
    seen = np.array([50.45, *later]) / 99.55
    assert (stitched["lower"] - 1e-9 <= seen).all()
    assert (seen <= stitched["upper"] + 1e-9).all()

    cut_out = frame_of([windows[0]])
    cut_out.loc[5, "share_of_peak"] = np.nan
    stitched = kr.stitch_trends(cut_out)
    assert len(stitched) == 5
    assert stitched["upper"].iloc[0] == pytest.approx(0.505 / 0.995)


@pytest.mark.parametrize("kind", ["bursty", "stable", "decaying"])
def test_a_window_shorter_than_its_period_may_have_its_peak_outside(kind: str) -> None:
    """As it may have been cut after it was divided: a 1 in it need not be its peak, which is a little higher here."""
    for seed in range(20):
        truth = series(kind, np.random.default_rng(seed), 60)
        cuts = [(first, truth[first : first + 14]) for first in range(47)]
        windows = [(first, np.round(part / (1.004 * part.max()), 2)) for first, part in cuts]
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            stitched = kr.stitch_trends(frame_of(windows, period=30))
        seen = truth / truth.max()
        assert (stitched["lower"] - 1e-9 <= seen).all()
        assert (seen <= stitched["upper"] + 1e-9).all()


@pytest.mark.parametrize(
    ("period", "step", "length"), [(7, 1, 7), (30, 1, 30), (120, 7, 17), (120, 7, 18), (365, 30, 12)]
)
def test_a_window_as_long_as_its_period_has_its_peak(period: int, step: int, length: int) -> None:
    truth = series("bursty", np.random.default_rng(4), 2 * length)
    windows = cut(truth, length, length // 3, 2)
    known = kr.stitch_trends(frame_of(windows, step=step, period=period))
    bounds = ["value", "lower", "upper"]
    pd.testing.assert_frame_equal(known[bounds], kr.stitch_trends(frame_of(windows, step=step))[bounds])


def test_windows_cut_at_the_newest_ones_dates_are_noticed() -> None:
    truth = series("bursty", np.random.default_rng(3))
    windows = [(30, shares[30 - first :]) for first, shares in cut(truth, 30, 7, 2)[:5]]
    windows = [(first, shares) for first, shares in windows if len(shares)]
    with pytest.warns(kr.IncompleteDataWarning, match=r"windows of #cats begin at the same date and grow.*history\(\)"):
        kr.stitch_trends(frame_of(windows, period=30))


def test_the_last_bucket_of_weekly_windows_may_not_be_over() -> None:
    weeks = np.array([20.0, 40, 80, 60, 50, 30, 20, 10])
    windows = []
    for first in range(4):
        part = weeks[first : first + 5].copy()
        part[-1] /= 3  # three days of the week are still to come
        windows.append((7 * first, np.round(part / part.max(), 2)))
    stitched = kr.stitch_trends(frame_of(windows, step=7, period=120))
    seen = weeks / 80
    seen[-1] /= 3  # nobody has seen all of it
    assert (stitched["lower"] - 1e-9 <= seen).all()
    assert (seen <= stitched["upper"] + 1e-9).all()
    daily = [(number, np.asarray(shares)) for number, (_, shares) in enumerate(windows)]
    with pytest.warns(kr.TrendConflictWarning):  # a day is not expected to be unfinished
        kr.stitch_trends(frame_of(daily, period=7))


def test_missing_buckets_do_not_make_other_windows() -> None:
    holes = frame_of([(0, [0.5, np.nan, 1]), (1, [0.6, 1, 0.3])], period=7).dropna(subset=["share_of_peak"])
    assert len(kr.stitch_trends(holes)) == 4
    assert len(kr.stitch_trends(holes.drop(columns="period"))) == 4
    weeks = frame_of([(0, [0.5, 0.7, 1]), (0, [0.5, 0.7, 1])], step=7, period=120).drop(index=[1])
    assert len(kr.stitch_trends(weeks)) == 3


def test_zeros_alone_say_nothing_of_other_windows() -> None:
    with pytest.warns(kr.TrendConflictWarning, match=r"zeros alone, left out"):
        stitched = kr.stitch_trends(frame_of([(0, [1, 0.4, 0.3, 0.2]), (2, [0, 0, 0])]))
    assert columns(stitched, "lower", "upper", "piece")[:4] == [
        [1, 1, 1], [0.395, 0.405, 1], [0.295, 0.305, 1], [0.195, 0.205, 1],
    ]  # fmt: skip
    assert columns(stitched, "lower", "upper", "piece")[4:] == [[0, 1, 2]]
    assert math.isnan(stitched["value"].iloc[4])
    agreeing = kr.stitch_trends(frame_of([(0, [1, 0.4, 0, 0]), (2, [0, 0, 0])]))
    assert columns(agreeing, "upper", "piece")[2:] == [[0.005, 1], [0.005, 1], [1, 2]]


def test_a_zero_between_values_stays_with_them() -> None:
    stitched = kr.stitch_trends(frame_of([(0, [0.3, 0, 1, 0, 0.2, 0, 0]), (2, [0, 0, 0, 0, 0, 0, 1])]))
    assert stitched["piece"].is_monotonic_increasing
    assert stitched["piece"].tolist() == [1, 1, 1, 1, 1, 1, 1, 2, 2]


def test_shares_of_single_precision_are_read_as_they_were() -> None:
    frame = frame_of([(0, [0.9, 1, 0.33]), (1, [1, 0.33, 0.17])])
    assert kr.stitch_trends(frame.astype({"share_of_peak": "float32"})).equals(kr.stitch_trends(frame))


def test_too_many_decimals_are_a_likely_cause_of_conflicts() -> None:
    windows = cut(series("stable", np.random.default_rng(5)), 30, 7, 2)[:4]
    with pytest.warns(kr.TrendConflictWarning, match="All shares are rounded to 2 decimals: is decimals=4 right"):
        kr.stitch_trends(frame_of(windows), decimals=4)


@pytest.mark.parametrize(
    ("column", "message"),
    [
        ("date", "1 of 2 rows have no date: nobody knows"),
        ("observed_at", "1 of 2 rows have no observed_at"),
        ("hashtag_name", "1 of 2 rows have no hashtag_name"),
    ],
)
def test_rows_of_nobody_knows_what_are_refused(column: str, message: str) -> None:
    frame = frame_of([(0, [0.5, 1])])
    frame.loc[0, column] = None
    with pytest.raises(kr.InvalidArgumentError, match=message):
        kr.stitch_trends(frame)


def test_hours_of_a_day_are_two_values_of_one_date() -> None:
    frame = frame_of([(0, [0.5, 1, 0.3])])
    frame["date"] = START + pd.to_timedelta([0, 6, 24], unit="h")
    with pytest.raises(kr.InvalidArgumentError, match="#cats has two values of one date in one window"):
        kr.stitch_trends(frame)


@pytest.mark.parametrize("name", ["hashtag_name", "source", "share_of_peak"])
def test_a_column_that_is_there_twice_is_refused(name: str) -> None:
    frame = frame_of([(0, [0.5, 1])], source="sandbox")
    with pytest.raises(kr.InvalidArgumentError, match=f"several columns named {name}"):
        kr.stitch_trends(pd.concat([frame, frame[[name]]], axis=1))


def test_the_order_of_rows_changes_nothing() -> None:
    truth = series("bursty", np.random.default_rng(9))
    windows = cut(truth, 30, 7, 2)
    windows[3] = (windows[3][0], np.r_[windows[3][1][:4], 0.01, windows[3][1][5:]])
    frame = frame_of(windows)
    with warnings.catch_warnings(action="ignore", category=kr.TrendConflictWarning):
        first = kr.stitch_trends(frame)
        assert kr.stitch_trends(frame.sample(frac=1, random_state=1)).equals(first)
