"""Our books and the provider's, line by line."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Self

from stats.reconciliation.books import Books, Entry
from stats.reconciliation.names import UNNAMED

# The only line of books in which nothing is named.
ALL_MODELS = "all models"


@dataclass(frozen=True, slots=True)
class Line:
    """One thing in both books. `day` is None for a sum over all days."""

    day: dt.date | None
    name: str
    ours: Entry
    theirs: Entry

    @property
    def drift_usd(self) -> Decimal:
        """How much more our books say."""
        return self.ours.usd - self.theirs.usd

    @property
    def drift_ratio(self) -> float:
        """The drift as a part of what the provider says. If that is nothing and we say something, it is 1."""
        if not self.theirs.usd:
            return 1.0 if self.ours.usd else 0.0
        return float(self.drift_usd / self.theirs.usd)


@dataclass(frozen=True, slots=True)
class Comparison:
    """All lines by day and name, the sums of all days by name, and the sum of everything."""

    lines: tuple[Line, ...]
    sums: tuple[Line, ...]
    whole: Line

    @classmethod
    def of(cls, ours: Books, theirs: Books) -> Self:
        """Compare two books. If the provider's name nothing, only their days can be compared."""
        if theirs and {name for _, name in theirs} == {UNNAMED}:
            ours, theirs = _without_names(ours), _without_names(theirs)
        lines = [Line(*key, ours.get(key) or Entry(), theirs.get(key) or Entry()) for key in sorted({*ours, *theirs})]
        by_name: defaultdict[str, list[Line]] = defaultdict(list)
        for line in lines:
            by_name[line.name].append(line)
        sums = tuple(_sum(name, by_name[name]) for name in sorted(by_name))
        return cls(tuple(lines), sums, _sum("total", lines))


def _sum(name: str, lines: Iterable[Line]) -> Line:
    ours, theirs = Entry(), Entry()
    for line in lines:
        ours.add(line.ours)
        theirs.add(line.theirs)
    return Line(None, name, ours, theirs)


def _without_names(books: Books) -> Books:
    folded: Books = defaultdict(Entry)
    for (day, _), entry in books.items():
        folded[day, ALL_MODELS].add(entry)
    return folded
