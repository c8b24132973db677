"""Idempotency keys: a request that is repeated under its key gets the answer of the first one, on any worker.

Source of the protocol: the IETF draft "The Idempotency-Key HTTP Header Field". A key stands for an answer: a request
that came to nothing (it failed, its caller left, its process died) leaves the key to the next one.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from asgiref.sync import sync_to_async
from django.db import IntegrityError, transaction
from django.utils import timezone
from rest_framework.exceptions import APIException, ValidationError

from chat.models import CallRecord, IdempotencyKey

HEADER = "Idempotency-Key"
KEPT = timedelta(hours=24)
SETTLING = timedelta(seconds=20)
"""How long a request may be without a row of its own, before or after its call: after that its process has died."""
CAME_TO_NOTHING = (CallRecord.Status.FAILED, CallRecord.Status.CANCELLED, CallRecord.Status.INTERRUPTED)


class KeyInUse(APIException):
    status_code = 409
    default_detail = "A request with this Idempotency-Key is still running. Repeat it later."


class KeyReused(APIException):
    status_code = 422
    default_detail = "This Idempotency-Key was used for another request: its address or its body was different."


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
        """Keep the answer, durably, before the caller sees the end of it."""
        await sync_to_async(self._save)(answer)

    def _save(self, answer: SavedAnswer) -> None:
        IdempotencyKey.objects.filter(api_key=self.api_key, key=self.key, claim=self.held).update(
            answered=True, content_type=answer.content_type, headers=dict(answer.headers), body=answer.body
        )


def fingerprint(path: str, body: Any) -> str:
    """What must be the same for a request to be a repetition."""
    return hashlib.sha256(json.dumps([path, body], sort_keys=True).encode()).hexdigest()


def checked_key(written: str) -> str:
    """Raises ValidationError on a key that can't be one."""
    if not re.fullmatch(r"[\x21-\x7e]{1,255}", written):
        raise ValidationError({HEADER: ["Must be 1 to 255 visible ASCII characters."]})
    return written


async def claim_key(*, api_key: str, key: str, fingerprint: str, request_id: str) -> Claim | SavedAnswer:
    """Take a key, or the answer that it has. Raises KeyInUse and KeyReused."""
    claim = Claim(api_key, key, secrets.token_hex(16))
    return await sync_to_async(_claim)(claim, fingerprint, request_id)


def _claim(claim: Claim, fingerprint: str, request_id: str) -> Claim | SavedAnswer:
    now = timezone.now()
    ours = {"fingerprint": fingerprint, "request_id": request_id, "claim": claim.held, "created_at": now}
    keys = IdempotencyKey.objects.filter(api_key=claim.api_key, key=claim.key)
    found = keys.first()
    if found is None:
        try:
            with transaction.atomic():
                IdempotencyKey.objects.create(api_key=claim.api_key, key=claim.key, **ours)
        except IntegrityError:  # another request was faster
            raise KeyInUse from None
        return claim
    if found.created_at > now - KEPT:
        if found.fingerprint != fingerprint:
            raise KeyReused
        if found.answered:
            return SavedAnswer(found.content_type, found.headers, bytes(found.body))
        if not _came_to_nothing(found, now):
            raise KeyInUse
    taken = keys.filter(claim=found.claim).update(**ours, answered=False, content_type="", headers={}, body=b"")
    if not taken:
        raise KeyInUse
    return claim


def _came_to_nothing(found: IdempotencyKey, now: datetime) -> bool:
    """Has the request that holds a key ended without an answer? Its call's row says so, lease and all."""
    call = CallRecord.objects.filter(request_id=found.request_id).values("status", "created_at", "latency_ms").first()
    if call is None:
        return found.created_at < now - SETTLING
    if call["status"] in CAME_TO_NOTHING:
        return True
    if call["status"] == CallRecord.Status.IN_PROGRESS:
        return False
    # It was answered, and its process died before it could save the answer here.
    return bool(call["created_at"] + timedelta(milliseconds=call["latency_ms"] or 0) < now - SETTLING)


def forget_old_keys() -> int:
    """Delete keys that are too old to be used. Returns how many."""
    return IdempotencyKey.objects.filter(created_at__lt=timezone.now() - KEPT).delete()[0]
