"""What all views of the OpenAI protocol have in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from adrf.views import APIView
from drf_spectacular.utils import OpenApiResponse
from rest_framework.response import Response

from chat.doors.openai.errors import openai_handle
from chat.doors.openai.serializers import OpenAIErrorSerializer

# How the API's schema describes the errors that these views answer, by status.
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


class OpenAIView(APIView):
    """A view whose errors have OpenAI's shape."""

    def get_exception_handler(self) -> Callable[[Exception, Mapping[str, Any]], Response]:
        return openai_handle
