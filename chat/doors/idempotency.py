"""Idempotency keys: a request that is repeated under its key gets the answer of the first one, on any worker.

Source of the protocol: the IETF draft "The Idempotency-Key HTTP Header Field". A key stands for an answer: a request
that came to nothing (it failed, its caller left, its process died) leaves the key to the next one.
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
from django.utils import timezone
from rest_framework.exceptions import APIException, ValidationError

from chat.models import CallRecord, IdempotencyKey
from chat.record.database import in_database_thread
from chat.request_ids import common_start

logger = logging.getLogger("chat.idempotency")

T = TypeVar("T")

HEADER = "Idempotency-Key"
META_NAME = "HTTP_IDEMPOTENCY_KEY"
"""Under which Django has it in `request.META`."""
ASKING_HEADERS = ("x-route", "x-default-message")
"""Headers that decide what is answered, as a field of the body does."""
KEPT = timedelta(hours=24)
SETTLING = timedelta(seconds=20)
"""How long a request may be without a row of its own, before or after its call: after that its process has died."""
CAME_TO_NOTHING = (CallRecord.Status.FAILED, CallRecord.Status.CANCELLED, CallRecord.Status.INTERRUPTED)


DELETED_AT_ONCE = 500


class KeyInUse(APIException):
    status_code = 409
    default_detail = "A request with this Idempotency-Key is still running. Repeat it later."
    wait = 1


class KeyReused(APIException):
    status_code = 422
    default_detail = "This Idempotency-Key was used for another request: its address or its body was different."


class KeysAway(APIException):
    """Without the database nobody knows if a request is a repetition, so no model is asked."""

    status_code = 503
    default_detail = "Idempotency keys can't be looked up at the moment. Repeat the request later."


@dataclass(frozen=True, slots=True)
class SavedAnswer:
    """What the first request was answered."""

    content_type: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Claim:
    """A key that is ours to answer. `held` is what proves it."""

    api_key: str
    key: str
    held: str

    async def save(self, answer: SavedAnswer) -> None:
        """Keep the answer, durably, before the caller sees the end of it.

        If the database is away, the caller gets its answer all the same: it was made, and paid.
        """
        await self._change("idempotency_not_saved", lambda: self._save(answer))

    async def release(self) -> None:
        """The request came to nothing: the next one with this key need not wait."""
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
    """What must be the same for a request to be a repetition."""
    asking = {name: headers[name] for name in ASKING_HEADERS if name in headers}
    return hashlib.sha256(json.dumps([path, body, asking], sort_keys=True).encode()).hexdigest()


def checked_key(written: str) -> str:
    """Raises ValidationError on a key that can't be one."""
    if not re.fullmatch(r"[\x21-\x7e]{1,255}", written):
        raise ValidationError({HEADER: ["Must be 1 to 255 visible ASCII characters."]})
    return written


async def claim_key(
    *, api_key: str, key: str, fingerprint: str, request_id: str, created_at: datetime
) -> Claim | SavedAnswer:
    """Take a key, or the answer that it has. Raises KeyInUse, KeyReused and KeysAway.

    `request_id` and `created_at` are those of the call that is to follow.
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
        except IntegrityError:  # another request was faster
            raise KeyInUse from None
        return claim
    if found.created_at > now - KEPT:
        if found.fingerprint != ours["fingerprint"]:
            raise KeyReused
        if found.answered:
            return SavedAnswer(found.content_type, found.headers, bytes(found.body))
        if not _came_to_nothing(found, now):
            raise KeyInUse
    taken = keys.filter(claim=found.claim, answered=found.answered).update(
        **ours, answered=False, content_type="", headers={}, body=b""
    )
    if not taken:
        raise KeyInUse
    return claim


def _came_to_nothing(found: IdempotencyKey, now: datetime) -> bool:
    """Has the request that holds a key ended without an answer? Its call's row says so, lease and all."""
    # Both, because a caller may choose an X-Request-ID twice; the second call's row then has a suffix.
    calls = CallRecord.objects.filter(
        created_at=found.created_at, request_id__startswith=common_start(found.request_id)
    )
    call = calls.values("status", "created_at", "latency_ms").first()
    if call is None:
        return found.created_at < now - SETTLING
    if call["status"] in CAME_TO_NOTHING:
        return True
    if call["status"] == CallRecord.Status.IN_PROGRESS:
        return False
    # It was answered, and its process died before it could save the answer here.
    return bool(call["created_at"] + timedelta(milliseconds=call["latency_ms"] or 0) < now - SETTLING)


def old_keys() -> QuerySet[IdempotencyKey]:
    """Keys that are too old to be used."""
    return IdempotencyKey.objects.filter(created_at__lt=timezone.now() - KEPT)


def forget_old_keys() -> int:
    """Delete them, some at a time, so that writers get a turn in between. Returns how many there were."""
    forgotten = 0
    while ids := list(old_keys().order_by("created_at").values_list("id", flat=True)[:DELETED_AT_ONCE]):
        forgotten += old_keys().filter(id__in=ids).delete()[0]
    return forgotten
