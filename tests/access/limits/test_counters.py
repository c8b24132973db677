"""The counters of limits, which are first read from the history of calls."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from access.callers import Caller
from access.limits.limiter import Limiter
from access.limits.meters import Kind, Meter

TODAY = datetime(2028, 2, 29, tzinfo=UTC)
CALLER = Caller(name="app", address=None)


async def spent(name: str, since: datetime) -> Decimal | None:
    return Decimal("0.5")


async def test_money_is_never_counted_in_another_unit() -> None:
    with pytest.raises(NotImplementedError, match="A counter of tokens"):
        await Limiter(spent)._read_counter(CALLER, Meter(Kind.TOKENS, 10, 1, 60, since=TODAY))


async def test_a_budget_is_counted_in_nanodollars() -> None:
    budget = Meter(Kind.DAY, 10, 1, 60, since=TODAY)
    assert await Limiter(spent)._read_counter(CALLER, budget) == 500_000_000
