"""The filters beside the list."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from tests.support.reading.admin_pages import LIST, listed


@pytest.mark.parametrize(
    ("query", "fields"),
    [
        ("status__exact=failed", {"status": "failed"}),
        ("door__exact=stream", {"door": "stream"}),
        ("model_used=o4-mini", {"model_used": "o4-mini"}),
        ("model_used=", {"model_used": ""}),
        ("provider_used=anthropic", {"provider_used": "anthropic"}),
        ("api_key=mobile", {"api_key": "mobile"}),
        ("streamed__exact=1", {"streamed": True}),
        ("fallback_triggered__exact=1", {"fallback_triggered": True}),
        ("is_default_message__exact=1", {"is_default_message": True}),
        ("cached__exact=1", {"cached": True}),
        ("cost=0", {"cost_usd": 0}),
        ("cost=lt0.01", {"cost_usd": Decimal("0.0099999999")}),
        ("cost=lt0.1", {"cost_usd": Decimal("0.01")}),
        ("cost=gte0.1", {"cost_usd": Decimal("0.1")}),
        ("cost=unknown", {"cost_usd": None}),
        ("cost=estimated", {"cost_estimated": True}),
        ("cost=estimated", {"usage_estimated": True}),
        ("cost=incomplete", {"cost_incomplete": True}),
        ("service_tier=flex", {"service_tier": "flex"}),
        ("created_at__year=2025", {"created_at": datetime(2025, 12, 31, 23, 59, 59, tzinfo=UTC)}),
    ],
)
def test_a_filter_is_offered_and_lets_only_its_calls_through(
    admin_client: Client, call: Any, query: str, fields: dict[str, Any]
) -> None:
    call(cost_usd=Decimal("0.05") if query != "cost=lt0.1" else 0)
    wanted = call(**fields)
    assert listed(admin_client, f"?{query}") == [wanted.request_id]
    assert f'href="?{query}"' in admin_client.get(LIST).content.decode()


def test_filters_go_together(admin_client: Client, call: Any) -> None:
    call(status="failed")
    wanted = call(status="failed", door="stream")
    call(door="stream")
    assert listed(admin_client, "?status__exact=failed&door__exact=stream") == [wanted.request_id]


def test_the_values_of_a_filter_are_found_without_reading_the_table(admin_client: Client, call: Any) -> None:
    for name in ("b", "a", "c", "a", ""):
        call(api_key=name)
    with CaptureQueriesContext(connection) as queries:
        page = admin_client.get(LIST).content.decode()
    assert re.findall(r'href="\?api_key=(\w*)"', page) == ["", "a", "b", "c"]
    assert not [query for query in queries.captured_queries if "DISTINCT" in query["sql"]]
