"""Callers who leave before they have a whole answer."""

from __future__ import annotations

import socket
import time
from urllib.parse import urlsplit

import httpx2
import pytest

from chat.models import CallRecord
from llm.simulator import Behaviour, SimulatorThread
from tests.chat.doors.disconnects.callers import PACED, caller, cancelled_row, go, nothing_open, upstream_noticed
from tests.support.waiting import eventually


@pytest.mark.parametrize("how", ["close", "reset"])
def test_gone_while_a_whole_answer_is_awaited(client: httpx2.Client, simulator: SimulatorThread, how: str) -> None:
    with caller(client, "/chat", model="sim-timeout") as connection:
        eventually(simulator.requests)
        went_at = go(connection, how)
    upstream_noticed(simulator, went_at, requests=1)
    call = cancelled_row("chat")
    assert (call.completion_tokens, call.body.content) == (0, "")
    assert [a.status for a in call.attempts.all()] == ["cancelled"]
    nothing_open(client)


def test_gone_while_a_whole_answer_is_half_way_here(client: httpx2.Client, simulator: SimulatorThread) -> None:
    simulator.script("half", Behaviour(stall_after=3))
    with caller(client, "/chat", model="half") as connection:
        eventually(simulator.requests)
        time.sleep(0.05)
        went_at = go(connection, "close")
    upstream_noticed(simulator, went_at, requests=1)
    cancelled_row("chat")
    nothing_open(client)


def test_gone_during_a_race(client: httpx2.Client, simulator: SimulatorThread) -> None:
    simulator.script("paced", PACED)
    with caller(client, "/chat/parallel", models=["paced", "sim-timeout", "sim-stall"]) as connection:
        eventually(lambda: {seen["model"]: seen["chunks_sent"] for seen in simulator.requests()}.get("paced", 0) > 4)
        eventually(lambda: len(simulator.requests()) == 3)
        went_at = go(connection, "close")
    upstream_noticed(simulator, went_at, requests=3)
    call = cancelled_row("parallel")
    attempts = list(call.attempts.all())
    assert [a.status for a in attempts] == ["cancelled"] * 3
    assert all(a.usage_estimated and a.raced for a in attempts)
    assert (attempts[0].completion_tokens or 0) > 0
    assert call.prompt_tokens == sum(a.prompt_tokens or 0 for a in attempts)
    nothing_open(client)


def test_gone_while_a_retry_is_awaited(client: httpx2.Client, simulator: SimulatorThread) -> None:
    simulator.script("busy", Behaviour(status=429, retry_after="30"))
    with caller(client, "/chat/fallback", primary_model="sim-500", fallback_models=["busy"]) as connection:
        eventually(lambda: len(simulator.requests()) == 2)
        time.sleep(0.1)
        go(connection, "close")
    call = eventually(CallRecord.objects.exclude(status="in_progress").first)
    assert (call.status, call.http_status, call.is_default_message) == ("cancelled", 499, False)
    assert [a.status for a in call.attempts.all()] == ["failed", "failed"]
    assert len(simulator.requests()) == 2
    nothing_open(client)


def test_a_race_for_a_whole_answer_that_is_cut_keeps_what_the_racer_that_got_furthest_had_said(
    client: httpx2.Client, simulator: SimulatorThread
) -> None:
    simulator.script("slow", Behaviour(answer="slow " * 200, tokens_per_second=2))
    simulator.script("paced", PACED)
    with caller(client, "/chat/parallel", models=["slow", "paced"]) as connection:
        eventually(simulator.requests)
        time.sleep(0.4)
        go(connection, "close")
    call = cancelled_row("parallel")
    assert call.body.content.startswith("one two three")
    assert call.model_used == "paced"


def test_a_caller_that_goes_before_its_body_is_sent_leaves_no_row(
    client: httpx2.Client, simulator: SimulatorThread
) -> None:
    address = urlsplit(str(client.base_url))
    with socket.create_connection((address.hostname or "", address.port or 0)) as connection:
        connection.sendall(b"POST /chat HTTP/1.1\r\nHost: localhost\r\nContent-Length: 50\r\n\r\n{")
    assert client.post("/chat", json={"prompt": "a"}).status_code == 200
    assert CallRecord.objects.count() == 1
    assert len(simulator.requests()) == 1
