"""Asking one model for a call: adapt the body, get the circuit breaker's permit, send, and ask again if that helps."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from llm.calls.context import EngineContext
from llm.calls.progress import Progress
from llm.calls.request import CallRequest
from llm.errors import (
    CallerImpatient,
    ModelSkipped,
    UpstreamAuthFailed,
    UpstreamError,
    UpstreamMisconfigured,
    UpstreamQuotaExceeded,
    UpstreamTimeout,
)
from llm.json_values import Json
from llm.operations.billing.tier import asked_tier
from llm.routing.circuit_breaker import Permit
from llm.routing.route import ModelRef
from llm.routing.walk import Race
from llm.upstream.adaptation import AdaptedBody
from llm.upstream.attempt import Attempt
from llm.upstream.attempt_record import AttemptStatus
from llm.upstream.stream import OpenStream


@dataclass(frozen=True, slots=True)
class Success:
    """What an attempt brings back: a whole answer, or a stream whose first content has come."""

    attempt: Attempt
    answer: Json | None = None
    stream: OpenStream | None = None


class KeyRefused(Exception):
    """The provider refused one of its keys, and another key is left to ask with."""


class Asking:
    """Asks models on behalf of one call. Every upstream request is written into the call's progress.

    `deadline` and `clock` are in seconds of the event loop's clock.
    """

    def __init__(
        self,
        context: EngineContext,
        request: CallRequest,
        progress: Progress,
        *,
        deadline: float,
        clock: Callable[[], float],
    ) -> None:
        self._context = context
        self._request = request
        self._progress = progress
        self._deadline = deadline
        self._clock = clock
        self._racers = 0

    async def ask(self, model: ModelRef, race: Race) -> Success:
        """Ask a model until it answers or fails. Raises UpstreamError.

        It is asked again at once, as a new attempt, without a parameter that it refused, or with another key if the
        provider refused the first.
        """
        self._racers += 1
        racer = self._racers
        operation = self._request.operation
        streamed = self._request.stream or self._by_stream(model, race)
        asked = operation.stream_body(self._request.body) if streamed else operation.whole_body(self._request.body)
        adapted = AdaptedBody(self._context.refused, model, asked, self._request.own_body)
        while True:
            try:
                success = await self._ask_once(model, race, racer, adapted.body)
            except UpstreamError as error:
                if not adapted.leave_out(error):
                    adapted.in_the_callers_words(error)
                    raise
            except KeyRefused:
                continue
            else:
                adapted.accepted()
                return success

    async def lose(self, success: Success) -> None:
        """A second success in the same instant as the first: nobody needs it, but it is on record."""
        success.attempt.end(AttemptStatus.LOST)
        if success.stream is not None:
            success.stream.close()

    async def _ask_once(self, model: ModelRef, race: Race, racer: int, body: Json) -> Success:
        """One attempt. Raises UpstreamError or KeyRefused. Whatever happens, the attempt ends with a status."""
        breakers = self._context.breakers
        keys = self._context.upstream.keys[model.provider]
        attempt = self._start_attempt(model, race, racer, by_stream=bool(body.get("stream")))
        attempt.asked_tier = asked_tier(body)
        target, caller = self._request.target(model), self._request.caller
        permit = Permit(target, caller) if race.forced else breakers.admit(target, caller)
        if permit is None:
            skipped = ModelSkipped(f"The circuit breaker of '{model.name}' is open.")
            attempt.end(AttemptStatus.SKIPPED, skipped)
            raise skipped
        try:
            success = await self._send(attempt, {**body, "model": model.name})
        except UpstreamError as error:
            attempt.end(AttemptStatus.FAILED, error)
            if _is_of_the_key(error) and keys.refused(attempt.key):
                breakers.released(permit)
                raise KeyRefused from error
            if error.trips_breaker:
                breakers.failed(permit, retry_after=error.retry_after, certain=_is_certain(error, attempt))
            else:
                breakers.released(permit)
            raise
        except BaseException:
            attempt.end(AttemptStatus.CANCELLED)
            breakers.released(permit)
            raise
        keys.accepted(attempt.key)
        if success.stream is None or permit.is_trial:
            # Only when a stream has ended well are its model's failures forgotten, so that streams which break in a row
            # open the breaker. A trial needs its verdict now, because the breaker lets no other attempt through.
            breakers.succeeded(permit)
        return success

    def _start_attempt(self, model: ModelRef, race: Race, racer: int, *, by_stream: bool) -> Attempt:
        attempt = Attempt(
            ordinal=len(self._progress.attempts),
            model=model,
            provider=self._context.config.providers[model.provider],
            operation=self._request.operation,
            race=race,
            racer=racer,
            call_started=self._progress.started,
            clock=self._clock,
            by_stream=by_stream,
        )
        self._progress.attempts.append(attempt)
        self._progress.stage_reached = max(self._progress.stage_reached, race.stage)
        return attempt

    async def _send(self, attempt: Attempt, body: Json) -> Success:
        """One request, bounded by the attempt's clock and by the call's deadline. Raises UpstreamError."""
        allowed = self._context.config.attempt_timeout
        deadline = self._deadline if allowed is None else min(self._deadline, self._clock() + allowed)
        upstream = self._context.upstream
        try:
            async with asyncio.timeout_at(deadline):
                if self._request.stream:
                    shows_thoughts = self._request.shows_thoughts
                    stream = await upstream.open_stream(attempt, body, thoughts_count=shows_thoughts)
                    return Success(attempt, stream=stream)
                return Success(attempt, answer=await self._whole(attempt, body, deadline))
        except TimeoutError as exception:
            waited = self._clock() - self._progress.started
            impatient = deadline == self._deadline and self._is_impatient
            error_class = CallerImpatient if impatient else UpstreamTimeout
            raise error_class(f"No answer {waited:.3g} s after the call came in.") from exception

    async def _whole(self, attempt: Attempt, body: Json, deadline: float) -> Json:
        reading_on, upstream = self._context.reading_on, self._context.upstream
        fetch = upstream.complete_by_stream if attempt.by_stream else upstream.complete
        answer = fetch(attempt, body, deadline=deadline)
        return await (answer if reading_on.is_off else reading_on.wait_for(attempt, answer, self._progress.read_on))

    def _by_stream(self, model: ModelRef, race: Race) -> bool:
        """Whether a whole answer is fetched as a stream, because providers stop billing a stream that is cancelled.

        Racers are, because all but one of them will be cancelled; and all models of the providers that are set so.
        """
        worth_it = race.size > 1 or model.provider in self._context.config.fetch_as_streams
        return worth_it and self._request.operation.can_stream

    @property
    def _is_impatient(self) -> bool:
        """Does the caller give less time than the settings do?"""
        return self._request.timeout is not None and self._request.timeout < self._context.config.request_timeout


def _is_of_the_key(error: UpstreamError) -> bool:
    """Whether another key of the provider may do: this one was refused, or can't even be sent."""
    if isinstance(error, UpstreamMisconfigured):
        return error.of_the_key
    return isinstance(error, UpstreamAuthFailed) and error.http_status == 401


def _is_certain(error: UpstreamError, attempt: Attempt) -> bool:
    """Whether the reason of a failure can't be in the request: nothing was sent, or our key or money are no good."""
    return not attempt.reached_upstream or isinstance(error, UpstreamQuotaExceeded) or error.http_status == 401
