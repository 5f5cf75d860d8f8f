"""Archives: the same study gives the same bytes and, replayed, the same tables; what is not one is refused."""

from __future__ import annotations

import csv
import errno
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

import keyapi_research as kr
from keyapi_research import archive
from keyapi_research.sandbox import Fault, Sandbox

pytestmark = [
    pytest.mark.filterwarnings("ignore::keyapi_research.MissingDataWarning"),
    pytest.mark.filterwarnings("ignore:.*rows that came twice:keyapi_research.SchemaDriftWarning"),
    pytest.mark.filterwarnings("ignore:Duplicate name"),  # of zipfile, on what a forger makes
]

CLIP = "6703723351497508865"
VIDEOS = ["7117191641181555995", *(str(7300000000000000001 + n) for n in range(11))]
SAMPLE = Path(__file__).parent / "data" / "archives" / "format-1.zip"


def study(client: kr.Client) -> dict[str, pd.DataFrame]:
    """Run a small study of everything: batches, absences, pages, a month that is over."""
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


def test_freeze_says_what_is_in_it(client: kr.Client, sandbox: Sandbox, tmp_path: Path) -> None:
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
    asked = {(call["table"], call["limit"]): call["asked"] for call in manifest["calls"]}
    assert asked["hashtags", None] == [
        {"hashtag_name": ["ufc324", "cats", "missing1"], "region": "all_regions", "period": 7}
    ]
    assert asked["product_insights", 3] == [
        {"region": "US", "time_scope": "1", "search": None, "filter_category_id": None}
    ]
    assert pack(contents) == path.read_bytes()  # another writer of the same format spells it the same way


def test_a_path_that_is_taken_is_refused(client: kr.Client, tmp_path: Path) -> None:
    kr.fetch_hashtags("cats", client=client)
    (tmp_path / "mine.zip").write_text("mine")
    for path in (tmp_path / "mine.zip", tmp_path):
        with pytest.raises(kr.InvalidArgumentError, match="there already"):
            kr.freeze(path, client=client)
    assert (tmp_path / "mine.zip").read_text() == "mine"


def test_nothing_read_is_nothing_to_freeze(client: kr.Client, tmp_path: Path) -> None:
    kr.plan(kr.fetch_hashtags, "cats", client=client)
    with pytest.raises(kr.InvalidArgumentError, match="read nothing yet"):
        kr.freeze(tmp_path / "study.zip", client=client)


def test_what_failed_and_was_not_fetched_since_is_refused(
    client: kr.Client, sandbox: Sandbox, tmp_path: Path
) -> None:
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


def test_a_ranking_walked_again_differs_too(client: kr.Client, tmp_path: Path) -> None:
    kr.fetch_product_insights(limit=25, region="US", client=client)
    new = kr.fetch_product_insights(limit=5, region="US", max_age=0, client=client)
    summary = kr.freeze(tmp_path / "study.zip", client=client)
    assert summary.answers == 3
    assert summary.differing == ()  # the newer walk has 20 rows only, so each call still finds its own
    with kr.replay(tmp_path / "study.zip") as reader:
        assert_frame_equal(kr.fetch_product_insights(limit=5, region="US", client=reader), new)
        assert len(kr.fetch_product_insights(limit=25, region="US", client=reader)) == 25
    kr.fetch_product_insights(limit=40, region="US", max_age=0, client=client)
    again = kr.freeze(tmp_path / "again.zip", client=client)
    assert len(again.differing) == 2
    assert "limit=25" in again.differing[0]


