"""Raw steps of a script: bytes that are sent as they are, HTTP head included, and waits between them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

# `{"send": text}`, whose characters are bytes as in Latin-1, or `{"wait": seconds}`.
Step = Mapping[str, Any]

# A script is kept in memory for as long as the simulator runs, so it has bounds.
MAX_STEPS: Final = 1_000
MAX_SENT_BYTES: Final = 1024 * 1024
MAX_WAIT_S: Final = 600.0

EXPECTED: Final = (
    f'a list of 1 to {MAX_STEPS} steps, each {{"send": text in Latin-1}} or {{"wait": seconds up to {MAX_WAIT_S:g}}}, '
    f"with {MAX_SENT_BYTES} bytes at most"
)


def are_steps(value: object) -> bool:
    """Whether a value is a tuple of steps within the bounds."""
    if not isinstance(value, tuple) or not 1 <= len(value) <= MAX_STEPS or not all(map(_is_step, value)):
        return False
    return sum(len(step.get("send", "")) for step in value) <= MAX_SENT_BYTES


def look_like_steps(value: Sequence[object]) -> bool:
    """Whether a list is meant as steps, which may still be wrong, and not as behaviours."""
    return bool(value) and all(isinstance(each, Mapping) and ("send" in each or "wait" in each) for each in value)


def _is_step(step: object) -> bool:
    match step:
        case {"send": str(text), **rest} if not rest:
            return all(ord(character) < 256 for character in text)
        case {"wait": int() | float() as seconds, **rest} if not rest and not isinstance(seconds, bool):
            return math.isfinite(seconds) and 0 <= seconds <= MAX_WAIT_S
    return False
