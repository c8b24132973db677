"""What JSON may hold here: no deeper than its readers' stack, and no number that JSON does not have."""

from __future__ import annotations

import json
import math
from typing import Any, TypeAlias

import orjson

# A JSON object.
Json: TypeAlias = dict[str, Any]

MAX_DEPTH = 100
TOO_DEEP = f"nested more than {MAX_DEPTH} levels deep"


def is_too_deep(value: object) -> bool:
    """Does a value nest more than `MAX_DEPTH` levels?"""
    level = [value]
    for _ in range(MAX_DEPTH):
        level = _inside(level)
        if not level:
            return False
    return any(isinstance(inner, dict | list) for inner in level)


def read_json(content: bytes) -> Any:
    """JSON as an upstream wrote it, tamed. Raises ValueError or RecursionError on what is none."""
    try:
        value = orjson.loads(content)
    except orjson.JSONDecodeError:
        # Half a surrogate pair, NaN, a number beyond a float: what orjson refuses, and some servers write.
        return tamed(json.loads(content))
    # Looking at the bytes is much cheaper than walking through thousands of values.
    if content.count(b"[") + content.count(b"{") > MAX_DEPTH and is_too_deep(value):
        raise ValueError(TOO_DEEP)
    return value


def write_json(value: Any) -> bytes:
    """NaN becomes null. Raises ValueError, TypeError or RecursionError on what can't be JSON."""
    try:
        return orjson.dumps(value)
    except orjson.JSONEncodeError:  # half a surrogate pair, or a number of more than 64 bits
        return json.dumps(value).encode()


def tamed(value: Any) -> Any:
    """The value, with null for numbers that JSON has no words for, like the NaN and Infinity of some servers.

    Raises ValueError on one that nests too deeply.
    """
    level, is_odd = [value], False
    for _ in range(MAX_DEPTH + 1):
        is_odd = is_odd or any(isinstance(inner, float) and not math.isfinite(inner) for inner in level)
        level = _inside(level)
        if not level:
            return _without_odd_numbers(value) if is_odd else value
    raise ValueError(TOO_DEEP)


def _inside(level: list[Any]) -> list[Any]:
    found: list[Any] = []
    for outer in level:
        if isinstance(outer, dict):
            found.extend(outer.values())
        elif isinstance(outer, list):
            found.extend(outer)
    return found


def _without_odd_numbers(value: Any) -> Any:
    match value:
        case float():
            return value if math.isfinite(value) else None
        case dict():
            return {name: _without_odd_numbers(inner) for name, inner in value.items()}
        case list():
            return [_without_odd_numbers(inner) for inner in value]
    return value
