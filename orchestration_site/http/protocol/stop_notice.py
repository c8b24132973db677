"""Notices when the server is told to stop.

The application hears of it only when all requests have ended: that is when ASGI's lifespan says `shutdown`.
"""

from __future__ import annotations

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from orchestration_site.compat import lifespan_state
from orchestration_site.grace_period import GracePeriod


class StopNotice(HttpToolsProtocol):
    """uvicorn's protocol for one connection. When the server stops, uvicorn calls `shutdown()` of each of them first.

    A server without any connection has no request to wait for either, so the lifespan hears of the stop at once.
    """

    def shutdown(self) -> None:
        grace = lifespan_state(self).get("grace")
        if isinstance(grace, GracePeriod):
            grace.begin()
        super().shutdown()
