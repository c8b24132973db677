"""Calls that are read on, and a process that is killed or stopped meanwhile, or has lost its database."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2
import pytest

from chat.models import Attempt, CallRecord
from chat.record.call_rows import CallRows
from chat.record.writer import write, write_again
from llm.simulator import Behaviour, SimulatorThread
from tests.support.site_subprocess import SiteProcess

ASKED = {"prompt": "a", "model": "slow"}
KEY = {"Idempotency-Key": "key-1"}
CALLS = (
    "select c.status, c.usage_estimated, c.lease_until is null, a.read_on, a.usage_estimated"
    " from chat_callrecord c join chat_attempt a on a.call_id = c.id"
)
READ_ON = [("cancelled", 1, 0, 1, 1)]
READ_TO_ITS_END = [("cancelled", 0, 1, 1, 0)]
CUT = [("cancelled", 1, 1, 1, 1)]

StartSiteProcess = Callable[..., SiteProcess]


@pytest.fixture
def start_process(tmp_path: Path, simulator: SimulatorThread) -> Iterator[StartSiteProcess]:
    started: list[SiteProcess] = []

    def start(**variables: str) -> SiteProcess:
        site = SiteProcess(tmp_path, upstream=simulator.base_url, PRICES="slow=2/8", **variables)
        started.append(site)
        site.migrate()
        return site.start()

    yield start
    for site in started:
        site.close()


def rows(site: SiteProcess, query: str = CALLS) -> list[tuple[object, ...]]:
    connection = sqlite3.connect(site.environment["DATABASE_URL"].removeprefix("sqlite:///"), timeout=10)
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


async def leave(site: SiteProcess) -> None:
    """Send a request and go away. Returns when the row is there."""
    async with httpx2.AsyncClient(base_url=site.base_url, trust_env=False) as client:
        with pytest.raises(httpx2.ReadTimeout):
            await client.post("/chat", json=ASKED, headers=KEY, timeout=httpx2.Timeout(10, read=0.5))
    await become(site, READ_ON)


async def become(site: SiteProcess, expected: list[tuple[object, ...]]) -> None:
    give_up = time.monotonic() + 10
    while (found := rows(site)) != expected:
        assert time.monotonic() < give_up, found
        await asyncio.sleep(0.02)


@pytest.mark.slow
async def test_a_kill_while_an_answer_is_read_on_leaves_a_true_row_and_soon_a_free_key(
    start_process: StartSiteProcess, simulator: SimulatorThread
) -> None:
    simulator.script("slow", Behaviour(latency_s=60, times=1))
    site = start_process()
    await leave(site)
    site.kill()
    assert rows(site) == READ_ON
    site.start()
    seen: list[int] = []
    give_up = time.monotonic() + 40
    async with httpx2.AsyncClient(base_url=site.base_url, trust_env=False, timeout=30) as client:
        while 200 not in seen:
            assert time.monotonic() < give_up, seen
            seen.append((await client.post("/chat", json=ASKED, headers=KEY)).status_code)
            await asyncio.sleep(0.3)
    assert set(seen) == {409, 200}
    first, second = sorted(rows(site))
    assert first[:2] == ("cancelled", 1), "nobody knows what it has cost in the end"
    assert second[0] == "succeeded"


async def test_the_lease_lasts_as_long_as_an_answer_is_read_on(
    start_process: StartSiteProcess, simulator: SimulatorThread
) -> None:
    simulator.script("slow", Behaviour(latency_s=8))
    site = start_process()
    await leave(site)
    [(first,)] = rows(site, "select lease_until from chat_callrecord")
    give_up = time.monotonic() + 7
    while rows(site, "select lease_until from chat_callrecord") == [(first,)]:
        assert time.monotonic() < give_up, "the lease was not renewed"
        await asyncio.sleep(0.1)
    await become(site, READ_TO_ITS_END)


async def test_sigterm_lets_an_answer_be_read_on_to_its_end_within_the_grace(
    start_process: StartSiteProcess, simulator: SimulatorThread
) -> None:
    simulator.script("slow", Behaviour(latency_s=2))
    site = start_process()
    await leave(site)
    assert await asyncio.to_thread(site.terminate) == 0
    assert rows(site) == READ_TO_ITS_END
    assert rows(site, "select answered from chat_idempotencykey") == [(1,)]
    assert [seen["ended"] for seen in simulator.requests()] == ["complete"]


@pytest.mark.parametrize("another", [False, True], ids=["alone", "beside an open call"])
async def test_sigterm_cuts_what_is_read_on_for_longer_than_the_grace_counted_from_the_signal(
    start_process: StartSiteProcess, simulator: SimulatorThread, another: bool
) -> None:
    simulator.script("slow", Behaviour(latency_s=60))
    simulator.script("brief", Behaviour(latency_s=2))
    site = start_process(SHUTDOWN_GRACE="3")
    await leave(site)
    async with httpx2.AsyncClient(base_url=site.base_url, trust_env=False, timeout=30) as client:
        asked = [client.post("/chat", json={**ASKED, "model": "brief"})] if another else []
        brief = [asyncio.create_task(request) for request in asked]
        await asyncio.sleep(0.3)
        stopped_at = time.time()
        assert await asyncio.to_thread(site.terminate) == 0
        assert [(await request).status_code for request in brief] == [200] * another
    assert CUT[0] in rows(site)
    [slow] = [seen for seen in simulator.requests() if seen["model"] == "slow"]
    assert slow["ended"] == "disconnected"
    # The open call took two of the three seconds. What is read on has only the rest, and not three more.
    assert 2.9 <= slow["started_at"] + slow["disconnected_after_ms"] / 1000 - stopped_at < 4.5


async def test_an_answer_that_is_read_on_while_the_database_is_locked_is_one_true_row_in_the_end(
    start_process: StartSiteProcess, simulator: SimulatorThread
) -> None:
    simulator.script("slow", Behaviour(latency_s=2))
    site = start_process()
    path = site.environment["DATABASE_URL"].removeprefix("sqlite:///")
    async with httpx2.AsyncClient(base_url=site.base_url, trust_env=False) as client:
        with sqlite3.connect(path, isolation_level=None) as blocker:
            blocker.execute("begin immediate")
            with pytest.raises(httpx2.ReadTimeout):
                await client.post("/chat", json=ASKED, timeout=httpx2.Timeout(10, read=0.5))
            give_up = time.monotonic() + 20
            while (await client.get("/health/ready")).json()["checks"]["recorder"]["spool_depth"] < 2:
                assert time.monotonic() < give_up, "both the first end and the late one wait in the spool"
                await asyncio.sleep(0.1)
            blocker.execute("rollback")
        await become(site, READ_TO_ITS_END)


# The writer

BEGAN = datetime(2026, 2, 3, 4, 5, 6, 789012, tzinfo=UTC)


def call_rows(*, amends: bool = False, began: datetime = BEGAN, attempts: int = 1, **call: Any) -> CallRows:
    row = {"request_id": "req_one", "created_at": began, "door": "chat", "status": "cancelled", "route": "m", **call}
    attempt = {"model": "m", "provider": "openai", "status": "cancelled", "started_after_ms": 0, "read_on": True}
    return CallRows(call=row, attempts=[{**attempt, "ordinal": ordinal} for ordinal in range(attempts)], amends=amends)


def estimated() -> dict[str, bool]:
    return dict(CallRecord.objects.values_list("request_id", "usage_estimated"))


@pytest.mark.django_db
@pytest.mark.parametrize("how", [write, write_again], ids=["write", "write again"])
def test_a_late_end_takes_the_place_of_the_end_in_one_batch_and_in_two(how: Any) -> None:
    ends = [call_rows(usage_estimated=True), call_rows(amends=True)]
    assert how(ends) == [None, None]
    assert (estimated(), Attempt.objects.count()) == ({"req_one": False}, 1)
    assert how([call_rows(amends=True, attempts=2)]) == [None]
    assert (estimated(), Attempt.objects.count()) == ({"req_one": False}, 2)


@pytest.mark.django_db
def test_an_end_that_is_replayed_after_its_late_end_changes_nothing() -> None:
    assert write([call_rows(amends=True)]) == [None]
    assert write_again([call_rows(usage_estimated=True)]) == [None]
    assert (estimated(), Attempt.objects.count()) == ({"req_one": False}, 1)


@pytest.mark.django_db
@pytest.mark.parametrize("how", [write, write_again], ids=["write", "write again"])
def test_a_late_end_never_takes_the_place_of_another_call_with_the_same_id(how: Any) -> None:
    other = datetime(2026, 2, 3, 5, 0, 0, tzinfo=UTC)
    assert write([call_rows(usage_estimated=True)]) == [None]
    first = call_rows(began=other, usage_estimated=True)
    assert write([first]) == [None]
    assert how([call_rows(began=other, amends=True)]) == [None]
    assert estimated() == {"req_one": True, first.request_id: False}
    # Its first end waits in a spool, so it has no row yet.
    third = call_rows(began=datetime(2026, 2, 3, 6, 0, 0, tzinfo=UTC), amends=True)
    assert how([third]) == [None]
    assert estimated() == {"req_one": True, first.request_id: False, third.request_id: False}


def test_a_line_of_the_spool_says_whether_it_is_a_late_end_and_one_of_the_last_version_is_none() -> None:
    line = call_rows(amends=True).to_json()
    assert CallRows.from_json(line).amends
    assert not CallRows.from_json(line.replace(', "amends": true', "")).amends
