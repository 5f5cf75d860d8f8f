"""Wrong arguments are refused before anything is sent, and right ones are written one way."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

import keyapi_research as kr
from keyapi_research.catalogue.hashtags import HASHTAG_DETAIL
from keyapi_research.catalogue.videos import VIDEO_ANALYTICS
from keyapi_research.model import Endpoint, endpoints
from keyapi_research.queries import make_queries, make_query
from keyapi_research.sandbox import Sandbox

VIDEO = "7117191641181555995"

WRONG: list[tuple[str, Callable[..., Any], tuple[Any, ...], dict[str, Any], str]] = [
    ("float id", kr.fetch_videos, ([7.117191641181556e18],), {}, "read_csv"),
    ("missing id", kr.fetch_videos, ([VIDEO, None],), {}, "missing"),
    ("NaN id", kr.fetch_videos, ([math.nan],), {}, "missing"),
    ("NA id", kr.fetch_videos, (pd.Series([VIDEO, pd.NA], dtype="string"),), {}, "dropna"),
    ("float column", kr.fetch_videos, (pd.Series([7.1e18, 2.0]),), {}, "read_csv"),
    ("letters", kr.fetch_videos, ("video",), {}, "digits"),
    ("several in one text", kr.fetch_videos, (f"{VIDEO},{VIDEO}",), {}, "list"),
    ("Arabic digits", kr.fetch_music, ("٦٧٠٣٧٢٣٣٥١٤٩٧٥٠٨٨٦٥",), {}, "digits"),
    ("negative", kr.fetch_videos, (-5,), {}, "digits"),
    ("bool", kr.fetch_videos, (True,), {}, "bool"),
    ("bytes", kr.fetch_videos, (b"123",), {}, "list, Series or Index"),
    ("bytearray", kr.fetch_videos, (bytearray(b"7119"),), {}, "list, Series or Index of ids; got bytearray"),
    ("memoryview", kr.fetch_music, (memoryview(b"7119"),), {}, "list, Series or Index of ids; got memoryview"),
    ("dict", kr.fetch_videos, ({"video_id": VIDEO},), {}, "list, Series or Index"),
    ("length of time", kr.fetch_videos, ([np.timedelta64(1, "D")],), {}, "text or int, not timedelta64"),
    ("no id at all", kr.fetch_videos, (None,), {}, "it is None"),
    ("address", kr.fetch_videos, (f"https://www.tiktok.com/@a/video/{VIDEO}",), {}, "digits after /video/"),
    ("limit of time", kr.fetch_product_insights, (), {"limit": np.timedelta64(5, "D")}, "whole number"),
    ("scope of time", kr.fetch_product_insights, (), {"time_scope": np.timedelta64(7, "D")}, "1, 7 or 30"),
    ("period of time", kr.fetch_hashtags, ("a",), {"period": np.timedelta64(7, "D")}, "one of 7, 30"),
    ("USA", kr.fetch_hashtags, ("a",), {"region": "usa"}, 'is "US", not \'usa\''),
    ("frame", kr.fetch_videos, (pd.DataFrame({"video_id": [VIDEO]}),), {}, r'df\["video_id"\]'),
    ("frame without it", kr.fetch_videos, (pd.DataFrame({"a": [VIDEO]}),), {}, "does not have video_id; it has a$"),
    ("category letters", kr.fetch_product_details, ("perfume",), {}, "digits"),
    ("hashtag int", kr.fetch_hashtags, (2024,), {}, "text"),
    ("hashtag space", kr.fetch_hashtags, ("two words",), {}, "white space"),
    ("hashtag comma", kr.fetch_hashtags, ("a,b",), {}, "list"),
    ("hashtag empty", kr.fetch_hashtags, ("#",), {}, "not the name"),
    ("hashtag ##", kr.fetch_hashtags, ("##cats",), {}, "one # at most"),
    ("float32 id", kr.fetch_videos, (np.array([3.0], dtype="float32"),), {}, "read_csv"),
    ("hashtag control", kr.fetch_hashtags, ("a\x00b",), {}, "control"),
    ("hashtag surrogate", kr.fetch_hashtags, ("a\ud800",), {}, "not the name"),
    ("region name", kr.fetch_hashtags, ("a",), {"region": "Germany"}, 'is "DE"'),
    ("UK", kr.fetch_hashtags, ("a",), {"region": "UK"}, '"GB"'),
    ("region NaN", kr.fetch_hashtags, ("a",), {"region": math.nan}, "Namibia"),
    ("music all_regions", kr.fetch_music, ("1",), {"region": "all_regions"}, "'all_regions' is not documented"),
    ("period 8", kr.fetch_hashtags, ("a",), {"period": 8}, "7, 30, 120, 365, 1095"),
    ("music period 365", kr.fetch_music, ("1",), {"period": 365}, "7, 30, 120"),
    ("period bool", kr.fetch_hashtags, ("a",), {"period": True}, "days"),
    ("time_scope 2", kr.fetch_product_details, ("1",), {"time_scope": 2}, "2025-10"),
    ("time_scope month 13", kr.fetch_product_details, ("1",), {"time_scope": "2025-13"}, "2025-10"),
    ("limit 0", kr.fetch_product_insights, (), {"limit": 0}, "at least 1"),
    ("limit float", kr.fetch_product_insights, (), {"limit": 2.5}, "whole number"),
    ("search blank", kr.fetch_product_insights, (), {"search": " "}, "None"),
    ("search FALSE", kr.fetch_product_insights, (), {"search": "FALSE"}, "None"),
    ("industry", kr.fetch_trending_hashtags, (), {"industry": "Beauty"}, "Beauty & Personal Care"),
    ("new_only", kr.fetch_trending_hashtags, (), {"new_only": 1}, "True or False"),
    ("max_age number", kr.fetch_hashtags, ("a",), {"max_age": 3}, '"3D"'),
    ("max_age text", kr.fetch_hashtags, ("a",), {"max_age": "soon"}, "max_age"),
    ("max_age negative", kr.fetch_hashtags, ("a",), {"max_age": "-1D"}, "max_age"),
    ("errors", kr.fetch_hashtags, ("a",), {"errors": "ignore"}, '"warn"'),
    ("client", kr.fetch_hashtags, ("a",), {"client": "x"}, "kr.connect"),
]


@pytest.mark.parametrize(("fetch", "args", "options", "advice"), [w[1:] for w in WRONG], ids=[w[0] for w in WRONG])
def test_wrong_arguments_say_what_to_do(
    fetch: Callable[..., Any], args: tuple[Any, ...], options: dict[str, Any], advice: str, client: kr.Client,
    sandbox: Sandbox,
) -> None:
    with pytest.raises(kr.InvalidArgumentError, match=advice) as caught:
        fetch(*args, **{"client": client, **options})
    assert isinstance(caught.value, ValueError)
    assert not sandbox.requests
    assert client.ledger().empty


@pytest.mark.parametrize(
    "ids",
    [VIDEO, int(VIDEO), np.int64(int(VIDEO)), [VIDEO], (VIDEO, int(VIDEO)), {VIDEO}, iter([VIDEO]), pd.Series([VIDEO]),
     pd.Series([int(VIDEO)], dtype="Int64"), pd.Index([VIDEO]), np.array([VIDEO]), f" {VIDEO}\n", {VIDEO: 1}.keys()],
)
def test_ids_may_come_in_any_container(ids: object) -> None:
    assert [query.id for query in make_queries(VIDEO_ANALYTICS, ids, {})] == [VIDEO]


def test_ids_of_pyarrow_are_read(client: kr.Client) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    as_text, as_number = pyarrow.array([VIDEO]), pyarrow.array([int(VIDEO)])
    for ids in (as_text, as_number, as_text[0], as_number[0], [as_text[0]], pyarrow.chunked_array([as_text])):
        assert [query.id for query in make_queries(VIDEO_ANALYTICS, ids, {})] == [VIDEO]
    with pytest.raises(kr.InvalidArgumentError, match="an id is missing"):
        make_queries(VIDEO_ANALYTICS, pyarrow.array([VIDEO, None]), {})
    with pytest.raises(kr.InvalidArgumentError, match="is a float"):
        make_queries(VIDEO_ANALYTICS, pyarrow.array([7.1e18]), {})


@pytest.mark.parametrize(
    ("region", "hint"),
    [
        ("Germany", 'Germany is "DE"'),
        ("GERMANY", 'Germany is "DE"'),
        (" united kingdom ", 'United Kingdom is "GB"'),
        ("South Korea", 'South Korea is "KR"'),
        ("T\u00fcrkiye", 'Turkey is "TR"'),
        ("Germny", 'Germany is "DE"'),
        ("Brasil", 'Brazil is "BR"'),
        ("\u0131t", "got '\u0131t'$"),
        ("", "got ''$"),
        ("x" * 100_000, r"got 'x+\.\.\.$"),
    ],
)
def test_a_region_that_is_not_a_code_names_the_code_that_was_probably_meant(region: str, hint: str) -> None:
    with pytest.raises(kr.InvalidArgumentError, match=hint):
        make_queries(HASHTAG_DETAIL, "a", {"region": region, "period": 7})


@pytest.mark.parametrize(
    ("industry", "hint"),
    [
        ("Beauty", "Beauty & Personal Care"),
        ("beuty & personal care", "Beauty & Personal Care"),
        ("beuty", "Beauty & Personal Care"),
        ("applainces", "Appliances"),
        ("beverages", "Food & Beverage"),
        ("pet", "Pets"),
    ],
)
def test_an_industry_that_is_nearly_one_is_named(industry: str, hint: str, client: kr.Client) -> None:
    with pytest.raises(kr.InvalidArgumentError, match=rf"not a valid industry\. Did you mean '{hint}'\? Choose from"):
        kr.fetch_trending_hashtags(industry=industry, client=client)


def test_ids_are_requested_once_in_the_order_given(client: kr.Client, sandbox: Sandbox) -> None:
    ids = ["7300000000000000003", "7300000000000000001", "7300000000000000003", 7300000000000000002]
    frame = kr.fetch_videos(ids, client=client)
    assert frame["video_id"].tolist() == ["7300000000000000003", "7300000000000000001", "7300000000000000002"]
    assert len(sandbox.requests) == 1


def test_hashtags_are_written_one_way(client: kr.Client) -> None:
    decomposed = "Cafe\u0301"  # e and a combining accent
    frame = kr.fetch_hashtags([" #UFC324 ", "ufc324", decomposed], client=client)
    assert frame["hashtag_name"].tolist() == ["ufc324", "caf\u00e9"]


@pytest.mark.parametrize("name", ["\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645", "\U0001f468\u200d\U0001f469"])
def test_joiners_are_part_of_a_name(name: str, client: kr.Client, sandbox: Sandbox) -> None:
    assert kr.fetch_hashtags(name, client=client)["hashtag_name"].tolist() == [name]
    assert sandbox.requests[0].params["hashtag_name"] == name


def test_regions_are_written_one_way() -> None:
    regions = ("us", "US", " US ")
    queries = [make_queries(HASHTAG_DETAIL, "a", {"region": region, "period": "7"})[0] for region in regions]
    assert len({query.key for query in queries}) == 1


@pytest.mark.parametrize("table", [t.name for e in endpoints() if e.entity for t in e.tables])
def test_an_empty_list_gives_the_empty_frame(table: str, client: kr.Client, sandbox: Sandbox) -> None:
    more = {"start": "7D"} if table.endswith("_days") else {}
    frame = getattr(kr, f"fetch_{table}")([], **more, client=client)
    declared = kr.describe(table)
    assert frame.empty
    assert [(name, str(dtype)) for name, dtype in frame.dtypes.items()] == list(
        zip(declared["column"], declared["dtype"], strict=True)
    )
    assert not sandbox.requests


def test_ten_thousand_ids_are_stopped_and_told_how_to_go_on(make_client: Callable[..., kr.Client]) -> None:
    ids = range(7_300_000_000_000_000_000, 7_300_000_000_000_010_000)
    client = make_client(token="some-token-here", base_url="https://api.keyapi.ai", store=":memory:")
    with pytest.raises(kr.BudgetExceededError, match=r"1,000 requests\) costs 1,000 credits.*kr\.budget\(1000\)"):
        kr.fetch_videos(ids, client=client)
    assert client.ledger().empty


def test_months_are_checked_only_for_what_is_sent(make_client: Callable[..., kr.Client], sandbox: Sandbox) -> None:
    client = make_client()
    kr.fetch_product_details("601583", client=client)  # the sandbox's calendar: 2026-02
    assert len(kr.fetch_product_details("601583", time_scope="2025-10", client=client)) == 1
    with pytest.raises(kr.InvalidArgumentError, match="from 2025-10"):
        kr.fetch_product_details("601583", time_scope="2025-09", client=client)
    assert len(sandbox.requests) == 2


@pytest.mark.parametrize("month", ["2020-01", "2199-01"])
def test_a_month_out_of_reach_is_refused_before_anybody_is_known(
    month: str, client: kr.Client, sandbox: Sandbox
) -> None:
    with pytest.raises(kr.InvalidArgumentError, match="out of range"):
        kr.fetch_product_details("601583", time_scope=month, client=client)
    assert len(kr.fetch_product_details("601583", time_scope="2025-12", client=client)) == 1  # as the sandbox has it
    assert len(sandbox.requests) == 1


def test_no_ids_need_no_connection() -> None:
    assert kr.fetch_videos([]).empty


# Keys of stored answers: a changed key is a paid answer that is never found again.
CYCLE = {"region": "US", "date": "2026-02-02", "cycle": "week"}
LEVELS = {"category_l1_id": "601450", "category_l2_id": "849672", "category_l3_id": None}
GOLDEN = {
    "product_insights": ({"region": "US", "time_scope": 7, "search": None, "category_id": None}, None),
    "product_detail": ({"region": "all_regions", "time_scope": "1"}, "601583"),
    "video_analytics": ({}, VIDEO),
    "hashtag_detail": ({"region": "all_regions", "period": 7}, "สตอรี่ความรู้สึก"),
    "music_detail": ({"region": "US", "period": 7}, "6703723351497508865"),
    "trending_hashtags": ({"region": "US", "period": 7, "industry": "Pets", "new_only": True}, None),
    "trending_music": (
        {"region": "US", "period": 7, "search": "sun", "new_only": False, "commercial_only": False}, None,
    ),
    "creator_analytics": ({}, "104962950695723008"),
    "creator_analytics_by_name": ({}, "@Creator_B"),
    "creator_rankings": (CYCLE | {"ranked_by": "sales", "category_id": 601450, "niche": "Pets"}, None),
    "creator_days": ({"date": "2025-08-02"}, "3993047"),
    "creator_videos": ({"sort": "posted"}, "6761507140245292038"),
    "creator_products": ({"sort": "showcase"}, "6813855719982466054"),
    "product_analytics": ({}, "1729383769606034185"),
    "product_rankings": (CYCLE | {"ranked_by": "units", **LEVELS}, None),
    "product_days": ({"date": "2025-08-02"}, "1729383769606034185"),
    "product_creators": ({"sort": "gmv"}, "1729383769606034185"),
    "product_search": (
        {"region": "US", **LEVELS, "min_price": 5, "max_price": 9.99, "on_sale": True, "sort": "units_30d"}, None,
    ),
    "video_rankings": (CYCLE | {"ranked_by": "views", "category_id": None, "ai_only": True}, None),
}
GOLDEN_KEYS = {
    "product_insights": "k1-5cc1f9e05c7390d911ed68a7536a668e47744787",
    "product_detail": "k1-64014011f1d6387ad2e9d055dc973e82ea8415ca",
    "video_analytics": "k1-d4f686cbde265b3b50d1b32d284bed7966a31f80",
    "hashtag_detail": "k1-215123c749f9d779b37d094f4ee4d1e2068a69dc",
    "music_detail": "k1-771d33a879afe2f2feeb3f7d1f240a44b1bd8c09",
    "trending_hashtags": "k1-a6d7ba8c9e6cfdf65e731aca3b20ac658dfd7fec",
    "trending_music": "k1-51b1d65b3bc729f6e4a12fb95014c09685ac89b0",
    "video_rankings": "k1-1d1b9ab49a26febee1c3b92c7758d17c3b55182e",
    "creator_analytics": "k1-15659bf1bd62907124af26f643e9eeddd39020d1",
    "creator_analytics_by_name": "k1-17909d8e28a5f0e668b6dc0c98c0bf000bd89574",
    "creator_rankings": "k1-1b8f586b5baac8e184dc407511a1e0d474fd1441",
    "creator_days": "k1-25707aab432d133d78c49d727a098e2af90a5695",
    "creator_videos": "k1-13955f454fa61b47bc3d78329ebaaa2b2167a7db",
    "creator_products": "k1-c73855b88fcc692644a032a558d57b7fdbbb1970",
    "product_analytics": "k1-3204458d974bf5deea6ea06885db41053f3e1cfc",
    "product_rankings": "k1-540c266b540a0b43a501f75d00a07877d8473439",
    "product_days": "k1-6bc65055671d96cdd887385d9f02943617d6c332",
    "product_creators": "k1-21da8e4afad8b10274586966cf734fd012f01841",
    "product_search": "k1-f55c06ad43027704df81215ce08d5e384cdd3fd5",
}


def golden_query(endpoint: Endpoint) -> Any:
    arguments, one = GOLDEN[endpoint.name]
    return make_query(endpoint, arguments) if one is None else make_queries(endpoint, one, arguments)[0]


@pytest.mark.parametrize("endpoint", endpoints(), ids=lambda e: e.name)
def test_keys_never_change(endpoint: Endpoint) -> None:
    assert golden_query(endpoint).key == GOLDEN_KEYS[endpoint.name]
