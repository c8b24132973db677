"""POST /chat/stream"""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest
import sseclient

from chat.models import CallRecord
from llm.simulator import Behaviour, SimulatorThread
from tests.support.reading.event_streams import Parsed, parse

StartSite = Callable[..., httpx2.Client]

TRICKY = (
    "First line,\n\n  second:\tline.\n: no comment\ndata: no field\nevent: error\n[DONE]\n"
    "\u2028 sep \u2029 x\x85y 漢 😀 end "
)


def read(client: httpx2.Client, **fields: Any) -> tuple[httpx2.Response, Parsed]:
    response = client.post("/chat/stream", json={"prompt": "Hello", **fields})
    return response, parse(response.content)


def sse_body(*deltas: dict[str, Any], finish_reason: str | None = "stop") -> str:
    """The body of an upstream's stream with these deltas, for the simulator's `Behaviour(raw_body=…)`."""
    choices = [{"index": 0, "delta": delta, "finish_reason": None} for delta in deltas]
    if finish_reason:
        choices.append({"index": 0, "delta": {}, "finish_reason": finish_reason})
    frame = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    events = [f"data: {json.dumps({**frame, 'choices': [choice]})}\n\n" for choice in choices]
    return "".join([*events, "data: [DONE]\n\n"])


def raw_stream(*deltas: dict[str, Any], finish_reason: str | None = "stop") -> Behaviour:
    return Behaviour(raw_body=sse_body(*deltas, finish_reason=finish_reason), content_type="text/event-stream")


def settled_call(within: float = 5.0) -> CallRecord:
    """The only row of a call, as soon as it has been written."""
    deadline = time.monotonic() + within
    while (call := CallRecord.objects.first()) is None:
        assert time.monotonic() < deadline, "there is no row"
        time.sleep(0.005)
    return call


def test_bad_input_is_a_400_in_json(client: httpx2.Client, simulator: SimulatorThread) -> None:
    for body, field in (
        ({"prompt": ""}, "prompt"),
        ({"prompt": "a", "events": "xml"}, "events"),
        ({"prompt": "a", "stream": True}, "stream"),
        ({"prompt": "a", "model": "a|"}, "model"),
    ):
        response = client.post("/chat/stream", json=body)
        assert response.status_code == 400, body
        assert response.headers["content-type"] == "application/json"
        assert field in response.json()["error"]["details"]["fields"]
    assert simulator.requests() == []
    assert CallRecord.objects.count() == 0


@pytest.mark.parametrize(
    ("model", "status", "code"),
    [
        ("sim-400", 400, "invalid_request"),
        ("sim-context", 400, "context_window_exceeded"),
        ("sim-404", 404, "model_not_found"),
        ("sim-429", 429, "upstream_rate_limited"),
        ("sim-500", 502, "upstream_failed"),
        ("sim-html", 502, "invalid_upstream_response"),
        ("sim-error-in-200", 502, "upstream_failed"),
        ("sim-timeout", 504, "upstream_timeout"),
        ("silent", 504, "upstream_timeout"),
    ],
)
def test_a_failure_before_the_first_token_is_an_ordinary_error(
    start_site: StartSite, simulator: SimulatorThread, model: str, status: int, code: str
) -> None:
    client = start_site(MAX_RETRIES=0)
    simulator.script("silent", Behaviour(first_token_s=60))
    response, _ = read(client, model=model, timeout=0.5, events="json")
    error = response.json()["error"]
    assert (response.status_code, error["code"]) == (status, code)
    assert response.headers["content-type"] == "application/json"
    assert error["details"]["attempts"][0]["error_code"] == code
    assert error["request_id"] == response.headers["x-request-id"]
    call = CallRecord.objects.get()
    assert (call.status, call.http_status, call.error_code, call.streamed) == ("failed", status, code, True)
    if status == 429:
        assert response.headers["retry-after"] == "1"


