"""Gives calls that are on record the costs that they have by other prices. What a cost was at first is kept.

Rows are read in batches, in the order of time, and each batch is written in a transaction of its own. So the service
can go on beside it, and whoever is interrupted begins again: rows that have their new cost already do not change.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Self

from django.db import connection, transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from chat.books.prices import PRICED_COLUMNS, RowPrices, has_usage
from chat.models import Attempt, CallRecord
from chat.record.late_hours import note_changes

# What is written of a call and of an attempt.
COSTS = ("cost_usd", "cost_incomplete", "original_cost_usd")

# A place in the history: the time of a call, and its id.
Place = tuple[datetime, int]


@dataclass(frozen=True, slots=True)
class Selection:
    """Which attempts are looked at: those of calls that began from `since` up to `until`, without `until` itself.

    None as a model or provider means any.
    """

    since: datetime
    until: datetime
    model: str | None = None
    provider: str | None = None

    def calls(self) -> QuerySet[CallRecord]:
        """The calls of this time. Those that are not done yet are left out: their rows will be written again."""
        open_ = Q(status=CallRecord.Status.IN_PROGRESS) | Q(lease_until__gt=timezone.now())
        return CallRecord.objects.exclude(open_).filter(created_at__gte=self.since, created_at__lt=self.until)

    def takes(self, attempt: Attempt) -> bool:
        """Whether this attempt may get a new cost. One whose provider stated the cost keeps it."""
        return (
            has_usage(attempt)
            and not attempt.cost_stated
            and self.model in (None, attempt.model)
            and self.provider in (None, attempt.provider)
        )


@dataclass(slots=True)
class ModelSums:
    """The attempts of one model of one provider. `unpriced` ones have no known price, and keep their cost."""

    attempts: int = 0
    changed: int = 0
    unpriced: int = 0
    old_usd: Decimal = Decimal(0)
    new_usd: Decimal = Decimal(0)

    def add(self, other: Self) -> None:
        self.attempts += other.attempts
        self.changed += other.changed
        self.unpriced += other.unpriced
        self.old_usd += other.old_usd
        self.new_usd += other.new_usd


# By provider and model.
Sums = defaultdict[tuple[str, str], ModelSums]


def _no_sums() -> Sums:
    return defaultdict(ModelSums)


def add_sums(sums: Sums, more: Sums) -> None:
    for key, model in more.items():
        sums[key].add(model)


@dataclass(frozen=True, slots=True)
class Batch:
    """What one batch comes to: how many calls were looked at, until which moment, and how many get a new cost."""

    calls: int
    reached: datetime
    changed_calls: int
    sums: Sums


@dataclass(slots=True)
class _Plan:
    """The calls and attempts that get a new cost, which they have already, but which is not saved.

    `changing` are the sums of these calls, and `staying` those of the calls that stay as they are.
    """

    calls: list[CallRecord] = field(default_factory=list)
    attempts: list[Attempt] = field(default_factory=list)
    changing: Sums = field(default_factory=_no_sums)
    staying: Sums = field(default_factory=_no_sums)


def reprice(selection: Selection, prices: RowPrices, *, batch_size: int, apply: bool) -> Iterator[Batch]:
    """Go over the selected calls, oldest first, and yield what each batch came to. Only with `apply` is it written."""
    after: Place | None = None
    while batch := _next_batch(selection, after, batch_size):
        after = batch[-1]
        plan = _plan(selection, prices, [id_ for _, id_ in batch])
        sums = plan.staying
        if apply and plan.calls:
            plan = _write(selection, prices, plan)
            add_sums(sums, plan.staying)
        add_sums(sums, plan.changing)
        yield Batch(calls=len(batch), reached=after[0], changed_calls=len(plan.calls), sums=sums)


def _next_batch(selection: Selection, after: Place | None, size: int) -> list[Place]:
    calls = selection.calls().order_by("created_at", "id")
    if after is not None:
        # The first condition is implied by the second. It lets the database start at this place of its index.
        created_at, id_ = after
        later = Q(created_at__gt=created_at) | Q(created_at=created_at, id__gt=id_)
        calls = calls.filter(later, created_at__gte=created_at)
    return list(calls.values_list("created_at", "id")[:size])


def _plan(selection: Selection, prices: RowPrices, ids: Iterable[int], *, locked: bool = False) -> _Plan:
    plan = _Plan()
    calls = selection.calls().filter(id__in=ids).only("created_at", *COSTS).order_by("id")
    # Whoever changes a call that has ended changes its row too, and so waits until this transaction is over.
    found = {call.pk: call for call in (calls.select_for_update() if locked else calls)}
    wanted = Attempt.objects.filter(call_id__in=found).only("call_id", "cost_stated", *PRICED_COLUMNS, *COSTS)
    attempts: dict[int, list[Attempt]] = defaultdict(list)
    for attempt in wanted.order_by("call_id", "ordinal"):
        attempts[attempt.call_id].append(attempt)
    for id_, own in attempts.items():
        call, sums = found[id_], _no_sums()
        changed = [attempt for attempt in own if _price(selection, prices, attempt, call.created_at, sums)]
        add_sums(plan.changing if changed else plan.staying, sums)
        if changed:
            plan.attempts += changed
            _set_cost(call, *_sum_of(own))
            plan.calls.append(call)
    return plan


def _price(selection: Selection, prices: RowPrices, attempt: Attempt, created_at: datetime, sums: Sums) -> bool:
    """Give an attempt its new cost, and count it. Returns whether that is another one than it has."""
    if not selection.takes(attempt):
        return False
    cost = prices.cost(attempt, created_at)
    model = sums[attempt.provider, attempt.model]
    model.attempts += 1
    model.old_usd += attempt.cost_usd or 0
    if cost.usd is None:
        # To know no price any more is no reason to forget what a row has cost.
        model.unpriced += 1
        model.new_usd += attempt.cost_usd or 0
        return False
    model.new_usd += cost.usd
    if (attempt.cost_usd, attempt.cost_incomplete) == (cost.usd, cost.incomplete):
        return False
    model.changed += 1
    _set_cost(attempt, cost.usd, cost.incomplete)
    return True


def _sum_of(attempts: Sequence[Attempt]) -> tuple[Decimal | None, bool]:
    """The cost of a call with these attempts, and whether it is only a part of the whole.

    It is worked out as `llm.calls.outcome` does it for a new call.
    """
    spent = [attempt for attempt in attempts if has_usage(attempt) or attempt.cost_usd is not None]
    known = [attempt.cost_usd for attempt in spent if attempt.cost_usd is not None]
    incomplete = any(attempt.cost_usd is None or attempt.cost_incomplete for attempt in spent)
    return (sum(known, Decimal(0)) if known or not spent else None), incomplete


def _set_cost(row: CallRecord | Attempt, cost_usd: Decimal | None, incomplete: bool) -> None:
    """Give a row a cost, and keep the one that it had at first. A cost that was not known at first is kept as 0."""
    if row.original_cost_usd is None and row.cost_usd != cost_usd:
        row.original_cost_usd = row.cost_usd or Decimal(0)
    row.cost_usd, row.cost_incomplete = cost_usd, incomplete


def _write(selection: Selection, prices: RowPrices, found: _Plan) -> _Plan:
    """Write the new costs of a batch. Returns what was written.

    The rows are read again, because they may have changed since they were read without a lock. Their prices are known
    by now, so that other writers wait only for the database.
    """
    with transaction.atomic():
        again = _plan(selection, prices, [call.pk for call in found.calls], locked=True)
        note_changes(call.created_at for call in again.calls)
        _save(again.attempts)
        _save(again.calls)
    return again


def _save(rows: Sequence[CallRecord | Attempt]) -> None:
    """Save the costs of rows of one model, each by its id.

    Django's `bulk_update` writes one long CASE expression, which each row is held against. With batches of 500 it took
    ten times as long, and other writers to SQLite wait for it.
    """
    if not rows:
        return
    options, quote = rows[0]._meta, connection.ops.quote_name
    fields = [field for field in options.concrete_fields if field.name in COSTS]
    assignments = ", ".join(f"{quote(str(field.column))} = %s" for field in fields)
    statement = f"UPDATE {quote(options.db_table)} SET {assignments} WHERE {quote('id')} = %s"  # noqa: S608 - no values
    with connection.cursor() as cursor:
        cursor.executemany(
            statement,
            [
                (*(field.get_db_prep_save(getattr(row, field.attname), connection) for field in fields), row.pk)
                for row in rows
            ],
        )
