"""Threads for what a door asks the database beside its call.

While the database is away they are all held up. So they are not the event loop's own, which find the addresses of
upstreams, and not Django's for a request, which a door does not have.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from asgiref.sync import sync_to_async
from django.db import connection

T = TypeVar("T")

_threads = ThreadPoolExecutor(max_workers=16, thread_name_prefix="database")


async def in_database_thread(work: Callable[[], T]) -> T:
    """Do it there, and give the connection back at once: a call may run for minutes."""

    def run() -> T:
        try:
            return work()
        finally:
            connection.close()

    return await sync_to_async(run, thread_sensitive=False, executor=_threads)()
