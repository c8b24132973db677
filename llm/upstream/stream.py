"""An open stream: from an HTTP answer to batches of chunks, within the clocks that bound it."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress

import aiohttp

from llm.errors import StreamInterrupted, UpstreamError
from llm.json_values import Json
from llm.upstream.attempt import Attempt
from llm.upstream.chunk_reader import ChunkReader
from llm.upstream.compat import take_unread
from llm.upstream.event_stream import BYTE_ORDER_MARK, begins_like_events
from llm.upstream.http_errors import HTTP_EXCEPTIONS, is_our_timeout, read_stream_exception
from llm.upstream.whole_answer import read_answer

# After its usage a stream owes nothing but the mark of its end, so the wait for that is shorter than for content. It is
# not shorter after a finish reason alone: some servers run a tool then, and go on.
AFTER_USAGE_SECONDS = 5.0

# A whole answer of a stream that does not end is taken so long before the deadline, and is not lost to it. If less time
# is left, half of that is waited: the usage mostly comes right after the answer.
BEFORE_DEADLINE_SECONDS = 0.1

# How long to wait, after `[DONE]`, for the end of the HTTP answer. Only then can the connection be used again.
DRAIN_SECONDS = 0.05


class OpenStream:
    """A stream whose first content has arrived. `next_batch()` gives all of it, from its beginning.

    A batch holds the chunks that arrived at once. Under load that is many chunks, and each step on their way to the
    caller is taken once for all of them. With `thoughts_count`, what the model thinks is content too. Without
    `keep_head`, the chunks that came while waiting for the first content are not given out: the attempt has noted them.
    `deadline` is a time of the event loop's clock, from which on nobody waits for the stream any more.
    """

    def __init__(
        self,
        response: aiohttp.ClientResponse,
        attempt: Attempt,
        body: Json,
        *,
        idle_timeout: float,
        thoughts_count: bool = True,
        keep_head: bool = True,
        deadline: float | None = None,
    ) -> None:
        self._response = response
        self._attempt = attempt
        self._body = body
        self._idle_timeout = idle_timeout
        self._thoughts_count = thoughts_count
        self._keep_head = keep_head
        self._deadline = deadline
        self._chunks = ChunkReader(attempt, body, response.headers)
        # Batches that were read while waiting for the first content.
        self._head: deque[list[Json]] = deque()

    async def read_first_sign(self) -> None:
        """Read until the model has produced anything, be it thoughts, or has ended. Raises UpstreamError."""
        first = await self._read_beginning()
        if not self._is_events(first):
            self._take_whole(first + await self._response.read())
            return
        self._take(self._chunks.feed(first))
        while not (self._chunks.progress.alive or self.is_whole or self._chunks.ended):
            self._take(await self._receive())

    async def read_head(self) -> None:
        """Read up to the first content. Raises EmptyAnswer or another UpstreamError if there is none."""
        progress = self._chunks.progress
        while not (progress.begun or (self._thoughts_count and progress.alive)):
            batch = await self._next()
            if not batch:
                self._attempt.operation.check(self._attempt.answer or {}, self._body)
                return
            self._take(batch)

    async def read_whole(self) -> None:
        """Read all of an answer, however it was sent. The attempt has it then. Raises UpstreamError."""
        first = await self._read_beginning()
        if self._is_events(first, asked=False):
            self._chunks.feed(first)
            while await self._next():
                pass
        else:
            data = first + await self._response.read()
            self._attempt.saw_answer(read_answer(self._response, data, self._attempt))

    async def next_batch(self) -> list[Json]:
        """The chunks that came next; none at a proper end. Raises StreamInterrupted, or the error that was named."""
        return self._head.popleft() if self._head else await self._next()

    @property
    def is_whole(self) -> bool:
        """All that was asked for has come: only usage may follow."""
        return self._chunks.is_whole

    async def read_rest(self) -> Json:
        """Read what still comes, like the usage. Returns the whole answer. Closes the stream. Raises UpstreamError."""
        try:
            while await self._next():
                pass
        finally:
            self.close()
        return self._attempt.answer or {}

    def close(self) -> None:
        """Close the connection, which tells the upstream to stop. At the stream's end, keep it for the next request."""
        if self._response.content.at_eof():
            self._response.release()
        else:
            self._response.close()

    async def _read_beginning(self) -> bytes:
        """So much of the body that it can be told what it is: its first bytes decide, whatever its type says."""
        first = b""
        while begins_like_events(_text_in(first)) is None and (piece := await self._read_piece()):
            first = (first + piece).lstrip()  # some servers send white space while they work
        return first

    def _is_events(self, first: bytes, *, asked: bool = True) -> bool:
        text = _text_in(first)
        is_like_events = begins_like_events(text)
        if is_like_events is None:
            return asked
        # A stream may begin with a field that nobody knows. No JSON and no page begins like one.
        may_be = asked and self._response.content_type == "text/event-stream" and text[:1] not in b'{["<'
        return is_like_events or may_be

    def _take_whole(self, data: bytes) -> None:
        """Take a whole answer that came instead of a stream: a stream is made of it. Raises UpstreamError."""
        answer = read_answer(self._response, data, self._attempt)
        self._attempt.saw_answer(answer, streamed=True)
        self._attempt.operation.check(answer, self._body)
        self._take(self._attempt.operation.chunks_of(answer))
        self._chunks.take_whole()

    def _take(self, batch: list[Json]) -> None:
        if batch and self._keep_head:
            self._head.append(batch)

    async def _next(self) -> list[Json]:
        """What `_receive` gives, unless it takes too long."""
        patience = AFTER_USAGE_SECONDS if self._chunks.progress.over else self._idle_timeout
        now = asyncio.get_running_loop().time()
        until = now + patience
        if self.is_whole and self._deadline is not None:
            left = self._deadline - now
            until = min(until, now + max(left - BEFORE_DEADLINE_SECONDS, left / 2))
        try:
            async with asyncio.timeout_at(until):
                return await self._receive()
        except HTTP_EXCEPTIONS as exception:
            cause: UpstreamError
            if is_our_timeout(exception):
                cause = StreamInterrupted(f"The upstream's stream stalled for {patience:g} s.")
            else:
                cause = read_stream_exception(exception)
            batch = self._chunks.end(cause)
            if not batch and self._chunks.error is not None:
                raise self._chunks.error from exception
            return batch

    async def _receive(self) -> list[Json]:
        """The next chunks; none at a proper end. Chunks that came before an error are given before it is raised."""
        batch: list[Json] = []
        while not batch and not self._chunks.ended:
            if piece := await self._read_piece():
                batch = self._chunks.feed(piece)
            else:
                missing = "The upstream's stream ended without a finish reason."
                batch = self._chunks.end(StreamInterrupted(missing, http_status=200))
        if not batch and self._chunks.error is not None:
            raise self._chunks.error
        if not batch:
            await self._drain()
        return batch

    async def _read_piece(self) -> bytes:
        """The bytes that came next; none at the end. Raises one of HTTP_EXCEPTIONS."""
        content = self._response.content
        # The model has produced these bytes and they are paid for, even if the connection was lost right after them.
        if content.exception() is not None and (unread := take_unread(content)):
            return unread
        return await content.readany()

    async def _drain(self) -> None:
        """Wait a little for the end of the HTTP answer, so that its connection can be used again."""
        with suppress(*HTTP_EXCEPTIONS):
            async with asyncio.timeout(DRAIN_SECONDS):
                while await self._response.content.readany():
                    pass


def _text_in(first: bytes) -> bytes:
    """The beginning of a body without the white space and the byte order mark that may stand before it."""
    text = first.lstrip()
    return b"" if BYTE_ORDER_MARK.startswith(text) else text.removeprefix(BYTE_ORDER_MARK).lstrip()
