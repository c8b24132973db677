"""Reads booleans, numbers, durations and words out of texts. What is none of them raises ValueError, which says why."""

from __future__ import annotations

import re
from collections.abc import Collection

# The words for yes and no, in small letters. Capital letters may be used too.
TRUE_WORDS = ("true", "yes", "on", "1")
FALSE_WORDS = ("false", "no", "off", "0")

# The units of a duration, and their lengths in seconds.
UNIT_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3_600, "d": 86_400}

WHOLE_NUMBER = re.compile(r"[+-]?\d+(_\d+)*", re.ASCII)
NUMBER = re.compile(r"[+-]?(\d+(_\d+)*(\.\d*)?|\.\d+)(e[+-]?\d{1,3})?", re.ASCII | re.IGNORECASE)
DURATION = re.compile(rf"(?P<number>{NUMBER.pattern}) *(?P<unit>ms|s|m|h|d)?", re.ASCII | re.IGNORECASE)


def read_bool(written: str) -> bool:
    word = written.strip().lower()
    if word in TRUE_WORDS:
        return True
    if word in FALSE_WORDS:
        return False
    raise ValueError(f"one of {', '.join(TRUE_WORDS)} for yes, or {', '.join(FALSE_WORDS)} for no")


def read_int(written: str, *, at_least: int, at_most: int) -> int:
    text = written.strip()
    # Python refuses to read a number of thousands of digits.
    if WHOLE_NUMBER.fullmatch(text) and len(text) < 40 and at_least <= int(text) <= at_most:
        return int(text)
    raise ValueError(f"a whole number from {at_least} to {at_most}")


def read_float(written: str, *, at_least: float, at_most: float) -> float:
    text = written.strip()
    if NUMBER.fullmatch(text) and at_least <= float(text) <= at_most:
        return float(text)
    raise ValueError(f"a number from {at_least:g} to {at_most:g}")


def read_duration(written: str, *, at_least: float, at_most: float) -> float:
    """A duration in seconds. A number without a unit is one of seconds."""
    found = DURATION.fullmatch(written.strip())
    if found:
        seconds = round(float(found["number"]) * UNIT_SECONDS[(found["unit"] or "s").lower()], 6)
        if at_least <= seconds <= at_most:
            return seconds
    raise ValueError(
        f"a time from {show_duration(at_least)} to {show_duration(at_most)}: a number of seconds, or one with a unit "
        f"({', '.join(UNIT_SECONDS)}), like 30s"
    )


def read_days(written: str, *, at_most: int) -> int:
    text = written.strip().lower()
    try:
        return read_int(text.removesuffix("d").rstrip(), at_least=0, at_most=at_most)
    except ValueError:
        raise ValueError(f"a whole number of days from 0 to {at_most}, like 30 or 30d") from None


def read_choice(written: str, choices: Collection[str]) -> str:
    """The choice that is written, in the letters of `choices`. Capital and small letters make no difference."""
    for choice in choices:
        if choice.lower() == written.strip().lower():
            return choice
    raise ValueError(f"one of {', '.join(choices)}")


def show_duration(seconds: float) -> str:
    """A duration with the largest unit of which it is a whole number: 86,400 seconds are `1d`."""
    for unit in ("d", "h", "m", "s", "ms"):
        number = round(seconds / UNIT_SECONDS[unit], 6)
        if number >= 1 and number == int(number):
            return f"{int(number)}{unit}"
    return f"{seconds:g}s" if seconds else "0"
