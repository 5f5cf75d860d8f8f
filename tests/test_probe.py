"""The probe: each verdict against a server told to play it, what it may spend, and a text for everybody's eyes."""

from __future__ import annotations

import json
import pickle
import platform
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import keyapi_research as kr
from keyapi_research import model
from keyapi_research.model import TABLES, Table
from keyapi_research.sandbox import Fault, Sandbox

MakeClient = Callable[..., kr.Client]

PRODUCTS = "/v1/tiktok/insights/products"
PRODUCT = "/v1/tiktok/insights/product/detail"
VIDEO = "/v1/tiktok/video/detail/analytics"
HASHTAG = "/v1/tiktok/trending/hashtag/detail"
MUSIC = "/v1/tiktok/trending/music/detail"
TOP_HASHTAGS = "/v1/tiktok/trending/hashtags"
TOP_MUSIC = "/v1/tiktok/trending/music"
PATHS = [PRODUCTS, PRODUCT, VIDEO, HASHTAG, MUSIC, TOP_HASHTAGS, TOP_MUSIC]
PRICES = [2, 2, 1, 2, 2, 2, 2]
TOKEN = "kc-canary-7f3a91"


@pytest.fixture
def all_endpoints() -> None:
    """For tests of the probe with creators and products, too."""


@pytest.fixture(autouse=True)
def seven_endpoints(request: pytest.FixtureRequest) -> Iterator[None]:
    """The other tests need no more than these to tell verdicts apart."""
    tables = dict(model._tables)
    if "all_endpoints" not in request.fixturenames:
        for name in [name for name, table in tables.items() if table.endpoint.path not in PATHS]:
            del model._tables[name]
    yield
    model._tables.clear()  # the order of the tables counts
    model._tables.update(tables)


def play(sandbox: Sandbox, **faults: Fault) -> None:
    """Let some paths, by the names above, answer with a fault."""
    by_path = {globals()[name]: fault for name, fault in faults.items()}
    sandbox.on_request = lambda path, params: by_path.get(path)


def change(sandbox: Sandbox, path: str, change_data: Callable[[Any], Any]) -> None:
    """Let a path answer with other data."""
    sandbox.mutate = lambda where, params, envelope: (
        {**envelope, "data": change_data(envelope["data"])} if where == path else envelope
    )


def by_path(frame: pd.DataFrame, column: str) -> dict[str, Any]:
    return dict(zip(frame["path"], frame[column], strict=True))


# What is sent, and what comes back ----------------------------------------------------------------------------------


def test_every_endpoint_is_requested_once_for_its_documented_id(client: kr.Client, sandbox: Sandbox) -> None:
    frame = kr.probe(client=client)
    assert frame["path"].tolist() == PATHS
    assert frame["verdict"].tolist() == ["works"] * 7
    assert frame["credits"].tolist() == PRICES
    assert (sandbox.charged, client.credits_spent) == (13, 13)
    assert [(one.path, one.params.get("page")) for one in sandbox.requests] == list(
        zip(PATHS, ["1", None, None, None, None, "1", "1"], strict=True)
    )
    sent = {one.path: one.params for one in sandbox.requests}
    assert sent[PRODUCT]["id"] == "601583"
    assert sent[VIDEO] == {"video_ids": "7117191641181555995"}
    assert sent[HASHTAG] == {"hashtag_name": "ufc324", "region": "all_regions", "period": "7"}
    assert sent[MUSIC]["clip_id"] == "6703723351497508865"


def test_creators_and_products_are_requested_for_ids_of_examples(
    client: kr.Client, sandbox: Sandbox, all_endpoints: None
) -> None:
    frame = kr.probe(client=client)
    assert set(frame["verdict"]) <= {"works", "empty"}
    assert frame["path"].is_unique
    assert (len(frame), sandbox.charged, client.credits_spent) == (18, 24, 24)
    sent = {one.path.removeprefix("/v1/tiktok/"): one.params for one in sandbox.requests}
    page = {"page_num": "1", "page_size": "10"}
    assert sent["influencer/detail/analytics"] == {"user_ids": "104962950695723008"}
    assert sent["influencer/trends/analytics"] == {
        "user_id": "3993047", "start_date": "2026-01-24", "end_date": "2026-02-02", **page,
    }
    assert sent["product/list/analytics"] == {
        "region": "US", "off_mark": "0", "product_sort_field": "5", "sort_type": "1", **page,
    }
    assert sent["video/ranking/analytics"] == {
        "region": "US", "date": "2026-02-02", "rank_type": "1", "video_rank_field": "1", **page,
    }
    assert sent["product/creators/analytics"]["product_id"] == "1729383941730701675"