def test_a_first_token_that_does_not_come_is_given_up_by_its_own_clock(
    start_site: StartSite, simulator: SimulatorThread
) -> None:
    client = start_site(FIRST_TOKEN_TIMEOUT=0.2, MAX_RETRIES=0)
    simulator.script("silent", Behaviour(first_token_s=60))
    response, _ = read(client, model="silent")
    assert (response.status_code, response.json()["error"]["code"]) == (504, "upstream_timeout")


@pytest.mark.parametrize(
    ("behaviour", "code"),
    [
        (Behaviour(cut_after=3), "stream_interrupted"),
        (Behaviour(stall_after=3), "stream_interrupted"),
        (Behaviour(end_after=3), "stream_interrupted"),
        (Behaviour(malformed_after=3), "invalid_upstream_response"),
        (Behaviour(error_after=3, error={"message": "overloaded", "type": "server_error", "code": None}), None),
    ],
    ids=["cut", "stalled", "ended", "malformed", "error"],
)
@pytest.mark.parametrize("events", ["text", "json"])
def test_a_failure_after_the_first_token_is_an_error_event_and_no_end(
    start_site: StartSite, simulator: SimulatorThread, behaviour: Behaviour, code: str | None, events: str
) -> None:
    client = start_site(STREAM_IDLE_TIMEOUT=0.3)
    simulator.script("breaks", behaviour)
    started = time.monotonic()
    response, parsed = read(client, model="breaks>gpt-4o", events=events, default_message="no")
    assert time.monotonic() - started < 5
    assert response.status_code == 200
    *before, (name, data) = parsed.events
    error = json.loads(data)
    assert name == "error"
    assert error["request_id"] == response.headers["x-request-id"]
    assert error["details"]["attempts"][0]["model"] == "breaks"
    assert b"[DONE]" not in response.content
    assert all(name != "done" for name, _ in before)
    if code:
        assert error["code"] in (code, "stream_interrupted")
    said = parsed.text if events == "text" else "".join(json.loads(d)["content"] for n, d in before if n == "delta")
    assert said == "This is a"

    call = CallRecord.objects.get(request_id=error["request_id"])
    assert (call.status, call.error_code, call.http_status) == ("failed", error["code"], 200)
    assert call.body.content == said
    assert (call.model_used, call.usage_estimated) == ("breaks", True)
    assert 0 < (call.completion_tokens or 0) < 10
    assert call.attempts.get().status == "failed"


@pytest.mark.parametrize("breaks_off", [True, False])
def test_a_stream_that_ends_without_a_word_of_text_is_on_record_as_the_caller_saw_it(
    start_site: StartSite, simulator: SimulatorThread, breaks_off: bool
) -> None:
    """A reasoning model sends its thoughts, which a native door does not show, and then breaks off or ends."""
    body = sse_body({"reasoning_content": "Hmm"}, finish_reason=None)
    sent = body[: body.index("data: [DONE]")] if breaks_off else body
    simulator.script("thinks", Behaviour(raw_body=sent, content_type="text/event-stream"))
    response, parsed = read(start_site(MAX_RETRIES=0), model="thinks")
    call = CallRecord.objects.get()
    if breaks_off:
        assert (response.status_code, response.json()["error"]["code"]) == (502, "stream_interrupted")
        assert (call.status, call.http_status) == ("failed", 502)
    else:
        assert (response.status_code, parsed.events) == (200, [("message", "[DONE]")])
        assert (call.status, call.http_status) == ("succeeded", 200)


def test_the_text_comes_back_exactly_in_any_client(client: httpx2.Client, simulator: SimulatorThread) -> None:
    simulator.script("gpt-4o", Behaviour(answer=TRICKY))
    with client.stream("POST", "/chat/stream", json={"prompt": "a"}) as response:
        events = list(sseclient.SSEClient(response.iter_raw()).events())  # type: ignore[arg-type]
    assert (events[-1].event, events[-1].data) == ("message", "[DONE]")
    assert "".join(event.data for event in events[:-1]) == TRICKY
    assert {event.event for event in events} == {"message"}

    _, parsed = read(client)
    assert parsed.text == TRICKY
    assert parsed.events[-1] == ("message", "[DONE]")
    assert [call.body.content for call in CallRecord.objects.all()] == [TRICKY, TRICKY]


