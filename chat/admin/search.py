"""What the search box finds: a call by its request id, or a text in a bounded number of calls."""

from __future__ import annotations

import re

from django.db import connections
from django.db.models import Q

from chat.models import CallRecord
from chat.record.content import said
from chat.request_ids import ID_LENGTH

# Every request id of our own starts with this.
PREFIX = "req_"
# The shortest beginning of an id that is searched for. An id begins with its time, so fewer than ten digits would find
# more calls than those of the same quarter of a second.
MIN_PREFIX = len(PREFIX) + 10
# How many calls a beginning of an id finds at most.
MAX_IDS = 500
# How many calls one search in texts reads at most.
SEARCH_ROWS = 10_000
# What a request id may look like, also one that a caller has chosen.
ANY_ID = re.compile(rf"[A-Za-z0-9._-]{{8,{ID_LENGTH}}}")
# No text that goes on after a beginning comes after this character in the order of the index.
LAST_CHARACTER = "\U0010ffff"


def ids_of_requests(term: str) -> list[int] | None:
    """The primary keys of the calls whose request id is `term`, or starts with it. None if the term is a text.

    The rows are found with the unique index of the request ids alone, before any other condition is tested.
    """
    if not ANY_ID.fullmatch(term) and not term.startswith(PREFIX):
        return None
    named = CallRecord.objects.order_by().values_list("pk", flat=True)
    if exact := list(named.filter(request_id=term)):
        return exact
    if not term.startswith(PREFIX):
        return None
    if len(term) < MIN_PREFIX:
        return []
    if connections[named.db].vendor == "sqlite":
        # LIKE ignores case in SQLite, and therefore can't use the index.
        starting = named.filter(request_id__gte=term, request_id__lt=term + LAST_CHARACTER)
    else:
        starting = named.filter(request_id__startswith=term)
    return list(starting[:MAX_IDS])


def texts_with(term: str, *, bodies: bool) -> Q:
    """The condition that the term stands in a call's error message or, with `bodies`, in its messages or answer."""
    matches = Q(error_message__icontains=term)
    if bodies:
        matches |= said(term)
    return matches
