"""The one algorithm of the engine: walk over the stages of a route, race the models of each, return the first success.

It is written once for whole answers and for streams. All it needs is `attempt`, a coroutine that returns when its
outcome is known to be good: for a whole answer this is the answer, for a stream it is the open stream, once its first
content has come. Otherwise the coroutine raises an UpstreamError. It is cancelled when it is no longer needed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from llm.errors import ModelSkipped, UpstreamError
from llm.routing.retry import RetryPolicy
from llm.routing.route import ModelRef, Route

# Racers whose waits before a retry end within so many seconds of each other are retried together, as a race.
TOGETHER_SECONDS = 0.1

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Race:
    """One race of the models of one stage, or a retry of it.

    `number` counts the races of a walk from 0, `stage` is the number of the stage in the route, and `size` is how many
    models take part. `forced` means that the models are asked even if their circuit breakers are open.
    """

    number: int
    stage: int
    size: int
    forced: bool = False


class AttemptModel(Protocol[T_co]):
    """Asks one model once, as a part of a race."""

    async def __call__(self, model: ModelRef, race: Race) -> T_co: ...


@dataclass(frozen=True, slots=True)
class Failure:
    """How one racer failed. `failed_at` is a time of the event loop's clock."""

    model: ModelRef
    error: UpstreamError
    failed_at: float

    @property
    def ready_at(self) -> float:
        """The earliest time at which the upstream accepts another request."""
        return self.failed_at + (self.error.retry_after or 0.0)


class RaceFailed(Exception):
    """All racers of a race failed. `failures` are in the order in which they happened."""

    def __init__(self, failures: Sequence[Failure]) -> None:
        super().__init__()
        self.failures = failures

    @property
    def decisive(self) -> UpstreamError:
        """The error that the caller is told.

        It is one that came with an answer, if there is one; otherwise one that no other model would survive; otherwise
        the last error of a model that was really asked; otherwise, if all were skipped, the last of these.
        """
        errors = [failure.error for failure in self.failures]
        answers = [error for error in errors if error.is_answer]
        final = [error for error in errors if not error.try_next_stage]
        tried = [error for error in errors if not isinstance(error, ModelSkipped)]
        return (answers or final or tried or errors)[-1]


