"""A limit that a store keeps holds to the credit, for every client and process, by the calendar."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clocks import Clock
from stores import Place

import keyapi_research as kr
from keyapi_research.sandbox import Fault, Sandbox

pytestmark = pytest.mark.both_stores

Make = Callable[..., kr.Client]


def tags(*numbers: int) -> list[str]:
    return [f"tag{number}" for number in numbers]


def fetch(client: kr.Client, *numbers: int) -> int:
    """Fetch hashtags, two credits each; give how many came."""
    return len(kr.fetch_hashtags(tags(*numbers), client=client))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    moved = Clock("2026-06-15 09:00")
    monkeypatch.setattr(time, "time_ns", moved)
    return moved


# Four processes at once -----------------------------------------------------------------------------------------

SPENDER = """
import json, os, sys, time, warnings
import keyapi_research as kr
warnings.simplefilter("ignore", kr.KeyAPIWarning)
url, store, gate, first = sys.argv[1:]
client = kr.Client(token="a-token-of-the-tests", base_url=url, store=store, requests_per_second=None, retries=0,
                   max_workers=1, progress=False)
open(f"{gate}-{first}", "w").close()
while not os.path.exists(gate):
    time.sleep(0.005)
refused = 0
for number in range(int(first), int(first) + 40, 4):  # calls of four, and where these do not fit, one by one
    four = [f"tag{one}" for one in range(number, number + 4)]
    for names in (four, *four):
        try:
            kr.fetch_hashtags(names, client=client)
        except kr.BudgetExceededError:
            refused += 1
        except (kr.ServerError, kr.FetchIncompleteError):
            pass
