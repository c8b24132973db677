"""The circuit breaker by itself, with a clock that the test moves."""

from __future__ import annotations

import asyncio

import pytest

from llm import BreakerState, ModelOperation
from llm.routing.circuit_breaker import MAX_BREAKERS, MAX_CALLERS, CircuitBreakers, Permit
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
