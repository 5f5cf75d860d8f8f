"""The sandbox: a real server, asked over real HTTP. Expected values are written by hand."""

from __future__ import annotations

import contextlib
import http.client
import inspect
import json
import math
import os
import re
import signal
import socket
import socketserver
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import FrozenInstanceError, fields
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from urllib.parse import urlencode

import numpy as np
import pytest

from keyapi_research.sandbox import SOURCE_HEADER, TOKEN, WORLD_VERSION, Fault, Request, Sandbox, chance, effects, world
from keyapi_research.sandbox.__main__ import main
from keyapi_research.sandbox.catalogue import by_id, by_name, categories
from keyapi_research.sandbox.curves import Curve
from keyapi_research.sandbox.hashtags import _industry
from keyapi_research.sandbox.names import countries, industry_of_hashtag
from keyapi_research.sandbox.routes import ROUTES
from keyapi_research.sandbox.videos import video_id

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "keyapi_research" / "sandbox" / "examples"
PREFIX = "/v1/tiktok/"
PRODUCTS, PRODUCT = "insights/products", "insights/product/detail"
VIDEOS = "video/detail/analytics"
HASHTAG, SOUND = "trending/hashtag/detail", "trending/music/detail"
HASHTAGS, SOUNDS = "trending/hashtags", "trending/music"
DEMO_VIDEO = "7117191641181555995"


class Answer:
    def __init__(self, response):
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def data(self):
        assert self.status == 200, self.body
        assert self.json["code"] == 0
        return self.json["data"]


def query(sandbox, path, *, method="GET", token=TOKEN, headers=None, **params):
    target = (path if path.startswith("/") else PREFIX + path) + (f"?{urlencode(params)}" if params else "")
    connection = http.client.HTTPConnection(sandbox.url.removeprefix("http://"), timeout=10)
    try:
        sent = dict(headers or {})
        if token is not None:
            sent["Authorization"] = f"Bearer {token}"
        connection.request(method, target, headers=sent)
        return Answer(connection.getresponse())
    finally:
        connection.close()


def documented(name):
    return json.loads((EXAMPLES / f"{name.replace('/', '-')}.json").read_text("utf-8"))["data"]


def all_rows(sandbox, path, key="list", **params):
    rows, page = [], 1
    while True:
        data = query(sandbox, path, page=page, **params).data
        rows += data[key]
        if not data["pagination"]["has_more"]:
            return rows
        page += 1


SEASONAL = {name for found in effects.SEASONAL_CATEGORIES.values() for name in found}


def name_of(row):
    return (row.get("third_ecom_category") or row["second_ecom_category"])["value"]


@pytest.fixture
def sandbox():
    with Sandbox() as running:
        yield running


# ---- documented answers --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "params"),
    [
        (PRODUCTS, {}),
        (PRODUCTS, {"page": "1", "limit": "20", "time_scope": "1", "region": "all_regions", "search_keyword": "FALSE"}),
        (PRODUCTS, {"limit": "50"}),
        (PRODUCT, {}),
        (PRODUCT, {"id": "601583", "time_scope": "1", "region": "all_regions"}),
        (VIDEOS, {"video_ids": DEMO_VIDEO}),
        (HASHTAG, {}),
        (HASHTAG, {"hashtag_name": "UFC324", "period": "7"}),
        (SOUND, {}),
        (SOUND, {"clip_id": "6703723351497508865", "region": "US"}),
    ],
)
def test_documented_parameters_get_the_documented_data(sandbox, path, params):
    answer = query(sandbox, path, **params)
    assert answer.data == documented(path)
    assert list(answer.json) == ["code", "message", "data", "requestId"]
    assert answer.json["message"] == "success"


def test_documented_values_by_hand(sandbox):
    (video,) = query(sandbox, VIDEOS, video_ids=DEMO_VIDEO).data
    assert (video["total_views_cnt"], video["total_favorites_cnt"], video["create_time"]) == (
        211100,
        -99999,
        "1657100315",
    )
    hashtag = query(sandbox, HASHTAG).data["info"]
    assert [point["value"] for point in hashtag["trend"]] == [1, 0.7, 0.48, 0.31, 0.26, 0.25, 0.3]
    assert hashtag["trend"][-1]["time"] == 1769990400  # 2026-02-02
    page = query(sandbox, PRODUCTS).data
    assert page["pagination"] == {"page": 1, "size": 1, "total": 500, "has_more": True}
    assert [row["third_ecom_category"]["id"] for row in page["list"]] == ["601583"]


def test_the_other_pages_of_the_documented_ranking_hold_other_categories(sandbox):
    rows = all_rows(sandbox, PRODUCTS)
    assert len(rows) == 481  # 25 pages of 20, the first cut to one row as documented
    names = Counter(name_of(row) for row in rows)
    assert names["Perfume"] == 1
    assert max(names.values()) == 1
    by_ten = all_rows(sandbox, PRODUCTS, limit=10)
    assert len(by_ten) == 500
    assert by_ten[0] == documented(PRODUCTS)["list"][0]
    assert [row["post"] for row in by_ten] == sorted((row["post"] for row in by_ten), reverse=True)


def test_a_second_answer_about_a_documented_entity_has_moved_on(sandbox):
    both = ((VIDEOS, {"video_ids": DEMO_VIDEO}), (HASHTAG, {}))
    first = [query(sandbox, path, **params).data for path, params in both]
    second = [
        query(sandbox, path, **params).data for path, params in ((VIDEOS, {"video_ids": DEMO_VIDEO}), (HASHTAG, {}))
    ]
    assert second[0][0]["total_views_cnt"] == 211140
    assert second[0][0]["total_views_30d_cnt"] == 40
    assert second[0][0]["video_desc"] == first[0][0]["video_desc"]
    assert second[1]["info"]["hashtag_id"] == "7357697982441422880"
    assert second[1]["info"]["trend"][-1]["time"] == 1769990400 + 3 * 86400
    assert second[1]["info"]["publish_cnt_all"] > 34146


# ---- determinism ---------------------------------------------------------------------------------------------------

GOLDEN_REQUESTS = (
    (PRODUCTS, {"region": "US", "time_scope": "7", "page": "2"}),
    (PRODUCTS, {"search_keyword": "makeup", "time_scope": "2025-12"}),
    (PRODUCT, {"id": "601583", "region": "US", "time_scope": "7"}),
    (VIDEOS, {"video_ids": "7489287341782207752,7322538146644757803,123"}),
    (HASHTAG, {"hashtag_name": "perfumetok", "period": "30"}),
    (HASHTAG, {"hashtag_name": "عطور", "region": "SA", "period": "1095"}),
    (SOUND, {"clip_id": "7498251163905427713", "period": "120"}),
    (HASHTAGS, {"region": "TH", "period": "30", "page": "2"}),
    (SOUNDS, {"region": "JP"}),
)
GOLDEN = {
    "1": "a2ce89cca0e0c4f3",
    "another": "0ca670c70a9a5dd2",
}


def fingerprint(seed):
    digest = sha256()
    with Sandbox(seed=seed) as sandbox:
        for _ in range(2):  # the second answer too
            for path, params in GOLDEN_REQUESTS:
                data = query(sandbox, path, **params).data
                digest.update(json.dumps(data, sort_keys=True, ensure_ascii=False).encode())
    return digest.hexdigest()[:16]


@pytest.mark.parametrize("seed", list(GOLDEN))
def test_the_world_is_the_same_everywhere(seed):
    # Another value here means another world: then WORLD_VERSION has to change too.
    assert fingerprint(seed) == GOLDEN[seed]
    assert WORLD_VERSION == "1"


