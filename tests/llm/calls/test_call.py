"""The life of a call: one outcome however it ends, on record before anyone sees the end, and nothing left behind."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from llm import (
    CHAT_COMPLETIONS,
    AttemptStatus,
    Call,
    CallOutcome,
    CallRequest,
    CallStatus,
    Engine,
    EngineConfig,
    Provider,
)
from llm.simulator import Behaviour, SimulatorThread
from tests.llm.conftest import HELLO, KEY, Asker, StartEngine, chunks, read_to_the_end


async def eventually(condition: Callable[[], bool], within: float = 3.0) -> None:
    async with asyncio.timeout(within):
        while not condition():
            await asyncio.sleep(0.005)


def open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def others() -> set[asyncio.Task[Any]]:
    """All tasks but the one that asks; each fixture and each test has one of its own."""
    current = asyncio.current_task()
    return {task for task in asyncio.all_tasks() if task is not current}


@pytest.fixture
async def asker(simulator: SimulatorThread, start_engine: StartEngine) -> AsyncIterator[Asker]:
    """An engine that must leave neither a task nor a request open. Its slow models are slow for good."""
    # So short that it fits into the queue, however many batches it comes in: some tests read it late, or not at all.
    simulator.script("m", Behaviour(answer="Hello back"))
    simulator.script("streaming", Behaviour(answer=" word" * 1_000, tokens_per_second=100))
    simulator.script("flooding", Behaviour(answer=" word" * 100_000))
    simulator.script("long", Behaviour(answer=" word" * 1_000))
    simulator.script("silent", Behaviour(first_token_s=60))
    simulator.script("half", Behaviour(stall_after=2))
    simulator.script("limited", Behaviour(status=429, retry_after="60"))
    simulator.script("failing", Behaviour(status=500))
    await eventually(lambda: simulator.state.open_requests == 0)
    before = others()
    asker = await start_engine(max_retries=1)
    yield asker
    await eventually(lambda: others() <= before)
    await eventually(lambda: simulator.state.open_requests == 0)
    assert asker.engine.open_calls == 0


# cancel()

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
    async with asyncio.timeout(1):
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
    async with asyncio.timeout(1):
        outcome = await call.settled()
    assert [attempt.status for attempt in outcome.attempts] == [AttemptStatus.CANCELLED]
    assert asker.outcomes == [outcome]


@pytest.mark.parametrize("stream", [False, True])
async def test_a_call_that_is_cancelled_before_it_has_begun_has_an_outcome(asker: Asker, stream: bool) -> None:
    call = asker.start("m", stream=stream)
    call.cancel()
    async with asyncio.timeout(1):
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
    await asyncio.sleep(0.15)
    assert simulator.state.open_requests > 0
    started = time.perf_counter()
    call.cancel()
    await eventually(lambda: simulator.state.open_requests == 0)
    assert time.perf_counter() - started < 0.3  # some ms on a machine with nothing else to do
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


# The reader


async def test_a_slow_reader_gets_everything_in_order(simulator: SimulatorThread, asker: Asker) -> None:
    words = [f" word{number}" for number in range(2_000)]
    simulator.script("m", Behaviour(answer="".join(words)))
    call = asker.start("m", stream=True)
    await call.opened()
    await asyncio.sleep(0.1)
    text = ""
    async for chunk in chunks(call):
        text += CHAT_COMPLETIONS.text(chunk)
        await asyncio.sleep(0.0001)
    outcome = await call.settled()
    assert text == outcome.content == "".join(words)
    assert outcome.finish_reason == "stop"


async def test_a_reader_that_is_late_holds_the_upstream_back(asker: Asker) -> None:
    call = asker.start("flooding", stream=True)
    await call.opened()
    await asyncio.sleep(0.3)
    assert not call.task.done()
    call.cancel()
    outcome = await call.settled()
    assert outcome.content.count("word") < 50_000  # of 100,000: what fits into the queue and the sockets' buffers
    await call.task


async def test_a_reader_that_leaves_early_and_cancels_leaves_nothing(asker: Asker) -> None:
    call = asker.start("streaming", stream=True)
    async with aclosing(call.batches()) as batches:
        async for _ in batches:
            break
    call.cancel()
    assert (await call.settled()).status is CallStatus.CANCELLED
    await call.task


async def test_chunks_come_as_they_are_sent(asker: Asker) -> None:
    call = asker.start("streaming", stream=True)
    arrived: list[float] = []
    async with aclosing(chunks(call)) as arriving:
        async for chunk in arriving:
            if CHAT_COMPLETIONS.text(chunk):
                arrived.append(time.perf_counter())
            if len(arrived) == 20:
                break
    assert 0.1 <= arrived[-1] - arrived[0] <= 1.0
    call.cancel()
    await call.task


async def test_opened_is_over_with_the_first_content(simulator: SimulatorThread, asker: Asker) -> None:
    simulator.script("m", Behaviour(first_token_s=0.2, answer="one two three", tokens_per_second=5))
    started = time.perf_counter()
    call = asker.start("m", stream=True)
    await call.opened()
    assert 0.195 <= time.perf_counter() - started <= 0.5
    assert call.failed_unopened is None
    assert not call.task.done()
    await read_to_the_end(call)


@pytest.mark.parametrize("route", ["failing", "sim-404"])
async def test_opened_is_over_with_the_outcome_of_a_stream_that_never_had_any(asker: Asker, route: str) -> None:
    call = asker.start(route, stream=True)
    await call.opened()
    assert call.failed_unopened is not None
    assert asker.outcomes == [call.failed_unopened]
    assert await read_to_the_end(call) == []


async def test_a_stream_that_ends_in_a_default_message_has_opened(asker: Asker) -> None:
    call = asker.start("failing", stream=True, default_message="Sorry.")
    await call.opened()
    assert call.failed_unopened is None
    assert "".join([CHAT_COMPLETIONS.text(chunk) async for chunk in chunks(call)]) == "Sorry."


# on_end


@pytest.mark.parametrize("route", ["m", "failing", "sim-cut"])
@pytest.mark.parametrize("stream", [False, True])
async def test_nobody_sees_the_end_before_it_is_on_record(asker: Asker, route: str, stream: bool) -> None:
    seen: list[str] = []

    async def on_end(outcome: CallOutcome) -> None:
        await asyncio.sleep(0.1)
        seen.append("recorded")

    call = asker.engine.start(CallRequest(asker.engine.route(route), HELLO, stream=stream), on_end)

    async def wait_for(name: str) -> None:
        if name == "settled":
            await call.settled()
        elif stream:
            await read_to_the_end(call)
        seen.append(name)

    await asyncio.gather(*(wait_for(name) for name in (("settled", "read") if stream else ("settled",))))
    assert seen[0] == "recorded"
    await call.task


@pytest.mark.parametrize("route", ["m", "failing", "long"])
@pytest.mark.parametrize("stream", [False, True])
async def test_an_on_end_that_raises_leaves_nobody_waiting(asker: Asker, route: str, stream: bool) -> None:
    async def on_end(outcome: CallOutcome) -> None:
        raise RuntimeError("the database is on fire")

    call = asker.engine.start(CallRequest(asker.engine.route(route), HELLO, stream=stream), on_end)
    async with asyncio.timeout(2):
        await call.opened()
        if stream:
            await read_to_the_end(call)
        with pytest.raises(RuntimeError, match="on fire"):
            await call.settled()
        with pytest.raises(RuntimeError, match="on fire"):
            await call.task


async def test_an_on_end_that_raises_for_a_cancelled_call_leaves_nobody_waiting(asker: Asker) -> None:
    async def on_end(outcome: CallOutcome) -> None:
        raise RuntimeError("the database is on fire")

    call = asker.engine.start(CallRequest(asker.engine.route("silent"), HELLO, stream=True), on_end)
    await asyncio.sleep(0.1)
    call.cancel()
    async with asyncio.timeout(2):
        for wait in (call.settled(), call.task):
            with pytest.raises(RuntimeError, match="on fire"):
                await wait


# The engine's end


async def test_calls_that_are_open_when_the_engine_ends_are_recorded_as_cancelled(simulator: SimulatorThread) -> None:
    config = EngineConfig({"openai": Provider("openai", simulator.base_url, KEY)})
    calls: list[Call] = []
    before = others()
    async with Engine(config) as engine:
        asker = Asker(engine)
        for route in ("sim-timeout", "sim-timeout|sim-stall", "sim-500>sim-timeout", "sim-stall"):
            calls += [asker.start(route, stream=stream) for stream in (False, True)]
        await asyncio.sleep(0.2)
        assert engine.open_calls == len(calls)
    assert [outcome.status for outcome in asker.outcomes] == [CallStatus.CANCELLED] * len(calls)
    assert engine.open_calls == 0
    async with asyncio.timeout(1):
        for call in calls:
            assert await call.settled() in asker.outcomes
    await eventually(lambda: simulator.state.open_requests == 0)
    await eventually(lambda: others() <= before)


async def test_an_on_end_that_is_slow_is_waited_for_when_the_engine_ends(simulator: SimulatorThread) -> None:
    recorded: list[CallStatus] = []

    async def on_end(outcome: CallOutcome) -> None:
        await asyncio.sleep(0.2)
        recorded.append(outcome.status)

    async with Engine(EngineConfig({"openai": Provider("openai", simulator.base_url, KEY)})) as engine:
        engine.start(CallRequest(engine.route("sim-timeout"), HELLO), on_end)
        await asyncio.sleep(0.05)
    assert recorded == [CallStatus.CANCELLED]


# What others see


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


def test_the_engine_knows_no_django() -> None:
    sources = Path(__file__).parents[3].joinpath("llm").rglob("*.py")
    assert not [path for path in sources if "django" in path.read_text().lower()]
