"""Failures in a row, failures of every model, and what is on record of each of them."""

from __future__ import annotations

import pytest

from llm import CallStatus, ModelNotFound, UpstreamFailed, UpstreamNotConfigured, UpstreamRateLimited
from llm.config import Provider
from llm.simulator import Behaviour, SimulatorThread
from tests.llm.conftest import KEY, MODES, Mode, StartEngine


@pytest.mark.parametrize("broken", [Behaviour(cut_after=2), Behaviour(end_after=2), Behaviour(malformed_after=2)])
async def test_streams_that_break_in_a_row_open_the_breaker(
    simulator: SimulatorThread, start_engine: StartEngine, broken: Behaviour
) -> None:
    simulator.script("m", broken)
    asker = await start_engine(breaker_failures=3)
    for _ in range(3):
        await asker.ask("m", stream=True)
    assert [model.name for model in asker.engine.breaker_states()] == ["m"]


@pytest.mark.parametrize("mode", MODES)
async def test_when_every_model_fails_the_outcome_has_every_cause_in_order(
    simulator: SimulatorThread, start_engine: StartEngine, mode: Mode
) -> None:
    asker = await start_engine()
    route = "sim-500>sim-429|sim-404" if mode == "raced" else "sim-500>sim-429>sim-404"
    outcome = await asker.ask(route, stream=mode == "streamed")
    assert [(a.model, type(a.error)) for a in outcome.attempts] == [
        ("sim-500", UpstreamFailed),
        ("sim-429", UpstreamRateLimited),
        ("sim-404", ModelNotFound),
    ]


@pytest.mark.parametrize("mode", MODES)
async def test_a_failed_attempt_keeps_the_upstreams_name_for_it(start_engine: StartEngine, mode: Mode) -> None:
    asker = await start_engine()
    outcome = await asker.ask("sim-500|sim-500" if mode == "raced" else "sim-500", stream=mode == "streamed")
    assert all(attempt.upstream_request_id.startswith("req_") for attempt in outcome.attempts)


@pytest.mark.parametrize("mode", MODES)
async def test_a_provider_without_a_key_is_not_called_and_the_next_one_is(
    simulator: SimulatorThread, start_engine: StartEngine, mode: Mode
) -> None:
    providers = {"openai": Provider("openai", simulator.base_url), "spare": Provider("spare", simulator.base_url, KEY)}
    asker = await start_engine(providers=providers)
    outcome = await asker.ask("m|m>spare/ok" if mode == "raced" else "m>spare/ok", stream=mode == "streamed")
    assert type(outcome.attempts[0].error) is UpstreamNotConfigured
    assert outcome.status is CallStatus.SUCCEEDED
    assert {seen["model"] for seen in simulator.requests()} == {"ok"}
