"""A limit on the size of a request's body, counted while it arrives: Django would spool it whole before it looks."""

from __future__ import annotations

import json

from orchestration_site.asgi_types import Application, Message, Receive, Scope, Send


class BodyLimit:
    """Answers 413 to a body of more than `max_bytes`, announced or not."""

    def __init__(self, application: Application, *, max_bytes: int) -> None:
        self._application = application
        self._max_bytes = max_bytes

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
        error = {
            "code": "request_too_large",
            **({"type": "invalid_request_error", "param": None} if scope["path"].startswith("/v1/") else {}),
            "message": f"The body may have at most {self._max_bytes} bytes.",
            "request_id": scope["state"]["request_id"],
        }
        headers = [(b"content-type", b"application/json"), (b"connection", b"close")]
        await send({"type": "http.response.start", "status": 413, "headers": headers})
        await send({"type": "http.response.body", "body": json.dumps({"error": error}).encode()})
