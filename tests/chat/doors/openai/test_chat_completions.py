"""POST /v1/chat/completions, whole"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import httpx2
import openai
import pytest
from pydantic import BaseModel

from chat.models import CallRecord
from llm.simulator import Behaviour, SimulatorThread
from tests.support.loopback import DIRECT
from tests.support.openai_sdk import HELLO, WEATHER
from tests.support.upstreams.written_upstream import Json

StartSite = Callable[..., httpx2.Client]
EVERYTHING: Json = {
    "messages": [
        {"role": "developer", "content": "Be brief.", "name": "boss"},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "Look:\x00 漢 😀"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA", "detail": "low"}},
                {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
                {"type": "file", "file": {"file_id": "file-1"}},
                {"type": "brand_new", "brand_new": [1, 2.5, None]},
            ],
        },
    ],
    "tools": [WEATHER, {"type": "custom", "custom": {"name": "grep"}}],
    "tool_choice": {"type": "function", "function": {"name": "weather"}},
    "parallel_tool_calls": False,
    "response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}}},
    "logprobs": True,
    "top_logprobs": 2,
    "n": 2,
    "seed": 42,
    "stop": ["a", "b"],
    "reasoning_effort": "minimal",
    "prediction": {"type": "content", "content": "x"},
    "service_tier": "flex",
    "user": "u-1",
    "metadata": {"team": "blue"},
    "store": True,
    "modalities": ["text", "audio"],
    "audio": {"voice": "alloy", "format": "wav"},
    "max_completion_tokens": 50,
    "temperature": 0,
    "logit_bias": {"50256": -100},
    "verbosity": "low",
    "field_of_2030": {"nested": [True, {"deep": None}], "empty": {}},
    "null_field": None,
}
ANSWER: Json = {
    "id": "chatcmpl-raw",
    "object": "chat.completion",
    "created": 123,
    "model": "gpt-4o-2024-08-06",
    "service_tier": "flex",
    "system_fingerprint": None,
    "field_of_2030": [{"a": None}],
    "choices": [
        {
            "index": 0,
            "message": {
                "role": "assistant",
                "content": "漢 \ud83d",
                "refusal": None,
                "annotations": [{"type": "url_citation", "url": "x"}],
                "reasoning_content": "hm",
                "brand_new": 1,
            },
            "logprobs": {"content": [{"token": "a", "logprob": -0.1, "bytes": None, "top_logprobs": []}]},
            "finish_reason": "stop",
            "content_filter_results": {"hate": {"filtered": False}},
        }
    ],
    "usage": {
        "prompt_tokens": 1000,
        "completion_tokens": 100,
        "total_tokens": 1100,
        "prompt_tokens_details": {"cached_tokens": 200},
        "completion_tokens_details": {"reasoning_tokens": 10},
        "brand_new": 3,
    },
}


def test_what_a_client_sends_goes_through_unchanged_whole_streamed_and_raced(
    client: httpx2.Client, simulator: SimulatorThread
) -> None:
    assert client.post("/v1/chat/completions", json={"model": "gpt-4o", **EVERYTHING}).status_code == 200
    streamed = {"stream": True, "stream_options": {"include_obfuscation": False}}
    assert client.post("/v1/chat/completions", json={"model": "gpt-4o", **EVERYTHING, **streamed}).status_code == 200
    assert client.post("/v1/chat/completions", json={"model": "gpt-4o|sim-500", **EVERYTHING}).status_code == 200
    usage = {"stream_options": {"include_obfuscation": False, "include_usage": True}}
    whole, stream, *raced = [request["body"] for request in simulator.requests()]
    assert whole == {"model": "gpt-4o", **EVERYTHING}
    assert stream == {"model": "gpt-4o", **EVERYTHING, **streamed, **usage}
    for body in raced:
        assert {name: body[name] for name in EVERYTHING} == EVERYTHING


def test_what_the_upstream_answers_comes_back_unchanged_and_is_on_record(
    client: httpx2.Client, simulator: SimulatorThread
) -> None:
    simulator.script("gpt-4o", Behaviour(raw_body=json.dumps(ANSWER)))
    response = client.post(
        "/v1/chat/completions", json={"model": "sim-500>gpt-4o", "messages": HELLO, "metadata": {"team": "blue"}}
    )
    assert response.status_code == 200
    assert response.json() == ANSWER
    call = CallRecord.objects.get()
    assert (call.door, call.operation, call.route, call.streamed) == (
        "openai",
        "chat.completions",
        "sim-500>gpt-4o",
        False,
    )
    assert (call.status, call.http_status, call.completion_id, call.finish_reason) == (
        "succeeded",
        200,
        "chatcmpl-raw",
        "stop",
    )
    assert (call.prompt_tokens, call.completion_tokens, call.cached_tokens, call.reasoning_tokens) == (
        1000,
        100,
        200,
        10,
    )
    assert call.metadata == {"team": "blue"}
    # A million tokens of gpt-4o cost 2.50 US dollars in the prompt, 1.25 if they are cached, and 10 in the answer. The
    # answer names the tier flex, which costs half.
    assert call.cost_usd == Decimal("0.00325") / 2
    headers = response.headers
    assert headers["x-request-id"] == call.request_id
    assert (headers["x-model-used"], headers["x-provider-used"], headers["x-attempts"]) == ("gpt-4o", "openai", "2")
    assert Decimal(headers["x-cost-usd"]) == call.cost_usd
    assert headers["x-cached"] == "false"


def test_headers_say_that_a_cost_is_a_guess_and_that_it_is_only_a_part(
    client: httpx2.Client, simulator: SimulatorThread
) -> None:
    """A loser whose tokens nobody has counted makes the sum a guess. One without a price makes it a part."""
    simulator.script("gpt-4o", Behaviour(latency_s=5))
    simulator.script("no-price", Behaviour(latency_s=5))
    marks = ("x-cost-estimated", "x-cost-incomplete")

    def ask(route: str, key: str) -> httpx2.Response:
        body = {"model": route, "messages": HELLO}
        answer = client.post("/v1/chat/completions", json=body, headers={"Idempotency-Key": key})
        assert answer.status_code == 200, answer.text
        return answer

    for route, said in (
        ("gpt-4o-mini", [None, None]),
        ("gpt-4o|gpt-4o-mini", ["true", None]),
        ("no-price|gpt-4o-mini", ["true", "true"]),
    ):
        first, again = ask(route, route), ask(route, route)
        assert again.headers["idempotent-replayed"] == "true"
        for answer in (first, again):
            assert [answer.headers.get(name) for name in marks] == said, route
            assert Decimal(answer.headers["x-cost-usd"]) > 0


def test_a_tool_call_races_and_falls_back_like_text(sdk: openai.OpenAI) -> None:
    for model in ("sim-tool", "sim-500>sim-tool", "sim-tool|sim-timeout", "sim-empty|sim-tool"):
        message = sdk.chat.completions.create(model=model, messages=HELLO, tools=[WEATHER]).choices[0].message  # type: ignore[list-item, call-overload]
        assert message.tool_calls[0].function.name == "weather", model
        assert json.loads(message.tool_calls[0].function.arguments) == {"city": "simulated"}
    assert list(CallRecord.objects.values_list("finish_reason", flat=True)) == ["tool_calls"] * 4


def test_a_round_trip_with_a_tool_by_the_sdk(sdk: openai.OpenAI) -> None:
    messages: list[Any] = [*HELLO]
    first = sdk.chat.completions.create(model="sim-tool", messages=messages, tools=[WEATHER])  # type: ignore[list-item]
    message = first.choices[0].message
    assert message.tool_calls
    messages += [message, {"role": "tool", "tool_call_id": message.tool_calls[0].id, "content": "18 degrees"}]
    second = sdk.chat.completions.create(model="sim-tool", messages=messages, tools=[WEATHER])  # type: ignore[list-item]
    assert second.choices[0].finish_reason == "stop"
    assert CallRecord.objects.latest("created_at").body.messages[-1]["content"] == "18 degrees"


class Step(BaseModel):
    name: str
    count: int


def test_parse_gives_a_pydantic_model_alone_and_out_of_a_race(sdk: openai.OpenAI, simulator: SimulatorThread) -> None:
    simulator.script("structured", Behaviour(answer='{"name": "one", "count": 2}'))
    for model in ("structured", "structured|sim-timeout"):
        parsed = sdk.chat.completions.parse(model=model, messages=HELLO, response_format=Step)  # type: ignore[arg-type]
        assert parsed.choices[0].message.parsed == Step(name="one", count=2)
    assert {request["body"]["response_format"]["json_schema"]["name"] for request in simulator.requests()} == {"Step"}


def test_the_raw_response_of_the_sdk_has_our_headers(sdk: openai.OpenAI) -> None:
    raw = sdk.chat.completions.with_raw_response.create(model="gpt-4o", messages=HELLO, n=2)  # type: ignore[arg-type]
    assert raw.headers["x-request-id"] == raw.request_id == CallRecord.objects.get().request_id
    completion = raw.parse()
    assert len(completion.choices) == 2
    assert completion._request_id == raw.request_id


async def test_the_asynchronous_sdk_whole_and_streamed(client: httpx2.Client) -> None:
    async with openai.DefaultAsyncHttpxClient(**DIRECT) as http:
        sdk = openai.AsyncOpenAI(base_url=f"{client.base_url}/v1", api_key="x", http_client=http)
        answers = await asyncio.gather(
            *(sdk.chat.completions.create(model="gpt-4o", messages=HELLO) for _ in range(5))  # type: ignore[arg-type]
        )
        assert len({answer.id for answer in answers}) == 5
        stream = await sdk.chat.completions.create(model="gpt-4o", messages=HELLO, stream=True)  # type: ignore[arg-type]
        text = "".join([chunk.choices[0].delta.content or "" async for chunk in stream])
        assert text == answers[0].choices[0].message.content
        with pytest.raises(openai.NotFoundError):
            await sdk.chat.completions.create(model="sim-404", messages=HELLO)  # type: ignore[arg-type]