def test_the_frame_has_the_dtypes_of_its_documentation(client: kr.Client) -> None:
    frame = kr.probe(client=client)
    assert {name: str(dtype) for name, dtype in frame.dtypes.items()} == {
        "path": "string", "verdict": "string", "detail": "string", "credits": "Int64", "request_id": "string",
        "observed_at": "datetime64[us, UTC]",
    }
    ledger = client.ledger()
    assert frame["request_id"].tolist() == ledger["request_id"].tolist()
    assert ((frame["observed_at"] - ledger["sent_at"]).dt.total_seconds() < 60).all()
    assert (frame["observed_at"] >= ledger["sent_at"]).all()
    nothing = kr.probe(0, client=client).dtypes
    assert nothing.equals(frame.dtypes)


def test_a_page_of_a_ranking_is_one_request_however_short_it_is(make_client: MakeClient, sandbox: Sandbox) -> None:
    sandbox.page_cap = 10
    kr.probe(client=make_client())
    assert len(sandbox.requests) == 7


def test_what_the_probe_got_is_free_for_others_and_the_other_way_round(client: kr.Client, sandbox: Sandbox) -> None:
    kr.fetch_hashtag_trends("ufc324", client=client)
    kr.fetch_trending_hashtags(client=client)
    assert by_path(kr.probe(client=client), "credits") == dict(zip(PATHS, [2, 2, 1, 0, 2, 0, 2], strict=True))
    kr.fetch_videos("7117191641181555995", client=client)
    kr.fetch_trending_music(limit=20, client=client)
    assert len(sandbox.requests) == 7


def test_a_second_probe_is_free_and_says_the_same(make_client: MakeClient, sandbox: Sandbox) -> None:
    first = kr.probe(client=make_client())
    again = kr.probe(0, client=make_client())
    assert len(sandbox.requests) == 7
    assert again["credits"].tolist() == [0] * 7
    pd.testing.assert_frame_equal(pd.DataFrame(again.drop(columns="credits")), first.drop(columns="credits"))


@pytest.mark.parametrize("wrong", [-1, 2.5, "25", None, True])
def test_a_limit_that_is_no_number_is_refused(wrong: Any, client: kr.Client, sandbox: Sandbox) -> None:
    with pytest.raises(kr.InvalidArgumentError, match="max_credits must be a whole number"):
        kr.probe(wrong, client=client)
    assert sandbox.requests == []


# Verdicts -----------------------------------------------------------------------------------------------------------


def test_one_probe_tells_all_verdicts_apart(client: kr.Client, sandbox: Sandbox) -> None:
    play(sandbox, HASHTAG=Fault(status=403), TOP_HASHTAGS=Fault(status=402))

    def mutate(path: str, params: dict[str, str], envelope: dict[str, Any]) -> dict[str, Any]:
        if path == PRODUCT:
            envelope["data"]["info"]["colour"] = "red"
        if path == VIDEO:
            envelope["data"] = []
        if path == MUSIC:
            envelope["data"]["sound"]["clip_id"] = "6703723351497508866"
        return envelope

    sandbox.mutate = mutate
    frame = kr.probe(client=client)
    assert by_path(frame, "verdict") == {
        PRODUCTS: "works", PRODUCT: "changed", VIDEO: "empty", HASHTAG: "refused", MUSIC: "changed",
        TOP_HASHTAGS: "refused", TOP_MUSIC: "not tried",
    }
    assert frame["credits"].tolist() == [2, 2, 1, 0, 2, 0, 0]
    assert by_path(frame, "detail") == {
        PRODUCTS: "",
        PRODUCT: "unknown fields: data.info.colour",
        VIDEO: "KeyAPI has nothing for the documented id",
        HASHTAG: "AccessDeniedError: HTTP 403, code 403: Access denied",
        MUSIC: "UnexpectedResponseError: HTTP 200, code 0: the answer could not be used: '6703723351497508865' was "
               "requested, but the answer is about '6703723351497508866'",
        TOP_HASHTAGS: "CreditsExhaustedError: HTTP 402, code 402: apiKey quota is not enough",
        TOP_MUSIC: f"the probe ended at {TOP_HASHTAGS}: CreditsExhaustedError: HTTP 402, code 402: apiKey quota is "
                   "not enough",
    }
    assert frame["request_id"].isna().tolist() == [False, False, False, True, False, True, True]
    assert frame["observed_at"].isna().tolist() == [False] * 6 + [True]


