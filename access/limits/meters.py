"""What one call would take of each limit that applies to it.

A meter is a limit together with the amount that the call asks of it. The amount is stored as an *entry* of the limit,
and how long an entry counts depends on the kind of the limit (`Lifetime`). Money that was spent is different: it is
added to a *counter* of its day or month, which is first read from the history of calls.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import Enum, StrEnum
from typing import Self

from access.limit_rules import Limits, Rate

# Money is counted in whole billionths of a dollar, because every store adds up whole numbers exactly.
NANODOLLARS_PER_USD = Decimal(10**9)

# How long a lease counts if nobody renews it. A process that dies keeps its leases no longer than this.
LEASE_SECONDS = 60
MINUTE_SECONDS = 60


class Unit(Enum):
    """What the amounts of a limit are counted in."""

    REQUESTS = "requests"
    TOKENS = "tokens"
    CALLS = "calls"
    NANODOLLARS = "nanodollars"


class Lifetime(Enum):
    """How long an entry counts against its limit."""

    # As long as the limit's window, which begins when the call is admitted. So no period
    # of that length has more than the limit, wherever it begins.
    WINDOW = "window"
    # While the call runs. The process renews a lease, and it ends by itself if the process dies.
    LEASE = "lease"


class Kind(StrEnum):
    """Which limit it is. The value is part of names in Redis and of response headers, and labels a metric.

    Each kind must say its unit and its lifetime. One that does not is a TypeError when this module is imported.
    """

    unit: Unit
    lifetime: Lifetime

    def __new__(cls, value: str, unit: Unit, lifetime: Lifetime) -> Self:
        kind = str.__new__(cls, value)
        kind._value_ = value
        kind.unit = unit
        kind.lifetime = lifetime
        return kind

    REQUESTS = "requests", Unit.REQUESTS, Lifetime.WINDOW
    TOKENS = "tokens", Unit.TOKENS, Lifetime.WINDOW
    CONCURRENT = "concurrent", Unit.CALLS, Lifetime.LEASE
    DAY = "day", Unit.NANODOLLARS, Lifetime.LEASE
    MONTH = "month", Unit.NANODOLLARS, Lifetime.LEASE


@dataclass(frozen=True, slots=True)
class Estimate:
    """The most that a call may use, as far as this can be said before it starts."""

    tokens: int = 0
    cost_usd: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True)
class Meter:
    """The call asks for `amount` of `limit`. This amount counts for `hold_seconds`, and a lease is renewed before then.

    A budget also has a period, from `since` up to `until`. Other limits have none.
    """

    kind: Kind
    limit: int
    amount: int
    hold_seconds: int
    since: datetime | None = None
    until: datetime | None = None

    @property
    def is_lease(self) -> bool:
        return self.kind.lifetime is Lifetime.LEASE

    @property
    def name(self) -> str:
        """The name of the entries. It contains the window, so that a limit with another window starts from nothing."""
        return f"{self.kind}:{self.hold_seconds}"

    @property
    def counter(self) -> str:
        """The name of the counter of what has been spent in this period. Empty if this limit has no counter."""
        return "" if self.since is None else f"{self.kind}:{self.since:%Y-%m-%d}"


def meters_of(limits: Limits, estimate: Estimate, now: datetime) -> tuple[Meter, ...]:
    """The meters of all limits that are set. If several refuse a call, the caller is told about the first of them.

    Budgets come last: a budget that is used up may stay so for a month, so it is named only if no limit refuses that
    would soon have room again.
    """
    today = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    tomorrow = today + timedelta(days=1)
    this_month = today.replace(day=1)
    next_month = (this_month + timedelta(days=31)).replace(day=1)
    tokens = None if limits.tokens_per_minute is None else Rate(limits.tokens_per_minute, MINUTE_SECONDS)
    found = [
        _window(Kind.REQUESTS, limits.requests, 1),
        _window(Kind.TOKENS, tokens, estimate.tokens),
        _calls_at_a_time(limits.max_concurrent),
        _budget(Kind.DAY, limits.usd_per_day, estimate.cost_usd, today, tomorrow),
        _budget(Kind.MONTH, limits.usd_per_month, estimate.cost_usd, this_month, next_month),
    ]
    return tuple(meter for meter in found if meter is not None)


def nanodollars(usd: Decimal) -> int:
    return int((usd * NANODOLLARS_PER_USD).to_integral_value())


def _window(kind: Kind, rate: Rate | None, amount: int) -> Meter | None:
    return None if rate is None else Meter(kind, rate.count, amount, rate.seconds)


def _calls_at_a_time(limit: int | None) -> Meter | None:
    return None if limit is None else Meter(Kind.CONCURRENT, limit, amount=1, hold_seconds=LEASE_SECONDS)


def _budget(kind: Kind, usd: Decimal | None, cost_usd: Decimal, since: datetime, until: datetime) -> Meter | None:
    if usd is None:
        return None
    return Meter(kind, nanodollars(usd), nanodollars(cost_usd), LEASE_SECONDS, since, until)
