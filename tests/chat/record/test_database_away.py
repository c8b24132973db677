"""The database goes away under load, and comes back: a real PostgreSQL, stopped and killed."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from chat.record.recorder import PATIENCE_SECONDS
from llm.simulator import SimulatorThread
from tests.support.database_servers import PostgresServer
from tests.support.loopback import async_loopback_client
from tests.support.site_subprocess import SiteProcess

pytestmark = pytest.mark.slow


@pytest.fixture
def postgres() -> Iterator[PostgresServer]:
    # Not below pytest's own folder, which only its owner may enter.
    folder = Path(tempfile.mkdtemp(prefix="postgres-"))
    folder.chmod(0o755)
    server = PostgresServer(folder)
    server.start()
    yield server
    server.close()
    shutil.rmtree(folder)


@pytest.fixture
def site(tmp_path: Path, simulator: SimulatorThread, postgres: PostgresServer) -> Iterator[SiteProcess]:
    site = SiteProcess(tmp_path, upstream=simulator.base_url, DATABASE_URL=postgres.url)
    site.migrate()
    site.start()
    yield site
    site.close()


class Load:
    """Calls one after the other by a few clients, until `stop()`. Every one of them must be answered."""

    def __init__(self, site: SiteProcess) -> None:
        self._site = site
        self._stopped = False
        self.answered: list[str] = []
        self.slowest = 0.0
        self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        async with async_loopback_client(base_url=self._site.base_url, timeout=30) as client:
            await asyncio.gather(*(self._client(client) for _ in range(8)))

    async def _client(self, client: httpx2.AsyncClient) -> None:
        while not self._stopped:
            begun = time.monotonic()
            answer = await client.post("/chat", json={"prompt": "a", "model": "gpt-4o"})
            assert answer.status_code == 200, answer.text
            self.slowest = max(self.slowest, time.monotonic() - begun)
            self.answered.append(answer.json()["request_id"])

    async def more(self, count: int) -> None:
        """Wait for some more answers."""
        wanted = len(self.answered) + count
        give_up = time.monotonic() + 40
        while len(self.answered) < wanted:
            assert time.monotonic() < give_up, "no answers any more"
            assert not self._task.done(), self._task.result()
            await asyncio.sleep(0.02)

    async def stop(self) -> None:
        self._stopped = True
        await self._task


async def checks(site: SiteProcess) -> tuple[int, dict[str, object]]:
    async with async_loopback_client(base_url=site.base_url, timeout=30) as client:
        ready = await client.get("/health/ready")
    return ready.status_code, ready.json()["checks"]


async def replayed(site: SiteProcess) -> None:
    give_up = time.monotonic() + 40
    while True:
        status, state = await checks(site)
        if status == 200 and state["recorder"] == {"waiting": 0, "spool_depth": 0}:
            return
        assert time.monotonic() < give_up, state
        await asyncio.sleep(0.2)


@pytest.mark.parametrize("how", ["stopped", "killed"])
async def test_calls_are_answered_while_the_database_is_away_and_every_row_is_there_once_when_it_is_back(
    site: SiteProcess, postgres: PostgresServer, how: str
) -> None:
    load = Load(site)
    for _ in range(2):
        await load.more(30)
        await asyncio.to_thread(postgres.stop if how == "stopped" else postgres.kill)
        await load.more(60)
        status, state = await checks(site)
        assert (status, state["database"]) == (503, "away")
        assert state["recorder"]["spool_depth"] > 0  # type: ignore[index]
        await asyncio.to_thread(postgres.start)
        await load.more(30)
        await replayed(site)
    await load.stop()
    await replayed(site)
    kept = [row[0] for row in postgres.query("select request_id from chat_callrecord")]
    assert sorted(kept) == sorted(load.answered)
    assert postgres.query("select count(*) from chat_attempt") == [(len(kept),)]
    assert postgres.query("select count(*) from chat_callcontent") == [(len(kept),)]
    assert list((site.output.parent / "spool").glob("*.spool")) == []
    assert "record_delayed" not in site.output.read_text()
    assert load.slowest < PATIENCE_SECONDS


async def test_what_waits_in_the_spool_of_a_killed_process_is_put_in_by_the_next_one(
    site: SiteProcess, postgres: PostgresServer
) -> None:
    load = Load(site)
    await load.more(5)
    await asyncio.to_thread(postgres.stop)
    await load.more(20)
    await load.stop()
    site.kill()
    (spool,) = (site.output.parent / "spool").glob("*.spool")
    waiting = len(spool.read_bytes().splitlines())
    with spool.open("ab") as file:
        file.write(b'1234abcd {"call": {"request_id": "req_cut_in_ha')
    # A process that starts waits for the database, because it must look at the migrations first.
    starting = asyncio.create_task(asyncio.to_thread(site.start))
    give_up = time.monotonic() + 20
    while "Waiting for the database at" not in site.output.read_text():
        assert time.monotonic() < give_up, "the next process does not wait"
        await asyncio.sleep(0.1)
    assert len(spool.read_bytes().splitlines()) == waiting + 1
    await asyncio.to_thread(postgres.start)
    await starting
    await replayed(site)
    give_up = time.monotonic() + 20
    while spool.exists():
        assert time.monotonic() < give_up, "the dead process's spool was left alone"
        await asyncio.sleep(0.1)
    kept = [row[0] for row in postgres.query("select request_id from chat_callrecord")]
    assert sorted(kept) == sorted(load.answered)
    assert "spool_line_skipped" in site.output.read_text()
    assert "req_cut_in_ha" in (spool.parent / "rejected.jsonl").read_text()


@pytest.mark.parametrize("killed", [False, True])
async def test_a_database_that_hangs_costs_no_answer_and_no_row(
    site: SiteProcess, postgres: PostgresServer, killed: bool
) -> None:
    load = Load(site)
    await load.more(20)
    await asyncio.to_thread(postgres.freeze)
    try:
        await load.more(60)
        status, state = await checks(site)
        assert (status, state["database"]) == (503, "away")
        assert state["recorder"]["spool_depth"] > 0  # type: ignore[index]
        if killed:
            await load.stop()
            site.kill()
    finally:
        await asyncio.to_thread(postgres.thaw)
    if killed:
        await asyncio.to_thread(site.start)
    else:
        await load.more(20)
        await load.stop()
    spool = site.output.parent / "spool"
    give_up = time.monotonic() + 30
    while list(spool.glob("*.spool")):
        assert time.monotonic() < give_up, "what was put aside was left there"
        await asyncio.sleep(0.1)
    await replayed(site)
    kept = [row[0] for row in postgres.query("select request_id from chat_callrecord")]
    assert sorted(kept) == sorted(load.answered)
    assert postgres.query("select count(*) from chat_attempt") == [(len(kept),)]
    assert "record_delayed" not in site.output.read_text()
