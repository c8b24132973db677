"""The columns of the list."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from chat.admin.calls import CallAdmin
from chat.admin.columns import CallColumns, fields_read_by
from chat.models import CallRecord
from tests.support.reading.admin_pages import LIST, listed


def test_the_list_shows_the_numbers_of_each_call_newest_first(admin_client: Client, call: Any) -> None:
    older = call(latency_ms=812, time_to_first_token_ms=90, prompt_tokens=1234, completion_tokens=56)
    newer = call(status="failed", model_used="", cost_usd=None, latency_ms=12_345)
    assert listed(admin_client) == [newer.request_id, older.request_id]
    page = admin_client.get(LIST).content.decode()
    for shown in ("2026-05-10 12:01:00", "gpt-4o", "812 ms", "90 ms", "1,234 / 56", "$0.001", "12.3 s", "unknown"):
        assert f">{shown}<" in page
    assert '<span class="badge badge-failed">failed</span>' in page


@pytest.mark.parametrize(
    ("fields", "shown"),
    [
        ({}, "$0.001"),
        ({"cost_estimated": True}, "~$0.001"),
        ({"usage_estimated": True}, "~$0.001"),
        ({"usage_estimated": True, "cached": True}, "$0.001"),
        ({"cost_incomplete": True}, "≥ $0.001"),
        ({"cost_incomplete": True, "cost_estimated": True}, "≥ ~$0.001"),
    ],
)
def test_the_list_marks_a_cost_that_is_a_guess_or_a_part(
    admin_client: Client, call: Any, fields: dict[str, Any], shown: str
) -> None:
    call(**fields)
    assert f'<td class="field-cost">{shown}</td>' in admin_client.get(LIST).content.decode()


@pytest.mark.parametrize("name", CallAdmin.list_display)
def test_a_column_reads_only_the_fields_that_it_names(call: Any, name: str) -> None:
    """Each other field would cost one query for every row of the list."""
    call()
    shown = CallRecord.objects.only(*fields_read_by([name])).get()
    show = getattr(CallColumns(), name, None)
    with CaptureQueriesContext(connection) as queries:
        _ = show(shown) if show else getattr(shown, name)
    assert not queries.captured_queries
