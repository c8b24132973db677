"""Readers of a stream: they may be slow or late or leave early, and they learn when it has opened."""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing

import pytest

from llm import CHAT_COMPLETIONS, CallStatus
from llm.simulator import Behaviour, SimulatorThread
from tests.llm.conftest import Asker, chunks, read_to_the_end


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
    assert 0.1 <= arrived[-1] - arrived[0] <= 5  # and not with the end, which is after ten
    call.cancel()
    await call.task


async def test_opened_is_over_with_the_first_content(simulator: SimulatorThread, asker: Asker) -> None:
    simulator.script("m", Behaviour(first_token_s=0.2, answer="one two three", tokens_per_second=2))
    started = time.perf_counter()
    call = asker.start("m", stream=True)
    await call.opened()
    assert time.perf_counter() - started >= 0.195
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
