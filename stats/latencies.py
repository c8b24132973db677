"""All latencies of a set of calls, their average and their exact percentiles.

Percentiles are by nearest rank: the p-th percentile of n sorted values is the one at position ceil(p * n / 100).
Nothing is interpolated, so each percentile is a time that a caller really waited. This takes every value into account,
but equal values are counted together, so that only the different values must be sorted.
"""

from __future__ import annotations

import sys
from array import array
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from stats.statistics import Percentiles

# The percentiles that /stats answers, in the order of the fields of `Percentiles`.
PERCENTS = (50, 95, 99)

# The type code of Python's `array` for unsigned numbers of four bytes.
UNSIGNED_32_BITS = "I"

# How many packs are counted at a time. In between, the other threads of the process get a turn.
PACKS_AT_A_TIME = 500


def packed(values: Iterable[int]) -> bytes:
    """Values from 0 to 2**32 - 1 as four bytes each, the least significant byte first."""
    numbers = array(UNSIGNED_32_BITS, values)
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers.tobytes()


def unpacked(data: bytes) -> array[int]:
    """The values that `packed` has packed."""
    numbers = array(UNSIGNED_32_BITS)
    numbers.frombytes(data)
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers


@dataclass(slots=True)
class Latencies:
    """In milliseconds. Some are still packed, as roll-ups store them, and others are counted by value."""

    packs: list[bytes] = field(default_factory=list)
    counts: Counter[int] = field(default_factory=Counter)

    def add(self, other: Latencies) -> None:
        self.packs += other.packs
        self.counts.update(other.counts)

    def counted(self) -> Counter[int]:
        """How often each value occurs."""
        counts = self.counts.copy()
        for first in range(0, len(self.packs), PACKS_AT_A_TIME):
            counts.update(unpacked(b"".join(self.packs[first : first + PACKS_AT_A_TIME])))
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
