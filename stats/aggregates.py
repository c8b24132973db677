"""What the database adds up over calls and over attempts, as SQL expressions.

All of them are whole numbers, so that the aggregates of several hours add up exactly to those of the whole period.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django.db.models import BigIntegerField, Count, Func, Q, Sum
from django.db.models.functions import Coalesce

from chat.models import Attempt, CallRecord

# Costs are added up in units of 1e-10 US dollars, which is the last decimal place that a cost is stored with.
COST_PLACES = 10


class CostUnits(Func):
    """A cost as a whole number of units. SQLite stores decimals as floating point, which does not add up exactly."""

    template = f"CAST(ROUND(%(expressions)s * {10**COST_PLACES}) AS BIGINT)"
    output_field = BigIntegerField()


def usd(units: int) -> Decimal:
    return Decimal(units).scaleb(-COST_PLACES)


def _sum(expression: Any, condition: Q | None = None) -> Coalesce:
    return Coalesce(Sum(expression, filter=condition), 0, output_field=BigIntegerField())


IN_PROGRESS = Q(status=CallRecord.Status.IN_PROGRESS)

# Over calls, by the names of the columns of `HourlyCalls`. Those from `prompt` to `audio_completion` are numbers
# of tokens.
CALL_AGGREGATES: dict[str, Any] = {
    "total": Count("*"),
    "cancelled": Count("id", filter=Q(status=CallRecord.Status.CANCELLED)),
    "in_progress": Count("id", filter=IN_PROGRESS),
    "unanswered": Count("id", filter=Q(status__in=CallRecord.UNANSWERED)),
    "fallbacks": Count("id", filter=Q(fallback_triggered=True)),
    "defaults": Count("id", filter=Q(is_default_message=True)),
    "cost": _sum(CostUnits("cost_usd")),
    "costs_unknown": Count("id", filter=Q(cost_usd=None) & ~IN_PROGRESS),
    "costs_incomplete": Count("id", filter=Q(cost_incomplete=True)),
    "costs_estimated": Count("id", filter=CallRecord.GUESSED),
    "prompt": _sum("prompt_tokens"),
    "completion": _sum("completion_tokens"),
    "cached": _sum("cached_tokens"),
    "reasoning": _sum("reasoning_tokens"),
    "cache_written": _sum("cache_write_tokens"),
    "audio_prompt": _sum("audio_prompt_tokens"),
    "audio_completion": _sum("audio_completion_tokens"),
    "web_searches": _sum("web_searches"),
    "file_searches": _sum("file_searches"),
}

# The aggregate that counts the calls of a status, for each status that has one.
AGGREGATE_OF_STATUS = {CallRecord.Status.CANCELLED: "cancelled", CallRecord.Status.IN_PROGRESS: "in_progress"}
# The aggregates of the calls that an error rate leaves out. A status of `CallRecord.UNDECIDED` that no aggregate counts
# is a KeyError here, when the service starts.
UNDECIDED_AGGREGATES = tuple(AGGREGATE_OF_STATUS[status] for status in CallRecord.UNDECIDED)

SENT = ~Q(status=Attempt.Status.SKIPPED)
RACED = Q(raced=True) & SENT
WON = Q(status=Attempt.Status.SUCCEEDED)

# Over attempts, by the names of the columns of `HourlyAttempts`.
ATTEMPT_AGGREGATES: dict[str, Any] = {
    "sent": Count("id", filter=SENT),
    "failed": Count("id", filter=Q(status=Attempt.Status.FAILED)),
    "spent": _sum(CostUnits("cost_usd")),
    "estimated": _sum(CostUnits("cost_usd"), Q(usage_estimated=True)),
    "races": Count("id", filter=RACED),
    "wins": Count("id", filter=RACED & WON),
    "lost_cost": _sum(CostUnits("cost_usd"), RACED & ~WON),
}
