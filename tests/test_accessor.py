"""`df.keyapi` over every table: what applies and what is refused, which answers are read, and that nothing is sent."""

from __future__ import annotations

import copy
import doctest
import importlib.util
import inspect
import io
import json
import re
import subprocess
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

import keyapi_research as kr
from keyapi_research import accessor, frames, plots
from keyapi_research.accessor import fetching, follow, methods, recognise
from keyapi_research.accessor.pictures import PICTURES
from keyapi_research.model import TABLES, Column, Table
from keyapi_research.places import Field
from keyapi_research.sandbox import Sandbox

METHODS = {name: one for name, one in methods.METHODS.items() if name != "plot"}
PARTS = {"hashtags": ["trend", "audience", "related"], "music": ["trend", "audience", "example_videos"]}

# Section 5 of the design, by hand: which method is for which tables.
CREATORS = ("creators", "creator_rankings", "creator_days")  # whose days can be fetched
PRODUCTS = ("products", "product_rankings", "product_search", "product_days")
ON = {
    "trend": {"hashtags", "music", "trending_hashtags", "trending_music"},
    "audience": {"product_details", "hashtags", "music"},
    "posts": {"product_details"},
    "hashtags": {"product_details"},
    "related": {"hashtags"},
    "example_videos": {"music"},
    "fetch_details": {
        "product_insights",
        "related_hashtags",
        "product_hashtags",
        "trending_hashtags",
        "trending_music",
    },
    "fetch_videos": {"product_details", "product_posts", "music_videos", "creator_videos", "video_rankings"},
    "fetch_hashtags": {"product_details", "product_hashtags", "related_hashtags"},
    "engagement": {"videos", "creator_videos"},
    "windows": {"creators", "products"},
    "posting": {"creators"},
    "categories": {"creators"},
    "products": {"videos"},
    "fill_days": {"creator_days", "product_days"},
    "fetch_creators": {
        "creators",
        "creator_windows",
        "creator_posting",
        "creator_categories",
        "videos",
        "video_rankings",
        "creator_rankings",
        "creator_days",
        "creator_videos",
        "creator_products",
        "product_creators",
    },
    "fetch_products": {
        "products",
        "product_windows",
        "videos",
        "video_products",
        "product_rankings",
        "product_search",
        "product_days",
        "creator_products",
        "product_creators",
    },
    "fetch_days": {*CREATORS, *PRODUCTS},
}
ON["fetch_creator_videos"] = ON["fetch_creator_products"] = ON["fetch_creators"]
ON["fetch_product_creators"] = ON["fetch_products"] - {"videos"}
ON_ALL = {"history", "raw", "provenance", "audit", "validate", "to_csv", "to_excel", "to_parquet"}
GIVES = {
    ("trend", "hashtags"): "hashtag_trends",
    ("trend", "music"): "music_trends",
    ("trend", "trending_hashtags"): "trending_hashtag_trends",
    ("trend", "trending_music"): "trending_music_trends",
    ("audience", "product_details"): "product_audience",
    ("audience", "hashtags"): "hashtag_audience",
    ("audience", "music"): "music_audience",
    ("posts", "product_details"): "product_posts",
    ("hashtags", "product_details"): "product_hashtags",
    ("related", "hashtags"): "related_hashtags",
    ("example_videos", "music"): "music_videos",
    ("windows", "creators"): "creator_windows",
    ("windows", "products"): "product_windows",
    ("posting", "creators"): "creator_posting",
    ("categories", "creators"): "creator_categories",
    ("products", "videos"): "video_products",
}
DRAWN = {
    "trend": {*ON["trend"], "hashtag_trends", "music_trends", "trending_hashtag_trends", "trending_music_trends"},
    "audience": {*ON["audience"], "product_audience", "hashtag_audience", "music_audience"},
    "overlap": {*ON["audience"], "product_audience", "hashtag_audience", "music_audience"},
    "products": {"product_insights"},
    "categories": {"product_insights", "product_details"},
    "engagement": {"videos", "creator_videos"},
    "days": {"creator_days", "product_days"},
    "windows": {"creator_windows", "product_windows"},
    "findings": set(),
    "spending": set(),
}
PAID = {one for one in ON if one.startswith("fetch_")}
FILES = {"to_csv": ".csv", "to_excel": ".xlsx", "to_parquet": ".parquet"}
FREE = sorted({*ON, *ON_ALL} - {*PAID, *FILES, "validate", "engagement", "fill_days"})  # read from the store