def without_views(data: dict[str, Any]) -> dict[str, Any]:
    del data["info"]["video_views"]
    return data


def with_a_word_for_a_number(data: dict[str, Any]) -> dict[str, Any]:
    data["info"]["publish_cnt"] = "many"
    return data


def of_brazil(data: dict[str, Any]) -> dict[str, Any]:
    data["info"]["country_info"]["label"] = "BR"
    return data


@pytest.mark.parametrize(
    ("change_data", "detail"),
    [
        (without_views, "missing fields: data.info.video_views"),
        (with_a_word_for_a_number, "values or rows that cannot be read: 1 x data.info.publish_cnt"),
        (of_brazil, "another market: BR where all_regions was requested"),
        (lambda data: {"information": data["info"]},
         "UnexpectedResponseError: HTTP 200, code 0: the answer could not be used: the answer for 'ufc324' has no "
         "data.info: its structure has changed"),
    ],
)
def test_changed_says_what(
    change_data: Callable[[Any], Any], detail: str, client: kr.Client, sandbox: Sandbox
) -> None:
    change(sandbox, HASHTAG, change_data)
    frame = kr.probe(client=client)
    assert by_path(frame, "verdict") == dict.fromkeys(PATHS, "works") | {HASHTAG: "changed"}
    assert by_path(frame, "detail")[HASHTAG] == detail
    assert sandbox.charged == 13


@pytest.mark.parametrize("nothing", [{"list": []}, {}, None, []])
def test_a_ranking_without_rows_is_empty(nothing: Any, client: kr.Client, sandbox: Sandbox) -> None:
    change(sandbox, TOP_HASHTAGS, lambda _: nothing)
    frame = kr.probe(client=client)
    assert by_path(frame, "verdict") == dict.fromkeys(PATHS, "works") | {TOP_HASHTAGS: "empty"}
    assert by_path(frame, "detail")[TOP_HASHTAGS] == "the list is empty"


@pytest.mark.parametrize(
    ("fault", "verdict", "detail"),
    [
        (Fault(status=400, message="Invalid parameter: region"), "refused",
         "InvalidRequestError: HTTP 400, code 400: Invalid parameter: region"),
        (Fault(status=404), "refused", "NotFoundError: HTTP 404, code 404: Not found"),
        (Fault(status=429, headers={"Retry-After": "0"}), "refused",
         "RateLimitedError: HTTP 429, code 429: qps limit exceeded"),
        (Fault(status=500), "refused", "ServerError: HTTP 500, code 500: Internal server error"),
        (Fault(status=500, inside_200=True), "refused", "ServerError: HTTP 200, code 500: Internal server error"),
        (Fault(status=400, message="x\n\x1b[31m" + "y" * 300), "refused",
         f"InvalidRequestError: HTTP 400, code 400: x [31m{'y' * 193}..."),
        (Fault(body=b"<html>proxy.of.mine</html>"), "changed",
         "UnexpectedResponseError: HTTP 200: the answer is not one that KeyAPI documents"),
        (Fault(status=502, body=b"proxy.of.mine is tired"), "refused", "ServerError: HTTP 502"),
    ],
)
def test_what_kind_of_failure_it_was(
    fault: Fault, verdict: str, detail: str, make_client: MakeClient, sandbox: Sandbox
) -> None:
    play(sandbox, PRODUCT=fault)
    frame = kr.probe(client=make_client(retries=0))
    assert by_path(frame, "verdict") == dict.fromkeys(PATHS, "works") | {PRODUCT: verdict}
    assert by_path(frame, "detail")[PRODUCT] == detail


