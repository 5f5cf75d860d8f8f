"""What came through one door is free through all: tables, any endpoint, tables of one's own; also in a new process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

import keyapi_research as kr
from keyapi_research.sandbox import Fault, Sandbox

Make = Callable[..., kr.Client]
PATH = "/v1/tests/doors"
CLIP = "6703723351497508865"
IDS = [str(7300000000000000001 + number) for number in range(12)]
VIDEOS = "/v1/tiktok/video/detail/analytics"
WAY = ("page_num", "page_size", 10)
DAY = 86_400


def answer(data: Any) -> Fault:
    return Fault(body=json.dumps({"code": 0, "message": "ok", "data": data}).encode())


def values(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.drop(columns=["observed_at", "source"])


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Move the clock on by some seconds."""
    real, moved = time.time_ns, [0]
    monkeypatch.setattr(time, "time_ns", lambda: real() + moved[0])

    def advance(seconds: float) -> None:
        moved[0] += int(seconds * 1e9)

    return advance


# New processes ------------------------------------------------------------------------------------------------

PRELUDE = """
    import json, sys, warnings
    import keyapi_research as kr
    options = json.loads(sys.argv[1])
    client = kr.Client(**options) if options else None
    warnings.simplefilter("ignore", kr.KeyAPIWarning)
"""
EPILOGUE = """
    print(json.dumps(result))
"""


