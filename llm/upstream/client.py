"""The only place that talks to providers: one whole answer, or one stream up to its first content.

Bodies go out and answers come back as plain JSON, so that fields which no SDK knows yet pass through unchanged. The
requests are made by aiohttp, because OpenAI's SDK needs more time for one than the rest of a call does. See
docs/decisions/0013.
"""

from __future__ import annotations

import asyncio
import io
from types import SimpleNamespace, TracebackType
from typing import Any, Self

import aiohttp

from llm.config import EngineConfig
from llm.error_reading import read_error, read_exception
from llm.errors import InvalidRequest, UpstreamMisconfigured, UpstreamNotConfigured, UpstreamTimeout
from llm.json_values import Json, write_json
from llm.upstream.attempt import Attempt
from llm.upstream.compat import ssl_context
from llm.upstream.http_errors import HTTP_EXCEPTIONS, error_body, is_our_timeout, read_stream_exception
from llm.upstream.lost_connections import LostConnections
from llm.upstream.provider_keys import ProviderKeys
from llm.upstream.stream import OpenStream
from llm.upstream.whole_answer import read_answer

# The most connections to all providers together.
MAX_CONNECTIONS = 4_000

# How long an unused connection is kept. Many servers close theirs after 5 seconds, so ours must go earlier.
KEEP_ALIVE_SECONDS = 4.0

# The longest single header of an answer that is read.
MAX_HEADER_BYTES = 64 * 1024

# The header in which LiteLLM states the cost of an answer in US dollars. Source: docs.litellm.ai, "Response Headers".
COST_HEADER = "x-litellm-response-cost"

# A larger body is written in pieces, so that other calls get their turn in between.
MAX_BYTES_WRITTEN_AT_ONCE = 2**20


class Upstream:
    """The way to the providers. One for the life of an event loop: `async with Upstream(config) as upstream`."""

    def __init__(self, config: EngineConfig) -> None:
        self._config = config
        self.keys = {
            name: ProviderKeys(provider, clock=lambda: asyncio.get_running_loop().time())
            for name, provider in config.providers.items()
        }
        self._lost_connections = LostConnections()

    async def __aenter__(self) -> Self:
        tracing = aiohttp.TraceConfig()
        tracing.on_request_headers_sent.append(_note_that_it_was_sent)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=MAX_CONNECTIONS, keepalive_timeout=KEEP_ALIVE_SECONDS, ssl=ssl_context()
            ),
            # The engine has its own clocks for everything but making the connection.
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

    async def complete(self, attempt: Attempt, body: Json, *, deadline: float | None = None) -> Json:
        """A whole answer, checked, as it came. Raises UpstreamError.

        `deadline` is a time of the event loop's clock, from which on nobody waits for the answer any more.
        """
        try:
            async with await self._send(attempt, body) as response:
                if attempt.operation.can_stream:
                    await self._stream(response, attempt, body, deadline=deadline, keep_head=False).read_whole()
                else:
                    attempt.saw_answer(read_answer(response, await response.read(), attempt))
        except HTTP_EXCEPTIONS as exception:
            raise read_exception(exception) from exception
        return _checked(attempt, body)

    async def complete_by_stream(self, attempt: Attempt, body: Json, *, deadline: float | None = None) -> Json:
        """A whole answer that is fetched as a stream, because providers stop billing a stream that is cancelled.

        Raises UpstreamError.
        """
        stream = await self.open_stream(attempt, body, deadline=deadline, keep_head=False)
        try:
            while await stream.next_batch():
                pass  # the attempt has noted them
        finally:
            stream.close()
        return _checked(attempt, body)

    async def open_stream(self, attempt: Attempt, body: Json, **options: Any) -> OpenStream:
        """A stream whose first content has arrived. Raises UpstreamError. Whoever gets the stream must close it.

        `options` are those of OpenStream.
        """
        seconds = self._config.first_token_timeout
        response: aiohttp.ClientResponse | None = None
        try:
            async with asyncio.timeout(seconds):
                response = await self._send(attempt, body)
                stream = self._stream(response, attempt, body, **options)
                await stream.read_first_sign()
            await stream.read_head()
            return stream
        except BaseException as exception:
            if response is not None:
                response.close()
            if is_our_timeout(exception):
                raise UpstreamTimeout(f"The upstream sent no first token within {seconds:g} s.") from exception
            if isinstance(exception, HTTP_EXCEPTIONS):
                raise (read_exception if response is None else read_stream_exception)(exception) from exception
            raise

    def _stream(self, response: aiohttp.ClientResponse, attempt: Attempt, body: Json, **options: Any) -> OpenStream:
        return OpenStream(response, attempt, body, idle_timeout=self._config.stream_idle_timeout, **options)

    async def _send(self, attempt: Attempt, body: Json) -> aiohttp.ClientResponse:
        """Send a request. Returns an answer with a good status, to be read and closed; raises UpstreamError."""
        provider = attempt.provider
        if provider.needs_key and not provider.api_keys:
            raise UpstreamNotConfigured(f"The provider '{provider.name}' has no API key.")
        attempt.key = self.keys[attempt.model.provider].take()
        try:
            data = write_json(body)
        except (ValueError, TypeError, RecursionError) as exception:
            raise InvalidRequest("The request can't be written as JSON.") from exception
        # A request that ends before its headers are sent, while it still connects, has cost nothing.
        attempt.reached_upstream = False
        if not attempt.key.isprintable():
            message = f"A key of the provider '{provider.name}' has a character that can't be sent, like a line break."
            raise UpstreamMisconfigured(message, of_the_key=True)
        try:
            response = await self._session.post(
                provider.address_of(attempt.operation.path),
                # `trust_env` of aiohttp would find the proxy as well, but in a thread for each request, and would read
                # ~/.netrc.
                proxy=provider.proxy or None,
                data=data if len(data) <= MAX_BYTES_WRITTEN_AT_ONCE else io.BytesIO(data),
                # Some servers that need no key refuse a request without this header, and accept any key in it.
                headers={"Authorization": f"Bearer {attempt.key or 'none'}"},
                # The key goes to the host that the settings name, and to no other.
                allow_redirects=False,
                trace_request_ctx=attempt,
            )
        except aiohttp.ClientConnectorCertificateError as exception:
            message = (
                f"The certificate of the provider '{provider.name}' is not trusted. SSL_CERT_FILE may name another."
            )
            raise UpstreamMisconfigured(message) from exception
        except (ValueError, aiohttp.NonHttpUrlClientError):
            # What they say of an address may quote the key, so it is neither kept nor chained.
            message = f"No request can be sent to the base URL of the provider '{provider.name}'."
            raise UpstreamMisconfigured(message) from None
        self._lost_connections.watch(response)
        attempt.saw_headers(
            http_status=response.status,
            upstream_request_id=response.headers.get("x-request-id", ""),
            cost=response.headers.get(COST_HEADER, ""),
        )
        if response.status < 300:
            return response
        async with response:
            raise read_error(error_body(await response.read()), http_status=response.status, headers=response.headers)


def _checked(attempt: Attempt, body: Json) -> Json:
    """The answer of an attempt. Raises UpstreamError if it is none."""
    answer = attempt.answer or {}
    attempt.operation.check(answer, body)
    return answer


async def _note_that_it_was_sent(
    session: aiohttp.ClientSession, context: SimpleNamespace, params: aiohttp.TraceRequestHeadersSentParams
) -> None:
    attempt: Attempt = context.trace_request_ctx
    attempt.reached_upstream = True