@pytest.mark.parametrize(("status", "kind"), [(401, "AuthenticationError"), (402, "CreditsExhaustedError")])
def test_a_refused_token_or_account_ends_the_probe_for_what_is_not_stored(
    status: int, kind: str, client: kr.Client, sandbox: Sandbox
) -> None:
    kr.fetch_music("6703723351497508865", client=client)
    play(sandbox, VIDEO=Fault(status=status))
    frame = kr.probe(client=client)
    assert frame["verdict"].tolist() == [
        "works", "works", "refused", "not tried", "works", "not tried", "not tried"
    ]
    assert by_path(frame, "detail")[HASHTAG].startswith(f"the probe ended at {VIDEO}: {kind}: HTTP {status}")
    assert len(sandbox.requests) == 4
    sandbox.on_request = None
    assert kr.probe(client=client)["verdict"].tolist() == ["works"] * 7


def test_an_answer_that_did_not_come_may_have_been_charged(make_client: MakeClient, sandbox: Sandbox) -> None:
    play(sandbox, PRODUCTS=Fault(close="before"))
    frame = kr.probe(4, client=make_client())
    assert frame["verdict"].tolist()[:4] == ["refused", "works", "not tried", "not tried"]
    assert by_path(frame, "detail")[PRODUCTS].startswith(
        "NetworkError: no complete answer came, it may have been charged ("
    )
    assert pd.isna(frame["credits"][0])
    assert "credits not known" in repr(frame)
    assert frame["detail"][2] == "it costs 1 credit; max_credits=4 has 0 left"


def test_a_server_that_is_not_reached_ends_the_probe_and_is_tried_again(
    make_client: MakeClient, sandbox: Sandbox
) -> None:
    nobody = make_client(base_url="http://127.0.0.1:1", retries=0)
    frame = kr.probe(client=nobody)
    assert frame["verdict"].tolist() == ["not tried"] * 7
    assert frame["credits"].tolist() == [0] * 7
    assert frame["detail"][0].startswith("NetworkError: KeyAPI was not reached (")
    assert frame["detail"][1].startswith(f"the probe ended at {PRODUCTS}: NetworkError: KeyAPI was not reached")
    assert len(nobody.ledger()) == 1
    kr.probe(client=nobody)
    assert len(nobody.ledger()) == 2


def test_a_proxy_that_wants_a_login_is_not_keyapi(make_client: MakeClient, sandbox: Sandbox) -> None:
    play(sandbox, PRODUCTS=Fault(status=407, body=b"<html>log in at proxy.of.mine</html>"))
    client = make_client(retries=0)
    frame = kr.probe(client=client)
    assert frame["verdict"].tolist() == ["not tried"] * 7
    assert frame["detail"].tolist() == ["NetworkError: HTTP 407"] + [
        f"the probe ended at {PRODUCTS}: NetworkError: HTTP 407"
    ] * 6
    sandbox.on_request = None
    assert kr.probe(client=client)["verdict"].tolist() == ["works"] * 7


# Not twice within a day ---------------------------------------------------------------------------------------------

FAILURES = {
    "PRODUCTS": Fault(status=403), "PRODUCT": Fault(status=500, inside_200=True), "VIDEO": Fault(body=b"{}"),
    "HASHTAG": Fault(status=400), "MUSIC": Fault(status=404), "TOP_HASHTAGS": Fault(status=502),
    "TOP_MUSIC": Fault(close="before"),
}


