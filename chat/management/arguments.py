"""Types of command-line arguments. Each refuses a wrong value and says why."""

from __future__ import annotations

from argparse import ArgumentTypeError
from collections.abc import Callable


def whole_number(least: int, most: int) -> Callable[[str], int]:
    """The type of an argument that must be a whole number from `least` to `most`."""

    def read(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            number = least - 1
        if not least <= number <= most:
            raise ArgumentTypeError(f"'{text}' is no whole number from {least:,} to {most:,}.")
        return number

    return read
