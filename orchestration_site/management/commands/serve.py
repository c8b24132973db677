"""`manage.py serve`: the service as it runs in production."""

from __future__ import annotations

import atexit
import os
import signal
import sys
import tempfile
from argparse import ArgumentParser
from types import FrameType
from typing import Any

import uvicorn
from django.conf import settings
from django.core.management.base import BaseCommand

from orchestration_site.arrival import TimedProtocol

KEEP_ALIVE_SECONDS = 75
"""Longer than load balancers keep an idle connection, so that none of them sends a call into one that we close."""


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
        uvicorn.run(
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


def _leave(number: int, frame: FrameType | None) -> None:
    sys.exit(0)
