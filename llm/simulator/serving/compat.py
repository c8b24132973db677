"""What the simulator needs of uvicorn beyond its documented interface. Checked with uvicorn 0.54.0.

tests/llm/simulator/test_compat.py fails if uvicorn changes any of it.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import Any, Final

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from llm.simulator.app import SimulatorApp
from llm.simulator.serving.exchange import CONNECTION_EXTENSION

# SO_LINGER switched on with a time of 0: closing the socket sends a reset instead of an orderly end.
_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)


class OpenProtocol(HttpToolsProtocol):
    """HTTP/1.1 that lets the application work on its connection and writes no access log.

    ASGI has no message for a reset, nor for bytes that are no HTTP, so functions for them are put into the scope of
    every request. uvicorn creates the scope in `on_message_begin`, and reads `access_log` for every answer.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.access_log = False

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["extensions"] = {
            CONNECTION_EXTENSION: {
                "reset": self._reset_connection,
                "send_raw": self._send_raw,
                "close": self._close_connection,
            }
        }

    async def _send_raw(self, data: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(data)
            await self.flow.drain()

    def _close_connection(self) -> None:
        self.transport.close()

    async def _reset_connection(self) -> None:
        # A reset drops what the transport still holds, and uvloop holds every write until the event loop's next turn.
        while self.transport.get_write_buffer_size() and not self.transport.is_closing():
            await asyncio.sleep(0.001)
        if not self.transport.is_closing():
            sock = self.transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            self.transport.abort()


class SilentConfig(uvicorn.Config):
    def configure_logging(self) -> None:
        """Leave logging alone: uvicorn's loggers belong to the process, which may serve more than a simulator."""


class EmbeddedServer(uvicorn.Server):
    """A server that is controlled by `startup` and `shutdown` alone, inside somebody else's event loop.

    uvicorn's own `serve` would install signal handlers and run a main loop. Without it, this class must set `lifespan`,
    as `serve` does.
    """

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        config.load()
        self.lifespan = config.lifespan_class(config)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop at once.

        uvicorn's own method waits for open streams to end. If one does not, it cancels the task and logs an error.
        """
        for server in self.servers:
            server.close()
        await asyncio.sleep(0)  # a connection that is just being accepted still gets into the list
        while self.server_state.connections or self.server_state.tasks:
            for connection in list(self.server_state.connections):
                connection.transport.abort()
            # To the application this looks like a client that has left, so it ends its own work.
            if self.server_state.tasks:
                await asyncio.wait(list(self.server_state.tasks))
            await asyncio.sleep(0)
        for server in self.servers:
            await server.wait_closed()


def config_for(app: SimulatorApp) -> uvicorn.Config:
    return SilentConfig(
        app,
        http=OpenProtocol,
        ws="none",
        lifespan="off",
        interface="asgi3",
        proxy_headers=False,
        date_header=False,  # the application sends it, because uvicorn would need its main loop to do so
        server_header=False,
        access_log=False,
        log_config=None,
        log_level="warning",
    )
