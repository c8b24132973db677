"""Reading on: whole answers that nobody waits for any more, and that are read to their end because they are paid for.

A provider that bills by the token works on a whole answer to its end, whoever still listens, and bills it in full. To
cut such a request saves nothing, and loses what was paid for: the answer, and the exact usage. So it is read on in the
background. A server without a price stops its work when it is cut, so it is cut. See docs/decisions/0016.

A stream is billed up to its cut, so it is cut. But if all of it has come and only its usage is missing, it is read on
for a moment, because the usage says what it has cost.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any

from llm.costs.pricing import PriceList
from llm.errors import UpstreamError
from llm.json_values import Json
from llm.upstream.attempt import Attempt

# How long a stream of which all but the usage has come is read on. OpenAI sends the usage within 200 ms.
USAGE_SECONDS = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class LateAnswer:
    """The request for one whole answer, or the rest of a stream. `task` brings the answer, or an UpstreamError."""

    attempt: Attempt
    task: asyncio.Task[Json]

    @property
    def answer(self) -> Json | None:
        """The answer, if it has come and is a good one.

        Raises the error of a defect of ours, if one has ended the task.
        """
        if not self.task.done() or self.task.cancelled():
            return None
        error = self.task.exception()
        if error is not None and not isinstance(error, UpstreamError):
            raise error
        return None if error is not None else self.task.result()


class ReadingOn:
    """Decides what is read on, and bounds it. One for all calls of an engine.

    At most `calls` answers are read on at once, and none of them for longer than `seconds`. With 0 for either, none is.
    The task of an answer that is read on belongs to its call, which waits for it.
    """

    def __init__(self, *, seconds: float, calls: int, prices: PriceList) -> None:
        self._seconds = seconds
        self._calls = calls
        self._prices = prices
        self._now = asyncio.get_running_loop().time
        self._open: set[LateAnswer] = set()
        # When everything must have ended, because the service stops. A time of the event loop's clock.
        self._end_by: float | None = None

    def __len__(self) -> int:
        return len(self._open)

    @property
    def is_off(self) -> bool:
        return self._seconds <= 0 or self._calls <= 0

    async def wait_for(self, attempt: Attempt, answer: Coroutine[Any, Any, Json], read_on: list[LateAnswer]) -> Json:
        """Wait for an answer. Raises UpstreamError.

        If the wait is cancelled, nobody needs the answer any more. Then its request is added to `read_on`, and whoever
        owns that list waits for it; or it is cut at once.
        """
        late = LateAnswer(attempt, asyncio.create_task(answer, name="whole answer"))
        try:
            return await asyncio.shield(late.task)
        except asyncio.CancelledError:
            if self._may_read_on(late):
                self._read_on(late)
                read_on.append(late)
            else:
                await _cut(late.task)
            raise

    def read_rest(self, attempt: Attempt, rest: Coroutine[Any, Any, Json], read_on: list[LateAnswer]) -> bool:
        """Read the rest of a stream that nobody waits for any more, if only its usage is missing.

        Returns whether it is read. Its task is added to `read_on`, and whoever owns that list waits for it.
        """
        if self.is_off or not self._may_wait_for_usage(attempt):
            rest.close()
            return False
        late = LateAnswer(attempt, asyncio.create_task(rest, name="rest of a stream"))
        self._read_on(late)
        read_on.append(late)
        return True

    def end_by(self, moment: float) -> None:
        """The service stops: from `moment` on, a time of the event loop's clock, nothing is read on."""
        self._end_by = moment if self._end_by is None else min(moment, self._end_by)
        for late in list(self._open):
            if moment <= self._now():
                late.task.cancel()
            else:
                asyncio.get_running_loop().call_at(moment, late.task.cancel)

    def _may_read_on(self, late: LateAnswer) -> bool:
        attempt = late.attempt
        if late.task.done():  # in the same instant in which nobody waited any more
            return late.answer is not None
        if attempt.by_stream:
            return self._may_wait_for_usage(attempt)
        return (
            attempt.reached_upstream
            and len(self._open) < self._calls
            and self._seconds_left > 0
            and self._prices.bills(attempt.provider, attempt.model.name)
        )

    def _may_wait_for_usage(self, attempt: Attempt) -> bool:
        return attempt.owes_only_usage and len(self._open) < self._calls and self._seconds_left > 0

    def _read_on(self, late: LateAnswer) -> None:
        late.attempt.read_on = True
        if late.task.done():
            late.attempt.end_reading_on(None)
            return
        seconds = min(self._seconds_left, USAGE_SECONDS) if late.attempt.by_stream else self._seconds_left
        timer = asyncio.get_running_loop().call_later(seconds, late.task.cancel)

        def ended(task: asyncio.Task[Json]) -> None:
            timer.cancel()
            self._open.discard(late)
            error = None if task.cancelled() else task.exception()
            late.attempt.end_reading_on(error if isinstance(error, UpstreamError) else None)

        self._open.add(late)
        late.task.add_done_callback(ended)

    @property
    def _seconds_left(self) -> float:
        return self._seconds if self._end_by is None else min(self._seconds, self._end_by - self._now())


async def _cut(task: asyncio.Task[Json]) -> None:
    """Cancel a task and wait until it has ended. Its caller goes on with its own cancellation, so none is lost here."""
    task.cancel()
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError:
            continue
    if not task.cancelled():
        task.exception()  # asyncio logs an exception that nobody has asked for
