"""The database as the service uses it beside Django's requests: its threads, its connections, and whether it works."""

from __future__ import annotations

from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from asgiref.sync import sync_to_async
from django.db import DatabaseError, InterfaceError, OperationalError, connection, transaction

T = TypeVar("T")

# The threads in which a door asks the database. While the database is away, all of them may be held up. That is why
# they are not the event loop's own threads, which look up the addresses of upstreams, and not Django's thread for a
# request, which a door does not have.
_threads = ThreadPoolExecutor(max_workers=16, thread_name_prefix="database")


class DatabaseAway(Exception):
    """The database can't be reached, or can't write. No row is to blame, and the same work may succeed later."""


@contextmanager
def database_away_raised() -> Generator[None]:
    """Raise the errors that say that the database is away as DatabaseAway. Other errors pass through."""
    try:
        yield
    except (OperationalError, InterfaceError) as error:
        raise DatabaseAway(str(error)) from error


async def in_database_thread(work: Callable[[], T]) -> T:
    """Do some work with the database in a thread, and give the connection back at once: a call may run for minutes."""

    def run() -> T:
        try:
            return work()
        finally:
            connection.close()

    return await sync_to_async(run, thread_sensitive=False, executor=_threads)()


def prepare_connection() -> None:
    """Make sure, before the recorder's thread works, that it does not use a connection that the server has closed.

    A connection that works is kept. Opening one of SQLite takes longer than writing a batch, and closing the last one
    of a process copies the whole write-ahead log. One of PostgreSQL would go back into the pool, and the next batch
    would have to wait while reads of a long history hold all connections of the pool.
    """
    if connection.vendor == "sqlite":
        if connection.errors_occurred:
            connection.close_if_unusable_or_obsolete()
    elif connection.connection is not None and not connection.is_usable():
        connection.close()


def database_state() -> str:
    """`ok`, or the class of the error. Never its text, which may hold an address or a name."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError as error:
        return type(error).__name__
    return "ok"


def can_write() -> bool:
    """Whether a call could be written. For a thread that has no other use for the database.

    It asks inside a transaction, because that takes SQLite's write lock. Without it, a database that another process
    has locked could still be read, and would look as if it worked.
    """
    try:
        with transaction.atomic():
            return database_state() == "ok"
    except DatabaseError:
        return False
    finally:
        connection.close()
