"""Lengths of time as people write them on a command line: `30m`, `24h`, `90d`, `8w`."""

from __future__ import annotations

import re
from argparse import ArgumentTypeError
from datetime import timedelta

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
