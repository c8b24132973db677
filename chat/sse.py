"""Server-sent events: how a stream of text is written, kept alive, and closed.

Source: HTML Standard, section 9.2, "Server-sent events".
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from typing import Any

from django.http import StreamingHttpResponse

HEARTBEAT_SECONDS = 15.0
HEARTBEAT = b": keep-alive\n\n"
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
    line = _LINE_END.sub(" ", name)
    return f"event: {line}\ndata: {json.dumps(data)}\n\n".encode("utf-8", "replace")


async def with_heartbeat(events: AsyncIterator[bytes], seconds: float = HEARTBEAT_SECONDS) -> AsyncGenerator[bytes]:
    """The events, and a comment whenever none came for `seconds`, so that no proxy takes the silence for an end."""
    pending: asyncio.Task[bytes] | None = None
    try:
        while True:
            # One task stays pending over many heartbeats: cancelling it to wait again would end the generator.
            pending = asyncio.ensure_future(anext(events))
            while not (await asyncio.wait({pending}, timeout=seconds))[0]:
                yield HEARTBEAT
            try:
                item = pending.result()
            except StopAsyncIteration:
                return
            yield item
    finally:
        if pending is not None:
            pending.cancel()
            await asyncio.gather(pending, return_exceptions=True)


async def saved_events(body: bytes) -> AsyncGenerator[bytes]:
    """A stream that was written down before, all at once."""
    yield body


class EventStreamResponse(StreamingHttpResponse):
    """A streaming answer that closes its source at once when the caller goes.

    Django closes only its own wrapper around the iterator; `aclosing` closes ours in the same task. `on_close` is
    called on the event loop in any case, even if the answer was never begun.
    """

    def __init__(self, events: AsyncGenerator[bytes], *, on_close: Callable[[], None] = lambda: None) -> None:
        super().__init__(content_type="text/event-stream; charset=utf-8")
        self._events = events
        self._on_close = on_close
        self._loop = asyncio.get_running_loop()
        self.is_async = True
        self["Cache-Control"] = "no-cache, no-transform"
        self["X-Accel-Buffering"] = "no"
        self["Content-Encoding"] = "identity"

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async with aclosing(self._events) as events:
            async for item in events:
                yield item

    def close(self) -> None:
        # Django calls this on a thread.
        super().close()
        self._loop.call_soon_threadsafe(self._on_close)
