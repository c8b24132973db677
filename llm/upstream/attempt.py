"""One upstream request while it runs: what is noted on the way, and the record that it becomes."""

from __future__ import annotations

from collections.abc import Callable

from llm.config import Provider
from llm.costs.pricing import PriceList
from llm.costs.tokens import count_tokens
from llm.costs.usage import Usage
from llm.errors import StreamInterrupted, UpstreamError, UpstreamTimeout
from llm.json_values import Json
from llm.operations import Operation
from llm.operations.accumulation.usage import Usage as UsageInPieces
from llm.routing.route import ModelRef
from llm.routing.walk import Race
from llm.upstream.attempt_record import AttemptRecord, AttemptStatus

# The ends of an attempt at which the upstream has done some work that it bills.
WORKED = frozenset({AttemptStatus.SUCCEEDED, AttemptStatus.CANCELLED, AttemptStatus.LOST})


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
        # What the provider has said of the usage, which may come in several chunks.
        self._stated = UsageInPieces()
        # The provider's key that the request was sent with.
        self.key = ""
        # False while a request has not been sent completely, and for good if it never was.
        self.reached_upstream = True
        self._clock = clock
        self._call_started = call_started
        self._started = clock()
        self._first_token: float | None = None
        self._ended: float | None = None
        # All text that the model has produced, to estimate its tokens from.
        self._produced: list[str] = []
        # The chunks of a whole answer that is fetched as a stream.
        self.received: list[Json] = []

    @property
    def ran(self) -> bool:
        """Whether the model was asked at all."""
        return self.status is not AttemptStatus.SKIPPED

    def saw_headers(self, *, http_status: int, upstream_request_id: str) -> None:
        self.http_status = http_status
        self.upstream_request_id = upstream_request_id

    def saw_completion(self, completion: Json) -> None:
        self._note_usage(completion)
        self._produced = self.operation.output_texts(completion)

    def saw_chunk(self, chunk: Json) -> None:
        if self._first_token is None and self.operation.says_something(chunk):
            self._first_token = self._clock()
        self._produced += self.operation.output_texts(chunk)
        self._note_usage(chunk)

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

    def record(self, prices: PriceList, *, raced: bool, prompt_tokens: Callable[[], int]) -> AttemptRecord:
        """The record of an attempt that has ended. `prompt_tokens` is called if the provider did not count them."""
        assert self.status is not None and self._ended is not None
        usage = self._usage(prompt_tokens)
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
            usage=usage,
            cost_usd=None if usage is None else prices.cost_usd(self.provider, self.model.name, usage),
            upstream_request_id=self.upstream_request_id,
        )

    def first_token_after(self, moment: float) -> int | None:
        """Milliseconds from `moment` to the first token, or None if none came."""
        return None if self._first_token is None else _ms(self._first_token - moment)

    def _note_usage(self, answer: Json) -> None:
        for usage in self.operation.usages(answer):
            self._stated.add(usage)

    def _usage(self, prompt_tokens: Callable[[], int]) -> Usage | None:
        """What the provider counted, with our own counts in the place of those that are missing or can't be right."""
        stated = self.operation.read_usage(self._stated.whole())
        if stated is None:
            return self._estimate(prompt_tokens)
        return stated.completed(prompt_tokens=prompt_tokens, completion_tokens=self._produced_tokens)

    def _produced_tokens(self) -> int:
        return count_tokens("".join(self._produced))

    def _estimate(self, prompt_tokens: Callable[[], int]) -> Usage | None:
        """What was certainly billed if the provider did not give its usage, or None if nothing was.

        A request that ended while the upstream worked on it has cost its prompt, and what the model had said by then.
        A request that the upstream refused, or that never reached it, has cost nothing.
        """
        worked = self.status in WORKED or isinstance(self.error, StreamInterrupted | UpstreamTimeout)
        if not self.reached_upstream or not (worked or self._produced):
            return None
        return Usage(
            prompt_tokens=prompt_tokens(),
            completion_tokens=self._produced_tokens(),
            estimated=True,
        )


def _ms(seconds: float) -> int:
    return max(0, round(seconds * 1000))
