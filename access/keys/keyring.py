"""Finds the key of a secret. A small cache in front of the database, so that most requests cost no query.

A process trusts what it has read for `TTL_SECONDS`, so a revoked key can still be used for that long. While the
database is away, a key that was valid before is trusted for `STALE_SECONDS`, so that calls go on without the database.
That is acceptable, because no key can be revoked during that time either.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from django.db import DatabaseError, InterfaceError, close_old_connections
from rest_framework.exceptions import APIException, AuthenticationFailed

from access.keys.key_facts import KeyFacts, accepted, read_key_facts
from access.keys.secret_keys import digest_of, is_well_formed

logger = logging.getLogger("access")

# How long a cached key is used without asking the database again.
TTL_SECONDS = 5.0
# How long it is used while the database is away.
STALE_SECONDS = 3600.0
# How many keys are cached, and how many digests that belong to no key.
KNOWN_KEYS = 10_000
UNKNOWN_KEYS = 1_000
# Threads that read keys for callers on the event loop.
READERS = 4


class KeysUnreadable(APIException):
    """The database is away, and this process has not read the key within the last STALE_SECONDS."""

    status_code = 503
    default_detail = "API keys can't be checked at the moment. Please try again later."


@dataclass(frozen=True, slots=True)
class _CachedKey:
    """What is cached for a digest. `facts` are None if no key has it.

    `read_at` is when the facts were read. `asked_at` is when the database was last asked for them, even if it was away.
    """

    facts: KeyFacts | None
    read_at: float
    asked_at: float


class Keyring:
    """One serves for a whole process, and any thread may use it."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        # The threads of the event loop are not used for this: while the database is away, every reading thread waits
        # for it, and others need the threads of the loop.
        self._threads = ThreadPoolExecutor(max_workers=READERS, thread_name_prefix="keys")
        self._look_ups: dict[str, asyncio.Future[_CachedKey]] = {}
        # Two caches, so that a flood of wrong keys does not push out the right ones.
        self._known: OrderedDict[str, _CachedKey] = OrderedDict()
        self._unknown: OrderedDict[str, _CachedKey] = OrderedDict()

    def find(self, secret: str) -> KeyFacts:
        """The key of a secret. This may read the database. Raises AuthenticationFailed or KeysUnreadable."""
        digest = self._digest(secret)
        cached = self._fresh(digest) or self._look_up(digest)
        return accepted(cached.facts)

    async def afind(self, secret: str) -> KeyFacts:
        """The same as `find`, for the event loop.

        A thread is used only if the database must be read. Callers who ask for the same key meanwhile share the result.
        """
        digest = self._digest(secret)
        cached = self._fresh(digest)
        if cached is None:
            cached = await asyncio.shield(self._shared_look_up(digest))
        return accepted(cached.facts)

    def _shared_look_up(self, digest: str) -> asyncio.Future[_CachedKey]:
        """A look-up in a thread. While one runs for a digest, everybody who asks for this digest gets the same one."""
        look_up = self._look_ups.get(digest)
        if look_up is None:
            look_up = asyncio.get_running_loop().run_in_executor(self._threads, self._look_up, digest)
            self._look_ups[digest] = look_up
            look_up.add_done_callback(lambda ended: self._has_ended(digest, ended))
        return look_up

    def _has_ended(self, digest: str, look_up: asyncio.Future[_CachedKey]) -> None:
        del self._look_ups[digest]
        if not look_up.cancelled():
            # If nobody waits for the result any more, asyncio would log an exception that nobody has looked at.
            look_up.exception()

    def close(self) -> None:
        """Wait until no thread reads any more, and end the threads."""
        self._threads.shutdown()

    def _digest(self, secret: str) -> str:
        if not is_well_formed(secret):
            raise AuthenticationFailed("The API key is not known.")
        return digest_of(secret)

    def _cached(self, digest: str) -> _CachedKey | None:
        with self._lock:
            return self._known.get(digest) or self._unknown.get(digest)

    def _fresh(self, digest: str) -> _CachedKey | None:
        cached = self._cached(digest)
        return cached if cached is not None and self._clock() - cached.asked_at < TTL_SECONDS else None

    def _look_up(self, digest: str) -> _CachedKey:
        asked_at = self._clock()
        try:
            cached = _CachedKey(read_key_facts(digest), read_at=asked_at, asked_at=asked_at)
        except (DatabaseError, InterfaceError) as error:
            logger.error("keys_unreadable", extra={"error": type(error).__name__})
            stale = self._cached(digest)
            if stale is None or stale.facts is None or asked_at - stale.read_at > STALE_SECONDS:
                raise KeysUnreadable from error
            # For TTL_SECONDS nobody asks again, because each request would wait for the database just as long.
            cached = _CachedKey(stale.facts, stale.read_at, asked_at=self._clock())
        finally:
            # This may be a thread whose connection nobody else closes.
            close_old_connections()
        self._keep(digest, cached)
        return cached

    def _keep(self, digest: str, cached: _CachedKey) -> None:
        kept, size = (self._known, KNOWN_KEYS) if cached.facts else (self._unknown, UNKNOWN_KEYS)
        with self._lock:
            self._known.pop(digest, None)
            self._unknown.pop(digest, None)
            kept[digest] = cached
            while len(kept) > size:
                kept.popitem(last=False)
