"""Nothing that was paid for is lost: killed programs, full disks, files that cannot be written, many processes."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import textwrap
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import keyapi_research as kr
from keyapi_research.sandbox import Fault, Sandbox
from keyapi_research.store import Store
from keyapi_research.store.sqlite import SQLite

Make = Callable[..., kr.Client]
posix = pytest.mark.skipif(os.name != "posix", reason="needs signals and users of POSIX")
IS_ROOT = os.name == "posix" and os.geteuid() == 0
# Python 3.12 and later warn who forks beside threads: those of a process that only imported are NumPy's and Arrow's.
FORKING = [sys.executable, "-W", "ignore:This process:DeprecationWarning", "-c"]
WORKERS = 4


def tags(*numbers: int) -> list[str]:
    return [f"tag{number}" for number in numbers]


def charged_names(sandbox: Sandbox) -> set[str]:
    return {request.params["hashtag_name"] for request in sandbox.requests if request.credits}


def stored_names(path: Path) -> set[str]:
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return {json.loads(params)["hashtag_name"] for (params,) in db.execute("SELECT params FROM keyapi_answers")}


def unanswered(path: Path) -> Counter[str]:
    with closing(sqlite3.connect(path)) as db:
        rows = db.execute("SELECT params FROM keyapi_ledger WHERE credits IS NULL").fetchall()
    return Counter(json.loads(params)["hashtag_name"] for (params,) in rows)


def names_of(answers: list[Any]) -> set[str]:
    assert all(answer["code"] == 0 and answer["requestId"] for answer in answers)
    return {answer["data"]["info"]["hashtag_name"].lower() for answer in answers}


# Killed --------------------------------------------------------------------------------------------------------

FETCH_AGAIN_AND_AGAIN = """
    import os, sys
    import keyapi_research as kr
    import keyapi_research.sandbox, tqdm
    url, store = sys.argv[1:]
    for _ in sys.stdin:  # a fork for each line: importing pandas each time would take a minute
        child = os.fork()
        if not child:
            client = kr.Client(token="a-token-of-the-tests", base_url=url, store=store, requests_per_second=None,
                               max_call_credits=None, progress=False)
            kr.fetch_hashtags([f"tag{n}" for n in range(200)], client=client)
            os._exit(0)
        print(child, flush=True)
        os.waitpid(child, 0)
        print("ended", flush=True)
