"""The sandbox: a real server, over real HTTP. Expected values are written by hand."""

from __future__ import annotations

import contextlib
import errno
import http.client
import json
import os
import re
import signal
import socket
import socketserver
import subprocess
import sys
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import FrozenInstanceError
from datetime import timedelta
from hashlib import blake2b, sha256
from itertools import pairwise
from pathlib import Path
from urllib.parse import urlencode

import numpy as np
import pytest

from keyapi_research.sandbox import SOURCE_HEADER, TOKEN, WORLD_VERSION, Fault, Sandbox, chance, curves, effects, world
from keyapi_research.sandbox.__main__ import main
from keyapi_research.sandbox.identity import Setting
from keyapi_research.sandbox.query import movement
from keyapi_research.sandbox.routes import ROUTES
from keyapi_research.sandbox.words import BY_ID, BY_NAME, CATEGORIES, COUNTRIES

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "keyapi_research" / "sandbox" / "examples"
PREFIX = "/v1/tiktok/"
PRODUCTS, PRODUCT = "insights/products", "insights/product/detail"
VIDEOS = "video/detail/analytics"
HASHTAG, SOUND = "trending/hashtag/detail", "trending/music/detail"
HASHTAGS, SOUNDS = "trending/hashtags", "trending/music"
DEMO_VIDEO = "7117191641181555995"
COMMERCE = [
    *(f"influencer/{name}/analytics" for name in ("detail", "trends", "videos", "products", "ranking")),
    *(f"product/{name}/analytics" for name in ("detail", "trends", "creators", "list", "ranking")),
    "video/ranking/analytics",
]
TAGS = {"is_ad", "video_products", "product_category_list"}


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
    connection = http.client.HTTPConnection(sandbox.url.removeprefix("http://"), timeout=60)
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
        (SOUND, {"clip_id": "6703723351497508865", "region": "US"}),
    ],
)
def test_documented_parameters_get_the_documented_data(sandbox, path, params):
    answer = query(sandbox, path, **params)
    assert answer.data == documented(path)
    assert list(answer.json) == ["code", "message", "data", "requestId"]


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


@pytest.mark.parametrize("days", [0, 1, 3, 7])
def test_how_much_later_the_next_answer_is_can_be_chosen(days):
    with Sandbox(days_between_answers=days) as sandbox:
        for path, params, last in (
            (HASHTAG, {"hashtag_name": "perfumetok"}, lambda data: data["info"]["trend"][-1]["time"]),
            (HASHTAGS, {"region": "US"}, lambda data: max(row["trend"][-1]["time"] for row in data["list"])),
            (SOUND, {"clip_id": "7498251163905427713"}, lambda data: data["sound"]["trend"][-1]["time"]),
        ):
            found = [last(query(sandbox, path, **params).data) for _ in range(4)]
            assert np.diff(found).tolist() == [days * 86400] * 3, path
        who = {"user_ids": "6144029478790867105"}
        totals = [query(sandbox, "influencer/detail/analytics", **who).data[0]["total_views_cnt"] for _ in range(3)]
        row = {"user_id": who["user_ids"], "start_date": "2025-12-01", "end_date": "2026-02-02", "page_size": "10"}
        if days == 0:
            assert len(set(totals)) == 1
        else:
            assert totals[0] < totals[1] < totals[2]
            sandbox.today += timedelta(days)  # the first answer of that day is the second of today
            sandbox.reset()
            assert query(sandbox, "influencer/detail/analytics", **who).data[0]["total_views_cnt"] == totals[1]
        assert query(sandbox, "influencer/trends/analytics", page_num="1", **row).data


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
    "1": "e1a19f16d4c8d263",
    "another": "62db0bf6633ab65c",
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
    # Another value here means another world: then settings.SANDBOX_WORLD has to change too.
    assert fingerprint(seed) == GOLDEN[seed]


