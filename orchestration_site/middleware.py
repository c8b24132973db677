"""Middleware of our own: async-native, so that it costs no thread hop."""

from __future__ import annotations

import re
import secrets
from collections.abc import Awaitable, Callable

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.decorators import async_only_middleware

REQUEST_ID_HEADER = "X-Request-ID"
WELL_FORMED = re.compile(r"[A-Za-z0-9._-]{8,64}")


def new_request_id() -> str:
    """`req_` and 128 random bits."""
    return f"req_{secrets.token_hex(16)}"


@async_only_middleware
def request_id_middleware(
    get_response: Callable[[HttpRequest], Awaitable[HttpResponseBase]],
) -> Callable[[HttpRequest], Awaitable[HttpResponseBase]]:
    """Give every request an id, and every response the same one. A well-formed id that the caller sends is kept."""

    async def middleware(request: HttpRequest) -> HttpResponseBase:
        sent = request.headers.get(REQUEST_ID_HEADER, "")
        request.request_id = sent if WELL_FORMED.fullmatch(sent) else new_request_id()  # type: ignore[attr-defined]
        response = await get_response(request)
        response[REQUEST_ID_HEADER] = request.request_id  # type: ignore[attr-defined]
        return response

    return middleware
