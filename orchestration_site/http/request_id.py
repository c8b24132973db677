"""Gives each request an id, and puts it on the answer.

Everything below in the stack sees the id in `scope["state"]`, and so an answer has it whoever gives it: a view, the
static files, or the limit on bodies.
"""

from __future__ import annotations

import re

from chat.request_ids import CHOSEN, new_request_id
from orchestration_site.http.asgi_types import Application, AsgiScope, Message, Receive, Send

HEADER = b"x-request-id"
# What a caller's own id must look like to be kept.
WELL_FORMED = re.compile(rb"[A-Za-z0-9._-]{8,64}")


class RequestId:
    """Wraps an ASGI application. An X-Request-ID that the caller has sent is kept, if it is well formed
    and no other call has it."""

    def __init__(self, application: Application) -> None:
        self._application = application

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return
        sent = dict(scope["headers"]).get(HEADER, b"")
        state = scope.setdefault("state", {})
        state[CHOSEN] = WELL_FORMED.fullmatch(sent) is not None
        state["request_id"] = sent.decode() if state[CHOSEN] else new_request_id()

        async def with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                # It is read only now, because a call whose caller chose an id twice is given another one.
                request_id = state["request_id"].encode()
                message = {**message, "headers": [*message.get("headers", ()), (HEADER, request_id)]}
            await send(message)

        await self._application(scope, receive, with_id)
