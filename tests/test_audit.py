"""`kr.audit`: stored numbers that contradict each other are found, with the numbers that show it; others are not."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import keyapi_research as kr
from keyapi_research.audits import audit_frames
from keyapi_research.checks import CHECKS, THRESHOLDS
from keyapi_research.model import TABLES
from keyapi_research.sandbox import Sandbox, effects, identity, ledgers
from keyapi_research.sandbox.identity import Setting
from keyapi_research.tidy import empty_frame

DAY = pd.Timedelta(days=1)
FIRST = pd.Timestamp("2026-01-01", tz="UTC")
SEEN = pd.Timestamp("2026-06-01 12:00", tz="UTC")
MakeClient = Callable[..., kr.Client]


def rows(name: str, **columns: Any) -> pd.DataFrame:
    """Rows of a table of which some columns are known; observed at one moment unless said otherwise."""
    table = TABLES[name]
    given = pd.DataFrame({"observed_at": SEEN, "source": "https://api.keyapi.ai", **columns})
    empty = empty_frame(table)
    return given.reindex(columns=list(table.names)).astype(empty.dtypes.to_dict())


def days_of(user_id: str, count: int, *, first: int = 0, **columns: Any) -> pd.DataFrame:
    """A creator's days: all totals and gains move unless given."""
    step = np.arange(count)
    usual = {
        "followers": 1000 + 3 * step, "followers_gained": 3, "views": 50_000 + 700 * step, "likes": 4_000 + 40 * step,
        "likes_gained": 40, "comments": 300 + int(user_id) + 2 * step, "shares": 100 + step, "videos": 20 + step // 7,
        "units_day_est": 5, "gmv_day_est": 99.5,
    }  # fmt: skip
    dates = FIRST + (first + step) * DAY
    return rows("creator_days", **{"user_id": user_id, "date": dates, **usual, **columns})


def audited(
    *frames: pd.DataFrame, thresholds: Mapping[str, float] | None = None, **named: pd.DataFrame
) -> pd.DataFrame:
    """Findings in frames by the names of their tables; unnamed ones are creator_days."""
    if frames:
        named["creator_days"] = pd.concat(frames, ignore_index=True)
    return audit_frames(named, named.__getitem__, thresholds)


def only(findings: pd.DataFrame) -> dict[str, Any]:
    """The one finding there is."""
    assert len(findings) == 1, findings[["check", "severity", "entity", "column", "evidence"]].to_string()
    return findings.iloc[0].to_dict()


def bad(findings: pd.DataFrame) -> list[list[str]]:
    """What is not only a note."""
    some = findings[findings["severity"] != "note"]
    return some[["check", "severity", "entity", "column"]].to_numpy().tolist()


# What findings look like ----------------------------------------------------------------------------------------


def test_nothing_wrong_is_an_empty_frame_with_the_dtypes_of_findings() -> None:
    found = audited(days_of("1", 60), days_of("2", 60))
    assert found.empty
    assert found.dtypes.astype(str).to_dict() == {
        **dict.fromkeys(["check", "severity", "table", "entity", "column"], "string"),
        **dict.fromkeys(["first", "last"], "datetime64[us, UTC]"),
        "n": "Int64",
        "evidence": "string",
    }


def test_the_severest_findings_come_first() -> None:
    likes = 4_000 + 40 * np.arange(60)
    likes[30:] -= 900
    comments, sold = 1_000 + 2 * np.arange(60), np.full(60, 5)
    sold[30:] = 0
    videos = rows("videos", video_id="5", views=[900, 500], observed_at=[SEEN, SEEN + DAY])
    each = [days_of("1", 60, likes=likes), days_of("3", 60, comments=comments, units_day_est=sold)]
    found = audited(*each, videos=videos)
    assert found[["severity", "check", "entity"]].to_numpy().tolist() == [
        ["wrong", "falling_total", "5"],
        ["suspect", "frozen", "3"],
        ["note", "falling_total", "1"],
    ]


def test_the_docstring_has_the_checks_and_their_thresholds() -> None:
    text = kr.audit.__doc__ or ""
    assert dict(re.findall(r"^ *(\w+) \(([\d.]+)\)$", text, re.MULTILINE)) == {
        name: f"{least:g}" for name, least in THRESHOLDS.items()
    }
    assert list(CHECKS) == list(THRESHOLDS)
    guide = (Path(__file__).parents[1] / "docs" / "guide" / "series-and-audits.md").read_text("utf-8")
    assert dict(re.findall(r"^\| `(\w+)` \(([\d.]+):", guide, re.MULTILINE)) == {
        name: f"{least:g}" for name, least in THRESHOLDS.items()
    }


def test_the_evidence_shows_what_the_severity_is_for() -> None:
    """A small number may differ by a larger share than a large one, which is the worse of the two."""
    windows = rows(
        "product_windows", product_id="5", window_days=[1, 7] * 2, units_window_est=[4, 0, 900, 600],
        observed_at=[SEEN, SEEN, SEEN + DAY, SEEN + DAY],
    )  # fmt: skip
    found = only(audited(product_windows=windows))
    assert (found["severity"], found["n"]) == ("wrong", 2)
    assert found["evidence"].startswith("units_window_est of 1 day is 900, more than the 600 of")

    both = rows("videos", video_id="1", shares=[5, 3, 2_000, 1_900], observed_at=SEEN + np.arange(4) * DAY)
    found = only(audited(videos=both))
    assert found["severity"] == "wrong"
    assert found["evidence"].startswith("shares fell from 2,000")

    views, videos = 50_000 + 700 * np.arange(60), np.full(60, 12)
    views[20:] -= 20_000  # with a video
    videos[20:] -= 1
    views[40:] -= 3_000
    found = audited(days_of("1", 60, views=views, videos=videos))
    assert found.loc[found["column"] == "views", "severity"].tolist() == ["suspect"]
    assert "(2026-02-10)" in found.loc[found["column"] == "views", "evidence"].item()

    first, again = (days_of("1", 30, observed_at=FIRST + days * DAY) for days in (40, 50))
    again.loc[3, "shares"] = first.loc[3, "shares"] + 5
    first.loc[3, "shares"] = 1
    again.loc[[8], "units_day_est"] = 1
    again.loc[[9], "units_day_est"] = 90
    found = audited(first, again)
    found = only(found[found["column"] == "units_day_est"])
    assert found["severity"] == "suspect"
    assert "is 90 (observed" in found["evidence"]