def test_the_world_is_the_same_in_another_process_and_order():
    code = (
        "import json, sys; from keyapi_research.sandbox import world\n"
        "answer = lambda name, **params: world.answer('1', name, params, 1, page_cap=20)\n"
        "out = [answer('trending/music', search_keyword='FALSE', page='1', limit='20', period='7', region='JP',"
        " new_to_top_100='false', commercial_music='false'),"
        " answer('trending/hashtag/detail', hashtag_name='perfumetok', region='all_regions', period='30')]\n"
        "print(json.dumps(out))"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "77", "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, env=environment, timeout=60)
    with Sandbox() as sandbox:
        hashtag = query(sandbox, HASHTAG, hashtag_name="perfumetok", period="30").data
        sounds = query(sandbox, SOUNDS, region="JP").data
    assert json.loads(done.stdout) == [sounds, hashtag]


def test_seeds_are_different_worlds_of_one_catalogue():
    with Sandbox(seed=1) as one, Sandbox(seed=2) as two:
        first = query(one, PRODUCTS, region="US", time_scope="7").data["list"]
        second = query(two, PRODUCTS, region="US", time_scope="7").data["list"]
    assert first != second
    assert all(by_id()[row["first_ecom_category"]["id"]].level == "l1" for row in first + second)


def test_the_order_of_the_questions_does_not_matter(sandbox):
    ids = query(sandbox, PRODUCT, region="US").data["info"]["posts"][:10]
    together = query(sandbox, VIDEOS, video_ids=",".join(ids)).data
    sandbox.reset()
    apart = [query(sandbox, VIDEOS, video_ids=identifier).data[0] for identifier in reversed(ids)]
    assert sorted(apart, key=lambda row: int(row["video_id"])) == together


def test_a_rerun_does_not_differ_and_a_refresh_moves_on(sandbox):
    def answers():
        return [query(sandbox, path, **params).data for path, params in GOLDEN_REQUESTS]

    first, second = answers(), answers()
    sandbox.reset()
    assert answers() == first
    assert answers() == second
    for (path, params), before, after in zip(GOLDEN_REQUESTS, first, second, strict=True):
        assert (before == after) == (params.get("time_scope") == "2025-12"), path  # a month that is over stays


def test_the_pages_of_a_list_are_of_one_day(sandbox):
    def page(k, limit=20):
        return query(sandbox, HASHTAGS, region="US", page=k, limit=limit).data["list"]

    def last_day(rows):
        return max(point["time"] for row in rows for point in row["trend"]) // 86400 - 20485  # 2026-02-01

    assert [last_day(page(k)) for k in (1, 2)] == [1, 1]
    assert last_day(page(1)) == 4  # again: three days later
    assert [last_day(page(k)) for k in (2, 3, 5)] == [4, 4, 4]  # and all others with it
    assert last_day(page(1, limit=10)) == 4  # another page
    assert last_day(page(3)) == 7
    assert last_day(page(2)) == 7
    assert last_day(query(sandbox, HASHTAGS, region="GB").data["list"]) == 1  # another list


def test_a_list_refreshed_unevenly_is_one_ranking(sandbox):
    for _ in range(5):
        query(sandbox, PRODUCTS, region="US", time_scope="7")
    rows = all_rows(sandbox, PRODUCTS, region="US", time_scope="7")
    posts = [row["post"] for row in rows]
    assert posts == sorted(posts, reverse=True)
    assert len({name_of(row) for row in rows}) == len(rows) == 179


def test_totals_only_grow(sandbox):
    ids = query(sandbox, PRODUCT, region="GB").data["info"]["posts"][:10]
    counts = ("total_views_cnt", "total_digg_cnt", "total_comments_cnt", "total_shares_cnt", "total_video_sale_cnt")
    before = query(sandbox, VIDEOS, video_ids=",".join(ids)).data
    for _ in range(4):
        after = query(sandbox, VIDEOS, video_ids=",".join(ids)).data
        for old, new in zip(before, after, strict=True):
            assert all(new[count] >= old[count] for count in counts)
        assert sum(row["total_views_cnt"] for row in after) > sum(row["total_views_cnt"] for row in before)
        before = after


def test_request_ids_are_uuids_counted_from_the_seed(sandbox):
    ids = [query(sandbox, HASHTAG).json["requestId"] for _ in range(3)]
    assert len(set(ids)) == 3
    assert all(re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", x) for x in ids)
    sandbox.reset()
    assert [query(sandbox, HASHTAG).json["requestId"] for _ in range(3)] == ids


def test_arithmetic_is_that_of_the_library_to_the_last_digits():
    for x in (-40.0, -1.5, -1e-9, 0.0, 0.3, 1.0, 7.25, 55.5):
        assert chance.exp(x) == pytest.approx(math.exp(x), rel=4e-16)
    for x in (1e-300, 0.01, 0.5, 0.999999, 1.0, 2.0, 12345.678, 1e200):
        assert chance.log(x) == pytest.approx(math.log(x), rel=4e-16, abs=1e-18)
    assert [chance.significant(x) for x in (0.4, 999.4, 1234, 9995, 48249, 20_000_001)] == [
        0, 999, 1230, 10000, 48200, 20_000_000,
    ]  # fmt: skip
    assert [json.dumps(chance.tidy(x)) for x in (1.0, 0.301, 4.9199)] == ["1", "0.3", "4.92"]


# ---- parameters, prices, refusals ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "params"),
    [
        (PRODUCTS, {"page": "0"}),
        (PRODUCTS, {"page": "first"}),
        (PRODUCTS, {"limit": "0"}),
        (PRODUCTS, {"limit": "-1"}),
        (PRODUCTS, {"time_scope": "2"}),
        (PRODUCTS, {"time_scope": "2025-09"}),
        (PRODUCTS, {"time_scope": "2026-03"}),
        (PRODUCTS, {"time_scope": "2025-13"}),
        (PRODUCTS, {"region": "us"}),
        (PRODUCTS, {"region": "UK"}),
        (PRODUCTS, {"region": "USA"}),
        (PRODUCTS, {"ecom_category_id": "perfume"}),
        (PRODUCT, {"id": "60158x"}),
        (PRODUCT, {"time_scope": "14"}),
        (HASHTAG, {"period": "8"}),
        (HASHTAG, {"hashtag_name": "two words"}),
        (HASHTAG, {"hashtag_name": "one,two"}),
        (SOUND, {"region": "all_regions"}),
        (SOUND, {"period": "365"}),
        (SOUND, {"clip_id": "7.4e18"}),
        (HASHTAGS, {"period": "1095"}),
        (HASHTAGS, {"new_to_top_100": "yes"}),
        (HASHTAGS, {"industry_id": "Sports"}),
        (SOUNDS, {"commercial_music": "1"}),
        (VIDEOS, {"video_ids": "abc"}),
        (VIDEOS, {"video_ids": "1,,2"}),
        (VIDEOS, {"video_ids": ",".join(str(k) for k in range(11))}),
        (VIDEOS, {}),
        (VIDEOS, {"video_ids": ""}),
        (VIDEOS, {"video_id": DEMO_VIDEO}),
    ],
)
def test_bad_values_are_refused_and_free(sandbox, path, params):
    answer = query(sandbox, path, **params)
    assert answer.status == 400
    assert set(answer.json) == {"code", "data", "message"}
    assert (answer.json["code"], answer.json["data"]) == (400, None)
    assert re.fullmatch(r"(Missing required|Invalid) parameter: \w+", answer.json["message"])
    assert sandbox.charged == 0


def test_a_misspelt_parameter_gets_the_data_of_the_default(sandbox):
    assert query(sandbox, HASHTAG, hashtagname="perfume").data == documented(HASHTAG)
    assert query(sandbox, PRODUCT, category_id="1", Id="2").data == documented(PRODUCT)


def test_what_is_allowed(sandbox):
    for params in ({"time_scope": "7"}, {"time_scope": "2025-10"}, {"time_scope": "2026-02"}, {"region": "NA"}):
        assert query(sandbox, PRODUCTS, **params).data["list"]
    for period, points in (("7", 7), ("30", 30), ("120", 17), ("365", 52), ("1095", 36)):
        assert len(query(sandbox, HASHTAG, hashtag_name="gymtok", period=period).data["info"]["trend"]) == points


def test_limits(sandbox):
    def sizes(**params):
        data = query(sandbox, PRODUCTS, region="US", **params).data
        return len(data["list"]), data["pagination"]

    assert sizes(limit="3") == (3, {"page": 1, "size": 3, "total": 156, "has_more": True})
    assert sizes(limit="100")[0] == sizes(limit="1000000")[0] == sizes(limit="9" * 30)[0] == 20
    assert sizes(page="8") == (16, {"page": 8, "size": 16, "total": 156, "has_more": False})
    assert sizes(page="9") == (0, {"page": 9, "size": 0, "total": 156, "has_more": False})
    sandbox.page_cap = 10
    assert sizes() == (10, {"page": 1, "size": 10, "total": 156, "has_more": True})
    assert sizes(limit="3")[0] == 3
    assert query(sandbox, PRODUCTS).data == documented(PRODUCTS)


def test_prices(sandbox):
    for price, path, params in (
        (2, PRODUCTS, {}),
        (2, PRODUCT, {}),
        (1, VIDEOS, {"video_ids": ",".join(str(k) for k in range(10))}),
        (2, HASHTAG, {"hashtag_name": "absent"}),
        (2, SOUND, {}),
        (2, HASHTAGS, {}),
        (2, SOUNDS, {}),
    ):
        before = sandbox.charged
        assert query(sandbox, path, **params).status == 200
        assert sandbox.charged - before == price
    assert [(route.path, route.credits) for route in ROUTES if route.credits == 1] == [(PREFIX + VIDEOS, 1)]


@pytest.mark.parametrize("token", [None, "", "   "])
def test_without_a_token(sandbox, token):
    answer = query(sandbox, HASHTAG, token=token)
    assert (answer.status, answer.json) == (401, {"code": 401, "data": None, "message": "apiKey is null"})
    basic = query(sandbox, HASHTAG, token=None, headers={"Authorization": "Basic abc"})
    assert basic.status == 401


def test_insisting_on_a_token():
    with Sandbox(token="right") as sandbox:
        assert query(sandbox, HASHTAG, token="right").status == 200
        assert query(sandbox, HASHTAG, token="wrong").status == 401


def test_paths_and_methods(sandbox):
    assert query(sandbox, "nothing/here").json == {"code": 404, "data": None, "message": "Not found"}
    assert query(sandbox, "/").status == 404
    for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD", "BREW"):
        answer = query(sandbox, HASHTAG, method=method)
        assert (answer.status, answer.headers["Allow"]) == (405, "GET")
        assert answer.headers[SOURCE_HEADER] == "sandbox"
    assert sandbox.charged == 0


def test_every_answer_says_who_it_is(sandbox):
    sandbox.faults.put(Fault(status=502, body=b"<html>bad gateway</html>", headers={"content-type": "text/html"}))
    fine = [query(sandbox, HASHTAG), query(sandbox, HASHTAG)]
    answers = [*fine, query(sandbox, HASHTAG, token=None), query(sandbox, "x")]
    assert [answer.status for answer in answers] == [502, 200, 401, 404]
    assert {answer.headers[SOURCE_HEADER] for answer in answers} == {"sandbox"}
    assert answers[0].headers.get_all("Content-Type") == ["text/html"]
    with socket.create_connection(("127.0.0.1", int(sandbox.url.rpartition(":")[2]))) as raw:
        raw.sendall(b"NONSENSE\r\n\r\n")
        said = raw.makefile("rb").read().decode()
    assert said.startswith("HTTP/1.1 400")
    assert f"{SOURCE_HEADER}: sandbox" in said


# ---- absence -------------------------------------------------------------------------------------------------------


def test_absent_ids(sandbox):
    hashtags = [query(sandbox, HASHTAG, hashtag_name=f"missing{k}").data for k in range(30)]
    sounds = [query(sandbox, SOUND, clip_id=f"{k}000000").data for k in range(7000, 7030)]
    products = [query(sandbox, PRODUCT, id=str(k)).data for k in range(111111, 111141)]
    for record, found in (("info", hashtags), ("sound", sounds), ("info", products)):
        assert {json.dumps(data) for data in found} == {
            "null", "{}", json.dumps({record: None}), json.dumps({record: {}}),
        }  # fmt: skip
    assert query(sandbox, HASHTAG, hashtag_name="absentminded").data in (None, {}, {"info": None}, {"info": {}})
    assert query(sandbox, VIDEOS, video_ids="7489287341782000000").data == []
    some = query(sandbox, VIDEOS, video_ids="7489287341782000000,9,8").data
    assert [row["video_id"] for row in some] == ["8", "9"]


def test_everything_else_exists(sandbox):
    for name in ("neverheardofit", "ราตรี", "2026", "na", "a" * 100, "🙂"):
        assert query(sandbox, HASHTAG, hashtag_name=name).data["info"]["hashtag_name"] == name
    assert query(sandbox, SOUND, clip_id="42").data["sound"]["clip_id"] == "42"
    (video,) = query(sandbox, VIDEOS, video_ids="7000000000000000001").data
    assert abs(int(video["create_time"]) - (7000000000000000001 >> 32)) < 10


# ---- knobs ---------------------------------------------------------------------------------------------------------


def test_credits_run_out(sandbox):
    sandbox.credits = 3
    assert query(sandbox, HASHTAG).status == 200
    answer = query(sandbox, HASHTAG)
    assert (answer.status, answer.json) == (402, {"code": 402, "data": None, "message": "apiKey quota is not enough"})
    assert sandbox.credits == 1
    assert query(sandbox, VIDEOS, video_ids="1").status == 200
    assert query(sandbox, VIDEOS, video_ids="1").status == 402
    sandbox.credits = None
    assert query(sandbox, HASHTAG).status == 200
    assert sandbox.charged == 5


def test_credits_are_never_overdrawn():
    with Sandbox(credits=21) as sandbox, ThreadPoolExecutor(16) as pool:
        statuses = list(pool.map(lambda k: query(sandbox, HASHTAG, hashtag_name=f"tag{k}").status, range(40)))
        assert Counter(statuses) == {200: 10, 402: 30}
        assert (sandbox.charged, sandbox.credits) == (20, 1)


def test_faults_come_one_per_request(sandbox):
    sandbox.faults.put(Fault(status=500))
    sandbox.faults.put(Fault(status=429, headers={"Retry-After": "3"}))
    sandbox.faults.put(Fault(inside_200=True, code=402))
    sandbox.faults.put(Fault(status=403, message="plan too small"))
    sandbox.faults.put(Fault(status=503, code=50004, message="no available es index"))
    answers = [query(sandbox, HASHTAG) for _ in range(6)]
    assert [(answer.status, answer.json["code"], answer.json["message"]) for answer in answers] == [
        (500, 500, "Internal server error"),
        (429, 429, "qps limit exceeded"),
        (200, 402, "apiKey quota is not enough"),
        (403, 403, "plan too small"),
        (503, 50004, "no available es index"),
        (200, 0, "success"),
    ]
    assert answers[1].headers["Retry-After"] == "3"
    assert sandbox.charged == 2
    assert answers[5].data == documented(HASHTAG)  # failures are no observations


def test_codes_that_are_no_status(sandbox):
    faults = (
        Fault(code=50004), Fault(code=404), Fault(code=0), Fault(code=302), Fault(code=50004, inside_200=True),
        Fault(code=0, inside_200=True), Fault(inside_200=True), Fault(status=429, inside_200=True),
    )  # fmt: skip
    for fault in faults:
        sandbox.faults.put(fault)
    answers = [query(sandbox, HASHTAG) for _ in faults]
    assert [(answer.status, answer.json["code"]) for answer in answers] == [
        (500, 50004), (404, 404), (500, 0), (500, 302), (200, 50004), (200, 0), (200, 500), (200, 429),
    ]  # fmt: skip
    assert answers[5].json == {"code": 0, "data": None, "message": "success"}
    assert sandbox.charged == 0


def test_broken_connections(sandbox):
    sandbox.faults.put(Fault(close="before"))
    with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
        query(sandbox, HASHTAG)
    sandbox.faults.put(Fault(close="before", charge=True))
    with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
        query(sandbox, HASHTAG)
    sandbox.faults.put(Fault(close="mid_body"))
    with pytest.raises((http.client.IncompleteRead, ConnectionResetError)):
        query(sandbox, HASHTAG)
    assert [(request.status, request.code, request.credits) for request in sandbox.requests] == [
        (None, None, 0), (None, None, 2), (200, 0, 2),
    ]  # fmt: skip


def test_a_late_answer_is_a_normal_one(sandbox):
    sandbox.faults.put(Fault(delay=0.15))
    sandbox.faults.put(Fault(status=200, charge=False))
    started = time.monotonic()
    assert query(sandbox, HASHTAG).data == documented(HASHTAG)
    assert time.monotonic() - started >= 0.15
    assert sandbox.charged == 2
    assert query(sandbox, HASHTAG).status == 200
    assert sandbox.charged == 2
    sandbox.latency = 0.1
    query(sandbox, HASHTAG)
    last = sandbox.requests[-1]
    assert 0.1 <= last.finished - last.started < 5


def test_raw_bodies(sandbox):
    nested = json.dumps({"code": 200, "data": {"code": 50004, "data": None}}).encode()
    sandbox.faults.put(Fault(body=nested, charge=True))
    sandbox.faults.put(Fault(body=b'{"code":0,"data"'))
    answers = [query(sandbox, HASHTAG) for _ in range(2)]
    assert [(answer.status, answer.body) for answer in answers] == [(200, nested), (200, b'{"code":0,"data"')]
    assert [(request.code, request.credits) for request in sandbox.requests] == [(200, 2), (None, 0)]


def test_rules_and_mutations(sandbox):
    sandbox.on_request = lambda path, params: Fault(status=500) if params.get("id") == "601583" else None
    assert query(sandbox, PRODUCT, id="601583").status == 500
    assert query(sandbox, PRODUCT, id="601450").status == 200
    sandbox.on_request = None

    def other_id(path, params, envelope):
        assert path == PREFIX + HASHTAG
        envelope["data"]["info"]["hashtag_name"] = f"not {params['hashtag_name']}"
        del envelope["requestId"]
        return envelope

    sandbox.mutate = other_id
    sandbox.extra_headers = {"Vary": "*", "Set-Cookie": "a=b"}
    answer = query(sandbox, HASHTAG, hashtag_name="perfume")
    assert answer.data["info"]["hashtag_name"] == "not perfume"
    assert "requestId" not in answer.json
    assert (answer.headers["Vary"], answer.headers["Set-Cookie"]) == ("*", "a=b")
    sandbox.mutate, sandbox.extra_headers = None, {}
    assert query(sandbox, HASHTAG).data == documented(HASHTAG)


def test_hooks_that_raise_are_an_answer_and_said_once(sandbox, capsys):
    sandbox.credits = 10
    sandbox.on_request = lambda path, params: 1 / 0
    answers = [query(sandbox, HASHTAG) for _ in range(2)]
    sandbox.on_request = None
    sandbox.mutate = lambda path, params, envelope: envelope["nothing"]
    answers += [query(sandbox, HASHTAG) for _ in range(2)]
    sandbox.mutate = lambda path, params, envelope: {"code": object()}
    answers.append(query(sandbox, HASHTAG))
    assert [(answer.status, answer.json["code"]) for answer in answers] == [(500, 500)] * 5
    assert answers[0].json["message"] == "on_request raised an exception: see the sandbox's stderr"
    assert (sandbox.charged, sandbox.credits) == (0, 10)
    said = capsys.readouterr().err
    assert (said.count("on_request raised"), said.count("mutate raised")) == (1, 1)
    assert "ZeroDivisionError" in said
    assert "KeyError: 'nothing'" in said
    sandbox.mutate = None
    assert query(sandbox, HASHTAG).status == 200


def test_requests_are_written_down_without_the_token(sandbox):
    query(sandbox, HASHTAG, token="secret-canary", hashtag_name="perfume", typo="x")
    query(sandbox, HASHTAG, token=None)
    first, second = sandbox.requests
    assert (first.path, first.params) == (PREFIX + HASHTAG, {"hashtag_name": "perfume", "typo": "x"})
    assert (first.status, first.code, first.credits, first.authorization) == (200, 0, 2, True)
    assert (second.status, second.code, second.credits, second.authorization) == (401, 401, 0, False)
    assert first.started <= first.finished <= second.started
    assert "secret-canary" not in repr(sandbox.requests) + repr(sandbox)
    with pytest.raises(FrozenInstanceError):
        first.credits = 0
    with pytest.raises(FrozenInstanceError):
        Fault().status = 1


def test_reset(sandbox):
    sandbox.credits = 50
    query(sandbox, HASHTAG)
    sandbox.faults.put(Fault(status=500))
    sandbox.reset()
    assert (sandbox.charged, sandbox.requests, sandbox.credits) == (0, [], 48)
    assert query(sandbox, HASHTAG).data == documented(HASHTAG)


# ---- the server ----------------------------------------------------------------------------------------------------


def test_each_response_is_one_send_without_nagle(sandbox, monkeypatch):
    writes = []
    original = socketserver._SocketWriter.write

    def write(self, data):
        writes.append((len(data), self._sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)))
        return original(self, data)

    monkeypatch.setattr(socketserver._SocketWriter, "write", write)
    answers = [query(sandbox, HASHTAGS), query(sandbox, VIDEOS), query(sandbox, HASHTAG, method="POST")]
    assert len(writes) == 3
    for (length, no_delay), answer in zip(writes, answers, strict=True):
        assert no_delay
        assert length > len(answer.body) == int(answer.headers["Content-Length"])


