"""The lifespan protocol of ASGI: opens what the process needs when it starts, and closes it when it stops.

Django does not speak this protocol.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any

from django.core.exceptions import ImproperlyConfigured

from orchestration_site.http.asgi_types import Application, AsgiScope, Receive, Send

logger = logging.getLogger("orchestration_site")


class Lifespan:
    """Wraps an ASGI application. What `open_process` yields is in the `scope["state"]` of each request."""

    def __init__(
        self, application: Application, open_process: Callable[[], AbstractAsyncContextManager[Mapping[str, Any]]]
    ) -> None:
        self._application = application
        self._open_process = open_process

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(scope, receive, send)
        else:
            await self._application(scope, receive, send)

    async def _live(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        phase = "startup"
        try:
            await receive()
            async with self._open_process() as state:
                scope["state"].update(state)
                await send({"type": "lifespan.startup.complete"})
                await receive()
                phase = "shutdown"
            await send({"type": "lifespan.shutdown.complete"})
        except ImproperlyConfigured as error:
            # It says what to do, and where in the code it was noticed helps nobody.
            for line in filter(None, str(error).splitlines()):
                logger.error(f"{phase}_failed", extra={"detail": line})
            await send({"type": f"lifespan.{phase}.failed", "message": ""})
        except Exception as error:
            logger.exception(f"{phase}_failed")
            await send({"type": f"lifespan.{phase}.failed", "message": str(error)})
