"""The doors that ask a model. What a client sends goes through unchanged, and so does what the upstream answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from adrf.views import APIView
from asgiref.sync import sync_to_async
from django.http.response import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from access.keys.authentication import caller_of
from chat.doors.door import Door
from chat.doors.openai import stored
from chat.doors.openai.answers import style_of
from chat.doors.openai.errors import openai_handle
from chat.doors.openai.orders import read_order
from chat.doors.openai.serializers import (
    ChatCompletionRequestSerializer,
    CompletionRequestSerializer,
    EmbeddingRequestSerializer,
    OpenAIErrorSerializer,
    ResponseRequestSerializer,
)
from chat.doors.serving import serve, service_of
from llm import CHAT_COMPLETIONS, COMPLETIONS, EMBEDDINGS, RESPONSES, Operation

ERRORS = {
    status: OpenApiResponse(OpenAIErrorSerializer, meaning)
    for status, meaning in (
        (400, "The request can't be understood, or no model would take it."),
        (401, "No API key, or one that is wrong, revoked or has expired."),
        (403, "The key may not do this: which scope or model is refused."),
        (404, "There is no such model."),
        (409, "A request with this Idempotency-Key is still running."),
        (413, "The body is too large."),
        (422, "The Idempotency-Key was used for another request."),
        (429, "A rate limit or quota; see Retry-After."),
        (500, "The upstream failed; its own status is passed on."),
        (502, "The upstream could not be reached, or gave no usable answer."),
        (503, "No upstream key, or no capacity."),
        (504, "No answer in time."),
    )
}
NOT_STORED = OpenApiResponse(OpenAIErrorSerializer, "There is no such completion, or it is another key's.")
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


class OpenAIView(APIView):
    """A view whose errors have OpenAI's shape."""

    def get_exception_handler(self) -> Callable[[Exception, Mapping[str, Any]], Response]:
        return openai_handle


class OperationView(OpenAIView, Door):
    """A door that runs one of OpenAI's APIs."""

    operation: ClassVar[Operation]

    async def run(self, request: Request) -> HttpResponseBase:
        order = read_order(request, service_of(request).engine, self.operation)
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
        parameters=[stored.ListQuery],
        responses={200: OpenApiTypes.OBJECT, 400: ERRORS[400], 404: NOT_STORED},
    )
    async def get(self, request: Request) -> Response:
        query = stored.read_list_query(request.query_params)
        return Response(await sync_to_async(stored.list_completions)(caller_of(request).sees_only, query))


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


class StoredCompletionView(OpenAIView):
    """One stored chat completion."""

    @extend_schema(summary="A stored chat completion", responses={200: OpenApiTypes.OBJECT, 404: NOT_STORED})
    async def get(self, request: Request, completion_id: str) -> Response:
        return Response(await sync_to_async(stored.read_completion)(caller_of(request).sees_only, completion_id))

    @extend_schema(
        operation_id="v1_chat_completions_update",
        summary="Replace the metadata of a stored chat completion",
        request=stored.MetadataSerializer,
        responses={200: OpenApiTypes.OBJECT, 400: ERRORS[400], 404: NOT_STORED},
    )
    async def post(self, request: Request, completion_id: str) -> Response:
        serializer = stored.MetadataSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        metadata = service_of(request).row_maker.redacted(serializer.validated_data["metadata"] or {})
        return Response(
            await sync_to_async(stored.update_metadata)(caller_of(request).changes_only, completion_id, metadata)
        )

    @extend_schema(
        summary="Delete a stored chat completion: what was said in it; its figures stay",
        responses={200: OpenApiTypes.OBJECT, 404: NOT_STORED},
    )
    async def delete(self, request: Request, completion_id: str) -> Response:
        return Response(await sync_to_async(stored.delete_completion)(caller_of(request).changes_only, completion_id))


class StoredMessagesView(OpenAIView):
    @extend_schema(
        summary="The messages that a stored chat completion answered",
        parameters=[stored.MessagesQuery],
        responses={200: OpenApiTypes.OBJECT, 400: ERRORS[400], 404: NOT_STORED},
    )
    async def get(self, request: Request, completion_id: str) -> Response:
        query = stored.MessagesQuery(data=request.query_params)
        query.is_valid(raise_exception=True)
        return Response(
            await sync_to_async(stored.list_messages)(caller_of(request).sees_only, completion_id, query.validated_data)
        )
