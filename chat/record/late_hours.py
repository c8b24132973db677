"""Which hours of the history were changed after they might have been summed up."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable

from django.utils import timezone

from chat.models import LateHour

LATE = dt.timedelta(hours=1)
"""How old a call is when a change of it is noted. Whoever sums up the history leaves alone what is not twice as old."""


def hour_of(moment: dt.datetime) -> dt.datetime:
    """The first moment of its hour, in UTC. `moment` is aware."""
    return moment.astimezone(dt.UTC).replace(minute=0, second=0, microsecond=0)


def note_changes(created: Iterable[dt.datetime]) -> None:
    """Note that calls which began at these moments were written, changed or deleted.

    To be called inside the transaction that does it, so that nobody sees the one without the other. Costs a comparison
    for a call that is young, as nearly all are.
    """
    limit = timezone.now() - LATE
    late = {hour_of(moment) for moment in created if moment < limit}
    if late:
        LateHour.objects.bulk_create([LateHour(hour=hour) for hour in sorted(late)])
