"""One running call: a task that walks, relays a stream, settles the outcome, and sees it recorded."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property

from llm.calls.request import CallOutcome, CallRequest, CallStatus, Opening
from llm.config import EngineConfig
from llm.costs.pricing import PriceList
from llm.costs.usage import Usage
from llm.errors import (
    CallerImpatient,
    ContextWindowExceeded,
    InvalidRequest,
    InvalidUpstreamResponse,
    ModelSkipped,
    UnsupportedParameter,
    UpstreamAuthFailed,
    UpstreamError,
    UpstreamTimeout,
)
from llm.json_values import Json
from llm.routing.circuit_breaker import CircuitBreakers, Permit
from llm.routing.hedging import HedgeBudget
from llm.routing.retry import RetryPolicy
from llm.routing.route import ModelRef
from llm.routing.walk import Race, Walk
from llm.upstream.adaptation import RefusedParameters
from llm.upstream.attempt import Attempt
from llm.upstream.attempt_record import AttemptRecord, AttemptStatus
from llm.upstream.client import OpenStream, Upstream, whole_answer

QUEUE_BATCHES = 8
"""How far a stream may run ahead of its reader: a batch is what an upstream sent at once."""
SILENCE_SECONDS = 15.0
"""After this long without a chunk, whoever reads a stream is told that it is still alive."""

OnEnd = Callable[[CallOutcome], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Parts:
    """What all calls of an engine share."""

    config: EngineConfig
    upstream: Upstream
    prices: PriceList
    breakers: CircuitBreakers
    hedges: HedgeBudget
    refused: RefusedParameters


@dataclass(frozen=True, slots=True)
class Success:
    """What an attempt brings back: a whole answer, or a stream that has begun."""

    attempt: Attempt
    answer: Json | None = None
    stream: OpenStream | None = None


class KeyRefused(Exception):
    """The provider refused one of our keys, and there is another one to ask with."""


class Call:
    """A call under way. It runs in a task of its own, which owns every upstream request of the call.

    `on_end` is awaited with the outcome before anyone sees the end of the answer: the place to make it durable. Whoever
    starts a call awaits `settled()`, or drains `chunks()`, or calls `cancel()`; `task` ends after `on_end` has.
    """

    def __init__(self, parts: Parts, request: CallRequest, on_end: OnEnd) -> None:
        loop = asyncio.get_running_loop()
        self.request = request
        self._parts = parts
        self._racers = 0
        self._on_end = on_end
        self._now = loop.time
        self._started = loop.time()
        self._deadline = self._started + (parts.config.request_timeout if request.timeout is None else request.timeout)
        self._attempts: list[Attempt] = []
        self._stage_reached = 0
        self._text: list[str] = []
        self._finish_reason = ""
        self._completion_id = ""
        self._kept: list[Json] = []
        self._queue: asyncio.Queue[list[Json] | None] = asyncio.Queue(QUEUE_BATCHES)
        self._opened = asyncio.Event()
        self._settled: asyncio.Future[CallOutcome] = loop.create_future()
        self._ended = asyncio.Event()  # `_settled` is done; whoever waits can be cancelled without cancelling that
        self._begun = False
        self._relayed: Attempt | None = None
        self._walking = False
        self._abandoned = False
        self._stopping = False
        self.task = asyncio.create_task(self._run(), name="llm call")

    async def settled(self) -> CallOutcome:
        """The outcome, once `on_end` has taken it. A caller that is cancelled here must call `cancel()`."""
        await self._ended.wait()
        return self._settled.result()

    async def opened(self) -> None:
        """Wait until a stream has its first content, or the call has settled without one."""
        await self._opened.wait()

    @property
    def failed_unopened(self) -> CallOutcome | None:
        """The outcome of a stream that failed before it had any content; otherwise None."""
        if self._begun or not self._settled.done():
            return None
        outcome = self._settled.result()
        return outcome if outcome.status is CallStatus.FAILED else None

    @property
    def opening(self) -> Opening:
        """Who is streaming, once `opened()` has returned."""
        if self._relayed is None:
            return Opening(attempts=len(self._attempts))
        model, provider = self._relayed.model, self._relayed.provider
        return Opening(model.name, provider.name, attempts=len(self._attempts))

    @property
    def is_settled(self) -> bool:
        return self._settled.done()

    async def batches(self) -> AsyncGenerator[list[Json], None]:
        """The chunks of a stream, as they come: each batch has what came at once, and is empty after a long silence.

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

    async def chunks(self) -> AsyncGenerator[Json, None]:
        """The same, one by one."""
        async with aclosing(self.batches()) as batches:
            async for batch in batches:
                for chunk in batch:
                    yield chunk

    def cancel(self, *, stopping: bool = False) -> None:
        """The caller has gone, or it is us who are `stopping`: stop the upstream at once.

        The outcome is still recorded, with whichever reason came first.
        """
        if not self._abandoned:
            self._stopping = stopping
        # A task that is cancelled before its first step never runs, so `_run` looks at `_abandoned` itself.
        if self._walking and not self._abandoned:
            self.task.cancel()
        self._abandoned = True
        self._drain()
        if self.task.done():
            self._queue.put_nowait(None)

    def _drain(self) -> None:
        while not self._queue.empty():
            self._queue.get_nowait()

    async def _run(self) -> None:
        try:
            try:
                self._walking = True
                if self._abandoned:
                    raise asyncio.CancelledError
                outcome = await self._conduct()
            except asyncio.CancelledError:
                # The cancellation is ours, from cancel(), and it ends here as an outcome like any other.
                if not self._abandoned:
                    raise
                self.task.uncancel()
                outcome = self._outcome(CallStatus.CANCELLED)
            finally:
                self._walking = False
            _forget_frames(outcome)
            await self._on_end(outcome)
            self._settled.set_result(outcome)
            self._ended.set()
            self._opened.set()
            if not self._abandoned:
                await self._queue.put(None)
        except BaseException as error:
            # A defect of ours, or the loop is closing: whoever waits for this call must not wait for ever.
            if not self._settled.done():
                self._settled.set_exception(error)
                self._settled.exception()
            self._ended.set()
            self._opened.set()
            self._abandoned = True
            raise
        finally:
            if self._abandoned:
                self._drain()
                self._queue.put_nowait(None)

    async def _conduct(self) -> CallOutcome:
        """Walk, relay, and say how it went."""
        config = self._parts.config
        walk: Walk[Success] = Walk(
            attempt=self._attempt,
            lost=self._lost,
            deadline=self._deadline,
            hedge_after=self.request.hedge_after,
            may_hedge=self._parts.hedges.allow,
            may_ask=self._parts.breakers.would_admit,
            retries=RetryPolicy(max_retries=config.max_retries, base=config.retry_base, cap=config.retry_cap),
        )
        may_hedge = any(len(stage.models) > 1 for stage in self.request.route.stages)
        if self.request.hedge_after > 0 and may_hedge:
            self._parts.hedges.call_started()
        try:
            winner = await walk.run(self.request.route)
            if winner.stream is not None:
                await self._relay(winner.attempt, winner.stream)
                return self._outcome(CallStatus.SUCCEEDED, winner=winner.attempt, completion=self._kept_answer())
            winner.attempt.end(AttemptStatus.SUCCEEDED)
            return self._outcome(CallStatus.SUCCEEDED, winner=winner.attempt, completion=winner.answer)
        except UpstreamError as error:
            refused = isinstance(error, InvalidRequest | ContextWindowExceeded)
            if self.request.default_message is None or refused or self._begun:
                return self._outcome(CallStatus.FAILED, error=error)
            return await self._default(self.request.default_message, error)

    def _kept_answer(self) -> Json | None:
        """The whole of a stream that was relayed. One that can't be put together was an answer all the same."""
        try:
            return whole_answer(self.request.operation, self._kept) if self._kept else None
        except InvalidUpstreamResponse:
            return None

    async def _default(self, message: str, error: UpstreamError) -> CallOutcome:
        operation = self.request.operation
        completion = operation.answer_of_text(message, self.request.route.written)
        if completion is None:
            return self._outcome(CallStatus.FAILED, error=error)
        if self.request.stream:
            self._opened.set()
            await self._queue.put(operation.chunks_of(completion))
        return self._outcome(CallStatus.DEFAULTED, error=error, completion=completion)

    async def _relay(self, attempt: Attempt, stream: OpenStream) -> None:
        """Pass a stream's batches on. After its first content only the caller's own timeout bounds the whole."""
        self._begun = True
        self._relayed = attempt
        self._opened.set()
        operation = self.request.operation
        deadline = None if self.request.timeout is None else self._deadline
        passed_on = True
        try:
            async with asyncio.timeout_at(deadline), aclosing(stream.batches()) as batches:
                async for batch in batches:
                    for chunk in batch:
                        self._text.append(operation.text(chunk))
                        self._finish_reason = operation.finish_reason(chunk) or self._finish_reason
                        self._completion_id = self._completion_id or operation.answer_id(chunk)
                    if self.request.keep_answer:
                        self._kept += batch
                    passed_on = False
                    await self._queue.put(batch)
                    passed_on = True
        except TimeoutError as exception:
            if not (stream.is_whole and passed_on):  # otherwise only its usage is missing
                error = UpstreamTimeout(f"The stream did not end within {self.request.timeout:g} s.")
                attempt.end(AttemptStatus.FAILED, error)
                raise error from exception
        except UpstreamError as error:
            attempt.end(AttemptStatus.FAILED, error)
            if error.trips_breaker:
                self._parts.breakers.failed(Permit(attempt.model), retry_after=error.retry_after)
            raise
        except asyncio.CancelledError:
            attempt.end(AttemptStatus.CANCELLED)
            raise
        attempt.end(AttemptStatus.SUCCEEDED)
        self._parts.breakers.succeeded(Permit(attempt.model))

    async def _attempt(self, model: ModelRef, race: Race) -> Success:
        """Ask one model once, or again without a parameter, or with another key, where it refused the one that we sent.

        Every request is an attempt on record.
        """
        self._racers += 1
        racer = self._racers
        operation = self.request.operation
        streamed = self.request.stream or self._by_stream(race)
        asked = operation.stream_body(self.request.body) if streamed else operation.whole_body(self.request.body)
        while True:
            body = self._parts.refused.adapt(model, asked)
            try:
                return await self._ask(model, race, racer, body)
            except UnsupportedParameter as error:
                if not self._parts.refused.learn(model, error, body):
                    raise
            except KeyRefused:
                continue

    async def _ask(self, model: ModelRef, race: Race, racer: int, body: Json) -> Success:
        parts = self._parts
        attempt = Attempt(
            ordinal=len(self._attempts),
            model=model,
            provider=parts.config.providers[model.provider],
            operation=self.request.operation,
            race=race,
            racer=racer,
            call_started=self._started,
            clock=self._now,
        )
        self._attempts.append(attempt)
        self._stage_reached = max(self._stage_reached, race.stage)
        permit = Permit(model) if race.forced else parts.breakers.admit(model)
        if permit is None:
            skipped = ModelSkipped(f"The circuit breaker of '{model.name}' is open.")
            attempt.end(AttemptStatus.SKIPPED, skipped)
            raise skipped
        try:
            success = await self._send(attempt, {**body, "model": model.name}, race)
        except UpstreamError as error:
            attempt.end(AttemptStatus.FAILED, error)
            keys = parts.upstream.keys[model.provider]
            if isinstance(error, UpstreamAuthFailed) and error.http_status == 401 and keys.refused(attempt.key):
                parts.breakers.released(permit)
                raise KeyRefused from error
            if error.trips_breaker:
                parts.breakers.failed(permit, retry_after=error.retry_after)
            else:
                parts.breakers.released(permit)
            raise
        except BaseException:
            attempt.end(AttemptStatus.CANCELLED)
            parts.breakers.released(permit)
            raise
        parts.upstream.keys[model.provider].accepted(attempt.key)
        if success.stream is None or permit.is_trial:
            # A stream has yet to show that it ends well; until then its model's failures are not forgotten.
            parts.breakers.succeeded(permit)
        return success

    async def _send(self, attempt: Attempt, body: Json, race: Race) -> Success:
        """One request, bounded by the attempt's clock and by the call's deadline. Raises UpstreamError."""
        allowed = self._parts.config.attempt_timeout
        deadline = self._deadline if allowed is None else min(self._deadline, self._now() + allowed)
        upstream = self._parts.upstream
        try:
            async with asyncio.timeout_at(deadline):
                if self.request.stream:
                    return Success(attempt, stream=await upstream.open_stream(attempt, body))
                if self._by_stream(race):
                    return Success(attempt, answer=await upstream.complete_by_stream(attempt, body))
                return Success(attempt, answer=await upstream.complete(attempt, body))
        except TimeoutError as exception:
            waited = self._now() - self._started
            impatient = deadline == self._deadline and self._is_impatient
            error_class = CallerImpatient if impatient else UpstreamTimeout
            raise error_class(f"No answer {waited:.3g} s after the call came in.") from exception

    @property
    def _is_impatient(self) -> bool:
        """Does the caller give less time than the settings do?"""
        return self.request.timeout is not None and self.request.timeout < self._parts.config.request_timeout

    @cached_property
    def _prompt_tokens(self) -> int:
        """Counted once, however many racers were cut, and only if one was."""
        return self.request.operation.prompt_tokens(self.request.body)

    def _by_stream(self, race: Race) -> bool:
        """Racers are fetched as streams, because providers stop billing a stream that is cut."""
        return race.size > 1 and self.request.operation.can_stream

    async def _lost(self, success: Success) -> None:
        """A second success in the same instant: not needed, but on record."""
        success.attempt.end(AttemptStatus.LOST)
        if success.stream is not None:
            success.stream.close()

    def _outcome(
        self,
        status: CallStatus,
        *,
        winner: Attempt | None = None,
        completion: Json | None = None,
        error: UpstreamError | None = None,
    ) -> CallOutcome:
        attempts = self._records()
        said = winner or (self._relayed if self._text else None)
        model, text = (None if status is CallStatus.DEFAULTED else said), "".join(self._text)
        if status is CallStatus.CANCELLED and said is None:
            model, text = self._furthest()
        operation = self.request.operation
        return CallOutcome(
            status=status,
            attempts=attempts,
            latency_ms=round((self._now() - self._started) * 1000),
            content=operation.text(completion) if completion else text,
            completion=completion,
            completion_id=operation.answer_id(completion) if completion else self._completion_id,
            model_used=model.model.name if model else "",
            provider_used=model.provider.name if model else "",
            finish_reason=operation.finish_reason(completion) if completion else self._finish_reason,
            time_to_first_token_ms=said.first_token_after(self._started) if said else None,
            usage=attempts[said.ordinal].usage if said else _sum_usage(attempts),
            cost_usd=_sum_cost(attempts),
            fallback_triggered=self._stage_reached > 0 or status is CallStatus.DEFAULTED,
            error=error,
            begun=self._begun,
            stopped=status is CallStatus.CANCELLED and self._stopping,
        )

    def _furthest(self) -> tuple[Attempt | None, str]:
        """Of a race for a whole answer that was cut: the racer that had said most by then, and what it had said."""
        text = self.request.operation.text
        said = [(attempt, "".join(map(text, attempt.received))) for attempt in self._attempts]
        attempt, most = max(said, key=lambda one: len(one[1]), default=(None, ""))
        return (attempt, most) if most else (None, "")

    def _records(self) -> tuple[AttemptRecord, ...]:
        ran = {(attempt.race.number, attempt.racer) for attempt in self._attempts if attempt.ran}
        racers = Counter(race for race, _ in ran)
        return tuple(
            attempt.record(
                self._parts.prices,
                raced=attempt.ran and racers[attempt.race.number] > 1,
                prompt_tokens=lambda: self._prompt_tokens,
            )
            for attempt in self._attempts
        )


def _forget_frames(outcome: CallOutcome) -> None:
    """An error holds the frames it came through, and they the call, which would stay until garbage is collected."""
    for error in (outcome.error, *(attempt.error for attempt in outcome.attempts)):
        if error is not None:
            error.__traceback__ = error.__cause__ = error.__context__ = None


def _sum_usage(attempts: tuple[AttemptRecord, ...]) -> Usage | None:
    usages = [attempt.usage for attempt in attempts if attempt.usage is not None]
    return sum(usages[1:], usages[0]) if usages else None


def _sum_cost(attempts: tuple[AttemptRecord, ...]) -> Decimal | None:
    """The cost of all attempts that cost anything; null if the price of one of them is not known."""
    costs = [attempt.cost_usd for attempt in attempts if attempt.usage is not None]
    return None if None in costs else sum((cost for cost in costs if cost is not None), Decimal(0))
