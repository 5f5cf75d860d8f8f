"""Budgets hold for whoever spends: other clients, threads, tasks; and nothing is paid for that cannot be used."""

from __future__ import annotations

import asyncio
import contextlib
import io
import sqlite3
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Self

import pandas as pd
import pytest
import requests

import keyapi_research as kr
from keyapi_research.sandbox import SOURCE_HEADER, Fault, Sandbox

Make = Callable[..., kr.Client]
TOKEN = "a-token-of-the-tests"
PATIENCE = 120  # seconds after which something hangs, however busy the machine is


def tags(*numbers: int) -> list[str]:
    return [f"tag{number}" for number in numbers]


def videos(*numbers: int) -> list[str]:
    return [str(7_100_000_000_000_000_001 + 1_000_003 * number) for number in numbers]


def ranking(client: kr.Client | None, limit: int | None) -> pd.DataFrame:
    return kr.fetch_product_insights(region="US", time_scope=7, limit=limit, client=client)


def requested(sandbox: Sandbox) -> list[str]:
    return sorted(request.params["hashtag_name"] for request in sandbox.requests)


@pytest.fixture
def connect(sandbox: Sandbox, tmp_path: Path) -> Iterator[Callable[..., kr.Client]]:
    """Connect to the server, by default with one store file, and make that the default client."""
    clients = []

    def connect(**options: Any) -> kr.Client:
        usual = {"token": TOKEN, "base_url": sandbox.url, "store": tmp_path / "store.sqlite", "progress": False}
        clients.append(kr.connect(**{**usual, "requests_per_second": None, **options}))
        return clients[-1]

    yield connect
    for client in clients:
        client.close()


@pytest.fixture
def earnest(sandbox: Sandbox) -> Sandbox:
    """A server that does not say it is a sandbox: requests to it count as real money."""
    sandbox.extra_headers = {SOURCE_HEADER: ""}
    return sandbox


