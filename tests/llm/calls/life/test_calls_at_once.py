"""Racers and calls that run at the same time: losers end at their upstream, and answers do not mix."""

from __future__ import annotations

import asyncio

import pytest

from llm import AttemptStatus
from llm.simulator import Behaviour, SimulatorThread
from tests.llm.calls.life.leftovers import eventually
from tests.llm.conftest import Asker


@pytest.mark.parametrize(("route", "stream"), [("a|b|c", False), ("a|b|c", True)])
async def test_losers_are_cancelled_at_the_upstream_before_the_caller_has_the_answer(
    simulator: SimulatorThread, asker: Asker, route: str, stream: bool
) -> None:
    simulator.script("a", Behaviour(latency_s=60))
    simulator.script("b", Behaviour(first_token_s=60))
    outcome = await asker.ask(route, stream=stream)
    assert outcome.model_used == "c"
    assert [attempt.status for attempt in outcome.attempts] == [
        AttemptStatus.CANCELLED,
        AttemptStatus.CANCELLED,
        AttemptStatus.SUCCEEDED,
    ]
    await eventually(lambda: simulator.state.open_requests == 0, within=0.5)
    assert {seen["model"]: seen["ended"] for seen in simulator.requests()} == {
        "a": "disconnected",
        "b": "disconnected",
        "c": "complete",
    }


async def test_calls_at_once_do_not_mix(asker: Asker) -> None:
    async def ask(number: int) -> None:
        body = {"messages": [{"role": "user", "content": f"number {number};"}]}
        stream = number % 2 == 0
        outcome = await asker.ask("x|y" if number % 3 else "x", body, stream=stream)
        assert outcome.content.endswith(f"You said: number {number};")

    await asyncio.gather(*map(ask, range(150)))
    assert len(asker.outcomes) == 150
