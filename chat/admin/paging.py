"""The pages of the list, and how far a search in texts reads for one page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.db.models import Q, QuerySet

from chat.history.keyset import Direction, Position, Scan, beyond, take
from chat.models import CallRecord

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# The list without a place in its address: the newest calls.
NEWEST = Scan(Direction.OLDER)


@dataclass(frozen=True)
class Page:
    """One page, newest call first, and where its neighbours start. None where there is no neighbour."""

    calls: list[CallRecord]
    newer: Position | None
    older: Position | None
    # Where a search in texts stopped although there are calls beyond. None if it reached the end.
    searched_until: Position | None = None


def read_page(calls: QuerySet[CallRecord], scan: Scan, size: int, *, texts: Q | None, search_rows: int) -> Page:
    """The page of `size` calls that the scan reaches first.

    `texts` is a condition that no index helps with. It is applied to at most `search_rows` calls. A page that ends
    there says so, and its neighbour goes on from there.
    """
    found, until = scan.over(calls), None
    if texts is not None:
        until = search_end(found, search_rows)
        found = (found if until is None else scan_until(scan, calls, until)).filter(texts)
    taken, has_more = take(found, size)
    if scan.direction is Direction.NEWER and not has_more and until is None:
        # The newest page is always a full one, so it is read from the newest end.
        return read_page(calls, NEWEST, size, texts=texts, search_rows=search_rows)
    ahead = Position.of(taken[-1]) if has_more else until
    stopped = None if has_more else until
    behind = Position.of(taken[0]) if taken and scan.start is not None else None
    if scan.direction is Direction.NEWER:
        return Page(taken[::-1], newer=ahead, older=behind, searched_until=stopped)
    return Page(taken, newer=behind, older=ahead, searched_until=stopped)


def scan_until(scan: Scan, calls: QuerySet[CallRecord], end: Position) -> QuerySet[CallRecord]:
    """The calls that the scan reaches, nearest first, up to the end and with the call that is there.

    The bound of `created_at` stands in a condition of its own. Without it the database would read on behind the end,
    and look at every call there to find that it does not fit.
    """
    at_end = Q(created_at=end.created_at, id=end.id)
    bound = "created_at__gte" if scan.direction is Direction.OLDER else "created_at__lte"
    return scan.over(calls).filter(**{bound: end.created_at}).filter(beyond(end, scan.direction.opposite) | at_end)


def search_end(scanned: QuerySet[CallRecord], search_rows: int) -> Position | None:
    """The position of the last of the first `search_rows` calls. None if there are no more calls than that."""
    last: list[tuple[datetime, int]] = list(scanned.values_list("created_at", "id")[search_rows - 1 : search_rows + 1])
    return Position(*last[0]) if len(last) > 1 else None


def read_scan(parameters: Mapping[str, str]) -> Scan:
    """The scan that a query string asks for, like `older=1778412000000000-42`. Raises ValueError."""
    for direction in Direction:
        if written := parameters.get(direction):
            return Scan(direction, read_position(written))
    return NEWEST


def read_position(written: str) -> Position:
    """The opposite of `write_position`. Raises ValueError."""
    microseconds, _, id_ = written.partition("-")
    try:
        return Position(EPOCH + timedelta(microseconds=int(microseconds)), int(id_))
    except OverflowError as error:
        raise ValueError(written) from error


def write_position(position: Position) -> str:
    """Microseconds since 1970 and the id: short, and exact."""
    return f"{(position.created_at - EPOCH) // timedelta(microseconds=1)}-{position.id}"
