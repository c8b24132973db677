"""A parameter that a model refuses is left out, and the model is asked again."""

from __future__ import annotations

import pytest

from llm import (
    AttemptStatus,
    CallStatus,
)
from llm.simulator import Behaviour, SimulatorThread
from tests.llm.conftest import MODES, Mode, StartEngine


@pytest.mark.parametrize("mode", MODES)
async def test_a_parameter_that_a_model_refuses_is_left_out_once_and_for_all(
    simulator: SimulatorThread, start_engine: StartEngine, mode: Mode
) -> None:
    simulator.script("m", Behaviour(refuse=("temperature",)))
    asker = await start_engine()
    route, stream = ("m|ok" if mode == "raced" else "m"), mode == "streamed"
    simulator.script("ok", Behaviour(latency_s=0.3))
    first = await asker.ask(route, {"temperature": 0.2}, stream=stream)
    assert [a.status for a in first.attempts if a.model == "m"] == [AttemptStatus.FAILED, AttemptStatus.SUCCEEDED]
    second = await asker.ask(route, {"temperature": 0.2}, stream=stream)
    assert [a.status for a in second.attempts if a.model == "m"] == [AttemptStatus.SUCCEEDED]


async def test_max_tokens_reaches_a_model_that_wants_max_completion_tokens(
    simulator: SimulatorThread, start_engine: StartEngine
) -> None:
    simulator.script("m", Behaviour(refuse=("max_tokens",)))
    outcome = await (await start_engine()).ask("m", {"max_tokens": 3})
    assert (outcome.status, outcome.finish_reason) == (CallStatus.SUCCEEDED, "length")


@pytest.mark.parametrize("route", ["m", "m|m"])
async def test_an_upstream_that_refuses_stream_options_still_streams(
    simulator: SimulatorThread, start_engine: StartEngine, route: str
) -> None:
    simulator.script("m", Behaviour(refuse=("stream_options",)))
    outcome = await (await start_engine()).ask(route, stream=route == "m")
    assert outcome.status is CallStatus.SUCCEEDED


async def test_an_attempt_repeated_without_a_refused_parameter_is_no_race(
    simulator: SimulatorThread, start_engine: StartEngine
) -> None:
    simulator.script("m", Behaviour(refuse=("temperature",)))
    outcome = await (await start_engine()).ask("m", {"temperature": 0.2})
    assert [attempt.raced for attempt in outcome.attempts] == [False, False]
