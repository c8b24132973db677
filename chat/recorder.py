"""The recorder: the one task that writes calls into the database.

A request hands over its rows and waits until they are committed. Rows that arrive together share a transaction (group
commit), which makes a durable row almost free under load. Nothing is fire-and-forget, and the queue is bounded: if the
database is slow, callers wait instead of memory growing.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from django.db import IntegrityError, connection, connections, transaction

from chat.models import ID_LENGTH, Attempt, CallContent, CallRecord

QUEUE_CALLS = 1_000
BATCH_CALLS = 200
BATCH_BYTES = 16 * 1024 * 1024


@dataclass(slots=True)
class CallRows:
    """The rows of one call, not yet saved. `size` is about their number of bytes."""

    call: CallRecord
    attempts: list[Attempt]
    content: CallContent | None = None
    size: int = 0
    committed: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class Recorder:
    """`run()` is the task; `save()` is for everybody else. One for the life of an event loop."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[CallRows | None] = asyncio.Queue(QUEUE_CALLS)
        # One thread and so one connection, which lives as long as the recorder.
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="recorder")

    @property
    def depth(self) -> int:
        """How many calls wait to be written."""
        return self._queue.qsize()

    async def save(self, rows: CallRows) -> None:
        """Returns when the rows are committed. Raises what the database raised if they can't be."""
        await self._queue.put(rows)
        await rows.committed

    async def run(self) -> None:
        """Write what arrives, until `close()` was called and everything before it is written."""
        loop = asyncio.get_running_loop()
        closing = False
        while not closing:
            batch = [await self._queue.get()]
            while batch[-1] is not None and not self._queue.empty() and not _is_full(batch):
                batch.append(self._queue.get_nowait())
            closing = batch[-1] is None
            calls = [rows for rows in batch if rows is not None]
            errors = await loop.run_in_executor(self._executor, write, calls) if calls else []
            for rows, error in zip(calls, errors, strict=True):
                if error is None:
                    rows.committed.set_result(None)
                else:
                    rows.committed.set_exception(error)
        await loop.run_in_executor(self._executor, connections.close_all)
        self._executor.shutdown()

    async def close(self) -> None:
        """Nothing is saved from here on; let `run()` write what it has and end."""
        await self._queue.put(None)


def _is_full(batch: Sequence[CallRows | None]) -> bool:
    return len(batch) >= BATCH_CALLS or sum(rows.size for rows in batch if rows is not None) >= BATCH_BYTES


def write(batch: Sequence[CallRows]) -> list[Exception | None]:
    """Write a batch in one transaction. If that fails, write each call by itself, so that one can't spoil the others.

    Returns what went wrong with each, None where it is committed.
    """
    connection.close_if_unusable_or_obsolete()
    try:
        with transaction.atomic():
            _insert(batch)
    except Exception:  # noqa: BLE001 - whatever it is, it must not end the recorder; the rows say which one it was
        return [_write_one(rows) for rows in batch]
    return [None] * len(batch)


def _write_one(rows: CallRows) -> Exception | None:
    try:
        try:
            with transaction.atomic():
                _insert([rows])
        except IntegrityError:
            # The caller chose an X-Request-ID that is on record already. Its call must not be lost for that.
            rows.call.request_id = f"{rows.call.request_id[: ID_LENGTH - 13]}-{secrets.token_hex(6)}"
            with transaction.atomic():
                _insert([rows])
    except Exception as error:  # noqa: BLE001 - goes to the one who saves this call
        return error
    return None


def _insert(batch: Sequence[CallRows]) -> None:
    CallRecord.objects.bulk_create([rows.call for rows in batch])
    for rows in batch:
        for part in (rows.content, *rows.attempts):
            if part is not None:
                part.call = rows.call
    CallContent.objects.bulk_create([rows.content for rows in batch if rows.content is not None])
    Attempt.objects.bulk_create([attempt for rows in batch for attempt in rows.attempts])
