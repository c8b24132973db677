"""A hundred callers who leave quickly leave no call, no request, no file and no task behind."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx2
import pytest

from chat.models import Attempt, CallRecord
from llm.simulator import SimulatorThread
from tests.chat.doors.disconnects.callers import PACED, caller, go
from tests.support.site_thread import SharedServer
from tests.support.waiting import eventually


@pytest.fixture
def site_loop(shared_site: SharedServer) -> asyncio.AbstractEventLoop:
    """The event loop of the site."""
    return shared_site.loop


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
