"""`manage.py prune_calls --older-than 30d`: delete old calls or only their content, and old idempotency keys."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Any

from django.core.management.base import BaseCommand
from django.db import transaction
from django.utils import timezone
from tqdm import tqdm

from access.ages import parse_age
from chat.doors.idempotency import forget_old_keys, old_keys
from chat.management.arguments import whole_number
from chat.models import Attempt, CallRecord
from chat.record.content import drop_contents, has_content
from chat.record.late_hours import note_changes


class Command(BaseCommand):
    help = "Deletes calls older than an age, and idempotency keys older than a day, in batches, while the service runs."

    def add_arguments(self, parser: ArgumentParser) -> None:
        # No minutes: someone who writes 3m may mean three months, and would lose the calls of three months.
        age = partial(parse_age, units="hdw")
        parser.add_argument("--older-than", type=age, required=True, metavar="AGE", help="like 36h, 30d or 8w")
        parser.add_argument("--content-only", action="store_true", help="drop messages and answers, keep all numbers")
        parser.add_argument("--dry-run", action="store_true", help="say how many, delete none")
        parser.add_argument(
            "--batch-size",
            type=whole_number(1, 10_000),
            default=1000,
            help="calls in one transaction; default: %(default)s",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        limit, size = timezone.now() - options["older_than"], options["batch_size"]
        ended = CallRecord.objects.exclude(status=CallRecord.Status.IN_PROGRESS).filter(created_at__lt=limit)
        doomed = ended.filter(has_content()) if options["content_only"] else ended
        what = "the content of calls" if options["content_only"] else "calls"
        total = doomed.count()
        if options["dry_run"]:
            self.stdout.write(f"Would delete {what} from before {limit:%Y-%m-%d %H:%M} UTC: {total}")
            self.stdout.write(f"Would delete idempotency keys that are too old to be used: {old_keys().count()}")
            return
        deleted = 0
        # Each batch is searched for from where the last one ended, so that calls that stay are not read again.
        oldest_first = doomed.order_by("created_at").values_list("id", "created_at")
        reached = None
        with tqdm(total=total, unit=" calls", disable=options["verbosity"] == 0) as progress:
            while batch := list((oldest_first.filter(created_at__gte=reached) if reached else oldest_first)[:size]):
                delete(batch, content_only=options["content_only"])
                reached = batch[-1][1]
                deleted += len(batch)
                progress.update(len(batch))
        self.stdout.write(f"Deleted {what} from before {limit:%Y-%m-%d %H:%M} UTC: {deleted}")
        self.stdout.write(f"Deleted idempotency keys that are too old to be used: {forget_old_keys()}")


def delete(batch: Sequence[tuple[int, datetime]], *, content_only: bool) -> None:
    """Delete one batch in one transaction, so that a call goes together with all that belongs to it.

    The batch was read before the transaction, so that other writers don't wait for the search. That is safe, because a
    call that has ended does not change any more.
    """
    ids = [id_ for id_, _ in batch]
    with transaction.atomic():
        drop_contents(ids)
        if not content_only:
            note_changes(created_at for _, created_at in batch)
            Attempt.objects.filter(call_id__in=ids).delete()
            CallRecord.objects.filter(id__in=ids).delete()
