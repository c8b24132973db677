"""The doors of the OpenAI protocol that ask a model."""

from __future__ import annotations

from typing import Any, ClassVar

from asgiref.sync import sync_to_async
from django.http.response import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from access.keys.authentication import caller_of
from chat.doors.door import Door
from chat.doors.openai.answers import style_of
from chat.doors.openai.base import ERRORS, NOT_STORED, OpenAIView
from chat.doors.openai.orders import read_order
from chat.doors.openai.serializers import (
    ChatCompletionRequestSerializer,
    CompletionRequestSerializer,
    EmbeddingRequestSerializer,
    ResponseRequestSerializer,
)
from chat.doors.openai.stored.completions import list_completions
from chat.doors.openai.stored.query import ListQuery, read_list_query
from chat.doors.serving import parts_of, serve
from llm import CHAT_COMPLETIONS, COMPLETIONS, EMBEDDINGS, RESPONSES, Operation

# How the API's schema describes the answers of a door that can stream, and the headers that all doors read.
WHOLE_OR_STREAMED: dict[Any, Any] = {
    (200, "application/json"): OpenApiTypes.OBJECT,
    (200, "text/event-stream"): OpenApiTypes.STR,
    **ERRORS,
}
HEADERS = [
    OpenApiParameter(name, kind, OpenApiParameter.HEADER, description=meaning)
    for name, kind, meaning in (
        ("x-route", str, "A route, instead of `model`."),
        ("x-timeout", float, "Seconds for the whole call."),
        ("x-hedge-after", float, "Seconds after which the next model of a race starts."),
        ("x-default-message", str, "Answer with this text if no model can."),
        ("x-cache-ttl", float, "Seconds for which this answer may be given again to the same request."),
        ("Idempotency-Key", str, "A repeated request gets the answer of the first one with this key."),
    )
]


class OperationView(OpenAIView, Door):
    """A door that runs one of OpenAI's APIs."""

    operation: ClassVar[Operation]

    async def run(self, request: Request) -> HttpResponseBase:
        order = read_order(request, parts_of(request).engine, self.operation)
        return await serve(request, order, style_of(self.operation))


class ChatCompletionsView(OperationView):
    """Chat completions: make one, or list those that were stored."""

    operation = CHAT_COMPLETIONS

    @extend_schema(
        operation_id="v1_chat_completions_create",
        summary="A chat completion, as OpenAI has it; `model` takes a route",
        parameters=HEADERS,
        request=ChatCompletionRequestSerializer,
        responses=WHOLE_OR_STREAMED,
    )
    async def post(self, request: Request) -> HttpResponseBase:
        return await self.run(request)

    @extend_schema(
        operation_id="v1_chat_completions_list",
        summary="Stored chat completions, from our own history",
        parameters=[ListQuery],
        responses={200: OpenApiTypes.OBJECT, 400: ERRORS[400], 404: NOT_STORED},
    )
    async def get(self, request: Request) -> Response:
        query = read_list_query(request.query_params)
        return Response(await sync_to_async(list_completions)(caller_of(request).sees_only, query))


class CompletionsView(OperationView):
    operation = COMPLETIONS

    @extend_schema(
        summary="A text completion, where the upstream has this API",
        parameters=HEADERS,
        request=CompletionRequestSerializer,
        responses=WHOLE_OR_STREAMED,
    )
    async def post(self, request: Request) -> HttpResponseBase:
        return await self.run(request)


class EmbeddingsView(OperationView):
    operation = EMBEDDINGS

    @extend_schema(
        summary="Embeddings, with fallback, record and cost like any call",
        parameters=HEADERS,
        request=EmbeddingRequestSerializer,
        responses={200: OpenApiTypes.OBJECT, **ERRORS},
    )
    async def post(self, request: Request) -> HttpResponseBase:
        return await self.run(request)


class ResponsesView(OperationView):
    operation = RESPONSES

    @extend_schema(
        summary="A response, whole or streamed",
        parameters=HEADERS,
        request=ResponseRequestSerializer,
        responses=WHOLE_OR_STREAMED,
    )
    async def post(self, request: Request) -> HttpResponseBase:
        return await self.run(request)