def test_an_answer_that_is_the_end_marker_ends_nothing(client: httpx2.Client, simulator: SimulatorThread) -> None:
    simulator.script("gpt-4o", raw_stream({"content": "[DONE]"}, {"content": " really"}, {"content": "[DONE]"}))
    _, parsed = read(client)
    data = [data for _, data in parsed.events]
    assert data[-1] == "[DONE]"
    assert "[DONE]" not in data[:-1]
    assert "".join(data[:-1]) == "[DONE] really[DONE]"


def test_a_windows_line_end_that_two_chunks_share_is_one_line_end(
    client: httpx2.Client, simulator: SimulatorThread
) -> None:
    simulator.script("gpt-4o", raw_stream({"content": "a\r"}, {"content": "\nb"}))
    _, parsed = read(client)
    assert parsed.text == "a\nb"


def test_the_headers_are_those_of_a_stream_and_nothing_is_compressed(client: httpx2.Client) -> None:
    for accepts in ("gzip", "gzip, br, deflate", "*"):
        response = client.post("/chat/stream", json={"prompt": "a" * 2000}, headers={"Accept-Encoding": accepts})
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/event-stream")
        assert response.headers["cache-control"] == "no-cache, no-transform"
        assert response.headers["x-accel-buffering"] == "no"
        assert response.headers.get("content-encoding", "identity") == "identity"
        assert "content-length" not in response.headers
        assert response.headers["x-request-id"].startswith("req_")


def test_a_client_that_accepts_only_events_is_served(client: httpx2.Client) -> None:
    for accept in ("text/event-stream", "text/event-stream, application/json;q=0.1", "*/*", "text/*"):
        response = client.post("/chat/stream", json={"prompt": "a"}, headers={"Accept": accept})
        assert response.status_code == 200, accept
        assert response.content.endswith(b"data: [DONE]\n\n")


def test_an_error_is_json_and_says_so_to_a_client_that_accepts_only_events(client: httpx2.Client) -> None:
    for body, status in (({"prompt": ""}, 400), ({"prompt": "a", "model": "sim-404"}, 404)):
        response = client.post("/chat/stream", json=body, headers={"Accept": "text/event-stream"})
        assert response.status_code == status
        assert response.json()["error"]["request_id"] == response.headers["x-request-id"]
        assert response.headers["content-type"] == "application/json"


def test_the_row_is_committed_before_the_end_marker_can_be_read(client: httpx2.Client) -> None:
    for _ in range(10):
        with client.stream("POST", "/chat/stream", json={"prompt": "a"}) as response:
            seen = b""
            for piece in response.iter_raw():
                seen += piece
                if b"data: [DONE]" in seen:
                    call = CallRecord.objects.get(request_id=response.headers["x-request-id"])
                    break
    assert (call.door, call.status, call.streamed, call.http_status) == ("stream", "succeeded", True, 200)
    assert call.finish_reason == "stop"
    assert call.usage_estimated is False
    assert call.time_to_first_token_ms is not None
    assert CallRecord.objects.count() == 10


def test_typed_events_are_start_deltas_usage_and_done(client: httpx2.Client, simulator: SimulatorThread) -> None:
    simulator.script("gpt-4o", Behaviour(answer=TRICKY))
    response, parsed = read(client, events="json")
    names = [name for name, _ in parsed.events]
    assert names == ["start", *["delta"] * (len(names) - 3), "usage", "done"]
    data = [json.loads(data) for _, data in parsed.events]
    assert data[0] == {"request_id": response.headers["x-request-id"], "route": "gpt-4o"}
    assert "".join(delta["content"] for delta in data[1:-2]) == TRICKY
    usage, done = data[-2:]
    assert done["content"] == TRICKY
    costs = ("cost_usd", "cost_estimated", "cost_incomplete")
    assert done["usage"] == {name: value for name, value in usage.items() if name not in costs}
    assert [usage[name] for name in costs] == [done[name] for name in costs]
    assert usage["completion_tokens"] > 0
    assert usage["estimated"] is False
    assert usage["cost_usd"] == done["cost_usd"]
    assert (done["model_used"], done["finish_reason"], done["attempts"][0]["status"]) == ("gpt-4o", "stop", "succeeded")
    whole = client.post("/chat", json={"prompt": "Hello"}).json()
    assert set(done) == set(whole)


