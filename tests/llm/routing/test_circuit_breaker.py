"""The circuit breaker, by itself with a clock of the test's, and in an engine whose upstreams fail."""

from __future__ import annotations

import asyncio

import pytest

from llm import EMBEDDINGS, AttemptStatus, BreakerState, CallStatus, ModelOperation, ModelSkipped, UpstreamFailed
from llm.routing.circuit_breaker import MAX_BREAKERS, MAX_CALLERS, CircuitBreakers, Permit
from llm.simulator import Behaviour, SimulatorThread
from tests.llm.conftest import StartEngine
from tests.support.clock import Clock

M = ModelOperation("openai", "m", "chat.completions")
OTHER = ModelOperation("other", "m", "chat.completions")
EMBEDDING = ModelOperation("openai", "m", "embeddings")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breakers(clock: Clock) -> CircuitBreakers:
    return CircuitBreakers(failures=3, cooldown=30.0, clock=clock)


def fail(
    breakers: CircuitBreakers,
    target: ModelOperation = M,
    *,
    caller: str = "",
    times: int = 3,
    retry_after: float | None = None,
    certain: bool = False,
) -> None:
    for _ in range(times):
        permit = breakers.admit(target, caller) or Permit(target, caller)
        breakers.failed(permit, retry_after=retry_after, certain=certain)


def test_it_opens_after_so_many_failures_in_a_row_and_not_before(breakers: CircuitBreakers) -> None:
    fail(breakers, times=2)
    assert breakers.state(M) is BreakerState.CLOSED
    assert breakers.admit(M)
    fail(breakers, times=1)
    assert breakers.state(M) is BreakerState.OPEN
    assert breakers.admit(M) is None
    assert not breakers.would_admit(M)


def test_a_success_ends_the_row(breakers: CircuitBreakers) -> None:
    for _ in range(5):
        fail(breakers, times=2)
        breakers.succeeded(Permit(M))
    assert breakers.state(M) is BreakerState.CLOSED


def test_an_attempt_without_a_verdict_neither_counts_nor_ends_the_row(breakers: CircuitBreakers) -> None:
    fail(breakers, times=2)
    for _ in range(5):
        breakers.released(Permit(M))
    assert breakers.state(M) is BreakerState.CLOSED
    fail(breakers, times=1)
    assert breakers.state(M) is BreakerState.OPEN


def test_each_model_of_each_provider_has_its_own(breakers: CircuitBreakers) -> None:
    fail(breakers)
    assert breakers.states() == {M: BreakerState.OPEN}
    assert breakers.admit(OTHER)


def test_it_is_half_open_when_the_cooldown_is_over(breakers: CircuitBreakers, clock: Clock) -> None:
    fail(breakers)
    clock.now += 29.9
    assert breakers.state(M) is BreakerState.OPEN
    clock.now += 0.1
    assert breakers.states() == {M: BreakerState.HALF_OPEN}


@pytest.mark.parametrize("retry_after", [2.0, 300.0])
def test_the_upstreams_own_wait_stands_for_the_cooldown(
    breakers: CircuitBreakers, clock: Clock, retry_after: float
) -> None:
    fail(breakers, retry_after=retry_after)
    clock.now += retry_after - 0.1
    assert breakers.state(M) is BreakerState.OPEN
    clock.now += 0.2
    assert breakers.state(M) is BreakerState.HALF_OPEN


def test_a_trial_that_succeeds_closes_it(breakers: CircuitBreakers, clock: Clock) -> None:
    fail(breakers)
    clock.now += 30
    trial = breakers.admit(M)
    assert trial is not None and trial.is_trial
    breakers.succeeded(trial)
    assert breakers.states() == {}
    fail(breakers, times=2)
    assert breakers.state(M) is BreakerState.CLOSED


def test_a_trial_that_fails_opens_it_again_at_once_for_the_whole_cooldown(
    breakers: CircuitBreakers, clock: Clock
) -> None:
    fail(breakers)
    clock.now += 30
    trial = breakers.admit(M)
    assert trial is not None
    clock.now += 5
    breakers.failed(trial)
    clock.now += 29.9
    assert breakers.state(M) is BreakerState.OPEN
    clock.now += 0.1
    assert breakers.would_admit(M)


def test_half_open_lets_one_trial_through_until_it_has_ended(breakers: CircuitBreakers, clock: Clock) -> None:
    fail(breakers)
    clock.now += 30
    assert breakers.admit(M)
    clock.now += 1_000
    assert not breakers.would_admit(M)
    assert breakers.admit(M) is None


async def test_half_open_lets_one_trial_through_when_50_tasks_ask_at_once(
    breakers: CircuitBreakers, clock: Clock
) -> None:
    fail(breakers)
    clock.now += 30
    gate = asyncio.Event()

    async def ask() -> Permit | None:
        await gate.wait()
        return breakers.admit(M)

    tasks = [asyncio.create_task(ask()) for _ in range(50)]
    await asyncio.sleep(0)
    gate.set()
    permits = await asyncio.gather(*tasks)
    assert len([permit for permit in permits if permit]) == 1


def test_a_trial_that_is_cancelled_gives_its_place_back(breakers: CircuitBreakers, clock: Clock) -> None:
    fail(breakers)
    clock.now += 30
    for _ in range(3):
        trial = breakers.admit(M)
        assert trial is not None and trial.is_trial
        breakers.released(trial)
        assert breakers.state(M) is BreakerState.HALF_OPEN


def test_one_that_was_cancelled_and_is_no_trial_gives_no_place_away(breakers: CircuitBreakers, clock: Clock) -> None:
    early = breakers.admit(M)
    assert early is not None
    fail(breakers)
    clock.now += 30
    assert breakers.admit(M)
    breakers.released(early)
    assert breakers.admit(M) is None