print(json.dumps({"spent": client.credits_spent, "refused": refused}))
client.close()
"""


def spend_in_four_processes(url: str, store: Any, folder: Path) -> list[dict[str, int]]:
    gate = folder / "gate"
    command = [sys.executable, "-c", SPENDER, url, str(store), str(gate)]
    running = [
        subprocess.Popen([*command, str(1000 * number)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for number in range(1, 5)
    ]
    while sum((folder / f"gate-{1000 * number}").exists() for number in range(1, 5)) < len(running):
        assert all(one.poll() is None for one in running), [one.communicate() for one in running if one.poll()]
        time.sleep(0.02)
    gate.touch()
    told = []
    for one in running:
        out, errors = one.communicate(timeout=120)
        assert one.returncode == 0, errors
        told.append(json.loads(out))
    return told


def test_four_processes_that_spend_at_once_reach_the_limit_and_not_more(
    make_client: Make, sandbox: Sandbox, place: Place, tmp_path: Path
) -> None:
    with make_client() as client:
        client.limit_store(54)
    sandbox.on_request = lambda _, params: Fault(status=503) if params["hashtag_name"].endswith("7") else None
    told = spend_in_four_processes(sandbox.url, place(), tmp_path)
    assert sandbox.charged == 54
    assert sum(one["spent"] for one in told) == 54
    assert sum(one["refused"] for one in told) > 0
    [limit] = make_client().status().limits
    assert (limit.spent, limit.remaining) == (54, 0)


# What is refused, and what comes ---------------------------------------------------------------------------------


def test_a_call_that_cannot_finish_is_refused_before_anything_is_sent(client: kr.Client, sandbox: Sandbox) -> None:
    kr.limit_store(5, client=client)
    with pytest.raises(kr.BudgetExceededError, match=r"limit of this store, 5 credits a month, has 5 left") as caught:
        fetch(client, 1, 2, 3)
    assert sandbox.requests == []
    assert len(client.ledger()) == 0
    assert "kr.limit_store(6, per='month')" in str(caught.value)
    assert fetch(client, 1, 2) == 2
    with pytest.raises(kr.BudgetExceededError, match="has 1 left"):
        fetch(client, 3)
    assert sandbox.charged == 4


def test_a_ranking_of_unknown_length_stops_before_the_limit_with_the_pages_that_came(
    client: kr.Client, sandbox: Sandbox
) -> None:
    kr.limit_store(5, client=client)
    with pytest.raises(kr.BudgetExceededError) as caught:
        kr.fetch_product_insights(region="US", time_scope=7, limit=None, client=client)
    assert sandbox.charged == 4
    assert caught.value.frame is not None
    assert caught.value.frame["position"].tolist() == list(range(1, len(caught.value.frame) + 1))
    assert len(caught.value.frame) > 20


def test_what_another_client_spends_in_the_middle_of_a_call_stops_it_and_what_came_is_kept(
    make_client: Make, sandbox: Sandbox
) -> None:
    first, second = make_client(max_workers=1), make_client()
    first.limit_store(8)
    others = []

    def spend(_: str, params: dict[str, str]) -> None:
        if params["hashtag_name"] == "tag1":  # the call has been admitted, and its first request is under way
            others.append(fetch(second, 11, 12))

    sandbox.on_request = spend
    with pytest.raises(kr.BudgetExceededError, match="2 of 4 came") as caught:
        fetch(first, 1, 2, 3, 4)
    assert others == [2]
    assert sandbox.charged == 8
    assert caught.value.frame is not None
    assert caught.value.frame["hashtag_name"].tolist() == ["tag1", "tag2"]
    assert caught.value.failures is not None
    assert caught.value.failures["id"].tolist() == ["tag3", "tag4"]
    assert len(first.ledger()) == 4


def test_both_limits_hold_and_each_is_lifted_by_itself(client: kr.Client, sandbox: Sandbox) -> None:
    client.limit_store(2, per="day")
    client.limit_store(4, per="month")
    assert fetch(client, 1) == 1
    with pytest.raises(kr.BudgetExceededError, match="2 credits a day"):
        fetch(client, 2)
    assert client.limit_store(None, per="day").credits is None
    assert fetch(client, 2) == 1
    with pytest.raises(kr.BudgetExceededError, match="4 credits a month"):
        fetch(client, 3)
    client.limit_store(None)
    assert client.limit_store(None).credits is None
    assert fetch(client, 3) == 1
    assert client.status().limits == ()
    assert sandbox.charged == 6


def test_stored_answers_are_served_whatever_the_limit(client: kr.Client) -> None:
    fetch(client, 1)
    client.limit_store(0)
    assert fetch(client, 1) == 1
    with pytest.raises(kr.BudgetExceededError):
        fetch(client, 2)


def test_a_plan_says_that_the_limit_does_not_let_it_pass(client: kr.Client) -> None:
    client.limit_store(3)
    assert kr.plan(kr.fetch_hashtags, tags(1), client=client).note == ""
    plan = kr.plan(kr.fetch_hashtags, tags(1, 2), client=client)
    assert plan.credits == 4
    assert "3 credits a month, 0 spent, 3 left" in plan.note


# What counts -----------------------------------------------------------------------------------------------------


def test_what_was_spent_before_the_limit_was_set_counts(client: kr.Client) -> None:
    fetch(client, 1, 2)
    limit = client.limit_store(5)
    assert (limit.credits, limit.per, limit.spent, limit.remaining) == (5, "month", 4, 1)


@pytest.mark.parametrize("limited_first", [True, False])
@pytest.mark.parametrize(
    ("fault", "error", "counts"),
    [
        (Fault(close="before"), kr.NetworkError, 2),  # it may have been charged
        (Fault(status=503), kr.ServerError, 0),
        (Fault(status=400), kr.InvalidRequestError, 0),
    ],
)
def test_a_request_without_an_answer_counts_in_full_and_a_refusal_not(
    fault: Fault, error: type[kr.KeyAPIError], counts: int, limited_first: bool, make_client: Make, sandbox: Sandbox
) -> None:
    client = make_client(retries=0)
    if limited_first:
        client.limit_store(10)
    sandbox.faults.put(fault)
    with pytest.raises(error):
        fetch(client, 1)
    if not limited_first:
        client.limit_store(10)
    [limit] = client.status().limits
    assert limit.spent == counts


@pytest.mark.parametrize("limited_first", [True, False])
def test_what_was_surely_not_delivered_does_not_count(limited_first: bool, make_client: Make) -> None:
    client = make_client(retries=1, base_url="http://127.0.0.1:9")
    if limited_first:
        client.limit_store(2)
    with pytest.raises(kr.NetworkError):
        fetch(client, 1)
    if not limited_first:
        client.limit_store(2)
    assert len(client.ledger()) == 2
    [limit] = client.status().limits
    assert limit.spent == 0


def test_every_attempt_of_a_request_is_reserved(client: kr.Client, sandbox: Sandbox) -> None:
    client.limit_store(2)
    sandbox.faults.put(Fault(status=503))
    assert fetch(client, 1) == 1  # the refused attempt cost nothing, so there was enough for another one
    assert sandbox.charged == 2


def test_a_request_of_a_killed_program_counts_in_full(make_client: Make, place: Place) -> None:
    client = make_client()
    client.limit_store(5)
    fetch(client, 1)
    client.close()
    place.rows("DELETE FROM keyapi_claims")
    other = make_client()
    other.store.begin(  # as a program does that is killed before the answer comes
        iter([("an entity",)]), most=1, page=0, since=(1, 1), mine=0, lasts=10, describe=lambda _: {},
        spacing=0, endpoint="/v1/tiktok/trending/hashtag/detail", price=2, attempt=1,
    )
    other.close()
    again = make_client()
    assert [one.spent for one in again.status().limits] == [4]
    with pytest.raises(kr.BudgetExceededError, match="has 1 left"):
        fetch(again, 2)


def ledger_row(client: kr.Client, *, sent_at: str, price: int, imported: int) -> None:
    """Write a row of the ledger that no request of this store wrote, as another program or an import does."""
    from keyapi_research.store.facts import Totals
    from keyapi_research.store.formats import put_row, put_totals

    at = int(datetime.fromisoformat(sent_at).replace(tzinfo=UTC).timestamp() * 1e6)
    store = client.store
    with store._transaction() as db:
        totals = store.totals()
        row = [totals.requests + 1, at, "/v1/x", "{}", 1, 1, 200, 0, None, None, price, 0.1, "elsewhere:1", imported]
        put_row(db, "keyapi_ledger", row)
        put_totals(db, totals.plus(Totals(requests=1, credits=price)))


def test_rows_that_came_otherwise_count_unless_they_were_imported(client: kr.Client, clock: Clock) -> None:
    client.limit_store(10)
    fetch(client, 1)
    ledger_row(client, sent_at="2026-06-14", price=3, imported=0)
    ledger_row(client, sent_at="2026-06-14", price=100, imported=1)
    ledger_row(client, sent_at="2026-05-31 23:59:59", price=100, imported=0)
    assert [one.spent for one in client.status().limits] == [5]
    with pytest.raises(kr.BudgetExceededError, match="has 5 left"):
        fetch(client, 2, 3, 4)
    fetch(client, 2, 3)
    assert [one.spent for one in client.status().limits] == [9]
    assert client.limit_store(10).spent == 9


# The calendar ----------------------------------------------------------------------------------------------------


def test_a_month_ends_at_midnight_utc_of_the_first(client: kr.Client, clock: Clock) -> None:
    clock.set("2026-12-31 23:58")
    limit = client.limit_store(2)
    assert limit.until == datetime(2027, 1, 1, tzinfo=UTC)
    fetch(client, 1)
    with pytest.raises(kr.BudgetExceededError, match=r"used since 2026-12-01.* Wait until 2027-01-01 00:00 UTC"):
        fetch(client, 2)
    clock.set("2027-01-01 00:00:01")
    assert [one.remaining for one in client.status().limits] == [2]
    assert fetch(client, 2) == 1
    with pytest.raises(kr.BudgetExceededError, match="used since 2027-01-01"):
        fetch(client, 3)


def test_a_day_ends_at_midnight_utc_and_a_month_goes_on(client: kr.Client, clock: Clock) -> None:
    clock.set("2028-02-28 23:58")
    client.limit_store(2, per="day")
    client.limit_store(4, per="month")
    fetch(client, 1)
    clock.set("2028-02-29 00:00:01")
    fetch(client, 2)
    assert [(one.per, one.spent) for one in client.status().limits] == [("day", 2), ("month", 4)]
    clock.set("2028-03-01 00:00:01")
    assert [(one.per, one.spent) for one in client.status().limits] == [("day", 0), ("month", 0)]


def test_a_clock_that_is_set_back_counts_what_its_month_had(client: kr.Client, clock: Clock) -> None:
    client.limit_store(4)
    fetch(client, 1)
    clock.set("2026-07-02")
    fetch(client, 2, 3)
    clock.set("2026-06-20")
    assert [one.spent for one in client.status().limits] == [2]
    fetch(client, 4)
    with pytest.raises(kr.BudgetExceededError):
        fetch(client, 5)
    clock.set("2026-07-03")
    with pytest.raises(kr.BudgetExceededError):
        fetch(client, 5)


def test_an_answer_that_comes_after_midnight_belongs_to_the_day_it_was_sent(
    client: kr.Client, sandbox: Sandbox, clock: Clock
) -> None:
    clock.set("2026-06-15 23:58")
    client.limit_store(10, per="day")
    sandbox.on_request = lambda *_: clock.set("2026-06-16 00:05")
    fetch(client, 1)
    assert [one.spent for one in client.status().limits] == [0]
    clock.set("2026-06-15 23:59")
    assert [one.spent for one in client.status().limits] == [2]


# The store -------------------------------------------------------------------------------------------------------


def test_a_limit_outlives_its_client(make_client: Make, sandbox: Sandbox) -> None:
    with make_client() as client:
        client.limit_store(3)
        fetch(client, 1)
    with pytest.raises(kr.BudgetExceededError, match="has 1 left"):
        fetch(make_client(), 2)
    assert sandbox.charged == 2


@pytest.mark.of_a_file
def test_a_limit_goes_with_a_copy(make_client: Make, sandbox: Sandbox, place: Place) -> None:
    with make_client() as client:
        client.limit_store(3)
        fetch(client, 1)
    shutil.copy(place(), place("copy"))
    for name in ("store", "copy"):
        with pytest.raises(kr.BudgetExceededError, match="has 1 left"):
            fetch(make_client(store=place(name)), 2)
    assert sandbox.charged == 2


@pytest.mark.parametrize(
    ("value", "sound"),
    [("[1000000,0,0,0]", False), *[(one, True) for one in ("[3", '["3",0,0,0]', "[3]", "[1.5,0,0,0]", "7")]],
)
def test_a_limit_that_was_changed_is_an_error_and_not_no_limit(
    value: str, sound: bool, client: kr.Client, sandbox: Sandbox, place: Place
) -> None:
    from keyapi_research.store.bodies import checksum

    client.limit_store(3)
    name = "limit of a month"
    place.rows("UPDATE keyapi_meta SET value = ? WHERE name = ?", value, name)
    if sound:
        proof = checksum((name, value))
        place.rows("UPDATE keyapi_meta SET checksum = ? WHERE name = ?", proof, name)
    with pytest.raises(kr.StoreError, match="is damaged: its limit of a month"):
        fetch(client, 1)
    with pytest.raises(kr.StoreError, match="is damaged"):
        client.status()
    assert sandbox.requests == []
    client.limit_store(3)
    assert fetch(client, 1) == 1


def test_a_limit_damaged_while_a_request_is_under_way_loses_no_answer(
    client: kr.Client, sandbox: Sandbox, place: Place
) -> None:
    client.limit_store(3)

    def damage(*_: object) -> Fault:
        place.rows("UPDATE keyapi_meta SET value = '[9,0,0,0]' WHERE name LIKE 'limit%'")
        return Fault(status=400)

    sandbox.on_request = damage
    with pytest.raises(kr.InvalidRequestError):
        fetch(client, 1)
    assert client.ledger()["http_status"].tolist() == [400]


def test_an_archive_has_no_limit(client: kr.Client, tmp_path: Path) -> None:
    client.limit_store(2)
    fetch(client, 1)
    kr.freeze(tmp_path / "study.zip", client=client)
    with kr.Client(replay=tmp_path / "study.zip") as replayed:
        assert replayed.status().limits == ()
        with pytest.raises(kr.StoreError, match="only reads it"):
            replayed.limit_store(5)


@pytest.mark.parametrize("options", [{"offline": True}, {"as_of": "2030-01-01"}])
def test_who_only_reads_sees_the_limit_and_cannot_set_one(options: dict[str, Any], make_client: Make) -> None:
    with make_client() as client:
        client.limit_store(7)
    reader = make_client(**options)
    assert [one.credits for one in reader.status().limits] == [7]
    with pytest.raises(kr.StoreError, match="only reads it"):
        reader.limit_store(None)


@pytest.mark.of_a_file
def test_a_store_of_the_first_format_takes_a_limit(make_client: Make, place: Place) -> None:
    shutil.copy(Path(__file__).parent / "data" / "formats" / "store-v1.db", place("old"))
    client = make_client(store=place("old"))
    assert client.status().limits == ()
    client.limit_store(2)
    fetch(client, 901)
    with pytest.raises(kr.BudgetExceededError):
        fetch(client, 902)


def test_a_closed_client_sets_no_limit(client: kr.Client) -> None:
    client.close()
    with pytest.raises(kr.StoreError):
        client.limit_store(5)


# Arguments and looks ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [-1, 1.5, 2.0, True, "5", float("nan"), [5]])
def test_what_is_no_number_of_credits_is_refused(number: Any, client: kr.Client) -> None:
    with pytest.raises(kr.InvalidArgumentError, match="whole number of credits"):
        kr.limit_store(number, client=client)
    assert client.status().limits == ()


@pytest.mark.parametrize("per", ["week", "Month", None, 1, ["day"]])
def test_other_periods_are_refused(per: Any, client: kr.Client) -> None:
    with pytest.raises(kr.InvalidArgumentError, match='per must be "day" or "month"'):
        kr.limit_store(5, per=per, client=client)


def test_numbers_of_numpy_are_taken(client: kr.Client) -> None:
    assert kr.limit_store(np.int64(5), client=client).credits == 5
    assert type(client.status().limits[0].credits) is int


def test_a_limit_and_a_status_show_how_it_stands(client: kr.Client, clock: Clock) -> None:
    fetch(client, 1)
    limit = client.limit_store(1000)
    words = "1,000 credits a month, 2 spent, 998 left until 2026-07-01 00:00 UTC"
    assert repr(limit) == f"<Limit of the store: {words}>"
    assert words in repr(client.status())
    assert repr(client.limit_store(None)) == "<Limit of the store: no limit a month>"


# Prices that the user gives ----------------------------------------------------------------------------------------


def test_a_request_without_an_answer_counts_what_its_user_said_it_costs(make_client: Make, sandbox: Sandbox) -> None:
    client = make_client(retries=0, max_call_credits=None)
    client.limit_store(120)
    sandbox.faults.put(Fault(close="before"))
    with pytest.raises(kr.NetworkError):
        kr.fetch_endpoint("/v1/tiktok/influencer/livestreams/analytics", {"user_id": "7"}, credits=50, client=client)
    assert client.status().limits[0].spent == 50
    assert client.limit_store(120).spent == 50  # counted anew, by the ledger
    client.close()
    again = make_client(max_call_credits=None)
    again.limit_store(99)
    with pytest.raises(kr.BudgetExceededError, match=r"costs 100 credits.* has 49 left"):
        kr.fetch_endpoint("/v1/tiktok/influencer/livestreams/analytics", {"user_id": "7"}, credits=50, client=again)


def test_the_price_of_a_path_is_known_to_who_never_declared_it(make_client: Make, sandbox: Sandbox) -> None:
    client = make_client(retries=0, max_call_credits=None)
    client.limit_store(200)
    for credits_ in (50, 1):  # the highest counts: the ledger does not say which of them it was
        sandbox.faults.put(Fault(close="before"))
        with pytest.raises(kr.NetworkError):
            kr.fetch_endpoint("/v1/tiktok/somewhere/else", {"n": credits_}, credits=credits_, client=client)
    client.close()
    assert make_client().limit_store(200).spent == 100
