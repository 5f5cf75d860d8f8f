"""The list of endpoints and the search: what they hold, by hand; that what nobody read is missing; and nothing sent."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest

import keyapi_research as kr
from keyapi_research import model
from keyapi_research.catalogue.listed import Listed, ListedParameter, listed, niches, personal
from keyapi_research.client.connection import IN_USE
from keyapi_research.sandbox import Sandbox

V1 = "/v1/tiktok/"
# fmt: off
PARAMETERS = {  # by hand, from the table of each endpoint: a star where it is required, a question mark where unknown
    "influencer/trends/analytics": "user_id* start_date* end_date* page_num* page_size*",
    "influencer/products/analytics":
        "user_id* category_id influencer_product_sort_field sort_type page_num* page_size*",
    "shop-creator/detail": "creator_oecuid* region*",
    "category/tertiary/analytics": "language* parent_id category_l2_id?",
    "product/ranking/analytics":
        "date* region* category_id category_l2_id category_l3_id product_rank_field* rank_type* page_num* page_size*",
    "product/reviews": "product_id* region* offset*",
    "realtime/product/search": "sk* region* sort_type price_range live cod count offset keyword?",
    "shop/trends/analytics": "seller_id* start_date* end_date* page_num* page_size*",
    "shop/products": "seller_id* offset region*",
    "video/comments/replies": "video_id* comment_id* offset",
    "video/search": "keyword* region* publish_time sort_type offset",
    "hashtag/search": "keyword* region* offset count",
    "hashtag/videos": "hashtag_id* region* offset count",
    "live/detail": "room_id* user_id*",
    "search/analytics": "sk* region type* size* searchType sortType keyword?",
    "suggested/users": "keyword? region? count?",
    "trending/videos": "region period order_by page limit",
}
PRICES = {
    "influencer/ranking/analytics": 1, "influencer/trends/analytics": 1, "shop/products": 2, "video/trends": 2,
    "video/captions": 1, "video/comments/keywords": 2, "hashtag/search": 1, "search/analytics": 1,
    "trending/videos": 2, "insights/ads": 2,
}
NOT_READ = (
    "influencer/detail", "influencer/livestreams/analytics", "category/primary/analytics", "shop/detail/analytics",
    "video/comments", "hashtag/videos", "music/search", "insights/keyword", "covers/batch-download",
)
PAGING = {
    "influencer/ranking/analytics": "page_num/page_size, up to 10 rows",
    "video/products/analytics": "page_num/page_size, up to 10 rows",
    "trending/videos": "page/limit, up to 20 rows",
    "insights/ads": "page/limit, up to 20 rows",
    "influencer/videos": "cursor offset",
    "shop/products": "cursor offset",
    "video/comments": "cursor offset",
    "influencer/detail/analytics": "none",
    "category/primary/analytics": "none",
    "search/analytics": "none",
}
# fmt: on
PAGING_NOT_KNOWN = {"shop-creator/videos", "shop-creator/search", "category/trend/analytics"}


def on(path: str) -> Listed:
    return listed()[V1 + path]


def by_path() -> pd.DataFrame:
    return kr.endpoints().set_index("path")


def hits(text: str, *kinds: str) -> list[tuple[str, str]]:
    found = kr.find(text)
    return [(one.kind, one.id) for one in found.itertuples() if not kinds or one.kind in kinds]


# The list --------------------------------------------------------------------------------------------------------


def test_the_list_has_80_endpoints_of_which_one_is_a_post() -> None:
    assert len(listed()) == 80
    assert [path for path, one in listed().items() if one.method != "GET"] == [V1 + "realtime/product/photo-search"]
    assert on("realtime/product/photo-search").method == "POST"
    assert all(re.fullmatch(r"/v1/[a-z_/-]+", path) for path in listed())
    families = pd.Series([one.family for one in listed().values()]).value_counts().to_dict()
    assert set(families) == {"influencer", "shop-creator", "shop", "content", "intelligence"}
    assert families["shop-creator"] == 6
    assert families["intelligence"] == 10


@pytest.mark.parametrize("path", PARAMETERS)
def test_parameters_are_those_of_the_page(path: str) -> None:
    signs = {True: "*", False: "", None: "?"}
    assert " ".join(one.name + signs[one.required] for one in on(path).parameters) == PARAMETERS[path]


def test_what_is_known_of_a_parameter_is_kept() -> None:
    sort = next(one for one in on("video/search").parameters if one.name == "sort_type")
    assert sort == ListedParameter(
        "sort_type",
        required=False,
        meaning="order: 0 relevance, 1 most likes",
        source="inferred: EchoTik's specification",
        allowed="0, 1",
    )
    scope = next(one for one in on("insights/products").parameters if one.name == "time_scope")
    assert (scope.default, scope.source) == ("1", "KeyAPI's page")
    assert [one.required for one in on("influencer/detail/analytics").parameters] == ["one of user_ids, unique_ids"] * 2
    page = next(one for one in on("influencer/list/analytics").parameters if one.name == "page_num")
    assert page.allowed == "1..10000"


def test_ids_that_go_into_one_request_and_the_field_that_repeats_them() -> None:
    batches = {path.removeprefix(V1): (dict(one.batch), one.per_request) for path, one in listed().items() if one.batch}
    assert batches == {
        "influencer/detail/analytics": ({"user_ids": "user_id", "unique_ids": "unique_id"}, 10),
        "product/detail/analytics": ({"product_ids": "product_id"}, 10),
        "video/detail/analytics": ({"video_ids": "video_id"}, 10),
    }
    assert on("covers/batch-download").per_request == 1


def test_what_is_inferred_is_said_to_be() -> None:
    assert on("influencer/ranking/analytics").certainty.startswith("B: path known; parameters and fields inferred")
    assert on("hashtag/videos").certainty.startswith("C: path inferred")
    assert on("insights/keyword").certainty.startswith("D: path inferred")
    assert on("trending/hashtags").certainty == "A: read on KeyAPI's page"
    letters = pd.Series([one.certainty.partition(":")[0] for one in listed().values()]).value_counts().to_dict()
    assert letters == {"B": 36, "C": 24, "A": 7, "B-": 7, "D": 6}
    for one in listed().values():
        sources = {parameter.source for parameter in one.parameters}
        if one.certainty.startswith("A"):
            assert sources == {"KeyAPI's page"}
        elif one.certainty.startswith("C"):
            assert sources == {"inferred: EchoTik's specification"}
    assert "endpoints of its kind cost 1 credit (inferred)" in " ".join(on("shop/detail/analytics").notes)
    assert "endpoints of its kind cost 2 credits (inferred)" in " ".join(on("insights/keyword").notes)


def test_paging_and_cursors() -> None:
    assert on("influencer/trends/analytics").paging == ("page_num", "page_size", 10)
    assert on("trending/music").paging == ("page", "limit", 20)
    assert (on("influencer/videos").paging, on("influencer/videos").cursor) == (None, "offset")
    assert (on("live/detail").paging, on("live/detail").cursor) == (None, None)
    for one in listed().values():
        names = {parameter.name for parameter in one.parameters}
        assert set(one.paging[:2] if one.paging else ()) | ({one.cursor} - {None}) | set(one.batch) <= names, one.path
        assert one.paging is None or one.cursor is None
    assert "0 at first, then max_cursor of the answer before" in " ".join(on("influencer/videos").notes)
    assert "1 at first, then next_cursor of the answer before" in " ".join(on("product/reviews").notes)


def test_niches_and_personal_fields() -> None:
    assert len(niches()) == 35
    assert {"Beauty", "Home, Furniture & Appliances", "MCN", "Travel & Tourism"} <= set(niches())
    assert {"contact_email", "signature", "nick_name", "nickname", "avatar", "avatar_thumb", "gender"} <= personal()


def test_the_list_holds_nobodys_data() -> None:
    text = (Path(kr.__file__).parent / "catalogue" / "endpoints.json").read_text(encoding="utf-8")
    assert re.findall(r"[0-9]{9,}", text) == ["6703723351497508865"], "the sound of KeyAPI's own page"
    assert not re.search(r"\w@\w", text)
    assert "github" not in text.lower()


def test_endpoints_with_tables_agree_with_the_list() -> None:
    all_tabled = ("video_analytics", "product_insights", "product_detail", "hashtag_detail", "music_detail",
                  "trending_hashtags", "trending_music")  # of the others some parameters have no argument
    declared = [one for one in model.endpoints() if one.name in all_tabled]
    assert len(declared) == 7
    for endpoint in declared:
        entry = listed()[endpoint.path]
        names = {one.api_name for one in endpoint.inputs}
        paged = set(entry.paging[:2]) if entry.paging else set()
        assert (entry.credits, entry.per_request, entry.method) == (endpoint.credits, endpoint.batch, "GET")
        assert (entry.paging is not None) is endpoint.ranking
        assert {one.name for one in entry.parameters} == names | paged


def test_importing_does_not_read_the_list_and_it_is_read_once() -> None:
    code = (
        "import sys; opened = []\n"
        "sys.addaudithook(lambda event, args: opened.append(1) if event == 'open' and 'endpoints.json' in str(args[0])"
        " else None)\n"
        "import keyapi_research as kr; kr.describe('videos'); kr.tables(); before = len(opened)\n"
        "kr.endpoints(); kr.find('beauty'); kr.endpoints(); print(before, len(opened))"
    )
    result = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)
    assert (result.stdout, result.stderr) == ("0 1\n", "")


def test_the_list_is_part_of_the_package() -> None:
    project = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text())
    assert "catalogue/endpoints.json" in project["tool"]["setuptools"]["package-data"]["keyapi_research"]


# kr.endpoints ----------------------------------------------------------------------------------------------------


def test_endpoints_is_a_typed_frame() -> None:
    frame = kr.endpoints()
    assert list(frame) == ["path", "title", "family", "credits", "paging", "status", "tables", "certainty"]
    assert {name: str(dtype) for name, dtype in frame.dtypes.items()} == dict.fromkeys(frame, "string") | {
        "credits": "Int64"
    }
    assert len(frame) == 80
    assert frame["path"].is_unique
    assert frame.loc[0, ["path", "title", "family"]].tolist() == [
        V1 + "influencer/ranking/analytics",
        "Influencer Ranking (Analytics)",
        "influencer",
    ]
    assert not frame[["path", "title", "family", "status"]].isna().to_numpy().any()


def test_endpoints_says_of_each_how_far_it_is_known() -> None:
    frame = kr.endpoints().set_index("path")
    assert frame.loc[V1 + "insights/products", "certainty"] == "A: read on KeyAPI's page"
    assert frame["certainty"].str[:1].value_counts().to_dict() == {"B": 43, "C": 24, "A": 7, "D": 6}


def test_prices_are_those_that_were_read_and_others_are_missing() -> None:
    prices = by_path()["credits"]
    assert {path: int(prices[V1 + path]) for path in PRICES} == PRICES
    assert all(prices[V1 + path] is pd.NA for path in NOT_READ)
    assert prices.notna().sum() == 38


def test_paging_as_text() -> None:
    paging = by_path()["paging"]
    assert {path: paging[V1 + path] for path in PAGING} == PAGING
    assert {path.removeprefix(V1) for path in paging[paging.isna()].index} == PAGING_NOT_KNOWN


def test_status_and_tables() -> None:
    frame = by_path()
    assert (frame["status"] == "tables").sum() == 18
    assert frame.loc[V1 + "influencer/detail/analytics", ["status", "tables"]].tolist() == [
        "tables",
        "creators, creator_windows, creator_posting, creator_categories",
    ]
    assert frame.loc[V1 + "trending/music", ["status", "tables"]].tolist() == [
        "tables",
        "trending_music, trending_music_trends",
    ]
    assert frame.loc[V1 + "hashtag/videos", "status"] == "listed"
    assert frame.loc[V1 + "hashtag/videos", "tables"] is pd.NA


@pytest.fixture
def declare(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Declare a copy of a table under another name and path, until the test ends."""

    def make(name: str, path: str, price: int) -> None:
        table = model.TABLES["videos"]
        endpoint = replace(table.endpoint, name=name, path=path, credits=price, page="Of my own")
        monkeypatch.setitem(model._tables, name, replace(table, name=name, endpoint=endpoint))

    return make


