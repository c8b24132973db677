"""Making calls safe: in the database, or in the spool while the database is away, and from there into the database."""

from __future__ import annotations

import asyncio
import errno
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from django.db import connections

from chat.record.call_rows import CallRows
from chat.record.database import DatabaseAway, can_write
from chat.record.spool import Spool
from chat.record.writer import write, write_again

logger = logging.getLogger("chat.recorder")

T = TypeVar("T")

# How often the spool is looked at for calls that can be put into the database.
REPLAY_SECONDS = 1.0
# How long to wait before a batch that neither the database nor the disk took is tried again.
RETRY_SECONDS = 1.0
# How long the database may take for a batch. It is longer than the database's own timeouts, and shorter than an answer
# waits for its rows.
HUNG_SECONDS = 7.0


class DatabaseOrSpool:
    """The one writer of calls in a process. One batch is written at a time."""

    def __init__(self, spool_directory: Path) -> None:
        self._directory = spool_directory
        self._spool = Spool(spool_directory)
        # One thread means one connection, and no two writers in this process.
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="recorder")
        # A batch that the database has neither taken nor refused in time. The batches after it go to a spool of their
        # own meanwhile, from a second thread, because the first spool belongs to the first thread, which hangs.
        self._overdue: asyncio.Future[bool] | None = None
        self._second_spool = Spool(spool_directory)
        self._second_thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="spool")
        self.database_away = False
        self.disk_error = ""

    @property
    def spool_depth(self) -> int:
        """Calls on disk that are not yet in the database: of this process, and of dead ones whose files it took."""
        return self._spool.depth + self._second_spool.depth

    async def make_safe(self, batch: Sequence[CallRows]) -> None:
        """Write a batch to the database or to disk. If neither takes it, wait and try both again."""
        while not await self._try_to_write(batch):
            await asyncio.sleep(RETRY_SECONDS)

    async def in_thread(self, work: Callable[[], T]) -> T:
        """Do something with the database in the writer's thread, between two batches."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    async def replay(self) -> None:
        """Put calls from the spool into the database whenever that is possible. Runs until it is cancelled."""
        while True:
            # Asking a database that is away takes a while. The writer's thread must not wait for that, because it has
            # a spool to write, so another thread asks.
            if self.database_away and await asyncio.to_thread(can_write):
                self._found_database()
            while await self.in_thread(self._replay_chunk):
                pass
            await asyncio.sleep(REPLAY_SECONDS)

    async def close(self) -> None:
        """Put what is left into the database if possible, and release the files, the threads and the connection."""
        await self.in_thread(self._end)
        self._thread.shutdown()
        self._second_thread.shutdown()

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
        # If the overdue batch is written after all, it is in the database and in the second spool. That does no harm,
        # because the replay writes no call twice.
        return await loop.run_in_executor(self._second_thread, self._append, self._second_spool, batch)

    def _end_of_silence(self, writing: asyncio.Future[bool]) -> None:
        """Release the second spool. The replay finds its file in the same way as that of a process that has died."""
        self._overdue = None
        self._second_thread.submit(self._second_spool.close)
        self._second_spool = Spool(self._directory)
        if not writing.cancelled():
            writing.result()  # an error that we did not expect is raised here, and the event loop logs it

    def _write(self, batch: Sequence[CallRows]) -> bool:
        """Whether the batch is safe. With a disk that failed, the database is tried even if it was away before."""
        try:
            if not self.database_away or self.disk_error:
                for rows, error in zip(batch, write(batch), strict=True):
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
        except OSError as error:
            self._lost_disk(error)
            return False
        self.disk_error = ""
        return True

    def _replay_chunk(self) -> bool:
        """Replay some calls, so that calls that end meanwhile need not wait for the whole spool. Is there more?"""
        try:
            self._spool.adopt()
            if self.database_away:
                return False
            more = self._spool.replay_chunk(write_again)
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
            event = "disk_full" if error.errno == errno.ENOSPC else "disk_failed"
            logger.critical(event, extra={"error": str(error.strerror)})
        self.disk_error = error.strerror or type(error).__name__
