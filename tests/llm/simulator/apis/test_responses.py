"""Good responses, whole and streamed, as OpenAI's own client gets them."""

from __future__ import annotations

import json
from typing import Any

import httpx2
import openai
import pytest
from openai.types.responses import Response
from pydantic import BaseModel

from llm.simulator import Behaviour, RunningSimulator, SimulatorThread
from tests.llm.simulator.apis.responses_client import URL, ask, deltas, events_of, types
from tests.support.loopback import DIRECT

WEATHER: Any = {
    "type": "function",
    "name": "weather",
    "strict": True,
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
        "required": ["city", "days"],
    },
}
CLOCK: Any = {"type": "function", "name": "clock", "strict": False, "parameters": {"type": "object", "properties": {}}}


async def test_the_whole_response_has_every_field_of_openais_type(http: httpx2.AsyncClient) -> None:
    payload = (await ask(http)).json()
    response = Response.model_validate(payload)
    assert (response.object, response.status, response.model) == ("response", "completed", "m")
    assert response.id.startswith("resp_")
    assert "simulated" in response.output_text
    assert response.output_text.endswith("Hello there")
    assert (response.error, response.incomplete_details, response.tools, response.metadata) == (None, None, [], {})
    assert (payload["store"], payload["text"]) == (True, {"format": {"type": "text"}})
    (message,) = payload["output"]
    assert (message["type"], message["role"], message["status"]) == ("message", "assistant", "completed")
    assert message["id"].startswith("msg_")
    assert message["content"][0]["annotations"] == []


async def test_what_was_asked_is_repeated_and_unknown_parameters_do_no_harm(http: httpx2.AsyncClient) -> None:
    asked: dict[str, Any] = {
        "instructions": "Be brief.",
        "metadata": {"a": "b"},
        "store": False,
        "previous_response_id": "resp_0",
        "reasoning": {"effort": "low"},
        "temperature": 0.5,
        "max_output_tokens": 100,
        "tools": [WEATHER],
        "tool_choice": "none",
    }
    payload = (await ask(http, invented={"x": 1}, **asked)).json()
    assert {name: payload[name] for name in asked} == asked
    assert "invented" not in payload


