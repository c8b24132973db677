"""`manage.py reprice --since 30d`: give calls on record the costs that they have by mended prices."""

from __future__ import annotations

import sys
import time
from argparse import ArgumentParser
from collections import defaultdict
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone
from tqdm import tqdm

from access.ages import parse_moment
from chat.books.prices import RowPrices
from chat.books.repricing import ModelSums, Selection, Sums, add_sums, reprice
from chat.management.arguments import whole_number
from llm import PriceList

# The exit code of a program that Ctrl+C has ended.
INTERRUPTED = 130


class Command(BaseCommand):
    help = (
        "Gives calls on record new costs, by the prices of their time or of today, while the service runs. It shows "
        "what would change first. The cost that a row had at first is kept in original_cost_usd."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--since", type=parse_moment, required=True, metavar="WHEN", help="calls from then on: 30d, 2026-11-01, …"
        )
        parser.add_argument("--until", type=parse_moment, metavar="WHEN", help="calls before then; default: now")
        parser.add_argument("--model", help="only attempts at this model")
        parser.add_argument("--provider", help="only attempts at this provider, by the name that rows have")
        parser.add_argument(
            "--prices",
            choices=("then", "today"),
            default="then",
            help="the prices of each call's time, or those of today; default: %(default)s",
        )
        answer = parser.add_mutually_exclusive_group()
        answer.add_argument("--dry-run", action="store_true", help="show what would change, and change nothing")
        answer.add_argument(
            "--no-input", "--apply", action="store_true", dest="no_input", help="change it without asking"
        )
        parser.add_argument(
            "--batch-size",
            type=whole_number(1, 10_000),
            default=500,
            help="calls in one transaction; default: %(default)s",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        until = options["until"] or timezone.now()
        if options["since"] >= until:
            raise CommandError("--since must be before --until.")
        selection = Selection(options["since"], until, options["model"], options["provider"])
        prices = RowPrices(
            PriceList(settings.PRICES), settings.PROVIDERS.values(), of_today=options["prices"] == "today"
        )
        total = selection.calls().count()
        if not options["no_input"]:
            changes = self._go(selection, prices, total, options, apply=False)
            self._show(changes, "would change")
            if not any(found.changed for found in changes.values()) or options["dry_run"]:
                return
            if not sys.stdin.isatty():
                self.stdout.write("Nothing was changed. Add --no-input to change it.")
                return
            if not self._agreed():
                self.stdout.write("Nothing was changed.")
                return
        self._show(self._go(selection, prices, total, options, apply=True), "changed")

    def _agreed(self) -> bool:
        try:
            return input("Change these rows? [y/N] ").strip().lower() in ("y", "yes")
        except (KeyboardInterrupt, EOFError):
            self.stdout.write("")
            return False

    def _go(self, selection: Selection, prices: RowPrices, total: int, options: Any, *, apply: bool) -> Sums:
        """Look at all selected calls, and with `apply` change them. Returns the sums of what was looked at."""
        sums: Sums = defaultdict(ModelSums)
        reached = selection.since
        # Without a terminal there is no bar.
        quiet = True if options["verbosity"] == 0 else None
        try:
            with tqdm(total=total, unit=" calls", desc="Changing" if apply else "Looking", disable=quiet) as progress:
                began = time.monotonic()
                for batch in reprice(selection, prices, batch_size=options["batch_size"], apply=apply):
                    add_sums(sums, batch.sums)
                    reached = batch.reached
                    progress.update(batch.calls)
                    if batch.changed_calls and apply:
                        # Half of the time is left to the service, which may wait for the database.
                        time.sleep(time.monotonic() - began)
                    began = time.monotonic()
        except KeyboardInterrupt:
            if apply:
                self._show(sums, "changed")
                self.stderr.write(f"Interrupted. Calls before {reached.isoformat()} are done. Run it again to go on.")
            else:
                self.stderr.write("Interrupted. Nothing was changed.")
            sys.exit(INTERRUPTED)
        return sums

    def _show(self, sums: Sums, change: str) -> None:
        rows = [(f"{provider}/{model}", found) for (provider, model), found in sorted(sums.items()) if found.changed]
        unpriced = sum(found.unpriced for found in sums.values())
        looked_at = sum(found.attempts for found in sums.values())
        if rows:
            whole = ModelSums()
            for _, found in rows:
                whole.add(found)
            rows.append(("all of these", whole))
            width = max(len(name) for name, _ in rows)
            self.stdout.write(f"{'model':<{width}} {'rows':>9} {'old USD':>18} {'new USD':>18} {'difference':>18}")
            for name, found in rows:
                numbers = (found.old_usd, found.new_usd, found.new_usd - found.old_usd)
                self.stdout.write(
                    f"{name:<{width}} {found.changed:>9,} " + " ".join(f"{number:>18,.10f}" for number in numbers)
                )
        changed = sum(found.changed for found in sums.values())
        self.stdout.write(f"{changed:,} of {looked_at:,} attempts with usage {change}.")
        if unpriced:
            self.stdout.write(f"{unpriced:,} attempts have no known price and keep the cost that they have.")
