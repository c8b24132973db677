"""The only place that knows the openai SDK: one whole answer, or one stream up to its first content.

Bodies go out and answers come back as plain JSON, so that fields which no SDK knows yet pass through unchanged.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable
from contextlib import AsyncExitStack, aclosing
from contextvars import ContextVar
from types import TracebackType
from typing import Self

import httpx2
import openai
from openai import AsyncOpenAI, AsyncStream
from openai._types import RequestOptions
from openai.lib.streaming._deltas import accumulate_delta

from llm.attempt import Attempt
from llm.config import EngineConfig, Provider
from llm.errors import (
    InvalidUpstreamResponse,
    StreamInterrupted,
    UpstreamError,
    UpstreamNotConfigured,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from llm.json_values import read_json, tamed
from llm.operations import Operation
from llm.provider_keys import ProviderKeys
from llm.types import Json
from llm.upstream_errors import read_error, read_exception

MAX_CONNECTIONS = 4_000
KEPT_CONNECTIONS = 200
AFTER_FINISH_SECONDS = 5.0
"""A stream that has given its finish reason owes only its usage: it is not waited for as long as for content."""

EXCEPTIONS = (openai.OpenAIError, httpx2.HTTPError, httpx2.StreamError, httpx2.InvalidURL, ValueError, RecursionError)
"""What the SDK raises; the last two come from reading or writing JSON."""


def whole_answer(operation: Operation, chunks: Iterable[Json]) -> Json:
    """The answer that a stream's chunks amount to. Raises InvalidUpstreamResponse."""
    try:
        return operation.assemble(chunks, accumulate_delta)
    except (TypeError, RuntimeError, AttributeError, ValueError) as exception:
        raise InvalidUpstreamResponse("The upstream's chunks do not add up to an answer.") from exception


class Upstream:
    """The providers' clients. One for the life of an event loop: `async with Upstream(config) as upstream`."""

    def __init__(self, config: EngineConfig) -> None:
        self._config = config
        self._clients: dict[str, AsyncOpenAI] = {}
        self.keys = {
            name: ProviderKeys(provider, clock=lambda: asyncio.get_running_loop().time())
            for name, provider in config.providers.items()
        }
        self._exit = AsyncExitStack()
        # Which attempt a request of the HTTP client belongs to: both are in the same task.
        self._watched: ContextVar[Attempt] = ContextVar("attempt")

    async def __aenter__(self) -> Self:
        for name, provider in self._config.providers.items():
            self._clients[name] = await self._exit.enter_async_context(self._client(provider))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._exit.aclose()

    def _client(self, provider: Provider) -> AsyncOpenAI:
        # All clocks but the connection's are ours: the SDK's timeout bounds no whole call, its retries leave no row.
        timeout = httpx2.Timeout(None, connect=self._config.connect_timeout)
        limits = httpx2.Limits(max_connections=MAX_CONNECTIONS, max_keepalive_connections=KEPT_CONNECTIONS)
        return AsyncOpenAI(
            api_key="none",  # each request brings its own
            base_url=provider.base_url,
            max_retries=0,
            timeout=timeout,
            # A redirect would take prompts to a host that nobody has configured.
            http_client=openai.DefaultAsyncHttpxClient(
                timeout=timeout,
                limits=limits,
                trust_env=False,
                follow_redirects=False,
                event_hooks={"request": [self._watch]},
            ),
        )

    async def _watch(self, request: httpx2.Request) -> None:
        """Note when a request begins to be sent. One that ends before, while it connects, has cost nothing."""
        attempt = self._watched.get()
        attempt.reached_upstream = False

        async def trace(event: str, info: object) -> None:
            if event.endswith("send_request_headers.started"):
                attempt.reached_upstream = True

        request.extensions["trace"] = trace

    async def complete(self, attempt: Attempt, body: Json) -> Json:
        """A whole answer, checked, as it came. Raises UpstreamError."""
        client = self._client_for(attempt)
        attempt.sent_body = body
        self._watched.set(attempt)
        try:
            response = await client.post(
                attempt.operation.path, cast_to=httpx2.Response, body=body, options=self._options(attempt)
            )
            attempt.saw_headers(
                http_status=response.status_code, upstream_request_id=response.headers.get("x-request-id", "")
            )
            answer = _read_json(response)
        except EXCEPTIONS as exception:
            raise read_exception(exception) from exception
        attempt.saw_completion(answer)
        attempt.operation.check(answer)
        return answer

    async def complete_by_stream(self, attempt: Attempt, body: Json) -> Json:
        """A whole answer that is fetched as a stream, so that cutting it off stops the bill. Raises UpstreamError."""
        stream = await self.open_stream(attempt, body)
        async with aclosing(stream.chunks()) as chunks:
            received = [chunk async for chunk in chunks]
        answer = whole_answer(attempt.operation, received)
        attempt.operation.check(answer)
        return answer

    async def open_stream(self, attempt: Attempt, body: Json) -> OpenStream:
        """A stream that has begun to say something. Raises UpstreamError. Whoever gets it must drain or close it."""
        client = self._client_for(attempt)
        attempt.sent_body = body
        seconds = self._config.first_token_timeout
        stream: AsyncStream[object] | None = None
        self._watched.set(attempt)
        try:
            async with asyncio.timeout(seconds):
                stream = await client.post(
                    attempt.operation.path,
                    cast_to=object,
                    body=body,
                    options=self._options(attempt),
                    stream=True,
                    stream_cls=AsyncStream[object],
                )
                opened = OpenStream(stream, attempt, self._config.stream_idle_timeout)
                await opened.read_head()
                return opened
        except BaseException as exception:
            if stream is not None:
                await stream.close()
            if isinstance(exception, TimeoutError):
                raise UpstreamTimeout(f"The upstream sent no first token within {seconds:g} s.") from exception
            if isinstance(exception, EXCEPTIONS):
                raise (read_exception if stream is None else _broken)(exception) from exception
            raise

    def _client_for(self, attempt: Attempt) -> AsyncOpenAI:
        provider = attempt.provider
        if provider.needs_key and not provider.api_keys:
            raise UpstreamNotConfigured(f"The provider '{provider.name}' has no API key.")
        attempt.key = self.keys[attempt.model.provider].take()
        return self._clients[attempt.model.provider]

    def _options(self, attempt: Attempt) -> RequestOptions:
        return {"headers": {"Authorization": f"Bearer {attempt.key}"}} if attempt.key else {}


