"""The shape of trends: half times, and bursts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

import keyapi_research as kr
from keyapi_research.sandbox import effects

# Half times -----------------------------------------------------------------------------------------------------


def trend_of(values: list[float | None], name: str = "cats", step: int = 1, **more: Any) -> pd.DataFrame:
    dates = pd.date_range("2026-01-01", periods=len(values), freq=f"{step}D", tz="UTC")
    shares = pd.array(values, dtype="Float64").to_numpy(dtype=float, na_value=float("nan"))
    return pd.DataFrame({"hashtag_name": name, "date": dates, "share_of_peak": shares, **more})


def halves(frame: pd.DataFrame) -> list[tuple[float, bool, float, bool]]:
    found = kr.half_times(frame)
    return list(found[["days_up", "up_seen", "days_down", "down_seen"]].itertuples(index=False, name=None))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.2, 0.4, 1.0, 0.6, 0.4], (0.5 / 0.6, True, 1.5, True)),
        ([0.6, 1.0, 0.9, 0.8], (1.0, False, 2.0, False)),  # at least so long
        ([1.0, 0.25, 0.1], (0.0, False, 2 / 3, True)),  # the peak may lie before the first date
        ([0.1, 0.3, 1.0], (0.5 / 0.7, True, 0.0, False)),
        ([0.0, 1.0, 0.5, 0.5, 0.0], (0.5, True, 2.0, True)),  # at half is not yet below it
        ([0.2, 1.0, 0.7, 1.0, 0.0], (0.625, True, 0.5, True)),  # up to the first of two peaks, down from the last
        ([0.1, 0.4, 0.8, 0.1], (1.0, True, 0.4 / 0.7, True)),  # half of its own peak, which need not be 1
        ([0.2, None, None, 1.0, None, 0.0], (3 * 0.5 / 0.8, True, 1.0, True)),  # a straight line over what is missing
        ([1.0], (0.0, False, 0.0, False)),
    ],
)
def test_half_times_are_those_of_straight_lines(
    values: list[float | None], expected: tuple[float, bool, float, bool]
) -> None:
    [found] = halves(trend_of(values))
    assert found == (pytest.approx(expected[0]), expected[1], pytest.approx(expected[2]), expected[3])


def test_a_frame_without_any_peak_has_times_all_the_same() -> None:
    found = kr.half_times(trend_of([0.0, 0.0, None]))
    assert found["peak"].isna().tolist() == [True]
    assert str(found["peak"].dtype) == str(kr.half_times(trend_of([0.0, 1.0]))["peak"].dtype) == "datetime64[us, UTC]"


@pytest.mark.parametrize("function", [kr.half_times, kr.bursts])
def test_infinite_values_are_refused(function: Any) -> None:
    with pytest.raises(kr.InvalidArgumentError, match="infinite"):
        function(trend_of([0.1, np.inf, 0.3]))


def test_half_times_turn_round_with_time() -> None:
    rng = np.random.default_rng(5)
    for _ in range(200):
        values = rng.integers(0, 20, rng.integers(1, 40)) / 20
        if not values.any():
            continue
        [(up, up_seen, down, down_seen)] = halves(trend_of(list(values)))
        [turned] = halves(trend_of(list(values[::-1])))
        assert turned == (pytest.approx(down), down_seen, pytest.approx(up), up_seen)
        # On each side all values up to the half time are at least half of the peak, if it lies between two days.
        peak = int(values.argmax())
        assert (values[peak - int(up) : peak + 1] >= values.max() / 2).all()
        assert up_seen == bool((values[:peak] < values.max() / 2).any())


def test_half_times_count_days_whatever_the_buckets_and_their_order() -> None:
    [weekly] = halves(trend_of([0.2, 0.4, 1.0, 0.6, 0.4], step=7).sample(frac=1, random_state=1))
    assert weekly == (pytest.approx(7 * 0.5 / 0.6), True, pytest.approx(10.5), True)


def test_half_times_has_a_row_for_each_series_in_its_order() -> None:
    parts = [
        trend_of([0.0, 0.0], "flat"), trend_of([0.1, 1.0, 0.1], "dogs"), trend_of([0.1, 1.0, 0.3], "cats"),
        trend_of([None, None], "unknown"),
    ]  # fmt: skip
    both = pd.concat([part.assign(region="US", period=30) for part in parts], ignore_index=True)
    found = kr.half_times(both)
    assert list(found) == ["region", "period", "hashtag_name", "peak", "days_up", "up_seen", "days_down", "down_seen"]
    assert list(found["hashtag_name"]) == ["flat", "dogs", "cats", "unknown"]
    assert found["peak"].isna().tolist() == [True, False, False, True]
    assert found.loc[[0, 3], ["days_up", "up_seen", "days_down", "down_seen"]].isna().all(axis=None)
    assert found["peak"].dt.strftime("%Y-%m-%d").tolist()[1:3] == ["2026-01-02"] * 2
    dtypes = {"days_up": "float64", "up_seen": "boolean", "peak": "datetime64[us, UTC]"}
    assert {name: str(found[name].dtype) for name in dtypes} == dtypes
    assert {name: str(kr.half_times(both.iloc[:0])[name].dtype) for name in dtypes} == dtypes
    again = kr.half_times(both.astype({"date": "string"}).rename(index=lambda row: row * 3 + 7))
    pd.testing.assert_frame_equal(again, found)


def test_half_times_of_several_observations_are_several_and_cannot_be_mixed() -> None:
    moments = pd.to_datetime(["2026-02-01 10:00", "2026-02-02 10:00"], utc=True)
    two = pd.concat([trend_of([0.1, 1.0, 0.1], observed_at=moment) for moment in moments], ignore_index=True)
    assert list(kr.half_times(two)["observed_at"]) == list(moments)
    with pytest.raises(kr.InvalidArgumentError, match="two values of one date"):
        kr.half_times(two.drop(columns="observed_at"))
    stitched = kr.stitch_trends(two)
    assert list(kr.half_times(stitched)[["hashtag_name", "piece"]].itertuples(index=False, name=None)) == [("cats", 1)]
    assert halves(stitched) == halves(two.iloc[:3])


def test_half_times_says_what_it_needs() -> None:
    for frame, needed in (
        (trend_of([1.0]).drop(columns="share_of_peak"), "share_of_peak"),
        (trend_of([1.0]).drop(columns="hashtag_name"), "hashtag_name"),
        ("cats", "DataFrame"),
        (trend_of([1.0, 0.5]).assign(date=pd.NaT), "no date"),
        (trend_of([1.0, 0.5]).assign(hashtag_name=None), "no id"),
    ):
        with pytest.raises(kr.InvalidArgumentError, match=needed):
            kr.half_times(frame)  # type: ignore[arg-type]


# Bursts -----------------------------------------------------------------------------------------------------------


def dated(day: float) -> pd.Timestamp:
    return pd.Timestamp("2026-01-01", tz="UTC") + pd.Timedelta(days=day)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.1, 0.6, 0.8, 0.2, 1.0, 0.1], [(1, 1.75, 2, 0.8, True), (4, 4, 4, 1.0, True)]),
        ([0.1, 0.6, 0.4, 0.6, 0.1, 1.0, 0.0], [(1, 2, 3, 0.6, True), (5, 5, 5, 1.0, True)]),  # never below 0.4
        ([0.1, 0.6, 0.39, 1.0, 0.0], [(1, 1, 1, 0.6, True), (3, 3, 3, 1.0, True)]),
        ([0.6, 0.1, 1.0, 0.7], [(0, 0, 0, 0.6, False), (2, 2 + 2 / 7, 3, 1.0, False)]),  # under way at both ends
        ([0.7, 1.0, 0.9], [(0, (0.5 + 2 * 0.4) / 1.1, 2, 1.0, False)]),  # never low: no burst that is complete
        ([0.1, 0.2, 0.5, 0.1], [(2, 2, 2, 1.0, True)]),  # of its own highest value, which need not be 1
        ([0.0, 0.5, 0.5, 0.0, 1.0, 0.0], [(1, 1.5, 2, 0.5, True), (4, 4, 4, 1.0, True)]),  # nothing above half
        ([0.1, None, 1.0, None, 0.1], [(2, 2, 2, 1.0, True)]),
        ([0.0, 0.0], []),
        ([None], []),
    ],
)
def test_bursts_are_where_a_series_is_at_half_of_its_highest_value(
    values: list[float | None], expected: list[tuple[float, float, float, float, bool]]
) -> None:
    found = kr.bursts(trend_of(values))
    assert list(found["burst"]) == list(range(1, len(expected) + 1))
    assert list(found["start"]) == [dated(first) for first, *_ in expected]
    assert list(found["end"]) == [dated(last) for _, _, last, *_ in expected]
    for moment, (_, centre, *_) in zip(found["centre"], expected, strict=True):
        assert abs(moment - dated(centre)) < pd.Timedelta(seconds=1)
    assert list(found["height"]) == pytest.approx([height for *_, height, _ in expected])
    assert list(found["complete"]) == [complete for *_, complete in expected]


def test_bursts_turn_round_with_time_and_cover_all_high_values() -> None:
    rng = np.random.default_rng(6)
    for _ in range(200):
        values = rng.integers(0, 20, rng.integers(1, 40)) / 20
        found, turned = kr.bursts(trend_of(list(values))), kr.bursts(trend_of(list(values[::-1])))
        assert len(found) == len(turned)
        last = dated(len(values) - 1)
        assert [last - (start - dated(0)) for start in found["start"]] == list(turned["end"])[::-1]
        assert list(found["complete"]) == list(turned["complete"])[::-1]
        days = [dated(day) for day in range(len(values))]
        high = {day for day, value in zip(days, values, strict=True) if value >= values.max() / 2 > 0}
        inside = {day for day in days if any((found["start"] <= day) & (day <= found["end"]))}
        assert high <= inside
        assert set(found["start"]) | set(found["end"]) <= high


def test_bursts_of_several_series_are_numbered_by_themselves() -> None:
    parts = [
        trend_of([0.1, 1.0, 0.0, 1.0, 0.1], "dogs"), trend_of([0.0, 0.0], "flat"), trend_of([0.1, 1.0, 0.3], "cats"),
    ]  # fmt: skip
    both = pd.concat([part.assign(region="US", period=30) for part in parts], ignore_index=True)
    found = kr.bursts(both.sample(frac=1, random_state=2).sort_values("hashtag_name", ascending=False, kind="stable"))
    columns = ["region", "period", "hashtag_name", "burst", "start", "centre", "end", "height", "complete"]
    assert list(found) == columns
    assert list(zip(found["hashtag_name"], found["burst"], strict=True)) == [("dogs", 1), ("dogs", 2), ("cats", 1)]
    assert {str(found[name].dtype) for name in ("start", "centre", "end")} == {"datetime64[us, UTC]"}
    empty = kr.bursts(both.iloc[:0])
    assert list(empty) == columns
    assert [str(dtype) for dtype in empty.dtypes[3:]] == [str(dtype) for dtype in found.dtypes[3:]]
    assert list(kr.bursts(kr.stitch_trends(trend_of([0.1, 1.0, 0.1], observed_at=dated(0))))["piece"]) == [1]


def test_bursts_of_a_family_are_as_far_apart_as_planted(sandbox: Any) -> None:
    client = kr.Client(base_url=sandbox.url, token="a", store=":memory:", requests_per_second=None, progress=False)
    for family, members in effects.FAMILIES.items():
        found = kr.bursts(kr.fetch_hashtag_trends(list(members), region="US", period=120, client=client))
        gaps = found[found["complete"]].groupby("hashtag_name")["centre"].diff().dropna().dt.total_seconds() / 86400
        _, every_days = effects.FAMILY_BURSTS[family]
        assert len(gaps) >= 3
        assert gaps.tolist() == pytest.approx([every_days] * len(gaps), abs=1)
    client.close()


def test_bursts_says_what_it_needs() -> None:
    with pytest.raises(kr.InvalidArgumentError, match=r"share_of_peak.*kr\.bursts"):
        kr.bursts(trend_of([1.0]).drop(columns="share_of_peak"))
