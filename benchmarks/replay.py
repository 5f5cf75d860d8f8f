"""1. Replay: a notebook run again from the store, against the same by hand and against the least it can cost."""

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
from keyapi_research.endpoints import HASHTAG_DETAIL

from .common import DEFAULTS, Measure, best, clocked, fill, hashtag_answers, names

URL = f"https://api.keyapi.ai{HASHTAG_DETAIL.path}"
FETCHES = (kr.fetch_hashtags, kr.fetch_hashtag_trends, kr.fetch_hashtag_audience)
ANSWERS = "FROM keyapi_answers a JOIN responses r ON r.key = a.entity || '-' || a.observed_at"
ByHand = Callable[[dict[str, Any]], list[pd.DataFrame]]
LISTS = (("age", "audience_ages"), ("interest", "audience_interests"), ("country", "audience_countries"))


def ours(path: Path, wanted: list[str]) -> None:
    """Fetch the three tables from the store, in a new connection."""
    with kr.Client(store=path, offline=True) as client:
        for fetch in FETCHES:
            fetch(wanted, client=client)


# By hand -------------------------------------------------------------------------------------------------------


def fill_cache(path: Path, folder: Path) -> None:
    """Give a requests-cache of the usual kind the same answers."""
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


def floor(path: Path, count: int) -> None:
    """For each table: one read of the bodies, json.loads, column lists, DataFrame."""
    with sqlite3.connect(path) as db:
        for lists in (_summary_lists, _trend_lists, _audience_lists):
            rows = db.execute(
                f"SELECT r.value {ANSWERS} ORDER BY a.id LIMIT ?",
                (count,),
            )
            infos = [json.loads(value)["_decoded_content"]["data"]["info"] for (value,) in rows]
            pd.DataFrame(lists(infos))
    db.close()


def _summary_lists(infos: list[dict[str, Any]]) -> dict[str, list[Any]]:
    plain = ("hashtag_name", "hashtag_id", "video_url", "is_promoted", "publish_cnt", "video_views", "publish_cnt_all",
             "video_views_all")
    nested = (("country_info", "label"), ("country_info", "value"), ("industry_info", "id"), ("industry_info", "value"),
              ("longevity", "popular_days"), ("longevity", "current_popularity"))
    counted = ("trend", "audience_ages", "audience_interests", "audience_countries", "related_hashtags")
    columns: dict[str, list[Any]] = {name: [info.get(name) for info in infos] for name in plain}
    columns |= {f"{outer}.{leaf}": [(info.get(outer) or {}).get(leaf) for info in infos] for outer, leaf in nested}
    for name in counted:
        columns[f"n_{name}"] = [None if info.get(name) is None else len(info[name]) for info in infos]
    return columns


def _trend_lists(infos: list[dict[str, Any]]) -> dict[str, list[Any]]:
    points = [(info["hashtag_name"], point) for info in infos for point in info.get("trend") or ()]
    return {
        "hashtag_name": [name for name, _ in points],
        "time": [point["time"] for _, point in points],
        "value": [point["value"] for _, point in points],
    }


def _audience_lists(infos: list[dict[str, Any]]) -> dict[str, list[Any]]:
    columns: dict[str, list[Any]] = {name: [] for name in ("name", "dimension", "id", "label", "value", "score")}
    for info in infos:
        for dimension, path in LISTS:
            for row in info.get(path) or ():
                inner = row.get(f"{dimension}_info") or {"id": str(row.get("age_level"))}
                columns["name"].append(info["hashtag_name"])
                columns["dimension"].append(dimension)
                columns["id"].append(inner.get("id"))
                columns["label"].append(inner.get("label"))
                columns["value"].append(inner.get("value"))
                columns["score"].append(row["score"])
    return columns


# Measured ------------------------------------------------------------------------------------------------------


def measure(folder: Path, say: Callable[[str], None], *, quick: bool) -> list[Measure]:
    """Time the three ways on the same answers."""
    sizes = (200, 1_000) if quick else (1_000, 10_000)
    path = folder / "replay.sqlite"
    fill(path, hashtag_answers(max(sizes)))
    fill_cache(path, folder)
    found, took = [], {}
    warnings.simplefilter("ignore", kr.KeyAPIWarning)
    for count in sizes:
        wanted = names(count)
        say(f"replay of {count:,} answers")
        ours(path, wanted)  # warm, as the others are by then
        took[count] = best(partial(ours, path, wanted), 5)
        least = best(partial(floor, path, count), 5)
        hand = clocked(partial(by_hand, folder, wanted))
        at_once = clocked(partial(by_hand_at_once, folder, wanted))
        title = f"1 replay, {count:,} answers, 3 tables"
        found += [
            Measure(title, "ours, an answer", took[count] / count * 1e6, "us"),
            Measure(title, "by hand / ours", hand / took[count], "x", at_least=30),
            Measure(title, "by hand, one GET for all tables / ours", at_once / took[count], "x"),
            Measure(title, "ours / the least", took[count] / least, "x", at_most=1.5),
        ]
    small, large = sizes
    growth = (took[large] / large) / (took[small] / small)
    found.append(Measure("1 replay", f"an answer of {large:,} / one of {small:,}", growth, "x", at_most=1.5))
    return found
