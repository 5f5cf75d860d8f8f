"""What was paid for stays readable: a store of every released format gives what was put into it, written by hand."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pandas as pd
import pytest

import keyapi_research as kr
from keyapi_research import archive_format as archive
from keyapi_research import store

DATA = Path(__file__).parent / "data"
STORES = {version: DATA / "formats" / f"store-v{version}.db" for version in range(1, store.FORMAT + 1)}
ARCHIVES = {version: DATA / "archives" / f"format-{version}.zip" for version in range(1, archive.FORMAT_VERSION + 1)}
TUESDAY = pd.Timestamp("2026-02-03 12:00", tz="UTC")
THURSDAY = pd.Timestamp("2026-02-05 12:00", tz="UTC")
LARGEST = 200_000


@pytest.fixture(params=STORES)
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A copy of the sample of one version."""
    return Path(shutil.copyfile(STORES[request.param], tmp_path / "store.sqlite"))


@pytest.fixture
def old(path: Path) -> Iterator[kr.Client]:
    with kr.Client(store=path, offline=True) as client:
        yield client


def test_every_format_has_its_sample() -> None:
    for file in (*STORES.values(), *ARCHIVES.values()):
        assert file.stat().st_size < LARGEST


def test_entities(old: kr.Client) -> None:
    tags = kr.fetch_hashtags("ufc324", client=old)
    assert tags[["posts", "views", "industry"]].to_numpy().tolist() == [[250, 506402059, "Sports & Outdoor"]]
    assert tags["observed_at"].tolist() == [THURSDAY]
    assert tags["source"].tolist() == ["sandbox"]
    trend = kr.fetch_hashtag_trends("ufc324", client=old)
    assert trend["share_of_peak"].tolist() == [1, 0.7, 0.48, 0.31, 0.26, 0.25, 0.3]
    assert trend["date"].iloc[0] == pd.Timestamp("2026-01-27", tz="UTC")
    music = kr.fetch_music("6703723351497508865", client=old)
    assert music["title"].tolist() == ["New Sun"]
    detail = kr.fetch_product_details("601583", time_scope="2025-12", client=old)
    assert detail[["category", "n_posts", "time_scope"]].to_numpy().tolist() == [["Perfume", 50, "2025-12"]]
    assert len(kr.fetch_product_posts("601583", time_scope="2025-12", client=old)) == 50


def test_a_batch(old: kr.Client) -> None:
    with pytest.warns(kr.MissingDataWarning, match="13"):
        videos = kr.fetch_videos(["13", "12", "7117191641181555995"], client=old)
    assert videos["video_id"].tolist() == ["12", "7117191641181555995"]
    assert videos["description"].tolist() == ["NA\n\u0e44\U0001f600", "=1+1"]
    assert videos["views"].isna().tolist() == [True, False]
    assert videos["views"].iloc[1] == 211100
    assert videos["observed_at"].tolist() == [TUESDAY, TUESDAY]


def test_a_ranking(old: kr.Client) -> None:
    rows = kr.fetch_product_insights(region="US", limit=None, client=old)
    assert rows["category_id"].tolist() == [str(number) for number in range(1, 16)]
    assert rows["position"].tolist() == rows["posts"].tolist() == list(range(1, 16))
    assert len(kr.fetch_product_insights(region="US", limit=12, client=old)) == 12


def test_confirmed_missing_ids_have_no_rows_and_failed_or_never_requested_ones_are_not_stored(old: kr.Client) -> None:
    with pytest.warns(kr.MissingDataWarning, match="nobody"):
        assert kr.fetch_hashtags("nobody", client=old).empty
    for name in ("refused", "unanswered", "never"):
        with pytest.raises(kr.NotStoredError, match=name):
            kr.fetch_hashtags(name, client=old)


def test_history(old: kr.Client, path: Path) -> None:
    past = kr.fetch_hashtags("ufc324", client=old).keyapi.history(client=old)
    assert past["posts"].tolist() == [100, 250]
    assert past["observed_at"].tolist() == [TUESDAY, THURSDAY]
    with kr.Client(store=path, as_of="2026-02-03") as then:
        before = kr.fetch_hashtags("ufc324", client=then)
        assert before["posts"].tolist() == [100]
        assert before.keyapi.provenance(client=then)["request_id"].tolist() == ["request-ufc324-100"]


def test_the_ledger(old: kr.Client) -> None:
    ledger = old.ledger()
    assert ledger["credits"].fillna(-1).tolist() == [2, 2, 0, -1, 1, 2, 2, 2, 2, 2]
    assert ledger["http_status"].fillna(-1).tolist() == [200, 200, 400, -1, 200, 200, 200, 200, 200, 200]
    assert ledger["n_entities"].tolist() == [1, 1, 1, 1, 3, 1, 1, 1, 1, 1]
    assert ledger["params"].iloc[4] == '{"video_ids":"7117191641181555995,12,13"}'
    assert ledger["sent_at"].dt.floor("s").unique().tolist() == [TUESDAY]
    assert ledger["message"].iloc[2] == "Invalid request parameter"
    status = old.status()
    assert (status.answers, status.absences, status.requests, status.credits_in_ledger) == (8, 2, 10, 15)


def test_it_goes_on_being_used(path: Path) -> None:
    with kr.Client(sandbox=True, store=path, max_age="any", progress=False) as client:
        assert kr.fetch_hashtags("ufc324", client=client)["posts"].tolist() == [250]
        assert client.credits_spent == 0
        assert len(kr.fetch_hashtags("perfume", client=client)) == 1
        assert client.credits_spent == 2
        assert client.ledger()["credits"].iloc[-1] == 2
    with pytest.raises(kr.StoreError, match="belongs to 'sandbox'"):
        kr.Client(token="token", store=path)


@pytest.mark.parametrize("version", ARCHIVES)
def test_archives(version: int) -> None:
    with kr.replay(ARCHIVES[version]) as reader:
        tags = kr.fetch_hashtags("ufc324", client=reader)
        assert tags[["hashtag_name", "posts"]].to_numpy().tolist() == [["ufc324", 12142]]
        assert reader.source == "sandbox"


def test_an_archive_knows_how_many_rows_a_pull_was_for() -> None:
    with kr.replay(ARCHIVES[2]) as reader:
        latest = kr.stored("product_insights", client=reader)
        assert latest["observed_at"].unique().tolist() == [THURSDAY]  # of the pull that got all five it wanted
        assert latest["category_id"].tolist() == ["1", "2", "3", "4", "5"]
        assert len(kr.stored("product_insights", observations="all", client=reader)) == 20


@pytest.mark.parametrize("version", [0, store.FORMAT + 1])
def test_another_format_is_refused_and_left_alone(version: int, path: Path) -> None:
    with closing(sqlite3.connect(path)) as database:
        database.execute(f"PRAGMA user_version = {version}")
    before = path.read_bytes()
    for options in ({"offline": True}, {"sandbox": True}):
        with pytest.raises(kr.StoreError, match=f"format {version}.*Update the package"):
            kr.Client(store=path, **options)
    assert path.read_bytes() == before