def test_the_world_is_the_same_in_another_process_and_order():
    code = (
        "import json, sys; from keyapi_research.sandbox import world\n"
        "from keyapi_research.sandbox.identity import Setting\n"
        "answer = lambda name, **params: world.answer(Setting('1'), name, params, 1, page_cap=20)\n"
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


def test_draws_are_digests_of_their_key_and_rounded_as_upstream():
    # The first eight bytes of BLAKE2b("1\x1fa", 64 bytes, salt 0): two draws of 32 bits, the lowest byte first.
    digest = blake2b(b"1\x1fa", salt=bytes(8)).digest()
    dice = chance.Dice(1, "a")
    assert [dice.unit(), dice.unit()] == [int.from_bytes(digest[k : k + 4], "little") / 2**32 for k in (0, 4)]
    assert [chance.exp(1.0), chance.power(2.0, 0.5)] == [2.71828182846, 1.41421356237]  # twelve digits
    assert [chance.significant(x) for x in (0.4, 999.4, 1234, 9995, 48249, 20_000_001)] == [
        0, 999, 1230, 10000, 48200, 20_000_000,
    ]  # fmt: skip
    assert [json.dumps(chance.tidy(x)) for x in (1.0, 0.301, 4.9199)] == ["1", "0.3", "4.92"]


# ---- parameters, prices, refusals ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "refused"),
    [
        (PRODUCTS, "page=0 page=first page=1.0 page=1234567 limit=0 limit=-1 time_scope=2 time_scope=2025-09"
                   " time_scope=2026-03 time_scope=2025-13 region=us region=UK region=USA ecom_category_id=perfume"),
        (PRODUCT, "id=60158x time_scope=14 id=" + "1" * 31),
        (HASHTAG, "period=8 hashtag_name=two+words hashtag_name=one,two hashtag_name=" + "a" * 151),
        (SOUND, "region=all_regions period=365 clip_id=7.4e18 clip_id=%D9%A3"),  # the last is an Arabic digit
        (HASHTAGS, "period=1095 new_to_top_100=yes industry_id=Sports"),
        (SOUNDS, "commercial_music=1 search_keyword=" + "a" * 151),
        (VIDEOS, "video_ids=abc video_ids=1,,2 video_ids=0,1,2,3,4,5,6,7,8,9,10 video_ids= video_id=" + DEMO_VIDEO),
    ],
)
def test_bad_values_are_refused_and_free(sandbox, path, refused):
    for sent in refused.split():
        answer = query(sandbox, f"{PREFIX}{path}?{sent}")
        assert (answer.status, answer.json["code"], answer.json["data"]) == (400, 400, None), sent
        assert set(answer.json) == {"code", "data", "message"}
        assert re.fullmatch(r"(Missing required|Invalid) parameter: \w+", answer.json["message"])
    assert sandbox.charged == 0


def test_allowed_values_are_answered(sandbox):
    for params in ({"time_scope": "7"}, {"time_scope": "2025-10"}, {"time_scope": "2026-02"}, {"region": "NA"}):
        assert query(sandbox, PRODUCTS, **params).data["list"]
    assert query(sandbox, HASHTAGS, new_to_top_100="TRUE", limit="007").data["pagination"]["size"] <= 7
    for period, points in (("7", 7), ("30", 30), ("120", 17), ("365", 52), ("1095", 36)):
        assert len(query(sandbox, HASHTAG, hashtag_name="gymtok", period=period).data["info"]["trend"]) == points


def test_a_misspelt_parameter_gets_the_data_of_the_default(sandbox):
    assert query(sandbox, HASHTAG, hashtagname="perfume").data == documented(HASHTAG)
    assert query(sandbox, PRODUCT, category_id="1", Id="2").data == documented(PRODUCT)


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
    assert {route.path for route in ROUTES if route.credits == 1} == {
        PREFIX + VIDEOS, *(PREFIX + path for path in COMMERCE),
    }  # fmt: skip


def test_a_request_without_a_bearer_token_is_refused(sandbox):
    for token in (None, "", "   "):
        answer = query(sandbox, HASHTAG, token=token)
        assert (answer.status, answer.json) == (401, {"code": 401, "data": None, "message": "apiKey is null"})
    assert query(sandbox, HASHTAG, token=None, headers={"Authorization": "Basic abc"}).status == 401
    with Sandbox(token="right") as insists:
        assert [query(insists, HASHTAG, token=token).status for token in ("right", "wrong")] == [200, 401]


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
        received = raw.makefile("rb").read().decode()
    assert received.startswith("HTTP/1.1 400")
    assert f"{SOURCE_HEADER}: sandbox" in received


# ---- confirmed missing ---------------------------------------------------------------------------------------------


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


def test_credits_run_out_and_are_never_overdrawn(sandbox):
    sandbox.credits = 3
    answers = [query(sandbox, *which) for which in ((HASHTAG,), (HASHTAG,))]
    answers += [query(sandbox, VIDEOS, video_ids="1") for _ in range(2)]
    assert [answer.status for answer in answers] == [200, 402, 200, 402]
    assert answers[1].json == {"code": 402, "data": None, "message": "apiKey quota is not enough"}
    sandbox.credits = 21
    with ThreadPoolExecutor(16) as pool:
        statuses = list(pool.map(lambda k: query(sandbox, HASHTAG, hashtag_name=f"tag{k}").status, range(40)))
    assert Counter(statuses) == {200: 10, 402: 30}
    assert (sandbox.charged, sandbox.credits) == (23, 1)
    sandbox.credits = None
    assert query(sandbox, HASHTAG).status == 200