"""


@posix
@pytest.mark.parametrize("kills", [pytest.param(30, marks=pytest.mark.slow)])
def test_killed_at_any_moment_nothing_received_is_lost(
    kills: int, make_client: Make, sandbox: Sandbox, tmp_path: Path
) -> None:
    path = tmp_path / "store.sqlite"
    make_client().close()
    moments = random.Random(9)
    sandbox.latency = 0.05
    with subprocess.Popen(
        [*FORKING, textwrap.dedent(FETCH_AGAIN_AND_AGAIN), sandbox.url, str(path)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as forge:
        assert forge.stdin is not None
        assert forge.stdout is not None
        known: set[str] = set()
        progress = 0
        for kill in range(1, kills + 1):
            enough = len(sandbox.requests) + moments.randrange(7)
            forge.stdin.write("\n")
            forge.stdin.flush()
            child = int(forge.stdout.readline())
            ends = time.monotonic() + 30
            while len(sandbox.requests) < enough and time.monotonic() < ends:
                time.sleep(0.005)
            time.sleep(moments.uniform(0.0, 0.05))
            os.kill(child, signal.SIGKILL)
            assert forge.stdout.readline() == "ended\n"
            stored = stored_names(path)
            assert known <= stored
            progress += stored != known
            known = stored
            in_flight = charged_names(sandbox) - stored
            assert len(in_flight) <= WORKERS * kill  # for some seconds nobody else requests what a killed one did
            assert in_flight <= set(unanswered(path))
        forge.stdin.close()
    assert progress > kills / 10  # some kills came while answers did
    assert len(known) < 200  # the last kill, too, hit a call that was under way
    sandbox.latency = 0
    time.sleep(0.05)
    with make_client(max_call_credits=None) as client:
        frame = kr.fetch_hashtags(tags(*range(200)), client=client)
        assert frame["hashtag_name"].tolist() == tags(*range(200))
        ledger = client.ledger()
    charged = Counter(request.params["hashtag_name"] for request in sandbox.requests if request.credits)
    again = Counter({name: times - 1 for name, times in charged.items() if times > 1})
    assert again.total() <= kills * WORKERS
    assert again <= unanswered(path)
    assert sandbox.charged == 400 + 2 * again.total()
    assert ledger["credits"].sum() == 400
    assert ledger["credits"].isna().sum() == unanswered(path).total()
    assert stored_names(path) == set(tags(*range(200)))


# Full ----------------------------------------------------------------------------------------------------------


def fill(folder: Path) -> None:
    with (folder / "filler").open("ab", buffering=0) as filler:
        try:
            while True:
                filler.write(b"x" * 4096)
        except OSError:
            return


def test_no_room_is_noticed_before_anything_is_paid(make_client: Make, sandbox: Sandbox, small_disk: Path) -> None:
    client = make_client(store=small_disk / "store.sqlite")
    kr.fetch_hashtags(tags(1), client=client)
    fill(small_disk)
    with pytest.raises(kr.StoreError, match=r"full, so nothing more is sent. Free some space"):
        kr.fetch_hashtags(tags(2), client=client)
    assert len(sandbox.requests) == 1
    assert len(kr.fetch_hashtags(tags(1), client=client)) == 1  # what is stored can still be read
    (small_disk / "filler").unlink()
    kr.fetch_hashtags(tags(1, 2), client=client)
    assert sandbox.charged == 4


@pytest.mark.parametrize("errors", ["raise", "warn"])
def test_a_disk_that_fills_up_loses_nothing(
    errors: Any, make_client: Make, sandbox: Sandbox, small_disk: Path
) -> None:
    path = small_disk / "store.sqlite"
    client = make_client(store=path, max_workers=2)
    kr.fetch_hashtags(tags(0), client=client)

    def press(_: str, params: dict[str, str]) -> Fault:
        if params["hashtag_name"] == "tag5":
            fill(small_disk)  # between the check and the answer
        return Fault(delay=0.02)

    sandbox.on_request = press
    with pytest.raises(kr.StoreError, match="full") as caught:
        kr.fetch_hashtags(tags(*range(20)), errors=errors, client=client)
    error = caught.value
    assert len(sandbox.requests) <= 8
    lost = names_of(error.answer)
    assert 1 <= len(lost) <= 2
    assert stored_names(path) | lost == charged_names(sandbox)
    assert not stored_names(path) & lost
    assert error.frame is not None
    assert set(error.frame["hashtag_name"]) == stored_names(path)
    assert error.failures is not None
    assert set(error.failures["id"]) == set(tags(*range(20))) - stored_names(path)
    assert client.credits_spent == sandbox.charged
    sandbox.on_request = None
    (small_disk / "filler").unlink()
    kr.fetch_hashtags(tags(*range(20)), client=client)
    assert sandbox.charged == 40  # what was paid is kept, and stored before anything else is sent


def test_a_database_that_may_not_grow_loses_nothing(
    make_client: Make, sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_client().close()
    monkeypatch.setattr(SQLite, "pragmas", (*SQLite.pragmas, "max_page_count = 60"))
    client = make_client(max_call_credits=None)
    with pytest.raises(kr.StoreError, match="full") as caught:
        kr.fetch_hashtags(tags(*range(200)), client=client)
    lost = names_of(caught.value.answer)
    assert len(lost) <= WORKERS  # none where there was no room for the ledger either
    assert stored_names(tmp_path / "store.sqlite") | lost == charged_names(sandbox)
    assert lost <= set(unanswered(tmp_path / "store.sqlite"))
    assert 10 < len(sandbox.requests) < 100
    assert client.credits_spent == sandbox.charged


def refuse_answers(path: Path, when: str = "") -> None:
    """Let SQLite itself refuse to write an answer into an open store."""
    with closing(sqlite3.connect(path)) as db:
        db.execute(f"CREATE TRIGGER broken BEFORE INSERT ON responses {when} "
                   "BEGIN SELECT raise(ABORT, 'disk I/O error'); END")


def test_a_page_that_cannot_be_kept_is_on_the_error(client: kr.Client, sandbox: Sandbox, tmp_path: Path) -> None:
    kr.fetch_product_insights(region="US", limit=20, client=client)
    refuse_answers(tmp_path / "store.sqlite")
    with pytest.raises(kr.StoreError, match="disk I/O error") as caught:
        kr.fetch_product_insights(region="US", limit=80, client=client)
    assert [len(answer["data"]["list"]) for answer in caught.value.answer] == [20]
    assert caught.value.frame is not None
    assert len(caught.value.frame) == 20
    assert sandbox.charged == 4


def test_an_answer_that_cannot_be_kept_goes_before_another_stop(
    make_client: Make, sandbox: Sandbox, tmp_path: Path
) -> None:
    client = make_client(max_workers=2)
    refuse_answers(tmp_path / "store.sqlite")
    faults = {"tag0": Fault(status=402), "tag1": Fault(delay=0.2)}
    sandbox.on_request = lambda _, params: faults[params["hashtag_name"]]
    with pytest.raises(kr.StoreError) as caught:
        kr.fetch_hashtags(tags(0, 1), client=client)
    assert names_of(caught.value.answer) == {"tag1"}
    assert caught.value.failures is not None
    assert caught.value.failures["error"].tolist() == ["CreditsExhaustedError", "StoreError"]


def test_ten_videos_are_kept_together_or_not_at_all(client: kr.Client, sandbox: Sandbox, tmp_path: Path) -> None:
    refuse_answers(tmp_path / "store.sqlite", "WHEN (SELECT count(*) FROM responses) = 6")
    ids = [str(7_100_000_000_000_000_001 + n) for n in range(10)]
    with pytest.raises(kr.StoreError) as caught:
        kr.fetch_videos(ids, client=client)
    assert [len(answer["data"]) for answer in caught.value.answer] == [10]
    assert client.status().answers == 0
    assert client.ledger()["credits"].isna().tolist() == [True]
    with closing(sqlite3.connect(tmp_path / "store.sqlite")) as db:
        db.execute("DROP TRIGGER broken")
    assert len(kr.fetch_videos(ids, client=client)) == 10
    assert sandbox.charged == 1


def test_an_answer_that_is_not_valid_json_is_on_the_error_too(
    client: kr.Client, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise kr.StoreError("the store cannot be written")

    monkeypatch.setattr(Store, "keep", broken)
    sandbox.faults.put(Fault(body=b"<html>maybe paid</html>"))
    with pytest.raises(kr.StoreError) as caught:
        kr.fetch_hashtags("cats", client=client)
    assert caught.value.answer == ["<html>maybe paid</html>"]


# Read-only -----------------------------------------------------------------------------------------------------


def test_a_file_made_read_only_half_way(make_client: Make, sandbox: Sandbox, tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    client = make_client(max_workers=2)

    def press(_: str, params: dict[str, str]) -> Fault:
        if params["hashtag_name"] == "tag5":
            path.chmod(0o444)
        return Fault(delay=0.02)

    sandbox.on_request = press
    with pytest.raises(kr.StoreError, match="read-only") as caught:
        kr.fetch_hashtags(tags(*range(20)), client=client)
    assert len(sandbox.requests) <= 7
    assert stored_names(path) | names_of(caught.value.answer) == charged_names(sandbox)
    assert client.credits_spent == sandbox.charged
    before = sandbox.charged
    with pytest.raises(kr.StoreError, match="read-only"):
        kr.fetch_hashtags(tags(30), client=client)
    assert sandbox.charged == before
    path.chmod(0o600)
    kr.fetch_hashtags(tags(*range(20)), client=client)
    assert sandbox.charged == 40


READ_IT_THERE = """
    import json, os, sys, traceback
    import keyapi_research as kr
    import keyapi_research.sandbox
    warm, url, *folders = sys.argv[1:]
    names = ["tag0", "tag1", "tag2"]
    with kr.Client(store=warm, offline=True) as client:  # what is imported late is imported now
        kr.fetch_hashtag_trends(names, client=client)

    def read(store):
        told = {}
        with kr.Client(store=store, offline=True) as client:
            told["rows"] = len(kr.fetch_hashtag_trends(names, client=client))
            told["stored"] = kr.plan(kr.fetch_hashtags, names, client=client).stored
            told["ledger"] = len(client.ledger())
            try:
                kr.fetch_hashtags([*names, "other1", "other2"], client=client)
            except kr.NotStoredError as error:
                told["missing"] = error.failures["id"].tolist()
        with kr.Client(token="a-token-of-the-tests", base_url=url, store=store, requests_per_second=None,
                       progress=False) as client:
            told["online"] = len(kr.fetch_hashtags(names, client=client))
            try:
                kr.fetch_hashtags("other1", client=client)
            except kr.StoreError as error:
                told["refused"] = "read-only" in str(error)
        return told

    read(os.path.join(folders[0], "store.sqlite"))  # what is imported late is there before somebody may not read it
    for user in [os.geteuid(), 65534] if os.geteuid() == 0 else [os.geteuid()]:
        if not os.fork():
            try:
                if user != os.geteuid():
                    os.setgroups([]), os.setgid(user), os.setuid(user)
                for folder in folders:
                    print(json.dumps(read(os.path.join(folder, "store.sqlite"))), flush=True)
            except BaseException:
                traceback.print_exc()
            os._exit(0)
        os.wait()
