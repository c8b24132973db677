"""Durations as people write them: `30m`, `24h`, `90d`, `8w`."""

from __future__ import annotations

import re
from datetime import timedelta

UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def parse_duration(written: str) -> timedelta:
    """Raises ValueError that says how to write one."""
    match = re.fullmatch(r"(\d{1,5})([mhdw])", written)
    if match is None:
        raise ValueError(f"'{written}' is no duration. Write a whole number and m, h, d or w, like 24h or 90d.")
    return timedelta(**{UNITS[match[2]]: int(match[1])})
