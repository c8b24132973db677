"""A call that the cache answers. Its door treats it like a call that a model answers."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from llm import CallOutcome, Json, Opening, Operation


class CachedCall:
    """It is on record before this object is made, so there is nothing to wait for and nothing to cancel."""

    failed_unopened: CallOutcome | None = None
    is_settled = True

    def __init__(self, operation: Operation, outcome: CallOutcome) -> None:
        self._operation = operation
        self._outcome = outcome
        self.opening = Opening(outcome.model_used, outcome.provider_used, attempts=0, cached=True)

    async def settled(self) -> CallOutcome:
        return self._outcome

    async def opened(self) -> None:
        return

    async def batches(self) -> AsyncGenerator[list[Json], None]:
        assert self._outcome.completion is not None
        yield self._operation.chunks_of(self._outcome.completion)

    def cancel(self, *, stopping: bool = False) -> None:
        return
