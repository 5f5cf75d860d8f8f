"""`kr.import_store`: what a colleague paid for is taken in once, and counted by no budget and no limit."""

from __future__ import annotations

import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
import warnings
import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from clocks import Clock
from pandas.testing import assert_frame_equal
from stores import Place, rows_of, run_sql

import keyapi_research as kr
from keyapi_research import importing
from keyapi_research.client.dispatch import Sender
from keyapi_research.importing import import_store
from keyapi_research.sandbox import Fault, Sandbox
from keyapi_research.store import Arrival, Observation, Outcome, Store
from keyapi_research.store.bodies import checksum

pytestmark = pytest.mark.both_stores

Make = Callable[..., kr.Client]
FORMATS = Path(__file__).parent / "data" / "formats"
CAPTIONS = "/v1/tiktok/video/captions"


@pytest.fixture
def colleague(make_client: Make, place: Place) -> kr.Client:
    return make_client(store=place("colleague"))


@pytest.fixture
def theirs(place: Place) -> Any:
    return place("colleague")


def state_of(place: Place, name: str = "store") -> Any:
    """Return what a store is, to the byte."""
    if place.on_server:
        return [*place.content(name), place.rows("SELECT * FROM keyapi_claims ORDER BY 1", name=name)]
    return place(name).read_bytes()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    moved = Clock("2026-06-15 09:00")
    monkeypatch.setattr(time, "time_ns", moved)
    return moved


def posts(client: kr.Client, *, sent: Sandbox | None = None, **options: Any) -> Any:
    """When the hashtag that is served was observed."""
    before = len(sent.requests) if sent else 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", kr.StaleDataWarning)
        [row] = kr.fetch_hashtags("perfume", client=client, **options)["observed_at"]
    assert sent is None or len(sent.requests) == before
    return row


def everything(store: Store) -> list[Observation]:
    return store.observations(range(1, store.last_ids()[0] + 1))


def moments(store: Store) -> list[tuple[str, int, int]]:
    return sorted((one.entity, one.observed_at, one.page) for one in everything(store))


