"""CSV: what comes back equals what went out, in the plain form and in the one for spreadsheets; Parquet too."""

from __future__ import annotations

import bz2
import csv
import errno
import gzip
import io
import lzma
import math
import os
import re
import shutil
import subprocess
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal

import keyapi_research as kr
from keyapi_research.export import csv as csv_file
from keyapi_research.export import read_csv, write_csv
from keyapi_research.export.csv import csv_bytes, known_dtypes, parse_csv
from keyapi_research.model import TABLES, Column
from keyapi_research.sandbox import Sandbox

BOTH_FORMS = pytest.mark.parametrize("excel", [False, True], ids=["plain", "excel"])
ID = "7117191641181555995"
NASTY = [
    " ", "NA", "null", "NaN", "None", "nan", "<NA>", "true", "False", "007", "1e5", "-5", "+5", "1.50", "0x1F", ID,
    f"-{ID}", "=1+1", "@SUM(A1)", "+1", "-", "'", "''", "'quoted'", "\t=1", "\r=1", "\n=1", ",", '"', '""', '"a","b"',
    "a\nb", "a\r\nb", "a\rb", "\n", "\r\n", " lead", "trail ", "\x00", "a\x00b", "\ufeffmark", "\u2028", "\x85", "\x1c",
    "😀 👩‍👩‍👧", "مرحبا بالعالم", "สวัสดี", "東京", "2026-02-03", "2026-02-03T00:00:00.000000Z", "inf", "-inf", "1_000",
    "١٢٣",
]  # fmt: skip


def there_and_back(frame: pd.DataFrame, *, excel: bool = False) -> pd.DataFrame:
    return parse_csv(csv_bytes(frame, excel=excel))


def column(values: list[Any], dtype: str = "string") -> pd.Series[Any]:
    return pd.Series(pd.array(values, dtype=dtype))


TEXTS = st.none() | st.sampled_from(NASTY) | st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
VALUES = {
    "string": TEXTS,
    "Int64": st.none() | st.integers(-(2**63), 2**63 - 1),
    "float64": st.none() | st.floats(allow_nan=False),
    "boolean": st.none() | st.booleans(),
    "datetime64[us, UTC]": st.none() | st.datetimes(),
}


def as_series(values: list[Any], declared: Column) -> pd.Series[Any]:
    if declared.kind != "time":
        return column(values, declared.dtype)
    return pd.Series(np.array(values, dtype="datetime64[us]")).dt.tz_localize("UTC")


@pytest.mark.parametrize("table", TABLES)
@settings(max_examples=12, derandomize=True, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data(), rows=st.integers(0, 4), excel=st.booleans())
def test_every_table_comes_back(table: str, data: st.DataObject, rows: int, excel: bool) -> None:
    lists = {c.name: st.lists(VALUES[c.dtype], min_size=rows, max_size=rows) for c in TABLES[table].columns}
    drawn = data.draw(st.fixed_dictionaries(lists))
    frame = pd.DataFrame({c.name: as_series(drawn[c.name], c) for c in TABLES[table].columns})
    assert [str(dtype) for dtype in frame.dtypes] == [c.dtype for c in TABLES[table].columns]
    assert_frame_equal(there_and_back(frame, excel=excel), frame)


@BOTH_FORMS
def test_every_nasty_text_comes_back(excel: bool) -> None:
    frame = pd.DataFrame({"description": column([*NASTY, None]), "mine": [*NASTY, np.nan]})
    back = there_and_back(frame, excel=excel)
    assert back["description"].tolist()[:-1] == back["mine"].tolist()[:-1] == NASTY
    assert back["description"].isna().tolist() == back["mine"].isna().tolist() == [False] * len(NASTY) + [True]
    assert_frame_equal(back, frame)


# Columns of the user's own ----------------------------------------------------------------------------------

OWN: dict[str, tuple[list[Any], str | None]] = {
    "text, one missing": (["a", np.nan], None),
    "text of which some looks missing": (["NA", "null", "x"], None),
    "text with leading zeros": (["007", "10"], None),
    "long digits": ([ID, "5"], None),
    "whole numbers": ([1, -2], "int64"),
    "numbers": ([0.1, 1e-300], "float64"),
    "numbers of which one is missing": ([0.1 + 0.2, np.nan], "float64"),
    "whole numbers as floats": ([1.0, 2.0], "float64"),
    "infinite numbers": ([math.inf, -math.inf], "float64"),
    "numbers that need every digit": ([5e-324, 1.7976931348623157e308], "float64"),
    "large floats": ([1e16, 123456789012345680.0], "float64"),
    "flags": ([True, False], "bool"),
    "nothing": ([np.nan, np.nan], "float64"),
}


@BOTH_FORMS
@pytest.mark.parametrize("what", OWN)
def test_columns_of_the_users_own_come_back(what: str, excel: bool) -> None:
    values, dtype = OWN[what]
    frame = pd.DataFrame({"video_id": column([ID] * len(values)), what: pd.Series(values, dtype=dtype)})
    assert_frame_equal(there_and_back(frame, excel=excel), frame)
    alone = frame[[what]]
    assert_frame_equal(there_and_back(alone, excel=excel), alone)


@BOTH_FORMS
@pytest.mark.parametrize(
    ("texts", "values", "dtype"),
    [
        (["1", "-2"], [1, -2], "int64"), (["1e5", "0.5"], [1e5, 0.5], "float64"),
        (["True", "False"], [True, False], "bool"), (["NA", "null"], [np.nan, np.nan], "float64"),
        (["", "x"], [np.nan, "x"], None), (["", "7"], [np.nan, 7.0], "float64"),
    ],
)  # fmt: skip
def test_text_of_the_users_own_that_looks_like_something_else_is_inferred(
    texts: list[str], values: list[Any], dtype: str | None, excel: bool
) -> None:
    back = there_and_back(pd.DataFrame({"mine": texts, "description": column(texts)}), excel=excel)
    pd.testing.assert_series_equal(back["mine"], pd.Series(values, dtype=dtype), check_names=False)
    assert back["description"].tolist() == [text or pd.NA for text in texts]  # of a table, text stays text