def test_tables_declared_in_the_session_appear(declare: Callable[..., None]) -> None:
    declare("shop_trends", V1 + "shop/trends/analytics", 1)
    declare("mine", "/v1/tiktok/brand/new", 3)
    frame = by_path()
    assert len(frame) == 81
    assert frame.index[-1] == "/v1/tiktok/brand/new"
    assert frame.loc["/v1/tiktok/brand/new", ["title", "credits", "status", "tables"]].tolist() == [
        "Of my own",
        3,
        "tables",
        "mine",
    ]
    assert frame.loc["/v1/tiktok/brand/new", ["family", "paging"]].isna().all()
    assert frame.loc[V1 + "shop/trends/analytics", ["title", "status", "tables"]].tolist() == [
        "Shop Trends (Analytics)",
        "tables",
        "shop_trends",
    ]
    assert hits("of my own") == [("endpoint", "/v1/tiktok/brand/new")]
    assert hits("mine", "table") == [("table", "mine")]


def test_a_price_nobody_read_stays_missing_where_a_session_names_one(declare: Callable[..., None]) -> None:
    declare("comments", V1 + "video/comments", 5)
    assert by_path().loc[V1 + "video/comments", "credits"] is pd.NA


# kr.find ---------------------------------------------------------------------------------------------------------


