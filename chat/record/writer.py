"""Writing calls into the database: many in one transaction, and each of them exactly once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.db import transaction

from chat.models import Attempt, CallRecord
from chat.record.bulk_insert import Table
from chat.record.call_rows import CallRows
from chat.record.content import write_contents
from chat.record.database import DatabaseAway, database_away_raised, prepare_connection
from chat.record.late_hours import note_changes
from chat.request_ids import common_start, with_suffix

# A row with one of these statuses is replaced when its call ends.
UNFINISHED = (CallRecord.Status.IN_PROGRESS, CallRecord.Status.INTERRUPTED)

# Two rows with the same id are of the same call only if they have the same moment and the same API key.
SAME_CALL = ("created_at", "api_key")

CALLS = Table(CallRecord)
ATTEMPTS = Table(Attempt)


class IdTaken(Exception):
    """The row that was to be replaced is another call's, whose caller chose the same X-Request-ID."""


def write(batch: Sequence[CallRows]) -> list[Exception | None]:
    """Write a batch in one transaction. If one of its rows makes that fail, write each call by itself.

    Returns what is wrong with each call, None where it is committed. Raises DatabaseAway. Then it is not known whether
    the batch was committed, and `write_again` has to find out.
    """
    prepare_connection()
    try:
        with database_away_raised(), transaction.atomic():
            _insert([rows for rows in batch if not rows.announced and not rows.amends])
            _insert([rows for rows in batch if rows.announced and not rows.amends], replace=True)
            for rows in batch:
                if rows.amends and not _amend(rows):
                    _insert([rows])
    except DatabaseAway:
        raise
    except Exception:  # noqa: BLE001 - `write_again` finds out which call is to blame
        return write_again(batch)
    return [None] * len(batch)


def write_again(batch: Sequence[CallRows]) -> list[Exception | None]:
    """Write calls that may have been written already, each in a transaction of its own. None is written twice.

    Returns and raises the same as `write`.
    """
    prepare_connection()
    try:
        with database_away_raised(), transaction.atomic():
            if _all_are_new(batch):
                _insert(batch)
                return [None] * len(batch)
    except DatabaseAway:
        raise
    except Exception:  # noqa: BLE001, S110 - one call is to blame, so each is written by itself below
        pass
    return [_write_one(rows) for rows in batch]


def _all_are_new(batch: Sequence[CallRows]) -> bool:
    """Whether no call has a row, and no two of them can have the same id: then they can be written at once."""
    ids = {rows.request_id for rows in batch if not rows.is_start}
    return len(ids) == len(batch) and not CallRecord.objects.filter(request_id__in=ids).exists()


def _write_one(rows: CallRows) -> Exception | None:
    try:
        with database_away_raised(), transaction.atomic():
            if rows.amends and _amend(rows):
                return None
            if (own := _own_row(rows)) is None:
                if CallRecord.objects.filter(request_id=rows.request_id).exists():
                    # Another call has this id, because a caller chose an X-Request-ID twice. Both calls are kept.
                    rows.call["request_id"] = with_suffix(rows.request_id)
                _insert([rows])
                return None
            rows.call["request_id"] = own["request_id"]
            if own["status"] in UNFINISHED and not rows.is_start:
                _insert([rows], replace=True)
    except DatabaseAway:
        raise
    except Exception as error:  # noqa: BLE001 - the caller keeps the call that can't be written in a file
        return error
    return None


def _amend(rows: CallRows) -> bool:
    """Put these rows in the place of those that their call has had since its end. False if it has none.

    A call that wrote its first rows into a spool may have none in the database yet. They are left alone there when the
    spool is replayed.
    """
    if (own := _own_row(rows)) is None:
        return False
    rows.call["request_id"] = own["request_id"]
    Attempt.objects.filter(call_id=own["id"]).delete()
    _insert([rows], replace=True)
    return True


def _own_row(rows: CallRows) -> Mapping[str, Any] | None:
    """The row that the same call has already: `id`, `request_id` and `status`; None if it has none.

    The id alone does not tell, because a caller may choose an id that another call has, and because the call itself may
    have been given a suffix. So the row is found by its moment and its key as well.
    """
    found = CallRecord.objects.filter(
        created_at=rows.call["created_at"],
        api_key=rows.call.get("api_key", ""),
        request_id__startswith=common_start(rows.request_id),
    )
    return found.values("id", "request_id", "status").first()


def _insert(batch: Sequence[CallRows], *, replace: bool = False) -> None:
    """Insert calls. With `replace`, each takes the place of the row that it may have had while it was in progress.

    Raises IdTaken if that row is another call's, and the database's errors. Then nothing of the batch must be kept.
    """
    note_changes(rows.call["created_at"] for rows in batch)
    inserted = CALLS.insert(
        [rows.call for rows in batch],
        unique="request_id" if replace else "",
        only_if_same=SAME_CALL if replace else (),
        returning=("id", "request_id"),
    )
    if len(inserted) < len(batch):
        raise IdTaken
    ids = {request_id: call_id for call_id, request_id in inserted}
    parts = [(ids[rows.request_id], rows) for rows in batch]
    write_contents([(call_id, rows.content) for call_id, rows in parts if rows.content is not None], replace=replace)
    ATTEMPTS.insert([{"call_id": call_id, **attempt} for call_id, rows in parts for attempt in rows.attempts])
