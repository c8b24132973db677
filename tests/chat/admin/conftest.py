"""A superuser's client, and calls to show."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from chat.models import CallContent, CallRecord
from tests.support.reading.admin_pages import NOON


@pytest.fixture
def admin_client(db: None) -> Client:
    """A superuser's client. The user has no password, because hashing one would take longer than the test."""
    client = Client()
    client.force_login(User.objects.create(username="admin", is_staff=True, is_superuser=True))
    return client


@pytest.fixture
def call(db: None) -> Callable[..., CallRecord]:
    """Make a call: `call(status="failed", at=NOON, body={"content": "hi"})`. Each is a minute later than the last."""
    made = 0

    def make(body: dict[str, Any] | None = None, at: datetime | None = None, **fields: Any) -> CallRecord:
        nonlocal made
        made += 1
        values: dict[str, Any] = {
            "request_id": f"req_{made:032x}",
            "created_at": at or NOON + timedelta(minutes=made),
            "door": "chat",
            "status": "succeeded",
            "route": "gpt-4o",
            "model_requested": "gpt-4o",
            "model_used": "gpt-4o",
            "provider_used": "openai",
            "cost_usd": Decimal("0.001"),
        }
        record = CallRecord.objects.create(**(values | fields))
        if body is not None:
            CallContent.objects.create(call=record, **body)
        return record

    return make
