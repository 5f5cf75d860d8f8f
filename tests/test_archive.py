"""Archives: the same study gives the same bytes and, replayed, the same tables; what is not one is refused."""

from __future__ import annotations

import csv
import errno
import gzip
import hashlib
import io
import json
import os
import pickle
import random
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import requests_cache
from pandas.testing import assert_frame_equal
from stores import Place

import keyapi_research as kr
from keyapi_research import archive_format as archive
from keyapi_research.sandbox import Fault, Sandbox

pytestmark = [
    pytest.mark.both_stores,
    pytest.mark.filterwarnings("ignore::keyapi_research.MissingDataWarning"),
]

CLIP = "6703723351497508865"
VIDEOS = ["7117191641181555995", *(str(7300000000000000001 + n) for n in range(11))]
SAMPLE = Path(__file__).parent / "data" / "archives" / "format-1.zip"


def study(client: kr.Client) -> dict[str, pd.DataFrame]:
    """Run a small study of everything: batches, a confirmed missing id, pages, a month that is over."""
    return {
        "hashtags": kr.fetch_hashtags(["ufc324", "cats", "missing1"], client=client),
        "trends": kr.fetch_hashtag_trends(["cats"], client=client),
        "videos": kr.fetch_videos(VIDEOS, client=client),
        "ranking": kr.fetch_product_insights(region="US", limit=45, client=client),
        "less": kr.fetch_product_insights(region="US", limit=3, client=client),
        "list": kr.fetch_trending_hashtags(limit=5, client=client),
        "month": kr.fetch_product_details("601583", time_scope="2025-12", client=client),
        "music": kr.fetch_music(CLIP, client=client),
    }


@pytest.fixture(scope="module")
def frozen(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, pd.DataFrame]]:
    """That study, frozen, and its tables."""
    path = tmp_path_factory.mktemp("frozen") / "study.zip"
    with (
        Sandbox() as server,
        kr.Client(token="t", base_url=server.url, store=":memory:", requests_per_second=None, progress=False) as client,
    ):
        frames = study(client)
        kr.freeze(path, client=client)
    return path, frames


def manifest_of(path: Path) -> dict[str, Any]:
    with zipfile.ZipFile(path) as members:
        return json.loads(members.read("manifest.json"))


def lines_of(path: Path) -> list[dict[str, Any]]:
    with zipfile.ZipFile(path) as members:
        return [json.loads(line) for line in members.read("answers.jsonl").splitlines()]


# Freezing ---------------------------------------------------------------------------------------------------


def test_freeze_returns_what_is_in_the_archive(client: kr.Client, sandbox: Sandbox, tmp_path: Path) -> None:
    study(client)
    summary = kr.freeze(tmp_path / "study.zip", client=client)
    # 2 hashtags, 12 videos, 3 pages, 1 page, 1 category, 1 sound; 1 hashtag is not there
    assert (summary.answers, summary.absences, summary.calls) == (2 + 12 + 3 + 1 + 1 + 1, 1, 8)
    assert (summary.requests, summary.credits) == (3 + 2 + 3 + 1 + 1 + 1, sandbox.charged)
    assert (summary.differing, summary.failed) == ((), ())
    for shown in (repr(summary), summary._repr_html_()):
        assert "study.zip" in shown
        assert str(summary.credits) in shown


def test_freezing_sends_nothing_and_reading_again_changes_nothing(
    client: kr.Client, sandbox: Sandbox, tmp_path: Path
) -> None:
    study(client)
    kr.freeze(tmp_path / "one.zip", client=client)
    sent = len(sandbox.requests)
    study(client)  # the cells were run again
    kr.freeze(tmp_path / "two.zip", client=client)
    assert len(sandbox.requests) == sent
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()


def test_the_order_of_calls_and_what_else_is_stored_do_not_matter(
    make_client: Callable[..., kr.Client], tmp_path: Path
) -> None:
    with make_client() as first:
        kr.fetch_hashtags(["dogs", "birds"], client=first)
        kr.fetch_product_insights(region="US", limit=25, client=first)
        kr.fetch_videos(VIDEOS, client=first)
    calls = [
        lambda client: kr.fetch_hashtags(["birds"], client=client),
        lambda client: kr.fetch_product_insights(region="US", limit=25, client=client),
        lambda client: kr.fetch_videos(VIDEOS[3:5], client=client),
    ]
    for name, order in (("one", calls), ("two", calls[::-1])):
        with make_client() as client:
            for call in order:
                call(client)
            kr.freeze(tmp_path / f"{name}.zip", client=client)
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()
    assert [line["request"] for line in lines_of(tmp_path / "one.zip")] == [2, 3, 1, 4, 4]


