"""Whole answers that the engine fetches as streams."""

from __future__ import annotations

import pytest

from llm.simulator import SimulatorThread
from tests.llm.conftest import StartEngine


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
