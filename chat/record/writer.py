"""Writing calls into the database: many in one transaction, and each of them exactly once."""

from __future__ import annotations

from collections.abc import Sequence

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

CALLS = Table(CallRecord)
ATTEMPTS = Table(Attempt)


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
            written = CallRecord.objects.filter(request_id=rows.request_id).values("created_at", "status").first()
            if written is None:
                _insert([rows], replace=True)
            elif written["created_at"] != rows.call["created_at"]:
                # Another call has this id, because a caller chose an X-Request-ID twice. Both calls are kept.
                rows.call["request_id"] = with_suffix(rows.request_id)
                _insert([rows])
            elif written["status"] in UNFINISHED and not rows.is_start:
                _insert([rows], replace=True)
    except DatabaseAway:
        raise
    except Exception as error:  # noqa: BLE001 - the caller keeps the call that can't be written in a file
        return error
    return None


def _amend(rows: CallRows) -> bool:
    """Put these rows in the place of those that their call has had since its end. False if it has none.

    The call's id may have been given a suffix, so its row is found by its moment as well. A call that wrote its first
    rows into a spool may have none in the database yet. They are left alone there when the spool is replayed.
    """
    written = CallRecord.objects.filter(
        created_at=rows.call["created_at"], request_id__startswith=common_start(rows.request_id)
    )
    if (found := written.values_list("id", "request_id").first()) is None:
        return False
    call_id, rows.call["request_id"] = found
    Attempt.objects.filter(call_id=call_id).delete()
    _insert([rows], replace=True)
    return True


def _insert(batch: Sequence[CallRows], *, replace: bool = False) -> None:
    """Insert calls. With `replace`, each takes the place of the row that it may have had while it was in progress."""
    note_changes(rows.call["created_at"] for rows in batch)
    inserted = CALLS.insert(
        [rows.call for rows in batch], unique="request_id" if replace else "", returning=("id", "request_id")
    )
    ids = {request_id: call_id for call_id, request_id in inserted}
    parts = [(ids[rows.request_id], rows) for rows in batch]
    write_contents([(call_id, rows.content) for call_id, rows in parts if rows.content is not None], replace=replace)
    ATTEMPTS.insert([{"call_id": call_id, **attempt} for call_id, rows in parts for attempt in rows.attempts])
