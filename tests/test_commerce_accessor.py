"""`df.keyapi` on creators, products and their days: where rows lead, what it costs, and what is refused."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

import keyapi_research as kr
from keyapi_research.model import TABLES
from keyapi_research.sandbox import Sandbox
from keyapi_research.tidy import empty_frame

mpl.use("agg")
LISTS = ("creator_products", "product_creators")


class Market:
    """Products that sell in the US, the creators who sell them, and what these show and gain."""

    def __init__(self, client: kr.Client) -> None:
        self.client = client
        self.ranking = kr.fetch_product_rankings(region="US", limit=12, client=client)
        self.products = kr.fetch_products(self.ranking["product_id"], client=client)
        ids = self.products["product_id"].head(3)
        self.product_creators = kr.fetch_product_creators(ids, limit=10, client=client)
        sellers = self.product_creators["user_id"].drop_duplicates().head(12)
        self.creators = kr.fetch_creators(sellers, client=client)
        self.creator_products = kr.fetch_creator_products(sellers.head(3), limit=10, client=client)
        self.creator_videos = kr.fetch_creator_videos(sellers.head(3), limit=10, client=client)
        self.videos = kr.fetch_videos(self.creator_videos["video_id"], client=client)
        self.creator_days = kr.fetch_creator_days(sellers.head(2), start="20D", client=client)
        self.creator_rankings = kr.fetch_creator_rankings(region="US", cycle="month", client=client)
        self.video_rankings = kr.fetch_video_rankings(region="US", cycle="month", client=client)
        self.product_search = kr.fetch_product_search(region="US", limit=10, client=client)
        self.product_days = kr.fetch_product_days(ids, start="20D", client=client)
        self.video_products = kr.fetch_video_products(self.creator_videos["video_id"], client=client)
        self.product_rankings = self.ranking


@pytest.fixture(scope="module")
def market() -> Iterator[Market]:
    """One market for the tests that only read it."""
    with (
        Sandbox() as server,
        kr.Client(
            token="of-the-tests", base_url=server.url, store=":memory:", requests_per_second=None, progress=False
        ) as made,
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore", kr.KeyAPIWarning)
        yield Market(made)


# Fetching what rows name ------------------------------------------------------------------------------------

FOLLOWS = {  # method, table: the column that names what is fetched, and that column of the table fetched
    ("fetch_creators", "videos"): "user_id",
    ("fetch_creators", "video_rankings"): "user_id",
    ("fetch_creators", "creator_rankings"): "user_id",
    ("fetch_creators", "creator_days"): "user_id",
    ("fetch_creators", "creator_videos"): "user_id",
    ("fetch_creators", "creator_products"): "user_id",
    ("fetch_creators", "product_creators"): "user_id",
    ("fetch_products", "video_products"): "product_id",
    ("fetch_products", "product_rankings"): "product_id",
    ("fetch_products", "product_search"): "product_id",
    ("fetch_products", "product_days"): "product_id",
    ("fetch_products", "creator_products"): "product_id",
    ("fetch_products", "product_creators"): "product_id",
    ("fetch_videos", "creator_videos"): "video_id",
    ("fetch_videos", "video_rankings"): "video_id",
}


@pytest.mark.parametrize(("method", "table"), FOLLOWS)
def test_each_entity_is_fetched_once_ten_a_credit(
    method: str, table: str, market: Market, client: kr.Client, sandbox: Sandbox
) -> None:
    by = FOLLOWS[method, table]
    rows = getattr(market, table)
    ids = rows[by].dropna().drop_duplicates().tolist()
    assert ids
    twice = pd.concat([rows, rows], ignore_index=True)
    plan = kr.plan(getattr(twice.keyapi, method), client=client)
    assert (plan.table, plan.credits, plan.stored) == (method.removeprefix("fetch_"), -(-len(ids) // 10), 0)
    assert not sandbox.requests
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", kr.MissingDataWarning)
        got = getattr(twice.keyapi, method)(client=client)
    assert sandbox.charged == plan.credits
    assert set(got[by]) <= set(ids)
    assert got[by].tolist() == [one for one in ids if one in set(got[by])]
    assert kr.plan(getattr(twice.keyapi, method), client=client).credits == 0


def test_videos_lead_to_the_products_that_came_with_them(market: Market) -> None:
    shown = market.videos.keyapi.products(client=market.client)
    assert_frame_equal(shown, market.video_products)
    assert shown["product_id"].notna().any()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", kr.MissingDataWarning)
        products = market.videos.keyapi.fetch_products(client=market.client)
    named = shown["product_id"].dropna().drop_duplicates()
    assert products["product_id"].tolist() == [one for one in named if one in set(products["product_id"])]
    assert len(products)


@pytest.mark.parametrize("table", LISTS)
def test_a_list_of_pairs_leads_both_ways_without_of(table: str, market: Market, client: kr.Client) -> None:
    pairs = getattr(market, table)
    assert kr.plan(pairs.keyapi.fetch_creators, client=client).table == "creators"
    assert kr.plan(pairs.keyapi.fetch_products, client=client).table == "products"


PER_ENTITY = {  # method, table: the table it fetches, its column of the rows
    ("fetch_creator_videos", "creators"): ("creator_videos", "user_id"),
    ("fetch_creator_videos", "creator_rankings"): ("creator_videos", "user_id"),
    ("fetch_creator_products", "creators"): ("creator_products", "user_id"),
    ("fetch_creator_products", "creator_rankings"): ("creator_products", "user_id"),
    ("fetch_product_creators", "products"): ("product_creators", "product_id"),
    ("fetch_product_creators", "product_rankings"): ("product_creators", "product_id"),
    ("fetch_product_creators", "product_search"): ("product_creators", "product_id"),
}


@pytest.mark.parametrize(("method", "table"), PER_ENTITY)
def test_lists_are_fetched_for_each_row_with_sort_and_limit(
    method: str, table: str, market: Market, client: kr.Client, sandbox: Sandbox
) -> None:
    gives, by = PER_ENTITY[method, table]
    rows = getattr(market, table).head(3)
    fetch = getattr(pd.concat([rows, rows]).keyapi, method)
    plan = kr.plan(fetch, "units" if by == "user_id" else "followers", limit=12, client=client)
    assert (plan.table, plan.credits) == (gives, 6)  # two pages of ten for each of three
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", kr.MissingDataWarning)
        got = fetch("units" if by == "user_id" else "followers", limit=12, client=client)
    assert 0 < sandbox.charged <= 6
    assert set(got["sorted_by"]) == {"units" if by == "user_id" else "followers"}
    assert got.groupby(by).size().max() <= 12
    present = [one for one in rows[by] if one in set(got[by])]
    assert got[by].drop_duplicates().tolist() == present
    with pytest.raises(kr.InvalidArgumentError, match=r"sort must be one of .*; got 'best'"):
        fetch("best", client=client)
    with pytest.raises(kr.InvalidArgumentError, match="limit must be"):
        fetch(limit=0, client=client)


@pytest.mark.parametrize(
    ("table", "gives"),
    [
        ("creators", "creator_days"),
        ("creator_rankings", "creator_days"),
        ("products", "product_days"),
        ("product_rankings", "product_days"),
        ("product_search", "product_days"),
    ],
)
def test_days_of_what_the_rows_name(
    table: str, gives: str, market: Market, client: kr.Client, sandbox: Sandbox
) -> None:
    by = TABLES[gives].key[0]
    rows = getattr(market, table).head(2)
    fetch = pd.concat([rows, rows]).keyapi.fetch_days
    plan = kr.plan(fetch, "2026-01-03", "2026-01-17", client=client)
    assert (plan.table, plan.credits) == (gives, 4)  # two blocks of ten days for each of two
    got = fetch("2026-01-03", "2026-01-17", client=client)
    assert sandbox.charged <= 4
    assert got[by].drop_duplicates().tolist() == rows[by].tolist()
    assert got["date"].between("2026-01-03", "2026-01-17").all()
    assert kr.plan(fetch, "2026-01-05", "2026-01-15", client=client).credits == 0
    length = fetch("15D", "2026-01-17", client=client)
    assert_frame_equal(length, got)


WRONG_DAYS: dict[str, tuple[tuple[Any, ...], str]] = {
    "no start": ((), r"^fetch_days\(\): missing a required argument: 'start'\. It takes start, end, max_age="),
    "no length": (("soon",), r"^start must be a day such as .*; got 'soon'"),
    "half a day": (("36h",), r"^start must be a day such as"),
    "a time as end": (("2026-01-01", "2026-01-02 10:00"), r"^end must be a day such as"),
    "today": (("5D", "2099-01-01"), r"^end 2099-01-01 is not over yet"),
    "exchanged": (("2026-01-10", "2026-01-01"), r"^start 2026-01-10 is after end 2026-01-01"),
}


@pytest.mark.parametrize("what", WRONG_DAYS)
def test_wrong_days_are_refused_by_the_name_of_the_argument(what: str, market: Market) -> None:
    days, text = WRONG_DAYS[what]
    spent = market.client.credits_spent
    for frame in (market.creators, market.products):
        with pytest.raises(kr.InvalidArgumentError, match=text):
            frame.keyapi.fetch_days(*days, client=market.client)
    assert market.client.credits_spent == spent


# Days -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("table", ["creator_days", "product_days"])
def test_fill_days_adds_what_was_not_told(table: str, market: Market) -> None:
    days = getattr(market, table)
    days = days.drop(index=days.index[3]).reset_index(drop=True)
    by = TABLES[table].key[0]
    filled = days.keyapi.fill_days()
    assert list(filled) == [*TABLES[table].names, "filled"]
    assert_frame_equal(filled[~filled["filled"]].drop(columns="filled").reset_index(drop=True), days)
    for _, rows in filled.groupby(by):
        assert (rows["date"].diff().dropna() == pd.Timedelta("1D")).all()
    for _, rows in days.groupby(by):
        span = (rows["date"].max() - rows["date"].min()).days + 1
        assert (filled[by] == rows[by].iloc[0]).sum() == span
    added = filled[filled["filled"]]
    assert len(added)
    assert added["units_day_est"].isna().all()
    assert (days.keyapi.fill_days(gains=0).loc[filled["filled"], "units_day_est"] == 0).all()


def test_a_filled_price_is_that_of_the_day_before(market: Market) -> None:
    days = market.product_days
    filled = days.drop(index=days.index[3]).keyapi.fill_days()
    added = filled.index[filled["filled"]]
    assert len(added)
    assert filled.loc[added, "price_avg"].notna().all()
    assert filled.loc[added, "price_avg"].tolist() == filled.loc[added - 1, "price_avg"].tolist()
    assert filled.loc[added, "units_sold_est"].tolist() == filled.loc[added - 1, "units_sold_est"].tolist()


def test_filtered_sorted_and_read_series_are_filled_alike(market: Market, tmp_path: Path) -> None:
    days = market.creator_days
    expected = days.keyapi.fill_days()
    backwards = days.sort_values(["user_id", "date"], ascending=[False, False])
    got = backwards.keyapi.fill_days()
    assert_frame_equal(got.sort_values(["user_id", "date"], ignore_index=True), expected.sort_values(
        ["user_id", "date"], ignore_index=True
    ))  # fmt: skip
    days.keyapi.to_csv(tmp_path / "days.csv")
    assert_frame_equal(kr.read_csv(tmp_path / "days.csv").keyapi.fill_days(), expected)
    assert_frame_equal(pd.read_csv(tmp_path / "days.csv", dtype=str).keyapi.fill_days(), expected)
    three = days[["user_id", "date", "units_day_est"]]
    assert_frame_equal(three.keyapi.fill_days(), expected[[*three, "filled"]])
    kept = expected.iloc[[*range(5), *range(9, len(expected))]].drop(columns="filled")
    assert_frame_equal(kept.keyapi.fill_days()[["user_id", "date"]], expected[["user_id", "date"]])


def test_all_observations_of_days_are_refused_by_fill_days_and_returned_by_history(client: kr.Client) -> None:
    first = kr.fetch_creator_days("3993047", start="2025-08-01", end="2025-08-10", client=client)
    again = first["date"].iloc[2]
    kr.fetch_creator_days("3993047", start=again.date(), end=again.date(), max_age=0, client=client)
    history = first.keyapi.history(client=client)
    assert_frame_equal(first.drop(columns="observed_at").keyapi.history(client=client), history)
    times = history.groupby("date").size()
    assert times.loc[again] == 2
    assert times.sum() == len(first) + 1
    assert history.sort_values(["user_id", "date", "observed_at"]).index.tolist() == list(range(len(history)))
    with pytest.raises(kr.InvalidArgumentError, match=r"1 rows are about a day that the frame has already"):
        history.keyapi.fill_days()
    assert len(first.keyapi.raw(client=client)) == len(first)


def test_provenance_of_days_adds_up_to_what_they_cost(client: kr.Client, sandbox: Sandbox) -> None:
    days = kr.fetch_creator_days("3993047", start="2025-08-01", end="2025-08-20", client=client)
    provenance = days.keyapi.provenance(client=client)
    assert provenance["observed_at"].tolist() == days["observed_at"].tolist()
    assert provenance.drop_duplicates("request_id")["credits"].sum() == sandbox.charged == 2
    assert (provenance["n_entities"] > 1).all()


def test_fill_days_is_for_series_only(market: Market) -> None:
    with pytest.raises(AttributeError, match=r"fill_days\(\) is for creator_days or product_days; this frame holds"):
        _ = market.creator_rankings.keyapi.fill_days
    with pytest.raises(AttributeError, match=r"holds creator_rankings\.$"):
        _ = market.creator_rankings.keyapi.fill_days
    with pytest.raises(AttributeError, match=r"As creator_days it lacks date\. date is in the index"):
        _ = market.creator_days.set_index("date").keyapi.fill_days


# Who was named by a handle ----------------------------------------------------------------------------------


def test_creators_named_by_a_handle_are_read_by_their_id(market: Market, client: kr.Client, sandbox: Sandbox) -> None:
    names = ["@" + market.creators["username"].iloc[0].upper(), market.creators["username"].iloc[1]]
    named = kr.fetch_creators(names, by="username", client=client)
    assert named["user_id"].tolist() == market.creators["user_id"].head(2).tolist()
    spent = sandbox.charged
    for frame in (named, named.drop(columns="observed_at")):
        windows = frame.keyapi.windows(client=client)
        assert windows["user_id"].drop_duplicates().tolist() == named["user_id"].tolist()
        assert frame.keyapi.history(client=client)["user_id"].tolist() == sorted(named["user_id"])
        assert [one["data"][0]["user_id"] for one in frame.keyapi.raw(client=client)] == named["user_id"].tolist()
        assert len(frame.keyapi.posting(client=client))
        provenance = frame.keyapi.provenance(client=client)
        assert provenance["endpoint"].str.startswith("/v1/tiktok/influencer/").all()
        assert provenance["observed_at"].tolist() == named["observed_at"].tolist()
    assert named.keyapi.validate() is named
    assert kr.plan(kr.fetch_creators, named["user_id"], client=client).credits == 0
    assert kr.plan(named.keyapi.fetch_creator_videos, limit=10, client=client).credits == 2
    assert sandbox.charged == spent


# Rates of videos --------------------------------------------------------------------------------------------

NOT_TOTALS = ("creator_rankings", "video_rankings", "product_rankings")
NOT_OF_A_VIDEO = {"creators": "a creator", "creator_days": "a creator x day"}


def test_engagement_of_a_list_of_videos_by_hand(market: Market) -> None:
    rows = market.creator_videos.head(1).assign(views=200, likes=20, comments=6, shares=4)
    rates = rows.keyapi.engagement()
    assert list(rates) == [*rows, "like_rate", "comment_rate", "share_rate", "engagement_rate"]
    assert rates.iloc[0, -4:].tolist() == [0.1, 0.03, 0.02, 0.15]
    drawn = market.creator_videos.keyapi.plot.engagement()
    assert drawn.get_title(loc="left").endswith(f"of {market.creator_videos['video_id'].nunique()} videos")


@pytest.mark.parametrize("table", [*NOT_TOTALS, *NOT_OF_A_VIDEO])
def test_engagement_of_anything_but_videos_is_refused_with_the_reason(table: str, market: Market) -> None:
    rows = getattr(market, table)
    why = f"The measures of {table} are gains of its period, not totals"
    if table in NOT_OF_A_VIDEO:
        why = f"In {table} they are measures of {NOT_OF_A_VIDEO[table]}; rows of a video have video_id"
    with pytest.raises(AttributeError, match=rf"^engagement\(\) is for videos or creator_videos; .*\. {why}\.$"):
        _ = rows.keyapi.engagement
    with pytest.raises(AttributeError, match=rf"^plot\.engagement draws the columns .*\. {why}\.$"):
        _ = rows.keyapi.plot.engagement
    with pytest.raises(
        kr.InvalidArgumentError, match=rf"reads rows of videos, creator_videos\. {why}\. Such a frame comes from"
    ):
        kr.plots.engagement(rows)


def test_videos_beside_their_creators_are_videos(market: Market) -> None:
    both = market.videos.merge(market.creators, on="user_id", suffixes=("", "_creator"))
    assert len(both)
    rates = both.keyapi.engagement()
    known = both["views"] > 0
    assert rates.loc[known, "like_rate"].tolist() == pytest.approx((both["likes"] / both["views"])[known].tolist())
    assert kr.plots.engagement(both)
    listed = market.creator_videos.merge(market.videos, on="video_id", suffixes=("", "_detail"))
    assert (listed["views"] > 0).all()
    expected = (listed["likes"] / listed["views"]).tolist()
    assert listed.keyapi.engagement()["like_rate"].tolist() == pytest.approx(expected)
    lost = market.videos.merge(market.creators, on="user_id")
    with pytest.raises(AttributeError, match=r'As videos it lacks views, .* df\.rename\(columns=\{"views_x": "views"'):
        _ = lost.keyapi.engagement
    with pytest.raises(kr.InvalidArgumentError, match=r"needs the columns views, .*no views"):
        kr.plots.engagement(lost)


PICTURES: dict[str, Callable[[pd.DataFrame], Any]] = {
    name: getattr(kr.plots, name) for name in ("trend", "audience", "products", "categories", "engagement", "overlap")
}
COMMERCE = [
    name for name in TABLES
    if name.startswith(("creator", "video_")) or name.partition("_")[2] in ("rankings", "search", "days", "creators")
]  # fmt: skip


@pytest.mark.parametrize("table", [*COMMERCE, "products", "product_windows"])
def test_no_table_of_commerce_is_drawn_as_something_else(table: str) -> None:
    rows = empty_frame(TABLES[table])
    for name, draw in PICTURES.items():
        if (name, table) != ("engagement", "creator_videos"):
            with pytest.raises(kr.InvalidArgumentError, match=rf"^plots\.{name} (needs the columns|reads rows of) "):
                draw(rows)
            assert not hasattr(rows.keyapi, "plot") or not hasattr(rows.keyapi.plot, name)


# Two entities in one frame ----------------------------------------------------------------------------------


def test_merged_frames_say_what_to_do(market: Market) -> None:
    client = market.client
    lost = market.videos.merge(market.creators, on="user_id")
    with pytest.raises(AttributeError, match=r"holds videos and creators\. Choose one: history\(of='videos'\)"):
        lost.keyapi.history(client=client)
    kept = market.videos.merge(market.creators, on="user_id", suffixes=("", "_creator"))
    assert set(kept.keyapi.history(of="videos", client=client)["video_id"]) == set(kept["video_id"])
    with pytest.raises(
        kr.NotStoredError, match=r'Other observations are stored\. .* df\.drop\(columns="observed_at"\)'
    ):
        kept.keyapi.windows(client=client)  # observed_at is that of the videos
    windows = kept.drop(columns="observed_at").keyapi.windows(client=client)
    assert set(windows["user_id"]) == set(kept["user_id"])


def test_what_was_read_of_answers_goes_into_an_archive(market: Market, client: kr.Client, tmp_path: Path) -> None:
    creators = kr.fetch_creators(market.creators["user_id"].head(2), client=client)
    days = creators.keyapi.fetch_days("2026-01-01", "2026-01-10", client=client)
    windows, filled = creators.keyapi.windows(client=client), days.keyapi.fill_days()
    recent = creators.keyapi.fetch_days("7D", client=client)
    videos = kr.fetch_videos(market.videos["video_id"], client=client)
    products = videos.keyapi.fetch_products(client=client)
    assert len(recent)
    assert len(products)
    kr.freeze(tmp_path / "study.zip", client=client)
    with kr.replay(tmp_path / "study.zip") as replayed:
        assert_frame_equal(creators.keyapi.windows(client=replayed), windows)
        assert_frame_equal(creators.keyapi.fetch_days("7D", client=replayed), recent)
        assert_frame_equal(videos.keyapi.fetch_products(client=replayed), products)
        again = creators.keyapi.fetch_days("2026-01-01", "2026-01-10", client=replayed)
        assert_frame_equal(again.keyapi.fill_days(), filled)
        assert_frame_equal(
            days.keyapi.history(client=replayed), days.sort_values(["user_id", "date"], ignore_index=True)
        )


# What newcomers do first ------------------------------------------------------------------------------------


def test_a_frame_of_ids_leads_on(market: Market, client: kr.Client) -> None:
    ids = market.creators[["user_id"]].head(2)
    assert ids.keyapi.fetch_creators(client=client)["user_id"].tolist() == ids["user_id"].tolist()
    goods = market.products[["product_id"]].head(2)
    assert goods.keyapi.fetch_products(client=client)["product_id"].tolist() == goods["product_id"].tolist()


def test_which_of_two_tables_is_no_matter_where_both_lead_to_the_same(market: Market, client: kr.Client) -> None:
    both = market.creator_rankings.merge(market.creators[["user_id", "language", "engagement_ratio"]], on="user_id")
    shared = both.columns.intersection(market.creators.columns).drop("user_id")
    both = both.merge(market.creators.drop(columns=list(shared)))
    days = both.head(2).keyapi.fetch_days("5D", client=client)
    assert set(days["user_id"]) <= set(both["user_id"].head(2))
    assert kr.plan(both.keyapi.fetch_creator_videos, client=client).table == "creator_videos"


def test_a_period_is_extended_from_its_days(market: Market, client: kr.Client) -> None:
    days = market.creators.head(1).keyapi.fetch_days("5D", client=client)
    assert days.keyapi.fetch_days("15D", client=client)["date"].min() < days["date"].min()


def test_a_plan_notes_days_that_are_probably_too_long_ago(market: Market, client: kr.Client) -> None:
    ids = market.creators["user_id"].head(1)
    note = "KeyAPI was seen to have about 210 days, here from 2025-07-08 on."
    assert kr.plan(kr.fetch_creator_days, ids, start="2025-07-07", client=client).note.startswith(note)
    assert kr.plan(kr.fetch_creator_days, ids, start="2025-07-08", client=client).note == ""
