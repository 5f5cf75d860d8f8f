"""What is in the store is what was paid for: bits flip, rows are changed, files copied, linked, killed and converted.

Black box: stores are made through the public path and damaged with sqlite3 or byte by byte. Whatever was done to a
file, reading it gives what it held or a typed error, and nothing that it holds is requested, and paid, again.
"""

from __future__ import annotations

import contextlib
import json
import math
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
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

import keyapi_research as kr
from keyapi_research.sandbox import Fault, Sandbox
from keyapi_research.store import bodies
from keyapi_research.store.sqlite import SQLite

pytestmark = [pytest.mark.filterwarnings("ignore::keyapi_research.KeyAPIWarning")]

Make = Callable[..., kr.Client]
posix = pytest.mark.skipif(os.name != "posix", reason="needs signals, links and users of POSIX")
IS_ROOT = os.name == "posix" and os.geteuid() == 0
as_nobody = pytest.mark.skipif(not IS_ROOT, reason="needs to become another user")
# Python 3.12 and later warn who forks beside threads: those of a process that only imported are NumPy's and Arrow's.
PYTHON = [sys.executable, "-W", "ignore:This process:DeprecationWarning", "-c"]
FORMAT_1 = Path(__file__).parent / "data" / "formats" / "store-v1.db"
BENCHMARKS = Path(__file__).parent.parent / "benchmarks"

TAGS = [f"tag{number}" for number in range(12)]
VIDEOS = [str(7_100_000_000_000_000_001 + number) for number in range(12)]
PAGE = 4096  # bytes
# An answer that is there and is taken for missing: offline the first, online what would come of paying for it.
FALSE_MISSES = (kr.NotStoredError, kr.BudgetExceededError, kr.FetchIncompleteError)


def tags(*numbers: int) -> list[str]:
    return [f"tag{number}" for number in numbers]


def beside(path: Path) -> list[str]:
    """Names of all that lies in the folder of a store."""
    return sorted(one.name for one in path.parent.iterdir())


def away(path: Path) -> None:
    """Delete a store and what SQLite left beside it."""
    for one in path.parent.glob(f"{path.name}*"):
        one.unlink()


def counted(client: kr.Client) -> tuple[object, ...]:
    """What a status counts; not how large the file is."""
    told = client.status()
    return (
        told.source, told.answers, told.absences, told.requests, told.requests_without_answer, told.credits_in_ledger,
        told.credits_spent,
    )


def difference(now: Any, before: Any) -> str | None:
    """What is not as it was; nothing where all is."""
    if not isinstance(before, pd.DataFrame):
        return None if now == before else f"{now!r:.300} instead of {before!r:.300}"
    if isinstance(now, pd.DataFrame) and now.equals(before) and now.dtypes.equals(before.dtypes):
        return None
    try:
        assert_frame_equal(now, before)
    except AssertionError as error:
        return " ".join(str(error).split())[:300]
    return None


# A study, and whether a damaged copy of its store still tells the truth -------------------------------------------


@dataclass(frozen=True)
class Study:
    """A store of a bit of everything, as bytes, with all that it told while it was sound."""

    server: Sandbox
    content: bytes
    earlier: bytes  # the store some answers before
    frames: dict[str, pd.DataFrame]
    truth: dict[str, Any]

    def client(self, path: Path, *, offline: bool) -> kr.Client:
        return kr.Client(
            token="a-token-of-the-tests", base_url=self.server.url, store=path, offline=offline,
            requests_per_second=None, max_workers=1, retries=0, progress=False,
        )  # fmt: skip

    def reads(self) -> dict[str, Callable[[kr.Client], Any]]:
        return {
            **FETCHES,
            "history": lambda client: self.frames["hashtags"].keyapi.history(client=client),
            "ledger": lambda client: client.ledger(),
            "status": counted,
            "plan": lambda client: str(kr.plan(kr.fetch_hashtags, [*TAGS, "missing1"], client=client)),
        }

    def outcomes(self, path: Path, *, frozen: bool = False) -> dict[str, str]:
        """What reading a store gives, offline and then online: "right", "refused", or what is wrong."""
        found: dict[str, str] = {}
        before = len(self.server.requests)
        for mode, reads in (("offline", self.reads()), ("online", FETCHES)):
            try:
                client = self.client(path, offline=mode == "offline")
            except Exception as error:
                found[f"{mode}: opening"] = refusal(error)
                continue
            with client:
                for name, read in reads.items():
                    found[f"{mode}: {name}"] = self.judged(name, read, client)
                if frozen and mode == "offline":
                    whole = {what for name, what in found.items() if name.startswith("offline")} == {"right"}
                    archive = path.with_name("study.zip")
                    freeze = Freeze(archive)
                    found["offline: freeze"] = self.judged("freeze" if whole else None, freeze, client)
                    archive.unlink(missing_ok=True)
        sent = self.server.requests[before:]
        if sent:
            found["server"] = f"requested again: {[one.params for one in sent]}"[:300]
        return found

    def judged(self, name: str | None, read: Callable[[kr.Client], Any], client: kr.Client) -> str:
        try:
            now = read(client)
        except Exception as error:
            return refusal(error)
        return (name and difference(now, self.truth[name])) or "right"


class Freeze:
    """Freeze what a client did, to compare the archive's bytes."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __call__(self, client: kr.Client) -> bytes:
        kr.freeze(self.path, client=client)
        return self.path.read_bytes()


FETCHES: dict[str, Callable[[kr.Client], Any]] = {
    "hashtags": lambda client: kr.fetch_hashtags([*TAGS, "missing1"], client=client),
    "trends": lambda client: kr.fetch_hashtag_trends(TAGS[:8], period=30, client=client),
    "videos": lambda client: kr.fetch_videos(VIDEOS, client=client),
    "ranking": lambda client: kr.fetch_product_insights(region="US", limit=60, client=client),
}


def refusal(error: Exception) -> str:
    """Whether an error is one of those that a damaged store may end with."""
    if isinstance(error, kr.KeyAPIError) and not isinstance(error, FALSE_MISSES):
        return "refused"
    return f"{type(error).__name__}: {error}"[:300]


def wrong(outcomes: dict[str, str]) -> list[str]:
    return [f"{name}: {what}" for name, what in outcomes.items() if what not in ("right", "refused")]


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Study]:
    """Hashtags of two periods, one confirmed missing, videos, three pages, a refusal, no answer, a refresh."""
    path = tmp_path_factory.mktemp("study") / "store.sqlite"
    with Sandbox() as server:
        made = Study(server, b"", b"", {}, {})
        with made.client(path, offline=False) as client:
            FETCHES["hashtags"](client)
        earlier = path.read_bytes()
        with made.client(path, offline=False) as client:
            for fetch in FETCHES.values():
                fetch(client)
            assert len(server.requests) == 13 + 8 + 2 + 3
            server.faults.put(Fault(status=400))
            kr.fetch_hashtags("refused", errors="warn", client=client)
            server.faults.put(Fault(close="before"))
            kr.fetch_hashtags("unanswered", errors="warn", client=client)
            kr.fetch_hashtags("tag3", max_age=0, client=client)
        made = Study(server, path.read_bytes(), earlier, {}, {})
        with made.client(path, offline=True) as client:
            made.frames.update({name: fetch(client) for name, fetch in FETCHES.items()})
            made.truth.update({name: read(client) for name, read in made.reads().items()})
            made.truth["freeze"] = Freeze(path.with_name("study.zip"))(client)
        past = made.truth["history"]
        assert (past["hashtag_name"] == "tag3").sum() == 2
        assert len(made.truth["ranking"]) == 60
        assert made.truth["ledger"]["credits"].isna().sum() == 1
        assert len(made.content) > 50 * PAGE
        yield made


@pytest.fixture
def path(study: Study, tmp_path: Path) -> Path:
    """A copy of the store of the study, to be damaged."""
    where = tmp_path / "store.sqlite"
    where.write_bytes(study.content)
    return where


def test_the_store_of_the_study_undamaged_is_read_as_it_was(study: Study, path: Path) -> None:
    assert set(study.outcomes(path, frozen=True).values()) == {"right"}
    assert beside(path) == ["store.sqlite"]


# Damaged bytes ----------------------------------------------------------------------------------------------------


def damaged_by(
    study: Study, path: Path, seeds: Iterable[int], damage: Callable[[random.Random, bytearray], str]
) -> tuple[list[str], Counter[str]]:
    """Damage copies of the store, one for each seed, and read them: what is wrong, and how often what came."""
    violations: list[str] = []
    came: Counter[str] = Counter()
    for seed in seeds:
        content = bytearray(study.content)
        what = damage(random.Random(seed), content)
        away(path)
        path.write_bytes(content)
        outcomes = study.outcomes(path)
        found = wrong(outcomes)
        violations += [f"seed {seed}, {what}; {one}" for one in found]
        came["wrong" if found else "refused" if "refused" in outcomes.values() else "right"] += 1
    return violations, came


def flip(content: bytearray, at: int, bit: int) -> str:
    content[at] ^= 1 << bit
    return f"bit {bit} of byte {at} (page {at // PAGE + 1}, byte {at % PAGE})"


def flip_anywhere(chance: random.Random, content: bytearray) -> str:
    return flip(content, chance.randrange(len(content)), chance.randrange(8))


def flip_where_pages_begin(chance: random.Random, content: bytearray) -> str:
    """Kind of page, number of cells, where they are: a flip there hides rows, or shows those of another page."""
    return flip(content, chance.randrange(0, len(content), PAGE) + chance.randrange(24), chance.randrange(8))


def flip_in_the_header(chance: random.Random, content: bytearray) -> str:
    return flip(content, chance.randrange(100), chance.randrange(8))


def flip_outside_bodies(chance: random.Random, content: bytearray) -> str:
    """Pages in which no answer's text is: the indexes, the ledger, what the store knows of itself."""
    pages = range(0, len(content), PAGE)
    few = [start for start in pages if b"_decoded_content" not in content[start : start + PAGE]]
    start = chance.choice(few)
    used = [at for at in range(start, start + PAGE) if content[at]]
    return flip(content, chance.choice(used), chance.randrange(8))


def clear_a_page(chance: random.Random, content: bytearray) -> str:
    start = chance.randrange(PAGE, len(content), PAGE)
    content[start : start + PAGE] = bytes(PAGE)
    return f"page {start // PAGE + 1} cleared"


def clear_a_sector(chance: random.Random, content: bytearray) -> str:
    start = chance.randrange(0, len(content), 512)
    content[start : start + 512] = bytes(512)
    return f"512 bytes at {start} cleared"


