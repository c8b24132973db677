"""The engine: race OpenAI models, fall back across them, stream, and say of every attempt how it went and what it cost.

It knows no framework, no settings and no database. Start at `Engine`; the algorithm is in `walk`.
"""

from llm.calls.call import Call
from llm.calls.request import CallOutcome, CallRequest, CallStatus, Opening
from llm.config import EngineConfig, ModelPrice, Provider
from llm.costs.usage import Usage
from llm.engine import Engine
from llm.errors import (
    CallerImpatient,
    ContextWindowExceeded,
    InvalidRequest,
    InvalidUpstreamResponse,
    LLMError,
    ModelNotFound,
    ModelSkipped,
    RouteError,
    StreamInterrupted,
    UnsupportedParameter,
    UpstreamAuthFailed,
    UpstreamError,
    UpstreamFailed,
    UpstreamNotConfigured,
    UpstreamQuotaExceeded,
    UpstreamRateLimited,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from llm.operations import CHAT_COMPLETIONS, COMPLETIONS, EMBEDDINGS, RESPONSES, Operation
from llm.routing.circuit_breaker import BreakerState
from llm.routing.route import ModelRef, Route, Stage
from llm.upstream.attempt_record import AttemptRecord, AttemptStatus

__all__ = [
    "CHAT_COMPLETIONS",
    "COMPLETIONS",
    "EMBEDDINGS",
    "RESPONSES",
    "AttemptRecord",
    "AttemptStatus",
    "BreakerState",
    "Call",
    "CallOutcome",
    "CallRequest",
    "CallStatus",
    "CallerImpatient",
    "ContextWindowExceeded",
    "Engine",
    "EngineConfig",
    "InvalidRequest",
    "InvalidUpstreamResponse",
    "LLMError",
    "ModelNotFound",
    "ModelPrice",
    "ModelRef",
    "ModelSkipped",
    "Opening",
    "Operation",
    "Provider",
    "Route",
    "RouteError",
    "Stage",
    "StreamInterrupted",
    "UnsupportedParameter",
    "UpstreamAuthFailed",
    "UpstreamError",
    "UpstreamFailed",
    "UpstreamNotConfigured",
    "UpstreamQuotaExceeded",
    "UpstreamRateLimited",
    "UpstreamTimeout",
    "UpstreamUnavailable",
    "Usage",
]