@BOTH_FORMS
def test_long_whole_numbers_come_back_as_text(excel: bool) -> None:
    frame = pd.DataFrame({"mine": [7117191641181555995, 999999999999999]})
    assert there_and_back(frame, excel=excel)["mine"].tolist() == [ID, "999999999999999"]


def test_fifteen_digits_are_a_number() -> None:
    assert parse_csv(b"mine\n999999999999999\n")["mine"].tolist() == [999999999999999]
    assert parse_csv(b"mine\n1000000000000000\n")["mine"].tolist() == ["1000000000000000"]


@settings(max_examples=60, derandomize=True, deadline=None, database=None)
@given(
    texts=st.lists(TEXTS.filter(lambda text: text is not None), min_size=1),
    excel=st.booleans(),
    name=st.text(st.characters(exclude_categories=["Cs"]), max_size=6).filter(lambda name: name not in known_dtypes()),
)
def test_any_text_and_any_name_of_the_users_own(texts: list[str], excel: bool, name: str) -> None:
    texts = [*texts, "some text"]  # that a column is text has to show
    frame = pd.DataFrame({"region": column(["NA"] * len(texts)), f"my{name}": texts, name: texts[::-1]})
    back = there_and_back(frame, excel=excel)
    assert_frame_equal(back, frame)
    assert_frame_equal(there_and_back(frame[[name]], excel=excel), frame[[name]])


def test_columns_of_one_name_stay_two() -> None:
    frame = pd.DataFrame([[1, "a", ID]], columns=["mine", "mine", "video_id"]).astype({"video_id": "string"})
    assert_frame_equal(there_and_back(frame), frame)


def test_a_known_column_that_the_user_turned_into_something_else() -> None:
    frame = pd.DataFrame({"views": [0.5, 2.25], "created_at": ["yesterday", "5"], "promoted": ["maybe", np.nan]})
    expected = "views .*'0.5' in row 2 is not a valid Int64.*created_at .*promoted"
    with pytest.warns(kr.SchemaDriftWarning, match=expected) as said:
        assert_frame_equal(there_and_back(frame), frame)
    assert len(said) == 1


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ('video_id,views\n1,5\n2,NA\n3,"1,234"\n4,x\n', r"views \('1,234' in row 4 is not a valid Int64\)"),
        ("video_id,ai_generated\n1,TRUE\n2,no\n", r"ai_generated \('no' in row 3 is not a valid boolean\)"),
        ("views\n" + "7\n" * 100_000 + "many\nmore\n5\n", r"views \('many' in row 100002 is not a valid Int64\)"),
        ("date,share_of_peak\n1/2/2026,0.5\n", r"date \('1/2/2026' in row 2 is not a valid datetime64\[us, UTC\]\)"),
    ],
)
def test_values_that_a_known_column_cannot_have_are_named(content: str, named: str, tmp_path: Path) -> None:
    (tmp_path / "by_hand.csv").write_text(content)
    with pytest.warns(kr.SchemaDriftWarning, match=named) as said:
        kr.read_csv(tmp_path / "by_hand.csv")
    assert [one.filename for one in said] == [__file__]


@pytest.mark.parametrize("name", ["n" * 251, "\u0e19\u0e49\u0e33" * 27], ids=["ASCII", "Thai"])  # 255 and 247 bytes
def test_a_name_as_long_as_a_file_system_takes_is_written(name: str, tmp_path: Path) -> None:
    frame = pd.DataFrame({"mine": [1]})
    write_csv(frame, tmp_path / f"{name}.csv")
    assert_frame_equal(read_csv(tmp_path / f"{name}.csv"), frame)
    assert len(list(tmp_path.iterdir())) == 1


# Real tables ------------------------------------------------------------------------------------------------


@BOTH_FORMS
def test_real_tables_filtered_extended_and_empty(excel: bool, client: kr.Client, tmp_path: Path) -> None:
    videos = kr.fetch_videos([ID, "7300000000000000001", "7300000000000000002"], client=client)
    videos["rank_of_mine"] = [3, 1, 2]
    videos["like_rate"] = (videos["likes"] / videos["views"]).astype("float64")
    many = videos[videos["likes"] > 10_000]
    assert 0 < len(many) < 3
    for part in (videos, many, videos.sort_values("views"), videos.iloc[:0].drop(columns="rank_of_mine")):
        write_csv(part, tmp_path / "part.csv", excel=excel)
        assert_frame_equal(read_csv(tmp_path / "part.csv"), part.reset_index(drop=True))
    assert read_csv(tmp_path / "part.csv")["favorites"].dtype == "Int64"


def test_rates_keep_their_dtype_without_rows() -> None:
    rates = ["like_rate", "comment_rate", "share_rate", "engagement_rate"]
    frame = pd.DataFrame({name: pd.Series([], dtype="float64") for name in rates})
    assert_frame_equal(there_and_back(frame), frame)


def test_namibia_all_missing_and_documented_values(client: kr.Client, tmp_path: Path) -> None:
    music = kr.fetch_music("6703723351497508865", client=client)
    assert music["times_on_list"].isna().all()
    music["region"] = column(["NA"])
    write_csv(music, tmp_path / "music.csv")
    back = read_csv(tmp_path / "music.csv")
    assert_frame_equal(back, music)
    assert (back["region"].item(), back["clip_id"].item()) == ("NA", "6703723351497508865")
    assert str(back["times_on_list"].dtype) == "Int64"


