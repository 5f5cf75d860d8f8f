"""Run the benchmarks, print a table, write JSON."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from . import auditing, fetching, footprint, reading, replay, stitching, stored, team
from .common import Measure, describe_machine, show

RESULTS = Path(__file__).parent / "results.json"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what was requested; return 1 where a goal was missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="smaller sizes: a minute instead of ten, rougher numbers")
    parser.add_argument("--only", default="", help="which, by their first letters: replay,cold,pace,videos,import,...")
    parser.add_argument("--against", type=Path, help="folder of another version of this package, for the plan")
    parser.add_argument("--json", type=Path, default=RESULTS, help="where the results go (default: %(default)s)")
    options = parser.parse_args(arguments)
    if options.against is not None and not (options.against / "keyapi_research").is_dir():
        parser.error(f"there is no keyapi_research in {options.against}")

    def report(text: str) -> None:
        print(f"... {text}", file=sys.stderr, flush=True)

    with tempfile.TemporaryDirectory(prefix="keyapi-benchmarks-") as name:
        folder, quick = Path(name), options.quick
        runs: dict[str, Callable[[], list[Measure]]] = {
            "import": lambda: footprint.measure_import(report, quick=quick),
            "replay": lambda: replay.measure(folder, report, quick=quick),
            "cold": lambda: fetching.measure_cold(folder, report, quick=quick),
            "pace": lambda: fetching.measure_pace(folder, report, quick=quick),
            "videos": lambda: fetching.measure_videos(folder, report, quick=quick),
            "memory": lambda: footprint.measure_memory(folder, report, quick=quick),
            "growth": lambda: footprint.measure_growth(folder, report, quick=quick),
            "csv": lambda: reading.measure_csv(folder, report, quick=quick),
            "plan": lambda: reading.measure_plan(
                folder, report, against=options.against and options.against.resolve(), quick=quick
            ),
            "stored": lambda: stored.measure(folder, report, quick=quick),
            "trends": lambda: stitching.measure(report, quick=quick),
            "audit": lambda: auditing.measure(folder, report, quick=quick),
            "team": lambda: team.measure(folder, report, quick=quick),
        }
        wanted = tuple(options.only.split(",")) if options.only else ("",)
        measures = [one for name, run in runs.items() if name.startswith(wanted) for one in run()]
    measures.sort(key=lambda one: one.benchmark.partition(" ")[0])
    machine = describe_machine()
    print(show(measures))
    print(f"\n{machine['cpu']}, {machine['cores']} cores, {machine['system']}, Python {machine['python']}")
    lines = [{**asdict(one), "met": one.met} for one in measures]
    options.json.write_text(json.dumps({"machine": machine, "quick": quick, "measures": lines}, indent=1) + "\n")
    return 1 if any(one.met is False for one in measures) else 0


if __name__ == "__main__":
    sys.exit(main())
