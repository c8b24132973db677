"""The service in a thread of the test's own process: uvicorn on a real socket, as `manage.py runserver` has it.

A test of one process shares uvicorn with the tests before it, and gets a service of its own behind it (`SharedServer`),
because stopping uvicorn takes 0.15 seconds of waiting. A test of how a server starts and stops takes `running_site`.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping, MutableMapping
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any

import uvicorn

from orchestration_site.asgi import application
from orchestration_site.http.protocol.slow_clients import TimedProtocol
from orchestration_site.process import open_service

# How long open requests may go on when a test is over, as uvicorn's timeout_graceful_shutdown.
GRACE_SECONDS = 2

AsgiApplication = Callable[..., Awaitable[None]]
Scope = MutableMapping[str, Any]


@contextmanager
def running_site() -> Iterator[str]:
    """A server for one test, with its lifespan. Yields the base URL.

    When this is left, the lifespan has shut down, so that every open call is on record.
    """
    with _serving(application, lifespan="on") as (_, base_url):
        yield base_url


class SharedServer:
    """One server for many tests: `with shared.service() as base_url` opens a service of its own for each."""

    def __init__(self, server: uvicorn.Server, base_url: str, loop: asyncio.AbstractEventLoop) -> None:
        self._server = server
        self._base_url = base_url
        self.loop = loop
        self._state: Mapping[str, Any] = {}
        self.is_free = True

    @contextmanager
    def service(self) -> Iterator[str]:
        """Open a service with the present settings. When this is left, every open call is on record."""
        assert self.is_free
        self.is_free = False
        opened: Future[None] = Future()
        over = asyncio.Event()
        living = asyncio.run_coroutine_threadsafe(self._live(opened, over), self.loop)
        try:
            opened.result(20)
            yield self._base_url
        finally:
            self.loop.call_soon_threadsafe(over.set)
            living.result(20)
            self.is_free = True

    async def _live(self, opened: Future[None], over: asyncio.Event) -> None:
        try:
            async with open_service() as self._state:
                opened.set_result(None)
                await over.wait()
                await self._end_requests()
        except BaseException as error:
            if opened.done():
                raise
            opened.set_exception(error)

    async def _end_requests(self) -> None:
        """End all connections and requests in the way of uvicorn's own shutdown."""
        state = self._server.server_state
        for connection in list(state.connections):
            connection.shutdown()
        if state.tasks:
            _, unfinished = await asyncio.wait(set(state.tasks), timeout=GRACE_SECONDS)
            for task in unfinished:
                task.cancel()
            await asyncio.gather(*unfinished, return_exceptions=True)

    async def answer(self, scope: Scope, receive: object, send: object) -> None:
        """The ASGI application: the site's own, with the state that its lifespan would give it."""
        scope["state"] = dict(self._state)
        await application(scope, receive, send)


@contextmanager
def shared_server() -> Iterator[SharedServer]:
    """A server whose services come and go."""

    async def answer(scope: Scope, receive: object, send: object) -> None:
        await shared.answer(scope, receive, send)

    with _serving(answer, lifespan="off") as (server, base_url):
        loop = server.servers[0].get_loop()
        shared = SharedServer(server, base_url, loop)
        yield shared


@contextmanager
def _serving(app: AsgiApplication, *, lifespan: Any) -> Iterator[tuple[uvicorn.Server, str]]:
    # The protocol is named, because asyncio sets TCP_NODELAY only on sockets that say they are TCP.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", 0))
    config = uvicorn.Config(
        app,
        interface="asgi3",
        http=TimedProtocol,
        lifespan=lifespan,
        log_config=None,
        access_log=False,
        proxy_headers=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
        loop="asyncio",
    )
    server = uvicorn.Server(config)
    failed: list[BaseException] = []

    def run() -> None:
        try:
            asyncio.run(server.serve([listener]))
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=run, name="site")
    thread.start()
    while not server.started and thread.is_alive():
        thread.join(0.005)
    try:
        assert server.started, f"the site did not start: {failed}"
        yield server, f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(20)
        listener.close()
        assert not thread.is_alive(), "the site did not stop"
        assert not failed, failed
