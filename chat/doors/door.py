"""What the doors that ask a model have in common: a view that serves a POST wholly on the event loop.

REST framework's own way hands each request to a thread, and prepares much that no door uses. Why: docs/decisions/0013.
"""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import Mapping
from typing import IO, Any, cast

from adrf.views import APIView
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from rest_framework.request import Request
from rest_framework.response import Response

from access.keys.authentication import authenticate
from chat.errors import Stopping

USUAL = ("*/*", "application/json", "text/event-stream")
"""What clients accept, all of which a door can write."""


class DoorRequest(ASGIRequest):
    """A POST to a door, and the task that serves it, which is cancelled when its caller goes or the service stops."""

    def __init__(self, scope: Mapping[str, Any], body: IO[bytes], door: type[Door]) -> None:
        cast(Any, super()).__init__(scope, body)
        self.door = door
        self.caller_gone = False
        task = asyncio.current_task()
        assert task is not None
        self.task = task

    @property
    def service_is_stopping(self) -> bool:
        """Was the task cancelled though the caller is still there?"""
        return self.task.cancelling() > 0 and not self.caller_gone


class Door(APIView):
    """A view whose POST asks a model. Any other method takes REST framework's own way.

    Refusals and errors do as well: they are made by `handle_exception` and rendered here.
    """

    @abstractmethod
    async def post(self, request: Request) -> HttpResponseBase:
        """Answer. Raises APIException."""

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        return self._serve(request) if isinstance(request, DoorRequest) else super().dispatch(request, *args, **kwargs)

    async def _serve(self, http_request: DoorRequest) -> HttpResponseBase:
        self.args: tuple[Any, ...] = ()
        self.kwargs: dict[str, Any] = {}
        self.headers: dict[str, str] = {}
        self.format_kwarg = None
        self.request = request = Request(http_request, parsers=self.get_parsers())
        try:
            request.auth = await authenticate(http_request)
            if http_request.META.get("HTTP_ACCEPT", "*/*") not in USUAL:
                self.perform_content_negotiation(request)  # raises NotAcceptable
            return await self.post(request)
        except asyncio.CancelledError:
            if not http_request.service_is_stopping:
                raise
            # It is obeyed: nothing but this answer is left to do for the task that was cancelled.
            response = self.handle_exception(Stopping())
        except Exception as exception:  # noqa: BLE001 - what is no error of ours is raised again by handle_exception
            response = self.handle_exception(exception)
        finally:
            request.parser_context.clear()  # where it holds itself: its body would stay until garbage is collected
        answer = self.finalize_response(request, response)
        if isinstance(answer, Response):
            answer.render()
            cast(Any, answer).renderer_context.clear()  # here too
        return cast(HttpResponseBase, answer)
