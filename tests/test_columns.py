"""The one reader of values: the right value of each dtype, and what is counted as unreadable."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

import keyapi_research as kr
from keyapi_research.columns import infer_cells, read_cells, read_column, read_times, read_values
from keyapi_research.model import TABLES

VIDEOS = TABLES["videos"]
ID = "7117191641181555995"


@pytest.mark.parametrize("zero", [0, "0", 0.0, " 0 "])
def test_a_time_of_zero_is_missing_and_not_unreadable(zero: object) -> None:
    times, unread = read_values(VIDEOS["created_at"], [zero, 1_770_091_200, "1770091200000", None])
    assert pd.Series(times).isna().tolist() == [True, False, False, True]
    assert pd.Series(times)[1:3].tolist() == [pd.Timestamp("2026-02-03 04:00", tz="UTC")] * 2
    assert unread == 0


@pytest.mark.parametrize(
    ("value", "right", "unread"),
    [
        (5, 5, 0), ("5", 5, 0), (5.0, 5, 0), ("1.2e3", 1200, 0), ("9007199254740993.0", 9_007_199_254_740_993, 0),
        ("9223372036854775807", 2**63 - 1, 0), ("9223372036854775808", None, 1), (2**63, None, 1), (1.5, None, 1),
        ("1.5", None, 1), (True, None, 1), (-99999, None, 0), ("-99999", None, 0), (-3, None, 0), ("", None, 0),
        ("1" * 60_000 + "x", None, 1), ("1" * 60_000, None, 1), ([1], None, 1),
    ],
)  # fmt: skip
def test_a_count_is_read_exactly_or_counted_as_unreadable(value: object, right: int | None, unread: int) -> None:
    numbers, lost = read_values(VIDEOS["views"], [value, 7])
    assert [None if one is pd.NA else one for one in numbers] == [right, 7]
    assert lost == unread


@pytest.mark.parametrize(("cell", "right"), [("1e400", None), ("1" * 400, None), ("inf", np.inf), ("1e308", 1e308)])
def test_a_cell_is_infinite_only_if_it_says_so(cell: str, right: float | None) -> None:
    numbers, unread = read_cells("float64", [cell, "0.1", ""])
    assert numbers[1] == 0.1
    assert np.isnan(numbers[2])
    assert unread == ([0] if right is None else [])
    assert right is None or numbers[0] == right


@pytest.mark.parametrize(
    ("cells", "values", "dtype"),
    [
        (["1", "2"], [1, 2], "int64"), (["1", None], [1.0, np.nan], "float64"), (["1.0", "2"], [1.0, 2.0], "float64"),
        (["True", "false"], [True, False], "bool"), (["1", "True"], ["1", "True"], None), ([None], [np.nan], "float64"),
        (["007", "1"], ["007", "1"], None), (["-01"], ["-01"], None), (["0", "0.5"], [0.0, 0.5], "float64"),
        (["NA", "5"], [np.nan, 5.0], "float64"), (["NA", "x"], ["NA", "x"], None), ([ID], [ID], None),
    ],
)  # fmt: skip
def test_cells_nobody_declared_are_what_pandas_infers_unless_digits_would_be_lost(
    cells: list[str | None], values: list[Any], dtype: str | None
) -> None:
    read = pd.Series(infer_cells(cells))
    pd.testing.assert_series_equal(read, pd.Series(values, dtype=dtype))


@pytest.mark.parametrize(
    "series",
    [
        pd.Series([ID, None]), pd.Series([ID, None], dtype="string"), pd.Series([ID, None], dtype="category"),
        pd.Series([int(ID), None], dtype="Int64"), pd.Series([int(ID), None], dtype=object),
        pd.Series([np.int64(ID), pd.NA], dtype=object), pd.Series([f" {ID} ", np.nan], dtype=object),
    ],
)  # fmt: skip
def test_a_column_of_ids_is_read_whatever_dtype_it_has_by_now(series: pd.Series[Any]) -> None:
    read = read_column(series, VIDEOS["video_id"])
    assert [None if one is None else str(one) for one in read] == [ID, None]


def test_times_are_read_to_the_microsecond_whatever_dtype_they_have_by_now() -> None:
    exact = pd.Series(pd.to_datetime(["2026-02-03T04:05:06.789012Z", None], utc=True))
    at = 1_770_091_506_789_012
    for series in (exact, exact.astype(object), exact.astype("string"), exact.dt.tz_convert("Asia/Tokyo"),
                   exact.dt.tz_localize(None), exact.dt.as_unit("ns")):  # fmt: skip
        assert read_times(series) == [at, None]
    with pytest.raises(kr.InvalidArgumentError, match="'yesterday' is not a valid time"):
        read_times(pd.Series(["yesterday"], name="observed_at"))
    for number in (1_770_091_506_789, 1_770_091_506_789.0):  # as JSON of pandas read without dtypes has it
        advice = r'a valid time\. If it counts milliseconds: df\["observed_at"\] = pd\.to_datetime\(.*unit="ms"'
        with pytest.raises(kr.InvalidArgumentError, match=advice):
            read_times(pd.Series([number], name="observed_at"))
