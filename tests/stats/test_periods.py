"""How a period is divided between roll-ups and the calls themselves."""

from __future__ import annotations

import datetime as dt

import pytest

from chat.record.late_hours import hour_of
from stats.roll_ups import periods
from stats.roll_ups.periods import HOUR, Period, sources
from tests.support.history import START


def hours(*numbers: int) -> list[dt.datetime]:
    return [hour_of(START) + number * HOUR for number in numbers]


@pytest.mark.parametrize("most", [1, 2, 20])
@pytest.mark.parametrize("late", [(), (2,), (0, 1, 5), (3, 4, 9), (0, 3, 6, 9), (-5, 30)], ids=str)
@pytest.mark.parametrize("wanted", [(None, None), (0.5, None), (None, 7.25), (1, 8), (2.5, 2.75), (11, 12), (3.5, 4.5)])
def test_every_moment_is_in_exactly_one_source(
    monkeypatch: pytest.MonkeyPatch, late: tuple[int, ...], wanted: tuple[float | None, float | None], most: int
) -> None:
    monkeypatch.setattr(periods, "MAX_HOLES", most)
    first = hour_of(START)
    since, until = (None if hour is None else first + hour * HOUR for hour in wanted)
    found = sources(Period(since, until), first + 10 * HOUR, hours(*late))

    def holds(period: Period, moment: dt.datetime) -> bool:
        return (period.since is None or period.since <= moment) and (period.until is None or moment < period.until)

    for quarter in range(-40, 60):
        moment = first + quarter * HOUR / 4
        from_roll_ups = sum(holds(period, moment) for period in found.rolled_up)
        from_calls = sum(holds(period, moment) for period in found.calls)
        assert from_roll_ups + from_calls == holds(Period(since, until), moment), moment
        if from_roll_ups:
            assert hour_of(moment) not in hours(*late)
            assert moment < first + 10 * HOUR
    assert len(found.calls) <= most + 2
    for period in found.rolled_up:
        assert all(end is None or end == hour_of(end) for end in (period.since, period.until))
