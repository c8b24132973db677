"""Nobody sees the end of a call before `on_end` has put it on record, even if the engine itself ends."""

from __future__ import annotations

import asyncio

import pytest

from llm import Call, CallOutcome, CallRequest, CallStatus, Engine, EngineConfig, Provider
from llm.simulator import SimulatorThread
from tests.llm.calls.life.leftovers import eventually, others
from tests.llm.conftest import HELLO, KEY, Asker, read_to_the_end


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
    async with asyncio.timeout(5):
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