@pytest.mark.parametrize("body", [b"GET /x HTTP/1.1\r\n\r\n", b"x" * 300_000])
def test_a_body_is_not_the_next_request(sandbox, body):
    connection = http.client.HTTPConnection(sandbox.url.removeprefix("http://"), timeout=10)
    for method in ("GET", "POST", "GET", "GET"):
        connection.request(method, PREFIX + HASHTAG, body=body, headers={"Authorization": "Bearer x"})
        response = connection.getresponse()
        assert (response.status, len(response.read()) > 0) == (405 if method == "POST" else 200, True)
    connection.request("GET", PREFIX + HASHTAG, body=iter([body]), headers={"Authorization": "Bearer x"})
    response = connection.getresponse()  # chunked
    assert (response.status, response.headers["Connection"]) == (200, "close")
    connection.close()
    assert [request.path for request in sandbox.requests] == [PREFIX + HASHTAG] * 5


@pytest.mark.parametrize("target", ["http://[bad/", "//[::1/v1", "http://[bad]x/?a=b"])
def test_a_malformed_target_is_answered(sandbox, target, capsys):
    with socket.create_connection(("127.0.0.1", int(sandbox.url.rpartition(":")[2])), timeout=10) as raw:
        raw.sendall(f"GET {target} HTTP/1.1\r\nAuthorization: Bearer x\r\nConnection: close\r\n\r\n".encode())
        said = raw.makefile("rb").read().decode()
    assert said.startswith(("HTTP/1.1 400", "HTTP/1.1 404"))
    assert json.loads(said.partition("\r\n\r\n")[2])["data"] is None
    assert len(sandbox.requests) == 1
    assert capsys.readouterr().err == ""


