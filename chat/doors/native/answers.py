"""How the native doors write: one JSON object for a whole answer, events for a stream."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from decimal import Decimal
from typing import Any

from django.utils.timezone import localtime

from chat.doors import sse
from chat.doors.serving import Ending, Style
from chat.errors import failure_envelope
from chat.order import Order
from chat.token_counts import token_counts
from llm import AttemptRecord, CallOutcome, CallStatus, Json, Opening, Usage

# The counts of an answer, in the order in which it has them.
COUNTS = (
    "prompt_tokens",
    "completion_tokens",
    "total_tokens",
    "cached_tokens",
    "reasoning_tokens",
    "cache_write_tokens",
    "audio_prompt_tokens",
    "audio_completion_tokens",
    "web_searches",
    "file_searches",
)


def style_of(order: Order) -> Style:
    return Style(_answer, _json_events if order.typed_events else _text_events, _headers)


def _answer(order: Order, outcome: CallOutcome) -> dict[str, Any]:
    """The body of a chat door's 200. Empty texts are null; money is a JSON number in US dollars."""
    return {
        "request_id": order.request_id,
        "content": outcome.content,
        "model_used": outcome.model_used or None,
        "provider_used": outcome.provider_used or None,
        "model": outcome.model_used or None,
        "finish_reason": outcome.finish_reason or None,
        "fallback_triggered": outcome.fallback_triggered,
        "is_default_message": outcome.status is CallStatus.DEFAULTED,
        "usage": _usage(outcome.usage),
        **_cost(outcome),
        "latency_ms": outcome.latency_ms,
        "created_at": localtime(order.created_at).isoformat().replace("+00:00", "Z"),
        "attempts": [_attempt(attempt) for attempt in outcome.attempts],
    }


def _headers(known: Opening | CallOutcome) -> dict[str, str]:
    """A header says that the answer came from the cache, because the shape of the body is fixed."""
    return {"x-cached": "true"} if known.cached else {}


async def _text_events(order: Order, batches: AsyncIterator[list[Json]], ending: Ending) -> AsyncGenerator[bytes]:
    """Default events that carry the text itself, then `[DONE]`. After a failure there is an error event instead."""
    shown = order.request.operation.stream_text()
    request_id = order.request_id
    held = ""  # A carriage return at the end of a piece waits, because the next piece may begin with its line feed.
    async for batch in batches:
        events = [] if batch else [sse.HEARTBEAT]
        for chunk in batch:
            text = held + shown.read(chunk)
            held = "\r" if text.endswith("\r") else ""
            if text := text.removesuffix("\r"):
                events.append(sse.text_event(text))
        if events:
            yield b"".join(events)
    if held := held + shown.rest():
        yield sse.text_event(held)
    outcome = await ending()
    if _answered(outcome):
        yield sse.renamed(request_id, order.request_id) + sse.DONE
    else:
        yield sse.event("error", failure_envelope(outcome, order.request_id)["error"])


async def _json_events(order: Order, batches: AsyncIterator[list[Json]], ending: Ending) -> AsyncGenerator[bytes]:
    """Typed events: start, then deltas, then usage and done with the whole answer. After a failure, error instead."""
    shown = order.request.operation.stream_text()
    yield sse.event("start", {"request_id": order.request_id, "route": order.request.route.written})
    async for batch in batches:
        texts = map(shown.read, batch)
        events = [sse.event("delta", {"content": text}) for text in texts if text] if batch else [sse.HEARTBEAT]
        if events:
            yield b"".join(events)
    if rest := shown.rest():
        yield sse.event("delta", {"content": rest})
    outcome = await ending()
    if not _answered(outcome):
        yield sse.event("error", failure_envelope(outcome, order.request_id)["error"])
        return
    yield sse.event("usage", {**_usage(outcome.usage), **_cost(outcome)})
    yield sse.event("done", _answer(order, outcome))


def _answered(outcome: CallOutcome) -> bool:
    return outcome.status in (CallStatus.SUCCEEDED, CallStatus.DEFAULTED)


def _attempt(attempt: AttemptRecord) -> dict[str, Any]:
    return {
        "model": attempt.model,
        "provider": attempt.provider,
        "status": attempt.status,
        "error_code": attempt.error.code if attempt.error else None,
        "latency_ms": attempt.latency_ms,
        **_cost(attempt),
    }


def _cost(of: CallOutcome | AttemptRecord) -> dict[str, Any]:
    return {
        "cost_usd": _money(of.cost_usd),
        "cost_estimated": of.cost_estimated,
        "cost_incomplete": of.cost_incomplete,
    }


def _usage(usage: Usage | None) -> dict[str, Any]:
    return {**token_counts(usage, COUNTS), "estimated": usage is not None and usage.estimated}


def _money(amount: Decimal | None) -> float | None:
    return None if amount is None else float(amount)
