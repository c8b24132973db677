"""The summary above the list: number of calls, cost and error rate."""

from __future__ import annotations

import re
from typing import Any

from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from tests.support.reading.admin_pages import LIST, SUMMARY


def summary(client: Client, query: str = "") -> str:
    page = client.get(f"{SUMMARY}{query}").content.decode()
    found = re.search(r'<div id="call-summary".*?</dl>', page, re.DOTALL)
    assert found
    return " ".join(re.sub(r"<[^>]+>", " ", found[0]).split())


def test_the_summary_is_that_of_the_filtered_calls(admin_client: Client, call: Any) -> None:
    for status, cost in [
        ("succeeded", "0.1"),
        ("succeeded", "0.2"),
        ("succeeded", None),
        ("failed", "0"),
        ("defaulted", "0.000001"),
        ("cancelled", "1"),
    ]:
        call(status=status, cost_usd=cost, door="stream")
    call(cost_usd=7)
    # 2 of the 5 that were not cancelled
    assert summary(admin_client, "?door__exact=stream") == (
        "Calls 6 Total cost ≥ $1.30 and 1 of unknown cost "
        "Error rate 40.00 % 2 failed, defaulted or interrupted; 1 cancelled or in progress not counted"
    )
    assert summary(admin_client).startswith("Calls 7 Total cost ≥ $8.30")


def test_the_summary_says_where_its_cost_is_a_guess_or_only_a_part(admin_client: Client, call: Any) -> None:
    call(cost_usd="0.1")
    assert "Total cost $0.10 Error" in summary(admin_client)
    call(cost_usd="0.1", usage_estimated=True)  # as the version before wrote it
    assert "Total cost ~$0.20 ~ 1 partly estimated Error" in summary(admin_client)
    call(cost_usd="0.1", cost_estimated=True, cost_incomplete=True)
    shown = summary(admin_client)
    assert "Total cost ≥ ~$0.30 ≥ 1 cost more than is known ~ 2 partly estimated Error" in shown
    call(cost_usd="0", usage_estimated=True, cached=True)  # nothing was asked, so nothing is guessed
    assert "~ 2 partly estimated" in summary(admin_client)


def test_the_summary_of_no_calls_is_no_error(admin_client: Client) -> None:
    assert summary(admin_client) == "Calls 0 Total cost $0 Error rate –"


def test_the_list_fetches_the_summary_of_its_own_filters_and_has_a_link_without_scripts(
    admin_client: Client, call: Any
) -> None:
    call()
    page = admin_client.get(f"{LIST}?door__exact=chat&cost=0").content.decode()
    address = f"{SUMMARY}?cost=0&amp;door__exact=chat"
    assert f'data-summary="{address}"' in page
    assert f'<a href="{address}">' in page
    assert 'src="/static/chat/summary.js"' in page


def test_the_summary_comes_from_one_aggregate(admin_client: Client, call: Any) -> None:
    call()
    with CaptureQueriesContext(connection) as queries:
        admin_client.get(SUMMARY)
    assert len([query for query in queries.captured_queries if "SUM(" in query["sql"]]) == 1
    assert len(queries) <= 8
