"""Several queries, one state of the database, and no writer kept waiting."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connections, transaction


@contextmanager
def read_snapshot(using: str = DEFAULT_DB_ALIAS) -> Iterator[None]:
    """All reads inside see the database as it was at the first of them. For reading only.

    Inside a transaction that is open already, that transaction decides what is seen.
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
                # The default, READ COMMITTED, gives every statement a snapshot of its own.
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            yield
    else:
        with transaction.atomic(using):
            yield


@contextmanager
def _deferred(connection: Any) -> Iterator[None]:
    """Transactions begin without the write lock, which the settings' IMMEDIATE would take even to read.

    Under WAL such a transaction neither waits for the writer nor makes it wait.
    """
    connection.ensure_connection()  # Connecting sets `transaction_mode` from the settings.
    mode = connection.transaction_mode
    connection.transaction_mode = "DEFERRED"
    try:
        yield
    finally:
        connection.transaction_mode = mode