def misplace_a_page(chance: random.Random, content: bytearray) -> str:
    """A write that went to another place."""
    start, other = chance.sample(range(PAGE, len(content), PAGE), 2)
    content[other : other + PAGE] = content[start : start + PAGE]
    return f"page {start // PAGE + 1} written over page {other // PAGE + 1}"


def cut_the_end(chance: random.Random, content: bytearray) -> str:
    end = chance.randrange(1, len(content))
    if chance.random() < 0.7:
        end = max(PAGE, end - end % PAGE)
    del content[end:]
    return f"cut after {end} bytes"


def shown(violations: Sequence[str]) -> str:
    """For the report of a failure: all that was wrong."""
    return f"{len(violations)} of the outcomes are wrong:\n" + "\n".join(violations)


def many(slow: int, long: int) -> tuple[Any, Any]:
    """So many times among the slow tests, and among the long ones."""
    return pytest.param(slow, marks=pytest.mark.slow), pytest.param(long, marks=pytest.mark.long)


@pytest.mark.parametrize("seeds", [20, *many(100, 500)])
def test_one_flipped_bit_anywhere_gives_the_recorded_values_or_a_typed_error(
    seeds: int, study: Study, path: Path
) -> None:
    violations, came = damaged_by(study, path, range(seeds), flip_anywhere)
    assert not violations, shown(violations)
    assert came["refused"] > seeds / 2  # most of a store is answers


@pytest.mark.parametrize("seeds", [8, *many(80, 400)])
@pytest.mark.parametrize("damage", [flip_where_pages_begin, flip_outside_bodies])
def test_one_flipped_bit_in_what_leads_to_the_rows_hides_none_of_them(
    damage: Callable[[random.Random, bytearray], str], seeds: int, study: Study, path: Path
) -> None:
    violations, _ = damaged_by(study, path, range(seeds), damage)
    assert not violations, shown(violations)


@pytest.mark.parametrize("seeds", [10, *many(60, 300)])
def test_one_flipped_bit_in_the_header_gives_the_recorded_values_or_a_typed_error(
    seeds: int, study: Study, path: Path
) -> None:
    violations, _ = damaged_by(study, path, range(seeds), flip_in_the_header)
    assert not violations, shown(violations)


@pytest.mark.parametrize("seeds", [6, *many(40, 200)])
@pytest.mark.parametrize("damage", [clear_a_page, clear_a_sector, misplace_a_page, cut_the_end])
def test_a_damaged_page_gives_the_recorded_values_or_a_typed_error(
    damage: Callable[[random.Random, bytearray], str], seeds: int, study: Study, path: Path
) -> None:
    violations, came = damaged_by(study, path, range(seeds), damage)
    assert not violations, shown(violations)
    assert came["refused"] > seeds / 3


@pytest.mark.parametrize("seeds", [10, *many(60, 300)])
def test_pages_of_an_earlier_state_among_those_of_now_are_never_read_as_the_store(
    seeds: int, study: Study, path: Path
) -> None:
    """A backup that was broken off, a write that was lost."""
    common = range(PAGE, min(len(study.earlier), len(study.content)), PAGE)
    old = {start: study.earlier[start : start + PAGE] for start in common}
    changed = [start for start in common if old[start] != study.content[start : start + PAGE]]
    assert len(changed) > 3

    def mix(chance: random.Random, content: bytearray) -> str:
        stale = chance.sample(changed, chance.choice([1, 1, 2, 3]))
        for start in stale:
            content[start : start + PAGE] = old[start]
        return f"pages {[start // PAGE + 1 for start in stale]} as they were before"

    violations, came = damaged_by(study, path, range(seeds), mix)
    assert not violations, shown(violations)
    assert came["refused"] > seeds / 2


# Changed rows -----------------------------------------------------------------------------------------------------

DETAIL = "%/trending/hashtag/detail"
RESPONSE = "entity || '-' || observed_at"
Attack = Callable[[sqlite3.Connection], Any]


def hashtags_of(db: sqlite3.Connection) -> list[tuple[int, str]]:
    """Ids and keys of the answers about hashtags of seven days, one for each."""
    return db.execute(
        f"SELECT id, {RESPONSE} FROM keyapi_answers WHERE endpoint LIKE '{DETAIL}' AND absent = 0 AND request <= 13"
        " ORDER BY id"
    ).fetchall()


def swap(db: sqlite3.Connection, table: str, column: str, key: str, one: object, other: object) -> None:
    values = dict(db.execute(f"SELECT {key}, {column} FROM {table} WHERE {key} IN (?, ?)", (one, other)))
    assert len(values) == 2
    assert values[one] != values[other]
    for to, of in ((one, other), (other, one)):
        db.execute(f"UPDATE {table} SET {column} = ? WHERE {key} = ?", (values[of], to))


def swap_bodies(db: sqlite3.Connection) -> None:
    (_, one), (_, other), *_ = hashtags_of(db)
    swap(db, "responses", "value", "key", one, other)


def swap_bodies_of_videos(db: sqlite3.Connection) -> None:
    keys = db.execute(f"SELECT {RESPONSE} FROM keyapi_answers WHERE endpoint LIKE '%/video/%' LIMIT 2").fetchall()
    swap(db, "responses", "value", "key", keys[0][0], keys[1][0])


def swap_bodies_of_pages(db: sqlite3.Connection) -> None:
    keys = db.execute(f"SELECT {RESPONSE} FROM keyapi_answers WHERE page > 0 ORDER BY page").fetchall()
    swap(db, "responses", "value", "key", keys[1][0], keys[2][0])


def put_a_body_over_another(db: sqlite3.Connection) -> None:
    (_, one), (_, other), *_ = hashtags_of(db)
    db.execute("UPDATE responses SET value = (SELECT value FROM responses WHERE key = ?) WHERE key = ?", (one, other))


def put_the_older_body_over_the_newer(db: sqlite3.Connection) -> None:
    keys = db.execute(
        f"SELECT {RESPONSE} FROM keyapi_answers WHERE entity = (SELECT entity FROM keyapi_answers GROUP BY entity, page"
        " HAVING count(*) = 2) ORDER BY id"
    ).fetchall()
    db.execute(
        "UPDATE responses SET value = (SELECT value FROM responses WHERE key = ?) WHERE key = ?",
        (keys[0][0], keys[1][0]),
    )


def change_a_digit(db: sqlite3.Connection) -> None:
    (_, key), *_ = hashtags_of(db)
    value = db.execute("SELECT value FROM responses WHERE key = ?", (key,)).fetchone()[0]
    at = value.index('"publish_cnt":') + len('"publish_cnt":')
    changed = f"{value[:at]}{int(value[at]) % 9 + 1}{value[at + 1 :]}"
    db.execute("UPDATE responses SET value = ? WHERE key = ?", (changed, key))


def swap_cells(column: str) -> Attack:
    def attack(db: sqlite3.Connection) -> None:
        (one, _), (other, _), *_ = hashtags_of(db)
        swap(db, "keyapi_answers", column, "id", one, other)

    attack.__name__ = f"swap_{column}_of_two_answers"
    return attack


def statement(name: str, sql: str) -> Attack:
    def attack(db: sqlite3.Connection) -> None:
        before = db.total_changes
        db.execute(sql)
        assert db.total_changes > before

    attack.__name__ = name
    return attack


def delete(*tables: str, where: str) -> Attack:
    def attack(db: sqlite3.Connection) -> None:
        rows = db.execute(f"SELECT id, {RESPONSE} FROM keyapi_answers WHERE {where}").fetchall()
        assert rows
        for one, key in rows:
            if "keyapi_answers" in tables:
                db.execute("DELETE FROM keyapi_answers WHERE id = ?", (one,))
            if "responses" in tables:
                db.execute("DELETE FROM responses WHERE key = ?", (key,))

    which = {"id = 1": "first", "id = 4": "fourth", LAST: "last", ABSENT: "absent", "1": "every", PAGES: "second_page"}
    attack.__name__ = f"delete_the_{which[where]}_answer_from_{'_and_'.join(tables)}"
    return attack


LAST = "id = (SELECT max(id) FROM keyapi_answers)"
ABSENT = "absent = 1"
PAGES = "page = 2"
BOTH = ("keyapi_answers", "responses")
READABLE: list[Attack] = [
    swap_bodies,
    swap_bodies_of_videos,
    swap_bodies_of_pages,
    put_a_body_over_another,
    put_the_older_body_over_the_newer,
    change_a_digit,
    swap_cells("params"),
    swap_cells("entity"),
    swap_cells("observed_at"),
    statement("move_an_answer_by_a_microsecond",
              "UPDATE keyapi_answers SET observed_at = observed_at + 1 WHERE id = 3"),
    statement("move_an_answer_and_its_body_by_a_microsecond",
              f"UPDATE responses SET key = (SELECT entity || '-' || (observed_at + 1) FROM keyapi_answers WHERE id = 3)"
              f" WHERE key = (SELECT {RESPONSE} FROM keyapi_answers WHERE id = 3)"),
    statement("call_an_answer_absent", "UPDATE keyapi_answers SET absent = 1 WHERE id = 2"),
    statement("call_a_confirmed_missing_id_an_answer", "UPDATE keyapi_answers SET absent = 0 WHERE absent = 1"),
    statement("call_a_page_the_last", "UPDATE keyapi_answers SET more = 0 WHERE page = 1"),
    statement("turn_pages_around", "UPDATE keyapi_answers SET page = 4 - page WHERE page > 0"),
    statement("give_a_page_fewer_rows", "UPDATE keyapi_answers SET rows = rows - 1 WHERE page = 2"),
    statement("give_an_answer_to_another_request", "UPDATE keyapi_answers SET request = request + 1 WHERE id = 2"),
    statement("change_credits_of_the_ledger", "UPDATE keyapi_ledger SET credits = credits + 1 WHERE id = 2"),
    statement("take_credits_out_of_the_ledger", "UPDATE keyapi_ledger SET credits = NULL WHERE id = 2"),
    statement("give_credits_to_what_was_not_answered", "UPDATE keyapi_ledger SET credits = 0 WHERE credits IS NULL"),
    statement("change_when_it_was_sent", "UPDATE keyapi_ledger SET sent_at = sent_at + 1 WHERE id = 2"),
    statement("change_what_was_requested", "UPDATE keyapi_ledger SET params = replace(params, 'tag1', 'tag2')"
                                           " WHERE params LIKE '%\"tag1\"%'"),
    statement("change_how_it_was_answered", "UPDATE keyapi_ledger SET http_status = 500 WHERE id = 2"),
    statement("change_what_was_said", "UPDATE keyapi_ledger SET message = 'success!' WHERE id = 2"),
    statement("change_how_long_it_took", "UPDATE keyapi_ledger SET elapsed_s = elapsed_s + 1 WHERE id = 2"),
    *(delete(*tables, where=where) for where in ("id = 1", "id = 4", LAST, ABSENT, PAGES, "1")
      for tables in (("responses",), ("keyapi_answers",), BOTH)),
    statement("delete_a_row_of_the_ledger", "DELETE FROM keyapi_ledger WHERE id = 5"),
    statement("delete_the_first_row_of_the_ledger", "DELETE FROM keyapi_ledger WHERE id = 1"),
    statement("delete_the_last_row_of_the_ledger",
              "DELETE FROM keyapi_ledger WHERE id = (SELECT max(id) FROM keyapi_ledger)"),
    statement("delete_the_ledger", "DELETE FROM keyapi_ledger"),
    statement("give_it_another_source", "UPDATE keyapi_meta SET value = 'keyapi' WHERE name = 'source'"),
    statement("give_it_the_server_as_source", "UPDATE keyapi_meta SET value = '127.0.0.1' WHERE name = 'source'"),
    statement("delete_its_source", "DELETE FROM keyapi_meta WHERE name = 'source'"),
    statement("delete_what_it_knows_of_itself", "DELETE FROM keyapi_meta"),
]  # fmt: skip


