"""Limits in the memory of one process.

No method waits for anything, so no other task can run in the middle of one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from access.limits.limit_store import COUNTER_SECONDS, Held, Reading, Verdict
from access.limits.meters import Meter


@dataclass(slots=True)
class _Entry:
    amount: int
    ends_at: float


@dataclass(slots=True)
class _Entries:
    """The entries of one limit, by the id of the admission. Entries of a window are in the order in which they end."""

    by_admission: dict[str, _Entry] = field(default_factory=dict)
    total: int = 0

    def add(self, admission_id: str, amount: int, ends_at: float) -> None:
        self.by_admission[admission_id] = _Entry(amount, ends_at)
        self.total += amount

    def remove(self, admission_id: str) -> _Entry | None:
        entry = self.by_admission.pop(admission_id, None)
        self.total -= entry.amount if entry else 0
        return entry

    def prune(self, now: float, *, in_order: bool) -> None:
        """Remove the entries that have ended. With `in_order`, stop at the first one that has not."""
        ended = []
        for admission_id, entry in self.by_admission.items():
            if entry.ends_at <= now:
                ended.append(admission_id)
            elif in_order:
                break
        for admission_id in ended:
            self.remove(admission_id)


class MemoryLimitStore:
    """A LimitStore in memory. One serves for the life of an event loop."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._entries: dict[tuple[str, str], _Entries] = {}
        self._counters: dict[tuple[str, str], _Entry] = {}

    async def admit(
        self, caller_id: str, admission_id: str, meters: Sequence[Meter], spent: Mapping[str, int | None]
    ) -> Verdict:
        now = self._clock()
        counted = []
        for index, meter in enumerate(meters):
            known = self._spent(caller_id, meter, spent, now)
            if known is None:
                return Verdict(unread=index)
            counted.append(known)
        readings = tuple(self._read(caller_id, meter, known, now) for meter, known in zip(meters, counted, strict=True))
        for index, (meter, reading) in enumerate(zip(meters, readings, strict=True)):
            if reading.used + meter.amount > meter.limit:
                return Verdict(readings, refused_by=index)
        for meter in meters:
            self._of(caller_id, meter).add(admission_id, meter.amount, now + meter.hold_seconds)
        return Verdict(readings)

    async def settle(self, caller_id: str, admission_id: str, meters: Sequence[Meter], used: Sequence[int]) -> None:
        now = self._clock()
        for meter, amount in zip(meters, used, strict=True):
            entries = self._of(caller_id, meter)
            entries.prune(now, in_order=not meter.is_lease)
            entry = entries.by_admission.get(admission_id)
            if meter.is_lease:
                entries.remove(admission_id)
                if counter := self._counters.get((caller_id, meter.counter)):
                    counter.amount += amount
            elif entry is not None:
                entries.total += amount - entry.amount
                entry.amount = amount
            elif amount > meter.amount:
                # The amount taken at the start no longer counts. What was used beyond it counts from now on.
                entries.add(admission_id, amount - meter.amount, now + meter.hold_seconds)

    async def renew(self, held: Sequence[Held]) -> None:
        now = self._clock()
        for one in held:
            for meter in one.meters:
                if entry := self._of(one.caller_id, meter).by_admission.get(one.admission_id):
                    entry.ends_at = now + meter.hold_seconds
        self._forget(now)

    def _of(self, caller_id: str, meter: Meter) -> _Entries:
        return self._entries.setdefault((caller_id, meter.name), _Entries())

    def _spent(self, caller_id: str, meter: Meter, spent: Mapping[str, int | None], now: float) -> int | None:
        """The value of the meter's counter. 0 if the meter has none; None if the history must be read first."""
        if not meter.counter:
            return 0
        counter = self._counters.get((caller_id, meter.counter))
        if counter is not None and counter.ends_at > now:
            return counter.amount
        if meter.counter not in spent:
            return None
        read = spent[meter.counter]
        if read is None:
            return 0
        self._counters[caller_id, meter.counter] = _Entry(read, now + COUNTER_SECONDS)
        return read

    def _read(self, caller_id: str, meter: Meter, spent: int, now: float) -> Reading:
        entries = self._of(caller_id, meter)
        entries.prune(now, in_order=not meter.is_lease)
        ends = [entry.ends_at - now for entry in entries.by_admission.values()] if meter.is_lease else []
        if not meter.is_lease and entries.by_admission:
            first, last = next(iter(entries.by_admission.values())), next(reversed(entries.by_admission.values()))
            ends = [first.ends_at - now, last.ends_at - now]
        used, wait = spent + entries.total, 0.0
        excess = used + meter.amount - meter.limit
        if excess > 0:
            for entry in entries.by_admission.values():
                excess -= entry.amount
                wait = entry.ends_at - now
                if excess <= 0:
                    break
        return Reading(used, entries.total, min(ends, default=0.0), max(ends, default=0.0), wait)

    def _forget(self, now: float) -> None:
        """Remove what is left of callers that no longer call, so that memory does not grow for ever."""
        for key, entries in list(self._entries.items()):
            entries.prune(now, in_order=False)
            if not entries.by_admission:
                del self._entries[key]
        for name, counter in list(self._counters.items()):
            if counter.ends_at <= now:
                del self._counters[name]
