"""The years, months and days above the list."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from tests.support.reading.admin_pages import LIST, assert_reads_by_index, link, listed


def test_the_dates_lead_down_from_years_to_days_and_only_where_there_are_calls(admin_client: Client, call: Any) -> None:
    call(at=datetime(2024, 2, 1, tzinfo=UTC))
    wanted = call(at=datetime(2026, 2, 28, 23, 59, 59, tzinfo=UTC))
    call(at=datetime(2026, 12, 31, tzinfo=UTC))
    assert link(admin_client, "", "2025") is None
    year = link(admin_client, "", "2026")
    assert year == "?created_at__year=2026"
    assert link(admin_client, year, "March 2026") is None
    assert link(admin_client, year, "December 2026")
    month = link(admin_client, year, "February 2026") or ""
    assert link(admin_client, month, "February 27") is None
    day = link(admin_client, month, "February 28") or ""
    assert listed(admin_client, day) == [wanted.request_id]
    assert link(admin_client, day, "&lsaquo; February 2026") == month
    with CaptureQueriesContext(connection) as queries:
        admin_client.get(f"{LIST}{month}")
    assert_reads_by_index(queries)
