"""`manage.py serve` starts the service for production."""

from __future__ import annotations

import atexit
import os
import signal
import socket
import sys
import tempfile
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError
from django.urls import set_script_prefix
from uvicorn import Config, Server
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import Multiprocess

from orchestration_site.http.protocol.slow_clients import TimedProtocol
from orchestration_site.management.database_at_start import refuse_missing_migrations, wait_for_database
from orchestration_site.process import refuse_bad_settings
from orchestration_site.setting_values.addresses import read_root_path
from orchestration_site.setting_values.numbers import read_int
from orchestration_site.start import try_folders

# How long an idle connection stays open. Load balancers close theirs earlier, so that none of them sends a call into a
# connection that we are closing.
KEEP_ALIVE_SECONDS = 75
# How many new connections a single worker accepts in one turn of its event loop.
ACCEPTED_AT_ONCE = 32
# The same for each of several workers. With more, the worker that wakes up first would take a whole crowd.
ACCEPTED_AT_ONCE_BY_EACH = 4

# How long a worker may take to start, and later to answer the process above it, before that process kills it and starts
# another one. uvicorn's 5 seconds are too few on a busy machine: no worker would ever come to the end of its start.
WORKER_ANSWERS_WITHIN_SECONDS = 60


class Command(BaseCommand):
    help = (
        "Starts the service for production: no autoreload, any number of worker processes. SIGTERM lets open calls end "
        "for SHUTDOWN_GRACE seconds, saves everything, and exits with 0."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--host", default="127.0.0.1", help="default: %(default)s")
        parser.add_argument("--port", type=_whole_number(0, 65_535), default=8000, help="default: %(default)s")
        parser.add_argument(
            "--workers",
            type=_whole_number(1, 1_000),
            default=settings.WEB_CONCURRENCY,
            help="worker processes; default: %(default)s",
        )
        parser.add_argument(
            "--root-path",
            type=_root_path,
            default=settings.ROOT_PATH,
            help="the path below which a proxy shows the service, like /llm, and which it takes away; default: none",
        )

    def execute(self, *args: Any, **options: Any) -> str | None:
        # The system checks read these, here and in each worker: production refuses several workers on SQLite.
        settings.WEB_CONCURRENCY = options["workers"]
        os.environ["WEB_CONCURRENCY"] = str(options["workers"])
        _use_root_path(options["root_path"])
        return super().execute(*args, **options)

    def handle(self, *args: Any, **options: Any) -> None:
        # After an orderly shutdown uvicorn raises SIGTERM again, for the handler from before. This one exits with 0.
        signal.signal(signal.SIGTERM, _leave)
        with suppress(KeyboardInterrupt):  # uvicorn raises Ctrl+C again as well
            self._start(options)

    def _start(self, options: dict[str, Any]) -> None:
        try:
            if settings.PRODUCTION:
                refuse_bad_settings()  # a check that is silenced has not stopped the command
            try_folders()
        except ImproperlyConfigured as error:
            raise CommandError(str(error)) from error
        wait_for_database(self.stderr.write)
        refuse_missing_migrations()
        if options["workers"] > 1 and "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
            # It must be set before the workers start, because it decides how they count. The folder is shared by them.
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
            root_path=settings.ROOT_PATH,
            log_config=None,
            access_log=False,
            proxy_headers=False,  # `http.proxies` reads these headers, because uvicorn does not know TRUSTED_PROXIES
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=int(settings.SHUTDOWN_GRACE),
            timeout_worker_healthcheck=WORKER_ANSWERS_WITHIN_SECONDS,
        )
        listener = config.bind_socket()
        if config.workers > 1:
            Multiprocess(config, listen_often(listener, ACCEPTED_AT_ONCE_BY_EACH)).run()
            return
        server = Server(config)
        server.run(listen_often(listener, ACCEPTED_AT_ONCE))
        if not server.started:
            sys.exit(STARTUP_FAILURE)


def listen_often(listener: socket.socket, times: int) -> list[socket.socket]:
    """The same socket `times` times, so that the server accepts as many connections in a turn of its event loop.

    libuv accepts one connection from each socket in a turn (libuv/libuv#3696), and under load a turn takes tens of
    milliseconds. If two thousand connections came at once, health checks among them, the last would wait for half a
    minute.
    """
    return [listener, *(listener.dup() for _ in range(times - 1))]


def _use_root_path(path: str) -> None:
    """Let links, styles and the schema begin with this path, here and in each worker."""
    os.environ["ROOT_PATH"] = settings.ROOT_PATH = path
    settings.FORCE_SCRIPT_NAME = path or None
    set_script_prefix(f"{path}/")
    # Django adds the path when the setting is first read, which the system checks have done, or will do later.
    settings.STATIC_URL = f"{path}/static/"
    settings.SPECTACULAR_SETTINGS["SERVERS"] = [{"url": path}] if path else []


def _whole_number(at_least: int, at_most: int) -> Callable[[str], int]:
    def read(written: str) -> int:
        try:
            return read_int(written, at_least=at_least, at_most=at_most)
        except ValueError as error:
            raise ArgumentTypeError(f"it must be {error}") from None

    return read


def _root_path(written: str) -> str:
    try:
        return read_root_path(written)
    except ValueError as error:
        raise ArgumentTypeError(str(error)) from None


def _leave(number: int, frame: FrameType | None) -> None:
    sys.exit(0)
