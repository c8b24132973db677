"""An X-Request-ID that a caller uses again: the answer says the id under which the call is on record."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx2
import pytest

from chat.models import CallRecord
from tests.support.openai_sdk import HELLO
from tests.support.reading.event_streams import by_sseclient

MINE = "my-own-id-1"
CHOSEN = {"X-Request-ID": MINE}
CHAT = {"model": "gpt-4o", "messages": HELLO}
PROMPT = {"prompt": "Hi"}


@pytest.fixture
def another_s(client: httpx2.Client) -> CallRecord:
    """A call that another process has put on record under the same id, which this process can't know."""
    return CallRecord.objects.create(request_id=MINE, door="chat", status="succeeded", api_key="another", route="m")


def own_row() -> CallRecord:
    return CallRecord.objects.get(api_key="")


def test_a_well_formed_request_id_is_kept_and_a_second_use_of_it_is_told_its_own(client: httpx2.Client) -> None:
    first, second = (client.post("/chat", json=PROMPT, headers=CHOSEN) for _ in range(2))
    assert first.headers["x-request-id"] == first.json()["request_id"] == MINE
    told = second.headers["x-request-id"]
    assert told == second.json()["request_id"]
    assert told.startswith(f"{MINE}-")
    assert {call.request_id for call in CallRecord.objects.all()} == {MINE, told}


@pytest.mark.parametrize("path", ["/chat", "/v1/chat/completions", "/v1/embeddings"])
def test_an_id_that_another_process_has_used_is_noticed_when_the_row_is_written(
    client: httpx2.Client, another_s: CallRecord, path: str
) -> None:
    body = PROMPT if path == "/chat" else {"model": "text-embedding-3-small", "input": "a", **CHAT}
    answer = client.post(path, json=body, headers=CHOSEN)
    assert answer.headers["x-request-id"] == own_row().request_id != MINE
    assert answer.json().get("request_id", own_row().request_id) == own_row().request_id
    assert CallRecord.objects.get(request_id=MINE).api_key == "another"


@pytest.mark.parametrize(
    ("path", "body"), [("/chat", PROMPT), ("/v1/chat/completions", CHAT), ("/chat/stream", PROMPT)]
)
def test_an_error_names_the_id_under_which_the_call_is_on_record(
    client: httpx2.Client, another_s: CallRecord, path: str, body: dict[str, Any]
) -> None:
    answer = client.post(path, json={**body, "model": "sim-400"}, headers=CHOSEN)
    assert answer.status_code == 400
    assert answer.headers["x-request-id"] == answer.json()["error"]["request_id"] == own_row().request_id != MINE


def test_an_answer_from_the_cache_says_its_own_id(client: httpx2.Client) -> None:
    body = {**PROMPT, "cache_ttl": 60}
    told = [client.post("/chat", json=body, headers=CHOSEN).json()["request_id"] for _ in range(2)]
    assert {call.request_id for call in CallRecord.objects.all()} == set(told)
    assert len(set(told)) == 2


def test_a_stream_whose_headers_are_out_tells_the_id_at_its_end(client: httpx2.Client, another_s: CallRecord) -> None:
    answer = client.post("/chat/stream", json={**PROMPT, "events": "json"}, headers=CHOSEN)
    events = {name: data for name, data in by_sseclient(answer.content) if name in ("start", "done")}
    assert answer.headers["x-request-id"] == json.loads(events["start"])["request_id"] == MINE
    assert json.loads(events["done"])["request_id"] == own_row().request_id != MINE


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/chat/stream", PROMPT),
        ("/v1/chat/completions", {**CHAT, "stream": True}),
        ("/v1/responses", {"model": "gpt-4o", "input": "Hi", "stream": True}),
    ],
)
def test_other_streams_tell_it_in_a_comment_before_their_last_event(
    client: httpx2.Client, another_s: CallRecord, path: str, body: dict[str, Any]
) -> None:
    *_, comment, last, rest = client.post(path, json=body, headers=CHOSEN).text.split("\n\n")
    assert comment == f": x-request-id: {own_row().request_id}"
    assert last == "data: [DONE]" or last.startswith("event: response.completed")
    assert rest == ""
    assert ": x-request-id" not in client.post(path, json=body).text


def test_a_stream_that_is_told_before_it_begins_has_one_id(client: httpx2.Client) -> None:
    client.post("/chat", json=PROMPT, headers=CHOSEN)
    answer = client.post("/v1/chat/completions", json={**CHAT, "stream": True}, headers=CHOSEN)
    assert answer.headers["x-request-id"].startswith(f"{MINE}-")
    assert CallRecord.objects.filter(request_id=answer.headers["x-request-id"]).exists()
    assert ": x-request-id" not in answer.text


def test_a_request_that_makes_no_call_uses_no_id_up(client: httpx2.Client) -> None:
    assert client.post("/chat", json={}, headers=CHOSEN).status_code == 400
    assert client.get("/calls", headers=CHOSEN).headers["x-request-id"] == MINE
    assert client.post("/chat", json=PROMPT, headers=CHOSEN).headers["x-request-id"] == MINE


def test_an_answer_that_is_repeated_under_its_idempotency_key_names_the_first_call(client: httpx2.Client) -> None:
    headers = {**CHOSEN, "Idempotency-Key": "key-1"}
    first, second = (client.post("/chat", json=PROMPT, headers=headers) for _ in range(2))
    assert second.headers["idempotent-replayed"] == "true"
    assert second.headers["x-request-id"] == second.json()["request_id"] == first.json()["request_id"] == MINE


def test_the_log_line_has_the_same_id_and_says_who_asked_for_what(
    start_site: Callable[..., httpx2.Client], caplog: pytest.LogCaptureFixture
) -> None:
    client = start_site()
    CallRecord.objects.create(request_id=MINE, door="chat", status="succeeded", api_key="another", route="m")
    with caplog.at_level("INFO", logger="chat"):
        client.post("/chat/fallback", json={"prompt": "Hi", "model": "sim-500>gpt-4o"}, headers=CHOSEN)
    [line] = [record for record in caplog.records if record.getMessage() == "llm_call"]
    said = {name: getattr(line, name) for name in ("request_id", "route", "key", "fallback", "time_to_first_token_ms")}
    assert said == {
        "request_id": own_row().request_id,
        "route": "sim-500>gpt-4o",
        "key": "",
        "fallback": True,
        "time_to_first_token_ms": None,
    }
