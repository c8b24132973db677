"""Circuit breakers in an engine whose upstreams fail."""

from __future__ import annotations

import asyncio

import pytest

from llm import EMBEDDINGS, AttemptStatus, BreakerState, CallStatus, ModelOperation, ModelSkipped, UpstreamFailed
from llm.simulator import Behaviour, SimulatorThread
from tests.llm.conftest import StartEngine

M = ModelOperation("openai", "m", "chat.completions")
EMBEDDING = ModelOperation("openai", "m", "embeddings")


@pytest.mark.parametrize("stream", [False, True])
async def test_one_callers_failures_open_no_breaker_for_another(
    simulator: SimulatorThread, start_engine: StartEngine, stream: bool
) -> None:
    asker = await start_engine(breaker_failures=2)
    simulator.script("m", Behaviour(status=500, times=2), Behaviour())
    for _ in range(2):
        await asker.ask("m>ok", stream=stream, caller="odd")
    skipped = await asker.ask("m>ok", stream=stream, caller="odd")
    assert skipped.attempts[0].status is AttemptStatus.SKIPPED
    assert (await asker.ask("m>ok", stream=stream, caller="other")).model_used == "m"


async def test_a_refused_connection_opens_the_breaker_for_everybody(
    start_engine: StartEngine, refusing_upstream: str
) -> None:
    asker = await start_engine(refusing_upstream, breaker_failures=2)
    for _ in range(2):
        await asker.ask("m>spare/ok", caller="a")
    outcome = await asker.ask("m>spare/ok", caller="b")
    assert [attempt.status for attempt in outcome.attempts] == [AttemptStatus.SKIPPED, AttemptStatus.SUCCEEDED]


async def test_failed_embeddings_close_no_chat(simulator: SimulatorThread, start_engine: StartEngine) -> None:
    asker = await start_engine(breaker_failures=2)
    simulator.script("m", Behaviour(status=500, times=2), Behaviour())
    for _ in range(2):
        await asker.ask("m", {"input": "a"}, operation=EMBEDDINGS)
    assert asker.engine.breaker_states() == {EMBEDDING: BreakerState.OPEN}
    assert (await asker.ask("m>ok")).model_used == "m"
    assert asker.engine.breaker_states() == {EMBEDDING: BreakerState.OPEN}


@pytest.mark.parametrize("stream", [False, True])
async def test_a_model_whose_breaker_is_open_is_skipped_and_that_is_on_record(
    simulator: SimulatorThread, start_engine: StartEngine, stream: bool
) -> None:
    asker = await start_engine(breaker_failures=2)
    for _ in range(2):
        await asker.ask("sim-500>ok", stream=stream)
    outcome = await asker.ask("sim-500>ok", stream=stream)
    skipped, answered = outcome.attempts
    assert skipped.status is AttemptStatus.SKIPPED
    assert isinstance(skipped.error, ModelSkipped)
    assert (skipped.usage, skipped.cost_usd, skipped.latency_ms, skipped.http_status) == (None, None, None, None)
    assert answered.status is AttemptStatus.SUCCEEDED
    assert (outcome.status, outcome.model_used, outcome.fallback_triggered) == (CallStatus.SUCCEEDED, "ok", True)
    assert len([seen for seen in simulator.requests() if seen["model"] == "sim-500"]) == 2


@pytest.mark.parametrize("stream", [False, True])
async def test_a_race_goes_on_without_the_model_that_is_skipped(start_engine: StartEngine, stream: bool) -> None:
    asker = await start_engine(breaker_failures=1)
    await asker.ask("sim-500")
    outcome = await asker.ask("sim-500|ok", stream=stream)
    assert [(attempt.status, attempt.raced) for attempt in outcome.attempts] == [
        (AttemptStatus.SKIPPED, False),
        (AttemptStatus.SUCCEEDED, False),
    ]


