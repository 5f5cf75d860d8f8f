"""Reading files and planning: a CSV against pandas, a plan against another version of this package."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pandas as pd

import keyapi_research as kr

from .common import MEMORY, Measure, fill, hashtag_answers, in_a_process, in_turns
from .fetching import FIRST_VIDEO, connect, serving

READ = MEMORY + """
    import gc, json, sys, time
    import pandas as pd
    import keyapi_research as kr

    path, who = sys.argv[1:]
    empty = kr.fetch_videos([], client=kr.Client(sandbox=True, store=":memory:"))
    times = [name for name, dtype in empty.dtypes.items() if str(dtype).startswith("datetime")]
    dtypes = {name: str(dtype) for name, dtype in empty.dtypes.items() if name not in times}

    def theirs():
        return pd.read_csv(path, dtype=dtypes, parse_dates=times, keep_default_na=False, na_values=[""])

    read = theirs if who == "theirs" else lambda: kr.read_csv(path)
    pd.read_csv(path, nrows=10)
    gc.collect()
    before, began = memory("VmRSS"), time.perf_counter()
    frame = read()
    took = time.perf_counter() - began
    print(json.dumps([took, (memory("VmHWM") - before) / int(frame.memory_usage(deep=True).sum()), len(frame)]))
"""
PLAN = """
    import json, sys, time
    import keyapi_research as kr
    store, count = sys.argv[1], int(sys.argv[2])
    wanted = [f"tag{number}" for number in range(count)]
    with kr.Client(store=store, offline=True) as client:
        kr.plan(kr.fetch_hashtags, wanted[:100], client=client)
        began = time.perf_counter()
        plan = kr.plan(kr.fetch_hashtags, wanted, client=client)
        took = time.perf_counter() - began
    assert plan.stored == count, plan
    print(json.dumps(took))
"""


def write_videos(path: Path, folder: Path, count: int) -> None:
    """Write a CSV of so many videos: a hundred of the sandbox, again and again under other ids."""
    warnings.simplefilter("ignore", kr.KeyAPIWarning)
    with serving() as url, connect(url, folder / "csv.sqlite") as client:
        some = kr.fetch_videos([str(FIRST_VIDEO + 1_000_003 * number) for number in range(100)], client=client)
    videos = pd.concat([some] * -(-count // len(some)), ignore_index=True).head(count)
    videos["video_id"] = pd.array([str(FIRST_VIDEO + number) for number in range(count)], dtype="string")
    videos.keyapi.to_csv(path)


def measure_csv(folder: Path, report: Callable[[str], None], *, quick: bool) -> list[Measure]:
    """Read a CSV of many videos, each time in a fresh process."""
    count = 10_000 if quick else 100_000
    report(f"read_csv of {count:,} videos")
    path = folder / "videos.csv"
    write_videos(path, folder, count)

    def measured(who: str, which: int) -> float:
        found = in_a_process(READ, str(path), who)
        assert found[2] == count, found
        return float(found[which])

    jobs = {who: partial(measured, who, 0) for who in ("theirs", "ours")}
    took = in_turns(jobs | {"memory": partial(measured, "ours", 1)}, 2 if quick else 5)
    title = f"7 read_csv, {count:,} videos"
    return [
        Measure(title, "ours", took["ours"], "s"),
        Measure(title, "ours / pandas.read_csv with the same dtypes", took["ours"] / took["theirs"], "x", at_most=3),
        Measure(title, "peak of memory / the frame", took["memory"], "x", at_most=3),
    ]


def measure_plan(folder: Path, report: Callable[[str], None], *, against: Path | None, quick: bool) -> list[Measure]:
    """Plan a call for many stored ids, each time in a fresh process."""
    count = 10_000 if quick else 100_000
    report(f"plan of {count:,} stored ids")
    path = folder / "plan.sqlite"
    fill(path, hashtag_answers(count))
    jobs = {"ours": lambda: float(in_a_process(PLAN, str(path), str(count)))}
    if against is not None:
        jobs["theirs"] = lambda: float(in_a_process(PLAN, str(path), str(count), package=against))
    took = in_turns(jobs, 2 if quick else 3)
    title = f"8 plan, {count:,} stored ids"
    found = [Measure(title, "an id", took["ours"] / count * 1e6, "us")]
    if against is not None:
        found.append(Measure(title, "ours / the other version", took["ours"] / took["theirs"], "x", at_most=0.5))
    return found
