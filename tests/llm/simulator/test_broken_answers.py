"""Answers that fail on the way: reset, ended early, malformed, replaced by an error, or empty."""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys

import httpx2
import openai
import pytest

from llm.simulator import Behaviour, RunningSimulator
from tests.llm.simulator.chat_client import CUT, HELLO, ask, contents, events_until_the_end, read_events


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
from tests.support.loopback import async_loopback_client
from llm.simulator import Behaviour, serve
async def main():
    async with serve() as running, async_loopback_client(headers={"Authorization": "Bearer x"}) as client:
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
