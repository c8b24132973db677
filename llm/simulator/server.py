"""Serves the simulator: inside a running loop, in a thread of its own, or for good."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import struct
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from llm.simulator.app import SimulatorApp, create_app
from llm.simulator.behaviour import Behaviour
from llm.simulator.exchange import ABORT_EXTENSION
from llm.simulator.state import SimulatorState

_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)  # SO_LINGER on, for no time: close sends RST instead of FIN


@dataclass(frozen=True, slots=True)
class RunningSimulator:
    """A simulator that accepts connections."""

    base_url: str
    """As OPENAI_BASE_URL wants it, with /v1 and no slash at its end."""
    port: int
    state: SimulatorState


@contextlib.asynccontextmanager
async def serve(host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[RunningSimulator]:
    """Serve a new simulator in the running event loop for the length of the block; port 0 takes a free one.

    It installs no signal handlers and leaves the process's logging as it is. On exit it stops at once: open connections
    are closed, the work on them is cancelled, and has ended when this returns. Raises OSError if the address is taken.
    """
    app = create_app()
    listener = _bind(host, port)
    server = _Server(_config(app))
    try:
        await server.startup(sockets=[listener])
        bound_port: int = listener.getsockname()[1]
        yield RunningSimulator(_base_url(host, bound_port), bound_port, app.state)
    finally:
        if server.started:
            await server.shutdown()
        listener.close()


class SimulatorThread:
    """A simulator in a thread and an event loop of its own, for code that is not async.

    A context manager; it may be entered once. Its methods may be called from any thread while it runs.
    Entering raises OSError if the address is taken.
    """

    def __init__(self, host: str = "127.0.0.1", port: int = 0) -> None:
        self._address = (host, port)
        self._thread = threading.Thread(target=self._run, name="llm-simulator", daemon=True)
        self._started: Future[RunningSimulator] = Future()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping = asyncio.Event()

    def __enter__(self) -> Self:
        self._thread.start()
        try:
            self._started.result()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stop()

    @property
    def base_url(self) -> str:
        """As OPENAI_BASE_URL wants it, with /v1 and no slash at its end."""
        return self._started.result().base_url

    @property
    def port(self) -> int:
        """The TCP port that it listens on."""
        return self._started.result().port

    @property
    def state(self) -> SimulatorState:
        """Its scripts and what it has seen."""
        return self._started.result().state

    def script(self, model: str, *behaviours: Behaviour) -> None:
        """Replace the script of `model`, from its next request on."""
        self.state.script(model, *behaviours)

    def requests(self) -> list[dict[str, Any]]:
        """The requests seen, oldest first, as `GET /_requests` shows them.

        Asked of the loop itself, so an answer that a client has in full is complete here too.
        """
        if self._loop is None or not self._thread.is_alive():
            return self.state.requests()
        snapshot: Future[list[dict[str, Any]]] = Future()
        self._loop.call_soon_threadsafe(lambda: snapshot.set_result(self.state.requests()))
        return snapshot.result()

    def reset(self) -> None:
        """Forget scripts and requests."""
        self.state.reset()

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:
            # Whoever entered waits for an outcome; after that there is nobody to tell, and threading reports it.
            if self._started.done():
                raise
            self._started.set_exception(error)

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        async with serve(*self._address) as running:
            self._started.set_result(running)
            await self._stopping.wait()

    def _stop(self) -> None:
        if self._loop is None:
            self._stopping.set()
        else:
            with contextlib.suppress(RuntimeError):  # the loop is closed already
                self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()


def run(
    host: str = "127.0.0.1", port: int = 9100, *, on_ready: Callable[[RunningSimulator], None] | None = None
) -> None:
    """Serve a simulator until SIGINT or SIGTERM, then return. `on_ready` is called once it accepts connections.

    Uses uvloop where it is installed. Raises OSError if the address is taken.
    """

    async def serve_until_signal() -> None:
        stopping = asyncio.Event()
        if threading.current_thread() is threading.main_thread():
            for each in (signal.SIGINT, signal.SIGTERM):
                with contextlib.suppress(NotImplementedError):  # Windows: Ctrl-C arrives as KeyboardInterrupt
                    asyncio.get_running_loop().add_signal_handler(each, stopping.set)
        async with serve(host, port) as running:
            if on_ready is not None:
                on_ready(running)
            await stopping.wait()

    with (
        contextlib.suppress(KeyboardInterrupt),
        asyncio.Runner(loop_factory=_config(create_app()).get_loop_factory()) as runner,
    ):
        runner.run(serve_until_signal())


class _Protocol(HttpToolsProtocol):
    """HTTP/1.1 that lets the application reset its connection, and writes no access log."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.access_log = False

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["extensions"] = {ABORT_EXTENSION: {"abort": self._abort}}

    async def _abort(self) -> None:
        # Aborting drops what the transport still holds, and uvloop holds every write until the end of a loop's turn.
        while self.transport.get_write_buffer_size() and not self.transport.is_closing():
            await asyncio.sleep(0.001)
        if not self.transport.is_closing():
            sock = self.transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            self.transport.abort()


class _Config(uvicorn.Config):
    def configure_logging(self) -> None:
        """Nothing: uvicorn's loggers belong to the process, which may serve more than a simulator."""


class _Server(uvicorn.Server):
    """Driven by `startup` and `shutdown` alone: no main loop to tick, no signal handlers to restore."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        config.load()
        self.lifespan = config.lifespan_class(config)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop at once. uvicorn's own waits for open streams to end, and for what cannot, logs a cancelled task."""
        for server in self.servers:
            server.close()
        await asyncio.sleep(0)  # a connection that is being accepted still becomes one
        while self.server_state.connections or self.server_state.tasks:
            for connection in list(self.server_state.connections):
                connection.transport.abort()
            # The application hears of it as of any client that goes, and ends its own work.
            if self.server_state.tasks:
                await asyncio.wait(list(self.server_state.tasks))
            await asyncio.sleep(0)
        for server in self.servers:
            await server.wait_closed()


def _config(app: SimulatorApp) -> uvicorn.Config:
    return _Config(
        app,
        http=_Protocol,
        ws="none",
        lifespan="off",
        interface="asgi3",
        proxy_headers=False,
        date_header=False,  # the application sends one; uvicorn's would need its main loop
        server_header=False,
        access_log=False,
        log_config=None,
        log_level="warning",
    )


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The protocol is named because asyncio turns Nagle's algorithm off only where it is; left at 0, as by
    # socket.create_server, every answer of a connection but the first came 40 ms late (measured).
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
    except BaseException:
        listener.close()
        raise
    return listener


def _base_url(host: str, port: int) -> str:
    reachable = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(host, host)  # noqa: S104 - replaced, not bound
    return f"http://[{reachable}]:{port}/v1" if ":" in reachable else f"http://{reachable}:{port}/v1"