"""


@posix
def test_a_read_only_file_in_a_read_only_folder_is_read(
    make_client: Make, sandbox: Sandbox, tmp_path: Path, open_folder: Path
) -> None:
    client = make_client()
    kr.fetch_hashtags(tags(0, 1, 2), client=client)
    top = open_folder
    closed, left = top / "closed", top / "copied while it was open"
    left.mkdir()
    assert [part.name for part in tmp_path.iterdir()] == ["store.sqlite"]
    shutil.copyfile(tmp_path / "store.sqlite", left / "store.sqlite")
    client.close()
    closed.mkdir()
    shutil.copyfile(tmp_path / "store.sqlite", closed / "store.sqlite")
    for folder in (closed, left):
        for part in folder.iterdir():
            part.chmod(0o444)
        folder.chmod(0o555)
    before = {part: part.read_bytes() for part in top.rglob("*.sqlite*")}
    done = subprocess.run(
        [*FORKING, textwrap.dedent(READ_IT_THERE), str(tmp_path / "store.sqlite"), sandbox.url,
         str(closed), str(left)],
        capture_output=True, text=True, check=False, timeout=60,
    )
    after = {part: part.read_bytes() for part in top.rglob("*.sqlite*")}
    for folder in (closed, left):
        folder.chmod(0o755)
    assert done.stderr == ""
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(told) == (4 if IS_ROOT else 2)
    for one in told:
        assert one.pop("rows") > 3
        assert one == {"stored": 3, "ledger": 3, "missing": ["other1", "other2"], "online": 3, "refused": True}
    assert after == before
    assert sandbox.charged == 6


# Locked --------------------------------------------------------------------------------------------------------


def lock(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    db.execute("BEGIN IMMEDIATE")
    return db


def test_a_lock_is_waited_for(client: kr.Client, sandbox: Sandbox, tmp_path: Path) -> None:
    kr.fetch_hashtags(tags(0), client=client)
    holder = lock(tmp_path / "store.sqlite")
    threading.Timer(0.5, holder.close).start()
    began = time.monotonic()
    assert len(kr.fetch_hashtags(tags(0, 1), client=client)) == 2
    assert time.monotonic() - began > 0.4
    assert sandbox.charged == 4


@pytest.mark.parametrize("opened_before", [True, False])
def test_others_that_write_on_and_on_are_waited_for_longer_than_one_lock_that_stays(
    opened_before: bool, make_client: Make, sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    patience = 2.0
    monkeypatch.setattr(SQLite, "patience", patience)
    client = make_client()
    kr.fetch_hashtags(tags(0), client=client)
    other = sqlite3.connect(tmp_path / "store.sqlite", isolation_level=None, check_same_thread=False)
    other.execute("CREATE TABLE notes (text)")
    other.execute("PRAGMA locking_mode = EXCLUSIVE")  # it has the file from its first write to its end
    other.execute("INSERT INTO notes VALUES (0)")
    began = time.monotonic()

    def write() -> None:
        while time.monotonic() - began < 2 * patience:
            other.execute("INSERT INTO notes VALUES (1)")
            time.sleep(0.02)
        other.close()

    writer = threading.Thread(target=write)
    writer.start()
    if not opened_before:
        client = make_client()
    assert len(kr.fetch_hashtags(tags(0, 1), client=client)) == 2
    assert time.monotonic() - began >= 2 * patience
    writer.join()
    assert sandbox.charged == 4


def test_sqlite_itself_does_not_wait_ever_longer_for_a_lock(client: kr.Client) -> None:
    kr.fetch_hashtags(tags(0), client=client)
    assert client.store._db.rows("PRAGMA busy_timeout") == [(0,)]


def test_a_lock_that_stays_stops_before_the_first_send(
    make_client: Make, sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SQLite, "patience", 0.2)
    client = make_client()
    kr.fetch_hashtags(tags(0), client=client)
    with closing(lock(tmp_path / "store.sqlite")):
        assert len(kr.fetch_hashtags(tags(0), client=client)) == 1  # reading goes on
        with pytest.raises(kr.StoreError, match=r"has locked .*"):
            kr.fetch_hashtags(tags(1, 2, 3, 4, 5, 6), client=client)
    assert sandbox.charged == client.credits_spent == 2
    kr.fetch_hashtags(tags(1), client=client)


def test_a_lock_taken_while_an_answer_is_under_way(
    make_client: Make, sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SQLite, "patience", 0.2)
    client = make_client(max_workers=1)
    holders: list[sqlite3.Connection] = []

    def press(_: str, params: dict[str, str]) -> None:
        if params["hashtag_name"] == "tag1":
            holders.append(lock(tmp_path / "store.sqlite"))

    sandbox.on_request = press
    with pytest.raises(kr.StoreError, match="locked") as caught:
        kr.fetch_hashtags(tags(0, 1, 2, 3), client=client)
    assert names_of(caught.value.answer) == {"tag1"}
    assert caught.value.frame is not None
    assert caught.value.frame["hashtag_name"].tolist() == tags(0)
    assert len(sandbox.requests) == 2
    holders[0].close()
    sandbox.on_request = None
    kr.fetch_hashtags(tags(0, 1, 2, 3), client=client)
    assert sandbox.charged == client.credits_spent == 8  # tag1 was stored before the rest was sent


def test_a_lock_that_stays_is_waited_for_once_by_all_workers(
    make_client: Make, sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SQLite, "patience", 3.0)
    client = make_client(max_workers=4)
    kr.fetch_hashtags(tags(0), client=client)
    arrived = threading.Semaphore(0)
    locked = threading.Event()

    def hold(*_: object) -> None:
        arrived.release()
        locked.wait(60)

    sandbox.on_request = hold
    errors: list[kr.KeyAPIError] = []

    def fetch() -> None:
        try:
            kr.fetch_hashtags(tags(1, 2, 3, 4), client=client)
        except kr.KeyAPIError as error:
            errors.append(error)

    thread = threading.Thread(target=fetch)
    thread.start()
    for _ in range(4):
        assert arrived.acquire(timeout=60)
    with closing(lock(tmp_path / "store.sqlite")):
        began = time.monotonic()
        locked.set()
        thread.join(60)
        assert time.monotonic() - began < 10  # not 12, one after another
    assert [type(error) for error in errors] == [kr.StoreError]
    assert names_of(errors[0].answer) == set(tags(1, 2, 3, 4))


def test_a_lock_during_the_first_answer_does_not_end_the_client(
    make_client: Make, sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SQLite, "patience", 0.3)
    client = make_client()
    holder: list[sqlite3.Connection] = []
    sandbox.on_request = lambda *_: holder.append(lock(tmp_path / "store.sqlite"))
    with pytest.raises(kr.StoreError, match="locked"):
        kr.fetch_hashtags(tags(1), client=client)
    holder[0].close()
    sandbox.on_request = None
    assert len(kr.fetch_hashtags(tags(2), client=client)) == 1


def test_a_file_somebody_keeps_for_himself_is_not_paid_around(
    make_client: Make, sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SQLite, "patience", 0.2)
    with make_client() as client:
        kr.fetch_hashtags(tags(0), client=client)
    with closing(sqlite3.connect(tmp_path / "store.sqlite", isolation_level=None)) as holder:
        holder.execute("PRAGMA locking_mode = EXCLUSIVE")
        holder.execute("BEGIN EXCLUSIVE")
        with pytest.raises(kr.StoreError, match="locked"):
            make_client()
    assert sandbox.charged == 2


# Many processes ------------------------------------------------------------------------------------------------

FETCH_PARTS = """
    import os, sys, traceback
    import keyapi_research as kr
    import keyapi_research.sandbox
    url, store = sys.argv[1:]

    def fetch(first):
        names = [f"tag{n}" for n in range(first, first + 30)]
        with kr.Client(token="a-token-of-the-tests", base_url=url, store=store, requests_per_second=None,
                       max_call_credits=None, progress=False) as client:
            frame = kr.fetch_hashtags(names, client=client)
            assert frame["hashtag_name"].tolist() == names
            for n in range(0, 30, 7):
                kr.fetch_hashtags(names[n : n + 9], period=30, client=client)

    for part in range(4):  # all open the file, which is not there yet, in the same moment
        if not os.fork():
            try:
                fetch(10 * part)
            except BaseException:
                traceback.print_exc()
            os._exit(0)
    for part in range(4):
        os.wait()
