"""Answers that nobody waits for any more, and that a cut saves work for: they are cut at once."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import pytest

from llm import Call, CallOutcome, ModelPrice, UpstreamTimeout
from tests.llm.calls.reading_on.slow_upstream import AT_ONCE_SECONDS, PRICES, SlowUpstream, StartSlow, leave
from tests.llm.conftest import StartEngine


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
