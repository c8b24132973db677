"""Hedges: a second racer for the slow few, within a budget that holds when all are slow."""

from __future__ import annotations

import asyncio
import time
from itertools import pairwise

import pytest

from llm import AttemptStatus, CallOutcome, CallStatus
from llm.routing.hedging import WINDOW_SECONDS, HedgeBudget
from llm.simulator import Behaviour, SimulatorThread
from tests.llm.conftest import StartEngine
from tests.support.clock import Clock


def hedges(budget: HedgeBudget, asked: int) -> int:
    return sum(budget.allow() for _ in range(asked))


def test_of_many_calls_a_share_may_hedge() -> None:
    budget = HedgeBudget(share=0.1, clock=Clock())
    for _ in range(200):
        budget.call_started()
    assert hedges(budget, 200) == 20


def test_a_lone_call_may_hedge_once() -> None:
    budget = HedgeBudget(share=0.1, clock=Clock())
    budget.call_started()
    assert hedges(budget, 5) == 1


@pytest.mark.parametrize("share", [0, -1])
def test_no_share_means_no_hedges(share: float) -> None:
    budget = HedgeBudget(share=share, clock=Clock())
    budget.call_started()
    assert hedges(budget, 5) == 0


def test_a_share_of_one_lets_every_call_hedge() -> None:
    budget = HedgeBudget(share=1, clock=Clock())
    for _ in range(50):
        budget.call_started()
    assert hedges(budget, 60) == 50


def test_calls_and_hedges_outside_the_window_are_forgotten() -> None:
    clock = Clock()
    budget = HedgeBudget(share=0.5, clock=clock)
    for _ in range(10):
        budget.call_started()
    assert hedges(budget, 10) == 5
    clock.now = WINDOW_SECONDS + 0.1
    for _ in range(4):
        budget.call_started()
    assert hedges(budget, 10) == 2


def test_the_window_moves_so_that_a_burst_at_its_edge_gets_no_double_budget() -> None:
    clock = Clock()
    budget = HedgeBudget(share=0.1, clock=clock)
    granted: list[float] = []
    for step in range(400):
        clock.now = step * 0.1
        budget.call_started()
        granted += [clock.now] * budget.allow()
    for start in range(30):
        inside = [moment for moment in granted if start <= moment < start + WINDOW_SECONDS]
        assert len(inside) <= 0.1 * 101 + 1


# In an engine


def second_attempts(outcomes: list[CallOutcome]) -> int:
    return len([outcome for outcome in outcomes if len(outcome.attempts) > 1])


@pytest.mark.parametrize("stream", [False, True])
async def test_the_second_racer_starts_after_hedge_after_and_may_win(
    simulator: SimulatorThread, start_engine: StartEngine, stream: bool
) -> None:
    simulator.script("slow", Behaviour(latency_s=9))
    outcome = await (await start_engine()).ask("slow|fast|never", stream=stream, hedge_after=0.2)
    assert (outcome.status, outcome.model_used) == (CallStatus.SUCCEEDED, "fast")
    first, second = outcome.attempts
    assert (first.status, second.status) == (AttemptStatus.CANCELLED, AttemptStatus.SUCCEEDED)
    assert first.raced and second.raced
    assert 195 <= second.started_after_ms <= 5_000  # and not when the first would have answered
    assert not outcome.fallback_triggered


@pytest.mark.parametrize("stream", [False, True])
async def test_a_quick_answer_starts_no_second_racer(
    simulator: SimulatorThread, start_engine: StartEngine, stream: bool
) -> None:
    outcome = await (await start_engine()).ask("a|b", stream=stream, hedge_after=2)
    assert [attempt.raced for attempt in outcome.attempts] == [False]
    assert [seen["model"] for seen in simulator.requests()] == ["a"]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("budget", [0, 1])
async def test_a_first_racer_that_fails_starts_the_second_at_once_budget_or_not(
    start_engine: StartEngine, stream: bool, budget: float
) -> None:
    started = time.perf_counter()
    outcome = await (await start_engine(hedge_budget=budget)).ask("sim-500|ok", stream=stream, hedge_after=20)
    assert time.perf_counter() - started < 10
    assert outcome.model_used == "ok"


@pytest.mark.parametrize("stream", [False, True])
async def test_without_budget_the_second_racer_waits_for_the_first_to_fail(
    simulator: SimulatorThread, start_engine: StartEngine, stream: bool
) -> None:
    simulator.script("a", Behaviour(status=500, latency_s=0.4))
    outcome = await (await start_engine(hedge_budget=0)).ask("a|ok", stream=stream, hedge_after=0.1)
    assert outcome.model_used == "ok"
    assert outcome.attempts[1].started_after_ms >= 395


@pytest.mark.parametrize("stream", [False, True])
async def test_the_budget_holds_when_every_upstream_turns_slow_at_once(
    simulator: SimulatorThread, start_engine: StartEngine, stream: bool
) -> None:
    for model in ("a", "b"):
        simulator.script(model, Behaviour(latency_s=1.0))
    asker = await start_engine(hedge_budget=0.1)
    outcomes = await asyncio.gather(*(asker.ask("a|b", stream=stream, hedge_after=0.05) for _ in range(200)))
    assert {outcome.status for outcome in outcomes} == {CallStatus.SUCCEEDED}
    assert 1 <= second_attempts(outcomes) <= 20
    assert len(simulator.requests()) == 200 + second_attempts(outcomes)


async def test_a_race_that_starts_all_at_once_is_not_limited(
    simulator: SimulatorThread, start_engine: StartEngine
) -> None:
    for model in ("a", "b"):
        simulator.script(model, Behaviour(latency_s=0.2))
    asker = await start_engine(hedge_budget=0)
    outcomes = await asyncio.gather(*(asker.ask("a|b", hedge_after=0) for _ in range(40)))
    assert second_attempts(outcomes) == 40


async def test_calls_of_a_single_model_earn_no_budget_for_the_races_of_others(
    simulator: SimulatorThread, start_engine: StartEngine
) -> None:
    """HEDGE_AFTER is a setting for all calls: a busy /chat must not let every call of a quiet race double its load."""
    for model in ("a", "b"):
        simulator.script(model, Behaviour(latency_s=0.3))
    asker = await start_engine(hedge_budget=0.1)
    await asyncio.gather(*(asker.ask("ok", hedge_after=0.05) for _ in range(100)))
    outcomes = await asyncio.gather(*(asker.ask("a|b", hedge_after=0.05) for _ in range(10)))
    assert second_attempts(outcomes) == 1


async def test_a_retried_race_is_hedged_within_the_budget_too(
    simulator: SimulatorThread, start_engine: StartEngine
) -> None:
    for model in ("a", "b"):
        simulator.script(model, Behaviour(status=500, latency_s=0.2))
    outcome = await (await start_engine(max_retries=1, hedge_budget=0)).ask("a|b", hedge_after=0.05)
    started = [attempt.started_after_ms for attempt in outcome.attempts]
    assert len(started) == 4
    assert all(later - earlier >= 195 for earlier, later in pairwise(started))
