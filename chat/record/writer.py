"""Writing calls into the database: many in one transaction, each of them exactly once."""

from __future__ import annotations

import secrets
from collections.abc import Sequence

from django.db import DatabaseError, InterfaceError, OperationalError, connection, transaction

from chat.models import ID_LENGTH, Attempt, CallRecord
from chat.record.bulk_insert import Table
from chat.record.call_rows import CallRows
from chat.record.content import write_contents
from chat.record.late_hours import note_changes

UNFINISHED = (CallRecord.Status.IN_PROGRESS, CallRecord.Status.INTERRUPTED)

SUFFIX_LENGTH = 13
"""Of what makes a request id unique that a caller has chosen twice."""

CALLS = Table(CallRecord)
ATTEMPTS = Table(Attempt)


class DatabaseAway(Exception):
    """The database can't be reached, or can't write: no row is to blame, and later it may work."""


def write(batch: Sequence[CallRows]) -> list[Exception | None]:
    """Write a batch in one transaction; if a row spoils it, write each call by itself.

    Returns what is wrong with each call, None where it is committed. Raises DatabaseAway, and then nothing is known of
    the calls of this batch: `write_again` finds out.
    """
    look_at_connection()
    try:
        with transaction.atomic():
            _insert([rows for rows in batch if not rows.announced])
            _insert([rows for rows in batch if rows.announced], replace=True)
    except (OperationalError, InterfaceError) as error:
        raise DatabaseAway(str(error)) from error
    except Exception:  # noqa: BLE001 - whatever it is, `write_again` says which call it was
        return write_again(batch)
    return [None] * len(batch)


def write_again(batch: Sequence[CallRows]) -> list[Exception | None]:
    """Write calls that may be there already, each in a transaction of its own. Nothing is written twice."""
    look_at_connection()
    finished = {rows.request_id for rows in batch if not rows.is_start}
    try:
        with transaction.atomic():
            ids = [rows.request_id for rows in batch]
            there = set(CallRecord.objects.filter(request_id__in=ids).values_list("request_id", flat=True))
            if not there and len(finished) == len(batch):
                _insert(batch)
                return [None] * len(batch)
    except (OperationalError, InterfaceError) as error:
        raise DatabaseAway(str(error)) from error
    except Exception:  # noqa: BLE001, S110 - one of them is to blame, and below each stands for itself
        pass
    return [_write_one(rows) for rows in batch]


def look_at_connection() -> None:
    """For the recorder's thread, before it works: take no connection that a restart of the server has cut, and give
    none back that is good.

    Opening SQLite's takes longer than a batch does, and closing the last one of a process copies the whole of its
    write-ahead log. PostgreSQL's would go back into the pool, and the next batch would wait where reads of a long
    history hold all of it.
    """
    if connection.vendor == "sqlite" and not connection.errors_occurred:
        return
    if connection.vendor == "sqlite":
        connection.close_if_unusable_or_obsolete()
    elif connection.connection is not None and not connection.is_usable():
        connection.close()


def _write_one(rows: CallRows) -> Exception | None:
    try:
        with transaction.atomic():
            there = CallRecord.objects.filter(request_id=rows.request_id).values("created_at", "status").first()
            if there is None:
                _insert([rows], replace=True)
            elif there["created_at"] != rows.call["created_at"]:
                # Another call has this id: the caller chose an X-Request-ID twice. It must not be lost for that.
                rows.call["request_id"] = f"{rows.request_id[: ID_LENGTH - SUFFIX_LENGTH]}-{secrets.token_hex(6)}"
                _insert([rows])
            elif there["status"] in UNFINISHED and not rows.is_start:
                _insert([rows], replace=True)
    except (OperationalError, InterfaceError) as error:
        raise DatabaseAway(str(error)) from error
    except Exception as error:  # noqa: BLE001 - goes to the one who keeps what can't be written
        return error
    return None


def _insert(batch: Sequence[CallRows], *, replace: bool = False) -> None:
    """Insert calls; with `replace`, in place of the row that each may have had while it was in progress."""
    note_changes(rows.call["created_at"] for rows in batch)
    unique = "request_id" if replace else ""
    ids = {
        request_id: call_id
        for call_id, request_id in CALLS.insert(
            [rows.call for rows in batch], unique=unique, returning=("id", "request_id")
        )
    }
    parts = [(ids[rows.request_id], rows) for rows in batch]
    write_contents([(call_id, rows.content) for call_id, rows in parts if rows.content is not None], replace=replace)
    ATTEMPTS.insert([{"call_id": call_id, **attempt} for call_id, rows in parts for attempt in rows.attempts])


def database_state() -> str:
    """`ok`, or the kind of error; never its text, which may hold an address or a name."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError as error:
        return type(error).__name__
    return "ok"


def probe() -> bool:
    """Could a call be written? For a thread that has no other use for the database.

    In a transaction, because that is what takes SQLite's write lock: one can read a database that another has locked.
    """
    try:
        with transaction.atomic():
            return database_state() == "ok"
    except DatabaseError:
        return False
    finally:
        connection.close()
