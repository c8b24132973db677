"""Summing up the history, an hour at a time. Why this is exact: docs/decisions/0008-roll-ups.md."""

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
from stats.durations import packed
from stats.models import HourlyAttempts, HourlyCalls, RollUpState
from stats.periods import HOUR
from stats.snapshot import read_snapshot
from stats.sums import ATTEMPT_SUMS, CALL_SUMS
from stats.tallies import model_key

STATE_ID = 1
SAME_KEY = ("key_model", "key_provider", "key_door", "key_status", "key_api_key")
FIELDS = ("model", "provider", "door", "status", "api_key")
Key = tuple[str, ...]


@dataclass(slots=True)
class _Hour:
    """What there is to store of one hour, and of which state that is."""

    version: int
    rolled_until: dt.datetime | None
    hour: dt.datetime
    notes: list[int] = field(default_factory=list)
    calls: list[HourlyCalls] = field(default_factory=list)
    attempts: list[HourlyAttempts] = field(default_factory=list)


def roll_up_hour() -> bool:
    """Sum up the next hour: one that has changed since it was, or else the oldest that was not. False: there is none.

    Several processes may do it at once. The write lock is held only to store what was read before, without it.
    """
    with read_snapshot():
        found = _next_hour()
    return found is not None and _store(found)


def hours_left() -> int:
    """About how many times `roll_up_hour` will find something to do; hours without a call count too."""
    state = RollUpState.objects.first()
    start = (state and state.rolled_until) or _first_hour(None)
    ahead = max(0, (_horizon() - start) // HOUR) if start is not None else 0
    return ahead + LateHour.objects.filter(hour__lt=start).values("hour").distinct().count() if start else ahead


def start_again() -> None:
    """Forget every sum: for a history that was changed by other means than the service's own."""
    with transaction.atomic():
        RollUpState.objects.update(rolled_until=None, version=F("version") + 1)
        HourlyCalls.objects.all().delete()
        HourlyAttempts.objects.all().delete()


def _horizon() -> dt.datetime:
    """Hours that end after this are left alone: changes of their calls are not noted, or not noted for long."""
    return hour_of(timezone.now() - 2 * LATE)


def _first_hour(since: dt.datetime | None) -> dt.datetime | None:
    calls = CallRecord.objects.order_by("created_at")
    if since is not None:
        calls = calls.filter(created_at__gte=since)
    first = calls.values_list("created_at", flat=True).first()
    return first and hour_of(first)


def _next_hour() -> _Hour | None:
    """Read the notes before the calls: then what is not in the sums has a note that is not in the list, and stays."""
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
    found.notes = list(LateHour.objects.filter(hour=found.hour).values_list("id", flat=True))
    within = {"created_at__gte": found.hour, "created_at__lt": found.hour + HOUR}
    calls = _keyed(CallRecord.objects.filter(**within).order_by())
    latencies: dict[Key, list[int]] = defaultdict(list)
    first_tokens: dict[Key, list[int]] = defaultdict(list)
    for *key, latency, first_token in calls.values_list(*SAME_KEY, "latency_ms", "time_to_first_token_ms").iterator():
        if latency is not None:
            latencies[tuple(key)].append(latency)
        if first_token is not None:
            first_tokens[tuple(key)].append(first_token)
    for row in calls.values(*SAME_KEY).annotate(**CALL_SUMS):
        key = tuple(row[name] for name in SAME_KEY)
        found.calls.append(
            HourlyCalls(
                hour=found.hour,
                **dict(zip(FIELDS, key, strict=True)),
                **{name: row[name] for name in CALL_SUMS},
                latencies_ms=packed(sorted(latencies[key])),
                first_tokens_ms=packed(sorted(first_tokens[key])),
            )
        )
    attempts = _keyed(Attempt.objects.filter(**{f"call__{name}": value for name, value in within.items()}), "call__")
    for row in (
        attempts.order_by()
        .annotate(attempt_model=F("model"))
        .values(*SAME_KEY, "attempt_model")
        .annotate(**ATTEMPT_SUMS)
    ):
        found.attempts.append(
            HourlyAttempts(
                hour=found.hour,
                **{name: row[key] for name, key in zip(FIELDS, SAME_KEY, strict=True)},
                attempt_model=row["attempt_model"],
                **{name: row[name] for name in ATTEMPT_SUMS},
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
    """Returns True even if another process was faster: then there may be more to do."""
    RollUpState.objects.bulk_create([RollUpState(id=STATE_ID)], ignore_conflicts=True)
    with transaction.atomic():
        same = RollUpState.objects.filter(id=STATE_ID, version=found.version)
        # First, because on PostgreSQL it makes another process wait here, and then find that it comes too late.
        if not same.update(version=found.version + 1, rolled_until=found.rolled_until):
            return True
        HourlyCalls.objects.filter(hour=found.hour).delete()
        HourlyAttempts.objects.filter(hour=found.hour).delete()
        HourlyCalls.objects.bulk_create(found.calls)
        HourlyAttempts.objects.bulk_create(found.attempts)
        LateHour.objects.filter(id__in=found.notes).delete()
    return True