# The file ---------------------------------------------------------------------------------------------------


def test_the_plain_file_is_as_one_would_write_it() -> None:
    frame = pd.DataFrame(
        {
            "video_id": column([ID, None]),
            "description": column(['say "hi", you', ""]),
            "views": column([5, None], "Int64"),
            "gmv_est": [1.5, math.nan],
            "ai_generated": column([True, None], "boolean"),
            "created_at": pd.to_datetime(["2026-02-03 04:05:06.7", None], utc=True),
            "mine": ["1", "a"],
        }
    )
    assert csv_bytes(frame).decode() == (
        "video_id,description,views,gmv_est,ai_generated,created_at,mine\n"
        '7117191641181555995,"say ""hi"", you",5,1.5,True,2026-02-03T04:05:06.700000Z,1\n'
        ",,,,,,a\n"
    )


def test_the_spreadsheet_form_guards_what_a_spreadsheet_would_spoil() -> None:
    texts = ["=1", "+1", "-1", "@x", "\tx", "\rx", "'x", "x", "123456789012345", "1234567890123456"]
    frame = pd.DataFrame({"description": column(texts), "posts_change_pct": [-1.5] * 10, "=mine": [1] * 10})
    lines = csv_bytes(frame, excel=True).decode("utf-8").split("\n")
    assert lines[0] == "\ufeffdescription,posts_change_pct,'=mine"
    assert [line.split(",")[0] for line in lines[1:11]] == [
        "'=1", "'+1", "'-1", "'@x", "'\tx", '"\'\rx"', "''x", "x", "123456789012345", "'1234567890123456",
    ]  # fmt: skip
    assert {line.split(",")[1] for line in lines[1:11]} == {"-1.5"}


def test_exactly_one_apostrophe_is_taken_off_and_only_in_the_spreadsheet_form() -> None:
    marked = "\ufeffdescription\n''x\n'=y\nz\n".encode()
    assert parse_csv(marked)["description"].tolist() == ["'x", "=y", "z"]
    assert parse_csv(b"description\n''x\n'=y\n=z\n")["description"].tolist() == ["''x", "'=y", "=z"]


def test_an_apostrophe_of_the_text_itself_stays_in_files_of_others() -> None:
    lines = ["video_id,description,mine", "'7117191641181555995,'tis,'twas", "5,',"]
    back = parse_csv(("\ufeff" + "\n".join(lines) + "\n").encode())
    assert back["video_id"].tolist() == [ID, "5"]
    assert back["description"].tolist() == ["'tis", "'"]
    assert back["mine"].tolist()[0] == "'twas"


@pytest.mark.parametrize("ending", [".csv", ".csv.gz", ".csv.bz2", ".csv.xz", ".zip", ".CSV.GZ"])
@BOTH_FORMS
def test_compressed_by_ending_and_the_same_bytes_each_time(ending: str, excel: bool, tmp_path: Path) -> None:
    frame = pd.DataFrame({"video_id": column([ID] * 50)})
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        write_csv(frame, tmp_path / folder / f"a{ending}", excel=excel)
        assert_frame_equal(read_csv(tmp_path / folder / f"a{ending}"), frame)
    written = (tmp_path / "one" / f"a{ending}").read_bytes()
    assert written == (tmp_path / "two" / f"a{ending}").read_bytes()
    assert (ID.encode() in written) is (ending == ".csv")
    assert pd.read_csv(tmp_path / "one" / f"a{ending}", dtype=str).shape == (50, 1)  # others can read it, too


def test_a_zip_has_the_file_alone_in_it(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "two.zip", "w") as archive:
        archive.writestr("a.csv", "x\n1\n")
        archive.writestr("b.csv", "x\n1\n")
    with pytest.raises(kr.InvalidArgumentError, match=r"two\.zip.*holds 2 files"):
        read_csv(tmp_path / "two.zip")
    (tmp_path / "no.zip").write_bytes(b"x\n1\n")
    with pytest.raises(kr.InvalidArgumentError, match=r"cannot be unpacked as \.zip"):
        read_csv(tmp_path / "no.zip")
    (tmp_path / "cut.csv.gz").write_bytes(gzip.compress(b"x\n1\n")[:-9])
    with pytest.raises(kr.InvalidArgumentError, match=r"cannot be unpacked as \.gz"):
        read_csv(tmp_path / "cut.csv.gz")


# Files of other programs ------------------------------------------------------------------------------------


def test_a_file_that_pandas_wrote(tmp_path: Path) -> None:
    values = {
        "clip_id": "6703723351497508865",
        "region": "NA",
        "likes": 2.0,
        "new_only": True,
        "observed_at": "2026-02-03 12:00:00+00:00",
        "note": "a",
        "x": 1.5,
    }
    pd.DataFrame([values]).to_csv(tmp_path / "plain.csv", index=False)
    back = read_csv(tmp_path / "plain.csv")
    assert [str(dtype) for dtype in back.dtypes[:5]] == ["string", "string", "Int64", "boolean", "datetime64[us, UTC]"]
    assert back.iloc[0].to_dict() == {**values, "observed_at": pd.Timestamp("2026-02-03 12:00", tz="UTC")}


def test_what_others_leave_unquoted_is_inferred_by_pandas() -> None:
    back = parse_csv(b"a,b,c,d,e\r\n1,NA,x,True,1\r\n2,2.5,NA,,\r\n")
    assert back["a"].tolist() == [1, 2]
    assert back["b"].isna().tolist() == [True, False]
    assert back["b"].dtype == "float64"
    assert back["c"].tolist() == ["x", "NA"]  # in a text only what is empty is missing
    assert back["d"].isna().tolist() == [False, True]
    assert back["e"].dtype == "float64"


