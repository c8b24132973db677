"""`manage.py prune_calls --older-than 30d`: delete old calls, or only what was said in them; and old keys."""

from __future__ import annotations

import re
from argparse import ArgumentParser, ArgumentTypeError
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone
from tqdm import tqdm

from chat.idempotency import forget_old_keys, old_keys
from chat.late_hours import note_changes
from chat.models import Attempt, CallContent, CallRecord

UNITS = {"h": "hours", "d": "days", "w": "weeks"}


def age(text: str) -> timedelta:
    """`36h`, `30d`, `8w`"""
    match = re.fullmatch(r"(\d{1,6})([hdw])", text)
    if match is None:
        raise ArgumentTypeError(f"'{text}' is no age. Write a whole number and h, d or w, like 30d.")
    return timedelta(**{UNITS[match[2]]: int(match[1])})


class Command(BaseCommand):
    help = "Deletes calls older than an age, and idempotency keys older than a day, in batches, while the service runs."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--older-than", type=age, required=True, metavar="AGE", help="like 36h, 30d or 8w")
        parser.add_argument("--content-only", action="store_true", help="drop messages and answers, keep all figures")
        parser.add_argument("--dry-run", action="store_true", help="say how many, delete none")
        parser.add_argument(
            "--batch-size", type=int, default=1000, help="calls in one transaction; default: %(default)s"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        limit = timezone.now() - options["older_than"]
        ended = CallRecord.objects.exclude(status=CallRecord.Status.IN_PROGRESS).filter(created_at__lt=limit)
        doomed = ended.filter(body__isnull=False) if options["content_only"] else ended
        what = "the content of calls" if options["content_only"] else "calls"
        total = doomed.count()
        if options["dry_run"]:
            self.stdout.write(f"Would delete {what} from before {limit:%Y-%m-%d %H:%M} UTC: {total}")
            self.stdout.write(f"Would delete idempotency keys that are too old to be used: {old_keys().count()}")
            return
        deleted = 0
        with tqdm(total=total, unit=" calls", disable=options["verbosity"] == 0) as progress:
            while count := self._delete_batch(doomed, options["batch_size"], content_only=options["content_only"]):
                deleted += count
                progress.update(count)
        self.stdout.write(f"Deleted {what} from before {limit:%Y-%m-%d %H:%M} UTC: {deleted}")
        self.stdout.write(f"Deleted idempotency keys that are too old to be used: {forget_old_keys()}")

    def _delete_batch(self, doomed: QuerySet[CallRecord], size: int, *, content_only: bool) -> int:
        """One transaction, so that a call goes with all that belongs to it, and writers get a turn in between."""
        with transaction.atomic():
            batch = list(doomed.order_by("created_at").values_list("id", "created_at")[:size])
            ids = [id_ for id_, _ in batch]
            CallContent.objects.filter(call_id__in=ids).delete()
            if not content_only:
                note_changes(created_at for _, created_at in batch)
                Attempt.objects.filter(call_id__in=ids).delete()
                CallRecord.objects.filter(id__in=ids).delete()
        return len(ids)
