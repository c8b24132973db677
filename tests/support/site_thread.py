"""The whole service on a real socket: uvicorn in a thread, with the application as `manage.py runserver` has it."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from orchestration_site.asgi import application
from orchestration_site.http.slow_clients import TimedProtocol


@contextmanager
def running_site() -> Iterator[str]:
    """Yields the base URL. On leaving, the lifespan has shut down: open calls are on record."""
    # The protocol is named, because asyncio sets TCP_NODELAY only on sockets that say they are TCP.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", 0))
    config = uvicorn.Config(
        application,
        http=TimedProtocol,
        lifespan="on",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        timeout_graceful_shutdown=2,
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
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(20)
        listener.close()
        assert not thread.is_alive(), "the site did not stop"
        assert not failed, failed
