"""The dictionary: every column with dtype, unit, meaning, place and status; and the page is in step with it."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pandas as pd
import pytest

import keyapi_research as kr
from keyapi_research.dictionary import describe, tables
from keyapi_research.model import TABLES

DOCS = Path(__file__).parents[1] / "docs"
page = runpy.run_path(str(DOCS / "make_dictionary.py"))["page"]


def facts(table: str, column: str) -> dict[str, str]:
    return describe(table).set_index("column").loc[column].to_dict()


@pytest.mark.parametrize("table", TABLES)
def test_every_column_is_described(table: str) -> None:
    described = describe(table)
    assert list(described) == ["column", "dtype", "unit", "meaning", "source", "status", "reason"]
    assert {str(dtype) for dtype in described.dtypes} == {"string"}
    assert not described.isna().to_numpy().any()
    assert described["column"].is_unique
    assert described["column"].tolist()[-2:] == ["observed_at", "source"]
    assert (described["meaning"].str.len() > 4).all()
    assert described["status"].isin(["documented", "inferred", "unknown"]).all()
    assert (described["reason"].str.len() > 4).all()
    measured = described["dtype"].isin(["Int64", "float64", "datetime64[us, UTC]"])
    assert (described.loc[measured, "unit"] != "").all(), "every figure and time has a unit"


def test_what_it_says_of_some_columns() -> None:
    assert facts("videos", "likes_7d") == {
        "dtype": "Int64",
        "unit": "likes, of the window",
        "meaning": "Likes gained in the 7 days before the latest collection.",
        "source": "data[].total_digg_7d_cnt",
        "status": "documented",
        "reason": "the response schema's title; may be a day or more behind the call",
    }
    assert facts("hashtags", "posts_all")["source"] == "data.info.publish_cnt_all"
    assert "unknown" in facts("hashtags", "views_all")["reason"]
    assert facts("product_insights", "cpa")["unit"] == "money, probably USD, per conversion"
    assert "currency is not documented" in facts("product_insights", "cost")["reason"]
    assert "currency not documented" in facts("videos", "gmv_est")["unit"]
    assert facts("music", "popular_days")["status"] == "unknown"
    assert facts("music", "popular_days")["reason"].startswith("0 in every sample")
    for table in ("product_audience", "hashtag_audience", "music_audience"):
        assert "35+ and a 55+" in facts(table, "segment")["reason"]
        assert "100 = average" in facts(table, "score")["meaning"]
        assert "country" in facts(table, "dimension")["source"]
    assert facts("trending_music", "rank_movement")["status"] == "inferred"
    for table in ("trending_hashtags", "trending_music"):
        assert "size only: the direction is rank_movement" in facts(table, "rank_change")["meaning"]
        assert "3 = down is supported by a real answer" in facts(table, "rank_movement")["reason"]
    assert "A 0 may mean not computed" in facts("videos", "gmv_est")["meaning"]
    assert facts("hashtag_trends", "share_of_peak")["unit"] == "share of own peak"


@pytest.mark.parametrize("table", ["hashtag", "", None, 5, ["hashtags"]])
def test_what_is_not_a_table_is_refused(table: object) -> None:
    refusal = r"is not a table\.( Did you mean 'hashtags'\?)? Choose from product_insights, "
    with pytest.raises(kr.InvalidArgumentError, match=refusal):
        describe(table)  # type: ignore[arg-type]


def test_tables_lists_them_with_their_prices() -> None:
    listed = tables()
    assert list(listed) == ["table", "row", "key", "endpoint", "credits", "fetch"]
    assert len(listed) == 35
    by_name = listed.set_index("table")
    assert by_name.loc["videos", "endpoint"] == "/v1/tiktok/video/detail/analytics"
    assert by_name.loc["videos", ["row", "key", "credits"]].tolist() == ["video", "video_id", 1]
    assert by_name.loc["hashtag_trends", "key"] == "region, period, hashtag_name, date"
    assert by_name["credits"].eq(2).sum() == 18
    assert by_name.loc[by_name["endpoint"].str.endswith("/analytics"), "credits"].to_list() == [1] * 17
    assert by_name.loc["creator_days", ["row", "key", "endpoint"]].tolist() == [
        "creator x day", "user_id, date", "/v1/tiktok/influencer/trends/analytics",
    ]
    assert by_name["endpoint"].nunique() == 18
    assert all(callable(getattr(kr, name)) for name in listed["fetch"])


# The page ---------------------------------------------------------------------------------------------------


def test_the_page_is_in_step_with_the_declarations() -> None:
    written = (DOCS / "data-dictionary.md").read_text(encoding="utf-8")
    assert written == page(), "run python docs/make_dictionary.py"


def test_the_script_writes_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[tuple[str, str]] = []
    monkeypatch.setattr(Path, "write_text", lambda path, text, encoding: written.append((path.name, text)))
    runpy.run_path(str(DOCS / "make_dictionary.py"), run_name="__main__")
    assert written == [("data-dictionary.md", page())]


def test_the_page_has_every_column_once_with_all_that_is_known() -> None:
    chapters = dict(part.split("\n", 1) for part in page().split("\n## ")[1:])
    for table in TABLES:
        rows = [line for line in chapters[table].split("\n") if line.startswith("| ")][2:]
        for line, (_, column) in zip(rows, describe(table).iterrows(), strict=True):
            cells = [cell.strip() for cell in line.strip("|").split(" | ")]
            assert cells[0].strip("*") == column["column"]
            assert (cells[0] != column["column"]) is (column["column"] in TABLES[table].key)
            status, _, reason = cells[5].partition(": ")
            shown = [cells[1], cells[2], cells[4].strip("`"), status.strip("*"), reason]
            assert shown == column[["dtype", "unit", "source", "status", "reason"]].tolist()
        assert f"kr.fetch_{table}`" in chapters[table]


def test_the_page_says_what_to_be_careful_with() -> None:
    cautions = page().split("## What to be careful with")[1].split("\n## ")[0]
    said = " ".join(cautions.split())
    for caution in (
        "Products (18 = 18-24, 25 = 25-34, 35 = 35-44, 45 = 45-54, 55 = 55+)",
        "end at 55+. Hashtags and music (3 = 18-24, 4 = 25-34, 5 = 35+)",
        "they end at 35+",
        "The currency of `cost`, `cpa` and `gmv_est` is not documented",
        "`posts_all` and `views_all`**: whether overall means worldwide or within the region requested is unknown",
        "100 is average",
        "never summed",
        "Where a zero is no evidence**: `popular_days` and `current_popularity`",
        "Levels of two series, two regions",
        "-99999",
        "`rank_change` is a size, `rank_movement` its direction",
        "3 = down is supported by a real answer of 100 hashtags",
        "until mid-2026 a user saw a `gmv_est` of 0 for every video, so it may mean not computed",
        "fill only what they rank: elsewhere a 0 is missing",
        "`units_all_sellers_est` and `gmv_all_sellers_est` are not the creator's",
        "A day that is missing from the answers has no row, which does not mean zero",
    ):
        assert caution in said
    columns = {column.name for table in TABLES.values() for column in table.columns}
    named = set(re.findall(r"`([a-z_0-9]+)`", cautions))
    assert len(named) > 20
    assert named - {"music_videos"} <= columns, "the cautions name columns that exist"


def test_descriptions_agree_with_frames(client: kr.Client) -> None:
    frame = kr.fetch_videos("7117191641181555995", client=client)
    described = describe("videos")
    assert list(frame) == described["column"].tolist()
    assert [str(dtype) for dtype in frame.dtypes] == described["dtype"].tolist()
    assert isinstance(described, pd.DataFrame)


def test_a_misspelt_table_is_recognised() -> None:
    with pytest.raises(kr.InvalidArgumentError, match=r"'creator_day' is not a table\. Did you mean 'creator_days'\?"):
        kr.describe("creator_day")
