"""The listed endpoints of the sandbox, over real HTTP. Expected values are written by hand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import requests

from keyapi_research.model import endpoints
from keyapi_research.sandbox import SOURCE_HEADER, Fault, Sandbox
from keyapi_research.sandbox.listed import LISTED
from keyapi_research.sandbox.routes import BY_PATH

EXAMPLES = Path(__file__).parent.parent / "keyapi_research" / "sandbox" / "examples" / "listed"
PREFIX = "/v1/tiktok/"
PAGE = {"page_num": 1, "page_size": 10}
USER, VIDEO, PRODUCT = "7000000000000000123", "7600000000000000123", "1729000000000000123"
REVIEWED, SOLD, SELLER = "1729679758111249333", "7560175324038728973", "7495045046260173699"
SCROLL = "WzcwNzM5LCIxNzI5NTQ5NjE5NjE5NjY0NzcxIl0="
AUGUST = {"start_date": "2025-08-02", "end_date": "2025-08-02"}
OCTOBER = {"start_date": "2025-10-14", "end_date": "2025-10-14"}
US = {"region": "US"}
BAD_NUMBER, BAD_SIZE = "Invalid parameter: page_num", "Invalid parameter: page_size"
BAD_PAGES = [0, -1, 1.5, "x", "\u0661"]
BAD_SIZES = [11, 0, -1, "ten", "0" * 5000 + "1"]
BABY = {"keyword": "baby", "region": "US"}
RANKING = {"region": "US", "rank_type": 1, "influencer_rank_field": 2}


@pytest.fixture(scope="module")
def sandbox():
    with Sandbox() as running:
        yield running


def query(sandbox, path, params, *, method="GET", token="any"):
    headers = {"Authorization": f"Bearer {token}"}
    return requests.request(method, f"{sandbox.url}{PREFIX}{path}", params=params, headers=headers, timeout=120)


def data(sandbox, path, params):
    answer = query(sandbox, path, params)
    assert (answer.status_code, answer.json()["code"]) == (200, 0), answer.text
    return answer.json()["data"]


def refusal(sandbox, path, params):
    answer = query(sandbox, path, params)
    assert answer.status_code == 400
    assert answer.json()["code"] == 400
    assert answer.json()["data"] is None
    return answer.json()["message"]


def example(name):
    return json.loads((EXAMPLES / f"{name}.json").read_text("utf-8"))


def shape(value):
    """Return a value with its leaves replaced by the names of their types."""
    if isinstance(value, dict):
        return {key: shape(inner) for key, inner in value.items()}
    return [shape(inner) for inner in value] if isinstance(value, list) else type(value).__name__


def sent_for(listed, asked):
    """Return a query as a client would send it: with all that is required."""
    missing = {name: "1" for names in listed.required for name in [names.split("|")[0]] if name not in asked}
    if listed.first_offset is not None:
        missing["offset"] = listed.first_offset
    return {**missing, **asked} | ({"page_size": "10"} if "page_num" in missing else {})


QUERIES = [(listed, name, asked) for listed in LISTED.values() for name, asked in listed.examples.items()]
EACH_EXAMPLE = pytest.mark.parametrize(
    ("listed", "name", "asked"), QUERIES, ids=[f"{q[0].name} {q[1]}" for q in QUERIES]
)


# Of the listed endpoints, those with a world: Listed answers the queries of their examples, the world all others.
WITH_WORLD = {path for path in LISTED if path in BY_PATH}
WITHOUT_WORLD = [found for found in QUERIES if PREFIX + found[0].name not in WITH_WORLD]
EACH_WITHOUT_WORLD = pytest.mark.parametrize(
    ("listed", "name", "asked"), WITHOUT_WORLD, ids=[f"{q[0].name} {q[1]}" for q in WITHOUT_WORLD]
)


# ---- the examples --------------------------------------------------------------------------------------------------


@EACH_EXAMPLE
def test_an_example_is_the_answer_to_its_query(sandbox, listed, name, asked):
    answer = query(sandbox, listed.name, sent_for(listed, asked)).json()
    expected = example(name)
    request_id = answer.get("requestId")
    assert list(answer) == list(expected)
    assert {**answer, "requestId": None} == {**expected, "requestId": None}
    assert (request_id is None) == (expected.get("requestId") is None)
    assert request_id is None or request_id != expected["requestId"]


def test_every_example_is_served():
    served = {name for listed in LISTED.values() for name in listed.examples}
    not_served = {"realtime-product-photo-search"}  # its endpoint takes a POST
    assert {path.stem for path in EXAMPLES.glob("*.json")} == served | not_served
    assert (len(served), len(LISTED)) == (48, 48)


@pytest.mark.parametrize(
    ("path", "params", "place", "value"),
    [
        ("influencer/ranking/analytics", {**RANKING, **PAGE, "date": "2025-06-02"}, "0 total_sale_cnt", 7752),
        ("influencer/trends/analytics", {"user_id": "3993047", **AUGUST, **PAGE}, "0 total_followers_1d_cnt", -11),
        ("influencer/detail/analytics", {"unique_ids": "creator_b"}, "0 user_id", "104962950695723008"),
        ("influencer/region", {"unique_id": "creator_p"}, "", "ID"),
        ("influencer/milestones", {"user_id": "6754281736047723521"}, "milestone_list 0 milestone_year value", "2022"),
        ("product/detail/analytics", {"product_ids": "1729383769606034185"}, "0 max_price", 23.3),
        ("product/list/analytics", {"region": "US", **PAGE}, "0 seller_id", "7494833496812981001"),
        ("product/reviews", {"product_id": REVIEWED, "region": "US", "offset": 1}, "next_cursor", 2),
        ("shop/products", {"seller_id": SELLER, "region": "US"}, "next_scroll_param", SCROLL),
        ("video/trends/analytics", {"video_id": SOLD, **OCTOBER, **PAGE}, "0 total_video_sale_gmv_amt", "7.99"),
        ("video/trends", {"video_id": "7561644792577363221"}, "14d_interaction comments 1 value", -337),
        ("music/search", BABY, "music 0 id", 7177934303425579803),
        ("live/search", BABY, "data 0 lives author room_id", 7571634840607017741),
        ("video/download-url", {"url": "https://vt.tiktok.com/ZShA8F5de/"}, "video_id", "7377855725290179873"),
        ("search/analytics", {"sk": "creator", "type": 1, "size": 30}, "0 total_sale_gmv_amt", 564100.61),
        ("category/primary/analytics", {"language": "en-US"}, "0 category_name", "Bookings & Vouchers"),
    ],
)
def test_values_of_examples_by_hand(sandbox, path, params, place, value):
    found = data(sandbox, path, params)
    for key in place.split():
        found = found[int(key) if key.isdigit() else key]
    assert found == value
    assert type(found) is type(value)


def test_envelopes_differ_as_the_examples_do(sandbox):
    comments = query(sandbox, "video/comments", {"video_id": "7560802497552567582"}).json()
    replies = {"video_id": "7560802497552567582", "comment_id": "7571269780301513502"}
    assert list(comments) == ["code", "message", "data", "requestId"]
    assert list(query(sandbox, "video/comments/replies", replies).json()) == ["msg", "code", "data"]
    page = query(sandbox, "video/comments", {"video_id": VIDEO}).json()
    assert page["requestId"] != comments["requestId"]


def test_no_example_holds_what_belongs_to_a_person():
    text = "".join(path.read_text("utf-8") for path in EXAMPLES.glob("*.json"))
    assert {part.split('"')[0] for part in text.split('"unique_id": "')[1:]} <= {f"creator_{c}" for c in "abcdefghi"}
    invented = ("@creator_x", "creator@example.com", "photo_search_card@4")
    assert text.count("@") == sum(map(text.count, invented))


# ---- other parameters ----------------------------------------------------------------------------------------------


@EACH_WITHOUT_WORLD
def test_other_parameters_get_other_ids_in_the_same_shape(sandbox, listed, name, asked):
    changed = {
        name: "7600000000000000123" if value.isdigit() and len(value) > 5 else "GB" if value == "US" else value + "x"
        for name, value in asked.items()
        if name not in {"start_date", "end_date", "date"} and not (value.isdigit() and len(value) <= 5)
    }
    params = sent_for(listed, {**asked, **changed})
    found, again = (data(sandbox, listed.name, params) for _ in range(2))
    expected = example(next(iter(listed.examples)))["data"]
    assert found == again
    if isinstance(expected, list):
        assert shape(found[0]) == shape(expected[0])
    else:
        assert shape(found) == shape(expected)
    ids = [known for known in asked.values() if known.isdigit() and len(known) > 5]
    assert not [known for known in ids if known in json.dumps(found)]


def test_the_requested_id_stands_wherever_the_example_has_its_own(sandbox):
    found = data(sandbox, "video/products/analytics", {"video_ids": VIDEO, **PAGE})
    assert [row["video_id"] for row in found] == [VIDEO] * 10
    assert found[0]["reflow_cover"].endswith(f"/video-cover/836/{VIDEO}.jpeg")
    products = [row["product_id"] for row in found]
    assert len(set(products)) == 10
    assert {(product[:10], len(product)) for product in products} == {("1729422228", 19)}


def test_numbers_that_are_ids_change_like_text(sandbox):
    (sound,) = data(sandbox, "music/search", {"keyword": "cat", "region": "US"})["music"]
    assert str(sound["id"]) == sound["id_str"] != "7177934303425579803"
    assert sound["id"] // 10**9 == 7177934303


def test_words_and_regions_are_those_requested(sandbox):
    found = data(sandbox, "hashtag/search", {"keyword": "cat", "region": "GB"})
    info = found["challenge_list"][0]["challenge_info"]
    assert (found["global_doodle_config"]["keyword"], info["cha_name"]) == ("cat", "cat")
    assert info["cid"] != "37644733"
    assert info["schema"] == f"aweme://aweme/challenge/detail?cid={info['cid']}"


def test_a_filter_holds_for_the_rows(sandbox):
    filters = {"region": "GB", "user_id": USER, "created_by_ai": "true"}
    rows = data(sandbox, "video/list/analytics", {**filters, **PAGE})
    assert [{name: row[name] for name in filters} for row in rows] == [filters] * 10


def test_times_and_categories_and_counts_stay(sandbox):
    known = {"category_id": "601450", "create_time": 1708707773, "total_views_cnt": 50194, "spu_avg_price": 4.23}
    row = data(sandbox, "product/livestreams/analytics", {"product_id": PRODUCT, **PAGE})[0]
    assert {name: row[name] for name in known} == known


def test_a_filter_makes_another_answer_and_an_unknown_parameter_none(sandbox):
    params = {"product_id": "1729382310407603945", **PAGE}
    expected = example("product-videos-analytics")["data"]
    assert data(sandbox, "product/videos/analytics", {**params, "sort_typ": 1}) == expected
    found = data(sandbox, "product/videos/analytics", {**params, "sort_type": 1})
    assert found[0]["video_id"] != expected[0]["video_id"]
    assert found[0]["product_id"] == "1729382310407603945"


def test_another_seed_has_other_ids():
    found = []
    for seed in (1, 2):
        with Sandbox(seed=seed) as other:
            found.append(data(other, "product/videos/analytics", {"product_id": PRODUCT, **PAGE})[0]["video_id"])
    assert found[0] != found[1]


# ---- checks --------------------------------------------------------------------------------------------------------


@EACH_EXAMPLE
def test_each_required_parameter_is_required(sandbox, listed, name, asked):
    params = sent_for(listed, asked)
    for names in listed.required:
        group = names.split("|")
        left = {key: value for key, value in params.items() if key not in group}
        assert refusal(sandbox, listed.name, left) == f"Missing required parameter: {' or '.join(group)}"


@pytest.mark.parametrize(
    ("path", "params", "message"),
    [
        ("influencer/detail/analytics", {}, "Missing required parameter: user_ids or unique_ids"),
        ("influencer/videos/analytics", PAGE, "Missing required parameter: user_id or unique_id"),
        ("influencer/region", {"unique_id": " "}, "Missing required parameter: unique_id"),
        ("video/products/analytics", {"video_ids": VIDEO, "page_num": 1}, "Missing required parameter: page_size"),
        ("video/products/analytics", {"video_ids": VIDEO, "page_size": 1}, "Missing required parameter: page_num"),
        *(
            ("video/list/analytics", {**US, **PAGE, "page_num": bad}, "Invalid parameter: page_num")
            for bad in BAD_PAGES
        ),
        *(
            ("video/list/analytics", {**US, **PAGE, "page_size": bad}, "Invalid parameter: page_size")
            for bad in BAD_SIZES
        ),
        ("video/trends", {"video_id": "abc"}, "Invalid parameter: video_id"),
        ("video/products/analytics", {"video_ids": "1,2", **PAGE}, "Invalid parameter: video_ids"),
        ("influencer/detail/analytics", {"user_ids": "1,,2"}, "Invalid parameter: user_ids"),
        ("influencer/detail/analytics", {"user_ids": "one"}, "Invalid parameter: user_ids"),
        ("influencer/detail/analytics", {"unique_ids": ",".join("abcdefghijk")}, "Invalid parameter: unique_ids"),
        ("product/detail/analytics", {"product_ids": ",".join(map(str, range(11)))}, "Invalid parameter: product_ids"),
        ("influencer/ranking/analytics", {**RANKING, **PAGE, "date": "20260202"}, "Invalid parameter: date"),
        ("influencer/ranking/analytics", {**RANKING, **PAGE, "date": "2026-02-30"}, "Invalid parameter: date"),
    ],
)
def test_refusals_by_hand(sandbox, path, params, message):
    assert refusal(sandbox, path, params) == message


def test_a_refusal_is_not_charged_and_methods_paths_and_tokens_are_checked_as_ever():
    with Sandbox(token="right") as own:
        assert query(own, "video/trends", {}, token="right").status_code == 400
        assert query(own, "video/trends", {"video_id": VIDEO}, token="wrong").status_code == 401
        assert query(own, "realtime/product/photo-search", {}, method="POST", token="right").status_code == 404
        assert query(own, "video/trends", {"video_id": VIDEO}, method="POST", token="right").status_code == 405
        assert query(own, "shop/detail/analytics", {"seller_id": "1"}, token="right").status_code == 404
        assert own.charged == 0


# ---- pages, cursors, several ids, absence --------------------------------------------------------------------------


def test_the_page_after_an_example_is_empty(sandbox):
    params = {**RANKING, "date": "2025-06-02", "page_size": 10}
    assert len(data(sandbox, "influencer/ranking/analytics", {**params, "page_num": 1})) == 1
    assert data(sandbox, "influencer/ranking/analytics", {**params, "page_num": 2}) == []


@pytest.mark.parametrize(("size", "lengths"), [(10, [10, 10, 3, 0]), (8, [8, 8, 7, 0]), (1, [1, 1, 1, 1])])
def test_other_parameters_have_23_rows_over_the_pages(sandbox, size, lengths):
    params = {"product_id": PRODUCT, "page_size": size}
    pages = [data(sandbox, "product/videos/analytics", {**params, "page_num": n}) for n in (1, 2, 3, 4)]
    assert [len(page) for page in pages] == lengths
    rows = [row for page in pages for row in page]
    assert len({row["user_id"] for row in rows}) == len({row["video_id"] for row in rows}) == len(rows)
    assert {row["total_views_cnt"] for row in rows} == {2560}


def test_pages_of_another_size_hold_the_same_rows(sandbox):
    params = {"seller_id": "7495000000000000001", "page_num": 2}
    pages = [data(sandbox, "shop/products/analytics", {**params, "page_size": size}) for size in (5, 10)]
    first = data(sandbox, "shop/products/analytics", {**params, "page_num": 1, "page_size": 10})
    assert pages[0] == first[5:]
    assert pages[1][0] not in first


def test_a_series_has_the_days_that_were_requested(sandbox):
    params = {"video_id": VIDEO, "start_date": "2026-01-30", "end_date": "2026-02-02", **PAGE}
    found = data(sandbox, "video/trends/analytics", params)
    assert [row["dt"] for row in found] == ["2026-01-30", "2026-01-31", "2026-02-01", "2026-02-02"]
    assert {row["video_id"] for row in found} == {VIDEO}
    backwards = {**params, "end_date": "2026-01-29"}
    assert data(sandbox, "video/trends/analytics", backwards) == []
    long = {**params, "start_date": "2025-12-31", "page_num": 3}
    assert [row["dt"] for row in data(sandbox, "video/trends/analytics", long)] == [
        "2026-01-20",
        "2026-01-21",
        "2026-01-22",
    ]


@pytest.mark.parametrize(
    ("path", "params", "cursor", "rows", "has_more"),
    [
        ("video/comments", {"video_id": "7560802497552567582"}, 1, ["comments"], 0),
        ("influencer/videos", {"unique_id": "creator_d"}, 1760464682000, ["aweme_list"], 0),
        ("influencer/search", BABY, 10, ["user_list"], 0),
        ("product/reviews", {"product_id": PRODUCT, "region": "US"}, 2, ["review_items"], False),
        ("shop/products", {"seller_id": SELLER, "region": "US"}, SCROLL, ["product_list_map"], False),
        ("realtime/product/search", {"sk": "Notebook", "region": "MY"}, 3, ["body", "sections"], 0),
    ],
)
def test_a_cursor_leads_to_an_empty_last_page(sandbox, path, params, cursor, rows, has_more):
    first = data(sandbox, path, {**params, "offset": LISTED[PREFIX + path].first_offset})
    last = data(sandbox, path, {**params, "offset": cursor})
    assert bool(first["has_more"]) is True
    assert (last["has_more"], type(last["has_more"])) == (has_more, type(has_more))
    assert list(last) == list(first)
    for key in rows:
        first, last = first[key], last[key]
    assert first
    assert not last
    assert type(last) is type(first)


def test_a_first_offset_may_be_left_out_where_it_is_optional(sandbox):
    assert data(sandbox, "influencer/search", BABY) == data(sandbox, "influencer/search", {**BABY, "offset": 0})
    params = {"seller_id": SELLER, "region": "US"}
    assert data(sandbox, "shop/products", params) == data(sandbox, "shop/products", {**params, "offset": ""})


@pytest.mark.slow
def test_the_example_of_a_world_is_for_its_own_query_alone(sandbox):
    known = example("influencer-detail-analytics")["data"]
    assert data(sandbox, "influencer/detail/analytics", {"user_ids": "104962950695723008", "typo": "1"}) == known
    assert data(sandbox, "influencer/detail/analytics", {"unique_ids": "creator_b"}) == known
    both = {"user_ids": "104962950695723008,7000000000000000001"}
    rows = {row["user_id"]: row for row in data(sandbox, "influencer/detail/analytics", both)}
    assert rows.keys() == {"104962950695723008", "7000000000000000001"}
    assert rows["104962950695723008"]["unique_id"] != "creator_b"
    ranking = {**RANKING, **PAGE, "date": "2025-06-02"}
    assert len(data(sandbox, "influencer/ranking/analytics", ranking)) == 1
    ranking["date"] = "2026-02-02"
    assert len(data(sandbox, "influencer/ranking/analytics", ranking)) == 10
    assert len(data(sandbox, "influencer/ranking/analytics", {**ranking, "category_id": "601450"})) == 10
    assert len(data(sandbox, "influencer/ranking/analytics", {**ranking, "region": "GB"})) == 10


@pytest.mark.parametrize(
    ("path", "params", "empty"),
    [
        ("influencer/videos/analytics", {"user_id": "7000000000001000000", **PAGE}, ([],)),
        ("influencer/detail/analytics", {"user_ids": "7000000000001000000"}, ([],)),
        ("video/captions", {"video_id": "7600000000001000000"}, ([],)),
        ("video/trends", {"video_id": "7600000000001000000"}, (None, {})),
        ("influencer/region", {"unique_id": "nobody000000"}, (None, {})),
        ("live/detail", {"room_id": "7571000000001000000", "user_id": USER}, (None, {})),
    ],
)
def test_what_is_absent_has_no_data(sandbox, path, params, empty):
    assert data(sandbox, path, params) in empty


# ---- as with the other endpoints -----------------------------------------------------------------------------------


def test_requests_charges_and_the_mark_of_the_sandbox():
    with Sandbox() as own:
        answer = query(own, "hashtag/search", {"keyword": "cat", "region": "US"})  # 1 credit
        query(own, "shop/products", {"seller_id": "7495045046260173699", "region": "US"})  # 2
        query(own, "live/search", {"keyword": "cat", "region": "US"})  # price not known: 1
        query(own, "video/trends", {"video_id": "7600000000001000000"})  # absent, 2
        assert answer.headers[SOURCE_HEADER] == "sandbox"
        assert [request.credits for request in own.requests] == [1, 2, 1, 2]
        assert own.charged == 6
        assert own.requests[0].params == {"keyword": "cat", "region": "US"}


def test_faults_hooks_and_quota():
    with Sandbox(credits=3) as own:
        own.faults.put(Fault(status=500, charge=True))
        assert query(own, "video/trends", {"video_id": VIDEO}).status_code == 500
        assert own.credits == 1
        assert query(own, "video/trends", {"video_id": VIDEO}).status_code == 402
        own.mutate = lambda path, params, envelope: {**envelope, "data": [path, params["video_id"]]}
        answer = query(own, "video/captions", {"video_id": VIDEO})
        assert answer.json()["data"] == ["/v1/tiktok/video/captions", VIDEO]
        assert own.charged == 3


def test_a_listed_endpoint_with_tables_has_a_world():
    assert LISTED.keys() & {endpoint.path for endpoint in endpoints()} <= WITH_WORLD
    assert len(WITH_WORLD) == 8
