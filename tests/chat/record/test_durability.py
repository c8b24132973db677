"""No call is lost: the real server as a process, killed, stopped and cut off from its database under load."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from llm.simulator import Behaviour, SimulatorThread
from tests.support.loopback import async_loopback_client
from tests.support.site_subprocess import SiteProcess

# How often the server is killed. `make test ARGS=… KILL_ROUNDS=20` makes a thorough run.
KILL_ROUNDS = int(os.environ.get("KILL_ROUNDS", "3"))


@pytest.fixture
def site(tmp_path: Path, simulator: SimulatorThread) -> Iterator[SiteProcess]:
    site = SiteProcess(tmp_path, upstream=simulator.base_url)
    site.migrate()
    yield site
    site.close()


def rows(site: SiteProcess, query: str) -> list[tuple[object, ...]]:
    path = site.environment["DATABASE_URL"].removeprefix("sqlite:///")
    connection = sqlite3.connect(path, timeout=10)
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


async def load(base_url: str, received: list[str], *, clients: int = 16) -> None:
    """Calls whole and streamed, without a pause, until the server is gone. Notes the id of every whole answer."""

    async def one(number: int) -> None:
        async with async_loopback_client(base_url=base_url, timeout=10) as client:
            while True:
                try:
                    if number % 3:
                        answer = await client.post("/chat", json={"prompt": "a", "model": "gpt-4o|gpt-4o-mini"})
                        assert answer.status_code == 200, answer.text
                        received.append(answer.json()["request_id"])
                    else:
                        answer = await client.post("/chat/stream", json={"prompt": "a"})
                        if answer.text.endswith("data: [DONE]\n\n"):
                            received.append(answer.headers["x-request-id"])
                except httpx2.HTTPError:
                    return

    await asyncio.gather(*(one(number) for number in range(clients)))


@pytest.mark.slow
async def test_what_was_answered_is_on_record_after_a_kill_at_a_random_moment(site: SiteProcess) -> None:
    received: list[str] = []
    for _ in range(KILL_ROUNDS):
        site.start()
        before = len(received)
        loading = asyncio.create_task(load(site.base_url, received))
        while len(received) == before and not loading.done():
            await asyncio.sleep(0.01)
        await asyncio.sleep(random.uniform(0.0, 1.0))
        site.kill()
        await loading
        assert len(received) > before, "the load did not get through"
    kept = [row[0] for row in rows(site, "select request_id from chat_callrecord")]
    assert set(received) <= set(kept)
    assert len(kept) == len(set(kept))
    assert rows(site, "select count(*) from chat_attempt group by call_id, ordinal having count(*) > 1") == []


@pytest.mark.slow
async def test_a_call_in_flight_when_the_process_dies_becomes_interrupted(
    site: SiteProcess, simulator: SimulatorThread
) -> None:
    simulator.script("slow", Behaviour(latency_s=60))
    site.start()
    async with async_loopback_client(base_url=site.base_url) as client:
        call = asyncio.create_task(client.post("/chat", json={"prompt": "remember me", "model": "slow"}, timeout=60))
        give_up = time.monotonic() + 10
        while not rows(site, "select 1 from chat_callrecord where status = 'in_progress'"):
            assert time.monotonic() < give_up, "no row while in progress"
            await asyncio.sleep(0.1)
        site.kill()
        with pytest.raises(httpx2.HTTPError):
            await call
    site.start()
    give_up = time.monotonic() + 40
    while not rows(site, "select 1 from chat_callrecord where status = 'interrupted'"):
        assert time.monotonic() < give_up, "the row was never marked as interrupted"
        await asyncio.sleep(0.2)
    ((status, lease, messages),) = rows(
        site,
        "select c.status, c.lease_until, b.messages from chat_callrecord c join chat_callcontent b on b.call_id = c.id",
    )
    assert (status, lease) == ("interrupted", None)
    assert "remember me" in str(messages)


async def test_a_long_call_has_one_row_from_its_start_to_its_end(site: SiteProcess, simulator: SimulatorThread) -> None:
    simulator.script("slow", Behaviour(latency_s=2.5))
    site.start()
    async with async_loopback_client(base_url=site.base_url, timeout=20) as client:
        call = asyncio.create_task(client.post("/chat", json={"prompt": "a", "model": "slow"}))
        await asyncio.sleep(2)
        during = rows(site, "select request_id, status from chat_callrecord")
        answer = (await call).json()
    assert during == [(answer["request_id"], "in_progress")]
    assert rows(site, "select request_id, status, lease_until from chat_callrecord") == [
        (answer["request_id"], "succeeded", None)
    ]
    assert rows(site, "select count(*) from chat_attempt") == [(1,)]


async def test_sigterm_lets_open_calls_end_saves_them_and_exits_with_0(
    site: SiteProcess, simulator: SimulatorThread
) -> None:
    simulator.script("slow", Behaviour(answer=" ".join("word" for _ in range(40)), tokens_per_second=20))
    site.start()
    async with async_loopback_client(base_url=site.base_url, timeout=30) as client:
        stream = asyncio.create_task(client.post("/chat/stream", json={"prompt": "a", "model": "slow"}))
        whole = asyncio.create_task(client.post("/chat", json={"prompt": "a", "model": "slow"}))
        await asyncio.sleep(0.7)
        assert site.process is not None
        site.process.send_signal(signal.SIGTERM)
        streamed, answered = await asyncio.gather(stream, whole)
    assert streamed.text.endswith("data: [DONE]\n\n")
    assert answered.status_code == 200
    assert await asyncio.to_thread(site.terminate) == 0
    assert sorted(rows(site, "select door, status from chat_callrecord")) == [
        ("chat", "succeeded"),
        ("stream", "succeeded"),
    ]


@pytest.fixture
def hasty_site(tmp_path: Path, simulator: SimulatorThread) -> Iterator[SiteProcess]:
    """Gives open calls one second to end."""
    site = SiteProcess(tmp_path, upstream=simulator.base_url, SHUTDOWN_GRACE="1")
    site.migrate()
    site.start()
    yield site
    site.close()


@pytest.mark.slow
async def test_sigterm_cancels_calls_that_outlast_the_grace_and_keeps_them_on_record(
    hasty_site: SiteProcess, simulator: SimulatorThread
) -> None:
    simulator.script("stuck", Behaviour(stall_after=3))
    async with async_loopback_client(base_url=hasty_site.base_url, timeout=30) as client:
        stream = asyncio.create_task(client.post("/chat/stream", json={"prompt": "a", "model": "stuck"}))
        await asyncio.sleep(0.7)
        code = await asyncio.to_thread(hasty_site.terminate)
        with pytest.raises(httpx2.HTTPError):
            (await stream).raise_for_status()
    assert code == 0
    ((status, http_status, error_code, content),) = rows(
        hasty_site,
        "select status, http_status, error_code, content from chat_callrecord c"
        " join chat_callcontent b on b.call_id = c.id",
    )
    assert (status, http_status, error_code) == ("cancelled", 200, "service_stopped")
    assert content


@pytest.mark.slow
@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/chat", {"prompt": "a", "model": "stuck"}),
        ("/chat/parallel", {"prompt": "a", "models": ["stuck", "stuck"]}),
        ("/chat/stream", {"prompt": "a", "model": "stuck"}),
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": "a"}], "model": "stuck"}),
    ],
)
async def test_a_caller_whose_call_is_cancelled_by_the_end_of_the_service_is_told_so_as_its_row_is(
    hasty_site: SiteProcess, simulator: SimulatorThread, path: str, body: dict[str, object]
) -> None:
    simulator.script("stuck", Behaviour(latency_s=60))
    async with async_loopback_client(base_url=hasty_site.base_url, timeout=30) as client:
        call = asyncio.create_task(client.post(path, json=body))
        await asyncio.sleep(0.5)
        assert await asyncio.to_thread(hasty_site.terminate) == 0
        answer = await call
    assert answer.status_code == 503, answer.text
    error = answer.json()["error"]
    assert (error["code"], answer.headers["retry-after"]) == ("unavailable", "1")
    assert error.get("type") == ("server_error" if path.startswith("/v1") else None)
    assert rows(hasty_site, "select request_id, status, http_status, error_code from chat_callrecord") == [
        (error["request_id"], "cancelled", 503, "service_stopped")
    ]


@pytest.mark.slow
async def test_a_locked_database_delays_no_answer_for_long_and_loses_no_row(site: SiteProcess) -> None:
    site.start()
    path = site.environment["DATABASE_URL"].removeprefix("sqlite:///")
    blocker = sqlite3.connect(path, isolation_level=None)
    blocker.execute("begin immediate")
    async with async_loopback_client(base_url=site.base_url, timeout=30) as client:
        answers = [await client.post("/chat", json={"prompt": "a"}) for _ in range(3)]
        ready = (await client.get("/health/ready")).json()
        assert [answer.status_code for answer in answers] == [200] * 3
        assert ready["checks"]["recorder"]["spool_depth"] == 3
        blocker.execute("rollback")
        blocker.close()
        give_up = time.monotonic() + 15
        while (await client.get("/health/ready")).json()["checks"]["recorder"]["spool_depth"]:
            assert time.monotonic() < give_up, "the spool was not replayed"
            await asyncio.sleep(0.2)
    kept = {row[0] for row in rows(site, "select request_id from chat_callrecord")}
    assert kept == {answer.json()["request_id"] for answer in answers}
