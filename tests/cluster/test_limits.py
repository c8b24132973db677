"""All processes share a limit, whichever of them a call reaches."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest

from llm.simulator import SimulatorThread
from tests.cluster.held_upstream import HeldUpstream
from tests.cluster.installation import Installation, burst, eventually, statuses

pytestmark = pytest.mark.slow

ORDER = {"prompt": "a", "model": "gpt-4o"}
HELD = {"prompt": "a", "model": "held/model"}


async def test_of_a_burst_over_both_processes_exactly_the_limit_passes(
    installation: Installation, simulator: SimulatorThread
) -> None:
    headers = installation.make_key("rate", "--rate-limit", "20/h")
    before = installation.nginx.calls_by_machine()
    answers = await burst(installation, 100, headers, ORDER)
    assert statuses(answers) == {200: 20, 429: 80}
    assert len(simulator.requests()) == 20
    assert installation.count("select count(*) from chat_callrecord where api_key = 'rate'") == 20
    came = await eventually(lambda: sum((by := installation.nginx.calls_by_machine() - before).values()) == 100 and by)
    assert len(came) == 2, "one process had them all, so nothing was shared"


async def test_never_more_calls_at_a_time_than_allowed_reach_the_upstream(
    installation: Installation, held: HeldUpstream
) -> None:
    headers = installation.make_key("places", "--max-concurrent", "3")
    for _ in range(2):  # the second time shows that the places are free again
        held.hold()
        async with installation.client() as client:
            calls = [asyncio.create_task(client.post("/chat", json=HELD, headers=headers)) for _ in range(30)]
            await eventually(lambda calls=calls: sum(call.done() for call in calls) == 27 and held.open == 3)
            held.release()
            answers = await asyncio.gather(*calls)
        assert statuses(answers) == {200: 3, 429: 27}
    assert (held.most, held.seen) == (3, 6)
    assert installation.count("select count(*) from chat_callrecord where api_key = 'places'") == 6


async def test_bursts_do_not_overrun_a_budget(installation: Installation, held: HeldUpstream) -> None:
    # Each call costs $0.00901. While it runs, it takes a little more than $0.01 of the budget, for up to 1,000 tokens.
    headers = installation.make_key("budget", "--usd-per-month", "0.06")
    held.release()
    passed = 0
    while True:
        answers = await burst(installation, 20, headers, HELD)
        assert set(statuses(answers)) <= {200, 429}
        passed += (now := statuses(answers)[200])
        if not now:
            break
    assert held.seen == passed
    assert installation.spent("budget") == passed * Decimal("0.00901")
    assert passed == 6, "as many as fit, and not one more"
