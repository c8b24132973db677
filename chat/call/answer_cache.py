"""Answers that may be given again to exactly the same request. Nobody gets one who did not ask for it.

In Redis where there is one, so that all workers share it; else in this process, bounded in bytes. A cache that can't be
reached answers nothing, and nothing fails for that; it is left alone for a moment, so that not every call waits for it.
"""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import json
import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Protocol, TypeVar

import cachetools
import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from chat.order import Order
from llm import CallOutcome, CallStatus, UpstreamError, Usage

logger = logging.getLogger("chat.cache")

T = TypeVar("T")

REDIS_SECONDS = 0.5
"""How long a call waits for Redis before it asks a model instead."""
REDIS_CONNECTIONS = 32
"""At most, of each process; calls beyond them take turns."""
REST_SECONDS = 5.0
"""How long Redis is left alone after it could not be reached."""
MAX_ENTRY_BYTES = 4 * 1024 * 1024
ENTRY_OVERHEAD_BYTES = 512
"""About what an entry takes of a process's memory, besides its text."""


class Store(Protocol):
    """Texts by name, each for a while."""

    async def get(self, name: str) -> str | None: ...
    async def put(self, name: str, text: str, ttl: float) -> None: ...


class ProcessStore:
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


class RedisStore:
    def __init__(self, client: redis.asyncio.Redis) -> None:
        self._client = client

    async def get(self, name: str) -> str | None:
        found = await self._client.get(name)
        return found.decode(errors="replace") if isinstance(found, bytes) else found

    async def put(self, name: str, text: str, ttl: float) -> None:
        await self._client.set(name, text, px=max(1, round(ttl * 1000)))


class AnswerCache:
    """Whole answers, keyed by the request as the engine gets it and by the caller's API key."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._is_away = False
        self._rests_until = 0.0

    async def find(self, order: Order) -> CallOutcome | None:
        """An answer to exactly this request, as an outcome that cost nothing."""
        found = await self._reach(lambda: self._store.get(_name(order)))
        if found is None:
            return None
        try:
            return _outcome(order, found)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError, UpstreamError) as error:
            # Anybody may write into a Redis that is shared.
            logger.warning("cache_unreadable", extra={"request_id": order.request_id, "error": type(error).__name__})
            return None

    async def keep(self, order: Order, outcome: CallOutcome) -> None:
        """Keep the answer of a call that a model answered."""
        if outcome.status is not CallStatus.SUCCEEDED or outcome.completion is None:
            return
        entry = json.dumps(
            {
                "completion": outcome.completion,
                "model_used": outcome.model_used,
                "provider_used": outcome.provider_used,
                "usage": dataclasses.asdict(outcome.usage) if outcome.usage else None,
            }
        )
        if len(entry) > MAX_ENTRY_BYTES:
            return
        await self._reach(lambda: self._store.put(_name(order), entry, order.cache_ttl))

    async def _reach(self, work: Callable[[], Awaitable[T]]) -> T | None:
        """What the store says, None if it is away. One line in the log when it goes, and one when it is back."""
        if time.monotonic() < self._rests_until:
            return None
        try:
            async with asyncio.timeout(REDIS_SECONDS):
                said = await work()
        except (RedisError, OSError) as error:
            self._rests_until = time.monotonic() + REST_SECONDS
            if not self._is_away:
                logger.warning("cache_away", extra={"error": type(error).__name__})
            self._is_away = True
            return None
        if self._is_away:
            logger.warning("cache_back")
        self._is_away = False
        return said


@dataclass(frozen=True, slots=True)
class CacheConfig:
    redis_url: str = ""
    max_bytes: int = 64 * 1024 * 1024


@asynccontextmanager
async def open_cache(config: CacheConfig) -> AsyncGenerator[AnswerCache]:
    """For the life of an event loop."""
    if not config.redis_url:
        yield AnswerCache(ProcessStore(config.max_bytes))
        return
    # Once again at once, for a connection that a restart of Redis has cut; more would only make calls wait.
    pool = redis.asyncio.BlockingConnectionPool.from_url(
        config.redis_url,
        max_connections=REDIS_CONNECTIONS,
        timeout=REDIS_SECONDS,
        socket_timeout=REDIS_SECONDS,
        socket_connect_timeout=REDIS_SECONDS,
        retry=Retry(NoBackoff(), 1),
    )
    client = redis.asyncio.Redis.from_pool(pool)
    try:
        yield AnswerCache(RedisStore(client))
    finally:
        await client.aclose()


def _outcome(order: Order, found: str) -> CallOutcome:
    """Raises all kinds of errors on a text that is none of ours."""
    entry = json.loads(found)
    operation, completion = order.request.operation, entry["completion"]
    operation.check(completion)
    if order.request.stream:
        operation.chunks_of(completion)
    return CallOutcome(
        status=CallStatus.SUCCEEDED,
        attempts=(),
        latency_ms=0,
        content=operation.text(completion),
        completion=completion,
        completion_id=operation.answer_id(completion),
        model_used=str(entry["model_used"]),
        provider_used=str(entry["provider_used"]),
        finish_reason=operation.finish_reason(completion),
        usage=_usage(entry["usage"]),
        cost_usd=Decimal(0),
        cached=True,
    )


def _usage(kept: Any) -> Usage | None:
    if kept is None:
        return None
    if not all(isinstance(count, int) for count in kept.values()):
        raise TypeError("a count of tokens is no number")
    return Usage(**kept)


def _name(order: Order) -> str:
    """The request without the way in which the answer is to be sent."""
    request = order.request
    stages = [[[model.provider, model.name] for model in stage.models] for stage in request.route.stages]
    body = request.operation.whole_body(request.body)
    asked = json.dumps([order.caller.name, request.operation.name, stages, body], sort_keys=True)
    return f"answer:{hashlib.sha256(asked.encode()).hexdigest()}"