def test_the_first_piece_arrives_long_before_the_end(client: httpx2.Client, simulator: SimulatorThread) -> None:
    simulator.script("gpt-4o", Behaviour(answer="word " * 30, tokens_per_second=40))
    started = time.monotonic()
    arrivals = []
    with client.stream("POST", "/chat/stream", json={"prompt": "a"}) as response:
        for _ in response.iter_raw():
            arrivals.append(time.monotonic() - started)
    assert arrivals[0] < arrivals[-1] / 2
    assert len(arrivals) > 10
    first_token_ms = settled_call().time_to_first_token_ms
    assert first_token_ms is not None
    assert first_token_ms / 1000 < arrivals[-1] / 2


@pytest.mark.parametrize(
    ("path", "order"),
    [
        ("/chat/stream", {"prompt": "a"}),
        ("/chat/stream", {"prompt": "a", "events": "json"}),
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": "a"}], "stream": True}),
        ("/v1/completions", {"prompt": "a", "stream": True}),
        ("/v1/responses", {"input": "a", "stream": True}),
    ],
)
def test_a_long_silence_is_filled_with_comments_that_are_no_events(
    client: httpx2.Client,
    simulator: SimulatorThread,
    monkeypatch: pytest.MonkeyPatch,
    path: str,
    order: dict[str, object],
) -> None:
    monkeypatch.setattr("llm.calls.call.SILENCE_SECONDS", 0.05)
    simulator.script("paced", Behaviour(answer="one two three", tokens_per_second=3))
    answer = client.post(path, json={"model": "paced", **order})
    parts = answer.text.split("\n\n")
    assert answer.status_code == 200
    assert parts.count(": keep-alive") >= 3
    assert parts[0] != ": keep-alive"
    assert [part for part in parts if part.startswith(":") and part != ": keep-alive"] == []
    assert "three" in answer.text


def test_a_stream_falls_back_before_its_first_token(start_site: StartSite, simulator: SimulatorThread) -> None:
    client = start_site(FIRST_TOKEN_TIMEOUT=0.3)
    simulator.script("silent", Behaviour(first_token_s=60))
    simulator.script("preamble", Behaviour(error_after=0))
    simulator.script("gpt-4o", Behaviour(answer="good"))
    response, parsed = read(client, model="sim-500>sim-empty>silent>preamble>gpt-4o")
    assert (response.status_code, parsed.text) == (200, "good")
    call = CallRecord.objects.get()
    assert (call.status, call.fallback_triggered, call.model_used) == ("succeeded", True, "gpt-4o")
    assert [a.status for a in call.attempts.all()] == [*["failed"] * 4, "succeeded"]


def test_streams_race_to_the_first_token_and_the_losers_are_cut_off(
    client: httpx2.Client, simulator: SimulatorThread
) -> None:
    simulator.script("slow", Behaviour(first_token_s=60))
    simulator.script("quick", Behaviour(first_token_s=0.1, answer="quick and long " * 5))
    response, parsed = read(client, model="sim-404|slow|quick")
    assert (response.status_code, parsed.text) == (200, "quick and long " * 5)
    call = CallRecord.objects.get()
    assert (call.model_used, call.fallback_triggered) == ("quick", False)
    assert {a.model: a.status for a in call.attempts.all()} == {
        "sim-404": "failed",
        "slow": "cancelled",
        "quick": "succeeded",
    }
    deadline = time.monotonic() + 3
    while {seen["model"]: seen["ended"] for seen in simulator.requests()}["slow"] != "disconnected":
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_a_preamble_wins_no_race(client: httpx2.Client, simulator: SimulatorThread) -> None:
    """The model `late` sends headers and the role at once. What counts is which model says something first."""
    simulator.script("late", Behaviour(first_token_s=1.5))
    simulator.script("talks", Behaviour(latency_s=0.2, answer="talks"))
    assert read(client, model="late|talks")[1].text == "talks"


