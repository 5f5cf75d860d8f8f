"""Whatever arrives is a frame or a typed error: the variations of answers that were seen or must be expected."""

from __future__ import annotations

import json
import logging
import pickle
import re
import warnings
from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest

import keyapi_research as kr
from keyapi_research.sandbox import Fault, Sandbox

Envelope = dict[str, Any]


def answer(sandbox: Sandbox, body: Any, *, status: int = 200) -> None:
    """Make the next answer this body, charged as a success is."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    sandbox.faults.put(Fault(status=status, body=raw))


def hashtag(**changes: Any) -> Envelope:
    info = {
        "hashtag_id": "1", "hashtag_name": "cats", "video_url": "u", "is_promoted": False, "publish_cnt": 1,
        "country_info": {"id": "ALL", "value": "ALL", "label": "ALL"},
        "industry_info": {"id": 19000000000, "value": "Pets", "label": "label_19000000000"},
        "video_views": 2, "publish_cnt_all": 3, "video_views_all": 4, "trend": [{"time": 1769472000, "value": 1}],
        "longevity": {"popular_days": 0, "current_popularity": 0}, "audience_ages": [{"age_level": 3, "score": 100}],
        "audience_interests": [{"interest_info": {"id": "1", "label": "l", "value": "v"}, "score": 120}],
        "audience_countries": [{"country_info": {"id": "1", "label": "US", "value": "v"}, "score": 120}],
        "related_hashtags": [{"hashtag_id": "9", "hashtag_name": "dogs", "video_url": "u"}],
    }
    info.update(changes)
    return {"code": 0, "message": "success", "requestId": "r-1",
            "data": {"info": {name: value for name, value in info.items() if value is not ...}}}


# Envelopes -----------------------------------------------------------------------------------------------------

REFUSALS = [
    (400, {"code": 400, "data": None, "message": "Missing required parameter: handle"}, kr.InvalidRequestError),
    (401, {"code": 401, "data": None, "message": "apiKey is null"}, kr.AuthenticationError),
    (402, {"code": 402, "data": None, "message": "apiKey quota is not enough"}, kr.CreditsExhaustedError),
    (403, {"code": 403, "data": None, "message": "no access"}, kr.AccessDeniedError),
    (404, {"code": 404, "data": None, "message": "not found"}, kr.NotFoundError),
    (429, {"code": 429, "data": None, "message": "qps limit exceeded"}, kr.RateLimitedError),
    (500, {"code": 500, "data": None, "message": "Internal server error"}, kr.ServerError),
]


@pytest.mark.parametrize(("status", "body", "kind"), REFUSALS)
@pytest.mark.parametrize("inside_200", [False, True])
def test_each_refusal_has_its_class(
    status: int, body: Envelope, kind: type[kr.KeyAPIError], inside_200: bool, make_client: Callable[..., kr.Client],
    sandbox: Sandbox,
) -> None:
    client = make_client(retries=0)
    answer(sandbox, body, status=200 if inside_200 else status)
    with pytest.raises(kind) as caught:
        kr.fetch_hashtags("cats", client=client)
    error = caught.value
    assert type(error) is kind
    assert error.status_code == (200 if inside_200 else status)
    assert error.code == status
    assert error.message == body["message"]
    assert error.answer == body
    assert error.endpoint == "/v1/tiktok/trending/hashtag/detail"
    assert error.params == {"hashtag_name": "cats", "region": "all_regions", "period": "7"}
    assert error.frame is not None
    assert error.frame.empty
    assert error.failures is not None
    assert error.failures["id"].tolist() == ["cats"]
    assert client.ledger()["credits"].tolist() == [0]
    assert client.status().answers == 0
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is kind
    assert copy.code == status


@pytest.mark.parametrize("body", [b"<html><body>Blocked</body></html>", b"\r\n<!DOCTYPE html><p>Blocked</p>"])
@pytest.mark.parametrize(
    ("status", "kind"),
    [(403, kr.AccessDeniedError), (404, kr.NotFoundError), (451, kr.InvalidRequestError), (503, kr.ServerError)],
)
def test_a_refusal_that_is_a_web_page_is_not_taken_for_keyapis(
    body: bytes, status: int, kind: type[kr.KeyAPIError], make_client: Callable[..., kr.Client], sandbox: Sandbox
) -> None:
    answer(sandbox, body, status=status)
    with pytest.raises(kind, match="from a proxy, firewall or login") as caught:
        kr.fetch_hashtags("cats", client=make_client(retries=0))
    assert f"HTTP {status}" in str(caught.value)
    assert "KeyAPI says" not in str(caught.value)
    assert caught.value.answer == body.decode()
    assert caught.value.status_code == status


@pytest.mark.parametrize("body", [b"<html><body>Log in</body></html>", b"", b"authentication required"])
def test_a_proxy_that_wants_a_login_never_passed_the_request_on(
    body: bytes, client: kr.Client, sandbox: Sandbox
) -> None:
    answer(sandbox, body, status=407)
    with pytest.raises(kr.NetworkError, match=r"did not reach KeyAPI\. Put the user name and password into"):
        kr.fetch_hashtags("cats", client=client)
    assert client.ledger()["credits"].tolist() == [0]
    assert client.credits_spent == 0


def test_a_refusal_in_json_keeps_its_text_whatever_it_quotes(client: kr.Client, sandbox: Sandbox) -> None:
    answer(sandbox, b'{"code": 403, "message": "<b>no plan</b>"}', status=403)
    with pytest.raises(kr.AccessDeniedError, match=r"check its plan at KeyAPI.*KeyAPI says: .<b>no plan</b>"):
        kr.fetch_hashtags("cats", client=client)


@pytest.mark.parametrize(
    ("body", "status", "text"),
    [
        (b"<html><body>Sign in</body></html>", 200, "starts with '<html>"),
        (b'{"code": 0, "message": "success", "data": {"info"', 200, "not the JSON object"),
        (b"", 200, "is empty"),
        (b"", 204, "is empty"),
        (b"[1, 2]", 200, "not the JSON object"),
        (b"null", 200, "not the JSON object"),
        (b'{"message": "success", "data": {}}', 200, "no code 0"),
        (b'{"code": true, "data": {}}', 200, "no code 0"),
        (b'{"code": 0, "message": "success"}', 200, "no data"),
        (b'{"code": 200, "message": "success", "data": {"info": {}}}', 200, "no code 0"),
        (b'{"data":' * 3_000 + b"0" + b"}" * 3_000, 200, "not the JSON object"),
        (b"[" * 3_000 + b"]" * 3_000, 200, "not the JSON object"),
        ('{"code":0,"data":{"info":{"hashtag_name":"caf\u00e9"}}}'.encode("latin-1"), 200, "not the JSON object"),
        (b'{"code": 0, "data": ' + b"9" * 5000 + b"}", 200, "not the JSON object"),
    ],
)
def test_what_is_not_an_envelope_is_never_data(
    body: bytes, status: int, text: str, client: kr.Client, sandbox: Sandbox
) -> None:
    answer(sandbox, body, status=status)
    with pytest.raises(kr.UnexpectedResponseError, match=text) as caught:
        kr.fetch_hashtags("cats", client=client)
    assert caught.value.answer is not None
    assert client.status().answers == 0
    [price] = client.ledger()["credits"]  # code 0 costs the documented price; whether others do nobody knows
    assert price == 2 if text == "no data" else price is pd.NA
    assert client.credits_spent == 2


@pytest.mark.parametrize(
    ("envelope", "kind", "code"),
    [
        ({"code": 0, "data": {"code": 50004, "message": "no available es index"}}, kr.ServerError, 50004),
        ({"code": 200, "data": {"code": 402, "msg": "quota"}}, kr.CreditsExhaustedError, 402),
        ({"code": 0, "data": {"code": 0, "data": {"code": 402, "data": None}}}, kr.CreditsExhaustedError, 402),
        ({"code": 0, "data": {"code": 0, "data": {"code": 0, "data": {"code": 402}}}}, kr.CreditsExhaustedError, 402),
        ({"code": 200, "data": {"code": 0, "data": {"code": 200, "data": {"code": 0, "data": {"code": 500}}}}},
         kr.ServerError, 500),
        ({"code": "429", "data": None, "msg": "slow down"}, kr.RateLimitedError, 429),
        ({"code": 38001001, "data": None}, kr.ServerError, 38001001),
        ({"code": 2**70, "data": None}, kr.ServerError, 2**70),
    ],
)
def test_a_failure_inside_a_success_is_a_failure(
    envelope: Envelope, kind: type[kr.KeyAPIError], code: int, make_client: Callable[..., kr.Client], sandbox: Sandbox
) -> None:
    client = make_client(retries=0)
    answer(sandbox, envelope)
    with pytest.raises(kind) as caught:
        kr.fetch_hashtags("cats", client=client)
    assert caught.value.status_code == 200
    assert caught.value.code == code
    assert client.ledger()["credits"].tolist() == [0]


def test_a_wrapped_success_is_unwrapped(client: kr.Client, sandbox: Sandbox) -> None:
    inner = hashtag()
    answer(sandbox, {"code": 200, "msg": "ok", "data": {"code": 0, "request_id": "inner", "data": inner["data"]}})
    frame = kr.fetch_hashtags("cats", client=client)
    assert frame["posts"].tolist() == [1]
    assert client.ledger()["request_id"].tolist() == ["inner"]


def test_other_spellings_of_the_envelope(client: kr.Client, sandbox: Sandbox) -> None:
    answer(sandbox, {"code": "0", "msg": "fine", "request_id": "r-2", "data": hashtag()["data"]})
    assert len(kr.fetch_hashtags("cats", client=client)) == 1
    row = client.ledger().iloc[0]
    assert (row["message"], row["request_id"], row["credits"]) == ("fine", "r-2", 2)


# Identity and confirmed missing ids ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["dogs", ..., None, "", 7, ["cats"]])
def test_an_answer_about_somebody_else_is_never_served(name: Any, client: kr.Client, sandbox: Sandbox) -> None:
    answer(sandbox, hashtag(hashtag_name=name))
    with pytest.raises(kr.UnexpectedResponseError, match="cats") as caught:
        kr.fetch_hashtags("cats", client=client)
    assert caught.value.answer["data"]["info"]["publish_cnt"] == 1
    assert client.ledger()["credits"].tolist() == [2]
    assert client.status().answers == 0
    assert len(kr.fetch_hashtags("cats", client=client)) == 1  # requested again: the sandbox's own answer


@pytest.mark.parametrize("name", ["CATS", "#Cats", " cats "])
def test_names_inside_answers_are_normalised(name: str, client: kr.Client, sandbox: Sandbox) -> None:
    answer(sandbox, hashtag(hashtag_name=name))
    assert kr.fetch_hashtags("cats", client=client)["hashtag_name"].tolist() == ["cats"]


def test_camel_case_is_a_typed_error(client: kr.Client, sandbox: Sandbox) -> None:
    answer(sandbox, {"code": 0, "data": {"info": {"hashtagName": "cats", "publishCnt": 5}}})
    with pytest.raises(kr.UnexpectedResponseError, match="does not name its id"):
        kr.fetch_hashtags("cats", client=client)


@pytest.mark.parametrize("data", [None, {}, [], "", {"info": None}, {"info": {}}, {"info": []}])
def test_an_id_with_an_empty_answer_is_confirmed_missing(data: Any, client: kr.Client, sandbox: Sandbox) -> None:
    answer(sandbox, {"code": 0, "message": "success", "data": data})
    with pytest.warns(kr.MissingDataWarning, match="cats"):
        frame = kr.fetch_hashtags("cats", client=client)
    assert frame.empty
    with pytest.warns(kr.MissingDataWarning, match="cats"):  # said each call, stored or new
        kr.fetch_hashtags("cats", client=client)
    assert len(sandbox.requests) == 1
    assert kr.plan(kr.fetch_hashtags, "cats", client=client).stored == 1
    assert client.status().absences == 1


@pytest.mark.parametrize("data", [{"details": {"x": 1}}, {"info": "text"}, {"info": 5}, [1], "text", 5])
def test_another_shape_is_a_typed_error(data: Any, client: kr.Client, sandbox: Sandbox) -> None:
    answer(sandbox, {"code": 0, "message": "success", "data": data})
    with pytest.raises(kr.UnexpectedResponseError):
        kr.fetch_hashtags("cats", client=client)


def video(video_id: Any, **changes: Any) -> dict[str, Any]:
    return {
        "video_id": video_id, "user_id": "5", "unique_id": "u", "video_desc": "d", "create_time": "1657100315",
        "region": "", "duration": 4, "width": "576", "height": "1024", "ratio": "720p", "data_size": "10",
        "created_by_ai": "false", "sales_flag": 0, "total_views_cnt": 10, "total_digg_cnt": 1,
        "total_comments_cnt": 1, "total_shares_cnt": 1, "total_favorites_cnt": -99999, "total_views_1d_cnt": 0,
        "total_views_7d_cnt": 0, "total_views_30d_cnt": 0, "total_digg_1d_cnt": 0, "total_digg_7d_cnt": 0,
        "total_digg_30d_cnt": 0, "total_video_sale_cnt": 0, "total_video_sale_gmv_amt": 0, "reflow_cover": "c",
        **changes,
    }


def test_videos_are_matched_by_id_whatever_order_and_type(client: kr.Client, sandbox: Sandbox) -> None:
    big = 7562062508232576001  # above 2**53
    answer(sandbox, {"code": 0, "data": [video("12", total_views_cnt=12), video(big, total_views_cnt=7),
                                         video("12", total_views_cnt=99)]})
    with pytest.warns(kr.MissingDataWarning, match="11") as warned:
        frame = kr.fetch_videos([str(big), 11, 12], client=client)
    assert len(warned) == 1
    assert client.status().duplicates == 1
    assert frame["video_id"].tolist() == ["7562062508232576001", "12"]
    assert frame["views"].tolist() == [7, 12]
    _, twice = frame.keyapi.raw(client=client)
    assert [row["total_views_cnt"] for row in twice["data"]] == [12, 99]


def test_an_id_with_rows_about_other_ids_only_is_not_confirmed_missing(client: kr.Client, sandbox: Sandbox) -> None:
    answer(sandbox, {"code": 0, "data": [video("12"), video("99")]})
    with pytest.raises(kr.FetchIncompleteError, match="1 of 2") as caught:
        kr.fetch_videos(["11", "12"], client=client)
    error = caught.value
    assert error.frame["video_id"].tolist() == ["12"]
    assert error.failures[["id", "error"]].to_numpy().tolist() == [["11", "UnexpectedResponseError"]]
    assert kr.plan(kr.fetch_videos, ["11", "12"], client=client).credits == 1  # only for 11


def test_a_rounded_video_id_is_not_taken_for_another(client: kr.Client, sandbox: Sandbox) -> None:
    answer(sandbox, {"code": 0, "data": [video(7562062508232576000.0)]})
    with pytest.raises(kr.UnexpectedResponseError):
        kr.fetch_videos("7562062508232576000", client=client)


# Values --------------------------------------------------------------------------------------------------------


def test_sentinels_negatives_and_empty_text_are_missing(client: kr.Client, sandbox: Sandbox) -> None:
    answer(sandbox, {"code": 0, "data": [video(
        "12", total_views_cnt=-99999, total_digg_cnt=-1, total_views_1d_cnt=-3, total_video_sale_gmv_amt=-99999,
        region="", unique_id="", user_id=-99999, created_by_ai="maybe", create_time=None, duration="40", data_size=10.0,
        total_video_sale_cnt=None,
    )]})
    with pytest.warns(kr.SchemaDriftWarning, match=r"1 x data\[\]\.created_by_ai$"):
        row = kr.fetch_videos("12", client=client).iloc[0]
    missing = ["views", "likes", "favorites", "creator_region", "user_id", "username", "ai_generated", "created_at",
               "gmv_est", "units_sold_est"]
    assert row[missing].isna().all()
    assert row["views_1d"] == -3  # an increment may be negative
    assert (row["duration_s"], row["size_bytes"]) == (40, 10)


@pytest.mark.parametrize(("flag", "expected"), [(True, True), ("True", True), (1, True), ("0", False), (0, False),
                                                (1.0, True), (0.0, False), (None, None), ("", None)])
def test_flags(flag: Any, expected: bool | None, client: kr.Client, sandbox: Sandbox) -> None:
    answer(sandbox, {"code": 0, "data": [video("12", created_by_ai=flag)]})
    value = kr.fetch_videos("12", client=client)["ai_generated"].iloc[0]
    assert value is pd.NA if expected is None else value == expected


@pytest.mark.parametrize("flag", [2, "yes", 1.5, [], {"a": True}])
def test_what_is_not_a_flag_is_missing_and_reported(flag: Any, client: kr.Client, sandbox: Sandbox) -> None:
    answer(sandbox, {"code": 0, "data": [video("12", created_by_ai=flag)]})
    with pytest.warns(kr.SchemaDriftWarning, match=r"1 x data\[\]\.created_by_ai"):
        assert kr.fetch_videos("12", client=client)["ai_generated"].isna().all()


def test_an_empty_list_and_a_missing_one_stay_apart(client: kr.Client, sandbox: Sandbox) -> None:
    answer(sandbox, hashtag(audience_ages=[], audience_interests=None, audience_countries=..., trend=[]))
    row = kr.fetch_hashtags("cats", client=client).iloc[0]
    assert row["n_audience_ages"] == 0
    assert row["n_trend_points"] == 0
    assert row[["n_audience_interests", "n_audience_countries"]].isna().all()
    assert kr.fetch_hashtag_audience("cats", client=client).empty
    assert kr.fetch_hashtag_trends("cats", client=client).empty


def test_a_missing_industry_is_not_reported_as_drift(client: kr.Client, sandbox: Sandbox) -> None:
    answer(sandbox, hashtag(industry_info=...))
    row = kr.fetch_hashtags("cats", client=client).iloc[0]
    assert row[["industry_id", "industry"]].isna().all()


def test_what_a_free_method_leaves_out_is_reported_once(client: kr.Client, sandbox: Sandbox) -> None:
    twice = {"time": 1769472000, "value": 1}
    answer(sandbox, hashtag(trend=[twice, twice, {"time": "soon", "value": 0.5}]))
    tags = kr.fetch_hashtags("cats", client=client)
    with pytest.warns(kr.SchemaDriftWarning, match=r"1 x data.info.trend\[\].time") as warned:
        assert len(tags.keyapi.trend(client=client)) == 1
    assert len(warned) == 1
    assert warned[0].filename == __file__
    assert len(tags.keyapi.trend(client=client)) == 1
    assert client.status().duplicates == 1
    with pytest.warns(kr.SchemaDriftWarning, match="could not be read"):
        tags.keyapi.trend(client=client).keyapi.history(client=kr.Client(sandbox=True, store=client.store.path))


def test_trends_are_sorted_and_each_day_stands_once(client: kr.Client, sandbox: Sandbox) -> None:
    day = 86_400
    start = 1_769_472_000  # 2026-01-27
    answer(sandbox, hashtag(trend=[
        {"time": start + 2 * day, "value": 0.5}, {"time": str(start), "value": 1},
        {"time": (start + day) * 1000, "value": 0}, {"time": start, "value": 0.9}, {"time": None, "value": 0.3},
    ]))
    with pytest.warns(kr.SchemaDriftWarning, match=r"1 x the key \(date\) of hashtag_trends"):
        frame = kr.fetch_hashtag_trends("cats", client=client)
    assert frame["date"].dt.strftime("%d").tolist() == ["27", "28", "29"]
    assert frame["share_of_peak"].tolist() == [1.0, 0.0, 0.5]


def test_ages_keep_their_code_and_unknown_codes_have_no_band(client: kr.Client, sandbox: Sandbox) -> None:
    answer(sandbox, hashtag(audience_ages=[{"age_level": 6, "score": 40}, {"age_level": "3", "score": "60"},
                                           {"age_level": "25-34", "score": 1}], audience_interests=[],
                            audience_countries=[]))
    frame = kr.fetch_hashtag_audience("cats", client=client)
    assert frame["segment_id"].tolist() == ["6", "3", "25-34"]
    assert frame["segment"].fillna("?").tolist() == ["?", "18-24", "?"]
    assert frame["score"].tolist() == [40.0, 60.0, 1.0]


def test_a_new_field_is_reported_once_and_kept(client: kr.Client, sandbox: Sandbox) -> None:
    for name in ("cats", "dogs"):
        answer(sandbox, hashtag(hashtag_name=name, mood={"colour": "blue"}))
    with pytest.warns(kr.SchemaDriftWarning, match=r"data\.info\.mood\.colour"):
        kr.fetch_hashtags("cats", client=client)
    frame = kr.fetch_hashtags("dogs", client=client)  # a second warning would be an error
    assert frame.keyapi.raw(client=client)[0]["data"]["info"]["mood"] == {"colour": "blue"}


def test_a_field_that_is_gone_is_reported(client: kr.Client, sandbox: Sandbox) -> None:
    answer(sandbox, hashtag(publish_cnt=...))
    with pytest.warns(kr.SchemaDriftWarning, match=r"missing.*data\.info\.publish_cnt"):
        frame = kr.fetch_hashtags("cats", client=client)
    assert frame["posts"].isna().all()


@pytest.mark.parametrize(
    ("changes", "gone"),
    [
        ({"country_info": ...}, "data.info.country_info"),
        ({"longevity": ...}, "data.info.longevity"),
        ({"trend": ...}, "data.info.trend"),
        ({"related_hashtags": ...}, "data.info.related_hashtags"),
        ({"trend": [{"time": 1769472000}]}, r"data.info.trend[].value"),
    ],
)
def test_an_object_or_a_list_that_is_gone_is_reported(
    changes: dict[str, Any], gone: str, client: kr.Client, sandbox: Sandbox
) -> None:
    answer(sandbox, hashtag(**changes))
    with pytest.warns(kr.SchemaDriftWarning, match=rf"missing from every answer: {re.escape(gone)}$"):
        kr.fetch_hashtags("cats", client=client)


@pytest.mark.parametrize("path", ["country_info", "longevity", "trend", "industry_info", "audience_ages"])
def test_a_value_where_an_object_or_a_list_should_be_is_reported(
    path: str, client: kr.Client, sandbox: Sandbox
) -> None:
    answer(sandbox, hashtag(**{path: 7}))
    with pytest.warns(kr.SchemaDriftWarning, match=rf"data\.info\.{path} \(neither object nor list\)"):
        kr.fetch_related_hashtags("cats", client=client)


def test_the_same_field_of_another_endpoint_is_reported_too(client: kr.Client, sandbox: Sandbox) -> None:
    sandbox.mutate = lambda path, params, envelope: {
        **envelope, "data": {"info": {**envelope["data"]["info"], "mood": 1}},
    }
    for fetch, one in ((kr.fetch_hashtags, "cats"), (kr.fetch_product_details, "601583")):
        with pytest.warns(kr.SchemaDriftWarning, match=r"does not know.*data\.info\.mood$"):
            fetch(one, client=client)


def test_what_a_warning_has_no_room_for_the_next_names(client: kr.Client, sandbox: Sandbox) -> None:
    fields = {f"field{number:02}": number for number in range(25)}
    for name in ("cats", "dogs"):
        answer(sandbox, hashtag(hashtag_name=name, **fields))
    with pytest.warns(kr.SchemaDriftWarning, match=r"field00.*field19$"):
        kr.fetch_hashtags("cats", client=client)
    with pytest.warns(kr.SchemaDriftWarning, match=r": data\.info\.field20.*field24$"):
        kr.fetch_hashtags("dogs", client=client)


def test_empty_items_of_a_list_give_no_rows(client: kr.Client, sandbox: Sandbox) -> None:
    sandbox.mutate = lambda path, params, envelope: {
        **envelope, "data": {"info": {**envelope["data"]["info"], "posts": ["71", None, "", "72"]}},
    }
    with pytest.warns(kr.SchemaDriftWarning, match=r"2 x data\.info\.posts\[\]"):
        frame = kr.fetch_product_posts("601583", client=client)
    assert frame["video_id"].tolist() == ["71", "72"]
    assert frame["position"].tolist() == [1, 4]


def test_countries_of_a_product_are_rows_where_an_answer_has_them(client: kr.Client, sandbox: Sandbox) -> None:
    us = {"country_info": {"id": "6252001", "label": "US", "value": "United States"}, "score": 150}
    sandbox.mutate = lambda path, params, envelope: {
        **envelope, "data": {"info": {**envelope["data"]["info"], "audience_countries": [us]}},
    }
    frame = kr.fetch_product_audience("601583", client=client)
    assert frame["dimension"].tolist() == ["age"] * 5 + ["country"]
    last = frame.iloc[-1][["segment_id", "segment_code", "segment", "score", "score_unit"]]
    assert last.tolist() == ["6252001", "US", "United States", 150.0, "index"]


def test_rows_that_come_twice_are_logged_and_counted_call_by_call(
    client: kr.Client, sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "keyapi_research")
    for _ in range(2):
        answer(sandbox, page(1, 2, 2, more=False))
    for region in ("US", "GB"):
        kr.fetch_product_insights(region=region, client=client)
    kr.fetch_product_insights(region="US", client=client)  # nothing new came, so nothing new is logged
    logged = [record.getMessage() for record in caplog.records if record.name == "keyapi_research"]
    assert logged == ["product_insights: 1 rows came twice; the first was kept: product_insights (category_id)"] * 2
    assert client.status().duplicates == 2


def test_all_regions_is_a_market(client: kr.Client, sandbox: Sandbox) -> None:
    answer(sandbox, hashtag(country_info={"id": "all_regions", "value": "All", "label": "all_regions"}))
    assert kr.fetch_hashtags("cats", client=client)["market"].item() == "all_regions"  # a warning would be an error


def test_a_rank_of_zero_stays(client: kr.Client, sandbox: Sandbox) -> None:
    sandbox.mutate = lambda path, params, envelope: {
        **envelope, "data": {**envelope["data"], "sound": {**envelope["data"]["sound"], "rank": 0}},
    }
    assert kr.fetch_music("6703723351497508865", client=client)["rank"].item() == 0


def test_a_field_that_some_answers_have_is_not_gone(client: kr.Client, sandbox: Sandbox) -> None:
    sandbox.on_request = lambda _, params: Fault(
        status=200, body=json.dumps(hashtag(hashtag_name=params["hashtag_name"],
                                            publish_cnt=... if params["hashtag_name"] == "cats" else 5)).encode())
    frame = kr.fetch_hashtags(["cats", "dogs"], client=client)
    assert frame["posts"].isna().tolist() == [True, False]


def test_another_market_is_reported(client: kr.Client, sandbox: Sandbox) -> None:
    answer(sandbox, hashtag(country_info={"id": "US", "value": "United States", "label": "US"}))
    with pytest.warns(kr.UnexpectedMarketWarning, match="US where all_regions"):
        kr.fetch_hashtags("cats", client=client)


def test_values_of_other_types_are_counted_not_guessed(client: kr.Client, sandbox: Sandbox) -> None:
    answer(sandbox, hashtag(publish_cnt=True, video_views=1.5, publish_cnt_all=10**30, video_url={"a": 1},
                            audience_countries=7))
    with pytest.warns(kr.SchemaDriftWarning, match="could not be read") as caught:
        row = kr.fetch_hashtags("cats", client=client).iloc[0]
    assert row[["posts", "views", "posts_all", "url", "n_audience_countries"]].isna().all()
    assert "1 x data.info.publish_cnt," in str(caught[0].message)


def test_half_surrogates_and_nan_do_not_break_a_frame(client: kr.Client, sandbox: Sandbox, tmp_path: Any) -> None:
    body = json.dumps(hashtag(video_url="x\ud83dy", audience_ages=[{"age_level": 3, "score": float("nan")}]))
    answer(sandbox, body.encode())
    frame = kr.fetch_hashtags("cats", client=client)
    assert frame["url"].tolist() == ["x\ufffdy"]
    assert kr.fetch_hashtag_audience("cats", client=client).query("dimension == 'age'")["score"].isna().all()
    frame.to_csv(tmp_path / "x.csv")


# Rankings ------------------------------------------------------------------------------------------------------


def product(number: int, **changes: Any) -> dict[str, Any]:
    level = {"id": str(number), "label": "l", "value": f"Name {number}", "parent_id": "2"}
    return {
        "first_ecom_category": {"id": "1", "label": "l", "value": "One"}, "third_ecom_category": level,
        "second_ecom_category": {"id": "2", "label": "l", "value": "Two", "parent_id": "1"}, "ecom_type": "l3",
        "url_title": "t", "cover_url": None, "post": 1, "post_change": -10.16, "ctr": 1, "cvr": 2.5, "cpa": 1.5,
        "play_six_rate": 8, "impression": 10, "cost": 5, "like": 1, "comment": 1, "share": 1, **changes,
    }


def page(*numbers: int, more: Any = ..., **changes: Any) -> Envelope:
    data: dict[str, Any] = {"list": [product(number, **changes) for number in numbers]}
    if more is not ...:
        data["pagination"] = {"page": 1, "size": 3, "total": 500, "has_more": more}
    return {"code": 0, "message": "success", "data": data}


def test_what_a_ranking_held_and_did_not_need_is_given_back(client: kr.Client, sandbox: Sandbox) -> None:
    with kr.budget(30, client=client) as budget:
        assert len(pull(client, sandbox, page(*range(1, 21), more=False), limit=200)) == 20
        assert (budget.spent, budget.remaining) == (2, 28)  # ten pages were held, the first was the last


def test_full_pages_of_the_same_size_do_not_end_a_ranking(client: kr.Client, sandbox: Sandbox) -> None:
    assert len(pull(client, sandbox, page(*range(1, 21)), page(*range(21, 41)), page(41, 42, 43))) == 43
    assert [request.params["page"] for request in sandbox.requests] == ["1", "2", "3"]


def pull(client: kr.Client, sandbox: Sandbox, *pages: Envelope, limit: int | None = None) -> pd.DataFrame:
    for one in pages:
        answer(sandbox, one)
    return kr.fetch_product_insights(region="US", limit=limit, client=client)


@pytest.mark.parametrize(
    "last",
    [page(), page(more=True), page(4, more=False), {"code": 0, "data": None}, {"code": 0, "data": {}},
     page(1, 2, 3, more=True), page(4), {"code": 0, "data": {"pagination": {"has_more": True}}}],
    ids=["empty", "empty, more", "no more", "no data", "no list", "nothing new", "shorter, not told", "list absent"],
)
def test_where_a_ranking_ends(last: Envelope, client: kr.Client, sandbox: Sandbox) -> None:
    answer(sandbox, page(1, 2, 3))
    answer(sandbox, last)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", kr.SchemaDriftWarning)  # that rows came again is another test's
        frame = kr.fetch_product_insights(region="US", limit=None, client=client)
    new = 4 in [int(row["third_ecom_category"]["id"]) for row in (last["data"] or {}).get("list", [])]
    assert frame["category_id"].tolist() == ["1", "2", "3"] + ["4"] * new
    assert len(sandbox.requests) == 2
    kr.fetch_product_insights(region="US", limit=None, client=client)  # that it ended is stored
    assert len(sandbox.requests) == 2


@pytest.mark.parametrize("wrapped", [False, True])
@pytest.mark.parametrize("inside", [False, True])
def test_has_more_may_stand_at_the_top(inside: bool, wrapped: bool, client: kr.Client, sandbox: Sandbox) -> None:
    one = page(1, 2)
    (one["data"] if inside else one)["has_more"] = "false"
    assert len(pull(client, sandbox, {"code": 200, "data": one} if wrapped else one)) == 2
    assert len(sandbox.requests) == 1


def test_a_category_that_comes_twice_keeps_its_first_position(client: kr.Client, sandbox: Sandbox) -> None:
    frame = pull(client, sandbox, page(1, 2, 3, more=True), page(3, 4, 5, more=False))
    assert client.status().duplicates == 1
    assert frame["category_id"].tolist() == ["1", "2", "3", "4", "5"]
    assert frame["position"].tolist() == [1, 2, 3, 5, 6]


def test_levels_above_and_zero_cost(client: kr.Client, sandbox: Sandbox) -> None:
    one = page(1, 2, 3, 4, more=False)
    rows = one["data"]["list"]
    del rows[0]["third_ecom_category"]
    rows[0].update(ecom_type="l2")
    rows[1].update(third_ecom_category=None, second_ecom_category={"id": None}, cpa=0, cvr=0)
    rows[2].update(cpa=0, cvr=1)
    frame = pull(client, sandbox, one)
    assert frame["category_id"].tolist() == ["2", "1", "3", "4"]
    assert frame["category"].tolist() == ["Two", "One", "Name 3", "Name 4"]
    assert frame["cpa"].isna().tolist() == [False, True, False, False]
    assert frame["cpa"].tolist()[2:] == [0.0, 1.5]


def test_rows_without_an_id_are_dropped_and_reported(client: kr.Client, sandbox: Sandbox) -> None:
    one = page(1, 2, more=False)
    one["data"]["list"] += [None, {"first_ecom_category": None}]
    with pytest.warns(kr.SchemaDriftWarning, match="dropped|could not be read"):
        frame = pull(client, sandbox, one)
    assert frame["category_id"].tolist() == ["1", "2"]


@pytest.mark.parametrize("data", [{"list": {"a": 1}}, {"list": [{"thirdEcomCategory": {"id": "1"}}]},
                                  {"items": [{"a": 1}]}, [1, 2], "text"])
def test_a_ranking_of_another_shape_is_a_typed_error(data: Any, client: kr.Client, sandbox: Sandbox) -> None:
    with pytest.raises(kr.UnexpectedResponseError) as caught:
        pull(client, sandbox, {"code": 0, "data": data})
    assert caught.value.frame.empty


def test_a_ranking_that_breaks_off_gives_the_pages_that_came(client: kr.Client, sandbox: Sandbox) -> None:
    answer(sandbox, page(1, 2, 3, more=True))
    answer(sandbox, {"code": 402, "data": None, "message": "apiKey quota is not enough"}, status=402)
    with pytest.raises(kr.CreditsExhaustedError, match=r"on \.frame") as caught:
        kr.fetch_product_insights(region="US", limit=6, client=client)
    assert caught.value.frame["category_id"].tolist() == ["1", "2", "3"]
    answer(sandbox, page(4, 5, 6, more=True))
    frame = kr.fetch_product_insights(region="US", limit=6, client=client)  # goes on from there
    assert frame["category_id"].tolist() == ["1", "2", "3", "4", "5", "6"]
    assert [one.params["page"] for one in sandbox.requests] == ["1", "2", "2"]


def test_trends_of_a_list_come_hashtag_by_hashtag(client: kr.Client, sandbox: Sandbox) -> None:
    rows = [
        {"hashtag_name": name, "trend": [{"time": 86_400 * day, "value": 0.5} for day in days]}
        for name, days in (("b", (3, 1, 2)), ("a", (1, 2)), ("c", ()))
    ]
    answer(sandbox, {"code": 0, "data": {"list": rows, "pagination": {"has_more": False}}})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", kr.SchemaDriftWarning)  # these rows have little of what is documented
        frame = kr.fetch_trending_hashtag_trends(client=client)
    assert frame["hashtag_name"].tolist() == ["b", "b", "b", "a", "a"]
    assert frame["date"].dt.day.tolist() == [2, 3, 4, 2, 3]


def test_failures_stand_in_the_order_requested(client: kr.Client, sandbox: Sandbox) -> None:
    slow_first = iter([0.2, 0.1, 0.0])
    sandbox.on_request = lambda path, params: Fault(status=400, delay=next(slow_first, 0.0))
    with pytest.raises(kr.InvalidRequestError) as caught:
        kr.fetch_hashtags(["one", "two", "three"], client=client)
    assert caught.value.failures["id"].tolist() == ["one", "two", "three"]


# What went wrong, and warnings --------------------------------------------------------------------------------


def refuse(name: str) -> Callable[[str, dict[str, str]], Fault | None]:
    return lambda _, params: Fault(status=400) if params["hashtag_name"] == name else None


def test_a_failure_is_raised_though_a_filter_makes_errors_of_warnings(client: kr.Client, sandbox: Sandbox) -> None:
    sandbox.on_request = refuse("refused")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(kr.FetchIncompleteError) as caught:
            kr.fetch_hashtags(["missing", "refused"], client=client)
    assert caught.value.failures["id"].tolist() == ["refused"]


def test_a_partial_table_names_what_it_lacks_before_anything_else(client: kr.Client, sandbox: Sandbox) -> None:
    sandbox.on_request = refuse("refused")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(kr.IncompleteDataWarning, match=r": refused \(InvalidRequestError"):
            kr.fetch_hashtags(["missing", "refused"], errors="warn", client=client)


def test_a_partial_table_names_ten_failed_ids_with_their_reason_and_how_many_more(
    client: kr.Client, sandbox: Sandbox
) -> None:
    names = [f"tag{number}" for number in range(13)]
    for _ in names[1:]:
        sandbox.faults.put(Fault(status=400))
    with pytest.warns(kr.IncompleteDataWarning) as warned:
        frame = kr.fetch_hashtags(names, errors="warn", client=client)
    text = str(warned[0].message)
    assert "12 of 13 ids" in text
    assert len(re.findall(r"tag[0-9]+ \(InvalidRequestError: ", text)) == 10
    assert "and 2 more. A rerun pays only for what is missing: 12 requests = 24 credits." in text
    assert len(frame) == 1


def test_a_trend_on_another_scale_is_not_data(client: kr.Client, sandbox: Sandbox) -> None:
    """Of 0 to 100 the lowest values would look like a peak."""
    served = [100, 87, 30, 4, 1, 1, 0]

    def rescale(path: str, params: Any, envelope: Any) -> Any:
        if params.get("hashtag_name") == "percent":
            for point, value in zip(envelope["data"]["info"]["trend"], served, strict=True):
                point["value"] = value
        return envelope

    sandbox.mutate = rescale
    with pytest.warns(kr.SchemaDriftWarning, match=r"7 x .*trend\[\].value"):
        trends = kr.fetch_hashtag_trends(["percent", "runtok"], period=7, client=client)
    known = trends.groupby("hashtag_name")["share_of_peak"].count().to_dict()
    assert known == {"percent": 0, "runtok": 7}


# Months that are not over -----------------------------------------------------------------------------------------


def test_a_month_that_is_not_over_is_said_before_and_after(client: kr.Client) -> None:
    fetch = {"region": "US", "time_scope": "2026-02", "limit": 20, "client": client}  # in the sandbox it is 3 February
    assert "2026-02 is not over" in kr.plan(kr.fetch_product_insights, **fetch).note
    with pytest.warns(kr.IncompleteDataWarning, match="2026-02 was not over on 2026-02-03"):
        kr.fetch_product_insights(**fetch)
    assert not kr.plan(kr.fetch_product_insights, **fetch).note  # nothing would be sent
    kr.fetch_product_insights(**fetch)  # said once
    whole = {**fetch, "time_scope": "2026-01"}
    assert not kr.plan(kr.fetch_product_insights, **whole).note
    kr.fetch_product_insights(**whole)


def test_why_an_answer_was_not_used_is_said_not_that_it_was_a_success(client: kr.Client, sandbox: Sandbox) -> None:
    def another(path: str, params: Any, envelope: Any) -> Any:
        envelope["data"][0]["video_id"] = "999"
        return envelope

    sandbox.mutate = another
    with pytest.warns(kr.IncompleteDataWarning, match="7117191641181000301.*was requested") as told:
        kr.fetch_videos(["7117191641181000301"], errors="warn", client=client)
    assert "success" not in "".join(str(one.message) for one in told)
