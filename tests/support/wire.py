"""HTTP that is written by hand, for requests that no client would send, and the service's doors."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx2

MESSAGES = [{"role": "user", "content": "hi"}]
NATIVE: dict[str, dict[str, Any]] = {
    "/chat": {"prompt": "hi"},
    "/chat/parallel": {"prompt": "hi"},
    "/chat/fallback": {"prompt": "hi"},
    "/chat/stream": {"prompt": "hi"},
}
OPENAI: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {"model": "gpt-4o", "messages": MESSAGES},
    "/v1/completions": {"model": "gpt-4o", "prompt": "hi"},
    "/v1/embeddings": {"model": "text-embedding-3-small", "input": "hi"},
    "/v1/responses": {"model": "gpt-4o", "input": "hi"},
}
# Every address that asks a model, with a body that it accepts.
DOORS = NATIVE | OPENAI


@dataclass(frozen=True)
class Answer:
    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str | None:
        return next((value for given, value in self.headers if given == name), None)

    def json(self) -> Any:
        return json.loads(self.body)


@contextmanager
def connected(client: httpx2.Client) -> Iterator[socket.socket]:
    with socket.create_connection((client.base_url.host, client.base_url.port or 80), timeout=20) as connection:
        yield connection


def raw(client: httpx2.Client, sent: bytes, *, finish: bool = False) -> list[Answer]:
    """Send bytes, and return the answers until the service closes. With `finish` our side is closed after sending."""
    with connected(client) as connection:
        try:
            connection.sendall(sent)
            if finish:
                connection.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # the service has closed, but what it sent before can still be read
        return answers(received(connection))


def received(connection: socket.socket, seconds: float = 20) -> bytes:
    """All bytes that come until the other side closes, or until `seconds` are over."""
    give_up = time.monotonic() + seconds
    parts: list[bytes] = []
    while time.monotonic() < give_up:
        connection.settimeout(max(give_up - time.monotonic(), 0.01))
        try:
            part = connection.recv(65536)
        except OSError:
            break
        if not part:
            break
        parts.append(part)
    return b"".join(parts)


def request(
    path: str, body: bytes = b"", *headers: str, method: str = "POST", length: bool = True, close: bool = True
) -> bytes:
    """A request as bytes. `headers` are whole lines, and may contain any character of Latin-1."""
    lines = [f"{method} {path} HTTP/1.1", *headers]
    if not any(line.lower().startswith("host:") for line in headers):
        lines.insert(1, "Host: 127.0.0.1")
    if not any(line.lower().startswith("content-type:") for line in headers):
        lines.append("Content-Type: application/json")
    if length:
        lines.append(f"Content-Length: {len(body)}")
    if close:
        lines.append("Connection: close")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def answers(data: bytes) -> list[Answer]:
    """The answers in a stream of bytes. Fails on anything that is not HTTP."""
    found: list[Answer] = []
    while data:
        head, _, data = data.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        assert first.startswith("HTTP/1.1 "), first
        pairs = [line.partition(": ") for line in lines]
        headers = [(name.lower(), value) for name, _, value in pairs]
        fields = dict(headers)
        if fields.get("transfer-encoding") == "chunked":
            body, data = _chunks(data)
        else:
            size = int(fields.get("content-length", len(data)))
            body, data = data[:size], data[size:]
        found.append(Answer(int(first.split(" ")[1]), headers, body))
    return found


def _chunks(data: bytes) -> tuple[bytes, bytes]:
    parts: list[bytes] = []
    while True:
        size, _, data = data.partition(b"\r\n")
        count = int(size or b"0", 16)
        parts.append(data[:count])
        data = data[count + 2 :]
        if not count:
            return b"".join(parts), data
