"""What the calls of an hour came to, so that a long history need not be read again. All of it can be made anew.

An hour is summed up as a whole, and its rows are replaced as a whole (`roll_up`). Where the calls of an hour have
changed since, its rows are not read (`periods`).
"""

from __future__ import annotations

from django.db import models

from chat.models import NAME_LENGTH


class RollUpState(models.Model):
    """One row. Hours before `rolled_until` are summed up, but for those with a `chat.models.LateHour`."""

    rolled_until = models.DateTimeField(null=True, help_text="Null where nothing is summed up yet.")
    version = models.PositiveBigIntegerField(default=0, help_text="One more with each hour that was summed up.")

    def __str__(self) -> str:
        return f"summed up until {self.rolled_until}"


class HourlyKey(models.Model):
    """The calls that share all that `/stats` can filter or group by. `model` is the one that answered, or was asked."""

    hour = models.DateTimeField(db_index=True)
    model = models.CharField(max_length=NAME_LENGTH)
    provider = models.CharField(max_length=NAME_LENGTH)
    door = models.CharField(max_length=16)
    status = models.CharField(max_length=16)
    api_key = models.CharField(max_length=NAME_LENGTH)

    class Meta:
        abstract = True


class HourlyCalls(HourlyKey):
    """The sums of `stats.sums.CALL_SUMS`, and every duration, packed by `stats.durations`."""

    total = models.BigIntegerField()
    cancelled = models.BigIntegerField()
    in_progress = models.BigIntegerField()
    unanswered = models.BigIntegerField()
    fallbacks = models.BigIntegerField()
    defaults = models.BigIntegerField()
    cost = models.BigIntegerField(help_text="In units of 1e-10 USD.")
    costs_unknown = models.BigIntegerField()
    prompt = models.BigIntegerField()
    completion = models.BigIntegerField()
    latencies_ms = models.BinaryField()
    first_tokens_ms = models.BinaryField()

    def __str__(self) -> str:
        return f"{self.total} calls in {self.hour:%Y-%m-%d %H}h"


class HourlyAttempts(HourlyKey):
    """The sums of `stats.sums.ATTEMPT_SUMS` over the attempts of such calls that went to `attempt_model`."""

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
