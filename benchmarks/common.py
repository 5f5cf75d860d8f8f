"""What the benchmarks share: measures and how they are shown, a server in its own process, filled stores."""

from __future__ import annotations

import contextlib
import gc
import json
import os
import platform
import re
import subprocess
import sys
import textwrap
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import keyapi_research
from keyapi_research.catalogue.hashtags import HASHTAG_DETAIL
from keyapi_research.queries import Query, make_queries
from keyapi_research.store import Observation, Store, now_us

TOKEN = "a-token-of-the-benchmarks"
DEFAULTS = {"region": "all_regions", "period": 7}
_DIFFERENT = 300  # answers that differ; more of them are copies under other names
MEGABYTE = 2**20
MEMORY = """
    import re, resource

    def memory(kind):  # VmHWM: the peak; VmRSS: now
        try:  # the figure of getrusage includes the process this one was forked from
            return int(re.search(kind + r":\\s*([0-9]+) kB", open("/proc/self/status").read())[1]) * 1024
        except OSError:
            return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
"""


@dataclass(frozen=True)
class Measure:
    """One line of the result: a quantity, and where there is one, the bound it is held against."""

    benchmark: str
    quantity: str
    value: float
    unit: str = ""
    at_most: float | None = None
    at_least: float | None = None

    @property
    def met(self) -> bool | None:
        """Whether the goal is met; None where there is none."""
        if self.at_most is None and self.at_least is None:
            return None
        return (self.at_most is None or self.value <= self.at_most) and (
            self.at_least is None or self.value >= self.at_least
        )

    @property
    def goal(self) -> str:
        """The bound in words."""
        bounds = [(">=", self.at_least), ("<=", self.at_most)]
        return " ".join(f"{sign} {bound:g}" for sign, bound in bounds if bound is not None)


def show(measures: list[Measure]) -> str:
    """Write measures as a table."""
    rows = [("benchmark", "quantity", "measured", "goal", "")]
    for one in measures:
        verdict = {True: "met", False: "MISSED", None: ""}[one.met]
        number = f"{one.value:,.0f}" if one.value >= 1000 else f"{one.value:.3g}"
        rows.append((one.benchmark, one.quantity, f"{number} {one.unit}".strip(), one.goal, verdict))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])


def describe_machine() -> dict[str, Any]:
    """Return what the numbers were measured on."""
    cpu = platform.processor()
    with contextlib.suppress(OSError):
        found = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
        cpu = found[1] if found else cpu
    packages = ("keyapi-research", "pandas", "numpy", "pyarrow", "requests", "requests-cache", "urllib3")
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "cpu": cpu,
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "packages": {name: version(name) for name in packages},
    }


def clocked(job: Callable[[], Any]) -> float:
    """Seconds a job takes, without the garbage of what came before."""
    gc.collect()
    began = time.perf_counter()
    job()
    return time.perf_counter() - began


def best(job: Callable[[], Any], times: int) -> float:
    """Seconds of the fastest of several runs."""
    return min(clocked(job) for _ in range(times))


def in_turns(jobs: Mapping[str, Callable[[], float]], times: int) -> dict[str, float]:
    """Best result of each of several jobs, run one after the other so that a busy minute slows all of them."""
    rounds = [{name: job() for name, job in jobs.items()} for _ in range(times)]
    return {name: min(one[name] for one in rounds) for name in jobs}


def in_a_process(script: str, *arguments: str, package: Path | None = None) -> Any:
    """Run a script in a fresh interpreter, which may keep what it compiles, and read the JSON it prints.

    `package` is the folder that has the package, where it is not the one in use.
    """
    command = [sys.executable, "-c", textwrap.dedent(script), *arguments]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    folder = package or Path(keyapi_research.__file__).parents[1]
    done = subprocess.run(
        command, check=True, capture_output=True, text=True, cwd=folder, env={**environment, "PYTHONPATH": str(folder)}
    )
    return json.loads(done.stdout)


@contextlib.contextmanager
def serving(*, latency: float = 0.0) -> Iterator[str]:
    """Serve the sandbox from a process of its own: server and client must not share an interpreter."""
    command = [sys.executable, "-m", "keyapi_research.sandbox", "--port", "0", "--latency", str(latency)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            found = re.search(r"http://[0-9.]+:[0-9]+", server.stdout.readline())
            assert found is not None
            yield found[0]
        finally:
            server.terminate()


def names(count: int, prefix: str = "tag") -> list[str]:
    """Names of so many hashtags."""
    return [f"{prefix}{number}" for number in range(count)]


def fetch_by_hand(url: str, name: str) -> dict[str, Any]:
    """Get one hashtag from the server with the standard library only."""
    query = urllib.parse.urlencode({"hashtag_name": name, **DEFAULTS})
    request = urllib.request.Request(
        f"{url}{HASHTAG_DETAIL.path}?{query}", headers={"Authorization": f"Bearer {TOKEN}"}
    )
    with urllib.request.urlopen(request) as answer:
        envelope: dict[str, Any] = json.load(answer)
    return envelope


def hashtag_answers(count: int) -> Iterator[tuple[Query, dict[str, Any]]]:
    """Make stored answers: a few hundred from the sandbox, then the same under other names."""
    with serving() as url:
        samples = [fetch_by_hand(url, name) for name in names(min(count, _DIFFERENT))]
    for number, query in enumerate(make_queries(HASHTAG_DETAIL, names(count), DEFAULTS)):
        sample = samples[number % len(samples)]
        info = {**sample["data"]["info"], "hashtag_name": query.id, "hashtag_id": str(7_000_000_000_000_000 + number)}
        yield query, {**sample, "data": {"info": info}}


def fill(path: Path | str, answers: Iterable[tuple[Query, dict[str, Any]]]) -> None:
    """Write a store as so many single requests would have left it."""
    observed_at = now_us()
    stored = list(answers)
    ledger = [
        (
            number,
            observed_at,
            query.endpoint.path,
            json.dumps(query.params, separators=(",", ":")),
            1,
            1,
            200,
            0,
            "success",
            envelope["requestId"],
            query.endpoint.credits,
            0.2,
        )
        for number, (query, envelope) in enumerate(stored, start=1)
    ]
    observations = (
        (
            Observation(
                number,
                query.key,
                query.endpoint.path,
                json.dumps(query.params, separators=(",", ":")),
                observed_at + number,
                absent=False,
                request=number,
                pull=0,
                page=0,
                rows=0,
                fresh=0,
                more=None,
            ),
            envelope,
        )
        for number, (query, envelope) in enumerate(stored, start=1)
    )
    store = Store(str(path), source="sandbox", read_only=False)
    store.restore(ledger, observations, url="https://api.keyapi.ai")
    store.close()
