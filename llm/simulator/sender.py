"""Sends an answer as its behaviour says: whole or streamed, at its pace, and with the scripted failure."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from llm.simulator.answer import Answer, ParsedRequest, StreamedAnswer
from llm.simulator.billing.ledger import Kind, Ledger
from llm.simulator.generation.tokens import TokenCounts
from llm.simulator.script.seen_request import SeenRequest
from llm.simulator.script.state import Turn
from llm.simulator.serving.exchange import BODILESS, Exchange, to_json
from llm.simulator.serving.server_sent_events import raw_event
from llm.simulator.twists import TWISTS

_JSON: Final = "application/json"

# How zlib is told to write the format of gzip.
_GZIP_WBITS: Final = 31


class AnswerSender:
    """Answers one request in the way of one behaviour."""

    def __init__(self, exchange: Exchange, seen: SeenRequest, turn: Turn, ledger: Ledger) -> None:
        self._exchange = exchange
        self._ledger = ledger
        self._seen = seen
        self._behaviour = turn.behaviour
        self._slowness = turn.slowness
        self._twists = [TWISTS[name]() for name in turn.behaviour.twists]
        self._gzip = zlib.compressobj(wbits=_GZIP_WBITS) if turn.behaviour.content_encoding else None

    async def begin(self) -> None:
        """Do what comes before any header: wait for the latency, or reset the connection at once."""
        await self._wait(self._behaviour.latency_s)
        if self._behaviour.cut_after == 0:
            await self._reset()

    async def play_steps(self) -> bool:
        """Play the scripted raw steps. False if there are none, and nothing was sent."""
        steps = self._behaviour.steps
        if steps is None:
            return False
        for step in steps:
            if "send" in step:
                await self._exchange.send_raw(step["send"].encode("latin-1"))
            else:
                await self._wait(step["wait"])
        self._seen.complete()
        await self._exchange.close_connection()
        return True

    async def answer(self, request: ParsedRequest) -> None:
        """Answer well, up to the scripted failures: streamed or whole as it was asked for, or as the behaviour says."""
        behaviour = self._behaviour
        wants_stream = request.wants_stream if behaviour.answer_as is None else behaviour.answer_as == "stream"
        if wants_stream and request.stream is not None:
            streamed = request.stream(behaviour)
            try:
                await self.stream(streamed)
            finally:
                # As with OpenAI, a stream that somebody ends costs what was written until then.
                sent = self._seen.chunks_sent
                self._bill(request, streamed.generated if sent == streamed.chunks else sent)
        else:
            whole = request.whole(behaviour)
            if behaviour.error_after is None:
                # The model writes the whole answer, whether or not somebody still waits for it.
                self._bill(request, whole.generated)
            await self.whole(whole)

    def _bill(self, request: ParsedRequest, generated: int) -> None:
        """Note what an answer costs. What a script or a twist lets it say of its usage changes nothing in that."""
        behaviour = replace(self._behaviour, usage=True)
        prompt = request.billed_prompt_tokens
        tokens = TokenCounts.of(request.prompt_tokens if prompt is None else prompt, generated, behaviour)
        if tokens is not None and self._seen.model is not None:
            kind: Kind = "embeddings" if request.stream is None else "completions"
            self._ledger.add(kind, self._seen.model, tokens, behaviour.billed_factor)

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
        said = answer.whole(None if behaviour.end_after is None else min(behaviour.end_after, chunks))
        for twist in self._twists:
            said = twist.whole(said)
        body = to_json(said)
        if behaviour.malformed_after is not None:
            body = body[: len(body) // 2]
        await self._send(behaviour.status, body, _JSON)

    async def stream(self, answer: StreamedAnswer) -> None:
        """Answer as server-sent events."""
        headers = (("content-type", self._behaviour.stream_content_type), ("cache-control", "no-cache"))
        await self._exchange.start(self._behaviour.status, (*self._more_headers(), *headers))
        if await self._fail_after(0, answer):
            return
        for event in answer.opening_events():
            await self._write_event(event)
        await self._wait(self._behaviour.first_token_s)
        if not await self._stream_content(answer):
            return
        closing = b"".join(self._twisted(event) for event in answer.closing_events())
        await self._write(closing, more=False)

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
            await self._write_event(event)
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
            await self._write(raw_event(b"{broken"), more=True)
        if now(behaviour.cut_after):
            await self._reset()
        if now(behaviour.stall_after):
            await self._exchange.stall()
        if now(behaviour.error_after):
            await self._write(answer.error_event(behaviour.error_object), more=False)
            return True
        if now(behaviour.end_after):
            await self._write(b"", more=False)
            return True
        return False

    async def _send(self, status: int, body: bytes, content_type: str) -> None:
        behaviour, exchange = self._behaviour, self._exchange
        if status in BODILESS:
            body = b""
        body = self._encoded(body, last=True)
        headers = (*self._more_headers(), ("content-type", content_type))
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

    async def _write_event(self, event: bytes) -> None:
        await self._write(self._twisted(event), more=True)

    async def _write(self, data: bytes, *, more: bool) -> None:
        await self._exchange.write(self._encoded(data, last=not more), more=more)

    def _twisted(self, event: bytes) -> bytes:
        events = [event]
        for twist in self._twists:
            events = [each for before in events for each in twist.event(before)]
        return b"".join(events)

    def _encoded(self, data: bytes, *, last: bool) -> bytes:
        if self._gzip is None:
            return data
        return self._gzip.compress(data) + self._gzip.flush(zlib.Z_FINISH if last else zlib.Z_SYNC_FLUSH)

    async def _reset(self) -> None:
        self._seen.complete()
        await self._exchange.reset_connection()

    async def _wait(self, seconds: float) -> None:
        if seconds:
            await asyncio.sleep(seconds * self._slowness)

    def _more_headers(self) -> tuple[tuple[str, str], ...]:
        behaviour = self._behaviour
        named = (("retry-after", behaviour.retry_after), ("content-encoding", behaviour.content_encoding))
        return tuple((name, value) for name, value in named if value is not None)
