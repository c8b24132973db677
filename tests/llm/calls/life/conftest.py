"""An engine whose calls must leave nothing behind."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from llm.simulator import Behaviour, SimulatorThread
from tests.llm.calls.life.leftovers import eventually, others
from tests.llm.conftest import Asker, StartEngine


@pytest.fixture
async def asker(simulator: SimulatorThread, start_engine: StartEngine) -> AsyncIterator[Asker]:
    """An engine that must leave neither a task nor a request open. Its slow models are slow for good."""
    # So short that it fits into the queue, however many batches it comes in: some tests read it late, or not at all.
    simulator.script("m", Behaviour(answer="Hello back"))
    simulator.script("streaming", Behaviour(answer=" word" * 1_000, tokens_per_second=100))
    simulator.script("flooding", Behaviour(answer=" word" * 100_000))
    simulator.script("long", Behaviour(answer=" word" * 1_000))
    simulator.script("silent", Behaviour(first_token_s=60))
    simulator.script("half", Behaviour(stall_after=2))
    simulator.script("limited", Behaviour(status=429, retry_after="60"))
    simulator.script("failing", Behaviour(status=500))
    await eventually(lambda: simulator.state.open_requests == 0)
    before = others()
    asker = await start_engine(max_retries=1)
    yield asker
    await eventually(lambda: others() <= before)
    await eventually(lambda: simulator.state.open_requests == 0)
    assert asker.engine.open_calls == 0
