"""The only place that talks to providers: one whole answer, or one stream up to its first content.

Bodies go out and answers come back as plain JSON, so that fields which no SDK knows yet pass through unchanged. The
requests are aiohttp's: OpenAI's SDK takes longer to make one than the rest of a call does. Why: docs/decisions/0013.
"""

from __future__ import annotations

import asyncio
import io
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import suppress
from functools import partial
from types import SimpleNamespace, TracebackType
from typing import Self
from weakref import WeakSet

import aiohttp
import httpx2

from llm.config import EngineConfig
from llm.error_reading import read_error, read_exception
from llm.errors import (
    InvalidRequest,
    InvalidUpstreamResponse,
    StreamInterrupted,
    UpstreamError,
    UpstreamNotConfigured,
    UpstreamTimeout,
)
from llm.json_values import Json, read_json, write_json
from llm.operations import Operation
from llm.upstream.attempt import Attempt
from llm.upstream.event_stream import EventReader, EventTooLarge
from llm.upstream.provider_keys import ProviderKeys

MAX_CONNECTIONS = 4_000
KEPT_SECONDS = 4.0
"""How long a connection that nobody uses is kept: not so long as servers keep theirs, many of them for 5 seconds."""
AFTER_FINISH_SECONDS = 5.0
"""A stream that has given its finish reason owes only its usage: it is not waited for as long as for content."""
MAX_HEADER_BYTES = 64 * 1024
WRITTEN_AT_ONCE = 2**20
"""A larger body is written in pieces, so that others get their turn in between."""
DRAIN_SECONDS = 0.05
"""How long a stream that has said `[DONE]` is waited for, so that its connection can be used again."""

EXCEPTIONS = (aiohttp.ClientError, TimeoutError, OSError)
"""What aiohttp raises."""


def whole_answer(operation: Operation, chunks: Iterable[Json]) -> Json:
    """The answer that a stream's chunks amount to. Raises InvalidUpstreamResponse."""
    try:
        return operation.assemble(chunks)
    except (TypeError, RuntimeError, AttributeError, ValueError) as exception:
        raise InvalidUpstreamResponse("The upstream's chunks do not add up to an answer.") from exception


