"""Checks of totals and windows: what falls, what is more than the whole, what is the same for all."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import pandas as pd

from ..client.call import counted
from ..errors import listed
from ..model import OBSERVED_AT, Table
from .findings import (
    MAY_FALL,
    MOST_NAMED,
    SEVERITIES,
    TINY,
    Finding,
    Floats,
    Held,
    Severity,
    codes_of,
    entity_at,
    figures,
    ids_of,
    moment,
    newest_of,
    numbers,
    places_by,
    when_of,
    words,
)

_PARTS: Final = (
    *((part, "views") for part in ("likes", "comments", "shares", "favorites")),
    *((f"{way}_units_est", "units_sold_est") for way in ("video", "live")),
    *((f"{way}_gmv_est", "gmv_est") for way in ("video", "live")),
)
_SALES: Final = ("units_sold_est", "gmv_est")  # totals of a creator or product
_LISTS: Final = MappingProxyType(  # by table: whose total its rows add up to, and where that is
    {"creator_products": ("user_id", "creators"), "product_creators": ("product_id", "products")}
)
_OF_ALL: Final = "_all_sellers_"
_BEFORE: Final = pd.Timedelta(days=1)  # a total may be so much older than a list that is held against it
_BETWEEN: Final = 0.5  # share that may have come in between
_MANY: Final = 100  # of likes, comments or shares: fewer may be somebody who takes them back, or comments often
_CLEARLY: Final = 1.2  # times the longer window
_ROUNDING: Final = 1.0  # estimates are rounded in different ways
_ALIKE: Final = 6.0  # decimal digits that several ids do not share by chance
_LARGE: Final = 3.0  # the same, of each of several columns ...
_TOGETHER: Final = 6.0  # ... and of them all
_CAPPED: Final = frozenset({"following"})  # TikTok allows 10,000
Pair = tuple[str, str, "pd.Series[Any]", "pd.Series[Any]"]  # what is held against what, in words and numbers
Judge = Callable[[float, float], Severity]


def falling_total(held: Held) -> Iterator[Finding]:
    """Find totals since the beginning that are smaller than they were."""
    least = held.thresholds["falling_total"]
    for table, frame in held.tables():
        ids = ids_of(table)
        totals = [column.name for column in table.columns if column.of == "total"]
        if not ids or not totals or any(column.of == "of the period" for column in table.columns):
            continue
        when = when_of(table)
        ordered = newest_of(frame, [*ids, when])
        entity, moments = codes_of(ordered, ids), ordered[when]
        posted = numbers(ordered["videos"]) if "videos" in totals and "user_id" in ids else np.zeros(len(ordered))
        for name in totals:
            values = numbers(ordered[name])
            known = np.flatnonzero(~np.isnan(values))
            before, after = values[known[:-1]], values[known[1:]]
            with np.errstate(divide="ignore", invalid="ignore"):
                lost = np.where(before > 0, (before - after) / before, 0.0)
            fell = np.flatnonzero((np.diff(entity[known]) == 0) & (lost > 0) & (lost >= least))
            for those in places_by(entity[known[fell]]):
                some = fell[those]
                loss, gone = (before - after)[some], posted[known[some + 1]] < posted[known[some]]
                # What is shown is the worst: not one that a deleted video explains, if there is another.
                worst = int(np.lexsort((loss, ~gone & (loss >= TINY)))[-1])
                most, deleted = some[worst], bool(gone[worst])
                was, is_ = figures(before[most], after[most])
                old, new, first, last = moments.iloc[known[[most, most + 1, some[0] + 1, some[-1] + 1]]]
                yield Finding(
                    "falling_total", _severity_of_loss(table, name, loss[worst], deleted=deleted),
                    table.name, entity_at(ordered, ids, known[most]), name, first, last, len(some),
                    f"{name} fell from {was} ({moment(old)}) to {is_} ({moment(new)}), by {lost[most]:.1%}, though it "
                    f"is a total{'; the number of videos fell, too' if deleted else ''}",
                )  # fmt: skip


def _severity_of_loss(table: Table, name: str, lost: float, *, deleted: bool) -> Severity:
    """Return how bad it is that a total fell."""
    if name in MAY_FALL or lost < TINY or deleted:
        return "note"
    # Estimates may be made anew, and with a video its views go.
    return "suspect" if name.endswith("_est") or "video_id" not in table.key else "wrong"


# More than the whole ----------------------------------------------------------------------------------------


def window_conflict(held: Held) -> Iterator[Finding]:
    """Find windows that are more than a longer one, or more than the total."""
    for table, frame in held.tables():
        if "window_days" in table.names:
            yield from _windows_as_rows(held, table, frame)
        else:
            yield from _windows_as_columns(held, table, frame)


def _windows_as_rows(held: Held, table: Table, frame: pd.DataFrame) -> Iterator[Finding]:
    whom = table.key[0]
    gains = [column.name for column in table.columns if column.of == "of the window"]
    wide = frame.pivot_table(index=[whom, OBSERVED_AT.name], columns="window_days", values=gains, aggfunc="last")
    whole = next((one for one in table.endpoint.tables if one.key == (whom,)), None)
    totals = held.find(whole.name) if whole else None
    for name in gains:
        lengths = sorted(wide[name].columns) if name in wide else []  # not all windows are of all
        said = {length: f"{name} of {counted(length, 'day')}" for length in lengths}
        steps: list[Pair] = [
            (said[short], said[long], wide[name, short], wide[name, long]) for short, long in pairwise(lengths)
        ]
        total = _total_of(name)
        if totals is not None and total in totals.columns and lengths:
            known = totals.drop_duplicates([whom, OBSERVED_AT.name]).set_index([whom, OBSERVED_AT.name])[total]
            longest = lengths[-1]
            steps.append((said[longest], f"the total, {total}", wide[name, longest], known.reindex(wide.index)))
        yield from _more_than(held, "window_conflict", table, name, steps, _judge_of_window(name))


def _total_of(name: str) -> str:
    """Return the total of a gain of a window: gmv_window_est is of gmv_est, likes_gained of likes."""
    plain = name.removesuffix("_gained").replace("_window", "")
    return {"units_est": "units_sold_est"}.get(plain, plain)


def _windows_as_columns(held: Held, table: Table, frame: pd.DataFrame) -> Iterator[Finding]:
    ids = ids_of(table)
    found: dict[str, list[tuple[int, str]]] = {}
    for column in table.columns:
        parts = re.fullmatch(r"(views|likes)_(\d+)d", column.name)
        if parts and column.of == "of the window":
            found.setdefault(parts[1], []).append((int(parts[2]), column.name))
    rows = frame.set_index([*ids, OBSERVED_AT.name]) if ids and found else frame
    for total, windows in found.items():
        names = [name for _, name in sorted(windows)] + ([total] if total in table.names else [])
        for short, long in pairwise(names):
            step = (short, long, rows[short], rows[long])
            yield from _more_than(held, "window_conflict", table, short, [step], _judge_of_window(short))


def _judge_of_window(name: str) -> Judge:
    """Return how bad it is that a window has more than a longer one: what may be lost may make it so."""
    gained = re.sub(r"_gained|_window|_\d+d", "", name)

    def judge(part: float, whole: float) -> Severity:
        if gained not in MAY_FALL:
            return "wrong" if part >= TINY else "note"
        clearly = part - whole >= _MANY and part >= _CLEARLY * whole > 0
        return "suspect" if gained != "followers" and clearly else "note"  # followers come and leave every day

    return judge


def impossible_count(held: Held) -> Iterator[Finding]:
    """Find parts that are more than the whole, such as more likes than views."""
    for table, frame in held.tables():
        ids = ids_of(table)
        here = {column.name for column in table.columns if column.of == "total"}
        ways = [(part, whole) for part, whole in _PARTS if {part, whole} <= here]
        rows = frame.set_index([*ids, when_of(table)]) if ids and ways else frame
        for part, whole in ways if ids else ():
            step = (part, whole, rows[part], rows[whole])
            yield from _more_than(held, "impossible_count", table, part, [step], _judge_of_part(table, part))
        if table.name in _LISTS:
            yield from _lists_against_totals(held, table, frame)


def _judge_of_part(table: Table, part: str) -> Judge:
    """Return how bad it is that a part is more than the whole."""

    def judge(count: float, whole: float) -> Severity:
        if part.endswith("_est") or (part == "likes" and "video_id" in table.key and whole > 0):
            return "wrong" if count >= TINY else "note"
        # Views may be counted later; one may comment often; views of videos that were deleted may be gone.
        return "suspect" if count >= _MANY else "note"

    return judge


def _more_than(
    held: Held, check: str, table: Table, column: str, steps: Iterable[Pair], judge: Judge
) -> Iterator[Finding]:
    """Find where the first of two columns is more than the second, by more than what is allowed."""
    allowed, rounding = held.thresholds[check], _ROUNDING * column.endswith("_est")
    found: dict[Any, list[tuple[pd.Timestamp, float, float, str, str]]] = {}
    for said, against, part, whole in steps:
        left, right = numbers(part), numbers(whole)
        most = np.maximum(right, 0) * (1 + allowed)
        for place in np.flatnonzero((left > 0) & (left > most) & (left - right > rounding)).tolist():
            *entity, when = part.index[place]
            found.setdefault(tuple(entity), []).append((when, left[place], right[place], said, against))
    when = "on {}" if when_of(table) != OBSERVED_AT.name else "observed {}"
    for entity, each in found.items():
        moments = [one[0] for one in each]
        judged = [(judge(part_, whole_), part_ / max(whole_, 1)) for _, part_, whole_, *_ in each]
        worst = min(range(len(each)), key=lambda place: (SEVERITIES.index(judged[place][0]), -judged[place][1]))
        day, part_, whole_, said, against = each[worst]
        left_, right_ = figures(part_, whole_)
        yield Finding(
            check, judged[worst][0], table.name, words(entity), column, min(moments), max(moments), len(each),
            f"{said} is {left_}, more than the {right_} of {against} ({when.format(moment(day))}"
            f"{f'; {len(each):,} such pairs in all' if len(each) > 1 else ''})",
        )  # fmt: skip


def _lists_against_totals(held: Held, table: Table, frame: pd.DataFrame) -> Iterator[Finding]:
    """Find what the rows of a list add up to, where that is more than the total of the one whose list it is."""
    whom, whole = _LISTS[table.name]
    totals = held.find(whole)
    if totals is None or totals.empty:
        return
    allowed = max(_BETWEEN, held.thresholds["impossible_count"])
    newest = newest_of(frame, [whom, table.key[-1]])
    seen = newest.groupby(whom)[OBSERVED_AT.name].agg(["min", "max", "size"])
    known = totals.groupby(whom)[[*_SALES, OBSERVED_AT.name]].max().reindex(seen.index)
    known = known[(known[OBSERVED_AT.name] >= seen["max"] - _BEFORE).to_numpy()]
    for column in table.columns:
        if column.of != "total" or not column.name.endswith("_est"):
            continue
        total = _SALES["gmv" in column.name]
        sums = numbers(newest.groupby(whom)[column.name].sum(min_count=1).reindex(known.index))
        most = numbers(known[total])
        more = np.flatnonzero((sums > most * (1 + allowed)) & (sums - most >= TINY))
        more = more[np.argsort(-sums[more])]
        those = [(str(known.index[place]), sums[place], most[place]) for place in more.tolist()]
        if _OF_ALL in column.name:
            yield from _of_all(table, column.name, total, those, seen.loc[known.index[more]], len(known))
            continue
        for entity, sum_, own in those:
            yield Finding(
                "impossible_count", "suspect", table.name, entity, column.name, seen["min"][entity],
                seen["max"][entity], int(seen["size"][entity]),
                f"{column.name} of the rows adds up to {sum_:,.0f}, more than the {own:,.0f} of {total} in {whole}: it "
                "may be of all sellers",
            )  # fmt: skip


def _of_all(
    table: Table, column: str, total: str, those: list[tuple[str, float, float]], seen: pd.DataFrame, of: int
) -> Iterator[Finding]:
    """Find what is of all sellers, as its name says: one note, so that nobody takes it for a creator's."""
    if those:
        entity, sum_, own = those[0]
        yield Finding(
            "impossible_count", "note", table.name, "", column, seen["min"].min(), seen["max"].max(), len(those),
            f"for {len(those)} of {of} creators {column} adds up to more than the creator's {total}, for {entity} to "
            f"{sum_:,.0f} against {own:,.0f}. It is of the product over all sellers: do not sum it for a creator",
        )  # fmt: skip


