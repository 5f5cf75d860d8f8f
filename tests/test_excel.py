"""Excel workbooks and Parquet files: what comes back equals what went out."""

from __future__ import annotations

import errno
import gc
import io
import math
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import openpyxl
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pandas import testing
from test_csv import ID, NASTY, OWN, VALUES, as_series, column

import keyapi_research as kr
from keyapi_research.export import excel as excel_module
from keyapi_research.export import read_excel, read_parquet, write_excel, write_parquet
from keyapi_research.model import TABLES
from keyapi_research.sandbox import Sandbox

FEW = settings(
    max_examples=6, derandomize=True, deadline=None, database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)  # fmt: skip
EXTREME = [" ", "NA", "=1+1", "#N/A", "#REF!", "a\rb", "\r\n", "\x00", "\x1f", "\x7f", "\ufffe", "_x000D_", "_x005F_",
           "_x005F_x000D_", "_x00", "x000D_", "  both  ", "\t", "مرحبا", "\u202eabc", "👩‍👩‍👧", ID, "TRUE",
           "1E5"]  # fmt: skip


def assert_frame_equal(left: pd.DataFrame, right: pd.DataFrame) -> None:
    testing.assert_frame_equal(left, right, check_exact=True)


def to_milliseconds(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(**{name: frame[name].dt.floor("ms") for name in frame.select_dtypes("datetimetz")})


def excel(frame: pd.DataFrame, folder: Path) -> pd.DataFrame:
    write_excel(frame, folder / "table.xlsx")
    return read_excel(folder / "table.xlsx")


def parquet(frame: pd.DataFrame, folder: Path) -> pd.DataFrame:
    write_parquet(frame, folder / "table.parquet")
    return read_parquet(folder / "table.parquet")


@pytest.mark.parametrize(
    "table", [pytest.param(one, marks=() if at % 5 == 0 else pytest.mark.slow) for at, one in enumerate(TABLES)]
)
@FEW
@given(data=st.data(), rows=st.integers(0, 4))
def test_every_table_comes_back(table: str, tmp_path: Path, data: st.DataObject, rows: int) -> None:
    lists = {c.name: st.lists(VALUES[c.dtype], min_size=rows, max_size=rows) for c in TABLES[table].columns}
    drawn = data.draw(st.fixed_dictionaries(lists))
    frame = pd.DataFrame({c.name: as_series(drawn[c.name], c) for c in TABLES[table].columns})
    assert_frame_equal(excel(frame, tmp_path), to_milliseconds_but_far(frame))
    assert_frame_equal(parquet(frame, tmp_path), frame)


def to_milliseconds_but_far(frame: pd.DataFrame) -> pd.DataFrame:
    """Times before 1900 are text in a workbook, with every digit."""

    def cut(times: pd.Series[Any]) -> pd.Series[Any]:
        return times.where(times < pd.Timestamp("1900-03-01", tz="UTC"), times.dt.floor("ms"))

    return frame.assign(**{name: cut(frame[name]) for name in frame.select_dtypes("datetimetz")})


def test_every_nasty_text_comes_back(tmp_path: Path) -> None:
    texts = [*NASTY, *EXTREME]
    frame = pd.DataFrame({"description": column([*texts, None]), "mine": [*texts, np.nan]})
    for back in (excel(frame, tmp_path), parquet(frame, tmp_path)):
        assert back["description"].tolist()[:-1] == back["mine"].tolist()[:-1] == texts
        assert_frame_equal(back, frame)


@pytest.mark.parametrize("what", OWN)
def test_columns_of_the_users_own_come_back(what: str, tmp_path: Path) -> None:
    values, dtype = OWN[what]
    frame = pd.DataFrame({"video_id": column([ID] * len(values)), what: pd.Series(values, dtype=dtype)})
    assert_frame_equal(excel(frame, tmp_path), frame)
    assert_frame_equal(parquet(frame, tmp_path), frame)


def test_other_dtypes_of_ones_own_come_back(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {
            "video_id": column([ID, ID]),
            "kind": pd.Categorical(["a", "b"]),
            "day": pd.to_datetime(["2026-01-01T00:00:00", "1850-01-01T10:00:00"]),
            "large": pd.Series([2**62 + 1, -(2**62) - 1], dtype="int64"),
            "small": pd.array([1, None], dtype="Int16"),
        }
    )
    assert_frame_equal(excel(frame, tmp_path), frame)
    assert_frame_equal(parquet(frame, tmp_path), frame)


def test_the_index_is_not_written_and_a_filtered_frame_is(client: kr.Client, tmp_path: Path) -> None:
    tags = kr.fetch_hashtags(["perfume", "ufc324", "diy"], client=client)
    frame = tags[tags["hashtag_name"] != "ufc324"]
    frame.keyapi.to_excel(tmp_path / "tags.xlsx")
    frame.keyapi.to_parquet(tmp_path / "tags.parquet")
    flat = frame.reset_index(drop=True)
    assert_frame_equal(kr.read_excel(tmp_path / "tags.xlsx"), to_milliseconds(flat))
    assert_frame_equal(kr.read_parquet(tmp_path / "tags.parquet"), flat)
    assert_frame_equal(kr.read_parquet(io.BytesIO((tmp_path / "tags.parquet").read_bytes())), flat)
    assert_frame_equal(kr.read_excel(io.BytesIO((tmp_path / "tags.xlsx").read_bytes())), to_milliseconds(flat))


def test_rows_of_a_workbook_still_find_their_answers(client: kr.Client, sandbox: Sandbox, tmp_path: Path) -> None:
    tags = kr.fetch_hashtags(["perfume", "ufc324"], client=client)
    kr.fetch_hashtags(["perfume", "ufc324"], max_age=0, client=client)
    sent = len(sandbox.requests)
    back = excel(tags, tmp_path)
    assert (back["observed_at"] != tags["observed_at"]).any()
    assert back.keyapi.raw(client=client) == tags.keyapi.raw(client=client)
    assert_frame_equal(back.keyapi.provenance(client=client), tags.keyapi.provenance(client=client))
    assert len(back.keyapi.history(client=client)) == 4
    assert len(sandbox.requests) == sent


def test_no_text_is_a_formula_and_every_digit_is_text(tmp_path: Path) -> None:
    values = {"video_id": column([ID]), "description": column(["=1+1"]), "views": column([2**53 + 1], "Int64")}
    frame = pd.DataFrame(values)
    write_excel(frame, tmp_path / "table.xlsx")
    book = openpyxl.load_workbook(tmp_path / "table.xlsx")
    cells = list(book.worksheets[0][2])
    assert [cell.value for cell in cells] == [ID, "=1+1", "9007199254740993"]
    assert {cell.data_type for cell in cells} == {"s"}
    about = {row[0]: row for row in book["columns"].iter_rows(values_only=True)}
    assert about["views"][1] == "Int64"
    assert about["views"][3]


def test_empty_rows_at_the_end_and_no_row_stay(tmp_path: Path) -> None:
    for values in ([1, 2, None, None], [None, None], []):
        frame = pd.DataFrame({"likes": column(values, "Int64")})
        assert_frame_equal(excel(frame, tmp_path), frame)


def test_a_damaged_workbook_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "table.xlsx"
    write_excel(pd.DataFrame({"likes": column([1] * 500, "Int64")}), file)
    with zipfile.ZipFile(file) as whole:
        parts = {name: whole.read(name) for name in whole.namelist()}
    for name in [one for one in parts if "sheet1" in one or "workbook" in one]:
        with zipfile.ZipFile(file, "w") as cut:
            for other, content in parts.items():
                cut.writestr(other, content[: len(content) // 2] if other == name else content)
        with pytest.raises(kr.InvalidArgumentError, match=r"table\.xlsx"):
            read_excel(file)


def test_a_rounded_number_of_ones_own_is_named(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    book.active.append(["my_id"])
    book.active.append([7117191641181555995])
    book.save(tmp_path / "table.xlsx")
    with pytest.warns(kr.SchemaDriftWarning, match="my_id .row 2 has a number of more than 15 digits"):
        read_excel(tmp_path / "table.xlsx")


def test_synthetic_data_say_so(client: kr.Client, tmp_path: Path) -> None:
    write_excel(kr.fetch_hashtags("perfume", client=client).assign(source="sandbox"), tmp_path / "table.xlsx")
    rows = openpyxl.load_workbook(tmp_path / "table.xlsx")["columns"].iter_rows(values_only=True)
    assert any(str(row[0]).startswith("SYNTHETIC") for row in rows)


@pytest.mark.parametrize(
    ("frame", "match"),
    [
        (pd.DataFrame({"description": ["x" * 32_768]}), "description in row 2 has 32,768 characters"),
        (pd.DataFrame({"description": ["a", "\x00" * 5_000]}), "description in row 3 has 35,000 characters"),
        (pd.DataFrame({"description": ["😀" * 16_384]}), "32,768 characters"),
        (pd.DataFrame({"x" * 32_768: [1]}), "the name of a column"),
        (pd.DataFrame(np.zeros((1, 16_385))), "16,385 columns"),
        (pd.DataFrame({"n": np.zeros(1_048_576, dtype="int8")}), "1,048,576 rows"),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), "one name that no other has"),
        (pd.DataFrame({"t": ["\ud800"]}, dtype=object), "lone surrogate"),
    ],
    ids=["long", "escaped", "emoji", "name", "wide", "rows", "twice", "surrogate"],
)
def test_what_no_sheet_can_hold_is_refused_before_the_file_is_touched(
    frame: pd.DataFrame, match: str, tmp_path: Path
) -> None:
    file = tmp_path / "table.xlsx"
    file.write_bytes(b"as it was")
    with pytest.raises(kr.InvalidArgumentError, match=re.escape(match)):
        write_excel(frame, file)
    assert [one.name for one in tmp_path.iterdir()] == ["table.xlsx"]
    assert file.read_bytes() == b"as it was"


REASONS = {
    errno.ENOENT: "Create its folder, or choose another path",
    errno.EACCES: "Choose another path",
    errno.EROFS: "Choose another path",
    errno.ENOSPC: "Free some space, or choose another path",
}


@pytest.mark.parametrize("number", REASONS)
def test_a_path_that_cannot_be_written_is_refused_before_the_work_and_says_what_to_do(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, mode: str) -> None:
        raise OSError(number, os.strerror(number), str(path))

    monkeypatch.setattr(excel_module, "_checked", lambda df: pytest.fail("the work had begun"))
    if number == errno.ENOENT:
        path = tmp_path / "nofolder" / "table.xlsx"
    else:  # to root every folder is writable
        path = tmp_path / "table.xlsx"
        monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(kr.StoreError) as caught:
        write_excel(pd.DataFrame({"a": [1]}), path)
    assert str(caught.value) == f"{path} was not written: {os.strerror(number)}. {REASONS[number]}"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("at", ["a row", "the file"])
def test_what_is_broken_off_says_nothing_more(at: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def break_off(*_: object) -> None:
        raise KeyboardInterrupt

    said: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", said.append)
    if at == "a row":
        monkeypatch.setattr(excel_module, "_sheet_cell", break_off)
    else:
        monkeypatch.setattr(zipfile.ZipFile, "write", break_off)
    with pytest.raises(KeyboardInterrupt):
        write_excel(pd.DataFrame({"a": [1]}), tmp_path / "table.xlsx")
    gc.collect()
    assert not said
    assert not list(tmp_path.iterdir())


def test_a_url_is_no_path_to_write_to() -> None:
    for write in (write_excel, write_parquet):
        with pytest.raises(kr.InvalidArgumentError, match=r"^path: s3://.* Pass the path of a file on this machine$"):
            write(pd.DataFrame({"a": [1]}), "s3://bucket/table.xlsx")


def test_the_longest_text_fits(tmp_path: Path) -> None:
    frame = pd.DataFrame({"description": column(["x" * 32_767])})
    assert_frame_equal(excel(frame, tmp_path), frame)


def edited(frame: pd.DataFrame, file: Path, cells: dict[str, Any]) -> None:
    """Save a frame, and what a person typed into its cells."""
    write_excel(frame, file)
    book = openpyxl.load_workbook(file)
    for cell, value in cells.items():
        book.worksheets[0][cell] = value
    book.save(file)


def test_what_a_person_typed_is_read_and_a_rounded_id_is_not(tmp_path: Path) -> None:
    frame = pd.DataFrame({"video_id": column([ID, ID, ID]), "views": column([1, 2, 3], "Int64")})
    edited(frame, tmp_path / "table.xlsx", {"A3": 7117191641181556000, "A4": 123, "B2": 5.0})
    with pytest.warns(kr.SchemaDriftWarning, match=r"video_id \(row 3 has a number of more than 15 digits"):
        back = read_excel(tmp_path / "table.xlsx")
    assert back["video_id"].tolist() == [ID, pd.NA, "123"]
    assert back["views"].tolist() == [5, 2, 3]


def test_a_value_of_another_kind_is_named(tmp_path: Path) -> None:
    frame = pd.DataFrame({"video_id": column([ID]), "views": column([1], "Int64")})
    edited(frame, tmp_path / "table.xlsx", {"B2": "many"})
    with pytest.warns(kr.SchemaDriftWarning, match=r"views \('many' in row 2 is not a valid Int64\)"):
        assert read_excel(tmp_path / "table.xlsx")["views"].tolist() == ["many"]
    write_parquet(frame.assign(views=["many"]), tmp_path / "table.parquet")
    with pytest.warns(kr.SchemaDriftWarning, match="views"):
        assert read_parquet(tmp_path / "table.parquet")["views"].tolist() == ["many"]


@pytest.mark.parametrize(("read", "name"), [(read_excel, "a.xlsx"), (read_parquet, "a.parquet")])
def test_what_is_no_such_file_is_refused(read: Any, name: str, tmp_path: Path) -> None:
    file = tmp_path / name
    with pytest.raises(kr.InvalidArgumentError, match=name):
        read(file)
    for content in (b"", b"nothing of the kind", b"PAR1"):
        file.write_bytes(content)
        with pytest.raises(kr.InvalidArgumentError, match=name):
            read(file)
    with zipfile.ZipFile(file, "w") as made:
        made.writestr("x", "y")
    with pytest.raises(kr.InvalidArgumentError, match=name):
        read(file)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for module, write in (("openpyxl", write_excel), ("pyarrow", write_parquet)):
        monkeypatch.setitem(__import__("sys").modules, module, None)
        with pytest.raises(kr.MissingPackageError, match=f"pip install {module}"):
            write(pd.DataFrame({"a": [1]}), tmp_path / "a.xlsx")


def test_to_csv_leads_to_to_excel(client: kr.Client, tmp_path: Path) -> None:
    with pytest.raises(kr.InvalidArgumentError, match="to_excel"):
        kr.fetch_hashtags("perfume", client=client).keyapi.to_csv(tmp_path / "a.xlsx")
    with pytest.raises(kr.InvalidArgumentError, match=r"\.xlsx"):
        write_excel(pd.DataFrame({"a": [1]}), tmp_path / "a.csv")


def test_infinite_numbers_and_all_digits_of_floats(tmp_path: Path) -> None:
    numbers = [0.1 + 0.2, 5e-324, math.inf, -math.inf, 1.7976931348623157e308, math.nan]
    frame = pd.DataFrame({"engagement_rate": numbers})
    assert_frame_equal(excel(frame, tmp_path), frame)


@pytest.mark.slow
def test_libreoffice_opens_it_with_every_digit(tmp_path: Path) -> None:
    program = shutil.which("soffice")
    if program is None:
        pytest.skip("LibreOffice is not here")
    frame = pd.DataFrame({"video_id": column([ID, "7600000000000000001"]), "description": column(["=1+1", "a\rb"]),
                          "country_code": column(["NA", None]), "views": column([2**53 + 1, 12], "Int64")})
    write_excel(frame, tmp_path / "table.xlsx")
    subprocess.run(
        [program, "--headless", f"-env:UserInstallation=file://{tmp_path}/profile", "--convert-to", "csv",
         "--outdir", str(tmp_path), str(tmp_path / "table.xlsx")], check=True, capture_output=True, timeout=300,
    )  # fmt: skip
    text = (tmp_path / "table.csv").read_bytes().decode()
    assert f"{ID},=1+1,NA,9007199254740993" in text
    assert "7600000000000000001," in text
