"""Telling whoever reads an answer that its connection was closed before the answer's end.

aiohttp closes a connection when something in an answer can't be right, like a chunk whose length is no number. It does
not tell the reader, who would wait until a clock runs out.
"""

from __future__ import annotations

import asyncio
from weakref import WeakSet

import aiohttp

from llm.upstream.compat import connection_closed


class LostConnections:
    """Watches the connections of all answers that are being read."""

    def __init__(self) -> None:
        # The future of each connection that has been watched before. A connection serves many answers in turn.
        self._watched: WeakSet[asyncio.Future[None]] = WeakSet()

    def watch(self, response: aiohttp.ClientResponse) -> None:
        """From now on the reader of this answer gets an error when the connection is closed before the answer's end."""
        content = response.content
        if response.connection is None:  # the answer is here already, down to its end
            return

        def lost(_: asyncio.Future[None] | None = None) -> None:
            if not content.is_eof() and content.exception() is None:
                content.set_exception(aiohttp.ClientPayloadError("The connection was closed in mid-answer."))

        closed = connection_closed(response.connection)
        if closed is None:
            lost()
            return
        if closed not in self._watched:
            self._watched.add(closed)
            closed.add_done_callback(_retrieve_exception)
        closed.add_done_callback(lost)

        def forget() -> None:
            closed.remove_done_callback(lost)

        content.on_eof(forget)


def _retrieve_exception(closed: asyncio.Future[None]) -> None:
    """asyncio logs an exception of a future that nobody has asked for; this one interests nobody."""
    if not closed.cancelled():
        closed.exception()
