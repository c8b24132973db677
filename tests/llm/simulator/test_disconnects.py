"""A client that leaves is noticed at once, whatever the simulator is doing for it."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import time

import httpx2
import pytest

from llm.simulator import Behaviour, RunningSimulator
from tests.llm.simulator.chat_client import HELLO, ask, eventually


@pytest.mark.parametrize(
    ("behaviour", "stream"),
    [
        (Behaviour(latency_s=60), False),
        (Behaviour(latency_s=60), True),
        (Behaviour(first_token_s=60), False),
        (Behaviour(first_token_s=60), True),
        (Behaviour(tokens_per_second=0.02), True),
        (Behaviour(stall_after=0), False),
        (Behaviour(stall_after=0), True),
        (Behaviour(stall_after=2), False),
        (Behaviour(stall_after=2), True),
        (Behaviour(status=500, stall_after=1), False),
        (Behaviour(answer="word " * 200_000), True),
    ],
)
async def test_a_client_that_goes_is_noticed_in_every_phase(
    simulator: RunningSimulator, http: httpx2.AsyncClient, behaviour: Behaviour, stream: bool
) -> None:
    simulator.state.script("m", behaviour)
    asking = asyncio.create_task(ask(http, stream=stream))
    await eventually(lambda: simulator.state.open_requests == 1)
    await asyncio.sleep(0.02)
    assert simulator.state.requests()[0]["ended"] == "open"
    left_at = time.perf_counter()
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    await eventually(lambda: simulator.state.open_requests == 0)
    assert time.perf_counter() - left_at < 5
    (seen,) = simulator.state.requests()
    assert seen["ended"] == "disconnected"
    assert seen["disconnected_after_ms"] > 10


async def test_a_client_that_stops_reading_and_then_goes_is_noticed(simulator: RunningSimulator) -> None:
    simulator.state.script("m", Behaviour(answer="word " * 100_000))
    body = json.dumps({"model": "m", "messages": HELLO, "stream": True})
    client = socket.create_connection(("127.0.0.1", simulator.port))
    head = "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer x\r\n"
    client.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode())
    sent = -1
    while (now := [seen["chunks_sent"] for seen in simulator.state.requests()]) != [sent] or not sent:
        sent = now[0] if now else -1
        await asyncio.sleep(0.1)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
    await eventually(lambda: simulator.state.open_requests == 0)
    assert simulator.state.requests()[0]["ended"] == "disconnected"


async def test_a_client_that_goes_before_its_body_is_complete_leaves_no_trace(simulator: RunningSimulator) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", simulator.port)
    writer.write(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    await asyncio.sleep(0.02)
    assert simulator.state.requests() == []
