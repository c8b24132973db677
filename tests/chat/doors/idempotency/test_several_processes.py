"""Idempotency-Key with several processes or workers, with many calls at once, and when a process is killed."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import httpx2
import pytest

from llm.simulator import Behaviour, SimulatorThread
from tests.chat.doors.idempotency.asking import rush, sites
from tests.support.loopback import async_loopback_client


@pytest.mark.slow
@pytest.mark.parametrize("how", ["two workers", "two processes on PostgreSQL"])
async def test_of_50_requests_at_once_with_one_key_exactly_one_asks_the_model(
    tmp_path: Path, simulator: SimulatorThread, postgres_url: Callable[[], str], how: str
) -> None:
    simulator.script("gpt-4o", Behaviour(latency_s=0.5))
    if how == "two workers":
        started = [sites(tmp_path, simulator, 1)[0].start("--workers", "2")]
    else:
        started = [site.start() for site in sites(tmp_path, simulator, 2, DATABASE_URL=postgres_url())]
    try:
        urls = [site.base_url for site in started]
        answers = await rush(urls, ["one"] * 50)
        assert len(simulator.requests()) == 1
        assert Counter(answer.status_code for answer in answers) == {200: 1, 409: 49}
        (first,) = [answer for answer in answers if answer.status_code == 200]
        later = await rush(urls, ["one"] * 50)
        assert {answer.content for answer in later} == {first.content}
        assert len(simulator.requests()) == 1
    finally:
        for site in started:
            site.close()


@pytest.mark.slow
async def test_long_calls_with_keys_hold_no_connection_to_the_database(
    tmp_path: Path, simulator: SimulatorThread, postgres_url: Callable[[], str]
) -> None:
    simulator.script("gpt-4o", Behaviour(latency_s=6))  # longer than one waits for a connection
    (site,) = sites(tmp_path, simulator, 1, DATABASE_URL=postgres_url(), DATABASE_POOL="4")
    site.start()
    try:
        answers = await rush([site.base_url], [f"key-{number}" for number in range(20)])
        assert Counter(answer.status_code for answer in answers) == {200: 20}
    finally:
        site.close()


@pytest.mark.slow
async def test_a_killed_process_leaves_the_key_free_and_until_then_it_is_taken(
    tmp_path: Path, simulator: SimulatorThread
) -> None:
    simulator.script("gpt-4o", Behaviour(latency_s=60, times=1))
    (site,) = sites(tmp_path, simulator, 1)
    site.start()
    try:
        async with async_loopback_client(timeout=30) as client:
            lost = asyncio.create_task(rush([site.base_url], ["a"]))
            await asyncio.sleep(2)  # long enough for a row
            site.kill()
            with pytest.raises(httpx2.HTTPError):
                await lost
            site.start()
            seen: list[int] = []
            give_up = time.monotonic() + 40
            while 200 not in seen:
                assert time.monotonic() < give_up, Counter(seen)
                headers = {"Idempotency-Key": "a"}
                answer = await client.post(f"{site.base_url}/chat", json={"prompt": "a"}, headers=headers)
                seen.append(answer.status_code)
                await asyncio.sleep(0.3)
        assert set(seen) == {409, 200}
        assert len(simulator.requests()) == 2
    finally:
        site.close()
