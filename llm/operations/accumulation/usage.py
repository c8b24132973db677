"""The usage of an answer, which may be said in several chunks, and said badly in the last one."""

from __future__ import annotations

from typing import Any

from llm.operations.billing.counts import as_count

PARTS = (("prompt_tokens", "completion_tokens"), ("input_tokens", "output_tokens"))


class Usage:
    """Field by field, the last count above zero stands: zeros and nulls at the end erase nothing, and halves in two
    chunks (the prompt in one, the completion in the other) are put together."""

    def __init__(self) -> None:
        self._stated: dict[str, Any] = {}
        self._last: dict[str, Any] = {}

    def add(self, value: Any) -> None:
        if isinstance(value, dict) and value:
            self._last = value
            _merge(self._stated, value)

    def whole(self) -> Any:
        if not self._stated:
            return None
        usage = _copied(self._stated)
        if usage != self._last:
            _add_up(usage)
        return usage


def _merge(stated: dict[str, Any], more: dict[str, Any]) -> None:
    for name, value in more.items():
        before = stated.get(name)
        if isinstance(value, dict):
            stated[name] = before if isinstance(before, dict) else {}
            _merge(stated[name], value)
        elif before is None or not (isinstance(before, dict) or value is None or _erases_a_count(before, value)):
            stated[name] = value


def _erases_a_count(before: Any, value: Any) -> bool:
    """Would a number that counts something give way to one that counts nothing?"""
    return _number(before) > 0 and not _number(value) > 0


def _number(value: Any) -> float:
    """A number, which some servers write as a text; 0 for what is none."""
    return value if isinstance(value, int | float) else as_count(value) or 0


def _add_up(usage: dict[str, Any]) -> None:
    """A total that was said of one half is too small for both. A larger one is kept: xAI counts thoughts only there."""
    total = as_count(usage.get("total_tokens"))
    for names in PARTS:
        counts = [count for name in names if (count := as_count(usage.get(name))) is not None]
        if len(counts) == len(names) and total is not None and total < sum(counts):
            usage["total_tokens"] = sum(counts)


def _copied(usage: dict[str, Any]) -> dict[str, Any]:
    return {name: _copied(value) if isinstance(value, dict) else value for name, value in usage.items()}
