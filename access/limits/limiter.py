"""Admission: take what a call may use of every limit before it starts, and settle for what it used when it has ended.

Because the amounts are taken in advance, a burst of calls cannot overrun a budget. If there is a Redis, the limits are
counted there for all workers together. While Redis is away, each worker counts by itself: no call fails because of it,
and calls are still limited. `redis_state` tells which of the two is the case.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from types import TracebackType
from typing import Self, assert_never
from weakref import WeakValueDictionary

from django.utils import timezone

from access.callers import Caller
from access.limits.limit_store import Held, LimitStore, Verdict
from access.limits.memory_store import MemoryLimitStore
from access.limits.meters import Estimate, Meter, Unit, meters_of, nanodollars
from access.limits.rate_limit_headers import rate_limit_headers
from access.limits.rate_limited import rate_limited
from access.limits.redis_store import RedisLimitStore
from access.redis_connection import REDIS_ERRORS, Availability, open_redis

logger = logging.getLogger("access")

# How often the leases of running calls are renewed.
RENEW_SECONDS = 15.0
# How long Redis is not asked after it has failed, so that not every call waits for it.
AWAY_SECONDS = 1.0
REDIS_TIMEOUT_SECONDS = 1.0

# Reads from the history of calls what a key has spent since a time, in US dollars. None means that it can't be read.
ReadSpent = Callable[[str, datetime], Awaitable[Decimal | None]]


@dataclass(slots=True, eq=False)
class Admission:
    """A call that was admitted. Whoever has it settles it once, when the call has ended.

    It can be used with `async with`. If it has not been settled at the end of the block, it is released. `headers` tell
    the caller what is left of its limits.
    """

    limiter: Limiter
    store: LimitStore
    caller_id: str
    meters: Sequence[Meter]
    headers: dict[str, str]
    id: str
    is_open: bool = True

    async def settle(self, *, tokens: int | None, cost_usd: Decimal | None) -> None:
        """Say what the call used. None means that it is not known; then the estimate counts.

        Only the first time has an effect.
        """
        if not self.is_open:
            return
        self.end_renewal()
        settled = [meter for meter in self.meters if meter.kind.unit is not Unit.REQUESTS]
        used = [_used(meter, tokens, cost_usd) for meter in settled]
        if settled:
            await self.limiter.settle(self, settled, used)

    async def free_place(self) -> None:
        """The call no longer runs, so it takes no place among the calls that run at once. All else stays taken."""
        places = [meter for meter in self.meters if meter.kind.unit is Unit.CALLS]
        if self.is_open and places:
            await self.limiter.settle(self, places, [0] * len(places))

    async def release(self) -> None:
        """Settle for nothing: the call has used neither tokens nor money."""
        await self.settle(tokens=0, cost_usd=Decimal(0))

    def end_renewal(self) -> None:
        """Renew the leases no longer. They end by themselves, as they do when the process dies."""
        self.is_open = False
        self.limiter.leased.discard(self)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.release()


@dataclass(slots=True, eq=False)
class Limiter:
    """One serves for the life of an event loop, in which `run()` is its background task.

    `redis` is None if every worker counts by itself.
    """

    read_spent: ReadSpent
    redis: RedisLimitStore | None = None
    memory: MemoryLimitStore = field(default_factory=MemoryLimitStore)
    # The admissions whose leases are renewed.
    leased: set[Admission] = field(default_factory=set)
    _availability: Availability = field(
        default_factory=lambda: Availability(AWAY_SECONDS, logger, "redis_away", "redis_back", away_level=logging.ERROR)
    )
    # One lock per caller id: while a long history is read for one key, the other keys need not wait.
    _history_locks: WeakValueDictionary[str, asyncio.Lock] = field(default_factory=WeakValueDictionary)

    @property
    def redis_state(self) -> str:
        """One of `not used`, `ok` and `away`."""
        if self.redis is None:
            return "not used"
        return "away" if self._availability.is_away else "ok"

    async def admit(self, caller: Caller, estimate: Estimate) -> Admission:
        """Take what the call may use of each limit.

        Raises RateLimited if a limit has no room, and then takes nothing.
        """
        now = timezone.now()
        meters = meters_of(caller.limits, estimate, now)
        if not meters:
            return Admission(self, self.memory, "", meters, {}, "")
        caller_id, admission_id = caller.id, secrets.token_hex(8)
        store, verdict = await self._admit(caller, caller_id, admission_id, meters)
        if verdict.refused_by is not None:
            who = f"the API key '{caller.name}'" if caller.name else "this address"
            raise rate_limited(who, meters, verdict.readings, verdict.refused_by, now)
        headers = rate_limit_headers(meters, verdict.readings, taken=True)
        admission = Admission(self, store, caller_id, meters, headers, admission_id)
        if any(meter.is_lease for meter in meters):
            self.leased.add(admission)
        return admission

    async def settle(self, admission: Admission, meters: Sequence[Meter], used: Sequence[int]) -> None:
        """`Admission.settle` calls this. If Redis is away, nothing more need be done.

        The leases end there by themselves, and the counters are read from the history again.
        """
        try:
            await admission.store.settle(admission.caller_id, admission.id, meters, used)
        except REDIS_ERRORS as error:
            self._availability.lost(error)

    async def run(self) -> None:
        """Renew the leases of running calls. This also notices that Redis is away."""
        while True:
            await asyncio.sleep(RENEW_SECONDS)
            for store in (self.memory, self.redis):
                if store is None:
                    continue
                try:
                    await store.renew([_held(admission) for admission in self.leased if admission.store is store])
                except REDIS_ERRORS as error:
                    self._availability.lost(error)

    async def _admit(
        self, caller: Caller, caller_id: str, admission_id: str, meters: Sequence[Meter]
    ) -> tuple[LimitStore, Verdict]:
        if self.redis is not None and self._availability.may_be_asked:
            try:
                verdict = await self._admit_by(self.redis, caller, caller_id, admission_id, meters)
            except REDIS_ERRORS as error:
                self._availability.lost(error)
            else:
                self._availability.found()
                return self.redis, verdict
        return self.memory, await self._admit_by(self.memory, caller, caller_id, admission_id, meters)

    async def _admit_by(
        self, store: LimitStore, caller: Caller, caller_id: str, admission_id: str, meters: Sequence[Meter]
    ) -> Verdict:
        verdict = await store.admit(caller_id, admission_id, meters, {})
        if verdict.unread is None:
            return verdict
        # Of a burst of calls, one reads the history. The others wait here, and then find what it has read.
        async with self._history_locks.setdefault(caller_id, asyncio.Lock()):
            verdict = await store.admit(caller_id, admission_id, meters, {})
            read: dict[str, int | None] = {}
            while verdict.unread is not None:
                meter = meters[verdict.unread]
                read[meter.counter] = await self._read_counter(caller, meter)
                verdict = await store.admit(caller_id, admission_id, meters, read)
            return verdict

    async def _read_counter(self, caller: Caller, meter: Meter) -> int | None:
        """The value of a meter's counter by the history, in the unit of the meter. None if it can't be read."""
        assert meter.since is not None
        match meter.kind.unit:
            case Unit.NANODOLLARS:
                spent = await self.read_spent(caller.name, meter.since)
                if spent is None:
                    logger.error("budget_unreadable", extra={"api_key": caller.name})
                    return None
                return nanodollars(spent)
            case Unit.REQUESTS | Unit.TOKENS | Unit.CALLS as unit:
                raise NotImplementedError(f"A counter of {unit.value} needs a function that reads it from the history.")
            case other:
                assert_never(other)


@contextlib.asynccontextmanager
async def open_limiter(redis_url: str, read_spent: ReadSpent) -> AsyncGenerator[Limiter]:
    """A limiter whose connections are closed at the end. Redis may be away when it is opened."""
    if not redis_url:
        yield Limiter(read_spent)
        return
    # No retries: a script may have run although its answer was lost, and must not run twice.
    async with open_redis(redis_url, timeout_seconds=REDIS_TIMEOUT_SECONDS, retries=0) as redis:
        yield Limiter(read_spent, RedisLimitStore(redis))


def _held(admission: Admission) -> Held:
    return Held(admission.caller_id, admission.id, [meter for meter in admission.meters if meter.is_lease])


def _used(meter: Meter, tokens: int | None, cost_usd: Decimal | None) -> int:
    """What a call used of a meter, in the unit of the meter."""
    match meter.kind.unit:
        case Unit.REQUESTS:
            return meter.amount
        case Unit.CALLS:
            return 0  # a call that has ended no longer takes a place
        case Unit.TOKENS:
            return meter.amount if tokens is None else tokens
        case Unit.NANODOLLARS:
            return meter.amount if cost_usd is None else nanodollars(cost_usd)
        case other:
            assert_never(other)
