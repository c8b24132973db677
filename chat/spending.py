"""What a key has spent, for its budget."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from asgiref.sync import sync_to_async
from django.db import DatabaseError, InterfaceError, close_old_connections
from django.db.models import Sum

from chat.models import CallRecord


async def spent(api_key: str, since: datetime) -> Decimal | None:
    """US dollars since a moment, as the history says; None while it can't be read."""
    return await sync_to_async(_spent, thread_sensitive=False)(api_key, since)


def _spent(api_key: str, since: datetime) -> Decimal | None:
    try:
        calls = CallRecord.objects.filter(api_key=api_key, created_at__gte=since)
        return Decimal(calls.aggregate(cost=Sum("cost_usd"))["cost"] or 0)
    except (DatabaseError, InterfaceError):
        return None
    finally:
        close_old_connections()