@pytest.fixture
def start(sandbox: Sandbox, tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start code in an interpreter of its own, on the store of the test."""
    started: list[subprocess.Popen[str]] = []

    def begin(code: str, *, client: bool = True, **more: Any) -> subprocess.Popen[str]:
        options = {
            "token": "a-token-of-the-tests", "base_url": sandbox.url, "store": str(tmp_path / "store.sqlite"),
            "requests_per_second": None, "progress": False, **more,
        }  # fmt: skip
        source = "".join(map(textwrap.dedent, (PRELUDE, code, EPILOGUE)))
        environment = {**os.environ, "PYTHONPATH": str(Path(kr.__file__).parents[1])}
        made = subprocess.Popen(
            [sys.executable, "-c", source, json.dumps(options if client else None)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
        )  # fmt: skip
        started.append(made)
        return made

    yield begin
    for one in started:
        one.kill()
        one.communicate()


def result_of(process: subprocess.Popen[str]) -> Any:
    out, told = process.communicate(timeout=120)
    assert process.returncode == 0, told
    return json.loads(out)


def fetch_tables(client: kr.Client) -> dict[str, int]:
    """One call of each kind, through the tables: single ids, a batch, two pages."""
    return {
        "hashtags": len(kr.fetch_hashtags(["cats", "perfume"], client=client)),
        "videos": len(kr.fetch_videos(IDS, client=client)),
        "music": len(kr.fetch_music(CLIP, client=client)),
        "products": len(kr.fetch_product_insights(region="US", limit=25, client=client)),
        "list": len(kr.fetch_trending_hashtags(limit=5, client=client)),
    }


def calls_behind(client: kr.Client) -> list[tuple[str, dict[str, str], int]]:
    """The same calls of endpoints, from the ledger: parameters without those of the page, and the rows wanted."""
    calls: dict[str, tuple[str, dict[str, str], int]] = {}
    for path, written in client.ledger()[["endpoint", "params"]].itertuples(index=False):
        params = {name: text for name, text in json.loads(written).items() if name not in ("page", "limit")}
        calls[f"{path}{json.dumps(params)}"] = (path, params, 25 if path.endswith("insights/products") else 5)
    return list(calls.values())


def test_answers_of_tables_are_free_through_fetch_endpoint_in_a_new_process(
    sandbox: Sandbox, make_client: Make, start: Callable[..., Any]
) -> None:
    client = make_client()
    rows = fetch_tables(client)
    before, spent = len(sandbox.requests), client.credits_spent
    calls = calls_behind(client)
    client.close()
    code = f"""
    result = []
    for path, params, limit in json.loads({json.dumps(json.dumps(calls))}):
        plan = kr.plan(kr.fetch_endpoint, path, params, limit=limit, client=client)
        frame = kr.fetch_endpoint(path, params, limit=limit, client=client)
        result.append([path, plan.requests, len(frame)])
    result = [result, client.credits_spent]
    """
    told, paid = result_of(start(code))
    assert (len(sandbox.requests), paid) == (before, 0)
    assert [requests for _, requests, _ in told] == [0] * len(told)
    assert sum((Counter({path.removeprefix("/v1/tiktok/"): number}) for path, _, number in told), Counter()) == {
        "trending/hashtag/detail": 2, "video/detail/analytics": rows["videos"], "trending/music/detail": 1,
        "insights/products": 25, "trending/hashtags": 5,
    }  # fmt: skip
    assert spent == 2 * 2 + 2 * 1 + 2 + 2 * 2 + 2


def test_answers_of_fetch_endpoint_are_free_through_tables_in_a_new_process(
    sandbox: Sandbox, make_client: Make, tmp_path: Path, start: Callable[..., Any]
) -> None:
    with make_client(store=tmp_path / "tables.sqlite") as other:
        rows = fetch_tables(other)
        calls = calls_behind(other)
    sandbox.reset()
    client = make_client()
    for path, params, limit in calls:
        frame = kr.fetch_endpoint(path, params, limit=limit, client=client)
        assert len(frame), path
    sent, spent = len(sandbox.requests), client.credits_spent
    assert (sandbox.charged, spent) == (spent, 2 * 2 + 2 * 1 + 2 + 2 * 2 + 2)
    code = f"""
    result = {{
        "hashtags": len(kr.fetch_hashtags(["cats", "perfume"], client=client)),
        "videos": len(kr.fetch_videos({IDS}, client=client)),
        "music": len(kr.fetch_music("{CLIP}", client=client)),
        "products": len(kr.fetch_product_insights(region="US", limit=25, client=client)),
        "list": len(kr.fetch_trending_hashtags(limit=5, client=client)),
    }}
    result["spent"] = client.credits_spent
    """
    assert result_of(start(code)) == {**rows, "spent": 0}
    assert len(sandbox.requests) == sent


def test_batch_is_stored_id_by_id(sandbox: Sandbox, client: kr.Client) -> None:
    params = {"video_ids": f" {IDS[0]},{IDS[1]}, {IDS[2]},{IDS[0]},"}
    assert kr.plan(kr.fetch_endpoint, VIDEOS, params, client=client).credits == 1
    frame = kr.fetch_endpoint(VIDEOS, params, client=client)
    assert frame["video_ids"].tolist() == frame["video_id"].tolist() == IDS[:3]
    kr.fetch_endpoint(VIDEOS, {"video_ids": f"{IDS[2]},{IDS[0]}"}, client=client)
    kr.fetch_videos(IDS[1], client=client)
    assert len(sandbox.requests) == 1
    more = {"video_ids": f"{IDS[3]},{IDS[2]}"}
    assert kr.fetch_endpoint(VIDEOS, more, client=client)["video_id"].tolist() == [IDS[3], IDS[2]]
    assert sandbox.requests[-1].params == {"video_ids": IDS[3]}


def test_batch_of_handles_is_matched_whatever_their_case(sandbox: Sandbox, client: kr.Client) -> None:
    path = "/v1/tiktok/influencer/detail/analytics"

    def respond(_: str, params: dict[str, str]) -> Fault:
        return answer([{"unique_id": one.title(), "n": 1} for one in params["unique_ids"].split(",")])

    sandbox.on_request = respond
    frame = kr.fetch_endpoint(path, {"unique_ids": "@Ann, bob"}, client=client)
    assert sandbox.requests[0].params == {"unique_ids": "ann,bob"}
    assert frame["unique_ids"].tolist() == ["ann", "bob"]
    kr.fetch_endpoint(path, {"unique_ids": "ANN"}, client=client)
    assert len(sandbox.requests) == 1


def test_declared_table_and_fetch_endpoint_share_what_is_stored(
    sandbox: Sandbox, make_client: Make, start: Callable[..., Any]
) -> None:
    sandbox.on_request = lambda _, params: answer({"list": [{"n": params["video_id"], "likes": 5}]})
    declared = """
    fetch = kr.declare("doors_likes", "/v1/tests/doors", credits=3, by="video_id", params={"lang": "en"},
                       rows="list[]", key=["n"], columns={"n": ("id", "n"), "likes": ("count", "likes")})
    """
    code = f"""{declared}
    result = [fetch(["1", "2"], client=client)["likes"].tolist(), client.credits_spent]
    """
    client = make_client()
    frame = kr.fetch_endpoint(PATH, {"lang": "en", "video_id": 1}, credits=3, client=client)
    assert frame[["n", "likes"]].iloc[0].tolist() == ["1", 5]
    assert result_of(start(code)) == [[5, 5], 3]
    kr.fetch_endpoint(PATH, {"video_id": "2", "lang": "en"}, credits=3, client=client)
    assert [request.params["video_id"] for request in sandbox.requests] == ["1", "2"]


# Money --------------------------------------------------------------------------------------------------------


def numbered(sandbox: Sandbox, total: int) -> None:
    """Serve a list of numbers page by page."""

    def respond(_: str, params: dict[str, str]) -> Fault:
        page, size = int(params["page_num"]), int(params["page_size"])
        return answer([{"n": number} for number in range(size * (page - 1), min(size * page, total))])

    sandbox.on_request = respond


def test_budgets_hold(sandbox: Sandbox, make_client: Make) -> None:
    numbered(sandbox, 100)
    client = make_client(max_call_credits=5)
    with pytest.raises(kr.BudgetExceededError):
        kr.fetch_endpoint(PATH, {"page_num": 1}, credits=6, client=client)
    with client.budget(8), pytest.raises(kr.BudgetExceededError):
        kr.fetch_endpoint(PATH, credits=3, paging=WAY, limit=30, client=client)
    assert not sandbox.requests
    with client.budget(8) as budget, pytest.raises(kr.BudgetExceededError) as raised:
        kr.fetch_endpoint(PATH, credits=3, paging=WAY, limit=None, client=client)
    assert raised.value.frame is not None
    assert raised.value.frame["n"].tolist() == list(range(20))
    assert (budget.spent, client.credits_spent, len(sandbox.requests)) == (6, 6, 2)
    frame = kr.fetch_endpoint(PATH, credits=3, paging=WAY, limit=30, client=client)
    assert (len(frame), client.credits_spent, len(sandbox.requests)) == (30, 9, 3)


def test_ledger_has_what_was_sent_and_its_price(sandbox: Sandbox, client: kr.Client) -> None:
    sandbox.on_request = lambda *_: answer([{"a": 1}])
    kr.fetch_endpoint(PATH, {"b": True, "a": "x y"}, credits=7, client=client)
    [row] = client.ledger().to_dict("records")
    assert (row["endpoint"], json.loads(row["params"]), row["credits"], row["code"]) == (
        PATH, {"a": "x y", "b": "true"}, 7, 0,
    )  # fmt: skip


def test_price_given_goes_before_the_known_one(sandbox: Sandbox, client: kr.Client) -> None:
    sandbox.on_request = lambda *_: answer([{"a": 1}])
    kr.fetch_endpoint("/v1/tiktok/video/captions", {"video_id": 1}, credits=4, client=client)
    kr.fetch_endpoint("/v1/tiktok/video/captions", {"video_id": 2}, client=client)
    assert client.ledger()["credits"].tolist() == [4, 1]


@pytest.mark.parametrize(("options", "credits"), [
    ({}, 3),
    ({"params": {"q": "x"}, "rows": "[]"}, 3),
    ({"paging": WAY, "limit": 35}, 12),
    ({"path": VIDEOS, "params": {"video_ids": ",".join(IDS)}, "credits": 3}, 6),
])  # fmt: skip
def test_plan_is_what_is_then_spent(
    sandbox: Sandbox, client: kr.Client, options: dict[str, Any], credits: int  # noqa: A002 - the word of the service
) -> None:
    numbered(sandbox, 100)
    if "path" in options:
        sandbox.on_request = None
    elif "paging" not in options:
        sandbox.on_request = lambda *_: answer([{"a": 1}])
    call = {"path": PATH, "credits": 3, "client": client, **options}
    plan = kr.plan(kr.fetch_endpoint, **call)
    assert (plan.credits, plan.credits_max, plan.stored) == (credits, credits, 0)
    assert not sandbox.requests
    kr.fetch_endpoint(**call)
    assert client.credits_spent == credits
    after = kr.plan(kr.fetch_endpoint, **call)
    assert (after.credits, after.credits_max, after.stored) == (0, 0, plan.requests if "path" not in options else 12)


def test_failures_are_typed_and_cost_what_they_cost(sandbox: Sandbox, make_client: Make) -> None:
    client = make_client(retries=0)
    for fault, kind, cost in (
        (Fault(status=400), kr.InvalidRequestError, 0),
        (Fault(status=401), kr.AuthenticationError, 0),
        (Fault(status=402), kr.CreditsExhaustedError, 0),
        (Fault(status=403), kr.AccessDeniedError, 0),
        (Fault(status=404), kr.NotFoundError, 0),
        (Fault(status=500), kr.ServerError, 0),
        (Fault(body=b"<html>"), kr.UnexpectedResponseError, 3),
        (Fault(close="mid_body", body=b"{}"), kr.NetworkError, 3),
    ):
        sandbox.faults.put(fault)
        before = client.credits_spent
        with pytest.raises(kind) as raised:
            kr.fetch_endpoint(PATH, {"q": "x"}, credits=3, client=client)
        assert (raised.value.endpoint, raised.value.params) == (PATH, {"q": "x"})
        assert raised.value.frame is not None
        assert client.credits_spent - before == cost, kind
    assert len(sandbox.requests) == 8


# Time ---------------------------------------------------------------------------------------------------------


def test_as_of_reads_the_answer_of_then(sandbox: Sandbox, make_client: Make, clock: Callable[[float], None]) -> None:
    client = make_client()
    frames = []
    for number in range(3):
        sandbox.on_request = lambda *_, number=number: answer([{"n": number}, {"n": -1}])
        frames.append(kr.fetch_endpoint(PATH, {"q": "x"}, credits=1, max_age=0, client=client))
        clock(60)
    for number, frame in enumerate(frames):
        past = make_client(as_of=frame["observed_at"].iloc[0])
        then = kr.fetch_endpoint(PATH, {"q": "x"}, credits=1, client=past)
        assert then["n"].iloc[0] == number
        assert_frame_equal(then, frame)
    assert len(sandbox.requests) == 3


@pytest.mark.parametrize("paging", [None, WAY])
def test_offline_names_the_price(sandbox: Sandbox, make_client: Make, paging: Any) -> None:
    numbered(sandbox, 100)
    with make_client() as client:
        kr.fetch_endpoint(PATH, {"q": "x"}, credits=3, paging=WAY, client=client)
    client = make_client(offline=True, token=None)
    with pytest.raises(kr.NotStoredError, match=r"takes (1 request = 3|2 requests = 6) credits") as raised:
        kr.fetch_endpoint(PATH, {"q": "y"}, credits=3, paging=paging, client=client)
    assert "q=y" in str(raised.value)
    assert len(kr.fetch_endpoint(PATH, {"q": "x"}, credits=3, paging=WAY, client=client)) == 20
    assert len(sandbox.requests) == 2


def test_absence_serves_for_a_day(sandbox: Sandbox, make_client: Make, clock: Callable[[float], None]) -> None:
    sandbox.on_request = lambda *_: answer([])
    client = make_client()

    def fetch() -> pd.DataFrame:
        with pytest.warns(kr.MissingDataWarning, match="KeyAPI has nothing for 1 request: q=x"):
            return kr.fetch_endpoint(PATH, {"q": "x"}, credits=3, client=client)

    assert fetch().empty
    clock(DAY - 60)
    assert fetch().empty
    plan = kr.plan(kr.fetch_endpoint, PATH, {"q": "x"}, credits=3, client=client)
    assert (plan.credits, plan.stored, len(sandbox.requests)) == (0, 1, 1)
    clock(120)
    assert kr.plan(kr.fetch_endpoint, PATH, {"q": "x"}, credits=3, client=client).credits == 3
    sandbox.on_request = lambda *_: answer([{"a": 1}])
    assert len(kr.fetch_endpoint(PATH, {"q": "x"}, credits=3, client=client)) == 1
    assert (len(sandbox.requests), client.credits_spent) == (2, 6)


def test_max_age_pays_for_what_is_newer(sandbox: Sandbox, make_client: Make, clock: Callable[[float], None]) -> None:
    sandbox.on_request = lambda *_: answer([{"n": len(sandbox.requests)}])
    client = make_client()
    options = {"credits": 1, "client": client}
    kr.fetch_endpoint(PATH, **options)
    clock(2 * DAY)
    assert kr.fetch_endpoint(PATH, max_age="3D", **options)["n"].item() == 0
    assert kr.fetch_endpoint(PATH, max_age="any", **options)["n"].item() == 0
    assert kr.fetch_endpoint(PATH, max_age="1D", **options)["n"].item() == 1
    assert kr.fetch_endpoint(PATH, max_age=0, **options)["n"].item() == 2
    assert len(sandbox.requests) == 3


# Freeze and replay --------------------------------------------------------------------------------------------

STUDY = """
    def study(client, fetch):
        frames = [
            fetch("/v1/tests/one", {"q": "caf\\u00e9 &"}, credits=1, client=client),
            fetch("/v1/tests/one", {"q": "none"}, credits=1, client=client),
            fetch("/v1/tests/rows", {}, rows="list[].n[]", credits=1, client=client),
            fetch("/v1/tests/rows", {}, rows="", credits=1, client=client),
            fetch("/v1/tests/pages", {"q": "x"}, credits=2, paging=("p", "s", 10), limit=15, client=client),
            fetch("/v1/tests/pages", {"q": "x", "p": 1, "s": 10}, credits=2, paging=("p", "s", 10), client=client),
            fetch("/v1/tests/pages", {"q": "x", "p": 2}, credits=2, paging=("p", "s", 10), client=client),
            fetch("/v1/tiktok/video/detail/analytics", {"video_ids": "7300000000000000001,7300000000000000002"},
                  client=client),
            fetch("/v1/tiktok/shop/list/analytics", {"region": "US"}, limit=12, client=client),
            fetch("/v1/tiktok/influencer/detail/analytics", {"unique_ids": "ann,bob"}, client=client),
        ]
        return [frame.to_csv(index=False) for frame in frames]
"""


def respond_to_study(path: str, params: dict[str, str]) -> Fault | None:
    if path == "/v1/tests/one":
        return answer([] if params["q"] == "none" else [{"a": 7117191641181555995, "b": "\u732b"}])
    if path == "/v1/tests/rows":
        return answer({"list": [{"n": [1, 2]}, {"n": [3]}], "gender": "f"})
    if path == "/v1/tests/pages" or path.endswith("shop/list/analytics"):
        page = int(params.get("p") or params["page_num"])
        return answer([{"n": number} for number in range(10 * (page - 1), 10 * page)])
    if path.endswith("influencer/detail/analytics"):
        return answer([{"unique_id": one, "n": 1} for one in params["unique_ids"].split(",")])
    return None


@pytest.mark.filterwarnings("ignore::keyapi_research.MissingDataWarning", "ignore::keyapi_research.SchemaDriftWarning")
def test_freeze_and_replay_in_a_process_that_knows_nothing(
    sandbox: Sandbox, make_client: Make, tmp_path: Path, start: Callable[..., Any]
) -> None:
    sandbox.on_request = respond_to_study
    names: dict[str, Any] = {}
    exec(textwrap.dedent(STUDY), names)  # the same code as in the other process
    client = make_client()
    frames = names["study"](client, kr.fetch_endpoint)
    frozen = kr.freeze(tmp_path / "study.zip", client=client)
    assert (frozen.differing, frozen.failed) == ((), ())
    before = len(sandbox.requests)
    assert frozen.requests == before == 10
    code = f"""{STUDY}
    path = {str(tmp_path / "study.zip")!r}
    client = kr.replay(path)
    result = [study(client, kr.fetch_endpoint), client.credits_spent, list(kr.freeze(path).differing)]
    """
    assert result_of(start(code, client=False)) == [frames, 0, []]
    assert len(sandbox.requests) == before


@pytest.mark.filterwarnings("ignore::keyapi_research.SchemaDriftWarning")
def test_calls_that_a_replay_answers_otherwise_are_named_as_they_may_stand_in_a_notebook(
    sandbox: Sandbox, client: kr.Client, tmp_path: Path
) -> None:
    path = "/v1/tiktok/influencer/detail/analytics"
    sandbox.on_request = lambda _, params: answer(
        [{"user_id": one, "n": len(sandbox.requests)} for one in params.get("user_ids", "0").split(",")]
    )
    for _ in range(2):
        kr.fetch_endpoint(PATH, {"q": "x"}, credits=1, max_age=0, client=client)
        kr.fetch_endpoint(path, {"user_ids": "1,2"}, max_age=0, client=client)
        kr.fetch_endpoint(PATH, {"q": "y"}, credits=1, client=client)
    assert kr.freeze(tmp_path / "study.zip", client=client).differing == (
        "fetch_endpoint('/v1/tests/doors', {'q': 'x'})",
        "fetch_endpoint('/v1/tiktok/influencer/detail/analytics', {'user_ids': '1, 2'})",
    )


# At the same moment -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("paging", [None, WAY])
@pytest.mark.parametrize("shared", [True, False])
def test_threads_that_ask_the_same_pay_once(sandbox: Sandbox, make_client: Make, paging: Any, *, shared: bool) -> None:
    def respond(_: str, params: dict[str, str]) -> Fault:
        page = int(params.get("page_num", 1))
        body = json.dumps({"code": 0, "data": [{"n": number} for number in range(10 * page - 10, 10 * page)]}).encode()
        return Fault(body=body, delay=0.2)

    sandbox.on_request = respond
    one = make_client()
    clients = [one if shared else make_client() for _ in range(6)]
    told: list[int] = []
    threads = [
        threading.Thread(
            target=lambda client=client: told.append(
                len(kr.fetch_endpoint(PATH, {"q": "x"}, credits=1, paging=paging, client=client))
            )
        )
        for client in clients
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    expected = 1 if paging is None else 2
    assert told == [10 * expected] * 6
    assert len(sandbox.requests) == expected
    assert sum({id(client): client.credits_spent for client in clients}.values()) == expected


def test_a_table_and_fetch_endpoint_that_ask_the_same_pay_once(sandbox: Sandbox, make_client: Make) -> None:
    sandbox.latency = 0.3
    params = {"hashtag_name": "cats", "region": "all_regions", "period": 7}
    told: list[int] = []
    calls: list[Callable[[], pd.DataFrame]] = [
        lambda: kr.fetch_hashtags("cats", client=make_client()),
        lambda: kr.fetch_endpoint("/v1/tiktok/trending/hashtag/detail", params, rows="", client=make_client()),
    ]
    threads = [threading.Thread(target=lambda call=call: told.append(len(call()))) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert (told, len(sandbox.requests), sandbox.charged) == ([1, 1], 1, 2)


FETCH = f"""
    frame = kr.fetch_endpoint("{PATH}", {{"q": "x"}}, credits=3, client=client)
    result = [frame["n"].tolist(), client.credits_spent]
"""


def test_processes_that_ask_the_same_pay_once(sandbox: Sandbox, start: Callable[..., Any]) -> None:
    def respond(*_: Any) -> Fault:
        time.sleep(1.0)  # the others are there by then, or a moment later: they pay nothing either way
        return answer([{"n": 1}])

    sandbox.on_request = respond
    told = [result_of(process) for process in [start(FETCH) for _ in range(3)]]
    assert [values for values, _ in told] == [[1]] * 3
    assert sorted(spent for _, spent in told) == [0, 0, 3]
    assert len(sandbox.requests) == 1


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="needs SIGKILL")
def test_killed_process_leaves_its_request_in_the_ledger_and_blocks_nobody(
    sandbox: Sandbox, make_client: Make, start: Callable[..., Any]
) -> None:
    arrived, released = threading.Event(), threading.Event()

    def respond(*_: Any) -> Fault:
        if not arrived.is_set():
            arrived.set()
            released.wait(60)
        return answer([{"n": 1}])

    sandbox.on_request = respond
    process = start(FETCH, timeout=[1, 2])
    assert arrived.wait(60)
    process.send_signal(signal.SIGKILL)
    process.wait(60)
    released.set()
    client = make_client(timeout=(1, 2))
    ledger = client.ledger()
    assert (len(ledger), ledger["endpoint"].item(), ledger["credits"].isna().item()) == (1, PATH, True)
    plan = kr.plan(kr.fetch_endpoint, PATH, {"q": "x"}, credits=3, client=client)
    assert plan.credits == 3
    frame = kr.fetch_endpoint(PATH, {"q": "x"}, credits=3, client=client)
    assert (frame["n"].tolist(), client.credits_spent, len(sandbox.requests)) == ([1], 3, 2)
    assert client.ledger()["credits"].tolist() == [pd.NA, 3]
