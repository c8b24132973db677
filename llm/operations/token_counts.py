"""Reading the token counts that a provider reports with an answer."""

from __future__ import annotations

from llm.costs.usage import MAX_TOKENS, Usage


def read_usage(usage: object, *, prompt: str, completion: str) -> Usage | None:
    """The usage object of an answer; None if neither of its two main counts can be read.

    `prompt` and `completion` are the names that the API gives to these counts, like `prompt_tokens` or `input_tokens`.
    The parts of a count are in an object that is named after it, like `prompt_tokens_details`.
    """
    if not isinstance(usage, dict):
        return None
    prompt_tokens, completion_tokens = count_of(usage, prompt), count_of(usage, completion)
    if prompt_tokens is None and completion_tokens is None:
        return None
    return Usage(
        prompt_tokens=prompt_tokens or 0,
        completion_tokens=completion_tokens or 0,
        cached_tokens=count_of(usage.get(f"{prompt}_details"), "cached_tokens") or 0,
        reasoning_tokens=count_of(usage.get(f"{completion}_details"), "reasoning_tokens") or 0,
    )


def count_of(holder: object, *names: str) -> int | None:
    """The count under the first of `names` that can be read; None if there is none."""
    for name in names:
        value = holder.get(name) if isinstance(holder, dict) else None
        if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
            return min(value, MAX_TOKENS)
    return None
