"""Five clocks, each seen to fire alone, and one deadline over everything."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from llm import (
    AttemptStatus,
    CallerImpatient,
    CallOutcome,
    CallStatus,
    StreamInterrupted,
    UpstreamTimeout,
)
from llm.simulator import Behaviour, SimulatorThread
from tests.llm.conftest import MODES, Asker, Mode, StartEngine, read_to_the_end
from tests.llm.simulator.chat_client import eventually

# How many seconds late a clock may be on a busy machine. On an idle one it is some milliseconds. All clocks but the one
# that is tested are many seconds away, so it can't be mistaken for another.
LATE = 3


@contextmanager
def lasting(at_least: float) -> Iterator[None]:
    started = time.perf_counter()
    yield
    seconds = time.perf_counter() - started
    assert at_least - 0.005 <= seconds <= at_least + LATE


async def ask(asker: Asker, mode: Mode, model: str = "m", **request: Any) -> CallOutcome:
    route = f"{model}|{model}" if mode == "raced" else model
    return await asker.ask(route, stream=mode == "streamed", **request)


# Each clock alone: all others are far away


@pytest.mark.parametrize("mode", MODES)
async def test_the_connect_clock(start_engine: StartEngine, full_upstream: str, mode: Mode) -> None:
    asker = await start_engine(full_upstream, connect_timeout=0.2)
    with lasting(0.2):
        outcome = await ask(asker, mode)
    assert type(outcome.error) is UpstreamTimeout
    assert outcome.attempts[0].http_status is None


@pytest.mark.parametrize("mode", ["streamed", "raced"])
@pytest.mark.parametrize("slow", [Behaviour(latency_s=9), Behaviour(first_token_s=9)], ids=["headers", "content"])
async def test_the_first_token_clock(
    simulator: SimulatorThread, start_engine: StartEngine, mode: Mode, slow: Behaviour
) -> None:
    simulator.script("m", slow)
    asker = await start_engine(first_token_timeout=0.2)
    with lasting(0.2):
        outcome = await ask(asker, mode)
    assert type(outcome.error) is UpstreamTimeout
    assert outcome.error.message == "The upstream sent no first token within 0.2 s."


async def test_the_first_token_clock_leaves_a_whole_answer_its_time(
    simulator: SimulatorThread, start_engine: StartEngine
) -> None:
    simulator.script("m", Behaviour(first_token_s=0.3))
    outcome = await (await start_engine(first_token_timeout=0.1)).ask("m")
    assert outcome.status is CallStatus.SUCCEEDED


@pytest.mark.parametrize("mode", ["streamed", "raced"])
async def test_the_clock_between_chunks(simulator: SimulatorThread, start_engine: StartEngine, mode: Mode) -> None:
    simulator.script("m", Behaviour(stall_after=2))
    asker = await start_engine(stream_idle_timeout=0.2)
    with lasting(0.2):
        outcome = await ask(asker, mode)
    assert type(outcome.error) is StreamInterrupted
    assert outcome.error.message == "The upstream's stream stalled for 0.2 s."


async def test_the_clock_between_chunks_starts_again_with_each(
    simulator: SimulatorThread, start_engine: StartEngine
) -> None:
    simulator.script("m", Behaviour(answer="one two three four five six seven", tokens_per_second=10))
    asker = await start_engine(stream_idle_timeout=0.3)
    with lasting(0.6):
        outcome = await asker.ask("m", stream=True)
    assert outcome.status is CallStatus.SUCCEEDED


async def test_the_clock_between_chunks_does_not_run_while_the_reader_is_slow(
    simulator: SimulatorThread, start_engine: StartEngine
) -> None:
    simulator.script("m", Behaviour(answer=" word" * 300))
    asker = await start_engine(stream_idle_timeout=0.1)
    call = asker.start("m", stream=True)
    await call.opened()
    await asyncio.sleep(0.3)
    await read_to_the_end(call)
    assert (await call.settled()).status is CallStatus.SUCCEEDED


@pytest.mark.parametrize("mode", MODES)
async def test_the_attempts_clock(simulator: SimulatorThread, start_engine: StartEngine, mode: Mode) -> None:
    simulator.script("m", Behaviour(latency_s=9))
    asker = await start_engine(attempt_timeout=0.2)
    with lasting(0.2):
        outcome = await ask(asker, mode)
    assert type(outcome.error) is UpstreamTimeout
    assert outcome.error.message.startswith("No answer 0.2")


@pytest.mark.parametrize("mode", MODES)
async def test_the_attempts_clock_starts_again_with_each_attempt(
    simulator: SimulatorThread, start_engine: StartEngine, mode: Mode
) -> None:
    simulator.script("m", Behaviour(latency_s=9, times=2 if mode == "raced" else 1))
    asker = await start_engine(attempt_timeout=0.2, max_retries=1)
    with lasting(0.2):
        outcome = await ask(asker, mode)
    assert outcome.status is CallStatus.SUCCEEDED


async def test_the_attempts_clock_stops_for_a_stream_with_its_first_token(
    simulator: SimulatorThread, start_engine: StartEngine
) -> None:
    simulator.script("m", Behaviour(answer="one two three four five", tokens_per_second=10))
    outcome = await (await start_engine(attempt_timeout=0.2)).ask("m", stream=True)
    assert outcome.status is CallStatus.SUCCEEDED


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("model", ["sim-timeout", "sim-slow"])
async def test_the_calls_clock(start_engine: StartEngine, mode: Mode, model: str) -> None:
    asker = await start_engine()
    with lasting(0.2):
        outcome = await ask(asker, mode, model, timeout=0.2)
    assert outcome.status is CallStatus.FAILED
    assert type(outcome.error) is CallerImpatient
    assert {attempt.status for attempt in outcome.attempts} == {AttemptStatus.FAILED}


@pytest.mark.parametrize("mode", MODES)
async def test_without_a_timeout_of_the_caller_the_request_timeout_bounds_the_wait_for_an_answer(
    start_engine: StartEngine, mode: Mode
) -> None:
    asker = await start_engine(request_timeout=0.2)
    with lasting(0.2):
        outcome = await ask(asker, mode, "sim-timeout")
    assert type(outcome.error) is UpstreamTimeout


@pytest.mark.parametrize("mode", MODES)
async def test_a_timeout_of_the_caller_may_be_longer_than_the_request_timeout(
    simulator: SimulatorThread, start_engine: StartEngine, mode: Mode
) -> None:
    simulator.script("m", Behaviour(latency_s=0.3))
    outcome = await ask(await start_engine(request_timeout=0.1), mode, timeout=5)
    assert outcome.status is CallStatus.SUCCEEDED


# The deadline over the whole walk


async def test_a_stream_without_a_timeout_of_the_caller_is_bounded_only_up_to_its_first_token(
    simulator: SimulatorThread, start_engine: StartEngine
) -> None:
    simulator.script("m", Behaviour(answer="one two three four five six", tokens_per_second=10))
    asker = await start_engine(request_timeout=0.2)
    with lasting(0.5):
        outcome = await asker.ask("m", stream=True)
    assert outcome.status is CallStatus.SUCCEEDED


async def test_a_stream_with_a_timeout_of_the_caller_ends_at_it(
    simulator: SimulatorThread, start_engine: StartEngine
) -> None:
    simulator.script("m", Behaviour(answer=" word" * 100, tokens_per_second=20))
    asker = await start_engine()
    with lasting(0.3):
        outcome = await asker.ask("m", stream=True, timeout=0.3)
    assert outcome.status is CallStatus.FAILED
    assert type(outcome.error) is UpstreamTimeout
    assert 1 <= outcome.content.count("word") <= 8


async def test_a_stream_whose_reader_is_stuck_ends_at_the_callers_timeout(
    simulator: SimulatorThread, start_engine: StartEngine
) -> None:
    simulator.script("m", Behaviour(answer=" word" * 50_000))
    asker = await start_engine()
    call = asker.start("m", stream=True, timeout=0.3)
    with lasting(0.3):
        outcome = await call.settled()
    assert type(outcome.error) is UpstreamTimeout
    call.cancel()
    await call.task


STALLING = {
    "a chain of upstreams that never answer": "sim-timeout>sim-timeout>sim-timeout",
    "a race of upstreams that never answer": "sim-timeout|sim-timeout|sim-timeout",
    "failures, then one that never answers": "sim-500>sim-429>sim-timeout",
    "upstreams that fall silent": "sim-stall|sim-stall>sim-stall",
    "slow ones": "sim-slow>sim-slow|sim-timeout",
    "upstreams that are well, but dawdle": "dawdles>dawdles|dawdles",
}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("route", STALLING.values(), ids=STALLING.keys())
async def test_the_deadline_holds_whatever_the_upstreams_do(
    simulator: SimulatorThread, start_engine: StartEngine, route: str, stream: bool
) -> None:
    simulator.script("dawdles", Behaviour(answer=" word" * 100, tokens_per_second=10))
    asker = await start_engine(max_retries=5, hedge_budget=1)

    async def ask(hedge_after: float) -> None:
        with lasting(0.4):
            outcome = await asker.ask(route, stream=stream, timeout=0.4, hedge_after=hedge_after)
        assert outcome.status is CallStatus.FAILED
        assert outcome.latency_ms <= 400 + LATE * 1000

    await asyncio.gather(ask(hedge_after=0), ask(hedge_after=0.1))


@pytest.mark.parametrize("mode", MODES)
async def test_the_deadline_holds_over_a_chain_of_attempts_that_time_out(start_engine: StartEngine, mode: Mode) -> None:
    asker = await start_engine(attempt_timeout=0.4)
    one = "sim-timeout|sim-timeout" if mode == "raced" else "sim-timeout"
    with lasting(1):
        outcome = await asker.ask(">".join([one] * 8), stream=mode == "streamed", timeout=1)
    assert type(outcome.error) is CallerImpatient
    assert len(outcome.attempts) == (6 if mode == "raced" else 3)


@pytest.mark.parametrize("mode", MODES)
async def test_the_deadline_holds_over_retries(start_engine: StartEngine, mode: Mode) -> None:
    asker = await start_engine(max_retries=1_000, retry_base=0.05, retry_cap=0.05)
    started = time.perf_counter()
    outcome = await ask(asker, mode, "sim-500", timeout=0.4)
    assert 0.3 <= time.perf_counter() - started <= 0.4 + LATE
    assert all(attempt.started_after_ms <= 400 + LATE * 1000 for attempt in outcome.attempts)


@pytest.mark.parametrize("mode", MODES)
async def test_the_default_message_comes_at_the_deadline(start_engine: StartEngine, mode: Mode) -> None:
    asker = await start_engine()
    with lasting(0.3):
        outcome = await ask(asker, mode, "sim-timeout", timeout=0.3, default_message="Sorry.")
    assert (outcome.status, outcome.content) == (CallStatus.DEFAULTED, "Sorry.")


@pytest.mark.parametrize("mode", MODES)
async def test_at_the_deadline_the_upstream_sees_the_connection_go(
    simulator: SimulatorThread, start_engine: StartEngine, mode: Mode
) -> None:
    asker = await start_engine()
    await ask(asker, mode, "sim-timeout", timeout=0.2)
    await eventually(lambda: {seen["ended"] for seen in simulator.requests()} == {"disconnected"})
    assert all(seen["disconnected_after_ms"] < 200 + LATE * 1000 for seen in simulator.requests())


@pytest.mark.parametrize("mode", MODES)
async def test_a_timeout_of_nothing_is_over_at_once(start_engine: StartEngine, mode: Mode) -> None:
    asker = await start_engine(max_retries=5)
    with lasting(0):
        outcome = await ask(asker, mode, timeout=0)
    assert type(outcome.error) is CallerImpatient