def test_models_without_end_take_no_memory_without_end(breakers: CircuitBreakers) -> None:
    for number in range(MAX_BREAKERS + 10):
        fail(breakers, ModelOperation("openai", str(number), "embeddings"))
    assert len(breakers.states()) == MAX_BREAKERS
    assert breakers.state(ModelOperation("openai", "0", "embeddings")) is BreakerState.CLOSED


# Operations and callers


def test_each_operation_of_a_model_has_its_own(breakers: CircuitBreakers) -> None:
    fail(breakers, EMBEDDING)
    assert breakers.states() == {EMBEDDING: BreakerState.OPEN}
    assert breakers.admit(M)
    fail(breakers, times=2)
    breakers.succeeded(Permit(EMBEDDING))
    fail(breakers, times=1)
    assert breakers.states() == {M: BreakerState.OPEN}


def test_the_failures_of_one_caller_open_it_for_this_caller_only(breakers: CircuitBreakers, clock: Clock) -> None:
    fail(breakers, caller="odd", times=20)
    assert breakers.state(M, "odd") is BreakerState.OPEN
    assert breakers.state(M, "other") is BreakerState.CLOSED
    assert breakers.admit(M, "odd") is None
    assert breakers.admit(M, "other")
    assert breakers.states() == {M: BreakerState.OPEN}
    clock.now += 30
    assert breakers.state(M, "odd") is BreakerState.HALF_OPEN


def test_the_failures_of_several_callers_open_it_for_everybody(breakers: CircuitBreakers) -> None:
    fail(breakers, caller="a", times=2)
    assert breakers.state(M, "c") is BreakerState.CLOSED
    fail(breakers, caller="b", times=1)
    assert breakers.state(M, "c") is BreakerState.OPEN


def test_one_caller_counts_for_at_most_half_of_what_opens_it_for_everybody(clock: Clock) -> None:
    breakers = CircuitBreakers(failures=5, cooldown=30.0, clock=clock)
    fail(breakers, caller="odd", times=20)
    fail(breakers, caller="b", times=1)
    assert breakers.state(M, "c") is BreakerState.CLOSED
    fail(breakers, caller="b", times=1)
    assert breakers.state(M, "c") is BreakerState.OPEN


def test_where_one_failure_is_enough_it_takes_two_callers(clock: Clock) -> None:
    breakers = CircuitBreakers(failures=1, cooldown=30.0, clock=clock)
    fail(breakers, caller="a", times=1)
    assert breakers.state(M, "a") is BreakerState.OPEN
    assert breakers.state(M, "c") is BreakerState.CLOSED
    fail(breakers, caller="b", times=1)
    assert breakers.state(M, "c") is BreakerState.OPEN


def test_failures_whose_reason_can_not_be_in_a_request_open_it_for_everybody(breakers: CircuitBreakers) -> None:
    fail(breakers, caller="a", times=2, certain=True)
    assert breakers.state(M, "b") is BreakerState.CLOSED
    fail(breakers, caller="a", times=1, certain=True)
    assert breakers.state(M, "b") is BreakerState.OPEN


def test_a_success_of_any_caller_closes_it_for_everybody(breakers: CircuitBreakers) -> None:
    fail(breakers, caller="odd", times=20)
    breakers.succeeded(Permit(M, "other"))
    assert breakers.states() == {}
    assert breakers.admit(M, "odd")


def test_half_open_for_everybody_lets_one_trial_of_all_callers_through(breakers: CircuitBreakers, clock: Clock) -> None:
    fail(breakers, caller="a")
    fail(breakers, caller="b")
    clock.now += 30
    trial = breakers.admit(M, "c")
    assert trial is not None and trial.is_trial
    assert [breakers.admit(M, caller) for caller in ("a", "b", "c", "d")] == [None] * 4
    breakers.failed(trial)
    assert breakers.state(M, "d") is BreakerState.OPEN


def test_callers_without_end_take_no_memory_without_end(breakers: CircuitBreakers) -> None:
    for number in range(MAX_CALLERS + 10):
        fail(breakers, caller=str(number))
    assert len(breakers._breakers[M].own) == MAX_CALLERS
    assert breakers.state(M, "new") is BreakerState.OPEN


# In an engine


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
    asker = await start_engine(breaker_failures=1, breaker_cooldown=0.2)
    simulator.script("m", Behaviour(status=500, times=1))
    await asker.ask("m>ok")
    assert (await asker.ask("m>ok")).model_used == "ok"
    await asyncio.sleep(0.25)
    assert asker.engine.breaker_states() == {M: BreakerState.HALF_OPEN}
    assert (await asker.ask("m>ok")).model_used == "m"
    assert asker.engine.breaker_states() == {}


@pytest.mark.parametrize("stream", [False, True])
async def test_of_50_calls_at_once_one_tries_a_half_open_model(
    simulator: SimulatorThread, start_engine: StartEngine, stream: bool
) -> None:
    asker = await start_engine(breaker_failures=1, breaker_cooldown=0.1)
    simulator.script("m", Behaviour(status=500, times=1), Behaviour(latency_s=0.3))
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
    simulator.script("m", Behaviour(status=429, retry_after="0.2", times=1))
    await asker.ask("m>ok")
    assert (await asker.ask("m>ok")).model_used == "ok"
    await asyncio.sleep(0.25)
    assert (await asker.ask("m>ok")).model_used == "m"


async def test_a_skipped_model_is_not_what_the_caller_is_told_about(
    simulator: SimulatorThread, start_engine: StartEngine
) -> None:
    asker = await start_engine(breaker_failures=1)
    await asker.ask("sim-503")
    outcome = await asker.ask("sim-503|sim-500")
    assert isinstance(outcome.error, UpstreamFailed)
    assert outcome.error.http_status == 500
