"""What all doors have in common: a view that serves a POST wholly on the event loop.

REST framework's own way hands each request to a thread, and prepares much that no door uses: see docs/decisions/0013.
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
from chat.compat import forget_parser_context, forget_renderer_context
from chat.errors import Stopping


class DoorRequest(ASGIRequest):
    """A POST to a door, with the task that serves it. It is cancelled when the caller goes or the service stops."""

    def __init__(self, scope: Mapping[str, Any], body: IO[bytes], door: type[Door]) -> None:
        cast(Any, super()).__init__(scope, body)
        self.door = door
        self.caller_gone = False
        task = asyncio.current_task()
        assert task is not None
        self.task = task

    @property
    def service_is_stopping(self) -> bool:
        """Whether the task was cancelled although the caller is still there."""
        return self.task.cancelling() > 0 and not self.caller_gone


class Door(APIView):
    """A view whose POST asks a model. Any other method is served in REST framework's own way.

    Errors are answered in REST framework's way too: `handle_exception` makes the response, and it is rendered here.
    """

    @abstractmethod
    async def post(self, request: Request) -> HttpResponseBase:
        """Answer. Raises APIException."""

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        return self._serve(request) if isinstance(request, DoorRequest) else super().dispatch(request, *args, **kwargs)

    async def _serve(self, http_request: DoorRequest) -> HttpResponseBase:
        # These are what REST framework's own `dispatch` sets, and what its other methods use.
        self.args: tuple[Any, ...] = ()
        self.kwargs: dict[str, Any] = {}
        self.headers: dict[str, str] = {}
        self.format_kwarg = None
        self.request = request = Request(http_request, parsers=self.get_parsers())
        try:
            request.auth = await authenticate(http_request)
            return await self.post(request)
        except asyncio.CancelledError:
            if not http_request.service_is_stopping:
                raise
            # The cancellation ends here, because answering 503 is all that is left for this task to do.
            response = self.handle_exception(Stopping())
        except Exception as exception:  # noqa: BLE001 - handle_exception raises again what is no error of ours
            response = self.handle_exception(exception)
        finally:
            forget_parser_context(request)
        answer = self.finalize_response(request, response)
        if isinstance(answer, Response):
            answer.render()
            forget_renderer_context(answer)
        return cast(HttpResponseBase, answer)
