"""The engine: races OpenAI models, falls back across them, streams, and says how each attempt went and what it cost.

It knows no framework, no settings and no database. Start reading at `Engine`; the algorithm is in `llm.routing.walk`.
Other packages import from here only. `llm.simulator` has a public face of its own.
"""

from llm.calls.call import Call
from llm.calls.request import CallOutcome, CallRequest, CallStatus, CostSoFar, LateEnd, Opening
from llm.calls.reservation import Reservation
from llm.config import PRICE_KINDS, EngineConfig, ModelPrice, Provider
from llm.costs.model_names import priced_as
from llm.costs.price_data import price_list_names
from llm.costs.pricing import PriceList
from llm.costs.rate import Cost
from llm.costs.usage import COUNTS, MAX_TOKENS, Usage
from llm.engine import Engine
from llm.errors import (
    CallerImpatient,
    ContextWindowExceeded,
    EmptyAnswer,
    InvalidRequest,
    InvalidUpstreamResponse,
    LLMError,
    ModelNotFound,
    ModelSkipped,
    NotSupported,
    RouteError,
    StreamInterrupted,
    UnsupportedParameter,
    UpstreamAuthFailed,
    UpstreamError,
    UpstreamFailed,
    UpstreamMisconfigured,
    UpstreamNotConfigured,
    UpstreamQuotaExceeded,
    UpstreamRateLimited,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from llm.json_values import MAX_DEPTH, Json, is_too_deep, write_json
from llm.operations import CHAT_COMPLETIONS, COMPLETIONS, EMBEDDINGS, RESPONSES, Operation
from llm.routing.circuit_breaker import BreakerState
from llm.routing.notation import parse_route
from llm.routing.route import ModelOperation, ModelRef, Route, Stage
from llm.upstream.attempt_record import AttemptRecord, AttemptStatus

__all__ = [
    "CHAT_COMPLETIONS",
    "COMPLETIONS",
    "COUNTS",
    "EMBEDDINGS",
    "MAX_DEPTH",
    "MAX_TOKENS",
    "PRICE_KINDS",
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
    "Cost",
    "CostSoFar",
    "EmptyAnswer",
    "Engine",
    "EngineConfig",
    "InvalidRequest",
    "InvalidUpstreamResponse",
    "Json",
    "LLMError",
    "LateEnd",
    "ModelNotFound",
    "ModelOperation",
    "ModelPrice",
    "ModelRef",
    "ModelSkipped",
    "NotSupported",
    "Opening",
    "Operation",
    "PriceList",
    "Provider",
    "Reservation",
    "Route",
    "RouteError",
    "Stage",
    "StreamInterrupted",
    "UnsupportedParameter",
    "UpstreamAuthFailed",
    "UpstreamError",
    "UpstreamFailed",
    "UpstreamMisconfigured",
    "UpstreamNotConfigured",
    "UpstreamQuotaExceeded",
    "UpstreamRateLimited",
    "UpstreamTimeout",
    "UpstreamUnavailable",
    "Usage",
    "is_too_deep",
    "parse_route",
    "price_list_names",
    "priced_as",
    "write_json",
]