# The same for all -------------------------------------------------------------------------------------------


def same_value(held: Held) -> Iterator[Finding]:
    """Find requests in which all ids have the same value."""
    least = max(int(held.thresholds["same_value"]), 2)
    for table, frame in held.tables(series=False):
        is_window = table.key[1:] == ("window_days",)
        if table.endpoint.batch == 1 or not ids_of(table) or not (is_window or len(table.key) == 1):
            continue
        kind = "of the window" if is_window else "total"
        names = [one.name for one in table.columns if one.of == kind and one.name not in _CAPPED]
        values = {name: numbers(frame[name]) for name in names}
        for those in places_by(codes_of(frame, [OBSERVED_AT.name, *table.key[1:]])):
            if len(those) >= least:
                yield from _alike(table, frame, those, {name: each[those] for name, each in values.items()}, least)


def _alike(
    table: Table, frame: pd.DataFrame, places: Any, values: dict[str, Floats], least: int
) -> Iterator[Finding]:
    """Find in one request what is too large to be the same by chance: in one column, or in several together."""
    digits = {}
    for name, each in values.items():
        known = each[~np.isnan(each)]
        if len(known) >= max(least, len(each) / 2) and (known == known[0]).all() and known[0] >= TINY:
            digits[name] = (len(known) - 1) * float(np.log10(known[0]))
    together = sum(each for each in digits.values() if each >= _LARGE) >= _TOGETHER
    alike = [name for name, each in digits.items() if each >= _ALIKE or (together and each >= _LARGE)]
    if alike:
        ids = frame[table.key[0]].iloc[places].tolist()
        said = " and ".join(f"{name} {values[name][~np.isnan(values[name])][0]:,.0f}" for name in alike)
        observed = frame[OBSERVED_AT.name].iloc[places[0]]
        known_ = min(int((~np.isnan(values[name])).sum()) for name in alike)
        those = f"all {len(ids)}" if known_ == len(ids) else f"{known_} of {len(ids)}"
        yield Finding(
            "same_value", "wrong", table.name, listed(ids, MOST_NAMED), ", ".join(alike), observed, observed, known_,
            f"{those} ids of one request have {said}; different ids should differ",
        )  # fmt: skip
