"""Numbers computed from rows: similarity of audiences, names of what is compared, series without gaps."""

from __future__ import annotations

import io
import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

import keyapi_research as kr
from keyapi_research import entities, measures
from keyapi_research.model import OBSERVED_AT, SOURCE, TABLES, Column, Endpoint, Table
from keyapi_research.places import Field

KEYS = {"hashtag_audience": "hashtag_name", "music_audience": "clip_id"}


def people(name: str, dimension: str, scores: dict[str, float], table: str = "hashtag_audience") -> pd.DataFrame:
    """Make rows of an audience by hand, with the columns and dtypes of the table."""
    window = {"region": "US", "period": 7, KEYS[table]: name, "dimension": dimension, "source": "keyapi"}
    lines: list[dict[str, Any]] = [
        {**window, "segment_id": label, "segment": label, "score": score} for label, score in scores.items()
    ]
    columns = {column.name: column.dtype for column in TABLES[table].columns}
    return pd.DataFrame(lines).reindex(columns=list(columns)).astype(columns)


LIKE = [
    people("a", "country", {"Macao": 200, "Chad": 400}),
    people("c", "country", {"Cuba": 150}),
    people("5", "country", {"Macao": 200, "Chad": 400}, "music_audience"),
    people("b", "country", {"Macao": 400, "Peru": 200}),
]


def test_pairs_have_the_numbers_of_the_picture() -> None:
    table = kr.audience_similarity(pd.concat(LIKE))
    assert table.dtypes.astype(str).to_dict() == {
        "first": "string", "second": "string", "similarity": "float64", "n_common": "Int64",
    }  # fmt: skip
    assert list(zip(table["first"], table["second"], strict=True)) == [
        ("#a", "#c"), ("#a", "sound 5"), ("#a", "#b"), ("#c", "sound 5"), ("#c", "#b"), ("sound 5", "#b"),
    ]  # fmt: skip
    # a = sound 5 = (ln 2, ln 4, 0), b = (ln 4, 0, ln 2): 2 / 5; c shares nothing: unknown, not 0
    nan = float("nan")
    assert table["similarity"].tolist() == pytest.approx([nan, 1, 0.4, nan, nan, 0.4], nan_ok=True)
    assert table["n_common"].tolist() == [0, 2, 1, 0, 0, 1]


def test_an_audience_without_a_list_by_the_dimension_is_unknown_to_all() -> None:
    table = kr.audience_similarity(pd.concat([people("old", "age", {"18-24": 50}), *LIKE[:1], LIKE[2]]))
    assert table[["first", "second"]].to_numpy().tolist() == [["#old", "#a"], ["#old", "sound 5"], ["#a", "sound 5"]]
    assert table["similarity"].tolist() == pytest.approx([float("nan"), float("nan"), 1], nan_ok=True)
    assert table["n_common"].tolist() == [0, 0, 2]


def test_names_of_pairs_tell_every_entity_apart() -> None:
    long = ["x" * 30 + side + "y" * 30 for side in "ab"]
    table = kr.audience_similarity(
        pd.concat([people(name, "interest", {"Cats": 200}) for name in long]), dimension="interest"
    )
    assert table.loc[0, ["first", "second"]].tolist() == [
        "#" + "x" * 17 + "…" + "y" * 9,
        "#" + "x" * 17 + "…" + "y" * 9 + " (2)",
    ]


def test_none_or_one_audience_makes_no_pair() -> None:
    for frame in (LIKE[0], LIKE[0].iloc[:0]):
        table = kr.audience_similarity(frame)
        assert list(table) == ["first", "second", "similarity", "n_common"]
        assert len(table) == 0
        assert str(table["n_common"].dtype) == "Int64"


def test_what_cannot_be_compared_is_refused_by_the_name_of_the_function() -> None:
    with pytest.raises(kr.InvalidArgumentError, match=r"^audience_similarity reads a DataFrame; got int"):
        kr.audience_similarity(3)  # type: ignore[arg-type]
    with pytest.raises(kr.InvalidArgumentError, match=r"^audience_similarity needs the columns .* kr.audience_simil"):
        kr.audience_similarity(pd.DataFrame({"hashtag_name": ["a"]}))
    with pytest.raises(kr.InvalidArgumentError, match="dimension is one of 'interest', 'country'; got 'age'"):
        kr.audience_similarity(LIKE[0], dimension="age")


