"""Where the answer cache keeps its answers: in Redis, which all workers share, or in the memory of one process."""

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
# About how much memory an answer takes besides its text.
ENTRY_OVERHEAD_BYTES = 512


class AnswerStore(Protocol):
    """Keeps texts by name, each for some seconds. It never raises. While it fails, it finds and keeps nothing."""

    async def get(self, name: str) -> str | None: ...
    async def put(self, name: str, text: str, ttl: float) -> None: ...


class MemoryAnswerStore:
    """Answers in this process, in at most `max_bytes`. Those that nobody has used for the longest time go first."""

    def __init__(self, max_bytes: int) -> None:
        self._answers: cachetools.TLRUCache[str, tuple[str, float]] = cachetools.TLRUCache(
            maxsize=max_bytes,
            ttu=lambda _name, answer, now: now + answer[1],
            timer=time.monotonic,
            getsizeof=lambda answer: len(answer[0]) + ENTRY_OVERHEAD_BYTES,
        )

    async def get(self, name: str) -> str | None:
        found = self._answers.get(name)
        return None if found is None else found[0]

    async def put(self, name: str, text: str, ttl: float) -> None:
        if len(text) + ENTRY_OVERHEAD_BYTES <= self._answers.maxsize:
            self._answers[name] = (text, ttl)


class RedisAnswerStore:
    """Answers in Redis. While Redis is away it finds nothing and keeps nothing, so that no call fails because of it."""

    def __init__(self, client: redis.asyncio.Redis) -> None:
        self._client = client
        self._availability = Availability(REST_SECONDS, logger, "cache_away", "cache_back")

    async def get(self, name: str) -> str | None:
        found = await self._reach(lambda: self._client.get(name))
        return found.decode(errors="replace") if isinstance(found, bytes) else found

    async def put(self, name: str, text: str, ttl: float) -> None:
        await self._reach(lambda: self._client.set(name, text, px=max(1, round(ttl * 1000))))

    async def _reach(self, work: Callable[[], Awaitable[T]]) -> T | None:
        """What Redis answers. None if it is away, or if it was away a moment ago and is not asked again yet."""
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
    """A store for the life of an event loop. Without `redis_url` it keeps at most `max_bytes` in this process."""
    if not redis_url:
        yield MemoryAnswerStore(max_bytes)
        return
    # One retry, for a connection that a restart of Redis has closed. More would only make calls wait.
    async with open_redis(redis_url, timeout_seconds=REDIS_SECONDS, retries=1) as client:
        yield RedisAnswerStore(client)
