"""Sends an answer as its behaviour says: whole or streamed, at its pace, and with the scripted failure."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final

from llm.simulator.answer import Answer, StreamedAnswer
from llm.simulator.script.seen_request import SeenRequest
from llm.simulator.script.state import Turn
from llm.simulator.serving.exchange import BODILESS, Exchange, to_json
from llm.simulator.serving.server_sent_events import raw_event

_JSON: Final = "application/json"
_EVENT_STREAM: Final = (("content-type", "text/event-stream; charset=utf-8"), ("cache-control", "no-cache"))


class AnswerSender:
    """Answers one request in the way of one behaviour."""

    def __init__(self, exchange: Exchange, seen: SeenRequest, turn: Turn) -> None:
        self._exchange = exchange
        self._seen = seen
        self._behaviour = turn.behaviour
        self._slowness = turn.slowness

    async def begin(self) -> None:
        """Do what comes before any header: wait for the latency, or reset the connection at once."""
        await self._wait(self._behaviour.latency_s)
        if self._behaviour.cut_after == 0:
            await self._reset()

    async def refuse(self, status: int, error: Mapping[str, Any]) -> None:
        """Answer with an error object."""
        await self._send(status, to_json({"error": dict(error)}), _JSON)

    async def fail_as_scripted(self) -> bool:
        """Answer with the scripted raw body or error status. False if there is neither, and nothing was sent."""
        behaviour = self._behaviour
        if behaviour.raw_body is not None:
            # A script may want to send bytes that are not valid UTF-8.
            body = behaviour.raw_body.encode("utf-8", "surrogatepass")
            await self._send(behaviour.status, body, behaviour.content_type)
        elif behaviour.status >= 300:
            await self.refuse(behaviour.status, behaviour.error_object)
        else:
            return False
        return True

    async def whole(self, answer: Answer) -> None:
        """Answer in one piece, after the time that generating it would take."""
        behaviour, chunks = self._behaviour, answer.chunks
        rate = behaviour.tokens_per_second
        await self._wait(behaviour.first_token_s + (chunks / rate if rate else 0))
        if behaviour.error_after is not None:
            await self.refuse(behaviour.status, behaviour.error_object)
            return
        body = to_json(answer.whole(None if behaviour.end_after is None else min(behaviour.end_after, chunks)))
        if behaviour.malformed_after is not None:
            body = body[: len(body) // 2]
        await self._send(behaviour.status, body, _JSON)

    async def stream(self, answer: StreamedAnswer) -> None:
        """Answer as server-sent events."""
        await self._exchange.start(self._behaviour.status, (*self._retry_after(), *_EVENT_STREAM))
        if await self._fail_after(0, answer):
            return
        for event in answer.opening_events():
            await self._exchange.write(event, more=True)
        await self._wait(self._behaviour.first_token_s)
        if not await self._stream_content(answer):
            return
        await self._exchange.write(b"".join(answer.closing_events()), more=False)

    async def _stream_content(self, answer: StreamedAnswer) -> bool:
        """Send the content. False if a failure has ended the stream."""
        clock = asyncio.get_running_loop().time
        rate = self._behaviour.tokens_per_second
        started = clock()
        for sent, event in enumerate(answer.content_events()):
            # Each chunk has a time by the clock, so that the pace does not drift. Even at full speed, the event loop
            # runs after every chunk, so that other clients are served and a client that has left is noticed.
            due = started + sent * self._slowness / rate if rate else started
            await asyncio.sleep(max(0, due - clock()))
            await self._exchange.write(event, more=True)
            self._seen.chunks_sent = sent + 1
            if await self._fail_after(sent + 1, answer):
                return False
        return True

    async def _fail_after(self, sent: int, answer: StreamedAnswer) -> bool:
        """Do what is scripted for the moment after `sent` chunks. True if that has ended the stream."""
        behaviour = self._behaviour

        def now(after: int | None) -> bool:
            return after is not None and sent == min(after, answer.chunks)

        if now(behaviour.malformed_after):
            await self._exchange.write(raw_event(b"{broken"), more=True)
        if now(behaviour.cut_after):
            await self._reset()
        if now(behaviour.stall_after):
            await self._exchange.stall()
        if now(behaviour.error_after):
            await self._exchange.write(answer.error_event(behaviour.error_object), more=False)
            return True
        if now(behaviour.end_after):
            await self._exchange.write(b"", more=False)
            return True
        return False

    async def _send(self, status: int, body: bytes, content_type: str) -> None:
        behaviour, exchange = self._behaviour, self._exchange
        if status in BODILESS:
            body = b""
        headers = (*self._retry_after(), ("content-type", content_type))
        if behaviour.stall_after == 0:
            await exchange.stall()
        if behaviour.cut_after is None and behaviour.stall_after is None:
            await exchange.send(status, body, headers)
            return
        await exchange.start(status, (*headers, ("content-length", str(len(body)))))
        await exchange.write(body[: len(body) // 2], more=True)
        if behaviour.cut_after is not None:
            await self._reset()
        await exchange.stall()

    async def _reset(self) -> None:
        self._seen.complete()
        await self._exchange.reset_connection()

    async def _wait(self, seconds: float) -> None:
        if seconds:
            await asyncio.sleep(seconds * self._slowness)

    def _retry_after(self) -> tuple[tuple[str, str], ...]:
        value = self._behaviour.retry_after
        return () if value is None else (("retry-after", value),)
