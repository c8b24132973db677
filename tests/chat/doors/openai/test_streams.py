"""POST /v1/chat/completions, streamed"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import httpx2
import openai
import pytest
from django.db import connection

from chat.models import CallRecord
from llm.simulator import Behaviour, SimulatorThread
from tests.support.openai_sdk import HELLO, WEATHER, chunks_of, events_of, sdk_of
from tests.support.upstreams.written_upstream import Json, Reply, event_stream, sse
from tests.support.waiting import eventually

StartSite = Callable[..., httpx2.Client]


def ask(client: httpx2.Client, **fields: Any) -> httpx2.Response:
    return client.post("/v1/chat/completions", json={"model": "gpt-4o", "messages": HELLO, "stream": True, **fields})


def piece(delta: Json, finish_reason: str | None = None, **more: Any) -> Json:
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason, "logprobs": None}
    return {
        "id": "chatcmpl-w",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "m",
        "choices": [choice],
        **more,
    }


def tool_piece(arguments: str, **more: Any) -> Json:
    return piece({"tool_calls": [{"index": 0, "function": {"arguments": arguments}, **more}]})


USAGE = {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12, "brand_new": 1}
CHUNKS: list[Json] = [
    piece({"role": "assistant", "content": ""}, usage=None, obfuscation="abc"),
    piece({"content": "漢 \ud83d"}, usage=None, brand_new={"a": None}),
    piece({"content": "\ude00", "reasoning_details": [{"type": "x"}]}, usage=None),
    piece({}, "stop", usage=None, service_tier="flex"),
    {"id": "chatcmpl-w", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [], "usage": USAGE},
]


def written(events: list[Json]) -> Reply:
    return Reply(
        "".join([*(f"data: {json.dumps(event)}\n\n" for event in events), "data: [DONE]\n\n"]).encode(),
        content_type="text/event-stream",
    )


def test_chunks_come_back_as_they_are_and_usage_only_to_who_asked(written_site: Callable[..., Any]) -> None:
    client, upstream = written_site(lambda path, body: written(CHUNKS))
    asked = ask(client, stream_options={"include_usage": True})
    assert asked.headers["content-type"].startswith("text/event-stream")
    assert chunks_of(asked) == CHUNKS
    assert events_of(asked)[-1] == "[DONE]"
    for fields in ({}, {"stream_options": None}, {"stream_options": {"include_usage": False}}):
        plain = ask(client, **fields)
        assert chunks_of(plain) == [{k: v for k, v in c.items() if k != "usage"} for c in CHUNKS[:-1]]
        assert events_of(plain)[-1] == "[DONE]"
    assert all(body["stream_options"]["include_usage"] for _, body in upstream.seen)
    calls = CallRecord.objects.all()
    assert {(c.prompt_tokens, c.completion_tokens, c.usage_estimated, c.completion_id) for c in calls} == {
        (5, 7, False, "chatcmpl-w")
    }
    assert {(c.door, c.operation, c.streamed, c.status, c.http_status, c.finish_reason) for c in calls} == {
        ("openai", "chat.completions", True, "succeeded", 200, "stop")
    }
    headers = asked.headers
    assert (headers["x-model-used"], headers["x-provider-used"], headers["x-attempts"]) == ("gpt-4o", "openai", "1")
    assert headers["x-request-id"] in {call.request_id for call in calls}


def test_a_stored_stream_of_a_tool_call_reaches_the_client_as_it_came(written_site: Callable[..., Any]) -> None:
    """All chunks arrive at once, so most of them still wait to be sent when the whole answer is put together."""
    chunks = [
        piece({"role": "assistant", "content": None}),
        tool_piece("", id="call_1", type="function"),
        *(tool_piece(str(number)) for number in range(40)),
        piece({}, "tool_calls"),
    ]
    chunks[1]["choices"][0]["delta"]["tool_calls"][0]["function"]["name"] = "weather"
    client, _ = written_site(lambda path, body: event_stream(*chunks))
    for _ in range(3):
        assert chunks_of(ask(client, store=True)) == chunks
    completion = CallRecord.objects.latest("created_at").body.answer
    arguments = completion["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"]
    assert arguments == "".join(map(str, range(40)))


def test_chunks_come_when_they_come_none_held_back_and_none_merged(written_site: Callable[..., Any]) -> None:
    """The upstream sends a chunk only when the client has got the one before, so one that is held back stops it."""
    has_come = threading.Semaphore(0)

    def one_by_one() -> Iterator[bytes]:
        for number in range(6):
            yield sse(piece({"content": f"{number} "}), done=False)
            assert has_come.acquire(timeout=20), f"chunk {number} was held back"
        yield sse(piece({}, "stop"))

    client, _ = written_site(lambda path, body: Reply(one_by_one(), content_type="text/event-stream"))
    came = 0
    with client.stream(
        "POST", "/v1/chat/completions", json={"model": "m", "messages": HELLO, "stream": True}
    ) as response:
        for line in response.iter_lines():
            if line.startswith("data: {"):
                came += 1
                has_come.release()
    assert came == 7
    assert CallRecord.objects.get().body.content == "0 1 2 3 4 5 "


def test_the_end_comes_only_after_the_row_is_committed(client: httpx2.Client) -> None:
    """While another writer locks the database, everything arrives but `[DONE]`."""
    seen: list[str] = []
    done = threading.Event()

    def read() -> None:
        with client.stream(
            "POST", "/v1/chat/completions", json={"model": "gpt-4o", "messages": HELLO, "stream": True}
        ) as response:
            for line in response.iter_lines():
                if line.startswith("data: "):
                    seen.append(line)
        done.set()

    if connection.vendor != "sqlite":
        pytest.skip("the lock is SQLite's")
    with ExitStack() as stack:
        reader = threading.Thread(target=read)
        with connection.cursor() as cursor:
            cursor.execute("BEGIN IMMEDIATE")
            stack.callback(reader.join)
            reader.start()
            deadline = time.monotonic() + 5
            while not (seen and '"finish_reason":"stop"' in seen[-1]):
                assert time.monotonic() < deadline, seen
                time.sleep(0.005)
            assert not done.wait(0.2)
            assert "[DONE]" not in "".join(seen)
            cursor.execute("ROLLBACK")
        assert done.wait(10)
    assert seen[-1] == "data: [DONE]"
    assert CallRecord.objects.get().status == "succeeded"


@pytest.mark.parametrize(
    ("behaviour", "code"),
    [
        (Behaviour(cut_after=3), "stream_interrupted"),
        (Behaviour(stall_after=3), "stream_interrupted"),
        (Behaviour(end_after=3), "stream_interrupted"),
        (Behaviour(malformed_after=3), "stream_interrupted"),
        (
            Behaviour(error_after=3, error={"message": "too much", "type": "tokens", "code": "rate_limit_exceeded"}),
            None,
        ),
    ],
    ids=["cut", "stalled", "ended", "malformed", "error"],
)
def test_a_failure_after_the_first_token_is_openai_s_error_event_and_no_end(
    start_site: StartSite, simulator: SimulatorThread, behaviour: Behaviour, code: str | None
) -> None:
    client = start_site(STREAM_IDLE_TIMEOUT=0.3)
    simulator.script("breaks", behaviour)
    response = ask(client, model="breaks>gpt-4o")
    assert response.status_code == 200
    *said, error = chunks_of(response)
    assert "[DONE]" not in response.text
    assert "".join(chunk["choices"][0]["delta"]["content"] for chunk in said) == "This is a"
    assert error["error"]["request_id"] == response.headers["x-request-id"]
    assert error["error"]["code"] == (code or "rate_limit_exceeded")
    if code is None:
        assert (error["error"]["message"], error["error"]["type"]) == ("too much", "tokens")
    call = CallRecord.objects.get()
    assert (call.status, call.http_status) == ("failed", 200)
    with pytest.raises(openai.APIError, match=error["error"]["message"]) as raised:
        for _ in sdk_of(client).chat.completions.create(model="breaks", messages=HELLO, stream=True):  # type: ignore[call-overload]
            pass
    assert type(raised.value) is openai.APIError
    assert raised.value.code == error["error"]["code"]


def test_a_failure_before_the_first_token_is_an_ordinary_error_and_a_fallback_before_that(
    start_site: StartSite, simulator: SimulatorThread
) -> None:
    client = start_site(MAX_RETRIES=0)
    for model, status in (("sim-500", 500), ("sim-429", 429), ("sim-error-in-200", 502)):
        response = ask(client, model=model)
        assert (response.status_code, response.headers["content-type"]) == (status, "application/json"), model
        assert CallRecord.objects.latest("created_at").http_status == status
    good = ask(client, model="sim-500>sim-empty>gpt-4o")
    assert (good.headers["x-model-used"], good.headers["x-attempts"]) == ("gpt-4o", "3")
    assert events_of(good)[-1] == "[DONE]"


def test_a_client_that_goes_away_stops_the_upstream_and_leaves_a_cancelled_row(
    client: httpx2.Client, simulator: SimulatorThread
) -> None:
    simulator.script("paced", Behaviour(answer="one two three " * 200, tokens_per_second=50))
    stream = sdk_of(client).chat.completions.create(model="paced", messages=HELLO, stream=True, store=True)  # type: ignore[call-overload]
    for chunk in stream:
        if chunk.choices[0].delta.content:
            break
    stream.close()
    call = eventually(CallRecord.objects.filter(status="cancelled").first)
    eventually(lambda: simulator.requests()[0]["ended"] == "disconnected")
    assert (call.http_status, call.usage_estimated) == (499, True)
    assert call.body.answer["choices"][0]["message"]["content"].startswith("one two")
    assert call.completion_id.startswith("chatcmpl-")


def test_the_sdk_s_stream_helper_gives_its_events(client: httpx2.Client, simulator: SimulatorThread) -> None:
    with sdk_of(client).chat.completions.stream(model="gpt-4o", messages=HELLO) as stream:  # type: ignore[arg-type]
        kinds = {event.type for event in stream}
        final = stream.get_final_completion()
    assert {"chunk", "content.delta", "content.done"} <= kinds
    assert final.choices[0].message.content == CallRecord.objects.get().body.content
    with sdk_of(client).chat.completions.stream(
        model="sim-500>sim-tool",
        messages=HELLO,  # type: ignore[arg-type]
        tools=[WEATHER],  # type: ignore[list-item]
        stream_options={"include_usage": True},
    ) as stream:
        kinds = {event.type for event in stream}
        final = stream.get_final_completion()
    assert {"tool_calls.function.arguments.delta", "tool_calls.function.arguments.done"} <= kinds
    assert final.choices[0].message.tool_calls[0].function.parsed_arguments == {"city": "simulated"}  # type: ignore[index]
    assert final.usage is not None and final.usage.completion_tokens > 0


def test_of_several_choices_each_chunk_comes_through(client: httpx2.Client) -> None:
    texts = {0: "", 1: "", 2: ""}
    for chunk in chunks_of(ask(client, n=3)):
        for choice in chunk["choices"]:
            texts[choice["index"]] += choice["delta"].get("content") or ""
    assert len(set(texts.values())) == 1 and texts[0].startswith("This is a simulated answer")