def do(job: Callable[[], Any]) -> Any:
    """Do a job in a thread of its own; give what it returns or raises."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(job).result(timeout=PATIENCE)


class Elsewhere:
    """A thread with a budget block of its own, which stays open until it is told to leave it."""

    def __init__(self, limit: int, client: kr.Client) -> None:
        self._limit, self._client = limit, client
        self._opened, self._leave = threading.Event(), threading.Event()
        self.budget: Any = None
        self._thread = threading.Thread(target=self._stay, daemon=True)

    def _stay(self) -> None:
        with kr.budget(self._limit, client=self._client) as self.budget:
            self._opened.set()
            assert self._leave.wait(PATIENCE)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._opened.wait(PATIENCE)
        return self

    def __exit__(self, *_: object) -> None:
        self._leave.set()
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()


# A block holds whatever the client -----------------------------------------------------------------------------


def spend_in_block(fetch: Callable[..., Any], budget: Any, sandbox: Sandbox) -> None:
    """Try to spend six credits, then two, then two, in a block of two."""
    with pytest.raises(kr.BudgetExceededError):
        fetch(tags(1, 2, 3))
    assert sandbox.requests == []
    assert len(fetch(tags(1))) == 1
    with pytest.raises(kr.BudgetExceededError):
        fetch(tags(2))
    assert sandbox.charged == budget.spent == 2
    assert (budget.held, budget.remaining) == (0, 0)


def test_a_budget_holds_for_a_client_that_connects_inside_its_block(
    connect: Callable[..., kr.Client], sandbox: Sandbox
) -> None:
    connect()
    with kr.budget(2) as budget:
        connect(max_workers=8)
        spend_in_block(kr.fetch_hashtags, budget, sandbox)
    kr.fetch_hashtags(tags(1, 2, 3))
    assert sandbox.charged == 6
    assert budget.spent == 2


def test_a_budget_holds_for_a_client_that_is_made_inside_its_block(make_client: Make, sandbox: Sandbox) -> None:
    with kr.budget(2, client=make_client()) as budget:
        inside = make_client(max_workers=8)
        spend_in_block(lambda names: kr.fetch_hashtags(names, client=inside), budget, sandbox)


def test_a_budget_holds_for_a_client_that_was_there_before(make_client: Make, sandbox: Sandbox) -> None:
    first, second = make_client(), make_client(max_workers=8)
    with kr.budget(2, client=first) as budget:
        spend_in_block(lambda names: kr.fetch_hashtags(names, client=second), budget, sandbox)


@pytest.mark.parametrize("store", ["other.sqlite", ":memory:"])
def test_a_budget_holds_for_a_client_of_another_store(
    store: str, make_client: Make, sandbox: Sandbox, tmp_path: Path
) -> None:
    with kr.budget(2, client=make_client()) as budget:
        other = make_client(store=store if store == ":memory:" else tmp_path / store)
        spend_in_block(lambda names: kr.fetch_hashtags(names, client=other), budget, sandbox)


def test_a_budget_holds_for_a_ranking_of_another_client(make_client: Make, sandbox: Sandbox) -> None:
    with kr.budget(4, client=make_client()) as budget:
        with pytest.raises(kr.BudgetExceededError):
            ranking(make_client(max_workers=8), 60)
        assert sandbox.requests == []
        with pytest.raises(kr.BudgetExceededError) as caught:
            ranking(make_client(max_workers=8), None)
    assert caught.value.frame is not None
    assert len(caught.value.frame) == 40
    assert sandbox.charged == budget.spent == 4


def test_budgets_of_two_clients_nest(make_client: Make, sandbox: Sandbox) -> None:
    first, second = make_client(), make_client(max_workers=8)
    with kr.budget(6, client=first) as outer, kr.budget(4, client=second) as inner:
        for client in (first, second):
            with pytest.raises(kr.BudgetExceededError):
                kr.fetch_hashtags(tags(1, 2, 3), client=client)
        kr.fetch_hashtags(tags(1), client=first)
        kr.fetch_hashtags(tags(2), client=second)
        assert (outer.spent, inner.spent) == (4, 4)
        assert (outer.remaining, inner.remaining) == (2, 0)
    assert sandbox.charged == 4


def test_the_limit_of_a_client_counts_what_that_client_spends_only(make_client: Make, sandbox: Sandbox) -> None:
    first, second = make_client(max_credits=4), make_client(max_credits=6)
    kr.fetch_hashtags(tags(1, 2), client=first)
    kr.fetch_hashtags(tags(3, 4, 5), client=second)
    for client in (first, second):
        with pytest.raises(kr.BudgetExceededError):
            kr.fetch_hashtags(tags(6), client=client)
    assert (first.credits_spent, second.credits_spent, sandbox.charged) == (4, 6, 10)


def test_a_budget_of_nothing_reads_what_is_stored_and_pays_nothing(make_client: Make, sandbox: Sandbox) -> None:
    kr.fetch_hashtags(tags(1), client=make_client())
    with kr.budget(0, client=make_client()):
        inside = make_client(max_workers=8)
        assert len(kr.fetch_hashtags(tags(1), client=inside)) == 1
        with pytest.raises(kr.BudgetExceededError):
            kr.fetch_hashtags(tags(1, 2), client=inside)
    assert sandbox.charged == 2


# What is in flight belongs to the store ------------------------------------------------------------------------


def both_at_once(first: Callable[[], Any], second: Callable[[], Any], sandbox: Sandbox) -> list[Any]:
    """Make a call, and another one while something of the first is in flight."""
    arrived, begun = threading.Event(), threading.Event()

    def hold(*_: object) -> Fault:
        arrived.set()
        assert begun.wait(PATIENCE)
        return Fault(delay=0.3)

    def later() -> Any:
        assert arrived.wait(PATIENCE)
        begun.set()
        return second()

    sandbox.on_request = hold
    with ThreadPoolExecutor(2) as pool:
        return [job.result(timeout=PATIENCE) for job in (pool.submit(first), pool.submit(later))]


def test_a_call_and_a_reconnect_that_request_the_same_pay_once(
    connect: Callable[..., kr.Client], sandbox: Sandbox
) -> None:
    first = connect()

    def again() -> pd.DataFrame:
        connect(max_workers=8)
        return kr.fetch_hashtags(tags(1, 2, 3))

    frames = both_at_once(lambda: kr.fetch_hashtags(tags(1, 2, 3), client=first), again, sandbox)
    assert [frame["hashtag_name"].tolist() for frame in frames] == [tags(1, 2, 3)] * 2
    assert requested(sandbox) == tags(1, 2, 3)
    assert sandbox.charged == 6


def test_two_clients_of_one_store_that_request_the_same_videos_pay_once(make_client: Make, sandbox: Sandbox) -> None:
    first, second = make_client(), make_client()
    frames = both_at_once(
        lambda: kr.fetch_videos(videos(*range(10)), client=first),
        lambda: kr.fetch_videos(videos(*range(5, 10)), client=second),
        sandbox,
    )
    assert [len(frame) for frame in frames] == [10, 5]
    assert sandbox.charged == 1
    assert first.credits_spent + second.credits_spent == 1


def test_two_clients_of_one_store_that_pull_one_ranking_pay_once(make_client: Make, sandbox: Sandbox) -> None:
    first, second = make_client(), make_client()
    frames = both_at_once(lambda: ranking(first, 60), lambda: ranking(second, 60), sandbox)
    assert [len(frame) for frame in frames] == [60, 60]
    assert sandbox.charged == first.credits_spent + second.credits_spent == 6


def test_two_clients_under_two_spellings_of_one_store_pay_once(
    make_client: Make, sandbox: Sandbox, tmp_path: Path
) -> None:
    first = make_client()
    (tmp_path / "link.sqlite").symlink_to(tmp_path / "store.sqlite")
    second = make_client(store=tmp_path / "link.sqlite")
    both_at_once(
        lambda: kr.fetch_hashtags(tags(1, 2, 3), client=first),
        lambda: kr.fetch_hashtags(tags(3, 2, 1), client=second),
        sandbox,
    )
    assert sandbox.charged == 6


def test_two_clients_of_two_stores_each_pay(make_client: Make, sandbox: Sandbox, tmp_path: Path) -> None:
    first, second = make_client(), make_client(store=tmp_path / "other.sqlite")
    both_at_once(
        lambda: kr.fetch_hashtags(tags(1), client=first), lambda: kr.fetch_hashtags(tags(1), client=second), sandbox
    )
    assert sandbox.charged == 4


# Threads and tasks ---------------------------------------------------------------------------------------------


def test_a_budget_opened_elsewhere_does_not_break_off_a_ranking_that_began_before(
    client: kr.Client, sandbox: Sandbox
) -> None:
    elsewhere = Elsewhere(1, client)

    def answer(_: str, params: dict[str, str]) -> Fault | None:
        if params["page"] == "2":
            elsewhere.__enter__()
        return None

    def end(_: str, params: dict[str, str], envelope: dict[str, Any]) -> dict[str, Any]:
        if params["page"] == "5":
            envelope["data"]["pagination"]["has_more"] = False
        return envelope

    sandbox.on_request, sandbox.mutate = answer, end
    try:
        assert len(ranking(client, None)) == 100
    finally:
        elsewhere.__exit__()
    assert sandbox.charged == 10
    assert elsewhere.budget.spent == 0


def test_a_budget_opened_elsewhere_does_not_break_off_a_call_by_id_that_began_before(
    make_client: Make, sandbox: Sandbox
) -> None:
    client = make_client(max_workers=1)
    elsewhere = Elsewhere(1, client)
    sandbox.on_request = lambda _, params: elsewhere.__enter__() and None if params["hashtag_name"] == "tag1" else None
    try:
        assert len(kr.fetch_hashtags(tags(*range(5)), client=client)) == 5
    finally:
        elsewhere.__exit__()
    assert (sandbox.charged, elsewhere.budget.spent) == (10, 0)


def test_a_budget_limits_calls_begun_in_threads_without_a_block_of_their_own(
    client: kr.Client, make_client: Make, sandbox: Sandbox
) -> None:
    with kr.budget(4, client=client) as budget:
        for one in (client, make_client(max_workers=2)):
            with pytest.raises(kr.BudgetExceededError):
                do(lambda one=one: kr.fetch_hashtags(tags(1, 2, 3), client=one))
        do(lambda: kr.fetch_hashtags(tags(1), client=client))
        assert budget.spent == 2
        do(lambda: kr.fetch_hashtags(tags(2), client=make_client(max_workers=2)))
        with pytest.raises(kr.BudgetExceededError):
            kr.fetch_hashtags(tags(3), client=client)
    assert sandbox.charged == budget.spent == 4
    do(lambda: kr.fetch_hashtags(tags(3), client=client))  # after the block all are free
    assert (sandbox.charged, budget.spent) == (6, 4)


def test_a_budget_elsewhere_limits_this_thread_until_it_ends(client: kr.Client, sandbox: Sandbox) -> None:
    with Elsewhere(2, client) as elsewhere:
        with pytest.raises(kr.BudgetExceededError):
            kr.fetch_hashtags(tags(1, 2), client=client)
        kr.fetch_hashtags(tags(1), client=client)
    assert elsewhere.budget.spent == 2
    kr.fetch_hashtags(tags(1, 2, 3), client=client)
    assert (sandbox.charged, elsewhere.budget.spent) == (6, 2)


def test_a_thread_with_a_block_of_its_own_is_limited_by_that_only(client: kr.Client, sandbox: Sandbox) -> None:
    with Elsewhere(2, client) as elsewhere, kr.budget(8, client=client) as own:
        kr.fetch_hashtags(tags(1, 2, 3), client=client)
        assert len(ranking(client, 20)) == 20
        with pytest.raises(kr.BudgetExceededError):
            kr.fetch_hashtags(tags(4), client=client)
        assert (own.spent, elsewhere.budget.spent) == (8, 0)
        with kr.budget(100, client=client), pytest.raises(kr.BudgetExceededError):
            kr.fetch_hashtags(tags(4), client=client)  # one that was opened in it counts, too
    assert sandbox.charged == 8


def test_a_thread_is_limited_elsewhere_again_when_it_left_its_own_block(client: kr.Client) -> None:
    with Elsewhere(2, client) as elsewhere:
        with kr.budget(4, client=client) as own:
            kr.fetch_hashtags(tags(1, 2), client=client)
        with pytest.raises(kr.BudgetExceededError):
            kr.fetch_hashtags(tags(3, 4), client=client)
        kr.fetch_hashtags(tags(3), client=client)
    assert (own.spent, elsewhere.budget.spent) == (4, 2)


def test_a_block_in_one_task_does_not_limit_a_task_with_its_own(client: kr.Client, sandbox: Sandbox) -> None:
    async def spend(limit: int, here: asyncio.Event, there: asyncio.Event) -> list[int]:
        with kr.budget(limit, client=client) as budget:
            here.set()
            await there.wait()
            refused = 0
            for name in tags(*range(limit + 1)):
                try:
                    kr.fetch_hashtags([f"{name}of{limit}"], client=client)
                except kr.BudgetExceededError:
                    refused += 1
                await asyncio.sleep(0)
            return [budget.spent, refused]

    async def both() -> list[Any]:
        first, second = asyncio.Event(), asyncio.Event()
        return list(await asyncio.gather(spend(2, first, second), spend(8, second, first)))

    assert asyncio.run(both()) == [[2, 2], [8, 5]]
    assert sandbox.charged == 10


def test_a_call_that_a_task_hands_to_a_thread_keeps_the_tasks_budget(client: kr.Client, sandbox: Sandbox) -> None:
    async def spend() -> None:
        with kr.budget(4, client=client) as budget:
            with pytest.raises(kr.BudgetExceededError):
                await asyncio.to_thread(kr.fetch_hashtags, tags(1, 2, 3), client=client)
            await asyncio.to_thread(kr.fetch_hashtags, tags(1, 2), client=client)
            assert budget.spent == 4

    with Elsewhere(0, client):  # which is not its own
        asyncio.run(spend())
    assert sandbox.charged == 4


def test_a_budget_in_force_cannot_be_entered_in_another_thread(client: kr.Client) -> None:
    def enter(budget: kr.Budget) -> None:
        with budget:
            pass

    with kr.budget(6, client=client) as budget:
        with pytest.raises(kr.InvalidArgumentError):
            do(lambda: enter(budget))
        kr.fetch_hashtags(tags(1), client=client)
    do(lambda: enter(budget))
    assert budget.spent == 2


# What one call may cost ----------------------------------------------------------------------------------------


@pytest.mark.usefixtures("earnest")
def test_a_block_lifts_the_limit_of_a_call_in_its_own_context_only(make_client: Make, sandbox: Sandbox) -> None:
    client = make_client()
    names = tags(*range(80))
    with Elsewhere(1000, client) as elsewhere:
        with pytest.raises(kr.BudgetExceededError, match="max_call_credits"):
            kr.fetch_hashtags(names, client=client)
        with pytest.raises(kr.BudgetExceededError, match="max_call_credits"):
            do(lambda: kr.fetch_hashtags(names, client=client))
    assert (sandbox.requests, elsewhere.budget.spent) == ([], 0)
    with kr.budget(1000, client=client):
        with pytest.raises(kr.BudgetExceededError, match="max_call_credits"):
            do(lambda: kr.fetch_hashtags(names, client=client))
        assert sandbox.requests == []
        assert len(kr.fetch_hashtags(names, client=client)) == 80


@pytest.mark.usefixtures("earnest")
def test_a_block_lifts_the_limit_of_a_call_for_another_client_in_its_context(
    make_client: Make, sandbox: Sandbox
) -> None:
    client = make_client(max_call_credits=10)
    with kr.budget(20, client=make_client()):
        assert len(kr.fetch_hashtags(tags(*range(6)), client=client)) == 6
    with pytest.raises(kr.BudgetExceededError, match="max_call_credits"):
        kr.fetch_hashtags(tags(*range(10, 16)), client=client)
    assert sandbox.charged == 12


@pytest.mark.usefixtures("earnest")
def test_a_block_elsewhere_does_not_lift_the_limit_of_a_ranking(make_client: Make, sandbox: Sandbox) -> None:
    client = make_client(max_call_credits=4)
    with Elsewhere(1000, client):
        with pytest.raises(kr.BudgetExceededError):
            ranking(client, 60)
        assert sandbox.requests == []
        with pytest.raises(kr.BudgetExceededError):
            ranking(client, None)
    assert sandbox.charged == 4


def make_alone(**options: Any) -> kr.Client:
    return kr.Client(sandbox=True, store=":memory:", progress=False, **options)


def connect_alone(**options: Any) -> kr.Client:
    return kr.connect(sandbox=True, store=":memory:", progress=False, **options)


@pytest.mark.parametrize("make", [make_alone, connect_alone], ids=["Client", "connect"])
@pytest.mark.parametrize("said", [20, 100], ids=["20", "the number that is usual elsewhere"])
def test_a_limit_of_a_call_that_was_passed_holds_in_the_sandbox(make: Callable[..., kr.Client], said: int) -> None:
    with make(max_call_credits=said) as client:
        with pytest.raises(kr.BudgetExceededError, match="max_call_credits"):
            kr.fetch_hashtags(tags(*range(80)), client=client)
        assert client.credits_spent == 0
        assert client.ledger().empty
        assert len(kr.fetch_hashtags(tags(*range(10)), client=client)) == 10
        with kr.budget(200, client=client):
            assert len(kr.fetch_hashtags(tags(*range(80)), client=client)) == 80


@pytest.mark.parametrize("make", [make_alone, connect_alone], ids=["Client", "connect"])
@pytest.mark.parametrize("options", [{}, {"max_call_credits": None}], ids=["nothing said", "None said"])
def test_the_sandbox_has_no_limit_of_a_call_unless_one_was_passed(
    make: Callable[..., kr.Client], options: dict[str, Any]
) -> None:
    with make(**options) as client:
        assert len(kr.fetch_hashtags(tags(*range(80)), client=client)) == 80


def test_a_limit_of_a_call_that_was_passed_holds_for_a_sandbox_under_its_address(
    make_client: Make, sandbox: Sandbox
) -> None:
    client = make_client(max_call_credits=20)
    kr.fetch_hashtags(tags(0), client=client)  # now the store knows whom it talks to
    with pytest.raises(kr.BudgetExceededError, match="max_call_credits"):
        kr.fetch_hashtags(tags(*range(80)), client=client)
    assert sandbox.charged == 2


@pytest.mark.parametrize("make", [make_alone, connect_alone], ids=["Client", "connect"])
def test_a_whole_ranking_in_the_sandbox_stops_before_the_limit_that_was_passed(make: Callable[..., kr.Client]) -> None:
    with make(max_call_credits=4) as client:
        with pytest.raises(kr.BudgetExceededError) as caught:
            ranking(client, None)
        assert caught.value.frame is not None
        assert caught.value.frame["position"].tolist() == list(range(1, 41))
        assert client.credits_spent == 4
        with pytest.raises(kr.BudgetExceededError):
            ranking(client, 100)  # three pages more
        assert client.credits_spent == 4


# A feed that cannot be used ------------------------------------------------------------------------------------


def about_somebody_else(_: str, __: dict[str, str], envelope: dict[str, Any]) -> dict[str, Any]:
    data = envelope["data"]
    if isinstance(data, list):
        for video in data:
            video["video_id"] = video["item_id"] = "7000000000000000001"
    else:
        data["info"]["hashtag_name"] = "somebodyelse"
    return envelope


def another_shape(_: str, __: dict[str, str], envelope: dict[str, Any]) -> dict[str, Any]:
    return {**envelope, "data": "see the new documentation"}


def spoil(how: str, sandbox: Sandbox, *, but: frozenset[str] = frozenset()) -> None:
    """Make every answer unusable, but those about some names."""
    spoilt = {"somebody else": about_somebody_else, "another shape": another_shape}.get(how)
    if spoilt is None:
        sandbox.on_request = lambda _, params: (
            None if params.get("hashtag_name") in but else Fault(body=b"<html>Please log in</html>")
        )
    else:
        sandbox.mutate = lambda path, params, envelope: (
            envelope if params.get("hashtag_name") in but else spoilt(path, params, envelope)
        )


HOWS = ["somebody else", "another shape", "HTML"]


@pytest.mark.parametrize("errors", ["raise", "warn"])
@pytest.mark.parametrize("how", HOWS)
def test_sixty_ids_of_a_feed_that_cannot_be_used_cost_five_requests(
    how: str, errors: Any, make_client: Make, sandbox: Sandbox
) -> None:
    client = make_client(max_call_credits=None)
    spoil(how, sandbox)
    with kr.budget(120, client=client) as budget:
        with pytest.raises(kr.UnexpectedResponseError, match=r"(?is)first (five|5) .*could not be used.*run") as caught:
            kr.fetch_hashtags(tags(*range(60)), errors=errors, client=client)
        assert len(sandbox.requests) == 5
        assert (budget.held, budget.spent, client.credits_spent) == (0, 10, 10)
    error = caught.value
    assert error.failures is not None
    assert error.failures["id"].tolist() == tags(*range(60))
    kinds = error.failures["error"].value_counts().to_dict()
    assert kinds == {"UnexpectedResponseError": 5, "NotSent": 55}
    assert error.frame is not None
    assert error.frame.empty
    assert error.answer is not None


def test_a_feed_that_is_well_again_is_used_again(make_client: Make, sandbox: Sandbox) -> None:
    client = make_client()
    spoil("somebody else", sandbox)
    for _ in range(2):
        with pytest.raises(kr.UnexpectedResponseError):
            kr.fetch_hashtags(tags(*range(12)), client=client)
    assert len(sandbox.requests) == 10
    sandbox.mutate = None
    assert len(kr.fetch_hashtags(tags(*range(12)), client=client)) == 12
    assert len(sandbox.requests) == 22


@pytest.mark.parametrize("errors", ["raise", "warn"])
@pytest.mark.parametrize("how", HOWS)
def test_sixty_videos_of_a_feed_that_cannot_be_used_cost_five_of_six_requests(
    how: str, errors: Any, make_client: Make, sandbox: Sandbox
) -> None:
    client = make_client()
    spoil(how, sandbox)
    with pytest.raises(kr.UnexpectedResponseError, match=r"(?i)first (five|5)") as caught:
        kr.fetch_videos(videos(*range(60)), errors=errors, client=client)
    assert len(sandbox.requests) == 5
    assert caught.value.failures is not None
    assert caught.value.failures["id"].tolist() == videos(*range(60))


@pytest.mark.parametrize("workers", [1, 4, 16])
def test_a_feed_that_cannot_be_used_costs_five_requests_however_many_go_side_by_side(
    workers: int, make_client: Make, sandbox: Sandbox
) -> None:
    sandbox.latency = 0.02
    spoil("somebody else", sandbox)
    with pytest.raises(kr.UnexpectedResponseError):
        kr.fetch_hashtags(tags(*range(40)), client=make_client(max_workers=workers))
    assert len(sandbox.requests) == 5


@pytest.mark.parametrize(("how", "good"), [("somebody else", 0), ("another shape", 3), ("HTML", 4)])
def test_one_good_answer_among_the_first_five_and_all_is_sent(
    how: str, good: int, make_client: Make, sandbox: Sandbox
) -> None:
    client = make_client(max_call_credits=None, max_workers=1)
    spoil(how, sandbox, but=frozenset(tags(good)))
    with pytest.raises(kr.FetchIncompleteError) as caught:
        kr.fetch_hashtags(tags(*range(60)), client=client)
    assert requested(sandbox) == sorted(tags(*range(60)))
    assert caught.value.frame is not None
    assert caught.value.frame["hashtag_name"].tolist() == tags(good)
    assert caught.value.failures is not None
    assert len(caught.value.failures) == 59


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("number", [3, 5])
def test_a_few_ids_that_cannot_be_used_are_all_requested_as_ever(
    how: str, number: int, make_client: Make, sandbox: Sandbox
) -> None:
    client = make_client()
    spoil(how, sandbox)
    with pytest.raises(kr.UnexpectedResponseError) as caught:
        kr.fetch_hashtags(tags(*range(number)), client=client)
    assert len(sandbox.requests) == number
    assert caught.value.failures is not None
    assert caught.value.failures["error"].tolist() == ["UnexpectedResponseError"] * number
    with pytest.warns(kr.IncompleteDataWarning):
        assert kr.fetch_hashtags(tags(*range(number)), errors="warn", client=client).empty


def test_what_is_stored_makes_a_feed_no_better_and_is_on_the_error(make_client: Make, sandbox: Sandbox) -> None:
    client = make_client()
    kr.fetch_hashtags(tags(0, 1), client=client)
    spoil("another shape", sandbox)
    with pytest.raises(kr.UnexpectedResponseError, match=r"(?i)first (five|5)") as caught:
        kr.fetch_hashtags(tags(*range(30)), client=client)
    assert len(sandbox.requests) == 2 + 5
    assert caught.value.frame is not None
    assert caught.value.frame["hashtag_name"].tolist() == tags(0, 1)
    assert caught.value.failures is not None
    assert caught.value.failures["id"].tolist() == tags(*range(2, 30))


@pytest.mark.parametrize("status", [400, 404])
def test_refusals_are_usable_answers_and_all_is_sent(
    status: int, make_client: Make, sandbox: Sandbox
) -> None:
    sandbox.on_request = lambda *_: Fault(status=status)
    with pytest.raises(kr.KeyAPIError):
        kr.fetch_hashtags(tags(*range(12)), client=make_client(retries=0))
    assert len(sandbox.requests) == 12


def test_confirmed_missing_ids_are_usable_answers_and_all_is_sent(make_client: Make, sandbox: Sandbox) -> None:
    with pytest.warns(kr.MissingDataWarning):
        frame = kr.fetch_hashtags([f"missing{n}" for n in range(12)], client=make_client())
    assert frame.empty
    assert len(sandbox.requests) == 12


# A connect that fails ------------------------------------------------------------------------------------------


def bad_folder(folder: Path) -> dict[str, Any]:
    return {"store": folder}


def bad_text(folder: Path) -> dict[str, Any]:
    (folder / "notes.txt").write_text("These are my notes, which are not a store.\n" * 100)
    return {"store": folder / "notes.txt"}


def bad_database(folder: Path) -> dict[str, Any]:
    with contextlib.closing(sqlite3.connect(folder / "theirs.db")) as db, db:
        db.execute("CREATE TABLE responses (mine)")
    return {"store": folder / "theirs.db"}


def bad_workers(folder: Path) -> dict[str, Any]:
    return {"store": folder / "store.sqlite", "max_workers": 0}


def bad_replay(folder: Path) -> dict[str, Any]:
    return {"replay": folder / "missing.zip"}


def bad_offline(folder: Path) -> dict[str, Any]:
    return {"store": folder / "missing.sqlite", "offline": True}


@pytest.mark.parametrize("bad", [bad_folder, bad_text, bad_database, bad_workers, bad_replay, bad_offline])
def test_a_connect_that_fails_leaves_no_client_that_spends_elsewhere(
    bad: Callable[[Path], dict[str, Any]], sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEYAPI_TOKEN", TOKEN)
    monkeypatch.setenv("KEYAPI_BASE_URL", sandbox.url)
    former = kr.connect(sandbox=True, store=":memory:")
    kr.fetch_hashtags("b")
    with pytest.raises((kr.StoreError, kr.InvalidArgumentError)):
        kr.connect(**bad(tmp_path))
    for use in (lambda: kr.fetch_hashtags("a"), lambda: kr.fetch_hashtags("b"), lambda: ranking(None, 20)):
        with pytest.raises(kr.KeyAPIError):
            use()
    assert sandbox.requests == []
    assert former.credits_spent == 2
    good = kr.connect(store=tmp_path / "good.sqlite", requests_per_second=None)
    assert len(kr.fetch_hashtags("a")) == 1
    assert good.credits_spent == sandbox.charged == 2
    for client in (former, good):
        client.close()


def test_a_first_connect_that_fails_is_not_followed_by_one_that_nobody_wanted(
    sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEYAPI_TOKEN", TOKEN)
    monkeypatch.setenv("KEYAPI_BASE_URL", sandbox.url)
    with pytest.raises(kr.StoreError):
        kr.connect(store=tmp_path)
    with pytest.raises(kr.KeyAPIError):
        kr.fetch_hashtags("a")
    assert sandbox.requests == []


def test_a_client_that_cannot_be_made_changes_nothing_of_the_default_one(
    connect: Callable[..., kr.Client], sandbox: Sandbox, tmp_path: Path
) -> None:
    connect()
    with pytest.raises(kr.StoreError):
        kr.Client(token=TOKEN, base_url=sandbox.url, store=tmp_path)
    assert len(kr.fetch_hashtags("a")) == 1
    assert sandbox.charged == 2


# A reservation is given back -----------------------------------------------------------------------------------


class Unwritable(io.StringIO):
    """A stderr that cannot be written to."""

    def write(self, text: str) -> int:
        raise MemoryError


def break_bar(patch: pytest.MonkeyPatch, _: Path) -> None:
    patch.setattr(sys, "stderr", Unwritable())


def break_pace(patch: pytest.MonkeyPatch, _: Path) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("no clock")

    patch.setattr("keyapi_research.client.pacing.Pace.turn", broken)


def break_transport(patch: pytest.MonkeyPatch, _: Path) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise MemoryError

    patch.setattr(requests.adapters.HTTPAdapter, "send", broken)


def break_threads(patch: pytest.MonkeyPatch, _: Path) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("can't start new thread")

    patch.setattr(threading.Thread, "start", broken)


def break_store(_: pytest.MonkeyPatch, store: Path) -> None:
    with contextlib.closing(sqlite3.connect(store)) as db, db:
        db.execute("DROP TABLE responses")


def lose_store(_: pytest.MonkeyPatch, store: Path) -> None:
    store.rename(store.with_suffix(".away"))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("table", ["hashtags", "a ranking"])
@pytest.mark.parametrize(
    "broken", [break_bar, break_pace, break_transport, break_threads, break_store, lose_store],
    ids=["bar", "pace", "transport", "threads", "store", "no store"],
)
def test_what_a_call_held_is_given_back_whatever_breaks(
    broken: Callable[..., None], table: str, make_client: Make, sandbox: Sandbox, tmp_path: Path
) -> None:
    client = make_client(progress=True, retries=0)
    kr.fetch_hashtags(tags(90), client=client)
    with kr.budget(30, client=client) as budget:
        with pytest.MonkeyPatch.context() as patch:
            broken(patch, tmp_path / "store.sqlite")
            with contextlib.suppress(Exception):  # which one, others look at
                _ = kr.fetch_hashtags(tags(*range(6)), client=client) if table == "hashtags" else ranking(client, 60)
        assert budget.held == 0
        assert budget.remaining == 30 - budget.spent
    assert client.credits_spent == 2 + budget.spent
    assert budget.spent >= sandbox.charged - 2


@pytest.mark.parametrize("table", ["hashtags", "a ranking"])
def test_what_a_call_held_is_given_back_when_the_store_breaks_half_way(
    table: str, make_client: Make, sandbox: Sandbox, tmp_path: Path
) -> None:
    client = make_client(max_workers=1)
    seen: list[str] = []

    def answer(path: str, _: dict[str, str]) -> None:
        seen.append(path)
        if len(seen) == 2:
            lose_store(pytest.MonkeyPatch(), tmp_path / "store.sqlite")

    sandbox.on_request = answer
    with kr.budget(30, client=client) as budget:
        with pytest.raises(kr.StoreError):
            _ = kr.fetch_hashtags(tags(*range(6)), client=client) if table == "hashtags" else ranking(client, 60)
        assert (budget.held, budget.spent, budget.remaining) == (0, 4, 26)
    assert sandbox.charged == client.credits_spent == 4
