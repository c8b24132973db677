"""What one day of one model comes to, in our books and in the provider's."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from dataclasses import dataclass
from decimal import Decimal


class ReconcileError(Exception):
    """The books can't be compared. The text says why in one line, and never holds a key."""


@dataclass(slots=True)
class Entry:
    """Sums over some requests. `estimated_usd` is the part of `usd` that is our guess.

    `incomplete` is how many requests have used something of which no price is known, so that they cost more.
    """

    usd: Decimal = Decimal(0)
    requests: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    estimated_usd: Decimal = Decimal(0)
    incomplete: int = 0

    def add(self, other: Entry) -> None:
        self.usd += other.usd
        self.requests += other.requests
        self.prompt_tokens += other.prompt_tokens
        self.completion_tokens += other.completion_tokens
        self.estimated_usd += other.estimated_usd
        self.incomplete += other.incomplete


# By day, in UTC, and by what is compared: a model, or something else that is on the bill.
Books = defaultdict[tuple[dt.date, str], Entry]


def no_books() -> Books:
    return defaultdict(Entry)


@dataclass(frozen=True, slots=True)
class Days:
    """Whole days in UTC, from `since` up to `until`, without `until` itself. The provider's buckets are such days."""

    since: dt.date
    until: dt.date

    def __contains__(self, day: dt.date) -> bool:
        return self.since <= day < self.until

    @property
    def begin(self) -> dt.datetime:
        return dt.datetime.combine(self.since, dt.time(), dt.UTC)

    @property
    def end(self) -> dt.datetime:
        return dt.datetime.combine(self.until, dt.time(), dt.UTC)
