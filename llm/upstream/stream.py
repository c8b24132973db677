"""An open stream: from the bytes of an HTTP answer to batches of chunks, each checked and noted by its attempt."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import suppress

import aiohttp

from llm.error_reading import error_in, read_error
from llm.errors import InvalidUpstreamResponse, StreamInterrupted, UpstreamError
from llm.json_values import Json, read_json
from llm.upstream.attempt import Attempt
from llm.upstream.compat import take_unread
from llm.upstream.event_stream import ErrorData, EventReader, EventTooLarge
from llm.upstream.http_errors import HTTP_EXCEPTIONS, is_our_timeout, read_stream_exception
from llm.upstream.whole_answer import read_answer

# After its finish reason a stream owes nothing but its usage, so the wait for that is shorter than for content.
AFTER_FINISH_SECONDS = 5.0

# How long to wait, after `[DONE]`, for the end of the HTTP answer. Only then can the connection be used again.
DRAIN_SECONDS = 0.05


class OpenStream:
    """A stream whose first content has arrived. `batches()` gives all of it, from its beginning.

    A batch holds the chunks that arrived at once. Under load that is many chunks, and each step on their way to the
    caller is taken once for all of them.
    """

    def __init__(self, response: aiohttp.ClientResponse, attempt: Attempt, idle_timeout: float) -> None:
        self._response = response
        self._attempt = attempt
        self._idle_timeout = idle_timeout
        self._events = EventReader()
        self._reader = attempt.operation.reader()
        # Batches that were read while waiting for the first content.
        self._head: deque[list[Json]] = deque()
        # An error that came in the same piece as good chunks. It is raised once these have been given out.
        self._error: UpstreamError | None = None
        self._ended = False

    async def read_head(self) -> None:
        """Read up to the first content. Raises UpstreamError if there is none."""
        if self._response.content_type in ("application/json", "text/html"):
            self._attempt.operation.check(read_answer(self._response, await self._response.read()))
            raise InvalidUpstreamResponse("The upstream sent a whole answer instead of a stream.", http_status=200)
        while not self._reader.begun:
            batch = await self._receive()
            if not batch:
                raise self._error or InvalidUpstreamResponse("The upstream's stream is empty.", http_status=200)
            self._head.append(batch)

    async def next_batch(self) -> list[Json]:
        """The chunks that came next; none at a proper end. Raises StreamInterrupted, or the error that was named."""
        if self._head:
            return self._head.popleft()
        patience = AFTER_FINISH_SECONDS if self.is_whole else self._idle_timeout
        try:
            async with asyncio.timeout(patience):
                return await self._receive()
        except HTTP_EXCEPTIONS as exception:
            if self.is_whole:
                return []
            if is_our_timeout(exception):
                raise StreamInterrupted(f"The upstream's stream stalled for {patience:g} s.") from exception
            raise read_stream_exception(exception) from exception

    @property
    def is_whole(self) -> bool:
        """The stream has given its finish reason: only its usage may follow."""
        return self._reader.finished

    async def batches(self) -> AsyncGenerator[list[Json], None]:
        """Every batch, as it came. Closes the stream."""
        try:
            while batch := await self.next_batch():
                yield batch
        finally:
            self.close()

    def close(self) -> None:
        """Close the connection, which tells the upstream to stop. At the stream's end, keep it for the next request."""
        if self._response.content.at_eof():
            self._response.release()
        else:
            self._response.close()

    async def _receive(self) -> list[Json]:
        """The next chunks; none at a proper end. Chunks that came before an error are given before it is raised."""
        batch: list[Json] = []
        while not batch and not self._ended:
            piece = await self._read_piece()
            try:
                if not piece:
                    self._end()
                for data in self._events.feed(piece):
                    if data.startswith(b"[DONE]"):
                        self._end()
                        break
                    batch.append(self._read_chunk(data))
            except (UpstreamError, EventTooLarge) as error:
                self._ended = True
                if not self.is_whole:  # nothing that comes after a whole answer can spoil it
                    self._error = error if isinstance(error, UpstreamError) else read_stream_exception(error)
        if not batch and self._error is not None:
            raise self._error
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

    def _end(self) -> None:
        self._ended = True
        if not self.is_whole:
            raise StreamInterrupted("The upstream's stream ended without a finish reason.", http_status=200)

    def _read_chunk(self, data: bytes) -> Json:
        """Read one chunk, and note what it says. Raises UpstreamError."""
        try:
            chunk = read_json(data)
        except (ValueError, RecursionError) as exception:
            if isinstance(data, ErrorData):
                raise read_error(data.decode("utf-8", "replace"), http_status=200) from exception
            raise StreamInterrupted("The upstream sent a chunk that is not JSON.", http_status=200) from exception
        if not isinstance(chunk, dict):
            raise StreamInterrupted("The upstream sent a chunk that is not an object.", http_status=200)
        if error := chunk if isinstance(data, ErrorData) else error_in(chunk):
            raise read_error(error, http_status=200, headers=self._response.headers)
        self._reader.read(chunk)
        self._attempt.saw_chunk(chunk)
        return chunk

    async def _drain(self) -> None:
        """Wait a little for the end of the HTTP answer, so that its connection can be used again."""
        with suppress(*HTTP_EXCEPTIONS):
            async with asyncio.timeout(DRAIN_SECONDS):
                while await self._response.content.readany():
                    pass
