"""From an order to an HTTP response, whole or streamed, for native doors and those of the OpenAI protocol alike."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, cast

from django.core.handlers.asgi import ASGIRequest
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from rest_framework.request import Request

from chat.call.start import ProcessParts, RunningCall, start_call
from chat.compat import http_request_of
from chat.doors.door import DoorRequest
from chat.doors.idempotency import META_NAME, Claim, SavedAnswer, checked_key, claim_key, fingerprint
from chat.doors.sse import EventStreamResponse, saved_events
from chat.errors import CallFailed, Stopping
from chat.order import Order
from llm import CallOutcome, CallStatus, Json, Opening, write_json

# Waits until a call has ended and is on record, and returns its outcome.
Ending = Callable[[], Awaitable[CallOutcome]]


@dataclass(frozen=True, slots=True)
class Style:
    """How a door writes its answers."""

    # The JSON of a whole answer.
    answer: Callable[[Order, CallOutcome], Mapping[str, Any]]
    # The bytes of a stream. The end of a good stream must be its last item, and must come only after `Ending` has
    # returned, because the call is on record by then.
    events: Callable[[Order, AsyncIterator[list[Json]], Ending], AsyncGenerator[bytes]]
    # The headers, made of what is known when they are sent: the opening of a stream, or the outcome of a whole answer.
    headers: Callable[[Opening | CallOutcome], Mapping[str, str]]


def parts_of(request: Request) -> ProcessParts:
    """The parts of this process, which the lifespan has opened."""
    parts: ProcessParts = cast(ASGIRequest, http_request_of(request)).scope["state"]["parts"]
    return parts


async def serve(request: Request, order: Order, style: Style) -> HttpResponseBase:
    """Run the order, or repeat the answer that its idempotency key stands for. Raises CallFailed and APIException."""
    written = request.META.get(META_NAME)
    if written is None:
        return await _answer(request, order, style, None)
    claim = await claim_key(
        api_key=order.caller.name,
        key=checked_key(written),
        fingerprint=fingerprint(request.path, request.data, request.headers),
        request_id=order.request_id,
        created_at=order.created_at,
    )
    if isinstance(claim, SavedAnswer):
        return _repeated(claim)
    try:
        return await _answer(request, order, style, claim)
    except CallFailed as failed:
        # An answer that is still read on is kept under the key when it comes.
        if not failed.outcome.reading_on:
            await claim.release()
        raise
    except Exception:
        # A caller that has gone does not come here (CancelledError is no Exception). Its call is still ending, and the
        # row of the call will tell the next request with this key when it has ended.
        await claim.release()
        raise


async def _answer(request: Request, order: Order, style: Style, claim: Claim | None) -> HttpResponseBase:
    answer = _stream if order.request.stream else _whole
    return await answer(request, order, style, claim)


async def _whole(request: Request, order: Order, style: Style, claim: Claim | None) -> HttpResponseBase:
    async def keep_late(late: CallOutcome) -> None:
        if claim is not None:
            await claim.save(_saved(order, style, late))

    call = await start_call(parts_of(request), order, keep_late)
    try:
        outcome = await call.settled()
    except asyncio.CancelledError:
        await _cancel(request, call)
        raise
    if outcome.status is CallStatus.FAILED:
        raise CallFailed(outcome)
    answer = _saved(order, style, outcome)
    if claim is not None:
        await claim.save(answer)
    return HttpResponse(answer.body, content_type=answer.content_type, headers={**answer.headers, **order.headers})


def _saved(order: Order, style: Style, outcome: CallOutcome) -> SavedAnswer:
    return SavedAnswer("application/json", style.headers(outcome), write_json(style.answer(order, outcome)))


async def _stream(request: Request, order: Order, style: Style, claim: Claim | None) -> HttpResponseBase:
    call = await start_call(parts_of(request), order)
    # If the caller goes while middleware holds the answer, nobody ever iterates over it. The task that serves this
    # request ends in any case, so its end cancels the call.
    serving = asyncio.current_task()
    assert serving is not None
    serving.add_done_callback(lambda _: call.cancel(stopping=_is_stopping(request)))
    try:
        await call.opened()
        if call.failed_unopened is not None:
            raise CallFailed(call.failed_unopened)
    except asyncio.CancelledError:
        await _cancel(request, call)
        raise
    headers = style.headers(call.opening)
    events = style.events(order, call.batches(), call.settled)
    if claim is not None:
        events = _saving(events, claim, headers, call)
    response = EventStreamResponse(events)
    for name, value in {**headers, **order.headers}.items():
        response[name] = value
    return response


async def _cancel(request: Request, call: RunningCall) -> None:
    """Cancel the call of a request that was cancelled. Raises Stopping if the caller still waits for an answer.

    The call is on record by then.
    """
    stopping = _is_stopping(request)
    call.cancel(stopping=stopping)
    if stopping:
        await call.settled()
        raise Stopping


def _is_stopping(request: Request) -> bool:
    http_request = http_request_of(request)
    return isinstance(http_request, DoorRequest) and http_request.service_is_stopping


async def _saving(
    events: AsyncGenerator[bytes], claim: Claim, headers: Mapping[str, str], call: RunningCall
) -> AsyncGenerator[bytes]:
    """The events of a stream as they come. If it ends well, its last event waits until all of them are saved."""
    sent: list[bytes] = []
    held = False
    async with aclosing(events):
        async for event in events:
            if held:
                yield sent[-1]
            sent.append(event)
            # While the call is running this can't be the last event, so it must not wait for the next one.
            held = call.is_settled
            if not held:
                yield event
        outcome = await call.settled()
        if outcome.status in (CallStatus.SUCCEEDED, CallStatus.DEFAULTED):
            await claim.save(SavedAnswer("text/event-stream", headers, b"".join(sent)))
        if held:
            yield sent[-1]


def _repeated(answer: SavedAnswer) -> HttpResponseBase:
    """The response to a request that was answered before."""
    response: HttpResponseBase
    if answer.content_type == "text/event-stream":
        response = EventStreamResponse(saved_events(answer.body))
    else:
        response = HttpResponse(answer.body, content_type=answer.content_type)
    for name, value in answer.headers.items():
        response[name] = value
    response["Idempotent-Replayed"] = "true"
    return response
