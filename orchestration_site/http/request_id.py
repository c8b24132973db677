"""An id for every request, and the same one on every response, whoever answers: Django, static files or BodyLimit."""

from __future__ import annotations

import re

from chat.request_ids import new_request_id
from orchestration_site.http.asgi_types import Application, Message, Receive, Scope, Send

HEADER = b"x-request-id"
WELL_FORMED = re.compile(rb"[A-Za-z0-9._-]{8,64}")


class RequestId:
    """Wraps an application. A well-formed id that the caller sends is kept; it is in `scope["state"]`."""

    def __init__(self, application: Application) -> None:
        self._application = application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return
        sent = dict(scope["headers"]).get(HEADER, b"")
        request_id = sent.decode() if WELL_FORMED.fullmatch(sent) else new_request_id()
        scope.setdefault("state", {})["request_id"] = request_id

        async def with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", ()), (HEADER, request_id.encode())]}
            await send(message)

        await self._application(scope, receive, with_id)