"""


@posix
def test_four_processes_write_one_file(make_client: Make, sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.latency = 0.005
    path = tmp_path / "store.sqlite"
    done = subprocess.run(
        [*FORKING, textwrap.dedent(FETCH_PARTS), sandbox.url, str(path)],
        capture_output=True, text=True, check=False, timeout=120,
    )
    assert done.stderr == ""
    client = make_client()
    ledger = client.ledger()
    assert len(ledger) == len(sandbox.requests)
    assert ledger["credits"].sum() == sandbox.charged
    assert client.status().answers == len(sandbox.requests)  # where two paid in the same moment, both are kept
    assert stored_names(path) == set(tags(*range(60)))
    charged = sandbox.charged
    assert len(kr.fetch_hashtags(tags(*range(60)), client=client)) == 60
    assert sandbox.charged == charged


# Damaged, moved ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["'{\"_decoded_content\"'", "'[]'", "'{}'", "'{\"_decoded_content\": [1]}'"])
def test_an_unreadable_row_is_an_error_not_a_miss(
    value: str, client: kr.Client, sandbox: Sandbox, tmp_path: Path
) -> None:
    kr.fetch_hashtags(tags(1, 2), client=client)
    with closing(sqlite3.connect(tmp_path / "store.sqlite")) as db:
        db.execute(f"UPDATE responses SET value = {value} WHERE key LIKE '%' || (SELECT substr(entity, 4) "
                   "FROM keyapi_answers WHERE params LIKE '%tag1%') || '%'")
        assert db.total_changes == 1
        db.commit()
    with pytest.raises(kr.StoreError, match="damaged"):
        kr.fetch_hashtags(tags(1, 2), client=client)
    assert len(kr.fetch_hashtags(tags(2), client=client)) == 1
    assert sandbox.charged == 4


def test_a_ranking_is_not_continued_after_an_unreadable_page(
    client: kr.Client, sandbox: Sandbox, tmp_path: Path
) -> None:
    kr.fetch_product_insights(region="US", limit=20, client=client)
    with closing(sqlite3.connect(tmp_path / "store.sqlite")) as db:
        db.execute("UPDATE responses SET value = '[]'")
        db.commit()
    with pytest.raises(kr.StoreError, match="damaged"):
        kr.fetch_product_insights(region="US", limit=40, client=client)
    assert sandbox.charged == 2  # nothing is paid for a table that cannot be made


@posix
def test_a_fork_does_not_use_the_connections_of_its_parent(client: kr.Client, sandbox: Sandbox, tmp_path: Path) -> None:
    kr.fetch_hashtags(tags(1), client=client)
    read, write = os.pipe()
    child = os.fork()
    if not child:
        said = "nothing"
        try:
            for use in (lambda: kr.fetch_hashtags(tags(2), client=client), client.ledger, client.status):
                try:
                    use()
                except kr.StoreError as error:
                    said = str(error)
                else:
                    said = "it was used"
                    break
            client.close()
        finally:
            os.write(write, said.encode())
            os._exit(0)
    os.waitpid(child, 0)
    assert b"opened in the parent process" in os.read(read, 1000)
    os.close(read)
    os.close(write)
    assert len(kr.fetch_hashtags(tags(1, 3), client=client)) == 2  # the parent's goes on
    assert [request.params["hashtag_name"] for request in sandbox.requests] == tags(1, 3)


def test_a_copy_of_an_open_store_has_what_was_fetched(client: kr.Client, tmp_path: Path) -> None:
    kr.fetch_hashtags(tags(*range(20)), client=client)
    shutil.copyfile(tmp_path / "store.sqlite", tmp_path / "copy.sqlite")
    with kr.Client(store=tmp_path / "copy.sqlite", offline=True) as copy:
        assert len(kr.fetch_hashtags(tags(*range(20)), client=copy)) == 20


def test_a_store_moved_while_it_was_open_takes_its_answers_along(
    client: kr.Client, make_client: Make, sandbox: Sandbox, tmp_path: Path
) -> None:
    kr.fetch_hashtags(tags(*range(40)), client=client)
    (tmp_path / "store.sqlite").rename(tmp_path / "moved.sqlite")
    client.close()
    moved = make_client(store=tmp_path / "moved.sqlite")
    kr.fetch_hashtags(tags(*range(40)), client=moved)
    assert sandbox.charged == 80


def test_a_log_whose_store_is_gone_is_not_deleted(client: kr.Client, make_client: Make, tmp_path: Path) -> None:
    kr.fetch_hashtags(tags(1), client=client)
    (tmp_path / "other.sqlite-wal").write_bytes(b"answers of a store that was moved")
    for offline in (False, True):
        with pytest.raises(kr.StoreError, match="no store at" if offline else "Put the store back as"):
            make_client(store=tmp_path / "other.sqlite", offline=offline)
    assert (tmp_path / "other.sqlite-wal").read_bytes() == b"answers of a store that was moved"


def test_a_store_taken_away_under_the_last_answer_is_told(
    make_client: Make, sandbox: Sandbox, tmp_path: Path
) -> None:
    client = make_client(max_workers=1)
    sandbox.on_request = lambda *_: (tmp_path / "store.sqlite").unlink()
    with pytest.raises(kr.StoreError, match="moved, replaced or deleted") as caught:
        kr.fetch_hashtags(tags(1), client=client)
    assert names_of(caught.value.answer) == {"tag1"}


def test_a_damaged_index_is_an_error_not_a_miss(client: kr.Client, sandbox: Sandbox, tmp_path: Path) -> None:
    kr.fetch_hashtags(tags(1, 2), client=client)
    with closing(sqlite3.connect(tmp_path / "store.sqlite")) as db, db:
        db.execute("UPDATE keyapi_answers SET observed_at = 'x' WHERE params LIKE '%tag2%'")
        db.execute("UPDATE keyapi_ledger SET sent_at = 'x'")
    with pytest.raises(kr.StoreError, match="damaged"):
        kr.fetch_hashtags(tags(1, 2), client=client)
    with pytest.raises(kr.StoreError, match="damaged"):
        client.ledger()
    assert len(sandbox.requests) == 2


def test_what_an_alarm_raises_while_the_file_is_looked_at_comes_out(
    client: kr.Client, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    kr.fetch_hashtags(tags(0), client=client)

    def ring(*_: object, **__: object) -> None:
        raise TimeoutError("as the handler of an alarm raises it")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "stat", ring)
        with pytest.raises(TimeoutError, match="of an alarm"):
            client.store._db._last_write()
        with pytest.raises(TimeoutError, match="of an alarm"):
            client.store._db.check_there()
    assert sandbox.charged == 2


@posix
def test_a_path_that_is_not_a_file_is_refused_and_left_alone(make_client: Make, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o666)
    (tmp_path / "pipe").chmod(0o666)
    with pytest.raises(kr.StoreError, match="is not a regular file"):
        make_client(store=tmp_path / "pipe")
    assert (tmp_path / "pipe").stat().st_mode & 0o777 == 0o666


def test_a_name_too_long_for_the_log_is_refused_at_once(make_client: Make, tmp_path: Path) -> None:
    began = time.monotonic()
    with pytest.raises(kr.StoreError, match="cannot be opened"):
        make_client(store=tmp_path / ("n" * 253))
    assert time.monotonic() - began < SQLite.patience
    assert list(tmp_path.iterdir()) == []


BECOME_NOBODY = """
import os, sys, time
import keyapi_research as kr
store, warm = sys.argv[1:]
with kr.Client(store=warm, offline=True) as owner:
    kr.fetch_hashtags("tag1", client=owner), owner.status()
