"""Server-sent events: how a stream of text is written, kept alive and closed.

Source: HTML Standard, section 9.2, "Server-sent events".
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any

from django.http import StreamingHttpResponse

from llm import write_json

# A comment, sent during a long silence so that no proxy takes the silence for the end of the stream.
HEARTBEAT = b": keep-alive\n\n"
# The last event of a stream that ended well.
DONE = b"data: [DONE]\n\n"
_LINE_END = re.compile("\r\n|\r|\n")


def text_event(text: str) -> bytes:
    """A default event with the text itself. Each line of the text is a data line, and the client joins them again.

    A text that reads like our end marker is sent as two events, so that a model can't end a stream by writing it.
    """
    if text == "[DONE]":
        return text_event("[") + text_event("DONE]")
    lines = "".join(f"data: {line}\n" for line in _LINE_END.split(text))
    return f"{lines}\n".encode("utf-8", "replace")


def event(name: str, data: Any) -> bytes:
    """A typed event with JSON data. An upstream may have chosen the name, so line ends are taken out of it."""
    line = _LINE_END.sub(" ", name).encode("utf-8", "replace")
    return b"event: %s\ndata: %s\n\n" % (line, write_json(data))


def renamed(before: str, request_id: str) -> bytes:
    """A comment with the id of a call, if it is another one than before, when the headers of the stream were sent."""
    return b"" if before == request_id else b": x-request-id: %s\n\n" % request_id.encode()


async def saved_events(body: bytes) -> AsyncGenerator[bytes]:
    """A saved stream as one item."""
    yield body


class EventStreamResponse(StreamingHttpResponse):
    """A streaming response that closes its source at once when the caller goes.

    Django closes only its own wrapper around the iterator. `aclosing` closes the source itself, in the same task.
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
