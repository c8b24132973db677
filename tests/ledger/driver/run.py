"""One run: the ledger, the service as a process of its own, and all callers."""

from __future__ import annotations

import asyncio
import io
import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import aiohttp

from tests.ledger.driver.calls import Call, Caller
from tests.ledger.driver.rows import PLACES, AttemptRow, Rows
from tests.ledger.upstream.lines import Ledger, Line
from tests.ledger.upstream.server import LedgerUpstream
from tests.support.site_subprocess import SiteProcess

# How many calls run at once.
AT_ONCE = 24

# How long to wait for what the service reads on after the last call, and how long nothing must have changed then.
SETTLED_WITHIN = 90.0
SETTLED_FOR = 0.5

# Hedges would be rare with the usual budget.
SETTINGS = {"HEDGE_BUDGET": "0.5", "LOG_LEVEL": "WARNING", "BREAKER_FAILURES": "20"}


@dataclass(frozen=True, slots=True)
class Run:
    """What the ledger has billed, and what our side says when nothing is worked on or read on any more."""

    seed: int
    calls: int
    lines: tuple[Line, ...]
    attempts: tuple[AttemptRow, ...]
    # The marks of the calls that had a deadline, or whose callers hung up.
    hurried: frozenset[str]
    # The sum over our calls, and what /stats says of the same.
    rows_usd: Decimal
    stats_usd: Decimal


def run(seed: int, calls: int, *, warm: bool = True) -> Run:
    """With `warm`, each model is asked in peace before the random calls begin."""
    with tempfile.TemporaryDirectory(prefix="ledger-") as folder:
        return asyncio.run(_run(seed, calls, Path(folder), warm=warm))


async def _run(seed: int, calls: int, folder: Path, *, warm: bool) -> Run:
    caller, upstream = Caller(seed), LedgerUpstream(seed)
    async with upstream.serve() as base_url:
        site = SiteProcess(folder, upstream=base_url, **SETTINGS)
        try:
            await asyncio.to_thread(site.migrate)
            await asyncio.to_thread(site.start)
            rows = Rows(folder / "site.sqlite3")
            async with aiohttp.ClientSession(
                base_url=site.base_url, connector=aiohttp.TCPConnector(limit=0)
            ) as session:
                if warm:
                    await _call_all(session, iter(caller.warm_up()), upstream.ledger)
                await _call_all(session, map(caller.call, range(calls)), upstream.ledger)
                await _settle(rows, upstream.ledger)
                async with session.get("/stats") as response:
                    stats = await response.json()
            ended = await asyncio.to_thread(site.terminate)
            assert ended == 0, site.output.read_text()
            return Run(
                seed=seed,
                calls=calls,
                lines=tuple(upstream.ledger.lines),
                attempts=tuple(rows.attempts()),
                hurried=frozenset(call.mark for call in map(caller.call, range(calls)) if call.is_hurried),
                rows_usd=rows.total_usd(),
                stats_usd=Decimal(str(stats["total_cost_usd"])).quantize(PLACES),
            )
        finally:
            await asyncio.to_thread(site.close)


async def _call_all(session: aiohttp.ClientSession, calls: Iterator[Call], ledger: Ledger) -> None:
    async def work() -> None:
        for call in calls:
            await _call(session, call, ledger)

    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(work())


async def _call(session: aiohttp.ClientSession, call: Call, ledger: Ledger) -> None:
    """Make a call and read its answer, or hang up. An error of the service is an answer too."""
    body = io.BytesIO(json.dumps(call.body).encode())  # aiohttp warns of a long one that is not a file
    headers = {"Content-Type": "application/json", **call.headers}
    try:
        async with (
            asyncio.timeout(call.hangs_up_after),
            session.post(call.path, data=body, headers=headers) as response,
        ):
            answer = await response.read()
    except TimeoutError:
        return
    if response.status == 400 and not any(line.mark == call.mark for line in ledger.lines):
        raise AssertionError(f"the service does not take a call of this driver: {call.path} {answer.decode()}")


async def _settle(rows: Rows, ledger: Ledger) -> None:
    """Wait until nothing is worked on or read on, and every call that has reached the ledger has its row."""
    loop = asyncio.get_running_loop()
    give_up = loop.time() + SETTLED_WITHIN
    before, since = -1, loop.time()
    while loop.time() < give_up:
        count = rows.calls()
        if ledger.open or rows.open_calls() or count != before:
            before, since = count, loop.time()
        elif loop.time() - since >= SETTLED_FOR:
            return
        await asyncio.sleep(0.05)
    raise AssertionError(f"after {SETTLED_WITHIN} s, {rows.open_calls()} calls still run")
