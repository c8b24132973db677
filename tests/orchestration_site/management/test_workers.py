"""Several worker processes on one database, as `manage.py serve --workers` runs them."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from llm.simulator import SimulatorThread
from tests.support.loopback import async_loopback_client
from tests.support.site_subprocess import SiteProcess

pytestmark = pytest.mark.slow

WORKERS = 3
CALLS = 150


@pytest.fixture
def site(tmp_path: Path, simulator: SimulatorThread) -> Iterator[SiteProcess]:
    site = SiteProcess(tmp_path, upstream=simulator.base_url)
    site.migrate()
    site.start("--workers", str(WORKERS))
    yield site
    site.close()


async def test_rows_statistics_and_log_lines_are_right_whichever_worker_took_the_call(site: SiteProcess) -> None:
    async def call() -> str:
        # A connection of its own, so that the calls spread over the workers.
        async with async_loopback_client(base_url=site.base_url, timeout=30) as client:
            answer = await client.post("/chat", json={"prompt": "a", "model": "gpt-4o"})
            return str(answer.json()["request_id"])

    answered: list[str] = []
    for _ in range(CALLS // 10):
        answered += await asyncio.gather(*(call() for _ in range(10)))
    async with async_loopback_client(base_url=site.base_url, timeout=30) as client:
        stats = (await client.get("/stats")).json()
        kept = (await client.get("/calls", params={"page_size": 500})).json()["results"]
    assert stats["total_requests"] == CALLS
    assert sorted(row["request_id"] for row in kept) == sorted(answered)
    lines = [json.loads(line) for line in (site.output.parent / "logs" / "app.log").read_text().splitlines()]
    logged = [line["request_id"] for line in lines if line["event"] == "llm_call"]
    assert sorted(logged) == sorted(answered)
    assert await asyncio.to_thread(site.terminate) == 0


def test_a_worker_that_is_silent_for_a_while_on_a_busy_machine_is_not_killed(site: SiteProcess) -> None:
    assert site.process is not None
    before = children(site.process.pid)
    silent = max(before)
    os.kill(silent, signal.SIGSTOP)
    time.sleep(8)  # uvicorn's own patience is five seconds
    os.kill(silent, signal.SIGCONT)
    assert children(site.process.pid) == before
    assert site.terminate() == 0


def children(pid: int) -> set[int]:
    return {int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}
