"""Retries: on the last stage only, no more than allowed, never too early, never in vain, never past the deadline."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from typing import Literal

import pytest

from llm import CallOutcome, CallStatus, ModelNotFound, ModelRef, UpstreamError, UpstreamFailed, UpstreamRateLimited
from llm.routing.notation import parse_route
from llm.routing.retry import RetryPolicy
from llm.routing.walk import Race, Walk
from llm.simulator import Behaviour, SimulatorThread
from tests.llm.conftest import StartEngine
from tests.support.virtual_time import virtual_time

Mode = Literal["whole", "streamed"]
MODES: list[Mode] = ["whole", "streamed"]


def times_asked(outcome: CallOutcome) -> dict[str, int]:
    return Counter(attempt.model for attempt in outcome.attempts)


@pytest.mark.parametrize("mode", MODES)
async def test_only_the_last_stage_is_retried(start_engine: StartEngine, mode: Mode) -> None:
    asker = await start_engine(max_retries=2)
    outcome = await asker.ask("sim-500>sim-502>sim-503", stream=mode == "streamed")
    assert times_asked(outcome) == {"sim-500": 1, "sim-502": 1, "sim-503": 3}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("max_retries", [0, 1, 4])
async def test_a_model_is_retried_as_often_as_allowed_and_no_more(
    simulator: SimulatorThread, start_engine: StartEngine, mode: Mode, max_retries: int
) -> None:
    asker = await start_engine(max_retries=max_retries)
    outcome = await asker.ask("sim-500", stream=mode == "streamed")
    assert len(outcome.attempts) == len(simulator.requests()) == max_retries + 1
    assert type(outcome.error) is UpstreamFailed


@pytest.mark.parametrize("mode", MODES)
async def test_a_retry_may_succeed(simulator: SimulatorThread, start_engine: StartEngine, mode: Mode) -> None:
    simulator.script("m", Behaviour(status=503, times=2))
    outcome = await (await start_engine(max_retries=2)).ask("m", stream=mode == "streamed")
    assert outcome.status is CallStatus.SUCCEEDED
    assert len(outcome.attempts) == 3
    assert not outcome.fallback_triggered


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("model", ["sim-400", "sim-401", "sim-403", "sim-404", "sim-422", "sim-quota", "sim-context"])
async def test_what_cannot_succeed_is_not_retried(start_engine: StartEngine, mode: Mode, model: str) -> None:
    outcome = await (await start_engine(max_retries=5)).ask(model, stream=mode == "streamed")
    assert len(outcome.attempts) == 1


@pytest.mark.parametrize("mode", MODES)
async def test_a_retry_is_never_earlier_than_retry_after(
    simulator: SimulatorThread, start_engine: StartEngine, mode: Mode
) -> None:
    simulator.script("m", Behaviour(status=429, retry_after="0.4", times=1))
    outcome = await (await start_engine(max_retries=1)).ask("m", stream=mode == "streamed")
    assert outcome.status is CallStatus.SUCCEEDED
    first, second = simulator.requests()
    assert 0.4 <= second["started_at"] - first["started_at"] <= 5


@pytest.mark.parametrize("mode", MODES)
async def test_a_retry_that_does_not_fit_into_the_deadline_is_not_waited_for(
    simulator: SimulatorThread, start_engine: StartEngine, mode: Mode
) -> None:
    simulator.script("m", Behaviour(status=429, retry_after="30"))
    started = time.perf_counter()
    outcome = await (await start_engine(max_retries=3)).ask("m", stream=mode == "streamed", timeout=20)
    assert time.perf_counter() - started < 10
    assert isinstance(outcome.error, UpstreamRateLimited)
    assert outcome.error.retry_after == 30
    assert len(outcome.attempts) == 1


@pytest.mark.parametrize("mode", MODES)
async def test_a_retry_after_of_an_earlier_stage_delays_nothing(
    simulator: SimulatorThread, start_engine: StartEngine, mode: Mode
) -> None:
    simulator.script("m", Behaviour(status=429, retry_after="30"))
    started = time.perf_counter()
    outcome = await (await start_engine(max_retries=3)).ask("m>ok", stream=mode == "streamed")
    assert time.perf_counter() - started < 10
    assert outcome.status is CallStatus.SUCCEEDED


@pytest.mark.parametrize("mode", MODES)
async def test_only_the_racers_that_a_retry_may_help_are_retried(start_engine: StartEngine, mode: Mode) -> None:
    asker = await start_engine(max_retries=2)
    outcome = await asker.ask("sim-500|sim-404|sim-quota", stream=mode == "streamed")
    assert times_asked(outcome) == {"sim-500": 3, "sim-404": 1, "sim-quota": 1}


@pytest.mark.parametrize("mode", MODES)
async def test_an_error_that_no_model_would_survive_ends_the_retries(start_engine: StartEngine, mode: Mode) -> None:
    asker = await start_engine(max_retries=2)
    outcome = await asker.ask("sim-500|sim-400", stream=mode == "streamed")
    assert times_asked(outcome) == {"sim-500": 1, "sim-400": 1}


async def test_a_retried_race_is_still_fetched_by_stream(simulator: SimulatorThread, start_engine: StartEngine) -> None:
    simulator.script("a", Behaviour(status=500, times=1))
    simulator.script("b", Behaviour(status=500, times=1))
    outcome = await (await start_engine(max_retries=1)).ask("a|b")
    assert outcome.status is CallStatus.SUCCEEDED
    assert all(seen["stream"] for seen in simulator.requests())


# When


def test_the_delay_is_full_jitter_below_a_ceiling_that_doubles_up_to_the_cap() -> None:
    policy = RetryPolicy(max_retries=9, base=0.5, cap=4)
    for retry, ceiling in enumerate([0.5, 1, 2, 4, 4, 4]):
        delays = [policy.delay(retry) for _ in range(2_000)]
        assert 0 <= min(delays) < 0.05 * ceiling
        assert 0.95 * ceiling < max(delays) <= ceiling
        assert 0.45 * ceiling < sum(delays) / len(delays) < 0.55 * ceiling


def test_a_delay_after_very_many_retries_is_the_cap_and_no_overflow() -> None:
    assert 0 <= RetryPolicy(max_retries=1_000, base=0.5, cap=8).delay(1_000) <= 8


def test_a_delay_after_absurdly_many_retries_is_the_cap_and_no_overflow() -> None:
    assert 0 <= RetryPolicy(max_retries=2_000, base=0.5, cap=8).delay(1_500) <= 8


async def walk(script: dict[str, list[tuple[float, UpstreamError | str]]], route: str) -> tuple[str, list[str]]:
    """One walk with up to two retries: its answer, and who was asked."""
    asked: list[str] = []

    async def attempt(model: ModelRef, race: Race) -> str:
        asked.append(model.name)
        seconds, answer = script[model.name].pop(0)
        await asyncio.sleep(seconds)
        if isinstance(answer, UpstreamError):
            raise answer
        return answer

    async def lost(answer: str) -> None:
        pass

    walking = Walk(
        attempt=attempt,
        lost=lost,
        deadline=100,
        hedge_after=0,
        may_hedge=lambda: True,
        may_ask=lambda model: True,
        retries=RetryPolicy(max_retries=2, base=0, cap=0),
    )
    return await walking.run(parse_route(route, providers=["p"], default_provider="p")), asked


def limited(seconds: float) -> UpstreamRateLimited:
    return UpstreamRateLimited("429", retry_after=seconds)


@virtual_time
async def test_racers_that_ask_for_the_same_wait_are_all_retried() -> None:
    """They fail a millisecond apart, as they always do."""
    script = {"a": [(1.0, limited(5)), (9, "slow")], "b": [(1.001, limited(5)), (1, "fast")]}
    answer, asked = await walk(script, "a|b")
    assert (answer, asked) == ("fast", ["a", "b", "a", "b"])


@virtual_time
async def test_a_racer_that_asks_for_a_longer_wait_is_retried_when_its_time_has_come() -> None:
    script = {"a": [(1.0, limited(1)), (1.0, ModelNotFound("404"))], "b": [(1.0, limited(3)), (1.0, "at last")]}
    answer, asked = await walk(script, "a|b")
    assert (answer, asked) == ("at last", ["a", "b", "a", "b"])
    assert asyncio.get_running_loop().time() == 5


async def test_racers_that_ask_for_different_waits_are_not_asked_too_early(
    simulator: SimulatorThread, start_engine: StartEngine
) -> None:
    simulator.script("a", Behaviour(status=429, retry_after="0.2", times=1), Behaviour(status=500))
    simulator.script("b", Behaviour(status=429, retry_after="0.6"))
    await (await start_engine(max_retries=2)).ask("a|b")
    first_b, *later_b = [seen["started_at"] for seen in simulator.requests() if seen["model"] == "b"]
    assert all(again - first_b >= 0.6 for again in later_b)