def test_what_failed_is_reported_from_the_ledger_and_not_sent_again(make_client: MakeClient, sandbox: Sandbox) -> None:
    play(sandbox, **FAILURES)
    first = kr.probe(client=make_client(retries=0))
    assert len(sandbox.requests) == 7
    sandbox.on_request = None
    again = kr.probe(client=make_client())
    assert len(sandbox.requests) == 7
    assert again["verdict"].tolist() == first["verdict"].tolist() == ["refused"] * 2 + ["changed"] + ["refused"] * 4
    assert again["credits"].tolist() == [0] * 7
    for now, before, at in zip(again["detail"], first["detail"], first["observed_at"], strict=True):
        assert now == f"{before} (request of {at:%Y-%m-%d %H:%M} UTC, not sent again within a day)"
    assert again["observed_at"].equals(first["observed_at"])


def test_somebody_elses_answer_is_not_paid_again(make_client: MakeClient, sandbox: Sandbox) -> None:
    def somebody_else(data: Any) -> Any:
        data[0]["video_id"] = "1"
        return data

    change(sandbox, VIDEO, somebody_else)
    first = kr.probe(client=make_client())
    assert (first["verdict"][2], first["credits"][2]) == ("changed", 1)
    again = kr.probe(client=make_client())
    assert (again["verdict"][2], again["credits"][2]) == ("changed", 0)
    assert again["detail"][2].startswith(
        "UnexpectedResponseError: HTTP 200, code 0: the answer could not be used: about another id, or changed in "
        "structure (request of "
    )
    assert again["request_id"][2] == first["request_id"][2]
    assert sandbox.charged == 13


@pytest.mark.parametrize("status", [401, 402, 429])
def test_what_passes_is_tried_again(status: int, make_client: MakeClient, sandbox: Sandbox) -> None:
    client = make_client(retries=0)
    play(sandbox, TOP_MUSIC=Fault(status=status))
    assert kr.probe(client=client)["verdict"].tolist() == ["works"] * 6 + ["refused"]
    sandbox.on_request = None
    assert kr.probe(client=client)["credits"].tolist() == [0] * 6 + [2]


def test_the_newest_of_an_answer_and_a_refusal_counts(client: kr.Client, sandbox: Sandbox) -> None:
    kr.fetch_hashtags("ufc324", client=client)
    play(sandbox, HASHTAG=Fault(status=403))
    with pytest.raises(kr.AccessDeniedError):
        kr.fetch_hashtags("ufc324", max_age=0, client=client)
    assert by_path(kr.probe(client=client), "verdict")[HASHTAG] == "refused"
    sandbox.on_request = None
    kr.fetch_hashtags("ufc324", max_age=0, client=client)
    assert by_path(kr.probe(client=client), "verdict")[HASHTAG] == "works"


def test_a_later_401_does_not_hide_what_was_paid_for(client: kr.Client, sandbox: Sandbox) -> None:
    play(sandbox, VIDEO=Fault(body=b"{}", charge=True))
    assert kr.probe(client=client)["verdict"][2] == "changed"
    play(sandbox, VIDEO=Fault(status=401))
    with pytest.raises(kr.AuthenticationError):
        kr.fetch_videos("7117191641181555995", client=client)
    sandbox.on_request = None
    frame = kr.probe(client=client)
    assert (frame["verdict"][2], frame["credits"].sum(), sandbox.charged) == ("changed", 0, 13)


