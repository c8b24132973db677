"""What every door reads from a request, whatever its protocol, to make an order of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.utils import timezone
from rest_framework.request import Request

from access.keys.authentication import caller_of
from chat.order import Order
from chat.request_ids import own_id_of
from llm import CallRequest


def make_order(
    request: Request,
    *,
    call: CallRequest,
    door: str,
    metadata: Mapping[str, Any],
    cache_ttl: float,
    typed_events: bool = False,
    stored: bool = False,
) -> Order:
    """The order of an authenticated request. The keywords are what each door reads in its own way, see `Order`."""
    return Order(
        request=call,
        own_id=own_id_of(request),
        door=door,
        created_at=timezone.now(),
        caller=caller_of(request),
        metadata=metadata,
        user_agent=request.META.get("HTTP_USER_AGENT", ""),
        body_bytes=int(request.META.get("CONTENT_LENGTH") or 0),
        typed_events=typed_events,
        stored=stored,
        cache_ttl=cache_ttl,
        traceparent=request.META.get("HTTP_TRACEPARENT", ""),
    )


def cache_ttl_of(data: Mapping[str, Any]) -> float:
    """For how many seconds the answer may be given again: what the caller said, or else the setting."""
    return float(data.get("cache_ttl", settings.CACHE_TTL))