class OpenStream:
    """A stream whose first content has arrived: `chunks()` gives all of it, from its beginning."""

    def __init__(self, stream: AsyncStream[object], attempt: Attempt, idle_timeout: float) -> None:
        self._stream = stream
        self._attempt = attempt
        self._idle_timeout = idle_timeout
        self._head: list[Json] = []
        self._reader = attempt.operation.reader()
        attempt.saw_headers(
            http_status=stream.response.status_code,
            upstream_request_id=stream.response.headers.get("x-request-id", ""),
        )

    async def read_head(self) -> None:
        """Read up to the first content. Raises UpstreamError if there is none."""
        media_type = self._stream.response.headers.get("content-type", "").partition(";")[0]
        if media_type in ("application/json", "text/html"):
            await self._stream.response.aread()
            self._attempt.operation.check(_read_json(self._stream.response))
            raise InvalidUpstreamResponse("The upstream sent a whole answer instead of a stream.", http_status=200)
        while not self._reader.begun:
            chunk = await self._next()
            if chunk is None:
                raise InvalidUpstreamResponse("The upstream's stream is empty.", http_status=200)
            self._head.append(chunk)

    async def chunks(self) -> AsyncGenerator[Json, None]:
        """Every chunk as it came. Raises StreamInterrupted or the error that the upstream named. Closes the stream."""
        try:
            for chunk in self._head:
                yield chunk
            while True:
                patience = AFTER_FINISH_SECONDS if self._reader.finished else self._idle_timeout
                try:
                    async with asyncio.timeout(patience):
                        following = await self._next()
                except TimeoutError as exception:
                    if self._reader.finished:
                        return
                    raise StreamInterrupted(f"The upstream's stream stalled for {patience:g} s.") from exception
                except EXCEPTIONS as exception:
                    if self._reader.finished:
                        return
                    raise _broken(exception) from exception
                if following is None:
                    return
                yield following
        finally:
            await self.aclose()

    async def aclose(self) -> None:
        """Drop the connection, which tells the upstream to stop."""
        await self._stream.close()

    async def _next(self) -> Json | None:
        """The next chunk, or None at a proper end."""
        chunk = await anext(self._stream, None)
        if chunk is None:
            if not self._reader.finished:
                raise StreamInterrupted("The upstream's stream ended without a finish reason.", http_status=200)
            return None
        if not isinstance(chunk, dict):
            raise StreamInterrupted("The upstream sent a chunk that is not an object.", http_status=200)
        read: Json = tamed(chunk)
        self._reader.read(read)
        self._attempt.saw_chunk(read)
        return read


def _read_json(response: httpx2.Response) -> Json:
    """The body as an object. Raises InvalidUpstreamResponse, or the error that stands in the body of a 200."""
    try:
        answer = read_json(response.content)
    except (ValueError, RecursionError) as exception:
        raise InvalidUpstreamResponse("The upstream's answer is not JSON.", http_status=200) from exception
    if not isinstance(answer, dict):
        raise InvalidUpstreamResponse("The upstream's answer is not a JSON object.", http_status=200)
    if answer.get("error"):
        raise read_error(answer["error"], http_status=response.status_code, headers=response.headers)
    return answer


def _broken(exception: Exception) -> UpstreamError:
    """What went wrong in a stream that had begun: a lost connection is an interrupted stream by then."""
    if isinstance(exception, ValueError | RecursionError):
        return StreamInterrupted("The upstream sent a chunk that is not JSON.", http_status=200)
    error = read_exception(exception)
    if isinstance(error, UpstreamUnavailable | UpstreamTimeout):
        return StreamInterrupted(error.message)
    return error
