"""Reads our own books: what the attempts of some days have used and cost, by day and model."""

from __future__ import annotations

import datetime as dt

from django.db.models import BigIntegerField, Count, Q, Sum
from django.db.models.functions import Coalesce, TruncDate

from chat.models import Attempt
from stats.aggregates import CostUnits, usd
from stats.reconciliation.books import Books, Days, Entry, no_books
from stats.reconciliation.names import model_line

USED = Q(prompt_tokens__isnull=False) | Q(completion_tokens__isnull=False)
ESTIMATED = Q(usage_estimated=True, cost_stated=False)


def read_ours(days: Days, provider: str) -> Books:
    """The books over all attempts at the provider that have used something. `provider` is its name in rows."""
    attempts = Attempt.objects.filter(
        USED, provider=provider, call__created_at__gte=days.begin, call__created_at__lt=days.end
    )
    by_model = attempts.order_by().annotate(day=TruncDate("call__created_at", tzinfo=dt.UTC))
    rows = by_model.values_list("day", "model", "answered_model").annotate(
        units=_sum(CostUnits("cost_usd")),
        requests=Count("id"),
        prompt=_sum("prompt_tokens"),
        completion=_sum("completion_tokens"),
        estimated=_sum(CostUnits("cost_usd"), ESTIMATED),
        incomplete=Count("id", filter=Q(cost_incomplete=True) | Q(cost_usd=None)),
    )
    books = no_books()
    for day, model, answered_model, units, requests, prompt, completion, estimated, incomplete in rows:
        books[day, model_line(answered_model or model)].add(
            Entry(usd(int(units)), requests, int(prompt), int(completion), usd(int(estimated)), incomplete)
        )
    return books


def _sum(expression: CostUnits | str, condition: Q | None = None) -> Coalesce:
    return Coalesce(Sum(expression, filter=condition), 0, output_field=BigIntegerField())
