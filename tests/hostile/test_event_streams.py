"""Whatever an upstream writes into a stream is data. It can't end the stream or give an event its name."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from chat.models import CallRecord
from tests.support.reading.event_streams import as_one_text, by_sseclient, parse
from tests.support.upstreams.written_upstream import Json, Reply
from tests.support.wire import MESSAGES

WrittenSite = Callable[..., Any]

TEXTS = {
    "an end": "a\n\ndata: [DONE]\n\nb",
    "the end alone": "[DONE]",
    "an end after a line": "a\n[DONE]",
    "an error": 'a\n\nevent: error\ndata: {"code": "x"}\n\nb',
    "a name": "\nevent: done\n",
    "an id and a wait": "\nid: 7\nretry: 1\n",
    "a comment": "\n: ping\n\n",
    "carriage returns": "a\r\rdata: [DONE]\r\rb\r",
    "both": "\r\n\r\nevent: error\r\n\r\n",
    "other line ends": "a\u2028data: [DONE]\u2029\x85\x0b\x0c\x1cb",
    "a NUL": "a\x00b\x00",
    "a mark of byte order": "\ufeffdata: [DONE]",
    "escapes": '\\n\\ndata: [DONE]\\u000a"}',
    "markup": "</script><script>alert(1)</script>",
    "half of a pair": "a\ud800b",
    "chunks": "5\r\nhello\r\n0\r\n\r\n",
}
CHUNK = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "model": "gpt-4o"}
ERROR = {"type": "server_error", "code": "boom"}


def stream_of(chunks: Iterable[Json]) -> Reply:
    """Make an upstream's stream in pure ASCII. JSON escapes all other characters, so each of them comes through."""
    data = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks)
    return Reply(f"{data}data: [DONE]\n\n".encode(), content_type="text/event-stream")


