"""Tables of one's own: what they read of answers, whose answers count, and wrong declarations, which change nothing."""

from __future__ import annotations

import inspect
import json
import random
import sys
import threading
import types
import typing
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path
from typing import Any
from unittest import mock

import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

import keyapi_research as kr
from keyapi_research.holdings import LEDGER
from keyapi_research.model import COLUMN_DTYPES, TABLES
from keyapi_research.sandbox import Fault, Sandbox

Make = Callable[..., kr.Client]


# Endpoints without tables -------------------------------------------------------------------------------------

PATH = "/v1/tiktok/things/list"
Answers = Callable[[dict[str, str]], Any]


def serve(sandbox: Sandbox, data_of: Answers) -> list[dict[str, str]]:
    """Answer every request with some data; the parameters of the requests are listed as they come."""
    requests: list[dict[str, str]] = []

    def respond(_: str, params: dict[str, str]) -> Fault:
        requests.append(params)
        envelope = {"code": 0, "message": "success", "data": data_of(params), "requestId": f"r{len(requests)}"}
        return Fault(body=json.dumps(envelope).encode())

    sandbox.on_request = respond
    return requests


def declare(name: str = "things", path: str = PATH, **changes: Any) -> Callable[..., pd.DataFrame]:
    given: dict[str, Any] = {"credits": 1, "rows": "[]", "key": "n", "columns": {"n": ("count", "n")}}
    return kr.declare(name, path, **{**given, **changes})


def values(frame: pd.DataFrame, *names: str) -> list[Any]:
    """The cells of some columns, None where missing."""
    cells = frame[list(names)].astype(object)
    rows = cells.where(cells.notna(), None).to_numpy().tolist()
    return [row[0] for row in rows] if len(names) == 1 else rows


BATCH: dict[str, Any] = {"by": "thing_ids", "batch": 3, "identity": "thing_id", "key": "thing_ids"}


def things(params: dict[str, str]) -> list[dict[str, Any]]:
    """A row for each id, the last first, but none for those that begin with 9."""
    return [{"thing_id": int(one), "n": int(one) % 10} for one in reversed(params["thing_ids"].split(","))
            if not one.startswith("9")]  # fmt: skip


def test_rows_of_a_batch_are_matched_by_their_ids(sandbox: Sandbox, client: kr.Client) -> None:
    requests = serve(sandbox, things)
    fetch = declare(**BATCH)
    ids = ["7100000000000000001", "7100000000000000002", "900", "7100000000000000004"]
    assert kr.plan(fetch, ids, client=client).credits == 2
    with pytest.warns(kr.MissingDataWarning, match="nothing for 1 thing_ids: 900"):
        frame = fetch(ids, client=client)
    assert values(frame, "thing_ids", "n") == [[ids[0], 1], [ids[1], 2], [ids[3], 4]]
    assert {one["thing_ids"] for one in requests} == {",".join(ids[:3]), ids[3]}  # side by side: in either order
    assert len(requests) == 2
    assert client.credits_spent == 2
    with pytest.warns(kr.MissingDataWarning):
        assert_frame_equal(fetch(ids[2:], client=client), frame[2:].reset_index(drop=True))
    assert kr.fetch_endpoint(PATH, {"thing_ids": ids[3]}, credits=1, client=client)["n"].item() == 4
    assert len(requests) == 2, "what came in a batch is stored by id, for every door"


def test_a_batch_may_have_rows_of_others_but_not_instead(sandbox: Sandbox, client: kr.Client) -> None:
    fetch = declare(**BATCH)
    serve(sandbox, lambda params: [*things(params), {"thing_id": "5", "n": 5}])
    assert values(fetch(["1", "2"], client=client), "n") == [1, 2]
    serve(sandbox, lambda _: [{"thing_id": "5", "n": 5}, {"thing_id": "3", "n": 3}])
    with pytest.raises(kr.FetchIncompleteError) as caught:
        fetch(["3", "4"], client=client)
    assert values(caught.value.frame, "thing_ids") == ["3"]
    assert caught.value.failures[["id", "error"]].to_numpy().tolist() == [["4", "UnexpectedResponseError"]]


def test_ids_of_a_batch_have_no_comma_and_others_may(sandbox: Sandbox, client: kr.Client) -> None:
    requests = serve(sandbox, lambda _: [{"n": 1}])
    with pytest.raises(kr.InvalidArgumentError, match=r"ids: '1,2' is not one id\. Pass several as a list"):
        declare(**BATCH)("1,2", client=client)
    declare(by="keyword", key=["keyword", "n"])("a, b", client=client)
    assert requests == [{"keyword": "a, b"}]


def test_a_partial_table_is_returned_and_budgets_hold(sandbox: Sandbox, make_client: Make) -> None:
    client = make_client(max_credits=3)
    fetch = declare(by="uid", rows="", key="uid", identity="uid", credits=2)
    requests = serve(sandbox, lambda params: {"uid": min(params["uid"], "8"), "n": 1})
    with pytest.raises(kr.BudgetExceededError):
        fetch(["7", "9"], client=client)
    assert not requests
    assert len(fetch("7", client=client)) == 1
    client = make_client()
    with pytest.warns(kr.IncompleteDataWarning, match="1 of 2 ids of fetch_things failed .* 9 "):
        assert values(fetch(["7", "9"], errors="warn", client=client), "uid") == ["7"]
    with pytest.raises(kr.NotStoredError, match=r"takes 1 request = 2 credits: fetch_things\(\.\.\.\)"):
        pd.DataFrame({"uid": ["9"]}).keyapi.raw(client=client)


