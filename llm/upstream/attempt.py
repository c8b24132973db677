"""One upstream request while it runs: what is noted on the way, and the record that it becomes."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Protocol

from llm.config import Provider
from llm.costs.estimates import PromptTokens
from llm.costs.pricing import PriceList
from llm.costs.tokens import count_tokens
from llm.costs.usage import Usage
from llm.errors import UpstreamError
from llm.json_values import Json
from llm.operations import Operation
from llm.operations.accumulation import Accumulator
from llm.operations.billing.stated_cost import dollars
from llm.operations.token_counts import StatedUsage
from llm.routing.route import ModelRef
from llm.routing.walk import Race
from llm.upstream.attempt_record import AttemptRecord, AttemptStatus
from llm.upstream.bill import make_bill
from llm.upstream.billed_ends import CUT, REFUSED, WORKED, WORKED_IN_VAIN

# The fields that hold what a model has said in a whole answer.
ANSWER_FIELDS = frozenset({"choices", "output", "data"})


class UsageGuesser(Protocol):
    """Guesses what an attempt has used whose provider did not say."""

    def prompt_tokens(self, model: str) -> PromptTokens:
        """The tokens of the prompt, as the model counts them."""

    def usage(self, attempt: Attempt) -> Usage:
        """What an attempt has probably used that may have cost something."""

    def rough_usage(self, attempt: Attempt) -> Usage:
        """The same for an attempt that still runs."""

    def learn(self, attempt: Attempt, usage: Usage) -> None:
        """Learn from the usage of an attempt, so that later guesses come nearer to the truth."""


class Attempt:
    """The client writes into it while the request runs, and the call reads it at the end. `clock` is in seconds."""

    def __init__(
        self,
        *,
        ordinal: int,
        model: ModelRef,
        provider: Provider,
        operation: Operation,
        race: Race,
        racer: int,
        call_started: float,
        clock: Callable[[], float],
        by_stream: bool = False,
    ) -> None:
        self.ordinal = ordinal
        self.model = model
        self.provider = provider
        self.operation = operation
        self.race = race
        self.racer = racer
        self.status: AttemptStatus | None = None
        self.error: UpstreamError | None = None
        self.http_status: int | None = None
        self.upstream_request_id = ""
        # The service tier that the body asks for, and the cost that a header states. Both are rare.
        self.asked_tier = ""
        self._header_usd: Decimal | None = None
        # The provider's key that the request was sent with.
        self.key = ""
        # The client sets it to False before it sends the request, and to True once the headers are sent. It stays False
        # if sending them failed.
        self.reached_upstream = True
        # A stream was asked for.
        self.by_stream = by_stream
        # All that was asked for has come of a stream, so that only its usage may still be missing.
        self.is_whole = False
        # Other guesses have been made better by its usage.
        self.has_taught = False
        # The upstream has begun to answer with a good status, so it has accepted the request.
        self._was_accepted = False
        # Nobody waited for its whole answer any more, and it was read on all the same.
        self.read_on = False
        # While it was read on, it failed in a way that costs nothing.
        self._failed_for_free = False
        # When the reading on has ended.
        self._read_until: float | None = None
        self._clock = clock
        self._call_started = call_started
        self._started = clock()
        self._first_token: float | None = None
        self._last_chunk: float | None = None
        self._ended: float | None = None
        self._answer: Json | None = None
        # Puts the chunks of a stream together. They are not kept themselves.
        self._accumulator: Accumulator | None = None

    @property
    def ran(self) -> bool:
        """Whether the model was asked at all."""
        return self.status is not AttemptStatus.SKIPPED

    def saw_headers(self, *, http_status: int, upstream_request_id: str, cost: str = "") -> None:
        """`cost` is what a header states, in US dollars."""
        self.http_status = http_status
        self.upstream_request_id = upstream_request_id
        # A gateway that sends its headers before the answer has no cost yet, and may say 0.
        self._header_usd = dollars(cost) or None
        self._was_accepted = http_status < 300

    @property
    def started(self) -> float:
        return self._started

    @property
    def seconds(self) -> float:
        """How long it has run, up to now or to its end. What was read on of it counts."""
        return self._end - self._started

    @property
    def silent_seconds(self) -> float:
        """How long it has run before it said anything."""
        return self.read_prompt_by - self._started

    @property
    def unseen_seconds(self) -> float:
        """How long a stream that was cut in the middle of its answer went on after its last chunk."""
        if self._first_token is None or self._last_chunk is None or self.is_whole:
            return 0.0
        return max(0.0, self._end - self._last_chunk)

    @property
    def read_prompt_by(self) -> float:
        """A time at which the model has read its prompt: that of its first token, else that of its end."""
        return self._end if self._first_token is None else self._first_token

    @property
    def _end(self) -> float:
        return self._read_until or self._ended or self._clock()

    @property
    def was_cut(self) -> bool:
        """Whether its whole answer had not come when it ended, or has not yet, although the upstream works on one."""
        is_early = self.status in (None, AttemptStatus.CANCELLED) or isinstance(self.error, CUT)
        return self._answer is None and is_early

    @property
    def has_whole_answer(self) -> bool:
        """Whether its answer has come to its end, be it too late."""
        return self.status in (AttemptStatus.SUCCEEDED, AttemptStatus.LOST) or (
            self._read_until is not None and self.answer is not None
        )

    @property
    def owes_only_usage(self) -> bool:
        """Whether all of its stream has come but its usage."""
        return self.is_whole and self._stated_usage() is None

    @property
    def answer(self) -> Json | None:
        """What has come of the answer so far: as it came, or put together from the chunks of a stream."""
        if self._answer is None and self._accumulator is not None:
            self._answer = self._accumulator.answer()
        return self._answer

    def saw_answer(self, answer: Json, *, streamed: bool = False) -> None:
        """A whole answer has come. `streamed` means that it came in place of a stream."""
        self._answer = answer
        if streamed:
            self._first_token = self._clock()

    def saw_failed_answer(self, answer: Json) -> None:
        """A whole answer says that it failed. What it says besides, like its usage, counts all the same."""
        self._answer = {name: value for name, value in answer.items() if name not in ANSWER_FIELDS}

    def saw_chunk(self, chunk: Json) -> None:
        self._last_chunk = self._clock()
        if self._first_token is None and self.operation.says_something(chunk):
            self._first_token = self._last_chunk
        if self._accumulator is None:
            self._accumulator = self.operation.accumulator()
        self._accumulator.add(chunk)
        self._answer = None

    def saw_failure(self, chunk: Json) -> None:
        """A chunk says that the answer failed. What it says besides, like its usage, counts all the same."""
        self.saw_chunk({name: value for name, value in chunk.items() if name != "choices"})

    def accept(self) -> None:
        """It had failed because its answer was empty or late, and now that answer is given to the caller."""
        self.status, self.error = AttemptStatus.SUCCEEDED, None
        self._ended = self._read_until or self._ended

    def end(self, status: AttemptStatus, error: UpstreamError | None = None) -> None:
        """The attempt has ended. Only the first call counts: an attempt that has ended keeps its status."""
        if self.status is not None:
            return
        self.status = status
        self.error = error
        self._ended = self._clock()
        if error is not None:
            self.http_status = error.http_status or self.http_status
            self.upstream_request_id = error.upstream_request_id or self.upstream_request_id

    def end_reading_on(self, error: UpstreamError | None) -> None:
        """It keeps its status and its error, which say why nobody waited. Only what it has cost is another matter."""
        self._read_until = self._clock()
        if error is not None:
            self.http_status = error.http_status or self.http_status
            self.upstream_request_id = error.upstream_request_id or self.upstream_request_id
            self._failed_for_free = not self._worked_in_vain(error)

    def record(self, prices: PriceList, *, raced: bool, guesses: UsageGuesser) -> AttemptRecord:
        """The record of an attempt that has ended. `guesses` says what the provider did not say, and learns."""
        assert self.status is not None and self._ended is not None
        usage = self._usage(guesses)
        if usage is not None:
            guesses.learn(self, usage)
        bill = make_bill(
            usage,
            self.answer or {},
            prices,
            operation=self.operation,
            provider=self.provider,
            model=self.model.name,
            asked_tier=self.asked_tier,
            header_usd=self._header_usd,
        )
        return AttemptRecord(
            ordinal=self.ordinal,
            model=self.model.name,
            provider=self.provider.name,
            status=self.status,
            raced=raced,
            started_after_ms=_ms(self._started - self._call_started),
            latency_ms=_ms(self._ended - self._started) if self.ran else None,
            time_to_first_token_ms=None if self._first_token is None else _ms(self._first_token - self._started),
            error=self.error,
            http_status=self.http_status,
            usage=bill.usage,
            cost_usd=bill.cost.usd,
            upstream_request_id=self.upstream_request_id,
            read_on=self.read_on,
            service_tier=bill.service_tier,
            answered_model=bill.answered_model,
            cost_incomplete=bill.cost.incomplete,
            cost_stated=bill.cost.stated,
        )

    def usage_so_far(self, guesses: UsageGuesser) -> Usage | None:
        """What it has used up to now, roughly if it still runs. None if it has used nothing."""
        if self.status is not None:
            return self._usage(guesses)
        return guesses.rough_usage(self) if self.reached_upstream else None

    def first_token_after(self, moment: float) -> int | None:
        """Milliseconds from `moment` to the first token, or None if none came."""
        return None if self._first_token is None else _ms(self._first_token - moment)

    def produced_tokens(self) -> int:
        """The tokens of all that the model has said so far, by our own count."""
        if not self.answer:
            return 0
        return count_tokens("".join(self.operation.output_texts(self.answer)), self.model.name)

    def _stated_usage(self) -> StatedUsage | None:
        return None if self.answer is None else self.operation.usage(self.answer)

    def _usage(self, guesses: UsageGuesser) -> Usage | None:
        """What the provider counted, with our own counts in the place of those that are missing or can't be right.

        None if nothing was used.
        """
        stated = self._stated_usage()
        if stated is None:
            return guesses.usage(self) if self._may_have_cost() else None
        return stated.completed(
            prompt_tokens=lambda: guesses.prompt_tokens(self.model.name).total, completion_tokens=self.produced_tokens
        )

    def _may_have_cost(self) -> bool:
        """Whether a provider that did not give its usage may have billed something.

        It may have if it worked on the request, if it has begun to answer with a good status, or if anything has come
        of the answer. A request that the upstream refused, or that never reached it, has cost nothing.
        """
        if not self.reached_upstream or self._failed_for_free:
            return False
        worked = self.status in WORKED or (self.error is not None and self._worked_in_vain(self.error))
        return worked or self.produced_tokens() > 0

    def _worked_in_vain(self, error: UpstreamError) -> bool:
        """Whether an attempt that ended with this error has cost something all the same, if it reached the upstream."""
        return isinstance(error, WORKED_IN_VAIN) or (self._was_accepted and not isinstance(error, REFUSED))


def _ms(seconds: float) -> int:
    return max(0, round(seconds * 1000))