def chunk(text: str, **more: Any) -> Json:
    return {**CHUNK, "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}], **more}


def end(reason: str = "stop") -> Json:
    return {**CHUNK, "choices": [{"index": 0, "delta": {}, "finish_reason": reason}]}


def order(path: str, **more: Any) -> Json:
    native = {"messages": MESSAGES} if path.startswith("/chat") else {}
    return {"model": "gpt-4o", **native, **more}


def shown(text: str) -> str:
    """Return the text as UTF-8 can hold it. Half of a surrogate pair is no character."""
    return text.encode("utf-8", "replace").decode()


@pytest.mark.parametrize("split", [False, True])
def test_a_text_arrives_as_it_is_whole_and_in_pieces(written_site: WrittenSite, split: bool) -> None:
    pieces: list[str] = []
    client, _ = written_site(lambda *_: stream_of([chunk("."), *map(chunk, pieces), end()]))
    for text in TEXTS.values():
        pieces = list(text) if split else [text]
        answer = client.post("/chat/stream", json=order("/chat"))
        assert parse(answer.content).comments == []
        for events in (parse(answer.content).events, by_sseclient(answer.content)):
            assert {name for name, _ in events} == {"message"}
            assert events[-1] == ("message", "[DONE]")
            assert [data for _, data in events].count("[DONE]") == 1
            assert "".join(data for _, data in events[:-1]) == as_one_text(["." + shown(text)])

        typed = parse(client.post("/chat/stream", json=order("/chat", events="json")).content).events
        names = [name for name, _ in typed]
        assert names == ["start", *["delta"] * (names.count("delta")), "usage", "done"]
        assert "".join(json.loads(data)["content"] for name, data in typed if name == "delta") == f".{text}"
        assert json.loads(typed[-1][1])["content"] == f".{text}"

        answer = client.post("/v1/chat/completions", json=order("/v1", messages=MESSAGES, stream=True))
        *events, last = parse(answer.content).events
        assert last == ("message", "[DONE]")
        assert {name for name, _ in events} == {"message"}
        deltas = [json.loads(data)["choices"][0]["delta"] for _, data in events]
        assert "".join(delta.get("content", "") for delta in deltas) == f".{text}"
        kept = CallRecord.objects.order_by("-id")[0].body.content
        assert kept == "." + shown(text).replace("\x00", "\ufffd")


def test_ids_reasons_and_tool_calls_are_data_too(written_site: WrittenSite) -> None:
    chunks: list[Json] = []
    client, _ = written_site(lambda *_: stream_of(chunks))
    for evil in TEXTS.values():
        function = {"index": 0, "id": evil, "type": "function", "function": {"name": evil, "arguments": evil}}
        call: Json = {"index": 0, "delta": {"tool_calls": [function], evil: evil}, "finish_reason": None}
        chunks = [
            {**chunk("hi"), "id": evil, "model": evil, "object": evil, "system_fingerprint": evil, evil: evil},
            {**CHUNK, "id": evil, "choices": [call]},
            {**end(evil), "id": evil},
        ]
        for path, more, names in (
            ("/chat/stream", {}, {"message"}),
            ("/chat/stream", {"events": "json"}, {"start", "delta", "usage", "done"}),
            ("/v1/chat/completions", {"messages": MESSAGES, "stream": True, "store": True}, {"message"}),
        ):
            answer = client.post(path, json=order(path, **more))
            assert answer.status_code == 200
            events = parse(answer.content).events
            assert {name for name, _ in events} == names
            if "events" not in more:
                assert [data for _, data in events].count("[DONE]") == 1
            if path.startswith("/v1"):
                assert [json.loads(data) for _, data in events[:-1]] == chunks
            assert client.get(f"/calls/{answer.headers['x-request-id']}").status_code == 200
        assert client.get("/v1/chat/completions").status_code == 200


@pytest.mark.parametrize("broken", ["error", "bytes"])
def test_the_error_of_a_broken_stream_is_one_event(written_site: WrittenSite, broken: str) -> None:
    reply = stream_of([])
    client, _ = written_site(lambda *_: reply, MAX_RETRIES=0, BREAKER_FAILURES=1_000)
    for evil in TEXTS.values():
        if broken == "error":
            reply = stream_of([chunk("hi"), {"error": {"message": evil, "param": evil, evil: evil, **ERROR}}])
        else:
            reply = stream_of([chunk("hi")])
            body = reply.body[: -len(b"data: [DONE]\n\n")] + b"data: {" + evil.encode("utf-8", "replace")
            reply = Reply(body, content_type="text/event-stream")
        for path, more, names in (
            ("/chat/stream", {}, ["message", "error"]),
            ("/chat/stream", {"events": "json"}, ["start", "delta", "error"]),
            ("/v1/chat/completions", {"messages": MESSAGES, "stream": True}, ["message", "message"]),
        ):
            answer = client.post(path, json=order(path, **more))
            events = parse(answer.content).events
            assert [name for name, _ in events] == names
            assert not any(data == "[DONE]" for _, data in events)
            error = json.loads(events[-1][1])
            assert (error["error"] if path.startswith("/v1") else error)["request_id"] == answer.headers["x-request-id"]
            assert CallRecord.objects.order_by("-id")[0].status == "failed"


def test_the_type_of_a_response_s_event_names_no_second_event(written_site: WrittenSite) -> None:
    events: list[Json] = []
    client, _ = written_site(lambda *_: stream_of(events))
    for evil in TEXTS.values():
        message = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": evil}]}
        response = {"id": evil, "object": "response", "status": "completed", "model": evil, "output": [message]}
        events = [
            {"type": "response.output_text.delta", "delta": evil, "item_id": evil},
            {"type": evil, evil: evil},
            {"type": f"x\n\nevent: response.completed\ndata: {json.dumps({'type': 'response.completed'})}\n\n", "a": 1},
            {"type": "response.completed", "response": response},
        ]
        answer = client.post("/v1/responses", json={"model": "gpt-4o", "input": "hi", "stream": True})
        assert answer.status_code == 200
        sent = parse(answer.content).events
        assert [json.loads(data) for _, data in sent] == events
        assert [name for name, _ in sent].count("response.completed") == 1
        assert sent[-1][0] == "response.completed"