def damage(path: Path, attack: Attack) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA synchronous = OFF")
        attack(db)
        db.commit()


@pytest.mark.parametrize("attack", READABLE, ids=lambda attack: attack.__name__)
def test_a_row_that_was_changed_is_an_error_never_data_never_paid_again(
    attack: Attack, study: Study, path: Path
) -> None:
    damage(path, attack)
    outcomes = study.outcomes(path, frozen=True)
    assert wrong(outcomes) == []
    assert "refused" in outcomes.values()


def drop_and_make_again(db: sqlite3.Connection) -> None:
    made = db.execute("SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL").fetchall()
    for name, sql in made:
        db.execute(f"DROP INDEX {name}")
        db.execute(sql)


def drop_an_index(db: sqlite3.Connection) -> None:
    db.execute("DROP INDEX keyapi_entity")


def expire(db: sqlite3.Connection) -> None:
    db.execute("UPDATE responses SET expires = 1")


@pytest.mark.parametrize("attack", [drop_and_make_again, drop_an_index, expire], ids=lambda attack: attack.__name__)
def test_what_changes_nothing_that_is_read_changes_nothing_or_is_refused(
    attack: Attack, study: Study, path: Path
) -> None:
    damage(path, attack)
    assert wrong(study.outcomes(path, frozen=True)) == []


