"""The simulator, as a real client sees it over a real socket."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import re
import signal
import socket
import ssl
import struct
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import openai
import pytest

from llm.simulator import SIM_MODELS, Behaviour, RunningSimulator, SimulatorThread, serve

HELLO = [{"role": "user", "content": "Hello there"}]
TOOL = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "days": {"type": "integer"}, "unit": {"enum": ["C", "F"]}},
            "required": ["city", "days", "unit"],
        },
    },
}
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
    return await http.post("/v1/chat/completions", json={"model": model, "messages": HELLO, **parameters})


async def events_until_the_end(http: httpx2.AsyncClient, model: str = "m", **parameters: Any) -> list[str]:
    """The data of each event of a stream; raises what httpx2 raises if it is cut."""
    events: list[str] = []
    await read_events(http, events, model, **parameters)
    return events


async def read_events(http: httpx2.AsyncClient, events: list[str], model: str = "m", **parameters: Any) -> None:
    body = {"model": model, "messages": HELLO, "stream": True, **parameters}
    async with http.stream("POST", "/v1/chat/completions", json=body) as response:
        async for line in response.aiter_lines():
            if line.startswith("data: "):
                events.append(line.removeprefix("data: "))


def contents(events: list[str]) -> list[str]:
    chunks = [json.loads(event) for event in events if event.startswith("{") and event.endswith("}")]
    deltas = [choice["delta"] for chunk in chunks for choice in chunk.get("choices", [])]
    return [delta["content"] for delta in deltas if delta.get("content")]


async def eventually(condition: Any) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.005)


# Failures before an answer


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, None),
        (401, "invalid_api_key"),
        (403, "permission_denied"),
        (404, "model_not_found"),
        (408, "request_timeout"),
        (409, "conflict"),
        (429, "rate_limit_exceeded"),
        (500, "server_error"),
        (502, "bad_gateway"),
        (503, "service_unavailable"),
        (504, "gateway_timeout"),
        (529, "overloaded"),
        (418, None),
    ],
)
async def test_a_model_named_after_a_status_answers_with_it(
    http: httpx2.AsyncClient, status: int, code: str | None
) -> None:
    for stream in (False, True):
        response = await ask(http, f"sim-{status}", stream=stream)
        assert response.status_code == status
        assert set(response.json()["error"]) == {"message", "type", "param", "code"}
        assert response.json()["error"]["code"] == code


async def test_429_by_name_asks_to_wait_a_second(http: httpx2.AsyncClient) -> None:
    assert (await ask(http, "sim-429")).headers["retry-after"] == "1"


async def test_a_scripted_error_and_retry_after_arrive_verbatim(
    simulator: RunningSimulator, http: httpx2.AsyncClient
) -> None:
    date = "Wed, 21 Oct 2026 07:28:00 GMT"
    simulator.state.script("m", Behaviour(status=429, error={"code": "insufficient_quota"}, retry_after=date))
    response = await ask(http)
    assert response.json() == {"error": {"code": "insufficient_quota"}}
    assert response.headers["retry-after"] == date


async def test_the_sdk_maps_a_scripted_status_to_its_own_error(sdk: openai.AsyncOpenAI) -> None:
    with pytest.raises(openai.RateLimitError):
        await sdk.chat.completions.create(model="sim-429", messages=HELLO)  # type: ignore[arg-type]


async def test_without_authorization_the_answer_is_401(simulator: RunningSimulator) -> None:
    async with httpx2.AsyncClient(base_url=simulator.base_url) as client:
        response = await client.post("/chat/completions", json={"model": "m", "messages": HELLO})
        assert response.status_code == 401
        assert response.json()["error"]["code"] == "invalid_api_key"
        assert (await client.get("/models", headers={"Authorization": "Basic x"})).status_code == 401


async def test_an_unknown_path_is_404_in_openais_shape(http: httpx2.AsyncClient) -> None:
    response = await http.get("/v1/unknown")
    assert response.status_code == 404
    assert response.json()["error"]["message"] == "Invalid URL (GET /v1/unknown)"


async def test_a_known_path_with_the_wrong_method_is_405(http: httpx2.AsyncClient) -> None:
    for method, path in (("GET", "/v1/chat/completions"), ("POST", "/v1/models"), ("POST", "/_requests")):
        response = await http.request(method, path)
        assert response.status_code == 405
        assert response.headers["allow"]


@pytest.mark.parametrize("body", [b"{broken", b"[]", b"", b'"text"', b"\xff", b"[" * 100_000])
async def test_a_body_that_is_no_json_object_is_400(http: httpx2.AsyncClient, body: bytes) -> None:
    response = await http.post("/v1/chat/completions", content=body)
    assert response.status_code == 400
    assert response.json()["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize(
    ("parameters", "wrong"),
    [
        ({"model": ""}, "model"),
        ({"messages": []}, "messages"),
        ({"messages": "Hi"}, "messages"),
        ({"stream": "yes"}, "stream"),
        ({"n": 0}, "n"),
        ({"max_tokens": "many"}, "max_tokens"),
    ],
)
async def test_a_wrong_parameter_is_400_and_named(
    http: httpx2.AsyncClient, parameters: dict[str, Any], wrong: str
) -> None:
    response = await http.post("/v1/chat/completions", json={"model": "m", "messages": HELLO} | parameters)
    assert response.status_code == 400
    assert response.json()["error"]["param"] == wrong


async def test_a_refused_parameter_is_400_and_says_what_to_use(
    simulator: RunningSimulator, http: httpx2.AsyncClient
) -> None:
    simulator.state.script("m", Behaviour(refuse=("max_tokens",)))
    error = (await ask(http, max_tokens=5)).json()["error"]
    assert error == {
        "message": "Unsupported parameter: 'max_tokens' is not supported with this model."
        " Use 'max_completion_tokens' instead.",
        "type": "invalid_request_error",
        "param": "max_tokens",
        "code": "unsupported_parameter",
    }
    assert (await ask(http, max_completion_tokens=5)).status_code == 200


async def test_a_refused_value_is_400_unless_it_is_the_default(
    simulator: RunningSimulator, http: httpx2.AsyncClient
) -> None:
    simulator.state.script("m", Behaviour(refuse_values=("temperature",)))
    response = await ask(http, temperature=0.7)
    assert response.status_code == 400
    assert response.json()["error"]["code"] == "unsupported_value"
    assert (await ask(http, temperature=1)).status_code == 200


async def test_a_prompt_above_the_context_window_is_400(simulator: RunningSimulator, http: httpx2.AsyncClient) -> None:
    simulator.state.script("m", Behaviour(context_window=10))
    assert (await ask(http)).status_code == 200
    response = await ask(http, messages=[{"role": "user", "content": "word " * 100}])
    assert response.json()["error"]["code"] == "context_length_exceeded"


async def test_a_raw_body_comes_as_it_is_whatever_was_asked(http: httpx2.AsyncClient) -> None:
    for stream in (False, True):
        response = await ask(http, "sim-html", stream=stream)
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/html")
        assert "It works!" in response.text


# Failures on the way


@pytest.mark.parametrize("stream", [False, True])
async def test_a_cut_at_once_is_a_reset_before_any_header(
    simulator: RunningSimulator, http: httpx2.AsyncClient, stream: bool
) -> None:
    simulator.state.script("m", Behaviour(cut_after=0))
    with pytest.raises(CUT):
        async with http.stream(
            "POST", "/v1/chat/completions", json={"model": "m", "messages": HELLO, "stream": stream}
        ):
            pytest.fail("there were headers")


@pytest.mark.parametrize("stream", [False, True])
async def test_a_later_cut_comes_after_headers_and_some_of_the_body(
    simulator: RunningSimulator, http: httpx2.AsyncClient, stream: bool
) -> None:
    simulator.state.script("m", Behaviour(cut_after=2))
    received = b""
    body = {"model": "m", "messages": HELLO, "stream": stream}
    with pytest.raises(CUT):
        async with http.stream("POST", "/v1/chat/completions", json=body) as response:
            assert response.status_code == 200
            async for part in response.aiter_bytes():
                received += part
    assert received
    assert b"[DONE]" not in received


@pytest.mark.parametrize("cut_after", [1, 4, 1000])
async def test_a_cut_stream_has_exactly_the_scripted_chunks_and_no_finish(
    simulator: RunningSimulator, http: httpx2.AsyncClient, cut_after: int
) -> None:
    simulator.state.script("m", Behaviour(cut_after=cut_after, answer="a b c d e f"))
    events: list[str] = []
    with pytest.raises(CUT):
        await read_events(http, events)
    assert len(contents(events)) == min(cut_after, 6)
    assert not any('"finish_reason":"' in event for event in events)


async def test_a_cut_is_a_tcp_reset_not_an_end_of_file(simulator: RunningSimulator) -> None:
    simulator.state.script("m", Behaviour(cut_after=0))
    body = json.dumps({"model": "m", "messages": HELLO})
    reader, writer = await asyncio.open_connection("127.0.0.1", simulator.port)
    head = "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer x\r\n"
    writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode())
    with pytest.raises(ConnectionResetError):
        await reader.read()
    writer.close()
    with contextlib.suppress(ConnectionResetError):
        await writer.wait_closed()


async def test_a_cut_loses_no_chunk_under_uvloop() -> None:
    program = """
