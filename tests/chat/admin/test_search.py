"""The search box: request ids and texts."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from chat.admin import change_list
from tests.support.reading.admin_pages import LIST, SUMMARY, assert_reads_by_index, link, listed, plans


@pytest.mark.parametrize("term", ["req_abcdef012345", "req_abcdef0123", " req_abcdef012345 "])
def test_a_request_id_or_its_beginning_is_found_by_the_index_alone(admin_client: Client, call: Any, term: str) -> None:
    wanted = call(request_id="req_abcdef012345")
    call(request_id="req_abcdef020000")
    with CaptureQueriesContext(connection) as queries:
        assert listed(admin_client, f"?q={term}") == [wanted.request_id]
    assert_reads_by_index(queries)
    if connection.vendor == "sqlite":
        by_id = [step for step in plans(queries) if "request_id" in step]
        assert by_id
        assert all(step.startswith("SEARCH chat_callrecord USING COVERING INDEX") for step in by_id)


def test_an_unknown_request_id_is_not_searched_for_in_texts(admin_client: Client, call: Any) -> None:
    call(body={"content": "it was req_0f0f0f0f"})
    with CaptureQueriesContext(connection) as queries:
        assert listed(admin_client, "?q=req_0f0f0f0f") == []
    assert not [query for query in queries.captured_queries if "chat_callcontent" in query["sql"]]


def test_a_request_id_of_the_callers_own_making_is_found(admin_client: Client, call: Any) -> None:
    wanted = call(request_id="my-own-id.7")
    call()
    assert listed(admin_client, "?q=my-own-id.7") == [wanted.request_id]


def test_too_short_a_beginning_of_a_request_id_is_explained(admin_client: Client, call: Any) -> None:
    call()
    assert "at least 10 characters after req_" in admin_client.get(f"{LIST}?q=req_019ac3f0e").content.decode()


@pytest.mark.parametrize("term", ["needle", "NEEDLE in", 'a "quoted" needle', "nädel"])
@pytest.mark.parametrize("place", ["content", "messages", "error_message"])
def test_a_text_is_found_in_answers_messages_and_errors(admin_client: Client, call: Any, term: str, place: str) -> None:
    text = 'a needle in hay, a "quoted" needle, a nädel'
    call(body={"content": "hay", "messages": [{"role": "user", "content": "hay"}]})
    call()
    wanted = {
        "content": lambda: call(body={"content": text}),
        "messages": lambda: call(body={"messages": [{"role": "user", "content": text}]}),
        "error_message": lambda: call(error_message=text),
    }[place]()
    assert listed(admin_client, f"?q={term}") == [wanted.request_id]


def test_a_search_in_texts_is_bounded_says_so_and_goes_on_from_there(
    admin_client: Client, call: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(change_list, "SEARCH_ROWS", 3)
    old = call(body={"content": "needle"})
    for _ in range(3):
        call()
    new = call(body={"content": "needle"})
    call()
    page = admin_client.get(f"{LIST}?q=needle").content.decode()
    assert "Searched back to 2026-05-10 12:04:00." in page
    assert listed(admin_client, "?q=needle") == [new.request_id]
    further = link(admin_client, "?q=needle", "search on ›") or ""
    assert listed(admin_client, further) == [old.request_id]
    assert link(admin_client, further, "search on ›") is None
    assert ">1<" in admin_client.get(f"{SUMMARY}?q=needle").content.decode()
