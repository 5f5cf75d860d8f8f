"""Nothing is paid twice, nothing unrequested: by the server's own count, and by a model that knows only the prices."""

from __future__ import annotations

import json
import math
import os
import random
import re
import socket
import subprocess
import sys
import threading
import time
import urllib.request
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
from stores import Place

import keyapi_research as kr
from keyapi_research.client.budgets import Budget, Reservation, make_limit
from keyapi_research.client.display import Progress
from keyapi_research.sandbox import SOURCE_HEADER, Fault, Request, Sandbox
from keyapi_research.sandbox.words import CATEGORIES

pytestmark = pytest.mark.both_stores

HOUR = 3600
DAY = 24 * HOUR
FIRST_VIDEO = 7_100_000_000_000_000_001
Make = Callable[..., kr.Client]


def videos(*numbers: int) -> list[str]:
    return [str(FIRST_VIDEO + 1_000_003 * number) for number in numbers]


def tags(*numbers: int) -> list[str]:
    return [f"tag{number}" for number in numbers]


def requested(requests: Sequence[Request], parameter: str) -> list[str]:
    return [request.params[parameter] for request in requests]


def pages(sandbox: Sandbox) -> list[int]:
    return [int(request.params["page"]) for request in sandbox.requests]


def ranking(client: kr.Client, limit: int | None, **options: Any) -> pd.DataFrame:
    return kr.fetch_product_insights(region="US", time_scope=7, limit=limit, client=client, **options)


def plan_ranking(client: kr.Client, limit: int | None, **options: Any) -> kr.Plan:
    return kr.plan(kr.fetch_product_insights, region="US", time_scope=7, limit=limit, client=client, **options)