@pytest.mark.parametrize(
    ("fault", "status", "code", "message"),
    [
        (Fault(status=500), 500, 500, "Internal server error"),
        (Fault(status=429, headers={"Retry-After": "3"}), 429, 429, "qps limit exceeded"),
        (Fault(inside_200=True, code=402), 200, 402, "apiKey quota is not enough"),
        (Fault(status=403, message="plan too small"), 403, 403, "plan too small"),
        (Fault(status=503, code=50004, message="no available es index"), 503, 50004, "no available es index"),
        (Fault(code=50004), 500, 50004, "error"),
        (Fault(code=404), 404, 404, "Not found"),
        (Fault(code=0), 500, 0, "success"),
        (Fault(code=302), 500, 302, "error"),
        (Fault(code=50004, inside_200=True), 200, 50004, "error"),
        (Fault(code=0, inside_200=True), 200, 0, "success"),
        (Fault(inside_200=True), 200, 500, "Internal server error"),
        (Fault(status=429, inside_200=True), 200, 429, "qps limit exceeded"),
    ],
)
def test_a_fault_is_one_answer_and_free(sandbox, fault, status, code, message):
    sandbox.faults.put(fault)
    answer = query(sandbox, HASHTAG)
    assert (answer.status, answer.json) == (status, {"code": code, "data": None, "message": message})
    assert answer.headers["Retry-After"] == fault.headers.get("Retry-After")
    assert sandbox.charged == 0
    assert query(sandbox, HASHTAG).data == documented(HASHTAG)  # failures are not observations


@pytest.mark.parametrize(
    ("body", "code"),
    [(b'{"code":200,"data":{"code":50004,"data":null}}', 200), (b'{"code":0,"data"', None), (b'{"code":"0"}', None),
     (b"[1]", None), (b"[" * 100_000, None), (b"", None)],
)
def test_a_raw_body_is_sent_as_it_is(sandbox, body, code):
    sandbox.faults.put(Fault(body=body, charge=True))
    answer = query(sandbox, HASHTAG)
    assert (answer.status, answer.body) == (200, body)
    assert [(request.code, request.credits) for request in sandbox.requests] == [(code, 2)]


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
    assert query(sandbox, HASHTAG).data == documented(HASHTAG)
    assert sandbox.charged == 2
    assert query(sandbox, HASHTAG).status == 200
    assert sandbox.charged == 2
    sandbox.latency = 0.1
    query(sandbox, HASHTAG)
    waited = [request.finished - request.started for request in sandbox.requests]
    assert waited[0] >= 0.15
    assert waited[2] >= 0.1


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


def test_hooks_that_raise_are_answered_with_500_and_reported_once(sandbox, capsys):
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
    received = capsys.readouterr().err
    assert (received.count("on_request raised"), received.count("mutate raised")) == (1, 1)
    assert "ZeroDivisionError" in received
    assert "KeyError: 'nothing'" in received
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
    connection = http.client.HTTPConnection(sandbox.url.removeprefix("http://"), timeout=60)
    for method in ("GET", "POST", "GET", "GET"):
        connection.request(method, PREFIX + HASHTAG, body=body, headers={"Authorization": "Bearer x"})
        response = connection.getresponse()
        assert (response.status, len(response.read()) > 0) == (405 if method == "POST" else 200, True)
    connection.request("GET", PREFIX + HASHTAG, body=iter([body]), headers={"Authorization": "Bearer x"})
    response = connection.getresponse()  # chunked
    assert (response.status, response.headers["Connection"]) == (200, "close")
    connection.close()
    assert [request.path for request in sandbox.requests] == [PREFIX + HASHTAG] * 5


def raw_connection(sandbox):
    return socket.create_connection(("127.0.0.1", int(sandbox.url.rpartition(":")[2])), timeout=60)


def threads_of_the_sandbox():
    return [thread for thread in threading.enumerate() if thread.name.startswith("keyapi-sandbox")]