def test_a_full_disk_leaves_nothing_behind(
    client: kr.Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
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


def test_odd_answers_travel_as_they_came(client: kr.Client, sandbox: Sandbox, tmp_path: Path) -> None:
    oddities = [float("nan"), 10**30, "\ud800", "\x00\u2028", 1e-7, -0.0, {"z": 1, "a": None}]
    inner = {"code": "0", "data": {"info": {"hashtag_name": "CATS", "odd": oddities}}}
    sandbox.faults.put(Fault(body=json.dumps({"code": 200, "message": "", "data": inner}).encode()))
    with pytest.warns(kr.SchemaDriftWarning):
        frame = kr.fetch_hashtags("cats", client=client)
    kr.freeze(tmp_path / "study.zip", client=client)
    with kr.replay(tmp_path / "study.zip") as reader:
        assert_frame_equal(kr.fetch_hashtags("cats", client=reader), frame)
        [before], [after] = frame.keyapi.raw(client=client), frame.keyapi.raw(client=reader)
    assert json.dumps(before) == json.dumps(after)
    assert json.dumps(oddities) in json.dumps(after)


def test_nothing_secret_is_in_it(sandbox: Sandbox, make_client: Callable[..., kr.Client], tmp_path: Path) -> None:
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
    assert b"[token]" in written[0].read_bytes(), "the echo is there, blotted"
    for file in written:
        content = file.read_bytes()
        assert not any(part in content for part in (b"kc-canary", b"7f+3a", b"7f%2B3a"))
        assert str(tmp_path).encode() not in content
        assert b"Bearer" not in content.replace(b"Bearer [token]", b"")


@pytest.mark.slow
@pytest.mark.skipif(
    not os.environ.get("KEYAPI_OTHER_PYTHON"), reason="KEYAPI_OTHER_PYTHON names no Python with another pandas"
)
def test_another_pandas_gives_the_same_bytes(make_client: Callable[..., kr.Client], tmp_path: Path) -> None:
    with make_client() as client:
        study(client)
        kr.freeze(tmp_path / "here.zip", client=client)
    script = (
        "import sys, pandas, keyapi_research as kr, runpy, warnings; warnings.simplefilter('ignore')\n"
        "client = kr.Client(store=sys.argv[1], offline=True)\n"
        "runpy.run_path(sys.argv[3])['study'](client)\n"
        "kr.freeze(sys.argv[2], client=client); print(pandas.__version__)"
    )
    other = subprocess.run(
        [os.environ["KEYAPI_OTHER_PYTHON"], "-c", script, tmp_path / "store.sqlite", tmp_path / "there.zip", __file__],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert other.stdout.strip() != pd.__version__
    assert (tmp_path / "here.zip").read_bytes() == (tmp_path / "there.zip").read_bytes()


# Replaying --------------------------------------------------------------------------------------------------

NOTEBOOK = """
import sys
import warnings
import keyapi_research as kr

out = sys.argv[1]
client = kr.connect(sandbox=True, store=f"{out}/store.sqlite", progress=False)
with warnings.catch_warnings(record=True) as said:
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
        "ledger": kr.ledger().drop(columns="elapsed_s"),
    }
print(sorted({str(one.message) for one in said}))
for name, table in tables.items():
    table.to_pickle(f"{out}/{name}.pickle")
print(repr(kr.freeze("study.zip")))
"""
ELSEWHERE = """
import datetime, runpy, socket, sys, time
import pandas, requests, requests_cache, tqdm  # what they take of the clock, they have taken

def refuse(*_args, **_kwargs):
    raise AssertionError("a socket was opened")

socket.socket = socket.create_connection = socket.getaddrinfo = refuse
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


def test_a_notebook_replays_unchanged_in_a_fresh_process_without_a_network_two_years_later(tmp_path: Path) -> None:
    (tmp_path / "notebook.py").write_text(NOTEBOOK)
    (tmp_path / "elsewhere.py").write_text(ELSEWHERE)
    for folder in ("here", "there"):
        (tmp_path / folder).mkdir()
    said = run(tmp_path, "notebook.py", "here")
    assert "KeyAPI has nothing for 1 hashtag_name: missing1" in said
    shutil.rmtree(tmp_path / "store", ignore_errors=True)
    (tmp_path / "here" / "store.sqlite").unlink()
    again = run(tmp_path, "elsewhere.py", "notebook.py", "there", KEYAPI_REPLAY="study.zip")
    assert again == said
    names = sorted(path.name for path in (tmp_path / "here").glob("*.pickle"))
    assert len(names) == 13
    assert sorted(path.name for path in (tmp_path / "there").iterdir()) == names  # and no store
    for name in names:
        before, after = pd.read_pickle(tmp_path / "here" / name), pd.read_pickle(tmp_path / "there" / name)
        assert_frame_equal(after, before)
        assert len(before) or name == "none.pickle"


def test_the_connection_of_a_replay(frozen: tuple[Path, dict[str, pd.DataFrame]], tmp_path: Path) -> None:
    path, frames = frozen
    reader = kr.replay(path)
    assert "replay of" in repr(reader)
    assert str(path) in repr(reader)
    assert kr.connect() is reader
    assert kr.connect(token="t", store=tmp_path / "other.sqlite", max_age=0) is reader
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
    reader.close()
    live.close()


def test_freezing_a_replay_gives_the_same_archive(frozen: tuple[Path, dict[str, pd.DataFrame]], tmp_path: Path) -> None:
    path, _ = frozen
    with kr.replay(path) as reader:
        study(reader)
        summary = kr.freeze(path, client=reader)  # the notebook's own last line: nothing is written
        kr.freeze(tmp_path / "copy.zip", client=reader)
        with pytest.raises(kr.InvalidArgumentError, match="there already"):
            kr.freeze(tmp_path / "copy.zip", client=reader)
    assert (summary.answers, summary.path) == (20, str(path))
    assert (tmp_path / "copy.zip").read_bytes() == path.read_bytes()


def test_freezing_in_a_replay_tells_what_the_archive_has_not_what_was_read_so_far(
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
def test_calls_of_a_stranger_are_told_or_refused(calls: list[Any], frozen: tuple[Path, Any], tmp_path: Path) -> None:
    path = tmp_path / "study.zip"
    path.write_bytes(change(calls=calls)(frozen[0]))
    with kr.replay(path) as reader, pytest.raises(kr.StoreError, match=r"manifest of .* are not as freeze"):
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


def test_the_archive_of_format_1_stays_readable() -> None:
    with kr.replay(SAMPLE) as reader:
        tags = kr.fetch_hashtags(["ufc324", "missing1"], client=reader)
        videos = kr.fetch_videos("7117191641181555995", client=reader)
        ranking = kr.fetch_product_insights(limit=1, client=reader)
        assert (kr.ledger(client=reader)["credits"].sum(), reader.source) == (7, "sandbox")
    assert tags.loc[0, ["hashtag_name", "posts", "views_all"]].tolist() == ["ufc324", 12142, 1289245188]
    assert videos.loc[0, ["video_id", "views"]].tolist() == ["7117191641181555995", 211100]
    assert ranking["category"].tolist() == ["Perfume"]


# Damaged and hostile archives -------------------------------------------------------------------------------

MEMBERS = ("manifest.json", "ledger.csv", "answers.jsonl")


@dataclass
class Parts:
    """What a forger changes; packed again with fitting checksums unless he forgets them."""

    manifest: dict[str, Any]
    ledger: list[str]
    answers: list[dict[str, Any]]
    lines: list[bytes] | None = None
    extra: dict[str, bytes] = field(default_factory=dict)
    fit: bool = True

    def pack(self) -> bytes:
        lines = self.lines or [json.dumps(one, separators=(",", ":")).encode() + b"\n" for one in self.answers]
        members = {"ledger.csv": "".join(self.ledger).encode(), "answers.jsonl": b"".join(lines)}
        if self.fit:
            self.manifest["members"] = {
                name: {
                    "bytes": len(content),
                    "lines": content.count(b"\n"),
                    "longest_line": max(map(len, content.splitlines(keepends=True)), default=0),
                    "sha256": hashlib.sha256(content).hexdigest(),
                }
                for name, content in members.items()
            }
        manifest = (json.dumps(self.manifest, sort_keys=True, indent=1) + "\n").encode()
        return pack({"manifest.json": manifest, **members, **self.extra})


def pack(members: dict[str, bytes], *, compression: int = zipfile.ZIP_STORED) -> bytes:
    """Write a zip as freeze does, by Python's own zipfile."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", compression) as archive_file:
        for name, content in members.items():
            info = zipfile.ZipInfo(name)
            info.create_system, info.external_attr, info.compress_type = 3, 0o100644 << 16, compression
            archive_file.writestr(info, content)
        digest = hashlib.sha256(members.get("manifest.json", b"")).hexdigest()
        archive_file.comment = f"manifest.json sha256 {digest}".encode()
    return packed.getvalue()


def parts_of(path: Path) -> Parts:
    with zipfile.ZipFile(path) as members:
        ledger = members.read("ledger.csv").decode().splitlines(keepends=True)
    return Parts(manifest_of(path), ledger, lines_of(path))


def contents_of(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as members:
        return {name: members.read(name) for name in MEMBERS}


def change(**changes: Any) -> Callable[[Path], bytes]:
    """Forge the manifest."""

    def forge(path: Path) -> bytes:
        parts = parts_of(path)
        parts.manifest.update(changes)
        return parts.pack()

    return forge


def answer(number: int, forge: Callable[[dict[str, Any]], object]) -> Callable[[Path], bytes]:
    """Forge one answer (0: a category, 1 to 3: the ranking, 4: the hashtag cats, 9: a video), checksums and all."""

    def forged(path: Path) -> bytes:
        parts = parts_of(path)
        forge(parts.answers[number])
        return parts.pack()

    return forged


def line(content: bytes) -> Callable[[Path], bytes]:
    def forged(path: Path) -> bytes:
        parts = parts_of(path)
        parts.lines = [content]
        return parts.pack()

    return forged


def structure(**options: Any) -> Callable[[Path], bytes]:
    def forged(path: Path) -> bytes:
        members = contents_of(path)
        for name in options.get("without", ()):
            del members[name]
        return pack({**members, **options.get("extra", {})}, compression=options.get("compression", zipfile.ZIP_STORED))

    return forged


def twice(path: Path) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as members:
        for name, content in [*contents_of(path).items(), ("answers.jsonl", b"{}\n")]:
            members.writestr(name, content)
    return packed.getvalue()


def with_attributes(name: str, *, mode: int = 0o100644, flags: int = 0) -> Callable[[Path], bytes]:
    def forged(path: Path) -> bytes:
        content = bytearray(path.read_bytes())
        at = content.index(b"PK\x01\x02")  # the directory; its entries have 46 bytes before the name
        entry = content.index(name.encode(), at) - 46
        content[entry + 8] |= flags
        content[entry + 38 : entry + 42] = (mode << 16).to_bytes(4, "little")
        return bytes(content)

    return forged


def bomb(path: Path) -> bytes:
    """A hundred megabytes of zeros in a hundred kilobytes."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as members:
        for name, content in contents_of(path).items():
            with members.open(name, "w") as member:
                member.write(content)
                for _ in range(100 if name == "answers.jsonl" else 0):
                    member.write(bytes(1_000_000))
    return packed.getvalue()


def long_line(size: int, promised: int | None = None) -> Callable[[Path], bytes]:
    """A line that no answer has; where the manifest does not own up to it, all else still fits."""

    def forged(path: Path) -> bytes:
        parts = parts_of(path)
        parts.lines = [b'"' + b"x" * (size - 3) + b'"\n', b"{}\n" * 30]
        packed = parts.pack()
        if promised is None:
            return packed
        parts.fit = False
        parts.manifest["members"]["answers.jsonl"]["longest_line"] = promised
        return parts.pack()

    return forged


def row(number: int, text: str) -> Callable[[Path], bytes]:
    def forged(path: Path) -> bytes:
        parts = parts_of(path)
        parts.ledger[number:number + 1] = [text] if text else []  # fmt: skip
        return parts.pack()

    return forged


def unfit(path: Path) -> bytes:
    parts = parts_of(path)
    parts.answers[4]["envelope"]["data"]["info"]["publish_cnt"] = 1
    parts.fit = False
    return parts.pack()


def reordered(path: Path) -> bytes:
    parts = parts_of(path)
    parts.answers[8], parts.answers[9] = parts.answers[9], parts.answers[8]
    return parts.pack()


def doubled(path: Path) -> bytes:
    parts = parts_of(path)
    parts.answers.insert(8, parts.answers[8])
    return parts.pack()


def cut(share: float) -> Callable[[Path], bytes]:
    return lambda path: path.read_bytes()[: int(path.stat().st_size * share)]


def put(**values: Any) -> Callable[[dict[str, Any]], object]:
    return lambda one: one.update(values)


def put_info(**values: Any) -> Callable[[dict[str, Any]], object]:
    return lambda one: one["envelope"]["data"]["info"].update(values)


def put_page(**values: Any) -> Callable[[dict[str, Any]], object]:
    return lambda one: one["page"].update(values)


def one_more_request(path: Path) -> bytes:
    parts = parts_of(path)
    parts.ledger.append(parts.ledger[-1].replace("11,", "12,", 1))
    parts.manifest["requests"] += 1
    return parts.pack()


HOSTILE: dict[str, tuple[Callable[[Path], bytes], str]] = {
    "empty": (lambda _: b"", "no archive of keyapi_research"),
    "not a zip": (lambda _: b"hello" * 100, "no archive of keyapi_research"),
    "another zip": (lambda _: pack({"a.txt": b"a"}), "'a.txt' is none that freeze writes"),
    "a store": (lambda _: b"SQLite format 3\x00" + bytes(4000), "no archive of keyapi_research"),
    "cut in its manifest": (cut(0.01), "cut short"),
    "cut in the middle": (cut(0.6), "cut short"),
    "its last byte cut off": (lambda path: path.read_bytes()[:-1], "cut short"),
    "bytes behind it": (lambda path: path.read_bytes() + b"\n", "longer than it should be"),
    "bytes before it": (lambda path: b"\n" + path.read_bytes(), "was damaged or packed again since"),
    "no manifest": (structure(without=["manifest.json"]), "has no manifest.json"),
    "no answers": (structure(without=["answers.jsonl"]), "has no answers.jsonl"),
    "a member that points out": (structure(extra={"../evil.py": b"x"}), r"'\.\./evil\.py' points out of the archive"),
    "a member that points out, first": (
        lambda path: pack({"..\\evil.py": b"x", **contents_of(path)}), r"evil\.py' points out of the archive"),
    "an absolute member": (
        lambda path: pack({"/etc/evil": b"x", **contents_of(path)}), "'/etc/evil' points out of the archive"),
    "a symbolic link": (with_attributes("manifest.json", mode=0o120777), "'manifest.json' is a symbolic link"),
    "a member twice": (twice, "'answers.jsonl' is there more than once"),
    "one more member": (structure(extra={"more.txt": b"x"}), "'more.txt' is none that freeze writes"),
    "encrypted": (with_attributes("ledger.csv", flags=1), "'ledger.csv' is encrypted"),
    "compressed": (structure(compression=zipfile.ZIP_DEFLATED), "is compressed, which freeze never does"),
    "a bomb": (bomb, "is compressed, which freeze never does"),
    "a line of 100 MB": (long_line(100_000_000), "has a line of 100,000,000 bytes, which no answer has"),
    "a line of 20 MB, denied": (long_line(20_000_000, 1000), "line 1 .* is longer than the manifest promises"),
    "a manifest of 20 MB": (
        lambda path: pack({**contents_of(path), "manifest.json": b"{" + b" " * 20_000_000 + b"}"}),
        "its manifest has 20,000,002 bytes"),
    "a manifest that is no JSON": (lambda path: pack({**contents_of(path), "manifest.json": b"{"}), "is no JSON"),
    "a manifest that is a list": (lambda path: pack({**contents_of(path), "manifest.json": b"[]"}), "no JSON object"),
    "a manifest nested without end": (
        lambda path: pack({**contents_of(path), "manifest.json": b'{"a":' + b"[" * 200_000}), "is no JSON"),
    "another program's manifest": (change(format="other"), "not one of a keyapi_research archive"),
    "another format version": (change(format_version=2), "has format 2, this version .* reads 1: update the package"),
    "a manifest with more in it": (change(hook="os.system"), "manifest is not as freeze writes it"),
    "a manifest with NaN": (change(credits=float("nan")), "manifest is not as freeze writes it"),
    "a source that is none": (change(source="../x"), "manifest is not as freeze writes it"),
    "other counts": (change(credits=1000), "counts other credits than it has"),
    "a checksum that does not fit": (unfit, "answers.jsonl was changed|cut short|longer than"),
    "answers in another order": (reordered, "line 10 of its answers.jsonl is not as freeze writes it"),
    "an answer twice": (doubled, "line 10 of its answers.jsonl is not as freeze writes it"),
    "an answer about another": (answer(4, put_info(hashtag_name="dogs")), "line 5 .* the answer is about 'dogs'$"),
    "an answer about nobody": (answer(4, put_info(hashtag_name=None)), "does not say whom it is about"),
    "parameters nobody can ask": (answer(0, lambda one: one["params"].update(region="UK")), 'is "GB"'),
    "one parameter less": (answer(0, lambda one: one["params"].pop("region")), "line 1 .* is no answer"),
    "one parameter more": (answer(0, lambda one: one["params"].update(x="1")), "line 1 .* is not as freeze writes it"),
    "an endpoint nobody knows": (answer(0, put(endpoint="/v1/other")), "knows no such endpoint"),
    "an error for an answer": (
        answer(4, lambda one: one["envelope"].update(code=402, data=None)), "no credits left"),
    "an absence that is none": (answer(4, put(absent=True)), "line 5 .* is not all about that"),
    "a stranger's row": (
        answer(9, lambda one: one["envelope"]["data"].append({"video_id": "1"})), "line 10 .* is not all about that"),
    "no request": (answer(4, put(request=99)), "line 5 .* no such request is in its ledger.csv"),
    "the request of another endpoint": (answer(4, put(request=4)), "line 5 .* no such request is in its ledger.csv"),
    "a number that is a flag": (answer(4, put(request=True)), "line 5 .* is not as freeze writes it|no such request"),
    "a number beyond all": (answer(1, put_page(walk=2**70)), "line 2 .* its place in the ranking cannot be right"),
    "more rows than there are": (answer(1, put_page(rows=99)), "line 2 .* its place in the ranking cannot be right"),
    "more new rows than rows": (answer(1, put_page(fresh=99)), "line 2 .* its place in the ranking cannot be right"),
    "fewer new rows than none": (answer(1, put_page(fresh=-1)), "line 2 .* its place in the ranking cannot be right"),
    "NaN for a number": (answer(1, put_page(fresh=float("nan"))), "line 2 of its answers.jsonl is no answer"),
    "a moment that is none": (answer(4, put(observed_at="yesterday")), "line 5 of its answers.jsonl is no answer"),
    "a moment before all": (answer(4, put(observed_at=None)), "line 5 of its answers.jsonl is no answer"),
    "a line that is no JSON": (line(b"os.system('x')\n" * 30), "line 1 of its answers.jsonl is no JSON"),
    "a line nested without end": (line(b"[" * 100_000 + b"\n" + b"{}\n" * 30), "line 1 .* is no JSON"),
    "a line with a pickle": (line(pickle.dumps(print).replace(b"\n", b"") + b"\n" + b"{}\n" * 30), "is no JSON"),
    "a request that is none": (row(3, "x,y\n"), "row 3 of its ledger.csv is no request"),
    "a request less": (row(11, ""), "no such request is in its ledger.csv"),
    "a request more": (one_more_request, "has requests that brought none"),
    "a field of the ledger without end": (row(3, '"' + "x" * 200_000 + "\n"), "row 3 of its .* is no request"),
}  # fmt: skip


def transferred() -> tuple[int, int]:
    """Bytes this process has read and written so far, as the kernel counts them."""
    facts = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    return int(facts["rchar"]), int(facts["wchar"])


@pytest.mark.parametrize("what", HOSTILE)
def test_what_is_no_archive_is_refused(what: str, frozen: tuple[Path, Any], tmp_path: Path) -> None:
    forge, said = HOSTILE[what]
    file = tmp_path / "hostile.zip"
    file.write_bytes(forge(frozen[0]))
    counted = Path("/proc/self/io").exists()
    before = transferred() if counted else (0, 0)
    with pytest.raises(kr.StoreError, match=said) as caught:
        kr.replay(file)
    after = transferred() if counted else (0, 0)
    assert str(file) in str(caught.value)
    assert all(now - then < 10_000_000 for now, then in zip(after, before, strict=True))
    assert [path.name for path in tmp_path.iterdir()] == ["hostile.zip"]


def test_an_untouched_archive_packed_by_the_forger_is_read(frozen: tuple[Path, Any], tmp_path: Path) -> None:
    """So that what is refused above is refused for what was changed."""
    (tmp_path / "fair.zip").write_bytes(parts_of(frozen[0]).pack())
    kr.replay(tmp_path / "fair.zip").close()


def test_every_flipped_bit_is_found(tmp_path: Path) -> None:
    whole = SAMPLE.read_bytes()
    chance = random.Random(4)
    places = {*range(80), *range(len(whole) - 330, len(whole)), *(chance.randrange(len(whole)) for _ in range(80))}
    file = tmp_path / "flipped.zip"
    for place in sorted(places):
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 1 << chance.randrange(8)]) + whole[place + 1 :])
        with pytest.raises(kr.StoreError, match="not replayed"):
            archive.load(str(file))
    file.write_bytes(whole)
    archive.load(str(file))[0].close()


def test_places_where_no_archive_is(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none.zip"):
        with pytest.raises(kr.StoreError, match="cannot be read"):
            kr.replay(path)
    with pytest.raises(kr.StoreError, match="cannot be read"):
        kr.connect(replay=tmp_path / "none.zip")


# Hostile stores ---------------------------------------------------------------------------------------------


UNCHECKED = ("PRAGMA ignore_check_constraints = ON", ())


class Planted:
    """What a pickle can do: here, leave a mark."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return Path.write_text, (self.mark, "executed")


def pickled(path: Path, mark: Path) -> None:
    """A cache of requests-cache's own kind, with a planted row."""
    with requests_cache.CachedSession(path.with_suffix(""), backend="sqlite") as session:
        session.cache.close()
    path.with_suffix(".sqlite").rename(path)
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("INSERT INTO responses VALUES ('key', ?, NULL)", (pickle.dumps(Planted(mark)),))


def our_store(path: Path, *statements: tuple[str, tuple[Any, ...]]) -> None:
    with kr.Client(sandbox=True, store=path, progress=False) as client:
        kr.fetch_hashtags("cats", client=client)
    with closing(sqlite3.connect(path)) as db, db:
        for statement, values in statements:
            db.execute(statement, values)


def planted(path: Path, mark: Path) -> None:
    blob = pickle.dumps(Planted(mark))
    our_store(path, UNCHECKED, ("INSERT INTO responses VALUES ('k', ?, NULL)", (blob,)))


def triggered(path: Path, mark: Path) -> None:
    del mark
    our_store(path, ("CREATE TRIGGER t AFTER INSERT ON keyapi_answers BEGIN DELETE FROM responses; END", ()))


def viewed(path: Path, mark: Path) -> None:
    del mark
    our_store(path, ("ALTER TABLE keyapi_answers RENAME TO hidden", ()),
              ("CREATE VIEW keyapi_answers AS SELECT * FROM hidden", ()))  # fmt: skip


def indexed(path: Path, mark: Path) -> None:
    del mark
    our_store(path, ("CREATE INDEX mine ON responses(value)", ()))


def another_program(path: Path, mark: Path) -> None:
    del mark
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("CREATE TABLE holidays (x)")


def no_database(path: Path, mark: Path) -> None:
    del mark
    path.write_bytes(b"GIF89a" + bytes(5000))


def half_a_database(path: Path, mark: Path) -> None:
    our_store(path)
    del mark
    path.write_bytes(path.read_bytes()[:5000])


def later_format(path: Path, mark: Path) -> None:
    del mark
    our_store(path, ("PRAGMA user_version = 9", ()))


STORES = {
    pickled: "another program",
    planted: "pickle",
    triggered: "changed by another program",
    viewed: "changed by another program",
    indexed: "changed by another program",
    another_program: "another program",
    no_database: "not an SQLite file",
    half_a_database: "malformed",
    later_format: "has format 9",
}


@pytest.mark.parametrize("make", STORES, ids=lambda make: make.__name__)
@pytest.mark.parametrize("offline", [False, True], ids=["online", "offline"])
def test_hostile_stores_are_refused(make: Callable[[Path, Path], None], offline: bool, tmp_path: Path) -> None:
    store, mark = tmp_path / "store.db", tmp_path / "mark"
    make(store, mark)
    content = store.read_bytes()
    before = transferred() if Path("/proc/self/io").exists() else (0, 0)
    with pytest.raises(kr.StoreError, match=STORES[make]) as caught:
        kr.Client(token="a-token-of-the-tests", store=store, offline=offline)
    after = transferred() if Path("/proc/self/io").exists() else (0, 0)
    assert all(now - then < 10_000_000 for now, then in zip(after, before, strict=True))
    assert str(store) in str(caught.value)
    assert not mark.exists()
    assert store.read_bytes() == content


def test_a_pickle_in_the_place_of_an_answer_is_an_error_and_is_not_run(tmp_path: Path) -> None:
    store, mark = tmp_path / "store.db", tmp_path / "mark"
    our_store(store, UNCHECKED, ("UPDATE responses SET value = ?", (pickle.dumps(Planted(mark)),)))
    with pytest.raises(kr.StoreError), kr.Client(store=store, offline=True) as client:
        kr.fetch_hashtags("cats", client=client)
    assert not mark.exists()
    pickle.loads(pickle.dumps(Planted(mark)))
    assert mark.read_text() == "executed", "the pickle would have left its mark"


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
        with pytest.raises(kr.StoreError, match="not replayed"):
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
