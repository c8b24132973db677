"""GET /metrics, which Prometheus reads."""

from __future__ import annotations

from adrf.views import APIView
from asgiref.sync import sync_to_async
from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.request import Request

from access.callers import Scope
from access.keys.authentication import caller_of
from chat.errors import ErrorSerializer
from chat.observers.metrics import exposition


class MetricsView(APIView):
    @extend_schema(
        summary="Figures for Prometheus, of all workers",
        responses={
            (200, "text/plain"): OpenApiTypes.STR,
            403: OpenApiResponse(ErrorSerializer, "The key lacks the scope read_all."),
        },
    )
    async def get(self, request: Request) -> HttpResponse:
        caller_of(request).require(Scope.READ_ALL)
        # With several workers it reads files.
        text, media_type = await sync_to_async(exposition)()
        return HttpResponse(text, content_type=media_type)
