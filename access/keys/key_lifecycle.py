"""Making, rotating and revoking keys. Whoever makes a secret gets it here, and only this once."""

from __future__ import annotations

from datetime import timedelta

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from access.keys.secret_keys import digest_of, new_secret, shown_part
from access.models import ApiKey, ApiKeySecret

# How long the old secrets still count after a rotation.
DEFAULT_OVERLAP = timedelta(hours=24)


class KeyNotActive(Exception):
    """A key that is revoked or has expired gets no new secret."""


def issue_secret(*, key: ApiKey) -> str:
    """Make one more secret for a key, and return it. Only its hash and its first characters are stored."""
    secret = new_secret()
    ApiKeySecret.objects.create(key=key, digest=digest_of(secret), shown=shown_part(secret))
    return secret


def create_key(*, key: ApiKey) -> str:
    """Save a new key, and return its secret. Raises Django's ValidationError."""
    key.full_clean()
    with transaction.atomic():
        key.save(force_insert=True)
        return issue_secret(key=key)


def rotate_key(*, key: ApiKey, overlap: timedelta = DEFAULT_OVERLAP) -> str:
    """Make a new secret for the same key, and return it. The old ones count until the overlap is over.

    Raises KeyNotActive.
    """
    if key.state != "active":
        raise KeyNotActive(f"The key '{key.name}' is {key.state}.")
    until = timezone.now() + overlap
    with transaction.atomic():
        key.secrets.filter(Q(expires_at=None) | Q(expires_at__gt=until)).update(expires_at=until)
        return issue_secret(key=key)


def revoke_key(*, key: ApiKey) -> None:
    """End a key for good: no process accepts its secrets any more after it has read the key again.

    To revoke a key a second time changes nothing.
    """
    ApiKey.objects.filter(pk=key.pk, revoked_at=None).update(revoked_at=timezone.now())
