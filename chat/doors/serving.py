"""From an order to an HTTP response, whole or streamed: what the native doors and the OpenAI ones have in common."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from django.http import HttpResponse
from django.http.response import HttpResponseBase
from rest_framework.request import Request

from chat.call.start import RunningCall, Service, start_call
from chat.doors.door import DoorRequest
from chat.doors.idempotency import META_NAME, Claim, SavedAnswer, checked_key, claim_key, fingerprint
from chat.doors.sse import EventStreamResponse, saved_events
from chat.errors import CallFailed, Stopping
from chat.order import Order
from llm import CallOutcome, CallStatus, Json, Opening, write_json

Ending = Callable[[], Awaitable[CallOutcome]]


@dataclass(frozen=True, slots=True)
class Style:
    """How a door writes: the JSON of a whole answer, the bytes of a stream, and the headers of either.

    `events` yields the end of a good stream as its last item, and only after `ending` has returned: the call is on
    record by then. `headers` is given what is known when they go out.
    """

    answer: Callable[[Order, CallOutcome], Mapping[str, Any]]
    events: Callable[[Order, AsyncIterator[list[Json]], Ending], AsyncGenerator[bytes]]
    headers: Callable[[Opening | CallOutcome], Mapping[str, str]] = lambda _: {}


def service_of(request: Request) -> Service:
    """What the lifespan opened for this process."""
    scope: Mapping[str, Any] = request._request.scope  # type: ignore[attr-defined]
    service: Service = scope["state"]["service"]
    return service


async def serve(request: Request, order: Order, style: Style) -> HttpResponseBase:
    """Run the order, or repeat the answer that its idempotency key has. Raises CallFailed and other APIExceptions."""
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
    except Exception:
        # Not where the caller has gone: the call is ending, and its row will say so when it has.
        await claim.release()
        raise


async def _answer(request: Request, order: Order, style: Style, claim: Claim | None) -> HttpResponseBase:
    answer = _stream if order.request.stream else _whole
    return await answer(request, order, style, claim)


async def _whole(request: Request, order: Order, style: Style, claim: Claim | None) -> HttpResponseBase:
    call = await start_call(service_of(request), order)
    try:
        outcome = await call.settled()
    except asyncio.CancelledError:
        await _cut(request, call)
        raise
    if outcome.status is CallStatus.FAILED:
        raise CallFailed(outcome)
    body, headers = write_json(style.answer(order, outcome)), style.headers(outcome)
    if claim is not None:
        await claim.save(SavedAnswer("application/json", headers, body))
    return HttpResponse(body, content_type="application/json", headers={**headers, **order.headers})


async def _stream(request: Request, order: Order, style: Style, claim: Claim | None) -> HttpResponseBase:
    call = await start_call(service_of(request), order)
    # The answer may be dropped before it has begun, if the caller goes while middleware holds it. The task that serves
    # this request ends in any case.
    serving = asyncio.current_task()
    assert serving is not None
    serving.add_done_callback(lambda _: call.cancel(stopping=_is_stopping(request)))
    try:
        await call.opened()
        if call.failed_unopened is not None:
            raise CallFailed(call.failed_unopened)
    except asyncio.CancelledError:
        await _cut(request, call)
        raise
    headers = style.headers(call.opening)
    events = style.events(order, call.batches(), call.settled)
    if claim is not None:
        events = _saving(events, claim, headers, call)
    response = EventStreamResponse(events)
    for name, value in {**headers, **order.headers}.items():
        response[name] = value
    return response


async def _cut(request: Request, call: RunningCall) -> None:
    """This request was cancelled. Raises Stopping, with the call on record, where its caller still waits for it."""
    stopping = _is_stopping(request)
    call.cancel(stopping=stopping)
    if stopping:
        await call.settled()
        raise Stopping


def _is_stopping(request: Request) -> bool:
    http_request = request._request
    return isinstance(http_request, DoorRequest) and http_request.service_is_stopping


async def _saving(
    events: AsyncGenerator[bytes], claim: Claim, headers: Mapping[str, str], call: RunningCall
) -> AsyncGenerator[bytes]:
    """The events of a stream as they come. Its last one waits until all of them are saved, if the stream ended well."""
    sent: list[bytes] = []
    held = False
    async with aclosing(events):
        async for event in events:
            if held:
                yield sent[-1]
            sent.append(event)
            held = call.is_settled  # until then it is not the last one, and must not wait for the next
            if not held:
                yield event
        outcome = await call.settled()
        if outcome.status in (CallStatus.SUCCEEDED, CallStatus.DEFAULTED):
            await claim.save(SavedAnswer("text/event-stream", headers, b"".join(sent)))
        if held:
            yield sent[-1]


def _repeated(answer: SavedAnswer) -> HttpResponseBase:
    response: HttpResponseBase
    if answer.content_type == "text/event-stream":
        response = EventStreamResponse(saved_events(answer.body))
    else:
        response = HttpResponse(answer.body, content_type=answer.content_type)
    for name, value in answer.headers.items():
        response[name] = value
    response["Idempotent-Replayed"] = "true"
    return response