# falling_total --------------------------------------------------------------------------------------------------


def test_a_total_that_falls_says_from_what_to_what() -> None:
    views = 50_000 + 700 * np.arange(60)
    views[20:] -= 10_000
    views[40:] -= 2_000
    found = only(audited(days_of("77", 60, views=views)))
    assert found | {"evidence": ""} == {
        "check": "falling_total", "severity": "suspect", "table": "creator_days", "entity": "77", "column": "views",
        "first": FIRST + 20 * DAY, "last": FIRST + 40 * DAY, "n": 2, "evidence": "",
    }  # fmt: skip
    assert found["evidence"] == (
        "views fell from 63,300 (2026-01-20) to 54,000 (2026-01-21), by 14.7%, though it is a total"
    )


@pytest.mark.parametrize(("column", "severity"), [("followers", "note"), ("likes", "note"), ("shares", "suspect")])
def test_what_people_take_back_is_a_note(column: str, severity: str) -> None:
    falling = 4_000 + np.arange(60)
    falling[30:] -= 1_000
    found = audited(days_of("1", 60, **{column: falling}))
    assert only(found[found["check"] == "falling_total"])["severity"] == severity


def test_totals_between_two_answers_about_one_id() -> None:
    both = rows(
        "videos", video_id=["1", "1", "2", "2"], views=[1000, 900, 1300, 1301], units_sold_est=[50, 20, 0, 0],
        observed_at=[SEEN, SEEN + 9 * DAY] * 2,
    )  # fmt: skip
    found = audited(videos=both)
    assert found[["severity", "entity", "column"]].to_numpy().tolist() == [
        ["wrong", "1", "views"],
        ["suspect", "1", "units_sold_est"],  # an estimate may be made anew
    ]


def test_small_losses_are_rounding_unless_the_threshold_says_otherwise() -> None:
    views = 500_000 + 700 * np.arange(60)
    views[20:] -= 1_200
    frame = days_of("1", 60, views=views)
    assert audited(frame).empty
    assert only(audited(frame, thresholds={"falling_total": 0.0001}))["check"] == "falling_total"
    assert only(audited(frame, thresholds={"falling_total": 0}))["check"] == "falling_total"


# window_conflict and impossible_count ---------------------------------------------------------------------------


def test_a_window_that_has_more_than_a_longer_one_or_than_the_total() -> None:
    windows = rows(
        "product_windows", product_id=["5"] * 3 + ["6"] * 3, window_days=[1, 7, 15] * 2,
        units_window_est=[10, 20, 30, 80, 20, 30], gmv_window_est=[1.0, 2.0, 900.0, 1.0, 2.0, 3.0],
    )  # fmt: skip
    products = rows("products", product_id=["5", "6"], units_sold_est=[500, 500], gmv_est=[800.0, 800.0])
    found = audited(product_windows=windows, products=products)
    assert found[["severity", "entity", "column", "evidence"]].to_numpy().tolist() == [
        ["wrong", "5", "gmv_window_est",
         "gmv_window_est of 15 days is 900, more than the 800 of the total, gmv_est (observed 2026-06-01 12:00)"],
        ["wrong", "6", "units_window_est",
         "units_window_est of 1 day is 80, more than the 20 of units_window_est of 7 days (observed 2026-06-01 12:00)"],
    ]  # fmt: skip


def test_windows_of_videos_are_columns() -> None:
    videos = rows("videos", video_id=["1", "2"], views=[900, 100], views_1d=[5, 5], views_7d=[7, 7], views_30d=[8, 150])
    found = only(audited(videos=videos))
    assert (found["check"], found["entity"], found["column"]) == ("window_conflict", "2", "views_30d")
    assert found["evidence"] == "views_30d is 150, more than the 100 of views (observed 2026-06-01 12:00)"


@pytest.mark.parametrize(
    ("column", "short", "long", "severity"),
    [
        ("followers_gained", 900, 200, "note"),
        ("likes_gained", 900, 200, "suspect"),
        ("likes_gained", 90, 20, "note"),
        ("likes_gained", 900, -200, "note"),
        ("likes_gained", 2200, 2000, "note"),
    ],
)
def test_what_may_be_lost_may_be_more_in_a_shorter_window(column: str, short: int, long: int, severity: str) -> None:
    windows = rows("creator_windows", user_id="1", window_days=[1, 7], **{column: [short, long]})
    assert only(audited(creator_windows=windows))["severity"] == severity


def test_more_likes_than_views_cannot_be_of_a_video_and_hardly_of_a_creator() -> None:
    found = audited(
        videos=rows("videos", video_id=["1", "2"], views=[100, 100], likes=[101, 100]),
        creators=rows("creators", user_id=["8", "9"], views=[100, 5000], likes=[140, 20]),
    )
    assert found[["check", "severity", "entity", "n"]].to_numpy().tolist() == [
        ["impossible_count", "wrong", "1", 1],
        ["impossible_count", "suspect", "8", 1],
    ]
    assert found["evidence"].tolist() == [
        "likes is 101, more than the 100 of views (observed 2026-06-01 12:00)",
        "likes is 140, more than the 100 of views (observed 2026-06-01 12:00)",
    ]


# frozen ---------------------------------------------------------------------------------------------------------


def test_a_column_that_stands_still_while_others_move() -> None:
    likes, gained = 4_000 + 40 * np.arange(60), np.full(60, 40)
    likes[45:], gained[45:] = likes[44], 0
    found = audited(days_of("1", 60, likes=likes, likes_gained=gained), days_of("2", 60))
    assert found[["check", "severity", "entity", "column", "n"]].to_numpy().tolist() == [
        ["frozen", "suspect", "1", "likes", 15],
        ["frozen", "suspect", "1", "likes_gained", 15],
    ]
    assert found["first"].tolist() == [FIRST + 45 * DAY] * 2
    assert found["last"].tolist() == [FIRST + 59 * DAY] * 2
    assert found["evidence"][0] == (
        "likes stays 5,760 on 15 observed days, while comments, followers, followers_gained change; in the 45 days "
        "before it did not change on 0"
    )