def test_find_is_a_frame_of_text() -> None:
    for text in ("beauty", "nothing has these words"):
        found = kr.find(text)
        assert list(found) == ["kind", "id", "name", "where"]
        assert {str(dtype) for dtype in found.dtypes} == {"string"}
    assert kr.find("nothing has these words").empty


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("Trending Hashtags", ("endpoint", V1 + "trending/hashtags", "Trending Hashtags", "intelligence")),
        ("hashtag videos", ("endpoint", V1 + "hashtag/videos", "Hashtag Videos", "content")),
        ("VIDEO comments keywords", ("endpoint", V1 + "video/comments/keywords", "Video Comment Keywords", "content")),
        (V1 + "live/detail", ("endpoint", V1 + "live/detail", "Live Stream Detail", "content")),
        ("shop/trends", ("endpoint", V1 + "shop/trends/analytics", "Shop Trends (Analytics)", "shop")),
        ("creator_oecuid detail", ("endpoint", V1 + "shop-creator/detail", "Shop Creator Detail", "shop-creator")),
        ("personal care", ("industry", "14000000000", "Beauty & Personal Care", "industry of fetch_trending_hashtags")),
        ("27000000000", ("industry", "27000000000", "Food & Beverage", "industry of fetch_trending_hashtags")),
        ("gb", ("region", "GB", "United Kingdom", "region")),
        ("Holland", ("region", "NL", "Netherlands", "region")),
        ("cooking", ("niche", "Food & Cooking", "Food & Cooking", "niche of fetch_creator_rankings")),
        ("trending_music", ("table", "trending_music", "sound in the top 100", V1 + "trending/music")),
    ],
)
def test_the_best_match_comes_first(text: str, first: tuple[str, str, str, str]) -> None:
    assert tuple(kr.find(text).iloc[0]) == first