import asyncio, httpx2, uvloop
from llm.simulator import Behaviour, serve
async def main():
    async with serve() as running, httpx2.AsyncClient(headers={"Authorization": "Bearer x"}) as client:
        running.state.script("m", Behaviour(cut_after=2, answer="first second third"))
        body = {"model": "m", "stream": True, "messages": [{"role": "user", "content": "x"}]}
        got = b""
        try:
            async with client.stream("POST", running.base_url + "/chat/completions", json=body) as response:
                async for part in response.aiter_bytes():
                    got += part
        except (httpx2.ReadError, httpx2.RemoteProtocolError):
            assert b" secon" in got and b" third" not in got, got
            return
        raise SystemExit("a clean end")
uvloop.run(main())
"""
    done = await asyncio.create_subprocess_exec(sys.executable, "-W", "error", "-c", program, stderr=subprocess.PIPE)
    _, stderr = await done.communicate()
    assert (done.returncode, stderr) == (0, b"")


async def test_an_early_end_is_clean_with_neither_finish_reason_nor_done(
    simulator: RunningSimulator, http: httpx2.AsyncClient
) -> None:
    simulator.state.script("m", Behaviour(end_after=2, answer="a b c d"))
    events = await events_until_the_end(http)
    assert contents(events) == ["a", " b"]
    assert "[DONE]" not in events
    assert not any('"finish_reason":"' in event for event in events)
    choice = (await ask(http)).json()["choices"][0]
    assert (choice["message"]["content"], choice["finish_reason"]) == ("a b", None)


async def test_an_early_end_at_0_is_a_stream_with_no_event(
    simulator: RunningSimulator, http: httpx2.AsyncClient
) -> None:
    simulator.state.script("m", Behaviour(end_after=0))
    assert await events_until_the_end(http) == []


async def test_a_malformed_event_comes_in_the_middle_and_the_stream_goes_on(
    simulator: RunningSimulator, http: httpx2.AsyncClient
) -> None:
    simulator.state.script("m", Behaviour(malformed_after=1, answer="a b c"))
    events = await events_until_the_end(http)
    assert events[2] == "{broken"
    assert events.count("{broken") == 1
    assert contents(events) == ["a", " b", " c"]
    assert events[-1] == "[DONE]"
    whole = await ask(http)
    assert whole.status_code == 200
    with pytest.raises(json.JSONDecodeError):
        whole.json()


async def test_an_error_event_ends_the_stream(simulator: RunningSimulator, http: httpx2.AsyncClient) -> None:
    simulator.state.script("m", Behaviour(error_after=2, error={"message": "no more", "code": "overloaded"}))
    events = await events_until_the_end(http)
    assert len(contents(events)) == 2
    assert json.loads(events[-1]) == {"error": {"message": "no more", "code": "overloaded"}}


async def test_an_error_inside_a_200_is_all_there_is_whole_or_streamed(http: httpx2.AsyncClient) -> None:
    whole = await ask(http, "sim-error-in-200")
    assert whole.status_code == 200
    assert list(whole.json()) == ["error"]
    (event,) = await events_until_the_end(http, "sim-error-in-200")
    assert json.loads(event) == whole.json()


async def test_the_sdk_raises_for_an_error_event(sdk: openai.AsyncOpenAI) -> None:
    stream = await sdk.chat.completions.create(model="sim-error-in-200", messages=HELLO, stream=True)  # type: ignore[call-overload]
    with pytest.raises(openai.APIError):
        async for _ in stream:
            pass


async def test_an_empty_answer_is_correct_but_has_no_content(http: httpx2.AsyncClient) -> None:
    choice = (await ask(http, "sim-empty")).json()["choices"][0]
    assert (choice["message"]["content"], choice["finish_reason"]) == ("", "stop")
    events = await events_until_the_end(http, "sim-empty")
    assert contents(events) == []
    assert events[-1] == "[DONE]"


# The client goes


@pytest.mark.parametrize(
    ("behaviour", "stream"),
    [
        (Behaviour(latency_s=60), False),
        (Behaviour(latency_s=60), True),
        (Behaviour(first_token_s=60), False),
        (Behaviour(first_token_s=60), True),
        (Behaviour(tokens_per_second=0.02), True),
        (Behaviour(stall_after=0), False),
        (Behaviour(stall_after=0), True),
        (Behaviour(stall_after=2), False),
        (Behaviour(stall_after=2), True),
        (Behaviour(status=500, stall_after=1), False),
        (Behaviour(answer="word " * 200_000), True),
    ],
)
async def test_a_client_that_goes_is_noticed_in_every_phase(
    simulator: RunningSimulator, http: httpx2.AsyncClient, behaviour: Behaviour, stream: bool
) -> None:
    simulator.state.script("m", behaviour)
    asking = asyncio.create_task(ask(http, stream=stream))
    await eventually(lambda: simulator.state.open_requests == 1)
    await asyncio.sleep(0.02)
    assert simulator.state.requests()[0]["ended"] == "open"
    left_at = time.perf_counter()
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    await eventually(lambda: simulator.state.open_requests == 0)
    assert time.perf_counter() - left_at < 1
    (seen,) = simulator.state.requests()
    assert seen["ended"] == "disconnected"
    assert seen["disconnected_after_ms"] > 10


async def test_a_client_that_stops_reading_and_then_goes_is_noticed(simulator: RunningSimulator) -> None:
    simulator.state.script("m", Behaviour(answer="word " * 100_000))
    body = json.dumps({"model": "m", "messages": HELLO, "stream": True})
    client = socket.create_connection(("127.0.0.1", simulator.port))
    head = "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer x\r\n"
    client.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode())
    sent = -1
    while (now := [seen["chunks_sent"] for seen in simulator.state.requests()]) != [sent] or not sent:
        sent = now[0] if now else -1
        await asyncio.sleep(0.1)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
    await eventually(lambda: simulator.state.open_requests == 0)
    assert simulator.state.requests()[0]["ended"] == "disconnected"


async def test_a_client_that_goes_before_its_body_is_complete_leaves_no_trace(simulator: RunningSimulator) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", simulator.port)
    writer.write(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    await asyncio.sleep(0.02)
    assert simulator.state.requests() == []


# Good answers


async def test_the_default_answer_names_the_model_says_simulated_and_echoes(sdk: openai.AsyncOpenAI) -> None:
    answer = await sdk.chat.completions.create(model="gpt-4o", messages=HELLO)  # type: ignore[arg-type]
    content = answer.choices[0].message.content or ""
    assert "gpt-4o" in content
    assert "simulated" in content
    assert "Hello there" in content
    assert answer.choices[0].finish_reason == "stop"
    assert answer.id.startswith("chatcmpl-")
    assert answer.usage is not None
    assert answer.usage.prompt_tokens == len("Hello there") // 4
    again = await sdk.chat.completions.create(model="gpt-4o", messages=HELLO)  # type: ignore[arg-type]
    assert again.choices == answer.choices
    assert again.id != answer.id


async def test_a_stream_is_role_then_content_then_finish_reason_then_done(http: httpx2.AsyncClient) -> None:
    events = await events_until_the_end(http)
    first, second, last = (json.loads(events[place])["choices"][0] for place in (0, 1, -2))
    assert first["delta"] == {"role": "assistant", "content": "", "refusal": None}
    assert second["delta"]["content"]
    assert (last["delta"], last["finish_reason"]) == ({}, "stop")
    assert events[-1] == "[DONE]"
    assert "usage" not in json.loads(events[0])
    assert len({json.loads(event)["id"] for event in events[:-1]}) == 1


async def test_the_sdk_gets_the_same_text_streamed_as_whole(
    simulator: RunningSimulator, sdk: openai.AsyncOpenAI
) -> None:
    text = "  Zeilen\n\nund Wörter: 日本語のとても長い文章です 🙂 \u2028 extraordinarily  \n"
    simulator.state.script("m", Behaviour(answer=text))
    whole = await sdk.chat.completions.create(model="m", messages=HELLO)  # type: ignore[arg-type]
    stream = await sdk.chat.completions.create(model="m", messages=HELLO, stream=True)  # type: ignore[call-overload]
    pieces = [chunk.choices[0].delta.content or "" async for chunk in stream]
    assert whole.choices[0].message.content == "".join(pieces) == text
    assert len(pieces) > 10


async def test_usage_comes_in_a_last_chunk_without_choices_when_asked(sdk: openai.AsyncOpenAI) -> None:
    stream = await sdk.chat.completions.create(  # type: ignore[call-overload]
        model="m", messages=HELLO, stream=True, stream_options={"include_usage": True}
    )
    chunks = [chunk async for chunk in stream]
    assert chunks[-1].choices == []
    assert chunks[-1].usage.completion_tokens == sum(bool(c.choices and c.choices[0].delta.content) for c in chunks)
    assert all(chunk.usage is None for chunk in chunks[:-1])


async def test_cached_and_reasoning_tokens_are_parts_of_the_totals(
    simulator: RunningSimulator, http: httpx2.AsyncClient
) -> None:
    simulator.state.script("m", Behaviour(answer="a b", cached_tokens=100, reasoning_tokens=7))
    usage = (await ask(http)).json()["usage"]
    assert usage["prompt_tokens_details"]["cached_tokens"] == 100 == usage["prompt_tokens"]
    assert usage["completion_tokens_details"]["reasoning_tokens"] == 7
    assert (usage["completion_tokens"], usage["total_tokens"]) == (9, 109)


async def test_a_model_without_usage_reports_none_even_when_asked(
    simulator: RunningSimulator, http: httpx2.AsyncClient
) -> None:
    simulator.state.script("m", Behaviour(usage=False))
    assert "usage" not in (await ask(http)).json()
    events = await events_until_the_end(http, stream_options={"include_usage": True})
    assert all(json.loads(event)["choices"] for event in events[:-1])


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
async def test_a_token_limit_shortens_the_answer_and_says_length(http: httpx2.AsyncClient, name: str) -> None:
    answer = (await ask(http, **{name: 3})).json()
    assert answer["choices"][0]["finish_reason"] == "length"
    assert answer["usage"]["completion_tokens"] == 3
    events = await events_until_the_end(http, **{name: 3})
    assert len(contents(events)) == 3
    assert '"finish_reason":"length"' in events[-2]


async def test_n_gives_so_many_choices_whole_and_streamed(http: httpx2.AsyncClient) -> None:
    assert [choice["index"] for choice in (await ask(http, n=3)).json()["choices"]] == [0, 1, 2]
    events = await events_until_the_end(http, n=3)
    finished = [json.loads(event)["choices"][0] for event in events[-4:-1]]
    assert [(choice["index"], choice["finish_reason"]) for choice in finished] == [(n, "stop") for n in range(3)]


async def test_a_scripted_finish_reason_is_given(simulator: RunningSimulator, http: httpx2.AsyncClient) -> None:
    simulator.state.script("m", Behaviour(finish_reason="content_filter"))
    assert (await ask(http)).json()["choices"][0]["finish_reason"] == "content_filter"


async def test_the_tool_model_calls_the_first_tool_with_fitting_arguments(sdk: openai.AsyncOpenAI) -> None:
    answer = await sdk.chat.completions.create(model="sim-tool", messages=HELLO, tools=[TOOL])  # type: ignore[call-overload]
    (call,) = answer.choices[0].message.tool_calls
    assert (call.type, call.function.name) == ("function", "weather")
    assert json.loads(call.function.arguments) == {"city": "simulated", "days": 1, "unit": "C"}
    assert answer.choices[0].message.content is None
    assert answer.choices[0].finish_reason == "tool_calls"


async def test_a_tool_call_is_streamed_in_pieces_that_the_sdk_puts_together(sdk: openai.AsyncOpenAI) -> None:
    deltas = 0
    async with sdk.chat.completions.stream(model="sim-tool", messages=HELLO, tools=[TOOL]) as stream:  # type: ignore[arg-type, list-item]
        async for event in stream:
            deltas += event.type == "tool_calls.function.arguments.delta"
        answer = await stream.get_final_completion()
    (call,) = answer.choices[0].message.tool_calls or []
    assert json.loads(call.function.arguments)["unit"] == "C"
    assert deltas > 2


async def test_the_tool_model_answers_in_words_without_a_tool_or_with_its_result(http: httpx2.AsyncClient) -> None:
    result = {"role": "tool", "tool_call_id": "call_1", "content": "sunny"}
    for parameters in ({}, {"tools": [TOOL], "messages": [*HELLO, result]}, {"tools": [TOOL], "tool_choice": "none"}):
        message = (await ask(http, "sim-tool", **parameters)).json()["choices"][0]["message"]
        assert message["content"]
        assert "tool_calls" not in message


@pytest.mark.parametrize("encoding", [openai.omit, "float", "base64"])
async def test_embeddings_are_deterministic_and_of_length_one(sdk: openai.AsyncOpenAI, encoding: Any) -> None:
    answer = await sdk.embeddings.create(model="e", input=["one", "two", "one"], encoding_format=encoding)
    vectors = [item.embedding for item in answer.data]
    if encoding == "base64":
        vectors = [list(struct.unpack("<8f", base64.b64decode(str(each)))) for each in vectors]
    assert vectors[0] == vectors[2] != vectors[1]
    assert sum(value * value for value in vectors[0]) == pytest.approx(1)
    assert answer.usage.prompt_tokens == 3


async def test_embeddings_honour_dimensions_and_fail_like_any_model(http: httpx2.AsyncClient) -> None:
    response = await http.post("/v1/embeddings", json={"model": "e", "input": [1, 2, 3], "dimensions": 20})
    assert len(response.json()["data"][0]["embedding"]) == 20
    assert (await http.post("/v1/embeddings", json={"model": "sim-503", "input": "x"})).status_code == 503
    assert (await http.post("/v1/embeddings", json={"model": "e", "input": []})).status_code == 400


async def test_the_models_that_misbehave_are_listed_and_any_name_exists(sdk: openai.AsyncOpenAI) -> None:
    names = {model.id async for model in sdk.models.list()}
    assert names >= {"gpt-4o", *SIM_MODELS}
    assert (await sdk.models.retrieve("vendor/any-model")).id == "vendor/any-model"


async def test_every_answer_has_its_own_request_id_and_a_processing_time(http: httpx2.AsyncClient) -> None:
    responses = [
        await ask(http),
        await ask(http, "sim-500"),
        await ask(http, stream=True),
        await http.get("/v1/models"),
    ]
    assert len({response.headers["x-request-id"] for response in responses}) == 4
    assert all(response.headers["openai-processing-ms"].isdigit() for response in responses)


# Time


async def test_latency_comes_before_the_headers_and_the_first_token_after_them(
    simulator: RunningSimulator, http: httpx2.AsyncClient
) -> None:
    simulator.state.script("m", Behaviour(latency_s=0.1, first_token_s=0.2))
    started = time.perf_counter()
    body = {"model": "m", "messages": HELLO, "stream": True}
    async with http.stream("POST", "/v1/chat/completions", json=body) as response:
        headers_after = time.perf_counter() - started
        await response.aread()
    assert headers_after >= 0.1
    assert time.perf_counter() - started >= 0.3


@pytest.mark.parametrize("stream", [False, True])
async def test_an_answer_takes_the_time_of_its_tokens(
    simulator: RunningSimulator, http: httpx2.AsyncClient, stream: bool
) -> None:
    simulator.state.script("m", Behaviour(tokens_per_second=50, answer="word " * 10))
    started = time.perf_counter()
    await ask(http, stream=stream)
    assert time.perf_counter() - started >= 0.17


async def test_answers_on_a_kept_connection_are_not_held_back_by_nagle(http: httpx2.AsyncClient) -> None:
    started = time.perf_counter()
    for _ in range(50):
        await ask(http)
    assert time.perf_counter() - started < 1.5  # 2 s with Nagle's algorithm and delayed acknowledgements


async def test_every_so_many_requests_one_is_slower(simulator: RunningSimulator, http: httpx2.AsyncClient) -> None:
    simulator.state.script("m", Behaviour(latency_s=0.01, tail_share=0.33, tail_factor=20))
    slow = []
    for _ in range(6):
        started = time.perf_counter()
        await ask(http)
        slow.append(time.perf_counter() - started >= 0.2)
    assert (slow[2], slow[5]) == (True, True)
    simulator.state.script("m", Behaviour(tail_share=0.33, tail_factor=20))
    assert [simulator.state.take_turn("m").slowness for _ in range(6)] == [1, 1, 20, 1, 1, 20]


# Scripts and what was seen


async def test_a_script_goes_from_behaviour_to_behaviour_and_ends_healthy(
    simulator: RunningSimulator, http: httpx2.AsyncClient
) -> None:
    simulator.state.script("m", Behaviour(status=500, times=2), Behaviour(status=429, times=1))
    assert [(await ask(http)).status_code for _ in range(5)] == [500, 500, 429, 200, 200]


async def test_a_model_is_scripted_and_restored_over_http(http: httpx2.AsyncClient) -> None:
    put = await http.put("/_script/vendor/m", json=[{"status": 500, "times": 1}, {"answer": "scripted"}])
    assert put.status_code == 200
    assert [each["times"] for each in put.json()["behaviours"]] == [1, None]
    assert (await ask(http, "vendor/m")).status_code == 500
    assert (await ask(http, "vendor/m")).json()["choices"][0]["message"]["content"] == "scripted"
    assert (await ask(http, "other")).status_code == 200
    for path in ("/_script/vendor/m", "/_script"):
        await http.put("/_script/vendor/m", json={"status": 503})
        assert (await ask(http, "vendor/m")).status_code == 503
        assert (await http.delete(path)).status_code == 204
        assert (await ask(http, "vendor/m")).status_code == 200


@pytest.mark.parametrize(
    ("script", "field"),
    [
        ({"latency": 1}, "latency"),
        ({"latency_s": -1}, "latency_s"),
        ({"latency_s": True}, "latency_s"),
        ({"first_token_s": float("inf")}, "first_token_s"),
        ({"tokens_per_second": 0}, "tokens_per_second"),
        ({"status": 99}, "status"),
        ({"status": "500"}, "status"),
        ({"error": "text"}, "error"),
        ({"retry_after": "1\r\nevil: 1"}, "retry_after"),
        ({"cut_after": 1.5}, "cut_after"),
        ({"refuse": "max_tokens"}, "refuse"),
        ({"refuse": [1]}, "refuse"),
        ({"tail_share": 2}, "tail_share"),
        ({"times": 0}, "times"),
        ({"empty": 1}, "empty"),
    ],
)
async def test_a_wrong_script_is_refused_and_the_field_is_named(
    http: httpx2.AsyncClient, script: dict[str, Any], field: str
) -> None:
    with pytest.raises(ValueError, match=rf"^{field}: "):
        Behaviour.from_dict(script)
    response = await http.put("/_script/m", content=json.dumps([{}, script]))
    assert response.status_code == 400
    assert field in response.json()["error"]["message"]


def test_a_behaviour_survives_the_way_to_json_and_back() -> None:
    behaviour = Behaviour(status=429, error={"code": "x"}, refuse=("a", "b"), tail_share=0.1, times=3)
    assert Behaviour.from_dict(json.loads(json.dumps(behaviour.to_dict()))) == behaviour
    assert Behaviour.from_dict({}) == Behaviour()


async def test_what_was_seen_has_the_body_but_never_the_key(http: httpx2.AsyncClient) -> None:
    http.headers["Authorization"] = "Bearer sk-secret"
    before = time.time()
    await events_until_the_end(http, max_tokens=4)
    response = await http.get("/_requests")
    assert "sk-secret" not in response.text
    (seen,) = response.json()["requests"]
    assert (seen["model"], seen["stream"], seen["path"]) == ("m", True, "/v1/chat/completions")
    assert (seen["ended"], seen["chunks_sent"], seen["disconnected_after_ms"]) == ("complete", 4, None)
    assert seen["body"]["max_tokens"] == 4
    assert before - 1 < seen["started_at"] < time.time() + 1
    assert response.json()["open"] == 0
    assert (await http.delete("/_requests")).status_code == 204
    assert (await http.get("/_requests")).json() == {"requests": [], "open": 0}


async def test_only_the_newest_requests_are_kept(simulator: RunningSimulator, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(1_005):
        with simulator.state.recording(f"/{number}"):
            pass
    requests = simulator.state.requests()
    assert (len(requests), requests[-1]["path"]) == (1_000, "/1004")


# Serving


async def test_leaving_serve_ends_open_streams_at_once_and_in_silence(
    caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    async with httpx2.AsyncClient(headers={"Authorization": "Bearer any"}, timeout=10) as client:
        async with serve() as running:
            for model, behaviour in {"a": Behaviour(stall_after=1), "b": Behaviour(latency_s=60)}.items():
                running.state.script(model, behaviour)
            url = f"{running.base_url}/chat/completions"
            bodies = [{"model": model, "messages": HELLO, "stream": True} for model in ("a", "b", "a", "b")]
            asking = [asyncio.create_task(client.post(url, json=body)) for body in bodies]
            await eventually(lambda: running.state.open_requests == 4)
            left_at = time.perf_counter()
        assert time.perf_counter() - left_at < 1
        assert all(isinstance(outcome, CUT) for outcome in await asyncio.gather(*asking, return_exceptions=True))
        assert {seen["ended"] for seen in running.state.requests()} == {"disconnected"}
    assert [record for record in caplog.records if record.name.startswith(("uvicorn", "asyncio"))] == []
    assert capsys.readouterr() == ("", "")


async def test_no_failure_makes_noise(http: httpx2.AsyncClient, caplog: pytest.LogCaptureFixture) -> None:
    for model in set(SIM_MODELS) - {"sim-timeout", "sim-stall", "sim-slow"}:
        for stream in (False, True):
            with contextlib.suppress(*CUT):
                await ask(http, model, stream=stream)
    assert [record for record in caplog.records if record.name.startswith(("uvicorn", "asyncio"))] == []


async def test_a_taken_port_is_an_os_error(simulator: RunningSimulator) -> None:
    with pytest.raises(OSError, match="in use"):
        async with serve(port=simulator.port):
            pass
    with pytest.raises(OSError, match="in use"), SimulatorThread(port=simulator.port):
        pass


def test_a_simulator_in_a_thread_serves_sync_code() -> None:
    headers = {"Authorization": "Bearer any"}
    with SimulatorThread() as simulator, httpx2.Client(base_url=simulator.base_url, headers=headers) as client:
        assert simulator.base_url == f"http://127.0.0.1:{simulator.port}/v1"
        simulator.script("m", Behaviour(status=500, times=1), Behaviour(answer="fine"))
        body = {"model": "m", "messages": HELLO}
        assert client.post("/chat/completions", json=body).status_code == 500
        assert client.post("/chat/completions", json=body).json()["choices"][0]["message"]["content"] == "fine"
        assert [seen["ended"] for seen in simulator.requests()] == ["complete", "complete"]
        simulator.reset()
        assert simulator.requests() == simulator.state.requests() == []
        assert "simulated" in client.post("/chat/completions", json=body).text
        assert len(simulator.requests()) == 1
    assert len(simulator.requests()) == 1
    with pytest.raises(httpx2.ConnectError):
        httpx2.get(simulator.base_url)


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
async def test_run_ends_cleanly_on_a_signal_with_a_stream_open(sign: signal.Signals) -> None:
    program = "from llm.simulator import run; run(port=0, on_ready=lambda s: print(s.base_url, flush=True))"
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = await asyncio.create_subprocess_exec(sys.executable, "-W", "error", "-c", program, **pipes)  # type: ignore[arg-type]
    assert process.stdout is not None
    base_url = (await process.stdout.readline()).decode().strip()
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/v1", base_url)
    async with httpx2.AsyncClient(headers={"Authorization": "Bearer any"}) as client:
        body = {"model": "sim-stall", "messages": HELLO, "stream": True}
        async with client.stream("POST", f"{base_url}/chat/completions", json=body) as response:
            assert response.status_code == 200
            process.send_signal(sign)
            _, stderr = await process.communicate()
    assert (process.returncode, stderr) == (0, b"")


async def test_the_engine_package_imports_nothing_of_django() -> None:
    program = "import sys, llm.simulator; sys.exit('django' in sys.modules)"
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", program)
    assert await process.wait() == 0
