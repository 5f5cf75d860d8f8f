"""Lists of several creators: pulled side by side, each extended by itself, and ended where a feed is of no use."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

import keyapi_research as kr
from keyapi_research.sandbox import Fault, Sandbox

Make = Callable[..., kr.Client]
PATH = "/v1/tiktok/influencer/products/analytics"
USERS = [str(6_900_000_000_000_000_000 + number) for number in range(12)]


def answer(rows: int) -> Callable[[str, dict[str, str], dict[str, Any]], dict[str, Any]]:
    """Make each creator's list of so many products, page by page."""
    measures = (
        "spu_avg_price", "total_live_cnt", "total_live_sale_cnt", "total_live_sale_gmv_amt", "total_sale_cnt",
        "total_sale_gmv_amt", "total_video_cnt", "total_video_sale_cnt", "total_video_sale_gmv_amt",
    )  # fmt: skip
    known = {"category_id": "601450", "cover_url": "[]", "product_name": "x", **dict.fromkeys(measures, 1)}

    def mutate(_: str, params: dict[str, str], envelope: dict[str, Any]) -> dict[str, Any]:
        user, page = params["user_id"], int(params["page_num"])
        numbers = range((page - 1) * 10, min(rows, page * 10))
        rows_of_page = [{**known, "user_id": user, "product_id": f"{user[-5:]}{number:04}"} for number in numbers]
        return {**envelope, "data": rows_of_page}

    return mutate


def test_lists_come_in_the_order_of_the_ids_whichever_came_first(make_client: Make, sandbox: Sandbox) -> None:
    sandbox.mutate = answer(23)
    sandbox.on_request = lambda _, params: Fault(delay=0.2) if params["user_id"] == USERS[0] else None
    client = make_client(max_workers=4)
    frame = kr.fetch_creator_products(USERS[:5], limit=None, client=client)
    assert list(dict.fromkeys(frame["user_id"])) == USERS[:5]
    assert frame.groupby("user_id")["position"].apply(list).tolist() == [list(range(1, 24))] * 5
    assert sandbox.charged == client.credits_spent == 15


def test_requests_of_several_lists_overlap_but_pages_of_one_do_not(make_client: Make, sandbox: Sandbox) -> None:
    sandbox.mutate, sandbox.latency = answer(23), 0.05
    client = make_client(max_workers=3)
    kr.fetch_creator_products(USERS[:6], limit=23, client=client)
    spans = [(request.started, request.finished, request.params) for request in sandbox.requests]
    most = max(sum(began <= at < ended for began, ended, _ in spans) for at, _, _ in spans)
    assert 1 < most <= 3
    for user in USERS[:6]:
        own = [(began, ended, params["page_num"]) for began, ended, params in spans if params["user_id"] == user]
        assert [page for _, _, page in own] == ["1", "2", "3"]
        assert all(before[1] <= after[0] for before, after in pairwise(own))


def test_each_list_is_extended_by_itself(make_client: Make, sandbox: Sandbox) -> None:
    sandbox.mutate = answer(23)
    client = make_client()
    kr.fetch_creator_products(USERS[:2], limit=10, client=client)
    plan = kr.plan(kr.fetch_creator_products, USERS[:3], limit=20, client=client)
    assert (plan.requests, plan.credits, plan.stored) == (4, 4, 2)
    kr.fetch_creator_products(USERS[:3], limit=20, client=client)
    assert sandbox.charged == 2 + 4


def test_one_list_that_fails_leaves_the_others(make_client: Make, sandbox: Sandbox) -> None:
    sandbox.mutate = answer(15)
    sandbox.on_request = lambda _, params: (
        Fault(status=400) if (params["user_id"], params["page_num"]) == (USERS[1], "2") else None
    )
    client = make_client()
    with pytest.raises(kr.FetchIncompleteError) as caught:
        kr.fetch_creator_products(USERS[:4], client=client)
    assert caught.value.failures["id"].tolist() == [USERS[1]]
    assert caught.value.frame.groupby("user_id").size().to_dict() == {
        USERS[0]: 15, USERS[1]: 10, USERS[2]: 15, USERS[3]: 15
    }  # fmt: skip


def test_a_feed_of_no_use_ends_after_five_answers(make_client: Make, sandbox: Sandbox) -> None:
    sandbox.mutate = lambda _, __, envelope: {**envelope, "data": [{"product_id": "1", "user_id": "1"}]}
    client = make_client(max_workers=3)
    with pytest.raises(kr.UnexpectedResponseError, match="the first 5 answers of this call could not be used"):
        kr.fetch_creator_products(USERS, client=client)
    assert 5 <= sandbox.charged <= 5 + 2  # two more were in flight


@pytest.mark.parametrize("status", [401, 402, 403])
def test_what_stops_one_list_stops_the_others(make_client: Make, sandbox: Sandbox, status: int) -> None:
    sandbox.mutate = answer(15)
    client = make_client(max_workers=1)
    sandbox.on_request = lambda _, params: Fault(status=status) if params["user_id"] == USERS[2] else None
    with pytest.raises(kr.KeyAPIError) as caught:
        kr.fetch_creator_products(USERS[:6], client=client)
    assert caught.value.status_code == status
    assert len(caught.value.frame) == 30
    assert caught.value.failures["id"].tolist() == USERS[2:6]
    assert len(sandbox.requests) == 5


def test_a_budget_is_exact_for_lists_side_by_side(make_client: Make, sandbox: Sandbox) -> None:
    sandbox.mutate = answer(23)
    client = make_client(max_workers=4)
    with kr.budget(7), pytest.raises(kr.BudgetExceededError):
        kr.fetch_creator_products(USERS[:4], limit=20, client=client)
    assert not sandbox.requests
    with kr.budget(7) as budget, pytest.raises(kr.BudgetExceededError):
        kr.fetch_creator_products(USERS[:4], limit=None, client=client)
    assert budget.spent == sandbox.charged == 7
