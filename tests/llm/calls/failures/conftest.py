"""An engine that fails as a row of the table says."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from llm import UpstreamTimeout
from llm.simulator import Behaviour, SimulatorThread
from tests.llm.calls.failures.failing import Failing
from tests.llm.calls.failures.table import CLOCKS, Row
from tests.llm.conftest import Mode, RawUpstream, StartEngine


@pytest.fixture
async def failing(
    simulator: SimulatorThread, start_engine: StartEngine, raw_upstream: RawUpstream, request: pytest.FixtureRequest
) -> Callable[..., Awaitable[Failing]]:
    async def start(row: Row, mode: Mode, **config: Any) -> Failing:
        if isinstance(row.upstream, Behaviour):
            simulator.script("m", row.upstream)
            url = ""
        elif row.upstream in ("refused", "full"):
            url = request.getfixturevalue({"refused": "refusing_upstream", "full": "full_upstream"}[row.upstream])
        else:
            url = row.upstream if isinstance(row.upstream, str) else await raw_upstream(row.upstream)
        # Where the upstream is not late, a slow machine must not make it late. So only these rows have short clocks.
        clocks = CLOCKS if UpstreamTimeout in (row.error if isinstance(row.error, tuple) else (row.error,)) else {}
        return Failing(await start_engine(url, **{**clocks, **config}), row, mode)

    return start
