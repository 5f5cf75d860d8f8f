"""`kr.export_store`: Parquet that other programs read; a second run adds only what is new, whatever ended the first."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pyarrow.parquet as pq
import pytest
from pandas.testing import assert_frame_equal
from stores import Place

import keyapi_research as kr
from keyapi_research.export import parquet_store
from keyapi_research.export.parquet import digest_of
from keyapi_research.model import TABLES, Table
from keyapi_research.places import CountOf, Field, Metadata, PerList
from keyapi_research.sandbox import Sandbox

pytestmark = pytest.mark.both_stores

Make = Callable[..., kr.Client]
IS_ROOT = os.name == "posix" and os.geteuid() == 0
CAPTIONS = "/v1/tiktok/video/captions"
TAGS = ["perfume", "ufc324", "diy", "gym", "fyp"]


def sorted_rows(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.sort_values(list(frame.columns), ignore_index=True)


def fill(client: kr.Client) -> None:
    kr.fetch_hashtags(TAGS, client=client)
    kr.fetch_product_insights(region="US", time_scope=7, limit=20, client=client)
    ids = kr.fetch_creator_rankings(region="US", limit=10, client=client)["user_id"]
    kr.fetch_creators(ids, client=client)
    kr.fetch_endpoint(CAPTIONS, {"video_id": "7117191641181555995"}, client=client)


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.glob("*/part-*.parquet"))}


def check_all(folder: Path, client: kr.Client) -> None:
    """Every observation of every table is there, once."""
    for name in kr.stored(client=client)["table"]:
        if not name.startswith("/"):
            whole = kr.stored(name, observations="all", client=client)
            assert_frame_equal(sorted_rows(kr.read_parquet(folder / name)), sorted_rows(whole))
    assert_frame_equal(kr.read_parquet(folder / "ledger"), kr.ledger(client=client))


def test_everything_is_there_and_a_second_run_adds_only_what_is_new(
    client: kr.Client, sandbox: Sandbox, tmp_path: Path
) -> None:
    fill(client)
    sent, folder = len(sandbox.requests), tmp_path / "archive"
    first = kr.export_store(folder, client=client)
    check_all(folder, client)
    before = files(folder)
    assert (first.parts, first.rows) == (len(before), sum(pq.read_metadata(folder / one).num_rows for one in before))
    again = kr.export_store(folder, client=client)
    assert (again.parts, again.rows, again.tables) == (0, 0, ())
    assert files(folder) == before
    assert len(sandbox.requests) == sent
    kr.fetch_hashtags(["perfume", "fyp"], max_age=0, client=client)
    kr.fetch_product_insights(region="US", time_scope=7, limit=40, client=client)
    more = kr.export_store(folder, client=client)
    assert {"hashtags", "product_insights", "ledger"} <= set(more.tables)
    assert "creators" not in more.tables
    after = files(folder)
    assert {name: after[name] for name in before} == before
    assert len(after) == len(before) + more.parts
    check_all(folder, client)


def test_pandas_and_duckdb_read_ids_as_text_and_the_right_types(client: kr.Client, tmp_path: Path) -> None:
    fill(client)
    kr.export_store(tmp_path / "archive", client=client)
    frame = pd.read_parquet(tmp_path / "archive" / "creators")
    whole = kr.stored("creators", client=client)
    assert set(frame["user_id"]) == set(whole["user_id"])
    assert str(frame["observed_at"].dtype) == "datetime64[us, UTC]"
    with duckdb.connect() as base:
        found = base.sql(f"FROM '{tmp_path}/archive/creators/*.parquet'")
        kinds = dict(zip(found.columns, map(str, found.types), strict=True))
        [(rows,)] = base.sql(f"SELECT count(*) FROM '{tmp_path}/archive/*/*.parquet'").fetchall()
    assert (kinds["user_id"], kinds["followers"], kinds["observed_at"]) == (
        "VARCHAR", "BIGINT", "TIMESTAMP WITH TIME ZONE"
    )  # fmt: skip
    assert rows == sum(pq.read_metadata(tmp_path / "archive" / one).num_rows for one in files(tmp_path / "archive"))


@pytest.mark.slow
def test_polars_and_dask_read_them(client: kr.Client, tmp_path: Path) -> None:
    polars, dask = pytest.importorskip("polars"), pytest.importorskip("dask.dataframe")
    fill(client)
    kr.fetch_hashtags(["perfume"], max_age=0, client=client)
    kr.export_store(tmp_path / "archive", client=client)
    whole = kr.stored("creators", client=client)
    read = polars.read_parquet(f"{tmp_path}/archive/creators/*.parquet")
    assert (str(read.schema["user_id"]), str(read.schema["followers"])) == ("String", "Int64")
    assert set(read["user_id"]) == set(whole["user_id"])
    with warnings.catch_warnings():  # its own, of pandas
        warnings.simplefilter("ignore")
        lazily = dask.read_parquet(tmp_path / "archive" / "creators").compute()
    assert set(lazily["user_id"]) == set(whole["user_id"])
    assert str(lazily["observed_at"].dtype) == "datetime64[us, UTC]"


def test_the_descriptor_says_what_there_is(client: kr.Client, tmp_path: Path) -> None:
    fill(client)
    kr.export_store(tmp_path / "archive", client=client)
    text = (tmp_path / "archive" / "datapackage.json").read_text("utf-8")
    descriptor = json.loads(text)
    assert descriptor["source"] == "sandbox"
    assert descriptor["synthetic"] is True
    resources = {one["name"]: one for one in descriptor["resources"]}
    assert set(resources) == {*kr.stored(client=client)["table"].str.strip("/").str.replace("/", "."), "ledger"}
    for one in resources.values():
        for part in one["parts"]:
            content = (tmp_path / "archive" / part["path"]).read_bytes()
            assert part["bytes"] == len(content)
            assert part["hash"] == f"sha256:{__import__('hashlib').sha256(content).hexdigest()}"
    followers = next(one for one in resources["creators"]["schema"]["fields"] if one["name"] == "followers")
    assert (followers["type"], bool(followers["description"])) == ("integer", True)
    for content in [text.encode(), *files(tmp_path / "archive").values()]:
        assert str(tmp_path).encode() not in content
        assert b"a-token-of-the-tests" not in content


def test_some_tables_only(client: kr.Client, tmp_path: Path) -> None:
    fill(client)
    assert kr.export_store(tmp_path / "archive", tables=["hashtags", CAPTIONS], client=client).parts == 2
    folders = sorted(one.name for one in (tmp_path / "archive").iterdir() if one.is_dir())
    assert folders == ["hashtags", CAPTIONS[1:].replace("/", ".")]
    for wrong, match in (("hashtag", "Did you mean 'hashtags'"), (5, "tables must be")):
        with pytest.raises(kr.InvalidArgumentError, match=match):
            kr.export_store(tmp_path / "archive", tables=wrong, client=client)  # type: ignore[arg-type]


def test_a_folder_with_something_else_is_refused_and_untouched(
    client: kr.Client, make_client: Make, tmp_path: Path, place: Place
) -> None:
    fill(client)
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "notes.txt").write_text("mine")
    with pytest.raises(kr.InvalidArgumentError, match=r"notes\.txt"):
        kr.export_store(mine, client=client)
    assert [one.name for one in mine.iterdir()] == ["notes.txt"]
    kr.write_package(tmp_path / "package", {"tags": kr.stored("hashtags", client=client)}, client=client)
    with pytest.raises(kr.InvalidArgumentError, match="not of an export"):
        kr.export_store(tmp_path / "package", client=client)
    kr.export_store(tmp_path / "archive", client=client)
    other = make_client(store=place("other"))
    fill(other)
    before = files(tmp_path / "archive")
    with pytest.raises(kr.StoreError, match="another store"):
        kr.export_store(tmp_path / "archive", client=other)
    assert files(tmp_path / "archive") == before
    with pytest.raises(kr.InvalidArgumentError, match="as_of"):
        kr.export_store(tmp_path / "archive", client=make_client(as_of="2027-01-01"))


def test_a_damaged_part_is_named_and_written_anew_once_it_is_deleted(client: kr.Client, tmp_path: Path) -> None:
    folder = tmp_path / "archive"
    fill(client)
    kr.export_store(folder, client=client)
    kr.fetch_hashtags("perfume", max_age=0, client=client)
    kr.export_store(folder, client=client)
    first, _ = sorted((folder / "hashtags").iterdir())
    first.write_bytes(first.read_bytes()[:-20])
    with pytest.raises(kr.StoreError, match=first.name):
        kr.export_store(folder, client=client)
    first.unlink()
    assert kr.export_store(folder, client=client).rewritten == ("hashtags",)
    check_all(folder, client)
    assert kr.export_store(folder, client=client).parts == 0


def test_parts_of_an_older_schema_are_written_anew(
    client: kr.Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "archive"
    fill(client)
    with monkeypatch.context() as older:
        older.setattr(parquet_store, "digest_of", lambda table: "an older one")
        kr.export_store(folder, tables=["hashtags", "creators"], client=client)
    done = kr.export_store(folder, tables="hashtags", client=client)
    assert done.rewritten == ("hashtags",)
    assert "written anew" in repr(done)
    stored = kr.stored("hashtags", client=client)
    assert_frame_equal(sorted_rows(kr.read_parquet(folder / "hashtags")), sorted_rows(stored))


DAYS = "/v1/tiktok/video/trends/analytics"


def declare_days(views: str, meaning: str = "Views so far.", **more: Any) -> Callable[..., pd.DataFrame]:
    options: dict[str, Any] = {"credits": 1, "by": "video_id", "rows": "[]", "key": ["video_id", "day"]} | more
    dates = {"start_date": "2026-01-05", "end_date": "2026-01-25"}
    columns = {"day": ("date", "dt"), "views": ("count", views, "views", meaning)}
    return kr.declare("video_days", DAYS, params=dates, columns=columns, **options)


def test_a_table_that_is_declared_otherwise_is_written_anew_and_a_reworded_one_is_not(
    client: kr.Client, tmp_path: Path
) -> None:
    def export() -> tuple[str, ...]:
        done = kr.export_store(tmp_path / "archive", tables="video_days", client=client)
        whole = kr.stored("video_days", observations="all", client=client)
        assert_frame_equal(sorted_rows(kr.read_parquet(tmp_path / "archive" / "video_days")), sorted_rows(whole))
        return done.rewritten

    assert len(declare_days("total_views_cnt")("7600000000000000001", client=client))
    assert export() == ()
    declare_days("total_digg_cnt")
    assert export() == ("video_days",)
    [table] = json.loads((tmp_path / "archive" / "datapackage.json").read_text("utf-8"))["resources"]
    [views] = [one for one in table["schema"]["fields"] if one["name"] == "views"]
    assert views["source"] == "data[].total_digg_cnt"
    declare_days("total_digg_cnt", "Likes, in other words.", credits=1)
    assert export() == ()


def test_a_digest_has_what_values_depend_on_and_no_prose() -> None:
    declare_days("total_views_cnt")
    table = TABLES["video_days"]

    def changed(at: int = 3, **facts: Any) -> Table:
        columns = list(table.columns)
        columns[at] = replace(columns[at], **facts)
        return replace(table, columns=tuple(columns))

    def answered(**facts: Any) -> Table:
        return replace(table, endpoint=replace(table.endpoint, **facts))

    views = table.columns[4]
    assert views.name == "views"
    same = [
        changed(4, meaning="else", evidence="documented: else", unit="else", of="total", optional=True),
        changed(5, place=Metadata("else")),
        replace(table, row="else", strict=False, reached_by="else"),
        answered(page="else", credits=7, example="else"),
    ]
    others = [
        changed(4, place=Field("[].total_views_cnt", around="views")),
        changed(4, place=CountOf("[].total_views_cnt")),
        changed(4, place=PerList((Field("[].total_views_cnt"),))),
        changed(4, kind="integer"),
        *(changed(4, **one) for one in ({"least": 1}, {"most": 9}, {"missing": ("-",)}, {"zero_beside": "day"})),
        changed(4, zero_unless=("day", ("x",))),
        replace(table, rows=("list[]",)),
        replace(table, key=("day",)),
        replace(table, ways=(table.endpoint,)),
        answered(path="/v1/else"),
        answered(record="else"),
        answered(identity=Field("[].video_id")),
        answered(owner=Field("video_id")),
        answered(texts={"[].else": list}),
        answered(parameters=table.endpoint.parameters[:1]),
    ]
    assert {digest_of(one) for one in same} == {digest_of(table)}
    assert len({digest_of(one) for one in [table, *others]}) == 1 + len(others)
    shorter = [changed(4, place=PerList((Field("[].x"), None), written)) for written in ("", "else")]
    assert digest_of(shorter[0]) == digest_of(shorter[1])


def test_a_digest_is_the_same_in_every_program() -> None:
    code = """
