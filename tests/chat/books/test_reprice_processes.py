"""manage.py reprice as a process that is killed, beside a service that writes: on SQLite and on PostgreSQL."""

from __future__ import annotations

import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from llm.simulator import SimulatorThread
from tests.support.database_servers import PostgresServer
from tests.support.loopback import loopback_client, loopback_get
from tests.support.site_subprocess import ROOT, SiteProcess

pytestmark = pytest.mark.slow

Query = Callable[[str], list[tuple[Any, ...]]]

CALLS = 1_500
OLD_PRICES = "gpt-4o=1/1;gpt-4o-mini=1/1;gpt-6-luna=1/1"
NEW_PRICES = "gpt-4o=2/3;gpt-4o-mini=4/5;gpt-6-luna=6/7"
# What an attempt costs by NEW_PRICES, in units of 1e-10 US dollars.
NEW_UNITS = """(CASE model WHEN 'gpt-4o' THEN 20000 * prompt_tokens + 30000 * completion_tokens
    WHEN 'gpt-4o-mini' THEN 40000 * prompt_tokens + 50000 * completion_tokens
    ELSE 60000 * prompt_tokens + 70000 * completion_tokens END)"""
UNITS = "CAST(ROUND(cost_usd * 10000000000) AS BIGINT)"
# Of the standard tier, and without sound and searches, because PRICES says nothing of the others.
WRONG_ATTEMPTS = f"""SELECT COUNT(*) FROM chat_attempt WHERE prompt_tokens IS NOT NULL AND {UNITS} <> {NEW_UNITS}
    AND service_tier IN ('', 'default') AND COALESCE(web_searches, 0) + COALESCE(file_searches, 0) = 0
    AND COALESCE(audio_prompt_tokens, 0) + COALESCE(audio_completion_tokens, 0) = 0"""
CHANGED = "SELECT COUNT(*) FROM chat_attempt WHERE original_cost_usd IS NOT NULL"
# Calls of which a part was changed: that have changed attempts, and do not cost their sum.
TORN = f"""SELECT COUNT(*) FROM chat_callrecord JOIN (
    SELECT call_id, SUM({UNITS}) AS whole, COUNT(original_cost_usd) AS changed FROM chat_attempt GROUP BY call_id
    ) AS sums ON call_id = id WHERE changed > 0 AND {UNITS} <> whole"""


@pytest.fixture(params=["SQLite", "PostgreSQL"])
def site(
    request: pytest.FixtureRequest, simulator: SimulatorThread, tmp_path: Path
) -> Iterator[tuple[SiteProcess, Query]]:
    if request.param == "SQLite":
        site = SiteProcess(tmp_path, upstream=simulator.base_url, PRICES=OLD_PRICES)

        def query(sql: str) -> list[tuple[Any, ...]]:
            with closing(sqlite3.connect(tmp_path / "site.sqlite3", timeout=20)) as connection:
                return connection.execute(sql).fetchall()

        yield site, query
        site.close()
        return
    # PostgreSQL runs as another user, so its folder cannot be inside pytest's own, which only the owner may enter.
    folder = Path(tempfile.mkdtemp(prefix="postgres-"))
    folder.chmod(0o755)
    server = PostgresServer(folder)
    server.start()
    site = SiteProcess(tmp_path, upstream=simulator.base_url, PRICES=OLD_PRICES, DATABASE_URL=server.url)
    yield site, server.query
    site.close()
    server.close()
    shutil.rmtree(folder)


def start_repricing(site: SiteProcess) -> subprocess.Popen[str]:
    # The batches are small, so that the end comes late enough to be cut off.
    command = [sys.executable, "manage.py", "reprice", "--since=60d", "--no-input", "--batch-size=5"]
    return subprocess.Popen(
        command,
        cwd=ROOT,
        env=site.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A shell that runs the tests in the background has told all that it starts to ignore SIGINT.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509
    )


def wait_for_changes(query: Query, process: subprocess.Popen[str], more_than: int) -> None:
    give_up = time.monotonic() + 60
    while query(CHANGED)[0][0] <= more_than:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < give_up
        time.sleep(0.02)


def test_repricing_can_be_killed_and_repeated_beside_a_service_that_writes(site: tuple[SiteProcess, Query]) -> None:
    process, query = site
    process.migrate()
    process.manage("make_calls", "-v0", "--count", str(CALLS), "--days", "30", "--seed", "1")
    process.manage("roll_up", "-v0")
    process.environment["PRICES"] = NEW_PRICES
    process.start()
    statuses: list[int] = []
    stop = threading.Event()

    def ask() -> None:
        with loopback_client(base_url=process.base_url, timeout=30) as client:
            while not stop.is_set():
                statuses.append(client.post("/chat", json={"prompt": "a", "model": "gpt-4o"}).status_code)

    caller = threading.Thread(target=ask)
    caller.start()
    try:
        with start_repricing(process) as killed:
            wait_for_changes(query, killed, more_than=100)
            killed.send_signal(signal.SIGKILL)
            killed.communicate(timeout=20)
        changed = query(CHANGED)[0][0]
        assert 100 < changed < CALLS
        assert query(TORN) == [(0,)]

        with start_repricing(process) as interrupted:
            wait_for_changes(query, interrupted, more_than=changed + 100)
            interrupted.send_signal(signal.SIGINT)
            _, errors = interrupted.communicate(timeout=20)
        assert interrupted.returncode == 130
        assert "Interrupted. Calls before" in errors
        assert "Traceback" not in errors
        assert query(TORN) == [(0,)]
        assert query(WRONG_ATTEMPTS)[0][0] > 0

        process.manage("reprice", "--since=60d", "--no-input")
    finally:
        stop.set()
        caller.join(30)
    assert len(statuses) > 20
    assert set(statuses) == {200}
    assert query(WRONG_ATTEMPTS) == query(TORN) == [(0,)]
    assert process.manage("reprice", "--since=60d", "--no-input").startswith("0 of ")

    for _ in range(2):  # first the changed hours are read from their calls, then all are read from roll-ups
        [(units,)] = query(f"SELECT SUM({UNITS}) FROM chat_callrecord")
        answer = loopback_get(f"{process.base_url}/stats", timeout=30).json()
        assert answer["total_cost_usd"] == pytest.approx(float(units) / 10**10, rel=1e-15)
        assert answer["total_requests"] == query("SELECT COUNT(*) FROM chat_callrecord")[0][0]
        process.manage("roll_up", "-v0")
    rolled_until = "(SELECT MAX(rolled_until) FROM stats_rollupstate)"
    assert query(f"SELECT COUNT(*) FROM chat_latehour WHERE hour < {rolled_until}") == [(0,)]
    of_calls = query(f"SELECT SUM({UNITS}) FROM chat_callrecord WHERE created_at < {rolled_until}")
    assert query("SELECT SUM(cost) FROM stats_hourlycalls") == of_calls
