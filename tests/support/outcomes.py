"""Orders and outcomes that no call has made, for what is told of a call when it has ended."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from access.callers import Caller
from chat.order import Order
from chat.request_ids import OwnId
from llm import AttemptRecord, AttemptStatus, CallOutcome, CallRequest, CallStatus, ModelRef, Route, Stage

ROUTE = Route("gpt-4o", (Stage((ModelRef("bills", "gpt-4o"),)),))


def an_order(*, request_id: str = "req_bill", **fields: Any) -> Order:
    request = CallRequest(ROUTE, {"messages": [{"role": "user", "content": "Hello"}]})
    own = {
        "request": request,
        "own_id": OwnId({"request_id": request_id}),
        "door": "chat",
        "created_at": datetime.now(UTC),
    }
    return Order(**{**own, "caller": Caller("", "127.0.0.1"), **fields})


def outcome_of(*attempts: AttemptRecord, **fields: Any) -> CallOutcome:
    """A call that gpt-4o has answered."""
    own = {"status": CallStatus.SUCCEEDED, "latency_ms": 5, "model_used": "gpt-4o", "provider_used": "bills"}
    return CallOutcome(attempts=attempts, **{**own, **fields})


def attempt_of(**fields: Any) -> AttemptRecord:
    """A success of gpt-4o at a provider `bills`."""
    own: dict[str, Any] = {"ordinal": 0, "model": "gpt-4o", "provider": "bills", "status": AttemptStatus.SUCCEEDED}
    own |= {"raced": False, "started_after_ms": 0, "latency_ms": 5, "time_to_first_token_ms": None}
    return AttemptRecord(**own | fields)
