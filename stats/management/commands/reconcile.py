"""`manage.py reconcile --since 30d`: hold our costs against what OpenAI says that it has billed."""

from __future__ import annotations

import datetime as dt
import math
import sys
from argparse import ArgumentParser, ArgumentTypeError
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from access.ages import parse_moment
from stats.models import Reconciliation
from stats.reconciliation.books import Books, Days, ReconcileError, no_books
from stats.reconciliation.comparison import Comparison
from stats.reconciliation.openai_api import read_theirs
from stats.reconciliation.openai_file import read_file
from stats.reconciliation.ours import read_ours
from stats.reconciliation.report import percent, table

# The provider whose books are read, by the name that the settings have for it.
OPENAI = "openai"

# The exit codes: the drift is larger than is tolerated, and there is nothing to compare.
DRIFTED, NOT_COMPARED = 1, 2


class Command(BaseCommand):
    help = (
        "Compares our costs with OpenAI's, by day (UTC) and model. It asks OpenAI's API with the key in "
        "OPENAI_ADMIN_KEY, or reads a file. The exit code is 1 if the drift is larger than is tolerated, and 2 if "
        "nothing could be compared."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--since", type=parse_moment, metavar="WHEN", help="from that day on: 30d, 2026-11-01; needed without --csv"
        )
        parser.add_argument("--until", type=parse_moment, metavar="WHEN", help="up to before that day; default: today")
        parser.add_argument(
            "--csv", type=Path, metavar="FILE", help="an export of OpenAI's costs, or saved JSON of its API"
        )
        parser.add_argument(
            "--project",
            action="append",
            default=[],
            metavar="ID",
            help="only this project of OpenAI's; may be repeated",
        )
        parser.add_argument("--tolerance", type=_per_cent, default=1.0, metavar="PERCENT", help="default: %(default)s")

    def handle(self, *args: Any, **options: Any) -> None:
        provider = settings.PROVIDERS[OPENAI]
        try:
            days, theirs = self._theirs(options)
        except ReconcileError as error:
            raise CommandError(str(error), returncode=NOT_COMPARED) from error
        comparison = Comparison.of(read_ours(days, provider.name), theirs)
        if not comparison.lines:
            last = days.until - dt.timedelta(days=1)
            raise CommandError(
                f"Nothing was used from {days.since} to {last}, in days of UTC, by our books and by OpenAI's. "
                "Today counts only if --until names a later day.",
                returncode=NOT_COMPARED,
            )
        for line in table(comparison, with_usage=options["csv"] is None):
            self.stdout.write(line)
        self._tell(comparison, days, provider.name)
        whole = comparison.whole
        Reconciliation.objects.update_or_create(
            provider=provider.name,
            defaults={
                "created_at": timezone.now(),
                "since": days.begin,
                "until": days.end,
                "ours_usd": whole.ours.usd,
                "theirs_usd": whole.theirs.usd,
                "drift_ratio": whole.drift_ratio,
            },
        )
        tolerance = options["tolerance"]
        if abs(whole.drift_ratio) * 100 > tolerance:
            self.stderr.write(f"The drift of {percent(whole.drift_ratio)} is more than {tolerance:g} %.")
            sys.exit(DRIFTED)
        self.stdout.write(f"The drift of {percent(whole.drift_ratio)} is not more than {tolerance:g} %.")

    def _theirs(self, options: dict[str, Any]) -> tuple[Days, Books]:
        """The days to compare, and OpenAI's books of them."""
        since, until = options["since"], options["until"]
        path: Path | None = options["csv"]
        if path is None:
            if since is None:
                raise ReconcileError("--since is needed, unless a file is given.")
            days = _days(since.date(), (until or timezone.now()).date())
            return days, self._ask(days, options["project"])
        found = read_file(path, options["project"])
        if not found:
            raise ReconcileError(f"{path} has no costs.")
        dates = [day for day, _ in found]
        days = _days(
            since.date() if since else min(dates), until.date() if until else max(dates) + dt.timedelta(days=1)
        )
        theirs = no_books()
        theirs.update({key: entry for key, entry in found.items() if key[0] in days})
        return days, theirs

    def _ask(self, days: Days, projects: list[str]) -> Books:
        base_url = settings.PROVIDERS[OPENAI].base_url
        if not settings.OPENAI_ADMIN_KEY:
            raise ReconcileError("OPENAI_ADMIN_KEY is not set. Without it, give a file: --csv FILE.")
        if not base_url:
            raise ReconcileError(
                "There is no OpenAI to ask: without OPENAI_API_KEY, the service answers by a simulator of its own. "
                "Run manage.py simulator, and set OPENAI_API_KEY and OPENAI_BASE_URL as it says."
            )
        return read_theirs(days, base_url=base_url, admin_key=settings.OPENAI_ADMIN_KEY, projects=projects)

    def _tell(self, comparison: Comparison, days: Days, provider: str) -> None:
        ours = comparison.whole.ours
        last = days.until - dt.timedelta(days=1)
        self.stdout.write(f"\nCompared {provider} from {days.since} to {last}, in days of UTC.")
        if ours.estimated_usd:
            share = ours.estimated_usd / ours.usd
            self.stdout.write(f"Of ours, {ours.estimated_usd:,.6f} USD ({share:.2%}) are estimated.")
        if ours.incomplete:
            self.stdout.write(f"{ours.incomplete:,} of our requests have used something of which no price is known.")


def _days(since: dt.date, until: dt.date) -> Days:
    if since >= until:
        raise ReconcileError("There is no whole day from --since to --until. Days are those of UTC.")
    return Days(since, until)


def _per_cent(written: str) -> float:
    try:
        number = float(written)
    except ValueError:
        number = math.nan
    if not 0 <= number < math.inf:
        raise ArgumentTypeError(f"'{written}' is no number of per cent, 0 or more.")
    return number
