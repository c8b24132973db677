"""An engine in front of a slow upstream."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.llm.calls.reading_on.slow_upstream import PRICES, SlowUpstream, StartSlow
from tests.llm.conftest import Answer, Asker, StartEngine


@pytest.fixture
def upstream() -> SlowUpstream:
    return SlowUpstream()


@pytest.fixture
async def start_slow(
    upstream: SlowUpstream, start_engine: StartEngine, raw_upstream: Callable[[Answer], Awaitable[str]]
) -> StartSlow:
    """An engine in front of the slow upstream, which knows the prices of `m` and of `other`."""

    async def start(**config: Any) -> Asker:
        return await start_engine(await raw_upstream(upstream.serve), **{"prices": PRICES, **config})

    return start
