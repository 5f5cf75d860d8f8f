"""Replay: a notebook run again from the store, against the same by hand and against the least it can cost."""

from __future__ import annotations

import json
import sqlite3
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import requests
from requests_cache import CachedSession

import keyapi_research as kr
from keyapi_research.catalogue.hashtags import HASHTAG_DETAIL

from .common import DEFAULTS, Measure, clocked, fill, hashtag_answers, in_turns, names

URL = f"https://api.keyapi.ai{HASHTAG_DETAIL.path}"
FETCHES = (kr.fetch_hashtags, kr.fetch_hashtag_trends, kr.fetch_hashtag_audience)
ANSWERS = "FROM keyapi_answers a JOIN responses r ON r.key = a.entity || '-' || a.observed_at"
Row = tuple[Any, ...]
RowsOf = Callable[[dict[str, Any]], list[Row]]
ByHand = Callable[[dict[str, Any]], list[pd.DataFrame]]
LISTS = (("age", "audience_ages"), ("interest", "audience_interests"), ("country", "audience_countries"))


def ours(path: Path, wanted: list[str]) -> None:
    """Fetch the three tables from the store, in a new connection."""
    with kr.Client(store=path, offline=True) as client:
        for fetch in FETCHES:
            fetch(wanted, client=client)


# By hand -------------------------------------------------------------------------------------------------------


def fill_cache(path: Path, folder: Path) -> None:
    """Fill a requests-cache of the usual kind with the same answers."""
    with sqlite3.connect(path) as db, CachedSession(folder / "by-hand.sqlite", expire_after=-1) as session:
        responses: Any = session.cache.responses
        rows = db.execute(f"SELECT a.params, r.value {ANSWERS}")
        with responses.bulk_commit():
            for params, value in rows:
                request = requests.Request("GET", URL, params=json.loads(params)).prepare()
                response = requests.Response()
                response.request, response.url, response.status_code = request, str(request.url), 200
                response.headers["Content-Type"] = "application/json"
                response._content = json.dumps(json.loads(value)["_decoded_content"]).encode()  # noqa: SLF001
                response.raw = requests.packages.urllib3.HTTPResponse(body=b"", status=200)  # type: ignore[attr-defined]
                session.cache.save_response(response, session.cache.create_key(request))
    db.close()


def summary_by_hand(info: dict[str, Any]) -> list[pd.DataFrame]:
    return [pd.json_normalize(info)]


def trend_by_hand(info: dict[str, Any]) -> list[pd.DataFrame]:
    return [pd.json_normalize(info, record_path="trend", meta="hashtag_name")]


def audience_by_hand(info: dict[str, Any]) -> list[pd.DataFrame]:
    return [
        pd.json_normalize(info[path]).assign(hashtag_name=info["hashtag_name"], dimension=dimension)
        for dimension, path in LISTS
        if info.get(path)
    ]


TABLES = (summary_by_hand, trend_by_hand, audience_by_hand)


def by_hand(folder: Path, wanted: list[str]) -> None:
    """Do what a notebook does, table by table: a cached GET for each name, json_normalize, concat."""
    for table in TABLES:
        by_hand_at_once(folder, wanted, (table,))


def by_hand_at_once(folder: Path, wanted: list[str], tables: Sequence[ByHand] = TABLES) -> None:
    """Do the same with one GET for all tables, where the notebook was written with all of them in mind."""
    frames: list[list[pd.DataFrame]] = [[] for _ in tables]
    with CachedSession(folder / "by-hand.sqlite", expire_after=-1) as session:
        for name in wanted:
            info = session.get(URL, params={"hashtag_name": name, **DEFAULTS}).json()["data"]["info"]
            for table, made in zip(tables, frames, strict=True):
                made.extend(table(info))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # pandas 2.2 on columns that are all missing
        for made in frames:
            pd.concat(made, ignore_index=True)


# The least -----------------------------------------------------------------------------------------------------


def floor(path: Path, count: int, tables: Sequence[RowsOf]) -> None:
    """For each table: one SELECT of the bodies, json.loads, tuples of the six columns a user looks at, DataFrame."""
    with sqlite3.connect(path) as db:
        for rows_of in tables:
            rows: list[Row] = []
            for (value,) in db.execute("SELECT value FROM responses LIMIT ?", (count,)):
                rows += rows_of(json.loads(value)["_decoded_content"]["data"]["info"])
            pd.DataFrame(rows)
    db.close()


def summary_rows(info: dict[str, Any]) -> list[Row]:
    names = ("hashtag_name", "hashtag_id", "publish_cnt", "video_views", "publish_cnt_all", "video_views_all")
    return [tuple(info[name] for name in names)]


def _trend_rows(info: dict[str, Any]) -> list[Row]:
    name, one, market = info["hashtag_name"], info["hashtag_id"], info["country_info"]["label"]
    return [(market, DEFAULTS["period"], name, one, point["time"], point["value"]) for point in info["trend"] or ()]


def _audience_rows(info: dict[str, Any]) -> list[Row]:
    found: list[Row] = []
    for dimension, path in LISTS:
        for row in info.get(path) or ():
            of = row.get(f"{dimension}_info") or {"id": row.get("age_level")}
            found.append((info["hashtag_name"], dimension, of["id"], of.get("label"), of.get("value"), row["score"]))
    return found


ROWS = (summary_rows, _trend_rows, _audience_rows)

# Measured ------------------------------------------------------------------------------------------------------


def measure(folder: Path, report: Callable[[str], None], *, quick: bool) -> list[Measure]:
    """Time the three ways on the same answers."""
    sizes = (300, 1_500) if quick else (1_500, 10_000)
    path = folder / "replay.sqlite"
    fill(path, hashtag_answers(max(sizes)))
    fill_cache(path, folder)
    found, took = [], {}
    warnings.simplefilter("ignore", kr.KeyAPIWarning)
    for count in sizes:
        wanted = names(count)
        report(f"replay of {count:,} answers")
        ours(path, wanted)  # warm, as the others are by then
        jobs = {"ours": partial(ours, path, wanted), "least": partial(floor, path, count, ROWS)}
        best = in_turns({name: partial(clocked, job) for name, job in jobs.items()}, 7)
        took[count] = best["ours"]
        hand = clocked(partial(by_hand, folder, wanted))
        at_once = clocked(partial(by_hand_at_once, folder, wanted))
        title = f"1 replay, {count:,} answers, 3 tables"
        found += [
            Measure(title, "ours, an answer", took[count] / count * 1e6, "us"),
            Measure(title, "by hand / ours", hand / took[count], "x", at_least=30),
            Measure(title, "by hand, one GET for all tables / ours", at_once / took[count], "x"),
            Measure(title, "ours, checksums included / the least", best["ours"] / best["least"], "x", at_most=1.8),
        ]
    small, large = sizes
    growth = (took[large] / large) / (took[small] / small)
    found.append(Measure("1 replay", f"an answer of {large:,} / one of {small:,}", growth, "x", at_most=1.5))
    return found
