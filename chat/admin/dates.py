"""The years, months and days that have calls, as links above the list.

Each is found by a look into the index of created_at. Django's own date hierarchy truncates the date of every row, which
takes minutes with a million rows.
"""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from django.db.models import Exists, Max, Min
from django.utils import formats, timezone
from django.utils.text import capfirst

from chat.models import CallRecord

YEAR, MONTH, DAY = "created_at__year", "created_at__month", "created_at__day"
Link = Callable[[dict[str, object]], str]


@dataclass(frozen=True)
class Choice:
    title: str
    link: str = ""


@dataclass(frozen=True)
class Dates:
    back: Choice | None
    choices: list[Choice]


def read_dates(parameters: Mapping[str, str], link: Link) -> Dates:
    """The dates to offer, below the year, month or day that the parameters have chosen already."""
    year, month, day = (int(parameters.get(name) or 0) for name in (YEAR, MONTH, DAY))
    if year and month and day:
        chosen = date(year, month, day)
        back = Choice(formats.date_format(chosen, "YEAR_MONTH_FORMAT"), link({YEAR: year, MONTH: month}))
        return Dates(back, [Choice(formats.date_format(chosen, "MONTH_DAY_FORMAT"))])
    if not year:
        first, last = _ends()
        if first is None or last is None:
            return Dates(None, [])
        if first.year != last.year:
            years = _with_calls([(date(y, 1, 1), date(y + 1, 1, 1)) for y in range(first.year, last.year + 1)])
            return Dates(None, [Choice(str(start.year), link({YEAR: start.year})) for start in years])
        year = first.year
        month = first.month if first.month == last.month else 0
    if month:
        start = date(year, month, 1)
        periods = [
            (start + timedelta(days=n), start + timedelta(days=n + 1)) for n in range(monthrange(year, month)[1])
        ]
        days = [
            Choice(
                capfirst(formats.date_format(day, "MONTH_DAY_FORMAT")),
                link({YEAR: year, MONTH: month, DAY: day.day}),
            )
            for day in _with_calls(periods)
        ]
        return Dates(Choice(str(year), link({YEAR: year})), days)
    months = _with_calls(
        [(date(year, m, 1), date(year + 1, 1, 1) if m == 12 else date(year, m + 1, 1)) for m in range(1, 13)]
    )
    return Dates(
        Choice("All dates", link({})),
        [
            Choice(capfirst(formats.date_format(m, "YEAR_MONTH_FORMAT")), link({YEAR: year, MONTH: m.month}))
            for m in months
        ],
    )


def _ends() -> tuple[datetime | None, datetime | None]:
    """The moments of the first and the last call."""
    # Two queries, because SQLite uses the index for one MIN or MAX, but reads the whole table for both at once.
    first = CallRecord.objects.aggregate(at=Min("created_at"))["at"]
    last = CallRecord.objects.aggregate(at=Max("created_at"))["at"]
    return (timezone.localtime(first), timezone.localtime(last)) if first and last else (None, None)


def _with_calls(periods: list[tuple[date, date]]) -> list[date]:
    """The first days of those periods in which there is a call: one query, one look into the index for each period."""
    looks = {
        f"period_{number}": Exists(
            CallRecord.objects.filter(created_at__gte=_midnight(start), created_at__lt=_midnight(end))
        )
        for number, (start, end) in enumerate(periods)
    }
    row = CallRecord.objects.order_by("created_at").annotate(**looks).values(*looks).first() or {}
    return [start for number, (start, _) in enumerate(periods) if row.get(f"period_{number}")]


def _midnight(day: date) -> datetime:
    return timezone.make_aware(datetime.combine(day, time()))