class Upstream:
    """The way to the providers. One for the life of an event loop: `async with Upstream(config) as upstream`."""

    def __init__(self, config: EngineConfig) -> None:
        self._config = config
        self.keys = {
            name: ProviderKeys(provider, clock=lambda: asyncio.get_running_loop().time())
            for name, provider in config.providers.items()
        }
        self._connections: WeakSet[asyncio.Future[None]] = WeakSet()

    async def __aenter__(self) -> Self:
        tracing = aiohttp.TraceConfig()
        tracing.on_request_headers_sent.append(_reached)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=MAX_CONNECTIONS, keepalive_timeout=KEPT_SECONDS, ssl=httpx2.create_ssl_context(trust_env=False)
            ),
            # All clocks but the connection's are ours.
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=self._config.connect_timeout),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"Content-Type": "application/json", "Accept": "*/*", "User-Agent": "llm-orchestration"},
            trace_configs=[tracing],
            max_field_size=MAX_HEADER_BYTES,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def complete(self, attempt: Attempt, body: Json) -> Json:
        """A whole answer, checked, as it came. Raises UpstreamError."""
        try:
            async with await self._ask(attempt, body) as response:
                answer = _read_answer(response, await response.read())
        except EXCEPTIONS as exception:
            raise read_exception(exception) from exception
        attempt.saw_completion(answer)
        attempt.operation.check(answer)
        return answer

    async def complete_by_stream(self, attempt: Attempt, body: Json) -> Json:
        """A whole answer that is fetched as a stream, so that cutting it off stops the bill. Raises UpstreamError."""
        stream = await self.open_stream(attempt, body)
        try:
            while batch := await stream.next_batch():
                attempt.received += batch
        finally:
            stream.close()
        answer = whole_answer(attempt.operation, attempt.received)
        attempt.operation.check(answer)
        return answer

    async def open_stream(self, attempt: Attempt, body: Json) -> OpenStream:
        """A stream that has begun to say something. Raises UpstreamError. Whoever gets it must close it."""
        seconds = self._config.first_token_timeout
        response: aiohttp.ClientResponse | None = None
        try:
            async with asyncio.timeout(seconds):
                response = await self._ask(attempt, body)
                opened = OpenStream(response, attempt, self._config.stream_idle_timeout)
                await opened.read_head()
                return opened
        except BaseException as exception:
            if response is not None:
                response.close()
            if isinstance(exception, TimeoutError) and not isinstance(exception, aiohttp.ClientError):
                raise UpstreamTimeout(f"The upstream sent no first token within {seconds:g} s.") from exception
            if isinstance(exception, EXCEPTIONS):
                raise (read_exception if response is None else _broken)(exception) from exception
            raise

    async def _ask(self, attempt: Attempt, body: Json) -> aiohttp.ClientResponse:
        """Send a request. Returns an answer with a good status, to be read and closed; raises UpstreamError."""
        provider = attempt.provider
        if provider.needs_key and not provider.api_keys:
            raise UpstreamNotConfigured(f"The provider '{provider.name}' has no API key.")
        attempt.key = self.keys[attempt.model.provider].take()
        try:
            data = write_json(body)
        except (ValueError, TypeError, RecursionError) as exception:
            raise InvalidRequest("The request can't be written as JSON.") from exception
        # One that ends before its headers are sent, while it connects, has cost nothing.
        attempt.reached_upstream = False
        response = await self._session.post(
            provider.base_url.rstrip("/") + attempt.operation.path,
            data=data if len(data) <= WRITTEN_AT_ONCE else io.BytesIO(data),
            headers={"Authorization": f"Bearer {attempt.key or 'none'}"},  # some servers want one, and look at none
            allow_redirects=False,  # a key goes to the host that the settings name, and to no other
            trace_request_ctx=attempt,
        )
        self._tell_of_loss(response)
        attempt.saw_headers(http_status=response.status, upstream_request_id=response.headers.get("x-request-id", ""))
        if response.status < 300:
            return response
        async with response:
            raise read_error(_error_in(await response.read()), http_status=response.status, headers=response.headers)

    def _tell_of_loss(self, response: aiohttp.ClientResponse) -> None:
        """Let whoever reads an answer know when its connection is closed before its end.

        aiohttp closes a connection for what can't be right in it, like a chunk of no length, and does not say so.
        """
        content = response.content
        protocol = response.connection.protocol if response.connection is not None else None
        if protocol is None:  # all of it is here already
            return

        def lost(closed: asyncio.Future[None] | None = None) -> None:
            if not content.is_eof() and content.exception() is None:
                content.set_exception(aiohttp.ClientPayloadError("The connection was closed in mid-answer."))

        closed = protocol.closed
        if closed is None:
            lost()
            return
        if closed not in self._connections:
            self._connections.add(closed)
            closed.add_done_callback(lambda ended: ended.cancelled() or ended.exception())  # else asyncio logs it
        closed.add_done_callback(lost)
        content.on_eof(partial(_forget, closed, lost))


def _forget(closed: asyncio.Future[None], lost: Callable[[asyncio.Future[None]], None]) -> None:
    closed.remove_done_callback(lost)


async def _reached(
    session: aiohttp.ClientSession, context: SimpleNamespace, params: aiohttp.TraceRequestHeadersSentParams
) -> None:
    context.trace_request_ctx.reached_upstream = True


