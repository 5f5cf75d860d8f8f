"""Numbers computed from rows: similarity of audiences, and the names of what is compared."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest

import keyapi_research as kr
from keyapi_research import entities, measures
from keyapi_research.model import TABLES

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
    assert entities.elide(text) == "x" * 17 + "…" + "y" * 9
