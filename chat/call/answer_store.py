"""Where the answer cache keeps its entries: in Redis, which all workers share, or in the memory of one process."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Protocol, TypeVar

import cachetools
import redis.asyncio

from access.redis_connection import REDIS_ERRORS, Availability, open_redis

logger = logging.getLogger("chat.cache")

T = TypeVar("T")

# How long a call waits for Redis before it asks a model instead.
REDIS_SECONDS = 0.5
# How long Redis is left alone after it could not be reached.
REST_SECONDS = 5.0
# About how much memory an entry takes besides its text.
ENTRY_OVERHEAD_BYTES = 512


class AnswerStore(Protocol):
    """Texts by name, each for some seconds. A store that fails has nothing and keeps nothing; it never raises."""

    async def get(self, name: str) -> str | None: ...
    async def put(self, name: str, text: str, ttl: float) -> None: ...


class MemoryAnswerStore:
    """Entries in this process, at most `max_bytes` of them. The ones that were not used for the longest go first."""

    def __init__(self, max_bytes: int) -> None:
        self._entries: cachetools.TLRUCache[str, tuple[str, float]] = cachetools.TLRUCache(
            maxsize=max_bytes,
            ttu=lambda _name, entry, now: now + entry[1],
            timer=time.monotonic,
            getsizeof=lambda entry: len(entry[0]) + ENTRY_OVERHEAD_BYTES,
        )

    async def get(self, name: str) -> str | None:
        entry = self._entries.get(name)
        return None if entry is None else entry[0]

    async def put(self, name: str, text: str, ttl: float) -> None:
        if len(text) + ENTRY_OVERHEAD_BYTES <= self._entries.maxsize:
            self._entries[name] = (text, ttl)


class RedisAnswerStore:
    """Entries in Redis. While Redis is away it finds nothing and keeps nothing, so that no call fails for it."""

    def __init__(self, client: redis.asyncio.Redis) -> None:
        self._client = client
        self._availability = Availability(REST_SECONDS, logger, "cache_away", "cache_back")

    async def get(self, name: str) -> str | None:
        found = await self._reach(lambda: self._client.get(name))
        return found.decode(errors="replace") if isinstance(found, bytes) else found

    async def put(self, name: str, text: str, ttl: float) -> None:
        await self._reach(lambda: self._client.set(name, text, px=max(1, round(ttl * 1000))))

    async def _reach(self, work: Callable[[], Awaitable[T]]) -> T | None:
        """What Redis answers; None if it is away, or is left alone because it was away a moment ago."""
        if not self._availability.may_be_asked:
            return None
        try:
            async with asyncio.timeout(REDIS_SECONDS):
                said = await work()
        except REDIS_ERRORS as error:
            self._availability.lost(error)
            return None
        self._availability.found()
        return said


@asynccontextmanager
async def open_answer_store(*, redis_url: str, max_bytes: int) -> AsyncGenerator[AnswerStore]:
    """A store for the life of an event loop. Without `redis_url` it is in this process, with at most `max_bytes`."""
    if not redis_url:
        yield MemoryAnswerStore(max_bytes)
        return
    # One retry, for a connection that a restart of Redis has closed. More would only make calls wait.
    async with open_redis(redis_url, timeout_seconds=REDIS_SECONDS, retries=1) as client:
        yield RedisAnswerStore(client)