def test_a_column_that_often_stands_still_is_not_frozen() -> None:
    sold = np.zeros(60)
    sold[[3, 9, 20, 31]] = 5
    assert audited(days_of("1", 60, units_day_est=sold, gmv_day_est=20 * sold)).empty


def test_thirteen_days_are_not_enough() -> None:
    gained = np.full(60, 40)
    gained[47:] = 0
    frame = days_of("1", 60, likes_gained=gained)
    assert audited(frame).empty
    assert only(audited(frame, thresholds={"frozen": 13}))["column"] == "likes_gained"


# revised_past, gap ----------------------------------------------------------------------------------------------


def test_a_day_that_was_changed_when_it_was_final_is_suspect_and_before_a_note() -> None:
    first = days_of("1", 30, observed_at=FIRST + 30 * DAY)
    again = days_of("1", 30, observed_at=FIRST + 50 * DAY)
    assert audited(first, again).empty
    again.loc[10, "units_day_est"] = 90
    found = only(audited(first, again))
    assert (found["check"], found["severity"], found["column"]) == ("revised_past", "suspect", "units_day_est")
    assert (found["first"], found["last"], found["n"]) == (FIRST + 10 * DAY, FIRST + 10 * DAY, 1)
    assert found["evidence"] == (
        "units_day_est of 2026-01-11 was 5 (observed 2026-01-31) and is 90 (observed 2026-02-20); 1 day was changed"
    )
    again.loc[10, "units_day_est"] = 9  # a few units may be brought back
    assert only(audited(first, again))["severity"] == "note"
    again.loc[10, "units_day_est"] = 5
    again.loc[29, "units_day_est"] = 90  # the day before the first answer
    assert only(audited(first, again))["severity"] == "note"


def test_days_missing_in_a_row_are_a_note_where_the_series_is_dense() -> None:
    dense = days_of("1", 88)
    found = only(audited(pd.concat([dense[:40], dense[48:]])))
    assert (found["check"], found["severity"], found["column"], found["n"]) == ("gap", "note", "date", 8)
    assert (found["first"], found["last"]) == (FIRST + 40 * DAY, FIRST + 47 * DAY)
    assert found["evidence"] == "8 days in a row have no row (80 of 88 days have one). Missing is not zero"
    sparse = days_of("1", 80).iloc[::6]
    assert audited(sparse).empty


# same_value -----------------------------------------------------------------------------------------------------


def test_all_ids_of_a_request_with_the_same_number() -> None:
    later = SEEN + DAY
    creators = rows(
        "creators", user_id=list("12345678"), followers=[5000] * 5 + [70, 80, 90], lives=[0] * 5 + [1] * 3,
        videos=[3] * 8, observed_at=[SEEN] * 5 + [later] * 3,
    )  # fmt: skip
    found = only(audited(creators=creators))
    assert (found["check"], found["severity"], found["column"], found["n"]) == ("same_value", "wrong", "followers", 5)
    assert found["entity"] == "1, 2, 3, 4, 5"
    assert found["evidence"] == "all 5 ids of one request have followers 5,000; different ids should differ"
    assert audited(creators=creators, thresholds={"same_value": 6}).empty


# parameter_ignored ----------------------------------------------------------------------------------------------


def offers(user_id: str, sort: str, ids: str, **columns: Any) -> pd.DataFrame:
    """A creator's products in an order."""
    return rows(
        "creator_products", user_id=user_id, sorted_by=sort, position=np.arange(1, len(ids) + 1), product_id=list(ids),
        **columns,
    )  # fmt: skip


def test_a_sort_that_changed_nothing() -> None:
    gmv, price = [9.0, 7.0, 5.0, 3.0, 1.0], [2.0, 1.0, 4.0, 3.0, 5.0]
    both = {"gmv_all_sellers_est": gmv, "price_avg": price}
    same = pd.concat([offers("1", "gmv", "abcde", **both), offers("1", "price", "abcde", **both)])
    found = only(audited(creator_products=same))
    assert (found["check"], found["severity"], found["entity"], found["column"]) == (
        "parameter_ignored", "wrong", "1", "sorted_by",
    )  # fmt: skip
    assert found["evidence"] == (
        "the first 5 rows are the same by gmv and by price; sorted by price, price_avg should not rise down the "
        "list, but it does 2 times"
    )
    sorted_ = offers("1", "price", "ecdab", gmv_all_sellers_est=[1.0, 5.0, 3.0, 9.0, 7.0], price_avg=[5.0, 4, 3, 2, 1])
    assert audited(creator_products=pd.concat([offers("1", "gmv", "abcde", **both), sorted_])).empty


def test_sorts_that_agree_by_right_are_no_finding() -> None:
    falling = [9.0, 7.0, 5.0, 3.0, 1.0]
    both = {"gmv_all_sellers_est": falling, "price_avg": falling}
    same = pd.concat([offers("1", "gmv", "abcde", **both), offers("1", "price", "abcde", **both)])
    assert audited(creator_products=same).empty


def ranking(region: str, values: Any, **columns: Any) -> pd.DataFrame:
    return rows(
        "product_rankings", region=region, date=FIRST, cycle="month", ranked_by="gmv", position=np.arange(1, 13),
        product_id=list("abcdefghijkl"), gmv_period_est=values, **columns,
    )  # fmt: skip


def test_the_same_answer_for_two_regions() -> None:
    values = 100.0 - np.arange(12)
    found = only(audited(product_rankings=pd.concat([ranking("US", values), ranking("GB", values)])))
    assert (found["check"], found["severity"], found["column"], found["n"]) == (
        "parameter_ignored", "wrong", "region", 12,
    )  # fmt: skip
    assert found["evidence"] == "12 rows are the same, value by value, with region GB, US"
    assert audited(product_rankings=pd.concat([ranking("US", values), ranking("GB", values + 1)])).empty