def test_connections_stay_open(sandbox):
    connection = http.client.HTTPConnection(sandbox.url.removeprefix("http://"), timeout=10)
    connection.connect()
    port = connection.sock.getsockname()[1]
    for _ in range(3):
        connection.request("GET", PREFIX + HASHTAG, headers={"Authorization": "Bearer x"})
        assert connection.getresponse().read()
        assert connection.sock.getsockname()[1] == port
    connection.close()


def test_sixty_four_at_once(sandbox):
    sandbox.latency = 0.2
    gate = threading.Barrier(64)

    def one(k):
        gate.wait()
        return query(sandbox, HASHTAG, hashtag_name=f"tag{k}").status

    started = time.monotonic()
    with ThreadPoolExecutor(64) as pool:
        assert list(pool.map(one, range(64))) == [200] * 64
    assert time.monotonic() - started < 5
    assert sandbox.charged == 128


def test_life_of_a_server():
    server = Sandbox()
    with pytest.raises(RuntimeError, match="not running"):
        _ = server.url
    assert "not running" in repr(server)
    server.close()
    assert server.start() is server
    url = server.url
    assert server.start().url == url
    assert url.startswith("http://127.0.0.1:")
    with socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2]))) as idle:
        server.close()
        server.close()
        with contextlib.suppress(ConnectionResetError):
            assert idle.recv(1) == b""
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])), timeout=1)
    with server:
        assert query(server, HASHTAG).status == 200


def test_closing_does_not_wait_for_late_answers():
    server = Sandbox(latency=30).start()
    with ThreadPoolExecutor(1) as pool:
        late = pool.submit(query, server, HASHTAG)
        time.sleep(0.1)
        started = time.monotonic()
        server.close()
        assert isinstance(late.exception(), ConnectionError)
    assert time.monotonic() - started < 3
    assert server.charged == 0


def test_a_taken_port_is_an_error(sandbox):
    with pytest.raises(OSError):
        Sandbox(port=int(sandbox.url.rpartition(":")[2])).start()


