"""`manage.py runserver`, but with ASGI: streams stream, and the lifespan runs. Reloads on change, as usual."""

from __future__ import annotations

from typing import Any

import uvicorn
from django.conf import settings
from django.contrib.staticfiles.management.commands.runserver import Command as RunserverCommand
from django.utils import autoreload

from orchestration_site.http.slow_clients import TimedProtocol


class Command(RunserverCommand):
    help = "Starts the service for development: ASGI by uvicorn, with autoreload."

    addr: str
    port: str
    _raw_ipv6: bool

    def inner_run(self, *args: Any, **options: Any) -> None:
        # The autoreloader runs this in a thread and must be told of errors in it.
        autoreload.raise_last_exception()
        if not options["skip_checks"]:
            self.check(display_num_errors=True)
        self.check_migrations()
        host = f"[{self.addr}]" if self._raw_ipv6 else self.addr
        self.stdout.write(f"The service is at http://{host}:{self.port}/ and its API at http://{host}:{self.port}/docs")
        if settings.SIMULATED:
            self.stdout.write(
                self.style.WARNING(
                    "OPENAI_API_KEY is not set: the bundled simulator answers, not OpenAI. Its answers are made up,\n"
                    "and every answer and record says provider=simulator. Put your key into .env to call OpenAI."
                )
            )
        self.stdout.write("Quit with Control-C.")
        uvicorn.run(
            "orchestration_site.asgi:application",
            host=self.addr,
            port=int(self.port),
            http=TimedProtocol,
            lifespan="on",
            log_config=None,
            access_log=False,
            proxy_headers=False,  # TRUSTED_PROXIES says whom to believe
            timeout_graceful_shutdown=int(settings.SHUTDOWN_GRACE),
        )