os.setgid(65534); os.setuid(65534)
"""


def read_as_nobody(code: str, store: Path, folder: Path) -> list[str]:
    """A command that reads a store as another user, who may not read the package or its libraries.

    What these import late, they import for a copy that the owner reads first.
    """
    warm = folder / "warm.sqlite"
    shutil.copyfile(store, warm)
    return [sys.executable, "-c", BECOME_NOBODY + textwrap.dedent(code), str(store), str(warm)]


@posix
@pytest.mark.skipif(not IS_ROOT, reason="needs to become another user")
def test_a_reader_leaves_nothing_behind_that_locks_the_owner_out(
    sandbox: Sandbox, open_folder: Path, tmp_path: Path
) -> None:
    folder = open_folder
    folder.chmod(0o777)
    with kr.Client(
        token="t", base_url=sandbox.url, store=folder / "s.sqlite", requests_per_second=None, progress=False
    ) as owner:
        kr.fetch_hashtags(tags(1), client=owner)
    (folder / "s.sqlite").chmod(0o644)
    read = """
        with kr.Client(store=store, offline=True) as reader:
            print(len(kr.fetch_hashtags("tag1", client=reader)))
    """
    done = subprocess.run(
        read_as_nobody(read, folder / "s.sqlite", tmp_path), capture_output=True, text=True, check=False, cwd="/"
    )
    assert done.stdout == "1\n", done.stderr
    assert [path.name for path in folder.iterdir()] == ["s.sqlite"]


READ_FOR_TWO_SECONDS = """
    seen, ends = 0, time.monotonic() + 2
    while time.monotonic() < ends:
        with kr.Client(store=store, offline=True) as reader:
            now = reader.status().answers
            assert now >= seen, (now, seen)
            assert len(kr.fetch_hashtags("tag0", client=reader)) == 1
            seen = now
    print("seen", seen)
