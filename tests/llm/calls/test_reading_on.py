"""Whole answers that nobody waits for any more: read on where they are billed anyway, cut where a cut saves work."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import pytest

from llm import EMBEDDINGS, AttemptStatus, Call, CallOutcome, CallStatus, ModelPrice, UpstreamTimeout, Usage
from llm.simulator import Behaviour, SimulatorThread
from tests.llm.conftest import Answer, Asker, StartEngine

PRICE = ModelPrice(Decimal(2), Decimal(8))
PRICES = dict.fromkeys(("m", "other"), PRICE)
USAGE = Usage(1_000, 2_000)
COST = (Decimal(2) * 1_000 + Decimal(8) * 2_000) / 1_000_000

# How soon after nobody waits any more an upstream sees that it was cut.
AT_ONCE_SECONDS = 0.1


def json_answer(answer: Any) -> bytes:
    body = json.dumps(answer).encode()
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


def whole(text: str) -> bytes:
    message = {"role": "assistant", "content": text}
    usage = {"prompt_tokens": USAGE.prompt_tokens, "completion_tokens": USAGE.completion_tokens}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return json_answer({"id": "chatcmpl-late", "choices": [choice], "usage": usage})


@dataclass
class SlowUpstream:
    """Sends `answer` after `seconds`, and notes when a request came, and when its connection was cut."""

    seconds: float = 0.4
    answer: bytes = field(default_factory=lambda: whole("Better late than never."))
    came: asyncio.Event = field(default_factory=asyncio.Event)
    requests: int = 0
    cut_at: list[float] = field(default_factory=list)
    answered: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.requests += 1
        self.came.set()
        try:
            async with asyncio.timeout(self.seconds):
                await reader.read(1)  # returns only when the client has closed
            self.cut_at.append(time.perf_counter())
        except TimeoutError:
            writer.write(self.answer)
            await writer.drain()
            self.answered += 1
        except OSError:
            self.cut_at.append(time.perf_counter())

    async def was_cut(self, times: int = 1) -> float:
        """Wait until it has been cut so often. Returns when it was cut first."""
        async with asyncio.timeout(1):
            while len(self.cut_at) < times:
                await asyncio.sleep(0.005)
        return self.cut_at[0]


StartSlow = Callable[..., Awaitable[Asker]]


@pytest.fixture
def upstream() -> SlowUpstream:
    return SlowUpstream()


@pytest.fixture
async def start_slow(
    upstream: SlowUpstream, start_engine: StartEngine, raw_upstream: Callable[[Answer], Awaitable[str]]
) -> StartSlow:
    """An engine in front of the slow upstream, which knows the prices of `m` and of `other`."""

    async def start(**config: Any) -> Asker:
        return await start_engine(await raw_upstream(upstream.serve), **{"prices": PRICES, **config})

    return start


async def leave(upstream: SlowUpstream, call: Call) -> float:
    """The caller leaves once the upstream has got its request. Returns when."""
    await upstream.came.wait()
    call.cancel()
    return time.perf_counter()


# Read on


async def test_the_answer_of_a_model_with_a_price_is_read_on_when_its_caller_leaves(
    upstream: SlowUpstream, start_slow: StartSlow
) -> None:
    asker = await start_slow()
    call = asker.start("m")
    left_at = await leave(upstream, call)
    outcome = await call.settled()
    assert time.perf_counter() - left_at < AT_ONCE_SECONDS, "the record waits for what nobody waits for"
    assert (outcome.status, outcome.reading_on) == (CallStatus.CANCELLED, True)
    assert outcome.usage is not None and outcome.usage.estimated
    assert outcome.attempts[0].read_on
    assert (asker.engine.open_calls, asker.engine.read_on) == (0, 1)
    await call.task
    assert (upstream.answered, upstream.cut_at, asker.engine.read_on) == (1, [], 0)
    [late_end] = asker.late_ends
    late = late_end.outcome
    assert (late.status, late.error, late.latency_ms) == (CallStatus.CANCELLED, None, outcome.latency_ms)
    assert (late.usage, late.cost_usd) == (USAGE, COST)
    assert (late.content, late.model_used, late.completion_id) == ("Better late than never.", "m", "chatcmpl-late")
    assert (late.attempts[0].status, late.attempts[0].read_on) == (AttemptStatus.CANCELLED, True)
    assert late_end.answer is not None
    assert (late_end.answer.status, late_end.answer.content) == (CallStatus.SUCCEEDED, late.content)
    assert (late_end.answer.usage, late_end.answer.cost_usd) == (USAGE, COST)


@pytest.mark.parametrize("clock", [{"timeout": 0.1}, {"request_timeout": 0.1}, {"attempt_timeout": 0.1}], ids=str)
async def test_it_is_read_on_when_any_clock_of_its_own_runs_out(
    upstream: SlowUpstream, start_slow: StartSlow, clock: dict[str, float]
) -> None:
    asked = {name: seconds for name, seconds in clock.items() if name == "timeout"}
    asker = await start_slow(**{name: seconds for name, seconds in clock.items() if name not in asked})
    call = asker.start("m", **asked)
    outcome = await call.settled()
    assert isinstance(outcome.error, UpstreamTimeout)
    assert (outcome.status, outcome.reading_on) == (CallStatus.FAILED, True)
    await call.task
    [late_end] = asker.late_ends
    assert late_end.outcome.status is CallStatus.FAILED
    assert late_end.outcome.error is outcome.error
    assert (late_end.outcome.usage, late_end.outcome.cost_usd) == (USAGE, COST)
    assert late_end.answer is not None
    assert (upstream.answered, upstream.cut_at) == (1, [])


async def test_what_an_attempt_has_cost_that_was_given_up_is_known_though_another_model_answered(
    upstream: SlowUpstream, start_slow: StartSlow
) -> None:
    asker = await start_slow(attempt_timeout=0.1)
    call = asker.start("m>spare/ok")
    outcome = await call.settled()
    assert (outcome.status, outcome.model_used, outcome.reading_on) == (CallStatus.SUCCEEDED, "ok", True)
    await call.task
    [late_end] = asker.late_ends
    assert late_end.answer is None, "the caller has got another answer"
    assert (late_end.outcome.content, late_end.outcome.usage) == (outcome.content, outcome.usage)
    given_up, _ = late_end.outcome.attempts
    assert (given_up.status, given_up.usage, given_up.cost_usd) == (AttemptStatus.FAILED, USAGE, COST)


async def test_an_answer_that_came_while_other_models_failed_is_better_than_an_error(
    upstream: SlowUpstream, start_slow: StartSlow, simulator: SimulatorThread
) -> None:
    simulator.script("broken", Behaviour(status=500, latency_s=0.6))
    asker = await start_slow(attempt_timeout=0.1, max_retries=0)
    upstream.seconds = 0.15
    # The first attempt is given up at 0.1 s, and its answer comes at 0.15 s. The second one fails at 0.2 s.
    outcome = await asker.ask("m>spare/broken")
    assert (outcome.status, outcome.content, outcome.model_used) == (
        CallStatus.SUCCEEDED,
        "Better late than never.",
        "m",
    )
    assert [attempt.status for attempt in outcome.attempts] == [AttemptStatus.SUCCEEDED, AttemptStatus.FAILED]
    assert (outcome.usage, outcome.attempts[0].read_on) == (USAGE, True)
    assert not asker.late_ends


async def test_an_embeddings_racer_that_has_lost_is_read_on(
    upstream: SlowUpstream, start_slow: StartSlow, simulator: SimulatorThread
) -> None:
    usage = {"prompt_tokens": 7, "total_tokens": 7}
    upstream.answer = json_answer({"data": [{"embedding": [0.5]}], "usage": usage})
    asker = await start_slow()
    call = asker.start("m|spare/ok", {"input": "Hello"}, operation=EMBEDDINGS)
    outcome = await call.settled()
    assert (outcome.status, outcome.model_used) == (CallStatus.SUCCEEDED, "ok")
    await call.task
    loser = next(attempt for attempt in asker.late_ends[0].outcome.attempts if attempt.model == "m")
    assert (loser.status, loser.read_on, loser.usage) == (AttemptStatus.CANCELLED, True, Usage(7, 0))


@pytest.mark.parametrize("status", [b"500 Internal Server Error", b"429 Too Many Requests"])
async def test_what_fails_while_it_is_read_on_costs_nothing(
    upstream: SlowUpstream, start_slow: StartSlow, status: bytes
) -> None:
    upstream.answer = b"HTTP/1.1 %b\r\nContent-Length: 2\r\n\r\n{}" % status
    asker = await start_slow()
    call = asker.start("m")
    await leave(upstream, call)
    assert (await call.settled()).usage is not None, "as far as anybody knows by then"
    await call.task
    [late_end] = asker.late_ends
    assert (late_end.answer, late_end.outcome.usage, late_end.outcome.cost_usd) == (None, None, 0)
    assert late_end.outcome.attempts[0].http_status == int(status[:3])


# Cut


async def cut(upstream: SlowUpstream, call: Call) -> CallOutcome:
    """The caller leaves, and the upstream sees that at once."""
    upstream.seconds = 9.0
    left_at = await leave(upstream, call)
    outcome = await call.settled()
    await call.task
    assert await upstream.was_cut() - left_at < AT_ONCE_SECONDS
    assert not outcome.reading_on and not any(attempt.read_on for attempt in outcome.attempts)
    return outcome


@pytest.mark.parametrize("prices", [{}, {"m": ModelPrice(Decimal(0), Decimal(0))}], ids=["unknown", "free"])
async def test_the_answer_of_a_model_without_a_price_is_cut_at_once(
    upstream: SlowUpstream, start_slow: StartSlow, prices: dict[str, ModelPrice]
) -> None:
    asker = await start_slow(prices=prices)
    outcome = await cut(upstream, asker.start("m"))
    assert outcome.usage is not None and outcome.usage.estimated
    assert not asker.late_ends


async def test_a_timeout_cuts_the_answer_of_a_model_without_a_price_at_once(
    upstream: SlowUpstream, start_slow: StartSlow
) -> None:
    asker = await start_slow(prices={}, attempt_timeout=0.1)
    upstream.seconds = 9.0
    outcome = await asker.ask("m")
    assert isinstance(outcome.error, UpstreamTimeout)
    assert await upstream.was_cut()


@pytest.mark.parametrize(("route", "stream"), [("m", True), ("m|other", False), ("m|other", True)])
async def test_streams_and_races_are_cut_at_once(
    upstream: SlowUpstream, start_slow: StartSlow, route: str, stream: bool
) -> None:
    await cut(upstream, (await start_slow()).start(route, stream=stream))


async def test_an_answer_that_is_fetched_as_a_stream_is_cut_at_once(
    upstream: SlowUpstream, start_slow: StartSlow
) -> None:
    await cut(upstream, (await start_slow(fetch_as_streams=frozenset({"openai"}))).start("m"))


@pytest.mark.parametrize("off", [{"read_on_seconds": 0.0}, {"read_on_calls": 0}], ids=str)
async def test_reading_on_can_be_turned_off(upstream: SlowUpstream, start_slow: StartSlow, off: dict[str, Any]) -> None:
    await cut(upstream, (await start_slow(**off)).start("m"))


async def test_a_call_that_was_still_connecting_is_not_read_on(start_engine: StartEngine, full_upstream: str) -> None:
    asker = await start_engine(full_upstream, prices=PRICES)
    call = asker.start("m")
    await asyncio.sleep(0.1)
    call.cancel()
    outcome = await call.settled()
    await call.task
    assert (outcome.reading_on, outcome.usage) == (False, None)


# Bounds


async def test_nothing_is_read_on_for_longer_than_it_may(upstream: SlowUpstream, start_slow: StartSlow) -> None:
    upstream.seconds = 9.0
    asker = await start_slow(read_on_seconds=0.2)
    call = asker.start("m")
    left_at = await leave(upstream, call)
    await call.task
    assert 0.2 <= await upstream.was_cut() - left_at < 0.2 + AT_ONCE_SECONDS
    [late_end] = asker.late_ends
    assert late_end.answer is None
    assert late_end.outcome.usage is not None and late_end.outcome.usage.estimated
    assert late_end.outcome.attempts[0].read_on


async def test_no_more_answers_are_read_on_at_once_than_may_be(upstream: SlowUpstream, start_slow: StartSlow) -> None:
    asker = await start_slow(read_on_calls=2)
    calls = [asker.start("m") for _ in range(5)]
    while upstream.requests < 5:
        await asyncio.sleep(0.005)
    for call in calls:
        call.cancel()
    outcomes = [await call.settled() for call in calls]
    assert sum(outcome.reading_on for outcome in outcomes) == asker.engine.read_on == 2
    await asyncio.wait([call.task for call in calls])
    await upstream.was_cut(3)
    assert (upstream.answered, len(asker.late_ends)) == (2, 2)
    # There is room again.
    upstream.came.clear()
    again = asker.start("m")
    await leave(upstream, again)
    assert (await again.settled()).reading_on


# The end of the service


async def test_what_is_read_on_may_end_within_the_time_that_the_service_has_to_stop(
    upstream: SlowUpstream, start_slow: StartSlow
) -> None:
    asker = await start_slow()
    call = asker.start("m")
    await leave(upstream, call)
    await call.settled()
    await asker.engine.finish_reading_on(within=5.0)
    assert (upstream.answered, len(asker.late_ends)) == (1, 1)
    assert call.task.done()


async def test_what_does_not_end_within_that_time_is_cut_and_estimated(
    upstream: SlowUpstream, start_slow: StartSlow
) -> None:
    upstream.seconds = 9.0
    asker = await start_slow()
    call = asker.start("m")
    await leave(upstream, call)
    await call.settled()
    started = time.perf_counter()
    await asker.engine.finish_reading_on(within=0.2)
    assert 0.2 <= time.perf_counter() - started < 0.2 + AT_ONCE_SECONDS
    [late_end] = asker.late_ends
    assert late_end.outcome.usage is not None and late_end.outcome.usage.estimated
    await upstream.was_cut()


async def test_a_call_that_is_cut_by_the_end_of_the_grace_is_not_read_on(
    upstream: SlowUpstream, start_slow: StartSlow
) -> None:
    upstream.seconds = 9.0
    asker = await start_slow()
    call = asker.start("m")
    await upstream.came.wait()
    call.cancel(stopping=True)
    outcome = await call.settled()
    assert (outcome.error_code, outcome.reading_on) == ("service_stopped", False)


async def test_an_engine_that_closes_cuts_what_it_reads_on_and_says_how_it_ended(
    upstream: SlowUpstream, start_slow: StartSlow
) -> None:
    upstream.seconds = 9.0
    asker = await start_slow()
    call = asker.start("m")
    await leave(upstream, call)
    await call.settled()
    await asker.engine.cancel_open_calls()
    assert call.task.done()
    assert len(asker.late_ends) == 1


# Fetched as streams


@pytest.mark.parametrize("fetched", [frozenset({"openai"}), frozenset()], ids=["as streams", "whole"])
async def test_what_is_fetched_as_a_stream_is_a_whole_answer_to_its_caller(
    simulator: SimulatorThread, start_engine: StartEngine, fetched: frozenset[str]
) -> None:
    asker = await start_engine(fetch_as_streams=fetched)
    outcome = await asker.ask("m")
    assert simulator.requests()[0]["stream"] is bool(fetched)
    assert outcome.completion is not None
    assert outcome.completion["object"] == "chat.completion"
    assert set(outcome.completion) >= {"id", "model", "created", "choices", "usage"}
    assert outcome.usage is not None and not outcome.usage.estimated
    assert not outcome.attempts[0].raced
