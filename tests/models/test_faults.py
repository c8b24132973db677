"""What a real model server refuses, and what the service makes of it: for the caller, on record, and in a chain."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import httpx2
import pytest

from chat.models import Attempt, CallRecord
from tests.models.conftest import Servers
from tests.models.questions import CAPITAL, CHATS, TOO_LONG, Json, chat, user

# By the path under /v1: a body with a prompt that is too long, and the server that it is asked of.
TOO_LONG_FOR: dict[str, tuple[str, Json]] = {
    "/chat/completions": ("first", {"messages": [user(TOO_LONG)], "max_tokens": 4}),
    "/completions": ("first", {"prompt": TOO_LONG, "max_tokens": 4}),
    "/responses": ("first", {"input": TOO_LONG, "max_output_tokens": 4}),
    "/embeddings": ("second", {"input": TOO_LONG}),
}
STREAMED = [
    (path, streamed) for path in TOO_LONG_FOR for streamed in (False, True) if (path, streamed) != ("/embeddings", True)
]


def breakers(service: httpx2.Client) -> dict[str, Any]:
    return dict(service.get("/health/ready").json()["checks"]["circuit_breakers"])


def too_long(servers: Servers, path: str, streamed: bool) -> tuple[str, Json, Json]:
    """The model, the body, and the error object that the server itself answers."""
    name, body = TOO_LONG_FOR[path]
    body = {**body, "stream": True} if streamed else body
    server = servers.first if name == "first" else servers.second
    return server.model, body, server.ask(path, body).json()["error"]


@pytest.mark.parametrize(("path", "streamed"), STREAMED)
def test_a_prompt_that_is_too_long_is_the_caller_s_error_in_the_server_s_words(
    servers: Servers, service: httpx2.Client, path: str, streamed: bool
) -> None:
    model, body, said = too_long(servers, path, streamed)
    answer = service.post(f"/v1{path}", json={**body, "model": model})
    assert (answer.status_code, answer.json()["error"]["message"]) == (400, said["message"])
    (attempt,) = Attempt.objects.all()
    assert (attempt.status, attempt.error_code, attempt.http_status) == (
        "failed",
        "context_window_exceeded",
        said["code"],
    )
    assert breakers(service) == {}


@pytest.mark.parametrize(("path", "streamed"), STREAMED)
def test_a_prompt_that_is_too_long_goes_to_the_next_model(
    servers: Servers, service: httpx2.Client, path: str, streamed: bool
) -> None:
    model, body, _ = too_long(servers, path, streamed)
    answer = service.post(f"/v1{path}", json={**body, "model": f"{model}>gpt-4o"})
    assert (answer.status_code, answer.headers["x-model-used"]) == (200, "gpt-4o")
    assert [attempt.error_code for attempt in Attempt.objects.all()] == ["context_window_exceeded", ""]


def test_a_prompt_that_is_too_long_loses_a_race_to_who_can_take_it(servers: Servers, service: httpx2.Client) -> None:
    body = {"prompt": TOO_LONG, "max_tokens": 4, "models": [servers.first.model, "gpt-4o"]}
    answer = service.post("/chat/parallel", json=body)
    assert (answer.status_code, answer.json()["model_used"]) == (200, "gpt-4o")


def test_embeddings_of_a_server_that_has_none_are_asked_once_and_trip_nothing(
    servers: Servers, service: httpx2.Client
) -> None:
    body = {"input": "hello"}
    said = servers.first.ask("/embeddings", body)
    assert said.status_code == 501
    answer = service.post("/v1/embeddings", json={**body, "model": servers.first.model})
    assert answer.json()["error"]["message"] == said.json()["error"]["message"]
    (attempt,) = Attempt.objects.all()
    assert (attempt.error_code, attempt.http_status) == ("not_supported", 501)
    assert breakers(service) == {}
    answer = service.post("/v1/embeddings", json={**body, "model": f"{servers.first.model}>{servers.second.model}"})
    assert (answer.status_code, answer.headers["x-provider-used"]) == (200, "second")


def test_an_image_for_a_model_that_sees_none_is_asked_once_and_trips_nothing(
    servers: Servers, service: httpx2.Client
) -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    body = chat({"role": "user", "content": [image]})
    said = servers.first.ask("/chat/completions", body)
    assert said.status_code == 500
    for _ in range(2):
        answer = service.post("/v1/chat/completions", json={**body, "model": servers.first.model})
        assert answer.json()["error"]["message"] == said.json()["error"]["message"]
    assert {(attempt.error_code, attempt.http_status) for attempt in Attempt.objects.all()} == {("not_supported", 500)}
    assert Attempt.objects.count() == 2
    assert breakers(service) == {}
    answer = service.post("/v1/chat/completions", json={**body, "model": f"{servers.first.model}>gpt-4o"})
    assert answer.headers["x-model-used"] == "gpt-4o"


@pytest.mark.parametrize(
    "more",
    [
        {"n": 3},
        {"temperature": "hot"},
        {"response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "nonsense"}}}},
        {"tools": [{"type": "function", "function": {"name": "a"}}], "grammar": "root ::= 'a'"},
    ],
    ids=["more choices than slots", "a wrong type", "a schema that is none", "tools and a grammar"],
)
@pytest.mark.parametrize("streamed", [False, True])
def test_a_wrong_request_is_a_400_in_the_server_s_words(
    servers: Servers, service: httpx2.Client, more: Json, streamed: bool
) -> None:
    body = {**chat(CAPITAL), **more, "stream": streamed}
    said = servers.first.ask("/chat/completions", body)
    assert said.status_code == 400, said.text
    answer = service.post("/v1/chat/completions", json={**body, "model": f"{servers.first.model}>gpt-4o"})
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert (error["message"], error["type"]) == (said.json()["error"]["message"], said.json()["error"]["type"])
    (attempt,) = Attempt.objects.all()
    assert attempt.error_code == "invalid_request"
    assert breakers(service) == {}


def test_a_key_that_the_server_refuses_is_ours_and_not_the_caller_s(
    servers: Servers, start_service: Callable[..., httpx2.Client]
) -> None:
    stranger = dataclasses.replace(servers.second.provider, name="stranger", api_key="sk-stranger-0123456789abcdef")
    service = start_service(stranger)
    answer = service.post("/v1/chat/completions", json={**CHATS["text"], "model": "stranger/smollm2"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "upstream_auth_failed")
    answer = service.post("/v1/chat/completions", json={**CHATS["text"], "model": "stranger/smollm2>gpt-4o"})
    assert answer.headers["x-model-used"] == "gpt-4o"


def test_a_model_name_that_the_server_does_not_know_is_answered_all_the_same(
    servers: Servers, service: httpx2.Client
) -> None:
    """llama.cpp's server has one model and does not look at the name."""
    answer = service.post("/v1/chat/completions", json={**CHATS["text"], "model": "first/anything"})
    assert (answer.json()["model"], answer.headers["x-model-used"]) == ("smollm2", "anything")
    assert CallRecord.objects.get().model_used == "anything"


def test_an_empty_answer_that_the_caller_s_own_stop_explains_is_an_answer(
    servers: Servers, service: httpx2.Client
) -> None:
    begins_with = servers.first.ask("/chat/completions", CHATS["text"]).json()["choices"][0]["message"]["content"][0]
    body = {**CHATS["text"], "stop": [begins_with]}
    assert servers.first.ask("/chat/completions", body).json()["choices"][0]["message"]["content"] == ""
    for streamed in (False, True):
        asked = {**body, "stream": streamed, "model": f"{servers.first.model}>gpt-4o"}
        answer = service.post("/v1/chat/completions", json=asked)
        assert (answer.status_code, answer.headers["x-provider-used"]) == (200, "first")
    assert [call.status for call in CallRecord.objects.all()] == ["succeeded"] * 2
