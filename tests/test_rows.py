"""Rows of any answer: where they are, what each has, and of what dtype; expected values by hand, answers over HTTP."""

from __future__ import annotations

import itertools
import json
import logging
from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest

import keyapi_research as kr
from keyapi_research.sandbox import Fault, Sandbox

Serve = Callable[..., pd.DataFrame]
LONG = 7117191641181555995


@pytest.fixture
def serve(sandbox: Sandbox, client: kr.Client) -> Serve:
    """Fetch an answer with these data, or these bytes, from an endpoint of its own."""
    numbers = itertools.count()

    def fetch(data: Any, params: dict[str, Any] | None = None, **options: Any) -> pd.DataFrame:
        body = data if isinstance(data, bytes) else json.dumps({"code": 0, "message": "ok", "data": data}).encode()
        sandbox.on_request = lambda *_: Fault(body=body)
        return kr.fetch_endpoint(f"/v1/tests/rows/{next(numbers)}", params, credits=1, client=client, **options)

    return fetch


def rows_of(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows without what the package stamps on them, and without missing values."""
    own = {name: frame[name].tolist() for name in frame.columns.drop(["observed_at", "source"])}
    rows = [{name: column[at] for name, column in own.items()} for at in range(len(frame))]
    return [{name: value for name, value in row.items() if not pd.isna(value)} for row in rows]


# Where the rows are -------------------------------------------------------------------------------------------

TREND = {"list": [{"n": "a", "trend": [{"t": 1}, {"t": 2}]}, {"n": "b", "trend": [{"t": 3}]}], "total": 2}
DEEP = {"a": {"b": {"c": {"list": [{"x": 1}, {"x": 2}]}}}}
PLACES = {
    "a list": ([{"a": 1}, {"a": 2}], [{"a": 1}, {"a": 2}]),
    "one list": ({"list": [{"a": 1}, {"a": 2}], "total": 3}, [{"total": 3, "a": 1}, {"total": 3, "a": 2}]),
    "two lists of objects": (
        {"x": [{"a": 1}], "y": [{"b": 2}], "n": 1},
        [{"x": '[{"a":1}]', "y": '[{"b":2}]', "n": 1}],
    ),
    "a list of objects beside a list of texts": (
        {"x": [{"a": 1}], "tags": ["b", "c"]},
        [{"tags": '["b","c"]', "a": 1}],
    ),
    "a list of objects beside an empty one": ({"x": [{"a": 1}], "y": []}, [{"y": "[]", "a": 1}]),
    "two levels down": ({"page": {"list": [{"a": 1}], "n": 5}, "k": 6}, [{"page.n": 5, "k": 6, "a": 1}]),
    "three levels down": ({"a": {"b": {"list": [{"x": 1}]}}}, [{"a.b.list": '[{"x":1}]'}]),
    "a list of texts": ({"list": ["a", "b"]}, [{"list": '["a","b"]'}]),
    "a list of lists": ({"list": [[1, 2], [3]]}, [{"list": "[[1,2],[3]]"}]),
    "a list that has more than objects": ({"list": [{"a": 1}, 2]}, [{"list": '[{"a":1},2]'}]),
    "data a list of lists": ([[1, 2], [3]], [{"value": "[1,2]"}, {"value": "[3]"}]),
    "data a list of anything": ([1, None, "x", {"a": 2}], [{"value": "1"}, {}, {"value": "x"}, {"a": 2}]),
    "data a text": ("WEBVTT", [{"value": "WEBVTT"}]),
    "data zero": (0, [{"value": 0}]),
    "data false": (False, [{"value": False}]),
    "an object": ({"a": 1, "b": {"c": 2, "d": {}}}, [{"a": 1, "b.c": 2, "b.d": "{}"}]),
    "a list that is null": ({"list": None, "n": 1}, [{"n": 1}]),
    "empty objects": ([{}, {}], [{}, {}]),
}  # fmt: skip


@pytest.mark.parametrize(("data", "expected"), PLACES.values(), ids=PLACES)
def test_rows_of_answer(serve: Serve, data: Any, expected: list[dict[str, Any]]) -> None:
    assert rows_of(serve(data)) == expected


NOTHING = [None, "", {}, [], {"list": []}, {"list": [], "total": 0}, {"a": {"list": [], "n": 0}}]


@pytest.mark.parametrize("data", NOTHING)
def test_empty_answer_is_an_absence(serve: Serve, data: Any) -> None:
    with pytest.warns(kr.MissingDataWarning, match="KeyAPI has nothing for 1 request"):
        frame = serve(data, {"id": 5})
    assert frame.dtypes.astype(str).to_dict() == {
        "id": "string", "observed_at": "datetime64[us, UTC]", "source": "string",
    }  # fmt: skip
    assert frame.empty


NAMED = {
    "nested": (TREND, "list[].trend[]", [
        {"total": 2, "n": "a", "t": 1}, {"total": 2, "n": "a", "t": 2}, {"total": 2, "n": "b", "t": 3},
    ]),
    "the list around": (TREND, "list[]", [
        {"total": 2, "n": "a", "trend": '[{"t":1},{"t":2}]'}, {"total": 2, "n": "b", "trend": '[{"t":3}]'},
    ]),
    "the answer": (TREND, "", [
        {"list": '[{"n":"a","trend":[{"t":1},{"t":2}]},{"n":"b","trend":[{"t":3}]}]', "total": 2},
    ]),
    "a list of one of its items": (
        {"list": [{"n": 1, "trend": None}, {"n": 2, "trend": [5, 6]}]}, "list[].trend[]",
        [{"n": 2, "value": 5}, {"n": 2, "value": 6}],
    ),
    "deep": (DEEP, "a.b.c.list[]", [{"x": 1}, {"x": 2}]),
    "one of two": ({"x": [{"a": 1}], "y": [{"b": 2}]}, "y[]", [{"x": '[{"a":1}]', "b": 2}]),
    "an object": ({"info": {"a": 1}, "n": 2}, "info", [{"n": 2, "a": 1}]),
    "an object of each item": (
        [{"n": 1, "info": {"a": 2}}, {"n": 3}], "[].info", [{"n": 1, "a": 2}, {"n": 3}],
    ),
    "a scalar": ({"n": 1, "m": 2}, "n", [{"m": 2, "value": 1}]),
    "lists of lists": ({"x": [[1, 2], [3]]}, "x[][]", [{"value": 1}, {"value": 2}, {"value": 3}]),
    "list of texts": ({"tags": ["a", None], "n": 1}, "tags[]", [{"n": 1, "value": "a"}, {"n": 1}]),
    "key with a dot": ({"a.b": [{"x": 1}], "a": 2}, "a.b[]", [{"a": 2, "x": 1}]),
    "key with a space": ({"my list": [{"x": 1}], "n": 2}, "my list[]", [{"n": 2, "x": 1}]),
    "key with a slash": ([{"a/b": [{"x": 1}]}], "[].a/b[]", [{"x": 1}]),
    "key with a dot at its start": ([{".a": [{"x": 1}]}], "[]..a[]", [{"x": 1}]),
}  # fmt: skip


@pytest.mark.parametrize(("data", "rows", "expected"), NAMED.values(), ids=NAMED)
def test_rows_by_their_path(serve: Serve, data: Any, rows: str, expected: list[dict[str, Any]]) -> None:
    assert rows_of(serve(data, rows=rows)) == expected


def test_rows_around_an_empty_list_are_none(serve: Serve) -> None:
    with pytest.warns(kr.MissingDataWarning, match="KeyAPI has nothing for 1 request"):
        assert rows_of(serve({"x": [], "y": [{"a": 1}]}, rows="x[]")) == []
    assert rows_of(serve([{"trend": []}], rows="[].trend[]")) == []


def test_rows_of_the_answer_where_its_only_list_is_empty(serve: Serve, recwarn: pytest.WarningsRecorder) -> None:
    assert rows_of(serve({"user": {"followers": 5}, "badges": []}, rows="")) == [{"user.followers": 5, "badges": "[]"}]
    assert rows_of(serve({"user": {"followers": 5}, "badges": []}, rows="user")) == [{"badges": "[]", "followers": 5}]
    assert not recwarn.list


@pytest.mark.filterwarnings("ignore::keyapi_research.SchemaDriftWarning")
def test_rows_are_in_no_other_list_where_that_of_an_endpoint_is_empty(sandbox: Sandbox, client: kr.Client) -> None:
    def fetch(data: Any, **options: Any) -> list[dict[str, Any]]:
        sandbox.on_request = lambda *_: Fault(body=json.dumps({"code": 0, "data": data}).encode())
        params = {"n": len(sandbox.requests)}
        frame = kr.fetch_endpoint("/v1/tiktok/influencer/search", params, credits=1, client=client, **options)
        return [{name: value for name, value in row.items() if name != "n"} for row in rows_of(frame)]

    both = {"user_list": [{"uid": 1}], "survey": [{"text": "a"}, {"text": "b"}]}
    assert fetch(both) == [{"user_list": '[{"uid":1}]', "survey": '[{"text":"a"},{"text":"b"}]'}]
    assert fetch(both, rows="user_list[]") == [{"survey": '[{"text":"a"},{"text":"b"}]', "uid": 1}]
    assert fetch({**both, "user_list": []}) == []
    assert fetch(both, rows="survey[].text") == [
        {"user_list": '[{"uid":1}]', "value": "a"}, {"user_list": '[{"uid":1}]', "value": "b"},
    ]  # fmt: skip
    assert fetch({"users": [{"uid": 1}]}) == [{"uid": 1}]  # it is called otherwise now


def test_rows_that_lead_nowhere_are_stored_and_told(sandbox: Sandbox, client: kr.Client) -> None:
    data = {"list": [{"a": 1, "b": [{"c": 2}]}], "n": 1, "o": {"p": [5]}}
    sandbox.on_request = lambda *_: Fault(body=json.dumps({"code": 0, "data": data}).encode())
    with pytest.raises(kr.InvalidArgumentError) as raised:
        kr.fetch_endpoint("/v1/tests/rows", rows="items[]", credits=3, client=client)
    assert str(raised.value) == (
        "rows='items[]' is not in the answer, which is stored; it has list[], list[].b[], o.p[]. Call again with one "
        "of them, at no cost"
    )
    frame = kr.fetch_endpoint("/v1/tests/rows", rows="list[].b[]", credits=3, client=client)
    assert rows_of(frame) == [{"n": 1, "o.p": "[5]", "a": 1, "c": 2}]
    assert (len(sandbox.requests), client.credits_spent) == (1, 3)


def test_rows_that_lead_nowhere_in_an_answer_without_lists(serve: Serve) -> None:
    with pytest.raises(kr.InvalidArgumentError, match='it has no list: rows="" makes one row of the answer'):
        serve({"a": 1}, rows="list[]")
    with pytest.raises(kr.InvalidArgumentError, match=r"it has \ufffd\[\]") as raised:
        serve({"\ud800": [1]}, rows="list[]")
    str(raised.value).encode()


# Names of columns ---------------------------------------------------------------------------------------------

KEYS = {
    "spelt as they are": (
        {"a.b": 1, "c/d": 2, " e ": 3, "\u00e9\U0001f600": 4, "": 5, "f": {"": {"": 6}}, "[]": 7, "g[]": {"h": 8}},
        {"a.b": 1, "c/d": 2, " e ": 3, "\u00e9\U0001f600": 4, "": 5, "f..": 6, "[]": 7, "g[].h": 8},
    ),
    "half a surrogate pair": ({"\ud800": 1, "x": "\udfff!"}, {"\ufffd": 1, "x": "\ufffd!"}),
    "half a surrogate pair on the way": (
        {"n": 1, "\ud800": [{"n": 2}]}, {"n": 1, "\ufffd[].n": 2},
    ),
    "a key with a dot, and the way to another": ([{"a.b": 1, "a": {"b": 2}}], {"[].a.b": 1, "data.[].a.b": 2}),
    "a field of the row and of what is around": (
        {"id": "x", "list": [{"id": "y", "n": 1}]}, {"id": "x", "list[].id": "y", "n": 1},
    ),
    "observed_at and source": ([{"observed_at": "x", "source": 1}], {"[].observed_at": "x", "[].source": 1}),
    "source of the answer": ({"source": 1}, {"data.source": 1}),
    "two sources": ({"source": 1, "list": [{"source": 2}]}, {"data.source": 1, "list[].source": 2}),
    "value": ([{"value": 1}], {"value": 1}),
}  # fmt: skip


@pytest.mark.parametrize(("data", "expected"), KEYS.values(), ids=KEYS)
def test_names_of_columns(serve: Serve, data: Any, expected: dict[str, Any]) -> None:
    frame = serve(data)
    assert rows_of(frame) == [expected]
    assert frame["source"].item() == "sandbox" or frame["source"].item().startswith("127.0.0.1")


def test_parameters_are_columns_before_all_fields(serve: Serve) -> None:
    frame = serve({"n": 1, "list": [{"a": True, "region": "DE"}]}, {"region": "US", "days": 7, "left_out": None})
    assert list(frame) == ["days", "n", "a", "region", "observed_at", "source"]
    assert rows_of(frame) == [{"days": "7", "n": 1, "a": True, "region": "DE"}]
    assert str(frame["days"].dtype) == "string"


def test_parameters_named_as_what_is_stamped_keep_a_column(serve: Serve) -> None:
    frame = serve([{"a": 1}], {"source": "video", "observed_at": "2026-01-01"})
    assert rows_of(frame) == [{"params.source": "video", "params.observed_at": "2026-01-01", "a": 1}]
    assert frame["source"].item() != "video"


# Dtypes -------------------------------------------------------------------------------------------------------

DTYPES = {
    "text": (["a", None, ""], "string", ["a", None, ""]),
    "flags": ([True, None, False], "boolean", [True, None, False]),
    "whole": ([1, None, -2], "Int64", [1, None, -2]),
    "15 digits": ([999_999_999_999_999, -999_999_999_999_999], "Int64", [999_999_999_999_999, -999_999_999_999_999]),
    "16 digits": ([1_000_000_000_000_000, 5], "string", ["1000000000000000", "5"]),
    "negative, 16 digits": ([-1_000_000_000_000_000], "string", ["-1000000000000000"]),
    "more than 64 bits": ([2**70, 1], "string", [str(2**70), "1"]),
    "other numbers": ([1.5, None, 2], "float64", [1.5, None, 2.0]),
    "long and other numbers": ([LONG, 1.5], "string", [str(LONG), "1.5"]),
    "flags and numbers": ([True, 1, 0.5], "string", ["true", "1", "0.5"]),
    "numbers and text": ([7, "x"], "string", ["7", "x"]),
    "nothing": ([None, None], "string", [None, None]),
    "lists": ([[], [1, "\u00e9"], {}], "string", ["[]", '[1,"\u00e9"]', "{}"]),
    "long ids in a list": ([[LONG]], "string", [f"[{LONG}]"]),
}


@pytest.mark.parametrize(("values", "dtype", "expected"), DTYPES.values(), ids=DTYPES)
def test_dtypes(serve: Serve, values: list[Any], dtype: str, expected: list[Any]) -> None:
    column = serve([{"x": value} for value in values])["x"]
    assert str(column.dtype) == dtype
    assert [None if pd.isna(value) else value for value in column.tolist()] == expected


@pytest.mark.parametrize("name", ["id", "ids", "video_id", "user_ids", "id_str", "music_id_str"])
def test_whole_numbers_are_text_where_their_name_says_id(serve: Serve, name: str) -> None:
    frame = serve([{name: 1, "a": {name: 2}, "flag": {name: True}}, {name: None}])
    assert [str(frame[one].dtype) for one in (name, f"a.{name}", f"flag.{name}")] == ["string", "string", "boolean"]
    assert frame[name].tolist() == ["1", pd.NA]


@pytest.mark.parametrize("name", ["idx", "paid", "uid", "id_count", "ids_total", "video_id.x"])
def test_whole_numbers_are_numbers_where_their_name_only_looks_like_it(serve: Serve, name: str) -> None:
    assert str(serve([{name: 1}])[name].dtype) == "Int64"


def test_long_ids_keep_every_digit_wherever_they_are(serve: Serve) -> None:
    frame = serve({"author": {"uid": LONG}, "list": [{"music": {"mid": LONG + 1}, "n": 1}, {"n": 2}]})
    assert rows_of(frame) == [
        {"author.uid": str(LONG), "music.mid": str(LONG + 1), "n": 1}, {"author.uid": str(LONG), "n": 2},
    ]  # fmt: skip


def test_numbers_that_json_does_not_have(serve: Serve) -> None:
    frame = serve(b'{"code": 0, "data": [{"a": NaN, "b": Infinity, "c": -Infinity, "d": 1e3}]}')
    assert frame[["a", "b", "c", "d"]].dtypes.astype(str).tolist() == ["float64"] * 4
    assert pd.isna(frame["a"].item())
    assert frame[["b", "c", "d"]].iloc[0].tolist() == [float("inf"), float("-inf"), 1000.0]


# Personal data ------------------------------------------------------------------------------------------------

PERSON = {
    "nick_name": "Ann", "uid": "5", "user": {"gender": "f", "name": "ann", "contact_email": "a@b.c"},
    "friends": [{"signature": "hi", "uid": "6"}], "avatar": {"urls": [{"u": "x"}]},
}  # fmt: skip


def test_personal_fields_are_left_out_and_said_once(
    serve: Serve, client: kr.Client, caplog: pytest.LogCaptureFixture
) -> None:
    left_out = {"uid": "5", "user.name": "ann", "friends": '[{"uid":"6"}]'}
    with caplog.at_level(logging.INFO, "keyapi_research"):
        assert rows_of(serve([PERSON])) == [left_out]
        assert rows_of(kr.fetch_endpoint("/v1/tests/rows/0", credits=1, client=client)) == [left_out]
        assert rows_of(kr.fetch_endpoint("/v1/tests/rows/0", credits=1, client=client, personal=True)) == [
            {
                "nick_name": "Ann", "uid": "5", "user.gender": "f", "user.name": "ann", "user.contact_email": "a@b.c",
                "friends": '[{"signature":"hi","uid":"6"}]', "avatar.urls": '[{"u":"x"}]',
            }
        ]  # fmt: skip
    assert [record.getMessage() for record in caplog.records if "personal" in record.getMessage()] == [
        "/v1/tests/rows/0: left out personal data (avatar, contact_email, gender, nick_name, signature). "
        "personal=True keeps them"
    ]


def test_stored_bodies_have_personal_fields(serve: Serve, client: kr.Client) -> None:
    frame = serve([PERSON])
    assert "avatar" not in frame
    [envelope] = client.store.envelopes([1])
    assert envelope["data"] == [PERSON]


@pytest.mark.parametrize("personal", [True, False])
def test_rows_are_the_same_with_and_without_personal_fields(serve: Serve, *, personal: bool) -> None:
    frame = serve({"avatar": {"urls": ["x"]}, "tags": [], "n": 1}, personal=personal)
    assert rows_of(frame)[0].items() >= {"tags": "[]", "n": 1}.items()


def test_rows_are_never_found_in_personal_fields(serve: Serve) -> None:
    assert rows_of(serve({"avatar": {"urls": [{"u": "x"}]}, "n": 1})) == [{"n": 1}]
    with pytest.raises(kr.InvalidArgumentError, match="avatar is personal data"):
        serve({"avatar": {"urls": [{"u": "x"}]}}, rows="avatar.urls[]")
    assert rows_of(serve({"avatar": {"urls": [{"u": "x"}]}}, rows="avatar.urls[]", personal=True)) == [{"u": "x"}]


@pytest.mark.parametrize("rows", ["list[]x", "[]list[]", "a[].", "list[0]", "a[", "a]", 5, ["list[]"], "a\n[]"])
def test_rows_that_are_no_path_send_nothing(sandbox: Sandbox, serve: Serve, rows: Any) -> None:
    with pytest.raises(kr.InvalidArgumentError, match="rows must be the path of the list"):
        serve([{"a": 1}], rows=rows)
    assert not sandbox.requests
