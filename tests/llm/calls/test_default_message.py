"""The default message stands in for a failure, but not for a mistake of the caller."""

from __future__ import annotations

import pytest

from llm import (
    CallStatus,
)
from tests.llm.conftest import StartEngine


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model", ["sim-500", "sim-429", "sim-404", "sim-401", "sim-quota", "sim-html"])
async def test_the_default_message_stands_in_for_a_failure(start_engine: StartEngine, model: str, stream: bool) -> None:
    asker = await start_engine()
    outcome = await asker.ask(model, stream=stream, default_message="Sorry.")
    assert (outcome.status, outcome.content, outcome.model_used) == (CallStatus.DEFAULTED, "Sorry.", "")
    assert outcome.error is outcome.attempts[-1].error


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model", ["sim-400", "sim-context"])
async def test_the_default_message_does_not_hide_a_400(start_engine: StartEngine, model: str, stream: bool) -> None:
    asker = await start_engine()
    outcome = await asker.ask(model, stream=stream, default_message="Sorry.")
    assert (outcome.status, outcome.content) == (CallStatus.FAILED, "")
