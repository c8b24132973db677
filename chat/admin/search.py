"""What the search box finds: a call by its request id, at once; or a text, in a bounded number of calls."""

from __future__ import annotations

import re

from django.db import connections
from django.db.models import Q

from chat.models import CallRecord
from chat.record.content import said
from chat.request_ids import ID_LENGTH

PREFIX = "req_"
MIN_PREFIX = len(PREFIX) + 10
"""An id begins with its time: calls of the same quarter of a second share ten digits."""
MAX_IDS = 500
SEARCH_ROWS = 10_000
"""How many calls one search in the texts reads at most."""

ANY_ID = re.compile(rf"[A-Za-z0-9._-]{{8,{ID_LENGTH}}}")
LAST_CHARACTER = "\U0010ffff"


def ids_of_requests(term: str) -> list[int] | None:
    """The primary keys of the calls whose request id is `term`, or starts with it. Null: the term is a text.

    The rows are found by the unique index of the request ids alone, before any other condition is looked at.
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
        # LIKE ignores case there, and so the index.
        starting = named.filter(request_id__gte=term, request_id__lt=term + LAST_CHARACTER)
    else:
        starting = named.filter(request_id__startswith=term)
    return list(starting[:MAX_IDS])


def texts_with(term: str, *, bodies: bool) -> Q:
    """The calls whose error message has the term in it; with `bodies`, also their messages and their answer."""
    matches = Q(error_message__icontains=term)
    if bodies:
        matches |= said(term)
    return matches
