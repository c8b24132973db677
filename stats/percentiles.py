"""Exact percentiles, found by the database.

By nearest rank: the p-th percentile of n values is the one at ceil(p * n / 100) when they are sorted. Nothing is
interpolated, so every figure is one that a caller really waited for.
"""

from __future__ import annotations

from typing import Literal

from django.db import connections
from django.db.models import F, QuerySet, Window
from django.db.models.functions import CumeDist

from chat.models import CallRecord
from stats.figures import Percentiles

Duration = Literal["latency_ms", "time_to_first_token_ms"]
PERCENTS = (50, 95, 99)


def percentiles(calls: QuerySet[CallRecord], duration: Duration, known: int) -> Percentiles:
    """Of all `calls`, of which `known` have a `duration`: one ordered query for each.

    Each reads from the nearer end, so that the 99th sorts a hundredth of the rows, not all of them.
    """
    measured = calls.filter(**{f"{duration}__isnull": False}).values_list(duration, flat=True)

    def at(percent: int) -> int | None:
        rank = (percent * known + 99) // 100
        if rank * 2 > known:
            order, offset = f"-{duration}", known - rank
        else:
            order, offset = duration, rank - 1
        return next(iter(measured.order_by(order)[offset : offset + 1]), None)

    return Percentiles(*map(at, PERCENTS)) if known else Percentiles()


def percentiles_by_group(calls: QuerySet[CallRecord], duration: Duration) -> dict[str, Percentiles]:
    """By the text `group_key` that `calls` are annotated with, in one query.

    The cumulative distribution of a value is the share of values up to it: the nearest rank is the first value whose
    share reaches the percentile. The ORM cannot group by what a window function gives, so the outer query is SQL, the
    same for SQLite and PostgreSQL.
    """
    ranked = (
        calls.filter(**{f"{duration}__isnull": False})
        .annotate(reached=Window(CumeDist(), partition_by=F("group_key"), order_by=F(duration).asc()))
        .values("group_key", "reached", duration)
    )
    inner, parameters = ranked.query.get_compiler(using=ranked.db).as_sql()
    picked = ", ".join(f'MIN(CASE WHEN "reached" >= {percent / 100} THEN "{duration}" END)' for percent in PERCENTS)
    outer = f'SELECT "group_key", {picked} FROM ({inner}) "ranked" GROUP BY "group_key"'  # noqa: S608 (no input in it)
    with connections[ranked.db].cursor() as cursor:
        cursor.execute(outer, parameters)
        return {key: Percentiles(*values) for key, *values in cursor.fetchall()}
