"""Reading calls by position instead of by page number.

Calls are ordered by (created_at, id). A position is a place in that order, so no call is skipped or shown twice when
others are added or deleted, nothing has to be counted, and the last page is as quick to read as the first.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from django.db.models import Q, QuerySet

from chat.models import CallRecord


class Direction(StrEnum):
    """Which way a scan reads the history."""

    OLDER = "older"
    NEWER = "newer"

    @property
    def opposite(self) -> Direction:
        return Direction.NEWER if self is Direction.OLDER else Direction.OLDER


@dataclass(frozen=True, slots=True)
class Position:
    """The place of one call in the history, whether or not that call still exists."""

    created_at: datetime
    id: int

    @classmethod
    def of(cls, call: CallRecord) -> Position:
        return cls(call.created_at, call.pk)


@dataclass(frozen=True, slots=True)
class Scan:
    """A keyset scan of the history: from a position on, or from one end of the history if there is none."""

    direction: Direction
    start: Position | None = None

    def over(self, calls: QuerySet[CallRecord]) -> QuerySet[CallRecord]:
        """Those of the calls that lie beyond the start, nearest first."""
        ordered = calls.order_by(*_ORDERINGS[self.direction])
        return ordered if self.start is None else ordered.filter(beyond(self.start, self.direction))


def beyond(position: Position, direction: Direction) -> Q:
    """The condition that a call is older, or newer, than a position.

    The bound of `created_at` stands in a condition of its own, because databases find their place in the index by it.
    """
    at, id_ = position.created_at, position.id
    if direction is Direction.OLDER:
        return Q(created_at__lte=at) & (Q(created_at__lt=at) | Q(id__lt=id_))
    return Q(created_at__gte=at) & (Q(created_at__gt=at) | Q(id__gt=id_))


def take(scanned: QuerySet[CallRecord], size: int) -> tuple[list[CallRecord], bool]:
    """The first `size` calls, and whether there are more of them."""
    calls = list(scanned[: size + 1])
    return calls[:size], len(calls) > size


_ORDERINGS = {Direction.OLDER: ("-created_at", "-id"), Direction.NEWER: ("created_at", "id")}
