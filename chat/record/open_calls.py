"""Calls that are running. A call that runs for longer than a moment gets a row while it runs, and the row a lease.

If the process dies, nobody renews the lease, and any process of the service marks the row `interrupted`. Most calls end
before they get a row, and cost nothing here. Why leases: docs/decisions/0004-interrupted-calls.md.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial

from django.db import DatabaseError, transaction
from django.db.models.functions import Now

from chat.models import CallRecord
from chat.record.call_rows import CallRows
from chat.record.database import prepare_connection
from chat.record.late_hours import note_changes
from chat.record.recorder import Recorder

# How long a call runs before it gets a row.
ANNOUNCE_SECONDS = 1.0
# How often the open calls are looked through.
TICK_SECONDS = 0.5
# How long a lease lasts, and how often it is renewed.
LEASE_SECONDS = 15.0
RENEW_SECONDS = 5.0


@dataclass(slots=True, eq=False)
class OpenCall:
    """A running call. `start_rows` makes the row that it gets while it runs; `announced` is that row, if it has one.

    When the call has ended, `start_rows` is None. It knows the call, and the call knows this object, so all that the
    caller has sent would otherwise stay in memory until the next garbage collection.
    """

    start_rows: Callable[[], CallRows] | None
    since: float = field(default_factory=time.monotonic)
    announced: CallRows | None = None


class OpenCalls:
    """The calls of this process. `run()` is a task for the life of the event loop."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._open: set[OpenCall] = set()
        # Calls that have ended, and of which something is read on.
        self._read_on: set[OpenCall] = set()

    def __len__(self) -> int:
        return len(self._open)

    def opened(self, start_rows: Callable[[], CallRows]) -> OpenCall:
        """Say that a call has begun."""
        call = OpenCall(start_rows)
        self._open.add(call)
        return call

    def ended(self, call: OpenCall) -> CallRows | None:
        """Say that a call has ended, when its last rows are made. Returns the row that it got while it ran, if any."""
        self._open.discard(call)
        call.start_rows = None
        return call.announced

    def reads_on(self, call: OpenCall, rows: CallRows) -> None:
        """Say that a call has ended with these rows, which have a lease, and that something of it is read on."""
        call.announced = rows
        self._read_on.add(call)

    def has_read_on(self, call: OpenCall) -> None:
        """Say that nothing of a call is read on any more."""
        self._read_on.discard(call)

    async def run(self) -> None:
        """Give rows to calls that run long, and renew their leases. Runs until it is cancelled."""
        renew_at = 0.0
        while True:
            await self._announce()
            if time.monotonic() >= renew_at:
                renew_at = time.monotonic() + RENEW_SECONDS
                ids = [call.announced.request_id for call in self._open | self._read_on if call.announced]
                await self._recorder.in_thread(partial(self._renew_and_sweep, ids))
            await asyncio.sleep(TICK_SECONDS)

    def _renew_and_sweep(self, request_ids: list[str]) -> None:
        # This is the recorder's thread, which has a spool to write. Asking a database that is away would hold it up.
        if not self._recorder.database_away:
            renew_and_sweep(request_ids)

    async def _announce(self) -> None:
        """Give a row to each call that has run for a moment. The recorder writes it before it writes the call's end."""
        late = time.monotonic() - ANNOUNCE_SECONDS
        due = [call for call in self._open if call.announced is None and call.since <= late]
        for call in due:
            assert call.start_rows is not None
            call.announced = call.start_rows()
        await asyncio.gather(*(self._recorder.save(call.announced) for call in due if call.announced))


def renew_and_sweep(request_ids: list[str]) -> None:
    """Renew the leases of these calls, and mark the calls whose lease has ended.

    All by the database's clock, because the clocks of several machines may differ.
    """
    try:
        prepare_connection()
        if request_ids:
            leased = CallRecord.objects.filter(request_id__in=request_ids, lease_until__isnull=False)
            leased.update(lease_until=Now() + timedelta(seconds=LEASE_SECONDS))
        # A call that has ended has a lease while something of it is read on. If that lease ends, its row stays true.
        expired = CallRecord.objects.filter(status=CallRecord.Status.IN_PROGRESS, lease_until__lt=Now())
        if not (begun := list(expired.values_list("created_at", flat=True))):
            return
        with transaction.atomic():
            note_changes(begun)
            # Another lease may have ended meanwhile. Only calls whose hour was noted are changed.
            expired.filter(created_at__in=begun).update(
                status=CallRecord.Status.INTERRUPTED,
                error_code="interrupted",
                error_message="The process that ran this call ended before the call did.",
                lease_until=None,
            )
    except DatabaseError:
        # The recorder reports that the database is away, and leases can wait. If a lease ends meanwhile, its row is put
        # right when its call ends.
        return
