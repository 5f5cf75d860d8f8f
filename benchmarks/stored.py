"""All that is stored, as a table: time against the least there is to do, memory beyond the frame."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import get_args

import keyapi_research as kr
from keyapi_research.holdings import Which

from .common import MEGABYTE, MEMORY, Measure, clocked, fill, hashtag_answers, in_a_process, in_turns
from .replay import floor, summary_rows

STORED = MEMORY + """
    import json, sys
    import keyapi_research as kr
    store, observations = sys.argv[1:]
    before = memory("VmRSS")  # before the store is opened: what that takes counts
    with kr.Client(store=store, offline=True) as client:
        frame = kr.stored("hashtags", observations=observations, client=client)
    peak = memory("VmHWM")
    print(json.dumps([peak - before, int(frame.memory_usage(deep=True).sum()), len(frame)]))
"""


def ours(path: Path, observations: Which) -> None:
    """Read all of the store, in a new connection."""
    with kr.Client(store=path, offline=True) as client:
        kr.stored("hashtags", observations=observations, client=client)


def memory_of(path: Path, observations: Which, count: int) -> tuple[float, float]:
    """Bytes of the frame, and what a fresh process needs at its peak beyond it and beyond interpreter and imports."""
    taken, frame, rows = in_a_process(STORED, str(path), observations)
    assert rows == count, rows
    return float(frame), float(taken - frame)


def measure(folder: Path, report: Callable[[str], None], *, quick: bool) -> list[Measure]:
    """Read all of a store; its memory is held against that of a store with a fifth of the answers."""
    few, many = (2_000, 10_000) if quick else (20_000, 100_000)
    report(f"all of {few:,} and {many:,} stored answers")
    paths = {count: folder / f"stored-{count}.sqlite" for count in (few, many)}
    for count, path in paths.items():
        fill(path, hashtag_answers(count))
    kinds: tuple[Which, ...] = get_args(Which)
    jobs: dict[str, Callable[[], None]] = {kind: partial(ours, paths[many], kind) for kind in kinds}
    jobs["least"] = partial(floor, paths[many], many, (summary_rows,))
    ours(paths[few], "latest")  # what is imported late is there by then
    took = in_turns({name: partial(clocked, job) for name, job in jobs.items()}, 5)
    title, found = f"9 stored, {many:,} answers", []
    for kind in kinds:
        least = took[kind] / took["least"]
        _, small = memory_of(paths[few], kind, few)
        frame, large = memory_of(paths[many], kind, many)
        more = (large - small) / (many - few)
        found += [
            Measure(title, f"{kind}, an answer", took[kind] / many * 1e6, "us"),
            Measure(title, f"{kind}, checksums included / the least", least, "x", at_most=3),
            Measure(title, f"{kind}, frame, an answer", frame / many, "bytes"),
            Measure(title, f"{kind}, peak beyond the frame", large / MEGABYTE, "MB", at_most=100),
            Measure(title, f"{kind}, an answer more beyond / in the frame", more / (frame / many), "x", at_most=1),
        ]
    return found
