"""Reading and writing JSON: how deep it may nest, and what becomes of numbers that JSON does not have."""

from __future__ import annotations

import json
import math
from typing import Any, TypeAlias

import orjson

# A JSON object. Bodies and answers are plain JSON, so that fields which nobody knows yet pass through.
Json: TypeAlias = dict[str, Any]

# How deep JSON may nest. Functions that read or write it, ours or a library's, would run out of stack far below.
MAX_DEPTH = 100
TOO_DEEP = f"nested more than {MAX_DEPTH} levels deep"


def is_too_deep(value: object) -> bool:
    """Whether a value nests more than `MAX_DEPTH` levels deep."""
    level = [value]
    for _ in range(MAX_DEPTH):
        level = _inside(level)
        if not level:
            return False
    return any(isinstance(inner, dict | list) for inner in level)


def read_json(content: bytes) -> Any:
    """Read JSON that an upstream wrote, sanitized. Raises ValueError or RecursionError if it can't be read."""
    try:
        value = orjson.loads(content)
    except orjson.JSONDecodeError:
        # Some servers write what orjson refuses: half a surrogate pair, NaN, or a number too large for a float.
        return sanitized(json.loads(content))
    # Counting brackets is much cheaper than walking through thousands of values.
    if content.count(b"[") + content.count(b"{") > MAX_DEPTH and is_too_deep(value):
        raise ValueError(TOO_DEEP)
    return value


def write_json(value: Any) -> bytes:
    """Write JSON. NaN becomes null. Raises ValueError, TypeError or RecursionError for what can't be JSON."""
    try:
        return orjson.dumps(value)
    except orjson.JSONEncodeError:  # half a surrogate pair, or a number of more than 64 bits
        return json.dumps(value).encode()


def sanitized(value: Any) -> Any:
    """The value, with null in place of numbers that JSON does not have: some servers send NaN or Infinity.

    Raises ValueError if it nests too deeply.
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