def test_a_filter_that_removes_nothing_is_a_note() -> None:
    values = 100.0 - np.arange(12)
    filtered = ranking("US", values, filter_category_l1_id="601450")
    found = only(audited(product_rankings=pd.concat([ranking("US", values), filtered])))
    assert (found["severity"], found["column"]) == ("note", "filter_category_l1_id")


def test_the_same_series_for_two_ids() -> None:
    comments = 300 + 2 * np.arange(40)
    same = [days_of(user_id, 40, comments=comments) for user_id in ("1", "3")]
    found = only(audited(*same, days_of("2", 40)))
    assert (found["check"], found["severity"], found["column"], found["n"]) == (
        "parameter_ignored", "wrong", "user_id", 40,
    )  # fmt: skip
    assert found["evidence"] == "40 rows are the same, value by value, with user_id 1, 3"


@pytest.mark.parametrize(
    ("ids", "value", "is_found"),
    [(2, 900_000, False), (2, 1_100_000, True), (4, 110, True), (4, 90, False), (10, 9, False)],
)
def test_small_numbers_are_alike_by_chance(ids: int, value: int, *, is_found: bool) -> None:
    creators = rows("creators", user_id=[str(one) for one in range(ids)], followers=value, videos=np.arange(ids))
    assert bool(len(audited(creators=creators))) == is_found


# What a live user met -------------------------------------------------------------------------------------------


def test_a_whole_market_at_zero_while_views_move() -> None:
    """French creators had no sales on any day of two weeks, others in France had; their views moved on."""
    market, other = [], []
    for number in range(12):
        sold = np.full(60, 4 + number)
        sold[number % 5 :: 5] = 0  # not every day
        other.append(days_of(str(100 + number), 60, units_day_est=sold, gmv_day_est=9.0 * sold))
        sold = sold.copy()
        sold[20:33] = 0
        market.append(days_of(str(number), 60, units_day_est=sold, gmv_day_est=9.0 * sold))
    creators = rows(
        "creators", user_id=[*map(str, range(12)), *map(str, range(100, 112))],
        creator_region=["FR"] * 12 + ["VN"] * 12,
    )  # fmt: skip
    found = audited(*market, *other, creators=creators)
    assert found[["check", "severity", "table", "entity", "column", "n"]].to_numpy().tolist() == [
        ["uncovered_zero", "wrong", "creator_days", "FR", "gmv_day_est", 13],
        ["uncovered_zero", "wrong", "creator_days", "FR", "units_day_est", 13],
    ]
    assert set(found["first"]) == {FIRST + 20 * DAY}
    assert set(found["last"]) == {FIRST + 32 * DAY}
    assert found["evidence"][0] == (
        "gmv_day_est is 0 in all 156 rows of 12 series in FR on 13 days. None of these series has so long a run of "
        "zeros at other times: data are missing"
    )
    assert audited(*market, *other).empty  # nobody knows of what market they are
    tables = {"creator_days": pd.concat(market), "creators": creators}
    one_table = audit_frames(["creator_days"], tables.__getitem__, None, ["creators"])
    assert one_table["entity"].tolist() == ["FR", "FR"]  # of a table that is not audited itself


def test_two_creators_who_often_sell_nothing_are_no_market() -> None:
    sold = np.tile([5, 0, 0, 0, 3], 12)
    frames = [days_of(user_id, 60, units_day_est=sold, gmv_day_est=9.0 * sold) for user_id in ("1", "2")]
    assert audited(*frames).empty


@pytest.mark.parametrize("days", [14, 40])
def test_an_account_that_froze_on_a_day(days: int) -> None:
    """Two accounts stood still from a day on, in all their numbers, while they went on selling."""
    frame = days_of("22", 100)
    since = 100 - days
    for name in ("followers", "views", "likes", "comments", "shares", "videos"):
        frame.loc[since:, name] = frame.loc[since - 1, name]
    for name in ("followers_gained", "likes_gained", "units_day_est", "gmv_day_est"):
        frame.loc[since:, name] = 0
    found = only(audited(frame, *(days_of(str(one), 100) for one in range(5))))
    assert (found["check"], found["severity"], found["entity"], found["n"]) == ("frozen", "suspect", "22", days)
    assert (found["first"], found["last"]) == (FIRST + since * DAY, FIRST + 99 * DAY)
    assert found["evidence"].startswith("comments, followers, followers_gained, gmv_day_est, ")
    assert found["evidence"].endswith(
        f"do not change on {days} observed days or more, and did on most days before; no column still changes"
    )


def test_totals_of_all_sellers_are_not_a_creators(client: kr.Client) -> None:
    """A creator's products summed to 3.55 million, of which the creator had sold 0.2 million."""
    users = kr.fetch_creator_rankings(region="US", limit=10, client=client)["user_id"]
    creators = kr.fetch_creators(users, client=client)
    products = kr.fetch_creator_products(users, sort="gmv", client=client)
    sums = products.groupby("user_id")["gmv_all_sellers_est"].sum()
    own = creators.set_index("user_id")["gmv_est"].reindex(sums.index)
    above = (sums > 1.5 * own).sum()
    assert above > 5
    found = kr.audit("creator_products", client=client)  # held against totals of a table that is not audited
    note = only(found[found["column"] == "gmv_all_sellers_est"])
    assert (note["check"], note["severity"], note["n"]) == ("impossible_count", "note", above)
    most = sums.idxmax()
    assert note["evidence"] == (
        f"for {above} of {len(sums)} creators gmv_all_sellers_est adds up to more than the creator's gmv_est, for "
        f"{most} to {sums[most]:,.0f} against {own[most]:,.0f}. It is of the product over all sellers: do not sum it "
        "for a creator"
    )
    assert note["entity"] == ""


