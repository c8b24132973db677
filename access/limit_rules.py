"""What a key or an address may use, and how a request rate is written: `60/min`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache

from django.core.exceptions import ValidationError

# The ways to write each unit of a rate, and its length.
UNIT_SECONDS = {
    "s": 1,
    "sec": 1,
    "second": 1,
    "m": 60,
    "min": 60,
    "minute": 60,
    "h": 3600,
    "hour": 3600,
    "d": 86400,
    "day": 86400,
}
# How the text of a refusal names each of these lengths.
UNIT_NAMES = {1: "a second", 60: "a minute", 3600: "an hour", 86400: "a day"}

# What is written in the place of a rate where there is no limit.
NO_LIMIT = "none"


@dataclass(frozen=True, slots=True)
class Rate:
    """At most `count` in any period of `seconds`."""

    count: int
    seconds: int

    @property
    def per(self) -> str:
        """The period in words, like "a minute"."""
        return UNIT_NAMES[self.seconds]


@dataclass(frozen=True, slots=True)
class Limits:
    """None means that there is no such limit. Days and months begin at midnight UTC."""

    requests: Rate | None = None
    tokens_per_minute: int | None = None
    max_concurrent: int | None = None
    usd_per_day: Decimal | None = None
    usd_per_month: Decimal | None = None

    @property
    def has_budget(self) -> bool:
        return self.usd_per_day is not None or self.usd_per_month is not None

    @property
    def need_estimate(self) -> bool:
        """True if a call can be admitted only after its tokens or its cost have been estimated."""
        return self.has_budget or self.tokens_per_minute is not None


@lru_cache(maxsize=1000)
def parse_rate(written: str) -> Rate | None:
    """Read `60/min`, or the same with another unit. An empty text or `none` means that there is no limit.

    Raises ValueError, whose text says how to write a rate.
    """
    if written in ("", NO_LIMIT):
        return None
    match = re.fullmatch(r"\s*(\d{1,9})\s*/\s*([a-z]+)\s*", written)
    if match is None or match[2] not in UNIT_SECONDS or int(match[1]) == 0:
        raise ValueError(f"'{written}' is no rate. Write a count and a unit, like 60/min; units are s, min, h and day.")
    return Rate(int(match[1]), UNIT_SECONDS[match[2]])


def validate_rate(written: str) -> None:
    """A validator for a field of a Django model. Raises Django's ValidationError."""
    try:
        parse_rate(written)
    except ValueError as error:
        raise ValidationError(str(error)) from error
