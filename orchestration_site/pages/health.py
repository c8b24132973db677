"""GET /health and GET /health/ready, which say whether the process is alive, and whether it can take calls."""

from __future__ import annotations

from typing import Any

from adrf.views import APIView
from asgiref.sync import sync_to_async
from django.conf import settings
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from chat.doors.serving import parts_of
from chat.record.database import database_state
from llm import CHAT_COMPLETIONS
from orchestration_site import __version__
from orchestration_site.logs import log_file_error
from orchestration_site.start import state_of_folder


# The docstrings of these views are shown in the description of the API.
class OpenView(APIView):
    """For load balancers, which have no key. Nothing in its answers is secret."""

    authentication_classes = ()
    permission_classes = ()


class HealthView(OpenView):
    @extend_schema(summary="The process lives", responses={200: OpenApiTypes.OBJECT})
    async def get(self, request: Request) -> Response:
        return Response({"status": "ok", "version": __version__})


def breaker_name(provider: str, model: str, operation: str) -> str:
    """`openai/gpt-4o` for chat completions, which most callers ask for, and `openai/gpt-4o embeddings` for another."""
    return f"{provider}/{model}" if operation == CHAT_COMPLETIONS.name else f"{provider}/{model} {operation}"


class ReadyView(OpenView):
    """200 if calls can be taken and kept, else 503; each dependency's state either way."""

    @extend_schema(summary="The process can take calls", responses={200: OpenApiTypes.OBJECT, 503: OpenApiTypes.OBJECT})
    async def get(self, request: Request) -> Response:
        parts = parts_of(request)
        recorder = parts.recorder
        database = "away" if recorder.database_away else await sync_to_async(database_state)()
        log_error = log_file_error()
        ready = database == "ok" and recorder.has_room and not recorder.disk_error
        checks: dict[str, Any] = {
            "database": database,
            "redis": parts.gate.limiter.redis_state,
            "recorder": {"waiting": recorder.waiting, "spool_depth": recorder.spool_depth},
            "spool_disk": recorder.disk_error or state_of_folder(settings.SPOOL_DIR),
            "providers": parts.engine.key_states(),
            "circuit_breakers": {
                breaker_name(*name): state for name, state in parts.labels.breaker_states(parts.engine).items()
            },
            "refused_parameters": parts.labels.refused_parameters(parts.engine),
            "log_file": log_error or state_of_folder(settings.LOG_DIR),
            "open_calls": parts.engine.open_calls,
            "read_on_answers": parts.engine.read_on,
        }
        status = "ok" if ready else "unavailable"
        return Response({"status": status, "version": __version__, "checks": checks}, 200 if ready else 503)