def test_what_should_be_a_creators_own_and_is_of_all_sellers(sandbox: Sandbox, client: kr.Client) -> None:
    """Nobody knows whose sales through videos those of a list are: where they cannot be the creator's, it is said."""

    def of_all(path: str, _params: Mapping[str, str], envelope: dict[str, Any]) -> dict[str, Any]:
        if path.endswith("influencer/products/analytics"):
            for row in envelope["data"]:
                row["total_video_sale_gmv_amt"] = row["total_sale_gmv_amt"]
        return envelope

    sandbox.mutate = of_all
    users = kr.fetch_creator_rankings(region="US", limit=10, client=client)["user_id"]
    creators = kr.fetch_creators(users, client=client).set_index("user_id")
    products = kr.fetch_creator_products(users, sort="gmv", client=client)
    found = kr.audit(client=client)
    found = found[found["column"] == "video_gmv_est"]
    assert found["severity"].eq("suspect").all()
    sums = products.groupby("user_id")["video_gmv_est"].sum()
    assert sorted(found["entity"]) == sorted(sums.index[sums > 1.5 * creators["gmv_est"].reindex(sums.index)])
    assert len(found) > 5


def test_a_sort_parameter_that_is_ignored(sandbox: Sandbox, client: kr.Client) -> None:
    users = kr.fetch_creator_rankings(region="US", limit=6, client=client)["user_id"]
    for sort in ("views", "posted"):
        kr.fetch_creator_videos(users[:3], sort=sort, limit=10, client=client)
    found = kr.audit(client=client)
    assert found[found["check"] == "parameter_ignored"].empty
    first: dict[str, Any] = {}

    def whatever_the_sort(path: str, params: Mapping[str, str], envelope: dict[str, Any]) -> dict[str, Any]:
        if path.endswith("influencer/videos/analytics"):
            envelope["data"] = first.setdefault(params["user_id"], envelope["data"])
        return envelope

    sandbox.mutate = whatever_the_sort
    for sort in ("posted", "views"):
        kr.fetch_creator_videos(users[3:], sort=sort, limit=10, client=client)
    found = kr.audit("creator_videos", client=client)
    found = found[found["check"] == "parameter_ignored"]
    assert found["entity"].tolist() == sorted(users[3:])
    assert found[["severity", "column", "n"]].drop_duplicates().to_numpy().tolist() == [["wrong", "sorted_by", 10]]


def test_sales_value_of_zero_everywhere_before_a_repair() -> None:
    """In July 2026 the sales value of all videos was 0, units were not; two weeks later both were there."""
    ids = [str(one) for one in range(30)]
    units = np.arange(30) * 10
    views = 1_000_000 + np.arange(30)
    before = rows("videos", video_id=ids, views=views, units_sold_est=units, gmv_est=0.0)
    found = only(audited(videos=before))
    assert [found[name] for name in ("check", "severity", "column", "n")] == ["uncovered_zero", "wrong", "gmv_est", 29]
    assert found["evidence"] == (
        "gmv_est is 0 in 29 of 29 rows whose units_sold_est is above 0, up to 290 (2026-06-01 12:00)"
    )
    after = rows(
        "videos", video_id=ids, views=views + 10_000, units_sold_est=units, gmv_est=12.5 * units,
        observed_at=SEEN + 13 * DAY,
    )  # fmt: skip
    assert audited(videos=after).empty
    found = audited(videos=pd.concat([before, after]))
    assert found["check"].tolist() == ["uncovered_zero", "uncovered_zero"]
    assert found["evidence"].tolist()[0] == (
        "gmv_est is 0 for all 30 ids observed before 2026-06-14 12:00, and above 0 for 29 of the 30 observed again, up "
        "to 3,625, while their views rose by 1%: data were missing before"
    )


def test_units_and_sales_value_of_zero_everywhere_before_a_repair() -> None:
    ids = [str(one) for one in range(8)]
    views = 1_000_000 + np.arange(8)
    before = rows("videos", video_id=ids, views=views, units_sold_est=0, gmv_est=0.0)
    assert audited(videos=before).empty  # nothing says that they sold
    sold = np.arange(15, 23)
    later = {"video_id": ids, "units_sold_est": sold, "gmv_est": 9.0 * sold, "observed_at": SEEN + 9 * DAY}
    found = audited(videos=pd.concat([before, rows("videos", views=views + 50_000, **later)]))
    assert found[["check", "severity", "column", "n"]].to_numpy().tolist() == [
        ["uncovered_zero", "wrong", "gmv_est", 8],
        ["uncovered_zero", "wrong", "units_sold_est", 8],
    ]
    new = rows("videos", views=views * 3, **later)  # most of the views came later, the sales may have, too
    assert audited(videos=pd.concat([before, new])).empty


def test_videos_with_products_none_of_which_sold_anything_are_noted() -> None:
    videos = rows(
        "videos", video_id=[str(one) for one in range(25)], n_products=1, views=10**6, units_sold_est=0, gmv_est=0.0
    )
    found = audited(videos=videos.iloc[:19], thresholds={"same_value": 100})
    assert found.empty
    found = only(audited(videos=videos, thresholds={"same_value": 100}))
    assert (found["severity"], found["column"], found["n"]) == ("note", "units_sold_est, gmv_est", 25)


# A world --------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_faults_of_a_world_are_found_and_no_others(make_client: MakeClient) -> None:
    seed = "8"
    with Sandbox(seed=seed) as server:
        client = make_client(base_url=server.url, max_call_credits=None)
        everybody = kr.fetch_creator_rankings(region="GB", cycle="month", limit=80, client=client)["user_id"]
        faults = {}
        for user in everybody:
            creator = identity.creator_by_id(seed, user)
            assert creator is not None
            faults[user] = ledgers.of_creator(Setting(seed), creator).fault
        sound = [user for user, fault in faults.items() if not fault]
        users = [*(user for user, fault in faults.items() if fault), *sound[:6]]
        kr.fetch_creators(users, client=client)
        kr.fetch_creator_days(users, start="200D", client=client)
        for sort in ("posted", "views"):
            kr.fetch_creator_videos(users, sort=sort, limit=10, client=client)
        sent = len(server.requests)
        found = kr.audit(client=client)
        assert len(server.requests) == sent
    planted = {(check, user) for user, check in faults.items() if check not in ("", "revised_past")}  # fetched once
    assert len(planted) >= 5
    assert len({check for check, _ in planted}) >= 3
    hit = {one for one in planted if (found[found["entity"] == one[1]]["check"] == one[0]).any()}
    assert hit == planted
    assert {one[2] for one in bad(found)} <= {user for _, user in planted}


