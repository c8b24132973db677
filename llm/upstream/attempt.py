"""One upstream request while it runs: what is noted on the way, and the record that it becomes."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

from llm.config import Provider
from llm.costs.pricing import PriceList
from llm.costs.tokens import count_tokens
from llm.costs.usage import Usage
from llm.errors import EmptyAnswer, StreamInterrupted, UpstreamError, UpstreamTimeout
from llm.json_values import Json
from llm.operations import Operation
from llm.operations.accumulation import Accumulator
from llm.operations.billing.stated_cost import dollars
from llm.routing.route import ModelRef
from llm.routing.walk import Race
from llm.upstream.attempt_record import AttemptRecord, AttemptStatus
from llm.upstream.bill import make_bill

# The ends of an attempt at which the upstream has done some work that it bills.
WORKED = frozenset({AttemptStatus.SUCCEEDED, AttemptStatus.CANCELLED, AttemptStatus.LOST})

# The errors of an attempt for which the same holds.
WORKED_IN_VAIN = (StreamInterrupted, UpstreamTimeout, EmptyAnswer)


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

    def saw_chunk(self, chunk: Json) -> None:
        if self._first_token is None and self.operation.says_something(chunk):
            self._first_token = self._clock()
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
            self._failed_for_free = not isinstance(error, WORKED_IN_VAIN)

    def record(self, prices: PriceList, *, raced: bool, prompt_tokens: Callable[[], int]) -> AttemptRecord:
        """The record of an attempt that has ended. `prompt_tokens` is called if the provider did not count them."""
        assert self.status is not None and self._ended is not None
        bill = make_bill(
            self._usage(prompt_tokens),
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

    def first_token_after(self, moment: float) -> int | None:
        """Milliseconds from `moment` to the first token, or None if none came."""
        return None if self._first_token is None else _ms(self._first_token - moment)

    def _usage(self, prompt_tokens: Callable[[], int]) -> Usage | None:
        """What the provider counted, with our own counts in the place of those that are missing or can't be right."""
        stated = None if self.answer is None else self.operation.usage(self.answer)
        if stated is None:
            return self._estimate(prompt_tokens)
        return stated.completed(prompt_tokens=prompt_tokens, completion_tokens=self._produced_tokens)

    def _estimate(self, prompt_tokens: Callable[[], int]) -> Usage | None:
        """What was certainly billed if the provider did not give its usage, or None if nothing was.

        A request that ended while the upstream worked on it has cost its prompt, and what the model had said by then.
        A model that had nothing to say has worked too. A request that the upstream refused, or that never reached it,
        has cost nothing.
        """
        worked = self.status in WORKED or isinstance(self.error, WORKED_IN_VAIN)
        completion_tokens = self._produced_tokens()
        if not self.reached_upstream or self._failed_for_free or not (worked or completion_tokens):
            return None
        return Usage(prompt_tokens=prompt_tokens(), completion_tokens=completion_tokens, estimated=True)

    def _produced_tokens(self) -> int:
        """The tokens of all that the model has said so far, by our own count."""
        return count_tokens("".join(self.operation.output_texts(self.answer))) if self.answer else 0


def _ms(seconds: float) -> int:
    return max(0, round(seconds * 1000))
