"""Token counts by the names that they have in columns, in answers and in logs."""

from __future__ import annotations

from collections.abc import Iterable

from llm import Usage

# The counts that a call and an attempt have as columns.
TOKEN_COLUMNS = ("prompt_tokens", "completion_tokens", "cached_tokens", "reasoning_tokens")


def token_counts(usage: Usage | None, names: Iterable[str] = TOKEN_COLUMNS) -> dict[str, int | None]:
    """The counts by name. All are None where nothing is known of the tokens, which is not the same as 0."""
    return {name: None if usage is None else getattr(usage, name) for name in names}