@pytest.mark.parametrize("events", ["text", "json"])
def test_the_default_message_is_streamed_if_it_was_asked_for(client: httpx2.Client, events: str) -> None:
    response, parsed = read(client, model="sim-401>sim-quota", default_message="Sorry,\nlater.", events=events)
    assert response.status_code == 200
    if events == "text":
        assert parsed.text == "Sorry,\nlater."
        assert parsed.events[-1] == ("message", "[DONE]")
    else:
        done = json.loads(parsed.events[-1][1])
        assert (done["content"], done["is_default_message"], done["model_used"]) == ("Sorry,\nlater.", True, None)
    call = CallRecord.objects.get()
    assert (call.status, call.http_status, call.body.content) == ("defaulted", 200, "Sorry,\nlater.")


def test_the_callers_timeout_bounds_the_stream_as_a_whole(client: httpx2.Client, simulator: SimulatorThread) -> None:
    simulator.script("gpt-4o", Behaviour(answer="word " * 2000, tokens_per_second=50))
    _, parsed = read(client, timeout=0.5)
    name, data = parsed.events[-1]
    assert (name, json.loads(data)["code"]) == ("error", "upstream_timeout")
    call = CallRecord.objects.get()
    assert (call.status, call.body.content) == ("failed", parsed.text)


def test_the_service_timeout_bounds_a_stream_only_up_to_its_first_token(
    start_site: StartSite, simulator: SimulatorThread
) -> None:
    client = start_site(REQUEST_TIMEOUT=0.3)
    simulator.script("gpt-4o", Behaviour(answer="word " * 30, tokens_per_second=40))
    assert read(client)[1].text == "word " * 30


def slow_pieces(connection: socket.socket) -> Iterator[bytes]:
    """All bytes that arrive. They are read in small pieces at first, and later as they come."""
    for number in range(1_000_000):
        piece = connection.recv(4096 if number < 50 else 262_144)
        if not piece:
            return
        yield piece
        if number < 50:
            time.sleep(0.01)


def test_a_slow_reader_loses_nothing(start_site: StartSite, simulator: SimulatorThread) -> None:
    client = start_site(STREAM_IDLE_TIMEOUT=0.3)  # the reader's time is not the upstream's
    pieces = [f"{number}:" + "x" * 40_000 for number in range(250)]
    simulator.script("gpt-4o", raw_stream(*({"content": piece} for piece in pieces)))
    address = urlsplit(str(client.base_url))
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect((address.hostname, address.port))
        body = b'{"prompt": "a"}'
        head = (
            "POST /chat/stream HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nConnection: close\r\n"
        )
        connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        time.sleep(0.8)  # longer than the idle timeout, and not a byte is read
        received = b"".join(slow_pieces(connection))
    _, _, chunked = received.partition(b"\r\n\r\n")
    parsed = parse(dechunked(chunked))
    assert parsed.events[-1] == ("message", "[DONE]")
    assert parsed.text == "".join(pieces)
    assert settled_call().body.content == "".join(pieces)


def dechunked(body: bytes) -> bytes:
    """The body of an answer with Transfer-Encoding: chunked."""
    parts, place = [], 0
    while place < len(body):
        line_end = body.index(b"\r\n", place)
        size = int(body[place:line_end], 16)
        parts.append(body[line_end + 2 : line_end + 2 + size])
        place = line_end + 2 + size + 2
    return b"".join(parts)