@pytest.mark.parametrize(
    ("rows", "identity", "answer", "other"),
    [
        ("info", "uid", {"info": {"uid": 7, "n": 1}}, {"info": {"uid": 8, "n": 1}}),
        ("info", "info.uid", {"info": {"uid": "7", "n": 1}}, {"info": {"uid": "8", "n": 1}}),
        ("info", "uid", {"info": {"n": 1}, "uid": "7"}, {"info": {"n": 1}, "uid": "8"}),
        ("", "uid", {"uid": 7, "n": 1}, {"uid": 8, "n": 1}),
        ("", "user.uid", {"user": {"uid": 7}, "n": 1}, {"user": {"uid": 8}, "n": 1}),
        ("list[]", "uid", {"list": [{"uid": 7, "n": 1}]}, {"list": [{"uid": 7, "n": 1}, {"uid": 8, "n": 2}]}),
        ("list[]", "uid", {"list": [{"n": 1}], "uid": "7"}, {"list": [{"n": 1}], "uid": "8"}),
        ("list[]", "who.uid", {"who": {"uid": "7"}, "list": [{"n": 1}]}, {"who": {"uid": "8"}, "list": [{"n": 1}]}),
        ("info.list[]", "info.uid", {"info": {"uid": 7, "list": [{"n": 1}]}}, {"info": {"uid": 8, "list": [{"n": 1}]}}),
        ("[].list[]", "[].uid", [{"uid": 7, "list": [{"n": 1}]}], [{"uid": 8, "list": [{"n": 1}]}]),
        ("[].list[]", "uid", [{"list": [{"n": 1, "uid": 7}]}], [{"list": [{"n": 1, "uid": 8}]}]),
        ("list[]", "uid", {"list": [{"uid": 7, "n": 1}]}, {"list": [{"n": 1}]}),
    ],
)  # fmt: skip
def test_an_answer_about_somebody_else_is_charged_and_never_served(
    rows: str, identity: str, answer: Any, other: Any, sandbox: Sandbox, client: kr.Client
) -> None:
    fetch = declare(by="uid", rows=rows, identity=identity)
    assert "checked" in kr.describe("things").set_index("column").loc["uid", "source"]
    requests = serve(sandbox, lambda _: other)
    for again in (1, 2):
        with pytest.raises(kr.UnexpectedResponseError, match="the answer"):
            fetch("7", client=client)
        assert (len(requests), client.credits_spent) == (again, again)
    assert kr.ledger(client=client)["credits"].tolist() == [1, 1]
    assert kr.plan(fetch, "7", client=client).stored == 0
    requests = serve(sandbox, lambda _: answer)
    frame = fetch("7", client=client)
    assert values(frame, "uid", "n") == [["7", 1]]
    assert_frame_equal(fetch("7", client=client), frame)
    assert len(requests) == 1


@pytest.mark.parametrize("nothing", [None, {}, [], {"info": None}, {"info": {}}, {"info": None, "took": 3}])
def test_an_answer_without_the_record_is_an_absence(nothing: Any, sandbox: Sandbox, client: kr.Client) -> None:
    fetch = declare(by="uid", rows="info", identity="uid", key="uid")
    requests = serve(sandbox, lambda _: nothing)
    for _ in range(2):
        with pytest.warns(kr.MissingDataWarning, match="nothing for 1 uid: 7"):
            assert fetch("7", client=client).empty
    assert len(requests) == 1


@pytest.mark.parametrize(
    ("rows", "nothing"),
    [
        ("info", {"info": None, "took": 3}),
        ("info", {"info": {}}),
        ("list[]", {"list": [], "tags": []}),
        ("list[]", {"list": None, "tags": ["a"]}),
        ("", {}),
        ("[]", []),
    ],
)
@pytest.mark.parametrize("by", ["uid", None])
def test_so_is_one_without_rows_where_nothing_is_checked(
    rows: str, nothing: Any, by: str | None, sandbox: Sandbox, client: kr.Client
) -> None:
    fetch = declare(by=by, rows=rows)
    requests = serve(sandbox, lambda _: nothing)
    for _ in range(2):
        with pytest.warns(kr.MissingDataWarning, match="KeyAPI has nothing for 1"):
            assert fetch(*["7"] * bool(by), client=client).empty
    assert len(requests) == 1


def test_without_identity_any_answer_counts_but_equal_ones_are_a_warning(sandbox: Sandbox, client: kr.Client) -> None:
    fetch = declare(by="uid", key=["uid", "n"])
    serve(sandbox, lambda _: [{"n": 1, "uid": 8}, {"n": 2, "uid": 8}])
    assert values(fetch("7", client=client), "uid", "n") == [["7", 1], ["7", 2]]
    with pytest.warns(kr.SchemaDriftWarning, match="may have ignored a parameter"):
        assert values(fetch("9", client=client), "uid", "n") == [["9", 1], ["9", 2]]


def test_handles_and_hashtags_are_one_however_they_are_spelt(sandbox: Sandbox, client: kr.Client) -> None:
    for by, spelt, sent in [("unique_id", "@TikTok", "tiktok"), ("hashtag_name", "#Cats", "cats")]:
        requests = serve(sandbox, lambda params, by=by: {by: params[by].upper(), "n": 1})
        fetch = declare(by=by, rows="", key=by, identity=by)
        assert values(fetch([spelt, sent], client=client), by, "n") == [[sent, 1]]
        assert requests == [{by: sent}]


# Pages --------------------------------------------------------------------------------------------------------

PAGING = ("page_num", "page_size", 10)


def pages(count: int, **facts: Any) -> Answers:
    """So many items in pages of ten, each about the user requested."""

    def data(params: dict[str, str]) -> Any:
        at = (int(params["page_num"]) - 1) * int(params["page_size"])
        return {"list": [{"n": n, "id": f"{params.get('uid', '')}{n}", "uid": params.get("uid")}
                         for n in range(at, min(at + 10, count))], **facts}  # fmt: skip

    return data


PAGED: dict[str, Any] = {"paging": PAGING, "rows": "list[]", "columns": {"id": ("id", "id"), "n": ("count", "n")},
                         "key": "id"}  # fmt: skip


def test_a_ranking_is_pulled_page_by_page_as_far_as_wanted(sandbox: Sandbox, client: kr.Client) -> None:
    fetch = declare(**PAGED, params={"region": "US"})
    requests = serve(sandbox, pages(34))
    assert kr.plan(fetch, limit=15, client=client).credits == 2
    frame = fetch(limit=15, client=client)
    assert values(frame, "region", "id") == [["US", str(n)] for n in range(15)]
    assert requests == [{"region": "US", "page_num": str(n), "page_size": "10"} for n in (1, 2)]
    assert len(fetch(limit=None, client=client)) == 34
    assert len(requests) in (4, 5), "a page shorter than the one before may be the last"
    assert_frame_equal(fetch(limit=15, client=client), frame)
    assert_frame_equal(fetch(region="US", limit=20, client=client)[:15], frame)