def test_quotes_around_everything_mean_nothing() -> None:
    back = parse_csv(b'"a","views","username"\n"1","5",""\n"","",""\n')
    assert back["a"].tolist()[0] == 1.0
    assert back["a"].isna().tolist() == [False, True]
    assert back["username"].isna().all()


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"", "is empty"), (b"\n\n", "is empty"), (b"a,b\n1,2\n3\n", "row 3 has 1 fields, but the first has 2"),
     (b"a\n\xff\n", "not UTF-8"), ("a\n1\n".encode("utf-16"), "not UTF-8")],
)  # fmt: skip
def test_what_cannot_be_read_says_why(content: bytes, said: str, tmp_path: Path) -> None:
    (tmp_path / "spoilt.csv").write_bytes(content)
    with pytest.raises(kr.InvalidArgumentError, match=rf"spoilt\.csv.*{said}"):
        read_csv(tmp_path / "spoilt.csv")


def test_lines_without_a_last_end_and_blank_lines() -> None:
    for text in (b"a,b\n1,2", b"\r\na,b\r\n\r\n1,2\r\n\r\n", b"a,b\r1,2\r"):
        assert parse_csv(text).to_dict("list") == {"a": [1], "b": [2]}


def test_words_for_missing_are_read_as_missing_except_in_text_columns() -> None:
    words = ["NA", "N/A", "n/a", "#N/A", "<NA>", "NaN", "nan", "NaT", "null", "NULL", "None"]
    content = "".join(f"5,1.5,TRUE,2026-02-03,NA,{word}\n{','.join([word] * 5)},x\n" for word in words)
    back = parse_csv(f"views,gmv_est,promoted,date,region,mine\n{content}".encode())
    dtypes = ["Int64", "float64", "boolean", "datetime64[us, UTC]", "string"]
    assert [str(dtype) for dtype in back.dtypes][:5] == dtypes
    gone = back.iloc[1::2]
    assert gone[["views", "gmv_est", "promoted", "date"]].isna().all(axis=None)
    assert back["views"].sum() == 5 * len(words)
    assert gone["region"].tolist() == words  # a text may say NA, and Namibia does
    assert back["mine"].tolist()[::2] == words
    quoted = parse_csv(b'"","views","region"\n"1",5,"NA"\n"2",NA,NA\n')  # as R writes it
    assert quoted["views"].tolist() == [5, pd.NA]
    assert quoted["region"].tolist() == ["NA", "NA"]
    texts = pd.DataFrame({"promoted": ["NA", "maybe"]})  # a known column that has become text
    with pytest.warns(kr.SchemaDriftWarning, match="'maybe' in row 3"):
        assert_frame_equal(there_and_back(texts), texts)


def test_whole_numbers_in_scientific_notation() -> None:
    back = parse_csv(b"views,likes\n1e3,1.23E+11\n-2.50E1,9.2e18\n1.000,NA\n")
    assert back["views"].tolist() == [1000, -25, 1]
    assert back["likes"].tolist() == [123_000_000_000, 9_200_000_000_000_000_000, pd.NA]
    for spoilt in (b"1.5e0", b"1e-3", b"1e19", b"1e99", b"1e999999999"):
        with pytest.warns(kr.SchemaDriftWarning, match="in row 2 is not a valid Int64"):
            assert str(parse_csv(b"views\n" + spoilt + b"\n5\n")["views"].dtype) != "Int64", spoilt


@pytest.mark.parametrize(
    ("content", "row"),
    [(b'a,b\n1,"x\n', 2), (b'a,b\n1,2\n3,"x, y', 3), (b'a,b\n1,"x\n2,"y"\n', 2), (b'"a,b\n1,2\n', 1), (b'a\n"\n', 2)],
)  # fmt: skip
def test_a_file_that_is_cut_off_within_a_text(content: bytes, row: int) -> None:
    with pytest.raises(kr.InvalidArgumentError, match=rf"row {row} has a quotation mark that is not closed"):
        parse_csv(content)
    assert parse_csv(b'a,b\n1,x"y"z\n2,5"\n')["b"].tolist() == ['x"y"z', '5"']


SEPARATED = {
    "video_id;views\n7117191641181555995;5\n": "semicolons",
    "video_id;gmv_est\n7117191641181555995;1,5\n": "semicolons",
    '"video_id";"views"\n"7117191641181555995";5\n': "semicolons",
    "\ufeffsep=;\nvideo_id;views\n": "semicolons",
    "mine;yours\n": "semicolons",
    "video_id\tviews\n7117191641181555995\t5\n": "tabs",
}


@pytest.mark.parametrize("text", SEPARATED)
def test_other_separators_get_a_hint(text: str) -> None:
    with pytest.raises(kr.InvalidArgumentError, match=rf"separated by {SEPARATED[text]}, not commas. Save .*sep="):
        parse_csv(text.encode())


def test_a_column_whose_name_has_a_separator_comes_back() -> None:
    for name in ("a;b", "a\tb", ";"):
        frame = pd.DataFrame({name: ["007;", "1;\t"]})
        assert_frame_equal(there_and_back(frame), frame)
    assert list(parse_csv(b"note; remark\nfine\n")) == ["note; remark"]


