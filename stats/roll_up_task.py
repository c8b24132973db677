"""The service's own task that sums up the history while it runs."""

from __future__ import annotations

import asyncio
import logging
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from django.db import DatabaseError, connection

from stats.roll_up import roll_up_hour

logger = logging.getLogger("stats")

FIRST_SECONDS = 10.0
"""After the start, which has enough to do without it."""
IDLE_SECONDS = 60.0


class RollUps:
    """One for the life of an event loop: `run()` is its task, `close()` ends it after the hour that it is at."""

    def __init__(self, first_seconds: float = FIRST_SECONDS) -> None:
        self._first_seconds = first_seconds
        self._closing = asyncio.Event()

    def close(self) -> None:
        self._closing.set()

    async def run(self) -> None:
        pause = self._first_seconds
        with ThreadPoolExecutor(max_workers=1, thread_name_prefix="roll-up") as thread:
            while not await self._closed_within(pause):
                began = time.monotonic()
                more = await asyncio.get_running_loop().run_in_executor(thread, _roll_up_hour)
                # A backlog takes half of the time, at most: calls come first.
                pause = time.monotonic() - began if more else IDLE_SECONDS

    async def _closed_within(self, seconds: float) -> bool:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._closing.wait(), seconds)
        return self._closing.is_set()


def _roll_up_hour() -> bool:
    try:
        return roll_up_hour()
    except DatabaseError as error:
        # Nothing is lost but time: what is not summed up is counted call by call.
        logger.warning("roll_up_failed", extra={"error": type(error).__name__})
        return False
    finally:
        connection.close()
