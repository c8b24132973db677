"""How many tokens an answer took, as its provider counts them."""

from __future__ import annotations

from dataclasses import dataclass

# The largest number of tokens that is believed. No model takes so many, and the database's columns hold no more.
MAX_TOKENS = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Usage:
    """Token counts as OpenAI defines them.

    `cached_tokens` are a part of `prompt_tokens`, and `reasoning_tokens` are a part of `completion_tokens`. `estimated`
    means that the provider did not say, and that the numbers are ours.
    """

    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    estimated: bool = False

    @property
    def total_tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            prompt_tokens=self.prompt_tokens + other.prompt_tokens,
            completion_tokens=self.completion_tokens + other.completion_tokens,
            cached_tokens=self.cached_tokens + other.cached_tokens,
            reasoning_tokens=self.reasoning_tokens + other.reasoning_tokens,
            estimated=self.estimated or other.estimated,
        )
