"""One running call: a task that walks its route, passes a stream on, settles one outcome, and sees it recorded."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from llm.calls.asking import Asking, Success
from llm.calls.context import EngineContext
from llm.calls.outcome import cost_so_far, forget_frames, late_answer, make_late_end, make_outcome
from llm.calls.progress import Progress
from llm.calls.request import CallOutcome, CallRequest, CallStatus, CostSoFar, OnEnd, OnLateEnd, Opening, ignore
from llm.calls.state import State
from llm.errors import ContextWindowExceeded, EmptyAnswer, InvalidRequest, UpstreamError, UpstreamTimeout
from llm.json_values import Json
from llm.routing.circuit_breaker import Permit
from llm.routing.retry import RetryPolicy
from llm.routing.route import ModelRef
from llm.routing.walk import Walk
from llm.upstream.attempt import Attempt
from llm.upstream.attempt_record import AttemptStatus
from llm.upstream.guesses import Guesses
from llm.upstream.stream import OpenStream

# How many batches a stream may run ahead of its reader. A batch is what the upstream sent at once.
QUEUE_BATCHES = 8

# After so many seconds without a chunk, the reader of a stream gets an empty batch, so that it can keep its own
# connection alive.
SILENCE_SECONDS = 15.0


class Call:
    """A call under way. It runs in a task of its own, which owns every upstream request of the call.

    `on_end` is awaited with the outcome before anyone sees the end of the answer: the place to make it durable. Whoever
    starts a call awaits `settled()`, or drains `batches()`, or calls `cancel()`. `task` ends after `on_end` has ended.

    If the outcome is `reading_on`, `task` goes on until nothing of the call is read on any more, and `on_late_end` has
    taken what became of it.
    """

    def __init__(
        self, context: EngineContext, request: CallRequest, on_end: OnEnd, on_late_end: OnLateEnd = ignore
    ) -> None:
        loop = asyncio.get_running_loop()
        started = loop.time()
        timeout = context.config.request_timeout if request.timeout is None else request.timeout
        self.request = request
        self._context = context
        self._on_end = on_end
        self._on_late_end = on_late_end
        self._now = loop.time
        self._deadline = started + timeout
        self._progress = Progress(started)
        self._guesses = Guesses(request.operation, request.body, experience=context.experience, prices=context.prices)
        self._asking = Asking(context, request, self._progress, deadline=self._deadline, clock=loop.time)
        # The stream's batches, and None at its end.
        self._queue: asyncio.Queue[list[Json] | None] = asyncio.Queue(QUEUE_BATCHES)
        self._opened = asyncio.Event()
        self._outcome: asyncio.Future[CallOutcome] = loop.create_future()
        # Set once `_outcome` is done. To cancel somebody who awaits a future would cancel the future as well.
        self._settled = asyncio.Event()
        self._state = State.CREATED
        self.task = asyncio.create_task(self._run(), name="llm call")

    async def settled(self) -> CallOutcome:
        """The outcome, once `on_end` has taken it. A caller that is cancelled here must call `cancel()`."""
        await self._settled.wait()
        return self._outcome.result()

    async def opened(self) -> None:
        """Wait until a stream has its first content, or the call has settled without one."""
        await self._opened.wait()

    @property
    def is_settled(self) -> bool:
        return self._state is State.SETTLED

    @property
    def failed_unopened(self) -> CallOutcome | None:
        """The outcome of a stream that failed before it had any content; otherwise None."""
        if self._progress.relayed is not None or not self.is_settled:
            return None
        outcome = self._outcome.result()
        return outcome if outcome.status is CallStatus.FAILED else None

    @property
    def opening(self) -> Opening:
        """Who is streaming, once `opened()` has returned."""
        return self._progress.opening

    @property
    def cost_so_far(self) -> CostSoFar:
        """What the call has probably cost up to now. Its prompt is counted for that, which takes a moment."""
        return cost_so_far(self._progress, prices=self._context.prices, guesses=self._guesses)

    async def batches(self) -> AsyncGenerator[list[Json], None]:
        """The chunks of a stream, as they come: a batch has those that came at once, and is empty after a long silence.

        It ends when the outcome is settled, whatever the outcome is.
        """
        while True:
            try:
                async with asyncio.timeout(SILENCE_SECONDS):
                    batch = await self._queue.get()
            except TimeoutError:
                batch = []
            if batch is None:
                return
            yield batch

    def cancel(self, *, stopping: bool = False) -> None:
        """Stop the upstream at once, because the caller has gone or because the service is `stopping`.

        With `stopping`, the time is over that the service had to end its calls, so nothing is read on from then on.
        The outcome is still recorded. When both happen, it has the reason that came first.
        """
        if stopping:
            self._context.reading_on.end_by(self._now())
        if self._state is State.RUNNING:
            self.task.cancel()
        # A task that is cancelled before its first step never runs, so in CREATED only the state says it.
        if self._state in (State.CREATED, State.RUNNING):
            self._state = State.STOPPING if stopping else State.CANCELLED
        self._drop_batches()
        if self.task.done():
            self._queue.put_nowait(None)

    def _drop_batches(self) -> None:
        """Empty the queue. Whoever waits to put something into it goes on."""
        while not self._queue.empty():
            self._queue.get_nowait()

    @property
    def _was_cancelled(self) -> bool:
        return self._state in (State.CANCELLED, State.STOPPING)

    async def _run(self) -> None:
        """The whole life of the call. Nobody sees the end of the answer before the outcome is recorded."""
        try:
            outcome = await self._find_outcome()
            if self._was_cancelled:
                self._drop_batches()
            self._state = State.RECORDING
            forget_frames(outcome)
            await self._on_end(outcome)
            self._outcome.set_result(outcome)
            self._settle()
            # Waits for a reader that is behind. After `cancel()` the queue is empty, so that nobody is waited for.
            await self._queue.put(None)
            if outcome.reading_on:
                await self._read_on(outcome)
        except BaseException as error:
            # There is a defect in our code, or the event loop is closing. Nobody must wait for this call for ever.
            if not self._outcome.done():
                self._outcome.set_exception(error)
                self._outcome.exception()  # asyncio logs an exception that nobody has asked for
            self._settle()
            self._drop_batches()
            self._queue.put_nowait(None)
            raise

    async def _read_on(self, outcome: CallOutcome) -> None:
        """Wait for the answers that nobody else waits for, which have clocks of their own, and tell how it all went."""
        await asyncio.wait([late.task for late in self._progress.read_on])
        late_end = make_late_end(
            outcome, self.request, self._progress, prices=self._context.prices, guesses=self._guesses
        )
        forget_frames(late_end.outcome)
        await self._on_late_end(late_end)

    def _settle(self) -> None:
        self._state = State.SETTLED
        self._settled.set()
        self._opened.set()

    async def _find_outcome(self) -> CallOutcome:
        """Run the call until its outcome is known. A cancellation by `cancel()` is an outcome like any other."""
        try:
            if self._was_cancelled:
                raise asyncio.CancelledError
            self._state = State.RUNNING
            return await self._walk_and_relay()
        except asyncio.CancelledError:
            if not self._was_cancelled:
                raise
            # The cancellation came from `cancel()`. It ends here, because the outcome must still be recorded.
            self.task.uncancel()
            return self._make_outcome(CallStatus.CANCELLED)

    async def _walk_and_relay(self) -> CallOutcome:
        """Walk the route, pass a stream on, and say how that went."""
        config, hedges = self._context.config, self._context.hedges
        walk: Walk[Success] = Walk(
            attempt=self._asking.ask,
            lost=self._asking.lose,
            deadline=self._deadline,
            hedge_after=self.request.hedge_after,
            may_hedge=hedges.allow,
            may_ask=self._may_ask,
            retries=RetryPolicy(max_retries=config.max_retries, base=config.retry_base, cap=config.retry_cap),
        )
        has_race = any(len(stage.models) > 1 for stage in self.request.route.stages)
        if self.request.hedge_after > 0 and has_race:
            hedges.call_started()
        try:
            success = await walk.run(self.request.route)
            completion = success.answer
            if success.stream is not None:
                await self._relay(success.attempt, success.stream)
                completion = success.attempt.answer
        except UpstreamError as error:
            if (late := late_answer(self._progress)) is None:
                return await self._fail(error)
            # The call has not waited for this answer, but it has come, and it is better than an error.
            attempt, completion = late
            attempt.accept()
            return self._make_outcome(CallStatus.SUCCEEDED, winner=attempt, completion=completion)
        success.attempt.end(AttemptStatus.SUCCEEDED)
        return self._make_outcome(CallStatus.SUCCEEDED, winner=success.attempt, completion=completion)

    def _may_ask(self, model: ModelRef) -> bool:
        return self._context.breakers.would_admit(self.request.target(model), self.request.caller)

    def _permit(self, attempt: Attempt) -> Permit:
        """The permit of a stream that has begun. If it was a trial, its verdict has been given already."""
        return Permit(self.request.target(attempt.model), self.request.caller)

    async def _relay(self, attempt: Attempt, stream: OpenStream) -> None:
        """Pass a stream's batches on. After its first content only the caller's own timeout bounds the whole."""
        self._progress.relayed = attempt
        self._opened.set()
        deadline = None if self.request.timeout is None else self._deadline
        all_passed_on = True
        is_read_on = False
        try:
            async with asyncio.timeout_at(deadline):
                while batch := await stream.next_batch():
                    all_passed_on = False
                    await self._queue.put(batch)
                    all_passed_on = True
        except TimeoutError as exception:
            if not (stream.is_whole and all_passed_on):  # otherwise only its usage is missing
                error = UpstreamTimeout(f"The stream did not end within {self.request.timeout:g} s.")
                attempt.end(AttemptStatus.FAILED, error)
                raise error from exception
        except UpstreamError as error:
            attempt.end(AttemptStatus.FAILED, error)
            if error.trips_breaker:
                self._context.breakers.failed(self._permit(attempt), retry_after=error.retry_after)
            raise
        except asyncio.CancelledError:
            attempt.end(AttemptStatus.CANCELLED)
            rest = stream.read_rest()
            is_read_on = self._context.reading_on.read_rest(attempt, rest, self._progress.read_on)
            raise
        finally:
            if not is_read_on:
                stream.close()
        attempt.end(AttemptStatus.SUCCEEDED)
        self._context.breakers.succeeded(self._permit(attempt))

    async def _give_empty(self, error: EmptyAnswer) -> CallOutcome:
        """The outcome of an empty answer where no other model is left: it is what the caller gets."""
        attempt = next(attempt for attempt in self._progress.attempts if attempt.error is error)
        attempt.accept()
        answer = attempt.answer or {}
        if self.request.stream:
            self._progress.relayed = attempt
            await self._stream_out(answer)
        return self._make_outcome(CallStatus.SUCCEEDED, winner=attempt, completion=answer)

    async def _fail(self, error: UpstreamError) -> CallOutcome:
        """The outcome of a failure: the default message if it may stand in, else an empty answer, else the error."""
        if isinstance(error, EmptyAnswer) and self.request.default_message is None:
            return await self._give_empty(error)
        is_callers_mistake = isinstance(error, InvalidRequest | ContextWindowExceeded)
        may_stand_in = not is_callers_mistake and self._progress.relayed is None
        if self.request.default_message is None or not may_stand_in:
            return self._make_outcome(CallStatus.FAILED, error=error)
        operation = self.request.operation
        completion = operation.answer_of_text(self.request.default_message, self.request.route.written)
        if completion is None:
            return self._make_outcome(CallStatus.FAILED, error=error)
        if self.request.stream:
            await self._stream_out(completion)
        return self._make_outcome(CallStatus.DEFAULTED, error=error, completion=completion)

    async def _stream_out(self, answer: Json) -> None:
        self._opened.set()
        await self._queue.put(self.request.operation.chunks_of(answer))

    def _make_outcome(
        self,
        status: CallStatus,
        *,
        winner: Attempt | None = None,
        completion: Json | None = None,
        error: UpstreamError | None = None,
    ) -> CallOutcome:
        return make_outcome(
            status,
            self.request,
            self._progress,
            prices=self._context.prices,
            guesses=self._guesses,
            now=self._now(),
            winner=winner,
            completion=completion,
            error=error,
            stopped=status is CallStatus.CANCELLED and self._state is State.STOPPING,
        )
