"""A team's store on a PostgreSQL server against a store in a file: reading it again, storing an answer."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import count as counter
from pathlib import Path
from typing import Any

import keyapi_research as kr
from keyapi_research.catalogue.hashtags import HASHTAG_DETAIL
from keyapi_research.catalogue.videos import VIDEO_ANALYTICS
from keyapi_research.model import Endpoint
from keyapi_research.queries import Query, make_queries
from keyapi_research.settings import is_address
from keyapi_research.store import Arrival, Outcome, Store, now_us

from .common import DEFAULTS, Measure, clocked, fetch_by_hand, fill, in_turns, serving, show
from .fetching import FIRST_VIDEO, connect

TESTS = Path(__file__).parent.parent / "tests"
KINDS = ("file", "server")
Place = Path | str
_DIFFERENT = 300  # answers that differ
_NUMBERS = counter()  # no name comes twice


@contextlib.contextmanager
def an_address(given: str | None) -> Iterator[str]:
    """Give the address of an empty database: the one that was named, or one of a server that is started for it."""
    if given is not None:
        yield given
        return
    sys.path.append(str(TESTS))
    server = importlib.import_module("stores").Server(fsync=True)  # what is stored survives a power cut, as in a file
    try:
        yield server.make()
    finally:
        server.remove()


def count_rows(place: Place) -> None:
    """Do now what a server does by itself within a minute: note for its planner how large the tables are."""
    if is_address(place):
        import psycopg  # noqa: PLC0415 - an extra

        with psycopg.connect(str(place), autocommit=True) as connection:
            connection.execute("ANALYZE")


# Reading again -------------------------------------------------------------------------------------------------


def video_answers(folder: Path, ids: Sequence[str]) -> list[tuple[Query, dict[str, Any]]]:
    """Make stored answers: a few hundred from the sandbox, then the same under other ids."""
    queries = make_queries(VIDEO_ANALYTICS, ids, {})
    different = queries[:_DIFFERENT]
    with serving() as url, connect(url, folder / "samples.sqlite") as client:
        kr.fetch_videos(ids[:_DIFFERENT], client=client)
        there = client.store.latest(query.key for query in different)
        samples = list(client.store.envelopes([there[query.key].id for query in different]))
    made = []
    for number, query in enumerate(queries):
        sample = samples[number % len(samples)]
        made.append((query, {**sample, "data": [{**sample["data"][0], "video_id": query.id}]}))
    return made


def replay(place: Place, ids: Sequence[str]) -> None:
    """Fetch videos that are stored, in a new connection."""
    with kr.Client(store=place, offline=True) as client:
        kr.fetch_videos(ids, client=client)


def measure_replay(
    folder: Path, places: Mapping[str, Place], report: Callable[[str], None], *, quick: bool
) -> list[Measure]:
    """Fetch from both stores what they have."""
    count = 2_000 if quick else 10_000
    ids = [str(FIRST_VIDEO + 1_000_003 * number) for number in range(count)]
    report(f"replay of {count:,} answers")
    answers = video_answers(folder, ids)
    for place in places.values():
        fill(place, answers)
        count_rows(place)
        replay(place, ids)  # warm
    took = in_turns({kind: partial(clocked, partial(replay, place, ids)) for kind, place in places.items()}, 7)
    title = f"12 team, {count:,} stored videos"
    return [
        Measure(title, "replay from the file, an answer", took["file"] / count * 1e6, "us"),
        Measure(title, "replay: server / file", took["server"] / took["file"], "x", at_most=1.5),
    ]


# Storing -------------------------------------------------------------------------------------------------------


def store_once(store: Store, endpoint: Endpoint, queries: Sequence[Query], envelope: Mapping[str, Any]) -> None:
    """Do for one request what a client does: claim and note it, then keep its answers."""
    begun = store.begin(
        iter([(query.key,) for query in queries]),
        most=len(queries),
        page=0,
        since=store.last_ids(),
        mine=0,
        lasts=35,
        describe=lambda _: queries[0].params,
        spacing=0,
        endpoint=endpoint.path,
        price=endpoint.credits,
        attempt=1,
    )
    store.keep(
        begun.request,
        Outcome(200, 0, "success", "id", endpoint.credits, 0.1),
        [Arrival(query.key, query.params, envelope) for query in queries],
        url=f"https://api.keyapi.ai{endpoint.path}",
        endpoint=endpoint.path,
        price=endpoint.credits,
        observed_at=now_us(),
        source="sandbox",
    )


def store_many(place: Place, endpoint: Endpoint, each: int, envelope: Mapping[str, Any], requests: int) -> float:
    """Seconds to store the answers of so many requests of so many entities each."""
    first = 8 * 10**18 + next(_NUMBERS) * 10**6  # digits are a name, too
    ids = [str(first + number) for number in range(requests * each)]
    queries = make_queries(endpoint, ids, DEFAULTS if endpoint is HASHTAG_DETAIL else {})
    with contextlib.closing(Store(str(place), source=None, read_only=False)) as store:

        def work() -> None:
            for at in range(0, len(queries), each):
                store_once(store, endpoint, queries[at : at + each], envelope)

        return clocked(work)


def measure_storing(
    places: Mapping[str, Place], report: Callable[[str], None], *, quick: bool
) -> list[Measure]:
    """Store answers one by one, and ten at a time."""
    requests = 100 if quick else 200
    with serving() as url:
        hashtag = fetch_by_hand(url, "perfume")
    found = []
    for endpoint, each, what in ((HASHTAG_DETAIL, 1, "one answer"), (VIDEO_ANALYTICS, 10, "ten answers")):
        report(f"storing {requests} times {what}")
        jobs = {
            kind: partial(store_many, place, endpoint, each, hashtag, requests) for kind, place in places.items()
        }
        took = in_turns(jobs, 3 if quick else 4)
        title = f"12 team, requests of {what}"
        found += [
            Measure(title, "storing in the file, a request", took["file"] / requests * 1e3, "ms"),
            Measure(title, "storing: server / file", took["server"] / took["file"], "x", at_most=2),
        ]
    return found


def measure(folder: Path, report: Callable[[str], None], *, quick: bool, address: str | None = None) -> list[Measure]:
    """Measure both kinds of stores in turns; nothing where no server can be started."""
    warnings.simplefilter("ignore", kr.KeyAPIWarning)
    with contextlib.ExitStack() as stack:
        try:
            server = stack.enter_context(an_address(address))
        except (ImportError, LookupError, OSError, subprocess.CalledProcessError) as error:
            report(f"no PostgreSQL server can be started here: {error}")
            return []
        places: dict[str, Place] = dict(zip(KINDS, (folder / "team.sqlite", server), strict=True))
        return [*measure_replay(folder, places, report, quick=quick), *measure_storing(places, report, quick=quick)]


def main() -> None:
    """Measure on a server that is named, or on one that is started for it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.team", description=__doc__)
    parser.add_argument("address", nargs="?", help="an empty database, postgresql://...; default: a server of its own")
    parser.add_argument("--quick", action="store_true", help="fewer answers")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="keyapi-benchmarks-") as name:
        print(show(measure(Path(name), print, quick=options.quick, address=options.address)))


if __name__ == "__main__":
    main()
