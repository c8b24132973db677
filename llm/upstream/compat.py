"""The private and undocumented parts of libraries that this package uses.

tests/llm/upstream/test_compat.py fails when a new version of a library changes one of them.
"""

from __future__ import annotations

import asyncio
import os
import ssl

import aiohttp
import httpx2
from aiohttp.connector import Connection


def ssl_context() -> ssl.SSLContext:
    """The certificates that SSL_CERT_FILE and SSL_CERT_DIR name, or else those that the operating system trusts.

    This is httpx2's `create_ssl_context`, which finds them where OpenSSL's own paths do not exist. httpx2 comes with
    openai, and its documentation does not promise this function. Checked with httpx2 2.16.2.
    """
    context = httpx2.create_ssl_context()
    if os.environ.get("SSL_CERT_FILE") and (folders := os.environ.get("SSL_CERT_DIR")):  # httpx2 reads only the file
        context.load_verify_locations(capath=folders)
    return context


def connection_closed(connection: Connection) -> asyncio.Future[None] | None:
    """A future that is done when an answer's connection is closed; None if it is closed already.

    aiohttp closes a connection when it can't make sense of what arrives, and its documented interface does not tell
    whoever reads the answer. Uses `Connection.protocol` and `ResponseHandler.closed`, which are not in aiohttp's
    documentation. Checked with aiohttp 3.14.5.
    """
    return None if connection.protocol is None else connection.protocol.closed


def take_unread(content: aiohttp.StreamReader) -> bytes:
    """Take out what has arrived of an answer and was not read yet, also after its connection was lost.

    aiohttp's public methods raise the error first, and never give the bytes that arrived before it. Uses the private
    `StreamReader._buffer` and `StreamReader._read_nowait`. Checked with aiohttp 3.14.5.
    """
    return content._read_nowait(-1) if content._buffer else b""
