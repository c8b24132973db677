"""Whose secret is this? A small cache in front of the database, so that most requests cost no query.

A process believes what it has read for `TTL_SECONDS`: that is how long a revoked key can still be used. While the
database is away nothing can be revoked either, and a key that was good is believed for `STALE_SECONDS`, so that calls
go on as they do without a database.
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
from datetime import datetime, timedelta

from django.db import DatabaseError, InterfaceError, close_old_connections
from django.utils import timezone
from rest_framework.exceptions import APIException, AuthenticationFailed

from access.keys.secret_keys import digest_of, is_well_formed
from access.limit_rules import Limits
from access.models import ApiKey, ApiKeySecret

logger = logging.getLogger("access")

TTL_SECONDS = 5.0
STALE_SECONDS = 3600.0
KNOWN_KEYS = 10_000
UNKNOWN_KEYS = 1_000
READERS = 4
LAST_USED_PRECISION = timedelta(minutes=5)


class KeysUnreadable(APIException):
    """The database is away, and this key has not been seen before."""

    status_code = 503
    default_detail = "API keys can't be checked at the moment. Please try again later."


@dataclass(frozen=True, slots=True)
class KeyFacts:
    """What was read of a key by one of its secrets. `valid_until` is the earlier end of the two."""

    name: str
    scopes: frozenset[str]
    models: tuple[str, ...]
    limits: Limits
    revoked: bool
    valid_until: datetime | None


@dataclass(frozen=True, slots=True)
class _Entry:
    """`read_at`: when the facts were read; `asked_at`: when the database was asked, though it may have been away."""

    facts: KeyFacts | None
    read_at: float
    asked_at: float


class Keyring:
    """One for a process; any thread may ask it."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        # Of its own: while the database is away they are all held up, and others have work for the loop's threads.
        self._threads = ThreadPoolExecutor(max_workers=READERS, thread_name_prefix="keys")
        self._readings: dict[str, asyncio.Future[_Entry]] = {}
        # Apart, so that a flood of wrong keys does not push out the right ones.
        self._known: OrderedDict[str, _Entry] = OrderedDict()
        self._unknown: OrderedDict[str, _Entry] = OrderedDict()

    def find(self, secret: str) -> KeyFacts:
        """The key of a secret. It may read the database. Raises AuthenticationFailed or KeysUnreadable."""
        digest = self._digest(secret)
        entry = self._fresh(digest) or self._look_up(digest)
        return _accepted(entry.facts)

    async def afind(self, secret: str) -> KeyFacts:
        """`find` on the event loop: a thread is used only where the database must be read, one for all who ask."""
        digest = self._digest(secret)
        entry = self._fresh(digest)
        if entry is None:
            entry = await asyncio.shield(self._reading(digest))
        return _accepted(entry.facts)

    def _reading(self, digest: str) -> asyncio.Future[_Entry]:
        reading = self._readings.get(digest)
        if reading is None:
            reading = asyncio.get_running_loop().run_in_executor(self._threads, self._look_up, digest)
            self._readings[digest] = reading
            reading.add_done_callback(lambda read: self._has_read(digest, read))
        return reading

    def _has_read(self, digest: str, read: asyncio.Future[_Entry]) -> None:
        del self._readings[digest]
        if not read.cancelled():
            read.exception()  # whoever waited may have gone; asyncio would log it

    def close(self) -> None:
        self._threads.shutdown()

    def _digest(self, secret: str) -> str:
        if not is_well_formed(secret):
            raise AuthenticationFailed("The API key is not known.")
        return digest_of(secret)

    def _cached(self, digest: str) -> _Entry | None:
        with self._lock:
            return self._known.get(digest) or self._unknown.get(digest)

    def _fresh(self, digest: str) -> _Entry | None:
        entry = self._cached(digest)
        return entry if entry is not None and self._clock() - entry.asked_at < TTL_SECONDS else None

    def _look_up(self, digest: str) -> _Entry:
        asked_at = self._clock()
        try:
            entry = _Entry(_read(digest), read_at=asked_at, asked_at=asked_at)
        except (DatabaseError, InterfaceError) as error:
            logger.error("keys_unreadable", extra={"error": type(error).__name__})
            stale = self._cached(digest)
            if stale is None or stale.facts is None or asked_at - stale.read_at > STALE_SECONDS:
                raise KeysUnreadable from error
            # For a moment nobody need ask again: each of them would wait as long for the same.
            entry = _Entry(stale.facts, stale.read_at, asked_at=self._clock())
        finally:
            # In a thread whose connection nobody else would close if the caller has gone.
            close_old_connections()
        self._keep(digest, entry)
        return entry

    def _keep(self, digest: str, entry: _Entry) -> None:
        kept, size = (self._known, KNOWN_KEYS) if entry.facts else (self._unknown, UNKNOWN_KEYS)
        with self._lock:
            self._known.pop(digest, None)
            self._unknown.pop(digest, None)
            kept[digest] = entry
            while len(kept) > size:
                kept.popitem(last=False)


def _accepted(facts: KeyFacts | None) -> KeyFacts:
    """Whoever shows a secret of a key may hear what is wrong with it."""
    if facts is None:
        raise AuthenticationFailed("The API key is not known.")
    if facts.revoked:
        raise AuthenticationFailed("The API key was revoked.")
    if facts.valid_until is not None and facts.valid_until <= timezone.now():
        raise AuthenticationFailed("The API key has expired.")
    return facts


def _read(digest: str) -> KeyFacts | None:
    secret = ApiKeySecret.objects.select_related("key").filter(digest=digest).first()
    if secret is None:
        return None
    key = secret.key
    ends = [end for end in (key.expires_at, secret.expires_at) if end is not None]
    facts = KeyFacts(
        name=key.name,
        scopes=frozenset(key.scopes),
        models=key.model_patterns,
        limits=key.limits,
        revoked=key.revoked_at is not None,
        valid_until=min(ends, default=None),
    )
    _mark_used(key)
    return facts


def _mark_used(key: ApiKey) -> None:
    """To within some minutes, so that a busy key costs a write now and then, and not one for each call."""
    now = timezone.now()
    if key.state != "active" or (key.last_used_at is not None and now - key.last_used_at < LAST_USED_PRECISION):
        return
    try:
        ApiKey.objects.filter(pk=key.pk).update(last_used_at=now)
    except DatabaseError as error:  # a database that only reads, or one writer too many: the key is as good as before
        logger.warning("last_used_not_written", extra={"api_key": key.name, "error": type(error).__name__})
