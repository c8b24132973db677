"""Callers may go away at any moment. Then the upstream stops, the call is on record, and nothing is left behind."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest

from chat.models import Attempt, CallRecord
from llm import Provider
from llm.simulator import Behaviour, SimulatorThread
from orchestration_site.http.browsers.security import Security
from tests.support.loopback import loopback_client
from tests.support.site_thread import SharedServer, running_site
from tests.support.waiting import eventually

StartSite = Callable[..., httpx2.Client]
# The upstream must notice within this time that the caller has gone.
LATEST_SECONDS = 0.3

PACED = Behaviour(answer="one two three four five " * 200, tokens_per_second=50)
# Chunks of 40 kB, so that a few hundred of them fill every buffer on the way.
BIG = Behaviour(answer="".join(f"{' ' * 40_000}{number}" for number in range(400)))


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


@pytest.fixture
def site_loop(shared_site: SharedServer) -> asyncio.AbstractEventLoop:
    """The event loop of the site."""
    return shared_site.loop


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


def test_a_caller_that_goes_before_its_body_is_sent_leaves_no_row(
    client: httpx2.Client, simulator: SimulatorThread
) -> None:
    address = urlsplit(str(client.base_url))
    with socket.create_connection((address.hostname or "", address.port or 0)) as connection:
        connection.sendall(b"POST /chat HTTP/1.1\r\nHost: localhost\r\nContent-Length: 50\r\n\r\n{")
    assert client.post("/chat", json={"prompt": "a"}).status_code == 200
    assert CallRecord.objects.count() == 1
    assert len(simulator.requests()) == 1


def open_files() -> set[tuple[str, str]]:
    """The file descriptors of this process, in which the site runs, and what each of them is."""
    found = set()
    for entry in Path("/proc/self/fd").iterdir():
        with suppress(OSError):  # closed since
            found.add((entry.name, str(entry.readlink())))
    return found


def tasks_of(site_loop: asyncio.AbstractEventLoop) -> set[asyncio.Task[Any]]:
    return asyncio.all_tasks(site_loop)


def test_a_hundred_quick_disconnects_leave_nothing_behind(
    site_loop: asyncio.AbstractEventLoop, client: httpx2.Client, simulator: SimulatorThread
) -> None:
    simulator.script("paced", PACED)
    asks: list[tuple[str, dict[str, Any]]] = [
        ("/chat", {"model": "sim-timeout"}),
        ("/chat/stream", {"model": "paced"}),
        ("/chat/parallel", {"models": ["paced", "sim-timeout"]}),
        ("/chat/stream", {"model": "sim-timeout|sim-stall>paced"}),
    ]

    def come_and_go(number: int) -> None:
        path, fields = asks[number % len(asks)]
        with caller(client, path, **fields) as connection:
            time.sleep((number % 10) * 0.004)
            go(connection, "reset" if number % 3 else "close")

    def still_open() -> tuple[int, int, list[dict[str, Any]]]:
        calls: int = client.get("/health/ready").json()["checks"]["open_calls"]
        return calls, simulator.state.open_requests, [r for r in simulator.requests() if r["ended"] == "open"]

    def settled() -> bool:
        return still_open() == (0, 0, [])

    for number in range(8):
        come_and_go(number)
    eventually(settled)
    files, tasks = open_files(), len(tasks_of(site_loop))
    for number in range(100):
        come_and_go(number)
    eventually(settled, why=still_open)
    eventually(lambda: len(open_files()) <= len(files) + 5, why=lambda: sorted(open_files() - files))
    eventually(lambda: len(tasks_of(site_loop)) <= tasks + 2, why=lambda: tasks_of(site_loop))
    assert set(CallRecord.objects.values_list("status", flat=True)) == {"cancelled"}
    # The record says what the upstream was asked.
    assert Attempt.objects.exclude(http_status=None, latency_ms=0).count() >= len(simulator.requests()) * 0.9
    assert Attempt.objects.count() >= len(simulator.requests())
    assert client.post("/chat", json={"prompt": "a"}).status_code == 200


@pytest.fixture
def upstream(simulator: SimulatorThread, settings: Any, transactional_db: None) -> SimulatorThread:
    """The simulator as the provider of a site that the test itself starts and stops."""
    settings.PROVIDERS = {"openai": Provider(name="openai", base_url=simulator.base_url, api_key="sk-test")}
    return simulator


def test_a_stream_that_ends_within_the_grace_is_served_to_its_end(upstream: SimulatorThread) -> None:
    upstream.script("paced", Behaviour(answer="word " * 20, tokens_per_second=25))
    received: list[bytes] = []
    begun = threading.Event()

    def read(base_url: str) -> None:
        with (
            loopback_client(base_url=base_url, timeout=10) as client,
            client.stream("POST", "/chat/stream", json={"prompt": "a", "model": "paced"}) as response,
        ):
            for piece in response.iter_raw():
                received.append(piece)
                begun.set()

    with running_site() as base_url:
        reader = threading.Thread(target=read, args=(base_url,))
        reader.start()
        assert begun.wait(5)
    reader.join(5)
    assert b"".join(received).endswith(b"data: [DONE]\n\n")
    assert CallRecord.objects.get().status == "succeeded"


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


def test_stopping_the_site_ends_what_does_not_end_by_itself_within_its_grace_and_all_of_it_is_on_record(
    upstream: SimulatorThread,
) -> None:
    upstream.script("paced", PACED)
    with ExitStack() as site:
        client = loopback_client(base_url=site.enter_context(running_site()))
        with (
            client,
            caller(client, "/chat/stream", model="paced") as streaming,
            caller(client, "/chat", model="sim-timeout"),
            caller(client, "/chat/stream", model="sim-timeout"),
            caller(client, "/chat/parallel", models=["paced", "sim-timeout"]),
        ):
            eventually(lambda: len(upstream.requests()) == 5)
            received = b""
            while b"three" not in received:
                received += streaming.recv(4096)
            stopped_at = time.monotonic()
            site.close()
            took = time.monotonic() - stopped_at
            while piece := streaming.recv(65536):
                received += piece
    assert took < 8
    assert b"[DONE]" not in received
    calls = {(call.door, call.streamed, call.route): call for call in CallRecord.objects.all()}
    assert len(calls) == 4
    assert {call.status for call in calls.values()} == {"cancelled"}
    assert calls["stream", True, "paced"].body.content.startswith("one two three")
    assert all(call.usage_estimated for call in calls.values())
    assert upstream.state.open_requests == 0
