"""What one door stored, read by another: each says of an answer what it would have said had it fetched it itself."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest

import keyapi_research as kr
from keyapi_research.sandbox import Fault, Sandbox

PATH = "/v1/tiktok/things/of"
WAY = ("page_num", "page_size", 10)


def serve(sandbox: Sandbox, data_of: Callable[[dict[str, str]], Any]) -> None:
    def respond(_: str, params: dict[str, str]) -> Fault:
        return Fault(body=json.dumps({"code": 0, "message": "ok", "data": data_of(params)}).encode())

    sandbox.on_request = respond


def declare(name: str = "things", **given: Any) -> Callable[..., pd.DataFrame]:
    return kr.declare(name, PATH, credits=1, **given)


PROFILE: dict[str, Any] = {"by": "id", "rows": "", "key": "id", "columns": {"n": ("count", "n")}}


def test_what_is_nothing_to_one_is_a_row_to_another_and_is_not_paid_again(
    sandbox: Sandbox, client: kr.Client
) -> None:
    serve(sandbox, lambda _: {"id": "1", "n": 5, "tags": []})
    with pytest.warns(kr.MissingDataWarning, match="KeyAPI has nothing"):
        assert kr.fetch_endpoint(PATH, {"id": "1"}, credits=1, client=client).empty
    for identity in (None, "id"):
        fetch = declare(**PROFILE, identity=identity)
        frame = fetch("1", client=client)
        assert frame["n"].tolist() == [5]
        assert len(frame.keyapi.raw(client=client)) == len(frame.keyapi.history(client=client)) == 1
    assert len(sandbox.requests) == 1


def test_a_list_beside_an_empty_record_is_read(sandbox: Sandbox, client: kr.Client) -> None:
    serve(sandbox, lambda _: {"info": {}, "list": [{"n": 1}, {"n": 2}]})
    with pytest.warns(kr.MissingDataWarning):
        declare("infos", params={"q": "x"}, rows="info", key="n", columns={"n": ("count", "n")})(client=client)
    fetch = declare("items", params={"q": "x"}, rows="list[]", key="n", columns={"n": ("count", "n")})
    assert fetch(client=client)["n"].tolist() == [1, 2]
    rows = kr.fetch_endpoint(PATH, {"q": "x"}, credits=1, rows="list[]", client=client)
    assert rows["n"].tolist() == [1, 2]
    assert len(sandbox.requests) == 1


def test_somebody_elses_stored_answer_is_an_error_at_no_cost(sandbox: Sandbox, client: kr.Client) -> None:
    serve(sandbox, lambda _: {"id": "2", "n": 5})
    kr.fetch_endpoint(PATH, {"id": "1"}, credits=1, client=client)
    fetch = declare(**PROFILE, identity="id")
    assert kr.plan(fetch, "1", client=client).credits == 0
    for _ in range(2):
        with pytest.raises(kr.UnexpectedResponseError, match="'1' was requested, but the answer is about '2'"):
            fetch("1", client=client)
    assert len(sandbox.requests) == 1
    with pytest.raises(kr.UnexpectedResponseError):
        fetch("1", max_age=0, client=client)
    assert len(sandbox.requests) == 2


def test_somebody_elses_stored_pages_are_an_error_at_no_cost(sandbox: Sandbox, client: kr.Client) -> None:
    serve(sandbox, lambda params: [{"uid": "2", "n": 10 * int(params["page_num"]) + one} for one in range(10)])
    assert len(kr.fetch_endpoint(PATH, {"id": "1"}, credits=1, paging=WAY, client=client)) == 20
    fetch = declare(by="id", paging=WAY, rows="[]", key="n", columns={"n": ("id", "n")}, identity="uid")
    with pytest.raises(kr.UnexpectedResponseError, match="'1' was requested"):
        fetch("1", client=client)
    assert len(sandbox.requests) == 2


@pytest.mark.parametrize("key", ["uid", "n"])  # an id of the rows, or none
def test_pages_are_counted_by_the_list_that_is_read(key: str, sandbox: Sandbox, client: kr.Client) -> None:
    def data_of(params: dict[str, str]) -> dict[str, Any]:
        page = int(params["page_num"])
        items = [{"uid": f"u{page}-{one}", "n": one + 10 * page} for one in range(10)]
        return {"filters": items[: 10 if page == 1 else 1], "items": items if page < 4 else []}

    serve(sandbox, data_of)
    columns = {"uid": ("id", "uid"), "n": ("count", "n")}
    first = declare(params={"q": "x"}, paging=WAY, rows="filters[]", key=key, columns=columns)
    assert len(first(limit=40, client=client)) == 11
    second = declare(params={"q": "x"}, paging=WAY, rows="items[]", key=key, columns=columns)
    plan = kr.plan(second, limit=30, client=client)
    assert (plan.credits, plan.stored) == (1, 2)
    assert len(second(limit=30, client=client)) == 30
    assert len(kr.fetch_endpoint(PATH, {"q": "x"}, credits=1, paging=WAY, rows="items[]", client=client)) == 20
    assert len(sandbox.requests) == 3


def test_the_first_page_is_one_row_as_any_other_page_is(sandbox: Sandbox, client: kr.Client) -> None:
    serve(sandbox, lambda params: {"page": int(params["page_num"]), "list": [{"n": 1}, {"n": 2}]})
    for page in (1, 2):
        params = {"page_num": page, "page_size": 10}
        frame = kr.fetch_endpoint(PATH, params, credits=1, paging=WAY, rows="", client=client)
        assert frame["page"].tolist() == [page]
        assert frame["list"].tolist() == ['[{"n":1},{"n":2}]']


def test_the_dearest_price_of_the_session_counts(sandbox: Sandbox, client: kr.Client) -> None:
    declare("cheap", params={"q": "x"}, rows="[]", key="n", columns={"n": ("count", "n")})
    kr.declare("dear", PATH, credits=5, params={"q": "y"}, rows="[]", key="n", columns={"n": ("count", "n")})
    assert kr.plan(kr.fetch_endpoint, PATH, {"q": "z"}, client=client).credits == 5
    with pytest.raises(kr.InvalidArgumentError, match="at most 1,000,000"):
        kr.fetch_endpoint(PATH, {"q": "z"}, credits=10**30, client=client)
    with pytest.raises(kr.InvalidArgumentError, match="cannot be the name of a column"):
        declare("odd_names", rows="[]", key="z\ud800", columns={"z\ud800": ("text", "a")})
    assert not sandbox.requests


def test_a_declaration_that_does_not_fit_what_is_stored_is_told_at_once(sandbox: Sandbox, client: kr.Client) -> None:
    serve(sandbox, lambda _: [{"n": 1, "likes": 2}])
    kr.fetch_endpoint(PATH, {"q": "x"}, credits=1, client=client)
    columns = {"n": ("count", "n"), "likes": ("count", "like")}
    fetch = declare(params={"q": "x"}, rows="[]", key="n", columns=columns)
    with pytest.warns(kr.SchemaDriftWarning, match=r"missing from every answer: data\[\]\.like"):
        fetch(client=client)
    assert fetch(client=client)["likes"].isna().all()
    assert len(sandbox.requests) == 1
