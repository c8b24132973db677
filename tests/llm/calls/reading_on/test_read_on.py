"""Whole answers that nobody waits for any more, and that are billed anyway: they are read on."""

from __future__ import annotations

import time
from decimal import Decimal

import pytest

from llm import EMBEDDINGS, AttemptStatus, CallStatus, UpstreamTimeout, Usage
from llm.simulator import Behaviour, SimulatorThread
from tests.llm.calls.reading_on.slow_upstream import (
    AT_ONCE_SECONDS,
    PRICE,
    USAGE,
    SlowUpstream,
    StartSlow,
    json_answer,
    leave,
)

PRICES = dict.fromkeys(("m", "other"), PRICE)
COST = (Decimal(2) * 1_000 + Decimal(8) * 2_000) / 1_000_000


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
