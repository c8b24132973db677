"""The ASGI application of the doors that ask a model: Django's requests and views, and no thread on the way.

Django's own handler hands every request to threads several times (its signals, its middleware, its responses), which
costs more than all the rest of a call. Whatever is no POST to a door goes to it as ever. Why: docs/decisions/0013.
"""

from __future__ import annotations

import asyncio
import io
import tempfile
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import aclosing
from typing import IO, Any, TypeAlias, cast

from django.conf import settings
from django.core.handlers.exception import response_for_exception
from django.http import HttpRequest, StreamingHttpResponse
from django.http.response import HttpResponse, HttpResponseBase
from django.urls import URLPattern, URLResolver, get_resolver
from django.utils.module_loading import import_string

from chat.doors.door import Door, DoorRequest
from orchestration_site.http.asgi_types import Application, Receive, Scope, Send

View: TypeAlias = Callable[[HttpRequest], Awaitable[HttpResponseBase]]


UNWATCHED_SECONDS = 0.05
"""For so long nobody looks whether the caller is still there: most answers that come so soon need no task for that."""


class CallerGone(Exception):
    """The caller went away before its request was whole."""


class Doors:
    """Serves POSTs to doors, and gives everything else to `django`.

    `middleware` are dotted names of middleware classes that are natively async: they run on the event loop.
    """

    def __init__(self, django: Application, middleware: Iterable[str]) -> None:
        self._django = django
        self._doors = {f"/{address}": door for address, door in _doors(get_resolver().url_patterns)}
        self._respond: View = _view_of_door
        for name in reversed(list(middleware)):
            self._respond = import_string(name)(self._respond)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
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
            request.META["CONTENT_LENGTH"] = str(size)  # a body that came in chunks has announced none
            await _while_caller_waits(request, receive, self._answer(request, send))

    async def _answer(self, request: HttpRequest, send: Send) -> None:
        try:
            response = await self._respond(request)
        except Exception as exception:  # noqa: BLE001 - logged and answered by the site's own error pages
            response = response_for_exception(request, exception)
        await _send(response, send)


async def _view_of_door(request: HttpRequest) -> HttpResponseBase:
    """The innermost of the chain of middleware."""
    try:
        request.get_host()  # raises DisallowedHost
        return cast(HttpResponseBase, await cast(Any, request).door().dispatch(request))
    except Exception as exception:  # noqa: BLE001 - so that middleware sees an answer, as Django has it
        return cast(HttpResponseBase, response_for_exception(request, exception))


def _doors(patterns: Iterable[URLPattern | URLResolver], before: str = "") -> Iterator[tuple[str, type[Door]]]:
    """Every door of the site, by its address. Doors have no parameters in their addresses."""
    for pattern in patterns:
        address = before + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from _doors(pattern.url_patterns, address)
        elif issubclass(getattr(pattern.callback, "view_class", object), Door):
            yield address, cast(Any, pattern.callback).view_class


async def _read_body(receive: Receive) -> tuple[IO[bytes], int]:
    """The whole body, on disk if it is large, and its size. How large it may be is BodyLimit's to say.

    Nobody has looked at the caller's key yet, so memory must not be what strangers fill. Raises CallerGone.
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
    """Cancel the answer when the caller goes away: after the body, that is all that there is to receive."""
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
        # Ours, unless the server is ending as well.
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
