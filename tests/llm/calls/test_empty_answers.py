"""Answers that say nothing: the next model is asked, and where none is left the empty answer is the answer."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from llm import AttemptStatus, CallStatus, EmptyAnswer, UpstreamFailed
from llm.simulator import Behaviour, SimulatorThread
from tests.llm.conftest import MODES, Mode, RawUpstream, StartEngine, read_to_the_end

EMPTY = Behaviour(empty=True)


def route_of(mode: Mode, model: str = "m") -> str:
    return f"{model}|{model}" if mode == "raced" else model


@pytest.mark.parametrize("mode", MODES)
async def test_after_an_empty_answer_the_next_model_is_asked(
    simulator: SimulatorThread, start_engine: StartEngine, mode: Mode
) -> None:
    simulator.script("m", EMPTY)
    asker = await start_engine(breaker_failures=1)
    outcome = await asker.ask(f"{route_of(mode)}>ok", stream=mode == "streamed")
    assert (outcome.status, outcome.model_used) == (CallStatus.SUCCEEDED, "ok")
    failed = outcome.attempts[0]
    assert failed.status is AttemptStatus.FAILED
    assert type(failed.error) is EmptyAnswer
    assert failed.http_status == 200
    assert failed.usage is not None and not failed.usage.estimated, "what it cost is on record"
    assert not asker.engine.breaker_states(), "it is nobody's illness"


@pytest.mark.parametrize("mode", MODES)
async def test_at_the_last_stage_an_empty_answer_is_the_answer_and_is_not_asked_for_again(
    simulator: SimulatorThread, start_engine: StartEngine, mode: Mode
) -> None:
    simulator.script("m", EMPTY)
    asker = await start_engine(max_retries=2, breaker_failures=1)
    call = asker.start(f"sim-500>{route_of(mode)}", stream=mode == "streamed")
    chunks = await read_to_the_end(call) if mode == "streamed" else []
    outcome = await call.settled()
    assert (outcome.status, outcome.content, outcome.finish_reason) == (CallStatus.SUCCEEDED, "", "stop")
    assert (outcome.error, outcome.model_used) == (None, "m")
    asked = [attempt for attempt in outcome.attempts if attempt.model == "m"]
    assert len(asked) == (2 if mode == "raced" else 1)
    assert [attempt.status for attempt in asked].count(AttemptStatus.SUCCEEDED) == 1
    assert outcome.usage is not None and outcome.usage.prompt_tokens > 0
    if mode == "streamed":
        assert any(choice["finish_reason"] == "stop" for chunk in chunks for choice in chunk["choices"])
        assert call.opening.model_used == "m"
    else:
        assert outcome.completion is not None


@pytest.mark.parametrize("mode", MODES)
async def test_where_a_default_message_was_asked_for_it_stands_in_for_an_empty_answer(
    simulator: SimulatorThread, start_engine: StartEngine, mode: Mode
) -> None:
    simulator.script("m", EMPTY)
    asker = await start_engine(max_retries=2)
    outcome = await asker.ask(route_of(mode), stream=mode == "streamed", default_message="Sorry.")
    assert (outcome.status, outcome.content, outcome.error_code) == (CallStatus.DEFAULTED, "Sorry.", "empty_answer")
    assert len(outcome.attempts) == (2 if mode == "raced" else 1)


@pytest.mark.parametrize("mode", MODES)
async def test_the_callers_own_stop_explains_an_empty_answer(
    simulator: SimulatorThread, start_engine: StartEngine, mode: Mode
) -> None:
    simulator.script("m", EMPTY)
    asker = await start_engine()
    outcome = await asker.ask(f"{route_of(mode)}>ok", {"stop": ["\n"]}, stream=mode == "streamed")
    assert (outcome.status, outcome.model_used, outcome.content) == (CallStatus.SUCCEEDED, "m", "")


async def test_the_racer_that_says_something_wins_over_one_that_was_quicker_to_say_nothing(
    simulator: SimulatorThread, start_engine: StartEngine
) -> None:
    simulator.script("m", EMPTY)
    simulator.script("late", Behaviour(latency_s=0.3))
    outcome = await (await start_engine()).ask("m|late")
    assert (outcome.status, outcome.model_used) == (CallStatus.SUCCEEDED, "late")


async def test_a_racer_that_failed_is_asked_again_before_an_empty_answer_is_taken(
    simulator: SimulatorThread, start_engine: StartEngine
) -> None:
    simulator.script("m", EMPTY)
    simulator.script("late", Behaviour(status=500, times=1), Behaviour())
    outcome = await (await start_engine(max_retries=1)).ask("m|late")
    assert outcome.model_used == "late"
    assert [attempt.model for attempt in outcome.attempts].count("m") == 1


async def test_an_empty_answer_is_better_than_the_error_of_the_other_racer(
    simulator: SimulatorThread, start_engine: StartEngine
) -> None:
    simulator.script("m", EMPTY)
    outcome = await (await start_engine(max_retries=1)).ask("m|sim-500")
    assert (outcome.status, outcome.model_used) == (CallStatus.SUCCEEDED, "m")
    assert {type(attempt.error) for attempt in outcome.attempts} == {type(None), UpstreamFailed}


THINKS = b"""HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n\
data: {"choices": [{"index": 0, "delta": {"role": "assistant", "reasoning_content": "Let me think."}}]}\n\n\
data: {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}\n\ndata: [DONE]\n\n"""


@pytest.mark.parametrize(("shows_thoughts", "model"), [(True, "m"), (False, "ok")])
async def test_a_stream_of_thoughts_has_begun_only_for_a_caller_who_sees_them(
    start_engine: StartEngine, raw_upstream: RawUpstream, shows_thoughts: bool, model: str
) -> None:
    asker = await start_engine(await raw_upstream(THINKS))
    outcome = await asker.ask("m>spare/ok", stream=True, shows_thoughts=shows_thoughts)
    assert (outcome.status, outcome.model_used) == (CallStatus.SUCCEEDED, model)
    first = outcome.attempts[0]
    assert first.usage is not None and first.usage.completion_tokens > 0, "thoughts are paid for"


@pytest.mark.parametrize("request_fields", [{}, {"stream": True}])
async def test_thoughts_keep_a_slow_thinker_from_missing_its_first_token(
    start_engine: StartEngine, raw_upstream: RawUpstream, request_fields: dict[str, Any]
) -> None:
    async def thinks_long(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head, *events = THINKS.replace(b'"delta": {}', b'"delta": {"content": "42"}').split(b"\r\n\r\n")
        thought, *rest = b"".join(events).split(b"\n\n")
        writer.write(head + b"\r\n\r\n" + thought + b"\n\n")
        await writer.drain()
        await asyncio.sleep(0.5)
        writer.write(b"\n\n".join(rest))

    asker = await start_engine(await raw_upstream(thinks_long), first_token_timeout=0.3)
    outcome = await asker.ask("m|m" if not request_fields else "m", shows_thoughts=False, **request_fields)
    assert (outcome.status, outcome.content) == (CallStatus.SUCCEEDED, "42")
