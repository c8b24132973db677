"""Admission: before a call, take what it may use of every limit; after it, settle for what it did use.

What is taken in advance is what keeps a burst from overrunning a budget. In Redis, where there is one, the limits are
those of all workers together. While Redis is away each worker counts by itself, so that there is neither a call that
fails for it nor none that is limited; `redis_state` says so.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from types import TracebackType
from typing import Self
from weakref import WeakValueDictionary

from django.utils import timezone
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from access.callers import Caller
from access.limits.memory_store import MemoryStore
from access.limits.meters import Estimate, Kind, Meter, Verdict, meters_of, nanodollars
from access.limits.redis_store import RedisStore
from access.limits.refusals import headers_of, refusal
from access.limits.stores import Held, Store

logger = logging.getLogger("access")

RENEW_SECONDS = 15.0
AWAY_SECONDS = 1.0
"""How long Redis is left alone after it has failed, so that not every call waits for it."""
REDIS_TIMEOUT_SECONDS = 1.0
REDIS_CONNECTIONS = 32
REDIS_ERRORS = (RedisError, OSError, TimeoutError)

Spent = Callable[[str, datetime], Awaitable[Decimal | None]]
"""What a key has spent since a moment, in US dollars, as the history says; None where it can't be read."""


@dataclass(slots=True, eq=False)
class Admission:
    """A call that was admitted. Whoever has it settles it once, or leaves `async with`, which refunds what is left.

    `headers` say what is left of the limits.
    """

    limiter: Limiter
    store: Store
    subject: str
    meters: Sequence[Meter]
    headers: dict[str, str]
    id: str
    is_open: bool = True

    async def settle(self, *, tokens: int | None, cost_usd: Decimal | None) -> None:
        """Say what was used. None: not known, and the estimate stands. A second time changes nothing."""
        if not self.is_open:
            return
        self.abandon()
        settled = [meter for meter in self.meters if meter.kind is not Kind.REQUESTS]
        used = [_used(meter, tokens, cost_usd) for meter in settled]
        if settled:
            await self.limiter.settle(self, settled, used)

    async def refund(self) -> None:
        """Nothing was used."""
        await self.settle(tokens=0, cost_usd=Decimal(0))

    def abandon(self) -> None:
        """No longer renew what is held: it ends by itself, as it does when the process dies."""
        self.is_open = False
        self.limiter.open.discard(self)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.refund()


@dataclass(slots=True, eq=False)
class Limiter:
    """One for the life of an event loop; `run()` is its task. `redis` is None where every worker counts by itself."""

    spent: Spent
    redis: RedisStore | None = None
    memory: MemoryStore = field(default_factory=MemoryStore)
    open: set[Admission] = field(default_factory=set)
    _away_until: float | None = None
    _reading: WeakValueDictionary[str, asyncio.Lock] = field(default_factory=WeakValueDictionary)
    """By subject: a long history that is read for one key must not keep the others waiting."""

    @property
    def redis_state(self) -> str:
        """not used, ok or away"""
        if self.redis is None:
            return "not used"
        return "ok" if self._away_until is None else "away"

    async def admit(self, caller: Caller, estimate: Estimate) -> Admission:
        """Take what a call may use. Raises RateLimited, and then nothing is taken."""
        now = timezone.now()
        meters = meters_of(caller.limits, estimate, now)
        if not meters:
            return Admission(self, self.memory, "", meters, {}, "")
        subject, number = caller.counted_as, secrets.token_hex(8)
        store, verdict = await self._admit(caller, subject, number, meters)
        if verdict.refused_by is not None:
            who = f"the API key '{caller.name}'" if caller.name else "this address"
            raise refusal(who, meters, verdict.readings, verdict.refused_by, now)
        headers = headers_of(meters, verdict.readings, taken=True)
        admission = Admission(self, store, subject, meters, headers, number)
        if any(meter.is_lease for meter in meters):
            self.open.add(admission)
        return admission

    async def settle(self, admission: Admission, meters: Sequence[Meter], used: Sequence[int]) -> None:
        """For `Admission.settle`. If Redis is away, leases end there by themselves, and counters are read anew."""
        try:
            await admission.store.settle(admission.subject, admission.id, meters, used)
        except REDIS_ERRORS as error:
            self._lost_redis(error)

    async def run(self) -> None:
        """Renew what open calls hold, and look whether Redis is back."""
        while True:
            await asyncio.sleep(RENEW_SECONDS)
            for store in (self.memory, self.redis):
                if store is None:
                    continue
                try:
                    await store.renew([_held(admission) for admission in self.open if admission.store is store])
                except REDIS_ERRORS as error:
                    self._lost_redis(error)

    async def _admit(self, caller: Caller, subject: str, number: str, meters: Sequence[Meter]) -> tuple[Store, Verdict]:
        if self.redis is not None and (self._away_until is None or time.monotonic() >= self._away_until):
            try:
                verdict = await self._admit_by(self.redis, caller, subject, number, meters)
            except REDIS_ERRORS as error:
                self._lost_redis(error)
            else:
                self._found_redis()
                return self.redis, verdict
        return self.memory, await self._admit_by(self.memory, caller, subject, number, meters)

    async def _admit_by(
        self, store: Store, caller: Caller, subject: str, number: str, meters: Sequence[Meter]
    ) -> Verdict:
        verdict = await store.admit(subject, number, meters, {})
        if verdict.unread is None:
            return verdict
        reading = self._reading.setdefault(subject, asyncio.Lock())
        async with reading:  # one of a burst reads the history, the others find what it has read
            verdict = await store.admit(subject, number, meters, {})
            read: dict[str, int | None] = {}
            while verdict.unread is not None:
                meter = meters[verdict.unread]
                assert meter.since is not None
                spent = await self.spent(caller.name, meter.since)
                if spent is None:
                    logger.error("budget_unreadable", extra={"api_key": caller.name})
                read[meter.counter] = None if spent is None else nanodollars(spent)
                verdict = await store.admit(subject, number, meters, read)
            return verdict

    def _lost_redis(self, error: BaseException) -> None:
        if self._away_until is None:
            logger.error("redis_away", extra={"error": type(error).__name__})
        self._away_until = time.monotonic() + AWAY_SECONDS

    def _found_redis(self) -> None:
        if self._away_until is not None:
            logger.warning("redis_back")
        self._away_until = None


@contextlib.asynccontextmanager
async def open_limiter(redis_url: str, spent: Spent) -> AsyncGenerator[Limiter]:
    """A limiter, with its connections closed at the end. Redis need not be there yet."""
    if not redis_url:
        yield Limiter(spent)
        return
    pool = BlockingConnectionPool.from_url(
        redis_url,
        max_connections=REDIS_CONNECTIONS,
        timeout=REDIS_TIMEOUT_SECONDS,
        socket_timeout=REDIS_TIMEOUT_SECONDS,
        socket_connect_timeout=REDIS_TIMEOUT_SECONDS,
        retry=Retry(NoBackoff(), 0),  # a script that ran and was not heard of must not run twice
    )
    async with Redis.from_pool(pool) as redis:
        yield Limiter(spent, RedisStore(redis))


def _held(admission: Admission) -> Held:
    return Held(admission.subject, admission.id, [meter for meter in admission.meters if meter.is_lease])


def _used(meter: Meter, tokens: int | None, cost_usd: Decimal | None) -> int:
    match meter.kind:
        case Kind.CONCURRENT:
            return 0
        case Kind.TOKENS:
            return meter.amount if tokens is None else tokens
        case _:
            return meter.amount if cost_usd is None else nanodollars(cost_usd)
