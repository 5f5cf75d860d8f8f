"""Rows of answers, without a client: several tables of one reading, what is counted, and where."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd
import pytest

from keyapi_research.catalogue.hashtags import (
    HASHTAG_AUDIENCE,
    HASHTAG_DETAIL,
    HASHTAG_RANKING,
    HASHTAG_TRENDS,
    HASHTAGS,
    RELATED_HASHTAGS,
    TRENDING_HASHTAG_TRENDS,
    TRENDING_HASHTAGS,
)
from keyapi_research.drift import find_drift
from keyapi_research.model import Table
from keyapi_research.queries import Query, make_queries, make_query
from keyapi_research.store import Answer, Observation
from keyapi_research.tidy import empty_frame, make_frame, make_frames

NOON = 1_770_120_000_000_000  # 2026-02-03 12:00 UTC
DAY = 86_400
TABLES = (HASHTAGS, HASHTAG_TRENDS, HASHTAG_AUDIENCE, RELATED_HASHTAGS)
LIST_TABLES = (TRENDING_HASHTAGS, TRENDING_HASHTAG_TRENDS)


def observed(queries: Sequence[Query]) -> list[Answer]:
    """Stored answers to some queries, a microsecond apart."""
    return [
        Answer(query, Observation(at, query.key, query.endpoint.path, "{}", NOON + at, False, 1, 1, 0, 0, 0, None))
        for at, query in enumerate(queries)
    ]


def hashtags(*names: str) -> list[Answer]:
    return observed(make_queries(HASHTAG_DETAIL, names, {"region": "US", "period": 7}))


def pages(count: int) -> list[Answer]:
    arguments = {"region": "US", "period": 7, "industry": None, "new_only": False}
    return observed([make_query(HASHTAG_RANKING, arguments)] * count)


def detail(name: str, **changes: Any) -> dict[str, Any]:
    info = {
        "hashtag_name": name, "country_info": {"label": "US"}, "publish_cnt": 1,
        "trend": [{"time": DAY, "value": 0.5}, {"time": 2 * DAY, "value": 1}],
        "audience_ages": [{"age_level": 3, "score": 60}, {"age_level": 4, "score": 40}],
        "audience_countries": [{"country_info": {"id": "1", "label": "US", "value": "United States"}, "score": 150}],
        "related_hashtags": [{"hashtag_name": "dogs"}],
    }
    return {"code": 0, "data": {"info": {**info, **changes}}}


def page(*names: str | None) -> dict[str, Any]:
    trend = [{"time": DAY, "value": 1}]
    return {"code": 0, "data": {"list": [{"hashtag_name": name, "trend": trend} for name in names]}}


def once(envelopes: Sequence[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """Envelopes that can be read a single time, as those of the store."""
    yield from envelopes


def test_several_tables_come_of_one_reading() -> None:
    answers, envelopes = hashtags("cats", "dogs"), [detail("cats"), detail("dogs", trend=[])]
    frames, issues = make_frames(TABLES, answers, once(envelopes), source="sandbox")
    assert [len(frame) for frame in frames] == [2, 2, 6, 2]
    assert frames[0]["hashtag_name"].tolist() == ["cats", "dogs"]
    assert frames[1]["hashtag_name"].tolist() == ["cats", "cats"]
    assert frames[2]["segment"].tolist() == ["18-24", "25-34", "United States"] * 2
    assert frames[2]["score"].tolist() == [60.0, 40.0, 150.0] * 2
    assert (issues.duplicates, issues.unreadable, issues.markets) == ({}, {}, {})
    for table, frame in zip(TABLES, frames, strict=True):
        alone, _ = make_frame(table, answers, once(envelopes), source="sandbox")
        pd.testing.assert_frame_equal(frame, alone)


@pytest.mark.parametrize("table", [*TABLES, *LIST_TABLES], ids=lambda table: table.name)
def test_no_answers_give_the_empty_frame(table: Table) -> None:
    frame, _ = make_frame(table, [], [], source="sandbox")
    pd.testing.assert_frame_equal(frame, empty_frame(table))
    assert frame.dtypes.astype(str).tolist() == [column.dtype for column in table.columns]


def test_what_came_twice_is_counted_apart_from_what_cannot_be_read() -> None:
    trend = [{"time": DAY, "value": 0.5}, {"time": DAY, "value": 1}, {"time": "soon", "value": 1}]
    frame, issues = make_frame(HASHTAG_TRENDS, hashtags("cats"), [detail("cats", trend=trend)], source="sandbox")
    assert frame["share_of_peak"].tolist() == [0.5]
    assert issues.duplicates == {"hashtag_trends (date)": 1}
    assert issues.unreadable == {"data.info.trend[].time": 1, "the key (date) of hashtag_trends": 1}


@pytest.mark.parametrize("written", ["48%", "1,204", "12k", "0x10", "forty", [48], {"value": 48}, True])
def test_what_is_not_a_number_is_missing_and_counted(written: Any) -> None:
    envelopes = [detail("cats", publish_cnt=written, trend=[{"time": DAY, "value": written}])]
    (tags, trends), issues = make_frames(TABLES[:2], hashtags("cats"), envelopes, source="sandbox")
    assert tags["posts"].isna().all()
    assert trends["share_of_peak"].isna().all()
    assert issues.unreadable == {"data.info.publish_cnt": 1, "data.info.trend[].value": 1}


@pytest.mark.parametrize("written", [48, 48.0, "48", " 48 ", "4.8e1", "+48"])
def test_a_number_may_come_as_text(written: Any) -> None:
    envelopes = [detail("cats", publish_cnt=written)]
    frame, issues = make_frame(HASHTAGS, hashtags("cats"), envelopes, source="sandbox")
    assert frame["posts"].tolist() == [48]
    assert not issues.unreadable


def test_an_entity_of_a_ranking_keeps_its_first_place_over_many_pages() -> None:
    envelopes = [page(f"a{number}", "cats", f"b{number}") for number in range(70)]
    frames, issues = make_frames(LIST_TABLES, pages(70), once(envelopes), source="sandbox")
    assert issues.duplicates == {"trending_hashtags (hashtag_name)": 69}
    assert frames[0]["hashtag_name"].tolist() == frames[1]["hashtag_name"].tolist()
    assert frames[0]["hashtag_name"].tolist()[:5] == ["a0", "cats", "b0", "a1", "b1"]
    assert len(frames[0]) == 1 + 2 * 70


@pytest.mark.parametrize(("limit", "expected"), [(1, ["a"]), (4, ["a", "b", "c"]), (None, ["a", "b", "c", "d"])])
def test_a_limit_counts_rows_of_all_pages_those_that_came_twice_too(limit: int | None, expected: list[str]) -> None:
    envelopes = [page("a", "b"), page("b", "c", "d")]
    frame, _ = make_frame(TRENDING_HASHTAGS, pages(2), envelopes, source="sandbox", limit=limit)
    assert frame["hashtag_name"].tolist() == expected


def test_a_row_of_a_ranking_without_a_name_is_dropped_and_counted() -> None:
    frame, issues = make_frame(TRENDING_HASHTAGS, pages(1), [page("a", None, "b")], source="sandbox")
    assert frame["hashtag_name"].tolist() == ["a", "b"]
    assert issues.unreadable == {"a row without data.list[].hashtag_name": 1}


def test_another_market_is_counted_by_region_and_name() -> None:
    markets = {"cats": "US", "dogs": "GB", "cows": 7}
    envelopes = [detail(name, country_info={"label": label}) for name, label in markets.items()]
    _, issues = make_frame(HASHTAGS, hashtags(*markets), envelopes, source="sandbox")
    assert issues.markets == {("US", "GB"): 1}


def test_drift_names_new_paths_and_those_gone_from_every_answer() -> None:
    cats = detail("cats", mood={"colour": "blue"}, longevity=7)
    dogs = detail("dogs", publish_cnt=2, trend=[{"time": DAY, "level": 1}])
    del cats["data"]["info"]["publish_cnt"]
    in_cats = {"data.info.mood.colour", "data.info.longevity (neither object nor list)"}
    in_dogs = {"data.info.trend[].level"}
    missing = {"data.info.publish_cnt", "data.info.trend[].value"}
    for answers, expected in (([cats], in_cats), ([dogs], in_dogs), ([cats, dogs], in_cats | in_dogs)):
        assert find_drift(HASHTAG_DETAIL, once(answers))[0] == expected
    assert find_drift(HASHTAG_DETAIL, once([cats]))[1] & missing == {"data.info.publish_cnt"}
    assert find_drift(HASHTAG_DETAIL, once([dogs]))[1] & missing == {"data.info.trend[].value"}
    assert find_drift(HASHTAG_DETAIL, once([cats, dogs]))[1] & missing == set()


@pytest.mark.parametrize("data", [None, {}, [], "", {"info": None}, {"info": {}}])
def test_an_answer_without_data_is_not_reported_as_drift(data: Any) -> None:
    assert find_drift(HASHTAG_DETAIL, [{"code": 0, "data": data}]) == (set(), set())