@pytest.fixture
def advance(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Move this machine's clock forward."""
    real, ahead = time.time_ns, [0.0]
    monkeypatch.setattr(time, "time_ns", lambda: real() + int(ahead[0] * 1e9))
    return lambda seconds: ahead.__setitem__(0, ahead[0] + seconds)


@pytest.fixture
def earnest(sandbox: Sandbox) -> Sandbox:
    """A server that does not say it is a sandbox: requests to it count as real money."""
    sandbox.extra_headers = {SOURCE_HEADER: ""}
    return sandbox


@pytest.fixture
def slow(sandbox: Sandbox) -> Sandbox:
    """A server slow enough for calls of several threads to overlap."""
    sandbox.latency = 0.15
    return sandbox


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hardly any wait before another attempt, where how long is another test's."""
    monkeypatch.setattr("keyapi_research.client.dispatch.jittered", lambda attempt: 0.01)


def together(*jobs: Callable[[], Any]) -> list[Any]:
    """Run jobs in threads that start at the same moment; give what they return or raise."""
    gate = threading.Barrier(len(jobs))

    def run(job: Callable[[], Any]) -> Any:
        gate.wait()
        try:
            return job()
        except kr.KeyAPIError as error:
            return error

    with ThreadPoolExecutor(len(jobs)) as pool:
        return list(pool.map(run, jobs, timeout=120))


# A randomized workload, against a model ------------------------------------------------------------------------

SEED = 20260203
TAG_TABLES = ("hashtags", "hashtag_trends", "hashtag_audience", "related_hashtags")
CLIP_TABLES = ("music", "music_trends", "music_audience", "music_videos")
CATEGORY_TABLES = ("product_details", "product_audience", "product_hashtags", "product_posts")


def make_workload(rng: random.Random, calls: int) -> list[dict[str, Any]]:
    """Calls as a notebook makes them: overlapping, repeated, reordered, in other spellings; some ids do not exist."""
    all_videos = [*videos(*range(380)), *(f"{7_200_000_000_000 + n}000000" for n in range(20))]
    all_tags = [*tags(*range(55)), *(f"missing{n}" for n in range(5))]
    all_clips = [*(str(6_700_000_000_000_000_017 + 7919 * n) for n in range(38)), "6700000000000000000", "1000000"]
    all_categories = [*[category.id for category in CATEGORIES if category.level == "l3"][:28], "1", "2"]

    def some(population: Sequence[str], most: int) -> list[str]:
        return rng.choices(population, k=rng.randint(1, most))  # with repetitions

    def spelt(name: str) -> str:
        return rng.choice([name, f"#{name}", name.upper(), f" {name} "])

    def call() -> dict[str, Any]:
        kind = rng.choices(["videos", "tags", "clips", "categories", "products", "list"], [9, 6, 4, 4, 3, 2])[0]
        if kind == "videos":
            ids: list[Any] = some(all_videos, 45)
            return {"table": "videos", "ids": [int(one) if rng.random() < 0.3 else one for one in ids], "options": {}}
        if kind == "tags":
            options: dict[str, Any] = {"region": rng.choice(["all_regions", "US"]), "period": rng.choice([7, 30])}
            return {"table": rng.choice(TAG_TABLES), "ids": list(map(spelt, some(all_tags, 8))), "options": options}
        if kind == "clips":
            options = {"region": rng.choice(["US", "GB"]), "period": 7}
            return {"table": rng.choice(CLIP_TABLES), "ids": some(all_clips, 8), "options": options}
        if kind == "categories":
            options = {"region": rng.choice(["US", "all_regions"]), "time_scope": rng.choice([7, "7", 30])}
            return {"table": rng.choice(CATEGORY_TABLES), "ids": some(all_categories, 6), "options": options}
        if kind == "products":
            options = {"region": rng.choice(["US", "GB", "us"]), "time_scope": rng.choice([1, 7])}
            return {"table": "product_insights", "limit": rng.choice([1, 20, 33, 60, 120, 300]), "options": options}
        table = rng.choice(["trending_hashtags", "trending_hashtag_trends"])
        return {"table": table, "limit": rng.choice([10, 40, 100]), "options": {"region": rng.choice(["US", "DE"])}}

    made: list[dict[str, Any]] = []
    for _ in range(calls):
        made.append(rng.choice(made) if made and rng.random() < 0.2 else call())
    return made


PATHS = {"product_insights": "insights/products", "trending_hashtags": "trending/hashtags",
         "trending_hashtag_trends": "trending/hashtags"}
ANSWERED_BY = {**dict.fromkeys(TAG_TABLES, "hashtag"), **dict.fromkeys(CLIP_TABLES, "sound"),
               **dict.fromkeys(CATEGORY_TABLES, "category"), "videos": "video", **PATHS}


def count_rows(server: Sandbox, table: str, options: dict[str, Any]) -> int:
    """Query the server itself, without the package, how long a ranking is."""
    query = "&".join(f"{name}={value}" for name, value in options.items())
    request = urllib.request.Request(
        f"{server.url}/v1/tiktok/{PATHS[table]}?{query}", headers={"Authorization": "Bearer x"}
    )
    with urllib.request.urlopen(request) as answer:
        return int(json.load(answer)["data"]["pagination"]["total"])


def least_credits(workload: Sequence[dict[str, Any]], length: Callable[[str, Any], int]) -> Iterator[tuple[int, ...]]:
    """Tell what each call costs at least, what it would cost with nothing stored, and whether that can be known."""
    known: set[tuple[Any, ...]] = set()
    pulled: Counter[tuple[Any, ...]] = Counter()
    for call in workload:
        options = {name: str(value).lower() for name, value in call["options"].items()}
        identity = (ANSWERED_BY[call["table"]], *sorted(options.items()))
        if "limit" in call:
            rows = length(call["table"], tuple(sorted((n, v.upper()) for n, v in options.items())))
            wanted = math.ceil(min(call["limit"], rows) / 20)
            new = max(0, wanted - pulled[identity])
            pulled[identity] += new
            yield 2 * new, 2 * wanted, call["limit"] <= rows
            continue
        ids = {str(one).strip().lower().removeprefix("#") for one in call["ids"]}
        missing = {one for one in ids if (*identity, one) not in known}
        known |= {(*identity, one) for one in missing}
        if call["table"] == "videos":
            yield math.ceil(len(missing) / 10), math.ceil(len(ids) / 10), True
        else:
            yield 2 * len(missing), 2 * len(ids), True


def run_calls() -> None:
    """Make the calls that come in by standard input; runs in a process of its own."""
    job = json.load(sys.stdin)
    warnings.simplefilter("ignore", kr.KeyAPIWarning)
    told = []
    with kr.Client(token="a-token-of-the-tests", base_url=job["url"], store=job["store"], requests_per_second=None,
                   max_call_credits=None, progress=False) as client:
        for call in job["calls"]:
            fetch = getattr(kr, f"fetch_{call['table']}")
            arguments = [call["ids"]] if "ids" in call else []
            options = {**call["options"], **({"limit": call["limit"]} if "limit" in call else {}), "client": client}
            planned = kr.plan(fetch, *arguments, **options)
            before = client.credits_spent
            fetch(*arguments, **options)
            told.append([planned.credits, planned.credits_max, client.credits_spent - before,
                         client.status().requests])
        json.dump({"told": told, "saved": client.credits_saved}, sys.stdout)


@pytest.mark.parametrize(("calls", "at_least"), [(30, 40), pytest.param(500, 500, marks=pytest.mark.long)])
def test_a_workload_costs_the_least_possible_and_what_was_planned(
    calls: int, at_least: int, sandbox: Sandbox, make_client: Make, place: Place
) -> None:
    workload = make_workload(random.Random(SEED), calls)
    lengths: dict[Any, int] = {}
    with Sandbox() as other:  # the same world; counting rows there costs nothing here

        def length(table: str, options: Any) -> int:
            if (table, options) not in lengths:
                lengths[table, options] = count_rows(other, table, dict(options))
            return lengths[table, options]

        least = list(least_credits(workload, length))
    told, saved = [], 0
    for half in (workload[: calls // 2], workload[calls // 2 :]):
        job = json.dumps({"url": sandbox.url, "store": str(place()), "calls": half})
        done = subprocess.run(
            [sys.executable, "-c", "import test_spending; test_spending.run_calls()"],
            cwd=Path(__file__).parent, input=job, capture_output=True, text=True, check=False, timeout=120,
        )
        assert done.returncode == 0, done.stderr
        result = json.loads(done.stdout)
        told += result["told"]
        saved += result["saved"]
    served = sandbox.requests
    begin = 0
    for call, (cost, _, exact), (planned, most, spent, sent) in zip(workload, least, told, strict=True):
        charged = sum(request.credits for request in served[begin:sent])
        begin = sent
        assert charged == spent == cost, call
        assert planned >= charged, call
        assert most >= charged, call
        assert planned == charged or not exact, call
    minimum = sum(cost for cost, _, _ in least)
    assert minimum > at_least  # it is a workload
    assert sandbox.charged == minimum
    assert saved == sum(empty - cost for cost, empty, _ in least)
    ledger = make_client().ledger()
    assert ledger["credits"].sum() == sandbox.charged
    written = Counter((row.endpoint, row.params, row.credits) for row in ledger.itertuples())
    assert written == Counter(
        (one.path, json.dumps(one.params, separators=(",", ":")), one.credits) for one in served
    )


# Ids: per entity, packed, once ---------------------------------------------------------------------------------


def test_only_ids_that_are_not_stored_are_sent(client: kr.Client, sandbox: Sandbox) -> None:
    kr.fetch_videos(videos(*range(10)), client=client)
    frame = kr.fetch_videos(videos(*range(1, 11)), client=client)
    assert frame["video_id"].tolist() == videos(*range(1, 11))
    assert requested(sandbox.requests, "video_ids") == [",".join(videos(*range(10))), *videos(10)]
    assert sandbox.charged == 2


def test_missing_ids_fill_whole_requests(client: kr.Client, sandbox: Sandbox) -> None:
    kr.fetch_videos(videos(*range(0, 40, 2)), client=client)
    assert sandbox.charged == 2
    plan = kr.plan(kr.fetch_videos, videos(*range(45)), client=client)
    assert (plan.requests, plan.credits, plan.credits_max, plan.stored) == (3, 3, 3, 20)
    kr.fetch_videos(videos(*range(45)), client=client)
    sizes = [len(ids.split(",")) for ids in requested(sandbox.requests, "video_ids")[2:]]
    assert sorted(sizes) == [5, 10, 10]
    assert sandbox.charged == 5


def test_a_confirmed_missing_id_is_remembered_for_a_day(
    client: kr.Client, sandbox: Sandbox, advance: Callable[[float], None]
) -> None:
    def fetch(**options: Any) -> int:
        before = sandbox.charged
        with pytest.warns(kr.MissingDataWarning, match="missing1"):
            frame = kr.fetch_hashtags(["missing1"], client=client, **options)
        assert frame.empty
        return sandbox.charged - before

    def plan(**options: Any) -> tuple[int, int]:
        planned = kr.plan(kr.fetch_hashtags, ["missing1"], client=client, **options)
        return planned.stored, planned.credits

    assert fetch() == 2
    assert plan() == (1, 0)
    assert fetch() == 0
    advance(DAY - 60)
    assert fetch() == 0
    assert plan(max_age="1h") == (0, 2)
    advance(120)
    assert plan(max_age="7D") == (1, 0)
    assert fetch(max_age="7D") == 0
    assert fetch(max_age="any") == 0
    assert plan() == (0, 2)
    assert fetch() == 2
    assert fetch(max_age=0) == 2


# Rankings: one observation -------------------------------------------------------------------------------------


def test_a_ranking_is_extended_within_the_hour(
    client: kr.Client, sandbox: Sandbox, advance: Callable[[float], None]
) -> None:
    ranking(client, 20)
    advance(HOUR - 60)
    plan = plan_ranking(client, 50)
    assert (plan.requests, plan.credits, plan.stored) == (2, 4, 1)
    frame = ranking(client, 50)
    assert pages(sandbox) == [1, 2, 3]
    assert frame["position"].tolist() == list(range(1, 51))
    assert frame["category_id"].is_unique
    assert plan_ranking(client, 60).credits == 0
    ranking(client, 60)
    ranking(client, 7)
    assert sandbox.charged == 6


def test_an_older_ranking_is_another_observation(
    client: kr.Client, sandbox: Sandbox, advance: Callable[[float], None]
) -> None:
    ranking(client, 20)
    advance(HOUR + 60)
    assert plan_ranking(client, 20).credits == 0
    plan = plan_ranking(client, 40)
    assert (plan.requests, plan.credits, plan.stored) == (2, 4, 0)
    assert "whole ranking again" in repr(plan)
    ranking(client, 40)
    assert pages(sandbox) == [1, 1, 2]


def test_pages_capped_at_ten_cost_no_more_than_the_plan_allows(client: kr.Client, sandbox: Sandbox) -> None:
    sandbox.page_cap = 10
    plan = plan_ranking(client, 40)
    assert (plan.credits, plan.credits_max) == (4, 8)
    assert len(ranking(client, 40)) == 40
    assert sandbox.charged == 8
    plan = plan_ranking(client, 60)  # now the size of a page is known
    assert plan.credits == 4
    assert ranking(client, 60)["position"].tolist() == list(range(1, 61))
    assert sandbox.charged == 12


@pytest.mark.parametrize(("before", "after"), [(20, 10), (10, 20)])
def test_pages_of_another_size_are_never_mixed(before: int, after: int, client: kr.Client, sandbox: Sandbox) -> None:
    sandbox.page_cap = before
    ranking(client, 40)
    spent = sandbox.charged
    sandbox.page_cap = after
    plan = plan_ranking(client, 60)
    frame = ranking(client, 60)
    places = frame["position"].tolist()
    assert places == sorted(set(places))
    assert len(set(range(1, 61)) - set(places)) < 5  # what moved on while it was requested, never a whole page
    assert frame["category_id"].is_unique
    assert plan.credits_max is not None
    assert sandbox.charged - spent <= plan.credits_max
    ranking(client, 60)
    assert sandbox.charged - spent <= plan.credits_max
    assert client.ledger()["credits"].sum() == sandbox.charged


@pytest.mark.parametrize(("before", "after"), [(20, 10), (10, 20)])
def test_a_cap_that_changes_within_a_pull_starts_it_again(
    before: int, after: int, client: kr.Client, sandbox: Sandbox
) -> None:
    def change(_: str, params: dict[str, str]) -> None:
        sandbox.page_cap = before if params["page"] in ("1", "2") and len(sandbox.requests) < 2 else after

    sandbox.on_request = change
    frame = ranking(client, 60)
    assert pages(sandbox)[:4] == [1, 2, 3, 1]
    assert len(frame) >= 55  # what moved on while it was requested, never a whole page
    assert frame["position"].max() == 60
    assert client.ledger()["credits"].sum() == sandbox.charged == client.credits_spent
    sent = len(sandbox.requests)
    ranking(client, 60)
    assert len(sandbox.requests) == sent


def test_a_plan_refuses_what_the_call_would_refuse(make_client: Make) -> None:
    client = make_client(base_url="https://api.keyapi.ai", store=":memory:")
    with pytest.raises(kr.InvalidArgumentError, match="out of range"):
        kr.plan(kr.fetch_product_details, "601583", time_scope="2019-01", client=client)
    with pytest.raises(kr.InvalidArgumentError, match="out of range"):
        kr.plan(kr.fetch_product_insights, time_scope="2019-01", client=client)


def test_a_plan_is_not_recorded_as_a_call(client: kr.Client) -> None:
    details = kr.fetch_product_details("601583", client=client)
    before = list(client.calls)
    assert kr.plan(details.keyapi.fetch_videos, client=client).requests == 5
    assert client.calls == before


def test_a_rerun_that_fetches_all_anew_is_priced_so(make_client: Make, sandbox: Sandbox) -> None:
    client = make_client(retries=0)
    kr.fetch_hashtags(tags(1, 2, 3), client=client)
    sandbox.on_request = lambda _, params: Fault(status=500) if params["hashtag_name"] == "tag2" else None
    with pytest.raises(kr.FetchIncompleteError, match="missing: 3 requests = 6 credits"):
        kr.fetch_hashtags(tags(1, 2, 3), max_age=0, client=client)


def test_all_pages_of_a_ranking(client: kr.Client, sandbox: Sandbox) -> None:
    rows = count_rows(sandbox, "product_insights", {"region": "US", "time_scope": 7, "page": 99})
    sandbox.reset()
    plan = plan_ranking(client, None)
    assert plan.credits_max is None
    assert "unknown" in repr(plan)
    assert len(ranking(client, None)) == rows
    assert sandbox.charged == 2 * math.ceil(rows / 20)
    assert plan_ranking(client, None).credits_max == 0
    ranking(client, None)
    assert len(ranking(client, 10_000)) == rows  # it ended: there is no more to request
    assert sandbox.charged == 2 * math.ceil(rows / 20)


def test_an_empty_ranking_is_paid_once(client: kr.Client, sandbox: Sandbox) -> None:
    for _ in range(2):
        frame = kr.fetch_product_insights(region="US", search="no such thing", limit=None, client=client)
        assert frame.empty
    assert sandbox.charged == 2


def test_a_list_of_a_hundred_costs_ten_credits_once(client: kr.Client, sandbox: Sandbox) -> None:
    for fetch in (kr.fetch_trending_hashtags, kr.fetch_trending_hashtag_trends, kr.fetch_trending_hashtag_creators):
        fetch(region="US", limit=100, client=client)
    assert sandbox.charged == 10


def test_a_filter_is_part_of_what_is_stored(client: kr.Client, sandbox: Sandbox) -> None:
    kr.fetch_trending_hashtags(region="US", limit=5, client=client)
    kr.fetch_trending_hashtags(region="US", limit=5, industry="Pets", client=client)
    kr.fetch_trending_hashtags(region="US", limit=5, new_only=True, client=client)
    kr.fetch_trending_hashtags(region="US", limit=5, industry="19000000000", client=client)
    assert sandbox.charged == 6


def test_a_pull_that_broke_off_goes_on_where_it_broke_off(make_client: Make, sandbox: Sandbox) -> None:
    client = make_client(retries=0)
    sandbox.on_request = lambda _, params: Fault(status=500) if params["page"] == "3" else None
    with pytest.raises(kr.ServerError, match=r"40 rows came.*within the hour takes 2 requests = 4 credits") as caught:
        ranking(client, 80)
    assert caught.value.frame is not None
    assert caught.value.frame["position"].tolist() == list(range(1, 41))
    assert sandbox.charged == 4
    sandbox.on_request = None
    assert plan_ranking(client, 80).credits == 4
    assert ranking(client, 80)["position"].tolist() == list(range(1, 81))
    assert pages(sandbox) == [1, 2, 3, 3, 4]
    assert sandbox.charged == 8


def test_rows_on_two_pages_do_not_cost_the_rest(client: kr.Client, sandbox: Sandbox) -> None:
    def repeat(path: str, params: dict[str, str], envelope: dict[str, Any]) -> dict[str, Any]:
        if params["page"] == "2":
            envelope["data"]["list"][0] = first[0]
        first.append(envelope["data"]["list"][0])
        return envelope

    first: list[Any] = []
    sandbox.mutate = repeat
    plan = plan_ranking(client, 60)
    frame = ranking(client, 60)
    assert client.status().duplicates > 0
    assert frame["category_id"].is_unique
    assert plan.credits_max is not None
    assert sandbox.charged <= plan.credits_max
    assert plan_ranking(client, 60).credits == 0


# Threads -------------------------------------------------------------------------------------------------------


def test_threads_that_request_the_same_send_it_once(make_client: Make, slow: Sandbox) -> None:
    client = make_client(max_workers=8)
    wanted = tags(*range(50))
    frames = together(*[lambda: kr.fetch_hashtags(wanted, client=client)] * 8)
    assert len(slow.requests) == 50
    assert sorted(requested(slow.requests, "hashtag_name")) == sorted(wanted)
    assert all(frame["hashtag_name"].tolist() == wanted for frame in frames)
    assert client.credits_spent == 100
    assert client.credits_saved == 700


@pytest.mark.parametrize("max_age", [None, 0])
def test_threads_that_request_one_ranking_send_it_once(max_age: int | None, client: kr.Client, slow: Sandbox) -> None:
    frames = together(*[lambda: ranking(client, 40, max_age=max_age)] * 4)
    assert pages(slow) == [1, 2]
    assert all(len(frame) == 40 for frame in frames)


def test_threads_that_insist_on_new_answers_share_them(client: kr.Client, slow: Sandbox) -> None:
    kr.fetch_hashtags(tags(1, 2), client=client)
    together(*[lambda: kr.fetch_hashtags(tags(1, 2), max_age=0, client=client)] * 4)
    assert len(slow.requests) == 4


def test_a_batch_in_flight_is_not_requested_again(client: kr.Client, slow: Sandbox) -> None:
    def later() -> pd.DataFrame:
        while not client.status().requests:
            time.sleep(0.005)
        return kr.fetch_videos(videos(*range(5, 15)), client=client)

    first, second = together(lambda: kr.fetch_videos(videos(*range(10)), client=client), later)
    assert first["video_id"].tolist() == videos(*range(10))
    assert second["video_id"].tolist() == videos(*range(5, 15))
    assert requested(slow.requests, "video_ids") == [",".join(videos(*range(10))), ",".join(videos(*range(10, 15)))]


def test_what_another_thread_did_not_get_to_is_requested(make_client: Make, slow: Sandbox) -> None:
    client = make_client(max_workers=1)
    slow.faults.put(Fault(status=402, delay=0.2))

    def later() -> pd.DataFrame:
        while not client.status().requests:
            time.sleep(0.005)
        return kr.fetch_hashtags(tags(3), client=client)

    stopped, frame = together(lambda: kr.fetch_hashtags(tags(1, 2, 3), client=client), later)
    assert isinstance(stopped, kr.CreditsExhaustedError)
    assert frame["hashtag_name"].tolist() == tags(3)
    assert requested(slow.requests, "hashtag_name") == tags(1, 3)


def test_threads_share_a_failure(make_client: Make, slow: Sandbox) -> None:
    client = make_client(retries=0)
    slow.faults.put(Fault(status=500))
    errors = together(*[lambda: kr.fetch_hashtags(tags(1), client=client)] * 3)
    assert [type(error) for error in errors] == [kr.ServerError] * 3
    assert len({id(error) for error in errors}) == 3
    assert len(slow.requests) == 1


# Budgets -------------------------------------------------------------------------------------------------------


def test_a_call_beyond_the_budget_sends_nothing(make_client: Make, sandbox: Sandbox) -> None:
    client = make_client(max_credits=10)
    with pytest.raises(kr.BudgetExceededError, match=r"12 credits.*has 10 left.*max_credits=12"):
        kr.fetch_hashtags(tags(*range(6)), client=client)
    assert sandbox.requests == []
    kr.fetch_hashtags(tags(*range(5)), client=client)
    kr.fetch_hashtags(tags(*range(5)), client=client)
    with pytest.raises(kr.BudgetExceededError, match="0 left"):
        kr.fetch_hashtags(tags(9), client=client)
    assert client.credits_spent == sandbox.charged == 10


def test_nested_budgets_hold_together(client: kr.Client, sandbox: Sandbox) -> None:
    with kr.budget(10, client=client) as outer:
        with kr.budget(6, client=client) as inner:
            with pytest.raises(kr.BudgetExceededError, match=r"budget of 6 .*kr\.budget\(8\)"):
                kr.fetch_hashtags(tags(*range(4)), client=client)
            kr.fetch_hashtags(tags(*range(3)), client=client)
            assert (inner.spent, inner.remaining) == (6, 0)
        assert (outer.spent, outer.remaining) == (6, 4)
        with kr.budget(100, client=client), pytest.raises(kr.BudgetExceededError, match="budget of 10 "):
            kr.fetch_hashtags(tags(*range(3, 6)), client=client)
        kr.fetch_hashtags(tags(3, 4), client=client)
        assert (outer.spent, outer.remaining) == (10, 0)
    kr.fetch_hashtags(tags(7), client=client)
    assert (outer.spent, inner.spent) == (10, 6)  # what comes after a block is not its
    assert sandbox.charged == 12


def test_threads_never_spend_more_than_the_budget(make_client: Make, slow: Sandbox) -> None:
    client = make_client(max_workers=8)
    with kr.budget(40, client=client) as budget:
        results = together(
            *(lambda n=n: kr.fetch_hashtags(tags(*range(5 * n, 5 * n + 5)), client=client) for n in range(8))
        )
    assert sum(isinstance(result, pd.DataFrame) for result in results) == 4
    assert all(len(r) == 5 if isinstance(r, pd.DataFrame) else isinstance(r, kr.BudgetExceededError) for r in results)
    assert (budget.spent, budget.remaining) == (40, 0)
    assert slow.charged == client.credits_spent == 40


def test_what_settles_after_its_call_ended_is_spent_and_not_held() -> None:
    account = make_limit(10, "client")
    reservation = Reservation(account, None)
    reservation.hold(4, "a call")
    reservation.release()  # a second Ctrl-C, while a request is under way
    reservation.settle(2, 2)
    assert (account.held, account.spent, reservation.call.held, reservation.call.spent) == (0, 2, 0, 2)


def test_a_budget_that_opens_while_a_call_is_made_has_no_part_in_it() -> None:
    with Budget(10) as outer:
        reservation = Reservation(make_limit(None, "client"), None)
        reservation.hold(2, "its first page")
        with Budget(10) as inner:
            reservation.hold(2, "its second page")
        reservation.settle(2, 2)
        reservation.settle(2, 2)
        reservation.release()
        assert [(budget.held, budget.spent) for budget in (outer, inner)] == [(0, 4), (0, 0)]


def test_of_two_equal_budgets_the_outer_still_holds(client: kr.Client) -> None:
    with kr.budget(4, client=client):
        with kr.budget(4, client=client):
            kr.fetch_hashtags(tags(1), client=client)
        with pytest.raises(kr.BudgetExceededError, match="budget of 4 credits has 2 left"):
            kr.fetch_hashtags(tags(2, 3), client=client)


def test_max_credits_does_not_lift_the_limit_of_a_call(make_client: Make, earnest: Sandbox) -> None:
    client = make_client(max_credits=1000)
    with pytest.raises(kr.BudgetExceededError, match="max_call_credits=100"):
        kr.fetch_hashtags(tags(*range(60)), client=client)
    assert earnest.requests == []


def test_after_an_answer_of_another_source_nothing_more_is_sent(make_client: Make, sandbox: Sandbox) -> None:
    client = make_client()
    kr.fetch_hashtags(tags(1), client=client)
    sandbox.extra_headers = {SOURCE_HEADER: ""}  # it does not say any more that it is a sandbox
    for _ in range(2):
        with pytest.raises(kr.StoreError, match="has one source"):
            kr.fetch_hashtags(tags(2), client=client)
    assert len(sandbox.requests) == 2


def test_as_of_a_moment_includes_what_came_at_it(make_client: Make) -> None:
    frame = kr.fetch_hashtags(tags(1), client=make_client())
    then = make_client(as_of=frame["observed_at"][0])
    assert len(kr.fetch_hashtags(tags(1), client=then)) == 1


def test_two_answers_of_one_microsecond_are_both_kept(client: kr.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    moment = time.time_ns()
    monkeypatch.setattr(time, "time_ns", lambda: moment)
    for _ in range(2):
        frame = kr.fetch_hashtags(tags(1), max_age=0, client=client)
    assert frame.keyapi.history(client=client)["observed_at"].nunique() == 2


def test_a_budget_that_is_not_in_force_is_shown_so(client: kr.Client) -> None:
    budget = kr.budget(6, client=client)
    assert repr(budget) == "<Budget of 6 credits, not in force: with kr.budget(6): ...>"
    assert "limits nothing" in budget._repr_html_()
    kr.fetch_hashtags(tags(*range(5)), client=client)
    assert budget.spent == 0


def test_a_budget_entered_again_goes_on_with_what_is_left(client: kr.Client, sandbox: Sandbox) -> None:
    budget = kr.budget(6, client=client)
    with budget:
        kr.fetch_hashtags(tags(1, 2), client=client)
        with pytest.raises(kr.InvalidArgumentError, match="already in force"), budget:
            pass
    kr.fetch_hashtags(tags(3), client=client)  # outside: it does not count
    with budget as same, pytest.raises(kr.BudgetExceededError, match="6 credits has 2 left"):
        kr.fetch_hashtags(tags(4, 5), client=client)
    assert same is budget
    assert repr(budget) == "<Budget: 4 of 6 credits spent, 2 left>"
    assert sandbox.charged == 6


def test_a_budget_may_be_closed_before_the_call_ends(client: kr.Client, slow: Sandbox) -> None:
    opened, closed = threading.Event(), threading.Event()

    def block() -> kr.Budget:
        with kr.budget(10, client=client) as budget:
            opened.set()
            while not slow.requests and not client.status().requests:
                time.sleep(0.005)
        closed.set()
        return budget

    def fetch() -> None:
        opened.wait()
        kr.fetch_hashtags(tags(1, 2), client=client)

    budget, _ = together(block, fetch)
    assert (budget.spent, budget.remaining) == (4, 6)


def test_the_price_of_no_answer_counts(make_client: Make, sandbox: Sandbox) -> None:
    client = make_client(timeout=(1, 0.2), retries=2)
    for fault in (Fault(delay=0.5), Fault(close="before"), Fault(close="mid_body"), Fault(body=b"<html>")):
        sandbox.faults.put(fault)
        with kr.budget(3, client=client) as budget:
            with pytest.raises((kr.NetworkError, kr.UnexpectedResponseError)):
                kr.fetch_hashtags("cats", client=client)
            assert (budget.spent, budget.remaining) == (2, 1)
            with pytest.raises(kr.BudgetExceededError):
                kr.fetch_hashtags("cats", client=client)
    assert client.credits_spent == 8
    assert client.ledger()["credits"].isna().tolist() == [True] * 4
    assert client.status().requests_without_answer == 4


@pytest.mark.usefixtures("hurried")
def test_a_refusal_and_what_was_not_delivered_do_not_count(make_client: Make, sandbox: Sandbox) -> None:
    client = make_client(retries=1)
    with kr.budget(2, client=client) as budget:
        sandbox.faults.put(Fault(status=500))
        sandbox.faults.put(Fault(status=500))
        with pytest.raises(kr.ServerError):
            kr.fetch_hashtags("cats", client=client)
        sandbox.faults.put(Fault(status=400))
        with pytest.raises(kr.InvalidRequestError):
            kr.fetch_hashtags("cats", client=client)
        assert (budget.spent, budget.remaining) == (0, 2)
        assert client.ledger()["credits"].tolist() == [0, 0, 0]
        sandbox.close()
        with pytest.raises(kr.NetworkError, match="nothing was delivered"):
            kr.fetch_hashtags("cats", client=client)
        assert (budget.spent, budget.remaining) == (0, 2)
    ledger = client.ledger().tail(2)
    assert ledger["credits"].isna().all()
    assert ledger["attempt"].tolist() == [1, 2]


def test_a_call_that_is_too_dear_quotes_the_plan_and_the_way_out(make_client: Make, earnest: Sandbox) -> None:
    client = make_client(max_call_credits=10)
    with pytest.raises(kr.BudgetExceededError) as caught:
        kr.fetch_hashtags(tags(*range(6)), client=client)
    for words in ("6 requests", "12 credits", "max_call_credits=10", "with kr.budget(12):", "max_call_credits=12"):
        assert words in str(caught.value)
    assert earnest.requests == []
    with kr.budget(12, client=client):
        kr.fetch_hashtags(tags(*range(6)), client=client)
    kr.fetch_hashtags(tags(*range(7)), client=client)  # one is missing: 2 credits
    assert earnest.charged == 14
    with pytest.raises(kr.BudgetExceededError):
        ranking(client, 120)
    assert earnest.charged == 14


def test_ten_thousand_ids_are_stopped_by_default(make_client: Make, earnest: Sandbox) -> None:
    client = make_client()
    with pytest.raises(kr.BudgetExceededError, match=r"1,000 requests\) costs 1,000 credits.*kr\.budget\(1000\)"):
        kr.fetch_videos(videos(*range(10_000)), client=client)
    assert earnest.requests == []


def test_the_sandbox_has_no_limit_of_a_call(make_client: Make, sandbox: Sandbox) -> None:
    client = make_client()
    kr.fetch_hashtags(tags(0), client=client)  # now the store knows whom it talks to
    kr.fetch_hashtags(tags(*range(60)), client=client)
    assert sandbox.charged == 120


def test_an_open_ended_ranking_is_counted_as_it_goes(make_client: Make, earnest: Sandbox) -> None:
    client = make_client(max_call_credits=6)
    with pytest.raises(kr.BudgetExceededError, match="6 spent so far") as caught:
        ranking(client, None)
    assert caught.value.frame is not None
    assert len(caught.value.frame) == 60
    assert earnest.charged == 6
    with pytest.raises(kr.BudgetExceededError):
        ranking(client, None)  # goes on, as far as the next six credits go
    assert pages(earnest) == [1, 2, 3, 4, 5, 6]
    with kr.budget(1000, client=client) as budget:
        rows = len(ranking(client, None))
    assert rows > 120
    assert budget.spent + 12 == earnest.charged == 2 * math.ceil(rows / 20)


def test_a_budget_ends_an_open_ended_ranking(client: kr.Client, sandbox: Sandbox) -> None:
    with kr.budget(5, client=client), pytest.raises(kr.BudgetExceededError) as caught:
        ranking(client, None)
    assert caught.value.frame is not None
    assert len(caught.value.frame) == 40
    assert sandbox.charged == 4


@pytest.mark.parametrize("limit", [-1, 1.5, True, "20", None])
def test_budgets_are_whole_numbers(limit: Any, client: kr.Client) -> None:
    with pytest.raises(kr.InvalidArgumentError, match="whole number"):
        kr.budget(limit, client=client)


# Plans ---------------------------------------------------------------------------------------------------------


def test_a_plan_sends_nothing_and_is_what_the_call_does(client: kr.Client, sandbox: Sandbox) -> None:
    before = pd.Timestamp.now(tz="UTC")
    kr.fetch_hashtags(tags(1, 2), client=client)
    sandbox.reset()
    plan = kr.plan(kr.fetch_hashtag_trends, tags(1, 2, 3), client=client)
    assert sandbox.requests == []
    assert (plan.requests, plan.credits, plan.credits_max, plan.stored) == (1, 2, 2, 2)
    assert before <= plan.oldest <= pd.Timestamp.now(tz="UTC")
    empty = kr.plan(kr.fetch_hashtags, [], client=client)
    assert (empty.requests, empty.credits, empty.credits_max, empty.stored) == (0, 0, 0, 0)
    assert empty.oldest is pd.NaT
    assert kr.plan(kr.fetch_hashtags, tags(1), max_age=0, client=client).credits == 2
    for text in (repr(plan), plan._repr_html_()):
        assert "fetch_hashtag_trends" in text
        assert "nothing was sent" in text


def test_a_plan_of_bound_methods_works(client: kr.Client, sandbox: Sandbox) -> None:
    frame = ranking(client, 5)
    sandbox.reset()
    plan = kr.plan(frame.keyapi.fetch_details, client=client)
    assert (plan.requests, plan.credits) == (5, 10)
    assert sandbox.requests == []


def test_a_plan_checks_the_arguments_and_the_function(client: kr.Client) -> None:
    with pytest.raises(kr.InvalidArgumentError, match="ISO-2"):
        kr.plan(kr.fetch_hashtags, "cats", region="Atlantis", client=client)
    for other in (len, "fetch_hashtags", kr.describe):
        with pytest.raises(kr.InvalidArgumentError, match="Pass plan the function itself"):
            kr.plan(other, "hashtags")  # type: ignore[arg-type]


def test_a_call_after_a_failed_plan_is_sent(client: kr.Client, sandbox: Sandbox) -> None:
    with pytest.raises(kr.InvalidArgumentError):
        kr.plan(kr.fetch_hashtags, [1.5], client=client)
    assert len(kr.fetch_hashtags("cats", client=client)) == 1
    assert sandbox.charged == 2


# Ledger and status ---------------------------------------------------------------------------------------------


def test_the_row_is_written_before_the_request_is_sent(client: kr.Client, sandbox: Sandbox, place: Place) -> None:
    seen: list[tuple[Any, ...]] = []

    def look(path: str, params: dict[str, str]) -> None:
        seen.extend(place.rows("SELECT endpoint, params, http_status, credits FROM keyapi_ledger"))

    sandbox.on_request = look
    kr.fetch_videos(videos(1, 2), client=client)
    params = json.dumps({"video_ids": ",".join(videos(1, 2))}, separators=(",", ":"))
    assert seen == [("/v1/tiktok/video/detail/analytics", params, None, None)]


@pytest.mark.usefixtures("hurried")
def test_the_ledger_has_every_attempt(make_client: Make, sandbox: Sandbox) -> None:
    client = make_client(retries=2)
    before = pd.Timestamp.now(tz="UTC").floor("us")
    for fault in (Fault(status=500), Fault(status=429, headers={"Retry-After": "0"}), Fault()):
        sandbox.faults.put(fault)
    kr.fetch_videos(videos(*range(3)), client=client)
    sandbox.faults.put(Fault(close="before"))
    with pytest.raises(kr.NetworkError):
        kr.fetch_hashtags("cats", client=client)
    ledger = kr.ledger(client=client)
    assert {name: str(dtype) for name, dtype in ledger.dtypes.items()} == {
        "sent_at": "datetime64[us, UTC]", "endpoint": "string", "params": "string", "n_entities": "Int64",
        "attempt": "Int64", "http_status": "Int64", "code": "Int64", "message": "string", "request_id": "string",
        "credits": "Int64", "elapsed_s": "float64", "imported": "boolean",
        "client": "string",
    }
    assert ledger["client"].tolist() == [f"{socket.gethostname()}:{os.getpid()}"] * 4
    assert ledger["attempt"].tolist() == [1, 2, 3, 1]
    assert ledger["n_entities"].tolist() == [3, 3, 3, 1]
    assert ledger["http_status"].tolist()[:3] == [500, 429, 200]
    assert ledger["code"].tolist()[:3] == [500, 429, 0]
    assert ledger["credits"].tolist()[:3] == [0, 0, 1]
    assert ledger["message"].tolist()[:3] == ["Internal server error", "qps limit exceeded", "success"]
    assert ledger.loc[3, ["http_status", "code", "request_id", "credits"]].isna().all()
    assert ledger.loc[3, "message"].startswith("no answer: ")
    assert ledger["request_id"].notna().tolist() == [False, False, True, False]
    assert json.loads(ledger["params"][3]) == {"hashtag_name": "cats", "region": "all_regions", "period": "7"}
    assert ledger["sent_at"].is_monotonic_increasing
    assert ledger["sent_at"].between(before, pd.Timestamp.now(tz="UTC")).all()
    assert (ledger["elapsed_s"] > 0).all()


def test_an_empty_ledger_has_its_columns(client: kr.Client) -> None:
    ledger = client.ledger()
    assert ledger.empty
    assert str(ledger["sent_at"].dtype) == "datetime64[us, UTC]"


def test_status_adds_up(client: kr.Client, sandbox: Sandbox) -> None:
    with pytest.warns(kr.MissingDataWarning):
        kr.fetch_hashtags([*tags(1, 2), "missing1"], client=client)
    kr.fetch_hashtag_audience(tags(1, 2), client=client)
    status = kr.status(client=client)
    assert (status.answers, status.absences, status.requests, status.requests_without_answer) == (2, 1, 3, 0)
    assert status.credits_in_ledger == status.credits_spent == sandbox.charged == 6
    assert status.credits_saved == 4
    assert status.token == "argument"
    assert status.store_bytes > 0
    for text in (repr(status), status._repr_html_()):
        assert "a-token-of-the-tests" not in text
        assert "pandas" in text


def test_savings_are_not_lost_to_failures(make_client: Make, sandbox: Sandbox) -> None:
    client = make_client(timeout=(1, 0.2))
    kr.fetch_hashtags(tags(1, 2, 3), client=client)
    sandbox.faults.put(Fault(delay=0.5))
    with pytest.raises(kr.FetchIncompleteError):
        kr.fetch_hashtags(tags(1, 2, 3, 4), client=client)
    assert client.credits_spent == 8
    assert client.credits_saved == 6


# Progress ------------------------------------------------------------------------------------------------------


def test_the_rate_of_a_bar_counts_from_the_beginning_of_the_call(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    moments = iter([100.0, 102.0])
    monkeypatch.setattr("keyapi_research.client.display.time", SimpleNamespace(monotonic=lambda: next(moments)))
    progress = Progress("fetch_hashtags", wanted=True)
    progress.expect(8)
    progress.step(16, number=8)
    progress.close()
    assert "8 of 8 requests, 16 credits, 4.0 requests a second" in capsys.readouterr().err


def test_a_bar_where_somebody_looks_and_has_to_wait(
    make_client: Make, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    quiet, automatic = make_client(progress=False), make_client(progress=None)
    kr.fetch_hashtags(tags(*range(8)), client=automatic)
    assert capsys.readouterr().err == ""  # nobody looks
    monkeypatch.setattr("keyapi_research.client.display.somebody_looks", lambda: True)
    kr.fetch_hashtags(tags(*range(10)), client=automatic)  # two requests
    kr.fetch_hashtags(tags(*range(10)), client=automatic)  # none
    kr.fetch_hashtags(tags(*range(20, 28)), client=quiet)
    assert capsys.readouterr().err == ""
    kr.fetch_hashtags(tags(*range(40, 48)), client=automatic)
    bar = capsys.readouterr().err
    assert "fetch_hashtags" in bar
    assert "8 of 8 requests" in bar
    assert re.search(r"\d requests a second", bar)
    assert "16 credits" in bar
    ranking(automatic, 120)
    assert "6 of 6 requests" in capsys.readouterr().err
