"""Notes of hours in which calls changed after those hours may have been rolled up."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable

from django.utils import timezone

from chat.models import LateHour

# Changes to calls that are older than this are noted. The roll-ups only touch hours that are twice as old.
LATE = dt.timedelta(hours=1)


def hour_of(moment: dt.datetime) -> dt.datetime:
    """The first moment of its hour, in UTC. `moment` is aware."""
    return moment.astimezone(dt.UTC).replace(minute=0, second=0, microsecond=0)


def note_changes(created: Iterable[dt.datetime]) -> None:
    """Note that calls which began at these moments were written, changed or deleted.

    Call it inside the transaction that changes them, so that nobody sees the change without the note. For a young call,
    as nearly all are, it costs one comparison.
    """
    limit = timezone.now() - LATE
    late = {hour_of(moment) for moment in created if moment < limit}
    if late:
        LateHour.objects.bulk_create([LateHour(hour=hour) for hour in sorted(late)])
