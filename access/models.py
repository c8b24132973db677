"""API keys. A key is a name with rights and limits. Its secrets can be replaced, and the key stays the same.

A key is revoked and never deleted: calls are kept under its name, and whoever got that name later would see them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MinValueValidator, RegexValidator
from django.db import models
from django.db.models import Q
from django.utils import timezone

from access.callers import Scope
from access.limit_rules import Limits, parse_rate, validate_rate

# The same as the length of `CallRecord.api_key`, which keeps the name.
NAME_LENGTH = 200
name_is_plain = RegexValidator(
    r"\A[A-Za-z0-9][A-Za-z0-9._@-]*\Z", "Use letters, digits and . _ @ - only, and begin with a letter or a digit."
)


def default_scopes() -> list[str]:
    return [Scope.CHAT.value]


def validate_scopes(scopes: object) -> None:
    known = ", ".join(Scope.values)
    if not isinstance(scopes, list) or not scopes or not set(scopes) <= set(Scope.values):
        raise ValidationError(f"Choose one or more of {known}.")


class ApiKeys(models.QuerySet["ApiKey"]):
    def active(self) -> ApiKeys:
        now = timezone.now()
        return self.filter(Q(expires_at=None) | Q(expires_at__gt=now), revoked_at=None)


class ApiKey(models.Model):
    """A caller of the API. Calls are kept under its name."""

    name = models.CharField(
        max_length=NAME_LENGTH,
        unique=True,
        validators=[name_is_plain],
        help_text="Calls are kept under this name, so it can't be changed or used again.",
    )
    owner = models.CharField(max_length=NAME_LENGTH, blank=True, default="", help_text="Whom to ask about this key.")
    scopes = models.JSONField(default=default_scopes, validators=[validate_scopes])
    allowed_models = models.TextField(
        blank=True,
        default="",
        help_text=(
            "The models that this key may call, one a line: names, patterns (gpt-4o*, groq/*), or named routes, which "
            "stand for their models. If empty, it may call all models."
        ),
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    expires_at = models.DateTimeField(null=True, blank=True, help_text="If empty, the key never expires.")
    revoked_at = models.DateTimeField(null=True, editable=False)
    last_used_at = models.DateTimeField(null=True, editable=False, help_text="Exact to within five minutes.")

    rate_limit = models.CharField(
        "requests",
        max_length=50,
        blank=True,
        default="",
        validators=[validate_rate],
        help_text="For example 60/min. If empty, the setting RATE_LIMIT applies. “none” means no limit.",
    )
    tokens_per_minute = models.PositiveIntegerField(null=True, blank=True, validators=[MinValueValidator(1)])
    max_concurrent = models.PositiveIntegerField(
        "calls at a time", null=True, blank=True, validators=[MinValueValidator(1)]
    )
    usd_per_day = models.DecimalField(
        "US dollars a day",
        max_digits=12,
        decimal_places=4,
        null=True,
        blank=True,
        validators=[MinValueValidator(0)],
        help_text="Days begin at midnight UTC.",
    )
    usd_per_month = models.DecimalField(
        "US dollars a month", max_digits=12, decimal_places=4, null=True, blank=True, validators=[MinValueValidator(0)]
    )

    objects = ApiKeys.as_manager()

    class Meta:
        verbose_name = "API key"
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name

    @property
    def state(self) -> str:
        """One of `active`, `expired` and `revoked`."""
        if self.revoked_at is not None:
            return "revoked"
        if self.expires_at is not None and self.expires_at <= timezone.now():
            return "expired"
        return "active"

    @property
    def model_patterns(self) -> tuple[str, ...]:
        """The entries of `allowed_models`. If there are none, every model is allowed."""
        return tuple(pattern for pattern in re.split(r"[\s,]+", self.allowed_models) if pattern)

    @property
    def limits(self) -> Limits:
        return Limits(
            requests=parse_rate(self.rate_limit or settings.RATE_LIMIT),
            tokens_per_minute=self.tokens_per_minute,
            max_concurrent=self.max_concurrent,
            usd_per_day=self.usd_per_day,
            usd_per_month=self.usd_per_month,
        )


class ApiKeySecret(models.Model):
    """What a caller shows to prove that it is an `ApiKey`. While a rotation overlaps, a key has more than one."""

    key = models.ForeignKey(ApiKey, on_delete=models.CASCADE, related_name="secrets")
    digest = models.CharField(max_length=64, unique=True, help_text="SHA-256 of the whole secret.")
    shown = models.CharField(max_length=32, help_text="The secret's first characters.")
    created_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField(null=True, help_text="Set when a rotation replaces this secret.")

    class Meta:
        ordering = ("-created_at", "-id")

    def __str__(self) -> str:
        return f"{self.shown}…"

    @property
    def is_current(self) -> bool:
        return self.expires_at is None or self.expires_at > timezone.now()


def shown_parts(secrets: Iterable[ApiKeySecret]) -> str:
    """The first characters of the secrets that are valid now, in the order of `secrets`."""
    return ", ".join(str(secret) for secret in secrets if secret.is_current)