def test_a_limit_counts_for_each_id(sandbox: Sandbox, client: kr.Client) -> None:
    fetch = declare(**PAGED, by="uid", identity="uid")
    requests = serve(sandbox, lambda params: pages({"7": 12, "8": 40}[params["uid"]])(params))
    assert kr.plan(fetch, ["7", "8"], limit=15, client=client).credits == 4
    frame = fetch(["7", "8"], limit=15, client=client)
    assert values(frame, "uid") == ["7"] * 12 + ["8"] * 15
    assert client.credits_spent == len(requests) == 4
    assert values(fetch(["8", "7"], limit=5, client=client), "n") == [*range(5), *range(5)]
    assert len(requests) == 4


@pytest.mark.parametrize(
    ("identity", "beside"), [("uid", False), ("list[].uid", False), ("uid", True), ("owner.uid", True)]
)
def test_a_page_about_somebody_else_is_never_served(
    identity: str, beside: bool, sandbox: Sandbox, client: kr.Client
) -> None:
    whose = {"uid": "9"}

    def data(params: dict[str, str]) -> Any:
        page = pages(20)({**params, **whose})
        if beside:
            page = {"list": [{"n": one["n"], "id": one["id"]} for one in page["list"]]}
            page |= {"owner": {**whose}} if identity == "owner.uid" else whose
        return page

    fetch = declare(**PAGED, by="uid", identity=identity)
    serve(sandbox, data)
    with pytest.raises(kr.UnexpectedResponseError, match="'7' was requested, but the answer is about '9'"):
        fetch("7", client=client)
    assert client.credits_spent == 1
    whose["uid"] = "7"
    assert len(fetch("7", client=client)) == 20
    assert client.credits_spent == 3


def test_a_page_that_does_not_name_whom_it_is_about_is_not_served(sandbox: Sandbox, client: kr.Client) -> None:
    fetch = declare(**PAGED, by="uid", identity="user_id")
    serve(sandbox, pages(5))
    with pytest.raises(kr.UnexpectedResponseError, match=r"does not name its id \(data.list\[\].user_id\)"):
        fetch("7", client=client)


def test_rows_that_come_twice_count_once(sandbox: Sandbox, client: kr.Client) -> None:
    """Between two pages the list moved on by one."""
    fetch = declare(**PAGED)

    def moving(params: dict[str, str]) -> Any:
        page = int(params["page_num"])
        return {"list": [{"id": str(n), "n": page} for n in range((page - 1) * 9, page * 10 if page == 1 else 19)]}

    serve(sandbox, moving)
    frame = fetch(limit=None, client=client)
    assert values(frame, "id") == [str(n) for n in range(19)]
    assert values(frame, "n")[9:11] == [1, 2]


def test_pages_of_a_handle_have_ids_of_their_own(sandbox: Sandbox, client: kr.Client) -> None:
    """Handles are compared in lower case, ids of rows are not: they may be numbers."""
    fetch = declare(**PAGED, by="unique_id", identity="author")
    serve(sandbox, lambda _: {"list": [{"id": 7, "author": "TikTok", "n": 1}, {"id": "aB", "author": "@tiktok", "n": 2},
                                       {"id": "ab", "author": "tiktok", "n": 3}]})  # fmt: skip
    assert values(fetch("@TikTok", client=client), "unique_id", "id") == [["tiktok", one] for one in ("7", "aB", "ab")]


@pytest.mark.parametrize("kind", ["number", "flag", "date", "count"])
def test_a_key_that_is_no_id_names_no_row(kind: str, sandbox: Sandbox, client: kr.Client) -> None:
    cells = {"number": [0.5, 1.5], "flag": [True, False], "date": ["2025-01-01", "2025-01-02"], "count": [1, 2]}[kind]
    fetch = declare(paging=PAGING, rows="list[]", columns={"x": (kind, "x")}, key="x")
    serve(sandbox, lambda _: {"list": [{"x": one} for one in cells]})
    assert len(fetch(client=client)) == 2


def test_rows_of_one_name_at_several_dates_are_all_kept(sandbox: Sandbox, client: kr.Client) -> None:
    """The name alone is not the id of a row."""
    columns = {"name": ("text", "name"), "day": ("date", "day"), "n": ("count", "n")}
    fetch = declare(paging=PAGING, rows="list[]", columns=columns, key=["name", "day"])
    days = [f"2025-01-{day:02}" for day in range(1, 15)]
    serve(sandbox, lambda params: {"list": [{"name": "a", "day": day, "n": 1} for day in days][:10]
                                   if params["page_num"] == "1"
                                   else [{"name": "a", "day": day, "n": 1} for day in days][10:]})  # fmt: skip
    frame = fetch(limit=None, client=client)
    assert frame["day"].dt.strftime("%Y-%m-%d").tolist() == days


def test_rows_are_counted_in_the_list_that_is_declared(sandbox: Sandbox, client: kr.Client) -> None:
    """Another list of the answer is longer."""
    fetch = declare(**{**PAGED, "key": "position", "columns": {"position": ("position", ""), "n": ("count", "n")}})
    facets = [{"label": str(n)} for n in range(30)]
    requests = serve(sandbox, pages(40, facets=facets))
    assert values(fetch(limit=15, client=client), "position", "n") == [[n + 1, n] for n in range(15)]
    assert len(requests) == 2


# Columns ------------------------------------------------------------------------------------------------------


