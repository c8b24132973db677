"""The refusal of a call that does not fit into its caller's limits: 429, which limit it is, and when to try again."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import assert_never

from rest_framework.exceptions import APIException

from access.limit_rules import Rate
from access.limits.limit_store import Reading
from access.limits.meters import NANODOLLARS_PER_USD, Kind, Meter, Unit
from access.limits.rate_limit_headers import rate_limit_headers

# How long to wait if a running call must end first. Nobody knows how long that takes, so the time is short.
BUSY_SECONDS = 1.0


class RateLimited(APIException):
    """`limit` is the kind of limit that refused. `wait` is in seconds, or None if the call would never fit."""

    status_code = 429
    default_code = "rate_limited"

    def __init__(self, detail: str, *, limit: Kind, wait: float | None, headers: Mapping[str, str]) -> None:
        super().__init__(detail)
        self.limit = limit
        self.wait = wait
        self.headers = dict(headers)


def rate_limited(
    who: str, meters: Sequence[Meter], readings: Sequence[Reading], refused_by: int, now: datetime
) -> RateLimited:
    """The error for a caller that the text names as `who`. `refused_by` is the index of the meter that refused."""
    meter, reading = meters[refused_by], readings[refused_by]
    limit = _limit(meter)
    headers = rate_limit_headers(meters, readings, taken=False)
    if meter.amount > meter.limit:
        return RateLimited(
            f"{_asked(meter)} The limit of {who} is {limit}, so it never fits.",
            limit=meter.kind,
            wait=None,
            headers=headers,
        )
    wait = max(_wait(meter, reading, now), 0.001)
    detail = f"The limit of {who} is {limit}. Try again in {math.ceil(wait)} s."
    return RateLimited(detail, limit=meter.kind, wait=wait, headers=headers)


def _wait(meter: Meter, reading: Reading, now: datetime) -> float:
    """Seconds until another try may succeed."""
    if not meter.is_lease:
        return reading.wait
    spent = reading.used - reading.held
    if meter.until is None or spent + meter.amount <= meter.limit:
        return BUSY_SECONDS
    return (meter.until - now).total_seconds()


def _limit(meter: Meter) -> str:
    """The limit in words."""
    match meter.kind.unit:
        case Unit.REQUESTS:
            return f"{_count(meter.limit, 'request')} {Rate(1, meter.hold_seconds).per}"
        case Unit.TOKENS:
            return f"{_count(meter.limit, 'token')} a minute"
        case Unit.CALLS:
            return f"{_count(meter.limit, 'call')} at a time"
        case Unit.NANODOLLARS:
            return f"{_dollars(meter.limit)} a {meter.kind} of UTC, with what calls under way may cost"
        case other:
            assert_never(other)


def _asked(meter: Meter) -> str:
    """What the call asks for, as a sentence."""
    match meter.kind.unit:
        case Unit.REQUESTS | Unit.CALLS:
            return "This is one call."
        case Unit.TOKENS:
            return f"This call may use {_count(meter.amount, 'token')}."
        case Unit.NANODOLLARS:
            return f"This call may cost {_dollars(meter.amount)}."
        case other:
            assert_never(other)


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _dollars(nanodollars: int) -> str:
    return f"${nanodollars / NANODOLLARS_PER_USD:.6f}".rstrip("0").rstrip(".")