def test_a_column_is_found_with_its_meaning_and_table() -> None:
    found = kr.find("share_of_peak")
    assert set(found["kind"]) == {"column"}
    assert {"hashtag_trends", "music_trends", "trending_hashtag_trends"} <= set(found["where"])
    meaning = kr.describe("hashtag_trends").set_index("column").loc["share_of_peak", "meaning"]
    assert set(found.loc[found["where"] == "hashtag_trends", "name"]) == {meaning}


def test_exact_comes_before_begins_with_and_that_before_contains() -> None:
    assert hits("niger", "region") == [("region", "NE"), ("region", "NG")]
    assert hits("US", "region")[0] == ("region", "US")
    paths = [one.removeprefix(V1) for _, one in hits("hashtag", "endpoint")]
    assert paths[:2] == ["hashtag/search", "hashtag/videos"]
    assert paths.index("trending/hashtags") > 1
    assert hits("hashtag_id", "endpoint") == [("endpoint", V1 + "hashtag/videos")], "by a parameter it has"


def test_every_word_must_match() -> None:
    assert ("region", "DE") in hits("germany")
    assert ("industry", "14000000000") in hits("beauty")
    assert hits("beauty germany") == []


@pytest.mark.parametrize(
    ("text", "hit"),
    [
        ("beuty", ("industry", "14000000000")),
        ("Beuty & Persnal Care", ("industry", "14000000000")),
        ("germny", ("region", "DE")),
        ("hastag vidoes", ("endpoint", V1 + "hashtag/videos")),
        ("trending_hashtgs", ("table", "trending_hashtags")),
        ("gmv_ets", ("column", "gmv_est")),
    ],
)
def test_the_nearest_is_found_where_nothing_matches(text: str, hit: tuple[str, str]) -> None:
    assert hit in hits(text)


def test_an_id_is_never_taken_for_another() -> None:
    assert hits("14000000001") == []