def test_kinds_read_what_they_say(sandbox: Sandbox, client: kr.Client) -> None:
    rows = [
        {"id": 7117191641181555995123, "text": "a", "count": "12", "gain": -3, "number": "0.5", "flag": "true",
         "time": 1700000000, "date": "2025-01-31", "list": [1, 2]},
        {"id": "x_1", "text": 5, "count": -99999, "gain": -99999, "number": -1.5, "flag": 0,
         "time": 1700000000123, "date": 20250131, "list": []},
        {"id": 3, "text": "", "count": -1, "gain": "+4", "number": None, "flag": "1",
         "time": 0, "date": "", "list": None},
        {"id": 4, "text": None, "count": 2**63 - 1, "gain": 2**60, "number": 10**20, "flag": False,
         "time": "1700000000", "date": "20250101"},
    ]  # fmt: skip
    kinds = {name: (name, name) for name in rows[0] if name != "list"}
    fetch = declare(key="id", columns={**kinds, "length": ("length", "list"), "position": ("position", "")})
    serve(sandbox, lambda _: rows)
    frame = fetch(client=client)
    assert frame.dtypes.astype(str).to_dict() == {
        "id": "string", "text": "string", "count": "Int64", "gain": "Int64", "number": "float64", "flag": "boolean",
        "time": "datetime64[us, UTC]", "date": "datetime64[us, UTC]", "length": "Int64", "position": "Int64",
        "observed_at": "datetime64[us, UTC]", "source": "string",
    }  # fmt: skip
    stamp = pd.Timestamp("2023-11-14 22:13:20", tz="UTC")
    expected = {
        "id": ["7117191641181555995123", "x_1", "3", "4"],
        "text": ["a", "5", None, None],
        "count": [12, None, None, 2**63 - 1],
        "gain": [-3, None, 4, 2**60],
        "number": [0.5, -1.5, None, 1e20],
        "flag": [True, False, True, False],
        "time": [stamp, stamp + pd.Timedelta(milliseconds=123), None, stamp],
        "date": [pd.Timestamp("2025-01-31", tz="UTC")] * 2 + [None, pd.Timestamp("2025-01-01", tz="UTC")],
        "length": [2, 0, None, None],
        "position": [1, 2, 3, 4],
    }
    assert {name: values(frame, name) for name in expected} == expected


def test_what_a_kind_cannot_hold_is_missing_and_said(sandbox: Sandbox, client: kr.Client) -> None:
    wrong = {"count": 2**64, "gain": "many", "number": "1,5", "flag": "yes", "time": 10**18, "date": "31.01.2025",
             "length": "none", "id": 1.5}  # fmt: skip
    columns = {name: (name, name) for name in wrong}
    fetch = declare(columns={"n": ("count", "n"), **columns})
    serve(sandbox, lambda _: [{"n": 1, **wrong}])
    with pytest.warns(kr.SchemaDriftWarning) as caught:
        frame = fetch(client=client)
    assert values(frame, *wrong) == [[None] * 8]
    [said] = [str(one.message) for one in caught]
    assert all(f"1 x data[].{name}" in said for name in wrong)


def test_a_path_that_leads_nowhere_is_said(sandbox: Sandbox, client: kr.Client) -> None:
    fetch = declare(columns={"n": ("count", "n"), "views": ("count", "stats.veiws")})
    serve(sandbox, lambda _: [{"n": 1, "stats": {"views": 3}}])
    with pytest.warns(kr.SchemaDriftWarning, match=r"missing from every answer: data\[\].stats.veiws"):
        assert values(fetch(client=client), "views") == [None]


def test_rows_that_are_elsewhere_are_said(sandbox: Sandbox, client: kr.Client) -> None:
    fetch = declare(rows="lst[]", columns={"n": ("count", "n"), "total": ("count", "total")})
    serve(sandbox, lambda _: {"list": [{"n": 1}], "total": 1})
    with pytest.warns(kr.SchemaDriftWarning, match=r"missing from every answer: data\.lst\b"):
        assert fetch(client=client).empty


def test_rows_that_repeat_a_key_are_said(sandbox: Sandbox, client: kr.Client) -> None:
    """Else a key that does not tell rows apart would lose some without a word."""
    fetch = declare(columns={"n": ("count", "n"), "m": ("count", "m")})
    serve(sandbox, lambda _: [{"n": 1, "m": 1}, {"n": 1, "m": 2}, {"n": 2, "m": 3}, {"n": 2, "m": 4}])
    with pytest.warns(kr.SchemaDriftWarning, match=r"2 x a row that repeats the key of things \(n\)"):
        assert values(fetch(client=client), "m") == [1, 3]
    by_id = declare("by_id", by="uid", key="uid", columns={"m": ("count", "m")})
    serve(sandbox, lambda _: [{"m": 1}, {"m": 2}, {"m": 3}, {"m": 4}])
    with pytest.warns(kr.SchemaDriftWarning, match=r"3 x a row that repeats the key of by_id \(uid\)"):
        assert values(by_id("7", client=client), "m") == [1]


def test_a_value_beside_the_list_is_none_of_a_row_that_has_the_name(sandbox: Sandbox, client: kr.Client) -> None:
    columns = {"n": ("count", "n"), "views": ("count", "views"), "total": ("count", "page.total")}
    fetch = declare(rows="list[]", columns=columns)
    serve(sandbox, lambda _: {"list": [{"n": 1, "views": None}, {"n": 2}], "views": 100, "page": {"total": 2}})
    assert values(fetch(client=client), "views", "total") == [[None, 2], [None, 2]]
    serve(sandbox, lambda _: {"list": [{"n": 1}, {"n": 2}], "views": 100, "page": {"total": 2}})
    assert values(fetch(max_age=0, client=client), "views", "total") == [[100, 2], [100, 2]]


def test_nested_rows_have_what_is_around_them(sandbox: Sandbox, client: kr.Client) -> None:
    data = {
        "total": 2, "meta": {"page": {"number": 5}},
        "list": [
            {"name": "a", "info": {"id": 7}, "tags": ["x", "y"],
             "trend": [{"t": 2, "v": {"w": 0.5}}, {"t": 1, "v": {}}]},
            {"name": "b", "tags": [], "trend": []},
            {"name": "c", "total": 9, "trend": [{"t": 3, "v": {"w": 1}, "total": 8}]},
        ],
    }  # fmt: skip
    serve(sandbox, lambda _: data)
    trend = declare(
        "trend", rows="list[].trend[]", key=["name", "position"],
        columns={
            "name": ("text", "list[].name"), "uid": ("id", "list[].info.id"), "t": ("count", "t"),
            "w": ("number", "v.w"), "position": ("position", ""), "page": ("count", "meta.page.number"),
            "total": ("count", "total"), "tags": ("length", "list[].tags"), "points": ("length", "list[].trend"),
        },
    )  # fmt: skip
    frame = trend(client=client)
    names = ("name", "uid", "t", "w", "position", "page", "total", "tags", "points")
    assert values(frame, *names) == [
        ["a", "7", 2, 0.5, 1, 5, None, 2, 2],
        ["a", "7", 1, None, 2, 5, None, 2, 2],
        ["c", None, 3, 1.0, 1, 5, 8, None, 1],
    ]
    tags = declare(
        "tags",
        rows="list[].tags[]",
        key=["name", "tag"],
        columns={"name": ("text", "list[].name"), "tag": ("text", "")},
    )
    assert values(tags(client=client), "name", "tag") == [["a", "x"], ["a", "y"]]
    infos = declare(
        "infos", rows="list[].info", key="id", columns={"id": ("id", "id"), "name": ("text", "list[].name")}
    )
    assert values(infos(client=client), "name", "id") == [["a", "7"]]
    whole = declare("whole", rows="", key="total", columns={"total": ("count", "total"), "items": ("length", "list")})
    assert values(whole(client=client), "total", "items") == [[2, 3]]
    assert client.credits_spent == 1, "all of these are one answer"