@pytest.mark.slow
def test_a_clean_world_has_notes_only(make_client: MakeClient) -> None:
    with Sandbox(seed="9", clean=True) as server:
        client = make_client(base_url=server.url, max_call_credits=None)
        users = kr.fetch_creator_rankings(region=effects.UNCOVERED_MARKET, cycle="month", limit=20, client=client)
        ids = users["user_id"].tolist()
        kr.fetch_creators(ids, client=client)
        kr.fetch_creator_days(ids, start="60D", client=client)
        for sort in ("units", "gmv"):
            kr.fetch_creator_products(ids, sort=sort, limit=10, client=client)
        found = kr.audit(client=client)
    assert found["severity"].eq("note").all(), found[found["severity"] != "note"].to_string()
    assert (found["evidence"].str.count(r"\d") > 1).all()


# Doors ----------------------------------------------------------------------------------------------------------


def test_one_table_and_all_of_them(client: kr.Client) -> None:
    ids = kr.fetch_creator_rankings(region="US", limit=10, client=client)["user_id"]
    kr.fetch_creators(ids, client=client)
    assert kr.audit(client=client)["table"].isin(["creators", "creator_windows", "creator_rankings"]).all()
    assert kr.audit("creator_windows", client=client)["table"].isin(["creator_windows"]).all()
    assert kr.audit("videos", client=client).empty


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"table": "creatures"}, "creatures"),
        ({"thresholds": [("gap", 3)]}, "thresholds must be a dict by check; got"),
        ({"thresholds": {"gaps": 3}}, "there is no check 'gaps'. thresholds has falling_total, window_conflict"),
        ({"thresholds": {"gap": "many"}}, "thresholds['gap'] must be a number from 0 to 1,000,000,000; got 'many'"),
        ({"thresholds": {"gap": -1}}, "thresholds['gap'] must be a number from 0 to 1,000,000,000; got -1"),
        ({"thresholds": {"gap": float("nan")}}, "thresholds['gap'] must be a number from 0 to 1,000,000,000; got nan"),
        ({"thresholds": {"gap": True}}, "thresholds['gap'] must be a number from 0 to 1,000,000,000; got True"),
    ],
)
def test_what_cannot_be_audited(client: kr.Client, options: dict[str, Any], message: str) -> None:
    with pytest.raises(kr.InvalidArgumentError, match=re.escape(message)):
        kr.audit(**options, client=client)


def test_a_frame_is_audited_by_the_answers_of_its_rows(sandbox: Sandbox, client: kr.Client) -> None:
    def spoil(path: str, _params: Mapping[str, str], envelope: dict[str, Any]) -> dict[str, Any]:
        if path.endswith("influencer/detail/analytics"):
            for row in envelope["data"]:
                row["total_sale_gmv_30d_amt"] = row["total_sale_gmv_amt"] * 2 + 1000
        return envelope

    sandbox.mutate = spoil
    ids = kr.fetch_creator_rankings(region="US", limit=20, client=client)["user_id"]
    creators = kr.fetch_creators(ids[:10], client=client)
    kr.fetch_creators(ids[10:], client=client)
    sent = len(sandbox.requests)
    found = creators.keyapi.audit(client=client)
    assert len(sandbox.requests) == sent
    wrong = found[(found["check"] == "window_conflict") & (found["column"] == "gmv_window_est")]
    assert wrong["table"].eq("creator_windows").all()  # another table of the same answers
    assert sorted(wrong["entity"]) == sorted(creators["user_id"])
    some = creators[:3].keyapi.audit(client=client, thresholds={"window_conflict": 10**9})
    assert some["severity"].eq("note").all()
    assert creators[:0].keyapi.audit(client=client).empty


# What happens by itself -----------------------------------------------------------------------------------------


def test_who_never_sold_and_what_is_not_known_is_not_frozen() -> None:
    never = days_of("1", 60, units_day_est=0, gmv_day_est=0.0)
    unknown = days_of("2", 60)
    unknown.loc[30:, ["shares", "units_day_est"]] = pd.NA
    new = days_of("3", 25)
    new.loc[8:, ["units_day_est", "gmv_day_est"]] = 0
    assert audited(never, unknown, new, *(days_of(str(one), 60) for one in range(10, 20))).empty


def test_sellers_may_stop_for_some_weeks() -> None:
    pausing = days_of("1", 80)
    pausing.loc[60:, ["units_day_est", "gmv_day_est"]] = 0
    assert audited(pausing)["severity"].tolist() == ["note", "note"]
    pausing.loc[50:, ["units_day_est", "gmv_day_est"]] = 0
    assert audited(pausing)["severity"].tolist() == ["suspect", "suspect"]


def test_an_account_of_which_one_number_still_moves_is_frozen() -> None:
    frame = days_of("1", 80)
    for name in ("views", "likes", "comments", "shares"):
        frame.loc[50:, name] = frame.loc[49, name]
    frame.loc[50:, ["likes_gained", "followers_gained", "units_day_est", "gmv_day_est"]] = 0
    found = only(audited(frame))
    assert (found["check"], found["severity"], found["n"]) == ("frozen", "suspect", 30)
    assert found["evidence"].endswith("most days before; only followers still changes")


@pytest.mark.parametrize("length", [2, 10, 20])
def test_pauses_and_weekends_are_no_missing_data(length: int) -> None:
    markets = {"FR": 12, "VN": 3}
    frames, ids = [], {}
    for market, count in markets.items():
        for number in range(count):
            sold = np.full(140, 5)
            first = 5 + (number * 29) % 100
            sold[first : first + length] = 0
            if market == "FR":
                sold[5::7] = sold[6::7] = 0
            ids[f"{market}{number}"] = market
            frames.append(days_of(str(len(ids)), 140, units_day_est=sold, gmv_day_est=3.0 * sold))
    creators = rows("creators", user_id=[str(one + 1) for one in range(15)], creator_region=list(ids.values()))
    assert bad(audited(*frames, creators=creators)) == []


