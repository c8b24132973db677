"""Gives a body that arrives in chunks its length.

Such a request has no Content-Length, and Django's parsers take a request without one for a request without a body.
"""

from __future__ import annotations

import tempfile

from django.conf import settings

from orchestration_site.http.asgi_types import Application, AsgiScope, Message, Receive, Send

# How much of the body is handed on at once.
PIECE_BYTES = 64 * 1024


class MeasuredBodies:
    """Wraps an ASGI application. A body in chunks is read to its end, and then handed on with a Content-Length.

    It is kept on disk if it is large. `BodyLimit` has checked its size before.
    """

    def __init__(self, application: Application) -> None:
        self._application = application

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not any(name == b"transfer-encoding" for name, _ in scope["headers"]):
            await self._application(scope, receive, send)
            return
        with tempfile.SpooledTemporaryFile(max_size=settings.FILE_UPLOAD_MAX_MEMORY_SIZE) as body:
            more = True
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    return
                body.write(message.get("body", b""))
                more = message.get("more_body", False)
            left = body.tell()
            headers = [pair for pair in scope["headers"] if pair[0] not in (b"transfer-encoding", b"content-length")]
            scope = {**scope, "headers": [*headers, (b"content-length", b"%d" % left)]}
            body.seek(0)
            read = False

            async def read_on() -> Message:
                nonlocal left, read
                if read:
                    return await receive()
                piece = body.read(PIECE_BYTES)
                left -= len(piece)
                read = left == 0
                return {"type": "http.request", "body": piece, "more_body": not read}

            await self._application(scope, read_on, send)