from keyapi_research.export.parquet import digest_of
from keyapi_research.model import TABLES
print(*map(digest_of, TABLES.values()))
"""
    told = [
        subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True,
                       text=True, check=True).stdout
        for seed in "12"
    ]  # fmt: skip
    assert told[0] == told[1]
    assert len({*told[0].split()}) > 20


def test_small_windows_make_the_same_rows(client: kr.Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet_store, "_WINDOW", 2)
    fill(client)
    kr.fetch_product_insights(region="US", time_scope=7, limit=60, client=client)
    kr.export_store(tmp_path / "archive", client=client)
    check_all(tmp_path / "archive", client)


def test_two_programs_do_not_export_into_one_folder_at_once(client: kr.Client, tmp_path: Path) -> None:
    fill(client)
    folder = tmp_path / "archive"
    kr.export_store(folder, client=client)
    lock = sqlite3.connect(folder / ".lock", isolation_level=None)
    lock.execute("BEGIN EXCLUSIVE")
    theirs = folder / ".datapackage.json.1234abcd.part"  # what the other program is writing
    theirs.touch()
    with pytest.raises(kr.StoreError, match="another program is exporting"):
        kr.export_store(folder, client=client)
    assert theirs.exists()
    lock.close()
    assert kr.export_store(folder, client=client).parts == 0
    assert not theirs.exists()


@contextlib.contextmanager
def as_nobody() -> Iterator[None]:
    """Lay down the rights of root, who may read and write everything."""
    if not IS_ROOT:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


DENIED: dict[str, tuple[str, int, str]] = {  # what has which rights, and what is said then
    "a new folder that is only read": ("", 0o555, "{} cannot be written: Permission denied. Choose another folder"),
    "a new folder": ("", 0, "{} cannot be read or written: Permission denied. Change that, or choose another folder"),
    "a folder that is only read": ("", 0o555, "{} cannot be written: Permission denied. Choose another folder"),
    "a folder": ("", 0, "{} cannot be read or written: Permission denied. Change that, or choose another folder"),
    "a table": ("hashtags", 0, "{} cannot be read or written: Permission denied. Change that"),
    "a part": ("hashtags/part-*", 0, "{} cannot be read or written: Permission denied"),
    "the descriptor": ("datapackage.json", 0, "{} cannot be read or written: Permission denied. Change that"),
    "the lock": (".lock", 0o444, "{} cannot be locked: attempt to write a readonly database. Make it writable, or"),
}


@pytest.mark.skipif(os.name != "posix", reason="rights are others there")
@pytest.mark.parametrize("what", DENIED)
def test_what_may_not_be_read_or_written_is_named_with_the_reason(
    what: str, make_client: Make, open_folder: Path
) -> None:
    name, rights, text = DENIED[what]
    new, folder = what.startswith("a new"), open_folder / "archive"
    client = make_client(store=":memory:")
    kr.fetch_hashtags(TAGS, client=client)
    kr.export_store(open_folder / "other", client=client)  # what is imported late is there
    if new:
        folder.mkdir()
    else:
        kr.export_store(folder, client=client)
    [named] = folder.glob(name) if name else [folder]
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o777 if path.is_dir() else 0o666)
    named.chmod(rights)
    with as_nobody(), pytest.raises(kr.StoreError) as caught:
        kr.export_store(folder, client=client)
    assert str(caught.value).startswith(text.format(named))
    named.chmod(0o777)
    assert (kr.export_store(folder, client=client).parts > 0) is new


@pytest.mark.skipif(os.name != "posix", reason="rights are others there")
def test_a_folder_or_part_that_may_not_be_read_is_refused_with_the_reason(
    make_client: Make, open_folder: Path
) -> None:
    client = make_client(store=":memory:")
    kr.fetch_hashtags(TAGS, client=client)
    kr.export_store(open_folder / "archive", tables="hashtags", client=client)
    folder = open_folder / "archive" / "hashtags"
    kr.read_parquet(folder)
    [part] = folder.iterdir()
    for path in (part, folder):
        path.chmod(0)
        for read in (folder, part):
            with as_nobody(), pytest.raises(kr.InvalidArgumentError) as caught:
                kr.read_parquet(read)
            denied = folder if (path, read) == (folder, folder) else part
            text = f"{denied} cannot be read: Permission denied. Check the path, and that you may read it"
            assert str(caught.value) == text
    folder.chmod(0o755)


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(kr.InvalidArgumentError, match=r"nope cannot be read: No such file or directory\. Check"):
        kr.read_parquet(tmp_path / "nope")


def test_the_argument_is_named_and_a_url_is_no_folder(client: kr.Client) -> None:
    with pytest.raises(kr.InvalidArgumentError, match=r"^folder must be the path of a folder; got None$"):
        kr.export_store(None, client=client)  # type: ignore[arg-type]
    with pytest.raises(kr.InvalidArgumentError, match=r"^folder: s3://.*\. Pass the path of a folder on this machine$"):
        kr.export_store("s3://bucket/x", client=client)


def test_the_folder_of_a_table_leads_to_the_one_above(
    client: kr.Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kr.fetch_hashtags(TAGS, client=client)
    kr.export_store(tmp_path / "archive", client=client)
    monkeypatch.chdir(tmp_path / "archive" / "hashtags")
    for folder in (".", tmp_path / "archive" / "hashtags"):
        with pytest.raises(kr.InvalidArgumentError) as caught:
            kr.export_store(folder, client=client)
        text = f"{folder} is a table's folder in an export. Pass the folder above it, {tmp_path / 'archive'}"
        assert str(caught.value) == text
    (tmp_path / "archive" / "datapackage.json").unlink()
    with pytest.raises(kr.InvalidArgumentError, match="which no export wrote"):
        kr.export_store(tmp_path / "archive" / "hashtags", client=client)


def test_an_export_is_not_part_of_the_study(client: kr.Client, make_client: Make, tmp_path: Path, place: Place) -> None:
    fill(client)
    client.close()
    later = make_client(store=place("later"))
    assert kr.import_store(place(), client=later).answers
    kr.export_store(tmp_path / "archive", client=later)
    with pytest.raises(kr.InvalidArgumentError, match="nothing to freeze"):
        kr.freeze(tmp_path / "study.zip", client=later)


def test_an_empty_store_and_what_is_under_way(client: kr.Client, tmp_path: Path) -> None:
    assert kr.export_store(tmp_path / "archive", client=client).parts == 0
    fill(client)
    kr.export_store(tmp_path / "archive", client=client)
    check_all(tmp_path / "archive", client)


EXPORT = """
import sys
import keyapi_research as kr
from keyapi_research.export import parquet_store
parquet_store._WINDOW = 3
with kr.Client(store=sys.argv[1], offline=True, progress=False) as client:
    print("begun", flush=True)
    kr.export_store(sys.argv[2], client=client)
