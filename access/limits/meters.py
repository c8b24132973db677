"""What one call would take of each limit that applies to it.

A meter is a limit with *entries*: amounts that count for a while. A request and its tokens count for the length of the
window that begins when the call is admitted, so that there are never more than the limit in *any* such window. A place
among the calls at a time, and money that a call may cost, count while the call runs: their entries are leases, which
the process renews, and which end by themselves if it dies. Money that was spent is a *counter* of its day or month.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from access.limit_rules import Limits, Rate

NANODOLLARS = Decimal(10**9)
"""Money is counted in whole billionths of a dollar, which are exact in every store."""
LEASE_SECONDS = 60
MINUTE = 60


class Kind(StrEnum):
    REQUESTS = "requests"
    TOKENS = "tokens"
    CONCURRENT = "concurrent"
    DAY = "day"
    MONTH = "month"


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a call may use at most, as far as one can say before it."""

    tokens: int = 0
    cost_usd: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True)
class Meter:
    """`amount` of `limit` is asked for, and counts for `hold_seconds`. `since`: when the period of a counter began."""

    kind: Kind
    limit: int
    amount: int
    hold_seconds: int
    since: datetime | None = None

    @property
    def is_lease(self) -> bool:
        return self.kind not in (Kind.REQUESTS, Kind.TOKENS)

    @property
    def name(self) -> str:
        """Names the entries: another window has others."""
        return f"{self.kind}:{self.hold_seconds}"

    @property
    def counter(self) -> str:
        """Names what has been spent in this period; empty where nothing is."""
        return "" if self.since is None else f"{self.kind}:{self.since:%Y-%m-%d}"

    @property
    def ends_at(self) -> datetime | None:
        """When the period ends."""
        if self.since is None:
            return None
        if self.kind is Kind.DAY:
            return self.since + timedelta(days=1)
        return (self.since + timedelta(days=31)).replace(day=1)


@dataclass(frozen=True, slots=True)
class Reading:
    """A meter before the call: `used` in all, `held` of it by entries. Seconds until the first entry ends, until all
    have, and until so many have that the call fits."""

    used: int
    held: int
    first_free: float
    all_free: float
    wait: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """`refused_by` is the index of a meter, None if the call is admitted. `unread` is the index of a counter that must
    be read first; then nothing else is said."""

    readings: tuple[Reading, ...] = ()
    refused_by: int | None = None
    unread: int | None = None


def meters_of(limits: Limits, estimate: Estimate, now: datetime) -> tuple[Meter, ...]:
    """In the order in which a refusal is told: what can't pass soon comes last."""
    day = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    tokens = None if limits.tokens_per_minute is None else Rate(limits.tokens_per_minute, MINUTE)
    found = [
        _window(Kind.REQUESTS, limits.requests, 1),
        _window(Kind.TOKENS, tokens, estimate.tokens),
        None
        if limits.max_concurrent is None
        else Meter(Kind.CONCURRENT, limits.max_concurrent, amount=1, hold_seconds=LEASE_SECONDS),
        _budget(Kind.DAY, limits.usd_per_day, estimate.cost_usd, day),
        _budget(Kind.MONTH, limits.usd_per_month, estimate.cost_usd, day.replace(day=1)),
    ]
    return tuple(meter for meter in found if meter is not None)


def nanodollars(usd: Decimal) -> int:
    return int((usd * NANODOLLARS).to_integral_value())


def _window(kind: Kind, rate: Rate | None, amount: int) -> Meter | None:
    return None if rate is None else Meter(kind, rate.count, amount, rate.seconds)


def _budget(kind: Kind, usd: Decimal | None, cost_usd: Decimal, since: datetime) -> Meter | None:
    if usd is None:
        return None
    return Meter(kind, nanodollars(usd), nanodollars(cost_usd), LEASE_SECONDS, since)