@pytest.mark.parametrize("target", ["http://[bad/", "//[::1/v1", "http://[bad]x/?a=b"])
def test_a_malformed_target_is_answered(sandbox, target, capsys):
    with raw_connection(sandbox) as raw:
        raw.sendall(f"GET {target} HTTP/1.1\r\nAuthorization: Bearer x\r\nConnection: close\r\n\r\n".encode())
        received = raw.makefile("rb").read().decode()
    assert received.startswith(("HTTP/1.1 400", "HTTP/1.1 404"))
    assert json.loads(received.partition("\r\n\r\n")[2])["data"] is None
    assert len(sandbox.requests) == 1
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET", "400"),
        (b"\xff\xfe\x00 \x01 \x02", "400"),
        (b"GET /v1/tiktok/%zz%00?%ff=%f0%9f&&=&a", "404"),
        (b"GET /" + b"x" * 70_000 + b" HTTP/1.1", "414"),
        (b"GET / HTTP/2.0", "505"),
        (b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 200, "431"),
        (b"GET / HTTP/1.1\r\nContent-Length: " + b"9" * 5000, "404"),
        (b"GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\nGET / HTTP/1.1", "404"),
        (b"GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffffff\r\nGET / HTTP/1.1", "404"),
        (b"GET / HTTP/1.1\r\n: \r\n no name\r\n\xe9: \xe9\r\nAuthorization: \xff\xff\r\nConnection: close", "404"),
    ],
    ids=["path", "bytes", "escapes", "long", "version", "headers", "length", "negative", "chunk", "names"],
)
def test_a_broken_request_gets_one_answer(sandbox, sent, status, capsys):
    with raw_connection(sandbox) as raw:
        raw.sendall(sent + b"\r\n\r\n")
        raw.shutdown(socket.SHUT_WR)
        received = raw.makefile("rb").read().decode()
    assert re.findall(r"^HTTP/1\.1 (\d+) ", received, re.MULTILINE) == [status]
    assert json.loads(received.partition("\r\n\r\n")[2])["data"] is None
    assert query(sandbox, HASHTAG).status == 200
    assert capsys.readouterr().err == ""


def test_sixty_four_requests_are_served_at_once(sandbox):
    everybody = threading.Barrier(64, timeout=60)  # passes only where all wait in the server together
    sandbox.on_request = lambda path, params: everybody.wait() and None
    with ThreadPoolExecutor(64) as pool:
        answers = pool.map(lambda k: query(sandbox, HASHTAG, hashtag_name=f"tag{k}").status, range(64))
        assert list(answers) == [200] * 64
    assert sandbox.charged == 128


def test_a_half_sent_request_holds_up_neither_the_others_nor_the_end():
    with Sandbox() as server, raw_connection(server) as slow, raw_connection(server) as silent:
        slow.sendall(f"GET {PREFIX}{HASHTAG} HTTP/1.1\r\nAuthoriz".encode())
        assert query(server, HASHTAG).status == 200
        server.close()
        assert threads_of_the_sandbox() == []
        assert server.requests[0].authorization
        assert len(server.requests) == 1
        for connection in (slow, silent):
            with contextlib.suppress(ConnectionResetError):
                assert b"200" not in connection.recv(1000)


def test_a_slow_request_is_answered_when_it_is_complete(sandbox):
    with raw_connection(sandbox) as slow:
        for part in (f"GET {PREFIX}{HASHTAG} HTTP/1.1\r\n", "Authorization: Bear", "er x\r\nConnection: close\r\n\r\n"):
            slow.sendall(part.encode())
            assert query(sandbox, SOUND).status == 200
        assert slow.makefile("rb").read().startswith(b"HTTP/1.1 200 OK")


def test_closing_does_not_wait_for_late_answers():
    server, came = Sandbox(latency=3600).start(), threading.Event()
    server.on_request = lambda path, params: came.set()
    with ThreadPoolExecutor(1) as pool:
        late = pool.submit(query, server, HASHTAG)
        assert came.wait(60)
        server.close()
        assert isinstance(late.exception(timeout=60), ConnectionError)
    assert threads_of_the_sandbox() == []
    assert server.charged == 0


def test_a_hook_may_close_the_sandbox():
    server = Sandbox().start()
    server.on_request = lambda path, params: server.close()
    with pytest.raises(ConnectionError):
        query(server, HASHTAG)
    assert "not running" in repr(server)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_closing_in_a_forked_child_leaves_the_parent_serving(sandbox):
    connection = http.client.HTTPConnection(sandbox.url.removeprefix("http://"), timeout=60)
    connection.request("GET", PREFIX + HASHTAG, headers={"Authorization": "Bearer x"})
    assert connection.getresponse().read()
    child = os.fork()
    if child == 0:
        sandbox.close()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    connection.request("GET", PREFIX + HASHTAG, headers={"Authorization": "Bearer x"})  # the same connection
    assert connection.getresponse().status == 200
    assert query(sandbox, HASHTAG).status == 200
    connection.close()


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
        store = f"sandbox-world-{WORLD_VERSION}-seed-1.sqlite"
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


