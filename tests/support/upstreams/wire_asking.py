"""Asking a service at its doors, and reading back what it answered and what it has on record."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx2

from tests.support.reading.event_streams import parse
from tests.support.upstreams.wire_replay import WireUpstream
from tests.support.wire import MESSAGES

Json = dict[str, Any]
ReplayedSite = Callable[..., tuple[httpx2.Client, WireUpstream]]

CHAT = "/v1/chat/completions"

# Every way to ask a model for text, as an address and whether a stream is asked for.
TEXT_DOORS = [
    *((path, False) for path in ("/chat", "/chat/parallel", "/chat/fallback")),
    ("/chat/stream", True),
    *((path, stream) for path in (CHAT, "/v1/completions", "/v1/responses") for stream in (False, True)),
]


def ask(client: httpx2.Client, path: str, model: str, **fields: Any) -> httpx2.Response:
    """Ask any door with a body that it accepts."""
    asked: Json = {"prompt": "hi"}
    if path == CHAT:
        asked = {"messages": MESSAGES}
    elif path in ("/v1/responses", "/v1/embeddings"):
        asked = {"input": "hi"}
    return client.post(path, json={"model": model, **asked, **fields})


@dataclass(frozen=True)
class Streamed:
    """What a stream gave. `error` is its error object, if it had one."""

    text: str
    chunks: list[Json]
    done: bool
    error: Json | None


def native_stream(answer: httpx2.Response) -> Streamed:
    """The stream of /chat/stream, with the text as its events."""
    assert answer.status_code == 200, answer.text
    events = parse(answer.content).events
    texts = [data for name, data in events if name == "message" and data != "[DONE]"]
    errors = [json.loads(data) for name, data in events if name == "error"]
    return Streamed("".join(texts), [], events[-1] == ("message", "[DONE]"), errors[0] if errors else None)


def openai_stream(answer: httpx2.Response) -> Streamed:
    """A stream of chat or text completions under /v1. `text` is that of the first choice."""
    assert answer.status_code == 200, answer.text
    datas = [data for _, data in parse(answer.content).events]
    chunks = [json.loads(data) for data in datas if data != "[DONE]"]
    errors = [chunk["error"] for chunk in chunks if "error" in chunk]
    return Streamed(text_at(chunks, 0), chunks, datas[-1] == "[DONE]", errors[0] if errors else None)


def text_at(chunks: list[Json], index: int) -> str:
    """The text of one choice of a stream of chat completions."""
    choices = [choice for chunk in chunks for choice in chunk.get("choices", ()) if choice["index"] == index]
    text = "".join(said(choice.get("delta") or {}) for choice in choices)
    # A character may be cut between two chunks. A client that joins them has it whole.
    return text.encode("utf-16", "surrogatepass").decode("utf-16")


def said(message: Json) -> str:
    """The text of a message or delta, whose content may be a text or parts."""
    content = message.get("content") or ""
    if isinstance(content, str):
        return content
    return "".join(part.get("text", "") for part in content if isinstance(part, dict))


def record_of(client: httpx2.Client, answer: httpx2.Response) -> Json:
    """The call on record, with its attempts."""
    found = client.get(f"/calls/{answer.headers['x-request-id']}")
    assert found.status_code == 200, found.text
    call: Json = found.json()
    return call