def test_a_series_is_sorted_by_its_time_and_a_ranking_is_not(sandbox: Sandbox, client: kr.Client) -> None:
    columns = {"day": ("date", "day"), "n": ("count", "n")}
    days = ["2025-01-03", "2025-01-01", "2025-01-02"]
    serve(sandbox, lambda params: {"list": [{"day": day, "n": len(params)} for day in days]})
    series = declare("series", by="uid", rows="list[]", columns=columns, key=["uid", "day"])
    assert series("7", client=client)["day"].dt.strftime("%Y-%m-%d").tolist() == sorted(days)
    ranking = declare("ranking", paging=PAGING, rows="list[]", columns=columns, key="day")
    assert ranking(client=client)["day"].dt.strftime("%Y-%m-%d").tolist() == days


def test_a_column_called_market_needs_no_region(sandbox: Sandbox, client: kr.Client) -> None:
    fetch = declare(columns={"n": ("count", "n"), "market": ("text", "market")})
    serve(sandbox, lambda _: [{"n": 1, "market": "US"}])
    assert values(fetch(client=client), "market") == ["US"]


# Parameters ---------------------------------------------------------------------------------------------------


def test_parameters_are_columns_with_the_dtype_their_name_has(
    sandbox: Sandbox, client: kr.Client, tmp_path: Path
) -> None:
    params = {
        "period": 7,
        "date": date(2025, 1, 31),
        "promoted": False,
        "score": 0.5,
        "word": "a b&c=#%é",
        "none": None,
    }
    fetch = declare(by="uid", params=params, key=["uid", "n"])
    requests = serve(sandbox, lambda _: [{"n": 1}])
    frame = fetch("7", client=client)
    assert requests == [
        {"uid": "7", "period": "7", "date": "2025-01-31", "promoted": "false", "score": "0.5", "word": "a b&c=#%é"}
    ]
    dtypes = frame.dtypes.astype(str).to_dict()
    assert {name: dtypes[name] for name in params} == {
        "period": "Int64", "date": "datetime64[us, UTC]", "promoted": "boolean", "score": "float64", "word": "string",
        "none": "string",
    }  # fmt: skip
    day = pd.Timestamp("2025-01-31", tz="UTC")
    assert values(frame, *params) == [[7, day, False, 0.5, "a b&c=#%é", None]]
    other = fetch("7", period="30", date="2025-02-01", promoted=True, score=1.0, word="ü", none="x", client=client)
    assert requests[1] == {"uid": "7", "period": "30", "date": "2025-02-01", "promoted": "true", "score": "1",
                           "word": "ü", "none": "x"}  # fmt: skip
    both = pd.concat([frame, other], ignore_index=True)
    both.keyapi.to_csv(tmp_path / "both.csv")
    again = kr.read_csv(tmp_path / "both.csv")
    assert_frame_equal(again, both)
    for rows in (both, again, again.drop(columns="observed_at"), again.astype(object)):
        assert [one["requestId"] for one in rows.keyapi.raw(client=client)] == ["r1", "r2"]
    assert len(requests) == 2


@pytest.mark.parametrize(
    ("name", "value", "instead"),
    [
        ("date", "20250131", "2025-01-31"), ("date", "yesterday", "a value"), ("date", "2025-01-31T10:00", "a value"),
        ("period", "07", "7"), ("period", "a week", "a value"), ("promoted", 1, "true"), ("promoted", "True", "true"),
        ("score", "0.50", "0.5"), ("period", 2**70, "a value"),
    ],
)  # fmt: skip
def test_a_parameter_that_its_column_cannot_bring_back_is_refused(
    name: str, value: Any, instead: str, sandbox: Sandbox, client: kr.Client
) -> None:
    """Else the answer would be paid, and not be found again by the rows it gave."""
    fetch = declare(params={name: None}, key="n")
    with pytest.raises(kr.InvalidArgumentError, match=rf"^{name}: .* Pass .?{instead}.?.*, or use fetch_endpoint"):
        fetch(**{name: value}, client=client)
    with pytest.raises(kr.InvalidArgumentError, match=f"^{name}: "):
        declare(params={name: value})
    assert not sandbox.requests


def test_a_field_of_the_name_of_a_parameter_stands_beside_it(sandbox: Sandbox, client: kr.Client) -> None:
    fetch = declare(
        by="uid", params={"region": "all_regions", "source": "x"}, key=["uid", "region"],
        columns={"region": ("text", "region"), "uid": ("id", "uid"), "n": ("count", "n")},
    )  # fmt: skip
    serve(sandbox, lambda _: [{"n": 1, "region": "US", "uid": 70}, {"n": 2, "region": "GB", "uid": 71}])
    frame = fetch("7", client=client)
    assert list(frame.columns) == [
        "requested_uid", "requested_region", "requested_source", "region", "uid", "n", "observed_at", "source"
    ]  # fmt: skip
    assert values(frame, "requested_uid", "requested_region", "region", "uid") == [
        ["7", "all_regions", "US", "70"], ["7", "all_regions", "GB", "71"],
    ]  # fmt: skip
    assert len(frame.keyapi.raw(client=client)) == 1
    checked = declare("checked", by="uid", identity="uid", key="uid", columns={"uid": ("id", "uid")})
    serve(sandbox, lambda _: [{"uid": 7}])
    assert list(checked("7", max_age=0, client=client).columns) == ["uid", "observed_at", "source"]
    sandbox.on_request = None
    tags = kr.declare(
        "tags", HASHTAG_DETAIL, credits=2, by="hashtag_name", params={"region": "all_regions", "period": 7},
        rows="info", key="hashtag_name", columns={"hashtag_name": ("text", "hashtag_name")},
    )  # fmt: skip
    frame = tags("#Cats", client=client)
    assert list(frame.columns) == ["region", "period", "hashtag_name", "observed_at", "source"]
    assert len(frame.keyapi.raw(client=client)) == 1


