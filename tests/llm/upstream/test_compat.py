"""The private parts of libraries on the way to the providers, so that no new version changes them unnoticed."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import aiohttp
import pytest
from aiohttp.base_protocol import BaseProtocol

from llm.upstream.compat import connection_closed, ssl_context, take_unread
from tests.llm.conftest import Answer

HEAD = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n"


@pytest.fixture
async def get(
    raw_upstream: Callable[[Answer], Awaitable[str]],
) -> AsyncIterator[Callable[[Answer], Awaitable[aiohttp.ClientResponse]]]:
    """`await get(answer)`: what aiohttp makes of the answer, not yet read."""
    async with aiohttp.ClientSession() as session:

        async def get(answer: Answer) -> aiohttp.ClientResponse:
            return await session.post(await raw_upstream(answer), data=b"{}")

        yield get


Get = Callable[[Answer], Awaitable[aiohttp.ClientResponse]]


@pytest.fixture
async def content() -> aiohttp.StreamReader:
    loop = asyncio.get_running_loop()
    return aiohttp.StreamReader(BaseProtocol(loop), 2**16, loop=loop)


def test_httpx2s_context_checks_certificates_and_host_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    monkeypatch.delenv("SSL_CERT_DIR", raising=False)
    context = ssl_context()
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname


def test_httpx2s_context_has_the_certificates_that_the_environment_names(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/nonexistent")
    with pytest.raises(FileNotFoundError):
        ssl_context()
    monkeypatch.delenv("SSL_CERT_FILE")
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    assert ssl_context().get_ca_certs() == []


async def test_aiohttp_says_when_a_connection_is_closed(get: Get) -> None:
    asked = asyncio.Event()

    async def closes(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD + b"ab")
        await asked.wait()

    response = await get(closes)
    assert response.connection is not None
    closed = connection_closed(response.connection)
    assert closed is not None
    assert not closed.done()
    asked.set()
    await asyncio.wait([closed], timeout=5)
    assert closed.done()
    response.close()


async def test_aiohttp_has_no_future_for_a_connection_that_was_closed_before(get: Get) -> None:
    response = await get(HEAD + b"ab")
    assert response.connection is not None
    assert response.connection.protocol is not None
    response.connection.protocol.connection_lost(None)
    assert connection_closed(response.connection) is None
    response.close()


async def test_aiohttp_keeps_what_came_before_a_connection_was_lost(content: aiohttp.StreamReader) -> None:
    content.feed_data(b"ab")
    content.feed_data(b"cd")
    content.set_exception(aiohttp.ClientPayloadError("lost"))
    with pytest.raises(aiohttp.ClientPayloadError):
        await content.readany()
    assert take_unread(content) == b"abcd"
    assert take_unread(content) == b""
