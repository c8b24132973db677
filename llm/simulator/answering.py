"""Sends an answer the way its behaviour says: whole or streamed, in its own time, with the scripted mishap."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final

from llm.simulator.answer import Answer, StreamedAnswer, raw_event
from llm.simulator.exchange import BODILESS, Exchange, to_json
from llm.simulator.state import SeenRequest, Turn

_JSON: Final = "application/json"
_EVENT_STREAM: Final = (("content-type", "text/event-stream; charset=utf-8"), ("cache-control", "no-cache"))


class Answering:
    """Answers one request by one turn of a behaviour."""

    def __init__(self, exchange: Exchange, seen: SeenRequest, turn: Turn) -> None:
        self._exchange = exchange
        self._seen = seen
        self._behaviour = turn.behaviour
        self._slowness = turn.slowness

    async def begin(self) -> None:
        """What comes before any header: the latency, and a cut at once."""
        await self._wait(self._behaviour.latency_s)
        if self._behaviour.cut_after == 0:
            await self._cut()

    async def refuse(self, status: int, error: Mapping[str, Any]) -> None:
        """Answer with an error object."""
        await self._send(status, to_json({"error": dict(error)}), _JSON)

    async def fail_as_scripted(self) -> bool:
        """Answer with the scripted raw body or error status; False if there is none, and nothing was sent."""
        behaviour = self._behaviour
        if behaviour.raw_body is not None:
            # A script may well mean bytes that are not valid UTF-8.
            body = behaviour.raw_body.encode("utf-8", "surrogatepass")
            await self._send(behaviour.status, body, behaviour.content_type)
        elif behaviour.status >= 300:
            await self.refuse(behaviour.status, behaviour.error_object)
        else:
            return False
        return True

    async def whole(self, answer: Answer) -> None:
        """Answer in one piece, after all the time that generating it takes."""
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
        if await self._mishap(0, answer):
            return
        for event in answer.opening_events():
            await self._exchange.write(event, more=True)
        await self._wait(self._behaviour.first_token_s)
        if not await self._stream_content(answer):
            return
        await self._exchange.write(b"".join(answer.closing_events()), more=False)

    async def _stream_content(self, answer: StreamedAnswer) -> bool:
        """False if the stream is over before its time."""
        clock = asyncio.get_running_loop().time
        rate = self._behaviour.tokens_per_second
        started = clock()
        for sent, event in enumerate(answer.content_events()):
            # By the clock, not by the last chunk, so that the pace does not drift. Also at full speed every chunk lets
            # the loop run: other clients get their turn, and a client that has gone is noticed.
            due = started + sent * self._slowness / rate if rate else started
            await asyncio.sleep(max(0, due - clock()))
            await self._exchange.write(event, more=True)
            self._seen.chunks_sent = sent + 1
            if await self._mishap(sent + 1, answer):
                return False
        return True

    async def _mishap(self, sent: int, answer: StreamedAnswer) -> bool:
        """Let happen what is scripted for after `sent` of its chunks; True if that was the end of the stream."""
        behaviour = self._behaviour

        def now(after: int | None) -> bool:
            return after is not None and sent == min(after, answer.chunks)

        if now(behaviour.malformed_after):
            await self._exchange.write(raw_event(b"{broken"), more=True)
        if now(behaviour.cut_after):
            await self._cut()
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
            await self._cut()
        await exchange.stall()

    async def _cut(self) -> None:
        self._seen.complete()
        await self._exchange.abort()

    async def _wait(self, seconds: float) -> None:
        if seconds:
            await asyncio.sleep(seconds * self._slowness)

    def _retry_after(self) -> tuple[tuple[str, str], ...]:
        value = self._behaviour.retry_after
        return () if value is None else (("retry-after", value),)
