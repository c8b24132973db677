"""Decides which parts of a period are read from roll-ups, and which from the calls themselves."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

from chat.record.late_hours import hour_of

HOUR = dt.timedelta(hours=1)
# How many stretches between roll-ups are read from the calls at most. Each of them is a query more. If there would be
# more stretches, the shortest parts between them are read from the calls too, so that stretches grow together.
MAX_HOLES = 20


@dataclass(frozen=True, slots=True)
class Period:
    """The times from `since` up to `until`, without `until` itself. None means no bound. Both are aware."""

    since: dt.datetime | None = None
    until: dt.datetime | None = None


@dataclass(frozen=True, slots=True)
class Sources:
    """The parts of a period. Together they cover it, and no moment is in two of them."""

    rolled_up: tuple[Period, ...]
    calls: tuple[Period, ...]


def sources(wanted: Period, rolled_until: dt.datetime | None, late_hours: Iterable[dt.datetime]) -> Sources:
    """Divide the period `wanted`.

    Whole hours before `rolled_until` are read from roll-ups, except `late_hours`, whose calls have changed since. If
    the period begins or ends within an hour, that part is read from the calls.
    """
    if rolled_until is None:
        return Sources((), (wanted,))
    start = None if wanted.since is None else _hour_up(wanted.since)
    end = rolled_until if wanted.until is None else min(rolled_until, hour_of(wanted.until))
    if start is not None and start >= end:
        return Sources((), (wanted,))
    inside = {hour for hour in late_hours if hour < end and (start is None or hour >= start)}
    rolled: list[Period] = []
    calls = [] if start == wanted.since else [Period(wanted.since, start)]
    for hole in _holes(inside):
        if start != hole.since:
            rolled.append(Period(start, hole.since))
        calls.append(hole)
        start = hole.until
    if start != end:
        rolled.append(Period(start, end))
    if end != wanted.until:
        calls.append(Period(end, wanted.until))
    return Sources(tuple(rolled), tuple(calls))


def _hour_up(moment: dt.datetime) -> dt.datetime:
    """The beginning of the next hour, or `moment` itself if an hour begins there."""
    hour = hour_of(moment)
    return hour if hour == moment else hour + HOUR


def _holes(hours: Iterable[dt.datetime]) -> list[Period]:
    """The hours as periods, in order, and at most MAX_HOLES of them. The periods may contain other hours too."""
    ordered = sorted(hours)
    gaps = [(after - before, after) for before, after in pairwise(ordered) if after - before > HOUR]
    begins_anew = {after for _, after in sorted(gaps, reverse=True)[: MAX_HOLES - 1]}
    holes: list[list[dt.datetime]] = []
    for hour in ordered:
        if not holes or hour in begins_anew:
            holes.append([hour])
        else:
            holes[-1].append(hour)
    return [Period(hole[0], hole[-1] + HOUR) for hole in holes]
