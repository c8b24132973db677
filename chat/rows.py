"""From an outcome of the engine to the rows that are kept of it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from chat.call_rows import CallRows, Values
from chat.exceptions import status_of
from chat.models import NAME_LENGTH, CallRecord
from chat.orders import Order
from llm import AttemptRecord, CallOutcome, CallStatus, Usage

CLIENT_CLOSED_REQUEST = 499
"""What a caller that went away is said to have got. Source: nginx."""


def rows_of(order: Order, outcome: CallOutcome, *, store_content: bool) -> CallRows:
    """The rows of a call that has ended. Texts are made fit for any database: no NUL, no lone surrogate."""
    error = outcome.error if outcome.status is not CallStatus.SUCCEEDED else None
    call = _ordered(order) | {
        "model_used": _name(outcome.model_used),
        "provider_used": outcome.provider_used,
        "status": str(outcome.status),
        "fallback_triggered": outcome.fallback_triggered,
        "is_default_message": outcome.status is CallStatus.DEFAULTED,
        "error_code": error.code if error else "",
        "error_message": _text(error.message) if error else "",
        "http_status": _http_status(outcome),
        "latency_ms": outcome.latency_ms,
        "time_to_first_token_ms": outcome.time_to_first_token_ms,
        "finish_reason": _text(outcome.finish_reason)[:64],
        "cost_usd": outcome.cost_usd,
        **_tokens(outcome.usage),
    }
    return CallRows(
        call=call,
        attempts=[_attempt(attempt) for attempt in outcome.attempts],
        content=_content(order, outcome.content) if store_content else None,
        size=order.body_bytes + len(outcome.content),
    )


def start_rows_of(order: Order, *, lease_until: datetime, store_content: bool) -> CallRows:
    """The rows of a call that is still running."""
    return CallRows(
        call=_ordered(order) | {"status": str(CallRecord.Status.IN_PROGRESS), "lease_until": lease_until},
        attempts=[],
        content=_content(order, "") if store_content else None,
        size=order.body_bytes,
    )


def _ordered(order: Order) -> Values:
    """What is known of a call when it begins."""
    request = order.request
    return {
        "request_id": order.request_id,
        "created_at": order.created_at,
        "door": str(order.door),
        "streamed": request.stream,
        "route": request.route.written,
        "model_requested": request.route.first.name,
        "metadata": _json(order.metadata),
        "api_key": order.api_key,
        "client_ip": order.client_ip,
        "user_agent": _text(order.user_agent)[:400],
    }


def _content(order: Order, content: str) -> Values:
    body = order.request.body
    parameters = {name: value for name, value in body.items() if name != "messages"}
    return {"messages": _json(body["messages"]), "parameters": _json(parameters), "content": _text(content)}


def _attempt(attempt: AttemptRecord) -> Values:
    return {
        "ordinal": attempt.ordinal,
        "model": _name(attempt.model),
        "provider": attempt.provider,
        "status": str(attempt.status),
        "error_code": attempt.error.code if attempt.error else "",
        "error_message": _text(attempt.error.message) if attempt.error else "",
        "http_status": attempt.http_status,
        "raced": attempt.raced,
        "started_after_ms": attempt.started_after_ms,
        "latency_ms": attempt.latency_ms,
        "time_to_first_token_ms": attempt.time_to_first_token_ms,
        "upstream_request_id": _name(attempt.upstream_request_id),
        "cost_usd": attempt.cost_usd,
        **_tokens(attempt.usage),
    }


def _tokens(usage: Usage | None) -> Values:
    if usage is None:
        return {}
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "cached_tokens": usage.cached_tokens,
        "reasoning_tokens": usage.reasoning_tokens,
        "usage_estimated": usage.estimated,
    }


def _http_status(outcome: CallOutcome) -> int:
    if outcome.status is CallStatus.CANCELLED:
        return CLIENT_CLOSED_REQUEST
    if outcome.status is CallStatus.FAILED and outcome.error is not None and not outcome.content:
        return status_of(outcome.error)
    return 200


def _text(text: str) -> str:
    return text.encode("utf-8", "replace").decode().replace("\x00", "\ufffd")


def _name(text: str) -> str:
    return _text(text)[:NAME_LENGTH]


def _json(value: Any) -> Any:
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, dict):
        return {_text(str(name)): _json(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_json(inner) for inner in value]
    return value
