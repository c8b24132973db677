"""JSON by orjson, and by the standard library where orjson refuses: half a surrogate pair, or a very large number."""

from __future__ import annotations

import json
from typing import Any

import orjson


def read_json(text: bytes) -> Any:
    """Raises ValueError or RecursionError on what is not JSON."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return json.loads(text)


def write_json(value: Any) -> bytes:
    """NaN becomes null, as JSON has no word for it. Raises ValueError, TypeError or RecursionError on other things."""
    try:
        return orjson.dumps(value)
    except orjson.JSONEncodeError:
        return json.dumps(value).encode()
