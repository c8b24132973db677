"""Idempotency keys: a request that is repeated under its key gets the answer of the first one, on any worker.

Source of the protocol: the IETF draft "The Idempotency-Key HTTP Header Field". A key stands for an answer. A request
that ended without one (it failed, its caller left, its process died) leaves the key to the next request. If its answer
is read on all the same, the key waits for that, and whoever comes back gets the answer that was paid for.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar

from django.db import DatabaseError, IntegrityError, InterfaceError, transaction
from django.db.models import QuerySet
from django.db.models.functions import Now
from django.utils import timezone
from rest_framework.exceptions import APIException, ValidationError

from chat.models import CallRecord, IdempotencyKey
from chat.record.database import in_database_thread
from chat.request_ids import common_start

logger = logging.getLogger("chat.idempotency")

T = TypeVar("T")

HEADER = "Idempotency-Key"
# The name under which Django keeps that header in `request.META`.
META_NAME = "HTTP_IDEMPOTENCY_KEY"
# Headers that change what is asked for, as fields of the body do.
ASKING_HEADERS = ("x-route", "x-default-message")
# For how long a key stands for its answer.
KEPT = timedelta(hours=24)
# How long a request may hold a key while no row says that its call is running: before the call gets its first row, and
# after the call until the answer is saved. If it takes longer, the process has died.
SETTLING = timedelta(seconds=20)
# The statuses of a call that has ended without an answer.
ENDED_WITHOUT_ANSWER = (CallRecord.Status.FAILED, CallRecord.Status.CANCELLED, CallRecord.Status.INTERRUPTED)
# How many old keys are deleted in one transaction.
DELETED_AT_ONCE = 500


class KeyInUse(APIException):
    """The first request with this key has not ended."""

    status_code = 409
    default_detail = "A request with this Idempotency-Key is still running. Repeat it later."
    wait = 1


class KeyReused(APIException):
    """The key belongs to another request."""

    status_code = 422
    default_detail = "This Idempotency-Key was used for another request: its address or its body was different."


class KeysAway(APIException):
    """Without the database nobody knows whether a request is a repetition, so no model is asked."""

    status_code = 503
    default_detail = "Idempotency keys can't be looked up at the moment. Repeat the request later."


@dataclass(frozen=True, slots=True)
class SavedAnswer:
    """The answer that the first request got."""

    content_type: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Claim:
    """A key that this request holds. `held` proves it: the row has another value once another request has the key."""

    api_key: str
    key: str
    held: str

    async def save(self, answer: SavedAnswer) -> None:
        """Store the answer before the caller sees the end of it.

        If the database is away, the caller gets its answer all the same, because it was made and paid for.
        """
        await self._change("idempotency_not_saved", lambda: self._save(answer))

    async def release(self) -> None:
        """Give the key back after a request without an answer, so that the next request need not wait."""
        await self._change("idempotency_not_released", lambda: self._ours().filter(answered=False).delete())

    async def _change(self, failed: str, change: Callable[[], object]) -> None:
        try:
            await in_database_thread(change)
        except (DatabaseError, InterfaceError) as error:
            logger.error(failed, extra={"error": type(error).__name__, "claim": self.held})

    def _save(self, answer: SavedAnswer) -> None:
        self._ours().update(
            answered=True, content_type=answer.content_type, headers=dict(answer.headers), body=answer.body
        )

    def _ours(self) -> QuerySet[IdempotencyKey]:
        return IdempotencyKey.objects.filter(api_key=self.api_key, key=self.key, claim=self.held)


def fingerprint(path: str, body: Any, headers: Mapping[str, str]) -> str:
    """A text that is the same for two requests if the second is a repetition of the first."""
    asking = {name: headers[name] for name in ASKING_HEADERS if name in headers}
    return hashlib.sha256(json.dumps([path, body, asking], sort_keys=True).encode()).hexdigest()


def checked_key(written: str) -> str:
    """The key, if it is well formed. Raises ValidationError."""
    if not re.fullmatch(r"[\x21-\x7e]{1,255}", written):
        raise ValidationError({HEADER: ["Must be 1 to 255 visible ASCII characters."]})
    return written


async def claim_key(
    *, api_key: str, key: str, fingerprint: str, request_id: str, created_at: datetime
) -> Claim | SavedAnswer:
    """Take the key, or get the answer that is saved under it. Raises KeyInUse, KeyReused and KeysAway.

    `request_id` and `created_at` are those of the call that will follow.
    """
    claim = Claim(api_key, key, secrets.token_hex(16))
    ours = {"fingerprint": fingerprint, "request_id": request_id, "claim": claim.held, "created_at": created_at}
    try:
        return await in_database_thread(lambda: _claim(claim, ours))
    except (DatabaseError, InterfaceError) as error:
        logger.error("idempotency_away", extra={"error": type(error).__name__})
        raise KeysAway from error


def _claim(claim: Claim, ours: Mapping[str, Any]) -> Claim | SavedAnswer:
    keys = IdempotencyKey.objects.filter(api_key=claim.api_key, key=claim.key)
    now = timezone.now()
    found = keys.first()
    if found is None:
        try:
            with transaction.atomic():
                IdempotencyKey.objects.create(api_key=claim.api_key, key=claim.key, **ours)
        except IntegrityError:  # Another request was faster.
            raise KeyInUse from None
        return claim
    if found.created_at > now - KEPT:
        if found.fingerprint != ours["fingerprint"]:
            raise KeyReused
        if found.answered:
            return SavedAnswer(found.content_type, found.headers, bytes(found.body))
        if not _ended_without_answer(found, now):
            raise KeyInUse
    taken = keys.filter(claim=found.claim, answered=found.answered).update(
        **ours, answered=False, content_type="", headers={}, body=b""
    )
    if not taken:
        raise KeyInUse
    return claim


def _ended_without_answer(found: IdempotencyKey, now: datetime) -> bool:
    """Whether the request that holds a key has ended without an answer. The row of its call tells."""
    # The row is found by its moment and its id, because a caller may choose an X-Request-ID twice. The row of the
    # second call then has an id with a suffix.
    calls = CallRecord.objects.filter(
        created_at=found.created_at, request_id__startswith=common_start(found.request_id)
    )
    call = calls.values("status", "created_at", "latency_ms").first()
    if call is None:
        return found.created_at < now - SETTLING
    if call["status"] in ENDED_WITHOUT_ANSWER:
        # With a lease, its answer is still read on, and will be kept under the key.
        return not calls.filter(lease_until__gt=Now()).exists()
    if call["status"] == CallRecord.Status.IN_PROGRESS:
        return False
    # The call was answered. If that is long ago, the process died before it could save the answer here.
    return bool(call["created_at"] + timedelta(milliseconds=call["latency_ms"] or 0) < now - SETTLING)


def old_keys() -> QuerySet[IdempotencyKey]:
    """Keys that are too old to be used."""
    return IdempotencyKey.objects.filter(created_at__lt=timezone.now() - KEPT)


def forget_old_keys() -> int:
    """Delete the keys that are too old, some at a time, so that writers get a turn. Returns how many there were."""
    forgotten = 0
    while ids := list(old_keys().order_by("created_at").values_list("id", flat=True)[:DELETED_AT_ONCE]):
        forgotten += old_keys().filter(id__in=ids).delete()[0]
    return forgotten
