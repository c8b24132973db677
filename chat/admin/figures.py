"""The figures above the list: what the filtered calls cost, and how many of them went wrong."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from django.db.models import Count, Q, QuerySet, Sum

from chat.models import CallRecord

COST_PLACES = 10


@dataclass(frozen=True)
class Figures:
    calls: int
    cost_usd: Decimal
    cost_unknown: int
    unanswered: int
    undecided: int

    @property
    def error_rate(self) -> float | None:
        """Unanswered calls, of all that are decided: neither cancelled nor in progress. Null where there are none."""
        decided = self.calls - self.undecided
        return self.unanswered / decided if decided else None


def read_figures(calls: QuerySet[CallRecord]) -> Figures:
    """Aggregated by the database, in one query."""
    row = calls.order_by().aggregate(
        calls=Count("*"),
        cost=Sum("cost_usd"),
        costs=Count("cost_usd"),
        unanswered=Count("pk", filter=Q(status__in=CallRecord.UNANSWERED)),
        undecided=Count("pk", filter=Q(status__in=CallRecord.UNDECIDED)),
    )
    return Figures(
        calls=row["calls"],
        # SQLite adds in floating point; what it adds beyond the stored places is noise.
        cost_usd=round(row["cost"] or Decimal(), COST_PLACES),
        cost_unknown=row["calls"] - row["costs"],
        unanswered=row["unanswered"],
        undecided=row["undecided"],
    )