@pytest.mark.skipif(os.name != "posix", reason="Ctrl-C is sent as a signal")
def test_command_line():
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        [sys.executable, "-m", "keyapi_research.sandbox", "--port", "0", "--page-cap", "10", "--credits", "9"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        head = [process.stdout.readline() for _ in range(4)]
        url = re.search(r"http://127\.0\.0\.1:\d+", head[0]).group()
        assert head[2].strip() == "import keyapi_research as kr"
        store = "sandbox-world-1-seed-1.sqlite"
        assert head[3].strip() == f'kr.connect(base_url="{url}", token="sandbox", store="{store}")'
        running = type("Running", (), {"url": url})
        assert len(query(running, HASHTAGS).data["list"]) == 10
        process.send_signal(signal.SIGINT)
        out, errors = process.communicate(timeout=20)
    finally:
        process.kill()
        process.wait()
    assert "2 credits charged for 1 requests" in out
    assert errors == ""
    assert process.returncode == 0


def test_command_line_refuses_what_it_does_not_know(capsys):
    with pytest.raises(SystemExit):
        main(["--nonsense"])
    assert "usage: python -m keyapi_research.sandbox" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("--port 65536", "--port is a number from 0 (any free one) to 65535, not 65536"),
        ("--port=-1", "--port is a number from 0 (any free one) to 65535, not -1"),
        ("--latency=-0.5", "--latency is a number of seconds from 0 to 3600, not -0.5"),
        ("--latency nan", "--latency is a number of seconds from 0 to 3600, not nan"),
        ("--latency inf", "--latency is a number of seconds from 0 to 3600, not inf"),
        ("--page-cap 0", "--page-cap is at least 1 row, not 0"),
        ("--credits=-1", "--credits is at least 0 (leave it out for an endless account), not -1"),
        ("--seed a/b", "--seed is 1 to 40 letters, digits, dots, hyphens or underscores, not 'a/b'"),
    ],
)
def test_command_line_says_what_is_wrong(given, said, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(given.split())
    assert stopped.value.code == 2
    assert capsys.readouterr().err.splitlines()[-1] == f"python -m keyapi_research.sandbox: error: {said}"


def test_command_line_says_that_the_port_is_taken(sandbox, capsys):
    port = sandbox.url.rpartition(":")[2]
    with pytest.raises(SystemExit):
        main(["--port", port])
    said = capsys.readouterr().err.splitlines()[-1]
    assert f"error: port {port} cannot be used (" in said
    assert said.endswith("): choose another with --port, or 0 for a free one")


def test_public_signatures():
    assert str(inspect.signature(Sandbox)).replace("'", "") == (
        "(*, port: int = 0, seed: int | str = 1, token: str | None = None, latency: float = 0.0,"
        " page_cap: int = 20, credits: int | None = None) -> None"
    )
    assert [field.name for field in fields(Request)] == [
        "path", "params", "status", "code", "credits", "started", "finished", "authorization",
    ]  # fmt: skip


# ---- the world: categories -----------------------------------------------------------------------------------------


def test_catalogue():
    levels = Counter(category.level for category in categories())
    assert levels["l1"] == 28
    assert levels["l2"] > 100
    assert 450 <= levels["l3"] <= 500
    assert len(by_id()) == len(categories())
    assert all(re.fullmatch(r"\d{6}", category.id) for category in categories())
    assert by_id()["601583"].path == (
        ("601450", "Beauty & Personal Care"), ("848648", "Makeup & Perfume"), ("601583", "Perfume"),
    )  # fmt: skip
    assert (by_id()["700437"].name, by_id()["601152"].name) == ("Food & Beverages", "Womenswear")


@pytest.mark.parametrize(
    ("region", "scope", "total"), [("US", "1", 156), ("US", "7", 179), ("GB", "30", 104), ("NA", "1", 8)]
)
def test_rankings(sandbox, region, scope, total):
    rows = all_rows(sandbox, PRODUCTS, region=region, time_scope=scope)
    assert len(rows) == total
    assert len({name_of(row) for row in rows}) == total
    documented_row = documented(PRODUCTS)["list"][0]
    for row in rows:
        third = row["ecom_type"] == "l3"
        assert set(row) == set(documented_row) - (set() if third else {"third_ecom_category"})
        assert all(len(str(row[key]).rstrip("0")) <= 3 for key in ("post", "impression", "cost"))
        assert row["post"] >= 1
        assert (row["cvr"] == 0) == (row["cpa"] == 0)
        assert row["second_ecom_category"]["parent_id"] == row["first_ecom_category"]["id"]
        if third:
            assert row["third_ecom_category"]["parent_id"] == row["second_ecom_category"]["id"]
            assert row["third_ecom_category"]["label"] == f"category_{row['third_ecom_category']['id']}"
    changes = [row["post_change"] for row in rows]
    assert min(changes) < 0 < max(changes)


def test_rankings_have_second_level_rows_and_rows_without_conversions(sandbox):
    rows = all_rows(sandbox, PRODUCTS, region="all_regions", time_scope="1", limit=10)
    assert 10 < sum(row["ecom_type"] == "l2" for row in rows) < 50
    assert 1 <= sum(row["cvr"] == 0 for row in rows) < 50


def test_ranking_filters(sandbox):
    perfume = all_rows(sandbox, PRODUCTS, search_keyword="PERFUME")
    assert name_of(perfume[0]) == "Perfume"
    assert all("Perfume" in json.dumps(row) for row in perfume)
    assert all_rows(sandbox, PRODUCTS, search_keyword="no such thing") == []
    for level, identifier in (("first", "601450"), ("second", "848648"), ("third", "601583")):
        rows = all_rows(sandbox, PRODUCTS, ecom_category_id=identifier)
        assert rows
        assert {row[f"{level}_ecom_category"]["id"] for row in rows} == {identifier}
    assert len(rows) == 1
    assert all_rows(sandbox, PRODUCTS, ecom_category_id="123456") == []


def test_details_of_categories(sandbox):
    empty = 0
    for category in categories()[::25]:
        info = query(sandbox, PRODUCT, id=category.id, region="US", time_scope="30").data["info"]
        assert info["ecom_type"] == category.level
        assert [key for key in ("first", "second", "third") if f"{key}_ecom_category" in info] == (
            ["first", "second", "third"][: len(category.path)]
        )
        assert sum(row["score"] for row in info["audience_ages"]) == 100
        assert sorted(row["age_level"] for row in info["audience_ages"]) == [18, 25, 35, 45, 55]
        scores = [row["score"] for row in info["audience_ages"]]
        assert scores == sorted(scores, reverse=True)
        assert all(row["interest_info"]["label"].startswith("label_") for row in info["audience_interests"])
        empty += info["audience_interests"] == []
        assert len(info["hashtags"]) == 5
        assert 3 <= len(info["posts"]) <= 50
        assert len(set(info["posts"])) == len(info["posts"])
        assert all(re.fullmatch(r"\d{19}", post) for post in info["posts"])
    assert 0 < empty < 20


def test_what_a_category_names_is_known(sandbox):
    data = query(sandbox, PRODUCT, id=by_name("Air Fryers").id, region="TH", time_scope="7").data["info"]
    posts, found = data["posts"], []
    for start in range(0, len(posts), 10):
        found += query(sandbox, VIDEOS, video_ids=",".join(posts[start : start + 10])).data
    assert {row["video_id"] for row in found} == set(posts)
    for row in found:
        assert 0 <= int(row["create_time"]) - (int(row["video_id"]) >> 32) <= 8
    assert Counter(row["region"] for row in found).most_common(1)[0][0] == "TH"
    for name in data["hashtags"]:
        assert query(sandbox, HASHTAG, hashtag_name=name).data["info"]["hashtag_name"] == name


def test_a_refresh_changes_a_few_posts_only(sandbox):
    first, second = (set(query(sandbox, PRODUCT, region="US", id="601450").data["info"]["posts"]) for _ in range(2))
    assert 0 < len(first - second) <= 4


# ---- the world: videos ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def videos():
    """Return 1,000 videos of twenty categories, as an analysis would gather them."""
    names = (
        "Perfume", "Mascara", "Face Serum", "Leggings", "Casual Dresses", "Women's Jeans", "Phone Cases", "Earbuds",
        "Power Banks", "Cat Toys", "Dog Treats", "Cat Litter", "Matcha", "Gummies", "Hot Sauce", "Novels", "Manga",
        "Cordless Drills", "Adhesives", "Tape Measures",
    )  # fmt: skip
    rows = []
    with Sandbox() as sandbox:
        for name in names:
            category = by_name(name)
            posts = query(sandbox, PRODUCT, id=category.id, region="US", time_scope="30").data["info"]["posts"]
            for start in range(0, 50, 10):
                found = query(sandbox, VIDEOS, video_ids=",".join(posts[start : start + 10])).data
                rows += [{**row, "l1": category.l1_id} for row in found]
    assert len(rows) == 1000
    return rows


def test_rows_of_videos(videos):
    documented_row = documented(VIDEOS)[0]
    for row in videos:
        assert set(row) == {*documented_row, "l1"}
        assert all(isinstance(row[key], str) for key in ("create_time", "data_size", "height", "width", "video_id"))
        assert row["created_by_ai"] in {"true", "false"}
        for kind in ("views", "digg"):
            one, week, month = (row[f"total_{kind}_{days}d_cnt"] for days in (1, 7, 30))
            assert 0 <= one <= week <= month <= row[f"total_{kind}_cnt"]
        assert row["total_digg_cnt"] <= row["total_views_cnt"]
        assert row["sales_flag"] in {0, 1, 2}
        assert (row["total_video_sale_cnt"] == 0) == (row["total_video_sale_gmv_amt"] == 0)
        assert row["sales_flag"] or row["total_video_sale_cnt"] == 0
        assert row["total_favorites_cnt"] == -99999 or row["total_favorites_cnt"] >= 0
    assert any(isinstance(row["total_video_sale_gmv_amt"], float) for row in videos)


def test_oddities_of_videos(videos):
    def share(odd):
        return sum(map(odd, videos)) / len(videos)

    assert share(lambda row: row["total_favorites_cnt"] == -99999) == pytest.approx(0.15, abs=0.04)
    assert share(lambda row: row["region"] == "") == pytest.approx(0.18, abs=0.04)
    assert share(lambda row: row["video_desc"] == "") == pytest.approx(0.02, abs=0.015)
    assert share(lambda row: row["video_desc"][:1] in set("=+-@")) == pytest.approx(0.02, abs=0.015)
    assert share(lambda row: "\n" in row["video_desc"]) == pytest.approx(0.1, abs=0.04)
    assert share(lambda row: any(ord(letter) > 0x1F000 for letter in row["video_desc"])) > 0.2
    assert share(lambda row: 0 < row["total_views_cnt"] == row["total_views_30d_cnt"]) > 0.01


def test_rows_come_by_id_each_once(sandbox):
    ids = ["7489287341782207752", "7322538146644757803", "7489287341782207752", "7437358276766878984"]
    rows = query(sandbox, VIDEOS, video_ids=",".join(ids)).data
    assert [row["video_id"] for row in rows] == ["7322538146644757803", "7437358276766878984", "7489287341782207752"]


def fitted(videos):
    """Return the coefficients of a regression of log engagement, and their standard errors."""
    today = 1770076800  # 2026-02-03
    kinds = sorted({row["l1"] for row in videos})
    lines, goal = [], []
    for row in videos:
        posted = int(row["create_time"])
        acts = row["total_digg_cnt"] + row["total_comments_cnt"] + row["total_shares_cnt"]
        goal.append(math.log(acts / row["total_views_cnt"]))
        lines.append(
            [
                math.log(row["duration"]),
                float(17 <= posted // 3600 % 24 <= 21),
                float(row["created_by_ai"] == "true"),
                math.log((today - posted) / 86400),
                *(float(row["l1"] == kind) for kind in kinds),
            ]
        )
    x, y = np.array(lines), np.array(goal)
    coefficients, *_ = np.linalg.lstsq(x, y, rcond=None)
    rest = y - x @ coefficients
    error = np.sqrt(np.diag(np.linalg.inv(x.T @ x)) * (rest @ rest) / (len(y) - x.shape[1]))
    return coefficients[:4], error[:4], dict(zip(kinds, coefficients[4:], strict=True))


def test_what_makes_a_video_work_can_be_found(videos):
    planted = np.array(
        [effects.DURATION_SLOPE, math.log(effects.EVENING_LIFT), math.log(effects.AI_FACTOR), effects.AGE_SLOPE]
    )
    found, error, kinds = fitted(videos)
    assert np.all(np.abs(found - planted) < 3.2 * error)
    assert np.all(np.abs(found) > 4 * error)
    assert kinds["602118"] > kinds["700437"] > kinds["601152"] > kinds["601739"]  # pets, food, clothes, electronics


def test_views_have_a_heavy_tail(videos):
    views = sorted(row["total_views_cnt"] for row in videos)
    assert sum(views[-100:]) > 0.5 * sum(views)
    assert 150_000 < views[500] < 450_000


def test_no_day_has_far_more_videos_than_its_neighbours():
    posted = Counter(
        (int(video_id("1", category, region, k)) >> 32) // 86400
        for category in categories()[::4] for region in ("all_regions", "US") for k in range(60)
    )  # fmt: skip
    total, last = sum(posted.values()), 20485  # 2026-02-01
    assert max(posted) == last
    assert posted[last] / total < 0.01
    assert posted[last] < 1.4 * np.mean([posted[last - day] for day in range(1, 7)])


def test_sales_differ_by_category(videos):
    def share(l1):
        flags = [row["sales_flag"] > 0 for row in videos if row["l1"] == l1]
        return sum(flags) / len(flags)

    assert share("601450") == pytest.approx(0.58, abs=0.12)
    assert share("602118") == pytest.approx(0.20, abs=0.12)
    assert share("801928") == pytest.approx(0.12, abs=0.10)


# ---- the world: planted in rankings --------------------------------------------------------------------------------


def test_opportunities_traps_and_valentine_can_be_found(sandbox):
    rows = {name_of(row): row for row in all_rows(sandbox, PRODUCTS, region="US", time_scope="7")}
    assert set(effects.OPPORTUNITIES) < set(rows)

    def median(key, names):
        return float(np.median([rows[name][key] for name in names if name in rows]))

    rest = set(rows) - {*effects.OPPORTUNITIES, *effects.TRAPS}
    assert median("ctr", effects.OPPORTUNITIES) / median("ctr", rest) == pytest.approx(1.6, rel=0.25)
    assert median("cvr", effects.OPPORTUNITIES) / median("cvr", rest) == pytest.approx(1.8, rel=0.25)
    assert median("cpa", effects.OPPORTUNITIES) / median("cpa", rest) == pytest.approx(0.35, rel=0.35)
    assert median("cpa", effects.TRAPS) / median("cpa", rest) == pytest.approx(3.2, rel=0.4)
    best = sorted(rows, key=lambda name: -rows[name]["ctr"] * rows[name]["cvr"])[:8]
    assert len(set(best) & set(effects.OPPORTUNITIES)) >= 4
    assert set(sorted(rows, key=lambda name: -rows[name]["post"])[:8]) >= set(effects.TRAPS)
    assert median("post_change", effects.SEASONAL_CATEGORIES["valentine"]) == pytest.approx(30, abs=8)
    assert abs(median("post_change", rest)) < 3


def test_seasons_move_months(sandbox):
    def posts(scope):
        data = query(sandbox, PRODUCTS, time_scope=scope, ecom_category_id=by_name("Board Games").id).data
        return data["list"][0]["post"]

    assert posts("2025-12") > 1.3 * posts("2025-10")


def all_of(seed, n, scope, region="US"):
    """Return all rows of a ranking by name, without a server."""
    asked = {"time_scope": scope, "region": region, "search_keyword": "FALSE", "ecom_category_id": None, "limit": "20"}
    pages = [world.answer(seed, PRODUCTS, {**asked, "page": str(page)}, n, page_cap=20) for page in range(1, 26)]
    return {name_of(row): row for page in pages for row in page["list"]}


def changes(before, after):
    """Return the stated change and that of the posts themselves, of rows whose posts are told exactly enough."""
    common = [name for name in after if name in before and before[name]["post"] >= 500]
    stated = np.array([after[name]["post_change"] for name in common])
    return common, stated, np.array([100 * (after[name]["post"] / before[name]["post"] - 1) for name in common])


@pytest.mark.parametrize(
    ("earlier", "later"),
    [((1, "2025-12"), (1, "2026-01")), ((1, "2025-11"), (1, "2025-12")), ((1, "30"), (11, "30"))],
)
def test_the_change_is_that_of_the_posts(earlier, later):
    names, stated, real = changes(all_of("1", *earlier), all_of("1", *later))
    assert len(names) > 60
    # Posts are told in three digits: each of the two at most 0.5 % off; the rest is noise of half a point.
    assert np.abs(stated - real).max() < 4
    usual = [name not in SEASONAL for name in names]
    assert np.corrcoef(stated[usual], real[usual])[0, 1] > 0.97


def test_opportunities_grow_in_their_posts():
    grown = []
    for seed in ("1", "2", "3"):
        names, stated, real = changes(all_of(seed, 1, "2025-12"), all_of(seed, 1, "2026-01"))
        planted = [name in effects.OPPORTUNITIES for name in names]
        usual = [name not in {*SEASONAL, *effects.OPPORTUNITIES, *effects.TRAPS} for name in names]
        grown.append([np.mean(which[planted]) - np.median(which[usual]) for which in (stated, real)])
    # Noise of 2.5 points for each of 18 categories: 0.6 for their mean.
    assert np.mean(grown, axis=0) == pytest.approx([8.0, 8.0], abs=2.2)


def test_large_seasonal_categories_move_like_small_ones():
    # From November to December the mean season of "christmas" goes from 1.35 to 2.25 or so.
    for seed in ("1", "2", "3"):
        _, stated, real = changes(*({name: row for name, row in all_of(seed, 1, scope, "all_regions").items()
                                     if name in effects.SEASONAL_CATEGORIES["christmas"]}
                                    for scope in ("2025-11", "2025-12")))  # fmt: skip
        assert len(real) == 5
        assert np.ptp(real) < 30
        assert np.abs(stated - real).max() < 4


def test_a_month_under_way_has_the_posts_of_its_days():
    month, day, full = (all_of("1", 1, scope) for scope in ("2026-02", "1", "2026-01"))
    to_day = [month[name]["post"] / day[name]["post"] for name in month if name in day and day[name]["post"] >= 100]
    assert np.median(to_day) == pytest.approx(1.9, abs=0.15)  # 2026-02-01 and 02
    to_full = [month[name]["post"] / full[name]["post"] for name in month if name in full and month[name]["post"] > 99]
    assert np.median(to_full) == pytest.approx(0.077, abs=0.01)
    assert len(day) < len(month) < len(full)
    later = all_of("1", 10, "2026-02")  # 2026-03-02: all over
    grown = [later[name]["post"] / month[name]["post"] for name in month if month[name]["post"] > 99]
    assert np.median(grown) == pytest.approx(11.8, abs=0.7)  # 28 days, not 2


def test_a_month_that_is_over_has_no_later_videos(sandbox):
    november = 1761955200
    for name in ("Perfume", "Air Fryers", "Novels"):
        posts = query(sandbox, PRODUCT, id=by_name(name).id, region="US", time_scope="2025-10").data["info"]["posts"]
        assert len(posts) == 50
        assert max(int(post) >> 32 for post in posts) < november


# ---- the world: hashtags and sounds --------------------------------------------------------------------------------


def test_details_of_hashtags(sandbox):
    names = [f"tag{k}" for k in range(150)]
    found = [query(sandbox, HASHTAG, hashtag_name=name, region="US").data["info"] for name in names]
    usual = set(documented(HASHTAG)["info"])
    for name, info in zip(names, found, strict=True):
        assert set(info) | {"industry_info"} == usual
        assert info["hashtag_name"] == name
        assert re.fullmatch(r"\d{16}|\d{19}", info["hashtag_id"])
        assert info["country_info"] == {"id": "US", "value": "United States", "label": "US"}
        assert info["publish_cnt"] <= info["publish_cnt_all"]
        assert info["video_views"] <= info["video_views_all"]
        assert info["longevity"] == {"popular_days": 0, "current_popularity": 0}
        assert all(0 <= point["value"] <= 1 for point in info["trend"])
        if info["audience_ages"]:
            assert sorted(row["age_level"] for row in info["audience_ages"]) == [3, 4, 5]
            assert sum(row["score"] for row in info["audience_ages"]) == 100
        for row in info["audience_interests"]:
            assert row["interest_info"]["label"] == f"diversify_{row['interest_info']['id']}"
        for row in info["audience_countries"]:
            assert countries()[row["country_info"]["label"]].geonames_id == row["country_info"]["id"]
        assert len(info["related_hashtags"]) == 5

    def share(odd):
        return sum(map(odd, found)) / len(found)

    assert share(lambda info: "industry_info" not in info) == pytest.approx(0.12, abs=0.07)
    assert share(lambda info: info["audience_ages"] is None) == pytest.approx(0.05, abs=0.045)
    assert share(lambda info: len(info["trend"]) < 7) == pytest.approx(0.045, abs=0.04)
    assert share(lambda info: max([p["value"] for p in info["trend"]], default=1) == 1) > 0.9
    assert len({info["hashtag_id"] for info in found}) == 150


def test_longer_periods_hold_more(sandbox):
    counts = [
        query(sandbox, HASHTAG, hashtag_name="booktok", period=str(period)).data["info"]["publish_cnt"]
        for period in (7, 30, 120, 365, 1095)
    ]
    assert counts == sorted(counts)


def test_totals_of_hashtags_grow_by_what_is_posted():
    for name in ("studytok", "drtok", "examseason", "perfumetok", "valentinesday", "grammys2026", "tag7", "ufc324"):
        asked = {"hashtag_name": name, "region": "all_regions", "period": "7"}
        found = [world.answer("1", HASHTAG, asked, n, page_cap=20)["info"] for n in range(1, 31)]
        for before, after in pairwise(found):
            added = after["publish_cnt_all"] - before["publish_cnt_all"]
            # The last three of the seven days: some posts, and no more than the week has.
            assert 0 < added <= after["publish_cnt"] + 1
            assert after["video_views_all"] > before["video_views_all"]


def of_hashtag(name, *, seed="1", n=1, region="all_regions", period="7"):
    asked = {"hashtag_name": name, "region": region, "period": period}
    return world.answer(seed, HASHTAG, asked, n, page_cap=20)["info"]


def of_sound(clip_id, *, seed="1", n=1, region="US", period="7"):
    asked = {"clip_id": clip_id, "region": region, "period": period}
    return world.answer(seed, SOUND, asked, n, page_cap=20)["sound"]


PLANTED = (*(name for family in effects.FAMILIES.values() for name in family), *effects.SEASONAL_HASHTAGS)


def test_what_is_planted_is_free_of_oddities():
    for seed in ("1", "2", "3", "4"):
        for name in PLANTED:
            for region, period in (("all_regions", "7"), ("US", "30"), ("GB", "120")):
                found = [of_hashtag(name, seed=seed, region=region, period=period)]
                if name == effects.TWIN_HASHTAG and region != "all_regions":
                    found.append(of_sound(effects.TWIN_SOUND, seed=seed, region=region, period=period))
                assert "industry_info" in found[0], name
                for info in found:
                    assert len(info["audience_ages"]) == 3
                    for which in ("audience_interests", "audience_countries"):
                        scores = [row["score"] for row in info[which]]
                        assert scores == sorted(set(scores), reverse=True), (seed, name, region, period)
                        assert len(scores) >= 4


def test_lists_have_all_families_and_repeat_none_that_is_planted():
    again = Counter()
    for region in list(countries())[::8]:
        for period in ("7", "30", "120"):
            asked = {"region": region, "period": period, "industry_id": "nothing", "new_to_top_100": "false"}
            names = Counter()
            for page in range(1, 6):
                rows = world.answer("1", HASHTAGS, {**asked, "page": str(page), "limit": "20"}, 1, page_cap=20)["list"]
                names.update(row["hashtag_name"] for row in rows)
            assert names.total() == 100
            assert set(names) > {name for family in effects.FAMILIES.values() for name in family}, (region, period)
            again.update(name for name, count in names.items() if count == 2)
    assert again.total() > 10
    assert not set(again) & set(PLANTED)


def test_three_years_hold_more_than_one():
    for name in industry_of_hashtag():
        if name == "ufc324":  # it began with its event
            continue
        year, three, ever = (
            of_hashtag(name, period="365")["publish_cnt"],
            *(of_hashtag(name, period="1095")[key] for key in ("publish_cnt", "publish_cnt_all")),
        )
        assert year < three < ever, name


def test_other_answers_about_what_is_documented_agree_with_it():
    def last_week(rows):
        found = [row["value"] for row in rows if 1769472000 <= row["time"] <= 1769990400]
        return [value / max(found) for value in found]

    hashtag = of_hashtag("ufc324", period="30")
    assert last_week(hashtag["trend"]) == pytest.approx([1, 0.7, 0.48, 0.31, 0.26, 0.25, 0.3], abs=0.02)
    assert [row["value"] for row in of_hashtag("ufc324", n=2)["trend"][:4]] == [1, 0.84, 0.81, 0.97]  # from 01-30
    assert 0 < of_hashtag("ufc324", n=2)["publish_cnt_all"] - 34146 < 12142
    assert of_hashtag("ufc324", period="30")["publish_cnt"] > 12142
    sound = of_sound("6703723351497508865", period="30")
    assert last_week(sound["trend"]) == pytest.approx([0.06, 0.05, 0.31, 0.3, 0.1, 0.36, 1], abs=0.02)
    assert sound["audience_ages"] is None
    ufc, new_sun = documented(HASHTAG)["info"], documented(SOUND)["sound"]
    for info, told in ((hashtag, ufc), (of_hashtag("ufc324", n=3), ufc), (sound, new_sun)):
        kinds = (("audience_countries", "country_info", 8), ("audience_interests", "interest_info", 4))
        for which, kind, least in kinds:
            scores = {row[kind]["id"]: row["score"] for row in told[which]}
            found = {row[kind]["id"]: row["score"] for row in info[which]}
            assert len(found) >= least
            assert all(0.85 < score / scores[key] < 1.15 for key, score in found.items())


def test_names_of_categories_are_hashtags_of_their_industry():
    # By the name of a second-level category; "Skincare" and its like are hashtags of their own.
    for name, industry in (("haircare", 14), ("petfurniture", 19), ("cookware", 18), ("makeuptools", 14)):
        assert industry_of_hashtag().get(name) is None or industry_of_hashtag()[name] == industry
        for seed in ("1", "2", "3"):
            assert _industry(seed, name) == (industry, True), name


def test_the_twin_sound_is_of_the_industry_of_its_family():
    beauty = {category.id for category in categories() if category.l1_id == "601450"}
    for seed in ("1", "2", "3"):
        items = of_sound(effects.TWIN_SOUND, seed=seed)["related_items"]
        pool = {video_id(seed, by_id()[identifier], "US", k) for identifier in beauty for k in range(128)}
        assert len(items) >= 3
        assert {str(item["item_id"]) for item in items} <= pool


def test_nothing_is_older_than_what_it_is_made_of(sandbox, videos):
    rows = [*videos, *query(sandbox, VIDEOS, video_ids="6399000000000000001,6900000000000000001,5").data]
    assert all(int(row["user_id"]) >> 32 < int(row["create_time"]) for row in rows)
    rows = all_rows(sandbox, SOUNDS, "sound_list")
    checked = 0
    for row in rows:
        for item in row["related_items"] or ():
            checked += 1
            assert item["item_id"] >> 32 > int(row["clip_id"]) >> 32
    assert checked > 200


def test_weekends_and_growth_are_even():
    lifts, growth = [], []
    for k in range(400):
        curve = Curve("1", f"tag{k}", "US")
        lifts.append(curve._weekend)
        growth.append(curve._growth)
    assert (np.mean(lifts), np.mean(growth)) == pytest.approx((1, 0), abs=0.06)
    assert (min(lifts), max(lifts)) == pytest.approx((0.8, 1.2), abs=0.02)
    assert (min(growth), max(growth)) == pytest.approx((-0.6, 0.6), abs=0.05)


def test_steps_of_trends(sandbox):
    def steps(period):
        times = [
            p["time"] for p in query(sandbox, HASHTAG, hashtag_name="gymtok", period=str(period)).data["info"]["trend"]
        ]
        return times[-1], {b - a for a, b in pairwise(times)}

    day = 86400
    assert steps(7) == steps(30) == (1769990400, {day})  # 2026-02-02
    assert steps(120) == steps(365) == (1769817600, {7 * day})  # Saturday 2026-01-31
    assert steps(1095) == (1769904000, {28 * day, 29 * day, 30 * day, 31 * day})  # 2026-02-01


def test_countries_have_their_geonames_ids():
    known = {
        row["country_info"]["label"]: row["country_info"] for row in documented(HASHTAG)["info"]["audience_countries"]
    }
    known |= {
        row["country_info"]["label"]: row["country_info"] for row in documented(SOUND)["sound"]["audience_countries"]
    }
    assert len(known) == 16
    for code, info in known.items():
        assert (countries()[code].geonames_id, countries()[code].name) == (info["id"], info["value"])
    assert (countries()["NA"].geonames_id, countries()["US"].geonames_id) == ("3355338", "6252001")
    assert len({country.geonames_id for country in countries().values()}) == len(countries()) == 119


def series(sandbox, name, **params):
    if name.isdigit():
        trend = query(sandbox, SOUND, clip_id=name, **params).data["sound"]["trend"]
    else:
        trend = query(sandbox, HASHTAG, hashtag_name=name, **params).data["info"]["trend"]
    return np.array([point["value"] for point in trend], dtype=float)


def test_families_travel_together(sandbox):
    families = list(effects.FAMILIES.values())
    found = {name: series(sandbox, name, period="30", region="US") for family in families for name in family}
    for family in families:
        within = np.corrcoef([found[name] for name in family])
        assert within.min() > 0.9
    assert np.corrcoef(found["perfumetok"], found["runtok"])[0, 1] < 0
    peak = int(np.argmax(np.mean([found[name] for name in families[0]], axis=0)))
    assert 29 - peak == 4  # 2026-01-29, the last point being 02-02


def test_the_twin_sound_leads_its_family_and_shares_its_audience(sandbox):
    hashtag = series(sandbox, "perfumetok", period="120", region="US")
    assert len(hashtag) == 17
    daily = series(sandbox, effects.TWIN_SOUND, period="30", region="US")
    family = np.mean([series(sandbox, name, period="30", region="US") for name in effects.FAMILIES["perfume"]], axis=0)
    lags = {lag: np.corrcoef(daily[: 30 - lag], family[lag:])[0, 1] for lag in range(8)}
    assert max(lags, key=lags.get) == 3
    sound = query(sandbox, SOUND, clip_id=effects.TWIN_SOUND).data["sound"]
    tag = query(sandbox, HASHTAG, hashtag_name="perfumetok", region="US").data["info"]
    for which, kind in (("audience_countries", "country_info"), ("audience_interests", "interest_info")):
        ours, theirs = ({row[kind]["id"]: row["score"] for row in record[which]} for record in (sound, tag))
        assert ours.keys() == theirs.keys()
        assert all(abs(ours[key] / theirs[key] - 1) < 0.06 for key in ours)
    assert sound["audience_ages"] == tag["audience_ages"]


def test_list_of_hashtags(sandbox):
    rows = all_rows(sandbox, HASHTAGS, region="US")
    assert len(rows) == 100
    assert [row["rank"] for row in rows] == list(range(1, 101))
    moves = Counter(row["rank_diff_type"] for row in rows)
    assert set(moves) == {1, 2, 3, 4}
    for row in rows:
        change = row.get("rank_diff")
        assert (change is None) == (row["rank_diff_type"] == 4)
        assert change is None or (change == 0) == (row["rank_diff_type"] == 2)
        assert change is None or change >= 0
        assert set(row) - {"industry_info", "rank_diff"} == {
            "hashtag_id", "hashtag_name", "country_info", "is_promoted", "trend", "creators", "publish_cnt",
            "video_views", "rank", "rank_diff_type",
        }  # fmt: skip
        assert all(set(creator) == {"nick_name", "avatar_url"} for creator in row["creators"])
    names = {row["hashtag_name"] for row in rows}
    assert names >= {name for family in effects.FAMILIES.values() for name in family}
    assert any("industry_info" not in row for row in rows)
    assert any(not name.isascii() for name in {row["hashtag_name"] for row in all_rows(sandbox, HASHTAGS, region="TH")})
    for row in rows[::20]:
        info = query(sandbox, HASHTAG, hashtag_name=row["hashtag_name"], region="US").data["info"]
        same = ("hashtag_id", "country_info", "is_promoted", "trend", "industry_info")
        assert all(row.get(key) == info.get(key) for key in same)
        assert row["publish_cnt"] / info["publish_cnt"] == pytest.approx(1, abs=0.07)


def test_filters_of_the_list_of_hashtags(sandbox):
    new = all_rows(sandbox, HASHTAGS, region="US", new_to_top_100="true")
    assert new
    assert {row["rank_diff_type"] for row in new} == {4}
    sports = all_rows(sandbox, HASHTAGS, region="US", industry_id="28000000000")
    assert 20 < len(sports) <= 100
    assert {row["industry_info"]["value"] for row in sports} == {"Sports & Outdoor"}
    assert all_rows(sandbox, HASHTAGS, industry_id="28") == []


def test_sometimes_a_hashtag_comes_twice_across_pages(sandbox):
    twice = 0
    for code in ("US", "GB", "DE", "FR", "JP", "TH", "BR", "MX", "ID", "SA", "AU", "CA"):
        names = [row["hashtag_name"] for row in all_rows(sandbox, HASHTAGS, region=code)]
        assert len(names) == 100
        assert len(set(names)) in {99, 100}
        if len(set(names)) == 99:
            twice += 1
            (again,) = (name for name, count in Counter(names).items() if count == 2)
            assert names.index(again) < 20 <= len(names) - 1 - names[::-1].index(again)
    assert 1 <= twice <= 8


def test_list_of_sounds(sandbox):
    rows = all_rows(sandbox, SOUNDS, "sound_list")
    assert len(rows) == 99
    assert [row["rank"] for row in rows] == list(range(1, 100))
    assert effects.TWIN_SOUND in {row["clip_id"] for row in rows}
    assert len({row["clip_id"] for row in rows}) == 99
    for row in rows:
        assert set(row) == {
            "author", "clip_id", "country_code", "cover", "duration", "if_cml", "is_search", "link",
            "on_list_times", "promoted", "rank", "rank_diff", "rank_diff_type", "related_items", "song_id",
            "title", "trend", "url_title",
        }  # fmt: skip
        assert (row["rank_diff"] is None) == (row["rank_diff_type"] == 4)
    assert 25 < sum(row["related_items"] is None for row in rows) < 75
    usual = set(documented(SOUND)["sound"])
    ages_null = 0
    for row in rows[:30]:
        data = query(sandbox, SOUND, clip_id=row["clip_id"]).data
        sound = data["sound"]
        assert (data["like_count"], sound["rank"], sound["on_list_times"]) == (None, None, None)
        assert set(sound) == usual
        same = ("song_id", "title", "author", "duration", "if_cml", "trend", "related_items", "cover", "country_code")
        assert all(row[key] == sound[key] for key in same)
        ages_null += sound["audience_ages"] is None
    assert 8 < ages_null < 28


def test_videos_of_sounds_are_known(sandbox):
    items = query(sandbox, SOUND, clip_id=effects.TWIN_SOUND).data["sound"]["related_items"]
    ids = [item["item_id"] for item in items]
    assert all(isinstance(identifier, int) and len(str(identifier)) == 19 for identifier in ids)
    rows = query(sandbox, VIDEOS, video_ids=",".join(map(str, ids))).data
    assert sorted(int(row["video_id"]) for row in rows) == sorted(ids)


def test_filters_of_the_list_of_sounds(sandbox):
    commercial = all_rows(sandbox, SOUNDS, "sound_list", commercial_music="true")
    assert commercial
    assert all(row["if_cml"] for row in commercial)
    found = all_rows(sandbox, SOUNDS, "sound_list", search_keyword="GOLDEN hour bloom")
    assert [(row["clip_id"], row["is_search"]) for row in found] == [(effects.TWIN_SOUND, True)]
    new = all_rows(sandbox, SOUNDS, "sound_list", new_to_top_100="true")
    assert new
    assert {row["rank_diff_type"] for row in new} == {4}


# ---- the documentation ---------------------------------------------------------------------------------------------


def test_the_documentation_has_the_planted_sizes():
    text = (ROOT / "docs" / "sandbox.md").read_text("utf-8")
    told = dict(re.findall(r"\| `([A-Z_]+)` \| (-?[\d.]+) \|", text))
    assert len(told) > 35
    for name, size in told.items():
        assert float(size) == getattr(effects, name), name
    ranges = re.findall(r"\| `([A-Z_]+)` \| (-?[\d.]+) to (-?[\d.]+) \|", text)
    assert len(ranges) == 2
    for name, low, high in ranges:
        assert (float(low), float(high)) == getattr(effects, name), name
    for name, size in re.findall(r"`([A-Z_]+)` (-?\d[\d.]*\d)", text):
        assert float(size) == getattr(effects, name), name
    for low, high, name in re.findall(r"(-?[\d.]+) to ([\d.]+) [^.`]*\(`([A-Z_]+)`\)", text):
        assert (float(low), float(high)) == getattr(effects, name), name
    by_name = {
        "OPPORTUNITIES", "TRAPS", "SEASONS", "SEASONAL_CATEGORIES", "SEASONAL_HASHTAGS", "FAMILIES", "FAMILY_BURSTS",
        "EVENTS", "TWIN_SOUND", "TWIN_HASHTAG", "TODAY", "SANDBOX_TODAY",
    }  # fmt: skip
    assert {name for name in vars(effects) if name.isupper() and f"`{name}`" not in text} == by_name
    assert all(f"`{name}`" in text for name in effects.EVENTS)
    for names in (effects.OPPORTUNITIES, effects.TRAPS, *effects.SEASONAL_CATEGORIES.values()):
        assert ", ".join(names) in text
    for names in (*effects.FAMILIES.values(), effects.SEASONAL_HASHTAGS):
        assert all(f"`{name}`" in text for name in names)
    assert effects.TWIN_SOUND in text


def test_answers_are_quick():
    def answer(k):
        world.videos("1", {str((1_700_000_000 + k * 60 + place) << 32 | 5): 1 for place in range(10)})
        world.answer("1", HASHTAG, {"hashtag_name": f"quick{k}", "region": "US", "period": "7"}, 1, page_cap=20)

    answer(0)
    started = time.process_time()
    for k in range(1, 51):
        answer(k)
    assert (time.process_time() - started) / 100 < 0.004  # measured: 0.4 ms