class OpenStream:
    """A stream whose first content has arrived. `batches()` gives all of it, from its beginning.

    A batch is what came at once: under load that is many chunks, and each step on their way is taken once for all.
    """

    def __init__(self, response: aiohttp.ClientResponse, attempt: Attempt, idle_timeout: float) -> None:
        self._response = response
        self._attempt = attempt
        self._idle_timeout = idle_timeout
        self._events = EventReader()
        self._reader = attempt.operation.reader()
        self._read: deque[list[Json]] = deque()
        self._error: UpstreamError | None = None
        self._ended = False

    async def read_head(self) -> None:
        """Read up to the first content. Raises UpstreamError if there is none."""
        if self._response.content_type in ("application/json", "text/html"):
            self._attempt.operation.check(_read_answer(self._response, await self._response.read()))
            raise InvalidUpstreamResponse("The upstream sent a whole answer instead of a stream.", http_status=200)
        while not self._reader.begun:
            batch = await self._receive()
            if not batch:
                raise self._error or InvalidUpstreamResponse("The upstream's stream is empty.", http_status=200)
            self._read.append(batch)

    async def next_batch(self) -> list[Json]:
        """The chunks that came next; none at a proper end. Raises StreamInterrupted or the error that was named."""
        if self._read:
            return self._read.popleft()
        patience = AFTER_FINISH_SECONDS if self._reader.finished else self._idle_timeout
        try:
            async with asyncio.timeout(patience):
                return await self._receive()
        except EXCEPTIONS as exception:
            if self._reader.finished:
                return []
            if isinstance(exception, TimeoutError) and not isinstance(exception, aiohttp.ClientError):
                raise StreamInterrupted(f"The upstream's stream stalled for {patience:g} s.") from exception
            raise _broken(exception) from exception

    @property
    def is_whole(self) -> bool:
        """It has given its finish reason: what may follow is its usage."""
        return self._reader.finished

    async def batches(self) -> AsyncGenerator[list[Json], None]:
        """Every batch, as it came. Closes the stream."""
        try:
            while batch := await self.next_batch():
                yield batch
        finally:
            self.close()

    def close(self) -> None:
        """Drop the connection, which tells the upstream to stop; one whose stream is at its end is used again."""
        if self._response.content.at_eof():
            self._response.release()
        else:
            self._response.close()

    async def _receive(self) -> list[Json]:
        """The next chunks; none at a proper end. Chunks that came before an error are given before it is raised."""
        batch: list[Json] = []
        while not batch and not self._ended:
            piece = await self._piece()
            try:
                if not piece:
                    self._end()
                for data in self._events.feed(piece):
                    if data.startswith(b"[DONE]"):
                        self._end()
                        break
                    batch.append(self._chunk(data))
            except (UpstreamError, EventTooLarge) as error:
                self._ended = True
                if not self._reader.finished:  # an answer that is whole is not spoilt by what comes after it
                    self._error = error if isinstance(error, UpstreamError) else _broken(error)
        if not batch and self._error is not None:
            raise self._error
        if not batch:
            await self._drain()
        return batch

    async def _piece(self) -> bytes:
        """What came next; nothing at the end. Raises one of EXCEPTIONS."""
        content = self._response.content
        if content.exception() is not None and content._buffer:
            # aiohttp's own methods raise before they give what had come by then: words that were produced, and paid.
            return content._read_nowait(-1)
        return await content.readany()

    def _end(self) -> None:
        self._ended = True
        if not self._reader.finished:
            raise StreamInterrupted("The upstream's stream ended without a finish reason.", http_status=200)

    def _chunk(self, data: bytes) -> Json:
        """Read one chunk, and note what it says. Raises UpstreamError."""
        try:
            chunk = read_json(data)
        except (ValueError, RecursionError) as exception:
            raise StreamInterrupted("The upstream sent a chunk that is not JSON.", http_status=200) from exception
        if not isinstance(chunk, dict):
            raise StreamInterrupted("The upstream sent a chunk that is not an object.", http_status=200)
        if error := chunk.get("error"):
            raise read_error(error, http_status=200)
        self._reader.read(chunk)
        self._attempt.saw_chunk(chunk)
        return chunk

    async def _drain(self) -> None:
        """Wait a little for the end of the HTTP answer, so that its connection can be used again."""
        with suppress(*EXCEPTIONS):
            async with asyncio.timeout(DRAIN_SECONDS):
                while await self._response.content.readany():
                    pass


def _read_answer(response: aiohttp.ClientResponse, body: bytes) -> Json:
    """The body as an object. Raises InvalidUpstreamResponse, or the error that stands in the body of a 200."""
    try:
        answer = read_json(body)
    except (ValueError, RecursionError) as exception:
        raise InvalidUpstreamResponse("The upstream's answer is not JSON.", http_status=200) from exception
    if not isinstance(answer, dict):
        raise InvalidUpstreamResponse("The upstream's answer is not a JSON object.", http_status=200)
    if answer.get("error"):
        raise read_error(answer["error"], http_status=response.status, headers=response.headers)
    return answer


def _error_in(body: bytes) -> object:
    """The error object of an answer with a bad status, or whatever else its body says."""
    try:
        said = read_json(body)
    except (ValueError, RecursionError):
        return body.decode("utf-8", "replace")
    if isinstance(said, dict) and isinstance(said.get("error"), dict | str):
        return said["error"]
    return said


def _broken(exception: Exception) -> UpstreamError:
    """What went wrong in a stream that had begun: a lost connection is an interrupted stream by then."""
    if isinstance(exception, EventTooLarge):
        return StreamInterrupted("An event of the upstream's stream does not end.", http_status=200)
    return StreamInterrupted(read_exception(exception).message)
