"""Token counts by the names that they have in columns, in answers and in logs."""

from __future__ import annotations

from collections.abc import Iterable

from llm import COUNTS, Usage

# The counts that a call and an attempt have as columns.
TOKEN_COLUMNS = (
    "prompt_tokens",
    "completion_tokens",
    "cached_tokens",
    "reasoning_tokens",
    "cache_write_tokens",
    "audio_prompt_tokens",
    "audio_completion_tokens",
    "web_searches",
    "file_searches",
)

# The counts that are rare and have no column. They are kept together in the column `other_usage` of an attempt, where
# they are above zero, because the price of an attempt depends on them.
OTHER_COUNTS = tuple(name for name in COUNTS if name not in TOKEN_COLUMNS)


def token_counts(usage: Usage | None, names: Iterable[str] = TOKEN_COLUMNS) -> dict[str, int | None]:
    """The counts by name. All are None where nothing is known of the tokens, which is not the same as 0."""
    return {name: None if usage is None else getattr(usage, name) for name in names}


def other_counts(usage: Usage | None) -> dict[str, int] | None:
    """The counts above zero that have no column; None if there are none."""
    if usage is None:
        return None
    return {name: count for name in OTHER_COUNTS if (count := getattr(usage, name))} or None
