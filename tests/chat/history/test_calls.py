"""GET /calls and GET /calls/{request_id}: what they answer, and which requests they refuse."""

from __future__ import annotations

import re
import time
from base64 import b64encode

import httpx2
import pytest
from django.db import connection
from django.http import QueryDict
from django.test.utils import CaptureQueriesContext

from chat.history.query import read_query
from chat.history.selectors import calls
from chat.models import Attempt, CallContent, CallRecord
from tests.chat.history.rows import keep


def test_an_unknown_parameter_is_a_400_that_names_it_and_those_that_there_are(client: httpx2.Client) -> None:
    response = client.get("/calls", params={"modle": "gpt-4o", "limit": "5"})
    error = response.json()["error"]
    assert response.status_code == 400
    assert set(error["details"]["fields"]) == {"modle", "limit"}
    assert "status, model, door, since, until, metadata" in error["message"]


def test_a_bad_value_is_a_400_that_names_the_parameter(client: httpx2.Client) -> None:
    for name, value in (
        ("status", "good"),
        ("status", ""),
        ("door", "window"),
        ("since", "yesterday"),
        ("since", ""),
        ("until", "2026-13-01"),
        ("until", "2026-11-24T25:00:00Z"),
        ("model", ""),
        ("model", "a\x00b"),
        ("metadata", "team"),
        ("metadata", ":a"),
        ("metadata", ""),
        ("metadata", "{"),
        ("metadata", "{}x"),
        ("metadata", '{"a": 1}'),
        ("service_tier", "x" * 33),
        ("service_tier", "a\x00b"),
        ("cost_estimated", "maybe"),
        ("cost_estimated", ""),
        ("cost_incomplete", "2"),
        ("cost_incomplete", "null"),
    ):
        response = client.get("/calls", params={name: value})
        assert response.status_code == 400, (name, value)
        assert name in response.json()["error"]["details"]["fields"]


def test_a_moment_at_the_edge_of_the_calendar_is_no_defect_of_ours(client: httpx2.Client) -> None:
    for name, value in (("since", "0001-01-01T00:00:00+14:00"), ("until", "9999-12-31T23:59:59-12:00")):
        assert client.get("/calls", params={name: value}).status_code in (200, 400)


def test_a_cursor_that_is_none_is_an_error_in_json(client: httpx2.Client) -> None:
    response = client.get("/calls", params={"cursor": b64encode(b"o=many").decode()})
    assert response.status_code in (400, 404)
    assert response.json()["error"]["request_id"] == response.headers["x-request-id"]


def test_a_page_size_that_cannot_be_is_a_400(client: httpx2.Client) -> None:
    for size in ("many", "0", "-1", "1.5", "501", ""):
        assert client.get("/calls", params={"page_size": size}).status_code == 400, size


def test_other_methods_are_a_405(client: httpx2.Client) -> None:
    keep("one-call")
    for path in ("/calls", "/calls/one-call"):
        for method in ("POST", "PUT", "PATCH", "DELETE"):
            assert client.request(method, path).status_code == 405
    assert CallRecord.objects.count() == 1


def test_an_empty_history_is_an_empty_page(client: httpx2.Client) -> None:
    assert client.get("/calls").json() == {"next": None, "previous": None, "results": []}


def test_a_list_has_the_figures_of_a_call_and_no_content(client: httpx2.Client) -> None:
    answer = client.post("/chat", json={"prompt": "Hello", "metadata": {"team": "a"}}).json()
    (call,) = client.get("/calls").json()["results"]
    assert call["request_id"] == answer["request_id"]
    assert not {"messages", "content", "attempts", "parameters", "id"} & set(call)
    assert (call["door"], call["status"], call["model_used"], call["http_status"]) == (
        "chat",
        "succeeded",
        "gpt-4o",
        200,
    )
    assert call["metadata"] == {"team": "a"}
    assert call["cost_usd"] == answer["cost_usd"]
    assert isinstance(call["cost_usd"], float)
    assert call["created_at"].endswith("Z")
    assert call["client_ip"] == "127.0.0.1"


@pytest.mark.django_db
def test_a_list_is_one_query_that_reads_no_content() -> None:
    for number in range(3):
        call = keep(f"call-{number}", metadata={"team": "a"})
        CallContent.objects.create(call=call, content="said")
    with CaptureQueriesContext(connection) as queries:
        list(calls(read_query(QueryDict("model=gpt-4o&door=chat"))))
    assert len(queries) == 1
    assert "chat_callcontent" not in queries[0]["sql"]
    assert "chat_attempt" not in queries[0]["sql"]


def test_the_detail_has_the_content_and_the_attempts_in_order(client: httpx2.Client) -> None:
    messages = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hello"}]
    sent = {"messages": messages, "primary_model": "sim-500", "fallback_models": ["gpt-4o"], "max_tokens": 50}
    answer = client.post("/chat/fallback", json=sent).json()
    detail = client.get(f"/calls/{answer['request_id']}").json()
    assert (detail["messages"], detail["content"]) == (messages, answer["content"])
    assert detail["parameters"] == {"temperature": 0.7, "max_tokens": 50}
    assert detail["route"] == "sim-500>gpt-4o"
    failed, good = detail["attempts"]
    assert (failed["ordinal"], failed["model"], failed["status"], failed["http_status"]) == (
        0,
        "sim-500",
        "failed",
        500,
    )
    assert (failed["error_code"], failed["cost_usd"]) == ("upstream_failed", None)
    assert (good["ordinal"], good["model"], good["status"], good["error_code"]) == (1, "gpt-4o", "succeeded", "")
    assert good["cost_usd"] == answer["cost_usd"] == detail["cost_usd"]
    assert good["started_after_ms"] >= failed["latency_ms"]


def test_the_detail_of_a_call_whose_content_is_gone_still_has_its_figures(client: httpx2.Client) -> None:
    call = keep("pruned-1")
    Attempt.objects.create(call=call, ordinal=0, model="gpt-4o", provider="openai", status="failed", started_after_ms=1)
    detail = client.get("/calls/pruned-1").json()
    assert (detail["messages"], detail["parameters"], detail["content"]) == (None, None, None)
    assert [attempt["status"] for attempt in detail["attempts"]] == ["failed"]


@pytest.mark.parametrize("request_id", ["nobody", "req_%00", "a'b", "漢", "x" * 500])
def test_a_call_that_is_not_there_is_a_404(client: httpx2.Client, request_id: str) -> None:
    response = client.get(f"/calls/{request_id}")
    assert response.status_code == 404
    assert response.json()["error"]["code"] == "not_found"
    assert response.json()["error"]["request_id"] == response.headers["x-request-id"]


def test_request_ids_are_in_the_order_of_their_making(client: httpx2.Client) -> None:
    # Otherwise each new row would change another page of the index, and a long history would make calls slow.
    ids = []
    for _ in range(5):
        ids.append(client.post("/chat", json={"prompt": "a"}).json()["request_id"])
        time.sleep(0.002)  # the time in an id is in milliseconds
    assert all(re.fullmatch(r"req_[0-9a-f]{32}", request_id) for request_id in ids)
    assert ids == sorted(ids)
    assert len({request_id[-20:] for request_id in ids}) == len(ids)
