"""GET /calls and GET /calls/{request_id}"""

from __future__ import annotations

import json
import re
import time
from base64 import b64encode
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest
from django.db import connection
from django.http import QueryDict
from django.test.utils import CaptureQueriesContext

from chat.history.query import read_query
from chat.history.selectors import calls
from chat.models import Attempt, CallContent, CallRecord

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


def test_status_door_and_model_filter(client: httpx2.Client) -> None:
    keep("good")
    keep("failed", status="failed", model_used="", model_requested="gpt-4o")
    keep("fell-back", door="fallback", model_used="gpt-4o-mini", model_requested="gpt-4o")
    keep("streamed", door="stream", status="cancelled", model_used="gpt-4.1")
    assert found(client) == {"good", "failed", "fell-back", "streamed"}
    assert found(client, status="failed") == {"failed"}
    assert found(client, door="fallback") == {"fell-back"}
    assert found(client, model="gpt-4o-mini") == {"fell-back"}
    assert found(client, model="gpt-4o") == {"good", "failed"}  # one that answered nothing counts for what was asked
    assert found(client, model="gpt") == set()
    assert found(client, status="cancelled", door="stream", model="gpt-4.1") == {"streamed"}
    assert found(client, status="cancelled", door="chat") == set()


def test_since_is_inclusive_and_until_is_not(client: httpx2.Client) -> None:
    keep("eleven", created_at=NOON - timedelta(hours=1))
    keep("noon", created_at=NOON)
    keep("one", created_at=NOON + timedelta(hours=1))
    keep("tomorrow", created_at=NOON + timedelta(days=1))
    assert found(client, since="2026-11-24T12:00:00Z") == {"noon", "one", "tomorrow"}
    assert found(client, until="2026-11-24T12:00:00Z") == {"eleven"}
    assert found(client, since="2026-11-24T12:00:00Z", until="2026-11-24T13:00:00Z") == {"noon"}
    assert found(client, since="2026-11-25") == {"tomorrow"}
    assert found(client, until="2026-11-25") == {"eleven", "noon", "one"}
    assert found(client, since="2026-11-24T12:00:00") == {"noon", "one", "tomorrow"}  # UTC where nothing is said
    assert found(client, since="2026-11-24 12:00:00") == {"noon", "one", "tomorrow"}
    assert found(client, since="2026-11-24T14:00:00+02:00") == {"noon", "one", "tomorrow"}
    assert found(client, since="2026-11-24T12:00:00.000001Z") == {"one", "tomorrow"}
    # A server reads the plus sign of an offset as a space, if the client has not escaped it.
    response = client.get("/calls?since=2026-11-24T14:00:00+02:00")
    assert {call["request_id"] for call in response.json()["results"]} == {"noon", "one", "tomorrow"}


def test_metadata_filters_in_each_of_its_notations(client: httpx2.Client) -> None:
    keep("both", metadata={"team": "a", "env": "test"})
    keep("team-only", metadata={"team": "a"})
    keep("other", metadata={"team": "b", "env": "test"})
    keep("none", metadata={})
    assert found(client, metadata="team:a") == {"both", "team-only"}
    assert found(client, **{"metadata[team]": "a"}) == {"both", "team-only"}
    assert found(client, metadata=json.dumps({"team": "a"})) == {"both", "team-only"}
    assert found(client, **{"metadata[team]": "a", "metadata[env]": "test"}) == {"both"}
    assert found(client, metadata=json.dumps({"team": "a", "env": "test"})) == {"both"}
    assert found(client, **{"metadata": "env:test", "metadata[team]": "b"}) == {"other"}
    assert found(client, metadata="team:c") == set()
    assert found(client, metadata="nobody:a") == set()
    assert found(client, metadata="{}") == {"both", "team-only", "other", "none"}


def test_metadata_may_hold_anything(client: httpx2.Client) -> None:
    pairs = {
        "with:colon": "a",
        "double__under": "b",
        "team__icontains": "c",
        "dot.ted": "d",
        "ü 漢": "é😀",
        "it's": "'; DROP TABLE chat_callrecord; --",
        "percent %s": "%",
        "number": "5",
        "boolean": "true",
        "nothing": "null",
        "colon": "a:b:c",
        "empty": "",
        "spaced": " x ",
    }
    keep("all", metadata=pairs)
    keep("none", metadata={})
    for key, value in pairs.items():
        assert found(client, **{f"metadata[{key}]": value}) == {"all"}, key
        assert found(client, metadata=json.dumps({key: value})) == {"all"}, key
        assert found(client, **{f"metadata[{key}]": f"{value}?"}) == set(), key