"""


def kill_often(client: kr.Client, store: Any, folder: Path, times: int) -> None:
    fill(client)
    for _ in range(3):
        kr.fetch_hashtags(TAGS, max_age=0, client=client)
    chance = random.Random(7)
    for _ in range(times):
        running = subprocess.Popen([sys.executable, "-c", EXPORT, store, folder], stdout=subprocess.PIPE)
        assert running.stdout is not None
        running.stdout.readline()
        time.sleep(chance.uniform(0, 0.6))
        os.kill(running.pid, signal.SIGKILL)
        running.wait()
        running.stdout.close()
        names = [path.name for path in folder.glob("*/*.parquet")] if folder.exists() else []
        assert all(pq.read_metadata(path).num_rows for path in folder.glob("*/*.parquet")), names
        kr.fetch_hashtags(chance.choice(TAGS), max_age=0, client=client)
    kr.export_store(folder, client=client)
    check_all(folder, client)
    assert not list(folder.glob("**/*.part"))


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no kill -9 here")
@pytest.mark.parametrize(
    "times", [2, pytest.param(6, marks=pytest.mark.slow), pytest.param(20, marks=pytest.mark.long)]
)
def test_kill_9_loses_and_repeats_nothing(client: kr.Client, tmp_path: Path, place: Place, times: int) -> None:
    kill_often(client, place(), tmp_path / "archive", times)
