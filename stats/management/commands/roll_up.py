"""`manage.py roll_up`: roll up the history now, instead of waiting until the running service does it."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand
from tqdm import tqdm

from stats.roll_ups.roll_up import hours_left, roll_up_hour, start_again


class Command(BaseCommand):
    help = "Rolls up the history by the hour, which makes /stats fast. The running service does it too, bit by bit."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--again", action="store_true", help="start from the beginning, after calls were changed by hand, in SQL"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["again"]:
            start_again()
        done = 0
        with tqdm(total=hours_left(), unit=" hours", disable=options["verbosity"] == 0) as progress:
            while roll_up_hour():
                done += 1
                progress.update()
        self.stdout.write(f"Rolled up {done} hours with calls.")
