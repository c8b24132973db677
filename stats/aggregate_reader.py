"""Reads the aggregates of the calls that a filter selects: from the calls themselves, and from the roll-ups.

An attempt belongs to its call. A filter selects calls and a group contains calls, and the attempts of those calls are
counted with them, whichever model they were sent to.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import reduce
from operator import or_
from typing import Any

from django.db.models import BigIntegerField, Count, F, Q, Sum
from django.db.models.functions import Coalesce

from chat.models import Attempt, CallRecord
from stats.aggregates import ATTEMPT_AGGREGATES, CALL_AGGREGATES
from stats.group_keys import call_key, roll_up_key
from stats.latencies import Latencies
from stats.models import HourlyAttempts, HourlyCalls
from stats.roll_ups.periods import Period, Sources
from stats.stats_filter import StatsFilter


@dataclass(slots=True)
class Aggregate:
    """Some calls, added up. `attempts` are added up by the model that they were sent to."""

    calls: Counter[str] = field(default_factory=Counter)
    attempts: defaultdict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    latencies: Latencies = field(default_factory=Latencies)
    first_tokens: Latencies = field(default_factory=Latencies)

    def add(self, other: Aggregate) -> None:
        self.calls.update(other.calls)
        for model, counts in other.attempts.items():
            self.attempts[model].update(counts)
        self.latencies.add(other.latencies)
        self.first_tokens.add(other.first_tokens)


# By the key of the group. If nothing is grouped, all calls are in one group with an empty key.
Aggregates = defaultdict[str, Aggregate]


def read_aggregates(filter_: StatsFilter, sources: Sources) -> Aggregates:
    """The aggregates of the calls that `filter_` selects. `sources` says what is read from roll-ups."""
    aggregates: Aggregates = defaultdict(Aggregate)
    if sources.rolled_up:
        _add_roll_ups(aggregates, filter_, sources.rolled_up)
    for period in sources.calls:
        # One period at a time, because databases find it hard to use an index for several at once.
        _add_calls(aggregates, filter_, period)
    return aggregates


def _add_calls(aggregates: Aggregates, filter_: StatsFilter, period: Period) -> None:
    selected = CallRecord.objects.filter(_calls(filter_, period)).order_by()
    calls = selected.annotate(group_key=call_key(filter_.group_by))
    by_key = calls.values("group_key").annotate(**CALL_AGGREGATES)
    for key, *values in by_key.values_list("group_key", *CALL_AGGREGATES):
        aggregates[key].calls.update(dict(zip(CALL_AGGREGATES, values, strict=True)))
    attempts = Attempt.objects.filter(_calls(filter_, period, "call__")).order_by()
    keyed = attempts.annotate(group_key=call_key(filter_.group_by, "call__"), attempt_model=F("model"))
    by_model = keyed.values("group_key", "attempt_model").annotate(**ATTEMPT_AGGREGATES)
    for key, model, *values in by_model.values_list("group_key", "attempt_model", *ATTEMPT_AGGREGATES):
        aggregates[key].attempts[model].update(dict(zip(ATTEMPT_AGGREGATES, values, strict=True)))
    for column, name in (("latency_ms", "latencies"), ("time_to_first_token_ms", "first_tokens")):
        measured = calls.filter(**{f"{column}__isnull": False}).values_list("group_key", column)
        for key, value, times in measured.annotate(times=Count("*")).iterator():
            getattr(aggregates[key], name).counts[value] += times


def _add_roll_ups(aggregates: Aggregates, filter_: StatsFilter, periods: tuple[Period, ...]) -> None:
    selected = reduce(or_, (_within(period, "hour") for period in periods))
    for name in ("model", "door", "status", "api_key"):
        if (value := getattr(filter_, name)) is not None:
            selected &= Q(**{name: value})
    key = roll_up_key(filter_.group_by)
    calls = HourlyCalls.objects.filter(selected).annotate(group_key=key)
    by_key = calls.values_list("group_key").annotate(**_sums_of(CALL_AGGREGATES))
    for group_key, *values in by_key:
        aggregates[group_key].calls.update(_whole(CALL_AGGREGATES, values))
    attempts = HourlyAttempts.objects.filter(selected).annotate(group_key=key)
    by_model = attempts.values_list("group_key", "attempt_model").annotate(**_sums_of(ATTEMPT_AGGREGATES))
    for group_key, model, *values in by_model:
        aggregates[group_key].attempts[model].update(_whole(ATTEMPT_AGGREGATES, values))
    packs = calls.values_list("group_key", "latencies_ms", "first_tokens_ms")
    for group_key, latencies, first_tokens in packs.iterator():
        aggregate = aggregates[group_key]
        aggregate.latencies.packs.append(bytes(latencies))
        aggregate.first_tokens.packs.append(bytes(first_tokens))


def _sums_of(columns: Iterable[str]) -> dict[str, Coalesce]:
    """The sum of each column. It is 0 if there are no rows: if nothing is grouped, the database answers even then."""
    return {f"sum_{column}": Coalesce(Sum(column), 0, output_field=BigIntegerField()) for column in columns}


def _whole(columns: Iterable[str], values: Iterable[Any]) -> dict[str, int]:
    """Integers by column. PostgreSQL answers the sum of big integers as a decimal."""
    return {column: int(value) for column, value in zip(columns, values, strict=True)}


def _within(period: Period, field: str) -> Q:
    """The rows whose time `field` is in the period."""
    selected = Q()
    if period.since is not None:
        selected &= Q(**{f"{field}__gte": period.since})
    if period.until is not None:
        selected &= Q(**{f"{field}__lt": period.until})
    return selected


def _calls(filter_: StatsFilter, period: Period, call: str = "") -> Q:
    """The calls of a period that `filter_` selects. `call` is the path to the call, if the query is not about calls."""
    selected = _within(period, f"{call}created_at")
    if filter_.model is not None:
        unanswered = Q(**{f"{call}model_used": "", f"{call}model_requested": filter_.model})
        selected &= Q(**{f"{call}model_used": filter_.model}) | unanswered
    for name in ("door", "status", "api_key"):
        if (value := getattr(filter_, name)) is not None:
            selected &= Q(**{f"{call}{name}": value})
    return selected