# ---- the world: categories -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--port 65536", "--port is a number from 0 (any free one) to 65535, not 65536"),
        ("--port=-1", "--port is a number from 0 (any free one) to 65535, not -1"),
        ("--latency=-0.5", "--latency is a number of seconds from 0 to 3600, not -0.5"),
        ("--latency nan", "--latency is a number of seconds from 0 to 3600, not nan"),
        ("--page-cap 0", "--page-cap is at least 1 row, not 0"),
        ("--credits=-1", "--credits is at least 0 (leave it out for an endless account), not -1"),
        ("--seed a/b", "--seed is 1 to 40 letters, digits, dots, hyphens or underscores, not 'a/b'"),
        ("--nonsense", "unrecognized arguments: --nonsense"),
        ("--port {taken}", f"port {{taken}} cannot be used ({os.strerror(errno.EADDRINUSE)}): choose another with"
         " --port, or 0 for a free one"),
    ],
)
def test_the_command_line_refuses_with_a_reason(sandbox, arguments, message, capsys):
    taken = sandbox.url.rpartition(":")[2]
    with pytest.raises(SystemExit) as stopped:
        main(arguments.format(taken=taken).split())
    assert stopped.value.code == 2
    shown = capsys.readouterr().err
    assert shown.startswith("usage: python -m keyapi_research.sandbox")
    assert shown.splitlines()[-1] == f"python -m keyapi_research.sandbox: error: {message.format(taken=taken)}"


def test_catalogue():
    levels = Counter(category.level for category in CATEGORIES)
    assert levels["l1"] == 28
    assert levels["l2"] > 100
    assert 450 <= levels["l3"] <= 500
    assert len(BY_ID) == len(CATEGORIES)
    assert all(re.fullmatch(r"\d{6}", category.id) for category in CATEGORIES)
    assert BY_ID["601583"].path == (
        ("601450", "Beauty & Personal Care"), ("848648", "Makeup & Perfume"), ("601583", "Perfume"),
    )  # fmt: skip
    assert (BY_ID["700437"].name, BY_ID["601152"].name) == ("Food & Beverages", "Womenswear")


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
    for category in CATEGORIES[::25]:
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
    data = query(sandbox, PRODUCT, id=BY_NAME["Air Fryers"].id, region="TH", time_scope="7").data["info"]
    posts, found = data["posts"], []
    for start in range(0, len(posts), 10):
        found += query(sandbox, VIDEOS, video_ids=",".join(posts[start : start + 10])).data
    assert {row["video_id"] for row in found} == set(posts)
    for row in found:
        assert 0 <= int(row["create_time"]) - (int(row["video_id"]) >> 32) <= 8
    assert Counter(row["region"] for row in found).most_common(1)[0][0] == "TH"
    for name in data["hashtags"]:
        assert query(sandbox, HASHTAG, hashtag_name=name).data["info"]["hashtag_name"] == name


# ---- the world: videos ---------------------------------------------------------------------------------------------


# ---- the world: planted in rankings --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def videos():
    """Return 200 videos of four categories."""
    rows = []
    with Sandbox() as sandbox:
        for name in ("Perfume", "Leggings", "Cat Toys", "Novels"):
            info = query(sandbox, PRODUCT, id=BY_NAME[name].id, region="US", time_scope="30").data["info"]
            for start in range(0, 50, 10):
                rows += query(sandbox, VIDEOS, video_ids=",".join(info["posts"][start : start + 10])).data
    assert len({row["video_id"] for row in rows}) == 200
    return rows


def test_rows_of_videos(videos):
    for row in videos:
        assert set(row) == set(documented(VIDEOS)[0]) | TAGS
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
    assert {"", "US"} < {row["region"] for row in videos}
    assert any("\n" in row["video_desc"] for row in videos)


def test_nothing_is_older_than_what_it_is_made_of(sandbox, videos):
    rows = [*videos, *query(sandbox, VIDEOS, video_ids="6399000000000000001,6900000000000000001,5").data]
    assert all(int(row["user_id"]) >> 32 < int(row["create_time"]) for row in rows)
    items = [(item["item_id"], row["clip_id"])
             for row in all_rows(sandbox, SOUNDS, "sound_list") for item in row["related_items"] or ()]
    assert all(item >> 32 > int(clip_id) >> 32 for item, clip_id in items)
    assert len(items) > 200


def test_rows_come_by_id_each_once(sandbox):
    ids = ["7489287341782207752", "7322538146644757803", "7489287341782207752", "7437358276766878984"]
    rows = query(sandbox, VIDEOS, video_ids=",".join(ids)).data
    assert [row["video_id"] for row in rows] == ["7322538146644757803", "7437358276766878984", "7489287341782207752"]


# ---- the world: rankings -------------------------------------------------------------------------------------------


