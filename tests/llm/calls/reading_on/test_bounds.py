"""How long and how many answers are read on, and what becomes of them when the service ends."""

from __future__ import annotations

import asyncio
import time

from tests.llm.calls.reading_on.slow_upstream import AT_ONCE_SECONDS, SlowUpstream, StartSlow, leave


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