def sorted_rows(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.sort_values(list(frame.columns), ignore_index=True)


# What is taken in -----------------------------------------------------------------------------------------------


def test_absences_handles_and_paths_are_taken_in(
    client: kr.Client, colleague: kr.Client, theirs: Any, sandbox: Sandbox
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", kr.KeyAPIWarning)
        sandbox.faults.put(Fault(body=b'{"code": 0, "message": "success", "data": null}'))
        kr.fetch_hashtags("nobody", client=colleague)
        someone = kr.fetch_creators("104962950695723008", client=colleague)["username"].item()
        named = kr.fetch_creators(someone, by="username", client=colleague)
    captions = kr.fetch_endpoint(CAPTIONS, {"video_id": "7117191641181555995"}, client=colleague)
    done = import_store(theirs, client=client)
    there = colleague.status()
    assert (done.answers, done.absences, done.known) == (there.answers, there.absences, 0)
    assert (done.requests, done.credits) == (there.requests, there.credits_in_ledger)
    sent = len(sandbox.requests)
    assert done.absences == 1
    with pytest.warns(kr.MissingDataWarning, match="nobody"):
        assert kr.fetch_hashtags("nobody", client=client).empty
    assert_frame_equal(kr.fetch_creators(someone, by="username", client=client), named)
    assert_frame_equal(kr.stored(CAPTIONS, client=client), captions)
    assert len(sandbox.requests) == sent


def test_a_second_time_nothing_changes(client: kr.Client, colleague: kr.Client, theirs: Any, place: Place) -> None:
    kr.fetch_hashtags(["perfume", "ufc324"], client=colleague)
    kr.fetch_trending_hashtags(region="US", period=7, limit=40, client=colleague)
    kr.fetch_hashtags("diy", client=client)
    before = state_of(place, "colleague")
    assert import_store(theirs, client=client).answers == 4
    once = state_of(place)
    again = import_store(theirs, client=client)
    assert (again.answers, again.absences, again.requests, again.credits, again.known) == (0, 0, 0, 0, 4)
    assert state_of(place) == once
    assert state_of(place, "colleague") == before


def test_a_later_time_adds_what_came_since(client: kr.Client, colleague: kr.Client, theirs: Any) -> None:
    kr.fetch_hashtags("perfume", client=colleague)
    import_store(theirs, client=client)
    kr.fetch_hashtags("perfume", max_age=0, client=colleague)
    kr.fetch_hashtags("diy", client=colleague)
    more = import_store(theirs, client=client)
    assert (more.answers, more.known, more.credits) == (2, 1, 4)
    assert moments(client.store) == moments(colleague.store)


def test_there_and_back_again_adds_nothing(
    client: kr.Client, colleague: kr.Client, theirs: Any, place: Place
) -> None:
    kr.fetch_hashtags("perfume", client=colleague)
    kr.fetch_hashtags("diy", client=client)
    import_store(theirs, client=client)
    back = import_store(place(), client=colleague)
    assert (back.answers, back.known) == (1, 1)
    assert import_store(theirs, client=client).answers == 0
    assert kr.ledger(client=colleague)["imported"].tolist() == [False, True]


@pytest.mark.of_a_file
def test_a_copy_that_went_on_by_itself_brings_what_is_new(make_client: Make, client: kr.Client, place: Place) -> None:
    kr.fetch_hashtags(["perfume", "diy"], client=client)
    copy = make_client(store=shutil.copy(place(), place("copy")))
    kr.fetch_hashtags("ufc324", client=copy)
    kr.fetch_hashtags("smellgood", client=client)
    done = import_store(place("copy"), client=client)
    assert (done.answers, done.known) == (1, 2)
    assert kr.ledger(client=client)["imported"].tolist() == [False, False, False, True]


def test_a_store_of_the_first_format_is_taken_in_and_stays_as_it_is(client: kr.Client, tmp_path: Path) -> None:
    old = Path(shutil.copy(FORMATS / "store-v1.db", tmp_path / "old.sqlite"))
    before = old.read_bytes()
    first = import_store(old, client=client)
    assert first.answers
    assert import_store(old, client=client).known == first.answers + first.absences
    assert old.read_bytes() == before
    with closing(Store(str(old), source=None, read_only=True)) as there:
        assert moments(client.store) == moments(there)


def test_an_empty_store_brings_nothing(client: kr.Client, colleague: kr.Client, theirs: Any) -> None:
    done = import_store(theirs, client=client)
    assert (done.answers, done.known) == (0, 0)
    assert client.store.source is None


def test_a_failed_request_stays_behind_and_no_claim_comes(
    client: kr.Client, colleague: kr.Client, theirs: Any, sandbox: Sandbox, place: Place
) -> None:
    sandbox.faults.put(Fault(close="before"))
    with pytest.raises(kr.NetworkError):
        kr.fetch_hashtags("perfume", client=colleague)
    kr.fetch_hashtags("diy", client=colleague)
    import_store(theirs, client=client)
    assert len(kr.ledger(client=client)) == 1
    assert client.store.totals().unanswered == 0
    assert place.rows("SELECT count(*) FROM keyapi_claims") == [(0,)]


def fill_at_one_moment(store: Store, *posts_of_each: int) -> Store:
    """Store answers of as many requests, about "e" and "f" each, all at microsecond 7."""
    for posts_of_it in posts_of_each:
        request = store.begin(
            iter([("e",), ("f",)]), most=2, page=0, since=(9, 9), mine=0, lasts=9, describe=lambda _: {"id": "e,f"},
            spacing=0, endpoint="/v1/x", price=2, attempt=1,
        ).request
        arrivals = [Arrival(one, {"id": one}, {"code": 0, "data": {"posts": posts_of_it}}) for one in "ef"]
        store.keep(request, Outcome(200, 0, credits=2), arrivals, url="https://x", endpoint="/v1/x", price=2,
                   observed_at=7, source="sandbox")
    return store


def take(to: Store, of: Store) -> int:
    ledger = {row[0]: row for row in of.ledger()}
    added = to.take_in(
        everything(of), ledger, of.envelopes, importing.Renumbered(), url="https://x", source="sandbox"
    )
    return added.answers


@pytest.fixture
def stores(place: Place) -> Iterator[tuple[Store, Store]]:
    made = [Store(str(place(name)), source="sandbox", read_only=False) for name in ("one", "two")]
    yield made[0], made[1]
    for store in made:
        store.close()


def posts_in(store: Store) -> list[tuple[str, int, int]]:
    each = everything(store)
    bodies = store.envelopes([one.id for one in each])
    return sorted((one.entity, one.observed_at, body["data"]["posts"]) for one, body in zip(each, bodies, strict=True))


def test_two_answers_of_one_moment_are_both_taken(stores: tuple[Store, Store]) -> None:
    one, two = (fill_at_one_moment(store, posts) for store, posts in zip(stores, (1, 2), strict=True))
    assert [take(to, of) for to, of in ((one, two), (two, one)) * 2] == [2, 2, 0, 0]  # again and again
    assert posts_in(one) == [("e", 7, 1), ("e", 8, 2), ("f", 7, 1), ("f", 8, 2)]
    assert posts_in(two) == [("e", 7, 2), ("e", 8, 1), ("f", 7, 2), ("f", 8, 1)]


def test_the_same_answered_twice_in_one_moment_is_there_twice(stores: tuple[Store, Store]) -> None:
    one, two = stores[0], fill_at_one_moment(stores[1], 5)
    assert take(one, two) == 2
    fill_at_one_moment(two, 5)  # paid for again, with the same answer
    assert [take(one, two), take(one, two), take(two, one)] == [2, 0, 0]
    assert posts_in(one) == posts_in(two)
    assert len(one.ledger({each.request for each in everything(one)})) == 2  # each answer has its request
    assert one.totals().credits == one.totals().imported == 4
    fresh = Store(":memory:", source="sandbox", read_only=False)
    assert [take(fresh, two), take(fresh, two)] == [4, 0]
    assert {each.request for each in everything(fresh)} == {1, 2}
    fresh.close()


# What it counts for ---------------------------------------------------------------------------------------------


def test_no_budget_and_no_limit_counts_what_others_paid(
    make_client: Make, colleague: kr.Client, theirs: Any, clock: Clock
) -> None:
    kr.fetch_hashtags(["perfume", "ufc324", "diy"], client=colleague)  # 6 credits in the same month
    client = make_client(max_credits=4)
    kr.fetch_hashtags("smellgood", client=client)
    before = kr.limit_store(4, client=client)
    per_day = kr.limit_store(4, per="day", client=client)
    with kr.budget(2) as budget:
        import_store(theirs, client=client)
    assert (budget.spent, client.credits_spent, client.credits_saved) == (0, 2, 0)
    assert kr.status(client=client).limits == (per_day, before)
    assert kr.limit_store(4, client=client).spent == 2  # counted anew
    kr.fetch_hashtags("gardening", client=client)  # 2 of 4 are left
    with pytest.raises(kr.BudgetExceededError):
        kr.fetch_hashtags("sunflower", client=client)


def test_status_and_ledger_say_who_paid(
    client: kr.Client, colleague: kr.Client, theirs: Any, tmp_path: Path
) -> None:
    kr.fetch_hashtags(["perfume", "ufc324"], client=colleague)
    kr.fetch_hashtags("diy", client=client)
    import_store(theirs, client=client)
    status = kr.status(client=client)
    assert (status.credits_in_ledger, status.credits_imported, status.credits_spent) == (6, 4, 2)
    ledger = kr.ledger(client=client)
    assert ledger["imported"].dtype == "boolean"
    assert ledger.groupby("imported")["credits"].sum().to_dict() == {False: 2, True: 4}
    brought = ledger[ledger["imported"]].drop(columns="imported")
    assert_frame_equal(sorted_rows(brought), sorted_rows(kr.ledger(client=colleague).drop(columns="imported")))
    assert kr.sql("SELECT sum(credits) AS paid FROM ledger WHERE NOT imported", client=client)["paid"].item() == 2
    with make_replay(client, tmp_path / "study.zip") as reader:
        assert not kr.ledger(client=reader)["imported"].any()


def make_replay(client: kr.Client, file: Path) -> kr.Client:
    kr.fetch_hashtags(["perfume", "ufc324", "diy"], client=client)
    kr.freeze(file, client=client)
    return kr.Client(replay=file)


def test_an_export_goes_on_with_what_was_imported(
    client: kr.Client, colleague: kr.Client, theirs: Any, tmp_path: Path
) -> None:
    kr.fetch_hashtags("diy", client=client)
    kr.export_store(tmp_path / "archive", client=client)
    kr.fetch_hashtags(["perfume", "ufc324"], client=colleague)
    import_store(theirs, client=client)
    assert set(kr.export_store(tmp_path / "archive", client=client).tables) >= {"hashtags", "ledger"}
    names = kr.read_parquet(tmp_path / "archive" / "hashtags")["hashtag_name"]
    assert sorted(names) == ["diy", "perfume", "ufc324"]


# What is the newest ---------------------------------------------------------------------------------------------


def test_an_older_answer_does_not_hide_a_newer_one_and_a_newer_one_does(
    client: kr.Client, colleague: kr.Client, theirs: Any, clock: Clock, sandbox: Sandbox
) -> None:
    first = posts(colleague)
    clock.advance(60)
    second = posts(client)
    import_store(theirs, client=client)
    assert posts(client, sent=sandbox) == second
    assert kr.stored("hashtags", client=client)["observed_at"].tolist() == [second]
    assert kr.stored("hashtags", observations="all", client=client)["observed_at"].tolist() == [first, second]
    clock.advance(60)
    third = posts(colleague, max_age=0)
    import_store(theirs, client=client)
    assert posts(client, sent=sandbox) == third
    clock.advance(60)
    fourth = posts(client, max_age=0)
    import_store(theirs, client=client)
    assert posts(client, sent=sandbox) == fourth
    history = kr.fetch_hashtags("perfume", client=client).keyapi.history(client=client)["observed_at"]
    assert history.tolist() == [first, second, third, fourth]
    assert posts(kr.Client(offline=True, as_of=str(second), store=client.settings.store)) == second


def test_whatever_the_clock_says_what_a_client_stored_last_is_newest(
    client: kr.Client, colleague: kr.Client, theirs: Any, clock: Clock, sandbox: Sandbox
) -> None:
    clock.advance(86_400 * 400)  # the colleague's clock is wrong by more than a year
    wrong = posts(colleague)
    clock.set("2026-06-15 10:00")
    import_store(theirs, client=client)
    assert posts(client, sent=sandbox) == wrong
    own = posts(client, max_age=0)
    assert posts(client, sent=sandbox) == own < wrong


def test_several_imports_are_ordered_by_their_moments(make_client: Make, clock: Clock, place: Place) -> None:
    seen = {}
    for name in ("a", "b", "c"):
        clock.advance(60)
        seen[name] = posts(make_client(store=place(name)))
    for order in ("abc", "cba", "bca"):
        client = make_client(store=place(order))
        for name in order:
            import_store(place(name), client=client)
        assert posts(client) == seen["c"]


def ranking(client: kr.Client, limit: int = 40, **options: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", kr.StaleDataWarning)
        frame = kr.fetch_trending_hashtags(region="US", period=7, limit=limit, client=client, **options)
    return frame["observed_at"].min()


def test_pulls_of_rankings_are_ordered_in_the_same_way(
    client: kr.Client, colleague: kr.Client, theirs: Any, clock: Clock, sandbox: Sandbox, tmp_path: Path
) -> None:
    first = ranking(colleague)
    clock.advance(7200)
    second = ranking(client)
    import_store(theirs, client=client)
    sent = len(sandbox.requests)
    assert ranking(client) == second
    assert kr.stored("trending_hashtags", client=client)["observed_at"].min() == second
    every = kr.stored("trending_hashtags", observations="all", client=client)["observed_at"]
    assert every.is_monotonic_increasing
    assert every.min() == first
    with make_study(client, tmp_path / "older.zip") as reader:
        assert ranking(reader) == second
    assert len(sandbox.requests) == sent
    clock.advance(7200)
    third = ranking(colleague, max_age=0)
    import_store(theirs, client=client)
    assert ranking(client) == third


def make_study(client: kr.Client, file: Path) -> kr.Client:
    frame = kr.stored("trending_hashtags", observations="all", client=client)
    assert frame["observed_at"].nunique() > 2
    assert not kr.freeze(file, client=client).differing
    return kr.Client(replay=file)


def test_a_pull_that_grew_gets_its_new_pages_and_own_ones_go_on(
    client: kr.Client, colleague: kr.Client, theirs: Any, sandbox: Sandbox
) -> None:
    ranking(colleague, limit=20)
    assert import_store(theirs, client=client).answers == 1
    ranking(colleague, limit=40)
    more = import_store(theirs, client=client)
    assert (more.answers, more.known) == (1, 1)
    sent = len(sandbox.requests)
    ranking(client, limit=40)
    assert len(sandbox.requests) == sent
    ranking(client, limit=60)  # goes on where the colleague's ended
    assert len(sandbox.requests) == sent + 1
    [pull] = client.store.pulls(client.store.observations([1])[0].entity)
    assert [one.page for one in pull] == [1, 2, 3]


def test_what_is_imported_during_a_call_is_not_taken_for_new(
    client: kr.Client,
    colleague: kr.Client,
    theirs: Any,
    clock: Clock,
    sandbox: Sandbox,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first = posts(colleague)
    clock.advance(60)
    send = Sender.send

    def import_before(self: Sender, *given: Any) -> Any:
        if self is client._sender:
            import_store(theirs, client=client)
        return send(self, *given)

    monkeypatch.setattr(Sender, "send", import_before)
    assert posts(client, max_age=0) > first
    assert len(sandbox.requests) == 2


@pytest.mark.parametrize("max_age", [0, None])
def test_an_import_beside_a_call_neither_hangs_it_nor_is_paid_again(
    max_age: int | None,
    make_client: Make,
    clock: Clock,
    sandbox: Sandbox,
    place: Place,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Just before a call sends, others fetch the same into its store and elsewhere, and the latter is imported."""
    client, beside, other = make_client(), make_client(), make_client(store=place("other"))
    send, left = Sender.send, [beside, other]

    def others_first(self: Sender, *given: Any) -> Any:
        if self is client._sender and left:
            for one in (left.pop(0), left.pop(0)):
                clock.advance(1)
                if max_age == 0 or one is other:
                    posts(one, max_age=0)
            import_store(place("other"), client=beside)
        return send(self, *given)

    monkeypatch.setattr(Sender, "send", others_first)
    posts(client, max_age=max_age)
    assert client.credits_spent == 0  # what came since is served, whoever paid
    assert len(sandbox.requests) == (2 if max_age == 0 else 1)


def test_a_request_without_an_answer_stays_named_beside_an_older_imported_one(
    client: kr.Client, colleague: kr.Client, theirs: Any, clock: Clock, sandbox: Sandbox
) -> None:
    posts(colleague)
    clock.advance(60)
    sandbox.faults.put(Fault(close="before"))
    with pytest.raises(kr.NetworkError):
        kr.fetch_hashtags("perfume", client=client)
    import_store(theirs, client=client)
    assert "may have been charged" in kr.plan(kr.fetch_hashtags, "perfume", max_age=0, client=client).note
    clock.advance(60)
    posts(colleague, max_age=0)
    import_store(theirs, client=client)
    assert "may have been charged" not in kr.plan(kr.fetch_hashtags, "perfume", max_age=0, client=client).note


def test_an_archive_of_imported_answers_is_replayed(
    client: kr.Client, colleague: kr.Client, theirs: Any, tmp_path: Path
) -> None:
    kr.fetch_hashtags("ufc324", client=colleague)
    given = kr.fetch_hashtags(["perfume", "ufc324"], client=colleague)
    import_store(theirs, client=client)
    taken = kr.fetch_hashtags(["perfume", "ufc324"], client=client)
    assert_frame_equal(taken, given)
    provenance = taken.keyapi.provenance(client=client)
    assert_frame_equal(provenance, given.keyapi.provenance(client=colleague))
    frozen = kr.freeze(tmp_path / "study.zip", client=client)
    assert (frozen.answers, frozen.credits) == (2, 4)
    kr.freeze(tmp_path / "theirs.zip", client=colleague)
    with zipfile.ZipFile(tmp_path / "study.zip") as own, zipfile.ZipFile(tmp_path / "theirs.zip") as other:
        assert all(own.read(name) == other.read(name) for name in ("answers.jsonl", "ledger.csv"))
    with kr.Client(replay=tmp_path / "study.zip") as reader:
        assert_frame_equal(kr.fetch_hashtags(["perfume", "ufc324"], client=reader), given)


# What is refused ------------------------------------------------------------------------------------------------


def test_another_source_is_refused(client: kr.Client, make_client: Make, place: Place) -> None:
    paid = place("paid")
    Store(str(paid), source="keyapi", read_only=False).close()
    kr.fetch_hashtags("perfume", client=client)
    before = state_of(place)
    with pytest.raises(kr.StoreError, match=r"'keyapi'.*'sandbox'.*one source"):
        import_store(paid, client=client)
    assert state_of(place) == before
    online = make_client(store=paid, base_url="https://api.keyapi.ai")
    with pytest.raises(kr.StoreError, match=r"'sandbox'.*'keyapi'.*one source"):
        import_store(place(), client=online)
    new = make_client(store=place("new"))  # another address: nobody knows yet who answers
    with pytest.raises(kr.StoreError, match="one source"):
        import_store(paid, client=new)
    assert import_store(place(), client=new).answers == 1
    assert new.source == "sandbox"


@pytest.mark.of_a_file
@pytest.mark.parametrize("how", [shutil.copy, os.symlink, os.link])
def test_the_store_itself_is_refused_and_a_copy_of_it_brings_nothing(
    how: Callable[..., Any], client: kr.Client, place: Place
) -> None:
    kr.fetch_hashtags("perfume", client=client)
    how(place(), place("other"))
    if how is shutil.copy:
        assert import_store(place("other"), client=client).known == 1
    else:
        with pytest.raises(kr.InvalidArgumentError, match="itself"):
            import_store(place("other"), client=client)


def test_the_store_itself_is_refused_however_it_is_written(client: kr.Client, place: Place) -> None:
    kr.fetch_hashtags("perfume", client=client)
    before, itself = state_of(place), place()
    written = [str(itself), itself]
    if place.on_server:
        written += [itself.replace("postgresql", "postgres"), f"{itself}?application_name=another"]
    else:
        written += [itself.parent / ".." / itself.parent.name / itself.name]
    for one in written:
        with pytest.raises(kr.InvalidArgumentError, match="is the store of this connection itself"):
            import_store(one, client=client)
    assert state_of(place) == before


def test_a_store_of_another_kind_is_taken_in(make_client: Make, place: Place, tmp_path: Path) -> None:
    """One is a file, the other is of the kind that is tested: a file into a server, and a server into a file."""
    one, other = make_client(store=tmp_path / "one.sqlite"), make_client(store=place("other"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", kr.MissingDataWarning)
        kr.fetch_hashtags(["perfume", "\u9999\u6c34", "nobody"], client=one)
    kr.fetch_hashtags("perfume", max_age=0, client=one)
    ranking(one)
    kr.fetch_creators("104962950695723008", client=other)
    kr.fetch_endpoint(CAPTIONS, {"video_id": "7117191641181555995"}, client=other)
    there, back = one.status(), other.status()
    done = import_store(place("other"), client=one)
    assert (done.answers, done.absences, done.known) == (back.answers, back.absences, 0)
    assert (done.requests, done.credits) == (back.requests, back.credits_in_ledger)
    done = import_store(tmp_path / "one.sqlite", client=other)
    assert (done.answers, done.absences, done.known) == (there.answers, there.absences, back.answers)
    assert (done.requests, done.credits) == (there.requests, there.credits_in_ledger)
    assert moments(one.store) == moments(other.store)
    for table in kr.stored(client=one)["table"]:
        mine, theirs = (kr.stored(table, observations="all", client=client) for client in (one, other))
        assert_frame_equal(sorted_rows(mine), sorted_rows(theirs))
    mine, theirs = (kr.ledger(client=client).drop(columns="imported") for client in (one, other))
    assert_frame_equal(sorted_rows(mine), sorted_rows(theirs))
    before = state_of(place, "other"), (tmp_path / "one.sqlite").read_bytes()
    assert import_store(place("other"), client=one).answers == 0
    assert import_store(tmp_path / "one.sqlite", client=other).answers == 0
    assert (state_of(place, "other"), (tmp_path / "one.sqlite").read_bytes()) == before


def test_what_is_no_store_is_refused(client: kr.Client, colleague: kr.Client, tmp_path: Path) -> None:
    kr.fetch_hashtags("perfume", client=colleague)
    kr.freeze(tmp_path / "study.zip", client=colleague)
    (tmp_path / "text.sqlite").write_text("not a database")
    with closing(sqlite3.connect(tmp_path / "another.sqlite")) as other:
        other.execute("CREATE TABLE t (x)")
    for wrong, kind, what in (
        (3, kr.InvalidArgumentError, "path must be"),
        ("", kr.InvalidArgumentError, "path must be"),
        (":memory:", kr.InvalidArgumentError, "in memory"),
        ("postgresql://me@127.0.0.1:1/db", kr.StoreError, "nothing was imported: no connection to postgresql://127"),
        ("postgresql://user:secret@host/db", kr.InvalidArgumentError, "path: the address has a password in it"),
        ("postgres://host/db?password=secret", kr.InvalidArgumentError, "path: the address has a password in it"),
        ("postgresql://host/db?secret", kr.InvalidArgumentError, "address of the store cannot be read"),
        ("postgres-study.sqlite", kr.StoreError, "there is no store at postgres-study.sqlite"),
        ("https://example.com/store.sqlite", kr.InvalidArgumentError, "URL"),
        (tmp_path / "study.zip", kr.InvalidArgumentError, "archive.*kr.replay"),
        (tmp_path, kr.StoreError, "is a folder"),
        (tmp_path / "none.sqlite", kr.StoreError, "there is no store at"),
        (tmp_path / "text.sqlite", kr.StoreError, "nothing was imported: .*not an SQLite file"),
        (tmp_path / "another.sqlite", kr.StoreError, "nothing was imported: .*another program"),
    ):
        with pytest.raises(kind, match=what) as refused:
            import_store(wrong, client=client)  # type: ignore[arg-type]
        assert "secret" not in str(refused.value)
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(kr.StoreError, match=r"nothing was imported: .*not a regular file"):
            import_store(tmp_path / "pipe", client=client)
    assert not (tmp_path / "none.sqlite").exists()
    assert kr.status(client=client).answers == 0


def test_where_no_store_is_none_is_made(client: kr.Client, place: Place) -> None:
    with pytest.raises(kr.StoreError, match="there is no store "):
        import_store(place("none"), client=client)
    if place.on_server:
        assert run_sql(place("none"), "SELECT 1 FROM pg_namespace WHERE nspname = 'keyapi'") == []
        run_sql(place("another"), "CREATE SCHEMA keyapi", "CREATE TABLE keyapi.ledger (x int)")
        with pytest.raises(kr.StoreError, match=r"nothing was imported: .*another program"):
            import_store(place("another"), client=client)
    else:
        assert not place("none").exists()
    assert kr.status(client=client).answers == 0


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE responses SET value = replace(value, 'perfume', 'parfum')",
        "UPDATE keyapi_answers SET rows = 7 WHERE id = 3",
        "DELETE FROM keyapi_answers WHERE id = 2",
        "UPDATE keyapi_ledger SET credits = 1 WHERE id = 3",
    ],
)
def test_of_a_damaged_store_nothing_is_imported(
    statement: str,
    client: kr.Client,
    colleague: kr.Client,
    theirs: Any,
    place: Place,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(importing, "_AT_ONCE", 1)
    kr.fetch_hashtags(["diy", "ufc324", "perfume"], client=colleague)
    colleague.close()
    rows_of(theirs, statement)
    before = state_of(place)
    with pytest.raises(kr.StoreError, match="damaged"):
        import_store(theirs, client=client)
    assert state_of(place) == before


@pytest.mark.parametrize(
    ("column", "cell"),
    [("observed_at", -(10**18)), ("observed_at", 5 * 10**18), ("params", "nojson"), ("params", "[]"), ("entity", "e")],
)
def test_nonsense_with_valid_checksums_is_refused_before_anything_is_stored(
    column: str, cell: Any, client: kr.Client, colleague: kr.Client, theirs: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "_AT_ONCE", 1)
    kr.fetch_hashtags(["diy", "ufc324", "perfume"], client=colleague)
    colleague.close()
    [(key,)] = rows_of(theirs, "SELECT entity || '-' || observed_at FROM keyapi_answers WHERE id = 3")
    rows_of(theirs, f"UPDATE keyapi_answers SET {column} = ? WHERE id = 3", cell)
    [(*row, _)] = rows_of(theirs, "SELECT * FROM keyapi_answers WHERE id = 3")
    rows_of(theirs, "UPDATE keyapi_answers SET checksum = ? WHERE id = 3", checksum(row))
    moved = "(SELECT entity || '-' || observed_at FROM keyapi_answers WHERE id = 3)"
    rows_of(theirs, f"UPDATE responses SET key = {moved} WHERE key = ?", key)
    with pytest.raises(kr.StoreError, match=r"nothing was imported: .*not what its index says"):
        import_store(theirs, client=client)
    assert client.store.totals().answers == 0


@pytest.mark.of_a_file
def test_an_offline_store_of_the_first_format_is_converted_and_says_to_connect_again(
    make_client: Make, place: Place
) -> None:
    own = shutil.copy(FORMATS / "store-v1.db", place("own"))
    there = make_client(store=place("there"))
    kr.fetch_hashtags("perfume", client=there)
    with pytest.raises(kr.StoreError, match="Connect again"):
        import_store(place("there"), client=make_client(store=own, offline=True))
    again = make_client(store=own, offline=True)
    assert import_store(place("there"), client=again).answers == 1
    assert len(kr.fetch_hashtags("perfume", client=again)) == 1


def test_an_offline_connection_takes_in_and_reads_it(
    make_client: Make, client: kr.Client, colleague: kr.Client, theirs: Any
) -> None:
    kr.fetch_hashtags("diy", client=client)
    kr.fetch_hashtags("perfume", client=colleague)
    offline = make_client(offline=True)
    assert import_store(theirs, client=offline).answers == 1
    assert kr.fetch_hashtags(["diy", "perfume"], client=offline)["hashtag_name"].tolist() == ["diy", "perfume"]


def test_who_only_reads_imports_nothing(
    make_client: Make, client: kr.Client, colleague: kr.Client, theirs: Any, tmp_path: Path
) -> None:
    kr.fetch_hashtags("perfume", client=colleague)
    kr.fetch_hashtags("diy", client=client)
    kr.freeze(tmp_path / "study.zip", client=client)
    with pytest.raises(kr.StoreError, match="without as_of and replay"):
        import_store(theirs, client=make_client(as_of="2030-01-01"))
    with kr.Client(replay=tmp_path / "study.zip") as reader, pytest.raises(kr.StoreError, match="without as_of"):
        import_store(theirs, client=reader)
    closed = make_client()
    closed.close()
    with pytest.raises(kr.StoreError, match="closed"):
        import_store(theirs, client=closed)
    assert kr.status(client=client).answers == 1


# Long, interrupted, side by side --------------------------------------------------------------------------------


def fill(store: Any, number: int) -> None:
    """Make a store of hashtag answers, some of them of one request, and of rankings."""
    with Sandbox() as server:
        options = {"token": "a-token-of-the-tests", "requests_per_second": None, "progress": False}
        with (
            warnings.catch_warnings(),
            kr.Client(base_url=server.url, store=store, max_call_credits=None, **options) as client,
        ):
            warnings.simplefilter("ignore", kr.MissingDataWarning)
            kr.fetch_hashtags([f"tag{one}" for one in range(number)], client=client)
            kr.fetch_videos([str(7_300_000_000_000_000_000 + one) for one in range(40)], client=client)
            ranking(client, limit=60)


IMPORT = """
import sys
import keyapi_research as kr
from keyapi_research import importing
importing._AT_ONCE = 4
with kr.Client(store=sys.argv[1], offline=True, progress=False) as client:
    print("begun", flush=True)
    kr.import_store(sys.argv[2], client=client)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no kill -9 here")
@pytest.mark.parametrize(
    "times", [2, pytest.param(6, marks=pytest.mark.slow), pytest.param(20, marks=pytest.mark.long)]
)
def test_kill_9_loses_and_repeats_nothing(times: int, client: kr.Client, theirs: Any) -> None:
    fill(theirs, 60)
    kr.fetch_hashtags("diy", client=client)
    chance = random.Random(5)
    for _ in range(times):
        command = [sys.executable, "-c", IMPORT, client.settings.store, str(theirs)]
        running = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert running.stdout is not None
        running.stdout.readline()
        time.sleep(chance.uniform(0, 0.3))
        os.kill(running.pid, signal.SIGKILL)
        running.wait()
        running.stdout.close()
    import_store(theirs, client=client)
    with closing(Store(str(theirs), source=None, read_only=True)) as there:
        own = [one for one in moments(client.store) if one not in moments(there)]
        assert len(own) == 1
        assert len(moments(client.store)) == len(moments(there)) + 1
        paid = {row[0] for row in there.ledger()}
    ledger = kr.ledger(client=client)
    assert len(ledger) == len(paid) + 1
    assert ledger["credits"].sum() == kr.status(client=client).credits_in_ledger
    entity = next(one.entity for one in everything(client.store) if one.page)
    [pull] = client.store.pulls(entity)
    assert [one.page for one in pull] == [1, 2, 3]


def test_two_that_import_at_once_take_each_answer_once(
    make_client: Make, theirs: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(theirs, 20)
    monkeypatch.setattr(importing, "_AT_ONCE", 5)
    clients = [make_client(), make_client()]
    done: list[importing.Imported] = []
    takes = [lambda one=one: done.append(import_store(theirs, client=one)) for one in clients]
    threads = [threading.Thread(target=one) for one in takes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with closing(Store(str(theirs), source=None, read_only=True)) as there:
        assert moments(clients[0].store) == moments(there)
        assert sum(one.answers + one.absences for one in done) == len(moments(there))
        assert len(kr.ledger(client=clients[0])) == len(there.ledger())


def test_a_bar_counts_the_answers(
    make_client: Make, colleague: kr.Client, theirs: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    kr.fetch_hashtags(["perfume", "diy"], client=colleague)
    shown = import_store(theirs, client=make_client(progress=True))
    bar = capsys.readouterr().err
    assert "import_store" in bar
    assert "2 of 2 answers" in bar
    assert str(shown).splitlines()[1:] == [
        "  new answers   2", "  new absences  0", "  known before  0", "  requests      2",
        "  credits       4 (paid by others)",
    ]
