"""`manage.py simulator`: a simulated OpenAI, to try the service without an API key."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser


class Command(BaseCommand):
    """Serves the simulator until Ctrl-C or SIGTERM."""

    help = "Serve a simulated, OpenAI-compatible upstream on loopback."
    requires_system_checks: list[str] = []  # noqa: RUF012 - as Django declares it

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
        parser.add_argument("--port", type=int, default=9100, help="port, 0 for a free one (default: %(default)s)")

    def handle(self, *args: Any, **options: Any) -> None:
        from llm.simulator import SIM_MODELS, RunningSimulator, run

        def explain(running: RunningSimulator) -> None:
            width = max(map(len, SIM_MODELS)) + 2
            models = "\n".join(f"  {name:<{width}}{model.summary}" for name, model in SIM_MODELS.items())
            self.stdout.write(
                f"A simulated OpenAI is at {running.base_url}. Any key will do:\n\n"
                f"  export OPENAI_BASE_URL={running.base_url} OPENAI_API_KEY=sk-simulated\n\n"
                f"Every model name answers. These misbehave (sim- with any other HTTP status does too):\n\n{models}\n\n"
                "Scripts and raw bytes: PUT /_script/MODEL (docs/simulator.md). What it saw: GET /_requests.\n"
                "Ctrl-C ends it."
            )
            self.stdout.flush()

        try:
            run(options["host"], options["port"], on_ready=explain)
        except OSError as error:
            raise CommandError(f"Cannot listen on {options['host']}:{options['port']}: {error}") from error
        self.stdout.write("The simulator has stopped.")