def test_files_that_cannot_be_unpacked_or_read(tmp_path: Path) -> None:
    content = b"video_id\n5\n" * 100
    packed = {
        "a.csv.gz": (gzip.compress(content), slice(12, 20)),
        "a.csv.bz2": (bz2.compress(content), slice(8, 20)),
        "a.csv.xz": (lzma.compress(content), slice(20, 40)),
    }
    for name, (whole, middle) in packed.items():
        zeros = whole[: middle.start] + bytes(middle.stop - middle.start) + whole[middle.stop :]
        for spoilt in (zeros, whole[:-4], b"x"):
            (tmp_path / name).write_bytes(spoilt)
            with pytest.raises(kr.InvalidArgumentError, match=rf"{name}: it cannot be unpacked as \.{name[6:]}"):
                read_csv(tmp_path / name)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a.csv", content)
    locked = bytearray((tmp_path / "a.zip").read_bytes())
    locked[6] |= 1  # of the member
    locked[locked.index(b"PK\x01\x02") + 8] |= 1  # of the directory
    (tmp_path / "a.zip").write_bytes(locked)
    with pytest.raises(kr.InvalidArgumentError, match=r"a\.zip: it cannot be unpacked as \.zip: .*password"):
        read_csv(tmp_path / "a.zip")
    with pytest.raises(kr.InvalidArgumentError, match=r"nowhere\.csv cannot be read: No such file"):
        read_csv(tmp_path / "nowhere.csv")
    with pytest.raises(kr.InvalidArgumentError, match="cannot be read: Is a directory"):
        read_csv(tmp_path)
    with pytest.raises(kr.StoreError, match=r"a\.csv was not written: No such file"):
        write_csv(pd.DataFrame({"a": [1]}), tmp_path / "nowhere" / "a.csv")


TWO_LEVELS = pd.MultiIndex.from_tuples([("a", 1), ("b", 2)])


@pytest.mark.parametrize(
    ("what", "said"),
    [([1], "not list"), (pd.DataFrame(), "have columns"), (pd.DataFrame([[1, 2]], columns=TWO_LEVELS), "MultiIndex"),
     (pd.DataFrame({"a": pd.Series(["\ud800"], dtype=object)}), "an incomplete character")],
)  # fmt: skip
def test_what_cannot_be_written_is_refused(what: Any, said: str, tmp_path: Path) -> None:
    with pytest.raises(kr.InvalidArgumentError, match=said):
        write_csv(what, tmp_path / "no.csv")
    with pytest.raises(kr.InvalidArgumentError, match="path of a file"):
        write_csv(pd.DataFrame({"a": [1]}), 5)  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())


def test_other_kinds_of_columns_are_written_plainly() -> None:
    frame = pd.DataFrame(
        {
            "day": pd.to_datetime(["2026-02-03"]),
            "group": pd.Categorical(["a"]),
            "mixed": pd.Series([np.float64(1.5)], dtype=object),
            "length": pd.to_timedelta(["1D"]),
            5: [1],
        }
    )
    assert csv_bytes(frame).decode().split("\n")[1] == "2026-02-03T00:00:00,a,1.5,1 days 00:00:00,1"
    assert list(there_and_back(frame)) == ["day", "group", "mixed", "length", "5"]


# What other programs do to cells -----------------------------------------------------------------------------


@pytest.mark.parametrize("quoted", [True, False], ids=["everything in quotes", "quotes where needed"])
def test_quotes_around_everything_change_no_value_of_a_column_nobody_declared(quoted: bool) -> None:
    def read(*rows: tuple[str, str]) -> list[Any]:
        text = io.StringIO()
        csv.writer(text, quoting=csv.QUOTE_ALL if quoted else csv.QUOTE_MINIMAL).writerows([("brand", "x"), *rows])
        return parse_csv(text.getvalue().encode())["x"].tolist()

    assert read(("Ann", "1,204"), ("Ben", "987")) == ["1,204", "987"]
    assert read(("Ann", "10\n20"), ("Ben", "30")) == ["10\n20", "30"]
    assert read(("Ann", "52.1,4.3"), ("Ben", "1")) == ["52.1,4.3", "1"]
    assert read(("Ann", "1"), ("Ben", "2"), ("Cid", "Lee, Jr.")) == ["1", "2", "Lee, Jr."]
    assert read(("Ann", "00123"), ("Ben", "7")) == ["00123", "7"]
    assert read(("Ann", "1234567890123456"), ("Ben", "7")) == ["1234567890123456", "7"]
    assert read(("Ann", "2026"), ("Ben", "0")) == [2026, 0]
    assert read(("Ann", "1.50"), ("Ben", "-3")) == [1.5, -3.0]


@pytest.mark.parametrize("line", ["sep=,\n", "sep=,\r\n", '"sep=,"\n', "SEP=,\n"])
def test_a_first_line_that_names_the_separator_is_skipped(line: str) -> None:
    back = parse_csv(f"{line}video_id,views\n{ID},5\n".encode())
    assert back.to_dict("list") == {"video_id": [ID], "views": [5]}


def test_guards_are_taken_off_where_another_program_dropped_the_byte_order_mark() -> None:
    frame = pd.DataFrame({"video_id": column([ID, "5"]), "description": column(["=1", "'tis"]), "mine": ["+1", "x"]})
    assert_frame_equal(parse_csv(csv_bytes(frame, excel=True).removeprefix(b"\xef\xbb\xbf")), frame)
    own = pd.DataFrame({"description": column(["'tis", "-"]), "mine": [ID, "x"]})  # a column that no table has
    assert_frame_equal(parse_csv(csv_bytes(own, excel=True).removeprefix(b"\xef\xbb\xbf")), own)


