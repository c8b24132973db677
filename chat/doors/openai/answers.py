"""How the doors of the OpenAI protocol write: the upstream's own JSON, with headers that say who answered."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from typing import Any

from chat.doors import sse
from chat.doors.openai.errors import error_body, error_event
from chat.doors.openai.headers import headers_of
from chat.doors.serving import Ending, Style
from chat.order import Order
from llm import RESPONSES, CallOutcome, CallStatus, Json, Operation, write_json


def style_of(operation: Operation) -> Style:
    return Style(_answer, _response_events if operation is RESPONSES else _chunk_events, headers_of)


def _answer(order: Order, outcome: CallOutcome) -> Mapping[str, Any]:
    assert outcome.completion is not None
    return outcome.completion


async def _chunk_events(order: Order, batches: AsyncIterator[list[Json]], ending: Ending) -> AsyncGenerator[bytes]:
    """The chunks as they came, then `[DONE]`.

    The upstream is always asked for usage, because the record needs it. A caller that has not asked does not see it.
    """
    options = order.request.body.get("stream_options") or {}
    hide_usage = not options.get("include_usage")
    request_id = order.request_id
    async for batch in batches:
        shown = map(_without_usage, batch) if hide_usage else batch
        events = [b"data: %s\n\n" % write_json(chunk) for chunk in shown if chunk] if batch else [sse.HEARTBEAT]
        if events:
            yield b"".join(events)
    outcome = await ending()
    if outcome.error is not None and outcome.status is CallStatus.FAILED:
        yield b"data: %s\n\n" % write_json(error_body(outcome.error, order.request_id))
    elif outcome.status is not CallStatus.CANCELLED:
        yield sse.renamed(request_id, order.request_id) + sse.DONE


def _without_usage(chunk: Json) -> Json | None:
    """The chunk for a caller that has not asked for usage. None if usage is all that it carries."""
    if "usage" not in chunk:
        return chunk
    if not chunk.get("choices") and chunk["usage"]:
        return None
    return {name: value for name, value in chunk.items() if name != "usage" or value}


async def _response_events(order: Order, batches: AsyncIterator[list[Json]], ending: Ending) -> AsyncGenerator[bytes]:
    """Typed events. The last one says that the response is complete, so it waits until the call is on record."""
    request_id = order.request_id
    last: Json | None = None
    number = -1
    async for batch in batches:
        events = [] if batch else [sse.HEARTBEAT]
        for chunk in batch:
            if isinstance(sequence_number := chunk.get("sequence_number"), int):
                number = max(number, sequence_number)
            if order.request.operation.finish_reason(chunk):
                last = chunk
            else:
                events.append(sse.event(str(chunk.get("type", "message")), chunk))
        if events:
            yield b"".join(events)
    outcome = await ending()
    if outcome.error is not None and outcome.status is CallStatus.FAILED:
        yield sse.event("error", {**error_event(outcome.error, order.request_id), "sequence_number": number + 1})
    elif last is not None:
        yield sse.renamed(request_id, order.request_id) + sse.event(last["type"], last)
