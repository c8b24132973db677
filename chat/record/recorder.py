"""The recorder: the one task of a process that writes calls.

A request hands over its rows and waits until they are safe. Rows that arrive together share a transaction (group
commit), which makes a durable row almost free under load. If the database is away, they go to the spool, and from there
into the database when it is back. Nothing is fire-and-forget, and the queue is bounded: when neither the database nor
the disk takes anything, new calls are refused instead of memory growing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from django.db import connections

from chat.background_tasks import report_death
from chat.record import writer as storage
from chat.record.call_rows import CallRows
from chat.record.spool import Spool
from chat.record.writer import DatabaseAway

logger = logging.getLogger("chat.recorder")

T = TypeVar("T")

QUEUE_CALLS = 10_000
QUEUE_BYTES = 128 * 1024 * 1024
"""Of what was said in calls that are not safe yet. In memory it takes a few times as much."""
BATCH_CALLS = 200
BATCH_BYTES = 16 * 1024 * 1024
GATHERING_TURNS = 2
"""Of the event loop, before a batch is taken: calls that end together are written together, which costs hardly more
than one does. Figures: docs/decisions/0013."""
REPLAY_SECONDS = 1.0
RETRY_SECONDS = 1.0
HUNG_SECONDS = 7.0
"""How long the database may be silent about a batch. Longer than its own clocks run, shorter than an answer waits."""
PATIENCE_SECONDS = 10.0
PATIENCE_ON_FULL_DISK_SECONDS = 1.0
"""How long an answer waits for its rows. After that it goes out; its rows stay in the queue."""


@dataclass(slots=True)
class _Saving:
    rows: CallRows
    safe: asyncio.Future[bool]


class Recorder:
    """One for the life of an event loop: `run()` is its task, `save()` is for everybody else."""

    def __init__(self, spool_directory: Path) -> None:
        self._queue: asyncio.Queue[_Saving | None] = asyncio.Queue(QUEUE_CALLS)
        self._spool = Spool(spool_directory)
        # One thread, and so one connection, and no two writers in this process.
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="recorder")
        # A batch that the database has neither taken nor refused in time, and where those after it wait meanwhile: in a
        # spool of their own, because the other one is the thread's, and that hangs.
        self._overdue: asyncio.Future[bool] | None = None
        self._aside = Spool(spool_directory)
        self._aside_thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="spool")
        self._directory = spool_directory
        self._bytes = 0
        self.database_away = False
        self.disk_error = ""

    @property
    def waiting(self) -> int:
        """Calls that are not safe yet."""
        return self._queue.qsize()

    @property
    def spool_depth(self) -> int:
        """Calls that are safe on disk, and not yet in the database: of this process, and of dead ones that it found."""
        return self._spool.depth + self._aside.depth

    @property
    def has_room(self) -> bool:
        """False when nothing can be written any more, and no further call must be taken."""
        return self._queue.qsize() < QUEUE_CALLS // 2 and self._bytes < QUEUE_BYTES

    async def save(self, rows: CallRows) -> None:
        """Returns when the rows are safe: committed, or on disk in the spool."""
        saving = _Saving(rows, asyncio.get_running_loop().create_future())
        await self._queue.put(saving)
        self._bytes += rows.size
        patience = PATIENCE_ON_FULL_DISK_SECONDS if self.disk_error else PATIENCE_SECONDS
        timer = asyncio.get_running_loop().call_later(patience, _give_up, saving.safe)
        try:
            safe = await saving.safe
        finally:
            timer.cancel()
        if not safe:
            logger.error("record_delayed", extra={"request_id": rows.request_id, "waiting": self.waiting})

    async def run(self) -> None:
        """Write what arrives, until `close()` was called and everything before it is written."""
        replaying = asyncio.create_task(self._replay_for_ever(), name="replay")
        replaying.add_done_callback(report_death)
        closing = False
        while not closing:
            savings, closing = await self._next_batch()
            if savings:
                await self._make_safe([saving.rows for saving in savings])
            for saving in savings:
                self._bytes -= saving.rows.size
                if not saving.safe.done():
                    saving.safe.set_result(True)
        replaying.cancel()
        await asyncio.wait([replaying])
        await self.in_thread(self._end)
        self._thread.shutdown()
        self._aside_thread.shutdown()

    async def _next_batch(self) -> tuple[list[_Saving], bool]:
        """What waits, as far as it fits into a batch, and whether it is the last."""
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

    async def close(self) -> None:
        """Nothing is saved from here on; let `run()` write what it has and end."""
        await self._queue.put(None)

    async def in_thread(self, work: Callable[[], T]) -> T:
        """Do something with the database in the recorder's own thread, between two batches."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    async def _make_safe(self, batch: Sequence[CallRows]) -> None:
        """Write a batch somewhere. If neither the database nor the disk takes it, wait and try both again."""
        while not await self._try_to_write(batch):
            await asyncio.sleep(RETRY_SECONDS)

    async def _try_to_write(self, batch: Sequence[CallRows]) -> bool:
        loop = asyncio.get_running_loop()
        if self._overdue is None:
            writing = loop.run_in_executor(self._thread, self._write, batch)
            await asyncio.wait([writing], timeout=HUNG_SECONDS)
            if writing.done():
                return writing.result()
            self._lost_database("no answer")
            self._overdue = writing
            writing.add_done_callback(self._end_of_silence)
        # Should the overdue batch be written in the end, it is there twice, and the replay puts in each call once.
        return await loop.run_in_executor(self._aside_thread, self._append, self._aside, batch)

    def _end_of_silence(self, writing: asyncio.Future[bool]) -> None:
        """Let go of what was put aside: the replay finds it like the spool of a process that has died."""
        self._overdue = None
        self._aside_thread.submit(self._aside.close)
        self._aside = Spool(self._directory)
        if not writing.cancelled():
            writing.result()  # a defect of ours is raised here, and logged by the loop

    def _write(self, batch: Sequence[CallRows]) -> bool:
        try:
            if not self.database_away or self.disk_error:
                for rows, error in zip(batch, storage.write(batch), strict=True):
                    if error is not None:
                        self._spool.reject(rows, error)
                self._found_database()
                self.disk_error = ""
                return True
        except DatabaseAway as error:
            self._lost_database(type(error.__cause__).__name__)
        except OSError as error:
            self._lost_disk(error)
            return False
        return self._append(self._spool, batch)

    def _append(self, spool: Spool, batch: Sequence[CallRows]) -> bool:
        try:
            spool.append(batch)
            self.disk_error = ""
        except OSError as error:
            self._lost_disk(error)
            return False
        return True

    async def _replay_for_ever(self) -> None:
        while True:
            # A database that is away makes whoever asks it wait. That must not be the recorder's thread, which has a
            # spool to write.
            if self.database_away and await asyncio.to_thread(storage.probe):
                self._found_database()
            while await self.in_thread(self._replay_chunk):
                pass
            await asyncio.sleep(REPLAY_SECONDS)

    def _replay_chunk(self) -> bool:
        """A chunk at a time, so that calls which end meanwhile do not wait for the whole spool."""
        try:
            self._spool.adopt()
            if self.database_away:
                return False
            more = self._spool.replay_chunk(storage.write_again)
        except DatabaseAway as error:
            self._lost_database(type(error.__cause__).__name__)
            return False
        except OSError as error:
            self._lost_disk(error)
            return False
        if more:
            self._found_database()
        return more

    def _end(self) -> None:
        while self._replay_chunk():
            pass
        self._spool.close()
        connections.close_all()

    def _lost_database(self, reason: str) -> None:
        if not self.database_away:
            logger.error("database_away", extra={"error": reason})
        self.database_away = True

    def _found_database(self) -> None:
        if self.database_away:
            logger.warning("database_back")
        self.database_away = False

    def _lost_disk(self, error: OSError) -> None:
        if not self.disk_error:
            logger.critical("disk_full" if error.errno == 28 else "disk_failed", extra={"error": str(error.strerror)})
        self.disk_error = error.strerror or type(error).__name__


def _give_up(safe: asyncio.Future[bool]) -> None:
    if not safe.done():
        safe.set_result(False)
