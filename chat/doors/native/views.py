"""The native doors. Each validates, calls one service, and answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from adrf.views import APIView
from asgiref.sync import sync_to_async
from django.conf import settings
from django.http import Http404
from django.http.response import HttpResponseBase
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema, inline_serializer
from rest_framework import serializers
from rest_framework.exceptions import ParseError
from rest_framework.request import Request
from rest_framework.response import Response

from access.keys.authentication import caller_of
from chat.doors.door import Door
from chat.doors.native.answers import answer, headers, json_events, text_events
from chat.doors.native.serializers import (
    AnswerSerializer,
    CallDetailSerializer,
    CallSerializer,
    ChatSerializer,
    ChatStreamSerializer,
    FallbackSerializer,
    ParallelSerializer,
    PromptSerializer,
)
from chat.doors.serving import Style, serve, service_of
from chat.errors import ErrorSerializer
from chat.fields import checked
from chat.history.keyset import history_page
from chat.history.selectors import HistoryQuery, call_with_attempts, calls, read_query
from chat.models import CallRecord
from chat.order import Order, cache_ttl, call_request, fallback_route, parallel_route
from chat.request_ids import request_id_of
from llm import Engine

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
NOT_FOUND = OpenApiResponse(ErrorSerializer, "There is no such call, or it is another key's.")
HEADERS = [
    OpenApiParameter(
        "Idempotency-Key",
        str,
        OpenApiParameter.HEADER,
        description="A repeated request gets the answer of the first one with this key, for 24 hours.",
    )
]


def page_of(serializer: type[serializers.BaseSerializer[Any]]) -> serializers.Serializer[Any]:
    """The schema of a cursor page."""
    return inline_serializer(
        "CallPage",
        {
            "next": serializers.URLField(allow_null=True),
            "previous": serializers.URLField(allow_null=True),
            "results": serializer(many=True),
        },
    )


class DoorView(Door):
    """A native chat door: it takes a JSON order, and answers with one JSON object or with events."""

    door: ClassVar[CallRecord.Door]
    input_serializer: ClassVar[type[PromptSerializer]]
    always_answers: ClassVar[bool] = False

    def route(self, engine: Engine, data: Mapping[str, Any]) -> str:
        """The route that the checked fields ask for."""
        return str(data.get("model", settings.DEFAULT_MODEL))

    def order(self, request: Request, *, stream: bool = False) -> Order:
        """The order of a checked request. Raises ValidationError."""
        if not isinstance(request.data, dict):
            raise ParseError("The body must be a JSON object.")
        data = checked(self.input_serializer, request.data)
        if self.always_answers:
            data.setdefault("default_message", settings.DEFAULT_MESSAGE)
        engine = service_of(request).engine
        return Order(
            request=call_request(engine, self.route(engine, data), data, stream=stream),
            request_id=request_id_of(request),
            door=self.door,
            created_at=timezone.now(),
            caller=caller_of(request),
            metadata=data.get("metadata", {}),
            typed_events=data.get("events") == "json",
            cache_ttl=cache_ttl(data),
            traceparent=request.META.get("HTTP_TRACEPARENT", ""),
            user_agent=request.META.get("HTTP_USER_AGENT", ""),
            body_bytes=int(request.META.get("CONTENT_LENGTH") or 0),
        )

    async def respond(self, request: Request, *, stream: bool = False) -> HttpResponseBase:
        order = self.order(request, stream=stream)
        return await serve(request, order, Style(answer, json_events if order.typed_events else text_events, headers))


class ChatView(DoorView):
    """One answer by one route."""

    door = CallRecord.Door.CHAT
    input_serializer = ChatSerializer

    @extend_schema(
        summary="One answer", parameters=HEADERS, request=ChatSerializer, responses={200: AnswerSerializer, **ERRORS}
    )
    async def post(self, request: Request) -> HttpResponseBase:
        return await self.respond(request)


class ParallelView(DoorView):
    """Several models race, and the fastest success wins."""

    door = CallRecord.Door.PARALLEL
    input_serializer = ParallelSerializer

    def route(self, engine: Engine, data: Mapping[str, Any]) -> str:
        return parallel_route(data)

    @extend_schema(
        summary="A race: the fastest success wins",
        parameters=HEADERS,
        request=ParallelSerializer,
        responses={200: AnswerSerializer, **ERRORS},
    )
    async def post(self, request: Request) -> HttpResponseBase:
        return await self.respond(request)


class FallbackView(DoorView):
    """Models are asked in turn, and if none of them answers, the default message does."""

    door = CallRecord.Door.FALLBACK
    input_serializer = FallbackSerializer
    always_answers = True

    def route(self, engine: Engine, data: Mapping[str, Any]) -> str:
        return fallback_route(engine, data)

    @extend_schema(
        summary="A fallback chain that always answers",
        parameters=HEADERS,
        request=FallbackSerializer,
        responses={200: AnswerSerializer, **{status: ERRORS[status] for status in (400, 401, 403, 409, 413, 422, 429)}},
    )
    async def post(self, request: Request) -> HttpResponseBase:
        return await self.respond(request)


class StreamView(DoorView):
    """The answer as server-sent events, as it comes."""

    door = CallRecord.Door.STREAM
    input_serializer = ChatStreamSerializer

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
        return await self.respond(request, stream=True)


class CallsView(APIView):
    """The history, newest first."""

    @extend_schema(
        operation_id="calls_list",
        summary="The history",
        parameters=[HistoryQuery],
        responses={200: page_of(CallSerializer), 400: ERRORS[400]},
    )
    async def get(self, request: Request) -> Response:
        query = read_query(request.query_params) | {"api_key": caller_of(request).sees_only}
        return Response(await sync_to_async(self._page)(request.build_absolute_uri(), query))

    def _page(self, url: str, query: Mapping[str, Any]) -> dict[str, Any]:
        page = history_page(calls(query), cursor=query.get("cursor"), size=query["page_size"])
        return {**page.links(url), "results": CallSerializer(page.calls, many=True).data}


class CallView(APIView):
    """One call with its content and attempts."""

    @extend_schema(summary="One call", responses={200: CallDetailSerializer, 404: NOT_FOUND})
    async def get(self, request: Request, request_id: str) -> Response:
        return Response(await sync_to_async(self._detail)(request_id, caller_of(request).sees_only))

    def _detail(self, request_id: str, api_key: str | None) -> dict[str, Any]:
        call = call_with_attempts(request_id, api_key=api_key)
        if call is None:
            raise Http404(f"There is no call '{request_id}'.")
        return CallDetailSerializer(call).data
