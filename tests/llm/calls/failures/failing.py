"""An engine that fails as a row of the table says, and asking it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from llm import CallOutcome
from llm.simulator import Behaviour
from tests.llm.calls.failures.table import Row
from tests.llm.conftest import Asker, Mode


@dataclass
class Failing:
    """An engine whose model `m` fails as a row says, and whose model `ok` answers."""

    asker: Asker
    row: Row
    mode: Mode

    async def ask(self, *, fallback: bool = False, **request: Any) -> CallOutcome:
        route = "m|m" if self.mode == "raced" else "m"
        if fallback:
            route += ">ok" if isinstance(self.row.upstream, Behaviour) else ">spare/ok"
        return await self.asker.ask(route, self.row.body, stream=self.mode == "streamed", **request)


StartFailing = Callable[..., Awaitable[Failing]]
