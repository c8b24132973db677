"""`manage.py runserver` starts the service for development, and starts it again when a file of code changes.

Unlike Django's own command it serves ASGI, because streams need it, and so does the lifespan that opens the engine.
"""

from __future__ import annotations

from typing import Any

import uvicorn
from django.conf import settings
from django.contrib.staticfiles.management.commands.runserver import Command as RunserverCommand
from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import CommandError
from django.utils import autoreload

from orchestration_site.http.protocol.slow_clients import TimedProtocol
from orchestration_site.start import try_folders


class Command(RunserverCommand):
    help = "Starts the service for development: ASGI by uvicorn, with autoreload."

    # Django's command sets these before it calls inner_run().
    addr: str
    port: str

    def handle(self, *args: Any, **options: Any) -> str | None:
        try:
            try_folders()
        except ImproperlyConfigured as error:
            raise CommandError(str(error)) from error
        return super().handle(*args, **options)

    def inner_run(self, *args: Any, **options: Any) -> None:
        # Django's autoreloader runs this method in a thread. An error of an earlier start is raised again here.
        autoreload.raise_last_exception()
        if not options["skip_checks"]:
            self.check(display_num_errors=True)
        self.check_migrations()
        host = f"[{self.addr}]" if ":" in self.addr else self.addr  # an IPv6 address needs brackets in a URL
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
            root_path=settings.ROOT_PATH,
            log_config=None,
            access_log=False,
            proxy_headers=False,  # `http.proxies` reads these headers, because uvicorn does not know TRUSTED_PROXIES
            timeout_graceful_shutdown=int(settings.SHUTDOWN_GRACE),
        )
