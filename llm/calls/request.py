"""The values at the two ends of a call: what the engine is asked to do, how a stream opened, and how the call ended."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any

from llm.costs.usage import Usage
from llm.errors import UpstreamError
from llm.json_values import Json
from llm.operations import CHAT_COMPLETIONS, Operation
from llm.routing.route import ModelOperation, ModelRef, Route
from llm.upstream.attempt_record import AttemptRecord


@dataclass(frozen=True, slots=True)
class CallRequest:
    """What the engine is asked to do."""

    route: Route

    # What `operation` takes. Its `model` and `stream` are set by the engine.
    body: Mapping[str, Any]

    # The names of those fields of the body that its caller did not send. Where a model refuses one of them, the caller
    # must never hear of it.
    added: frozenset[str] = frozenset()

    # The OpenAI API that is called.
    operation: Operation = CHAT_COMPLETIONS

    # Who asks, as any text that tells callers apart. One caller's failures open no circuit breaker for the others.
    caller: str = ""

    # Whether the answer is passed on as a stream.
    stream: bool = False

    # The caller's own bound on the whole call, in seconds. None if the caller gave none.
    timeout: float | None = None

    # How many seconds a racer runs before the next one of its stage starts. With 0, all of them start at once.
    hedge_after: float = 0.0

    # The answer in place of a failure. None if the caller wants to be told of the failure.
    default_message: str | None = None

    # Whether the caller of a stream sees what a model thinks. Where it does not, thoughts are no content: they win no
    # race, and a model that only thinks has given an empty answer.
    shows_thoughts: bool = True

    @property
    def own_body(self) -> Json:
        """What the caller sent of the body, and whether it wants a stream."""
        own = {name: value for name, value in self.body.items() if name not in self.added}
        return {**own, "stream": True} if self.stream else own

    def target(self, model: ModelRef) -> ModelOperation:
        """What is asked of a model. It has a circuit breaker of its own."""
        return ModelOperation(model.provider, model.name, self.operation.name)


@dataclass(frozen=True, slots=True)
class Opening:
    """What is known of a stream when its first content has come."""

    model_used: str = ""
    provider_used: str = ""

    # How many upstream requests there were up to now.
    attempts: int = 0

    # The answer comes from a cache, and no model was asked.
    cached: bool = False


@dataclass(frozen=True, slots=True)
class CostSoFar:
    """What a call that still runs has probably cost up to now, for the case that its process dies."""

    usage: Usage | None
    cost_usd: Decimal | None
    cost_incomplete: bool


class CallStatus(StrEnum):
    """How a call ended.

    `defaulted`: every model failed, and the caller got the default message that it had asked for.
    """

    SUCCEEDED = "succeeded"
    DEFAULTED = "defaulted"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class CallOutcome:
    """How a call ended. There is exactly one for every call that was started."""

    status: CallStatus

    # Every upstream request, in the order of their start.
    attempts: tuple[AttemptRecord, ...]

    latency_ms: int

    # The text of the answer. If the call was cancelled or failed, this is the text already streamed, or that of the
    # answer that was read on. If nothing was streamed to its caller, it is the longest text that any attempt had
    # produced.
    content: str = ""

    # The whole answer that the caller got, or would have got if it had come in time. A stream's is put together from
    # its chunks, and that of a default message is made by us.
    completion: Json | None = None

    # What an upstream answered, whole or as far as it came. It is what `content` is the text of, except that there is
    # none for a default message.
    answer: Json | None = None

    # The upstream's id of that answer.
    completion_id: str = ""

    # Who gave the answer, in whole or in part, or too late. Empty if nobody did.
    model_used: str = ""
    provider_used: str = ""

    finish_reason: str = ""
    time_to_first_token_ms: int | None = None

    # The tokens of the attempt whose answer the caller got, in whole or in part. If there is none, the sum over all.
    usage: Usage | None = None

    # What is known of the cost of all attempts. None if something was used and no price of it is known.
    cost_usd: Decimal | None = None

    # Something that an attempt used has no known price, so the cost is more than `cost_usd`.
    cost_incomplete: bool = False

    # Some part of the cost is a guess, because a provider did not say what an attempt took. It may be a loser's.
    cost_estimated: bool = False

    # The service tier that was served, as the answer names it.
    service_tier: str = ""

    # Whether a stage after the first was tried, or the default message was given.
    fallback_triggered: bool = False

    # What the caller is told of a failure.
    error: UpstreamError | None = None

    # A stream's first content was passed on, so its caller has got the status 200 already.
    begun: bool = False

    # The call was cancelled because the service stops, and not because its caller has gone.
    stopped: bool = False

    # An earlier answer was given again and no model was asked. The engine itself keeps no answers.
    cached: bool = False

    # A whole answer is read on that nobody waits for any more, or has come when nobody did. An amended outcome follows.
    reading_on: bool = False

    @property
    def error_code(self) -> str:
        """Why it did not succeed; empty where it did, or where its caller has gone."""
        if self.stopped:
            return "service_stopped"
        return self.error.code if self.error and self.status is not CallStatus.SUCCEEDED else ""


@dataclass(frozen=True, slots=True)
class LateEnd:
    """How a call went in the end, after its answers were read on that nobody waited for any more."""

    # What is true of the call now. Its status is what it was, because its caller has got nothing else.
    outcome: CallOutcome

    # What the outcome would be if the caller had waited. None if no good answer came, or if the caller got another one.
    answer: CallOutcome | None


OnEnd = Callable[[CallOutcome], Awaitable[None]]
OnLateEnd = Callable[[LateEnd], Awaitable[None]]


async def ignore(_: LateEnd) -> None:
    """For those who don't want to know what became of answers that nobody waited for."""
