"""The lifespan protocol, which Django refuses: open what the process needs at start, close it at the end."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any

from orchestration_site.http.asgi_types import Application, Receive, Scope, Send

logger = logging.getLogger("orchestration_site")


class Lifespan:
    """Wraps an application. What `opened` yields is in every request's `scope["state"]`."""

    def __init__(
        self, application: Application, opened: Callable[[], AbstractAsyncContextManager[Mapping[str, Any]]]
    ) -> None:
        self._application = application
        self._opened = opened

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(scope, receive, send)
        else:
            await self._application(scope, receive, send)

    async def _live(self, scope: Scope, receive: Receive, send: Send) -> None:
        phase = "startup"
        try:
            await receive()
            async with self._opened() as state:
                scope["state"].update(state)
                await send({"type": "lifespan.startup.complete"})
                await receive()
                phase = "shutdown"
            await send({"type": "lifespan.shutdown.complete"})
        except Exception as error:
            logger.exception(f"{phase}_failed")
            await send({"type": f"lifespan.{phase}.failed", "message": str(error)})
