"""GET /stats."""

from __future__ import annotations

from dataclasses import replace

from adrf.views import APIView
from asgiref.sync import sync_to_async
from django.db import close_old_connections
from drf_spectacular.utils import OpenApiExample, OpenApiResponse, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from access.callers import Scope
from access.keys.authentication import caller_of
from chat.errors import ErrorSerializer
from stats.selectors import read_statistics
from stats.serializers import StatsQuerySerializer, StatsSerializer, answer_json
from stats.statistics import StatsAnswer
from stats.stats_filter import StatsFilter

EXAMPLE_STATISTICS = {
    "total_requests": 3,
    "cancelled_requests": 1,
    "in_progress_requests": 0,
    "average_latency_ms": 812.5,
    "latency_ms": {"p50": 640, "p95": 1210, "p99": 1210},
    "time_to_first_token_ms": {"p50": 180, "p95": 240, "p99": 240},
    "total_cost_usd": 0.0123,
    "error_rate": 0.5,
    "attempt_error_rate": 0.25,
    "fallback_rate": 0.3333333333333333,
    "default_message_rate": 0.3333333333333333,
    "race_win_rate": {"gpt-4o": 0.0, "gpt-4o-mini": 1.0},
    "race_cost_usd": 0.0041,
    "estimated_cost_share": 0.3333333333333333,
    "prompt_tokens": 1234,
    "completion_tokens": 567,
    "cached_tokens": 1024,
    "reasoning_tokens": 128,
    "cache_write_tokens": 0,
    "audio_prompt_tokens": 0,
    "audio_completion_tokens": 0,
    "web_searches": 2,
    "file_searches": 0,
    "cost_unknown_requests": 0,
    "cost_incomplete_requests": 1,
    "cost_estimated_requests": 1,
}
EXAMPLE = OpenApiExample(
    "By model",
    description="GET /stats?since=2026-11-01&group_by=model",
    value={
        **EXAMPLE_STATISTICS,
        "groups": [{"key": "gpt-4o-mini", "model": "gpt-4o-mini", **EXAMPLE_STATISTICS}],
        "groups_truncated": False,
    },
    response_only=True,
    status_codes=["200"],
)


def _read(filter_: StatsFilter) -> StatsAnswer:
    """`read_statistics` in a thread. If the caller has left, nobody else closes the connection of that thread."""
    try:
        return read_statistics(filter_)
    finally:
        close_old_connections()


class StatsView(APIView):
    """The latency, cost, errors, fallbacks and races of the calls."""

    @extend_schema(
        summary="Statistics",
        description=(
            "Figures over all calls that the query picks, and for each group if `group_by` is given: the latest hours "
            "or days in order, or else the largest groups first; 1,000 at most. Percentiles are exact, by nearest rank."
        ),
        parameters=[StatsQuerySerializer],
        responses={
            200: StatsSerializer,
            400: OpenApiResponse(ErrorSerializer, "Which parameter is wrong, and why."),
            401: OpenApiResponse(ErrorSerializer, "No API key, or one that is wrong."),
            403: OpenApiResponse(ErrorSerializer, "The statistics of another key take the scope read_all."),
        },
        examples=[EXAMPLE],
    )
    async def get(self, request: Request) -> Response:
        query = StatsQuerySerializer(data=request.query_params)
        query.is_valid(raise_exception=True)
        filter_ = StatsFilter(**query.validated_data)
        caller = caller_of(request)
        if caller.sees_only is not None:
            if filter_.api_key not in (None, caller.sees_only):
                caller.require(Scope.READ_ALL)
            filter_ = replace(filter_, api_key=caller.sees_only)
        # `sync_to_async` is thread-sensitive by default: under ASGI each request then has one thread for this, and in a
        # test it is the thread with the database.
        answer = await sync_to_async(_read)(filter_)
        return Response(answer_json(answer, filter_.group_by))
