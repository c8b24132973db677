"""What a key has spent, for its budget."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from django.db import DatabaseError, InterfaceError
from django.db.models import Sum

from chat.models import CallRecord
from chat.record.database import in_database_thread


async def spent(api_key: str, since: datetime) -> Decimal | None:
    """What the key has spent since a moment, in US dollars, or None while the history can't be read."""
    return await in_database_thread(lambda: _spent(api_key, since))


def _spent(api_key: str, since: datetime) -> Decimal | None:
    try:
        calls = CallRecord.objects.filter(api_key=api_key, created_at__gte=since)
        # The row of a call that runs has a guess of its cost, for the case that its process dies. While it runs, its
        # reservation counts.
        calls = calls.exclude(status=CallRecord.Status.IN_PROGRESS)
        return Decimal(calls.aggregate(cost=Sum("cost_usd"))["cost"] or 0)
    except (DatabaseError, InterfaceError):
        return None
