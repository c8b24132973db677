"""Limits in the memory of one process. Atomic, because nothing in here awaits."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from access.limits.meters import Meter, Reading, Verdict
from access.limits.stores import COUNTER_SECONDS, Held


@dataclass(slots=True)
class _Entry:
    amount: int
    ends_at: float


@dataclass(slots=True)
class _Entries:
    """By admission. Those of a window are in the order in which they end."""

    by_admission: dict[str, _Entry] = field(default_factory=dict)
    total: int = 0

    def add(self, admission: str, amount: int, ends_at: float) -> None:
        self.by_admission[admission] = _Entry(amount, ends_at)
        self.total += amount

    def remove(self, admission: str) -> _Entry | None:
        entry = self.by_admission.pop(admission, None)
        self.total -= entry.amount if entry else 0
        return entry

    def prune(self, now: float, *, in_order: bool) -> None:
        ended = []
        for admission, entry in self.by_admission.items():
            if entry.ends_at <= now:
                ended.append(admission)
            elif in_order:
                break
        for admission in ended:
            self.remove(admission)


class MemoryStore:
    """One for the life of an event loop."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._entries: dict[tuple[str, str], _Entries] = {}
        self._counters: dict[tuple[str, str], _Entry] = {}

    async def admit(
        self, subject: str, admission: str, meters: Sequence[Meter], spent: Mapping[str, int | None]
    ) -> Verdict:
        now = self._clock()
        counted = []
        for index, meter in enumerate(meters):
            known = self._spent(subject, meter, spent, now)
            if known is None:
                return Verdict(unread=index)
            counted.append(known)
        readings = tuple(self._read(subject, meter, known, now) for meter, known in zip(meters, counted, strict=True))
        for index, (meter, reading) in enumerate(zip(meters, readings, strict=True)):
            if reading.used + meter.amount > meter.limit:
                return Verdict(readings, refused_by=index)
        for meter in meters:
            self._of(subject, meter).add(admission, meter.amount, now + meter.hold_seconds)
        return Verdict(readings)

    async def settle(self, subject: str, admission: str, meters: Sequence[Meter], used: Sequence[int]) -> None:
        now = self._clock()
        for meter, amount in zip(meters, used, strict=True):
            entries = self._of(subject, meter)
            entries.prune(now, in_order=not meter.is_lease)
            entry = entries.by_admission.get(admission)
            if meter.is_lease:
                entries.remove(admission)
                if counter := self._counters.get((subject, meter.counter)):
                    counter.amount += amount
            elif entry is not None:
                entries.total += amount - entry.amount
                entry.amount = amount
            elif amount > meter.amount:  # what was taken has left the window already; the rest was used just now
                entries.add(admission, amount - meter.amount, now + meter.hold_seconds)

    async def renew(self, held: Sequence[Held]) -> None:
        now = self._clock()
        for one in held:
            for meter in one.meters:
                if entry := self._of(one.subject, meter).by_admission.get(one.admission):
                    entry.ends_at = now + meter.hold_seconds
        self._forget(now)

    def _of(self, subject: str, meter: Meter) -> _Entries:
        return self._entries.setdefault((subject, meter.name), _Entries())

    def _spent(self, subject: str, meter: Meter, spent: Mapping[str, int | None], now: float) -> int | None:
        """What the meter's counter says, 0 if it has none, None if nobody knows yet."""
        if not meter.counter:
            return 0
        counter = self._counters.get((subject, meter.counter))
        if counter is not None and counter.ends_at > now:
            return counter.amount
        if meter.counter not in spent:
            return None
        read = spent[meter.counter]
        if read is None:
            return 0
        self._counters[subject, meter.counter] = _Entry(read, now + COUNTER_SECONDS)
        return read

    def _read(self, subject: str, meter: Meter, spent: int, now: float) -> Reading:
        entries = self._of(subject, meter)
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
        """Callers come and go; what they left behind must not stay."""
        for key, entries in list(self._entries.items()):
            entries.prune(now, in_order=False)
            if not entries.by_admission:
                del self._entries[key]
        for name, counter in list(self._counters.items()):
            if counter.ends_at <= now:
                del self._counters[name]