# Wrong declarations -------------------------------------------------------------------------------------------

RIGHT: dict[str, Any] = {"table": "things", "path": PATH, "credits": 1, "rows": "list[]", "key": "n",
                         "columns": {"n": ("count", "n")}}  # fmt: skip
ITEMS = {"rows": "[]", "by": "uid"}
HASHTAG_DETAIL = "/v1/tiktok/trending/hashtag/detail"


def wrong(said: str, **changes: Any) -> Any:
    return pytest.param(changes, said, id=", ".join(f"{name}={value!r}"[:40] for name, value in changes.items()))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        *[wrong("table must be a name in lower case", table=one)
          for one in (None, 7, "", "My", "a-b", "a b", "1a", "a.b", "endpoint", ["a"])],
        *[wrong(f"{one} is a table of this package. Choose another name", table=one) for one in ("videos", "hashtags")],
        wrong("is the list of requests in kr.sql and export_store. Choose another name", table=LEDGER),
        *[wrong("Choose a shorter name", table=one) for one in ("x" * 101, "é" * 51)],
        *[wrong("path must be as KeyAPI's pages write it", path=one)
          for one in (None, 7, "", "video/captions", "https://x.io/v1/a", "/v1/../a", "/v1/a?b=1", "/v1/a%2", "/v2/a")],
        wrong("POST", path="/v1/tiktok/realtime/product/photo-search"),
        wrong("POST", path="/v1/tiktok/realtime/product/photo-search", paging=("page", "size", 10)),
        *[wrong("credits must be a whole number of at least 1", credits=one) for one in (None, 0, -1, 1.5, "1", True)],
        *[wrong("batch must be a whole number of at least 1", batch=one) for one in (None, 0, 1.5, "10", True)],
        *[wrong("name", by=one) for one in (7, "", "a b", ["uid"])],
        wrong("looks like a credential", by="api_key"),
        wrong("batch needs by", batch=10),
        wrong("one id at a time. Leave batch or paging out", batch=10, by="uid", paging=("page", "size", 10)),
        wrong("needs rows that repeat the id", batch=10, by="uid"),
        wrong("needs rows that repeat the id", batch=10, by="uid", identity="uid"),
        wrong("needs rows that repeat the id", batch=10, by="uid", rows="[].list[]", identity="uid"),
        wrong("is requested by hashtag_name. Pass by='hashtag_name'", path=HASHTAG_DETAIL,
              params={"hashtag_name": "cats"}),
        wrong("is not requested by an id. Leave by out, and pass it in params",
              path="/v1/tiktok/trending/hashtags", by="region"),
        wrong("Leave paging out", path="/v1/tiktok/trending/hashtags", paging=("page", "limit", 10)),
        wrong("Leave paging out", path=HASHTAG_DETAIL, by="hashtag_name", paging=("page", "limit", 10)),
        wrong("takes 1 at a time", path=HASHTAG_DETAIL, by="hashtag_name", batch=5, rows="info.trend[]"),
        wrong("takes 10 at a time", path="/v1/tiktok/video/detail/analytics", by="video_ids", batch=11, rows="[]"),
        *[wrong("params must be a dict", params=one) for one in ([("a", 1)], "a=1", 7)],
        wrong("params must be .name: value.", params={7: 1}),
        wrong("looks like a credential", params={"token": "x"}),
        *[wrong("cannot be a keyword of the fetch function.*Leave it out, or use fetch_endpoint", params={one: 1})
          for one in ("class", "ids", "limit", "max_age", "errors", "client", "a-b", "a.b")],
        wrong("'uid' cannot be a keyword", params={"uid": 1}, by="uid"),
        wrong("'page' cannot be a keyword", params={"page": 1}, paging=("page", "size", 10)),
        wrong("by: 'page' is the page", by="page", paging=("page", "size", 10)),
        *[wrong("a must be text, a number", params={"a": one}) for one in ([1], {"b": 1}, b"x")],
        wrong("the value is missing", params={"a": float("nan")}),
        *[wrong("paging must be .name of the page", paging=one) for one in ("page", 10, ("page", "size"), {"page": 1})],
        wrong("paging must be a whole number", paging=("page", "size", 0)),
        wrong("name", paging=("", "size", 10)),
        wrong("has no list, but .* is called page by page. Name the list", rows="", paging=("page", "size", 10)),
        *[wrong("rows must be the path of the list", rows=one) for one in (None, 7, "list[", "list[0]", "[]x")],
        *[wrong("key must be the names", key=one) for one in (None, 7, "", [], [7], [None])],
        wrong("key: m is not among the columns n, observed_at, source", key=["n", "m"]),
        *[wrong("columns must be a dict", columns=one) for one in (None, {}, [("n", "count", "n")], "n")],
        *[wrong("cannot be the name of a column", columns={one: ("count", "n")})
          for one in (7, "", None, "observed_at", "source")],
        *[wrong("column 'n' must be .kind, path.", columns={"n": one})
          for one in ("count", ("count",), ("counts", "n"), ("count", 7), ("count", "n", 1), ("count", "n", "", "", ""),
                      None, 7, ("", "n"), (["count"], "n"))],
        wrong("goes through another list than the rows. Make it rows, or declare its length",
              columns={"n": ("count", "a[].b")}),
        wrong("goes through another list", columns={"n": ("count", "other[].b")}),
        wrong("has no list|rows is ''", rows="", columns={"n": ("position", "")}),
        wrong("a position is that of a row", columns={"n": ("position", "other[]")}),
        wrong("name the list whose length", columns={"n": ("length", "")}),
        wrong(r"column 'views' is Int64 in the table \w+, and would be string .* Choose another name",
              columns={"n": ("count", "n"), "views": ("text", "v")}),
        wrong("requested_a is the column of a parameter. Choose another name",
              params={"a": 1}, columns={"n": ("count", "n"), "a": ("text", "a"), "requested_a": ("text", "b")}),
        *[wrong("identity must be a path", identity=one, **ITEMS) for one in (7, "", ["uid"])],
        wrong("identity needs by", identity="uid"),
        wrong(r"identity: .* has it at data.info.hashtag_name. Leave identity out", path=HASHTAG_DETAIL,
              by="hashtag_name", identity="name", rows="info.trend[]"),
    ],
)  # fmt: skip
def test_a_wrong_declaration_says_what_to_do_and_changes_nothing(changes: dict[str, Any], said: str) -> None:
    declare("things", columns={"n": ("count", "n"), "m": ("number", "m")})
    tables, dtypes = dict(TABLES), dict(COLUMN_DTYPES)
    with pytest.raises(kr.InvalidArgumentError, match=said) as caught:
        kr.declare(**{**RIGHT, **changes})
    assert "<" not in str(caught.value), "no object of Python's in it"
    assert dict(TABLES) == tables
    assert list(TABLES) == list(tables)
    assert dict(COLUMN_DTYPES) == dtypes


