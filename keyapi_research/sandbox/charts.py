"""What the lists of trending hashtags and of trending sounds have in common: who is in, and who has moved."""

from __future__ import annotations

from collections.abc import Container, Iterable

from .curves import Curve

Place = tuple[str, int | None]  # an entry, and its rank in the list of the period before


def chart(
    entries: Iterable[tuple[float, str, Curve]],
    *,
    now: int,
    period: int,
    most: int,
    most_before: int,
    kept: Container[str],
) -> list[Place]:
    """Return the list of a day, of entries with their size; those of ``kept`` are in it however they do."""
    recent = max(3, period // 6)
    current, earlier = [], []
    for size, name, curve in entries:
        current.append((-size * curve.mean(now - recent, now, samples=3), name))
        earlier.append((-size * curve.mean(now - period - recent, now - period, samples=3), name))
    before = {name: rank for rank, (_, name) in enumerate(sorted(earlier)[:most_before], start=1)}
    chosen = sorted(current, key=lambda entry: (entry[1] not in kept, entry))[:most]
    return [(name, before.get(name)) for _, name in sorted(chosen)]


def movement(rank: int, before: int | None) -> dict[str, int]:
    """Return how an entry of a list has moved: by how many places, and which way; of a new one, that it is new."""
    if before is None:
        return {"rank_diff_type": 4}
    return {"rank_diff": abs(before - rank), "rank_diff_type": 1 if before > rank else 3 if before < rank else 2}
