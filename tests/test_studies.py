"""The studies (notebooks 07 to 09): whether their intervals have what is planted, and how often they find what is not.

Each world is a sandbox with a seed of its own. The cells of a notebook are executed as they are stored, but for the
lines that connect, until its estimates are there. What is planted is a constant of the sandbox, or is read from other
worlds, complete and without any estimator. Five worlds of each kind are slow tests. Fifty are long ones, and print what
the notebooks' tables have: python -m pytest -m long tests/test_studies.py -n 0 -s.
"""

from __future__ import annotations

import contextlib
import io
import re
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import matplotlib.pyplot as plt
import nbformat
import numpy as np
import pytest

from keyapi_research.sandbox import Sandbox, curves, effects, hashtags
from keyapi_research.sandbox.identity import Setting

FOLDER = Path(__file__).parent.parent / "notebooks"
Interval = tuple[float, float, float]  # estimate, low, high
Planted = dict[bool, float]  # in worlds with the effect and without

# What follows from the bursts that the worlds draw; test_what_is_planted_in_lists_is_what_other_worlds_have reads it.
STILL_LISTED: Planted = {True: 0.51, False: 0.49}  # of the stays in the list, those longer than a week
FALL_TO_RISE: Planted = {True: 1.75, False: 1.0}  # median half-lives; without the effect bursts fall as they rise


@dataclass(frozen=True)
class Estimate:
    """An estimate of a study: the expression that has it with its interval, what is planted, what would be nothing."""

    expression: str
    planted: Planted
    nothing: float | None


@dataclass(frozen=True)
class Study:
    """A notebook and its estimates, the main one first."""

    notebook: str
    estimates: dict[str, Estimate]
    options: dict[str, Any]


STUDIES = {
    "07": Study(
        "07_how_long_does_a_hashtag_live",
        {
            "fall to rise": Estimate("(ratio, ratio_low, ratio_high)", FALL_TO_RISE, 1.0),
            "still listed": Estimate("(main, low, high)", STILL_LISTED, None),
        },
        {"days_between_answers": 1},
    ),
    "08": Study(
        "08_do_likes_sell",
        {
            "views": Estimate("tuple(main)[:3]", {True: effects.UNITS_ON_VIEWS, False: 0.0}, 0.0),
            "likes": Estimate("tuple(beside)[:3]", {True: 0.0, False: 0.0}, 0.0),
        },
        {},
    ),
    "09": Study(
        "09_how_concentrated_is_attention",
        {"followers": Estimate("tuple(main)[:3]", {True: effects.VIEWS_ON_FOLLOWERS, False: 0.0}, 0.0)},
        {},
    ),
}
every = pytest.mark.parametrize("number", list(STUDIES))


# How a study is run ------------------------------------------------------------------------------------------------


def cells_of(study: Study) -> list[str]:
    """Return the code cells, connected to a `world` instead of the sandbox that the notebook starts."""
    notebook = nbformat.read(FOLDER / f"{study.notebook}.ipynb", as_version=4)
    first, *others = (cell.source for cell in notebook.cells if cell.cell_type == "code")
    how = 'base_url=world.url, token="none", store="study.sqlite", requests_per_second=None'
    first = re.sub(r"^world = .*$", "", first, flags=re.MULTILINE).replace("sandbox=True", how)
    assert "world.url" in first
    return [first, *others]


def conclude(number: str, seed: int, *, planted: bool) -> dict[str, Interval]:
    """Run a study in a world, until it has its estimates; return each with its interval."""
    plt.switch_backend("Agg")
    study = STUDIES[number]
    with (
        TemporaryDirectory() as folder,
        contextlib.chdir(folder),
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
        Sandbox(seed=seed, effects=planted, **study.options) as world,
    ):
        names: dict[str, Any] = {"world": world, "display": lambda *_: None}
        for source in cells_of(study):
            exec(compile(source, study.notebook, "exec"), names)
            with contextlib.suppress(NameError):
                found = {name: eval(one.expression, names) for name, one in study.estimates.items()}
                break
        names["client"].close()
    plt.close("all")
    return {name: (float(value), float(low), float(high)) for name, (value, low, high) in found.items()}


def conclude_all(number: str, seeds: Sequence[int], *, planted: bool) -> list[dict[str, Interval]]:
    """Run a study in many worlds, two at a time."""
    with ProcessPoolExecutor(2) as pool:
        return list(pool.map(partial(conclude, number, planted=planted), seeds))


def covering(found: Sequence[dict[str, Interval]], name: str, value: float) -> int:
    """Count the intervals of an estimate that have a value."""
    return sum(low <= value <= high for _, low, high in (one[name] for one in found))


def say(text: str) -> None:
    """Print a figure for the notebooks."""
    sys.stdout.write(f"{text}\n")


