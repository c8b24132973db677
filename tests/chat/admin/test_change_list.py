"""The list of calls: what it costs the database, and addresses that make no sense."""

from __future__ import annotations

import re
from html import unescape
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from chat.admin.calls import CallAdmin
from chat.models import Attempt
from tests.support.reading.admin_pages import EVIL, LIST, SUMMARY, assert_reads_by_index, link


def test_the_list_counts_nothing_reads_only_how_answers_begin_and_asks_as_often_for_many_calls_as_for_one(
    admin_client: Client, call: Any
) -> None:
    call(body={"content": "hi"})
    with CaptureQueriesContext(
        connection,
    ) as one:
        admin_client.get(LIST)
    for _ in range(30):
        Attempt.objects.create(
            call=call(body={"content": "hi"}), ordinal=1, model="m", provider="p", started_after_ms=0
        )
    with CaptureQueriesContext(connection) as many:
        admin_client.get(LIST)
    assert len(many) == len(one) <= 11
    assert_reads_by_index(many)
    [read] = [query["sql"] for query in many.captured_queries if "chat_callcontent" in query["sql"]]
    assert re.search(
        r'^SELECT "chat_callcontent"."call_id" AS "\w+", (SUBSTR|LEFT)\(\S+"content", (1, )?200\) AS "\w+" FROM', read
    )


def test_the_list_says_in_a_few_words_what_each_call_was_answered(admin_client: Client, call: Any) -> None:
    call(body={"content": 'called get_weather({"city":"Oslo"})'})
    call(body={"content": f"One\ntwo {'long ' * 100}"})
    call(body={"content": EVIL})
    call()
    page = admin_client.get(LIST).content.decode()
    lines = re.findall(r'class="said-line" title="([^"]*)">([^<]*)<', page)
    assert [unescape(line) for line, _ in lines] == [
        EVIL,
        f"One two {'long ' * 100}"[:99] + "…",
        'called get_weather({"city":"Oslo"})',
    ]
    assert all(title == shown for title, shown in lines)
    assert EVIL not in page
    assert 'field-said">–<' in page


def test_another_filter_starts_at_the_first_page(
    admin_client: Client, call: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(CallAdmin, "list_per_page", 1)
    call(), call()
    older = link(admin_client, "", "older ›") or ""
    assert link(admin_client, older, "Failed") == "?status__exact=failed"


@pytest.mark.parametrize(
    "query",
    ["older=x", "older=1-", "newer=9" + "9" * 30 + "-1", "created_at__year=9999", "created_at__year=x", "nonsense=1"],
)
def test_an_address_that_makes_no_sense_is_no_server_error(admin_client: Client, call: Any, query: str) -> None:
    call()
    assert admin_client.get(f"{LIST}?{query}").status_code in (302, 400)
    assert admin_client.get(f"{SUMMARY}?{query}").status_code == 400