"""


@posix
@pytest.mark.skipif(not IS_ROOT, reason="needs to become another user")
def test_a_reader_beside_a_writer_never_sees_half_of_it(make_client: Make, open_folder: Path, tmp_path: Path) -> None:
    folder = open_folder
    with make_client(store=folder / "s.sqlite") as first:
        kr.fetch_hashtags(tags(1), client=first)
    client = make_client(store=folder / "s.sqlite")
    command = read_as_nobody(READ_FOR_TWO_SECONDS, folder / "s.sqlite", tmp_path)
    kr.fetch_hashtags(tags(0), client=client)
    for part in folder.iterdir():
        part.chmod(0o644)
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd="/"
    ) as reader:
        number = 2
        while reader.poll() is None and number < 4000:
            kr.fetch_hashtags(tags(*range(number, number + 20)), client=client)
            number += 20
        out, err = reader.communicate(timeout=30)
    assert out.startswith("seen "), err
    assert int(out.split()[1]) > 1


@pytest.mark.parametrize("how", ["deleted", "replaced"])
def test_a_file_taken_away_while_it_is_open_stops_spending(
    how: str, client: kr.Client, sandbox: Sandbox, tmp_path: Path
) -> None:
    kr.fetch_hashtags(tags(1), client=client)
    path = tmp_path / "store.sqlite"
    path.rename(tmp_path / "elsewhere")
    if how == "replaced":
        path.touch()
    with pytest.raises(kr.StoreError, match="moved, replaced or deleted"):
        kr.fetch_hashtags(tags(2), client=client)
    assert sandbox.charged == 2


def test_where_the_folder_of_the_store_goes_away_the_paid_answers_are_on_the_error(tmp_path: Path) -> None:
    folder = tmp_path / "stick"
    folder.mkdir()
    with Sandbox(latency=0.05) as sandbox:
        client = kr.Client(token="a-token", base_url=sandbox.url, store=folder / "s.sqlite", requests_per_second=None)
        kr.fetch_hashtags("before", client=client)
        paid = sandbox.charged
        sandbox.on_request = lambda path, params: shutil.rmtree(folder, ignore_errors=True)
        with pytest.raises(kr.StoreError) as told:
            kr.fetch_hashtags([f"tag{number}" for number in range(9)], client=client)
        assert 2 * len(told.value.answer) == sandbox.charged - paid > 0
        client.close()
