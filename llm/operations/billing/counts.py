"""Reading a number that a provider states, whatever it is written as."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from llm.costs.usage import MAX_TOKENS

# A count as a text, as some servers written in JavaScript send it.
NUMERIC_TEXT: Final = re.compile(r"[0-9]{1,10}(\.0+)?")


def count_of(holder: object, *names: str) -> int | None:
    """The count under the first of `names` that can be read; None if there is none."""
    if isinstance(holder, Mapping):
        for name in names:
            if (count := as_count(holder.get(name))) is not None:
                return count
    return None


def as_count(value: object) -> int | None:
    """A number of tokens, which may be written as 5, 5.0 or "5"; None if it can't be one."""
    if isinstance(value, str) and NUMERIC_TEXT.fullmatch(value):
        value = float(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_TOKENS:
        return value
    return None
