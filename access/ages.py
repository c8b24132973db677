"""Lengths of time as people write them on a command line: `30m`, `24h`, `90d`, `8w`. And moments, by age or by date."""

from __future__ import annotations

import re
from argparse import ArgumentTypeError
from datetime import UTC, datetime, timedelta

from django.utils import timezone

UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}

# About a hundred years. A longer one would lead to a date that Python cannot express.
LONGEST = timedelta(days=36_500)


def parse_age(written: str, *, units: str = "mhdw") -> timedelta:
    """A type for argparse. `units` are the letters that are accepted.

    Raises ArgumentTypeError, whose text says how to write an age.
    """
    match = re.fullmatch(rf"(\d{{1,6}})([{units}])", written)
    if match is None:
        accepted = f"{', '.join(units[:-1])} or {units[-1]}"
        raise ArgumentTypeError(f"'{written}' is no age. Write a whole number and {accepted}, like 36h or 90d.")
    age = timedelta(**{UNITS[match[2]]: int(match[1])})
    if age > LONGEST:
        raise ArgumentTypeError(f"'{written}' is too long. The longest age is {LONGEST.days}d.")
    return age


def parse_moment(written: str) -> datetime:
    """A type for argparse: the moment that was so long ago (`7d`), or a date or time as ISO 8601 writes it, in UTC.

    Raises ArgumentTypeError, whose text says how to write a moment.
    """
    if re.fullmatch(r"\d+[a-z]", written):
        return timezone.now() - parse_age(written)
    try:
        moment = datetime.fromisoformat(written)
        # The last instants that Python knows may have no place in UTC.
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise ArgumentTypeError(
            f"'{written}' is no moment. Write an age like 90d, or a date like 2026-11-01 or 2026-11-01T12:00 (UTC)."
        ) from error
