"""Import, memory, disk: what it takes besides time to fetch."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import keyapi_research as kr

from .common import MEGABYTE, MEMORY, Measure, best, fill, hashtag_answers, in_a_process, in_turns

OWN_MEMORY = 150 * MEGABYTE

IMPORT = """
    import json, sys, time
    began = time.perf_counter()
    import {modules}
    took = time.perf_counter() - began
    unwanted = [name for name in ("matplotlib", "IPython", "tqdm.notebook") if name in sys.modules]
    print(json.dumps([took, unwanted]))
"""
FIRST_TAB = """
    import json, time
    import keyapi_research as kr
    kr.connect(sandbox=True, store=":memory:")
    tags = kr.fetch_hashtags("ufc324")
    began = time.perf_counter()
    dir(tags.keyapi), dir(tags.keyapi.plot)
    print(json.dumps(time.perf_counter() - began))
"""
FETCH_ALL = MEMORY + """
    import json, sys, warnings
    import keyapi_research as kr
    warnings.simplefilter("ignore")
    store, count = sys.argv[1], int(sys.argv[2])
    wanted = [f"tag{number}" for number in range(count)]
    with kr.Client(store=store, offline=True) as client:
        tables = [fetch(wanted, client=client)
                  for fetch in (kr.fetch_hashtags, kr.fetch_hashtag_trends, kr.fetch_hashtag_audience)]
    frames = sum(int(table.memory_usage(deep=True).sum()) for table in tables)
    print(json.dumps([memory("VmHWM"), frames]))
"""


def measure_import(report: Callable[[str], None], *, quick: bool) -> list[Measure]:
    """Import in fresh interpreters, and list what `df.keyapi` has, as Tab does."""
    report("import")

    def imported(modules: str) -> float:
        took, unwanted = in_a_process(IMPORT.format(modules=modules))
        assert modules != "keyapi_research" or not unwanted, unwanted
        return float(took)

    in_a_process(IMPORT.format(modules="keyapi_research"))  # compiles what was not yet
    found = in_turns(
        {
            "theirs": partial(imported, "pandas, requests_cache"),
            "ours": partial(imported, "keyapi_research"),
            "tab": lambda: float(in_a_process(FIRST_TAB)),
        },
        4 if quick else 15,
    )
    return [
        Measure("4 import", "keyapi_research", found["ours"], "s"),
        Measure("4 import", "ours / pandas + requests_cache", found["ours"] / found["theirs"], "x", at_most=1.1),
        Measure("4 first Tab", "of ours", found["tab"], "s"),
        Measure("4 first Tab", "of ours / import as above", found["tab"] / found["theirs"], "x", at_most=0.3),
    ]


def measure_memory(folder: Path, report: Callable[[str], None], *, quick: bool) -> list[Measure]:
    """Make three tables of many answers; the whole process counts, interpreter and pandas too."""
    count = 2_000 if quick else 20_000
    report(f"memory for {count:,} answers")
    fill(folder / "memory.sqlite", hashtag_answers(count))
    peak, frames = in_a_process(FETCH_ALL, str(folder / "memory.sqlite"), str(count))
    title = f"5 memory, {count:,} answers, 3 tables"
    return [
        Measure(title, "frames", frames / MEGABYTE, "MB"),
        Measure(title, "peak of the process", peak / MEGABYTE, "MB"),
        Measure(title, "peak / (3 x frames + 150 MB)", peak / (3 * frames + OWN_MEMORY), "x", at_most=1.0),
    ]


def measure_growth(folder: Path, report: Callable[[str], None], *, quick: bool) -> list[Measure]:
    """Open and read a store that has grown for years."""
    count = 5_000 if quick else 100_000
    report(f"a store of {count:,} answers")
    path = folder / "growth.sqlite"
    answers = list(hashtag_answers(count))
    fill(path, iter(answers))
    compact = sum(len(json.dumps(envelope, separators=(",", ":"))) for _, envelope in answers[:1_000]) / 1_000
    size = path.stat().st_size / count

    def open_it() -> None:
        kr.Client(store=path, offline=True).close()

    with kr.Client(store=path, offline=True) as client:
        status = best(client.status, 3)
        one = best(lambda: kr.fetch_hashtags("tag1", client=client), 5)
    title = f"6 store, {count:,} answers"
    return [
        Measure(title, "an answer on disk", size, "bytes"),
        Measure(title, "on disk / its compact JSON", size / compact, "x"),
        Measure(title, "to open", best(open_it, 3), "s"),
        Measure(title, "status()", status, "s"),
        Measure(title, "to read one answer", one * 1000, "ms"),
    ]
