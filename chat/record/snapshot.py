"""Lets several queries read one state of the database, without making a writer wait."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connections, transaction


@contextmanager
def read_snapshot(using: str = DEFAULT_DB_ALIAS) -> Iterator[None]:
    """All queries inside see the database as it was at the first of them. Nothing may be written inside.

    Inside a transaction that is already open, that transaction decides what the queries see.
    """
    connection: Any = connections[using]
    if connection.in_atomic_block:
        yield
    elif connection.vendor == "sqlite":
        with _deferred(connection), transaction.atomic(using):
            yield
    elif connection.vendor == "postgresql":
        with transaction.atomic(using):
            with connection.cursor() as cursor:
                # With READ COMMITTED, which is the default, each statement would see a state of its own.
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            yield
    else:
        with transaction.atomic(using):
            yield


@contextmanager
def _deferred(connection: Any) -> Iterator[None]:
    """Transactions inside begin without SQLite's write lock.

    The settings ask for IMMEDIATE transactions, which take the write lock even for reading. In WAL mode, a DEFERRED one
    that only reads neither waits for the writer nor makes it wait.

    Django documents the option `transaction_mode` and not this attribute of the connection, which was checked with
    Django 5.2. `tests/chat/record/test_snapshot.py` fails if the attribute changes.
    """
    connection.ensure_connection()  # connecting sets `transaction_mode` from the settings
    mode = connection.transaction_mode
    connection.transaction_mode = "DEFERRED"
    try:
        yield
    finally:
        connection.transaction_mode = mode
