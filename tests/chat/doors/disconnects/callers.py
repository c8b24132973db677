"""Callers who send a request and leave, and what the service and the upstream must do then."""

from __future__ import annotations

import json
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import httpx2

from chat.models import CallRecord
from llm.simulator import Behaviour, SimulatorThread
from tests.support.waiting import eventually

# The upstream must notice within this time that the caller has gone.
LATEST_SECONDS = 0.3

PACED = Behaviour(answer="one two three four five " * 200, tokens_per_second=50)


@contextmanager
def caller(
    client: httpx2.Client, path: str, *, receive_buffer: int | None = None, **fields: Any
) -> Iterator[socket.socket]:
    """A connection over which a request has been sent, and from which nothing has been read."""
    address = urlsplit(str(client.base_url))
    body = json.dumps({"prompt": "Hello", **fields}).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    with socket.socket() as connection:
        if receive_buffer:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        connection.settimeout(10)
        connection.connect((address.hostname, address.port))
        connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        yield connection


def go(connection: socket.socket, how: str) -> float:
    """Close the connection, in order or with a reset. Returns the time."""
    if how == "reset":
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    went_at = time.time()
    connection.close()
    return went_at


def upstream_noticed(simulator: SimulatorThread, went_at: float, *, requests: int) -> None:
    """All requests to the upstream ended soon after the caller went, and none is open."""
    eventually(lambda: [seen["ended"] for seen in simulator.requests()] == ["disconnected"] * requests)
    for seen in simulator.requests():
        noticed_at = seen["started_at"] + seen["disconnected_after_ms"] / 1000
        assert -0.01 <= noticed_at - went_at < LATEST_SECONDS
    eventually(lambda: simulator.state.open_requests == 0)


def cancelled_row(door: str) -> CallRecord:
    call: CallRecord = eventually(CallRecord.objects.exclude(status="in_progress").first)
    assert (call.door, call.status, call.http_status) == (door, "cancelled", 499)
    assert call.error_code == ""
    assert call.usage_estimated is True
    assert (call.prompt_tokens or 0) > 0
    return call


def nothing_open(client: httpx2.Client) -> None:
    eventually(lambda: client.get("/health/ready").json()["checks"]["open_calls"] == 0)