def test_indices_below_average_count_against() -> None:
    similarity, common = measures.compare(np.array([[200.0, 50.0, 0.0], [np.nan, 200.0, 100.0]]))
    assert similarity[0, 1] == pytest.approx(-1 / math.sqrt(2))
    assert similarity[0, 2] == pytest.approx(-1)  # an index of 0 counts as 1
    assert common.tolist() == [[1, 1, 1], [1, 2, 2], [1, 2, 2]]


def test_a_combining_accent_is_not_cut_off_its_base_character() -> None:
    text = "x" * 17 + "e\u0301" + "y" * 30
    assert entities.elide(text) == "x" * 17 + "e\u0301…" + "y" * 9
    assert entities.elide("x" * 30 + "e\u0301" + "y" * 8) == "x" * 18 + "…e\u0301" + "y" * 8
    assert entities.elide("x" * 30 + "e\u0301" + "y" * 9) == "x" * 18 + "…" + "y" * 9


def test_wide_characters_count_twice_where_a_name_is_shortened() -> None:
    assert entities.elide("香" * 14) == "香" * 14
    assert entities.elide("香" * 15) == "香" * 9 + "…" + "香" * 4
    assert entities.elide("น้ำ" * 12) == "น้ำ" * 12  # 24 wide, with 12 marks above


# Series without gaps ------------------------------------------------------------------------------------------

PLACE = Field("list[].x")
SERIES = Table(
    Endpoint("made_days", "/v1/made/days", 1, "", (), record="", identity=None),
    name="made_days",
    row="day",
    key=("user_id", "date"),
    rows=("list[]",),
    columns=(
        Column("user_id", "id", PLACE, "", ""),
        Column("date", "time", PLACE, "", ""),
        Column("price_avg", "number", PLACE, "", "", least=0, of="of the day"),
        Column("followers", "count", PLACE, "", "", of="total"),
        Column("units_day_est", "count", PLACE, "", "", of="of the day"),
        Column("gmv_day_est", "number", PLACE, "", "", of="of the day"),
        Column("showcase", "flag", PLACE, "", ""),
        OBSERVED_AT,
        SOURCE,
    ),
)
DTYPES = {column.name: column.dtype for column in SERIES.columns}


def days(*rows: tuple[Any, ...]) -> pd.DataFrame:
    """Make a series by hand."""
    return pd.DataFrame(rows, columns=list(DTYPES)).astype(DTYPES)


TOLD = days(
    ("7", "2026-02-27", 9.5, 100, 4, 38.0, True, "2026-03-04T08:00:00Z", "keyapi"),
    ("7", "2026-03-02", None, 130, 5, 47.5, False, "2026-03-05T08:00:00Z", "keyapi"),
)


def test_days_that_were_not_told_have_the_totals_of_the_day_before_and_no_gains() -> None:
    expected = days(
        ("7", "2026-02-27", 9.5, 100, 4, 38.0, True, "2026-03-04T08:00:00Z", "keyapi"),
        ("7", "2026-02-28", 9.5, 100, None, None, True, "2026-03-04T08:00:00Z", "keyapi"),
        ("7", "2026-03-01", 9.5, 100, None, None, True, "2026-03-04T08:00:00Z", "keyapi"),
        ("7", "2026-03-02", None, 130, 5, 47.5, False, "2026-03-05T08:00:00Z", "keyapi"),
    ).assign(filled=pd.array([False, True, True, False], dtype="boolean"))
    before = TOLD.copy()
    assert_frame_equal(measures.fill_days(TOLD, SERIES, None), expected)
    assert_frame_equal(TOLD, before)


def test_gains_of_days_not_told_are_zero_on_request() -> None:
    filled = measures.fill_days(TOLD, SERIES, 0)
    assert filled["units_day_est"].tolist() == [4, 0, 0, 5]
    assert filled["gmv_day_est"].tolist() == [38.0, 0.0, 0.0, 47.5]
    assert filled["followers"].tolist() == [100, 100, 100, 130]
    assert filled.drop(columns="filled").dtypes.astype(str).to_dict() == DTYPES


@pytest.mark.parametrize("gains", [1, "0", True, False, -1, float("nan"), pd.NA, [0]])
def test_other_gains_are_refused(gains: Any) -> None:
    with pytest.raises(kr.InvalidArgumentError, match="gains must be None, for missing, or 0; got"):
        measures.fill_days(TOLD, SERIES, gains)


