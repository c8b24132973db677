"""Pages of the history, newest first. A cursor is a call's instant and id, so none is skipped or shown twice."""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Q, QuerySet
from rest_framework.exceptions import ValidationError
from rest_framework.utils.urls import replace_query_param

from chat.models import CallRecord

_WRITTEN = re.compile(r"([-+]) (\S{10,40}) (\d{1,18})")


@dataclass(frozen=True, slots=True)
class Cursor:
    """A place in the history: the older calls follow it, or with `backwards` the newer ones."""

    created_at: datetime
    id: int
    backwards: bool = False

    def __str__(self) -> str:
        written = f"{'-' if self.backwards else '+'} {self.created_at.isoformat()} {self.id}"
        return base64.urlsafe_b64encode(written.encode()).decode()


def read_cursor(written: str) -> Cursor:
    """Raises ValidationError."""
    try:
        found = _WRITTEN.fullmatch(base64.urlsafe_b64decode(written.encode()).decode())
        created_at = datetime.fromisoformat(found[2]) if found else None
    except ValueError:
        found = created_at = None
    if found is None or created_at is None or created_at.tzinfo is None:
        raise ValidationError({"cursor": ["Must be the cursor of a `next` or `previous` link."]})
    return Cursor(created_at, int(found[3]), backwards=found[1] == "-")


@dataclass(frozen=True, slots=True)
class Page:
    """Some calls, newest first, and the cursors of the pages around them."""

    calls: Sequence[CallRecord]
    next: Cursor | None
    previous: Cursor | None

    def links(self, url: str) -> dict[str, str | None]:
        """`next` and `previous` as addresses like `url`."""
        cursors = {"next": self.next, "previous": self.previous}
        return {
            name: replace_query_param(url, "cursor", str(cursor)) if cursor else None
            for name, cursor in cursors.items()
        }


def history_page(found: QuerySet[CallRecord], *, cursor: str | None, size: int) -> Page:
    """The page of `size` calls at a cursor, or the newest ones. Raises ValidationError."""
    place = read_cursor(cursor) if cursor is not None else None
    backwards = place is not None and place.backwards
    if place:
        way, at = ("gt" if backwards else "lt"), place.created_at
        beyond = Q(**{f"created_at__{way}": at}) | Q(created_at=at, **{f"id__{way}": place.id})
        found = found.filter(beyond, **{f"created_at__{way}e": at})  # the second lets the index find the place
    ordering = ("created_at", "id") if backwards else ("-created_at", "-id")
    rows = list(found.order_by(*ordering)[: size + 1])
    more, calls = len(rows) > size, rows[:size]
    if backwards:
        calls.reverse()
    if not calls:
        return Page([], None, None)
    older = Cursor(calls[-1].created_at, calls[-1].pk)
    newer = Cursor(calls[0].created_at, calls[0].pk, backwards=True)
    has_older, has_newer = (True, more) if backwards else (more, place is not None)
    return Page(calls, older if has_older else None, newer if has_newer else None)
