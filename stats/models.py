"""Roll-ups: the aggregates of each hour, so that a long history need not be read again for each question.

They can be made again from the calls at any time. An hour is rolled up as a whole, and its rows are replaced as a whole
(`roll_up`). If the calls of an hour have changed since then, its rows are not read (`periods`).
"""

from __future__ import annotations

from django.db import models

from chat.models import NAME_LENGTH


class RollUpState(models.Model):
    """A table with one row: how far the history is rolled up.

    The roll-ups of hours before `rolled_until` are valid, unless there is a `chat.models.LateHour` for the hour.
    """

    rolled_until = models.DateTimeField(null=True, help_text="Null if no hour has been rolled up yet.")
    version = models.PositiveBigIntegerField(default=0, help_text="Grows by one with each hour that is rolled up.")

    def __str__(self) -> str:
        return f"rolled up until {self.rolled_until}"


class HourlyKey(models.Model):
    """The calls of an hour that are the same in everything that /stats can filter or group by.

    `model` is the model that answered, or the requested one if none answered.
    """

    hour = models.DateTimeField(db_index=True)
    model = models.CharField(max_length=NAME_LENGTH)
    provider = models.CharField(max_length=NAME_LENGTH)
    door = models.CharField(max_length=16)
    status = models.CharField(max_length=16)
    api_key = models.CharField(max_length=NAME_LENGTH)

    class Meta:
        abstract = True


class HourlyCalls(HourlyKey):
    """The columns of `stats.aggregates.CALL_AGGREGATES`, and all latencies as `stats.latencies` packs them."""

    total = models.BigIntegerField()
    cancelled = models.BigIntegerField()
    in_progress = models.BigIntegerField()
    unanswered = models.BigIntegerField()
    fallbacks = models.BigIntegerField()
    defaults = models.BigIntegerField()
    cost = models.BigIntegerField(help_text="In units of 1e-10 USD.")
    costs_unknown = models.BigIntegerField()
    costs_incomplete = models.BigIntegerField(default=0, db_default=0)
    costs_estimated = models.BigIntegerField(default=0, db_default=0)
    prompt = models.BigIntegerField()
    completion = models.BigIntegerField()
    cached = models.BigIntegerField(default=0, db_default=0)
    reasoning = models.BigIntegerField(default=0, db_default=0)
    cache_written = models.BigIntegerField(default=0, db_default=0)
    audio_prompt = models.BigIntegerField(default=0, db_default=0)
    audio_completion = models.BigIntegerField(default=0, db_default=0)
    web_searches = models.BigIntegerField(default=0, db_default=0)
    file_searches = models.BigIntegerField(default=0, db_default=0)
    latencies_ms = models.BinaryField()
    first_tokens_ms = models.BinaryField()

    def __str__(self) -> str:
        return f"{self.total} calls in {self.hour:%Y-%m-%d %H}h"


class HourlyAttempts(HourlyKey):
    """The columns of `stats.aggregates.ATTEMPT_AGGREGATES`, over the attempts of such calls at `attempt_model`."""

    attempt_model = models.CharField(max_length=NAME_LENGTH)
    sent = models.BigIntegerField()
    failed = models.BigIntegerField()
    spent = models.BigIntegerField(help_text="This and the other costs: in units of 1e-10 USD.")
    estimated = models.BigIntegerField()
    races = models.BigIntegerField()
    wins = models.BigIntegerField()
    lost_cost = models.BigIntegerField()

    def __str__(self) -> str:
        return f"{self.sent} attempts in {self.hour:%Y-%m-%d %H}h"


class Reconciliation(models.Model):
    """The last comparison of our books with a provider's: `manage.py reconcile` writes it, and /metrics shows it."""

    provider = models.CharField(max_length=NAME_LENGTH, unique=True)
    created_at = models.DateTimeField()
    since = models.DateTimeField()
    until = models.DateTimeField(help_text="The first moment after the days that were compared.")
    ours_usd = models.DecimalField(max_digits=20, decimal_places=10)
    theirs_usd = models.DecimalField(max_digits=20, decimal_places=10)
    drift_ratio = models.FloatField(help_text="How much more ours are, as a part of theirs.")

    def __str__(self) -> str:
        return f"{self.provider} until {self.until:%Y-%m-%d}: {self.drift_ratio:+.2%}"