@pytest.mark.parametrize(
    "frame",
    [pd.DataFrame({"hashtag_name": ["ufc324"], "mine": ["=1"]}), pd.DataFrame({"mine": ["-", "@x", "'tis", "1", "a"]}),
     pd.DataFrame({"=mine": [1]})],
)  # fmt: skip
def test_a_guard_that_may_be_the_texts_own_stays_and_is_named(frame: pd.DataFrame) -> None:
    unsaid = csv_bytes(frame, excel=True).removeprefix(b"\xef\xbb\xbf")
    with pytest.warns(kr.KeyAPIWarning, match=r"""begin with an apostrophe .*, take it off: .*removeprefix\("'"\)"""):
        back = parse_csv(unsaid)
    assert csv_bytes(back) == unsaid
    if "mine" in back:
        assert back["mine"].str.removeprefix("'").tolist() == frame["mine"].tolist()


@pytest.mark.parametrize("texts", [["'=1", "=1"], ["'@someone says", "'tis"], ["''", "x"], ["he said,'=1'"]])
def test_an_apostrophe_is_the_texts_own_where_another_text_has_no_guard(texts: list[str]) -> None:
    frame = pd.DataFrame({"description": column(texts), "mine": texts})
    assert_frame_equal(there_and_back(frame), frame)


def test_buffers_are_read_like_files(tmp_path: Path) -> None:
    frame = pd.DataFrame({"video_id": column([ID]), "description": column(["\u00fc\u6771"])})
    for excel in (False, True):
        content = csv_bytes(frame, excel=excel)
        (tmp_path / "a.csv").write_bytes(content)
        with (tmp_path / "a.csv").open("rb") as of_bytes, (tmp_path / "a.csv").open(encoding="utf-8") as of_text:
            for buffer in (io.BytesIO(content), io.StringIO(content.decode()), of_bytes, of_text):
                assert_frame_equal(read_csv(buffer), frame)
    with pytest.raises(kr.InvalidArgumentError, match=r"the buffer: it cannot be read: .*closed file\. Open it"):
        read_csv(of_bytes)
    with pytest.raises(kr.InvalidArgumentError, match="the buffer: it is empty"):
        read_csv(io.StringIO())


@pytest.mark.parametrize("url", ["https://example.org/a.csv", "s3://bucket/a.csv", "file:///a.csv"])
def test_a_url_is_refused_by_name(url: str) -> None:
    with pytest.raises(kr.InvalidArgumentError, match=r"is a URL, not a path\. Download the file and"):
        read_csv(url)


