"""A limit on the size of a request's body, counted while it arrives: Django would spool it whole before it looks."""

from __future__ import annotations

from io import BytesIO
from typing import Any

from django.core.handlers.asgi import ASGIRequest
from django.core.handlers.exception import convert_exception_to_response
from django.http import HttpRequest, HttpResponseBase

from orchestration_site.http.asgi_types import Application, Message, Receive, Scope, Send
from orchestration_site.http.errors import refusal
from orchestration_site.http.security import Cors, Security


class BodyLimit:
    """Answers 413 to a body of more than `max_bytes`, announced or not."""

    def __init__(self, application: Application, *, max_bytes: int) -> None:
        self._application = application
        self._max_bytes = max_bytes
        self._answer: Any = convert_exception_to_response(Security(Cors(self._too_large)))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return
        received = 0

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            # To Django it looks as if the caller had gone, so that it drops what it has spooled, and says nothing.
            return message if received <= self._max_bytes else {"type": "http.disconnect"}

        announced = dict(scope["headers"]).get(b"content-length", b"0")
        if announced.isdigit() and int(announced) > self._max_bytes:
            await self._refuse(scope, send)
            return
        await self._application(scope, counted, send)
        if received > self._max_bytes:
            await self._refuse(scope, send)

    async def _refuse(self, scope: Scope, send: Send) -> None:
        # Through the same middleware as every other answer, so that a browser may show it.
        response = await self._answer(ASGIRequest(scope, BytesIO()))
        headers = [(name.lower().encode("ascii"), value.encode("latin-1")) for name, value in response.items()]
        await send({"type": "http.response.start", "status": response.status_code, "headers": headers})
        await send({"type": "http.response.body", "body": response.content})

    async def _too_large(self, request: HttpRequest) -> HttpResponseBase:
        message = f"The body may have at most {self._max_bytes} bytes."
        response = refusal(request, 413, "request_too_large", message)
        response["Connection"] = "close"
        return response
