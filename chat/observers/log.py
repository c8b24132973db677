"""One log line for each call that has ended. Neither the prompt nor the answer is in it."""

from __future__ import annotations

import logging
from typing import Any

from chat.order import Order
from chat.token_counts import token_counts
from llm import CallOutcome, LateEnd

logger = logging.getLogger("chat")


def log_call(order: Order, outcome: CallOutcome) -> None:
    """The observer that writes the line."""
    counts = token_counts(outcome.usage)
    logger.info(
        "llm_call",
        extra={
            "request_id": order.request_id,
            "door": order.door,
            "operation": order.request.operation.name,
            "route": order.request.route.written,
            "key": order.caller.name,
            "status": outcome.status,
            "model": outcome.model_used or order.request.route.first.name,
            "provider": outcome.provider_used,
            "latency_ms": outcome.latency_ms,
            "time_to_first_token_ms": outcome.time_to_first_token_ms,
            "fallback": outcome.fallback_triggered,
            **_cost(outcome),
            "prompt_tokens": counts["prompt_tokens"],
            "completion_tokens": counts["completion_tokens"],
            "attempts": len(outcome.attempts),
            "cached": outcome.cached,
            "error_code": outcome.error_code or None,
        },
    )


def _cost(outcome: CallOutcome) -> dict[str, Any]:
    """The cost, and what is wrong with it. The two marks are there only where they are true."""
    marks = {"cost_estimated": outcome.cost_estimated, "cost_incomplete": outcome.cost_incomplete}
    return {"cost_usd": outcome.cost_usd, **{name: mark for name, mark in marks.items() if mark}}


def log_late_end(order: Order, late_end: LateEnd) -> None:
    """The line `llm_call` of this call had an estimate of what was read on. This one has what the call really cost."""
    counts = token_counts(late_end.outcome.usage)
    logger.info(
        "llm_call_read_on",
        extra={
            "request_id": order.request_id,
            "status": late_end.outcome.status,
            "answered_late": late_end.answer is not None,
            **_cost(late_end.outcome),
            "prompt_tokens": counts["prompt_tokens"],
            "completion_tokens": counts["completion_tokens"],
        },
    )
