"""The declarations against other readings of KeyAPI's pages: the sandbox's routes, the list, and prices by hand."""

from __future__ import annotations

import pytest

from keyapi_research.catalogue.listed import listed
from keyapi_research.model import TABLES, Endpoint, endpoints
from keyapi_research.places import FromQuery
from keyapi_research.sandbox.routes import ROUTES

PAGING = {"page", "limit"}
PRICES = {
    "/v1/tiktok/insights/products": (2, 1),
    "/v1/tiktok/insights/product/detail": (2, 1),
    "/v1/tiktok/video/detail/analytics": (1, 10),
    "/v1/tiktok/trending/hashtag/detail": (2, 1),
    "/v1/tiktok/trending/music/detail": (2, 1),
    "/v1/tiktok/trending/hashtags": (2, 1),
    "/v1/tiktok/trending/music": (2, 1),
    "/v1/tiktok/video/ranking/analytics": (1, 1),
    "/v1/tiktok/influencer/detail/analytics": (1, 10),
    "/v1/tiktok/influencer/ranking/analytics": (1, 1),
    "/v1/tiktok/influencer/trends/analytics": (1, 1),
    "/v1/tiktok/influencer/videos/analytics": (1, 1),
    "/v1/tiktok/influencer/products/analytics": (1, 1),
    "/v1/tiktok/product/detail/analytics": (1, 10),
    "/v1/tiktok/product/ranking/analytics": (1, 1),
    "/v1/tiktok/product/trends/analytics": (1, 1),
    "/v1/tiktok/product/creators/analytics": (1, 1),
    "/v1/tiktok/product/list/analytics": (1, 1),
}
WITH_DEFAULTS = [endpoint for endpoint in endpoints() if endpoint.credits == 2 or endpoint.name == "video_analytics"]
OF_THE_LIST = [endpoint for endpoint in endpoints() if endpoint not in WITH_DEFAULTS]


def test_prices() -> None:
    assert {e.path: (e.credits, e.batch) for e in endpoints()} == PRICES


@pytest.mark.parametrize("endpoint", WITH_DEFAULTS, ids=lambda e: e.name)
def test_what_is_sent_is_what_the_server_knows(endpoint: Endpoint) -> None:
    route = next(route for route in ROUTES if route.path == endpoint.path)
    known = {parameter.api_name: parameter.default for parameter in route.parameters}
    sent = {p.api_name: p.write(p.default) for p in endpoint.parameters}
    paging = PAGING if endpoint.ranking else set()
    of_entity = {endpoint.entity.api_name} if endpoint.entity else set()
    assert set(sent) | of_entity | paging == set(known)
    assert sent == {api_name: default for api_name, default in known.items() if api_name in sent}
    assert route.credits == endpoint.credits


@pytest.mark.parametrize("endpoint", OF_THE_LIST, ids=lambda e: e.name)
def test_what_is_sent_is_what_the_list_of_endpoints_has(endpoint: Endpoint) -> None:
    one = listed()[endpoint.path]
    inputs = [parameter for parameter in endpoint.inputs if parameter.api_name != "dt"]  # a day goes out as a range
    always = {p.api_name for p in inputs if p is endpoint.entity or p.required or p.default is not None}
    always |= {p.api_name for p in inputs if p.argument == endpoint.dated}
    paging = endpoint.paging or (endpoint.series and endpoint.series.paging)
    pages = {paging.page, paging.size} if paging else set()
    days = {endpoint.series.start, endpoint.series.end} if endpoint.series else set()
    known = {parameter.name for parameter in one.parameters}
    assert {p.name for p in one.parameters if p.required is True} - always - pages - days == set()
    assert {name for p in inputs for name in (p.api_name, *p.beside)} | pages | days <= known
    assert (one.credits, one.per_request) == (endpoint.credits, endpoint.batch)
    assert one.paging == (None if paging is None else (paging.page, paging.size, paging.most))


def test_every_table_comes_from_one_endpoint_and_has_the_columns_of_its_query() -> None:
    tables = [table for endpoint in endpoints() for table in endpoint.tables if table.endpoint is endpoint]
    assert [table.name for table in tables] == list(TABLES)
    for table in tables:
        requested = {c.name for c in table.columns if isinstance(c.place, FromQuery)}
        assert requested == set(table.endpoint.columns)


def test_an_answer_is_identified_by_what_the_own_table_has() -> None:
    for endpoint in endpoints():
        own = endpoint.tables[0]
        column = own[endpoint.entity.column if endpoint.entity and not endpoint.ranking else own.key[-1]]
        place = column.place.checked if isinstance(column.place, FromQuery) else column.place
        assert place == endpoint.identity
        assert column.kind == {"handle": "text"}.get(endpoint.identity_kind, endpoint.identity_kind)


def test_a_column_name_has_one_dtype_everywhere() -> None:
    dtypes: dict[str, set[str]] = {}
    for table in TABLES.values():
        for column in table.columns:
            dtypes.setdefault(column.name, set()).add(column.dtype)
    assert {name for name, kinds in dtypes.items() if len(kinds) > 1} == set()


def test_every_status_has_its_reason() -> None:
    for table in TABLES.values():
        for column in table.columns:
            assert column.status in {"documented", "inferred", "unknown"}, (table.name, column.name)
            assert column.reason, (table.name, column.name)
            assert column.evidence == f"{column.status}: {column.reason}"
            assert column.meaning.endswith("."), (table.name, column.name)
