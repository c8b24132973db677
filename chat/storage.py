"""Writing calls into the database: many in one transaction, each of them exactly once."""

from __future__ import annotations

import secrets
from collections.abc import Sequence

from django.db import DatabaseError, InterfaceError, OperationalError, connection, transaction

from chat.call_rows import CallRows
from chat.late_hours import note_changes
from chat.models import ID_LENGTH, Attempt, CallContent, CallRecord

UNFINISHED = (CallRecord.Status.IN_PROGRESS, CallRecord.Status.INTERRUPTED)

SUFFIX_LENGTH = 13
"""Of what makes a request id unique that a caller has chosen twice."""

CALL_FIELDS = [field.name for field in CallRecord._meta.concrete_fields if field.name not in ("id", "request_id")]
CONTENT_FIELDS = ["messages", "parameters", "content", "completion"]


class DatabaseAway(Exception):
    """The database can't be reached, or can't write: no row is to blame, and later it may work."""


def write(batch: Sequence[CallRows]) -> list[Exception | None]:
    """Write a batch in one transaction; if a row spoils it, write each call by itself.

    Returns what is wrong with each call, None where it is committed. Raises DatabaseAway, and then nothing is known of
    the calls of this batch: `write_again` finds out.
    """
    connection.close_if_unusable_or_obsolete()
    try:
        with transaction.atomic():
            _insert([rows for rows in batch if not rows.announced])
            _replace([rows for rows in batch if rows.announced])
    except (OperationalError, InterfaceError) as error:
        raise DatabaseAway(str(error)) from error
    except Exception:  # noqa: BLE001 - whatever it is, `write_again` says which call it was
        return write_again(batch)
    return [None] * len(batch)


def write_again(batch: Sequence[CallRows]) -> list[Exception | None]:
    """Write calls that may be there already, each in a transaction of its own. Nothing is written twice."""
    connection.close_if_unusable_or_obsolete()
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


def _write_one(rows: CallRows) -> Exception | None:
    try:
        with transaction.atomic():
            there = CallRecord.objects.filter(request_id=rows.request_id).values("created_at", "status").first()
            if there is None:
                _replace([rows])
            elif there["created_at"] != rows.call["created_at"]:
                # Another call has this id: the caller chose an X-Request-ID twice. It must not be lost for that.
                rows.call["request_id"] = f"{rows.request_id[: ID_LENGTH - SUFFIX_LENGTH]}-{secrets.token_hex(6)}"
                _insert([rows])
            elif there["status"] in UNFINISHED and not rows.is_start:
                _replace([rows])
    except (OperationalError, InterfaceError) as error:
        raise DatabaseAway(str(error)) from error
    except Exception as error:  # noqa: BLE001 - goes to the one who keeps what can't be written
        return error
    return None


def _insert(batch: Sequence[CallRows]) -> None:
    calls = CallRecord.objects.bulk_create([CallRecord(**rows.call) for rows in batch])
    _insert_parts(batch, calls)


def _replace(batch: Sequence[CallRows]) -> None:
    """Insert calls, in place of the row that each may have had while it was in progress."""
    calls = CallRecord.objects.bulk_create(
        [CallRecord(**rows.call) for rows in batch],
        update_conflicts=True,
        unique_fields=["request_id"],
        update_fields=CALL_FIELDS,
    )
    _insert_parts(batch, calls, replace=True)


def _insert_parts(batch: Sequence[CallRows], calls: Sequence[CallRecord], *, replace: bool = False) -> None:
    note_changes(rows.call["created_at"] for rows in batch)
    pairs = list(zip(batch, calls, strict=True))
    contents = [CallContent(call=call, **rows.content) for rows, call in pairs if rows.content is not None]
    if replace:
        CallContent.objects.bulk_create(
            contents, update_conflicts=True, unique_fields=["call"], update_fields=CONTENT_FIELDS
        )
    else:
        CallContent.objects.bulk_create(contents)
    Attempt.objects.bulk_create([Attempt(call=call, **values) for rows, call in pairs for values in rows.attempts])


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
