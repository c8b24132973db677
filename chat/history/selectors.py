"""Reading the history: the calls that fit some filters, and one call with its attempts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db.models import Prefetch, Q, QuerySet

from chat.history.metadata import with_metadata
from chat.models import Attempt, CallRecord


def calls(filters: Mapping[str, Any]) -> QuerySet[CallRecord]:
    """The calls that fit the filters, in no order, without their content and attempts.

    `filters` are those of `read_query`, and `api_key`, which is the key whose calls they must be, or None for any.
    """
    found = CallRecord.objects.all()
    for name in ("status", "door", "service_tier", "cost_incomplete"):
        if name in filters:
            found = found.filter(**{name: filters[name]})
    if filters.get("api_key") is not None:
        found = found.filter(api_key=filters["api_key"])
    if "cost_estimated" in filters:
        found = found.filter(CallRecord.GUESSED if filters["cost_estimated"] else ~CallRecord.GUESSED)
    if "model" in filters:
        asked = Q(model_used="", model_requested=filters["model"])
        found = found.filter(Q(model_used=filters["model"]) | asked)
    if "since" in filters:
        found = found.filter(created_at__gte=filters["since"])
    if "until" in filters:
        found = found.filter(created_at__lt=filters["until"])
    return with_metadata(found, filters["metadata"])


def call_with_attempts(request_id: str, *, api_key: str | None = None) -> CallRecord | None:
    """A call, if there is one; with `api_key`, only if it is that key's."""
    if "\x00" in request_id:  # PostgreSQL can't look for a null character, and no id has one.
        return None
    found = CallRecord.objects.filter(request_id=request_id)
    if api_key is not None:
        found = found.filter(api_key=api_key)
    return found.prefetch_related(Prefetch("attempts", Attempt.objects.order_by("ordinal"))).first()