@pytest.mark.parametrize("stream", [False, True])
async def test_the_last_stage_is_tried_even_if_all_its_breakers_are_open(
    simulator: SimulatorThread, start_engine: StartEngine, stream: bool
) -> None:
    asker = await start_engine(breaker_failures=1)
    simulator.script("m", Behaviour(status=500, times=1))
    await asker.ask("m")
    outcome = await asker.ask("sim-500>m", stream=stream)
    assert outcome.status is CallStatus.SUCCEEDED
    assert asker.engine.breaker_states() == {ModelOperation("openai", "sim-500", "chat.completions"): BreakerState.OPEN}


async def test_after_the_cooldown_one_trial_closes_it(simulator: SimulatorThread, start_engine: StartEngine) -> None:
    asker = await start_engine(breaker_failures=1, breaker_cooldown=1)
    simulator.script("m", Behaviour(status=500, times=1))
    await asker.ask("m>ok")
    assert (await asker.ask("m>ok")).model_used == "ok"
    await asyncio.sleep(1.05)
    assert asker.engine.breaker_states() == {M: BreakerState.HALF_OPEN}
    assert (await asker.ask("m>ok")).model_used == "m"
    assert asker.engine.breaker_states() == {}


@pytest.mark.parametrize("stream", [False, True])
async def test_of_50_calls_at_once_one_tries_a_half_open_model(
    simulator: SimulatorThread, start_engine: StartEngine, stream: bool
) -> None:
    asker = await start_engine(breaker_failures=1, breaker_cooldown=0.1)
    simulator.script("m", Behaviour(status=500, times=1), Behaviour(latency_s=1))
    await asker.ask("m>ok")
    await asyncio.sleep(0.15)
    outcomes = await asyncio.gather(*(asker.ask("m>ok", stream=stream) for _ in range(50)))
    assert sorted(outcome.model_used for outcome in outcomes) == ["m"] + ["ok"] * 49
    assert len([seen for seen in simulator.requests() if seen["model"] == "m"]) == 2


async def test_a_call_that_is_cancelled_in_its_trial_leaves_the_place_to_the_next(
    simulator: SimulatorThread, start_engine: StartEngine
) -> None:
    asker = await start_engine(breaker_failures=1, breaker_cooldown=0.1)
    simulator.script("m", Behaviour(status=500, times=1), Behaviour(latency_s=9, times=1))
    await asker.ask("m>ok")
    await asyncio.sleep(0.15)
    trial = asker.start("m>ok")
    await asyncio.sleep(0.1)
    trial.cancel()
    await trial.task
    assert (await asker.ask("m>ok")).model_used == "m"


async def test_a_loser_that_is_cancelled_says_nothing_about_its_model(
    simulator: SimulatorThread, start_engine: StartEngine
) -> None:
    asker = await start_engine(breaker_failures=1)
    simulator.script("m", Behaviour(latency_s=9))
    await asker.ask("m|ok")
    assert asker.engine.breaker_states() == {}


async def test_a_refused_parameter_says_nothing_about_its_model(
    simulator: SimulatorThread, start_engine: StartEngine
) -> None:
    asker = await start_engine(breaker_failures=1)
    simulator.script("m", Behaviour(refuse=("temperature",)))
    assert (await asker.ask("m", {"temperature": 0.5})).status is CallStatus.SUCCEEDED
    assert asker.engine.breaker_states() == {}


async def test_the_wait_that_came_with_a_429_is_the_cooldown(
    simulator: SimulatorThread, start_engine: StartEngine
) -> None:
    asker = await start_engine(breaker_failures=1, breaker_cooldown=60)
    simulator.script("m", Behaviour(status=429, retry_after="1", times=1))
    await asker.ask("m>ok")
    assert (await asker.ask("m>ok")).model_used == "ok"
    await asyncio.sleep(1.05)
    assert (await asker.ask("m>ok")).model_used == "m"


async def test_a_skipped_model_is_not_what_the_caller_is_told_about(
    simulator: SimulatorThread, start_engine: StartEngine
) -> None:
    asker = await start_engine(breaker_failures=1)
    await asker.ask("sim-503")
    outcome = await asker.ask("sim-503|sim-500")
    assert isinstance(outcome.error, UpstreamFailed)
    assert outcome.error.http_status == 500
