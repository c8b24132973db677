"""A body that comes in chunks announces no length, and whoever goes by Content-Length takes it for none."""

from __future__ import annotations

from orchestration_site.asgi_types import Application, Message, Receive, Scope, Send


class MeasuredBodies:
    """Wraps an application. A body of chunks is read first, and handed on with its length; `BodyLimit` bounds it."""

    def __init__(self, application: Application) -> None:
        self._application = application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not any(name == b"transfer-encoding" for name, _ in scope["headers"]):
            await self._application(scope, receive, send)
            return
        parts: list[bytes] = []
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            parts.append(message.get("body", b""))
            more = message.get("more_body", False)
        body: Message | None = {"type": "http.request", "body": b"".join(parts), "more_body": False}
        headers = [pair for pair in scope["headers"] if pair[0] not in (b"transfer-encoding", b"content-length")]
        length = sum(map(len, parts))

        async def read() -> Message:
            nonlocal body
            message, body = body, None
            return message if message is not None else await receive()

        scope = {**scope, "headers": [*headers, (b"content-length", b"%d" % length)]}
        await self._application(scope, read, send)
