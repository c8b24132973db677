"""One log line for each call that has ended. Neither the prompt nor the answer is in it."""

from __future__ import annotations

import logging

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
            "cost_usd": outcome.cost_usd,
            "prompt_tokens": counts["prompt_tokens"],
            "completion_tokens": counts["completion_tokens"],
            "attempts": len(outcome.attempts),
            "cached": outcome.cached,
            "error_code": outcome.error_code or None,
        },
    )


def log_late_end(order: Order, late_end: LateEnd) -> None:
    """The line `llm_call` of this call had an estimate of what was read on. This one has what the call really cost."""
    counts = token_counts(late_end.outcome.usage)
    logger.info(
        "llm_call_read_on",
        extra={
            "request_id": order.request_id,
            "status": late_end.outcome.status,
            "answered_late": late_end.answer is not None,
            "cost_usd": late_end.outcome.cost_usd,
            "prompt_tokens": counts["prompt_tokens"],
            "completion_tokens": counts["completion_tokens"],
        },
    )