def main_of(number: str) -> tuple[str, Estimate]:
    return next(iter(STUDIES[number].estimates.items()))


# What they find ----------------------------------------------------------------------------------------------------


def a_few(number: str) -> tuple[range, int]:
    """Return seeds of worlds, and in how many of them an interval may miss: each does once in twenty."""
    return (range(1, 2), 0) if number == "07" else (range(1, 4), 1)  # a world of 07 takes as long as three others


@pytest.mark.slow
@every
def test_in_a_few_worlds_the_interval_has_what_is_planted(number: str) -> None:
    seeds, missed = a_few(number)
    found = conclude_all(number, seeds, planted=True)
    name, main = main_of(number)
    assert covering(found, name, main.planted[True]) >= len(seeds) - missed
    assert covering(found, name, main.nothing) <= missed  # there is enough data to tell it from nothing
    for value, low, high in (one[name] for one in found):
        assert low < value < high


@pytest.mark.long
@every
def test_in_a_few_worlds_without_the_effect_it_finds_none(number: str) -> None:
    seeds, missed = a_few(number)
    found = conclude_all(number, seeds, planted=False)
    name, main = main_of(number)
    assert covering(found, name, main.nothing) >= len(seeds) - missed


@pytest.mark.long
@pytest.mark.parametrize("planted", [True, False])
@every
def test_in_fifty_worlds(number: str, planted: bool) -> None:
    found = conclude_all(number, range(1, 51), planted=planted)
    for name, one in STUDIES[number].estimates.items():
        covered = covering(found, name, one.planted[planted])
        finds = None if one.nothing is None else 50 - covering(found, name, one.nothing)
        mean = np.mean([each[name][0] for each in found])
        value = one.planted[planted]
        say(f"{number} {name}, planted {value}: mean {mean:.3f}; in {covered} intervals; {finds} find an effect")
    name, main = main_of(number)
    if planted:
        assert covering(found, name, main.planted[True]) >= 44
    else:
        assert 50 - covering(found, name, main.nothing) <= 6


# What is planted in lists of hashtags ------------------------------------------------------------------------------


def lists_of(seed: int, *, planted: bool, days: int = 90, gap: int = 3) -> tuple[list[int], list[tuple[float, float]]]:
    """Read from a world how long stays in the list are, and bursts from half to the peak and back, all to their end.

    Stays are those that begin within the days, but for the first and last of them; bursts the highest of each hashtag
    in the days that lists show.
    """
    setting, ahead = Setting(str(seed), effects=planted, days_between_answers=1), 60
    listed: dict[str, set[int]] = {}
    for n in range(days + ahead):
        for name, _ in hashtags._top(setting, "US", 30, None, n + 1):
            listed.setdefault(name, set()).add(n)
    stays, bursts = [], []
    for name, found in listed.items():
        for first in found:
            if gap <= first < days - gap and not found & set(range(first - gap, first)):
                last = first
                while later := found & set(range(last + 1, last + gap + 1)):
                    last = max(later)
                stays.append(last - first + 1)
        seen = [day for day in found if day < days]
        if seen:
            start, end = curves.FIRST_DAY + min(seen) - 30, curves.FIRST_DAY + max(seen)
            level = curves._levels(setting, name, "US", start - 90, end + 90)
            peak = 90 + int(np.argmax(level[90 : 90 + end - start]))
            if not 90 < peak < 89 + end - start:  # it may go on rising, or fall already
                continue
            sides = level[peak::-1], level[peak:]
            bursts.append(tuple(half_time(side / level[peak]) for side in sides))
    return stays, bursts


def half_time(side: Any) -> float:
    """Return the days until a series that begins with 1 is at a half; endless where it is never."""
    for day in range(1, len(side)):
        if side[day] < 0.5:
            return day - (0.5 - side[day]) / (side[day - 1] - side[day])
    return np.inf


@pytest.mark.long
@pytest.mark.parametrize("planted", [True, False])
def test_what_is_planted_in_lists_is_what_other_worlds_have(planted: bool) -> None:
    with ProcessPoolExecutor(2) as pool:
        worlds = list(pool.map(partial(lists_of, planted=planted), range(1001, 1101)))
    longer = [np.mean(np.array(stays) > 7) for stays, _ in worlds]
    bursts = np.array([burst for _, found in worlds for burst in found if np.isfinite(burst).any()])
    up, down = np.median(bursts, axis=0)
    say(f"planted {planted}: still listed {np.mean(longer):.4f}; up {up:.3f}, down {down:.3f}, ratio {down / up:.4f}")
    assert np.mean(longer) == pytest.approx(STILL_LISTED[planted], abs=0.01)
    assert down / up == pytest.approx(FALL_TO_RISE[planted], abs=0.03)