class World:
    """One client of one sandbox, and a frame of every table."""

    def __init__(self) -> None:
        self.client = kr.Client(sandbox=True, store=":memory:", progress=False)
        with self.client.budget(1000):
            self.frames = dict(self._fetch())

    def _fetch(self) -> Iterator[tuple[str, pd.DataFrame]]:
        client = self.client
        insights = {"region": "US", "time_scope": 7, "limit": 30, "client": client}
        details = {"region": "US", "time_scope": 7, "client": client}
        tags = {"region": "US", "period": 30, "client": client}
        listed = {"region": "US", "period": 30, "limit": 30, "client": client}
        yield "product_insights", kr.fetch_product_insights(**insights)
        self.categories = categories = kr.fetch_product_insights(**insights)["category_id"].head(3)
        names = ["ufc324", "perfume", "smellgood"]
        sounds = kr.fetch_trending_music(**listed)["clip_id"].head(3)
        for name in ("product_details", "product_audience", "product_hashtags", "product_posts"):
            yield name, getattr(kr, f"fetch_{name}")(categories, **details)
        yield (
            "videos",
            kr.fetch_videos(kr.fetch_product_posts(categories, **details)["video_id"].head(12), client=client),
        )
        for name in ("hashtags", "hashtag_trends", "hashtag_audience", "related_hashtags"):
            yield name, getattr(kr, f"fetch_{name}")(names, **tags)
        for name in ("music", "music_trends", "music_audience", "music_videos"):
            yield name, getattr(kr, f"fetch_{name}")(sounds, **tags)
        for name in (one for one in TABLES if one.startswith("trending_")):
            yield name, getattr(kr, f"fetch_{name}")(**listed)
        yield from self._fetch_commerce()

    def _fetch_commerce(self) -> Iterator[tuple[str, pd.DataFrame]]:
        """Follow the products that sell to those who sell them, and these to what they show."""
        client = self.client
        goods = kr.fetch_product_rankings(region="US", limit=30, client=client)
        yield "product_rankings", goods
        yield "product_search", kr.fetch_product_search(region="US", limit=12, client=client)
        for name in ("creator_rankings", "video_rankings"):
            yield name, getattr(kr, f"fetch_{name}")(region="US", cycle="month", limit=30, client=client)
        sold = goods["product_id"].head(12)
        yield "products", kr.fetch_products(sold, client=client)
        yield "product_windows", kr.fetch_product_windows(sold, client=client)
        yield "product_days", kr.fetch_product_days(sold.head(3), start="12D", client=client)
        sellers = kr.fetch_product_creators(sold.head(6), limit=12, client=client)
        yield "product_creators", sellers
        ids = sellers["user_id"].drop_duplicates().head(12)
        for name in ("creators", "creator_windows", "creator_posting", "creator_categories"):
            yield name, getattr(kr, f"fetch_{name}")(ids, client=client)
        yield "creator_days", kr.fetch_creator_days(ids.head(3), start="12D", client=client)
        yield "creator_products", kr.fetch_creator_products(ids.head(3), limit=12, client=client)
        shown = kr.fetch_creator_videos(ids.head(4), limit=12, client=client)
        yield "creator_videos", shown
        posts = kr.fetch_product_posts(self.categories, region="US", time_scope=7, client=client)
        yield "video_products", kr.fetch_video_products(posts["video_id"].head(12), client=client)

    @property
    def sent(self) -> int:
        """Requests the sandbox has served."""
        return len(self.client._sender.sandbox.requests)

    def __getitem__(self, table: str) -> pd.DataFrame:
        return self.frames[table].copy()

    def call(self, frame: pd.DataFrame, method: str, **options: Any) -> Any:
        """Call a method of a frame with this client, where it takes one."""
        bound = getattr(frame.keyapi, method)
        takes_client = "client" in inspect.signature(bound).parameters
        return bound(**options, **({"client": self.client} if takes_client else {}))


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    """Every table once; no test may send anything with it but where it says so."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", kr.KeyAPIWarning)
        made = World()
    yield made
    made.client.close()


@pytest.fixture
def unsent(world: World) -> Iterator[World]:
    """The same, and nothing was sent when the test ends."""
    before = world.sent
    yield world
    assert world.sent == before


def offered(frame: pd.DataFrame) -> set[str]:
    """What Tab offers of a frame, without `plot`."""
    return {name for name in dir(frame.keyapi) if not name.startswith("_")} - {"plot"}


# What applies -----------------------------------------------------------------------------------------------


def test_the_world_has_rows_of_every_table(world: World) -> None:
    assert set(world.frames) == set(TABLES)
    assert all(len(frame) for frame in world.frames.values())


@pytest.mark.parametrize("table", TABLES)
def test_tab_offers_the_methods_of_each_table(table: str, unsent: World) -> None:
    expected = ON_ALL | {method for method, tables in ON.items() if table in tables}
    assert offered(unsent[table]) == expected
    assert {name for name in METHODS if hasattr(unsent[table].keyapi, name)} == expected


@pytest.mark.parametrize("table", TABLES)
def test_a_method_of_other_tables_is_refused_by_what_the_frame_holds(table: str, unsent: World) -> None:
    rows = unsent[table].keyapi
    for method in (one for one, tables in ON.items() if table not in tables):
        with pytest.raises(AttributeError) as refusal:
            getattr(rows, method)
        text = str(refusal.value)
        assert text.startswith(f"{method}() is for ")
        assert f"; this frame holds {table}." in text
        assert method == "engagement" or text.endswith(f"this frame holds {table}.")
        assert all(one in text for one in ON[method])


@pytest.mark.parametrize("table", TABLES)
def test_tab_offers_the_pictures_of_each_table(table: str, unsent: World) -> None:
    plot = getattr(unsent[table].keyapi, "plot", None)
    names = {name for name in dir(plot) if not name.startswith("_")}
    expected = {name for name, tables in DRAWN.items() if table in tables}
    assert names == expected
    assert {name for name in DRAWN if hasattr(plot, name)} == expected
    assert ("plot" in dir(unsent[table].keyapi)) == bool(expected)


def test_a_foreign_frame_has_no_accessor() -> None:
    frame = pd.DataFrame({"a": [1]})
    assert not hasattr(frame, "keyapi")
    assert "keyapi" not in dir(frame)
    with pytest.raises(AttributeError, match=r"of any table \(it has a\)"):
        _ = frame.keyapi
    assert not hasattr(pd.DataFrame(), "keyapi")


def test_a_copy_of_the_accessor_works_and_half_a_one_does_not_recurse(unsent: World) -> None:
    assert repr(copy.copy(unsent["videos"].keyapi)) == repr(unsent["videos"].keyapi)
    with pytest.raises(AttributeError, match="has no '_frame'"):
        repr(object.__new__(accessor.KeyAPIAccessor))


def test_an_unknown_name_is_an_attribute_error(unsent: World) -> None:
    with pytest.raises(AttributeError, match=r"has no 'trends'\. Choose from trend, audience"):
        _ = unsent["hashtags"].keyapi.trends
    with pytest.raises(AttributeError, match="has no 'pie'"):
        _ = unsent["hashtags"].keyapi.plot.pie


def test_reprs_list_what_applies(unsent: World) -> None:
    assert repr(unsent["videos"].keyapi) == (
        "<df.keyapi: products(), engagement(), history(), raw(), provenance(), audit(), validate(), to_csv(), "
        "to_excel(), to_parquet(), fetch_creators(), fetch_products(), fetch_creator_videos(), "
        "fetch_creator_products()>"
    )
    assert repr(unsent["videos"].keyapi.plot) == "<df.keyapi.plot: engagement()>"


def test_loading_it_again_neither_warns_nor_stacks(unsent: World) -> None:
    before = pd.DataFrame.keyapi
    importlib.reload(accessor)
    assert pd.DataFrame.keyapi is not before
    assert unsent.call(unsent["hashtags"], "trend").shape[0] > 0


def test_methods_have_one_form() -> None:
    for name, method in METHODS.items():
        parameters = inspect.signature(method).parameters
        assert method.__name__ == name
        assert not any(p.kind in (p.VAR_KEYWORD, p.VAR_POSITIONAL) for p in parameters.values())
        assert parameters["client"].kind is inspect.Parameter.KEYWORD_ONLY
        if name not in FILES:
            assert parameters["of"].kind is inspect.Parameter.KEYWORD_ONLY
        if name.startswith("fetch_"):
            assert {"max_age", "errors"} <= set(parameters)


def test_methods_that_need_no_client_accept_one(unsent: World, tmp_path: Path) -> None:
    videos = unsent["videos"]
    rates = videos.keyapi.engagement(of="videos", client=unsent.client)
    assert_frame_equal(rates, videos.keyapi.engagement())
    assert videos.keyapi.validate(client=unsent.client) is videos
    videos.keyapi.to_csv(tmp_path / "videos.csv", client=unsent.client)
    assert_frame_equal(kr.read_csv(tmp_path / "videos.csv"), videos)
    for call in (videos.keyapi.engagement, videos.keyapi.validate, partial(videos.keyapi.to_csv, "videos.csv")):
        with pytest.raises(kr.InvalidArgumentError, match=r"client must come from kr\.connect"):
            call(client="sandbox")
    with pytest.raises(
        kr.InvalidArgumentError, match=r"of must be one of videos, creator_videos for engagement\(\); got"
    ):
        videos.keyapi.engagement(of="music")
    assert kr.client.connection.IN_USE.client is None


def test_help_is_the_method_s_own(unsent: World) -> None:
    trend = unsent["hashtags"].keyapi.trend
    assert str(inspect.signature(trend)).startswith("(*, of: str | None = None, client: ")
    assert "free, nothing is sent" in inspect.getdoc(trend)
    told = "client : Client, optional\n    The connection; the default one if omitted."
    assert all(told in inspect.getdoc(method) for method in METHODS.values())
    picture = unsent["product_insights"].keyapi.plot.products
    assert list(inspect.signature(picture).parameters) == ["labels", "ax"]
    assert inspect.getdoc(picture) == inspect.getdoc(plots.products)


def test_examples_run() -> None:
    with kr.connect(sandbox=True, store=":memory:"):
        for module in (methods, fetching):
            result = doctest.testmod(module, extraglobs={"kr": kr})
            assert result.attempted
            assert not result.failed


@pytest.mark.parametrize("jedi", [True, False])
def test_tab_in_a_notebook_shows_only_what_applies(jedi: bool, unsent: World) -> None:
    interactive = pytest.importorskip("IPython.core.completer")
    completer = interactive.IPCompleter(namespace={"tags": unsent["hashtags"]}, use_jedi=jedi)
    text = "tags.keyapi."
    with interactive.provisionalcompleter():
        found = {one.text.lstrip(".") for one in completer.completions(text, len(text))}
    assert {one for one in found if not one.startswith("_")} == {*offered(unsent["hashtags"]), "plot"}


# Parts of the answers ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("method", "table"), GIVES)
def test_a_free_method_returns_the_table_that_came_with_the_rows(method: str, table: str, unsent: World) -> None:
    got = unsent.call(unsent[table], method)
    entity = TABLES[table].key[-1]
    place = {one: at for at, one in enumerate(unsent[table][entity])}
    expected = unsent[GIVES[method, table]].sort_values(entity, key=lambda names: names.map(place), kind="stable")
    assert_frame_equal(got, expected.reset_index(drop=True))
    got.keyapi.validate()


def test_audience_of_one_dimension(unsent: World) -> None:
    tags = unsent["hashtags"]
    whole = unsent["hashtag_audience"]
    ages = tags.keyapi.audience("age", client=unsent.client)
    assert_frame_equal(ages, whole[whole["dimension"] == "age"].reset_index(drop=True))
    assert set(tags.keyapi.audience(dimension="country", client=unsent.client)["dimension"]) == {"country"}
    with pytest.raises(kr.InvalidArgumentError, match="age, interest, country; got 'gender'"):
        tags.keyapi.audience("gender", client=unsent.client)
    assert unsent["product_details"].keyapi.audience("country", client=unsent.client).empty  # none was seen so far
    with pytest.raises(kr.InvalidArgumentError, match=r"of product_details must be one of age, .*; got 'gender'"):
        unsent["product_details"].keyapi.audience("gender", client=unsent.client)


def test_the_documented_answers(client: kr.Client) -> None:
    tags = kr.fetch_hashtags("ufc324", client=client)
    assert tags.keyapi.trend(client=client)["share_of_peak"].tolist() == [1.0, 0.7, 0.48, 0.31, 0.26, 0.25, 0.3]
    assert tags.keyapi.audience("age", client=client)["segment"].tolist() == ["18-24", "25-34", "35+"]
    details = kr.fetch_product_details("601583", client=client)
    assert details.keyapi.posts(client=client)["video_id"].nunique() == 50
    assert details.keyapi.hashtags(client=client)["hashtag_name"].tolist()[:2] == ["vlog", "perfume"]


@pytest.mark.parametrize("table", ["hashtags", "music", "product_details", "trending_hashtags", "trending_music"])
def test_follows_the_rows_in_their_order_each_once(table: str, unsent: World) -> None:
    frame = unsent[table]
    method = "posts" if table == "product_details" else "trend"
    key = TABLES[table].key[-1]
    rows = frame.iloc[::-1].iloc[[0, 2, 1, 2]]
    got = unsent.call(rows, method)
    assert got[key].drop_duplicates().tolist() == rows[key].drop_duplicates().tolist()
    whole = unsent.call(frame, method)
    for one in rows[key].unique():
        assert_frame_equal(got[got[key] == one].reset_index(drop=True), whole[whole[key] == one].reset_index(drop=True))


def test_rows_of_two_regions_in_one_frame(client: kr.Client, sandbox: Sandbox) -> None:
    both = pd.concat([kr.fetch_hashtags("perfume", region=region, client=client) for region in ("US", "DE")])
    sent = len(sandbox.requests)
    trends = both.keyapi.trend(client=client)
    assert trends["region"].drop_duplicates().tolist() == ["US", "DE"]
    for region in ("US", "DE"):
        alone = kr.fetch_hashtag_trends("perfume", region=region, client=client)
        assert_frame_equal(trends[trends["region"] == region].reset_index(drop=True), alone)
    assert len(sandbox.requests) == sent


# Frames that went through something -------------------------------------------------------------------------


def reread(frame: pd.DataFrame) -> pd.DataFrame:
    """What plain pandas makes of a file, ids kept as text."""
    text = io.StringIO(frame.to_csv(index=False))
    return pd.read_csv(text, dtype=str, keep_default_na=False, na_values=[""])


CHANGES: dict[str, Callable[[pd.DataFrame], pd.DataFrame]] = {
    "object": lambda frame: frame.astype(object),
    "text": reread,
    "plain": lambda frame: pd.read_csv(io.StringIO(frame.to_csv(index=False))),
    "categories": lambda frame: frame.astype("category"),
    "nanoseconds": lambda frame: frame.assign(observed_at=frame["observed_at"].astype("datetime64[ns, UTC]")),
    "another zone": lambda frame: frame.assign(observed_at=frame["observed_at"].dt.tz_convert("Asia/Tokyo")),
    "naive": lambda frame: frame.assign(observed_at=frame["observed_at"].dt.tz_localize(None)),
    "timestamps": lambda frame: frame.assign(observed_at=frame["observed_at"].astype(object)),
    "own columns": lambda frame: frame.assign(
        **{name: 1 for name in ("note", "date", "score", "rank") if name not in frame}
    ),
    "only the key": lambda frame: frame[[*key_of(frame), "observed_at"]],
    "another index": lambda frame: frame.set_axis(["a"] * len(frame), axis=0),
    "columns shuffled": lambda frame: frame[frame.columns[::-1]],
    "twice": lambda frame: pd.concat([frame, frame]),
    "merged": lambda frame: frame.merge(pd.DataFrame({"region": ["US"], "views_there": [5]}), on="region", how="left"),
    "renamed back": lambda frame: frame.add_suffix("_x").rename(columns=lambda name: name.removesuffix("_x")),
    "without source": lambda frame: frame.drop(columns="source"),
    "undated": lambda frame: frame.drop(columns="observed_at"),
    "partly undated": lambda frame: frame.assign(observed_at=frame["observed_at"].where(frame.index % 2 == 0)),
}
if importlib.util.find_spec("pyarrow") is not None:
    CHANGES["pyarrow"] = lambda frame: frame.convert_dtypes(dtype_backend="pyarrow")


def key_of(frame: pd.DataFrame) -> list[str]:
    [table] = frames.tables_in(frames.columns_of(frame))
    return list(table.key)


@pytest.mark.parametrize("table", ["hashtags", "music", "product_details", "trending_hashtags", "trending_music"])
def test_works_on_frames_that_went_through_something(table: str, unsent: World) -> None:
    frame = unsent[table].head(24)
    method = "audience" if table == "product_details" else "trend"
    expected = unsent.call(frame, method)
    for change, changed in CHANGES.items():
        assert unsent.call(changed(frame), method).equals(expected), change


# One table of each kind; the others take as long again.
KINDS = ("product_insights", "product_audience", "videos", "hashtag_trends", "trending_music", "creator_windows",
         "creator_rankings", "creator_days", "product_creators", "video_products")  # fmt: skip


@pytest.mark.parametrize("table", [pytest.param(one, marks=() if one in KINDS else pytest.mark.slow) for one in TABLES])
def test_every_table_finds_its_answers_again(table: str, unsent: World) -> None:
    frame = unsent[table].head(40)
    provenance, history = unsent.call(frame, "provenance"), unsent.call(frame, "history")
    for change in ("object", "text", "plain", "own columns", "twice", "renamed back", "undated", "partly undated"):
        changed = CHANGES[change](frame)
        assert offered(changed) >= offered(frame), change
        assert_frame_equal(unsent.call(changed, "provenance"), provenance)
        assert_frame_equal(unsent.call(changed, "history"), history)


@pytest.mark.parametrize("table", TABLES)
def test_key_columns_suffice_to_find_the_answer(table: str, unsent: World) -> None:
    frame = unsent[table]
    bare = frame[[*TABLES[table].key, "observed_at"]]
    expected = unsent.call(frame, "raw")
    if table in TWO_WAYS:  # pairs of a creator and a product: from which of the two lists does not show
        with pytest.raises(AttributeError, match=r"holds creator_products and product_creators\. Choose one: raw\(of="):
            unsent.call(bare, "raw")
        assert unsent.call(bare, "raw", of=table) == expected
    else:
        assert unsent.call(bare, "raw") == expected


TWO_WAYS = ("creator_products", "product_creators")


@pytest.mark.parametrize("table", TABLES)
def test_written_and_read_back(table: str, unsent: World, tmp_path: Path) -> None:
    unsent[table].keyapi.to_csv(tmp_path / f"{table}.csv")
    back = kr.read_csv(tmp_path / f"{table}.csv")
    assert_frame_equal(back, unsent[table])
    assert back.keyapi.validate() is back
    assert offered(back) == offered(unsent[table])
    assert_frame_equal(unsent.call(back, "provenance"), unsent.call(unsent[table], "provenance"))
    assert unsent.call(back, "raw") == unsent.call(unsent[table], "raw")


def test_a_package_of_every_table_has_what_was_written(unsent: World, tmp_path: Path) -> None:
    kr.write_package(tmp_path / "package", unsent.frames, client=unsent.client)
    back = kr.read_package(tmp_path / "package")
    assert set(back) == set(TABLES)
    for table, frame in back.items():
        assert_frame_equal(frame, unsent[table])
        assert frame.keyapi.validate() is frame


def test_the_index_is_never_written(unsent: World, tmp_path: Path) -> None:
    videos = unsent["videos"].set_index(pd.Index(range(100, 112), name="mine"))
    videos.keyapi.to_csv(tmp_path / "videos.csv", index=False)
    assert kr.read_csv(tmp_path / "videos.csv").columns.tolist() == videos.columns.tolist()
    with pytest.raises(kr.InvalidArgumentError, match=r"the index is not written\. .* df\.reset_index\(\)"):
        videos.keyapi.to_csv(tmp_path / "other.csv", index=True)
    assert not (tmp_path / "other.csv").exists()


def test_a_page_of_a_ranking_returns_what_is_about_its_rows_only(unsent: World) -> None:
    second = unsent["trending_hashtags"].tail(4)
    assert len(set(second["observed_at"])) == 1
    got = unsent.call(second, "trend")
    assert set(got["hashtag_name"]) == set(second["hashtag_name"])
    assert len(unsent.call(second, "raw")) == 1
    assert len(unsent.call(unsent["trending_hashtags"], "raw")) == 2


# Two entities in one frame ----------------------------------------------------------------------------------


def test_two_entities_in_one_frame_need_of(unsent: World) -> None:
    both = unsent["hashtags"].merge(unsent["music"], on=["region", "period"], suffixes=("", "_sound"))
    with pytest.raises(AttributeError, match=r"holds hashtags and music\. Choose one: trend\(of='hashtags'\)"):
        both.keyapi.trend(client=unsent.client)
    trends = both.keyapi.trend(of="hashtags", client=unsent.client)
    assert_frame_equal(trends, unsent["hashtag_trends"])
    # observed_at is that of the hashtags: none of these is when a sound was observed
    with pytest.raises(kr.NotStoredError, match="drop observed_at"):
        both.keyapi.trend(of="music", client=unsent.client)
    undated = both.drop(columns="observed_at")
    assert_frame_equal(undated.keyapi.trend(of="music", client=unsent.client), unsent["music_trends"])
    assert unsent.call(both, "related")["hashtag_name"].nunique() == 3  # only one of the two has that


def test_of_names_a_table_the_method_is_for(unsent: World) -> None:
    with pytest.raises(kr.InvalidArgumentError, match=r"must be one of hashtags, trending_hashtags, .*; got 'videos'"):
        unsent["hashtags"].keyapi.trend(of="videos", client=unsent.client)
    with pytest.raises(kr.InvalidArgumentError, match="got 'hashtag'"):
        unsent["hashtags"].keyapi.raw(of="hashtag", client=unsent.client)
    with pytest.raises(AttributeError, match=r"trend\(of='music'\): As music it lacks clip_id"):
        unsent["hashtags"].keyapi.trend(of="music", client=unsent.client)


def test_suffixed_columns_are_not_guessed(unsent: World) -> None:
    named = unsent["product_hashtags"]
    tags = unsent["hashtags"].assign(hashtag_name=named["hashtag_name"].head(3).to_numpy())
    merged = named.merge(tags, on="hashtag_name")
    with pytest.raises(AttributeError) as refusal:
        merged.keyapi.trend(of="hashtags", client=unsent.client)
    text = str(refusal.value)
    assert "As hashtags it lacks region. A merge added suffixes: " in text
    assert 'df.rename(columns={"region_x": "region"})' in text
    assert 'suffixes=("", "_other")' in text
    left = named.merge(tags, on="hashtag_name", suffixes=("_category", ""))
    assert [table.name for table in frames.tables_in(left.columns)] == ["product_hashtags", "hashtags"]
    assert {"trend", "fetch_details"} <= offered(left)


def test_tables_of_one_answer_are_one_entity(unsent: World) -> None:
    trends = unsent["hashtag_trends"].merge(unsent["hashtags"][["hashtag_name", "views"]], on="hashtag_name")
    assert unsent.call(trends, "raw") == unsent.call(unsent["hashtags"], "raw")
    assert_frame_equal(unsent.call(trends, "history"), unsent.call(unsent["hashtag_trends"], "history"))
    assert_frame_equal(unsent.call(trends, "related"), unsent["related_hashtags"])


def test_two_lists_of_one_answer_side_by_side_need_of(unsent: World) -> None:
    key = ["region", "time_scope", "category_id", "position", "observed_at", "source"]
    both = unsent["product_hashtags"].merge(unsent["product_posts"], on=key)
    with pytest.raises(AttributeError, match=r"product_hashtags and product_posts\. Choose one"):
        both.keyapi.history(client=unsent.client)
    assert unsent.call(both, "raw") == unsent.call(unsent["product_details"], "raw")  # the answer is the same for both
    assert_frame_equal(unsent.call(both, "provenance"), unsent.call(unsent["product_details"], "provenance"))
    posts = both.keyapi.history(of="product_posts", client=unsent.client)
    assert set(posts["video_id"]) == set(both["video_id"])
    assert both.keyapi.fetch_videos  # only one of the two names videos


RECOGNISED = {
    "a hashtag by its key": (["region", "period", "hashtag_name"], ["hashtags"]),
    "a trend by its key": (["region", "period", "hashtag_name", "date"], ["hashtag_trends"]),
    "a related hashtag by its key": (["region", "period", "hashtag_name", "position"], ["related_hashtags"]),
    "places of categories": (["region", "time_scope", "category_id", "position"], ["product_details"]),
    "a list, its filters lost": (["region", "period", "hashtag_name", "rank"], []),
    "a ranking, its filters lost": (["region", "time_scope", "category_id", "category", "ctr_pct"], []),
    "a trend, its date lost": (["region", "period", "hashtag_name", "share_of_peak"], []),
    "videos by their key": (["video_id"], ["videos"]),
    "hashtags with means of trends": (["region", "period", "hashtag_name", "views", "share_of_peak"], ["hashtags"]),
    "nothing": (["region", "period", "title"], []),
}


@pytest.mark.parametrize("what", RECOGNISED)
def test_tables_are_known_by_their_columns(what: str) -> None:
    columns, expected = RECOGNISED[what]
    assert [table.name for table in frames.tables_in(columns)] == expected


def test_a_table_that_is_declared_later_is_known_by_its_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    columns = ["region", "period", "hashtag_name", "views_day"]
    assert [table.name for table in frames.tables_in(columns)] == ["hashtags"]
    tags = TABLES["hashtags"]
    mine = replace(tags, name="mine", columns=(*tags.columns[:3], replace(tags["views"], name="views_day")))
    monkeypatch.setattr(frames, "TABLES", {**TABLES, "mine": mine})
    assert [table.name for table in frames.tables_in(columns)] == ["mine"]
    assert [table.name for table in frames.tables_in(TABLES["hashtags"].names)] == ["hashtags"]


def test_what_a_table_declared_later_leads_to_is_offered_like_the_others(
    unsent: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    videos, position = TABLES["videos"], TABLES["product_posts"]["position"]
    captions = Table(
        videos.endpoint,
        name="captions",
        row="video x hashtag",
        key=("video_id", "position"),
        rows=("[].hashtags[]",),
        columns=(
            videos["video_id"],
            position,
            Column("caption_tag", "hashtag", Field("[].hashtags[]"), "A hashtag of the caption.", "unknown: a test"),
            *videos.columns[-2:],
        ),
        reached_by="hashtags",
        leads_to={"fetch_hashtags": ("caption_tag", "hashtags"), "fetch_videos": ("video_id", "videos")},
    )
    tags = pd.DataFrame({"video_id": ["1", "1"], "position": [1, 2], "caption_tag": ["ufc324", "gym"], "period": 7})
    assert "fetch_hashtags" not in offered(tags)
    before = offered(unsent["videos"])
    assert "hashtags" not in offered(unsent["videos"])
    for module in (frames, follow, recognise):
        monkeypatch.setattr(module, "TABLES", {**TABLES, "captions": captions})
    assert offered(tags) == {*ON_ALL, "fetch_hashtags", "fetch_videos"}
    assert offered(unsent["videos"]) == before | {"hashtags"}
    plan = kr.plan(tags.keyapi.fetch_hashtags, 30, client=unsent.client)
    assert (plan.table, plan.requests, plan.credits) == ("hashtags", 2, 4)
    assert kr.plan(tags.keyapi.fetch_videos, client=unsent.client).requests == 1
    with pytest.raises(AttributeError, match=r"product_details, product_hashtags, related_hashtags or captions;"):
        _ = unsent["music"].keyapi.fetch_hashtags
    got = unsent.call(unsent["videos"], "hashtags")  # these answers have no such list
    assert got.columns.tolist() == ["video_id", "position", "caption_tag", "observed_at", "source"]
    assert got.empty


MERGED = {  # left, right: on
    ("products", "product_rankings"): "product_id",
    ("creator_products", "products"): "product_id",
    ("product_creators", "products"): "product_id",
    ("product_creators", "creators"): "user_id",
    ("creator_videos", "video_products"): "video_id",
    ("video_rankings", "videos"): "video_id",
    ("videos", "creators"): "user_id",
    ("creators", "creator_days"): "user_id",
    ("products", "product_days"): "product_id",
}


@pytest.mark.parametrize("names", MERGED)
def test_a_frame_holds_both_tables_that_were_merged(names: tuple[str, str]) -> None:
    for first, second in (names, names[::-1]):
        left, right = (pd.DataFrame(columns=list(TABLES[one].names)) for one in (first, second))
        merged = left.merge(right, on=MERGED[names], suffixes=("", "_other"))
        assert {table.name for table in frames.tables_in(merged.columns)} == set(names)


@pytest.mark.parametrize("own", ["region", "sorted_by", "date", "cycle", "period", "dimension", "window_days"])
@pytest.mark.parametrize("table", ["products", "creators", "videos", "creator_rankings", "product_search"])
def test_one_column_of_the_user_s_own_makes_no_other_table(table: str, own: str) -> None:
    assert [one.name for one in frames.tables_in({*TABLES[table].names, own})] == [table]


@pytest.mark.parametrize("name", TABLES)
def test_half_a_table_is_itself(name: str) -> None:
    own = sorted(frames.identifying_columns()[name])
    own = list(TABLES[name].key) if name in TWO_WAYS else own
    rest = [column for column in TABLES[name].names if column not in own]
    half = len(rest) // 2
    for kept in (rest[:half], rest[half:], rest[::2], rest[1::2]):
        assert [table.name for table in frames.tables_in([*own, *kept])] == [name]


def test_pairs_of_a_creator_and_a_product_are_of_the_list_whose_columns_they_have() -> None:
    pair = ["product_id", "sorted_by", "user_id", "position", "observed_at"]
    assert [table.name for table in frames.tables_in(pair)] == list(TWO_WAYS)
    assert [table.name for table in frames.tables_in([*pair, "niche"])] == ["product_creators"]
    assert [table.name for table in frames.tables_in([*pair, "price_avg"])] == ["creator_products"]


@pytest.mark.parametrize("first", TABLES)
def test_a_whole_table_is_itself_and_stays_so_beside_any_other(first: str) -> None:
    assert [one.name for one in frames.tables_in(TABLES[first].names)] == [first]
    own = {"note", "date", "position", "rank", "score", "title"} - set(TABLES[first].names)
    beside = frames.tables_in({*TABLES[first].names, *own})
    assert frames.choose(beside) is TABLES[first]


LOST: dict[str, tuple[str, Callable[[pd.DataFrame], pd.DataFrame], str]] = {
    "dropped": ("trend", lambda frame: frame.drop(columns="region"), "As hashtags it lacks region. Keep key columns"),
    "in the index": (
        "trend",
        lambda frame: frame.set_index("hashtag_name"),
        r"lacks hashtag_name\. hashtag_name is in the index: df.reset_index\(\)",
    ),
    "twice": (
        "trend",
        lambda frame: pd.concat([frame, frame[["region"]]], axis=1),
        r"lacks region\. region is there more than once: keep one",
    ),
    "only measures": (
        "trend",
        lambda frame: frame[["views"]],
        r"of any table \(it has views\); kr\.tables\(\) lists them\.$",
    ),
    "raw of measures": (
        "raw",
        lambda frame: frame[["views"]],
        r"raw\(\) is for the tables of this package; .* kr.tables\(\) lists them",
    ),
}


@pytest.mark.parametrize("what", LOST)
def test_a_lost_column_is_refused_with_the_way_to_get_it_back(what: str, unsent: World) -> None:
    method, change, text = LOST[what]
    with pytest.raises(AttributeError, match=text):
        getattr(change(unsent["hashtags"]).keyapi, method)


def test_dropped_filters_of_a_ranking(unsent: World) -> None:
    bare = unsent["product_insights"].dropna(axis=1, how="all")
    assert "search" not in bare
    with pytest.raises(AttributeError) as refusal:
        _ = bare.keyapi.fetch_details
    assert str(refusal.value).endswith(
        "As product_insights it lacks search and filter_category_id. If none was requested: "
        "df.assign(search=None, filter_category_id=None)."
    )
    again = bare.assign(search=None, filter_category_id=None)
    assert unsent.call(again, "raw") == unsent.call(unsent["product_insights"], "raw")


# Which observation ------------------------------------------------------------------------------------------


def refreshed(client: kr.Client) -> list[pd.DataFrame]:
    return [kr.fetch_hashtags(["perfume", "gym"], max_age=age, client=client) for age in (None, 0)]


def test_an_old_frame_reads_the_answers_it_came_from(client: kr.Client, sandbox: Sandbox) -> None:
    old = kr.fetch_hashtags(["perfume", "gym"], client=client)
    before = old.keyapi.trend(client=client)
    new = kr.fetch_hashtags(["perfume", "gym"], max_age=0, client=client)
    sent = len(sandbox.requests)
    assert (new["observed_at"] > old["observed_at"]).all()
    after = new.keyapi.trend(client=client)
    assert_frame_equal(old.keyapi.trend(client=client), before)
    assert set(after["observed_at"]) == set(new["observed_at"])
    assert after["observed_at"].min() > before["observed_at"].max()
    undated = old.drop(columns="observed_at").keyapi.trend(client=client)
    assert_frame_equal(undated, after)
    both = pd.concat([new, old]).keyapi.trend(client=client)
    assert_frame_equal(both, pd.concat([after, before], ignore_index=True))
    assert len(sandbox.requests) == sent


def test_an_old_ranking_reads_its_own_pages(client: kr.Client, sandbox: Sandbox) -> None:
    options = {"region": "DE", "limit": 40, "client": client}
    old = kr.fetch_trending_hashtags(**options)
    before = old.keyapi.trend(client=client)
    assert client.status().duplicates > 0  # the trends of some hashtags have a day twice
    new = kr.fetch_trending_hashtags(**options, max_age=0)
    sent = len(sandbox.requests)
    assert_frame_equal(old.keyapi.trend(client=client), before)
    after = new.keyapi.trend(client=client)
    both = pd.concat([new, old]).keyapi.trend(client=client)
    assert_frame_equal(both, pd.concat([after, before], ignore_index=True))
    # without a time each hashtag is read from the newest pull that has it
    undated = pd.concat([new, old]).drop(columns="observed_at").drop_duplicates("hashtag_name")
    stamps = undated.keyapi.trend(client=client).groupby("hashtag_name")["observed_at"].first()
    newest = pd.concat([old, new]).groupby("hashtag_name")["observed_at"].max()
    assert stamps.to_dict() == newest[stamps.index].to_dict()
    assert len(sandbox.requests) == sent


CUT: dict[str, Callable[[pd.Series], pd.Series]] = {
    "to the millisecond": lambda times: times.dt.floor("ms"),
    "rounded to the millisecond, as by a spreadsheet": lambda times: times.dt.round("ms"),
    "as JSON": lambda times: pd.read_json(io.StringIO(times.to_json(date_format="iso")), typ="series", dtype=False),
    "as Parquet of milliseconds": lambda times: times.astype("datetime64[ms, UTC]"),
    "to the second": lambda times: times.dt.floor("s"),
    "rounded to the second": lambda times: times.dt.round("s"),
}


@pytest.mark.parametrize(
    ("how", "table"),
    [
        *((how, table) for how in CUT for table in ("hashtags", "product_details")),
        *((how, "trending_music") for how in CUT if not how.endswith("to the second")),  # pages come within one
    ],
)
def test_a_time_that_a_file_cut_finds_its_answer_where_it_can_be_only_one(how: str, table: str, unsent: World) -> None:
    frame = unsent[table].head(3)
    cut = frame.assign(observed_at=CUT[how](frame["observed_at"]))
    assert (cut["observed_at"] != frame["observed_at"]).any()
    expected = unsent.call(frame, "provenance")
    assert_frame_equal(unsent.call(cut, "provenance"), expected)
    assert_frame_equal(
        unsent.call(cut, "posts" if table == "product_details" else "trend"),
        unsent.call(frame, "posts" if table == "product_details" else "trend"),
    )


AT = 1_770_000_000_000_000  # a whole second
TWINS = {  # stored moments, moment of the row, and which of them it finds
    "one in its millisecond": ((AT + 300, AT + 5_000), AT, 0),
    "two in its millisecond": ((AT + 300, AT + 700), AT, None),
    "the very one beside another": ((AT, AT + 700), AT, 0),
    "one it was rounded up from": ((AT - 400, AT + 5_000), AT, 0),
    "one it was rounded up from beside one it was cut from": ((AT - 400, AT + 400), AT, None),
    "one that is too early": ((AT - 600_000,), AT, None),
    "one in its second": ((AT + 700_000, AT + 5_000_000), AT, 0),
    "two in its second": ((AT + 600_000, AT + 700_000), AT, None),
    "none in its millisecond, one in its second, not cut to it": ((AT + 700_000,), AT + 2_000, None),
    "one near, where the time was not cut": ((AT + 300,), AT + 1, None),
}


@pytest.mark.parametrize("what", TWINS)
def test_a_cut_time_of_which_several_answers_may_be_finds_none(
    what: str, client: kr.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored, at, expected = TWINS[what]
    for moment in stored:
        monkeypatch.setattr("keyapi_research.client.transport.now_us", lambda now=moment: now)
        tags = kr.fetch_hashtags("gym", max_age=0, client=client)
    row = tags.assign(observed_at=pd.Timestamp(at * 1000, tz="UTC"))
    if expected is None:
        with pytest.raises(kr.NotStoredError, match="Other observations are stored"):
            row.keyapi.trend(client=client)
    else:
        found = row.keyapi.provenance(client=client)["observed_at"].item()
        assert found == pd.Timestamp(stored[expected] * 1000, tz="UTC")


def test_as_of_reads_no_later(make_client: Callable[..., kr.Client]) -> None:
    old, new = refreshed(make_client())
    between = new["observed_at"].min() - (new["observed_at"].min() - old["observed_at"].max()) / 2
    then = make_client(as_of=between.isoformat(), token=None)
    undated = new.drop(columns="observed_at")
    assert set(undated.keyapi.trend(client=then)["observed_at"]) == set(old["observed_at"])
    assert (
        undated.keyapi.history(client=then)["observed_at"].tolist()
        == old.sort_values("hashtag_name")["observed_at"].tolist()
    )
    early = make_client(as_of="2020-01-01", token=None)
    with pytest.raises(kr.NotStoredError):
        undated.keyapi.trend(client=early)
    with pytest.raises(kr.NotStoredError):
        undated.keyapi.history(client=early)


def test_what_became_absent_has_no_row(client: kr.Client, sandbox: Sandbox) -> None:
    tags = kr.fetch_hashtags(["perfume", "gym"], client=client)
    sandbox.mutate = lambda path, params, envelope: {**envelope, "data": None}
    with pytest.warns(kr.MissingDataWarning):
        kr.fetch_hashtags("gym", max_age=0, client=client)
    assert set(tags.keyapi.trend(client=client)["hashtag_name"]) == {"perfume", "gym"}
    with pytest.warns(kr.MissingDataWarning, match=r"trend\(\): KeyAPI has nothing for gym ") as told:
        trends = tags.drop(columns="observed_at").keyapi.trend(client=client)
    assert told[0].filename == __file__
    assert set(trends["hashtag_name"]) == {"perfume"}
    with pytest.warns(kr.MissingDataWarning, match=r"raw\(\): "):
        assert len(tags.drop(columns="observed_at").keyapi.raw(client=client)) == 1
    assert tags.keyapi.history(client=client)["hashtag_name"].tolist() == ["gym", "perfume"]


def test_what_is_read_goes_into_an_archive(unsent: World) -> None:
    records = unsent.client.records
    records._read.clear()
    calls = records.calls
    unsent.call(unsent["hashtags"].head(2), "trend")
    unsent.call(unsent["trending_hashtags"], "raw")
    unsent.call(unsent["videos"], "history")
    unsent.call(unsent["product_details"].iloc[:0], "posts")
    assert records.calls == calls
    read = unsent.client.store.observations(records._read)
    endpoints = Counter(one.endpoint.rpartition("/v1/tiktok/")[2] for one in read)
    assert endpoints == {"trending/hashtag/detail": 2, "trending/hashtags": 2, "video/detail/analytics": 12}  # 2 pages
    assert records._read <= records.read


# Not stored -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("table", TABLES)
def test_another_store_does_not_have_it(table: str, unsent: World) -> None:
    frame = unsent[table].head(25)
    with kr.Client(sandbox=True, store=":memory:") as other:
        for method in FREE:
            if method in ON and table not in ON[method]:
                continue
            with pytest.raises(kr.NotStoredError) as missing:
                getattr(frame.keyapi, method)(client=other)
            assert str(missing.value).startswith(f"{method}() reads stored answers only")
            assert other._sender.sandbox is None
            assert len(missing.value.failures)


def missing_in(client: kr.Client, frame: pd.DataFrame, method: str, **options: Any) -> kr.NotStoredError:
    """What a method says that finds no answer."""
    with pytest.raises(kr.NotStoredError) as caught:
        getattr(frame.keyapi, method)(client=client, **options)
    return caught.value


PRICES = {"hashtags": 6, "music": 6, "product_details": 6, "videos": 2, "trending_hashtags": 4, "product_insights": 4}


@pytest.mark.parametrize("table", PRICES)
def test_what_is_not_stored_is_refused_with_the_price_of_fetching(table: str, unsent: World) -> None:
    with (
        kr.Client(sandbox=True, store=":memory:") as other,
        pytest.raises(kr.NotStoredError, match=rf"= {PRICES[table]} credits: kr.fetch_{table}\(") as missing,
    ):
        unsent[table].keyapi.raw(client=other)
    assert missing.value.endpoint == unsent.call(unsent[table], "provenance")["endpoint"].iloc[0]


@pytest.mark.parametrize("method", ["raw", "history"])
def test_an_undated_ranking_is_priced_by_its_rows(method: str, unsent: World) -> None:
    rows = unsent["product_insights"].head(21).drop(columns="observed_at")
    with kr.Client(sandbox=True, store=":memory:") as other:
        for frame, requests, price in ((rows, 2, 4), (rows.head(20), 1, 2), (rows.tail(1), 1, 2)):
            text = str(missing_in(other, frame, method))
            cost = f"{requests} request{'s' * (requests > 1)} = {price} credits"
            assert f"Fetching what is not stored takes at least {cost}: kr.fetch_product_insights(" in text
            assert text.count("region=US") == 1


def test_what_a_fetch_would_serve_is_not_priced(unsent: World) -> None:
    tags = unsent["hashtags"]
    late = tags.assign(observed_at=tags["observed_at"] + pd.Timedelta("1h"))
    error = missing_in(unsent.client, late, "trend")
    assert str(error).endswith(
        ". Other observations are stored. To read the newest, drop observed_at: "
        'df.drop(columns="observed_at").keyapi.trend()'
    )
    assert "credits" not in str(error)
    assert error.failures["id"].tolist() == ["ufc324", "perfume", "smellgood"]
    late.loc[1, "hashtag_name"] = "neverasked"
    text = str(missing_in(unsent.client, late, "trend"))
    assert "Fetching what is not stored takes 1 request = 2 credits: kr.fetch_hashtags(...)." in text
    assert "Other observations of the rest are stored" in text


def test_a_list_whose_rows_have_times_of_their_own_is_one_list(unsent: World) -> None:
    days = [pd.Timestamp("2026-01-01", tz="UTC") + pd.Timedelta(days=number) for number in range(12)]
    rows = unsent["trending_hashtags"].head(12).assign(observed_at=days)  # as after a merge
    text = str(missing_in(unsent.client, rows, "trend"))
    assert (
        "does not have region=US, period=30, new_only=False of 2026-01-01 00:00:00 UTC, 2026-01-02 00:00:00 UTC, "
        "2026-01-03 00:00:00 UTC and 9 more. Other observations are stored"
    ) in text
    with kr.Client(sandbox=True, store=":memory:") as other:
        text = str(missing_in(other, rows, "trend"))
    assert "and 9 more. Fetching what is not stored takes at least 1 request = 2 credits: kr.fetch_trending_h" in text
    assert text.count("region=US") == 1


def test_times_are_written_to_the_microsecond(unsent: World) -> None:
    tags = unsent["hashtags"].head(1)
    at = pd.Timestamp("2026-02-03 12:00:00.25", tz="UTC")
    both = pd.concat([tags.assign(observed_at=at), tags.assign(observed_at=at + pd.Timedelta("1us"))])
    with kr.Client(sandbox=True, store=":memory:") as other:
        told = str(missing_in(other, both, "trend"))
        assert "ufc324 (US, 30) of 2026-02-03 12:00:00.250000 UTC, 2026-02-03 12:00:00.250001 UTC. Fetching" in told
        second = tags.assign(observed_at=at.floor("s"))
        assert "ufc324 (US, 30) of 2026-02-03 12:00:00 UTC. Fetching" in str(missing_in(other, second, "trend"))
    late = tags.assign(observed_at=tags["observed_at"] + pd.Timedelta("1us"))
    assert f"of {late['observed_at'].item():%Y-%m-%d %H:%M:%S.%f} UTC. Other" in (
        str(missing_in(unsent.client, late, "trend"))
    )


def test_places_are_named_as_the_client_names_them(
    unsent: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    tags = unsent["hashtags"]
    with kr.Client(sandbox=True, store=tmp_path / "mine.sqlite") as other:
        kr.fetch_hashtags("gym", client=other)
        assert "and the store ./mine.sqlite does not have ufc324" in str(missing_in(other, tags, "trend"))
        kr.freeze("study.zip", client=other)
    with kr.replay("study.zip") as reader:
        assert "and the archive ./study.zip does not have ufc324" in str(missing_in(reader, tags, "trend"))
        with pytest.raises(kr.NotStoredError, match=r"the archive \./study\.zip does not have 'ufc324'"):
            kr.fetch_hashtags("ufc324", client=reader)


def test_rows_of_another_source_are_never_looked_up(unsent: World) -> None:
    paid = unsent["hashtags"].assign(source="keyapi").drop(columns="observed_at")
    with pytest.raises(kr.NotStoredError, match="come from keyapi, but this connection reads sandbox"):
        paid.keyapi.trend(client=unsent.client)
    with pytest.raises(kr.NotStoredError, match="come from keyapi"):
        paid.keyapi.history(client=unsent.client)


def test_one_missing_answer_is_named(unsent: World) -> None:
    tags = unsent["hashtags"]
    tags.loc[1, "hashtag_name"] = "neverasked"
    with pytest.raises(kr.NotStoredError, match=r"does not have neverasked \(US, 30\) of 20") as missing:
        tags.keyapi.trend(client=unsent.client)
    assert missing.value.failures["id"].tolist() == ["neverasked"]
    tags = unsent["hashtags"]
    tags.loc[0, "observed_at"] += pd.Timedelta("1s")
    with pytest.raises(kr.NotStoredError, match=r"does not have ufc324 \(US, 30\) of .* Other observations are stored"):
        tags.keyapi.trend(client=unsent.client)


def test_a_closed_client_is_refused(unsent: World) -> None:
    other = kr.Client(sandbox=True, store=":memory:")
    other.close()
    with pytest.raises(kr.StoreError, match="closed"):
        unsent["hashtags"].keyapi.trend(client=other)


BROKEN: dict[str, tuple[str, str, Any, str]] = {
    "no name": ("hashtags", "hashtag_name", None, "hashtag_name: one of the names is missing"),
    "no region": ("hashtags", "region", None, "Namibia"),
    "no period": ("hashtags", "period", pd.NA, "period must be one of 7, 30"),
    "no category": ("product_details", "category_id", None, "category_id: an id is missing"),
    "no name in a list": ("trending_hashtags", "hashtag_name", None, "hashtag_name is missing in 1 rows"),
    "no flag": ("trending_hashtags", "new_only", pd.NA, "new_only must be True or False"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_key_with_a_hole_is_refused(what: str, unsent: World) -> None:
    table, column, value, text = BROKEN[what]
    frame = unsent[table]
    frame.loc[1, column] = value
    method = "posts" if table == "product_details" else "trend"
    with pytest.raises(kr.InvalidArgumentError, match=text):
        unsent.call(frame, method)


PARTNERLESS: dict[str, tuple[str, Callable[[pd.DataFrame, pd.DataFrame], pd.DataFrame], str]] = {
    "merged on its name": (
        "hashtags",
        lambda tags, names: names.merge(tags, on="hashtag_name", how="left"),
        "rows have no key of hashtags, perhaps because a merge found no match. Drop them first: "
        'df.dropna(subset=["period"])',
    ),
    "merged on a column of the user's": (
        "hashtags",
        lambda tags, names: names.merge(tags.assign(note=tags["hashtag_name"]), on="note", how="left"),
        'a merge found no match. Drop them first: df.dropna(subset=["hashtag_name"])',
    ),
    "without its source": (
        "music",
        lambda music, names: names[["note"]].merge(
            music.drop(columns="source").assign(note="gym"), on="note", how="left"
        ),
        "rows have no key of music, perhaps because a merge found no match. Drop them first: "
        'df.dropna(subset=["clip_id"])',
    ),
    "of a list": (
        "trending_hashtags",
        lambda tags, names: names.merge(tags, on="hashtag_name", how="left"),
        "rows have no key of trending_hashtags, perhaps because a merge found no match",
    ),
}


@pytest.mark.parametrize("what", PARTNERLESS)
def test_rows_without_a_partner_after_a_left_merge_are_named_as_such(what: str, unsent: World) -> None:
    table, merge, text = PARTNERLESS[what]
    names = pd.DataFrame({"hashtag_name": ["nobodys", "ufc324"], "note": ["nobodys", "ufc324"]}, dtype="string")
    merged = merge(unsent[table], names if what.startswith("merged on its") or what == "of a list" else names[["note"]])
    with pytest.raises(kr.InvalidArgumentError, match=re.escape(text)):
        merged.keyapi.raw(client=unsent.client)
    kept = merged.dropna(subset=[TABLES[table].key[0]])
    assert merged["note"].tolist()[0] == "nobodys"
    if len(kept):
        assert len(kept.keyapi.raw(client=unsent.client)) == 1


def test_rows_without_a_partner_are_not_followed_either(unsent: World) -> None:
    names = pd.DataFrame({"related_hashtag_name": ["nobodys"]}, dtype="string")
    merged = names.merge(unsent["related_hashtags"], on="related_hashtag_name", how="left")
    with pytest.raises(kr.InvalidArgumentError, match=r"1 rows have no key of related_hashtags, perhaps"):
        kr.plan(merged.keyapi.fetch_details, client=unsent.client)


def test_ids_that_a_spreadsheet_made_floats_are_read_where_exact_and_else_refused(unsent: World) -> None:
    """One missing id makes a column of ids float."""
    details = unsent["product_details"]
    short = details.assign(category_id=details["category_id"].astype("float64"))
    assert unsent.call(short, "raw") == unsent.call(details, "raw")
    posts = unsent["product_posts"].head(3).assign(video_id=[7_438_642_366_417_734_920.0, None, 5.0])
    with pytest.raises(kr.InvalidArgumentError, match=r"video_id: 7\.43\S+ is a float, .*kr\.read_csv\(path\)"):
        posts.keyapi.fetch_videos(client=unsent.client)


def test_ids_that_lost_digits_are_refused(unsent: World) -> None:
    videos = unsent["videos"].assign(video_id=unsent["videos"]["video_id"].astype("float64"))
    with pytest.raises(kr.InvalidArgumentError, match=r"is a float, so its last digits may be lost. .*kr.read_csv"):
        unsent.call(videos, "raw")


@pytest.mark.parametrize("value", ["yesterday", 5, [1, 2]])
def test_what_is_not_a_valid_time_is_refused(value: Any, unsent: World) -> None:
    frame = unsent["hashtags"]
    frame["observed_at"] = pd.Series([value] * len(frame))
    with pytest.raises(kr.InvalidArgumentError, match=r"observed_at: .* is not a valid time. (Read the|If it)"):
        unsent.call(frame, "trend")


# Empty frames -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("table", TABLES)
def test_empty_frames_return_typed_empty_results_without_a_connection(table: str, unsent: World) -> None:
    empty = unsent[table].iloc[:0]
    assert offered(empty) == offered(unsent[table])
    for method in sorted(offered(empty) - PAID - FILES.keys()):
        got = getattr(empty.keyapi, method)()  # no client: nothing may be looked up
        if method == "raw":
            assert got == []
        else:
            assert len(got) == 0
            expected = unsent.call(unsent[table], method).dtypes
            assert got.dtypes.to_dict() == expected.to_dict()
    for method in (one for one in PAID if table in ON[one]):
        assert unsent.call(empty, method, **({"start": "2025-03-01"} if method == "fetch_days" else {})).empty
    assert kr.client.connection.IN_USE.client is None


# What the rows name -----------------------------------------------------------------------------------------

FOLLOWS = {  # method, table: table fetched, credits of 5 rows of it, window of the queries
    ("fetch_details", "product_insights"): ("product_details", 10, {"time_scope": {"7"}}),
    ("fetch_details", "product_hashtags"): ("hashtags", 10, {"period": {7}}),
    ("fetch_details", "related_hashtags"): ("hashtags", 10, {"period": {30}}),
    ("fetch_details", "trending_hashtags"): ("hashtags", 10, {"period": {30}}),
    ("fetch_details", "trending_music"): ("music", 10, {"period": {30}}),
    ("fetch_videos", "product_posts"): ("videos", 1, {}),
    ("fetch_videos", "music_videos"): ("videos", 1, {}),
    ("fetch_hashtags", "product_hashtags"): ("hashtags", 10, {"period": {7}}),
    ("fetch_hashtags", "related_hashtags"): ("hashtags", 10, {"period": {7}}),
}
NAMED = {"related_hashtags": "related_hashtag_name", "product_insights": "category_id", "trending_music": "clip_id"}


@pytest.mark.parametrize(("method", "table"), FOLLOWS)
def test_fetches_what_the_rows_name(method: str, table: str, world: World, client: kr.Client, sandbox: Sandbox) -> None:
    gives, price, windows = FOLLOWS[method, table]
    entity = TABLES[gives].key[-1]
    ids = world[table][NAMED.get(table, entity)].str.lower()
    frame = world[table][~ids.duplicated()].head(5)
    plan = kr.plan(getattr(frame.keyapi, method), client=client)
    assert (plan.credits, plan.stored, plan.table) == (price, 0, gives)
    assert not sandbox.requests
    got = getattr(frame.keyapi, method)(client=client)
    assert sandbox.charged == price
    assert got[entity].tolist() == frame[NAMED.get(table, entity)].str.lower().tolist()
    assert got.columns.tolist() == list(TABLES[gives].names)
    for column, expected in {**windows, **({"region": {"US"}} if gives != "videos" else {})}.items():
        assert set(got[column]) == expected
    assert kr.plan(getattr(frame.keyapi, method), client=client).credits == 0




def test_what_rows_lead_to_is_declared_with_their_table() -> None:
    linked = {(table.name, by, target) for table in TABLES.values() for by, target in table.leads_to.values()}
    assert linked == {
        ("product_details", "product_posts", "videos"),
        ("product_details", "product_hashtags", "hashtags"),
        ("product_insights", "category_id", "product_details"),
        ("product_hashtags", "hashtag_name", "hashtags"),
        ("product_posts", "video_id", "videos"),
        ("related_hashtags", "related_hashtag_name", "hashtags"),
        ("music_videos", "video_id", "videos"),
        ("trending_hashtags", "hashtag_name", "hashtags"),
        ("trending_music", "clip_id", "music"),
        *((name, "user_id", "creators") for name in ON["fetch_creators"]),
        *((name, "product_id", "products") for name in ON["fetch_products"] - {"videos"}),
        ("videos", "video_products", "products"),
        ("creator_videos", "video_id", "videos"),
        ("video_rankings", "video_id", "videos"),
        *((name, "user_id", "creator_days") for name in CREATORS),
        *((name, "product_id", "product_days") for name in PRODUCTS),
        *((name, "user_id", "creator_videos") for name in ON["fetch_creator_videos"]),
        *((name, "user_id", "creator_products") for name in ON["fetch_creator_products"]),
        *((name, "product_id", "product_creators") for name in ON["fetch_product_creators"]),
    }


def test_categories_lead_to_their_videos_and_hashtags(client: kr.Client, sandbox: Sandbox) -> None:
    details = kr.fetch_product_details("601583", client=client)
    assert kr.plan(details.keyapi.fetch_videos, client=client).credits == 5
    posts = details.keyapi.posts(client=client)
    assert details.keyapi.fetch_videos(client=client)["video_id"].tolist() == posts["video_id"].tolist()
    assert sandbox.charged == 2 + 5
    assert kr.plan(details.keyapi.fetch_hashtags, period=30, client=client).credits == 10
    tags = details.keyapi.fetch_hashtags(30, client=client)
    assert tags["hashtag_name"].tolist() == details.keyapi.hashtags(client=client)["hashtag_name"].tolist()
    assert set(tags["period"]) == {30}
    assert set(tags["region"]) == {"all_regions"}
    assert sandbox.charged == 2 + 5 + 10


def test_rows_of_several_regions_are_fetched_in_one_call(client: kr.Client, sandbox: Sandbox) -> None:
    lists = [kr.fetch_trending_hashtags(region=region, limit=2, client=client) for region in ("US", "DE")]
    sent = len(sandbox.requests)
    calls = len(client.calls)
    got = pd.concat(lists).keyapi.fetch_details(client=client)
    assert got["region"].tolist() == ["US", "US", "DE", "DE"]
    assert len(sandbox.requests) - sent == 4
    assert len(client.calls) - calls == 1
    longer = pd.concat(lists).keyapi.fetch_details(period=120, client=client)
    assert set(longer["period"]) == {120}


def test_a_window_that_the_details_do_not_have(unsent: World) -> None:
    with pytest.raises(kr.InvalidArgumentError, match="product_details has no parameter period"):
        unsent["product_insights"].keyapi.fetch_details(period=30, client=unsent.client)
    with pytest.raises(kr.InvalidArgumentError, match="period must be one of 7, 30, 120, 365, 1095"):
        unsent["product_hashtags"].keyapi.fetch_hashtags(period=8, client=unsent.client)


def test_rows_without_an_id_are_passed_over(unsent: World) -> None:
    posts = unsent["product_posts"].head(3)
    posts["video_id"] = posts["video_id"].where([True, False, True])
    plan = kr.plan(posts.keyapi.fetch_videos, client=unsent.client)
    assert (plan.stored, plan.requests) == (2, 0)
    ranking = unsent["product_insights"].head(3)
    ranking.loc[1, "category_id"] = None
    with pytest.raises(kr.InvalidArgumentError, match="category_id: an id is missing"):
        ranking.keyapi.fetch_details(client=unsent.client)


UNUSUAL_NAMES = {
    "product_hashtags": ("hashtag_name", ["fetch_details", "fetch_hashtags"]),
    "related_hashtags": ("related_hashtag_name", ["fetch_details", "fetch_hashtags"]),
    "trending_hashtags": ("hashtag_name", ["fetch_details"]),
}


@pytest.mark.parametrize("table", UNUSUAL_NAMES)
def test_names_that_no_request_can_have_are_passed_over(table: str, unsent: World) -> None:
    column, wanted = UNUSUAL_NAMES[table]
    rows = unsent[table].drop_duplicates(column).head(4)
    for method in wanted:
        fine = kr.plan(getattr(rows.tail(2).keyapi, method), client=unsent.client)
        unusual = rows.assign(**{column: ["foo bar", "a,b", *rows[column].tail(2)]})
        with pytest.warns(kr.MissingDataWarning) as told:
            plan = kr.plan(getattr(unusual.keyapi, method), client=unsent.client)
        assert (plan.requests, plan.stored) == (fine.requests, fine.stored)
        assert [str(one.message) for one in told] == [
            f"{column}: 'foo bar', 'a,b' cannot be requested under the names in the answers. They are left out of "
            "hashtags"
        ]
        assert told[0].filename == __file__


def test_unusual_names_in_an_answer_do_not_block_the_others(client: kr.Client, sandbox: Sandbox) -> None:
    def unusual(path: str, params: dict[str, str], envelope: dict[str, Any]) -> dict[str, Any]:
        return json.loads(json.dumps(envelope).replace('"vlog"', '"day in my life"'))

    sandbox.mutate = unusual
    details = kr.fetch_product_details("601583", client=client)
    assert details.keyapi.hashtags(client=client)["hashtag_name"].tolist()[:2] == ["day in my life", "perfume"]
    with pytest.warns(kr.MissingDataWarning, match="'day in my life' cannot be requested"):
        tags = details.keyapi.fetch_hashtags(client=client)
    assert tags["hashtag_name"].tolist()[0] == "perfume"
    assert len(tags) == 4


def test_invalid_ids_are_refused_wherever_they_stand(unsent: World) -> None:
    posts = unsent["product_posts"].head(2).assign(video_id=["7.11719E+18", "5"])
    with pytest.raises(kr.InvalidArgumentError, match=r"video_id: '7.11719E\+18' is not a valid id"):
        posts.keyapi.fetch_videos(client=unsent.client)


def test_what_a_category_names_must_be_stored(unsent: World) -> None:
    with kr.Client(sandbox=True, store=":memory:") as other:
        for method in ("fetch_videos", "fetch_hashtags"):
            with pytest.raises(kr.NotStoredError, match=r"kr\.fetch_product_details"):
                kr.plan(getattr(unsent["product_details"].keyapi, method), client=other)


def test_failures_and_ages_are_those_of_the_fetch_functions(world: World, client: kr.Client, sandbox: Sandbox) -> None:
    related = world["related_hashtags"].head(2)
    sandbox.on_request = lambda path, params: None
    bad = related["related_hashtag_name"].str.lower().iloc[0]
    sandbox.mutate = lambda path, params, envelope: (
        {"code": 400, "message": "no", "data": None} if params["hashtag_name"] == bad else envelope
    )
    with pytest.raises(kr.FetchIncompleteError):
        related.keyapi.fetch_details(client=client)
    with pytest.warns(kr.IncompleteDataWarning):
        got = related.keyapi.fetch_details(errors="warn", client=client)
    assert len(got) == 1
    sandbox.mutate = None
    sent = len(sandbox.requests)
    related.keyapi.fetch_details(max_age=0, client=client)
    assert len(sandbox.requests) == sent + 2


# Engagement -------------------------------------------------------------------------------------------------


def test_engagement_by_hand() -> None:
    videos = pd.DataFrame(
        {
            "video_id": ["1", "2", "3", "4"],
            "views": pd.array([200, 0, None, 50], dtype="Int64"),
            "likes": pd.array([20, 5, 5, 5], dtype="Int64"),
            "comments": pd.array([4, 1, 1, None], dtype="Int64"),
            "shares": pd.array([6, 1, 1, 0], dtype="Int64"),
        },
        index=[7, 7, 3, 1],
    )
    for frame in (videos, videos.astype(object), reread(videos).set_axis(videos.index)):
        got = frame.keyapi.engagement()
        rates = got[["like_rate", "comment_rate", "share_rate", "engagement_rate"]]
        expected = [[0.1, 0.02, 0.03, 0.15], [None] * 4, [None] * 4, [0.1, None, 0.0, None]]
        assert_frame_equal(rates, pd.DataFrame(expected, index=frame.index, columns=rates.columns, dtype="float64"))
        assert_frame_equal(got[frame.columns], frame)
        assert "like_rate" not in frame
    with pytest.raises(AttributeError, match=r"holds videos\. As videos it lacks shares"):
        _ = videos.drop(columns="shares").keyapi.engagement
    with pytest.raises(AttributeError, match=r"As videos it lacks views\. Keep"):  # views_1d is not views with a suffix
        _ = videos.assign(views_1d=1).drop(columns="views").keyapi.engagement


# What the rows are ------------------------------------------------------------------------------------------


@pytest.mark.both_stores
def test_history_has_every_observation(client: kr.Client, sandbox: Sandbox) -> None:
    old, new = refreshed(client)
    kr.fetch_hashtags("gym", region="US", client=client)
    sent = len(sandbox.requests)
    expected = pd.concat([old, new]).sort_values(["hashtag_name", "observed_at"], ignore_index=True)
    for frame in (old, new, old.drop(columns="observed_at"), pd.concat([new, old])):
        assert_frame_equal(frame.keyapi.history(client=client), expected)
    gym = old[old["hashtag_name"] == "gym"].keyapi.history(client=client)
    assert_frame_equal(gym, expected[expected["hashtag_name"] == "gym"].reset_index(drop=True))
    day = old.keyapi.trend(client=client).head(1)
    days = day.keyapi.history(client=client)
    assert set(days["date"]) == set(day["date"])
    assert len(days) <= 2
    assert len(sandbox.requests) == sent


@pytest.mark.both_stores
def test_history_of_what_was_only_ever_absent_is_the_typed_empty_table(client: kr.Client, sandbox: Sandbox) -> None:
    fetched = kr.fetch_hashtags("perfume", client=client)
    sandbox.mutate = lambda path, params, envelope: {**envelope, "data": None}
    with pytest.warns(kr.MissingDataWarning):
        kr.fetch_hashtags(["gym", "perfume"], max_age=0, client=client)
    gym = fetched.assign(hashtag_name="gym").drop(columns="observed_at")
    for frame in (gym, gym.assign(observed_at=fetched["observed_at"])):
        history = frame.keyapi.history(client=client)
        assert len(history) == 0
        assert history.dtypes.equals(fetched.dtypes)
    both = pd.concat([gym, fetched]).keyapi.history(client=client)
    assert both["hashtag_name"].tolist() == ["perfume"]


@pytest.mark.both_stores
def test_history_of_a_list_that_was_only_ever_empty_is_the_typed_empty_table(
    client: kr.Client, sandbox: Sandbox
) -> None:
    fetched = kr.fetch_trending_hashtags(region="US", limit=2, client=client)
    sandbox.mutate = lambda path, params, envelope: {**envelope, "data": None}
    assert kr.fetch_trending_hashtags(region="DE", limit=2, client=client).empty
    history = fetched.assign(region="DE").keyapi.history(client=client)
    assert len(history) == 0
    assert history.dtypes.equals(fetched.dtypes)


@pytest.mark.both_stores
def test_history_of_a_ranking(client: kr.Client, sandbox: Sandbox) -> None:
    options = {"region": "US", "limit": 30, "client": client}
    pulls = [kr.fetch_product_insights(**options, max_age=age) for age in (None, 0, 0)]
    sent = len(sandbox.requests)
    few = pulls[1].iloc[[3, 24]]
    history = few.keyapi.history(client=client)
    whole = pd.concat(pulls)
    expected = whole[whole["category_id"].isin(few["category_id"])]
    assert_frame_equal(history, expected.sort_values(["category_id", "observed_at"], ignore_index=True))
    assert len(sandbox.requests) == sent


def test_raw_is_the_envelope(unsent: World) -> None:
    answers = unsent.call(unsent["hashtags"], "raw")
    assert [answer["data"]["info"]["hashtag_name"] for answer in answers] == ["ufc324", "perfume", "smellgood"]
    assert all(answer["code"] == 0 for answer in answers)
    videos = unsent.call(unsent["videos"].iloc[[5, 2]], "raw")
    assert [[one["video_id"] for one in answer["data"]] for answer in videos] == [
        [video] for video in unsent["videos"]["video_id"].iloc[[5, 2]]
    ]


def test_provenance_of_videos_that_share_a_request(client: kr.Client) -> None:
    ids = [str(7_100_000_000_000_000_000 + number) for number in range(12)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", kr.KeyAPIWarning)
        videos = kr.fetch_videos(ids, client=client)
    got = videos.keyapi.provenance(client=client)
    assert got.dtypes.astype(str).to_dict() == {
        "endpoint": "string",
        "params": "string",
        "request_id": "string",
        "observed_at": "datetime64[us, UTC]",
        "credits": "Int64",
        "source": "string",
        "n_entities": "Int64",
    }
    assert sorted(set(got["n_entities"])) == [2, 10]
    assert [json.loads(text) for text in got["params"]] == [{"video_ids": one} for one in videos["video_id"]]
    assert set(got["endpoint"]) == {"/v1/tiktok/video/detail/analytics"}
    assert set(got["source"]) == {"sandbox"}
    assert got["observed_at"].tolist() == videos["observed_at"].tolist()
    ledger = client.ledger()
    assert set(got["request_id"]) == set(ledger["request_id"])  # sent side by side, so in either order
    assert got.drop_duplicates("request_id")["credits"].sum() == ledger["credits"].sum() == 2


def test_provenance_of_a_ranking_is_its_pages(unsent: World) -> None:
    got = unsent.call(unsent["trending_hashtags"], "provenance")
    assert [json.loads(text)["page"] for text in got["params"]] == ["1", "2"]
    assert got["credits"].tolist() == [2, 2]


# Validation -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("table", TABLES)
def test_what_was_fetched_is_valid(table: str, unsent: World) -> None:
    frame = unsent[table]
    assert frame.keyapi.validate() is frame
    extra = frame.assign(note=1)
    assert extra.keyapi.validate() is extra
    with pytest.raises(kr.InvalidArgumentError, match=f"not a valid {table} table, .*\n- .*repeat a key"):
        pd.concat([frame, frame.head(1)]).keyapi.validate()


def test_validate_lists_every_breach(unsent: World) -> None:
    tags = unsent["hashtags"].astype({"views": "float64"})
    tags.loc[0, "posts_all"] = -4
    tags.loc[0, "region"] = "Germany"
    tags.loc[1, "period"] = 8
    tags.loc[2, "observed_at"] = pd.NaT
    tags = tags.drop(columns="url")
    with pytest.raises(kr.InvalidArgumentError) as breach:
        tags.keyapi.validate()
    told = str(breach.value).split("\n- ")
    assert told[0] == "the frame is not a valid hashtags table, 6 breaches:"
    assert told[1:] == [
        "the column url is missing",
        "region: Germany is \"DE\", not 'Germany'",
        "period must be one of 7, 30, 120, 365, 1095 (days); got 8",
        "views has dtype float64, not Int64",
        "1 values of posts_all are below 0",
        "observed_at is missing in 1 rows, but is needed to identify them",
    ]


BREACHES: dict[str, tuple[str, Callable[[pd.DataFrame], pd.DataFrame], str]] = {
    "text": ("videos", lambda frame: frame.astype({"views": object}), "views has dtype object, not Int64"),
    "above": ("hashtag_trends", lambda frame: frame.assign(share_of_peak=1.5), "share_of_peak are above 1"),
    "infinite": ("hashtag_audience", lambda frame: frame.assign(score=float("inf")), "score are infinite"),
    "no date": ("music_trends", lambda frame: frame.assign(date=pd.NaT), "date is missing in"),
    "dimension": (
        "hashtag_audience",
        lambda f: f.assign(dimension="sex"),
        "dimension has sex; allowed are age, interest",
    ),
    "movement": (
        "trending_music",
        lambda f: f.assign(rank_movement="off"),
        "rank_movement has off; allowed are up, same",
    ),
    "key column": ("hashtags", lambda frame: frame.drop(columns="region"), "the column region is missing"),
    "lists": ("videos", lambda frame: frame.assign(views=[[1]] * len(frame)), "views has dtype object"),
    "lists as keys": ("videos", lambda frame: frame.assign(video_id=[[1]] * len(frame)), "video_id has dtype object"),
    "twice": ("videos", lambda f: pd.concat([f, f[["views"]]], axis=1), "the column views appears more than once"),
    "a name as it is written elsewhere": (
        "hashtags",
        lambda frame: frame.assign(hashtag_name=["#Abc", "abc", "ABC"]).astype({"hashtag_name": "string"}),
        "hashtags table, 2 breaches:\n- hashtag_name has '#Abc', which should be 'abc'\n- hashtag_name has 'ABC'",
    ),
    "a name of a list": (
        "trending_hashtags",
        lambda frame: frame.assign(hashtag_name="#x" + frame["hashtag_name"]).head(1),
        "1 breach:\n- hashtag_name has '#x",
    ),
    "a region in lower case": (
        "music_trends",
        lambda frame: frame.assign(region=frame["region"].str.lower()),
        "1 breach:\n- region has 'us', which should be 'US'",
    ),
    "an id between blanks": (
        "videos",
        lambda frame: frame.assign(video_id=" " + frame["video_id"]).head(1),
        "1 breach:\n- video_id has ' [0-9]+', which should be '[0-9]+'",
    ),
    "place": ("product_posts", lambda frame: frame.assign(position=0), "position are below 1"),
    "many": (
        "videos",
        lambda frame: frame.assign(video_id=[f"no {number}" for number in range(len(frame))]),
        "video_id has 9 more such values",
    ),
}


@pytest.mark.parametrize("what", BREACHES)
def test_breaches(what: str, unsent: World) -> None:
    table, change, text = BREACHES[what]
    with pytest.raises(kr.InvalidArgumentError, match=text):
        change(unsent[table]).keyapi.validate()


def test_validate_what(unsent: World) -> None:
    both = unsent["product_posts"].merge(unsent["videos"], on="video_id", suffixes=("", "_video"))
    with pytest.raises(AttributeError, match=r"product_posts and videos\. .* validate\(of='product_posts'\)"):
        both.keyapi.validate()
    assert both.keyapi.validate(of="product_posts") is both
    with pytest.raises(kr.InvalidArgumentError, match="the column hashtag_name is missing"):
        unsent["videos"].keyapi.validate(of="hashtags")
    with pytest.raises(kr.InvalidArgumentError, match="of must be one of"):
        unsent["videos"].keyapi.validate(of="video")
    with pytest.raises(AttributeError, match="key columns of any table"):
        unsent["videos"][["views"]].keyapi.validate()
    unset = unsent["product_insights"]
    assert unset["search"].isna().all()
    assert unset.keyapi.validate() is unset


# Pictures ---------------------------------------------------------------------------------------------------


@pytest.fixture
def axes() -> Iterator[Any]:
    """Axes of a figure nobody sees."""
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    yield plt.figure().add_subplot()
    plt.close("all")


def test_plots_read_what_they_draw_from_the_answers(axes: Any, unsent: World) -> None:
    drawn = unsent["hashtags"].keyapi.plot.trend(ax=axes, client=unsent.client)
    assert drawn is axes
    first = unsent["hashtag_trends"].query("hashtag_name == 'ufc324'")["share_of_peak"].to_numpy()
    lines = [line.get_ydata() for line in axes.lines if len(line.get_ydata()) >= len(first)]
    assert any(list(line[: len(first)]) == list(first) for line in lines)


def test_plots_call_sounds_by_their_title(axes: Any, unsent: World) -> None:
    sounds = unsent["music"].assign(title=["First", "Second", "Third"])
    unsent.call(sounds.head(2), "trend")
    sounds.head(2).keyapi.plot.trend(ax=axes, client=unsent.client)
    texts = {text.get_text() for text in axes.figure.findobj(lambda artist: hasattr(artist, "get_text"))}
    assert any("First" in text for text in texts)
    assert any("Second" in text for text in texts)


@pytest.mark.parametrize(
    ("table", "name"),
    [
        ("hashtags", "audience"),
        ("hashtags", "overlap"),
        ("hashtag_audience", "audience"),
        ("music_trends", "trend"),
        ("product_insights", "products"),
        ("product_insights", "categories"),
        ("videos", "engagement"),
    ],
)
def test_plots_forward(table: str, name: str, axes: Any, unsent: World) -> None:
    plot = getattr(unsent[table].keyapi.plot, name)
    takes_client = "client" in inspect.signature(plot).parameters
    assert plot(ax=axes, **({"client": unsent.client} if takes_client else {})) is axes
    assert axes.has_data()


def test_a_plot_of_two_concatenated_audiences(axes: Any, unsent: World) -> None:
    both = pd.concat([unsent["hashtag_audience"], unsent["music_audience"]])
    assert both.keyapi.plot.overlap(ax=axes) is axes


def test_plots_accept_what_the_functions_accept() -> None:
    for name in ("trend", "audience", "overlap"):
        own = inspect.signature(PICTURES[name]).parameters
        theirs = inspect.signature(getattr(plots, name)).parameters
        assert list(own) == [*theirs, "of", "client"] or set(own) == {*theirs, "of", "client"}
        assert {one: own[one].default for one in theirs} == {one: theirs[one].default for one in theirs}


def test_a_plot_that_does_not_apply_is_refused_with_what_it_draws(unsent: World) -> None:
    with pytest.raises(AttributeError, match=r"plot.trend draws .*keyapi.trend\(\); this frame holds videos"):
        _ = unsent["videos"].keyapi.plot.trend


def test_nothing_heavy_is_loaded_before_a_plot_is_drawn() -> None:
    code = (
        "import sys, keyapi_research as kr, pandas as pd\n"
        "df = pd.DataFrame({'video_id': ['1'], 'views': [1], 'likes': [1], 'comments': [1], 'shares': [1]})\n"
        "dir(df.keyapi), dir(df.keyapi.plot), df.keyapi.plot.engagement, df.keyapi.engagement()\n"
        "print([name for name in ('matplotlib', 'IPython', 'tqdm.notebook') if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# Never a request --------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_nothing_but_fetch_methods_ever_sends(world: World, tmp_path: Path) -> None:
    before, spent = world.sent, world.client.credits_spent
    for table in TABLES:
        for method in METHODS:
            if method in PAID and table in ON[method]:
                given = {"start": "2025-03-01"} if method == "fetch_days" else {}
                kr.plan(getattr(world[table].keyapi, method), client=world.client, **given)
            elif method in FILES:
                getattr(world[table].keyapi, method)(tmp_path / f"{table}{FILES[method]}")
            elif method in ON_ALL or table in ON[method]:
                world.call(world[table], method)
    assert (world.sent, world.client.credits_spent) == (before, spent)
    assert before > 0


def test_methods_follow_the_tables_in_any_order(unsent: World) -> None:
    orders = [unsent["trending_hashtags"].sample(frac=1, random_state=seed) for seed in range(3)]
    names = [unsent.call(frame, "trend")["hashtag_name"].drop_duplicates().tolist() for frame in orders]
    assert all(one != other for one, other in pairwise(names))
    for frame, got in zip(orders, names, strict=True):
        assert got == [name for name in frame["hashtag_name"] if name in set(got)]


@pytest.mark.parametrize("spoilt", ["6.0E+18", "7117191641181555995.0", "'7117191641181555995"])
def test_validate_lists_ids_that_are_not_digits_outside_the_key_too(spoilt: str, client: kr.Client) -> None:
    videos = kr.fetch_videos("7117191641181555995", client=client)
    assert videos.keyapi.validate() is videos or videos.keyapi.validate() is None
    for name in ("video_id", "user_id"):
        with pytest.raises(kr.InvalidArgumentError, match=f"{name}.*digits only"):
            videos.assign(**{name: pd.array([spoilt], dtype="string")}).keyapi.validate()


def test_what_synthetic_rows_name_is_not_paid_for() -> None:
    with kr.Client(sandbox=True, store=":memory:") as made_up:
        rows = kr.fetch_creator_rankings(region="US", limit=3, client=made_up)
        assert len(rows.keyapi.fetch_creators(client=made_up)) == 3
    with kr.Client(token="a-token-of-the-tests", store=":memory:") as paying:
        for fetch in (rows.keyapi.fetch_creators, rows.keyapi.fetch_creator_videos):
            with pytest.raises(kr.InvalidArgumentError, match=r"synthetic .*this connection pays keyapi"):
                fetch(client=paying)
            with pytest.raises(kr.InvalidArgumentError, match="synthetic"):
                kr.plan(fetch, client=paying)
        assert paying.ledger().empty