def test_a_price_below_the_known_one_is_not_believed(client: kr.Client, caplog: pytest.LogCaptureFixture) -> None:
    fetch = declare(path=HASHTAG_DETAIL, by="hashtag_name", rows="info", key="hashtag_name", credits=1)
    assert "costs 2 credits" in caplog.text
    assert kr.tables().set_index("table").loc["things", "credits"] == 2
    assert kr.plan(fetch, "cats", client=client).credits == 2
    fetch = declare(path=HASHTAG_DETAIL, by="hashtag_name", rows="info", key="hashtag_name", credits=3)
    assert kr.plan(fetch, "cats", client=client).credits == 3, "prices may rise"


def test_what_is_declared_again_replaces_what_was(sandbox: Sandbox, client: kr.Client) -> None:
    serve(sandbox, lambda params: [{"n": 1, "m": 2, "uid": params.get("uid")}])
    columns = {"n": ("count", "n"), "m": ("count", "m")}
    former = declare("things", columns=columns, params={"word": "a"})
    declare("others", columns={"k": ("count", "k")}, key="k")
    before = former(client=client)
    assert COLUMN_DTYPES["word"] == "string"
    columns = {"n": ("number", "n"), "m": ("text", "m")}
    fetch = declare("things", f"{PATH}/other", columns=columns, key="m", by="uid", credits=3)
    assert list(TABLES)[-2:] == ["things", "others"]
    assert kr.tables().set_index("table").loc["things", "endpoint"] == f"{PATH}/other"
    assert (COLUMN_DTYPES["n"], COLUMN_DTYPES["m"], COLUMN_DTYPES.get("word")) == ("float64", "string", None)
    frame = fetch("7", client=client)
    assert values(frame, "uid", "n", "m") == [["7", 1.0, "2"]]
    assert client.credits_spent == 4
    assert frame.keyapi.validate() is frame
    assert_frame_equal(former(client=client), before)
    assert len(former(max_age=0, client=client)) == 1
    assert kr.plan(former, client=client).stored == 1
    assert client.credits_spent == 5


def test_a_former_function_of_a_ranking_still_works(sandbox: Sandbox, client: kr.Client, tmp_path: Path) -> None:
    former = declare(**PAGED)
    serve(sandbox, lambda params: pages(20)({**params, "page_num": "1"}))  # the same page again and again
    before = former(limit=None, client=client)
    declare(rows="", key="n")
    assert_frame_equal(former(limit=None, client=client), before)
    assert len(former(limit=None, max_age=0, client=client)) == 10
    archive = tmp_path / "study.zip"
    frozen = kr.freeze(archive, client=client)
    with kr.Client(replay=archive) as replayed:
        assert len(former(limit=None, client=replayed)) == 10
        assert repr(kr.freeze(archive, client=replayed)) == repr(frozen)


@pytest.mark.slow
def test_threads_declare_and_fetch_at_once(sandbox: Sandbox, client: kr.Client) -> None:
    serve(sandbox, lambda _: [{"n": 1}])
    start = threading.Barrier(8)

    def work(number: int) -> int:
        start.wait()
        rows = 0
        for again in range(25):
            names = ("shared", f"own_{number}", f"own_{number}_{again}")
            rows += sum(len(declare(name, columns={"n": ("count", "n")})(client=client)) for name in names)
            rows += len(kr.fetch_endpoint(PATH, credits=1, client=client))
            kr.describe("shared")
            kr.tables()
        return rows

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(work, range(8))) == [100] * 8
    assert client.credits_spent == 1
    assert {f"own_{number}_{again}" for number in range(8) for again in range(25)} <= set(TABLES)


# The function -------------------------------------------------------------------------------------------------


SENT = "str | int | float | bool | date | None"


def test_the_function_is_as_those_of_the_package() -> None:
    by_id = declare(by="uid", params={"region": "US", "day": date(2025, 1, 31), "word": None}, key=["uid", "n"])
    assert str(inspect.signature(by_id)) == (
        f"(ids: str | Iterable[str], *, region: {SENT} = 'US', day: {SENT} = datetime.date(2025, 1, 31), "
        f"word: {SENT} = None, max_age: str | timedelta | int | None = None, errors: 'raise' | 'warn' = 'raise', "
        "client: Client | None = None) -> DataFrame"
    )
    ranking = declare("ranking", **PAGED, params={"region": "US"})
    assert str(inspect.signature(ranking)) == (
        f"(*, region: {SENT} = 'US', limit: int | None = 20, max_age: str | timedelta | int | None = None, "
        "client: Client | None = None) -> DataFrame"
    )
    whole = declare("whole", rows="")
    assert list(inspect.signature(whole).parameters) == ["limit", "max_age", "client"]
    assert "Not applied: one request brings all rows." in (inspect.getdoc(whole) or "")
    both = declare("both", **PAGED, by="uid")
    assert list(inspect.signature(both).parameters) == ["ids", "limit", "max_age", "errors", "client"]
    assert (by_id.__name__, by_id.__qualname__) == ("fetch_things", "fetch_things")
    assert repr(by_id).startswith("<function fetch_things at")
    hints = typing.get_type_hints(by_id)
    assert list(hints) == [*inspect.signature(by_id).parameters, "return"]
    assert hints["client"] == kr.Client | None
    assert hints["return"] is pd.DataFrame
    text = inspect.getdoc(by_id) or ""
    for said in (
        "Return things, a table declared in this session, one row per item of [].",
        "ids : one id or iterable of them\n    Values of uid",
        "region : str, default 'US'",
        "One row per item of [], identified by uid, n.",
        "Columns: uid (string), region (string), day (string), word (string), n (Int64)",
        "Price: 1 credit an id. Stored answers cost nothing.",
        f"Source: GET {PATH}, declared in this session.",
    ):
        assert said in text
    assert "in pages of 10" in (inspect.getdoc(ranking) or "")
    assert "for each id" in (inspect.getdoc(both) or "")


