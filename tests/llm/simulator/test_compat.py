"""The parts of uvicorn that the simulator uses beyond its documented interface are still there, and still used."""

from __future__ import annotations

import asyncio
import logging
import socket
from typing import Any

import pytest

from llm.simulator import create_app
from llm.simulator.serving.compat import EmbeddedServer, OpenProtocol, config_for
from llm.simulator.serving.exchange import CONNECTION_EXTENSION


async def test_the_server_knows_its_connections_and_tasks_and_each_request_can_be_reset() -> None:
    scopes: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scopes.append(scope)
        await receive()
        await receive()  # returns when the connection is closed

    server = EmbeddedServer(config_for(app))  # type: ignore[arg-type]
    with socket.create_server(("127.0.0.1", 0)) as listener:
        await server.startup(sockets=[listener])
        assert server.started and len(server.servers) == 1
        reader, writer = await asyncio.open_connection(*listener.getsockname())
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        async with asyncio.timeout(5):
            while not scopes:
                await asyncio.sleep(0.005)
        [connection] = server.server_state.connections
        assert isinstance(connection, OpenProtocol)
        assert not connection.access_log
        assert len(server.server_state.tasks) == 1
        await scopes[0]["extensions"][CONNECTION_EXTENSION]["reset"]()
        with pytest.raises(ConnectionResetError):
            await reader.read()
        async with asyncio.timeout(5):
            await server.shutdown()
        assert not server.server_state.connections and not server.server_state.tasks
        writer.close()


def test_making_a_server_leaves_logging_as_it_is() -> None:
    loggers = [logging.getLogger(name) for name in ("uvicorn", "uvicorn.error", "uvicorn.access")]
    before = [(logger.level, logger.handlers[:], logger.propagate) for logger in loggers]
    EmbeddedServer(config_for(create_app()))
    assert [(logger.level, logger.handlers, logger.propagate) for logger in loggers] == before
