"""The native doors: views that take a JSON body and answer with one JSON object, or with events."""

from __future__ import annotations

from typing import ClassVar

from django.http.response import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.request import Request

from chat.doors.door import Door
from chat.doors.native.answers import style_of
from chat.doors.native.orders import NativeDoor, chat_route, fallback_route, parallel_route, read_order
from chat.doors.native.serializers import (
    AnswerSerializer,
    ChatSerializer,
    ChatStreamSerializer,
    FallbackSerializer,
    ParallelSerializer,
)
from chat.doors.serving import parts_of, serve
from chat.errors import ErrorSerializer
from chat.models import CallRecord

# How the API's schema describes the errors that these doors answer, by status.
ERRORS = {
    400: OpenApiResponse(ErrorSerializer, "Bad input: which field, and why."),
    401: OpenApiResponse(ErrorSerializer, "No API key, or one that is wrong, revoked or has expired."),
    403: OpenApiResponse(ErrorSerializer, "The key may not do this: which scope or model is refused."),
    404: OpenApiResponse(ErrorSerializer, "No such model."),
    409: OpenApiResponse(ErrorSerializer, "A request with this Idempotency-Key is still running."),
    413: OpenApiResponse(ErrorSerializer, "The body is too large."),
    422: OpenApiResponse(ErrorSerializer, "The Idempotency-Key was used for another request."),
    429: OpenApiResponse(ErrorSerializer, "A limit of the key or address, or the upstream's; see Retry-After."),
    502: OpenApiResponse(ErrorSerializer, "The upstream failed; `details.attempts` has every cause."),
    503: OpenApiResponse(ErrorSerializer, "No upstream key, or no capacity."),
    504: OpenApiResponse(ErrorSerializer, "No answer in time."),
}
HEADERS = [
    OpenApiParameter(
        "Idempotency-Key",
        str,
        OpenApiParameter.HEADER,
        description="A repeated request gets the answer of the first one with this key, for 24 hours.",
    )
]


class NativeView(Door):
    """The view of a native door."""

    door: ClassVar[NativeDoor]

    async def run(self, request: Request) -> HttpResponseBase:
        order = read_order(request, parts_of(request).engine, self.door)
        return await serve(request, order, style_of(order))


class ChatView(NativeView):
    """One answer by one route."""

    door = NativeDoor(CallRecord.Door.CHAT, ChatSerializer, chat_route)

    @extend_schema(
        summary="One answer", parameters=HEADERS, request=ChatSerializer, responses={200: AnswerSerializer, **ERRORS}
    )
    async def post(self, request: Request) -> HttpResponseBase:
        return await self.run(request)


class ParallelView(NativeView):
    """Several models race, and the fastest success wins."""

    door = NativeDoor(CallRecord.Door.PARALLEL, ParallelSerializer, parallel_route)

    @extend_schema(
        summary="A race: the fastest success wins",
        parameters=HEADERS,
        request=ParallelSerializer,
        responses={200: AnswerSerializer, **ERRORS},
    )
    async def post(self, request: Request) -> HttpResponseBase:
        return await self.run(request)


class FallbackView(NativeView):
    """Models are asked in turn, and if none of them answers, the default message does."""

    door = NativeDoor(CallRecord.Door.FALLBACK, FallbackSerializer, fallback_route, always_answers=True)

    @extend_schema(
        summary="A fallback chain that always answers",
        parameters=HEADERS,
        request=FallbackSerializer,
        responses={200: AnswerSerializer, **{status: ERRORS[status] for status in (400, 401, 403, 409, 413, 422, 429)}},
    )
    async def post(self, request: Request) -> HttpResponseBase:
        return await self.run(request)


class StreamView(NativeView):
    """The answer as server-sent events, as it comes."""

    door = NativeDoor(CallRecord.Door.STREAM, ChatStreamSerializer, chat_route, streams=True)

    @extend_schema(
        summary="The answer as it comes (server-sent events)",
        description=(
            "Each event's `data` is a piece of the text; the last one is `[DONE]`. With `events` set to `json`, the "
            "events are `start`, `delta`, `usage` and `done`. If the stream breaks, the last event is `error` and "
            "there is no `[DONE]`. Before the first piece, errors are ordinary HTTP errors."
        ),
        parameters=HEADERS,
        request=ChatStreamSerializer,
        responses={(200, "text/event-stream"): OpenApiTypes.STR, **ERRORS},
    )
    async def post(self, request: Request) -> HttpResponseBase:
        return await self.run(request)
