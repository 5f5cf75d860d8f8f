"""The dictionary: every column with dtype, unit, meaning, place and status; and the pages are in step with it."""

from __future__ import annotations

import operator
import re
import runpy
from pathlib import Path

import pandas as pd
import pytest

import keyapi_research as kr
from keyapi_research.accessor.methods import Methods
from keyapi_research.dictionary import describe, tables
from keyapi_research.model import TABLES

DOCS = Path(__file__).parents[1] / "docs"
pages = runpy.run_path(str(DOCS / "make_pages.py"))["pages"]


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


# The pages --------------------------------------------------------------------------------------------------


def test_the_pages_are_in_step_with_the_declarations() -> None:
    for path, text in pages().items():
        assert (DOCS / path).read_text(encoding="utf-8") == text, "run python docs/make_pages.py"


def test_the_script_writes_the_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    written: dict[str, str] = {}
    monkeypatch.setattr(
        Path, "write_text", lambda path, text, encoding: written.update({str(path.relative_to(DOCS)): text})
    )
    runpy.run_path(str(DOCS / "make_pages.py"), run_name="__main__")
    assert written == pages()


def test_the_pages_have_every_column_once_with_all_that_is_known() -> None:
    of_tables = [text for path, text in pages().items() if path.startswith("tables/") and "index" not in path]
    chapters = dict(part.split("\n", 1) for text in of_tables for part in text.split("\n## ")[1:])
    assert set(chapters) == set(TABLES)
    for table in TABLES:
        rows = [line for line in chapters[table].split("\n") if line.startswith("| ")][2:]
        for line, (_, column) in zip(rows, describe(table).iterrows(), strict=True):
            name, kind, meaning, known = (cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1])
            assert name.strip("*") == column["column"]
            assert (name != column["column"]) is (column["column"] in TABLES[table].key)
            assert kind == ", ".join(filter(None, (column["dtype"], column["unit"])))
            assert meaning
            place, status, reason = re.fullmatch(r"`(.*)`; \*\*(\w+)\*\*: (.*)", known).groups()
            assert [place, status, reason] == column[["source", "status", "reason"]].tolist()
        assert f"kr.fetch_{table}`" in chapters[table]


def test_the_list_of_tables_leads_to_all_of_them() -> None:
    index = pages()["tables/index.md"]
    for table in TABLES:
        [page] = re.findall(rf"\[{table}\]\(([a-z-]+\.md)#{table}\)", index)
        assert f"\n## {table}\n" in pages()[f"tables/{page}"]


def test_the_list_of_endpoints_has_all_and_their_prices() -> None:
    text = pages()["endpoints.md"]
    rows = {cells[1]: cells for cells in (re.split(r" *\| *", line) for line in text.split("\n")) if len(cells) == 7}
    for row in kr.endpoints().itertuples():
        _, _, certainty, price, paging, tables_of, _ = rows[f"`{row.path}`<br>{row.title}"]
        assert certainty == row.certainty[0]
        assert price == ("unknown" if pd.isna(row.credits) else str(row.credits))
        assert paging == ("unknown" if pd.isna(row.paging) else row.paging)
        assert re.findall(r"\[(\w+)\]", tables_of) == ([] if pd.isna(row.tables) else row.tables.split(", "))


def test_the_prices_of_the_guide_are_the_declared_ones() -> None:
    text = (DOCS / "guide" / "money.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`kr\.fetch_.+) \| (.+) \| (.+) \|$", text, re.MULTILINE)
    named = []
    for functions, what, price in rows:
        names = re.findall(r"`kr\.fetch_(\w+)`", functions)
        [endpoint] = {TABLES[name].endpoint for name in names}
        assert len(what.split("; ")) == len(names)
        assert re.findall(r"\d+", price) == re.findall(r"\d+", endpoint.price), names
        named += names
    assert sorted(named) == sorted(TABLES)


def test_every_name_in_the_documentation_exists() -> None:
    texts = [path for path in DOCS.rglob("*.md") if not {"_build", "notebooks", "generated"} & set(path.parts)]
    assert len(texts) > 25
    for path in (*texts, DOCS.parent / "README.md", DOCS.parent / "CONTRIBUTING.md"):
        text = path.read_text(encoding="utf-8")
        for name in re.findall(r"\bkr\.((?:plots\.|sandbox\.)?[A-Za-z]\w*)", text):
            assert operator.attrgetter(name)(kr) is not None, path
        for name in re.findall(r"\w\.keyapi\.(?!ai\b)([a-z]\w*)", text):
            assert hasattr(Methods, name), (path, name)


def test_the_chinese_page_has_the_code_of_the_english_one() -> None:
    def code(page: str) -> list[str]:
        blocks = re.findall(r"^```(.*?)^```", (DOCS / page).read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
        return [re.sub(r"(\balt:|#).*", "", block) for block in blocks]  # what is said, not done

    assert len(code("start.md")) > 5
    assert code("start.md") == code("zh/index.md")


def test_every_error_and_warning_says_what_it_means_and_what_to_do() -> None:
    rows = re.findall(r"^\| `kr\.(\w+)` \| (.+) \| (.+) \|$", pages()["errors.md"], re.MULTILINE)
    kinds = [getattr(kr, name) for name in kr.__all__]
    raised = {one.__name__ for one in kinds if isinstance(one, type) and issubclass(one, BaseException)}
    assert {name for name, _, _ in rows} == raised - {"KeyAPIError", "KeyAPIWarning"}
    for name, meaning, what_to_do in rows:
        assert meaning.endswith(".")
        assert what_to_do.endswith((".", "`")), name
        assert meaning != what_to_do


def test_the_pages_say_what_to_be_careful_with() -> None:
    cautions = pages()["tables/index.md"].split("## What to be careful with")[1].split("```{toctree}")[0]
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
