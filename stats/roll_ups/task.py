"""The background task that rolls up the history while the service runs."""

from __future__ import annotations

import asyncio
import logging
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from django.db import DatabaseError, connection

from stats.roll_ups.roll_up import roll_up_hour

logger = logging.getLogger("stats")

# How long the task waits after the start of the service, which has enough other work to do.
FIRST_SECONDS = 10.0
# How long it waits if there was nothing to roll up.
IDLE_SECONDS = 60.0


class RollUps:
    """One serves for the life of an event loop, in which `run()` is the background task.

    `close()` ends the task after the hour that it is working on.
    """

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
                # While there is a backlog, it takes at most half of the time, because calls come first.
                pause = time.monotonic() - began if more else IDLE_SECONDS

    async def _closed_within(self, seconds: float) -> bool:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._closing.wait(), seconds)
        return self._closing.is_set()


def _roll_up_hour() -> bool:
    try:
        return roll_up_hour()
    except DatabaseError as error:
        # Only time is lost: an hour that is not rolled up is counted call by call.
        logger.warning("roll_up_failed", extra={"error": type(error).__name__})
        return False
    finally:
        connection.close()
