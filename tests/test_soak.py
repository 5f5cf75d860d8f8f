"""Long runs against a server that fails now and then: every row comes, every credit is counted, nothing piles up."""

from __future__ import annotations

import ctypes
import gc
import os
import random
import sys
import threading
import warnings
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pandas as pd
import pytest

import keyapi_research as kr
from keyapi_research.sandbox import Fault, Sandbox

FAULTS = {
    "failure": Fault(status=500),
    "unavailable": Fault(status=503),
    "failure in a success": Fault(code=50004, inside_200=True),
    "no answer": Fault(close="before"),
    "half an answer": Fault(close="mid_body"),  # which the server has charged
    "a login page": Fault(body=b"<html>Sign in</html>"),
    "half a document": Fault(body=b'{"code": 0, "data": {"info"'),
}
WITHOUT_AN_ANSWER = {"no answer", "half an answer", "a login page", "half a document"}
SHARE = 0.02
CHUNK = 200  # requests a call
FIRST_VIDEO = 7_300_000_000_000_000_000


class Trouble:
    """Chooses which requests fail, and how; counts them."""

    def __init__(self) -> None:
        self._random = random.Random(2026)
        self._lock = threading.Lock()
        self.seen: Counter[tuple[str, str]] = Counter()

    def __call__(self, path: str, params: dict[str, str]) -> Fault | None:
        with self._lock:
            kind = self._random.choice(list(FAULTS)) if self._random.random() < SHARE else "none"
            self.seen[path.rpartition("/v1/tiktok/")[2], kind] += 1
        return FAULTS.get(kind)

    def count(self, *kinds: str) -> int:
        return sum(number for (_, kind), number in self.seen.items() if kind in kinds)


def resident() -> float:
    """Megabytes of memory this process holds, without what was freed and not given back."""
    gc.collect()
    getattr(ctypes.CDLL(None), "malloc_trim", lambda _: None)(0)
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


def forget() -> None:
    """Empty what the sandbox keeps so as not to work it out again: it is bounded, and it is the server's."""
    for name, module in [*sys.modules.items()]:
        if name.startswith("keyapi_research.sandbox"):
            for kept in vars(module).values():
                getattr(kept, "cache_clear", lambda: None)()


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def everything(fetch: Callable[..., pd.DataFrame], ids: list[str], client: kr.Client) -> pd.DataFrame:
    """Fetch until all is there; a rerun requests only what is missing."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", kr.MissingDataWarning)
        for _ in range(10):
            try:
                return fetch(ids, client=client)
            except (kr.FetchIncompleteError, kr.NetworkError, kr.UnexpectedResponseError, kr.ServerError):
                continue
    raise AssertionError("ten runs were not enough")


def long_run(requests: int, store: Path) -> None:
    """Send so many requests and check what they left; in a process of its own, whose memory is theirs alone."""
    warnings.simplefilter("error")
    with pytest.MonkeyPatch.context() as patch, Sandbox() as sandbox:
        patch.setattr("keyapi_research.client.dispatch.jittered", lambda attempt: 0.01 * attempt)
        check(requests, store, sandbox)


def check(requests: int, store: Path, sandbox: Sandbox) -> None:
    threads, files = threading.active_count(), open_files()
    sandbox.on_request = trouble = Trouble()
    client = kr.Client(
        token="a-token-of-the-tests", base_url=sandbox.url, store=store, requests_per_second=None, progress=False,
        max_call_credits=None,
    )  # fmt: skip
    rows = charged = served = 0
    memory = []
    for start in range(0, requests, CHUNK):
        names = [f"name{number}" for number in range(start, start + CHUNK // 2)]
        videos = [str(FIRST_VIDEO + number) for number in range(start * 5, (start + CHUNK) * 5)]
        frame = everything(kr.fetch_hashtags, names, client)
        assert frame["hashtag_name"].tolist() == names
        rows += len(frame)
        frame = everything(kr.fetch_videos, videos, client)
        assert frame["video_id"].is_monotonic_increasing
        rows += len(frame)
        del frame
        charged, served = charged + sandbox.charged, served + len(sandbox.requests)
        sandbox.reset()  # what the server remembers is not what is measured
        forget()
        memory.append(resident())

    status, ledger = client.status(), client.ledger()
    assert rows == status.answers
    assert status.answers + status.absences == requests // 2 + requests // 2 * 10
    assert len(ledger) == served == trouble.seen.total() >= requests
    troubled = trouble.count(*FAULTS)
    assert 0.5 * SHARE < troubled / served < 2 * SHARE
    assert ledger["credits"].isna().sum() == trouble.count(*WITHOUT_AN_ANSWER)
    assert (ledger["credits"] == 0).sum() == troubled - trouble.count(*WITHOUT_AN_ANSWER)
    prices = {"trending/hashtag/detail": 2, "video/detail/analytics": 1}
    cut = sum(prices[path] * number for (path, kind), number in trouble.seen.items() if kind == "half an answer")
    unknown = sum(prices[path] * number for (path, kind), number in trouble.seen.items() if kind in WITHOUT_AN_ANSWER)
    assert ledger["credits"].sum() == status.credits_in_ledger == charged - cut == requests // 2 * 3
    assert client.credits_spent == charged - cut + unknown
    # The answers alone are 3 KB each; of every id requested, some 400 bytes stay for `freeze`.
    ids_since = requests * 5.5 * 3 / 4
    assert memory[-1] - memory[len(memory) // 4] < 25 + ids_since * 0.0005, memory

    again = kr.fetch_hashtags([f"name{number}" for number in range(100)], client=client)
    assert len(again) == 100
    assert len(sandbox.requests) == 0
    client.close()
    sandbox.close()
    assert threading.active_count() <= threads
    assert open_files() <= files


@pytest.mark.skipif(os.name != "posix" or not Path("/proc/self/fd").exists(), reason="memory is read from /proc")
@pytest.mark.parametrize(
    "requests", [pytest.param(600, marks=pytest.mark.slow), pytest.param(20_000, marks=pytest.mark.long)]
)
def test_a_long_run(requests: int, tmp_path: Path) -> None:
    with ProcessPoolExecutor(1, get_context("spawn")) as alone:
        alone.submit(long_run, requests, tmp_path / "store.sqlite").result()
