"""Making, rotating and revoking keys. Whoever makes a secret gets it here, once."""

from __future__ import annotations

from datetime import timedelta

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from access.keys.secret_keys import digest_of, new_secret, shown_part
from access.models import ApiKey, ApiKeySecret

DEFAULT_OVERLAP = timedelta(hours=24)


class KeyNotActive(Exception):
    """A key that is revoked or has expired gets no new secret."""


def issue_secret(*, key: ApiKey) -> str:
    """A new secret for a key, beside those it has. It is stored nowhere."""
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
    """A new secret for the same name. The old ones count until the overlap has passed. Raises KeyNotActive."""
    if key.state != "active":
        raise KeyNotActive(f"The key '{key.name}' is {key.state}.")
    until = timezone.now() + overlap
    with transaction.atomic():
        key.secrets.filter(Q(expires_at=None) | Q(expires_at__gt=until)).update(expires_at=until)
        return issue_secret(key=key)


def revoke_key(*, key: ApiKey) -> None:
    """No secret of the key counts any more, once every process has looked again. To revoke twice changes nothing."""
    ApiKey.objects.filter(pk=key.pk, revoked_at=None).update(revoked_at=timezone.now())
