"""The simulator's Responses API, as OpenAI's own client sees it over a real socket."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import openai
import pytest
from openai.types.responses import Response
from pydantic import BaseModel

from llm.simulator import Behaviour, RunningSimulator, SimulatorThread, serve

URL = "/v1/responses"
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
TLS = ssl.create_default_context()  # never used, but each client would load its own, in 20 ms
CUT = (httpx2.ReadError, httpx2.RemoteProtocolError)


@pytest.fixture
async def simulator() -> AsyncIterator[RunningSimulator]:
    async with serve() as running:
        yield running


@pytest.fixture
async def http(simulator: RunningSimulator) -> AsyncIterator[httpx2.AsyncClient]:
    origin = simulator.base_url.removesuffix("/v1")
    headers = {"Authorization": "Bearer any"}
    async with httpx2.AsyncClient(base_url=origin, headers=headers, timeout=10, verify=TLS) as client:
        yield client


@pytest.fixture
async def sdk(simulator: RunningSimulator) -> AsyncIterator[openai.AsyncOpenAI]:
    http = openai.DefaultAsyncHttpxClient(verify=TLS)
    url = simulator.base_url
    async with openai.AsyncOpenAI(base_url=url, api_key="any", max_retries=0, timeout=10, http_client=http) as client:
        yield client


async def ask(http: httpx2.AsyncClient, model: str = "m", **parameters: Any) -> httpx2.Response:
    return await http.post(URL, json={"model": model, "input": "Hello there", **parameters})


async def read_events(http: httpx2.AsyncClient, events: list[Any], model: str = "m", **parameters: Any) -> None:
    """Append the data of each event; raises what httpx2 raises if the stream is cut."""
    body = {"model": model, "input": "Hello there", "stream": True, **parameters}
    name = None
    async with http.stream("POST", URL, json=body) as response:
        async for line in response.aiter_lines():
            if line.startswith("event: "):
                name = line.removeprefix("event: ")
            elif line.startswith("data: "):
                data = line.removeprefix("data: ")
                if data == "{broken":
                    events.append(data)
                    continue
                events.append(json.loads(data))
                assert events[-1]["type"] == name


async def events_of(http: httpx2.AsyncClient, model: str = "m", **parameters: Any) -> list[Any]:
    events: list[Any] = []
    await read_events(http, events, model, **parameters)
    return events


def types(events: list[Any]) -> list[str]:
    return [each if isinstance(each, str) else each["type"].removeprefix("response.") for each in events]


def deltas(events: list[Any]) -> list[str]:
    return [each["delta"] for each in events if "delta" in each]


# Failures


@pytest.mark.parametrize(
    ("parameters", "wrong"),
    [
        ({"model": None}, "model"),
        ({"input": None}, "input"),
        ({"input": []}, "input"),
        ({"input": ["Hi"]}, "input"),
        ({"input": 3}, "input"),
        ({"stream": "yes"}, "stream"),
        ({"max_output_tokens": 0}, "max_output_tokens"),
        ({"text": {"format": {"type": "json_schema", "name": "x", "schema": {"$ref": "#"}}}}, "text.format"),
    ],
)
async def test_a_wrong_parameter_is_400_and_named(
    http: httpx2.AsyncClient, parameters: dict[str, Any], wrong: str
) -> None:
    response = await ask(http, **parameters)
    assert response.status_code == 400
    assert response.json()["error"]["param"] == wrong


async def test_stored_responses_are_an_unknown_url_and_other_methods_not_allowed(http: httpx2.AsyncClient) -> None:
    for method in ("GET", "DELETE"):
        assert (await http.request(method, f"{URL}/resp_1")).status_code == 404
        response = await http.request(method, URL)
        assert (response.status_code, response.headers["allow"]) == (405, "POST")


async def test_without_authorization_the_answer_is_401(simulator: RunningSimulator) -> None:
    async with httpx2.AsyncClient(base_url=simulator.base_url, verify=TLS) as client:
        assert (await client.post("/responses", json={"model": "m", "input": "x"})).status_code == 401


@pytest.mark.parametrize("stream", [False, True])
async def test_a_scripted_status_is_an_http_error_whole_or_streamed(
    sdk: openai.AsyncOpenAI, simulator: RunningSimulator, stream: bool
) -> None:
    simulator.state.script("m", Behaviour(status=429, error={"message": "slow down", "code": "x"}, retry_after="7"))
    with pytest.raises(openai.RateLimitError) as caught:
        await sdk.responses.create(model="m", input="Hi", stream=stream)
    assert caught.value.body == {"message": "slow down", "code": "x"}
    assert caught.value.response.headers["retry-after"] == "7"


async def test_a_refused_parameter_says_what_this_api_has_instead(
    simulator: RunningSimulator, http: httpx2.AsyncClient
) -> None:
    simulator.state.script("m", Behaviour(refuse=("max_tokens",), refuse_values=("temperature",)))
    error = (await ask(http, max_tokens=5)).json()["error"]
    assert (error["code"], error["param"]) == ("unsupported_parameter", "max_tokens")
    assert "Use 'max_output_tokens' instead." in error["message"]
    assert (await ask(http, temperature=0.1)).json()["error"]["code"] == "unsupported_value"
    assert (await ask(http, temperature=1)).status_code == 200


async def test_instructions_and_results_count_for_the_context_window(
    simulator: RunningSimulator, http: httpx2.AsyncClient
) -> None:
    simulator.state.script("m", Behaviour(context_window=10))
    assert (await ask(http)).status_code == 200
    result = [{"type": "function_call_output", "call_id": "call_1", "output": "word " * 20}]
    for parameters in ({"instructions": "word " * 20}, {"input": result}):
        error = (await ask(http, **parameters)).json()["error"]
        assert (error["code"], error["param"]) == ("context_length_exceeded", "input")


async def test_a_raw_body_comes_as_it_is(http: httpx2.AsyncClient) -> None:
    for stream in (False, True):
        response = await ask(http, "sim-html", stream=stream)
        assert (response.status_code, response.text[:6]) == (200, "<html>")


@pytest.mark.parametrize("cut_after", [1, 4, 1000])
async def test_a_cut_stream_has_exactly_the_scripted_deltas_and_no_end(
    simulator: RunningSimulator, http: httpx2.AsyncClient, cut_after: int
) -> None:
    simulator.state.script("m", Behaviour(cut_after=cut_after, answer="a b c d e f"))
    events: list[Any] = []
    with pytest.raises(CUT):
        await read_events(http, events)
    assert len(deltas(events)) == min(cut_after, 6)
    assert types(events)[-1] == "output_text.delta"


@pytest.mark.parametrize(("cut_after", "stream"), [(0, False), (0, True), (2, False)])
async def test_a_cut_at_once_or_of_a_whole_answer_gives_no_answer(
    simulator: RunningSimulator, sdk: openai.AsyncOpenAI, cut_after: int, stream: bool
) -> None:
    simulator.state.script("m", Behaviour(cut_after=cut_after))
    with pytest.raises(openai.APIConnectionError):
        await sdk.responses.create(model="m", input="Hi", stream=stream)


async def test_an_early_end_leaves_the_response_in_progress(
    simulator: RunningSimulator, http: httpx2.AsyncClient
) -> None:
    simulator.state.script("m", Behaviour(end_after=2, answer="a b c d"))
    events = await events_of(http)
    assert deltas(events) == ["a", " b"]
    assert types(events)[-1] == "output_text.delta"
    whole = Response.model_validate((await ask(http)).json())
    assert (whole.output_text, whole.status, whole.output[0].status) == ("a b", "in_progress", "in_progress")  # type: ignore[union-attr]
    assert whole.usage is None
    simulator.state.script("m", Behaviour(end_after=0))
    assert await events_of(http) == []


async def test_a_malformed_event_comes_in_the_middle_and_the_stream_goes_on(
    simulator: RunningSimulator, http: httpx2.AsyncClient
) -> None:
    simulator.state.script("m", Behaviour(malformed_after=1, answer="a b"))
    assert types(await events_of(http))[4:7] == ["output_text.delta", "{broken", "output_text.delta"]
    with pytest.raises(json.JSONDecodeError):
        (await ask(http)).json()


@pytest.mark.parametrize("error_after", [0, 2])
async def test_an_error_event_has_the_shape_of_this_api_and_ends_the_stream(
    simulator: RunningSimulator, http: httpx2.AsyncClient, sdk: openai.AsyncOpenAI, error_after: int
) -> None:
    error = {"message": "no more", "code": "overloaded", "type": "server_error"}
    simulator.state.script("m", Behaviour(error_after=error_after, error=error))
    events = await events_of(http)
    assert len(deltas(events)) == error_after
    assert events[-1] == {
        "type": "error",
        "sequence_number": len(events) - 1,
        "code": "overloaded",
        "message": "no more",
        "param": None,
    }
    stream = await sdk.responses.create(model="m", input="Hi", stream=True)
    last = [event async for event in stream][-1]
    assert last.type == "error"
    assert (last.code, last.message) == ("overloaded", "no more")


async def test_an_error_inside_a_200_is_all_there_is(http: httpx2.AsyncClient) -> None:
    response = await ask(http, "sim-error-in-200")
    assert (response.status_code, list(response.json())) == (200, ["error"])


async def test_an_empty_answer_is_complete_but_has_no_text(http: httpx2.AsyncClient) -> None:
    whole = Response.model_validate((await ask(http, "sim-empty")).json())
    assert (whole.status, whole.output_text) == ("completed", "")
    events = await events_of(http, "sim-empty")
    assert (deltas(events), types(events)[-1]) == ([], "completed")


@pytest.mark.parametrize(
    ("behaviour", "stream"),
    [
        (Behaviour(latency_s=60), True),
        (Behaviour(first_token_s=60), False),
        (Behaviour(stall_after=2), False),
        (Behaviour(stall_after=0), True),
        (Behaviour(stall_after=2), True),
    ],
)
async def test_a_client_that_goes_is_on_record(
    simulator: RunningSimulator, http: httpx2.AsyncClient, behaviour: Behaviour, stream: bool
) -> None:
    simulator.state.script("m", behaviour)
    asking = asyncio.create_task(ask(http, stream=stream))
    async with asyncio.timeout(5):
        while not simulator.state.open_requests:
            await asyncio.sleep(0.005)
        await asyncio.sleep(0.05)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        while simulator.state.open_requests:
            await asyncio.sleep(0.005)
    (seen,) = simulator.state.requests()
    assert (seen["path"], seen["model"], seen["stream"], seen["ended"]) == (URL, "m", stream, "disconnected")
    assert seen["body"]["input"] == "Hello there"
    assert seen["chunks_sent"] == (2 if stream and behaviour.stall_after == 2 else 0)


# Good answers


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
        openai.OpenAI(base_url=simulator.base_url, api_key="any", max_retries=0, timeout=10) as client,
    ):
        simulator.script("m", Behaviour(status=503, times=1), Behaviour(answer="fine"))
        with pytest.raises(openai.InternalServerError):
            client.responses.create(model="m", input="Hi")
        assert client.responses.create(model="m", input="Hi").output_text == "fine"
        with client.responses.stream(model="m", input="Hi") as stream:
            assert stream.get_final_response().output_text == "fine"
        assert [seen["path"] for seen in simulator.requests()] == [URL] * 3
