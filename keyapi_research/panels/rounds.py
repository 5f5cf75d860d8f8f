"""The rounds of a panel, as its store knows them: what each was to fetch, when it was run and done, what it spent."""

from __future__ import annotations

import json
import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date

from ..errors import InvalidArgumentError, StoreError
from ..store import Store, microseconds_of, now_us, this_process, when
from .file import Fetch, PanelFile


@dataclass(frozen=True)
class Round:
    """A round that was run; times in microseconds since 1970, UTC.

    `digest` tells which file it followed; `today` is the day that its dates are relative to, in each of its runs;
    `after` the last request before it; `runs` names each run of a program, as the ledger does.
    """

    number: int
    digest: str
    begins: int
    ends: int
    today: str
    after: int
    runs: tuple[str, ...]
    done: int | None = None

    @classmethod
    def from_json(cls, text: str) -> Round:
        """Read what `to_json` returned."""
        known = {name: value for name, value in json.loads(text).items() if name in cls.__dataclass_fields__}
        return cls(**{**known, "runs": tuple(known["runs"])})

    def to_json(self) -> str:
        """Return it as the store keeps it."""
        return json.dumps(asdict(self), separators=(",", ":"))


def rounds_of(store: Store, file: PanelFile) -> dict[int, Round]:
    """Read the rounds that were run, by number; refuse a file whose `every` or `starts` was changed."""
    found = [Round.from_json(text) for text in store.facts(f"{_panel(file)} round ").values()]
    for one in found:
        if (one.begins, one.ends) != interval(file, one.number):
            raise InvalidArgumentError(
                f"{file.path}: every or starts was changed. Round {one.number} of {file.name} was from "
                f"{when(one.begins):%Y-%m-%d %H:%M} to {when(one.ends):%Y-%m-%d %H:%M} UTC, and rounds are numbered by "
                "these intervals. Put back what it was, or give the panel another name: what its store has is not paid "
                "again"
            )
    return {one.number: one for one in found}


def fetches_of(store: Store, file: PanelFile, this: Round) -> tuple[Fetch, ...]:
    """Read what a round was to fetch, by the version of the file that it followed."""
    name = f"{_panel(file)} file {this.digest}"
    text = store.facts(name).get(name)
    if text is None:
        raise _damaged(store, f"the fetches of round {this.number} of {file.name}")
    return tuple(map(Fetch.from_dict, json.loads(text)))


def answers_of(store: Store, file: PanelFile, number: int) -> list[list[int]]:
    """Read which answers a round had when it was done, in the order of the rows of each of its fetches."""
    text = store.facts(_answers(file, number)).get(_answers(file, number))
    if text is None:
        raise _damaged(store, f"the answers of round {number} of {file.name}")
    return [[one for first, last in runs for one in range(first, last + 1)] for runs in json.loads(text)]


def begin_run(store: Store, file: PanelFile, number: int, today: date) -> Round:
    """Note that a round is run now, and return it; what it is to fetch is noted before."""
    store.change_fact(f"{_panel(file)} file {file.digest}", lambda known: known or file.fetches_json())
    store.sender = f"{this_process()}:{secrets.token_hex(4)}"
    first = Round(number, file.digest, *interval(file, number), today.isoformat(), store.last_ids()[1], ())

    def begin(text: str | None) -> str:
        known = Round.from_json(text) if text else first
        return replace(known, digest=file.digest, runs=(*known.runs, store.sender)).to_json()

    return Round.from_json(store.change_fact(_round(file, number), begin))


def end_round(store: Store, file: PanelFile, this: Round, answers: Sequence[Sequence[int]]) -> bool:
    """Note the answers of each fetch of a round; return whether it is done: they all came before its interval ended.

    What a round had when it was done stays the same, whatever is stored later.
    """
    done = now_us()
    if done >= this.ends:
        return False
    text = json.dumps([_runs(one) for one in answers], separators=(",", ":"))
    store.change_fact(_answers(file, this.number), lambda _: text)
    here = _round(file, this.number)
    store.change_fact(here, lambda known: replace(Round.from_json(known or ""), done=done).to_json())
    return True


def spent_by(store: Store, rounds: Collection[Round]) -> Mapping[int, int]:
    """Return what rounds cost so far, by the ledger: a request without an answer counts with its full price."""
    numbers = {run: one.number for one in rounds for run in one.runs}
    spent = dict.fromkeys((one.number for one in rounds), 0)
    if rounds:
        after, last = min(one.after for one in rounds), store.last_ids()[1]
        for row in store.ledger(range(after + 1, last + 1)):
            if row.client in numbers:
                spent[numbers[row.client]] += store.cost_of(row)
    return spent


def credits_left(store: Store, file: PanelFile, this: Round) -> int:
    """Return what a round may still cost."""
    return max(file.credits_per_round - spent_by(store, [this])[this.number], 0)


def state_of(one: Round | None, number: int, current: int) -> str:
    """Say how a round stands."""
    if one is not None:
        return "incomplete" if one.done is None else "done"
    return "due" if number == current else "missed"


def interval(file: PanelFile, number: int) -> tuple[int, int]:
    """Return when a round begins and ends, in microseconds since 1970."""
    return microseconds_of(file.begins(number)), microseconds_of(file.begins(number + 1))


def same_since(rounds: Sequence[Round], digest: str) -> int:
    """Return the round since which every round followed this version of the file; 0 if the last one did not."""
    first = 0
    for one in sorted(rounds, key=lambda one: -one.number):
        if one.digest != digest:
            break
        first = one.number
    return first


def _damaged(store: Store, what: str) -> StoreError:
    return StoreError(f"{store.path} is damaged: {what} are not noted in it. Put back a copy of it")


def _panel(file: PanelFile) -> str:
    return f"panel {file.name}"


def _round(file: PanelFile, number: int) -> str:
    return f"{_panel(file)} round {number:06d}"


def _answers(file: PanelFile, number: int) -> str:
    return f"{_panel(file)} answers {number:06d}"


def _runs(ids: Sequence[int]) -> list[list[int]]:
    """Write ids in their order as first and last of those that follow each other: they came so."""
    runs: list[list[int]] = []
    for one in ids:
        if runs and one == runs[-1][1] + 1:
            runs[-1][1] = one
        else:
            runs.append([one, one])
    return runs
