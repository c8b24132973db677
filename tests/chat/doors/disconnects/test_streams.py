"""Callers who leave before, during or at the end of a stream."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from typing import Any

import httpx2
import pytest

from chat.models import CallRecord
from llm.simulator import Behaviour, SimulatorThread
from orchestration_site.http.browsers.security import Security
from tests.chat.doors.disconnects.callers import (
    LATEST_SECONDS,
    PACED,
    caller,
    cancelled_row,
    go,
    nothing_open,
    upstream_noticed,
)
from tests.support.waiting import eventually

# Chunks of 40 kB, so that a few hundred of them fill every buffer on the way.
BIG = Behaviour(answer="".join(f"{' ' * 40_000}{number}" for number in range(400)))


@pytest.mark.parametrize("model", ["sim-timeout", "silent", "sim-500>silent|sim-timeout"])
def test_gone_before_the_first_token_of_a_stream(client: httpx2.Client, simulator: SimulatorThread, model: str) -> None:
    simulator.script("silent", Behaviour(first_token_s=60))
    waiting = model.count("silent") + model.count("sim-timeout")
    with caller(client, "/chat/stream", model=model) as connection:
        eventually(lambda: sum(seen["ended"] == "open" for seen in simulator.requests()) == waiting)
        went_at = go(connection, "close")
    eventually(lambda: sum(seen["ended"] == "disconnected" for seen in simulator.requests()) == waiting)
    for seen in simulator.requests():
        if seen["ended"] == "disconnected":
            assert seen["started_at"] + seen["disconnected_after_ms"] / 1000 - went_at < LATEST_SECONDS
    call = cancelled_row("stream")
    assert (call.completion_tokens, call.time_to_first_token_ms) == (0, None)
    nothing_open(client)


@pytest.mark.parametrize("how", ["close", "reset", "half"])
@pytest.mark.parametrize("events", ["text", "json"])
def test_gone_in_mid_stream(client: httpx2.Client, simulator: SimulatorThread, how: str, events: str) -> None:
    simulator.script("paced", PACED)
    with caller(client, "/chat/stream", model="paced", events=events) as connection:
        received = b""
        while b"three" not in received:
            received += connection.recv(4096)
        if how == "half":  # the caller says that it will send nothing more: uvicorn takes that for going
            went_at = time.time()
            connection.shutdown(socket.SHUT_WR)
            upstream_noticed(simulator, went_at, requests=1)
        else:
            upstream_noticed(simulator, go(connection, how), requests=1)
    call = cancelled_row("stream")
    assert call.body.content.startswith("one two three")
    assert len(call.body.content) < 2000
    assert (call.model_used, call.finish_reason) == ("paced", "")
    assert 3 <= (call.completion_tokens or 0) < 500
    assert call.time_to_first_token_ms is not None
    assert call.attempts.get().status == "cancelled"
    nothing_open(client)


def test_gone_in_the_silence_of_a_stream(client: httpx2.Client, simulator: SimulatorThread) -> None:
    with caller(client, "/chat/stream", model="sim-stall") as connection:
        received = b""
        while b" a\n" not in received:
            received += connection.recv(4096)
        went_at = go(connection, "close")
    upstream_noticed(simulator, went_at, requests=1)
    assert cancelled_row("stream").body.content == "This is a"
    nothing_open(client)


def standing_still(simulator: SimulatorThread) -> int:
    """How many chunks the upstream has sent, if it can't send any more; 0 if it goes on sending."""
    before = [seen["chunks_sent"] for seen in simulator.requests()]
    time.sleep(0.3)
    after = [seen["chunks_sent"] for seen in simulator.requests()]
    return sum(after) if before == after else 0


@pytest.mark.parametrize("how", ["close", "reset"])
def test_gone_with_a_full_unread_socket(client: httpx2.Client, simulator: SimulatorThread, how: str) -> None:
    simulator.script("big", BIG)
    with caller(client, "/chat/stream", model="big", receive_buffer=4096) as connection:
        stuck_at = eventually(lambda: standing_still(simulator))
        assert 0 < stuck_at < 400
        assert client.get("/health/ready").json()["checks"]["open_calls"] == 1
        went_at = go(connection, how)
    upstream_noticed(simulator, went_at, requests=1)
    call = cancelled_row("stream")
    numbers = [int(number) for number in call.body.content.split()]
    assert numbers == list(range(len(numbers)))
    assert 1 <= len(numbers) <= stuck_at
    nothing_open(client)


def test_gone_while_middleware_still_holds_the_answer(
    client: httpx2.Client, simulator: SimulatorThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stream has its first token and the view has returned, but no byte has been sent to the caller."""
    held = threading.Event()
    answer = Security.__acall__

    async def dawdling(self: Security, request: Any) -> Any:
        response = await answer(self, request)
        if response.streaming:
            held.set()
            await asyncio.sleep(0.3)
        return response

    monkeypatch.setattr(Security, "__acall__", dawdling)
    simulator.script("paced", PACED)
    with caller(client, "/chat/stream", model="paced") as connection:
        assert held.wait(5)
        go(connection, "close")
    eventually(lambda: simulator.requests()[0]["ended"] == "disconnected", within=3)
    cancelled_row("stream")
    nothing_open(client)


def test_a_caller_that_goes_at_the_end_marker_leaves_a_succeeded_row(client: httpx2.Client) -> None:
    with caller(client, "/chat/stream") as connection:
        received = b""
        while b"[DONE]" not in received:
            received += connection.recv(4096)
        go(connection, "reset")
    assert CallRecord.objects.get().status == "succeeded"
    nothing_open(client)