class Walk(Generic[T]):
    """One walk over one route.

    `lost` is called with every success that came in the same instant as the winner. `may_hedge` is asked before a racer
    starts only because the racers before it are slow. `may_ask` says whether a model's circuit breaker would let an
    attempt through. `deadline` is a time of the event loop's clock. `hedge_after` is in seconds; with 0, all racers
    start at once.
    """

    def __init__(
        self,
        *,
        attempt: AttemptModel[T],
        lost: Callable[[T], Awaitable[None]],
        deadline: float,
        hedge_after: float,
        may_hedge: Callable[[], bool],
        may_ask: Callable[[ModelRef], bool],
        retries: RetryPolicy,
    ) -> None:
        self._attempt = attempt
        self._lost = lost
        self._deadline = deadline
        self._hedge_after = hedge_after
        self._may_hedge = may_hedge
        self._may_ask = may_ask
        self._retries = retries
        self._races = 0
        self._now = asyncio.get_running_loop().time

    async def run(self, route: Route) -> T:
        """Return the first success, or raise the decisive UpstreamError. All attempts have ended when this returns."""
        *earlier, last = route.stages
        for number, stage in enumerate(earlier):
            try:
                return await self._race(stage.models, number)
            except RaceFailed as failed:
                self._raise_if_final(failed)
        return await self._last_stage(last.models, len(earlier))

    async def _last_stage(self, models: Sequence[ModelRef], stage: int) -> T:
        """Try the last stage, and retry it. It is tried even if all its breakers are open, because no other is left.

        A model whose answer is empty is not asked again. If no retry of the others succeeds, that answer is the end.
        """
        waiting: list[Failure] = []
        answer: UpstreamError | None = None
        for retry in range(self._retries.max_retries + 1):
            try:
                return await self._try_last(models, stage)
            except RaceFailed as failed:
                answer = next((f.error for f in failed.failures if f.error.is_answer), answer)
                self._raise_if_final(failed, answer)
                waiting += [failure for failure in failed.failures if failure.error.retryable]
                if not waiting or retry == self._retries.max_retries:
                    raise answer or failed.decisive from None
                # Racers that asked for the same wait failed a moment apart. Those that are ready soon are waited for.
                resume_at = max(self._now() + self._retries.delay(retry), min(f.ready_at for f in waiting))
                again = [failure for failure in waiting if failure.ready_at <= resume_at + TOGETHER_SECONDS]
                resume_at = max(resume_at, *(failure.ready_at for failure in again))
                if resume_at >= self._deadline:
                    raise answer or failed.decisive from None
                waiting = [failure for failure in waiting if failure not in again]
                models = [failure.model for failure in again]
            await asyncio.sleep(resume_at - self._now())
        raise AssertionError("the last retry either returns or raises")

    async def _try_last(self, models: Sequence[ModelRef], stage: int) -> T:
        """Race the last stage. The breakers are not asked if none of them would let an attempt through.

        A breaker may still open after this question and before an attempt asks it for a permit. If all models were
        skipped for that reason, they are raced again without asking the breakers.
        """
        forced = not any(self._may_ask(model) for model in models)
        try:
            return await self._race(models, stage, forced=forced)
        except RaceFailed as failed:
            if not all(isinstance(failure.error, ModelSkipped) for failure in failed.failures):
                raise
        return await self._race(models, stage, forced=True)

    async def _race(self, models: Sequence[ModelRef], stage: int, *, forced: bool = False) -> T:
        """Start the racers, staggered by `hedge_after`, and return the first success. Cancels and awaits the others."""
        race = Race(self._races, stage, len(models), forced)
        self._races += 1
        if len(models) == 1:  # a single model needs no task of its own
            try:
                return await self._attempt(models[0], race)
            except UpstreamError as failed:
                raise RaceFailed([Failure(models[0], failed, self._now())]) from None
        waiting = list(models)
        running: dict[asyncio.Task[T], ModelRef] = {}
        failures: list[Failure] = []
        winner: asyncio.Task[T] | None = None

        def start_next() -> None:
            model = waiting.pop(0)
            running[asyncio.ensure_future(self._attempt(model, race))] = model

        try:
            start_next()
            while waiting and self._hedge_after <= 0:
                start_next()
            while running:
                patience = self._hedge_after if waiting else None
                done, _ = await asyncio.wait(running, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
                if not done and not self._may_hedge():
                    # There is no budget for a hedge, so the next racer starts only when one of these fails.
                    done, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    error = task.exception()
                    if error is None:
                        winner = winner or task
                    elif isinstance(error, UpstreamError):
                        failures.append(Failure(running.pop(task), error, self._now()))
                    else:
                        raise error
                if winner is not None:
                    del running[winner]
                    return winner.result()
                if waiting and self._now() < self._deadline:
                    start_next()
            raise RaceFailed(failures)
        finally:
            await self._end(running, winner)

    async def _end(self, losers: dict[asyncio.Task[T], ModelRef], winner: asyncio.Task[T] | None) -> None:
        """Cancel the losers and wait until they have ended.

        If the walk itself is cancelled meanwhile, it first waits for them. Nobody takes the winner's answer then, so
        the winner is given to `lost` too, and the cancellation goes on.
        """
        interrupted: asyncio.CancelledError | None = None
        pending = set(losers)
        for task in losers:
            task.cancel()
        while pending:
            try:
                _, pending = await asyncio.wait(pending)
            except asyncio.CancelledError as cancelled:
                interrupted = cancelled
        unneeded = [task for task in losers if not task.cancelled() and task.exception() is None]
        for task in unneeded:
            try:
                await self._lost(task.result())
            except asyncio.CancelledError as cancelled:
                interrupted = cancelled
        if interrupted is not None:
            if winner is not None:
                await self._lost(winner.result())
            raise interrupted

    def _raise_if_final(self, failed: RaceFailed, answer: UpstreamError | None = None) -> None:
        hopeless = any(not failure.error.try_next_stage for failure in failed.failures)
        if hopeless or self._now() >= self._deadline:
            raise answer or failed.decisive from None
