"""GET /calls and GET /calls/{request_id}."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from adrf.views import APIView
from asgiref.sync import sync_to_async
from django.http import Http404
from drf_spectacular.utils import OpenApiResponse, extend_schema, inline_serializer
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from access.keys.authentication import caller_of
from chat.errors import ErrorSerializer
from chat.history.pages import history_page
from chat.history.query import HistoryQuery, read_query
from chat.history.selectors import call_with_attempts, calls
from chat.history.serializers import CallDetailSerializer, CallSerializer

BAD_QUERY = OpenApiResponse(ErrorSerializer, "Bad input: which field, and why.")
NOT_FOUND = OpenApiResponse(ErrorSerializer, "There is no such call, or it is another key's.")


def page_of(serializer: type[serializers.BaseSerializer[Any]]) -> serializers.Serializer[Any]:
    """How the API's schema describes a page of calls."""
    return inline_serializer(
        "CallPage",
        {
            "next": serializers.URLField(allow_null=True),
            "previous": serializers.URLField(allow_null=True),
            "results": serializer(many=True),
        },
    )


class CallsView(APIView):
    """The history, newest first."""

    @extend_schema(
        operation_id="calls_list",
        summary="The history",
        parameters=[HistoryQuery],
        responses={200: page_of(CallSerializer), 400: BAD_QUERY},
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