@pytest.mark.parametrize("name", ["a.xlsx", "a.XLS", "a.ods"])
def test_a_workbook_is_not_written_as_csv(name: str, tmp_path: Path) -> None:
    with pytest.raises(kr.InvalidArgumentError, match=r"to_csv writes CSV\. For a workbook: df\.keyapi\.to_excel"):
        write_csv(pd.DataFrame({"a": [1]}), tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_the_index_is_never_written(tmp_path: Path) -> None:
    write_csv(pd.DataFrame({"a": [1]}, index=[7]), tmp_path / "a.csv", index=False)
    assert (tmp_path / "a.csv").read_text() == "a\n1\n"
    with pytest.raises(kr.InvalidArgumentError, match=r"index is not written.*reset_index"):
        write_csv(pd.DataFrame({"a": [1]}), tmp_path / "b.csv", index=True)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_is_refused_instead_of_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.csv")
    with pytest.raises(kr.InvalidArgumentError, match="not a regular file"):
        read_csv(tmp_path / "a.csv")
    os.mkfifo(tmp_path / "datapackage.json")
    with pytest.raises(kr.InvalidArgumentError, match="not a regular file"):
        kr.read_package(tmp_path)


@pytest.mark.parametrize("cell", ["1" * 60_000 + "x", "1" * 60_000, "." * 60_000, "-" * 60_000, "e" * 60_000])
@pytest.mark.parametrize("name", ["views", "gmv_est", "created_at", "promoted"])
def test_a_long_cell_is_text_soon(name: str, cell: str) -> None:
    with pytest.warns(kr.SchemaDriftWarning, match="in row 3 is not a valid"):
        back = parse_csv(f"{name}\n1\n{cell}\n".encode() if name != "created_at" else f"{name}\n\n{cell}\n".encode())
    assert back[name].tolist()[1] == cell


@pytest.mark.slow
@pytest.mark.parametrize("mark", ["", '"'], ids=["plain", "quoted"])
def test_a_hundred_thousand_columns_are_read(mark: str) -> None:
    names = [f"c{at}" for at in range(100_000)]
    lines = [",".join(f"{mark}{cell}{mark}" for cell in cells) for cells in (names, ["1"] * len(names))]
    back = parse_csv("\n".join(lines).encode())
    assert back.shape == (1, len(names))
    assert back["c99999"].tolist() == [1]


# The rules of csv hold, whoever splits a file ----------------------------------------------------------------

PIECES = [
    ",", ",", "\n", "\n", "\r\n", "\r", " ", "a", "1", "5", "1.5", "true", '"', "\u00e9", "\ufeff", "#", "\\", "\x00",
    '""', '"a,b"', '"x\ny"', '"q""q"', '"7"', "9223372036854775808",
]  # fmt: skip


def split_by_the_rules(text: str) -> list[list[str]] | None:
    """Return the rows; None where a quotation mark is not closed, or a row has another width than the first."""
    try:
        rows = [row for row in csv.reader(io.StringIO(text, newline=""), strict=True) if row]
    except csv.Error:
        return None
    return rows if all(len(row) == len(rows[0]) for row in rows) else None


@settings(max_examples=600, derandomize=True, deadline=None, database=None)
@given(pieces=st.lists(st.sampled_from(PIECES), max_size=12), cells=st.sampled_from([1, 6, 2**18]))
@pytest.mark.parametrize("names", ["description,username", "views,description", "description,views"])
def test_cells_are_split_by_the_rules_of_csv(names: str, pieces: list[str], cells: int) -> None:
    text = f"{names}\n{''.join(pieces)}"
    rows = split_by_the_rules(text)
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore", kr.SchemaDriftWarning)
        patch.setattr(csv_file, "_CELLS", cells)  # however many are read at once
        if rows is None:
            with pytest.raises(kr.InvalidArgumentError):
                parse_csv(text.encode())
            return
        back = parse_csv(text.encode())
    assert len(back) == len(rows) - 1
    for at, name in enumerate(names.split(",")):
        cells_of_it = [row[at] for row in rows[1:]]
        if name != "views":
            assert back[name].tolist() == [cell or pd.NA for cell in cells_of_it]
        elif all(cell in ("", "1", "5", "7") for cell in cells_of_it):
            assert back[name].tolist() == [int(cell) if cell else pd.NA for cell in cells_of_it]


@pytest.mark.parametrize("beside", ["a", 'a"'])
@pytest.mark.parametrize("cell", ["5", "", "1.0", " 5", "true", "9223372036854775807", "9223372036854775808", "x"])
def test_a_count_is_read_alike_whoever_splits_the_file(cell: str, beside: str) -> None:
    """A quotation mark within a cell is nothing for pandas."""
    content = f"views,description\n3,a\n{cell},{beside}\n"
    right = {"5": 5, "": pd.NA, "1.0": 1, " 5": 5, "9223372036854775807": 2**63 - 1}
    if cell in right:
        assert parse_csv(content.encode())["views"].tolist() == [3, right[cell]]
    else:
        with pytest.warns(kr.SchemaDriftWarning, match=f"views .'{cell}' in row 3 is not a valid Int64"):
            parse_csv(content.encode())


def test_a_row_that_is_too_short_or_too_long_is_named_however_late_it_comes() -> None:
    rows = "5,a\n" * 200_000
    for spoilt, fields in (("5", 1), ("5,a,b", 3)):
        with pytest.raises(kr.InvalidArgumentError, match=f"row 200002 has {fields} fields, but the first has 2"):
            parse_csv(f"views,description\n{rows}{spoilt}\n{rows}".encode())


# Parquet and spreadsheets -----------------------------------------------------------------------------------


def test_parquet_round_trips(client: kr.Client, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    calls: list[tuple[Callable[..., pd.DataFrame], Any]] = [
        (kr.fetch_videos, [ID]), (kr.fetch_hashtags, ["ufc324"]), (kr.fetch_hashtag_trends, ["ufc324"]),
        (kr.fetch_hashtag_audience, ["ufc324"]), (kr.fetch_music, ["6703723351497508865"]),
    ]  # fmt: skip
    for fetch, ids in calls:
        frame = fetch(ids, client=client)
        frame.to_parquet(tmp_path / "table.parquet")
        assert_frame_equal(pd.read_parquet(tmp_path / "table.parquet"), frame)


def cells_of(csv: Path, profile: Path) -> list[list[tuple[str, bool]]]:
    """Open a CSV in LibreOffice: the text of each cell, and whether it holds a formula or a number."""
    subprocess.run(
        ["soffice", f"-env:UserInstallation={profile.as_uri()}", "--headless", "--infilter=CSV:44,34,UTF8,1",
         "--convert-to", "fods", "--outdir", str(csv.parent), str(csv)],
        check=True, capture_output=True, timeout=120, env={**os.environ, "LC_ALL": "C.UTF-8"},
    )  # fmt: skip
    sheet = csv.with_suffix(".fods").read_text(encoding="utf-8")
    rows = re.findall(r"<table:table-row.*?</table:table-row>", sheet, re.DOTALL)
    cells = [re.findall(r"<table:table-cell([^>]*)>(.*?)</table:table-cell>", row, re.DOTALL) for row in rows]
    return [
        [("".join(re.findall(r"<text:p>(.*?)</text:p>", body)), "formula" in head or 'value-type="float"' in head)
         for head, body in row]
        for row in cells if row
    ]  # fmt: skip


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("soffice") is None, reason="needs LibreOffice (soffice)")
def test_libreoffice_keeps_ids_and_runs_no_formula(client: kr.Client, sandbox: Sandbox, tmp_path: Path) -> None:
    formulas = ["=1+1", '=HYPERLINK("http://127.0.0.1","x")', "+1+1", "-1+1", "@SUM(1)", "'=1+1", " =1+1", "\t=1+1"]
    videos = kr.fetch_videos([str(7300000000000000001 + n) for n in range(len(formulas))], client=client)
    videos["description"] = column(formulas)
    both = videos[["video_id", "description"]]
    for name, excel in (("plain", False), ("excel", True)):
        write_csv(both, tmp_path / f"{name}.csv", excel=excel)
    judged = {name: cells_of(tmp_path / f"{name}.csv", tmp_path / "profile")[1:] for name in ("plain", "excel")}
    # The judge sees the harm where nothing is done against it.
    assert judged["plain"][0] == [("7.3E+018", True), ("2", True)]
    assert [row[0] for row in judged["excel"]] == [(f"&apos;{one}", False) for one in both["video_id"]]
    assert not any(number for row in judged["excel"] for _, number in row)
    assert_frame_equal(read_csv(tmp_path / "excel.csv"), both)


def test_a_file_that_cannot_be_written_whole_stays_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "table.csv"
    write_csv(pd.DataFrame({"a": [1]}), file)
    file.chmod(0o640)
    link = tmp_path / "link.csv"
    link.symlink_to(file)
    write_csv(pd.DataFrame({"a": [1, 2]}), link)
    assert link.is_symlink()
    assert file.read_text() == "a\n1\n2\n"
    assert file.stat().st_mode & 0o777 == 0o640

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(kr.StoreError, match=r"was not written: No space left on device\. Free some space"):
        write_csv(pd.DataFrame({"a": range(100)}), file)
    assert file.read_text() == "a\n1\n2\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link.csv", "table.csv"]


