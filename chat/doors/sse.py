"""Server-sent events: how a stream of text is written, kept alive, and closed.

Source: HTML Standard, section 9.2, "Server-sent events".
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any

from django.http import StreamingHttpResponse

from llm import write_json

HEARTBEAT = b": keep-alive\n\n"
"""A comment, so that no proxy takes a long silence for an end."""
DONE = b"data: [DONE]\n\n"
_LINE_END = re.compile("\r\n|\r|\n")


def text_event(text: str) -> bytes:
    """A default event that carries `text` itself: each of its lines is a data line; the client joins them again.

    A piece of the answer that reads like our end marker goes out as two events, so that no model can end a stream.
    """
    if text == "[DONE]":
        return text_event("[") + text_event("DONE]")
    lines = "".join(f"data: {line}\n" for line in _LINE_END.split(text))
    return f"{lines}\n".encode("utf-8", "replace")


def event(name: str, data: Any) -> bytes:
    """A typed event with JSON data. An upstream may have chosen the name: it stays one line."""
    line = _LINE_END.sub(" ", name).encode("utf-8", "replace")
    return b"event: %s\ndata: %s\n\n" % (line, write_json(data))


async def saved_events(body: bytes) -> AsyncGenerator[bytes]:
    """A stream that was written down before, all at once."""
    yield body


class EventStreamResponse(StreamingHttpResponse):
    """A streaming answer that closes its source at once when the caller goes.

    Django closes only its own wrapper around the iterator; `aclosing` closes ours in the same task.
    """

    def __init__(self, events: AsyncGenerator[bytes]) -> None:
        super().__init__(content_type="text/event-stream; charset=utf-8")
        self._events = events
        self.is_async = True
        self["Cache-Control"] = "no-cache, no-transform"
        self["X-Accel-Buffering"] = "no"
        self["Content-Encoding"] = "identity"

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async with aclosing(self._events) as events:
            async for item in events:
                yield item