@pytest.mark.parametrize("key", ["0", "42", "-1"])
def test_a_metadata_key_may_be_a_number(client: httpx2.Client, key: str) -> None:
    keep("numbered", metadata={key: "a"})
    assert found(client, **{f"metadata[{key}]": "a"}) == {"numbered"}


@pytest.mark.parametrize("key", ['quo"ted', "back\\slash"])
def test_a_metadata_key_may_have_quotes_and_backslashes(client: httpx2.Client, key: str) -> None:
    keep("quoted", metadata={key: "a"})
    assert found(client, **{f"metadata[{key}]": "a"}) == {"quoted"}


def test_a_filter_that_is_given_twice_is_not_forgotten(client: httpx2.Client) -> None:
    keep("both", metadata={"team": "a", "env": "test"})
    keep("env-only", metadata={"env": "test"})
    response = client.get("/calls", params=[("metadata", "team:a"), ("metadata", "env:test")])
    assert response.status_code == 400 or [c["request_id"] for c in response.json()["results"]] == ["both"]


def follow(client: httpx2.Client, url: str | None, direction: str) -> list[list[str]]:
    """All pages, beginning with the one at `url`."""
    pages = []
    while url:
        page = client.get(url).json()
        pages.append([call["request_id"] for call in page["results"]])
        url = page[direction]
    return pages


def test_pages_go_forwards_and_backwards_newest_first(client: httpx2.Client) -> None:
    for number in range(10):
        keep(
            f"call-{number}", created_at=NOON + timedelta(minutes=(number + 1) // 3)
        )  # up to three at the same instant
    newest_first = [f"call-{number}" for number in reversed(range(10))]
    pages = follow(client, "/calls?page_size=4", "next")
    assert pages == [newest_first[:4], newest_first[4:8], newest_first[8:]]
    second = client.get(client.get("/calls?page_size=4").json()["next"]).json()
    third = client.get(second["next"]).json()
    assert third["next"] is None
    assert follow(client, third["previous"], "previous") == [newest_first[4:8], newest_first[:4]]


def test_pages_go_backwards_from_a_last_page_of_one_instant(client: httpx2.Client) -> None:
    for number in range(6):
        keep(f"call-{number}", created_at=NOON + timedelta(minutes=max(0, number - 2)))
    last = client.get(client.get("/calls?page_size=4").json()["next"]).json()
    assert [call["request_id"] for call in last["results"]] == ["call-1", "call-0"]
    assert follow(client, last["previous"], "previous") == [["call-5", "call-4", "call-3", "call-2"]]


def test_pages_hold_still_while_new_calls_come_in(client: httpx2.Client) -> None:
    for number in range(4):
        keep(f"old-{number}", created_at=NOON + timedelta(minutes=number))
    first = client.get("/calls?page_size=2").json()
    keep("new", created_at=NOON + timedelta(hours=1))
    second = client.get(first["next"]).json()
    assert [call["request_id"] for call in second["results"]] == ["old-1", "old-0"]


def test_many_calls_of_the_same_instant_are_all_on_some_page(client: httpx2.Client) -> None:
    for number in range(25):
        keep(f"call-{number:02}")
    seen = [request_id for page in follow(client, "/calls?page_size=4", "next") for request_id in page]
    assert seen == [f"call-{number:02}" for number in reversed(range(25))]


def test_pages_keep_their_filters(client: httpx2.Client) -> None:
    for number in range(6):
        keep(f"call-{number}", door="stream" if number % 2 else "chat", model_used="a b+c&d")
    url = str(httpx2.URL("/calls", params={"door": "stream", "page_size": "2", "model": "a b+c&d"}))
    assert follow(client, url, "next") == [["call-5", "call-3"], ["call-1"]]


def test_a_page_has_fifty_calls_and_at_most_five_hundred(client: httpx2.Client) -> None:
    CallRecord.objects.bulk_create(
        CallRecord(
            request_id=f"call-{n}", created_at=NOON, door="chat", route="m", model_requested="m", status="failed"
        )
        for n in range(502)
    )
    assert len(client.get("/calls").json()["results"]) == 50
    assert len(client.get("/calls?page_size=3").json()["results"]) == 3
    assert len(client.get("/calls?page_size=500").json()["results"]) == 500


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
