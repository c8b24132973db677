"""One log line for each call. No prompt, no answer."""

from __future__ import annotations

import logging

from chat.order import Order
from llm import CallOutcome

logger = logging.getLogger("chat")


def log_call(order: Order, outcome: CallOutcome) -> None:
    usage = outcome.usage
    logger.info(
        "llm_call",
        extra={
            "request_id": order.request_id,
            "door": order.door,
            "operation": order.request.operation.name,
            "status": outcome.status,
            "model": outcome.model_used or order.request.route.first.name,
            "provider": outcome.provider_used,
            "latency_ms": outcome.latency_ms,
            "cost_usd": outcome.cost_usd,
            "prompt_tokens": usage.prompt_tokens if usage else None,
            "completion_tokens": usage.completion_tokens if usage else None,
            "attempts": len(outcome.attempts),
            "cached": outcome.cached,
            "error_code": outcome.error_code or None,
        },
    )