def test_a_market_of_three_is_suspect_and_products_have_one_too() -> None:
    def sold_but(first: int, last: int) -> pd.DataFrame:
        sold = np.full(80, 6)
        sold[first:last] = 0
        return days_of("1", 80, units_day_est=sold, gmv_day_est=2.0 * sold)

    three = [sold_but(30, 40).assign(user_id=str(one), comments=300 + one + np.arange(80)) for one in range(3)]
    creators = rows("creators", user_id=list("012"), creator_region="FR")
    assert [one[:3] for one in bad(audited(*three, creators=creators))] == [["uncovered_zero", "suspect", "FR"]] * 2

    dates = FIRST + np.arange(60) * DAY
    days = [
        rows(
            "product_days", product_id=str(one), date=dates, units_sold_est=100 + one + 9 * np.arange(60),
            units_day_est=np.r_[np.full(25, 9), np.zeros(15), np.full(20, 9)],
        )
        for one in range(8)
    ]  # fmt: skip
    products = rows("products", product_id=[str(one) for one in range(8)], market="FR")
    assert bad(audited(product_days=pd.concat(days), products=products)) == [
        ["uncovered_zero", "wrong", "FR", "units_day_est"]
    ]


def test_a_market_is_zero_on_days_in_a_row_only() -> None:
    sold = np.full(60, 5)
    sold[[29, 30]] = 0
    frames = [days_of(str(one), 60, units_day_est=sold) for one in range(8)]
    assert audited(*frames)["n"].tolist() == [2]
    for frame in frames:  # four months lie between them
        frame["date"] = [*frame["date"][:30], *(frame["date"][30:] + 120 * DAY)]
    assert audited(*frames)["check"].unique().tolist() == ["gap"]


def test_estimates_are_rounded_in_different_ways() -> None:
    value = np.arange(40) * 7.37 + 3.3
    products = rows(
        "products", product_id=[str(one) for one in range(40)], gmv_est=np.floor(value), video_gmv_est=value,
        live_gmv_est=0.0, reviews=np.arange(40) + 50,
    )  # fmt: skip
    assert audited(products=products).empty
    clear = products.assign(video_gmv_est=value + 20)
    assert audited(products=clear)["check"].unique().tolist() == ["impossible_count"]


def test_numbers_that_differ_little_are_told_apart() -> None:
    again = days_of("1", 30, observed_at=FIRST + 50 * DAY)
    again.loc[4, "gmv_day_est"] = 99.9
    found = only(audited(days_of("1", 30, observed_at=FIRST + 40 * DAY), again, thresholds={"revised_past": 0}))
    assert "was 99.5 (observed 2026-02-10) and is 99.9 (observed" in found["evidence"]


def test_comments_on_a_new_video_may_come_before_its_views() -> None:
    new = rows("videos", video_id=["1", "2"], views=[0, 2], comments=[1, 3], likes=[1, 0], units_sold_est=0)
    assert audited(videos=new)["severity"].unique().tolist() == ["note"]
    assert bad(audited(videos=rows("videos", video_id="1", views=[2000], shares=2500))) == [
        ["impossible_count", "suspect", "1", "shares"]
    ]


def test_the_views_of_a_deleted_video_go_with_it() -> None:
    views, videos = 50_000 + 700 * np.arange(60), np.full(60, 12)
    views[30:] -= 6_000
    assert bad(audited(days_of("1", 60, views=views, videos=videos))) == [["falling_total", "suspect", "1", "views"]]
    videos[30:] -= 1
    found = audited(days_of("1", 60, views=views, videos=videos))
    assert bad(found) == []
    assert found["evidence"].str.endswith("the number of videos fell, too").any()


def test_what_happens_on_one_day_of_a_series_says_on_which() -> None:
    likes = 4_000 + 40 * np.arange(60)
    likes[20] = 99_999_999
    found = audited(days_of("1", 60, likes=likes))
    found = only(found[found["check"] == "impossible_count"])
    assert (found["first"], found["last"]) == (FIRST + 20 * DAY, FIRST + 20 * DAY)
    assert found["evidence"] == "likes is 99,999,999, more than the 64,000 of views (on 2026-01-21)"


@pytest.mark.parametrize("ids", [1, 4])
def test_one_that_sold_hundreds_of_units_for_nothing_is_enough(ids: int) -> None:
    videos = rows(
        "videos", video_id=[str(one) for one in range(6)], views=np.arange(6) * 1000 + 9000,
        units_sold_est=500 + np.arange(6), gmv_est=[0.0] * ids + [900.0 + one for one in range(6 - ids)],
    )  # fmt: skip
    found = audited(videos=videos)
    assert bad(found) == [["uncovered_zero", "wrong", str(one), "gmv_est"] for one in range(ids)]
    assert audited(videos=videos.assign(units_sold_est=1)).empty


# Lists ----------------------------------------------------------------------------------------------------------


def test_the_newest_lists_are_held_against_each_other() -> None:
    values = 100.0 - np.arange(12)
    earlier = ranking("US", values + 7, observed_at=SEEN - 7 * DAY).assign(product_id=list("mnopqrstuvwx"))
    lists = [earlier, ranking("US", values), ranking("GB", values)]
    assert only(audited(product_rankings=pd.concat(lists)))["column"] == "region"


def test_addresses_of_pictures_differ_between_answers() -> None:
    def videos(region: str) -> pd.DataFrame:
        return rows(
            "video_rankings", region=region, date=FIRST, cycle="week", ranked_by="views", position=np.arange(1, 13),
            video_id=list("abcdefghijkl"), views_gained=99 - np.arange(12), cover_url=f"https://x/{region}",
        )  # fmt: skip

    assert only(audited(video_rankings=pd.concat([videos("US"), videos("GB")])))["column"] == "region"


def test_many_that_are_the_same_are_told_once() -> None:
    values = 100.0 - np.arange(12)
    regions = ["BR", "DE", "ES", "FR", "GB", "ID", "IT", "US"]
    found = only(audited(product_rankings=pd.concat([ranking(one, values) for one in regions])))
    assert found["evidence"].endswith("with region BR, DE, ES, FR, GB and 3 more")
    comments = 300 + 2 * np.arange(40)
    series = [days_of(str(one), 40, comments=comments) for one in range(4)]
    assert only(audited(*series))["entity"] == "0, 1, 2, 3"