def test_what_is_planted_in_rankings_shows(sandbox):
    rows = {name_of(row): row for row in all_rows(sandbox, PRODUCTS, region="US", time_scope="7")}

    def median(key, names):
        return float(np.median([rows[name][key] for name in names if name in rows]))

    rest = set(rows) - {*effects.OPPORTUNITIES, *effects.TRAPS}
    assert set(effects.OPPORTUNITIES) < set(rows)
    assert median("ctr", effects.OPPORTUNITIES) / median("ctr", rest) == pytest.approx(1.6, rel=0.25)
    assert median("cvr", effects.OPPORTUNITIES) / median("cvr", rest) == pytest.approx(1.8, rel=0.25)
    assert median("cpa", effects.TRAPS) / median("cpa", rest) == pytest.approx(3.2, rel=0.4)
    assert set(sorted(rows, key=lambda name: -rows[name]["post"])[:8]) >= set(effects.TRAPS)
    assert median("post_change", effects.SEASONAL_CATEGORIES["valentine"]) == pytest.approx(30, abs=8)


def all_of(seed, n, scope, region="US"):
    """Return all rows of a ranking by name, without a server."""
    params = {"time_scope": scope, "region": region, "search_keyword": "FALSE", "ecom_category_id": None, "limit": "20"}
    sent = [{**params, "page": str(page)} for page in range(1, 26)]
    pages = [world.answer(Setting(seed), PRODUCTS, page, n, page_cap=20) for page in sent]
    return {name_of(row): row for page in pages for row in page["list"]}


def changes(before, after):
    """Return the stated change and that of the posts themselves, of rows whose posts are exact enough."""
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
    # Posts have three digits: each of the two at most 0.5 % off; the rest is noise of half a point.
    assert np.abs(stated - real).max() < 4
    usual = [name not in SEASONAL for name in names]
    assert np.corrcoef(stated[usual], real[usual])[0, 1] > 0.97


def test_a_month_that_is_over_has_no_later_videos(sandbox):
    november = 1761955200
    for name in ("Perfume", "Air Fryers", "Novels"):
        posts = query(sandbox, PRODUCT, id=BY_NAME[name].id, region="US", time_scope="2025-10").data["info"]["posts"]
        assert len(posts) == 50
        assert max(int(post) >> 32 for post in posts) < november


# ---- the world: hashtags and sounds --------------------------------------------------------------------------------


def test_totals_of_hashtags_grow_by_what_is_posted():
    for name in ("studytok", "drtok", "examseason", "perfumetok", "valentinesday", "grammys2026", "tag7", "ufc324"):
        params = {"hashtag_name": name, "region": "all_regions", "period": "7"}
        found = [world.answer(Setting("1"), HASHTAG, params, n, page_cap=20)["info"] for n in range(1, 31)]
        for before, after in pairwise(found):
            added = after["publish_cnt_all"] - before["publish_cnt_all"]
            # The last three of the seven days: some posts, and no more than the week has.
            assert 0 < added <= after["publish_cnt"] + 1
            assert after["video_views_all"] > before["video_views_all"]


def test_details_of_hashtags(sandbox):
    names = [f"tag{k}" for k in range(60)]
    for name in names:
        info = query(sandbox, HASHTAG, hashtag_name=name, region="US").data["info"]
        assert set(info) | {"industry_info"} == set(documented(HASHTAG)["info"])
        assert info["hashtag_name"] == name
        assert re.fullmatch(r"\d{16}|\d{19}", info["hashtag_id"])
        assert info["country_info"] == {"id": "US", "value": "United States", "label": "US"}
        assert info["publish_cnt"] <= info["publish_cnt_all"]
        assert info["video_views"] <= info["video_views_all"]
        assert all(0 <= point["value"] <= 1 for point in info["trend"])
        if info["audience_ages"]:
            assert sorted(row["age_level"] for row in info["audience_ages"]) == [3, 4, 5]
            assert sum(row["score"] for row in info["audience_ages"]) == 100
        for row in info["audience_interests"]:
            assert row["interest_info"]["label"] == f"diversify_{row['interest_info']['id']}"
        for row in info["audience_countries"]:
            assert COUNTRIES[row["country_info"]["label"]].geonames_id == row["country_info"]["id"]
        assert len(info["related_hashtags"]) == 5


def of_hashtag(name, *, seed="1", n=1, region="all_regions", period="7"):
    params = {"hashtag_name": name, "region": region, "period": period}
    return world.answer(Setting(seed), HASHTAG, params, n, page_cap=20)["info"]


def of_sound(clip_id, *, seed="1", n=1, region="US", period="7"):
    params = {"clip_id": clip_id, "region": region, "period": period}
    return world.answer(Setting(seed), SOUND, params, n, page_cap=20)["sound"]


