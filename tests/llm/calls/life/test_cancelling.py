"""A call that is cancelled has one outcome, whatever it is doing, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from llm import AttemptStatus, CallOutcome, CallRequest, CallStatus
from llm.simulator import Behaviour, SimulatorThread
from tests.llm.calls.life.leftovers import eventually, open_files, others
from tests.llm.conftest import HELLO, Asker, StartEngine, read_to_the_end

PHASES = {
    "waits for headers": ("sim-timeout", {}),
    "waits for the first token": ("silent", {}),
    "is in mid-answer": ("half", {}),
    "streams": ("streaming", {}),
    "has a reader that is stuck": ("flooding>silent", {}),
    "races": ("sim-timeout|silent|half", {}),
    "waits to hedge": ("sim-timeout|silent", {"hedge_after": 60}),
    "has hedged": ("sim-timeout|silent", {"hedge_after": 0.05}),
    "has fallen back": ("failing>sim-timeout", {}),
    "races after a fallback": ("failing|failing>silent|sim-timeout", {}),
    "waits to retry": ("limited", {}),
}

# Phases that only a stream has.
NEVER_WHOLE = ("streams", "has a reader that is stuck")


@pytest.mark.parametrize(
    ("phase", "stream"),
    [(phase, stream) for phase in PHASES for stream in (False, True) if stream or phase not in NEVER_WHOLE],
)
async def test_a_call_that_is_cancelled_has_one_outcome_and_leaves_nothing(
    simulator: SimulatorThread, asker: Asker, phase: str, stream: bool
) -> None:
    route, request = PHASES[phase]
    call = asker.start(route, stream=stream, **request)
    await asyncio.sleep(0.1)
    call.cancel()
    async with asyncio.timeout(5):
        outcome = await call.settled()
        await call.task
    assert asker.outcomes == [outcome]
    assert outcome.status is CallStatus.CANCELLED
    assert outcome.error is None
    assert not any(attempt.status is AttemptStatus.SUCCEEDED for attempt in outcome.attempts)
    await eventually(lambda: simulator.state.open_requests == 0)
    seen = [request for request in simulator.requests() if request["model"] not in ("failing", "limited")]
    assert all(request["ended"] == "disconnected" for request in seen)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_call_that_is_cancelled_while_it_connects_has_one_outcome(
    start_engine: StartEngine, full_upstream: str, stream: bool
) -> None:
    asker = await start_engine(full_upstream)
    call = asker.start("m", stream=stream)
    await asyncio.sleep(0.1)
    call.cancel()
    async with asyncio.timeout(5):
        outcome = await call.settled()
    assert [attempt.status for attempt in outcome.attempts] == [AttemptStatus.CANCELLED]
    assert asker.outcomes == [outcome]


@pytest.mark.parametrize("stream", [False, True])
async def test_a_call_that_is_cancelled_before_it_has_begun_has_an_outcome(asker: Asker, stream: bool) -> None:
    call = asker.start("m", stream=stream)
    call.cancel()
    async with asyncio.timeout(5):
        outcome = await call.settled()
    assert asker.outcomes == [outcome]
    assert (outcome.status, outcome.attempts) == (CallStatus.CANCELLED, ())


@pytest.mark.parametrize("stream", [False, True])
async def test_a_call_that_is_cancelled_again_and_again_has_one_outcome(asker: Asker, stream: bool) -> None:
    call = asker.start("half|silent|sim-timeout", stream=stream)
    await asyncio.sleep(0.1)
    while not call.task.done():
        call.cancel()
        await asyncio.sleep(0)
    assert [outcome.status for outcome in asker.outcomes] == [CallStatus.CANCELLED]


@pytest.mark.parametrize("route", ["half", "half|silent", "streaming", "streaming|streaming", "sim-timeout"])
@pytest.mark.parametrize("stream", [False, True])
async def test_the_upstream_sees_the_caller_go_at_once(
    simulator: SimulatorThread, asker: Asker, route: str, stream: bool
) -> None:
    call = asker.start(route, stream=stream)
    await eventually(lambda: simulator.state.open_requests > 0)
    await asyncio.sleep(0.1)
    started = time.perf_counter()
    call.cancel()
    await eventually(lambda: simulator.state.open_requests == 0)
    assert time.perf_counter() - started < 2  # some ms on a machine with nothing else to do
    await call.task


async def test_a_cancelled_stream_is_on_record_with_what_it_had_produced(asker: Asker) -> None:
    call = asker.start("half", stream=True)
    await call.opened()
    await asyncio.sleep(0.1)
    call.cancel()
    outcome = await call.settled()
    assert (outcome.content, outcome.model_used, outcome.finish_reason) == ("This is", "half", "")
    assert outcome.time_to_first_token_ms is not None


@pytest.mark.parametrize("stream", [False, True])
async def test_to_cancel_a_call_that_has_ended_changes_nothing(asker: Asker, stream: bool) -> None:
    outcome = await asker.ask("m", stream=stream)
    call = asker.start("m", stream=stream)
    await call.settled()
    call.cancel()
    await call.task
    assert [ended.status for ended in asker.outcomes] == [CallStatus.SUCCEEDED] * 2
    assert outcome.status is CallStatus.SUCCEEDED


@pytest.mark.parametrize("stream", [False, True])
async def test_a_call_that_is_cancelled_while_it_is_recorded_is_recorded_as_it_was(asker: Asker, stream: bool) -> None:
    recording, recorded = asyncio.Event(), []

    async def on_end(outcome: CallOutcome) -> None:
        recording.set()
        await asyncio.sleep(0.1)
        recorded.append(outcome.status)

    call = asker.engine.start(CallRequest(asker.engine.route("m"), HELLO, stream=stream), on_end)
    await recording.wait()
    call.cancel()
    assert (await call.settled()).status is CallStatus.SUCCEEDED
    assert recorded == [CallStatus.SUCCEEDED]
    await call.task


async def test_who_waits_may_go_without_the_call(simulator: SimulatorThread, asker: Asker) -> None:
    simulator.script("late", Behaviour(first_token_s=0.2, answer=" word" * 1_000, tokens_per_second=100))
    call = asker.start("late", stream=True)
    for wait in (call.settled, call.opened):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(wait(), 0.001)
    await call.opened()
    assert not call.task.done()
    call.cancel()
    await call.task


@pytest.mark.parametrize("route", ["half", "streaming", "silent"])
async def test_a_reader_sees_the_end_of_a_stream_that_another_cancels(asker: Asker, route: str) -> None:
    """As at shutdown, when the engine cancels the calls that are still open."""
    call = asker.start(route, stream=True)

    reading = asyncio.create_task(read_to_the_end(call))
    await asyncio.sleep(0.1)
    call.cancel()
    await asyncio.wait([reading], timeout=0.5)
    ended = reading.done()
    reading.cancel()
    await asyncio.wait([reading])
    assert ended


async def test_a_late_reader_sees_the_end_of_a_stream_that_is_cancelled_after_its_end(asker: Asker) -> None:
    call = asker.start("m", stream=True)
    await call.task
    call.cancel()
    async with asyncio.timeout(0.5):
        await read_to_the_end(call)


async def test_1000_cancelled_calls_leave_no_task_no_connection_and_no_file_behind(
    simulator: SimulatorThread, asker: Asker
) -> None:
    kinds: list[tuple[str, dict[str, Any]]] = [
        ("sim-timeout", {}),
        ("sim-timeout|silent", {}),
        ("silent", {"stream": True}),
        ("half|half", {}),
        ("streaming", {"stream": True}),
        ("streaming|half", {"stream": True}),
        ("failing>silent", {"stream": True}),
        ("sim-timeout|half", {"hedge_after": 0.01}),
        ("limited", {}),
        ("half", {"stream": True}),
    ]

    async def cancelled(number: int) -> None:
        route, request = kinds[number % len(kinds)]
        call = asker.start(route, **request)
        await asyncio.sleep(0.002 + number % 37 * 0.004)
        call.cancel()
        await call.settled()
        await call.task

    async def batch(numbers: range) -> None:
        await asyncio.gather(*map(cancelled, numbers))
        await eventually(lambda: simulator.state.open_requests == 0)

    await batch(range(20))  # what is opened once and kept: the pool, and the thread's own
    await asyncio.sleep(0.1)
    files, tasks = open_files(), len(others())
    for start in range(0, 1_000, 100):
        await batch(range(start, start + 100))
    assert len(asker.outcomes) == 1_020
    assert {outcome.status for outcome in asker.outcomes} == {CallStatus.CANCELLED}
    await eventually(lambda: len(others()) <= tasks)
    kept_alive = 100  # answered requests leave their connection in the pool: one side here, one in the simulator
    await eventually(lambda: open_files() <= files + 2 * kept_alive)
    await asker.engine.__aexit__(None, None, None)
    await eventually(lambda: open_files() <= files)
