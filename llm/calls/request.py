"""What the engine is asked to do, and how that ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any

from llm.costs.usage import Usage
from llm.errors import UpstreamError
from llm.json_values import Json
from llm.operations import CHAT_COMPLETIONS, Operation
from llm.routing.route import Route
from llm.upstream.attempt_record import AttemptRecord


class CallStatus(StrEnum):
    """How a call ended. `defaulted`: every model failed, and the caller got the default message that it asked for."""

    SUCCEEDED = "succeeded"
    DEFAULTED = "defaulted"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class CallRequest:
    """What the engine is asked to do.

    `body` is what `operation`, an OpenAI API, takes; its `model` and `stream` are the engine's to set. `timeout`
    (seconds) is the caller's own bound on the whole call, null if the caller gave none. `hedge_after` (seconds)
    staggers the racers. `keep_answer` asks for the whole answer of a stream in its outcome.
    """

    route: Route
    body: Mapping[str, Any]
    operation: Operation = CHAT_COMPLETIONS
    stream: bool = False
    timeout: float | None = None
    hedge_after: float = 0.0
    default_message: str | None = None
    keep_answer: bool = False


@dataclass(frozen=True, slots=True)
class CallOutcome:
    """How a call ended. There is exactly one for every call that was started.

    `completion` is the upstream's answer as it came (of a stream it is put together, if `keep_answer` asked for it; of
    a default message it is one of ours); `content` its text, or what a stream, or of a race for a whole answer that was
    cut the furthest racer, had produced. `completion_id` is the upstream's name for it. `usage` belongs to the attempt
    whose answer the caller got, in whole or in part; where there is none, it is the sum over the attempts. `cost_usd`
    is the sum over the attempts, null where a price is not known. `begun`: a stream's first content was passed on, so
    that the caller has a 200.
    `stopped`: it was cancelled because the service stops, and not because its caller has gone.
    `cached`: no model was asked, an earlier answer was given again; the engine itself keeps none.
    """

    status: CallStatus
    attempts: tuple[AttemptRecord, ...]
    latency_ms: int
    content: str = ""
    completion: Json | None = None
    completion_id: str = ""
    model_used: str = ""
    provider_used: str = ""
    finish_reason: str = ""
    time_to_first_token_ms: int | None = None
    usage: Usage | None = None
    cost_usd: Decimal | None = None
    fallback_triggered: bool = False
    error: UpstreamError | None = None
    begun: bool = False
    stopped: bool = False
    cached: bool = False

    @property
    def error_code(self) -> str:
        """Why it did not succeed; empty where it did, or where its caller has gone."""
        if self.stopped:
            return "service_stopped"
        return self.error.code if self.error and self.status is not CallStatus.SUCCEEDED else ""


@dataclass(frozen=True, slots=True)
class Opening:
    """What is known of a stream when its first content has come."""

    model_used: str = ""
    provider_used: str = ""
    attempts: int = 0
    cached: bool = False
