"""What a caller is told of its limits: the 429 that says which one and until when, and the headers of every answer.

`RateLimit-*` as draft-ietf-httpapi-ratelimit-headers has them, `x-ratelimit-*` as OpenAI has them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import datetime

from rest_framework.exceptions import APIException

from access.limit_rules import Rate
from access.limits.meters import NANODOLLARS, Kind, Meter, Reading

BUSY_SECONDS = 1.0
"""When to try again where a call that is under way must end first: nobody knows, so soon."""


class RateLimited(APIException):
    """`limit` is the kind that refused; `wait` is in seconds, None where the call would never fit."""

    status_code = 429
    default_code = "rate_limited"

    def __init__(self, detail: str, *, limit: Kind, wait: float | None, headers: Mapping[str, str]) -> None:
        super().__init__(detail)
        self.limit = limit
        self.wait = wait
        self.headers = dict(headers)


def refusal(who: str, meters: Sequence[Meter], readings: Sequence[Reading], by: int, now: datetime) -> RateLimited:
    meter, reading = meters[by], readings[by]
    limit = _limit(meter)
    headers = headers_of(meters, readings, taken=False)
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


def headers_of(meters: Sequence[Meter], readings: Sequence[Reading], *, taken: bool) -> dict[str, str]:
    """`taken`: the amounts of this call are used now."""
    headers: dict[str, str] = {}
    for meter, reading in zip(meters, readings, strict=True):
        if meter.kind not in (Kind.REQUESTS, Kind.TOKENS):
            continue
        remaining = str(max(meter.limit - reading.used - (meter.amount if taken else 0), 0))
        reset = meter.hold_seconds if taken else reading.all_free
        headers[f"x-ratelimit-limit-{meter.kind}"] = str(meter.limit)
        headers[f"x-ratelimit-remaining-{meter.kind}"] = remaining
        headers[f"x-ratelimit-reset-{meter.kind}"] = f"{reset:.3f}".rstrip("0").rstrip(".") + "s"
        if meter.kind is Kind.REQUESTS:
            headers["RateLimit-Limit"] = str(meter.limit)
            headers["RateLimit-Remaining"] = remaining
            headers["RateLimit-Reset"] = str(math.ceil(reading.first_free or meter.hold_seconds))
    return headers


def _wait(meter: Meter, reading: Reading, now: datetime) -> float:
    if not meter.is_lease:
        return reading.wait
    if meter.ends_at is None or reading.used - reading.held + meter.amount <= meter.limit:
        return BUSY_SECONDS
    return (meter.ends_at - now).total_seconds()


def _limit(meter: Meter) -> str:
    match meter.kind:
        case Kind.REQUESTS:
            return f"{_count(meter.limit, 'request')} {Rate(1, meter.hold_seconds).per}"
        case Kind.TOKENS:
            return f"{_count(meter.limit, 'token')} a minute"
        case Kind.CONCURRENT:
            return f"{_count(meter.limit, 'call')} at a time"
        case _:
            return f"{_dollars(meter.limit)} a {meter.kind} of UTC, with what calls under way may cost"


def _asked(meter: Meter) -> str:
    if meter.kind is Kind.TOKENS:
        return f"This call may use {_count(meter.amount, 'token')}."
    return f"This call may cost {_dollars(meter.amount)}."


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _dollars(nanodollars: int) -> str:
    return f"${nanodollars / NANODOLLARS:.6f}".rstrip("0").rstrip(".")
