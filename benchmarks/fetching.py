"""Fetching, against a bare thread pool with requests over the same server."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import count as counter
from pathlib import Path

import requests
from requests.adapters import HTTPAdapter

import keyapi_research as kr
from keyapi_research.catalogue.hashtags import HASHTAG_DETAIL
from keyapi_research.catalogue.videos import VIDEO_ANALYTICS

from .common import DEFAULTS, TOKEN, Measure, clocked, in_turns, names, serving

LATENCY = 0.2
_NUMBERS = counter()  # no name comes twice
FIRST_VIDEO = 7_100_000_000_000_000_001


def connect(url: str, store: Path, **options: float | None) -> kr.Client:
    """Connect without limits, so that only the sending is measured."""
    given = {"requests_per_second": None, "max_call_credits": None, **options}
    return kr.Client(token=TOKEN, base_url=url, store=store, progress=False, **given)  # type: ignore[arg-type]


def bare(url: str, params: Sequence[dict[str, str]], workers: int) -> None:
    """Send all this with the least code: a session, a thread pool, nothing kept."""
    with requests.Session() as session, ThreadPoolExecutor(workers) as pool:
        session.mount("http://", HTTPAdapter(pool_maxsize=workers))
        session.headers["Authorization"] = f"Bearer {TOKEN}"
        for answer in pool.map(lambda one: session.get(url, params=one, timeout=30).json(), params):
            assert answer["code"] == 0


def cold_bare(url: str, count: int, workers: int) -> float:
    """Seconds of a bare pool for so many hashtags."""
    params = [
        {"hashtag_name": name, **{key: str(value) for key, value in DEFAULTS.items()}}
        for name in names(count, f"bare-{workers}-{next(_NUMBERS)}-")
    ]
    return clocked(partial(bare, f"{url}{HASHTAG_DETAIL.path}", params, workers))


def cold_ours(url: str, folder: Path, count: int, workers: int) -> float:
    """Seconds of this package for so many hashtags, none of them stored."""
    number = next(_NUMBERS)
    with connect(url, folder / f"cold-{number}.sqlite", max_workers=workers) as client:
        return clocked(partial(kr.fetch_hashtags, names(count, f"cold-{workers}-{number}-"), client=client))


def measure_cold(folder: Path, report: Callable[[str], None], *, quick: bool) -> list[Measure]:
    """Fetch hashtags that are not stored, from a server that takes its time."""
    found = []
    cases = ((40, 4), (40, 8)) if quick else ((200, 1), (200, 4), (100, 8), (200, 8), (200, 16))
    with serving(latency=LATENCY) as url:
        for count, workers in cases:
            report(f"{count} hashtags, {workers} workers")
            jobs = {
                "alone": partial(cold_bare, url, count, workers),
                "ours": partial(cold_ours, url, folder, count, workers),
            }
            took = in_turns(jobs, 2 if quick else 3)
            title = f"2 cold fetch, {count} ids, {workers} workers"
            found.append(Measure(title, "ours / bare pool", took["ours"] / took["alone"], "x", 1.1))
    return found


def measure_pace(folder: Path, report: Callable[[str], None], *, quick: bool) -> list[Measure]:
    """Fetch at twenty a second: never more, and hardly less."""
    count = 45 if quick else 100
    report(f"{count} hashtags at 20 a second")
    with (
        serving(latency=LATENCY) as url,
        connect(url, folder / "pace.sqlite", max_workers=8, requests_per_second=20) as client,
    ):
        took = clocked(lambda: kr.fetch_hashtags(names(count, "pace"), client=client))
        sent = client.ledger()["sent_at"].astype("int64").to_numpy() / 1e6
    title = f"2 pacing, {count} ids at 20/s"
    return [
        Measure(title, "shortest span of 21 sends", float((sent[20:] - sent[:-20]).min()), "s", at_least=1.0),
        Measure(title, "ours / what it must take", took / ((count - 1) / 20 + LATENCY), "x", at_most=1.1),
    ]


def measure_videos(folder: Path, report: Callable[[str], None], *, quick: bool) -> list[Measure]:
    """Fetch videos of which every other one is stored."""
    count = 500 if quick else 5_000
    report(f"{count:,} videos, half of them stored")
    ids = [str(FIRST_VIDEO + 1_000_003 * number) for number in range(count)]
    warnings.simplefilter("ignore", kr.KeyAPIWarning)
    with serving(latency=0.02) as url, connect(url, folder / "videos.sqlite", max_workers=8) as client:
        kr.fetch_videos(ids[::2], client=client)
        before = client.credits_spent
        missing = [{"video_ids": ",".join(ids[1::2][at : at + 10])} for at in range(0, count // 2, 10)]
        alone = clocked(lambda: bare(f"{url}{VIDEO_ANALYTICS.path}", missing, 8))
        took = clocked(lambda: kr.fetch_videos(ids, client=client))
        spent = client.credits_spent - before
        again = clocked(lambda: kr.fetch_videos(ids, client=client))
    title = f"3 videos, {count:,} ids, half stored"
    return [
        Measure(title, "credits / least credits", spent / len(missing), "x", at_most=1.0),
        Measure(title, "ours / bare pool for the missing half", took / alone, "x"),
        Measure(title, "all of it again, an id", again / count * 1e6, "us"),
    ]