def test_every_zip_program_opens_it_and_it_has_no_clock(frozen: tuple[Path, Any]) -> None:
    path, _ = frozen
    with zipfile.ZipFile(path) as members:
        assert members.testzip() is None
        assert members.namelist() == ["manifest.json", "ledger.csv", "answers.jsonl"]
        assert {info.date_time for info in members.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert {info.compress_type for info in members.infolist()} == {zipfile.ZIP_STORED}
        requests = list(csv.DictReader(io.TextIOWrapper(members.open("ledger.csv"), "utf-8", newline="")))
        contents = {name: members.read(name) for name in members.namelist()}
    assert [row["request"] for row in requests] == [str(n) for n in range(1, 12)]
    assert {row["endpoint"] for row in requests} == {line["endpoint"] for line in lines_of(path)}
    manifest = manifest_of(path)
    for name, promise in manifest["members"].items():
        assert promise["sha256"] == hashlib.sha256(contents[name]).hexdigest()
        assert promise["bytes"] == len(contents[name])
        assert promise["lines"] == contents[name].count(b"\n")
    queries = {(call["table"], call["limit"]): call["asked"] for call in manifest["calls"]}
    assert queries["hashtags", None] == [
        {"hashtag_name": ["ufc324", "cats", "missing1"], "region": "all_regions", "period": 7}
    ]
    assert queries["product_insights", 3] == [
        {"region": "US", "time_scope": "1", "search": None, "filter_category_id": None}
    ]
    assert pack(contents) == path.read_bytes()  # another writer of the same format spells it the same way


def test_a_path_that_is_taken_is_refused(client: kr.Client, tmp_path: Path) -> None:
    kr.fetch_hashtags("cats", client=client)
    (tmp_path / "mine.zip").write_text("mine")
    for path in (tmp_path / "mine.zip", tmp_path):
        with pytest.raises(kr.InvalidArgumentError, match="already exists"):
            kr.freeze(path, client=client)
    assert (tmp_path / "mine.zip").read_text() == "mine"


def test_nothing_read_is_nothing_to_freeze(client: kr.Client, tmp_path: Path) -> None:
    kr.plan(kr.fetch_hashtags, "cats", client=client)
    with pytest.raises(kr.InvalidArgumentError, match="nothing to freeze"):
        kr.freeze(tmp_path / "study.zip", client=client)


def test_what_failed_and_was_not_fetched_since_is_refused(client: kr.Client, sandbox: Sandbox, tmp_path: Path) -> None:
    failing = {"dogs"}
    sandbox.on_request = lambda _, params: Fault(status=400) if params["hashtag_name"] in failing else None
    with pytest.raises(kr.FetchIncompleteError):
        kr.fetch_hashtags(["cats", "dogs"], client=client)
    with pytest.raises(kr.FetchIncompleteError, match=r"1 ids failed.*dogs.*partial=True"):
        kr.freeze(tmp_path / "study.zip", client=client)
    assert not (tmp_path / "study.zip").exists()
    part = kr.freeze(tmp_path / "part.zip", partial=True, client=client)
    assert (part.answers, part.failed) == (1, ("dogs",))
    assert part.differing == ("fetch_hashtags(['cats', 'dogs'], region='all_regions', period=7)",)
    assert "dogs" in repr(part)
    failing.clear()
    kr.fetch_hashtags("dogs", client=client)
    whole = kr.freeze(tmp_path / "whole.zip", client=client)
    assert (whole.answers, whole.failed) == (2, ())


def test_a_partial_study_is_rerun_unchanged_where_it_only_warned(
    client: kr.Client, sandbox: Sandbox, tmp_path: Path
) -> None:
    sandbox.on_request = lambda _, params: Fault(status=400) if params["hashtag_name"] == "dogs" else None

    def notebook(client: kr.Client) -> pd.DataFrame:
        with pytest.warns(kr.IncompleteDataWarning, match="1 of 2 ids"):
            return kr.fetch_hashtags(["cats", "dogs"], errors="warn", client=client)

    there = notebook(client)
    summary = kr.freeze(tmp_path / "study.zip", partial=True, client=client)
    assert (summary.failed, summary.differing) == (("dogs",), ())
    with kr.replay(tmp_path / "study.zip") as reader:
        assert_frame_equal(notebook(reader), there)


@pytest.mark.parametrize("by_page", [False, True])
def test_what_an_interrupted_call_did_not_get_counts_as_failed(
    by_page: bool, client: kr.Client, sandbox: Sandbox, tmp_path: Path
) -> None:
    def press(_: str, params: dict[str, str]) -> Fault | None:
        if params.get("page") == "2" or params.get("hashtag_name") == "tag20":
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
            return Fault(delay=0.1)
        return None

    sandbox.on_request = press
    tags = [f"tag{number}" for number in range(40)]
    with pytest.raises(KeyboardInterrupt):
        kr.fetch_product_insights(region="US", limit=60, client=client) if by_page else kr.fetch_hashtags(
            tags, client=client
        )
    with pytest.raises(kr.FetchIncompleteError, match="region=US" if by_page else "tag2"):
        kr.freeze(tmp_path / "study.zip", client=client)
    part = kr.freeze(tmp_path / "part.zip", partial=True, client=client)
    assert part.answers >= 1
    assert len(part.failed) == (1 if by_page else 40 - part.answers)


def test_a_ranking_that_broke_off_counts_as_failed(client: kr.Client, sandbox: Sandbox, tmp_path: Path) -> None:
    broken = {"2"}
    sandbox.on_request = lambda _, params: Fault(status=400) if params.get("page") in broken else None
    with pytest.raises(kr.InvalidRequestError):
        kr.fetch_product_insights(region="US", limit=40, client=client)
    with pytest.raises(kr.FetchIncompleteError, match="region=US"):
        kr.freeze(tmp_path / "study.zip", client=client)
    broken.clear()
    kr.fetch_product_insights(region="US", limit=40, client=client)
    assert kr.freeze(tmp_path / "study.zip", client=client).answers == 2


def test_two_observations_of_one_entity_are_both_in_and_it_says_what_will_differ(
    client: kr.Client, tmp_path: Path
) -> None:
    before = kr.fetch_hashtags(["cats", "dogs"], client=client)
    other = kr.fetch_hashtags(["birds"], client=client)
    after = kr.fetch_hashtags(["cats"], max_age=0, client=client)
    summary = kr.freeze(tmp_path / "study.zip", client=client)
    assert summary.answers == 4
    assert summary.differing == ("fetch_hashtags(['cats', 'dogs'], region='all_regions', period=7)",)
    assert "differ in a replay" in repr(summary)
    calls = manifest_of(tmp_path / "study.zip")["calls"]
    assert [call["asked"][0]["hashtag_name"] for call in calls if call["differs"]] == [["cats", "dogs"]]
    with kr.replay(tmp_path / "study.zip") as reader:
        assert_frame_equal(kr.fetch_hashtags(["cats"], client=reader), after)
        assert_frame_equal(kr.fetch_hashtags(["birds"], client=reader), other)
        again = kr.fetch_hashtags(["cats", "dogs"], client=reader)
        assert_frame_equal(again.iloc[1:], before.iloc[1:])
        assert again["observed_at"].iloc[0] == after["observed_at"].item() > before["observed_at"].iloc[0]
        assert_frame_equal(before.keyapi.trend(client=reader), before.keyapi.trend(client=client))  # the very answer
        history = before.keyapi.history(client=reader)
        assert history["hashtag_name"].tolist() == ["cats", "cats", "dogs"]


def test_a_ranking_pulled_again_differs_too(client: kr.Client, tmp_path: Path) -> None:
    kr.fetch_product_insights(limit=25, region="US", client=client)
    new = kr.fetch_product_insights(limit=5, region="US", max_age=0, client=client)
    summary = kr.freeze(tmp_path / "study.zip", client=client)
    assert summary.answers == 3
    assert summary.differing == ()  # the newer pull has 20 rows only, so each call still finds its own
    with kr.replay(tmp_path / "study.zip") as reader:
        assert_frame_equal(kr.fetch_product_insights(limit=5, region="US", client=reader), new)
        assert len(kr.fetch_product_insights(limit=25, region="US", client=reader)) == 25
    kr.fetch_product_insights(limit=40, region="US", max_age=0, client=client)
    again = kr.freeze(tmp_path / "again.zip", client=client)
    assert len(again.differing) == 2
    assert "limit=25" in again.differing[0]


def test_a_full_disk_leaves_nothing_behind(client: kr.Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kr.fetch_hashtags("cats", client=client)
    before = sorted(path.name for path in tmp_path.iterdir())

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(kr.StoreError, match=r"study\.zip was not written: No space left"):
        kr.freeze(tmp_path / "study.zip", client=client)
    monkeypatch.undo()
    with pytest.raises(kr.StoreError, match="No such file"):
        kr.freeze(tmp_path / "nowhere" / "study.zip", client=client)
    assert sorted(path.name for path in tmp_path.iterdir()) == before
    kr.freeze(tmp_path / "study.zip", client=client)
    assert stat.S_IMODE((tmp_path / "study.zip").stat().st_mode) & 0o400


def test_an_answer_no_archive_can_hold_is_refused_when_it_is_frozen(
    client: kr.Client, sandbox: Sandbox, tmp_path: Path
) -> None:
    sandbox.mutate = lambda _path, _params, envelope: {**envelope, "padding": "x" * 4_000_001}
    kr.fetch_hashtags("cats", client=client)
    with pytest.raises(kr.StoreError, match=r"answers\.jsonl is larger than 4,000,000 bytes"):
        kr.freeze(tmp_path / "study.zip", client=client)


def test_unusual_answers_are_archived_as_they_came(client: kr.Client, sandbox: Sandbox, tmp_path: Path) -> None:
    values = [float("nan"), 10**30, "\ud800", "\x00\u2028", 1e-7, -0.0, {"z": 1, "a": None}]
    inner = {"code": "0", "data": {"info": {"hashtag_name": "CATS", "new": values}}}
    sandbox.faults.put(Fault(body=json.dumps({"code": 200, "message": "", "data": inner}).encode()))
    with pytest.warns(kr.SchemaDriftWarning):
        frame = kr.fetch_hashtags("cats", client=client)
    kr.freeze(tmp_path / "study.zip", client=client)
    with kr.replay(tmp_path / "study.zip") as reader:
        assert_frame_equal(kr.fetch_hashtags("cats", client=reader), frame)
        [before], [after] = frame.keyapi.raw(client=client), frame.keyapi.raw(client=reader)
    assert json.dumps(before) == json.dumps(after)
    assert json.dumps(values) in json.dumps(after)


def test_nothing_secret_is_in_it(
    sandbox: Sandbox, make_client: Callable[..., kr.Client], tmp_path: Path, place: Place
) -> None:
    canary = "kc-canary/7f+3a"

    def echo(_path: str, _params: dict[str, str], envelope: dict[str, Any]) -> dict[str, Any]:
        envelope["data"]["info"]["echo"] = {canary: [f"Bearer {canary}"]}
        return {**envelope, "message": f"hello {canary}", "requestId": canary}

    sandbox.mutate = echo
    sandbox.extra_headers = {"X-Echo": canary, "Set-Cookie": f"session={canary}"}
    client = make_client(token=canary)
    with pytest.warns(kr.SchemaDriftWarning):
        frame = kr.fetch_hashtags("cats", client=client)
    kr.freeze(tmp_path / "study.zip", client=client)
    kr.write_package(tmp_path / "package", {"hashtags": frame}, client=client)
    written = [tmp_path / "study.zip", *(tmp_path / "package").iterdir()]
    assert b"[token]" in written[0].read_bytes(), "the echo is there, redacted"
    for file in written:
        content = file.read_bytes()
        assert not any(part in content for part in (b"kc-canary", b"7f+3a", b"7f%2B3a"))
        assert str(tmp_path).encode() not in content
        assert str(place()).rpartition("@")[2].encode() not in content
        assert b"Bearer" not in content.replace(b"Bearer [token]", b"")


@pytest.mark.of_a_file  # that Python need not have psycopg
@pytest.mark.slow
@pytest.mark.skipif(
    not os.environ.get("KEYAPI_OTHER_PYTHON"), reason="KEYAPI_OTHER_PYTHON names no Python with another pandas"
)
def test_another_pandas_gives_the_same_bytes(
    make_client: Callable[..., kr.Client], tmp_path: Path, place: Place
) -> None:
    with make_client() as client:
        study(client)
        kr.freeze(tmp_path / "here.zip", client=client)
    script = (
        "import sys, pandas, keyapi_research as kr, warnings; warnings.simplefilter('ignore')\n"
        "sys.path.append(sys.argv[3]); from test_archive import study\n"
        "client = kr.Client(store=sys.argv[1], offline=True)\n"
        "study(client); kr.freeze(sys.argv[2], client=client); print(pandas.__version__)"
    )
    tests = Path(__file__).parent
    other = subprocess.run(
        [os.environ["KEYAPI_OTHER_PYTHON"], "-c", script, place(), tmp_path / "there.zip", tests],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert other.stdout.strip() != pd.__version__
    assert (tmp_path / "here.zip").read_bytes() == (tmp_path / "there.zip").read_bytes()


def is_a_store(place: Place, name: str = "store") -> bool:
    """Whether something was made where a store would be."""
    if place.on_server:
        return bool(place.rows("SELECT nspname FROM pg_namespace WHERE nspname = 'keyapi'", name=name))
    return bool(place(name).exists())


# Replaying --------------------------------------------------------------------------------------------------

NOTEBOOK = """
import sys
import warnings
import keyapi_research as kr

out, store = sys.argv[1:]
client = kr.connect(sandbox=True, store=store, progress=False)
with warnings.catch_warnings(record=True) as warned:
    warnings.simplefilter("always")
    tags = kr.fetch_hashtags(["ufc324", "#Cats", "missing1"], period=30)
    ranking = kr.fetch_product_insights(region="GB", limit=45, max_age="1h")
    tables = {
        "tags": tags,
        "trend": tags.keyapi.trend(),
        "fresh": kr.fetch_hashtags(["dogs"], max_age=0),
        "audience": kr.fetch_hashtag_audience(["ufc324"], region="US", max_age=0),
        "ranking": ranking,
        "less": kr.fetch_product_insights(region="GB", limit=3),
        "details": ranking.head(3).keyapi.fetch_details(),
        "month": kr.fetch_product_details("601583", time_scope="2025-12"),
        "music": kr.fetch_trending_music(limit=None, search="a"),
        "videos": kr.fetch_videos([7300000000000000001 + n for n in range(25)]),
        "none": kr.fetch_videos([]),
        "provenance": tags.keyapi.provenance(),
        "ledger": kr.ledger().drop(columns=["elapsed_s", "client"]),
    }
print(sorted({str(one.message) for one in warned}))
for name, table in tables.items():
    table.to_pickle(f"{out}/{name}.pickle")
print(repr(kr.freeze("study.zip")))
"""
ELSEWHERE = """
import datetime, runpy, socket, sys, time
import pandas, requests, requests_cache, tqdm  # which keep the clock they find

def refuse(*_args, **_kwargs):
    raise AssertionError("a socket was opened")

socket.socket = socket.create_connection = socket.getaddrinfo = refuse
sys.modules["psycopg"] = None  # which opens its own
later = datetime.timedelta(days=730)

class Later(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return super().now(tz) + later

seconds, nanoseconds = time.time, time.time_ns
time.time = lambda: seconds() + later.total_seconds()
time.time_ns = lambda: nanoseconds() + int(later.total_seconds()) * 10**9
datetime.datetime = Later
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
import keyapi_research.store
assert keyapi_research.store.now_us() > nanoseconds() // 1000 + 6 * 10**13, "the clock was not two years on"
"""


def run(folder: Path, *command: str | Path, **environment: str) -> str:
    result = subprocess.run(
        [sys.executable, *command], cwd=folder, env={**os.environ, **environment}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_a_notebook_replays_unchanged_in_a_fresh_process_without_a_network_two_years_later(
    tmp_path: Path, place: Place
) -> None:
    (tmp_path / "notebook.py").write_text(NOTEBOOK)
    (tmp_path / "elsewhere.py").write_text(ELSEWHERE)
    for folder in ("here", "there"):
        (tmp_path / folder).mkdir()
    warned = run(tmp_path, "notebook.py", "here", str(place()))
    assert "KeyAPI has nothing for 1 hashtag_name: missing1" in warned
    shutil.rmtree(tmp_path / "store", ignore_errors=True)
    assert is_a_store(place)
    if place.on_server:
        place.rows("DROP SCHEMA keyapi CASCADE")
    else:
        place().unlink()
    again = run(tmp_path, "elsewhere.py", "notebook.py", "there", str(place()), KEYAPI_REPLAY="study.zip")
    assert again == warned
    names = sorted(path.name for path in (tmp_path / "here").glob("*.pickle"))
    assert len(names) == 13
    assert sorted(path.name for path in (tmp_path / "there").iterdir()) == names
    assert not is_a_store(place)
    for name in names:
        before, after = pd.read_pickle(tmp_path / "here" / name), pd.read_pickle(tmp_path / "there" / name)
        assert_frame_equal(after, before)
        assert len(before) or name == "none.pickle"


def test_the_connection_of_a_replay(frozen: tuple[Path, dict[str, pd.DataFrame]], tmp_path: Path, place: Place) -> None:
    path, frames = frozen
    reader = kr.replay(path)
    assert "replay of" in repr(reader)
    assert str(path) in repr(reader)
    assert kr.connect() is reader
    assert kr.connect(token="t", store=place("other"), max_age=0) is reader
    again = study(reader)
    for name, frame in frames.items():
        assert_frame_equal(again[name], frame)
    assert kr.plan(kr.fetch_videos, VIDEOS).credits == 0
    assert (kr.status().token, kr.status().answers, kr.status().absences) == ("none", 20, 1)
    with pytest.raises(kr.NotStoredError, match=r"study\.zip does not have .*'dogs'.*2 credits"):
        kr.fetch_hashtags(["cats", "dogs"])
    with pytest.raises(kr.NotStoredError, match="connect\\(replay=False\\)"):
        kr.fetch_product_insights(region="US", limit=80)
    live = kr.connect(replay=False, sandbox=True, store=":memory:")
    assert not live.settings.offline
    assert not list(tmp_path.iterdir())
    assert not is_a_store(place, "other")
    reader.close()
    live.close()


def test_freezing_a_replay_gives_the_same_archive(frozen: tuple[Path, dict[str, pd.DataFrame]], tmp_path: Path) -> None:
    path, _ = frozen
    with kr.replay(path) as reader:
        study(reader)
        summary = kr.freeze(path, client=reader)  # the notebook's own last line: nothing is written
        kr.freeze(tmp_path / "copy.zip", client=reader)
        with pytest.raises(kr.InvalidArgumentError, match="already exists"):
            kr.freeze(tmp_path / "copy.zip", client=reader)
    assert (summary.answers, summary.path) == (20, str(path))
    assert (tmp_path / "copy.zip").read_bytes() == path.read_bytes()


def test_freezing_in_a_replay_returns_what_the_archive_has_whatever_was_read_so_far(
    client: kr.Client, sandbox: Sandbox, tmp_path: Path
) -> None:
    sandbox.on_request = lambda _, params: Fault(status=400) if params.get("hashtag_name") == "dogs" else None
    study(client)
    kr.fetch_trending_hashtags(limit=5, max_age=0, client=client)
    kr.fetch_trending_hashtags(limit=25, new_only=True, industry="Pets", client=client)
    with pytest.warns(kr.IncompleteDataWarning):
        kr.fetch_hashtags(["cats", "dogs"], region="US", errors="warn", client=client)
    frozen = kr.freeze(tmp_path / "study.zip", partial=True, client=client)
    assert (len(frozen.differing), frozen.failed) == (1, ("dogs",))  # who only warned is answered the same
    before = (tmp_path / "study.zip").read_bytes()
    with kr.replay(tmp_path / "study.zip") as reader:
        assert kr.freeze(tmp_path / "study.zip", client=reader) == frozen  # nothing was read yet
        kr.fetch_hashtags("cats", client=reader)
        assert kr.freeze(tmp_path / "study.zip", partial=True, client=reader) == frozen
        assert (tmp_path / "study.zip").read_bytes() == before
        (tmp_path / "study.zip").unlink()
        assert kr.freeze(tmp_path / "study.zip", client=reader).calls == 1  # another file by now


@pytest.mark.parametrize(
    "calls",
    [[5], [{}], ["x"], [{"asked": [{}], "differs": True, "limit": None, "table": "hashtags"}],
     [{"asked": [], "differs": True, "limit": None, "table": "hashtags"}],
     [{"asked": 5, "differs": True, "limit": None, "table": "videos"}],
     [{"asked": [{"video_id": [1.5]}], "differs": False, "limit": None, "table": "videos"}],
     [{"asked": [], "differs": True, "limit": None, "table": "tables"}]],
)  # fmt: skip
def test_calls_of_a_forged_manifest_are_refused(calls: list[Any], frozen: tuple[Path, Any], tmp_path: Path) -> None:
    path = tmp_path / "study.zip"
    path.write_bytes(forged(frozen[0], lambda parts: parts.manifest.update(calls=calls)))
    with kr.replay(path) as reader, pytest.raises(kr.StoreError, match=r"manifest of .* are not valid"):
        kr.freeze(path, client=reader)


def test_a_closed_client_freezes_nothing(client: kr.Client, tmp_path: Path) -> None:
    kr.fetch_hashtags("cats", client=client)
    client.close()
    with pytest.raises(kr.StoreError, match="this client is closed; connect again"):
        kr.freeze(tmp_path / "study.zip", client=client)
    assert not (tmp_path / "study.zip").exists()


def test_free_methods_read_into_the_archive_what_they_read(
    make_client: Callable[..., kr.Client], tmp_path: Path
) -> None:
    with make_client() as first:
        old = kr.fetch_hashtags(["cats"], client=first)
        kr.fetch_hashtags(["cats"], max_age=0, client=first)
        page = kr.fetch_trending_hashtags(limit=25, client=first).tail(2)
    with make_client() as client:  # only frames of before, no fetch
        trends = old.keyapi.trend(client=client), page.keyapi.trend(client=client)
        summary = kr.freeze(tmp_path / "study.zip", client=client)
    assert (summary.answers, summary.calls) == (1 + 2, 0)  # of a ranking also the page before
    with kr.replay(tmp_path / "study.zip") as reader:
        assert_frame_equal(old.keyapi.trend(client=reader), trends[0])
        assert_frame_equal(page.keyapi.trend(client=reader), trends[1])
        assert_frame_equal(page.drop(columns="observed_at").keyapi.trend(client=reader), trends[1])


def test_the_archive_of_format_1_is_read_and_written_byte_for_byte(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with kr.replay(SAMPLE) as reader:
        tags = kr.fetch_hashtags(["ufc324", "missing1"], client=reader)
        videos = kr.fetch_videos("7117191641181555995", client=reader)
        ranking = kr.fetch_product_insights(limit=1, client=reader)
        assert (kr.ledger(client=reader)["credits"].sum(), reader.source) == (7, "sandbox")
        monkeypatch.setattr(archive, "__version__", "0.1.0")  # which wrote it
        kr.freeze(tmp_path / "copy.zip", client=reader)
    assert tags.loc[0, ["hashtag_name", "posts", "views_all"]].tolist() == ["ufc324", 12142, 1289245188]
    assert videos.loc[0, ["video_id", "views"]].tolist() == ["7117191641181555995", 211100]
    assert ranking["category"].tolist() == ["Perfume"]
    assert (tmp_path / "copy.zip").read_bytes() == SAMPLE.read_bytes()


# What comes in the place of an archive ------------------------------------------------------------------------

MEMBERS = ("manifest.json", "ledger.csv", "answers.jsonl")


def pack(members: dict[str, bytes], *, compression: int = zipfile.ZIP_STORED) -> bytes:
    """Write a zip as freeze does, by Python's own zipfile."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", compression) as file:
        for name, content in members.items():
            info = zipfile.ZipInfo(name)
            info.create_system, info.external_attr, info.compress_type = 3, 0o100644 << 16, compression
            file.writestr(info, content)
        if "manifest.json" in members:
            file.comment = f"manifest.json sha256 {hashlib.sha256(members['manifest.json']).hexdigest()}".encode()
    return packed.getvalue()


def contents_of(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as members:
        return {name: members.read(name) for name in MEMBERS}


def packed_by_another_program(path: Path, *, folder: str = "", extra: tuple[str, ...] = ()) -> bytes:
    """Pack what was unpacked: compressed, dated today, in another order, without the comment."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as file:
        for name in extra:
            file.writestr(name, b"" if name.endswith("/") else b"\0\0\0\1Bud1")
        for name, content in reversed(contents_of(path).items()):
            file.writestr(f"{folder}{name}", content)
    return packed.getvalue()


FINDER = ("study/", "study/.DS_Store", "__MACOSX/study/._.DS_Store", "__MACOSX/study/._manifest.json")
REPACKED: dict[str, Callable[[Path], bytes]] = {
    "by Finder, with its folder": lambda path: packed_by_another_program(path, folder="study/", extra=FINDER),
    "by Finder, three files": lambda path: packed_by_another_program(path, extra=("__MACOSX/._ledger.csv",)),
    "by Windows": lambda path: packed_by_another_program(path, extra=("desktop.ini", "Thumbs.db")),
    "with bytes behind it": lambda path: path.read_bytes() + b"\n",
}


@pytest.mark.parametrize("how", REPACKED)
def test_an_archive_packed_again_by_another_program_is_replayed(
    how: str, frozen: tuple[Path, dict[str, pd.DataFrame]], tmp_path: Path
) -> None:
    path, frames = frozen
    (tmp_path / "again.zip").write_bytes(REPACKED[how](path))
    with kr.replay(tmp_path / "again.zip") as reader:
        for name, frame in study(reader).items():
            assert_frame_equal(frame, frames[name])
        kr.freeze(tmp_path / "copy.zip", client=reader)
    assert (tmp_path / "copy.zip").read_bytes() == path.read_bytes()


def with_flag(path: Path, flag: int) -> bytes:
    """Set a flag of ledger.csv in the directory of the zip, whose entries have 46 bytes before the name."""
    content = bytearray(path.read_bytes())
    content[content.index(b"ledger.csv", content.index(b"PK\x01\x02")) - 38] |= flag
    return bytes(content)


def bomb(path: Path) -> bytes:
    """A hundred megabytes in a hundred kilobytes."""
    return pack(contents_of(path) | {"answers.jsonl": b"x" * 100_000_000}, compression=zipfile.ZIP_DEFLATED)


FOREIGN: dict[str, tuple[Callable[[Path], bytes], str]] = {
    "empty": (lambda _: b"", "it is empty. Copy or download it again"),
    "a Git LFS pointer": (
        lambda _: b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n",
        "it is a Git LFS pointer, not the archive itself. Run `git lfs pull`"),
    "a download page": (lambda _: b"\n<!DOCTYPE html><html>", "it is a web page, not an archive. Download the file"),
    "a page with a byte order mark": (lambda _: b"\xef\xbb\xbf<html>" * 10, "it is a web page"),
    "a gzip": (lambda path: gzip.compress(path.read_bytes()), "it is packed with gzip. Unpack it"),
    "a store": (lambda _: b"SQLite format 3\x00" + bytes(4000), r"it is a store.*kr\.connect\(store=.*offline=True"),
    "a member alone": (lambda path: contents_of(path)["manifest.json"], "file from an unpacked archive. Replay the "
    ".zip"),
    "a text": (lambda _: b"hello" * 100, "it is not an archive of keyapi_research. Replay a file that kr.freeze wrote"),
    "bytes before it": (lambda path: b"\n" + path.read_bytes(), "it is not an archive of keyapi_research"),
    "an Excel file": (
        lambda _: pack({"[Content_Types].xml": b"<Types/>", "xl/workbook.xml": b""}), "is not part of an archive"),
    "a zip with the archive in it": (
        lambda path: pack({"study/study.zip": path.read_bytes()}), "'study/study.zip' is itself a zip. Unpack the"),
    "cut in its manifest": (lambda path: path.read_bytes()[:90], "it is incomplete. Copy or download it again"),
    "cut in the middle": (lambda path: path.read_bytes()[: path.stat().st_size // 2], "it is incomplete"),
    "its last byte cut off": (lambda path: path.read_bytes()[:-1], "was changed, or the file is incomplete"),
    "encrypted": (lambda path: with_flag(path, 1), "'ledger.csv' is encrypted. Unpack it with its password and zip"),
    "packed with LZMA": (
        lambda path: pack(contents_of(path), compression=zipfile.ZIP_LZMA), "has an unsupported compression. Unpack"),
    "a bomb": (bomb, "'answers.jsonl' would unpack to .* bytes, too many for a study"),
    "no manifest": (lambda path: pack({"ledger.csv": contents_of(path)["ledger.csv"]}), "it has no manifest.json"),
    "one more member": (lambda path: pack({**contents_of(path), "../x.py": b"x"}), r"'\.\./x.py' is not part of"),
    "a member twice": (
        lambda path: pack({**contents_of(path), "x/ledger.csv": b"x"}), "'x/ledger.csv' appears more than once"),
    "an edited ledger": (
        lambda path: pack({**contents_of(path), "ledger.csv": contents_of(path)["ledger.csv"].replace(b"2", b"1")}),
        "its ledger.csv has another checksum, so it was changed"),
    "a longer ledger": (
        lambda path: pack({**contents_of(path), "ledger.csv": contents_of(path)["ledger.csv"] + b"\n"}),
        "its ledger.csv has .* bytes, not the expected"),
    "an edited manifest": (
        lambda path: path.read_bytes().replace(b'"limit": 45', b'"limit": 44'), "cannot be read .*CRC"),
}  # fmt: skip


def transferred() -> int:
    """Bytes this process has read and written so far, as the kernel counts them."""
    try:
        facts = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    except OSError:
        return 0
    return int(facts["rchar"]) + int(facts["wchar"])


def refused(file: Path, message: str) -> None:
    """Check that a file is refused for a reason, after some megabytes at most, and nothing is written beside it."""
    beside, before = sorted(file.parent.iterdir()), transferred()
    with pytest.raises(kr.StoreError, match=message) as caught:
        kr.replay(file)
    assert transferred() - before < 10_000_000
    assert str(caught.value).startswith(f"{file} cannot be replayed: ")
    assert sorted(file.parent.iterdir()) == beside


@pytest.mark.parametrize("what", FOREIGN)
def test_a_file_that_is_not_a_whole_archive_is_named_with_what_to_do(
    what: str, frozen: tuple[Path, Any], tmp_path: Path
) -> None:
    content, message = FOREIGN[what]
    (tmp_path / "study.zip").write_bytes(content(frozen[0]))
    refused(tmp_path / "study.zip", message)


def test_an_unpacked_archive_is_named_a_folder(frozen: tuple[Path, Any], tmp_path: Path) -> None:
    with zipfile.ZipFile(frozen[0]) as members:
        members.extractall(tmp_path / "study")
    refused(tmp_path / "study", "it is a folder.* unpacked by the browser. Replay the .zip itself, or zip it again")
    with pytest.raises(kr.StoreError, match="it is a folder"):
        kr.connect(replay=tmp_path)


def test_a_path_without_a_file_cannot_be_read(tmp_path: Path) -> None:
    refused(tmp_path / "none.zip", r"cannot be read \(No such file or directory\). Check the path")
    with pytest.raises(kr.StoreError, match="cannot be read"):
        kr.connect(replay=tmp_path / "none.zip")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.zip")
    refused(tmp_path / "pipe.zip", "it is a pipe or a device, not a regular file. Save its content to a file")
    refused(Path(os.devnull), "it is a pipe or a device")


def content_of(path: Path) -> tuple[object, ...]:
    """Everything that is read of an archive."""
    with closing(archive.load(str(path))[0]) as store:
        counts = store.counts()
        ids = range(1, counts["answers"] + counts["absences"] + 1)
        read = store.source, store.ledger(), store.observations(ids), list(store.envelopes(ids))
    return *read, archive.read_manifest(str(path))


@pytest.mark.parametrize("packed", [False, True], ids=["as frozen", "packed again"])
def test_a_flipped_bit_is_found_or_changes_nothing_that_is_read(packed: bool, tmp_path: Path) -> None:
    whole = packed_by_another_program(SAMPLE, folder="study/") if packed else SAMPLE.read_bytes()
    chance, directory, found = random.Random(4), whole.index(b"PK\x01\x02"), 0
    data = range(60, directory)
    places = [*range(60), *range(directory, len(whole)), *(chance.choice(data) for _ in range(80))]
    file, whole_content = tmp_path / "flipped.zip", content_of(SAMPLE)
    for place in places:
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 1 << chance.randrange(8)]) + whole[place + 1 :])
        try:
            read = content_of(file)
        except kr.StoreError:
            found += 1
        else:
            assert read == whole_content, place
    assert found > 80, "of the data every bit is found"


# Forged archives: their checksums fit ---------------------------------------------------------------------------


@dataclass
class Parts:
    """What a forger changes; `promised` is what the manifest promises of the answers instead of the truth."""

    manifest: dict[str, Any]
    ledger: list[str]
    answers: list[dict[str, Any]]
    lines: list[bytes] = field(default_factory=list)
    promised: dict[str, Any] = field(default_factory=dict)

    def pack(self) -> bytes:
        lines = self.lines or [json.dumps(one, separators=(",", ":")).encode() + b"\n" for one in self.answers]
        members = {"ledger.csv": "".join(self.ledger).encode(), "answers.jsonl": b"".join(lines)}
        for name, content in members.items():
            self.manifest["members"][name].update(
                bytes=len(content),
                lines=content.count(b"\n"),
                longest_line=max(map(len, content.splitlines(keepends=True)), default=0),
                sha256=hashlib.sha256(content).hexdigest(),
            )
        self.manifest["members"]["answers.jsonl"].update(self.promised)
        return pack({"manifest.json": (json.dumps(self.manifest, sort_keys=True, indent=1) + "\n").encode(), **members})

    def one_more_request(self) -> None:
        self.ledger.append(self.ledger[-1].replace("11,", "12,", 1))
        self.manifest["requests"] += 1

    def long_line(self, size: int, **promised: Any) -> None:
        self.lines, self.promised = [b'"' + b"x" * (size - 3) + b'"\n', b"{}\n" * 30], promised


def parts_of(path: Path) -> Parts:
    with zipfile.ZipFile(path) as members:
        ledger = members.read("ledger.csv").decode().splitlines(keepends=True)
    return Parts(manifest_of(path), ledger, lines_of(path))


def forged(path: Path, change: Callable[[Parts], object]) -> bytes:
    parts = parts_of(path)
    change(parts)
    return parts.pack()


# The answers: 0 is a category, 1 to 3 the pages of a ranking, 4 the hashtag cats, 9 a video.
FORGED: dict[str, tuple[Callable[[Parts], object], str]] = {
    "another program's manifest": (lambda p: p.manifest.update(format="other"), "not from keyapi_research"),
    "another format version": (
        lambda p: p.manifest.update(format_version=3),
        "has format 3, but this version .* reads 1 to 2. Update the package"),
    "a manifest without its calls": (lambda p: p.manifest.pop("calls"), "manifest does not have the expected fields"),
    "a promise without a checksum": (lambda p: p.promised.update(sha256=None), "manifest does not have the expected"),
    "a source that is a path": (lambda p: p.manifest.update(source="../x"), "manifest does not have the expected "
    "fields"),
    "other counts": (lambda p: p.manifest.update(credits=1000), "counts in its manifest do not match"),
    "a manifest of 65 MB": (lambda p: p.manifest.update(source="x" * 65_000_000), "its manifest has 65,00.* bytes"),
    "a line of 5 MB": (lambda p: p.long_line(5_000_000), "line 1 of its answers.jsonl is longer than 4,000,000"),
    "a line of 20 MB, denied": (
        lambda p: p.long_line(20_000_000, longest_line=1000), "line 1 .* is longer than 4,000,000 bytes"),
    "a size below 0": (lambda p: p.promised.update(bytes=-1), "its answers.jsonl has .* bytes, not the expected -1"),
    "answers in another order": (lambda p: p.answers.reverse(), "line 2 .* appears twice or is not in order"),
    "an answer twice": (lambda p: p.answers.insert(8, p.answers[8]), "line 10 of its answers.jsonl appears twice"),
    "two pages of one moment": (
        lambda p: p.answers[2].update(observed_at=p.answers[1]["observed_at"]), "UNIQUE constraint failed"),
    "an answer about another": (
        lambda p: p.answers[4]["envelope"]["data"]["info"].update(hashtag_name="dogs"), "line 5 .* is about 'dogs'$"),
    "a parameter that is no text": (lambda p: p.answers[4]["params"].update(x=1), "parameters are not valid"),
    "an address as endpoint": (
        lambda p: p.answers[4].update(endpoint="https://example.org/v1/x"), "line 5 .* path must be as KeyAPI"),
    "another endpoint": (lambda p: p.answers[4].update(endpoint="/v1/other"), "its request is not in ledger.csv"),
    "an error for an answer": (lambda p: p.answers[4]["envelope"].update(code=402, data=None), "no credits left"),
    "a row about another": (
        lambda p: p.answers[9]["envelope"]["data"].append({"video_id": "1"}), "line 10 .* not an answer to its query"),
    "a request beyond the ledger": (lambda p: p.answers[4].update(request=99), "its request is not in ledger.csv"),
    "the request of another endpoint": (lambda p: p.answers[4].update(request=4), "its request is not in ledger"),
    "a page that wanted no number of rows": (
        lambda p: p.answers[1]["page"].update(wanted="2"), "line 2 .* does not match its content"),
    "a pull beyond all": (lambda p: p.answers[1]["page"].update(walk=2**70), "line 2 .* to its query"),
    "more new rows than rows": (lambda p: p.answers[1]["page"].update(fresh=99), "line 2 .* to its query"),
    "NaN for a number": (lambda p: p.answers[1]["page"].update(fresh=float("nan")), "line 2 .* is not a valid answer"),
    "a text for a page": (lambda p: p.answers[1].update(page="1"), "line 2 of its answers.jsonl is not a valid answer"),
    "a time without a zone": (
        lambda p: p.answers[4].update(observed_at="2026-01-01"), "line 5 of its answers.jsonl is not a valid answer"),
    "a line nested without end": (lambda p: p.lines.append(b"[" * 100_000 + b"\n"), "line 1 .* is not a JSON object"),
    "a line with a pickle": (
        lambda p: p.lines.append(pickle.dumps(print).replace(b"\n", b"") + b"\n"), "is not a JSON object"),
    "other columns": (lambda p: p.ledger.__setitem__(0, "a,b\n"), "rows of its ledger.csv do not have the expected "
    "columns"),
    "a row of two cells": (lambda p: p.ledger.__setitem__(3, "x,y\n"), "row 3 of .* is not a valid request"),
    "a number beyond SQLite": (
        lambda p: p.ledger.__setitem__(3, p.ledger[3].replace(",200,", f",{2**70},")), "int too large"),
    "a request less": (lambda p: p.ledger.pop(), "its request is not in ledger.csv"),
    "a request more": (Parts.one_more_request, "has requests without an answer"),
    "a cell without end": (lambda p: p.ledger.__setitem__(3, '"' + "x" * 200_000 + "\n"), "row 3 of its ledger.csv is"),
}  # fmt: skip


@pytest.mark.parametrize("what", FORGED)
def test_a_forged_archive_is_refused(what: str, frozen: tuple[Path, Any], tmp_path: Path) -> None:
    change, message = FORGED[what]
    (tmp_path / "forged.zip").write_bytes(forged(frozen[0], change))
    refused(tmp_path / "forged.zip", message)


def test_an_untouched_archive_packed_by_the_forger_is_the_same_file(frozen: tuple[Path, Any]) -> None:
    """So that what is refused above is refused for what was changed."""
    assert forged(frozen[0], lambda _: None) == frozen[0].read_bytes()


# Hostile stores ---------------------------------------------------------------------------------------------


class Planted:
    """What a pickle can do: here, write a file."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> Any:
        return Path.write_text, (self.trace, "executed")


def of_requests_cache(path: Path, planted: bytes) -> None:
    """A cache of requests-cache's own kind, with a planted row."""
    with requests_cache.CachedSession(path.with_suffix(""), backend="sqlite") as session:
        session.cache.close()
    path.with_suffix(".sqlite").rename(path)
    changed(path, "INSERT INTO responses VALUES ('key', ?, NULL)", planted)


def our_store(path: Path) -> None:
    with kr.Client(sandbox=True, store=path, progress=False) as client:
        kr.fetch_hashtags("cats", client=client)


def changed(path: Path, statement: str, *values: Any) -> None:
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("PRAGMA ignore_check_constraints = ON")
        db.execute(statement, values)


OURS_CHANGED = {
    "CREATE TRIGGER t AFTER INSERT ON keyapi_answers BEGIN DELETE FROM responses; END": "changed by another program",
    "CREATE VIEW mine AS SELECT * FROM keyapi_answers": "changed by another program",
    "CREATE INDEX mine ON responses(value)": "changed by another program",
    "PRAGMA user_version = 9": "has format 9",
}
STORES: dict[str, tuple[Callable[[Path, bytes], object], str]] = {
    "of requests-cache": (of_requests_cache, "another program"),
    "of another program": (lambda path, _: changed(path, "CREATE TABLE holidays (x)"), "another program"),
    "a picture": (lambda path, _: path.write_bytes(b"GIF89a" + bytes(5000)), "not an SQLite file"),
    "half of ours": (
        lambda path, _: (our_store(path), path.write_bytes(path.read_bytes()[:5000])), "malformed"),
    "ours with a pickle": (
        lambda path, planted: (our_store(path), changed(path, "INSERT INTO responses VALUES ('k', ?, NULL)", planted)),
        "pickle"),
    **{
        f"ours after {statement}": (lambda path, _, it=statement: (our_store(path), changed(path, it)), message)
        for statement, message in OURS_CHANGED.items()
    },
}  # fmt: skip


@pytest.mark.parametrize("what", STORES)
@pytest.mark.parametrize("offline", [False, True], ids=["online", "offline"])
def test_a_hostile_store_is_refused_and_left_as_it_is(what: str, offline: bool, tmp_path: Path) -> None:
    (make, message), store, trace = STORES[what], tmp_path / "store.db", tmp_path / "trace"
    make(store, pickle.dumps(Planted(trace)))
    content, before = store.read_bytes(), transferred()
    with pytest.raises(kr.StoreError, match=message) as caught:
        kr.Client(token="a-token-of-the-tests", store=store, offline=offline)
    assert transferred() - before < 10_000_000
    assert str(store) in str(caught.value)
    assert not trace.exists()
    assert store.read_bytes() == content


def test_a_pickle_in_the_place_of_an_answer_is_an_error_and_is_not_run(tmp_path: Path) -> None:
    store, trace = tmp_path / "store.db", tmp_path / "trace"
    our_store(store)
    changed(store, "UPDATE responses SET value = ?", pickle.dumps(Planted(trace)))
    with pytest.raises(kr.StoreError), kr.Client(store=store, offline=True) as client:
        kr.fetch_hashtags("cats", client=client)
    assert not trace.exists()
    pickle.loads(pickle.dumps(Planted(trace)))
    assert trace.read_text() == "executed", "the pickle would have written its file"


# Ways into a replay ---------------------------------------------------------------------------------------------


def test_a_file_that_changed_is_read_anew(frozen: tuple[Path, Any], tmp_path: Path) -> None:
    path = tmp_path / "study.zip"
    path.write_bytes(frozen[0].read_bytes())
    first = kr.replay(path)
    assert kr.connect() is first  # as an unchanged notebook does
    assert kr.connect(replay=path) is first
    path.touch()
    assert kr.replay(path) is not first
    damaged = bytearray(path.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    path.write_bytes(damaged)
    for again in (lambda: kr.replay(path), lambda: kr.connect(replay=path), lambda: kr.Client(replay=path)):
        with pytest.raises(kr.StoreError, match="cannot be replayed"):
            again()


def test_a_client_replays_too(frozen: tuple[Path, dict[str, pd.DataFrame]], monkeypatch: pytest.MonkeyPatch) -> None:
    path, frames = frozen
    with kr.Client(replay=path) as reader:
        assert reader.settings.offline
        assert "replay of" in repr(reader)
        assert_frame_equal(kr.fetch_hashtags(["ufc324", "cats", "missing1"], client=reader), frames["hashtags"])
    monkeypatch.setenv("KEYAPI_REPLAY", str(path))
    with kr.Client(token="a-real-token", max_age=0) as reader:  # a notebook that makes its own client, unchanged
        assert_frame_equal(kr.fetch_hashtags(["ufc324", "cats", "missing1"], client=reader), frames["hashtags"])
    with kr.Client(token="a-real-token", store=":memory:", replay=False) as live:
        assert not live.settings.offline


@pytest.mark.parametrize("path", [None, "", 3, True, b"study.zip"])
def test_a_replay_needs_a_path(path: Any) -> None:
    with pytest.raises(kr.InvalidArgumentError, match="path of an archive"):
        kr.replay(path)
    if path is not None:
        with pytest.raises(kr.InvalidArgumentError, match="path of an archive"):
            kr.connect(replay=path)


def test_what_is_too_large_for_an_archive_is_said(
    client: kr.Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kr.fetch_hashtags([f"tag{number}" for number in range(20)], client=client)
    monkeypatch.setattr("keyapi_research.archive_format._LARGEST_PART", 900)  # of a line; the manifest is larger
    with pytest.raises(kr.StoreError, match=r"a part of its answers.jsonl .* Freeze a study"):
        kr.freeze(tmp_path / "a.zip", client=client)
    monkeypatch.undo()
    monkeypatch.setattr("keyapi_research.archive_format._LARGEST_MANIFEST", 900)
    with pytest.raises(kr.StoreError, match=r"a part of its manifest.json .* fewer ids"):
        kr.freeze(tmp_path / "a.zip", client=client)
    assert not (tmp_path / "a.zip").exists()
