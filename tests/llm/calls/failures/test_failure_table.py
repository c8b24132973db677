"""The failure table, row by row: real upstreams fail over real sockets, and the engine says what it was.

Each row is tested three times: for a whole answer, for a stream, and for a race for a whole answer, which is fetched as
a stream.
"""

from __future__ import annotations

import pytest

from llm import AttemptStatus, CallStatus
from tests.llm.calls.failures.failing import StartFailing
from tests.llm.calls.failures.table import AFTER_FIRST_TOKEN, Row, cells
from tests.llm.conftest import Mode


@pytest.mark.parametrize(("row", "mode"), cells())
async def test_a_failure_is_named_and_the_next_stage_is_asked_only_if_it_may_help(
    failing: StartFailing, row: Row, mode: Mode
) -> None:
    outcome = await (await failing(row, mode)).ask(fallback=True)
    failed = outcome.attempts[0]
    assert failed.status is AttemptStatus.FAILED
    assert type(failed.error) is row.expected(mode, row.error)
    assert failed.http_status == row.expected(mode, row.http_status)
    assert failed.error is not None
    if row.retry_after is None:
        assert failed.error.retry_after is None
    else:
        assert failed.error.retry_after == pytest.approx(row.retry_after, abs=0.01)
    assert failed.error.message
    assert all("sk-" not in attempt.error.message for attempt in outcome.attempts if attempt.error)
    assert len([attempt for attempt in outcome.attempts if attempt.model == "ok"]) == row.next_stage
    assert outcome.fallback_triggered == row.next_stage
    if row.next_stage:
        assert outcome.status is CallStatus.SUCCEEDED
    else:
        assert outcome.status is CallStatus.FAILED
        assert type(outcome.error) is row.expected(mode, row.error)


@pytest.mark.parametrize(("row", "mode"), cells())
async def test_a_failure_is_retried_and_counted_by_the_breaker_only_if_it_should_be(
    failing: StartFailing, row: Row, mode: Mode
) -> None:
    racers = 2 if mode == "raced" else 1
    fails = await failing(row, mode, max_retries=1, breaker_failures=racers)
    outcome = await fails.ask()
    assert (len(outcome.attempts) > racers) == row.retry
    assert [model.name for model in fails.asker.engine.breaker_states()] == (["m"] if row.breaker else [])
    assert outcome.status is CallStatus.FAILED
    assert type(outcome.error) is row.expected(mode, row.error)


@pytest.mark.parametrize(("row", "mode"), cells(AFTER_FIRST_TOKEN, ["streamed"]))
async def test_a_stream_that_breaks_after_its_first_token_is_told_to_the_caller_and_neither_falls_back_nor_retries(
    failing: StartFailing, row: Row, mode: Mode
) -> None:
    fails = await failing(row, mode, max_retries=1, breaker_failures=1)
    outcome = await fails.ask(fallback=True, default_message="Sorry.")
    assert outcome.status is CallStatus.FAILED
    assert type(outcome.error) is row.expected(mode, row.error)
    assert outcome.content == "This is"
    [attempt] = outcome.attempts
    assert attempt.error is outcome.error
    assert outcome.error is not None and "sk-" not in outcome.error.message
    assert [model.name for model in fails.asker.engine.breaker_states()] == ["m"]