def test_each_entity_and_source_has_days_of_its_own_in_the_order_of_the_rows() -> None:
    at = "2026-03-04T08:00:00Z"
    mixed = days(
        ("9", "2026-03-03", 1.0, 13, 3, 3.0, True, at, "keyapi"),
        ("7", "2026-03-01", 2.0, 20, 2, 2.0, True, at, "keyapi"),
        ("9", "2026-03-01", 1.0, 11, 1, 1.0, True, at, "keyapi"),
        ("9", "2026-03-01", 5.0, 55, 5, 5.0, True, at, "sandbox"),
    )
    filled = measures.fill_days(mixed.set_index(pd.Index([3, 3, 1, 0])), SERIES, None)
    assert filled[["user_id", "source", "followers"]].to_numpy().tolist() == [
        ["9", "keyapi", 11], ["9", "keyapi", 11], ["9", "keyapi", 13], ["7", "keyapi", 20], ["9", "sandbox", 55],
    ]  # fmt: skip
    assert filled["date"].dt.day.tolist() == [1, 2, 3, 1, 1]
    assert filled["filled"].tolist() == [False, True, False, False, False]
    assert filled.index.tolist() == [0, 1, 2, 3, 4]


def test_columns_of_the_user_are_missing_in_added_rows_and_the_order_of_columns_stays() -> None:
    own = TOLD[["followers", "date", "user_id", "units_day_est"]].assign(rank=[1, 2], note=["a", "b"])
    filled = measures.fill_days(own, SERIES, None)
    assert list(filled) == ["followers", "date", "user_id", "units_day_est", "rank", "note", "filled"]
    assert filled["rank"].tolist() == pytest.approx([1, float("nan"), float("nan"), 2], nan_ok=True)
    assert filled["note"].isna().tolist() == [False, True, True, False]
    two = pd.concat([own, own[["units_day_est"]].astype("int64")], axis=1)  # which of the two is meant does not show
    filled = measures.fill_days(two, SERIES, 0)
    assert filled["units_day_est"].isna().to_numpy().tolist() == [[False] * 2, [True] * 2, [True] * 2, [False] * 2]


def test_frames_of_any_reader_are_filled_with_the_declared_dtypes() -> None:
    text = TOLD.astype({"date": "string", "observed_at": "string"}).to_csv(index=False)
    loose = pd.read_csv(io.StringIO(text))
    assert str(loose["user_id"].dtype) == "int64"
    expected = measures.fill_days(TOLD, SERIES, None)
    assert_frame_equal(measures.fill_days(loose, SERIES, None), expected)
    assert_frame_equal(measures.fill_days(pd.read_csv(io.StringIO(text), dtype=str), SERIES, None), expected)


def test_an_empty_series_stays_typed() -> None:
    filled = measures.fill_days(TOLD.iloc[:0], SERIES, 0)
    assert len(filled) == 0
    assert filled.dtypes.astype(str).to_dict() == {**DTYPES, "filled": "boolean"}


def test_two_observations_of_a_day_are_refused_with_the_way_to_keep_one() -> None:
    twice = pd.concat([TOLD, TOLD.assign(observed_at=TOLD["observed_at"] + pd.Timedelta("1D"), followers=[101, 131])])
    with pytest.raises(kr.InvalidArgumentError, match=r"2 rows are about a day .* Keep one of each: df\.sort") as error:
        measures.fill_days(twice, SERIES, None)
    advice = str(error.value).partition("Keep one of each: ")[2]
    filled = measures.fill_days(eval(advice, {"df": twice}), SERIES, None)
    assert filled["followers"].tolist() == [101, 101, 101, 131]


def test_rows_that_no_day_can_be_read_of_are_refused() -> None:
    with pytest.raises(kr.InvalidArgumentError, match=r'user_id is missing in 1 rows\. .*df\.dropna\(subset=\["user_i'):
        measures.fill_days(TOLD.assign(user_id=pd.array(["7", None], dtype="string")), SERIES, None)
    with pytest.raises(kr.InvalidArgumentError, match=r"date has times of day\. Keep the days: df\.assign"):
        measures.fill_days(TOLD.assign(date=TOLD["observed_at"]), SERIES, None)
    with pytest.raises(kr.InvalidArgumentError, match="'later' is not a valid time"):
        measures.fill_days(TOLD.assign(date="later"), SERIES, None)
    with pytest.raises(kr.InvalidArgumentError, match="Column followers cannot be read as Int64"):
        measures.fill_days(TOLD.assign(followers="many"), SERIES, None)
    with pytest.raises(kr.InvalidArgumentError, match="has a column filled already"):
        measures.fill_days(measures.fill_days(TOLD, SERIES, None), SERIES, None)
