"""What the database says about the key that a secret belongs to."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import DatabaseError
from django.utils import timezone
from rest_framework.exceptions import AuthenticationFailed

from access.limit_rules import Limits
from access.models import ApiKey, ApiKeySecret

logger = logging.getLogger("access")

# How old `last_used_at` may become before it is written again, so that a busy key does not cost a write for each call.
LAST_USED_PRECISION = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class KeyFacts:
    """What must be known of a key to judge a request. It ends at `valid_until`, when the key or the secret expires."""

    name: str
    scopes: frozenset[str]
    models: tuple[str, ...]
    limits: Limits
    revoked: bool
    valid_until: datetime | None


def read_key_facts(digest: str) -> KeyFacts | None:
    """The key whose secret has this digest, or None. The key is marked as used. Raises Django's database errors."""
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


def accepted(facts: KeyFacts | None) -> KeyFacts:
    """Raises AuthenticationFailed unless the key may be used now.

    The error says what is wrong with the key. That is safe, because whoever gets to read it has shown its secret.
    """
    if facts is None:
        raise AuthenticationFailed("The API key is not known.")
    if facts.revoked:
        raise AuthenticationFailed("The API key was revoked.")
    if facts.valid_until is not None and facts.valid_until <= timezone.now():
        raise AuthenticationFailed("The API key has expired.")
    return facts


def _mark_used(key: ApiKey) -> None:
    now = timezone.now()
    if key.state != "active" or (key.last_used_at is not None and now - key.last_used_at < LAST_USED_PRECISION):
        return
    try:
        ApiKey.objects.filter(pk=key.pk).update(last_used_at=now)
    except DatabaseError as error:
        # The database may be read-only, or its only writer may be busy. The key is valid all the same.
        logger.warning("last_used_not_written", extra={"api_key": key.name, "error": type(error).__name__})
