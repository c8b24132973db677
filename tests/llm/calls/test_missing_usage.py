"""Streams of which all but the usage has come when nobody waits for them any more: their usage is waited for."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import pytest

from llm import AttemptStatus, Call, CallStatus, ModelPrice, Usage
from llm.calls.reading_on import USAGE_SECONDS
from tests.llm.conftest import Answer, Asker, StartEngine, chunks

PRICES = {"m": ModelPrice(Decimal(2), Decimal(8)), "ok": ModelPrice(Decimal(2), Decimal(8))}
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"
CONTENT = b'data: {"choices":[{"index":0,"delta":{"content":"Hi"},"finish_reason":null}]}\n\n'
FINISH = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
TOLD = b'data: {"choices":[],"usage":{"prompt_tokens":1000,"completion_tokens":500}}\n\ndata: [DONE]\n\n'

StartLate = Callable[..., Awaitable[Asker]]


@dataclass
class LateUsage:
    """Finishes its stream at once, and tells its usage `seconds` later, unless the client has gone by then."""

    seconds: float = 0.15
    finishes: bool = True
    finished: asyncio.Event = field(default_factory=asyncio.Event)
    was_cut_after: float | None = None

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD + CONTENT + FINISH * self.finishes)
        await writer.drain()
        self.finished.set()
        began = time.perf_counter()
        try:
            async with asyncio.timeout(self.seconds):
                await reader.read(1)  # returns only when the client has closed
            self.was_cut_after = time.perf_counter() - began
        except TimeoutError:
            writer.write(TOLD)
            await writer.drain()


@pytest.fixture
def upstream() -> LateUsage:
    return LateUsage()


@pytest.fixture
async def start_late(
    upstream: LateUsage, start_engine: StartEngine, raw_upstream: Callable[[Answer], Awaitable[str]]
) -> StartLate:
    async def start(**config: Any) -> Asker:
        return await start_engine(await raw_upstream(upstream.serve), **{"prices": PRICES, **config})

    return start


async def leave_at_the_finish(upstream: LateUsage, call: Call) -> None:
    await upstream.finished.wait()
    async for chunk in chunks(call):
        if not upstream.finishes or chunk["choices"][0]["finish_reason"]:
            break
    call.cancel()


async def test_a_caller_who_leaves_before_the_usage_of_a_whole_stream_gets_the_true_usage_on_record(
    upstream: LateUsage, start_late: StartLate
) -> None:
    asker = await start_late()
    call = asker.start("m", stream=True)
    await leave_at_the_finish(upstream, call)
    outcome = await call.settled()
    assert (outcome.status, outcome.reading_on) == (CallStatus.CANCELLED, True)
    assert outcome.usage is not None and outcome.usage.estimated
    await call.task
    [late_end] = asker.late_ends
    assert late_end.outcome.status is CallStatus.CANCELLED
    assert late_end.outcome.usage == Usage(1_000, 500)
    assert late_end.outcome.content == "Hi"
    assert not late_end.outcome.cost_estimated
    assert upstream.was_cut_after is None


async def test_a_loser_whose_stream_is_whole_tells_its_usage_too(upstream: LateUsage, start_late: StartLate) -> None:
    asker = await start_late()
    call = asker.start("m|spare/ok", hedge_after=0.05)
    outcome = await call.settled()
    loser, winner = outcome.attempts
    assert (loser.status, winner.status) == (AttemptStatus.CANCELLED, AttemptStatus.SUCCEEDED)
    assert loser.read_on and loser.usage is not None and loser.usage.estimated
    assert outcome.usage == winner.usage
    await call.task
    [late_end] = asker.late_ends
    assert late_end.answer is None, "the caller has an answer"
    assert late_end.outcome.attempts[0].usage == Usage(1_000, 500)
    assert late_end.outcome.usage == winner.usage
    assert not late_end.outcome.cost_estimated


async def test_the_wait_for_a_usage_is_short(upstream: LateUsage, start_late: StartLate) -> None:
    upstream.seconds = 9
    asker = await start_late()
    call = asker.start("m", stream=True)
    await leave_at_the_finish(upstream, call)
    await call.task
    [late_end] = asker.late_ends
    assert late_end.outcome.usage is not None and late_end.outcome.usage.estimated
    await asyncio.sleep(0.05)
    assert upstream.was_cut_after == pytest.approx(USAGE_SECONDS, rel=0.3)


async def test_a_stream_that_has_not_finished_is_cut_at_once(upstream: LateUsage, start_late: StartLate) -> None:
    upstream.finishes = False
    asker = await start_late()
    call = asker.start("m", stream=True)
    await leave_at_the_finish(upstream, call)
    await call.task
    assert asker.late_ends == []
    await asyncio.sleep(0.05)
    assert upstream.was_cut_after is not None and upstream.was_cut_after < 0.1


@pytest.mark.parametrize("off", [{"read_on_seconds": 0}, {"read_on_calls": 0}], ids=str)
async def test_nothing_is_waited_for_where_reading_on_is_off(
    upstream: LateUsage, start_late: StartLate, off: dict[str, Any]
) -> None:
    asker = await start_late(**off)
    call = asker.start("m", stream=True)
    await leave_at_the_finish(upstream, call)
    assert not (await call.settled()).reading_on
    assert asker.late_ends == []


async def test_nothing_is_waited_for_when_the_service_stops(upstream: LateUsage, start_late: StartLate) -> None:
    upstream.seconds = 9
    asker = await start_late()
    call = asker.start("m", stream=True)
    await upstream.finished.wait()
    await call.opened()
    await asyncio.sleep(0.02)
    began = time.perf_counter()
    await asker.engine.cancel_open_calls()
    assert time.perf_counter() - began < 0.2
    outcome = await call.settled()
    assert outcome.stopped and not outcome.reading_on
