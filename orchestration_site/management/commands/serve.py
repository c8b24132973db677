"""`manage.py serve`: the service as it runs in production."""

from __future__ import annotations

import atexit
import os
import signal
import socket
import sys
import tempfile
from argparse import ArgumentParser
from contextlib import suppress
from types import FrameType
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand
from uvicorn import Config, Server
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import Multiprocess

from orchestration_site.http.slow_clients import TimedProtocol

KEEP_ALIVE_SECONDS = 75
"""Longer than load balancers keep an idle connection, so that none of them sends a call into one that we close."""
ACCEPTED_AT_ONCE = 32
"""New connections that one worker takes in a turn of its event loop."""
ACCEPTED_AT_ONCE_BY_EACH = 4
"""The same for each of several workers: more would let the one that wakes first take a whole crowd."""


class Command(BaseCommand):
    help = (
        "Starts the service for production: no autoreload, any number of worker processes. SIGTERM lets open calls end "
        "for SHUTDOWN_GRACE seconds, saves everything, and exits with 0."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--host", default="127.0.0.1", help="default: %(default)s")
        parser.add_argument("--port", type=int, default=8000, help="default: %(default)s")
        parser.add_argument(
            "--workers", type=int, default=settings.WEB_CONCURRENCY, help="worker processes; default: %(default)s"
        )

    def execute(self, *args: Any, **options: Any) -> str | None:
        # For the checks, here and in each worker: production refuses several on SQLite.
        settings.WEB_CONCURRENCY = options["workers"]
        os.environ["WEB_CONCURRENCY"] = str(options["workers"])
        return super().execute(*args, **options)

    def handle(self, *args: Any, **options: Any) -> None:
        # When it has shut down in order, uvicorn raises the signal again, for whoever handled it before: that is here.
        signal.signal(signal.SIGTERM, _leave)
        if options["workers"] > 1 and "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
            # Before the workers start: it decides how they count.
            folder = tempfile.TemporaryDirectory(prefix="metrics-")
            atexit.register(folder.cleanup)
            os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder.name
        config = Config(
            "orchestration_site.asgi:application",
            host=options["host"],
            port=options["port"],
            workers=options["workers"],
            http=TimedProtocol,
            lifespan="on",
            log_config=None,
            access_log=False,
            proxy_headers=False,  # TRUSTED_PROXIES says whom to believe
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=int(settings.SHUTDOWN_GRACE),
        )
        listener = config.bind_socket()
        with suppress(KeyboardInterrupt):  # Ctrl+C is raised again as well
            if config.workers > 1:
                Multiprocess(config, listen_often(listener, ACCEPTED_AT_ONCE_BY_EACH)).run()
                return
            server = Server(config)
            server.run(listen_often(listener, ACCEPTED_AT_ONCE))
            if not server.started:
                sys.exit(STARTUP_FAILURE)


def listen_often(listener: socket.socket, times: int) -> list[socket.socket]:
    """The same socket `times` times, for a server to accept from each.

    libuv accepts one connection a turn from a socket (libuv/libuv#3696). Under load a turn takes tens of milliseconds,
    and of two thousand that come at once, health checks among them, the last would wait for half a minute.
    """
    return [listener, *(listener.dup() for _ in range(times - 1))]


def _leave(number: int, frame: FrameType | None) -> None:
    sys.exit(0)
