"""Pages by position instead of by number, so that nothing is counted and the last page is as quick as the first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.db.models import Q, QuerySet

from chat.models import CallRecord

OLDER = "older"
NEWER = "newer"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Position:
    """A place in the list: that of one call, whether or not the call still exists."""

    created_at: datetime
    id: int

    @classmethod
    def of(cls, call: CallRecord) -> Position:
        return cls(call.created_at, call.pk)

    @classmethod
    def read(cls, written: str) -> Position:
        """The opposite of `str`. Raises ValueError."""
        microseconds, _, id_ = written.partition("-")
        try:
            return cls(EPOCH + timedelta(microseconds=int(microseconds)), int(id_))
        except OverflowError as error:
            raise ValueError(written) from error

    def __str__(self) -> str:
        return f"{(self.created_at - EPOCH) // timedelta(microseconds=1)}-{self.id}"


@dataclass(frozen=True)
class Cursor:
    """Where a page starts, and which way it goes."""

    direction: str = OLDER
    start: Position | None = None

    @classmethod
    def read(cls, parameters: Mapping[str, str]) -> Cursor:
        """From a query string. Raises ValueError."""
        for direction in (OLDER, NEWER):
            if written := parameters.get(direction):
                return cls(direction, Position.read(written))
        return cls()

    def walk(self, calls: QuerySet[CallRecord]) -> QuerySet[CallRecord]:
        """The calls beyond the start, nearest first."""
        back = self.direction == OLDER
        ordered = calls.order_by("-created_at", "-id") if back else calls.order_by("created_at", "id")
        return ordered if self.start is None else ordered.filter(_beyond(self.start, back=back))

    def walk_until(self, calls: QuerySet[CallRecord], end: Position) -> QuerySet[CallRecord]:
        """The calls beyond the start, nearest first, up to and with the end."""
        at_end = Q(created_at=end.created_at, id=end.id)
        # The bounds are said outright, or the database would walk on behind the end to find that nothing fits.
        if self.direction == OLDER:
            return self.walk(calls).filter(created_at__gte=end.created_at).filter(_beyond(end, back=False) | at_end)
        return self.walk(calls).filter(created_at__lte=end.created_at).filter(_beyond(end, back=True) | at_end)


@dataclass(frozen=True)
class Page:
    """One page, newest call first, and where its neighbours start. Null where there is none."""

    calls: list[CallRecord]
    newer: Position | None
    older: Position | None
    searched_until: Position | None = None
    """Where a search in the texts stopped, though there are calls beyond."""


def read_page(calls: QuerySet[CallRecord], cursor: Cursor, size: int, *, texts: Q | None, search_rows: int) -> Page:
    """The page at the cursor.

    `texts` is a condition that no index helps with. It is put to `search_rows` calls at most; a page that ends there
    says so, and its neighbour goes on from there.
    """
    found, until = cursor.walk(calls), None
    if texts is not None:
        until = search_end(found, search_rows)
        found = (found if until is None else cursor.walk_until(calls, until)).filter(texts)
    rows = list(found[: size + 1])
    there_is_more = len(rows) > size
    del rows[size:]
    if cursor.direction == NEWER and not there_is_more and until is None:
        # The newest page is always a full one.
        return read_page(calls, Cursor(), size, texts=texts, search_rows=search_rows)
    ahead = Position.of(rows[-1]) if there_is_more else until
    stopped = None if there_is_more else until
    behind = Position.of(rows[0]) if rows and cursor.start is not None else None
    if cursor.direction == NEWER:
        return Page(rows[::-1], newer=ahead, older=behind, searched_until=stopped)
    return Page(rows, newer=behind, older=ahead, searched_until=stopped)


def search_end(walked: QuerySet[CallRecord], search_rows: int) -> Position | None:
    """The last of the first `search_rows` calls. Null if there are no more than that."""
    last: list[tuple[datetime, int]] = list(walked.values_list("created_at", "id")[search_rows - 1 : search_rows + 1])
    return Position(*last[0]) if len(last) > 1 else None


def _beyond(position: Position, *, back: bool) -> Q:
    """(created_at, id) < position, or >: written so that every database walks the index from there."""
    if back:
        return Q(created_at__lte=position.created_at) & (Q(created_at__lt=position.created_at) | Q(id__lt=position.id))
    return Q(created_at__gte=position.created_at) & (Q(created_at__gt=position.created_at) | Q(id__gt=position.id))
