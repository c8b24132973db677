"""Steps for `WireUpstream` that are not in a file: good answers of every API, and answers of any shape."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from tests.support.upstreams.wire_replay import Asked, Playing, Step

Json = dict[str, Any]

GOOD_TEXT = "all is well"
USAGE: Json = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}


def sent(head: str, body: str | bytes, *headers: str) -> Step:
    """One step that is a complete answer of a known length. `head` is as `200 OK`."""
    data = body.encode() if isinstance(body, str) else body
    lines = [f"HTTP/1.1 {head}", *headers, f"Content-Length: {len(data)}"]
    return {"send": "\r\n".join(lines) + "\r\n\r\n" + data.decode("latin-1")}


def whole(payload: object, status: int = 200, *headers: str) -> list[Step]:
    """A JSON answer in one piece."""
    return [sent(f"{status} Said", json.dumps(payload), "Content-Type: application/json", *headers)]


def streamed(
    *pieces: object, wait: float = 0, done: bool = True, content_type: str = "text/event-stream", status: int = 200
) -> list[Step]:
    """A chunked answer: texts as they are, anything else as an event with that JSON. `wait` comes after the head."""
    head = f"HTTP/1.1 {status} Said\r\nContent-Type: {content_type}\r\nTransfer-Encoding: chunked\r\n\r\n"
    texts = [piece if isinstance(piece, str) else f"data: {json.dumps(piece)}\n\n" for piece in pieces]
    texts += ["data: [DONE]\n\n"] if done else []
    steps: list[Step] = [{"send": head}, *([{"wait": wait}] if wait else []), *map(chunk, texts)]
    return [*steps, {"send": "0\r\n\r\n"}]


def chunk(text: str) -> Step:
    """One step that is one piece of a chunked body."""
    data = text.encode()
    return {"send": f"{len(data):x}\r\n{data.decode('latin-1')}\r\n"}


def chat_chunk(delta: Mapping[str, Any], finish_reason: str | None = None, **fields: Any) -> Json:
    choice = {"index": 0, "delta": dict(delta), "finish_reason": finish_reason}
    head = {"id": "chatcmpl-good", "object": "chat.completion.chunk", "created": 1, "model": "good"}
    return {**head, "choices": [choice], **fields}


def chat_whole(message: Mapping[str, Any], finish_reason: str | None = "stop", **fields: Any) -> Json:
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish_reason}
    head = {"id": "chatcmpl-good", "object": "chat.completion", "created": 1, "model": "good"}
    return {**head, "choices": [choice], "usage": USAGE, **fields}


def chat_stream(*texts: str, wait: float = 0) -> list[Step]:
    """A good stream that says the texts, one in each chunk."""
    chunks = [chat_chunk({"role": "assistant", "content": text}) for text in texts]
    ending = [chat_chunk({}, "stop"), {**chat_chunk({}), "choices": [], "usage": USAGE}]
    return streamed(*chunks, *ending, wait=wait)


def good(asked: Asked) -> list[Step]:
    """A good answer of the API that was asked, whole or streamed as it was asked for."""
    return _good(asked, 0)


def slow(seconds: float) -> Playing:
    """Answers as `good` does, but the content comes after so many seconds."""
    return lambda asked: _good(asked, seconds)


def _good(asked: Asked, wait: float) -> list[Step]:
    waiting: Iterable[Step] = [{"wait": wait}] if wait else []
    streams = asked.body.get("stream") is True
    if asked.path.endswith("/chat/completions"):
        if streams:
            return chat_stream("all is", " well", wait=wait)
        return [*waiting, *whole(chat_whole({"content": GOOD_TEXT}))]
    if asked.path.endswith("/completions"):
        answer = {"id": "cmpl-good", "object": "text_completion", "created": 1, "model": "good", "usage": USAGE}
        answer["choices"] = [{"index": 0, "text": GOOD_TEXT, "finish_reason": "stop", "logprobs": None}]
        return streamed(answer, wait=wait) if streams else [*waiting, *whole(answer)]
    if asked.path.endswith("/responses"):
        return _good_response(wait) if streams else [*waiting, *whole(RESPONSE)]
    usage = {"prompt_tokens": 2, "total_tokens": 2}
    data = [{"object": "embedding", "index": 0, "embedding": [0.5, -0.5]}]
    return [*waiting, *whole({"object": "list", "model": "good", "data": data, "usage": usage})]


RESPONSE: Json = {
    "id": "resp_good",
    "object": "response",
    "created_at": 1,
    "model": "good",
    "status": "completed",
    "output": [
        {
            "id": "msg_good",
            "type": "message",
            "role": "assistant",
            "status": "completed",
            "content": [{"type": "output_text", "text": GOOD_TEXT, "annotations": []}],
        }
    ],
    "usage": {"input_tokens": 10, "output_tokens": 5, "total_tokens": 15},
}


def _good_response(wait: float) -> list[Step]:
    place = {"item_id": "msg_good", "output_index": 0, "content_index": 0}
    events: list[Json] = [
        {"type": "response.created", "response": {**RESPONSE, "status": "in_progress", "output": [], "usage": None}},
        {"type": "response.output_text.delta", **place, "delta": GOOD_TEXT},
        {"type": "response.completed", "response": RESPONSE},
    ]
    numbered = [{**event, "sequence_number": number} for number, event in enumerate(events)]
    texts = [f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in numbered]
    return streamed(*texts, wait=wait, done=False)