def test_after_a_day_everything_is_requested_again(
    client: kr.Client, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    play(sandbox, HASHTAG=Fault(status=403))
    from keyapi_research.store import now_us

    with monkeypatch.context() as patch:
        for module in ("client.transport", "store.sqlite"):
            patch.setattr(f"keyapi_research.{module}.now_us", lambda: now_us() - 25 * 3600 * 1_000_000)
        frame = kr.probe(client=client)
    assert frame["verdict"].tolist() == ["works"] * 3 + ["refused"] + ["works"] * 3
    assert frame["credits"].tolist() == [2, 2, 1, 0, 2, 2, 2]
    sandbox.on_request = None
    frame = kr.probe(client=client)
    assert frame["verdict"].tolist() == ["works"] * 7
    assert frame["credits"].tolist() == PRICES


def test_a_second_probe_in_a_new_process_sends_nothing(
    make_client: MakeClient, sandbox: Sandbox, tmp_path: Path, all_endpoints: None
) -> None:
    play(sandbox, HASHTAG=Fault(status=403), VIDEO=Fault(body=b"{}"))
    first = kr.probe(client=make_client())
    sandbox.on_request = None
    code = (
        "import keyapi_research as kr\n"
        f"kr.connect(token={TOKEN!r}, base_url={sandbox.url!r}, store={str(tmp_path / 'store.sqlite')!r})\n"
        "print(kr.probe()[['verdict', 'credits']].to_json())"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    again = json.loads(done.stdout)
    assert list(again["verdict"].values()) == first["verdict"].tolist()
    assert list(again["credits"].values()) == [0] * 18
    assert len(sandbox.requests) == 18


def test_what_is_under_way_is_not_sent_by_another(make_client: MakeClient, sandbox: Sandbox) -> None:
    other, found = make_client(), []

    def meanwhile(path: str, params: dict[str, str]) -> None:
        if path == PRODUCTS and not found:
            found.append(kr.probe(0, client=other))

    sandbox.on_request = meanwhile
    assert kr.probe(client=make_client())["verdict"].tolist() == ["works"] * 7
    assert found[0]["detail"].tolist()[:2] == [
        "the same request is under way; run the probe again later", "it costs 2 credits; max_credits=0 has 0 left"
    ]


def test_probes_at_the_same_time_send_each_request_once(make_client: MakeClient, sandbox: Sandbox) -> None:
    sandbox.latency = 0.002
    play(sandbox, VIDEO=Fault(body=b"{}", charge=True), TOP_MUSIC=Fault(status=403))
    found: list[pd.DataFrame] = []
    clients = [make_client() for _ in range(3)]
    threads = [threading.Thread(target=lambda one=one: found.append(kr.probe(client=one))) for one in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(found), len(sandbox.requests), sandbox.charged) == (3, 7, 11)
    assert sum(one["credits"].sum() for one in found) == 10  # of the unusable answer nobody knows
    verdicts = dict.fromkeys(PATHS, "works") | {VIDEO: "changed", TOP_MUSIC: "refused"}
    for one in found:
        assert all(verdict in (verdicts[path], "not tried") for path, verdict in by_path(one, "verdict").items())


# Money --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("most", "paid"),
    [(0, [0] * 7), (1, [0, 0, 1, 0, 0, 0, 0]), (2, [2, 0, 0, 0, 0, 0, 0]), (6, [2, 2, 1, 0, 0, 0, 0]),
     (12, [2, 2, 1, 2, 2, 2, 0]), (13, PRICES)],
)
def test_no_more_than_max_credits(most: int, paid: list[int], client: kr.Client, sandbox: Sandbox) -> None:
    frame = kr.probe(most, client=client)
    assert frame["credits"].tolist() == paid
    assert sandbox.charged == sum(paid) <= most
    assert frame["verdict"].tolist() == ["works" if one else "not tried" for one in paid]


def test_answers_that_could_not_be_used_count(client: kr.Client, sandbox: Sandbox) -> None:
    sandbox.mutate = lambda path, params, envelope: {**envelope, "data": {"other": 1, "more": [1]}}
    frame = kr.probe(5, client=client)
    assert frame["verdict"].tolist() == ["changed"] * 3 + ["not tried"] * 4
    assert (sandbox.charged, client.credits_spent, frame["credits"].sum()) == (5, 5, 5)


def test_other_limits_hold_too(make_client: MakeClient, sandbox: Sandbox, tmp_path: Path) -> None:
    client = make_client()
    with kr.budget(3) as budget:
        frame = kr.probe(client=client)
    assert budget.spent == sandbox.charged == 3
    assert frame["verdict"].tolist() == ["works", "not tried", "works"] + ["not tried"] * 4
    assert frame["detail"][1].endswith("the budget of 3 credits has 1 left (2 spent so far)")

    mean = make_client(max_credits=4)
    frame = kr.probe(client=mean)
    assert frame["credits"].tolist() == [0, 2, 0, 2, 0, 0, 0]
    assert "connect(max_credits=...) has 0 left" in frame["detail"][4]


def test_the_limit_of_a_call_holds_for_the_whole_probe_unless_a_budget_lifts_it(
    make_client: MakeClient, sandbox: Sandbox
) -> None:
    client = make_client(max_call_credits=3)
    frame = kr.probe(client=client)
    assert frame["credits"].tolist() == [2, 0, 1, 0, 0, 0, 0]
    assert frame["detail"][1] == "it costs 2 credits; max_call_credits=3 has 1 left"
    with kr.budget(20):
        assert kr.probe(client=client)["credits"].tolist() == [0, 2, 0, 2, 2, 2, 2]


def test_retries_of_what_is_free_cost_nothing(make_client: MakeClient, sandbox: Sandbox) -> None:
    client = make_client(retries=1)
    sandbox.faults.put(Fault(status=429, headers={"Retry-After": "0"}))
    frame = kr.probe(2, client=client)
    assert (frame["verdict"][0], frame["credits"][0], sandbox.charged) == ("works", 2, 2)
    assert client.ledger()["credits"].tolist() == [0, 2]


# Offline, frozen, replayed ------------------------------------------------------------------------------------------


def test_offline_only_what_is_stored_is_judged(make_client: MakeClient, sandbox: Sandbox) -> None:
    with make_client() as client:
        kr.probe(3, client=client)
    requests = len(sandbox.requests)
    frame = kr.probe(client=make_client(offline=True, token=None))
    assert frame["verdict"].tolist() == ["works", "not tried", "works"] + ["not tried"] * 4
    assert frame["detail"][1] == "offline, and no answer is stored"
    assert len(sandbox.requests) == requests
    before = kr.probe(client=make_client(as_of="2020-01-01"))
    assert before["verdict"].tolist() == ["not tried"] * 7


def test_what_failed_in_a_probe_is_not_missing_from_a_frozen_study(
    client: kr.Client, sandbox: Sandbox, tmp_path: Path
) -> None:
    play(sandbox, PRODUCT=Fault(status=403), TOP_MUSIC=Fault(status=500))
    kr.fetch_hashtags("perfume", client=client)
    first = kr.probe(client=client)
    frozen = kr.freeze(tmp_path / "study.zip", client=client)
    assert (frozen.answers, frozen.calls, frozen.failed, frozen.differing) == (6, 6, (), ())
    with kr.Client(replay=tmp_path / "study.zip") as replayed:
        again = kr.probe(client=replayed)
        assert by_path(again, "verdict") == dict.fromkeys(PATHS, "works") | dict.fromkeys(
            (PRODUCT, TOP_MUSIC), "not tried"
        )
        assert again["credits"].tolist() == [0] * 7
        assert again["observed_at"][0] == first["observed_at"][0]
        assert again["request_id"][0] == first["request_id"][0]
        kr.fetch_hashtags("perfume", client=replayed)


def test_a_store_that_fails_ends_the_probe_and_the_error_has_what_came(client: kr.Client, sandbox: Sandbox) -> None:
    def elsewhere(path: str, params: dict[str, str]) -> None:
        if path == VIDEO:  # from here on somebody else answers
            sandbox.extra_headers = {"X-KeyAPI-Source": "somebody"}

    sandbox.on_request = elsewhere
    with pytest.raises(kr.StoreError, match="belongs to 'sandbox'") as caught:
        kr.probe(client=client)
    assert caught.value.frame is not None
    assert caught.value.frame["verdict"].tolist() == ["works", "works"]
    assert len(sandbox.requests) == 3


# The text -----------------------------------------------------------------------------------------------------------


def test_the_text_is_whole_and_can_be_read_by_everybody(
    make_client: MakeClient, sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.of.mine:3128")
    play(sandbox, PRODUCT=Fault(status=403, message=f"no {TOKEN}"), VIDEO=Fault(status=502, body=b"at proxy.of.mine"))
    long = {f"field_{number:02}_{'x' * 100}": number for number in range(25)}
    change(sandbox, HASHTAG, lambda data: {**data, **long})
    client = make_client(token=TOKEN, retries=0)
    frame = kr.probe(client=client)
    with pd.option_context("display.max_colwidth", 10, "display.max_rows", 2):
        text = repr(frame)
    lines = text.splitlines()
    assert lines[0] == (
        f"kr.probe: keyapi-research {kr.__version__}, pandas {pd.__version__}, Python {platform.python_version()}, "
        "source sandbox"
    )
    at = frame["observed_at"][0].strftime("%Y-%m-%d %H:%M")
    assert lines[1] == f"works      {PRODUCTS}, 2 credits, {at} UTC, request {frame['request_id'][0]}"
    assert lines[3] == "           AccessDeniedError: HTTP 403, code 403: no [token]"
    named = sorted(long)[:20]
    assert frame["detail"][3] == f"unknown fields: {', '.join(f'data.{name}' for name in named)} and 5 more"
    assert all(detail in text for detail in frame["detail"])
    html = frame._repr_html_()
    assert "UTC, request" in html
    assert html.startswith("<pre")
    for shown in (text, str(frame), html, frame.to_csv()):
        for private in (TOKEN, str(tmp_path), "proxy.of.mine", str(Path.home()), "..."):
            assert private not in shown


def test_the_path_of_certificates_is_not_in_the_text(
    make_client: MakeClient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "none.pem"))
    frame = kr.probe(client=make_client(base_url="https://127.0.0.1:1", retries=0))
    assert frame["detail"][0] == "NetworkError: KeyAPI was not reached (FileNotFoundError)"
    assert str(tmp_path) not in repr(frame)


def test_html_of_a_field_name_is_text(client: kr.Client, sandbox: Sandbox) -> None:
    change(sandbox, HASHTAG, lambda data: {**data, "<script>": 1})
    html = kr.probe(client=client)._repr_html_()
    assert "data.&lt;script&gt;" in html
    assert "<script>" not in html


def test_parts_of_it_are_plain_frames(client: kr.Client) -> None:
    frame = kr.probe(client=client)
    for part in (frame[["path", "verdict"]], frame.head(2), frame[frame["verdict"] == "works"], frame.copy(),
                 frame.drop(columns="detail"), pd.concat([frame, frame])):
        assert type(part) is pd.DataFrame
    kept = pickle.loads(pickle.dumps(frame))
    assert repr(kept) == repr(frame)
    frame["mine"] = 1
    assert repr(frame) == repr(pd.DataFrame(frame))


# Other endpoints ----------------------------------------------------------------------------------------------------


def declare_again(monkeypatch: pytest.MonkeyPatch, table: Table, path: str, **changes: Any) -> None:
    """Let another endpoint have a table like one that there is."""
    endpoint = replace(table.endpoint, name="another", path=path, **changes)
    monkeypatch.setitem(model._tables, "another", replace(table, endpoint=endpoint, name="another"))


def test_an_endpoint_that_lacks_a_documented_id_or_a_default_is_not_tried(
    client: kr.Client, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare_again(monkeypatch, TABLES["videos"], "/v1/tiktok/another", example="")
    assert kr.probe(0, client=client).iloc[-1].tolist()[:3] == [
        "/v1/tiktok/another", "not tried", "no documented id is known"
    ]
    ranking = TABLES["trending_hashtags"]
    parameters = tuple(replace(p, default="nowhere") if p.argument == "region" else p
                       for p in ranking.endpoint.parameters)
    declare_again(monkeypatch, ranking, "/v1/tiktok/another", parameters=parameters)
    last = kr.probe(0, client=client).iloc[-1]
    assert (last["verdict"], sandbox.requests) == ("not tried", [])
    assert last["detail"].startswith("region must be")


def test_two_tables_of_one_path_are_one_endpoint(
    client: kr.Client, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare_again(monkeypatch, TABLES["videos"], VIDEO)
    assert kr.probe(client=client)["path"].tolist() == PATHS


def test_the_documented_ids_are_those_of_the_examples(documented: dict[str, Any]) -> None:
    ids = {endpoint.path: endpoint.example for endpoint in model.endpoints() if endpoint.example}
    assert ids == {
        PRODUCT: "601583",
        VIDEO: documented["video-detail-analytics"]["data"][0]["video_id"],
        HASHTAG: documented["trending-hashtag-detail"]["data"]["info"]["hashtag_name"],
        MUSIC: documented["trending-music-detail"]["data"]["sound"]["clip_id"],
    }
