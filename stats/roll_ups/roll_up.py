"""Rolls up the history, one hour at a time.

docs/decisions/0008-roll-ups.md explains why the result is exact although calls change later.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from django.db import transaction
from django.db.models import F, QuerySet
from django.utils import timezone

from chat.models import Attempt, CallRecord, LateHour
from chat.record.late_hours import LATE, hour_of
from chat.record.snapshot import read_snapshot
from stats.aggregates import ATTEMPT_AGGREGATES, CALL_AGGREGATES
from stats.group_keys import model_key
from stats.latencies import packed
from stats.models import HourlyAttempts, HourlyCalls, RollUpState
from stats.roll_ups.periods import HOUR

# The id of the only row of `RollUpState`.
STATE_ID = 1

# The columns of a roll-up in which its calls are the same, and the names of these columns in the queries below. They
# differ, because Django refuses an annotation that has the name of a field.
COLUMNS = ("model", "provider", "door", "status", "api_key")
KEY = ("key_model", "key_provider", "key_door", "key_status", "key_api_key")
Key = tuple[str, ...]


@dataclass(slots=True)
class _Hour:
    """What was read of one hour and is to be stored.

    `version` is that of the state it was read in, and `rolled_until` is what the state becomes. `notes` are the ids of
    the notes that this roll-up makes unnecessary.
    """

    version: int
    rolled_until: dt.datetime | None
    hour: dt.datetime
    notes: list[int] = field(default_factory=list)
    calls: list[HourlyCalls] = field(default_factory=list)
    attempts: list[HourlyAttempts] = field(default_factory=list)


def roll_up_hour() -> bool:
    """Roll up one hour: one whose calls have changed since it was rolled up, or else the oldest that has not been.

    Returns False if there is nothing to do. Several processes may do this at the same time. The write lock is held only
    while the result is stored, and not while the calls are read.
    """
    with read_snapshot():
        found = _next_hour()
    return found is not None and _store(found)


def hours_left() -> int:
    """About how many times `roll_up_hour` will find something to do. Hours without a call are counted too."""
    state = RollUpState.objects.first()
    start = (state and state.rolled_until) or _first_hour(None)
    ahead = max(0, (_horizon() - start) // HOUR) if start is not None else 0
    return ahead + LateHour.objects.filter(hour__lt=start).values("hour").distinct().count() if start else ahead


def start_again() -> None:
    """Delete all roll-ups. This is needed after the history was changed by other means than the service's own."""
    with transaction.atomic():
        RollUpState.objects.update(rolled_until=None, version=F("version") + 1)
        HourlyCalls.objects.all().delete()
        HourlyAttempts.objects.all().delete()


def _horizon() -> dt.datetime:
    """Only hours that end before this are rolled up.

    For younger hours, changes of their calls are not noted yet, or have been noted for a short time only.
    """
    return hour_of(timezone.now() - 2 * LATE)


def _first_hour(since: dt.datetime | None) -> dt.datetime | None:
    """The hour of the first call, or of the first call from `since` on."""
    calls = CallRecord.objects.order_by("created_at")
    if since is not None:
        calls = calls.filter(created_at__gte=since)
    first = calls.values_list("created_at", flat=True).first()
    return first and hour_of(first)


def _next_hour() -> _Hour | None:
    """What the next hour to roll up contains, or None if there is none."""
    state = RollUpState.objects.filter(id=STATE_ID).first() or RollUpState(id=STATE_ID)
    until, horizon = state.rolled_until, _horizon()
    late = LateHour.objects.filter(hour__lt=until).order_by("hour").first() if until else None
    if late is not None:
        return _read(_Hour(state.version, until, late.hour))
    hour = _first_hour(until)
    if hour is None or hour >= horizon:
        return None
    return _read(_Hour(state.version, hour + HOUR, hour))


def _read(found: _Hour) -> _Hour:
    # The notes are read before the calls. If a call changes in between, its note is not in this list, so it is not
    # deleted, and the hour is rolled up again.
    found.notes = list(LateHour.objects.filter(hour=found.hour).values_list("id", flat=True))
    within = {"created_at__gte": found.hour, "created_at__lt": found.hour + HOUR}
    calls = _keyed(CallRecord.objects.filter(**within).order_by())
    latencies: dict[Key, list[int]] = defaultdict(list)
    first_tokens: dict[Key, list[int]] = defaultdict(list)
    for *key, latency, first_token in calls.values_list(*KEY, "latency_ms", "time_to_first_token_ms").iterator():
        if latency is not None:
            latencies[tuple(key)].append(latency)
        if first_token is not None:
            first_tokens[tuple(key)].append(first_token)
    for row in calls.values(*KEY).annotate(**CALL_AGGREGATES):
        key = tuple(row[name] for name in KEY)
        found.calls.append(
            HourlyCalls(
                hour=found.hour,
                **dict(zip(COLUMNS, key, strict=True)),
                **{name: row[name] for name in CALL_AGGREGATES},
                latencies_ms=packed(sorted(latencies[key])),
                first_tokens_ms=packed(sorted(first_tokens[key])),
            )
        )
    attempts = _keyed(Attempt.objects.filter(**{f"call__{name}": value for name, value in within.items()}), "call__")
    for row in (
        attempts.order_by()
        .annotate(attempt_model=F("model"))
        .values(*KEY, "attempt_model")
        .annotate(**ATTEMPT_AGGREGATES)
    ):
        found.attempts.append(
            HourlyAttempts(
                hour=found.hour,
                **{name: row[key] for name, key in zip(COLUMNS, KEY, strict=True)},
                attempt_model=row["attempt_model"],
                **{name: row[name] for name in ATTEMPT_AGGREGATES},
            )
        )
    return found


def _keyed(rows: QuerySet[Any], call: str = "") -> QuerySet[Any]:
    keyed: QuerySet[Any] = rows.annotate(
        key_model=model_key(call),
        key_provider=F(f"{call}provider_used"),
        key_door=F(f"{call}door"),
        key_status=F(f"{call}status"),
        key_api_key=F(f"{call}api_key"),
    )
    return keyed


def _store(found: _Hour) -> bool:
    """Store a roll-up. Returns True even if another process was faster, because there may be more hours to roll up."""
    RollUpState.objects.bulk_create([RollUpState(id=STATE_ID)], ignore_conflicts=True)
    with transaction.atomic():
        same = RollUpState.objects.filter(id=STATE_ID, version=found.version)
        # This comes first: on PostgreSQL, another process then waits here, and finds out that it comes too late.
        if not same.update(version=found.version + 1, rolled_until=found.rolled_until):
            return True
        HourlyCalls.objects.filter(hour=found.hour).delete()
        HourlyAttempts.objects.filter(hour=found.hour).delete()
        HourlyCalls.objects.bulk_create(found.calls)
        HourlyAttempts.objects.bulk_create(found.attempts)
        LateHour.objects.filter(id__in=found.notes).delete()
    return True
