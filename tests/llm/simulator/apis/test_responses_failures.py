"""Everything that can go wrong with a response, as it is scripted."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx2
import openai
import pytest
from openai.types.responses import Response

from llm.simulator import Behaviour, RunningSimulator
from tests.llm.simulator.apis.responses_client import URL, ask, deltas, events_of, read_events, types
from tests.llm.simulator.chat_client import CUT
from tests.support.loopback import async_loopback_client


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
    async with async_loopback_client(base_url=simulator.base_url) as client:
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