@pytest.mark.parametrize("text", ["", "  ", None, 5, ["beauty"], float("nan"), pd.NA, "x" * 301])
def test_what_is_no_text_is_refused(text: object) -> None:
    with pytest.raises(kr.InvalidArgumentError, match='find needs a few words, such as "beauty"'):
        kr.find(text)  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["\ud800", "\0", "(", "[a-z", "\\", "%", "café", "美", "🙂" * 300])
def test_any_text_gives_a_frame(text: str) -> None:
    assert list(kr.find(text)) == ["kind", "id", "name", "where"]


# Categories of stored answers ------------------------------------------------------------------------------------


@pytest.fixture
def connected(sandbox: Sandbox, tmp_path: Path) -> kr.Client:
    """The default connection, to the test's server."""
    return kr.connect(token="key", base_url=sandbox.url, store=tmp_path / "s.sqlite", requests_per_second=None)


def test_categories_of_stored_rankings_are_found(connected: kr.Client, sandbox: Sandbox) -> None:
    with connected:
        assert hits("perfume", "category") == []
        assert sandbox.requests == []
        row = kr.fetch_product_insights(limit=20).iloc[0]
        sent = len(sandbox.requests)
        found = kr.find(row["category_id"])
        assert found.to_numpy().tolist() == [["category", row["category_id"], row["category"], "product_insights"]]
        assert ("category", row["category_id"]) in hits(row["category"].upper())
        assert ("category", row["category_l1_id"]) in hits(row["category_l1"])
        assert len(sandbox.requests) == sent


def test_categories_of_stored_details_are_found(connected: kr.Client) -> None:
    with connected:
        kr.fetch_product_details("601583")
        found = kr.find("601583")
        assert found[["kind", "id", "where"]].to_numpy().tolist() == [["category", "601583", "product_details"]]


def test_categories_are_found_offline_as_of_a_time_and_in_a_replay(
    connected: kr.Client, sandbox: Sandbox, tmp_path: Path
) -> None:
    with connected:
        kr.fetch_product_details("601583")
        kr.freeze(tmp_path / "study.zip")
        sent = len(sandbox.requests)
    store = tmp_path / "s.sqlite"
    for options, expected in (
        ({"offline": True}, ["601583"]),
        ({"as_of": datetime.now(UTC)}, ["601583"]),
        ({"as_of": "2020-01-01"}, []),
        ({"replay": tmp_path / "study.zip"}, ["601583"]),
    ):
        with kr.connect(**{"store": store} | options):
            assert [one for _, one in hits("601583", "category")] == expected
        kr.connect(store=store, offline=True, replay=False).close()
    assert len(sandbox.requests) == sent


def test_finding_does_not_count_as_reading(sandbox: Sandbox, tmp_path: Path) -> None:
    options = {"token": "key", "base_url": sandbox.url, "store": tmp_path / "s.sqlite"}
    with kr.Client(**options) as other:
        kr.fetch_product_details("601583", client=other)
    with kr.connect(**options) as connected:
        assert hits("601583") == [("category", "601583")]
        assert connected.records.read == set()


def test_missing_and_malformed_answers_name_no_category(connected: kr.Client, sandbox: Sandbox) -> None:
    with connected:
        sandbox.mutate = lambda path, params, envelope: {**envelope, "data": None}
        with pytest.warns(kr.MissingDataWarning):
            kr.fetch_product_details("601583")
        assert hits("601583", "category") == []

        def damage(path: str, params: object, envelope: dict[str, object]) -> dict[str, object]:
            text = json.dumps(envelope)
            return json.loads(re.sub(r'"(first|second)_ecom_category": \{[^}]*\}', r'"\1_ecom_category": ["x"]', text))

        sandbox.mutate = damage
        with pytest.warns(kr.SchemaDriftWarning):
            kr.fetch_product_details("601583", max_age=0)
        assert hits("601583", "category") == [("category", "601583")]


# Nothing is sent -------------------------------------------------------------------------------------------------


def test_nothing_connects(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("connected")

    monkeypatch.setattr("keyapi_research.client.connection.connect", refuse)
    monkeypatch.setattr("socket.socket.connect", refuse)
    assert len(kr.endpoints()) == 80
    assert not kr.find("perfume bottle").to_numpy().size
    assert IN_USE.client is None


def test_a_closed_connection_is_left_alone(connected: kr.Client) -> None:
    with connected:
        kr.fetch_product_details("601583")
    assert hits("601583") == []
