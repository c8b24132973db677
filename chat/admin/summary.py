"""The summary above the list: what the filtered calls cost, and how many of them went wrong."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from django.db.models import Count, Q, QuerySet, Sum

from chat.models import CallRecord

# How many decimal places of a cost the database stores.
COST_PLACES = 10


@dataclass(frozen=True)
class Summary:
    """`cost_estimated` and `cost_incomplete` count calls whose cost is in the sum, and `cost_unknown` those without."""

    calls: int
    cost_usd: Decimal
    cost_unknown: int
    cost_estimated: int
    cost_incomplete: int
    unanswered: int
    undecided: int

    @property
    def error_rate(self) -> float | None:
        """The share of unanswered calls among those that are decided: neither cancelled nor in progress.

        None if no call is decided.
        """
        decided = self.calls - self.undecided
        return self.unanswered / decided if decided else None


def read_summary(calls: QuerySet[CallRecord]) -> Summary:
    """Read the summary of these calls with one query. The database adds them up."""
    row = calls.order_by().aggregate(
        calls=Count("*"),
        cost=Sum("cost_usd"),
        costs=Count("cost_usd"),
        estimated=Count("cost_usd", filter=CallRecord.GUESSED),
        incomplete=Count("cost_usd", filter=Q(cost_incomplete=True)),
        unanswered=Count("pk", filter=Q(status__in=CallRecord.UNANSWERED)),
        undecided=Count("pk", filter=Q(status__in=CallRecord.UNDECIDED)),
    )
    return Summary(
        calls=row["calls"],
        # SQLite adds in floating point, so the digits beyond the stored places are only rounding errors.
        cost_usd=round(row["cost"] or Decimal(), COST_PLACES),
        cost_unknown=row["calls"] - row["costs"],
        cost_estimated=row["estimated"],
        cost_incomplete=row["incomplete"],
        unanswered=row["unanswered"],
        undecided=row["undecided"],
    )
