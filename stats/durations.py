"""All durations of a set of calls, and what is said of them: the average and exact percentiles.

By nearest rank: the p-th percentile of n values is the one at ceil(p * n / 100) when they are sorted. Nothing is
interpolated, so every figure is one that a caller really waited for. That takes every value, but each only as often as
it differs from the others: values are counted, never sorted one by one.
"""

from __future__ import annotations

import sys
from array import array
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from stats.figures import Percentiles

PERCENTS = (50, 95, 99)
UNSIGNED_32_BITS = "I"


def packed(values: Iterable[int]) -> bytes:
    """Values from 0 to 2**32 - 1, four bytes each, the lowest first."""
    numbers = array(UNSIGNED_32_BITS, values)
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers.tobytes()


def unpacked(data: bytes) -> array[int]:
    numbers = array(UNSIGNED_32_BITS)
    numbers.frombytes(data)
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers


@dataclass(slots=True)
class Durations:
    """In milliseconds: some as they are packed in roll-ups, some counted by value."""

    packs: list[bytes] = field(default_factory=list)
    counts: Counter[int] = field(default_factory=Counter)

    def add(self, other: Durations) -> None:
        self.packs += other.packs
        self.counts.update(other.counts)

    def counted(self) -> Counter[int]:
        """How often there is each value. Pack by pack, so that other threads of the process get a turn in between."""
        counts = self.counts.copy()
        for first in range(0, len(self.packs), 500):
            counts.update(unpacked(b"".join(self.packs[first : first + 500])))
        return counts


def average(counts: Counter[int]) -> float | None:
    known = counts.total()
    return sum(value * times for value, times in counts.items()) / known if known else None


def percentiles(counts: Counter[int]) -> Percentiles:
    known = counts.total()
    ranks = [(percent * known + 99) // 100 for percent in PERCENTS]
    found: list[int] = []
    reached = 0
    for value in sorted(counts):
        reached += counts[value]
        while len(found) < len(ranks) and reached >= ranks[len(found)]:
            found.append(value)
    return Percentiles(*found)
