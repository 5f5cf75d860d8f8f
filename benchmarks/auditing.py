"""Audits of worlds with planted faults and of clean ones: what is found, what is found wrongly, how long it takes."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd

import keyapi_research as kr
from keyapi_research.audits import audit
from keyapi_research.holdings import held_names, whole_frame
from keyapi_research.model import TABLES
from keyapi_research.sandbox import Sandbox, effects, identity, ledgers
from keyapi_research.sandbox.identity import Setting

from .common import Measure, clocked, fill, hashtag_answers, in_turns

FAULTY = ("41", "42", "43", "44", "45", "46", "47")  # not used while tuning, as 1, 3, 21 ...
CLEAN = ("51", "53", "55", "56")  # ... and the clean 2, 5, 31, 52, 54
MARKETS = ("US", effects.UNCOVERED_MARKET, "GB")
EACH = 60  # creators, or products, of a market
BATCH = 3  # ids of a request for details, so that there are many requests
DAYS = "200D"
Fault = tuple[str, str]  # the check that should find it, and where


def some(ids: list[str]) -> Iterator[list[str]]:
    """Yield a few ids at a time."""
    for first in range(0, len(ids), BATCH):
        yield ids[first : first + BATCH]


def fetch_world(client: kr.Client) -> tuple[list[str], list[str]]:
    """Fetch creators and products of some markets: details, days twice, lists by several sorts."""
    creators = [kr.fetch_creator_rankings(region=one, cycle="month", limit=EACH, client=client) for one in MARKETS]
    goods = [kr.fetch_product_rankings(region=one, limit=EACH, client=client) for one in (MARKETS[0], MARKETS[2])]
    user_ids = list(dict.fromkeys(pd.concat(creators)["user_id"]))
    product_ids = list(dict.fromkeys(pd.concat(goods)["product_id"]))
    for part in some(user_ids):
        kr.fetch_creators(part, client=client)
    for part in some(product_ids):
        kr.fetch_products(part, client=client)
    kr.fetch_creator_days(user_ids, start=DAYS, client=client)
    kr.fetch_product_days(product_ids, start=DAYS, client=client)
    for sort in ("posted", "views", "gmv"):
        kr.fetch_creator_videos(user_ids, sort=sort, limit=10, client=client)
    for sort in ("units", "gmv", "price"):
        kr.fetch_creator_products(user_ids, sort=sort, limit=10, client=client)
    for sort in ("gmv", "followers", "views"):
        kr.fetch_product_creators(product_ids, sort=sort, limit=10, client=client)
    kr.fetch_creator_days(user_ids, start=DAYS, max_age=0, client=client)
    kr.fetch_product_days(product_ids, start=DAYS, max_age=0, client=client)
    return user_ids, product_ids


def planted(setting: Setting, user_ids: list[str], product_ids: list[str]) -> list[Fault]:
    """Return the faults of what was fetched, as the sandbox has them on record."""
    found = [("uncovered_zero", effects.UNCOVERED_MARKET)]
    for user_id in user_ids:
        creator = identity.creator_by_id(setting.seed, user_id)
        assert creator is not None
        found.append((ledgers.of_creator(setting, creator).fault, user_id))
    for product_id in product_ids:
        product = identity.product_by_id(setting.seed, product_id)
        assert product is not None
        found.append((ledgers.of_product(setting, product).fault, product_id))
    for ids in (user_ids, product_ids):
        for part in some(ids):
            rows = [{"n": number} for number in range(len(part))]
            ledgers.same_value(setting, rows, "n", part)
            if len(part) > 1 and len({row["n"] for row in rows}) == 1:
                found.append(("same_value", part[0]))
    return [(check, where) for check, where in found if check]


def audit_world(path: Path, seed: str, *, clean: bool) -> tuple[pd.DataFrame, list[Fault], int]:
    """Fetch a world and audit it: findings, planted faults, number of creators and products."""
    with (
        warnings.catch_warnings(action="ignore", category=kr.KeyAPIWarning),
        Sandbox(seed=seed, clean=clean) as server,
        kr.Client(
            token="sandbox", base_url=server.url, store=path, requests_per_second=None, progress=False,
            max_call_credits=None,
        ) as client,
    ):  # fmt: skip
        user_ids, product_ids = fetch_world(client)
        setting = Setting(seed, clean, effects=True)
        faults = [] if clean else planted(setting, user_ids, product_ids)
        return audit(client=client), faults, len(user_ids) + len(product_ids)


def is_found(findings: pd.DataFrame, fault: Fault) -> bool:
    """Whether one of the findings is a fault."""
    check, where = fault
    those = findings[(findings["check"] == check) & findings["entity"].str.contains(where, regex=False)]
    return bool(len(those))


def read_all(path: Path) -> Callable[[], None]:
    """Return a job that reads all observations into their tables, in a new connection."""

    def job() -> None:
        with kr.Client(store=path, offline=True) as client:
            for name in held_names(client):
                if name in TABLES:
                    whole_frame(TABLES[name], client, observations="all")

    return job


def audit_all(path: Path) -> Callable[[], None]:
    """Return a job that audits a store in a new connection."""

    def job() -> None:
        with kr.Client(store=path, offline=True) as client:
            audit(client=client)

    return job


def measure(folder: Path, report: Callable[[str], None], *, quick: bool) -> list[Measure]:
    """Audit worlds, and stores of 10,000 answers."""
    found: Counter[str] = Counter()
    there: Counter[str] = Counter()
    for seed in FAULTY[: 1 if quick else None]:
        report(f"audit of the world {seed}")
        findings, faults, _ = audit_world(folder / f"faulty-{seed}.sqlite", seed, clean=False)
        there.update(check for check, _ in faults)
        found.update(check for check, where in faults if is_found(findings, (check, where)))
        report(f"missed: {[one for one in faults if not is_found(findings, one)]}")
    false, entities = 0, 0
    for seed in CLEAN[: 1 if quick else None]:
        report(f"audit of the clean world {seed}")
        findings, _, count = audit_world(folder / f"clean-{seed}.sqlite", seed, clean=True)
        bad = findings[findings["severity"] != "note"]
        report(f"found wrongly: {bad['evidence'].tolist()}")
        false += len(bad)
        entities += count
    title = "11 audit"
    measures = [
        Measure(title, "planted faults", there.total(), at_least=1 if quick else 200),
        Measure(title, "found", 100 * found.total() / there.total(), "%", at_least=95),
        *(Measure(title, f"{check}, found of {there[check]}", found[check]) for check in sorted(there)),
        Measure(title, "creators and products of clean worlds", entities),
        Measure(title, "false findings, in 1,000 of them", 1000 * false / entities, at_most=1),
    ]
    report("audit of 10,000 answers against reading them")
    hashtags = folder / "audited.sqlite"
    fill(hashtags, hashtag_answers(10_000))
    ways = {"10,000 hashtag answers": hashtags, "a world": folder / f"faulty-{FAULTY[0]}.sqlite"}
    for name, path in ways.items():
        jobs = {"read": read_all(path), "audit": audit_all(path)}
        took = in_turns({one: lambda job=job: clocked(job) for one, job in jobs.items()}, 1 if quick else 3)
        ratio = took["audit"] / took["read"]
        measures.append(Measure(title, f"{name}: audit / reading into the tables", ratio, "x", at_most=2))
    return measures
