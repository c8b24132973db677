"""The recorder: the one task of a process that writes calls.

A request hands over its rows and waits until they are safe. Rows that arrive together share a transaction (group
commit), so under load a durable row costs almost nothing. If the database is away, rows go to the spool, and from there
into the database when it is back. Every row is waited for, and the queue is bounded: when neither the database nor the
disk takes anything, new calls are refused, so that memory does not grow.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from chat.background_tasks import background_task
from chat.record.call_rows import CallRows
from chat.record.database_or_spool import DatabaseOrSpool

logger = logging.getLogger("chat.recorder")

T = TypeVar("T")

# The most calls that wait to be written. At half of it, new calls are refused.
QUEUE_CALLS = 10_000
# Limit on the size of what was said in the calls that wait, as JSON. In memory it takes several times as much.
QUEUE_BYTES = 128 * 1024 * 1024
# The most that one transaction writes.
BATCH_CALLS = 200
BATCH_BYTES = 16 * 1024 * 1024
# Turns of the event loop to wait before a batch is taken, so that calls that end together share a transaction. Writing
# several calls costs hardly more than writing one. Why: docs/decisions/0013-speed.md.
GATHERING_TURNS = 2
# How long an answer waits for its rows. After that it goes out, and its rows stay in the queue.
PATIENCE_SECONDS = 10.0
PATIENCE_ON_FULL_DISK_SECONDS = 1.0


@dataclass(slots=True)
class _Saving:
    """Rows that wait to be written, and the request that waits for them. `safe` is False if it gave up waiting."""

    rows: CallRows
    safe: asyncio.Future[bool]


class Recorder:
    """One for the life of an event loop. `run()` is its own task; requests call `save()`."""

    def __init__(self, spool_directory: Path) -> None:
        self._queue: asyncio.Queue[_Saving | None] = asyncio.Queue(QUEUE_CALLS)
        self._queued_bytes = 0
        self._storage = DatabaseOrSpool(spool_directory)

    @property
    def waiting(self) -> int:
        """Calls that are not safe yet."""
        return self._queue.qsize()

    @property
    def has_room(self) -> bool:
        """False when nothing can be written any more. No further call must be taken then."""
        return self._queue.qsize() < QUEUE_CALLS // 2 and self._queued_bytes < QUEUE_BYTES

    @property
    def spool_depth(self) -> int:
        """Calls that are safe on disk, and not yet in the database."""
        return self._storage.spool_depth

    @property
    def database_away(self) -> bool:
        """Whether the database could not be reached when it was last tried."""
        return self._storage.database_away

    @property
    def disk_error(self) -> str:
        """Why the spool could not be written when that was last tried. Empty if it could."""
        return self._storage.disk_error

    async def save(self, rows: CallRows) -> None:
        """Returns when the rows are safe: committed, or on disk in the spool. Also returns when that takes too long."""
        loop = asyncio.get_running_loop()
        saving = _Saving(rows, loop.create_future())
        await self._queue.put(saving)
        self._queued_bytes += rows.size
        patience = PATIENCE_ON_FULL_DISK_SECONDS if self.disk_error else PATIENCE_SECONDS
        timer = loop.call_later(patience, _give_up, saving.safe)
        try:
            safe = await saving.safe
        finally:
            timer.cancel()
        if not safe:
            logger.error("record_delayed", extra={"request_id": rows.request_id, "waiting": self.waiting})

    async def run(self) -> None:
        """Write what arrives, until `close()` was called and everything before it is written."""
        try:
            async with background_task("replay", self._storage.replay):
                await self._write_batches()
        finally:
            await self._storage.close()

    async def close(self) -> None:
        """Take no more rows. `run()` writes what it has, and then ends."""
        await self._queue.put(None)

    async def in_thread(self, work: Callable[[], T]) -> T:
        """Do something with the database in the recorder's own thread, between two batches."""
        return await self._storage.in_thread(work)

    async def _write_batches(self) -> None:
        is_last = False
        while not is_last:
            savings, is_last = await self._next_batch()
            if savings:
                await self._storage.make_safe([saving.rows for saving in savings])
            for saving in savings:
                self._queued_bytes -= saving.rows.size
                if not saving.safe.done():
                    saving.safe.set_result(True)

    async def _next_batch(self) -> tuple[list[_Saving], bool]:
        """The rows that wait, as many as fit into a batch, and whether it is the last batch."""
        batch: list[_Saving] = []
        size = 0
        saving = await self._queue.get()
        for _ in range(GATHERING_TURNS):
            await asyncio.sleep(0)
        while saving is not None:
            batch.append(saving)
            size += saving.rows.size
            if self._queue.empty() or len(batch) >= BATCH_CALLS or size >= BATCH_BYTES:
                return batch, False
            saving = self._queue.get_nowait()
        return batch, True


def _give_up(safe: asyncio.Future[bool]) -> None:
    if not safe.done():
        safe.set_result(False)
