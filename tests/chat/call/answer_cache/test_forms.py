"""An answer from the cache in each form that an answer can have: whole, streamed, tool calls, embeddings, stored."""

from __future__ import annotations

import json
from typing import Any

import httpx2
import openai
import pytest

from llm.simulator import Behaviour, SimulatorThread
from tests.chat.call.answer_cache.asking import HELLO, V1, ask, ask_v1
from tests.support.loopback import DIRECT
from tests.support.reading.event_streams import parse


def text_of(response: httpx2.Response) -> str:
    if "event-stream" in response.headers["content-type"]:
        assert response.text.endswith("data: [DONE]\n\n")
        return parse(response.content).text
    return str(response.json()["content"])


def chunks_of(response: httpx2.Response) -> list[dict[str, Any]]:
    *chunks, last = [event.removeprefix("data: ") for event in response.text.split("\n\n") if event]
    assert last == "[DONE]"
    return [json.loads(chunk) for chunk in chunks]


TOOLS = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}]


def test_whole_and_streamed_answers_are_one_on_the_native_doors(
    client: httpx2.Client, simulator: SimulatorThread
) -> None:
    answer = "One\n\ntwo \U0001f600 three.\n"
    simulator.script("gpt-4o", Behaviour(answer=answer))
    for first, second in (("/chat", "/chat/stream"), ("/chat/stream", "/chat")):
        before, after = ask(client, first, seed=len(first)), ask(client, second, seed=len(first))
        assert after.headers["x-cached"] == "true"
        assert text_of(before) == text_of(after) == answer
    assert len(simulator.requests()) == 2


def test_a_cached_answer_as_typed_events_ends_with_the_whole_of_it(client: httpx2.Client) -> None:
    content = ask(client).json()["content"]
    response = ask(client, "/chat/stream", events="json")
    assert response.headers["x-cached"] == "true"
    done = json.loads(response.text.split("event: done\ndata: ")[1])
    assert (done["content"], done["cost_usd"], done["attempts"]) == (content, 0, [])


@pytest.mark.parametrize("first", ["whole", "streamed"])
def test_a_cached_answer_as_a_stream_has_usage_only_where_it_was_asked_for(client: httpx2.Client, first: str) -> None:
    ask_v1(client, **({"stream": True} if first == "streamed" else {}))
    whole = ask_v1(client)
    plain = ask_v1(client, stream=True)
    asked = ask_v1(client, stream=True, stream_options={"include_usage": True})
    assert {response.headers["x-cached"] for response in (whole, plain, asked)} == {"true"}
    content = whole.json()["choices"][0]["message"]["content"]
    assert content
    for response in (plain, asked):
        chunks = chunks_of(response)
        choices = [choice for chunk in chunks for choice in chunk["choices"]]
        assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
        assert "".join(choice["delta"].get("content") or "" for choice in choices) == content
        assert [choice["finish_reason"] for choice in choices][-1] == "stop"
    assert not any(chunk.get("usage") for chunk in chunks_of(plain))
    (usage,) = [chunk for chunk in chunks_of(asked) if chunk.get("usage")]
    assert (usage["choices"], usage["usage"]) == ([], whole.json()["usage"])


@pytest.mark.parametrize("first", [False, True])
def test_tool_calls_come_out_of_the_cache_as_the_sdk_reads_them(
    client: httpx2.Client, simulator: SimulatorThread, first: bool
) -> None:
    simulator.script("gpt-4o", Behaviour(tool_call=True))
    ask_v1(client, tools=TOOLS, stream=first)
    http = openai.DefaultHttpxClient(**DIRECT)
    with openai.OpenAI(base_url=f"{client.base_url}/v1", api_key="a", max_retries=0, http_client=http) as sdk:
        fields: dict[str, Any] = {"model": "gpt-4o", "messages": HELLO, "tools": TOOLS}
        extra = {"x-cache-ttl": 60}
        whole = sdk.chat.completions.create(**fields, extra_body=extra)
        with sdk.chat.completions.stream(**fields, extra_body=extra) as stream:
            streamed = stream.get_final_completion()
    (call,), (again,) = whole.choices[0].message.tool_calls, streamed.choices[0].message.tool_calls
    assert (again.id, again.function.name, again.function.arguments) == (
        call.id,
        call.function.name,
        call.function.arguments,
    )
    assert call.function.name == "weather"
    assert streamed.choices[0].finish_reason == "tool_calls"
    assert len(simulator.requests()) == 1


def test_embeddings_are_given_again(client: httpx2.Client, simulator: SimulatorThread) -> None:
    body = {"model": "text-embedding-3-small", "input": "Hello"}
    first, second = (client.post("/v1/embeddings", json=body, headers={"x-cache-ttl": "9"}) for _ in range(2))
    assert (first.headers["x-cached"], second.headers["x-cached"]) == ("false", "true")
    assert first.json() == second.json()
    assert len(simulator.requests()) == 1


def test_a_stored_completion_that_comes_again_out_of_the_cache_is_listed_once(client: httpx2.Client) -> None:
    first, second = ask_v1(client, store=True), ask_v1(client, store=True)
    assert second.headers["x-cached"] == "true"
    assert first.json() == second.json()
    assert [entry["id"] for entry in client.get(V1).json()["data"]] == [first.json()["id"]]
    client.delete(f"{V1}/{first.json()['id']}")
    assert client.get(f"{V1}/{first.json()['id']}").status_code == 404