@pytest.mark.parametrize(
    "changes", [{"by": "uid", "key": ["uid", "n"]}, {}, {"paging": PAGING}], ids=["by", "", "paging"]
)
def test_its_docstring_is_numpydoc(changes: dict[str, Any]) -> None:
    validate = pytest.importorskip("numpydoc.validate", reason="numpydoc is not installed").validate
    fetch = declare(**changes, params={"region": "US"})
    module = types.ModuleType("of_the_user")
    module.fetch_things = fetch  # type: ignore[attr-defined]
    with mock.patch.dict(sys.modules, {"of_the_user": module}):
        errors = validate("of_the_user.fetch_things")["errors"]
    excused = {"ES01", "SA01", "EX01", "RT04", "PR09"}  # as for those of the package
    assert [one for one in errors if one[0] not in excused] == []


@pytest.mark.parametrize(
    ("arguments", "options", "said"),
    [
        ((), {}, "fetch_things.*missing a required argument: 'ids'.*It takes ids, region=, max_age=, errors=, client="),
        (("7", "US"), {}, "too many positional arguments"),
        (("7",), {"regoin": "US"}, "regoin"),
        (("7",), {"limit": 3}, "limit"),
        (("7",), {"errors": "ignore"}, 'errors must be "raise" or "warn"'),
        (("7",), {"max_age": "soon"}, "max_age"),
        (("7",), {"region": ["US"]}, "region must be text"),
        (([],), {"region": ["US"]}, "region must be text"),
        ((None,), {}, "an id is missing"),
        ((1.5,), {}, "is a float"),
        ((["7", ""],), {}, "is not a valid id"),
        ((pd.DataFrame({"uid": ["7"]}),), {}, r'Pass its column: df\["uid"\]'),
    ],
)  # fmt: skip
def test_wrong_arguments_of_the_function_send_nothing(
    arguments: Any, options: Any, said: str, sandbox: Sandbox, client: kr.Client
) -> None:
    fetch = declare(by="uid", params={"region": "US"}, key=["uid", "n"])
    for call in (fetch, lambda *args, **kwargs: kr.plan(fetch, *args, **kwargs)):
        with pytest.raises(kr.InvalidArgumentError, match=said):
            call(*arguments, **options, client=client)
    assert not sandbox.requests


def test_what_holds_only_a_table_of_ones_own_is_recognised_by_it(sandbox: Sandbox, client: kr.Client) -> None:
    """It has some columns of hashtags, and all of its own."""
    fetch = kr.declare(
        "names", HASHTAG_DETAIL, credits=2, by="hashtag_name", params={"region": "all_regions", "period": 7},
        rows="info", key=["region", "period", "hashtag_name"], columns={"posts": ("count", "publish_cnt")},
    )  # fmt: skip
    frame = fetch("cats", client=client)
    assert frame.keyapi.validate() is frame
    assert list(frame.keyapi.history(client=client)) == list(frame)
    assert "history()" in repr(frame.keyapi)
    tags = kr.fetch_hashtags("cats", client=client)
    assert len(tags.keyapi.trend(client=client)) == 7
    assert list(tags.keyapi.history(client=client)) == list(tags)


# Whatever is declared and answered ----------------------------------------------------------------------------

NAMES = ("a", "b", "c", "list", "info", "t", "v", "uid", "market")
LEAVES = (None, 1, -5, 0, 2**70, "", "x", "7", "2025-01-01", 1.5, True, 1e300, float("nan"), "\ud800", -99999)


def random_data(chance: random.Random, depth: int = 0) -> Any:
    kind = chance.random() + (depth > 3)
    if kind < 0.3:
        return {name: random_data(chance, depth + 1) for name in chance.sample(NAMES, chance.randint(0, 5))}
    if kind < 0.5:
        return [random_data(chance, depth + 1) for _ in range(chance.randint(0, 4))]
    return chance.choice(LEAVES)


def random_declaration(chance: random.Random) -> dict[str, Any]:
    kinds = ("id", "text", "count", "gain", "number", "flag", "time", "date", "length", "position")
    paths = (
        "a",
        "b.c",
        "list",
        "list[].a",
        "info.v",
        "a[].b",
        "b",
        "",
        "info",
        "list[].t[].v",
        "c.t.v",
        "market",
        "uid",
    )
    columns = {f"x_{kind}": (kind, chance.choice(paths)) for kind in chance.sample(kinds, chance.randint(1, 3))}
    columns |= {name: ("text", name) for name in ("region", "market") if chance.random() < 0.2}
    rows = ("", "[]", "list[]", "list[].t[]", "info", "info.t[]", "[].t[]", "list[].info", "a.b[].c")
    given = {
        "by": "uid",
        "params": {"region": chance.choice([None, "US"]), "period": 7},
        "paging": PAGING,
        "identity": chance.choice(["uid", "a", "info.uid", "list[].uid", "[].uid", "list[].t[].uid"]),
        "batch": 3,
    }
    some = {name: value for name, value in given.items() if chance.random() < {"by": 0.6, "batch": 0.1}.get(name, 0.3)}
    key = chance.sample([*columns], chance.randint(1, len(columns)))
    return {"rows": chance.choice(rows), "key": key, "columns": columns, **some}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::keyapi_research.KeyAPIWarning")
def test_random_declarations_and_answers_give_a_frame_or_a_typed_error(sandbox: Sandbox, client: kr.Client) -> None:
    chance = random.Random(20261128)
    serve(sandbox, lambda _: random_data(chance))
    frames = 0
    for number in range(300):
        given = random_declaration(chance)
        try:
            fetch = declare(path=f"{PATH}/{number % 20}", **given)
            frame = fetch(*[["7", "x"]] * ("by" in given), client=client)
        except kr.KeyAPIError:
            continue
        frames += 1
        described = kr.describe("things").set_index("column")["dtype"]
        assert frame.dtypes.astype(str).to_dict() == described.to_dict(), given
        if len(frame):
            assert frame.keyapi.raw(of="things", client=client), given
            assert len(frame.keyapi.history(of="things", client=client)), given
    assert frames > 50
