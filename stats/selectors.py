"""The figures of `/stats`. Read only; no row of a call is ever loaded."""

from __future__ import annotations

from decimal import Decimal

from chat.models import LateHour
from stats.durations import average, percentiles
from stats.figures import Figures, Group, GroupBy, Stats, StatsFilter
from stats.models import RollUpState
from stats.periods import Period, sources
from stats.snapshot import read_snapshot
from stats.sums import usd
from stats.tallies import Tallies, Tally, read_tallies

MAX_GROUPS = 1000
FIRST_MOMENT = {"hour": ":00:00Z", "day": "T00:00:00Z"}
"""What makes the name of a period its first moment."""


def read_stats(filter_: StatsFilter) -> Stats:
    """Every figure of the calls that `filter_` picks, and of each group of them: all of one state of the database.

    Whether an hour was summed up already makes a difference to the time that it takes, and to nothing else.
    """
    with read_snapshot():
        state = RollUpState.objects.first()
        late_hours = LateHour.objects.values_list("hour", flat=True).distinct()
        wanted = Period(filter_.since, filter_.until)
        tallies = read_tallies(filter_, sources(wanted, state.rolled_until if state else None, late_hours))
    total = Tally()
    for tally in tallies.values():
        total.add(tally)
    if filter_.group_by is None:
        return Stats(_figures(total))
    return Stats(_figures(total), _groups(tallies, filter_.group_by), truncated=len(tallies) > MAX_GROUPS)


def _groups(tallies: Tallies, group_by: GroupBy) -> tuple[Group, ...]:
    """The latest hours or days, or else the largest groups."""
    if group_by in FIRST_MOMENT:
        keys = sorted(sorted(tallies, reverse=True)[:MAX_GROUPS])
        return tuple(Group(key.replace(" ", "T") + FIRST_MOMENT[group_by], _figures(tallies[key])) for key in keys)
    keys = sorted(tallies, key=lambda key: (-tallies[key].calls["total"], key))[:MAX_GROUPS]
    return tuple(Group(key, _figures(tallies[key])) for key in keys)


def _figures(tally: Tally) -> Figures:
    calls = tally.calls
    latencies = tally.latencies.counted()
    sums = tally.attempts.values()

    def count(name: str) -> int:
        return sum(model[name] for model in sums)

    return Figures(
        total_requests=calls["total"],
        cancelled_requests=calls["cancelled"],
        in_progress_requests=calls["in_progress"],
        average_latency_ms=average(latencies),
        latency_ms=percentiles(latencies),
        time_to_first_token_ms=percentiles(tally.first_tokens.counted()),
        total_cost_usd=usd(calls["cost"]),
        error_rate=_share(calls["unanswered"], calls["total"] - calls["cancelled"] - calls["in_progress"]),
        attempt_error_rate=_share(count("failed"), count("sent")),
        fallback_rate=_share(calls["fallbacks"], calls["total"]),
        default_message_rate=_share(calls["defaults"], calls["total"]),
        race_win_rate={
            model: _share(of_model["wins"], of_model["races"])
            for model, of_model in sorted(tally.attempts.items())
            if of_model["races"]
        },
        race_cost_usd=usd(count("lost_cost")),
        estimated_cost_share=_share(usd(count("estimated")), usd(count("spent"))),
        prompt_tokens=calls["prompt"],
        completion_tokens=calls["completion"],
        cost_unknown_requests=calls["costs_unknown"],
    )


def _share(part: int | Decimal, whole: int | Decimal) -> float:
    return float(part / whole) if whole else 0.0
