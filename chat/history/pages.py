"""The pages of GET /calls, newest calls first, and the cursors that lead from one page to the next."""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.models import QuerySet
from rest_framework.exceptions import ValidationError
from rest_framework.utils.urls import replace_query_param

from chat.history.keyset import Direction, Position, Scan, take
from chat.models import CallRecord

# What a cursor looks like inside its base64: the direction's sign, the moment in ISO 8601, and the id.
_WRITTEN = re.compile(r"([-+]) (\S{10,40}) (\d{1,18})")
_SIGNS = {Direction.OLDER: "+", Direction.NEWER: "-"}


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where a page starts: the calls that follow it are those on the far side of a position."""

    direction: Direction
    position: Position

    def __str__(self) -> str:
        written = f"{_SIGNS[self.direction]} {self.position.created_at.isoformat()} {self.position.id}"
        return base64.urlsafe_b64encode(written.encode()).decode()


def read_cursor(written: str) -> Cursor:
    """The opposite of `str(cursor)`. Raises ValidationError."""
    try:
        found = _WRITTEN.fullmatch(base64.urlsafe_b64decode(written.encode()).decode())
        created_at = datetime.fromisoformat(found[2]) if found else None
    except ValueError:
        found = created_at = None
    if found is None or created_at is None or created_at.tzinfo is None:
        raise ValidationError({"cursor": ["Must be the cursor of a `next` or `previous` link."]})
    direction = Direction.NEWER if found[1] == _SIGNS[Direction.NEWER] else Direction.OLDER
    return Cursor(direction, Position(created_at, int(found[3])))


@dataclass(frozen=True, slots=True)
class Page:
    """Some calls, newest first, and the cursors of the pages around them."""

    calls: Sequence[CallRecord]
    next: Cursor | None
    previous: Cursor | None

    def links(self, url: str) -> dict[str, str | None]:
        """The addresses of the next and the previous page: `url` with another cursor."""
        cursors = {"next": self.next, "previous": self.previous}
        return {
            name: replace_query_param(url, "cursor", str(cursor)) if cursor else None
            for name, cursor in cursors.items()
        }


def history_page(found: QuerySet[CallRecord], *, cursor: str | None, size: int) -> Page:
    """The page of `size` calls at a cursor, or the newest ones. Raises ValidationError."""
    start = read_cursor(cursor) if cursor is not None else None
    scan = Scan(start.direction, start.position) if start else Scan(Direction.OLDER)
    calls, has_more = take(scan.over(found), size)
    if not calls:
        return Page([], None, None)
    if scan.direction is Direction.NEWER:
        calls = calls[::-1]
        has_older, has_newer = True, has_more
    else:
        has_older, has_newer = has_more, start is not None
    older = Cursor(Direction.OLDER, Position.of(calls[-1]))
    newer = Cursor(Direction.NEWER, Position.of(calls[0]))
    return Page(calls, older if has_older else None, newer if has_newer else None)
