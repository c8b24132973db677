"""Whole answers of a real model server, through the service, equal those that the server gives directly."""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Callable

import httpx2
import openai
import pytest

from chat.models import CallRecord
from tests.models.comparing import comparable
from tests.models.conftest import Servers
from tests.models.questions import CHARACTERS, CHATS, COMPLETIONS, RESPONSES, Json


def both(servers: Servers, service: httpx2.Client, path: str, body: Json) -> tuple[Json, Json]:
    """The answer that the server `first` gives, and that of the service in front of it."""
    direct = servers.first.ask(path, body)
    through = service.post(f"/v1{path}", json={**body, "model": servers.first.model})
    assert (direct.status_code, through.status_code) == (200, 200), through.text
    return direct.json(), through.json()


@pytest.mark.parametrize("about", CHATS)
def test_a_chat_completion_is_the_same_and_on_record(servers: Servers, service: httpx2.Client, about: str) -> None:
    direct, through = both(servers, service, "/chat/completions", CHATS[about])
    assert comparable(through) == comparable(direct)
    call = CallRecord.objects.get()
    usage = through["usage"]
    assert call.body.answer == through
    assert (call.prompt_tokens, call.completion_tokens) == (usage["prompt_tokens"], usage["completion_tokens"])
    assert (call.usage_estimated, call.completion_id) == (False, through["id"])
    assert call.finish_reason == through["choices"][0]["finish_reason"]


def test_what_was_asked_for_is_really_in_those_answers(servers: Servers) -> None:
    def message(about: str) -> Json:
        return dict(servers.first.ask("/chat/completions", CHATS[about]).json()["choices"][0]["message"])

    assert json.loads(message("json_schema")["content"]).keys() == {"city", "days"}
    assert [call["function"]["name"] for call in message("two tool calls")["tool_calls"]] == ["get_weather"] * 2
    assert message("thoughts")["reasoning_content"]
    assert message("any characters")["content"] == CHARACTERS
    assert (message("thoughts that reach the limit")["content"], message("text")["role"]) == ("", "assistant")


@pytest.mark.parametrize("about", COMPLETIONS)
def test_a_text_completion_is_the_same_and_on_record(servers: Servers, service: httpx2.Client, about: str) -> None:
    direct, through = both(servers, service, "/completions", COMPLETIONS[about])
    assert comparable(through) == comparable(direct)
    assert CallRecord.objects.get().body.answer == through


@pytest.mark.parametrize("about", RESPONSES)
def test_a_response_is_the_same_and_on_record(servers: Servers, service: httpx2.Client, about: str) -> None:
    direct, through = both(servers, service, "/responses", RESPONSES[about])
    assert comparable(through) == comparable(direct)
    call = CallRecord.objects.get()
    assert call.body.answer == through
    assert call.prompt_tokens == through["usage"]["input_tokens"]


def test_embeddings_are_the_same_as_numbers_and_as_base64(servers: Servers, service: httpx2.Client) -> None:
    for more in ({}, {"encoding_format": "base64"}):
        body = {"input": ["hello", "good bye"], **more}
        direct = servers.second.ask("/embeddings", body).json()
        through = service.post("/v1/embeddings", json={**body, "model": servers.second.model}).json()
        assert through == direct
    first = base64.b64decode(through["data"][0]["embedding"])
    assert len(struct.unpack(f"<{len(first) // 4}f", first)) == 576
    assert {call.prompt_tokens for call in CallRecord.objects.all()} == {4}


def test_a_native_door_gives_the_same_text(servers: Servers, service: httpx2.Client) -> None:
    direct = servers.first.ask("/chat/completions", CHATS["text"]).json()
    asked = {name: CHATS["text"][name] for name in ("messages", "max_tokens", "temperature")}
    through = service.post("/chat", json={**asked, "model": servers.first.model}).json()
    assert through["content"] == direct["choices"][0]["message"]["content"]
    assert through["usage"]["completion_tokens"] == direct["usage"]["completion_tokens"]
    assert (through["provider_used"], through["cost_usd"]) == ("first", None)


def test_the_sdk_reads_answer_tools_and_embeddings(servers: Servers, sdk: openai.OpenAI) -> None:
    asked = {name: value for name, value in CHATS["tool call"].items() if name != "cache_prompt"}
    answer = sdk.chat.completions.create(model=servers.first.model, **asked, extra_body={"cache_prompt": False})
    calls = answer.choices[0].message.tool_calls
    assert calls is not None and calls[0].type == "function"
    assert json.loads(calls[0].function.arguments) == {"city": "Paris"}
    # The SDK asks for base64 and makes numbers of it.
    vector = sdk.embeddings.create(model=servers.second.model, input="hello").data[0].embedding
    direct = servers.second.ask("/embeddings", {"input": "hello"}).json()["data"][0]["embedding"]
    assert vector == pytest.approx(direct, rel=1e-5)


def test_a_model_that_the_settings_name_is_listed(
    servers: Servers, start_service: Callable[..., httpx2.Client]
) -> None:
    service = start_service(ROUTES={"own": servers.first.model})
    listed = [model["id"] for model in service.get("/v1/models").json()["data"]]
    assert {"own", servers.first.model} <= set(listed)
    assert [model["id"] for model in servers.first.models()["data"]] == ["smollm2"]
    answer = service.post("/v1/chat/completions", json={**CHATS["text"], "model": "own"})
    assert (answer.headers["x-provider-used"], answer.json()["model"]) == ("first", "smollm2")
