"""A connection to Redis that may go away: its pool, and whether it is worth asking at the moment."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

# The most connections that one user of Redis opens in a process. Requests beyond them wait for their turn.
CONNECTIONS = 32

# What the client raises when Redis can't be reached, answers with an error, or takes too long.
REDIS_ERRORS = (RedisError, OSError, TimeoutError)


@contextlib.asynccontextmanager
async def open_redis(url: str, *, timeout_seconds: float, retries: int) -> AsyncGenerator[Redis]:
    """A client whose connections are closed at the end. Redis need not be there yet.

    `timeout_seconds` bounds each wait: for a turn, for the connection, and for an answer. `retries` is how often a
    command is sent again at once after a connection has failed.
    """
    pool = BlockingConnectionPool.from_url(
        url,
        max_connections=CONNECTIONS,
        timeout=timeout_seconds,
        socket_timeout=timeout_seconds,
        socket_connect_timeout=timeout_seconds,
        retry=Retry(NoBackoff(), retries),
    )
    async with Redis.from_pool(pool) as redis:
        yield redis


@dataclass(slots=True)
class Availability:
    """Whether Redis answers, as far as its user knows.

    After a failure Redis is left alone for `rest_seconds`, so that not every request waits for a server that is away.
    The log gets one line when Redis goes (`away_event`, at `away_level`), and one when it is back (`back_event`).
    """

    rest_seconds: float
    logger: logging.Logger
    away_event: str
    back_event: str
    away_level: int = logging.WARNING
    _rests_until: float | None = None

    @property
    def is_away(self) -> bool:
        """True from the first failure to the next success."""
        return self._rests_until is not None

    @property
    def may_be_asked(self) -> bool:
        """False while Redis is left alone."""
        return self._rests_until is None or time.monotonic() >= self._rests_until

    def lost(self, error: BaseException) -> None:
        """Say that Redis has failed."""
        if not self.is_away:
            self.logger.log(self.away_level, self.away_event, extra={"error": type(error).__name__})
        self._rests_until = time.monotonic() + self.rest_seconds

    def found(self) -> None:
        """Say that Redis has answered."""
        if self.is_away:
            self.logger.warning(self.back_event)
        self._rests_until = None