@pytest.mark.parametrize("sql", ["REINDEX", "VACUUM", "ANALYZE", "PRAGMA optimize", "PRAGMA incremental_vacuum"])
def test_housekeeping_of_another_tool_changes_nothing(sql: str, study: Study, path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute(sql)
    assert set(study.outcomes(path, frozen=True).values()) == {"right"}


def test_a_row_deleted_while_the_store_is_open_is_not_paid_again(
    client: kr.Client, sandbox: Sandbox, tmp_path: Path
) -> None:
    kr.fetch_hashtags(tags(0, 1, 2), client=client)
    damage(tmp_path / "store.sqlite", statement("delete", "DELETE FROM keyapi_answers WHERE params LIKE '%tag1%'"))
    with pytest.raises(kr.StoreError):
        kr.fetch_hashtags(tags(0, 1, 2), client=client)
    with pytest.raises(kr.StoreError):
        kr.fetch_hashtags("tag1", client=client)
    with pytest.raises(kr.StoreError):
        kr.plan(kr.fetch_hashtags, tags(1), client=client)
    assert len(sandbox.requests) == 3


def test_a_damaged_answer_keeps_others_from_being_read_no_longer_than_it_is_requested(
    make_client: Make, sandbox: Sandbox, tmp_path: Path
) -> None:
    client = make_client(max_workers=1)
    kr.fetch_hashtags(tags(0, 1, 2), client=client)
    sound = kr.fetch_hashtags(tags(0, 2), client=client)
    damage(tmp_path / "store.sqlite", change_a_digit)
    with pytest.raises(kr.StoreError, match=r"damaged|changed"):
        kr.fetch_hashtags("tag0", client=client)
    assert difference(kr.fetch_hashtags("tag2", client=client), sound.iloc[[1]].reset_index(drop=True)) is None
    assert len(sandbox.requests) == 3


# Tables, triggers and journals of other tools ---------------------------------------------------------------------


def make_stat4(db: sqlite3.Connection) -> None:
    """Make the table as an SQLite with STAT4 does; this one may not have it."""
    db.execute("ANALYZE")
    if not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'sqlite_stat4'").fetchone():
        db.execute("CREATE TABLE stand_in (tbl, idx, neq, nlt, ndlt, sample)")
        db.execute("PRAGMA writable_schema = ON")
        db.execute(
            "UPDATE sqlite_master SET name = 'sqlite_stat4', tbl_name = 'sqlite_stat4',"
            " sql = 'CREATE TABLE sqlite_stat4(tbl,idx,neq,nlt,ndlt,sample)' WHERE name = 'stand_in'"
        )


def analyze(db: sqlite3.Connection) -> None:
    db.execute("ANALYZE")


@pytest.mark.parametrize("make", [analyze, make_stat4])
def test_statistics_of_another_tool_do_not_lock_the_store(make: Attack, study: Study, path: Path) -> None:
    damage(path, make)
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT count(*) FROM sqlite_master WHERE name LIKE 'sqlite_stat_'").fetchone()[0] >= 1
    assert set(study.outcomes(path).values()) == {"right"}
    with study.client(path, offline=False) as client:  # it is written, too
        assert len(kr.fetch_hashtags(f"new{make.__name__}", client=client)) == 1


NOTES = "CREATE TABLE notes (id INTEGER PRIMARY KEY, said TEXT); INSERT INTO notes (said) VALUES ('ours'); ANALYZE;"


@pytest.mark.parametrize("more", ["", "CREATE INDEX of_notes ON notes(said);"])
def test_a_table_of_another_tool_does_not_lock_the_store_and_stays(more: str, study: Study, path: Path) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.executescript(NOTES + more)
    assert set(study.outcomes(path, frozen=True).values()) == {"right"}
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT said FROM notes").fetchall() == [("ours",)]


def test_a_table_of_another_tool_in_a_store_of_format_1_stays_when_that_is_converted(
    old: Path, first_told: dict[str, Any]
) -> None:
    with closing(sqlite3.connect(old)) as db:
        db.executescript(NOTES)
    for offline in (True, False, True):
        assert differing(read_format_1(old, offline=offline), first_told) == []
    with closing(sqlite3.connect(old)) as db:
        assert db.execute("SELECT said FROM notes").fetchall() == [("ours",)]


TRIGGER = "CREATE TRIGGER theirs AFTER INSERT ON {} BEGIN SELECT 1; END"
CHANGED = {
    "a trigger on answers": TRIGGER.format("keyapi_answers"),
    "a trigger on bodies": TRIGGER.format("responses"),
    "a trigger on the ledger": TRIGGER.format("keyapi_ledger"),
    "a view": "CREATE VIEW theirs AS SELECT * FROM keyapi_ledger",
    "another column": "ALTER TABLE keyapi_ledger ADD COLUMN theirs TEXT",
    "another column of bodies": "ALTER TABLE responses ADD COLUMN theirs TEXT",
    "a renamed column": "ALTER TABLE keyapi_answers RENAME COLUMN params TO inputs",
    "a table that is gone": "DROP TABLE redirects",
    "a table of another name": "ALTER TABLE keyapi_ledger RENAME TO ledger",
    "another index of ours": "DROP INDEX keyapi_entity; CREATE INDEX keyapi_entity ON keyapi_answers(endpoint)",
    "an index in another order": "DROP INDEX keyapi_entity; CREATE INDEX keyapi_entity ON keyapi_answers(entity DESC)",
    "an index of some rows": "DROP INDEX keyapi_entity; CREATE INDEX keyapi_entity ON keyapi_answers(entity)"
                             " WHERE absent = 0",
}  # fmt: skip


@pytest.mark.parametrize("sql", CHANGED.values(), ids=CHANGED)
def test_a_changed_definition_is_refused(sql: str, study: Study, path: Path) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.executescript(sql)
    for offline in (True, False):
        with pytest.raises(kr.StoreError):
            study.client(path, offline=offline)


def journal_mode(path: Path) -> str:
    with closing(sqlite3.connect(path)) as db:
        return str(db.execute("PRAGMA journal_mode").fetchone()[0])


def test_a_new_store_has_a_rollback_journal(client: kr.Client, tmp_path: Path) -> None:
    kr.fetch_hashtags(tags(0), client=client)
    assert (tmp_path / "store.sqlite").read_bytes()[18:20] == b"\1\1"  # of the header: no write-ahead log
    assert journal_mode(tmp_path / "store.sqlite") == "delete"


def test_a_write_ahead_log_of_another_tool_is_read_and_left_by_who_writes(study: Study, path: Path) -> None:
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA journal_mode = WAL").fetchone() == ("wal",)
    outcomes = study.outcomes(path)  # offline first
    assert wrong(outcomes) == []
    assert {what for name, what in outcomes.items() if name.startswith("online")} == {"right"}
    assert journal_mode(path) == "delete"
    assert beside(path) == ["store.sqlite"]


@posix
def test_a_write_ahead_log_that_another_tool_left_behind_is_read_too(study: Study, path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA wal_autocheckpoint = 0")
        with study.client(path, offline=False) as client:  # whichever journal it then uses
            with contextlib.suppress(kr.StoreError):
                assert len(kr.fetch_hashtags("inlog", client=client)) == 1
            stored = client.status().answers
        left = path.with_name("left.sqlite")
        for part in ("", "-wal"):
            with contextlib.suppress(FileNotFoundError):
                shutil.copyfile(f"{path}{part}", f"{left}{part}")
    with study.client(left, offline=False) as client:
        assert client.status().answers == stored
    assert journal_mode(left) == "delete"


def test_a_write_ahead_log_in_a_folder_that_may_not_be_written_is_read_or_refused(study: Study, path: Path) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA journal_mode = WAL")
    path.chmod(0o444)
    path.parent.chmod(0o555)
    before = path.read_bytes()
    try:
        outcomes = study.outcomes(path)
    finally:
        path.parent.chmod(0o755)
    assert wrong(outcomes) == []
    assert path.read_bytes() == before
    assert beside(path) == ["store.sqlite"]


def test_a_write_ahead_log_that_another_tool_holds_open_is_used_or_refused_in_words(
    study: Study, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SQLite, "patience", 0.3)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("BEGIN")
        db.execute("SELECT count(*) FROM responses").fetchone()
        outcomes = study.outcomes(path)
        assert wrong(outcomes) == []
        if outcomes.get("online: opening") == "refused":
            with pytest.raises(kr.StoreError, match=r"locked.*Close"):
                study.client(path, offline=False)
    monkeypatch.undo()
    assert wrong(study.outcomes(path)) == []
    assert journal_mode(path) == "delete"


# Copies -----------------------------------------------------------------------------------------------------------

STORE_ONE_AFTER_THE_OTHER = """
    import sys, threading, time
    import keyapi_research as kr
    url, store, pause = sys.argv[1:]
    stop = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), stop.set()), daemon=True).start()
    with kr.Client(token="a-token-of-the-tests", base_url=url, store=store, requests_per_second=None,
                   max_call_credits=None, progress=False) as client:
        number = 0
        while not stop.is_set():
            kr.fetch_hashtags(f"tag{number}", client=client)
            print(number, flush=True)
            number += 1
            time.sleep(float(pause))
"""


class Writer:
    """A process that stores one answer after the other: what it stored, and what the server told it."""

    def __init__(self, sandbox: Sandbox, path: Path, pause: float = 0.0) -> None:
        self.told: dict[str, tuple[int, int]] = {}
        self.stored = 0
        self._arrived = threading.Condition()
        sandbox.mutate = self._remember
        self._process = subprocess.Popen(
            [*PYTHON, textwrap.dedent(STORE_ONE_AFTER_THE_OTHER), sandbox.url, str(path), str(pause)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Let it end what it is at."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(60)
        self._reader.join(60)
        self._process.stdout.close()

    def _remember(self, path: str, params: dict[str, str], envelope: dict[str, Any]) -> dict[str, Any]:
        info = envelope["data"]["info"]
        self.told[params["hashtag_name"]] = info["publish_cnt"], info["video_views"]
        return envelope

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with self._arrived:
                self.stored = int(line) + 1
                self._arrived.notify_all()

    def wait_for(self, answers: int) -> None:
        with self._arrived:
            assert self._arrived.wait_for(lambda: self.stored >= answers, timeout=60)


@dataclass(frozen=True)
class Copied:
    """A copy made beside a writer: how many answers there were before it began, and how many at most after it ended."""

    path: Path
    least: int
    most: int

    def verdict(self, told: dict[str, tuple[int, int]]) -> str:
        try:
            with kr.Client(store=self.path, offline=True) as client:
                count = client.status().answers
                if not self.least <= count <= self.most:
                    return f"{count} answers, not from {self.least} to {self.most}"
                frame = kr.fetch_hashtags(tags(*range(count)), client=client)
                ledger = client.ledger()
        except kr.StoreError:
            return "refused"
        except Exception as error:
            return f"{type(error).__name__}: {error}"[:300]
        figures = dict(zip(frame["hashtag_name"], zip(frame["posts"], frame["views"], strict=True), strict=True))
        if figures != {name: told[name] for name in tags(*range(count))}:
            return "other figures than the server told"
        if ledger["credits"].sum() != 2 * count or len(ledger) - count not in (0, 1):
            return f"{count} answers, but a ledger of {len(ledger)} rows and {ledger['credits'].sum()} credits"
        return "whole"


def copy_at_once(path: Path, to: Path) -> None:
    shutil.copyfile(path, to)


def copy_journal_first(path: Path, to: Path) -> None:
    with contextlib.suppress(FileNotFoundError):  # between two writes there is none
        shutil.copyfile(f"{path}-journal", f"{to}-journal")
    shutil.copyfile(path, to)


def copy_journal_last(path: Path, to: Path) -> None:
    shutil.copyfile(path, to)
    with contextlib.suppress(FileNotFoundError):
        shutil.copyfile(f"{path}-journal", f"{to}-journal")


def copy_slowly(path: Path, to: Path) -> None:
    """Copy as over a network: answers arrive meanwhile."""
    with path.open("rb") as source, to.open("wb") as target:
        while part := source.read(4 * PAGE):
            target.write(part)
            time.sleep(0.0005)


def copy_slowly_journal_first(path: Path, to: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        shutil.copyfile(f"{path}-journal", f"{to}-journal")
    copy_slowly(path, to)


COPIES: dict[Callable[[Path, Path], None], int] = {
    copy_at_once: 60,
    copy_journal_first: 30,
    copy_journal_last: 30,
    copy_slowly: 20,
    copy_slowly_journal_first: 20,
}


@pytest.mark.parametrize("share", [8, pytest.param(1, marks=pytest.mark.slow)])
def test_copies_made_while_answers_are_stored_are_whole_or_refused(
    share: int, sandbox: Sandbox, tmp_path: Path
) -> None:
    moments = random.Random(4)
    folder = tmp_path / "copies"
    folder.mkdir()
    (tmp_path / "live").mkdir()
    path = tmp_path / "live" / "store.sqlite"
    copies: list[tuple[str, Copied]] = []
    with Writer(sandbox, path) as writer:
        writer.wait_for(3)
        jobs = [copy for copy, times in COPIES.items() for _ in range(times // share)]
        moments.shuffle(jobs)
        for number, copy in enumerate(jobs):
            if number % (len(jobs) // 8) == 0:
                writer.wait_for(writer.stored + 1)  # however busy the machine is
            time.sleep(moments.uniform(0, 0.008))
            to, least = folder / f"{number}.sqlite", writer.stored
            copy(path, to)
            copies.append((copy.__name__, Copied(to, least, len(writer.told))))
        told = dict(writer.told)
    verdicts = [(name, one, one.verdict(told)) for name, one in copies]
    shutil.rmtree(folder)
    violations = [
        f"{name}, answers {one.least} to {one.most}: {what}"
        for name, one, what in verdicts
        if what not in ("whole", "refused")
    ]
    assert not violations, shown(violations)
    assert len({one.least for _, one in copies}) > 5  # answers came while copies were made
    assert any(what == "whole" for _, _, what in verdicts)


def test_copies_made_between_two_writes_are_whole_and_there_is_nothing_else_to_copy(
    client: kr.Client, tmp_path: Path
) -> None:
    path = tmp_path / "store.sqlite"
    folder = tmp_path / "copies"
    folder.mkdir()
    for number in range(12):
        kr.fetch_hashtags(tags(number), client=client)
        assert beside(path) == ["copies", "store.sqlite"]  # the client is still open
        shutil.copyfile(path, folder / "copy.sqlite")
        with kr.Client(store=folder / "copy.sqlite", offline=True) as copy:
            assert copy.status().answers == number + 1
            now, then = (kr.fetch_hashtags(tags(*range(number + 1)), client=one) for one in (client, copy))
            assert difference(then, now) is None
        away(folder / "copy.sqlite")


def test_a_copy_of_a_store_that_is_being_read_is_whole(client: kr.Client, study: Study, path: Path) -> None:
    with study.client(path, offline=True) as reader:
        kr.fetch_hashtags(TAGS, client=reader)
        assert beside(path) == ["store.sqlite"]
        content = path.read_bytes()
    assert content == study.content


def test_a_copy_that_is_written_on_is_a_store_of_its_own(
    make_client: Make, sandbox: Sandbox, tmp_path: Path
) -> None:
    with make_client() as client:
        kr.fetch_hashtags(tags(0), client=client)
        shutil.copyfile(tmp_path / "store.sqlite", tmp_path / "copy.sqlite")
        copy = make_client(store=tmp_path / "copy.sqlite")
        kr.fetch_hashtags(tags(1), client=copy)
        assert (client.status().answers, copy.status().answers) == (1, 2)
        kr.fetch_hashtags(tags(1), client=client)  # this one does not have it
    assert sandbox.charged == 6


# Reading beside writing -------------------------------------------------------------------------------------------

READ_AGAIN_AND_AGAIN = """
    import sys
    import keyapi_research as kr
    store, count = sys.argv[1:]
    names = [f"tag{number}" for number in range(int(count))]
    with kr.Client(store=store, offline=True) as client:
        while True:
            print("begin", flush=True)
            assert len(kr.fetch_hashtags(names, client=client)) == len(names)
"""


@pytest.mark.long
def test_who_reads_a_hundred_thousand_answers_keeps_nobody_waiting(
    make_client: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not (BENCHMARKS / "common.py").exists():
        pytest.skip("the benchmarks, which fill the store, are not here")
    monkeypatch.syspath_prepend(BENCHMARKS)
    common = __import__("common")
    path = tmp_path / "store.sqlite"
    common.fill(path, common.hashtag_answers(100_000))
    client = make_client(store=path)
    longest: list[float] = []
    with subprocess.Popen(
        [*PYTHON, textwrap.dedent(READ_AGAIN_AND_AGAIN), str(path), "100000"], stdout=subprocess.PIPE, text=True
    ) as reader:
        assert reader.stdout is not None
        begun = threading.Semaphore(0)

        def count() -> None:
            assert reader.stdout is not None
            for _ in reader.stdout:
                begun.release()

        counting = threading.Thread(target=count, daemon=True)
        counting.start()
        try:
            assert begun.acquire(timeout=120)
            for run in range(3):  # the best of three: a busy machine is not the store's fault
                waits: list[float] = []
                ended = False
                while len(waits) < 200 or not ended:  # for as long as one whole reading takes
                    started = time.monotonic()
                    kr.fetch_hashtags(f"new{run}x{len(waits)}", client=client)
                    waits.append(time.monotonic() - started)
                    ended = ended or begun.acquire(blocking=False)
                longest.append(max(waits))
            assert reader.poll() is None
        finally:
            reader.kill()
            counting.join(30)
    path.unlink()
    print("longest wait of who stores, in three runs:", [f"{one:.3f} s" for one in longest])  # noqa: T201
    assert min(longest) < 1


# Links ------------------------------------------------------------------------------------------------------------

STORE_THROUGH = """
    import os, sys
    import keyapi_research as kr
    import keyapi_research.sandbox
    for line in sys.stdin:  # a fork for each line
        url, store, first = line.rstrip("\\n").split("\\t")
        child = os.fork()
        if not child:
            client = kr.Client(token="a-token-of-the-tests", base_url=url, store=store, requests_per_second=None,
                               max_call_credits=None, max_workers=1, progress=False)
            if first == "one call":
                kr.fetch_hashtags([f"tag{number}" for number in range(1000)], client=client)
            for number in range(int(first), 100_000):
                kr.fetch_hashtags(f"tag{number}", client=client)
                print(number, flush=True)
            os._exit(0)
        print(f"child {child}", flush=True)
        os.waitpid(child, 0)
        print("ended", flush=True)
"""


class Forge:
    """Processes that store answers and are killed in the middle of that."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def start(self, sandbox: Sandbox, path: Path, first: object) -> int:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{sandbox.url}\t{path}\t{first}\n")
        self.process.stdin.flush()
        return int(self._line().split()[1])

    def kill(self, child: int) -> list[str]:
        """Kill it; what it still said."""
        os.kill(child, signal.SIGKILL)
        return list(iter(self._line, "ended"))

    def store_and_die(self, sandbox: Sandbox, path: Path, first: int, answers: int, later: float) -> int:
        """Store one answer after the other and be killed a moment after some: up to which it surely stored."""
        child = self.start(sandbox, path, first)
        stored = first
        while stored < first + answers:
            stored = int(self._line()) + 1
        time.sleep(later)
        return max([stored, *(int(line) + 1 for line in self.kill(child))])

    def _line(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line
        return line.rstrip("\n")


@pytest.fixture(scope="module")
def forge() -> Iterator[Forge]:
    with subprocess.Popen(
        [*PYTHON, textwrap.dedent(STORE_THROUGH)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield Forge(process)
        assert process.stdin is not None
        process.stdin.close()


@pytest.fixture(scope="module")
def endless() -> Iterator[Sandbox]:
    """A server for all that is killed."""
    with Sandbox() as server:
        yield server


def sent_for(names: Collection[str], sandbox: Sandbox) -> int:
    """How many requests were for these names: those in flight at a kill may be counted a moment later."""
    return sum(request.params["hashtag_name"] in names for request in sandbox.requests)


def link_to_file(target: Path, top: Path) -> Path:
    (top / "link.sqlite").symlink_to(target)
    return top / "link.sqlite"


def link_to_folder(target: Path, top: Path) -> Path:
    (top / "folder").symlink_to(target.parent, target_is_directory=True)
    return top / "folder" / target.name


def chain_of_links(target: Path, top: Path) -> Path:
    (top / "first").symlink_to(target.parent, target_is_directory=True)
    (top / "second.db").symlink_to(top / "first" / target.name)
    (top / "third").symlink_to(top / "second.db")
    return top / "third"


def relative_link(target: Path, top: Path) -> Path:
    (top / "deep").mkdir()
    (top / "deep" / "link.sqlite").symlink_to(os.path.relpath(target, top / "deep"))
    return top / "deep" / "link.sqlite"


@dataclass(frozen=True)
class Linked:
    """A store and a link to it."""

    link: Path
    target: Path


# A chain is of links to files and to folders: the others beside it only where there is time.
LINKS = [chain_of_links, relative_link, *(pytest.param(make, marks=pytest.mark.slow)
                                          for make in (link_to_file, link_to_folder))]  # fmt: skip


@pytest.fixture(params=LINKS, ids=lambda make: make.__name__)
def linked(request: pytest.FixtureRequest, tmp_path: Path) -> Linked:
    if os.name != "posix":
        pytest.skip("needs symbolic links")
    target, top = tmp_path / "real" / "store.sqlite", tmp_path / "links"
    target.parent.mkdir()
    top.mkdir()
    return Linked(request.param(target, top), target)


@pytest.mark.parametrize("through", ["the link", "no link"])
def test_what_was_stored_through_a_link_is_there_after_a_kill(
    through: str, linked: Linked, make_client: Make, endless: Sandbox, forge: Forge, tmp_path: Path
) -> None:
    moments = random.Random(through)
    make_client(store=linked.target, base_url=endless.url).close()
    known: list[str] = []
    for run in range(2):  # others each time: what was in flight at the kill is not requested again
        answers, later = moments.randrange(1, 5), moments.uniform(0, 0.01)
        stored = forge.store_and_die(endless, linked.link, 1000 * run, answers, later)
        known += tags(*range(1000 * run, stored))
        assert {one.parent for one in tmp_path.rglob("*-*")} <= {linked.target.parent}
        where = linked.link if through == "the link" else linked.target
        with make_client(store=where, base_url=endless.url) as client:
            sent = sent_for(known, endless)
            assert len(kr.fetch_hashtags(known, client=client)) == len(known)
            assert sent_for(known, endless) == sent  # all that was stored is there
            assert 0 <= client.status().answers - len(known) <= run + 1  # it had no time to tell of the last
    with make_client(store=linked.link, base_url=endless.url) as client:
        kr.fetch_hashtags("more", client=client)
    assert beside(linked.target) == ["store.sqlite"]


def test_what_is_read_through_a_link_offline_after_a_kill_is_all_there_is(
    linked: Linked, make_client: Make, endless: Sandbox, forge: Forge
) -> None:
    make_client(store=linked.target, base_url=endless.url).close()
    stored = forge.store_and_die(endless, linked.link, 0, 3, 0.002)
    for where in (linked.link, linked.target, linked.link):
        with kr.Client(store=where, offline=True) as client:
            assert len(kr.fetch_hashtags(tags(*range(stored)), client=client)) == stored
            assert client.status().answers in (stored, stored + 1)


def test_a_reader_through_a_link_sees_the_newest_answers(
    linked: Linked, make_client: Make, sandbox: Sandbox
) -> None:
    with make_client(store=linked.target) as owner:
        kr.fetch_hashtags(tags(0), client=owner)
        with kr.Client(store=linked.link, offline=True) as reader:
            assert reader.status().answers == 1
            kr.fetch_hashtags(tags(0, 1, 2), max_age=0, client=owner)  # while both are open
            newest = kr.fetch_hashtags(tags(0, 1, 2), client=owner)
            assert difference(kr.fetch_hashtags(tags(0, 1, 2), client=reader), newest) is None
            assert reader.status().answers == 4
        with kr.Client(store=linked.link, offline=True) as another:
            assert difference(kr.fetch_hashtags(tags(0, 1, 2), client=another), newest) is None
    assert sandbox.charged == 8


@posix
@pytest.mark.parametrize("make", [link_to_file, link_to_folder])
def test_a_read_only_store_through_a_link_gives_the_newest_answers(
    make: Callable[[Path, Path], Path], make_client: Make, tmp_path: Path
) -> None:
    target, top = tmp_path / "real" / "store.sqlite", tmp_path / "links"
    target.parent.mkdir()
    top.mkdir()
    with make_client(store=target) as owner:
        kr.fetch_hashtags(tags(0), client=owner)
        kr.fetch_hashtags(tags(0, 1, 2), max_age=0, client=owner)
        newest = kr.fetch_hashtags(tags(0, 1, 2), client=owner)
        target.chmod(0o444)  # while the owner has it open
        target.parent.chmod(0o555)
        try:
            with kr.Client(store=make(target, top), offline=True) as reader:
                assert difference(kr.fetch_hashtags(tags(0, 1, 2), client=reader), newest) is None
                assert reader.status().answers == 4
        finally:
            target.parent.chmod(0o755)
            target.chmod(0o600)
    assert beside(target) == ["store.sqlite"]


def test_a_link_and_what_it_leads_to_are_one_store_to_connect(
    linked: Linked, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    options: dict[str, Any] = {"token": "t", "base_url": sandbox.url, "requests_per_second": None, "progress": False}
    with kr.connect(store=linked.target, **options) as client:
        through = kr.connect(store=linked.link, **options)
        assert through is client
        assert through.settings.store == client.settings.store == str(linked.target.resolve())
        monkeypatch.chdir(linked.link.parent)
        assert kr.connect(store=linked.link.name, **options) is client


@posix
def test_a_link_to_a_store_that_is_not_there_yet_makes_it_where_the_link_leads(
    make_client: Make, tmp_path: Path
) -> None:
    (tmp_path / "real").mkdir()
    link = tmp_path / "link.sqlite"
    link.symlink_to(tmp_path / "real" / "store.sqlite")
    with make_client(store=link) as client:
        kr.fetch_hashtags(tags(0), client=client)
        assert beside(tmp_path / "real" / "store.sqlite") == ["store.sqlite"]
    assert link.is_symlink()
    with kr.Client(store=tmp_path / "real" / "store.sqlite", offline=True) as reader:
        assert reader.status().answers == 1


@posix
def test_a_link_that_is_turned_to_another_store_takes_nothing_there(make_client: Make, tmp_path: Path) -> None:
    one, other, link = tmp_path / "one.sqlite", tmp_path / "other.sqlite", tmp_path / "link.sqlite"
    make_client(store=other).close()
    before = other.read_bytes()
    link.symlink_to(one)
    with make_client(store=link) as client:
        kr.fetch_hashtags(tags(0), client=client)
        link.unlink()
        link.symlink_to(other)
        kr.fetch_hashtags(tags(1), client=client)
    assert other.read_bytes() == before
    with kr.Client(store=one, offline=True) as reader:
        assert len(kr.fetch_hashtags(tags(0, 1), client=reader)) == 2


@posix
def test_links_in_a_loop_are_refused(make_client: Make, tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    for offline in (True, False):
        with pytest.raises(kr.KeyAPIError):
            make_client(store=tmp_path / "a", offline=offline)


Pay = Callable[[Sandbox, Path], set[str]]


@pytest.fixture
def pay_and_die(forge: Forge) -> Pay:
    """Be killed within the first call, which makes the store: the names of what was paid for."""

    def pay(sandbox: Sandbox, link: Path) -> set[str]:
        before = len(sandbox.requests)
        sandbox.latency = 0.01
        child = forge.start(sandbox, link, "one call")
        while len(sandbox.requests) < before + 4:
            time.sleep(0.001)
        forge.kill(child)
        sandbox.latency = 0
        time.sleep(0.05)  # what it had in flight is charged
        return {request.params["hashtag_name"] for request in sandbox.requests[before:] if request.credits}

    return pay


@pytest.mark.parametrize("through", ["the link", "no link"])
def test_what_a_killed_call_stored_in_a_store_it_made_through_a_link_is_there(
    through: str, linked: Linked, make_client: Make, endless: Sandbox, pay_and_die: Pay
) -> None:
    paid = pay_and_die(endless, linked.link)
    where = linked.link if through == "the link" else linked.target
    with make_client(store=where, base_url=endless.url) as client:
        with closing(sqlite3.connect(linked.target)) as db:
            stored = db.execute("SELECT params FROM keyapi_answers").fetchall()
        there = {json.loads(params)["hashtag_name"] for (params,) in stored}
        assert there <= paid
        assert len(paid - there) <= 1  # one was in flight
        sent = sent_for(there, endless)
        assert len(kr.fetch_hashtags(sorted(there), client=client)) == len(there)
        assert sent_for(there, endless) == sent
        kr.fetch_hashtags("more", client=client)
    assert beside(linked.target) == ["store.sqlite"]


def test_what_a_killed_call_stored_through_a_link_is_read_where_nothing_may_be_written_or_refused(
    linked: Linked, endless: Sandbox, pay_and_die: Pay
) -> None:
    paid = pay_and_die(endless, linked.link)
    for part in linked.target.parent.iterdir():
        part.chmod(0o444)
    linked.target.parent.chmod(0o555)
    told = []
    try:
        for where in (linked.link, linked.target):
            with contextlib.suppress(kr.StoreError), kr.Client(store=where, offline=True) as client:
                told.append(client.status().answers)
        assert len(told) == 2 or Path(f"{linked.target}-journal").exists()  # it died in the middle of a write
    finally:
        linked.target.parent.chmod(0o755)
    assert all(len(paid) - answers in (0, 1) for answers in told), (len(paid), told)


# A write that was broken off --------------------------------------------------------------------------------------

DIE_WRITING = """
    import os, signal, sqlite3, sys
    db = sqlite3.connect(sys.argv[1], isolation_level=None)
    db.execute("PRAGMA cache_size = 5")  # few pages: others go into the file before the end
    db.execute("PRAGMA cache_spill = 5")
    db.execute("BEGIN IMMEDIATE")
    db.execute("UPDATE keyapi_ledger SET credits = 77")
    db.execute("UPDATE responses SET value = replace(value, '1', '2')")
    db.execute("DELETE FROM keyapi_answers WHERE id % 2")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def die_writing(path: Path) -> None:
    """Leave a store as who is killed in the middle of a large write does: half written, with its journal."""
    before = path.read_bytes()
    done = subprocess.run([*PYTHON, textwrap.dedent(DIE_WRITING), str(path)], check=False)
    assert done.returncode == -signal.SIGKILL
    journal = Path(f"{path}-journal")
    assert journal.exists()
    assert journal.stat().st_size > PAGE
    half_written = path.read_bytes() != before
    assert half_written


@posix
@pytest.mark.parametrize("offline", [True, False])
def test_a_write_that_was_broken_off_is_undone_by_the_next_opening(offline: bool, study: Study, path: Path) -> None:
    die_writing(path)
    with study.client(path, offline=offline) as client:
        for name, read in study.reads().items():
            assert difference(read(client), study.truth[name]) is None, name
    assert set(study.outcomes(path, frozen=True).values()) == {"right"}
    assert beside(path) == ["store.sqlite"]


@posix
@pytest.mark.parametrize("offline", [True, False])
def test_a_write_that_was_broken_off_beside_an_open_client_is_undone_by_its_next_reading(
    offline: bool, study: Study, path: Path
) -> None:
    with study.client(path, offline=offline) as client:
        assert len(kr.fetch_hashtags("tag0", client=client)) == 1
        die_writing(path)
        for name, read in study.reads().items():
            assert difference(read(client), study.truth[name]) is None, name
    assert beside(path) == ["store.sqlite"]


@posix
def test_a_write_that_was_broken_off_is_undone_before_anything_is_stored(
    make_client: Make, sandbox: Sandbox, tmp_path: Path
) -> None:
    path = tmp_path / "store.sqlite"
    with make_client() as client:
        kr.fetch_hashtags(tags(*range(12)), client=client)
        die_writing(path)
        kr.fetch_hashtags(tags(*range(14)), client=client)
        assert client.status().answers == 14
        assert client.ledger()["credits"].tolist() == [2] * 14
    assert sandbox.charged == 28


@posix
def test_a_copy_with_its_journal_is_undone_and_one_without_it_is_refused_or_right(
    study: Study, path: Path, tmp_path: Path
) -> None:
    die_writing(path)
    for part in ("", "-journal"):
        shutil.copyfile(f"{path}{part}", tmp_path / f"with.sqlite{part}")
    shutil.copyfile(path, tmp_path / "without.sqlite")
    assert set(study.outcomes(tmp_path / "with.sqlite").values()) == {"right"}
    outcomes = study.outcomes(tmp_path / "without.sqlite")
    assert wrong(outcomes) == []
    assert "refused" in outcomes.values()


@posix
def test_a_write_that_was_broken_off_through_a_link_is_undone(linked: Linked, study: Study) -> None:
    linked.target.write_bytes(study.content)
    die_writing(linked.target)
    with kr.Client(store=linked.link, offline=True) as client:
        assert counted(client) == study.truth["status"]
        assert difference(FETCHES["hashtags"](client), study.truth["hashtags"]) is None
    assert beside(linked.target) == ["store.sqlite"]


WHAT_TO_DO = r"(?i)copy|writ"


@posix
@pytest.mark.parametrize("offline", [True, False])
def test_a_write_that_was_broken_off_where_nothing_may_be_written_is_an_error_that_says_what_to_do(
    offline: bool, study: Study, path: Path, tmp_path: Path
) -> None:
    closed = tmp_path / "closed" / "store.sqlite"
    closed.parent.mkdir()
    die_writing(path)
    for part in ("", "-journal"):
        shutil.copyfile(f"{path}{part}", f"{closed}{part}")
        Path(f"{closed}{part}").chmod(0o444)
    before = {one: one.read_bytes() for one in closed.parent.iterdir()}
    closed.parent.chmod(0o555)
    try:
        with pytest.raises(kr.StoreError, match=WHAT_TO_DO):
            study.client(closed, offline=offline)
    finally:
        closed.parent.chmod(0o755)
    assert {one: one.read_bytes() for one in closed.parent.iterdir()} == before


# In a colleague's folder ------------------------------------------------------------------------------------------

# Another user may not read the package or its libraries: what they import late is imported before, for a copy.
BECOME_NOBODY = """
import json, os, sys, time
import keyapi_research as kr
store, warm = sys.argv[1:]
with kr.Client(store=warm, offline=True) as first:
    frame = kr.fetch_hashtags("tag0", client=first)
    frame.keyapi.history(client=first), first.status(), first.ledger()
try:
    kr.Client(store=warm + ".none", offline=True)
except kr.StoreError:
    pass
os.setgroups([]), os.setgid(65534), os.setuid(65534)
"""


def as_another_user(code: str, store: Path, sound: Path, folder: Path) -> list[str]:
    warm = folder / "warm.sqlite"
    shutil.copyfile(sound, warm)
    return [*PYTHON, BECOME_NOBODY + textwrap.dedent(code), str(store), str(warm)]


@as_nobody
def test_a_write_that_was_broken_off_in_a_colleagues_folder_is_an_error_that_says_what_to_do(
    study: Study, path: Path, open_folder: Path, tmp_path: Path
) -> None:
    store = open_folder / "store.sqlite"
    read = """
        try:
            with kr.Client(store=store, offline=True) as reader:
                kr.fetch_hashtags("tag0", client=reader)
                print("data")
        except kr.StoreError as error:
            print(error)
    """
    command = as_another_user(read, store, path, tmp_path)
    die_writing(path)
    for part in ("", "-journal"):
        shutil.copyfile(f"{path}{part}", f"{store}{part}")
        Path(f"{store}{part}").chmod(0o644)
    before = {one: one.read_bytes() for one in open_folder.iterdir()}
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/")
    assert done.stderr == ""
    assert any(word in done.stdout.lower() for word in ("copy", "writ")), done.stdout
    assert {one: one.read_bytes() for one in open_folder.iterdir()} == before
    with study.client(store, offline=False) as owner:  # who may write undoes it
        assert difference(FETCHES["hashtags"](owner), study.truth["hashtags"]) is None


READ_ON_REQUEST = """
    reader = kr.Client(store=store, offline=True)
    for line in sys.stdin:
        told = []
        with kr.Client(store=store, offline=True) as fresh:
            for client in (reader, fresh):
                frame = kr.fetch_hashtags(json.loads(line), client=client)
                told.append([client.status().answers, frame["posts"].tolist(), len(client.ledger())])
        print(json.dumps(told), flush=True)
    reader.close()
"""


@as_nobody
def test_a_reader_in_a_colleagues_folder_reads_what_is_there_now(
    make_client: Make, open_folder: Path, tmp_path: Path
) -> None:
    store = open_folder / "store.sqlite"
    with make_client(store=store) as owner:
        kr.fetch_hashtags(tags(0), client=owner)
        store.chmod(0o644)
        with subprocess.Popen(
            as_another_user(READ_ON_REQUEST, store, store, tmp_path),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd="/",
        ) as reader:
            assert reader.stdin is not None
            assert reader.stdout is not None
            assert reader.stderr is not None
            for number in range(1, 7):
                kr.fetch_hashtags("tag0", max_age=0, client=owner)
                frame = kr.fetch_hashtags(tags(*range(number)), client=owner)
                for part in open_folder.iterdir():
                    part.chmod(0o644)
                reader.stdin.write(json.dumps(tags(*range(number))) + "\n")
                reader.stdin.flush()
                line = reader.stdout.readline()
                assert line, reader.stderr.read()
                now = [owner.status().answers, frame["posts"].tolist(), len(owner.ledger())]
                assert json.loads(line) == [now, now], number
            reader.stdin.close()
            assert reader.stderr.read() == ""
        assert beside(store) == ["store.sqlite"]


READ_UNTIL_TOLD = """
    import threading
    told = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.readline(), told.set()), daemon=True).start()
    seen = reads = 0
    reader = kr.Client(store=store, offline=True)
    print("begun", flush=True)
    last = False
    while not (last and reads >= 40):
        last = told.is_set()  # then this reading is of all that is there
        with kr.Client(store=store, offline=True) as fresh:
            for client in (reader, fresh):
                now = client.status().answers
                assert now >= seen, (now, seen)
                frame = kr.fetch_hashtags([f"tag{n}" for n in range(now)], client=client)
                assert len(frame) == now, (len(frame), now)
                seen, reads = now, reads + 1
    reader.close()
    print(seen, reads, flush=True)
"""


@as_nobody
@pytest.mark.slow
def test_a_reader_in_a_colleagues_folder_beside_a_writer_never_sees_half_of_it(
    sandbox: Sandbox, open_folder: Path, tmp_path: Path
) -> None:
    store = open_folder / "store.sqlite"
    with Writer(sandbox, store, pause=0.01) as writer:
        writer.wait_for(2)
        for part in open_folder.iterdir():
            with contextlib.suppress(FileNotFoundError):
                part.chmod(0o644)
        sound = tmp_path / "sound.sqlite"
        with closing(sqlite3.connect(store)) as source, closing(sqlite3.connect(sound)) as target:
            source.backup(target)
        with subprocess.Popen(
            as_another_user(READ_UNTIL_TOLD, store, sound, tmp_path),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd="/",
        ) as reader:
            assert reader.stdin is not None
            assert reader.stdout is not None
            assert reader.stdout.readline() == "begun\n"
            writer.wait_for(writer.stored + 40)
            writer.stop()
            out, err = reader.communicate("now\n", timeout=120)
    assert err == ""
    seen, reads = map(int, out.split())
    assert seen == writer.stored
    assert reads >= 40
    assert beside(store) == ["store.sqlite"]


# A store of format 1 ----------------------------------------------------------------------------------------------

OF_FORMAT_1: dict[str, Callable[[kr.Client], Any]] = {
    "hashtags": lambda client: kr.fetch_hashtags(["ufc324", "nobody"], client=client),
    "trends": lambda client: kr.fetch_hashtag_trends("ufc324", client=client),
    "videos": lambda client: kr.fetch_videos(["13", "12", "7117191641181555995"], client=client),
    "ranking": lambda client: kr.fetch_product_insights(region="US", limit=None, client=client),
    "details": lambda client: kr.fetch_product_details("601583", time_scope="2025-12", client=client),
    "music": lambda client: kr.fetch_music("6703723351497508865", client=client),
    "history": lambda client: kr.fetch_hashtags("ufc324", client=client).keyapi.history(client=client),
    "ledger": lambda client: client.ledger(),
    "status": counted,
}


def read_format_1(path: Path, *, offline: bool) -> dict[str, Any]:
    """All that is in the sample; nothing of it is requested, there is no server."""
    options: dict[str, Any] = {"offline": True}
    if not offline:
        options = {"token": "t", "base_url": "http://127.0.0.1:9", "max_age": "any", "retries": 0}
    with kr.Client(store=path, progress=False, **options) as client:
        told = {name: read(client) for name, read in OF_FORMAT_1.items()}
        assert client.credits_spent == 0
    return told


def differing(now: dict[str, Any], before: dict[str, Any]) -> list[str]:
    return [f"{name}: {what}" for name in before if (what := difference(now[name], before[name]))]


def format_of(path: Path) -> int:
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return int(db.execute("PRAGMA user_version").fetchone()[0])


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A copy of the store of format 1."""
    (tmp_path / "old").mkdir()
    path = Path(shutil.copyfile(FORMAT_1, tmp_path / "old" / "store.sqlite"))
    path.chmod(0o600)
    return path


@pytest.fixture(scope="module")
def first_told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What is in the store of format 1; test_formats.py holds it against what was written by hand."""
    path = Path(shutil.copyfile(FORMAT_1, tmp_path_factory.mktemp("first") / "store.sqlite"))
    told = read_format_1(path, offline=True)
    assert told["status"] == ("sandbox", 8, 2, 10, 1, 15, 0)
    assert told["hashtags"]["posts"].tolist() == [250]
    assert told["history"]["posts"].tolist() == [100, 250]
    assert len(told["ranking"]) == 15
    return told


def test_a_store_of_format_1_offline_is_read_as_it_is(old: Path, first_told: dict[str, Any]) -> None:
    before = old.read_bytes()
    assert differing(read_format_1(old, offline=True), first_told) == []
    assert old.read_bytes() == before
    assert beside(old) == ["store.sqlite"]


@posix
def test_a_store_of_format_1_where_nothing_may_be_written_is_read_as_it_is(
    old: Path, first_told: dict[str, Any], sandbox: Sandbox
) -> None:
    before = old.read_bytes()
    old.chmod(0o444)
    old.parent.chmod(0o555)
    try:
        assert differing(read_format_1(old, offline=True), first_told) == []
        with kr.Client(
            token="t", base_url=sandbox.url, store=old, requests_per_second=None, progress=False, max_age="any"
        ) as client:
            assert difference(OF_FORMAT_1["hashtags"](client), first_told["hashtags"]) is None
            with pytest.raises(kr.StoreError, match="read-only"):
                kr.fetch_hashtags("never", client=client)
        assert beside(old) == ["store.sqlite"]
    finally:
        old.parent.chmod(0o755)
    assert old.read_bytes() == before
    assert not sandbox.requests


@as_nobody
def test_a_store_of_format_1_in_a_colleagues_folder_is_read_as_it_is(
    study: Study, path: Path, open_folder: Path, tmp_path: Path
) -> None:
    store = Path(shutil.copyfile(FORMAT_1, open_folder / "store.sqlite"))
    store.chmod(0o644)
    before = store.read_bytes()
    read = """
        with kr.Client(store=store, offline=True) as reader:
            print(kr.fetch_hashtags("ufc324", client=reader)["posts"].tolist(), reader.status().answers)
    """
    done = subprocess.run(
        as_another_user(read, store, path, tmp_path), capture_output=True, text=True, check=False, cwd="/"
    )
    assert done.stdout == "[250] 8\n", done.stderr
    assert store.read_bytes() == before
    assert beside(store) == ["store.sqlite"]


def test_a_store_of_format_1_is_converted_by_the_first_who_may_write(old: Path, first_told: dict[str, Any]) -> None:
    assert differing(read_format_1(old, offline=False), first_told) == []
    assert format_of(old) == 2
    assert journal_mode(old) == "delete"
    assert beside(old) == ["store.sqlite"]
    for offline in (True, False, True):
        assert differing(read_format_1(old, offline=offline), first_told) == []
    with kr.Client(sandbox=True, store=old, progress=False) as client:
        assert len(kr.fetch_hashtags("perfume", client=client)) == 1
        assert client.status().answers == 9
        assert client.ledger()["credits"].sum() == 17


def test_a_converted_store_is_protected_as_a_new_one(old: Path, first_told: dict[str, Any]) -> None:
    read_format_1(old, offline=False)
    content = old.read_bytes()
    violations = []
    for seed in range(8):
        damaged = bytearray(content)
        what = (flip_where_pages_begin if seed % 2 else flip_anywhere)(random.Random(seed), damaged)
        away(old)
        old.write_bytes(damaged)
        try:
            client = kr.Client(store=old, offline=True)
        except kr.StoreError:
            continue
        with client:
            for name, read in OF_FORMAT_1.items():
                try:
                    found = difference(read(client), first_told[name])
                except Exception as error:
                    found = None if refusal(error) == "refused" else refusal(error)
                if found:
                    violations.append(f"seed {seed}, {what}; {name}: {found}")
    assert not violations, shown(violations)


@pytest.mark.parametrize("value", [b"\xff", "no number", 0.5], ids=["bytes", "text", "fraction"])
@pytest.mark.parametrize("cell", ["keyapi_answers.observed_at", "keyapi_answers.rows", "keyapi_ledger.credits"])
def test_a_cell_of_another_kind_in_format_1_is_a_typed_error_and_is_not_converted(
    cell: str, value: object, old: Path
) -> None:
    table, column = cell.split(".")
    with closing(sqlite3.connect(old)) as db:
        db.execute(f"UPDATE {table} SET {column} = ? WHERE id = 2", (value,))
        db.commit()
    for offline in (True, False):
        with pytest.raises(kr.StoreError, match="damaged"):
            read_format_1(old, offline=offline)
    assert format_of(old) == 1


@pytest.mark.parametrize("body", ["[]", "{", '{"_decoded_content": [1]}', '{"_decoded_content": null}', "\u0e44"])
@pytest.mark.parametrize("offline", [True, False])
def test_an_unreadable_body_of_format_1_is_a_typed_error_and_hides_no_other(
    offline: bool, body: str, old: Path, first_told: dict[str, Any]
) -> None:
    with closing(sqlite3.connect(old)) as db:
        key = db.execute("SELECT response FROM keyapi_answers WHERE endpoint LIKE '%/music/%'").fetchone()[0]
        assert db.execute("UPDATE responses SET value = ? WHERE key = ?", (body, key)).rowcount == 1
        db.commit()
    options: dict[str, Any] = {"offline": True} if offline else {"token": "t", "base_url": "http://127.0.0.1:9"}
    with kr.Client(store=old, progress=False, **options) as client:
        with pytest.raises(kr.StoreError, match="cannot be read"):
            OF_FORMAT_1["music"](client)
        assert difference(OF_FORMAT_1["details"](client), first_told["details"]) is None


CONVERT = """
    import os, signal, sqlite3, sys, threading, time
    import keyapi_research as kr
    import keyapi_research.sandbox
    url, top = sys.argv[1:]
    connect = sqlite3.connect

    def die(*_):
        os.kill(os.getpid(), signal.SIGKILL)

    class Steps:  # of SQLite's machine: the same ones in each run
        left, done = 0, 0

        def step(self):
            self.done += 1
            if self.done == self.left:
                die()
            return 0

    def opened(store, steps=None):
        def counting(*args, **options):
            db = connect(*args, **options)
            db.set_progress_handler(steps.step, 1)
            return db

        if steps is not None:
            sqlite3.connect = counting
        began = time.perf_counter()
        kr.Client(token="a-token-of-the-tests", base_url=url, store=store, requests_per_second=None,
                  progress=False).close()
        return time.perf_counter() - began

    for line in sys.stdin:
        kind, much, *stores = line.rstrip("\\n").split("\\t")
        children = []
        for store in stores:
            child = os.fork()
            if not child:
                said = "failed"
                try:
                    if kind == "seconds":
                        if float(much):
                            signal.signal(signal.SIGALRM, die)
                            signal.setitimer(signal.ITIMER_REAL, float(much))
                        said = repr(opened(store))
                    else:
                        steps = Steps()
                        steps.left = int(much)
                        opened(store, steps)
                        said = str(steps.done)
                except BaseException as error:
                    said = f"{type(error).__name__}: {error}"
                finally:
                    os.write(1, f"{said}\\n".encode())  # at once, beside others
                    os._exit(0)
            children.append(child)
        for child in children:
            os.waitpid(child, 0)
        print("ended", flush=True)
"""


@pytest.fixture
def convert(sandbox: Sandbox, tmp_path: Path) -> Iterator[Callable[..., list[str]]]:
    """Open stores in processes, each dying after so many seconds or steps of SQLite (0 = not); what they said."""
    with subprocess.Popen(
        [*PYTHON, textwrap.dedent(CONVERT), sandbox.url, str(tmp_path)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as process:

        def run(kind: str, much: float, *stores: Path) -> list[str]:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write("\t".join([kind, str(much), *map(str, stores)]) + "\n")
            process.stdin.flush()
            lines = []
            while (line := process.stdout.readline()) != "ended\n":
                assert line
                lines.append(line.rstrip())
            return lines

        yield run
        assert process.stdin is not None
        process.stdin.close()


@posix
@pytest.mark.parametrize(
    "kills", [3, pytest.param(25, marks=pytest.mark.slow), pytest.param(100, marks=pytest.mark.long)]
)
@pytest.mark.parametrize("kind", ["steps", "seconds"])
def test_a_kill_while_format_1_is_converted_leaves_one_format_or_the_other(
    kind: str, kills: int, convert: Callable[..., list[str]], old: Path, first_told: dict[str, Any]
) -> None:
    content = old.read_bytes()
    (whole,) = convert(kind, 0, old)
    assert format_of(old) == 2
    moments = random.Random(kind)
    left: Counter[int] = Counter()
    for _ in range(kills):
        away(old)
        old.write_bytes(content)
        much = moments.uniform(0, 1.05) * float(whole)
        said = convert(kind, max(1, math.ceil(much)) if kind == "steps" else max(much, 1e-4), old)
        assert said in ([], [whole]) or kind == "seconds", said  # it died, or was done before
        if moments.random() < 0.5:  # who only reads comes first
            assert differing(read_format_1(old, offline=True), first_told) == []
        left[format_of(old)] += 1
        assert differing(read_format_1(old, offline=False), first_told) == []
        assert format_of(old) == 2
        assert beside(old) == ["store.sqlite"]
    assert set(left) <= {1, 2}
    assert left[1] > 0  # some died before the end


@posix
@pytest.mark.parametrize(
    "times", [1, pytest.param(15, marks=pytest.mark.slow), pytest.param(60, marks=pytest.mark.long)]
)
def test_format_1_is_converted_once_where_processes_open_it_in_the_same_moment(
    times: int, convert: Callable[..., list[str]], old: Path, first_told: dict[str, Any], tmp_path: Path
) -> None:
    content = old.read_bytes()
    for _ in range(times):
        away(old)
        old.write_bytes(content)
        said = convert("seconds", 0, *[old] * 4)
        assert [one for one in said if not one[:1].isdigit()] == []  # seconds it took
        assert len(said) == 4
        assert format_of(old) == 2
        for offline in (True, False):
            assert differing(read_format_1(old, offline=offline), first_told) == []


@posix
def test_format_1_converted_beside_a_reader_is_read_on_or_refused(old: Path, first_told: dict[str, Any]) -> None:
    with kr.Client(store=old, offline=True) as reader:
        OF_FORMAT_1["hashtags"](reader)
        with pytest.MonkeyPatch.context() as patch, contextlib.suppress(kr.StoreError):
            patch.setattr(SQLite, "patience", 0.3)
            assert differing(read_format_1(old, offline=False), first_told) == []
        for name, read in OF_FORMAT_1.items():
            try:
                assert difference(read(reader), first_told[name]) is None, name
            except kr.StoreError:
                continue
    assert differing(read_format_1(old, offline=False), first_told) == []
    assert format_of(old) == 2


# Cells of other kinds ---------------------------------------------------------------------------------------------

OTHER_KINDS: dict[str, object] = {
    "missing": None,
    "text": "\u0e44 no number",
    "bytes": b"\xff\x00\xfe",
    "huge": 2**62,
    "negative": -7,
    "fraction": 0.5,
}


def our_tables(db: sqlite3.Connection) -> list[str]:
    tables = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")]
    return [name for name in tables if name.startswith("keyapi_") or name == "responses"]


def columns_of(db: sqlite3.Connection, table: str) -> list[str]:
    return [str(name) for _, name, *_ in db.execute(f"PRAGMA table_info({table})")]


def loosened(db: sqlite3.Connection) -> list[tuple[str, int]]:
    """Let columns be empty; what undoes it."""
    tables = db.execute("SELECT sql, rowid FROM sqlite_master WHERE type = 'table'").fetchall()
    declare(db, [(sql.replace(" NOT NULL", ""), rowid) for sql, rowid in tables])
    return tables


def declare(db: sqlite3.Connection, tables: list[tuple[str, int]]) -> None:
    db.execute("PRAGMA writable_schema = ON")
    db.executemany("UPDATE sqlite_master SET sql = ? WHERE rowid = ?", tables)
    db.commit()


def put(path: Path, table: str, column: str, row: int, value: object) -> bool:
    """Put a value into a cell, whatever it was declared to be; False where SQLite itself has no way to do that."""
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA synchronous = OFF")
        declared = loosened(db)
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA synchronous = OFF")
        db.execute("PRAGMA ignore_check_constraints = ON")
        keys = [name for _, name, *_, key in db.execute(f"PRAGMA table_info({table})") if key]
        key = db.execute(f"SELECT {keys[0]} FROM {table} ORDER BY 1 LIMIT 1 OFFSET ?", (row,)).fetchone()[0]
        try:
            done = db.execute(f"UPDATE {table} SET {column} = ? WHERE {keys[0]} = ?", (value, key)).rowcount == 1
        except sqlite3.Error:
            done = False
        db.commit()
        declare(db, declared)
    return done


@pytest.mark.parametrize("kinds", ["some", pytest.param("all", marks=pytest.mark.long)])
@pytest.mark.parametrize("table", ["keyapi_answers", "keyapi_ledger", "keyapi_meta", "responses", "any other"])
def test_a_cell_of_another_kind_is_a_typed_error_or_is_not_read(
    table: str, kinds: str, study: Study, path: Path
) -> None:
    with closing(sqlite3.connect(path)) as db:
        named = {"keyapi_answers", "keyapi_ledger", "keyapi_meta", "responses"}
        tables = [table] if table in named else sorted(set(our_tables(db)) - named)
        cells = [(one, column) for one in tables for column in columns_of(db, one)]
        rows = {one: db.execute(f"SELECT count(*) FROM {one}").fetchone()[0] for one in tables}
    violations = []
    few = 1 if len(cells) > 5 else 2
    for one, column in cells:
        chance = random.Random(f"{one}.{column}")
        kind = list(OTHER_KINDS.items()) if kinds == "all" else chance.sample(list(OTHER_KINDS.items()), few)
        every = range(rows[one]) if rows[one] < 5 else chance.sample(range(rows[one]), 2 if kinds == "all" else 1)
        for row in every:
            for name, value in kind:
                away(path)
                path.write_bytes(study.content)
                if put(path, one, column, row, value):
                    found = wrong(study.outcomes(path, frozen=kinds == "all"))
                    violations += [f"{one}.{column} of row {row} = {name}; {what}" for what in found]
    assert not violations, shown(violations)


@pytest.mark.parametrize("value", OTHER_KINDS.values(), ids=OTHER_KINDS)
@pytest.mark.parametrize("column", ["observed_at", "entity", "params"])
def test_a_whole_column_of_another_kind_is_a_typed_error(
    column: str, value: object, study: Study, path: Path
) -> None:
    with closing(sqlite3.connect(path)) as db:
        declared = loosened(db)
    with closing(sqlite3.connect(path)) as db:
        db.execute(f"UPDATE OR IGNORE keyapi_answers SET {column} = ?", (value,))
        db.commit()
        declare(db, declared)
    outcomes = study.outcomes(path, frozen=True)
    assert wrong(outcomes) == []
    assert "refused" in outcomes.values()


# Found by reading and trying ------------------------------------------------------------------------------------


def test_a_damaged_name_in_the_schema_is_a_typed_error(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    kr.Client(sandbox=True, store=path).close()
    content = bytearray(path.read_bytes())
    content[content.index(b"CREATE TABLE keyapi_claims") + 7] |= 0x80  # no UTF-8 any more
    path.write_bytes(content)
    for offline in (True, False):
        with pytest.raises(kr.StoreError, match="damaged"):
            kr.Client(sandbox=True, store=path, offline=offline)


@pytest.mark.parametrize(
    ("was", "now"), [(None, math.inf), (None, -math.inf), ("", b""), ("YQ==", b"a"), ([1], ["1"]), (1, True)]
)
def test_a_row_of_which_one_cell_became_another_does_not_pass(was: Any, now: Any) -> None:
    kept = bodies.checksum(["x", was, 5])
    assert bodies.is_sound(["x", was, 5], kept)
    with contextlib.suppress(TypeError):  # of bytes, which no JSON has: it is no valid row either
        assert not bodies.is_sound(["x", now, 5], kept)


@pytest.mark.parametrize(
    "value",
    [None, 0, -1, 2**63 - 1, 1e16, 1e-7, -0.0, 5e-324, 0.1, math.inf, math.nan, "\u2028", "\x7f", "😀", '"', 10**30],
)
def test_a_row_as_it_was_written_passes(value: Any) -> None:
    assert bodies.is_sound([value, "x"], bodies.checksum([value, "x"]))


@pytest.mark.slow
def test_a_ranking_of_many_observations_is_read_in_steps_that_grow_with_them(sandbox: Sandbox, tmp_path: Path) -> None:
    options = {"token": "a-token-of-the-tests", "requests_per_second": None, "progress": False}
    steps = Counter[int]()
    with kr.Client(base_url=sandbox.url, store=tmp_path / "many.sqlite", **options) as client:
        for _ in range(60):
            steps["now"] = 0
            database = client.store._db._db
            database.set_progress_handler(lambda: steps.update(["now"]), 10)
            kr.fetch_product_insights(region="US", limit=10, max_age="any", client=client)
            database.set_progress_handler(None, 0)
            kr.fetch_product_insights(region="US", limit=10, max_age=0, client=client)
            steps[str(len(steps))] = steps["now"]
    assert steps["60"] - steps["30"] < 2 * (steps["30"] - steps["2"])