def test_bursts_fall_slower_than_they_rise_but_not_in_the_null_world():
    ratios = {True: [], False: []}
    for number in range(6000):
        days = np.arange(curves.FIRST_DAY - 2, curves.FIRST_DAY + 66)
        name = f"burst{number}"
        found = [curves._burst("1", name, int(stretch)) for stretch in range(days[0] // 64 - 2, days[-1] // 64 + 3)]
        inside = [burst for burst in found if burst is not None and days[0] + 20 < burst[0] < days[-1] - 20]
        if len(inside) != 1 or sum(burst is not None for burst in found) > 1:
            continue
        [(peak, rise, fall, height)] = inside
        for planted in (True, False):
            level = curves._own_bursts(Setting("1", effects=planted), name, days)
            before, after = level[days < peak][::-1], level[days > peak]
            assert level[days == peak] == pytest.approx(height)
            assert before[:15] == pytest.approx(height / (1 + (np.arange(1, 16) / rise) ** 2))
            x = np.arange(1, 16) / fall
            expected = height / (1 + x + x**2 / 2 + x**3 / 6) if planted else before[:15]
            assert after[:15] == pytest.approx(expected)
            ratios[planted].append(after[:15].sum() / before[:15].sum())
    assert len(ratios[True]) > 10
    assert np.median(ratios[True]) > 1.3
    assert ratios[False] == pytest.approx([1.0] * len(ratios[False]))


PLANTED = (*(name for family in effects.FAMILIES.values() for name in family), *effects.SEASONAL_HASHTAGS)


def test_what_is_planted_is_free_of_issues():
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
    for region in list(COUNTRIES)[::8]:
        for period in ("7", "30", "120"):
            params = {"region": region, "period": period, "industry_id": "nothing", "new_to_top_100": "false"}
            names = Counter()
            for page in range(1, 6):
                of_page = {**params, "page": str(page), "limit": "20"}
                rows = world.answer(Setting("1"), HASHTAGS, of_page, 1, page_cap=20)["list"]
                names.update(row["hashtag_name"] for row in rows)
            assert names.total() == 100
            assert set(names) > {name for family in effects.FAMILIES.values() for name in family}, (region, period)
            again.update(name for name, count in names.items() if count == 2)
    assert again.total() > 10
    assert not set(again) & set(PLANTED)


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
    for info, example in ((hashtag, ufc), (of_hashtag("ufc324", n=3), ufc), (sound, new_sun)):
        kinds = (("audience_countries", "country_info", 8), ("audience_interests", "interest_info", 4))
        for which, kind, least in kinds:
            scores = {row[kind]["id"]: row["score"] for row in example[which]}
            found = {row[kind]["id"]: row["score"] for row in info[which]}
            assert len(found) >= least
            assert all(0.85 < score / scores[key] < 1.15 for key, score in found.items())


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
        assert (COUNTRIES[code].geonames_id, COUNTRIES[code].name) == (info["id"], info["value"])
    assert (COUNTRIES["NA"].geonames_id, COUNTRIES["US"].geonames_id) == ("3355338", "6252001")
    assert len({country.geonames_id for country in COUNTRIES.values()}) == len(COUNTRIES) == 119


def test_the_list_of_hashtags_agrees_with_their_details(sandbox):
    rows = all_rows(sandbox, HASHTAGS, region="US")
    assert [row["rank"] for row in rows] == list(range(1, 101))
    for row in rows:
        assert set(row) - {"industry_info", "rank_diff"} == {
            "hashtag_id", "hashtag_name", "country_info", "is_promoted", "trend", "creators", "publish_cnt",
            "video_views", "rank", "rank_diff_type",
        }  # fmt: skip
        assert all(set(creator) == {"nick_name", "avatar_url"} for creator in row["creators"])
    for row in rows[::20]:
        info = query(sandbox, HASHTAG, hashtag_name=row["hashtag_name"], region="US").data["info"]
        same = ("hashtag_id", "country_info", "is_promoted", "trend", "industry_info")
        assert all(row.get(key) == info.get(key) for key in same)
        assert row["publish_cnt"] / info["publish_cnt"] == pytest.approx(1, abs=0.07)


def test_the_list_of_sounds_agrees_with_their_details(sandbox):
    rows = all_rows(sandbox, SOUNDS, "sound_list")
    assert [row["rank"] for row in rows] == list(range(1, 100))
    assert len({row["clip_id"] for row in rows}) == 99
    for row in rows:
        assert set(row) == {
            "author", "clip_id", "country_code", "cover", "duration", "if_cml", "is_search", "link",
            "on_list_times", "promoted", "rank", "rank_diff", "rank_diff_type", "related_items", "song_id",
            "title", "trend", "url_title",
        }  # fmt: skip
    for row in rows[::10]:
        data = query(sandbox, SOUND, clip_id=row["clip_id"]).data
        sound = data["sound"]
        assert set(sound) == set(documented(SOUND)["sound"])
        assert (data["like_count"], sound["rank"], sound["on_list_times"]) == (None, None, None)
        same = ("song_id", "title", "author", "duration", "if_cml", "trend", "related_items", "cover", "country_code")
        assert all(row[key] == sound[key] for key in same)


def test_filters_of_lists(sandbox):
    sports = all_rows(sandbox, HASHTAGS, region="US", industry_id="28000000000")
    assert {row["industry_info"]["value"] for row in sports} == {"Sports & Outdoor"}
    assert all_rows(sandbox, HASHTAGS, industry_id="28") == []
    commercial = all_rows(sandbox, SOUNDS, "sound_list", commercial_music="true")
    assert {row["if_cml"] for row in commercial} == {True}
    found = all_rows(sandbox, SOUNDS, "sound_list", search_keyword="GOLDEN hour bloom")
    assert [(row["clip_id"], row["is_search"]) for row in found] == [(effects.TWIN_SOUND, True)]
    for path, key, region in ((HASHTAGS, "list", "US"), (SOUNDS, "sound_list", "GB")):
        new = all_rows(sandbox, path, key, region=region, new_to_top_100="true")
        assert {row["rank_diff_type"] for row in new} == {4}


@pytest.mark.parametrize(
    ("rank", "before", "moved"),
    [
        (3, 8, {"rank_diff": 5, "rank_diff_type": 1}),
        (8, 3, {"rank_diff": 5, "rank_diff_type": 3}),  # as in real answers: a size, never negative
        (5, 5, {"rank_diff": 0, "rank_diff_type": 2}),
        (1, None, {"rank_diff_type": 4}),
    ],
)
def test_a_move_is_a_size_and_a_direction(rank, before, moved):
    assert movement(rank, before) == moved


@pytest.mark.parametrize(("path", "key"), [(HASHTAGS, "list"), (SOUNDS, "sound_list")])
def test_the_moves_of_a_list_have_all_directions_and_positive_sizes(sandbox, path, key):
    sizes = {direction: set() for direction in (1, 2, 3, 4)}
    for row in all_rows(sandbox, path, key, region="US"):
        sizes[row["rank_diff_type"]].add(row.get("rank_diff"))
    assert min(sizes[1]) >= 1
    assert sizes[2] == {0}
    assert min(sizes[3]) >= 1
    assert sizes[4] == {None}


# ---- the documentation ---------------------------------------------------------------------------------------------


def test_the_documentation_has_the_planted_sizes():
    text = (ROOT / "docs" / "sandbox.md").read_text("utf-8")
    stated_in_docs = dict(re.findall(r"\| `([A-Z_]+)` \| (-?[\d.]+) \|", text))
    assert len(stated_in_docs) > 35
    for name, size in stated_in_docs.items():
        assert float(size) == getattr(effects, name), name
    ranges = re.findall(r"\| `([A-Z_]+)` \| (-?[\d.]+) to (-?[\d.]+) \|", text)
    assert len(ranges) == 10
    for name, low, high in ranges:
        assert (float(low), float(high)) == getattr(effects, name), name
    for name, size in re.findall(r"`([A-Z_]+)` (-?\d[\d.]*\d)", text):
        assert float(size) == getattr(effects, name), name
    for low, high, name in re.findall(r"(-?[\d.]+) to ([\d.]+) [^.`]*\(`([A-Z_]+)`\)", text):
        assert (float(low), float(high)) == getattr(effects, name), name
    by_name = {
        "OPPORTUNITIES", "TRAPS", "SEASONS", "SEASONAL_CATEGORIES", "SEASONAL_HASHTAGS", "FAMILIES", "FAMILY_BURSTS",
        "EVENTS", "TWIN_SOUND", "TWIN_HASHTAG", "TODAY", "SANDBOX_TODAY", "FAMILY_OF", "PLANTED", "EPOCH",
    }  # fmt: skip
    assert {name for name in vars(effects) if name.isupper() and name[0] != "_" and f"`{name}`" not in text} == by_name
    assert all(f"`{name}`" in text for name in effects.EVENTS)
    for names in (effects.OPPORTUNITIES, effects.TRAPS, *effects.SEASONAL_CATEGORIES.values()):
        assert ", ".join(names) in text
    for names in (*effects.FAMILIES.values(), effects.SEASONAL_HASHTAGS):
        assert all(f"`{name}`" in text for name in names)
    assert effects.TWIN_SOUND in text


