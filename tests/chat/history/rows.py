"""Rows of the history, and which of them GET /calls finds."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import httpx2

from chat.models import CallRecord

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


def keep(request_id: str, **fields: Any) -> CallRecord:
    """Write a row of the history."""
    defaults = {
        "created_at": NOON,
        "door": "chat",
        "route": "gpt-4o",
        "model_requested": "gpt-4o",
        "model_used": "gpt-4o",
        "provider_used": "openai",
        "status": "succeeded",
        "http_status": 200,
    }
    return CallRecord.objects.create(request_id=request_id, **{**defaults, **fields})


def found(client: httpx2.Client, **parameters: str | list[str]) -> set[str]:
    response = client.get("/calls", params=parameters)
    assert response.status_code == 200, response.text
    return {call["request_id"] for call in response.json()["results"]}