@pytest.mark.parametrize("path", ["~nobody-of-that-name/x.csv", "a\0b.csv", "", 5, None])
def test_invalid_paths_are_refused(path: Any) -> None:
    for use in (
        lambda: write_csv(pd.DataFrame({"a": [1]}), path),
        lambda: kr.read_csv(path),
        lambda: kr.Client(token="t", store=path if path is not None else 5),
        lambda: kr.Client(replay=path if path is not None else 5),
        lambda: kr.read_package(path),
    ):
        with pytest.raises(kr.InvalidArgumentError):
            use()


@pytest.mark.parametrize("ending", ["\n", ""])
def test_a_row_that_is_too_long_is_refused_however_far_down(ending: str) -> None:
    rows = [*["1,2"] * (csv_file._CELLS // 2 + 1), "3,4,surplus", "7"]  # as many commas as two rows of two cells
    with pytest.raises(kr.InvalidArgumentError, match=f"row {len(rows)} has 3 fields, but the first has 2"):
        parse_csv(("own,other\n" + "\n".join(rows) + ending).encode())


@pytest.mark.parametrize("cells", [[str(2**64)], ["5", str(-(2**63) - 1)], [str(2**64), "5"]])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_a_count_beyond_64_bits_stays_text_and_is_named(cells: list[str], mark: str) -> None:
    with pytest.warns(kr.SchemaDriftWarning, match="posts"):
        back = parse_csv((mark + "\n".join(["posts", *cells])).encode())
    assert back["posts"].tolist() == cells


@pytest.mark.parametrize("value", [f" {ID}", f"\t{ID}", " 007", f"{ID} "])
def test_an_id_beside_white_space_keeps_its_digits(value: str) -> None:
    assert parse_csv(f"n,mine\na,{value}\nb,5\n".encode())["mine"].tolist() == [value, "5"]


def test_an_unguarded_formula_shows_that_apostrophes_are_the_texts_own() -> None:
    frame = pd.DataFrame({"title": [f"'{ID}", "=sum(1)", "'=quoted"]})
    assert there_and_back(frame)["title"].tolist() == frame["title"].tolist()


def test_what_is_no_number_is_guarded_however_it_is_written() -> None:
    frame = pd.DataFrame({"waited": [pd.Timedelta(days=-1)], "mine": pd.Series([Path("=1")], dtype=object), "n": [-5]})
    assert csv_bytes(frame, excel=True).removeprefix(csv_file.BOM) == b"waited,mine,n\n'-1 days +00:00:00,'=1,-5\n"


def test_a_value_that_no_text_holds_is_refused() -> None:
    with pytest.raises(kr.InvalidArgumentError, match="a value cannot be written as text"):
        csv_bytes(pd.DataFrame({"own": pd.Series([10**5000], dtype=object)}))


def test_a_damaged_buffer_is_refused() -> None:
    packed = gzip.compress(b"own\n1\n")
    with (
        gzip.open(io.BytesIO(packed[:-12])) as buffer,
        pytest.raises(kr.InvalidArgumentError, match="the buffer: it cannot be read"),
    ):
        read_csv(buffer)


def test_blank_lines_below_the_line_of_the_separator_are_skipped() -> None:
    with pytest.raises(kr.InvalidArgumentError, match="it is empty"):
        parse_csv(b"sep=,\r\n\r\n\r\n")
    assert parse_csv(b"sep=,\r\n\r\nown\r\n1\r\n")["own"].tolist() == [1]


def test_a_zip_of_a_name_that_is_no_text_is_written(tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.zip"))
    write_csv(pd.DataFrame({"own": [1]}), path)
    assert read_csv(path)["own"].tolist() == [1]


def test_one_column_with_a_line_break_in_its_name_comes_back() -> None:
    frame = pd.DataFrame({"a;\nb;": ["c;"]})
    assert_frame_equal(there_and_back(frame), frame)
    with pytest.raises(kr.InvalidArgumentError, match="separated by semicolons"):
        parse_csv(b'"a";"b"\n1;2\n')


SEMICOLONS = ("nice;=cmd|'/C calc'!A0;bye", ";'=1", ";;=", "a;b", "'tis;'tis", ";''", "=1;=2", "\uff1d1+1", "\n=1")


def test_no_text_is_a_formula_where_semicolons_separate() -> None:
    frame = pd.DataFrame({"description": pd.array(SEMICOLONS, dtype="string"), "n": range(len(SEMICOLONS))})
    written = csv_bytes(frame, excel=True)
    cells = [cell for row in csv.reader(io.StringIO(written.decode("utf-8-sig")), delimiter=";") for cell in row]
    assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@", "\uff1d", "\n"))]
    assert_frame_equal(parse_csv(written), frame)


@given(st.lists(st.text(st.sampled_from(";'=+-@a\t\uff1d \n"), max_size=8), min_size=1, max_size=5))
def test_text_of_semicolons_and_apostrophes_comes_back(texts: list[str]) -> None:
    frame = pd.DataFrame({"description": pd.array([one or None for one in texts], dtype="string"), "n": 1})
    assert_frame_equal(parse_csv(csv_bytes(frame, excel=True)), frame)


def test_ids_that_a_spreadsheet_rounded_are_missing_and_said() -> None:
    with pytest.warns(kr.SchemaDriftWarning, match=r"video_id \('7.11719E\+18' in row 2 was rounded"):
        frame = kr.read_csv(io.StringIO("video_id,views\n7.11719E+18,1\n7117191641181555995,2\n7.11719E+18,40\n"))
    assert frame["video_id"].isna().tolist() == [True, False, True]
    assert frame["views"].tolist() == [1, 2, 40]
