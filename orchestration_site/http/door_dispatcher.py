"""Hands a POST to a door straight to its view. A door is a view that asks a model.

The requests and the views are Django's, but nothing runs in a thread. Django's own handler hands each request to
threads several times (for its signals, its middleware and its responses), and that costs more than everything else in a
call. The measurements are in docs/decisions/0013-speed.md.
"""

from __future__ import annotations

import asyncio
import io
import tempfile
from collections.abc import Awaitable, Iterable, Iterator
from contextlib import aclosing
from typing import IO, Any, cast

from django.conf import settings
from django.core.handlers.exception import response_for_exception
from django.http import HttpRequest, StreamingHttpResponse
from django.http.response import HttpResponse, HttpResponseBase
from django.urls import URLPattern, URLResolver, get_resolver

from chat.doors.door import Door, DoorRequest
from orchestration_site.http.asgi_types import Application, AsgiScope, Receive, Send
from orchestration_site.http.middleware import with_middleware

# For how long after the start of a call nobody watches whether its caller goes away. Most answers come within this
# time, and so they need no task that watches.
UNWATCHED_SECONDS = 0.05


class CallerGone(Exception):
    """The caller went away before the whole request had arrived."""


class DoorDispatcher:
    """An ASGI application that serves POST requests to doors, and gives all other requests to `django`.

    `middleware` are the dotted names of the middleware that the answers of doors pass (`with_middleware`).
    """

    def __init__(self, django: Application, middleware: Iterable[str]) -> None:
        self._django = django
        self._doors = {f"/{address}": door for address, door in _find_doors(get_resolver().url_patterns)}
        self._respond = with_middleware(_view_of_door, middleware)

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "POST":
            await self._django(scope, receive, send)
            return
        prefix = scope.get("root_path", "")
        door = self._doors.get(scope["path"].removeprefix(prefix))
        if door is None:
            await self._django(scope, receive, send)
            return
        try:
            body, size = await _read_body(receive)
        except CallerGone:
            return
        with body:
            request = DoorRequest(scope, body, door)
            # A body that came in chunks has announced no length, and parsers take no length for no body.
            request.META["CONTENT_LENGTH"] = str(size)
            await _while_caller_waits(request, receive, self._answer(request, send))

    async def _answer(self, request: HttpRequest, send: Send) -> None:
        try:
            response = await self._respond(request)
        except Exception as exception:  # noqa: BLE001 - logged and answered by the site's own error pages
            response = response_for_exception(request, exception)
        await _send(response, send)


async def _view_of_door(request: HttpRequest) -> HttpResponseBase:
    """What the innermost middleware calls: find the view of the door, and let it answer."""
    try:
        request.get_host()  # raises DisallowedHost
        return cast(HttpResponseBase, await cast(Any, request).door().dispatch(request))
    except Exception as exception:  # noqa: BLE001 - middleware must see an answer, and not an exception, as in Django
        return cast(HttpResponseBase, response_for_exception(request, exception))


def _find_doors(patterns: Iterable[URLPattern | URLResolver], before: str = "") -> Iterator[tuple[str, type[Door]]]:
    """Every door of the site with its address.

    No address of a door has a parameter in it: `addresses` has replaced those that name a model.
    """
    for pattern in patterns:
        address = before + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from _find_doors(pattern.url_patterns, address)
        elif issubclass(getattr(pattern.callback, "view_class", object), Door):
            yield address, cast(Any, pattern.callback).view_class


async def _read_body(receive: Receive) -> tuple[IO[bytes], int]:
    """Read the whole body. Returns it, on disk if it is large, and its size. Raises CallerGone.

    It is not kept in memory, because the caller's key has not been checked yet, and strangers must not be able to fill
    the memory. `BodyLimit` has checked its size before.
    """
    body: IO[bytes] | None = None
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            if body is not None:
                body.close()
            raise CallerGone
        piece = message.get("body", b"")
        size += len(piece)
        if body is None and not message.get("more_body", False):
            return io.BytesIO(piece), size
        body = body or tempfile.SpooledTemporaryFile(max_size=settings.FILE_UPLOAD_MAX_MEMORY_SIZE)  # noqa: SIM115
        body.write(piece)
        if not message.get("more_body", False):
            body.seek(0)
            return body, size


async def _while_caller_waits(request: DoorRequest, receive: Receive, answer: Awaitable[None]) -> None:
    """Await the answer, and cancel it when the caller goes away.

    After the body, the next message that a server sends to an application means that the caller has gone.
    """
    answered = False
    watching: asyncio.Task[None] | None = None

    async def watch() -> None:
        await receive()
        if not answered:
            request.caller_gone = True
            request.task.cancel()

    def start_watching() -> None:
        nonlocal watching
        watching = asyncio.create_task(watch(), name="caller")

    timer = asyncio.get_running_loop().call_later(UNWATCHED_SECONDS, start_watching)
    try:
        await answer
    except asyncio.CancelledError:
        # We have cancelled the task ourselves, so the cancellation ends here. But if the server is stopping as well,
        # the task was cancelled a second time, and that cancellation goes on.
        if not request.caller_gone or request.task.uncancel():
            raise
    finally:
        answered = True
        timer.cancel()
        if watching is not None:
            watching.cancel()


async def _send(response: HttpResponseBase, send: Send) -> None:
    headers = [(name.encode("ascii"), value.encode("latin-1")) for name, value in response.items()]
    if not response.streaming:
        headers.append((b"content-length", b"%d" % len(cast(HttpResponse, response).content)))
    await send({"type": "http.response.start", "status": response.status_code, "headers": headers})
    if isinstance(response, StreamingHttpResponse):
        async with aclosing(aiter(response)) as pieces:  # type: ignore[type-var]
            async for piece in pieces:
                await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body"})
    else:
        await send({"type": "http.response.body", "body": cast(HttpResponse, response).content})
