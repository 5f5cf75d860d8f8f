"""The notebooks: stored as a reader wants them, run from clean, free the second time, and right about what is planted.

Each is run in a fresh kernel and a folder of its own, with every warning an error and without a key, and then once more
on the same store. What it concluded is read from its kernel and held against the constants of the sandbox's world,
never against this package's own analysis.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from keyapi_research.sandbox import effects
from keyapi_research.sandbox.catalogue import by_id

FOLDER = Path(__file__).parent.parent / "notebooks"
NAMES = tuple(sorted(path.stem for path in FOLDER.glob("*.ipynb")))
TIMEOUT = 300
LONGEST_OUTPUT = 60  # lines of text, or rows of a table
LARGEST_TEXT = 40_000  # characters of one output that is no picture
LARGEST_FILE = 2_000_000

BEFORE = "import warnings\nwarnings.simplefilter('error')"
AFTER = """
import json as _json
print(_json.dumps({{
    "requests": len(kr.ledger()), "credits": int(kr.ledger()["credits"].sum()), "values": {values}
}}, default=float))
"""
# What each notebook concluded, as an expression in its own names.
VALUES = {
    "02_product_opportunities": """{
        "confirmed": list(confirmed.index),
        "cpa_to_market": dict(checked["cpa_to_market"]),
        "growth": dict(checked["growth"]),
        "large_but_dear": dict(zip(largest["category"], largest["cpa_to_market"])),
        "dear": large_but_dear,
        "movers": list(movers["category"]),
        "rising": list(rising),
    }""",
    "03_hashtags_and_music": """{
        "groups": dict(members_of),
        "alone": alone,
        "likest": [compared[k][compared["curves agree"] & compared["audiences agree"]].min() for k in
                   ("curves_30d", "curves_120d", "audience")],
        "days_since_last": {group: list(days) for group, days in bursts.dropna().groupby("group")["days_since_last"]},
        "fall_to_rise": [fall_to_rise, fall_low, fall_high],
        "sound": dict(companion[["clip_id", "group", "closest", "lead_days", "audience"]]),
        "next_best": fit["audience"].iloc[1],
    }""",
    "04_what_makes_a_video_work": """{
        "factors": factors.astype(float).to_dict("index"),
        "views_clear": list(views_clear),
        "best_hours": [int(hour) for hour in best_hours],
        "hour_factor": [hour_factor, hour_low, hour_high],
        "by_category": {dict(zip(data["category_l1"], data["category_l1_id"]))[k]: v for k, v in by_category.items()},
        "sales": {key[0]: [int(row.videos), float(row.share)] for key, row in sales.iterrows()},
        "unsold": [len(flagged), float(unsold)],
    }""",
    "05_campaign_brief": """{
        "circle": circle,
        "sound": best,
        "lead": lead,
        "likeness": list(fit["likeness"].head(2)),
        "commercial": bool(fit["commercial_use"].iloc[0]),
        "last_peak": f"{last_peak:%Y-%m-%d}",
        "coming": [f"{day:%Y-%m-%d}" for day in coming],
        "cpa_to_level_1": standing.loc["cpa"].iloc[0] / standing.loc["cpa"].iloc[1],
        "brief": brief,
    }""",
    "06_reproduce_and_share": """{
        "same_bytes": bool(same_bytes), "replayed": bool(replayed_is_equal), "stranger": by_stranger,
        "package": package_is_equal, "observations": len(history), "hashtags": HASHTAGS, "own": bool(still_its_own),
    }""",
}


@dataclass(frozen=True)
class Run:
    """What one execution of a notebook left."""

    notebook: Any
    folder: Path
    requests: int
    credits: int
    values: Mapping[str, Any]
    seconds: float


Runs = Callable[[str], tuple[Run, Run]]


def read(name: str) -> Any:
    return nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)


def environment(folder: Path, **more: str) -> dict[str, str]:
    """Make an environment without a key, a store or a profile of whoever runs the tests."""
    dropped = ("KEYAPI_", "PYTHONWARNINGS", "MPLBACKEND", "XDG_")
    kept = {key: value for key, value in os.environ.items() if not key.startswith(dropped)}
    folders = {"XDG_DATA_HOME": "data", "XDG_CACHE_HOME": "cache", "IPYTHONDIR": "ipython"}
    # One thread of linear algebra: two kernels at a time share two cores.
    return kept | {key: str(folder / name) for key, name in folders.items()} | {"OMP_NUM_THREADS": "1"} | more


async def execute(name: str, folder: Path, after: str = "", **more: str) -> Run:
    """Run a stored notebook in a fresh kernel, between two cells that are not in the file."""
    notebook = read(name)
    make = nbformat.v4.new_code_cell
    last = AFTER.format(values=VALUES.get(name, "{}")) + after
    notebook.cells = [make(BEFORE), *notebook.cells, make(last)]
    work = folder / "work"
    work.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    client = NotebookClient(notebook, timeout=TIMEOUT, resources={"metadata": {"path": str(work)}})
    await client.async_execute(env=environment(folder, **more))
    printed = "".join(output["text"] for output in notebook.cells[-1].outputs if output.get("name") == "stdout")
    told = json.loads(printed.splitlines()[0])
    notebook.cells = notebook.cells[1:-1]
    return Run(notebook, work, told["requests"], told["credits"], told["values"], time.monotonic() - began)


async def execute_all_twice(folder: Path) -> dict[str, tuple[Run, Run] | BaseException]:
    """Run all notebooks twice, two at a time."""
    room = asyncio.Semaphore(2)

    async def twice(name: str) -> tuple[Run, Run]:
        async with room:
            return await execute(name, folder / name), await execute(name, folder / name)

    found = await asyncio.gather(*map(twice, NAMES), return_exceptions=True)
    return dict(zip(NAMES, found, strict=True))


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    """Give the two runs of a notebook, or fail with its error, without the colours of a terminal."""
    found = asyncio.run(execute_all_twice(tmp_path_factory.mktemp("notebooks")))

    def of(name: str) -> tuple[Run, Run]:
        two = found[name]
        if isinstance(two, BaseException):
            pytest.fail(re.sub(r"\x1b\[[0-9;]*m", "", str(two)), pytrace=False)
        return two

    return of


# As stored --------------------------------------------------------------------------------------------------

every = pytest.mark.parametrize("name", NAMES)
analyses = pytest.mark.parametrize("name", [name for name in NAMES if name != "01_quickstart"])
# A path from the root, not in an address or a tag, and not one of KeyAPI's own; or a Windows drive.
ABSOLUTE = re.compile(r"(?<![\w<:/.>\\])/(?!v1/)[A-Za-z_.][\w.+-]*/[\w.+-]|\b[A-Z]:\\{1,2}\w")


def code_cells(notebook: Any) -> list[Any]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def outputs_of(notebook: Any) -> list[Any]:
    return [output for cell in code_cells(notebook) for output in cell.outputs]


def texts_of(output: Any) -> dict[str, str]:
    """Give what an output has for reading, by kind; pictures left out."""
    if output.output_type == "stream":
        return {output.name: output.text}
    return {kind: text for kind, text in output.get("data", {}).items() if kind.startswith("text/")}


def markdown_of(notebook: Any) -> list[str]:
    texts = [texts_of(output).get("text/markdown") for output in outputs_of(notebook)]
    return [text for text in texts if text is not None]


def test_all_six_are_there() -> None:
    assert [name[:2] for name in NAMES] == ["01", "02", "03", "04", "05", "06"]
    index = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert all(f"({name}.ipynb)" in index for name in NAMES)


def test_the_pattern_of_absolute_paths_knows_one() -> None:
    for path in ("/home/ann/study.zip", "in /tmp/x/y", "store /Users/ann/s.sqlite", r"C:\Users\ann", "'/var/lib/a'"):
        assert ABSOLUTE.search(path), path
    for other in ("/v1/tiktok/insights", "https://a.b/c/d", "<td>1</td></tr>", "and/or/nor", "./a/b", "a / b"):
        assert not ABSOLUTE.search(other), other


@every
def test_it_is_stored_with_clean_outputs(name: str) -> None:
    notebook = read(name)
    assert notebook.metadata["kernelspec"]["name"] == "python3"
    assert "widgets" not in notebook.metadata
    assert [cell.execution_count for cell in code_cells(notebook)] == list(range(1, len(code_cells(notebook)) + 1))
    assert outputs_of(notebook)
    for output in outputs_of(notebook):
        assert output.output_type != "error"
        assert output.get("name") != "stderr", output.get("text")
        assert "application/vnd.jupyter.widget-view+json" not in output.get("data", {})


@every
def test_no_output_is_long_and_none_has_a_path_of_a_machine(name: str) -> None:
    assert (FOLDER / f"{name}.ipynb").stat().st_size < LARGEST_FILE
    for output in outputs_of(read(name)):
        for kind, text in texts_of(output).items():
            assert not ABSOLUTE.search(text), ABSOLUTE.search(text)
            assert len(text) < LARGEST_TEXT
            lines = text.count("<tr") if kind == "text/html" else text.count("\n")
            assert lines <= LONGEST_OUTPUT


@every
def test_it_ends_in_files_and_shows_pictures(name: str) -> None:
    notebook = read(name)
    source = "\n".join(cell.source for cell in code_cells(notebook))
    assert re.search(r"to_csv\(\s*\"", source)
    assert any("image/png" in output.get("data", {}) for output in outputs_of(notebook))


@analyses
def test_it_says_what_it_asks_and_what_to_beware_of(name: str) -> None:
    notebook = read(name)
    prose = [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]
    assert "**Question.**" in prose[0]
    assert "synthetic" in prose[0]
    assert any("## Caveats" in text for text in prose)
    assert any("## Conclusions" in text or "## The brief" in text for text in prose)


@analyses
def test_one_cell_is_to_be_changed_for_real_data(name: str) -> None:
    first, *others = [cell.source for cell in code_cells(read(name))]
    assert "kr.connect(" in first
    assert "# real data:" in first
    for source in others:
        assert "sandbox=True" not in source
        assert "# real data" not in source


@every
def test_every_step_has_a_budget_and_a_plan_before_it(name: str) -> None:
    notebook = read(name)
    stated = re.search(r"\*\*Cost: at most (\d+) credits\*\*", notebook.cells[0].source)
    assert stated is not None
    planned, budgets = False, []
    for cell in code_cells(notebook):
        planned |= "kr.plan(" in cell.source
        found = [int(number) for number in re.findall(r"kr\.budget\((\d+)\)", cell.source)]
        assert planned or not found
        budgets += found
    # 06 has two budgets more, which refuse: one too small, and one of zero.
    refused = {"06_reproduce_and_share": 4}.get(name, 0)
    assert sum(budgets) - refused == int(stated[1])


# As run -----------------------------------------------------------------------------------------------------


@every
def test_it_runs_from_clean_within_its_cost(name: str, runs: Runs) -> None:
    first, _ = runs(name)
    stated = re.search(r"at most (\d+) credits", read(name).cells[0].source)
    assert stated is not None
    assert 0 < first.credits <= int(stated[1])
    assert first.seconds < TIMEOUT
    assert not [output for output in outputs_of(first.notebook) if output.get("name") == "stderr"]
    assert list(first.folder.glob("*.csv"))
    assert name == "01_quickstart" or list(first.folder.glob("*.png"))


@every
def test_running_it_again_sends_nothing(name: str, runs: Runs) -> None:
    first, second = runs(name)
    assert first.requests > 0
    assert (second.requests, second.credits) == (first.requests, first.credits)


@analyses
def test_it_concludes_the_same_again_and_as_stored(name: str, runs: Runs) -> None:
    first, second = runs(name)
    assert first.values == second.values
    assert markdown_of(first.notebook) == markdown_of(second.notebook)
    assert markdown_of(first.notebook) == markdown_of(read(name))


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in NAMES if name[:2] != "06"])  # 06 replays itself
def test_it_replays_unchanged_without_sandbox_or_key(name: str, tmp_path: Path) -> None:
    here = asyncio.run(execute(name, tmp_path / "here", "kr.freeze('study.zip')"))
    archive = here.folder / "study.zip"
    there = asyncio.run(execute(name, tmp_path / "there", KEYAPI_REPLAY=str(archive)))
    assert there.values == here.values
    for path in here.folder.glob("*.csv"):
        assert (there.folder / path.name).read_bytes() == path.read_bytes(), path.name


# What is planted --------------------------------------------------------------------------------------------

SEASONAL = {category for found in effects.SEASONAL_CATEGORIES.values() for category in found}


def test_opportunities_are_found_and_traps_are_not(runs: Runs) -> None:
    found = runs("02_product_opportunities")[0].values
    confirmed = set(found["confirmed"])
    # One may be missed, where a market's ranking is too short to confirm it, and one may be there by luck.
    assert len(confirmed & set(effects.OPPORTUNITIES)) >= len(effects.OPPORTUNITIES) - 1
    assert len(confirmed - set(effects.OPPORTUNITIES)) <= 1
    assert not confirmed & (set(effects.TRAPS) | SEASONAL)
    assert set(found["dear"]) == set(effects.TRAPS)


def test_prices_and_growth_of_the_planted_categories_are_as_planted(runs: Runs) -> None:
    found = runs("02_product_opportunities")[0].values
    opportunities = [name for name in found["confirmed"] if name in effects.OPPORTUNITIES]
    ratio = math.fsum(math.log(found["cpa_to_market"][name]) for name in opportunities) / len(opportunities)
    # A category's log(cpa) has a standard deviation of about 0.3 that is not planted: 0.12 for a mean of six.
    assert ratio == pytest.approx(-math.log(effects.OPPORTUNITY_CTR * effects.OPPORTUNITY_CVR), abs=0.36)
    traps = [math.log(found["large_but_dear"][name]) for name in effects.TRAPS]
    assert math.fsum(traps) / len(traps) == pytest.approx(-math.log(effects.TRAP_CTR * effects.TRAP_CVR), abs=0.45)
    growth = math.fsum(found["growth"][name] for name in opportunities) / len(opportunities)
    # The two changes have noise of 7 and 5 points: 4.3 for their mean, 1.8 for that of six categories.
    assert growth == pytest.approx(effects.OPPORTUNITY_GROWTH, abs=5.4)


def test_what_moves_is_seasonal_and_what_rises_is_valentines(runs: Runs) -> None:
    found = runs("02_product_opportunities")[0].values
    assert set(found["movers"]) <= SEASONAL
    assert set(found["rising"]) <= set(effects.SEASONAL_CATEGORIES["valentine"])
    assert len(found["rising"]) >= 5  # of eight; not all are in both rankings


def test_the_groups_are_the_families(runs: Runs) -> None:
    found = runs("03_hashtags_and_music")[0].values
    assert {frozenset(members) for members in found["groups"].values()} == {
        frozenset(members) for members in effects.FAMILIES.values()
    }
    assert found["alone"], "the sandbox has hashtags that look alike by chance; not to meet one would prove nothing"
    assert min(found["likest"][:2]) > 0.9  # documented for 30 days; weeks average the wobble out


def test_bursts_come_back_when_they_should(runs: Runs) -> None:
    found = runs("03_hashtags_and_music")[0].values
    families = {name: family for family, members in effects.FAMILIES.items() for name in members}
    assert {families[group] for group in found["days_since_last"]} == set(effects.FAMILIES)
    for group, days in found["days_since_last"].items():
        _, every_days = effects.FAMILY_BURSTS[families[group]]
        # Each date is read off weeks: two of them are a few days off, half a week at worst.
        assert days == pytest.approx([every_days] * len(days), abs=3.5)


def test_falls_are_slower_than_rises(runs: Runs) -> None:
    # The shapes of rise and fall differ, so only the direction follows from the constants.
    _, low, high = runs("03_hashtags_and_music")[0].values["fall_to_rise"]
    assert effects.FAMILY_FALL > effects.FAMILY_RISE
    assert 1 < low < high


def test_the_sound_is_the_twin_and_leads(runs: Runs) -> None:
    found = runs("03_hashtags_and_music")[0].values
    sound = found["sound"]
    family = next(members for members in effects.FAMILIES.values() if effects.TWIN_HASHTAG in members)
    assert sound["clip_id"] == effects.TWIN_SOUND
    assert sound["closest"] == effects.TWIN_HASHTAG
    assert sound["group"] in family
    assert sound["lead_days"] == pytest.approx(effects.TWIN_LEAD_DAYS, abs=1)  # daily values, noise of 12 %
    assert found["next_best"] < 0.5 < sound["audience"]


def log_and_error(factor: float, low: float, high: float) -> tuple[float, float]:
    """Turn a factor and its 95 % interval into a logarithm and its standard error."""
    return math.log(factor), (math.log(high) - math.log(low)) / 3.92


@pytest.mark.parametrize(
    ("feature", "planted"),
    [
        ("twice as long", effects.DURATION_SLOPE * math.log(2)),
        ("twice as old", effects.AGE_SLOPE * math.log(2)),
        ("in the best hours", math.log(effects.EVENING_LIFT)),
        ("made by AI", math.log(effects.AI_FACTOR)),
        ("sells", 0.0),
        ("weekend", 0.0),
        ("resolution 1080p", 0.0),
        ("one hashtag more", 0.0),
    ],
)
def test_what_goes_with_engagement_is_what_was_planted(feature: str, planted: float, runs: Runs) -> None:
    found = runs("04_what_makes_a_video_work")[0].values["factors"][feature]
    estimate, error = log_and_error(found["factor"], found["low"], found["high"])
    # Three of its own standard errors, and that error no larger than eight hundred videos warrant.
    assert estimate == pytest.approx(planted, abs=3 * error)
    assert error < 0.06
    assert bool(found["clear"]) == (planted != 0)


def test_the_best_hours_are_the_planted_ones(runs: Runs) -> None:
    found = runs("04_what_makes_a_video_work")[0].values
    assert found["best_hours"] == list(effects.EVENING_HOURS)
    estimate, error = log_and_error(*found["hour_factor"])
    assert estimate == pytest.approx(math.log(effects.EVENING_LIFT), abs=3 * error)
    assert error < 0.1


def test_categories_engage_as_planted_and_views_follow_age_only(runs: Runs) -> None:
    found = runs("04_what_makes_a_video_work")[0].values
    planted = {key: math.log(effects.ENGAGEMENT.get(key, effects.ENGAGEMENT_ELSEWHERE)) for key in found["by_category"]}
    for key, value in found["by_category"].items():
        mean = math.fsum(found["by_category"].values()) / len(planted)
        mean_planted = math.fsum(planted.values()) / len(planted)
        # A hundred videos of some forty creators: 0.4 / 10 and 0.2 / 6, together about 0.055.
        assert value - mean == pytest.approx(planted[key] - mean_planted, abs=0.17), by_id()[key].name
    assert set(found["views_clear"]) <= {"twice as old"}  # older videos had more time to be viewed


def test_shares_of_videos_that_sell_are_as_planted(runs: Runs) -> None:
    found = runs("04_what_makes_a_video_work")[0].values
    for key, (videos, share) in found["sales"].items():
        planted = effects.SALES_SHARE.get(key, effects.SALES_SHARE_ELSEWHERE)
        error = math.sqrt(planted * (1 - planted) / videos)
        assert share == pytest.approx(planted, abs=3.5 * error), by_id()[key].name  # eight comparisons
    flagged, unsold = found["unsold"]
    # A few sell less than one unit of their estimate, and count as unsold too.
    assert unsold == pytest.approx(effects.UNSOLD_SHARE, abs=3 * math.sqrt(0.35 * 0.65 / flagged))


def test_the_brief_names_family_sound_and_time(runs: Runs) -> None:
    found = runs("05_campaign_brief")[0].values
    peak, every_days = effects.FAMILY_BURSTS["perfume"]
    assert set(found["circle"]) == set(effects.FAMILIES["perfume"])
    assert found["sound"] == effects.TWIN_SOUND
    assert found["commercial"]
    assert found["lead"] == pytest.approx(effects.TWIN_LEAD_DAYS, abs=1)
    best, next_best = found["likeness"]
    assert next_best < 0.5 < best
    assert abs(date.fromisoformat(found["last_peak"]) - peak) <= timedelta(days=1)
    first, last = map(date.fromisoformat, found["coming"])
    assert first <= peak + timedelta(days=every_days) <= last
    for claim in (*found["circle"], effects.TWIN_SOUND):
        assert claim in found["brief"]
    # Perfume is an opportunity; beside its level 1 alone, whose own median is not planted, only roughly so.
    expected = -math.log(effects.OPPORTUNITY_CTR * effects.OPPORTUNITY_CVR)
    assert math.log(found["cpa_to_level_1"]) == pytest.approx(expected, abs=0.7)


def test_sharing_keeps_every_promise(runs: Runs) -> None:
    first, _ = runs("06_reproduce_and_share")
    found = first.values
    assert found["same_bytes"]
    assert found["replayed"]
    assert found["own"]
    assert found["stranger"] == dict.fromkeys(("hashtags.csv", "trends.csv", "likeness.csv"), True)
    assert found["package"] == dict.fromkeys(("hashtags", "hashtag_trends"), True)
    assert found["observations"] == 2 * len(found["hashtags"])
    assert b"sqlite" not in (first.folder / "study.zip").read_bytes().lower()
