"""The pages of the list."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from chat.admin.calls import CallAdmin
from tests.support.reading.admin_pages import LIST, NOON, assert_reads_by_index, link, listed


def test_pages_follow_each_other_both_ways_with_no_call_missing_or_twice(
    admin_client: Client, call: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(CallAdmin, "list_per_page", 3)
    # All in the same moment, so that only the id tells them apart.
    made = [call(at=NOON, status="failed").request_id for _ in range(8)][::-1]
    call()
    start = "?status__exact=failed"
    pages, query = [listed(admin_client, start)], start
    while following := link(admin_client, query, "older ›"):
        query = following
        pages.append(listed(admin_client, query))
    assert pages == [made[:3], made[3:6], made[6:]]
    back = link(admin_client, query, "‹ newer") or ""
    assert listed(admin_client, back) == made[3:6]
    back = link(admin_client, back, "‹ newer") or ""
    assert listed(admin_client, back) == made[:3]
    assert link(admin_client, query, "« newest") == start
    with CaptureQueriesContext(connection) as queries:
        admin_client.get(f"{LIST}{query}")
    assert_reads_by_index(queries)
    assert not [captured for captured in queries.captured_queries if "OFFSET" in captured["sql"]]


def test_a_page_stays_where_it_is_when_its_neighbour_is_pruned(
    admin_client: Client, call: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(CallAdmin, "list_per_page", 1)
    oldest, middle = call(), call()
    older = link(admin_client, "", "older ›") or ""
    middle.delete()
    assert listed(admin_client, older) == [oldest.request_id]
