"""Reads the statistics that /stats answers. The database adds up the calls; no row of a call is loaded."""

from __future__ import annotations

from decimal import Decimal

from chat.models import LateHour
from chat.record.snapshot import read_snapshot
from stats.aggregate_reader import Aggregate, Aggregates, read_aggregates
from stats.aggregates import UNDECIDED_AGGREGATES, usd
from stats.latencies import average, percentiles
from stats.models import RollUpState
from stats.roll_ups.periods import Period, sources
from stats.statistics import Group, Statistics, StatsAnswer
from stats.stats_filter import GroupBy, StatsFilter

# How many groups are answered at most.
MAX_GROUPS = 1000

# What must be added to the name of an hour or a day to make it the time at which it begins.
FIRST_MOMENT = {"hour": ":00:00Z", "day": "T00:00:00Z"}


def read_statistics(filter_: StatsFilter) -> StatsAnswer:
    """The statistics of the calls that `filter_` selects, and of each group of them, from one state of the database.

    Whether an hour has been rolled up changes only how long this takes, and not the answer.
    """
    with read_snapshot():
        state = RollUpState.objects.first()
        late_hours = LateHour.objects.values_list("hour", flat=True).distinct()
        wanted = Period(filter_.since, filter_.until)
        aggregates = read_aggregates(filter_, sources(wanted, state.rolled_until if state else None, late_hours))
    total = Aggregate()
    for aggregate in aggregates.values():
        total.add(aggregate)
    if filter_.group_by is None:
        return StatsAnswer(_statistics(total))
    groups = _groups(aggregates, filter_.group_by)
    return StatsAnswer(_statistics(total), groups, truncated=len(aggregates) > MAX_GROUPS)


def _groups(aggregates: Aggregates, group_by: GroupBy) -> tuple[Group, ...]:
    """The latest hours or days in order, or else the groups with the most calls first."""
    if group_by in FIRST_MOMENT:
        keys = sorted(sorted(aggregates, reverse=True)[:MAX_GROUPS])
        return tuple(
            Group(key.replace(" ", "T") + FIRST_MOMENT[group_by], _statistics(aggregates[key])) for key in keys
        )
    keys = sorted(aggregates, key=lambda key: (-aggregates[key].calls["total"], key))[:MAX_GROUPS]
    return tuple(Group(key, _statistics(aggregates[key])) for key in keys)


def _statistics(aggregate: Aggregate) -> Statistics:
    calls = aggregate.calls
    latencies = aggregate.latencies.counted()
    decided = calls["total"] - sum(calls[name] for name in UNDECIDED_AGGREGATES)

    def attempts(name: str) -> int:
        return sum(of_model[name] for of_model in aggregate.attempts.values())

    return Statistics(
        total_requests=calls["total"],
        cancelled_requests=calls["cancelled"],
        in_progress_requests=calls["in_progress"],
        average_latency_ms=average(latencies),
        latency_ms=percentiles(latencies),
        time_to_first_token_ms=percentiles(aggregate.first_tokens.counted()),
        total_cost_usd=usd(calls["cost"]),
        error_rate=_share(calls["unanswered"], decided),
        attempt_error_rate=_share(attempts("failed"), attempts("sent")),
        fallback_rate=_share(calls["fallbacks"], calls["total"]),
        default_message_rate=_share(calls["defaults"], calls["total"]),
        race_win_rate={
            model: _share(of_model["wins"], of_model["races"])
            for model, of_model in sorted(aggregate.attempts.items())
            if of_model["races"]
        },
        race_cost_usd=usd(attempts("lost_cost")),
        estimated_cost_share=_share(usd(attempts("estimated")), usd(attempts("spent"))),
        prompt_tokens=calls["prompt"],
        completion_tokens=calls["completion"],
        cached_tokens=calls["cached"],
        reasoning_tokens=calls["reasoning"],
        cache_write_tokens=calls["cache_written"],
        audio_prompt_tokens=calls["audio_prompt"],
        audio_completion_tokens=calls["audio_completion"],
        web_searches=calls["web_searches"],
        file_searches=calls["file_searches"],
        cost_unknown_requests=calls["costs_unknown"],
        cost_incomplete_requests=calls["costs_incomplete"],
        cost_estimated_requests=calls["costs_estimated"],
    )


def _share(part: int | Decimal, whole: int | Decimal) -> float:
    return float(part / whole) if whole else 0.0
