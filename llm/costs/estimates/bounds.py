"""How much a body asks for: the bound on the tokens of an answer, and the number of answers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from llm.costs.usage import MAX_TOKENS

# The fields with which a caller limits the tokens of an answer. If there are several, the largest counts, because
# nobody knows which of them the model obeys.
BOUNDS = ("max_completion_tokens", "max_tokens", "max_output_tokens")

# Limit on the number of answers. It is more than any upstream gives at once, and an upstream refuses a larger number
# itself.
MAX_ANSWERS = 1_000


def completion_bound(body: Mapping[str, Any]) -> int | None:
    """The most tokens that one answer may have; None if the body sets no bound."""
    bounds = [number for name in BOUNDS if (number := _number(body.get(name)))]
    return min(max(bounds), MAX_TOKENS) if bounds else None


def answers_asked(body: Mapping[str, Any]) -> int:
    """How many answers are made, be they for choosing the best of them, and of how many prompts."""
    choices = max(_number(body.get("n")) or 1, _number(body.get("best_of")) or 1)
    return min(choices * _prompts(body.get("prompt")), MAX_ANSWERS)


def _number(value: object) -> int | None:
    """A whole number above 0, which may be written as 5, 5.2, "5" or "5e0"; None if it is none."""
    if isinstance(value, str) and len(value) <= 40:
        try:
            value = float(value)
        except ValueError:
            return None
    if isinstance(value, float) and math.isfinite(value):
        value = math.ceil(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None


def _prompts(prompt: object) -> int:
    """How many prompts there are: several come as a list of texts, or as a list of lists of tokens."""
    several = isinstance(prompt, list) and bool(prompt) and not isinstance(prompt[0], int)
    return len(prompt) if several and isinstance(prompt, list) else 1
