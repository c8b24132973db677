"""How deep JSON nests. What is deeper than any message needs would exhaust the stack of whoever walks through it."""

from __future__ import annotations

MAX_DEPTH = 100


def is_too_deep(value: object) -> bool:
    """Does a value nest more than `MAX_DEPTH` levels?"""
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [inner for outer in level if isinstance(outer, dict) for inner in outer.values()] + [
            inner for outer in level if isinstance(outer, list) for inner in outer
        ]
        if not level:
            return False
    return any(isinstance(inner, dict | list) for inner in level)
