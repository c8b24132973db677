"""The simulator in a thread of its own, for code that is not async."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from concurrent.futures import Future
from types import TracebackType
from typing import Any, Self

from llm.simulator.script.behaviour import Behaviour
from llm.simulator.script.state import SimulatorState
from llm.simulator.serving.server import RunningSimulator, serve


class SimulatorThread:
    """A simulator in a thread and an event loop of its own.

    It is a context manager that may be entered once; entering raises OSError if the address is taken. Its methods may
    be called from any thread while it runs.
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
        """What OPENAI_BASE_URL expects: it ends in /v1, without a slash behind it."""
        return self._started.result().base_url

    @property
    def port(self) -> int:
        """The TCP port on which it listens."""
        return self._started.result().port

    @property
    def state(self) -> SimulatorState:
        """Its scripts and the requests that it has seen."""
        return self._started.result().state

    def script(self, model: str, *behaviours: Behaviour) -> None:
        """Replace the script of `model`. The new one applies from its next request on."""
        self.state.script(model, *behaviours)

    def requests(self) -> list[dict[str, Any]]:
        """The requests that were seen, oldest first, as `GET /_requests` shows them.

        The simulator's own event loop is asked, so that a request whose answer a client has in full is complete here.
        """
        if self._loop is None or not self._thread.is_alive():
            return self.state.requests()
        snapshot: Future[list[dict[str, Any]]] = Future()
        self._loop.call_soon_threadsafe(lambda: snapshot.set_result(self.state.requests()))
        return snapshot.result()

    def reset(self) -> None:
        """Forget all scripts and requests."""
        self.state.reset()

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:
            # Whoever enters this waits for `_started`. Later nobody waits, and threading reports the error.
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
            with contextlib.suppress(RuntimeError):  # the loop has been closed already
                self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()