def test_a_trend_is_the_same_in_whatever_list_its_sound_is() -> None:
    def trend(**parameters: Any) -> pd.DataFrame:
        return rows(
            "trending_music_trends", region="US", period=30, clip_id="5", date=FIRST + np.arange(30) * DAY,
            share_of_peak=np.arange(1, 31) / 30, **parameters,
        )  # fmt: skip

    lists = [trend(), trend(commercial_only=True), trend(search="love")]
    assert audited(trending_music_trends=pd.concat(lists)).empty


def test_small_series_are_alike_by_chance() -> None:
    frames = []
    for one in range(30):
        frame = days_of(str(one), 20, followers=7, followers_gained=0, views=30, likes=2, likes_gained=0, comments=1)
        frames.append(frame.assign(shares=0, videos=1, units_day_est=0, gmv_day_est=0.0))
    assert audited(*frames).empty


def test_a_ranking_is_by_what_was_gained() -> None:
    def by(what: str) -> pd.DataFrame:
        return rows(
            "creator_rankings", region="US", date=FIRST, cycle="day", ranked_by=what, position=np.arange(1, 6),
            user_id=list("abcde"), units_period_est=[50, 40, 30, 20, 10], followers_gained=[9, 8, 7, 6, 5],
            followers=[100, 900, 400, 800, 300],
        )  # fmt: skip

    both = pd.concat([by("units"), by("followers")])
    assert audited(creator_rankings=both).empty
    wrong = both.assign(followers_gained=[9, 3, 7, 1, 5] * 2)
    assert only(audited(creator_rankings=wrong))["column"] == "ranked_by"


def test_a_sort_may_be_by_newer_numbers_than_it_shows() -> None:
    gmv, price = [100.0, 110.0, 90.0, 95.0], [9.0, 8.0, 7.0, 6.0]
    both = {"gmv_all_sellers_est": gmv, "price_avg": price}
    lists = pd.concat([offers("1", "gmv", "abcd", **both), offers("1", "price", "abcd", **both)])
    assert audited(creator_products=lists).empty


def test_a_list_by_time_may_reach_back_for_years() -> None:
    def listed(sort: str, created: list[str]) -> pd.DataFrame:
        return rows(
            "creator_videos", user_id="1", sorted_by=sort, position=[1, 2, 3, 4], video_id=list("abcd"),
            views=[9, 8, 7, 6], created_at=pd.to_datetime(created, utc=True, format="ISO8601"),
        )  # fmt: skip

    falling = ["2026-01-09 08:00", "2026-01-09 20:00", "2021-05-01", "2012-01-01"]  # within a day is no order
    assert audited(creator_videos=pd.concat([listed("posted", falling), listed("views", falling)])).empty
    found = only(audited(creator_videos=pd.concat([listed(sort, falling[::-1]) for sort in ("posted", "views")])))
    assert found["evidence"].endswith("sorted by posted, created_at should not rise down the list, but it does 2 times")


def test_two_ids_that_share_several_numbers() -> None:
    both = rows("creators", user_id=["1", "2"], followers=5_231, likes=8_120, views=9_811, videos=[4, 9])
    found = only(audited(creators=both))
    assert (found["check"], found["column"]) == ("same_value", "followers, views, likes")
    assert found["evidence"] == (
        "all 2 ids of one request have followers 5,231 and views 9,811 and likes 8,120; different ids should differ"
    )
    assert audited(creators=both.assign(likes=[7, 8], views=[90, 91])).empty


def test_ids_whose_number_is_not_known_do_not_count_as_the_same() -> None:
    creators = rows("creators", user_id=list("abcde"), followers=[5_000] * 4 + [pd.NA])
    found = only(audited(creators=creators))
    assert found["n"] == 4
    assert found["evidence"].startswith("4 of 5 ids of one request have followers 5,000")


def test_windows_may_be_the_same_for_all() -> None:
    windows = rows(
        "creator_windows", user_id=list("abcde") * 2, window_days=[7] * 5 + [30] * 5,
        likes_gained=[77] * 5 + [*range(200, 205)],
    )  # fmt: skip
    assert bad(audited(creator_windows=windows)) == [["same_value", "wrong", "a, b, c, d, e", "likes_gained"]]


# Tables of one's own --------------------------------------------------------------------------------------------


def test_tables_that_users_declare_are_audited_as_far_as_they_go(client: kr.Client) -> None:
    path, vid = "/v1/tiktok/influencer/videos/analytics", {"vid": ("id", "video_id")}
    paging = ("page_num", "page_size", 10)
    keys = {"sorted": ["user_id", "sorted_by", "vid"], "only_keys": ["user_id", "plain", "vid"], "windows": ["vid"]}
    users = kr.fetch_creator_rankings(region="US", limit=3, client=client)["user_id"]
    for name, key in keys.items():
        parameters = dict.fromkeys(key[1:-1], "1")
        columns = {**vid, "window_days": ("count", "duration")} if name == "windows" else vid
        fetch = kr.declare(
            name, path, credits=1, by="user_id", params=parameters, paging=paging, rows="[]", key=key, columns=columns
        )
        for value in ("1", "2") if parameters else ("",):
            assert len(fetch(users, limit=20, client=client, **dict.fromkeys(parameters, value)))
        assert kr.audit(name, client=client).empty
    assert kr.audit(client=client)["table"].isin(list(TABLES)).all()


def test_a_frame_of_days_is_held_against_the_markets_of_the_store(client: kr.Client) -> None:
    market = effects.UNCOVERED_MARKET
    users = kr.fetch_creator_rankings(region=market, cycle="month", limit=12, client=client)["user_id"]
    kr.fetch_creators(users, client=client)
    days = kr.fetch_creator_days(users, start="60D", client=client)
    found = days.keyapi.audit(client=client)
    zero = found[found["check"] == "uncovered_zero"]
    assert set(zero["entity"]) == {market}
    assert set(zero["first"].dt.date) == {effects.UNCOVERED_DAYS[0]}
    assert found["table"].unique().tolist() == ["creator_days"]
