"""Serving the simulator: inside a running event loop, or until a signal comes."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import threading
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from llm.simulator.app import create_app
from llm.simulator.script.state import SimulatorState
from llm.simulator.serving.compat import EmbeddedServer, config_for


@dataclass(frozen=True, slots=True)
class RunningSimulator:
    """A simulator that accepts connections.

    `base_url` is what OPENAI_BASE_URL expects: it ends in /v1, without a slash behind it.
    """

    base_url: str
    port: int
    state: SimulatorState


@contextlib.asynccontextmanager
async def serve(host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[RunningSimulator]:
    """Serve a new simulator in the running event loop as long as the block runs. Port 0 takes a free port.

    It installs no signal handlers and does not touch the logging of the process. At the end it stops at once: it closes
    open connections, cancels the work on them, and waits until this work has ended. Raises OSError if the address is
    taken.
    """
    app = create_app()
    listener = _bind(host, port)
    server = EmbeddedServer(config_for(app))
    try:
        await server.startup(sockets=[listener])
        bound_port: int = listener.getsockname()[1]
        yield RunningSimulator(_base_url(host, bound_port), bound_port, app.state)
    finally:
        if server.started:
            await server.shutdown()
        listener.close()


def run(
    host: str = "127.0.0.1", port: int = 9100, *, on_ready: Callable[[RunningSimulator], None] | None = None
) -> None:
    """Serve a simulator until SIGINT or SIGTERM comes. `on_ready` is called once it accepts connections.

    Uses uvloop if it is installed. Raises OSError if the address is taken.
    """

    async def serve_until_signal() -> None:
        stopping = asyncio.Event()
        if threading.current_thread() is threading.main_thread():
            for each in (signal.SIGINT, signal.SIGTERM):
                with contextlib.suppress(NotImplementedError):  # on Windows, Ctrl-C comes as KeyboardInterrupt
                    asyncio.get_running_loop().add_signal_handler(each, stopping.set)
        async with serve(host, port) as running:
            if on_ready is not None:
                on_ready(running)
            await stopping.wait()

    with (
        contextlib.suppress(KeyboardInterrupt),
        asyncio.Runner(loop_factory=config_for(create_app()).get_loop_factory()) as runner,
    ):
        runner.run(serve_until_signal())


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The protocol must be named, because asyncio switches Nagle's algorithm off only if it is. With 0, which is what
    # socket.create_server uses, every answer of a connection except the first came 40 ms late (measured).
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
    except BaseException:
        listener.close()
        raise
    return listener


def _base_url(host: str, port: int) -> str:
    # Clients can't connect to an address that means "all addresses", so they are told a loopback address instead.
    reachable = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(host, host)  # noqa: S104 - never bound
    return f"http://[{reachable}]:{port}/v1" if ":" in reachable else f"http://{reachable}:{port}/v1"
