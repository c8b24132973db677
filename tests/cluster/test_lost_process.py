"""One of two processes is killed under load, and later the other is stopped in order. No call is lost."""

from __future__ import annotations

import asyncio
import time
from decimal import Decimal
from pathlib import Path

import pytest

from access.limits.meters import LEASE_SECONDS
from tests.cluster.held_upstream import HeldUpstream
from tests.cluster.installation import PATIENCE_SECONDS, Installation, eventually, statuses
from tests.cluster.load import Load, Outcomes, call
from tests.support.loopback import loopback_get

pytestmark = pytest.mark.slow

HELD = {"prompt": "a", "model": "held/model"}
HELD_CALLS = 8
# If nginx sent a call again, it would find a free place, and the test would notice.
PLACES = 2 * HELD_CALLS
CALLS = "select count(*) from chat_callrecord"
STARTED = f"{CALLS} where api_key = 'long' and status = 'in_progress'"


async def test_a_killed_process_loses_nothing_and_one_that_is_stopped_in_order_fails_no_call(
    installation: Installation, held: HeldUpstream
) -> None:
    long_key = installation.make_key("long", "--max-concurrent", str(PLACES))
    quick_key = installation.make_key("quick")
    killed, other = installation.sites
    long_calls = Outcomes()
    async with installation.client() as client:
        long_tasks = []
        for number in range(HELD_CALLS):  # one after the other, so that each process gets some of them
            path = ("/chat", "/chat/stream")[number // 2 % 2]
            long_tasks.append(asyncio.create_task(call(client, long_calls, path, HELD, long_key)))
            await eventually(lambda number=number: held.open == number + 1)
        load = Load(installation, quick_key)
        await eventually(lambda: installation.count(STARTED) == HELD_CALLS)
        await load.more(50)

        killed.kill()  # the process has ended when this returns, and no call has begun meanwhile
        killed_at = time.monotonic()
        await eventually(lambda: held.left > 0, lambda: "the killed process had none of the long calls")
        await load.more(200)  # from the other process alone
        held.release()
        await asyncio.gather(*long_tasks)
        assert 0 < held.left < HELD_CALLS, "all long calls were on one process"
        assert (len(long_calls.whole), len(long_calls.failed)) == (HELD_CALLS - held.left, held.left)
        assert held.seen == HELD_CALLS, "a call was sent again"
        await asyncio.to_thread(killed.start)
        await load.more(50)

        await asyncio.to_thread(installation.nginx.drain, other.port)
        assert await asyncio.to_thread(other.terminate) == 0
        await load.more(20)
        await asyncio.to_thread(other.start)
        await asyncio.to_thread(installation.nginx.drain)
        await load.more(50)
        await load.stop()
    assert load.outcomes.last_failed_at < killed_at, load.outcomes.failed
    assert len(load.outcomes.failed) <= load.clients

    await history_is_whole(installation, load.outcomes, long_calls)
    await nothing_waits_and_statistics_are_those_of_the_rows(installation)
    await places_are_free_again(installation, held, long_key)


async def history_is_whole(installation: Installation, quick: Outcomes, long: Outcomes) -> None:
    await eventually(lambda: not installation.count(f"{CALLS} where status = 'in_progress'"))
    kept = dict(installation.rows("select request_id, status from chat_callrecord where api_key in ('quick', 'long')"))
    assert len(kept) == installation.count(f"{CALLS} where api_key in ('quick', 'long')")
    assert kept.keys() <= {*quick.whole, *quick.failed, *long.whole, *long.failed}, "a row that nobody asked for"
    assert {request_id: kept.get(request_id) for request_id in (*quick.whole, *long.whole)} == dict.fromkeys(
        (*quick.whole, *long.whole), "succeeded"
    )
    assert {request_id: kept.get(request_id) for request_id in long.failed} == dict.fromkeys(long.failed, "interrupted")
    # A call of less than a second may have left no row. If it was recorded just before its process died, it has one.
    assert {kept.get(request_id) for request_id in quick.failed} <= {None, "succeeded", "interrupted"}
    assert installation.rows("select 1 from chat_attempt group by call_id, ordinal having count(*) > 1") == []


async def nothing_waits_and_statistics_are_those_of_the_rows(installation: Installation) -> None:
    for site in installation.sites:
        ready = loopback_get(f"{site.base_url}/health/ready", timeout=PATIENCE_SECONDS).json()
        assert ready["status"] == "ok"
        assert ready["checks"]["recorder"] == {"waiting": 0, "spool_depth": 0}
        assert ready["checks"]["open_calls"] == 0
        folder = Path(site.environment["SPOOL_DIR"])
        assert [file.name for file in folder.glob("*") if file.stat().st_size] == []
    async with installation.client() as client:
        stats = (await client.get("/stats", params={"group_by": "status"}, headers=installation.operator)).json()
    by_status = installation.rows("select status, count(*) from chat_callrecord group by status")
    assert {group["key"]: group["total_requests"] for group in stats["groups"]} == dict(by_status)
    ((total, prompt, completion, cost),) = installation.rows(
        "select count(*), sum(prompt_tokens), sum(completion_tokens), sum(cost_usd) from chat_callrecord"
    )
    assert (stats["total_requests"], stats["prompt_tokens"], stats["completion_tokens"]) == (total, prompt, completion)
    assert Decimal(str(stats["total_cost_usd"])) == pytest.approx(cost)


async def places_are_free_again(installation: Installation, held: HeldUpstream, headers: dict[str, str]) -> None:
    """All places are free at the same time. Those of the killed process are free when its leases have ended."""
    give_up = time.monotonic() + LEASE_SECONDS + PATIENCE_SECONDS
    while True:
        held.hold()
        async with installation.client() as client:
            calls = [asyncio.create_task(client.post("/chat", json=HELD, headers=headers)) for _ in range(PLACES)]
            await eventually(lambda calls=calls: held.open + sum(call.done() for call in calls) == PLACES)
            held.release()
            got = statuses(await asyncio.gather(*calls))
        if got == {200: PLACES}:
            return
        assert set(got) == {200, 429}
        assert time.monotonic() < give_up, got
        await asyncio.sleep(1)