@pytest.mark.parametrize(
    "items",
    [
        [{"role": "user", "content": "Good morning"}],
        [
            {"role": "user", "content": "First"},
            {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Yes?"}]},
            {
                "role": "user",
                "content": [{"type": "input_text", "text": "Good "}, {"type": "input_text", "text": "morning"}],
            },
        ],
    ],
)
async def test_the_last_message_of_the_user_is_echoed(sdk: openai.AsyncOpenAI, items: Any) -> None:
    assert (await sdk.responses.create(model="m", input=items)).output_text.endswith("You said: Good morning")


async def test_a_response_that_follows_another_needs_no_input(http: httpx2.AsyncClient) -> None:
    response = await http.post(URL, json={"model": "m", "previous_response_id": "resp_0"})
    assert response.status_code == 200


async def test_a_stream_has_openais_events_in_their_order_and_no_done(
    simulator: RunningSimulator, http: httpx2.AsyncClient
) -> None:
    simulator.state.script("m", Behaviour(answer="one two"))
    events = await events_of(http)
    assert types(events) == [
        "created",
        "in_progress",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "completed",
    ]
    assert [event["sequence_number"] for event in events] == list(range(10))
    assert events[0]["response"]["output"] == events[2]["item"]["content"] == []
    assert events[0]["response"]["usage"] is None
    assert len({event["item_id"] for event in events if "item_id" in event} | {events[2]["item"]["id"]}) == 1
    assert events[-1]["response"]["output"] == [events[-2]["item"]]
    assert events[-1]["response"]["usage"]["output_tokens"] == 2
    (seen,) = simulator.state.requests()
    assert (seen["chunks_sent"], seen["ended"]) == (2, "complete")


async def test_the_sdks_stream_puts_the_same_response_together_as_the_whole_one(
    simulator: RunningSimulator, sdk: openai.AsyncOpenAI
) -> None:
    text = "  Zeilen\n\nund Wörter: 日本語 🙂 \u2028 extraordinarily  \n"
    simulator.state.script("m", Behaviour(answer=text))
    pieces = []
    async with sdk.responses.stream(model="m", input="Hi") as stream:
        async for event in stream:
            if event.type == "response.output_text.delta":
                pieces.append(event.delta)
        streamed = await stream.get_final_response()
    whole = await sdk.responses.create(model="m", input="Hi")
    assert "".join(pieces) == streamed.output_text == whole.output_text == text
    assert streamed.usage == whole.usage


async def test_usage_is_in_the_words_of_this_api_and_withheld_if_scripted(
    simulator: RunningSimulator, http: httpx2.AsyncClient
) -> None:
    simulator.state.script("m", Behaviour(answer="a b", cached_tokens=100, reasoning_tokens=7))
    assert (await ask(http)).json()["usage"] == {
        "input_tokens": 100,
        "input_tokens_details": {"cached_tokens": 100, "cache_write_tokens": 0},
        "output_tokens": 9,
        "output_tokens_details": {"reasoning_tokens": 7},
        "total_tokens": 109,
    }
    simulator.state.script("m", Behaviour(usage=False))
    assert (await ask(http)).json()["usage"] is None
    assert (await events_of(http))[-1]["response"]["usage"] is None


async def test_a_token_limit_makes_the_response_incomplete(http: httpx2.AsyncClient) -> None:
    whole = Response.model_validate((await ask(http, max_output_tokens=3)).json())
    assert (whole.status, whole.output[0].status) == ("incomplete", "incomplete")  # type: ignore[union-attr]
    assert whole.incomplete_details is not None
    assert whole.incomplete_details.reason == "max_output_tokens"
    assert whole.usage is not None
    assert whole.usage.output_tokens == 3
    events = await events_of(http, max_output_tokens=3)
    assert (len(deltas(events)), types(events)[-1]) == (3, "incomplete")
    assert events[-1]["response"]["incomplete_details"] == {"reason": "max_output_tokens"}


@pytest.mark.parametrize(
    ("finish_reason", "status"), [("content_filter", "incomplete"), ("length", "incomplete"), ("stop", "completed")]
)
async def test_a_scripted_finish_reason_becomes_a_status(
    simulator: RunningSimulator, http: httpx2.AsyncClient, finish_reason: str, status: str
) -> None:
    simulator.state.script("m", Behaviour(finish_reason=finish_reason))
    assert (await ask(http)).json()["status"] == status


async def test_the_tool_model_calls_the_first_tool_or_the_chosen_one(sdk: openai.AsyncOpenAI) -> None:
    tools = [{"type": "web_search"}, WEATHER, CLOCK]
    response = await sdk.responses.create(model="sim-tool", input="Hi", tools=tools)
    (call,) = response.output
    assert call.type == "function_call"
    assert (call.name, call.status) == ("weather", "completed")
    assert json.loads(call.arguments) == {"city": "simulated", "days": 1}
    assert call.call_id.startswith("call_")
    assert response.status == "completed"
    chosen: Any = {"type": "function", "name": "clock"}
    (call,) = (await sdk.responses.create(model="sim-tool", input="Hi", tools=tools, tool_choice=chosen)).output
    assert call.type == "function_call"
    assert (call.name, call.arguments) == ("clock", "{}")


async def test_a_function_call_is_streamed_in_pieces_that_the_sdk_puts_together(
    sdk: openai.AsyncOpenAI, http: httpx2.AsyncClient
) -> None:
    async with sdk.responses.stream(model="sim-tool", input="Hi", tools=[WEATHER]) as stream:
        async for _ in stream:
            pass
        (call,) = (await stream.get_final_response()).output
    assert call.type == "function_call"
    events = await events_of(http, "sim-tool", tools=[WEATHER])
    assert list(dict.fromkeys(types(events))) == [
        "created",
        "in_progress",
        "output_item.added",
        "function_call_arguments.delta",
        "function_call_arguments.done",
        "output_item.done",
        "completed",
    ]
    assert len(deltas(events)) > 2
    assert "".join(deltas(events)) == events[-3]["arguments"] == call.arguments
    assert events[2]["item"]["arguments"] == ""


async def test_the_tool_model_answers_in_words_once_it_has_the_result(sdk: openai.AsyncOpenAI) -> None:
    first = await sdk.responses.create(model="sim-tool", input="Rain?", tools=[WEATHER])
    (call,) = first.output
    assert call.type == "function_call"
    result = {"type": "function_call_output", "call_id": call.call_id, "output": "sunny"}
    history: Any = [{"role": "user", "content": "Rain?"}, call.model_dump(), result]
    assert (await sdk.responses.create(model="sim-tool", input=history, tools=[WEATHER])).output_text.endswith("Rain?")
    for parameters in ({}, {"tools": [WEATHER], "tool_choice": "none"}):
        assert (await sdk.responses.create(model="sim-tool", input="Rain?", **parameters)).output_text  # type: ignore[call-overload]


class Step(BaseModel):
    text: str
    next: Step | None


class Plan(BaseModel):
    title: str
    steps: list[Step]
    first: Step
    confident: bool
    score: float | None


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_structured_answer_fits_its_schema_so_that_the_sdk_parses_it(
    sdk: openai.AsyncOpenAI, streamed: bool
) -> None:
    if streamed:
        async with sdk.responses.stream(model="m", input="Plan it", text_format=Plan) as stream:
            plan = (await stream.get_final_response()).output_parsed
    else:
        plan = (await sdk.responses.parse(model="m", input="Plan it", text_format=Plan)).output_parsed
    assert plan is not None
    assert plan.title == "simulated"
    assert plan.first == Step(text="simulated", next=None)  # a schema that contains itself comes to an end


def test_it_serves_the_sync_sdk_from_a_thread() -> None:
    with (
        SimulatorThread() as simulator,
        openai.DefaultHttpxClient(**DIRECT, timeout=10) as http,
        openai.OpenAI(
            base_url=simulator.base_url, api_key="any", max_retries=0, timeout=10, http_client=http
        ) as client,
    ):
        simulator.script("m", Behaviour(status=503, times=1), Behaviour(answer="fine"))
        with pytest.raises(openai.InternalServerError):
            client.responses.create(model="m", input="Hi")
        assert client.responses.create(model="m", input="Hi").output_text == "fine"
        with client.responses.stream(model="m", input="Hi") as stream:
            assert stream.get_final_response().output_text == "fine"
        assert [seen["path"] for seen in simulator.requests()] == [URL] * 3
