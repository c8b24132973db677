"""The figures above the list: what the filtered calls cost, and how many of them went wrong."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from django.db.models import Count, Q, QuerySet, Sum

from chat.models import CallRecord

COST_PLACES = 10
UNANSWERED = Q(status__in=(CallRecord.Status.FAILED, CallRecord.Status.DEFAULTED))
CANCELLED = Q(status=CallRecord.Status.CANCELLED)


@dataclass(frozen=True)
class Figures:
    calls: int
    cost_usd: Decimal
    cost_unknown: int
    unanswered: int
    cancelled: int

    @property
    def error_rate(self) -> float | None:
        """(failed + defaulted) / all that were not cancelled. Null where there are none."""
        not_cancelled = self.calls - self.cancelled
        return self.unanswered / not_cancelled if not_cancelled else None


def read_figures(calls: QuerySet[CallRecord]) -> Figures:
    """Aggregated by the database, in one query."""
    row = calls.order_by().aggregate(
        calls=Count("*"),
        cost=Sum("cost_usd"),
        costs=Count("cost_usd"),
        unanswered=Count("pk", filter=UNANSWERED),
        cancelled=Count("pk", filter=CANCELLED),
    )
    return Figures(
        calls=row["calls"],
        # SQLite adds in floating point; what it adds beyond the stored places is noise.
        cost_usd=round(row["cost"] or Decimal(), COST_PLACES),
        cost_unknown=row["calls"] - row["costs"],
        unanswered=row["unanswered"],
        cancelled=row["cancelled"],
    )
