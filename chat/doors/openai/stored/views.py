"""The addresses of stored completions: one completion, and its messages."""

from __future__ import annotations

from asgiref.sync import sync_to_async
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from access.keys.authentication import caller_of
from chat.doors.openai.base import ERRORS, NOT_STORED, OpenAIView
from chat.doors.openai.stored.completions import delete_completion, list_messages, read_completion, update_metadata
from chat.doors.openai.stored.query import MessagesQuery, MetadataSerializer
from chat.doors.serving import parts_of


class StoredCompletionView(OpenAIView):
    """One stored chat completion."""

    @extend_schema(summary="A stored chat completion", responses={200: OpenApiTypes.OBJECT, 404: NOT_STORED})
    async def get(self, request: Request, completion_id: str) -> Response:
        return Response(await sync_to_async(read_completion)(caller_of(request).sees_only, completion_id))

    @extend_schema(
        operation_id="v1_chat_completions_update",
        summary="Replace the metadata of a stored chat completion",
        request=MetadataSerializer,
        responses={200: OpenApiTypes.OBJECT, 400: ERRORS[400], 404: NOT_STORED},
    )
    async def post(self, request: Request, completion_id: str) -> Response:
        serializer = MetadataSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        metadata = parts_of(request).row_maker.redacted(serializer.validated_data["metadata"] or {})
        return Response(await sync_to_async(update_metadata)(caller_of(request).changes_only, completion_id, metadata))

    @extend_schema(
        summary="Delete a stored chat completion: what was said in it; its figures stay",
        responses={200: OpenApiTypes.OBJECT, 404: NOT_STORED},
    )
    async def delete(self, request: Request, completion_id: str) -> Response:
        return Response(await sync_to_async(delete_completion)(caller_of(request).changes_only, completion_id))


class StoredMessagesView(OpenAIView):
    @extend_schema(
        summary="The messages that a stored chat completion answered",
        parameters=[MessagesQuery],
        responses={200: OpenApiTypes.OBJECT, 400: ERRORS[400], 404: NOT_STORED},
    )
    async def get(self, request: Request, completion_id: str) -> Response:
        query = MessagesQuery(data=request.query_params)
        query.is_valid(raise_exception=True)
        return Response(
            await sync_to_async(list_messages)(caller_of(request).sees_only, completion_id, query.validated_data)
        )
