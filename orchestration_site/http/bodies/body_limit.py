"""Limits the size of a request's body.

The bytes are counted while they arrive, because Django would write the whole body to disk before it looks at its size.
"""

from __future__ import annotations

from collections.abc import Iterable
from io import BytesIO
from typing import Any

from django.core.handlers.asgi import ASGIRequest
from django.core.handlers.exception import convert_exception_to_response
from django.http import HttpRequest, HttpResponseBase

from orchestration_site.http.asgi_types import Application, AsgiScope, Message, Receive, Send
from orchestration_site.http.errors import error_response
from orchestration_site.http.middleware import with_middleware


class BodyLimit:
    """Wraps an ASGI application. A body of more than `max_bytes` is answered with 413.

    That holds for a length that Content-Length announces, and for one that shows only while the body arrives.
    `middleware` are the dotted names of the middleware that this answer passes (`with_middleware`), as all others do.
    """

    def __init__(self, application: Application, *, max_bytes: int, middleware: Iterable[str]) -> None:
        self._application = application
        self._max_bytes = max_bytes
        self._answer: Any = convert_exception_to_response(with_middleware(self._too_large, middleware))

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return
        received = 0

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            # The application is told that the caller has gone, so that it drops what it has read and answers nothing.
            return message if received <= self._max_bytes else {"type": "http.disconnect"}

        announced = dict(scope["headers"]).get(b"content-length", b"0")
        if announced.isdigit() and int(announced) > self._max_bytes:
            await self._refuse(scope, send)
            return
        await self._application(scope, counted, send)
        if received > self._max_bytes:
            await self._refuse(scope, send)

    async def _refuse(self, scope: AsgiScope, send: Send) -> None:
        # The answer passes the middleware of the API, so that a page of another origin can read it.
        response = await self._answer(ASGIRequest(scope, BytesIO()))
        headers = [(name.lower().encode("ascii"), value.encode("latin-1")) for name, value in response.items()]
        await send({"type": "http.response.start", "status": response.status_code, "headers": headers})
        await send({"type": "http.response.body", "body": response.content})

    async def _too_large(self, request: HttpRequest) -> HttpResponseBase:
        message = f"The body may have at most {self._max_bytes} bytes."
        response = error_response(request, 413, "request_too_large", message)
        response["Connection"] = "close"
        return response
