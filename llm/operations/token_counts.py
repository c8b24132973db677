"""Reading the token counts that a provider states. Every usage object is read here: of answers, chunks and attempts.

Vendors mean different things by the same words, so the counts are brought to OpenAI's meaning and checked for sense:
cached tokens are a part of the prompt, reasoning is a part of the completion, and both add up to the total.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from llm.costs.usage import MAX_TOKENS, Usage

# The names of the two main counts. Some servers use those of the Responses API for chat completions, or the reverse.
PROMPT: Final = ("prompt_tokens", "input_tokens")
COMPLETION: Final = ("completion_tokens", "output_tokens")
TOTAL: Final = "total_tokens"

# Objects that hold the parts of a count.
PROMPT_DETAILS: Final = ("prompt_tokens_details", "input_tokens_details", "input_token_details")
COMPLETION_DETAILS: Final = ("completion_tokens_details", "output_tokens_details", "output_token_details")

# Names of the tokens that a cache held already, in the usage object or in its details. By vendor: OpenAI, Moonshot and
# Together; DeepSeek; Anthropic and its translators; xAI; OpenAI's Codex; LangChain; gateways.
CACHED: Final = (
    "cached_tokens",
    "prompt_cache_hit_tokens",
    "cache_read_input_tokens",
    "cached_prompt_text_tokens",
    "cached_input_tokens",
    "cache_read",
    "cache_read_tokens",
)

# DeepSeek's name for the other part of the prompt.
NOT_CACHED: Final = "prompt_cache_miss_tokens"

# Names of the tokens that were written to a cache.
WRITTEN: Final = ("cache_creation_input_tokens", "cache_write_tokens", "cache_write_input_tokens")

# Anthropic's names. Its prompt is only what was neither read from a cache nor written to one.
BESIDE_PROMPT: Final = ("cache_read_input_tokens", "cache_creation_input_tokens")

REASONING: Final = ("reasoning_tokens", "reasoning_output_tokens", "thinking_tokens")

# A count as a text, as some servers written in JavaScript send it.
NUMERIC_TEXT: Final = re.compile(r"[0-9]{1,10}(\.0+)?")


@dataclass(frozen=True, slots=True)
class StatedUsage:
    """What a provider says that an answer took. None is a count that it does not say, or that can't be right."""

    prompt_tokens: int | None
    completion_tokens: int | None
    cached_tokens: int = 0
    reasoning_tokens: int = 0

    def completed(self, *, prompt_tokens: Callable[[], int], completion_tokens: Callable[[], int]) -> Usage:
        """The usage with our own counts in the place of those that are missing. They are marked as an estimate.

        Zero tokens are no count where we count some: no answer comes from an empty prompt, and no text from nothing.
        """
        prompt = self.prompt_tokens or prompt_tokens()
        completion = self.completion_tokens or completion_tokens()
        return Usage(
            prompt_tokens=prompt,
            completion_tokens=completion,
            cached_tokens=min(self.cached_tokens, prompt),
            reasoning_tokens=min(self.reasoning_tokens, completion),
            estimated=(prompt, completion) != (self.prompt_tokens, self.completion_tokens),
        )


def read_usage(usage: object) -> StatedUsage | None:
    """The counts of a usage object; None if neither of the main ones is above zero."""
    if not isinstance(usage, dict):
        return None
    total = count_of(usage, TOTAL)
    prompt, completion = _main_counts(usage, total)
    if not prompt and not completion:
        return None
    cached, reasoning = _most(usage, PROMPT_DETAILS, CACHED), _most(usage, COMPLETION_DETAILS, REASONING)
    if prompt is not None and completion is not None:
        beside = _Beside(
            cached + _most(usage, PROMPT_DETAILS, WRITTEN),
            reasoning,
            anthropic=any(count_of(usage, name) for name in BESIDE_PROMPT),
            anthropic_prompt="prompt_tokens" not in usage,
        )
        prompt, completion = beside.added(prompt, completion, total)
    return StatedUsage(
        prompt_tokens=_bounded(prompt, MAX_TOKENS),
        completion_tokens=_bounded(completion, MAX_TOKENS),
        cached_tokens=cached if prompt is None else min(cached, prompt),
        reasoning_tokens=reasoning if completion is None else min(reasoning, completion),
    )


def count_of(holder: object, *names: str) -> int | None:
    """The count under the first of `names` that can be read; None if there is none."""
    if isinstance(holder, Mapping):
        for name in names:
            if (count := as_count(holder.get(name))) is not None:
                return count
    return None


def as_count(value: object) -> int | None:
    """A number of tokens, which may be written as 5, 5.0 or "5"; None if it can't be one."""
    if isinstance(value, str) and NUMERIC_TEXT.fullmatch(value):
        value = float(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_TOKENS:
        return value
    return None


def _main_counts(usage: Mapping[str, Any], total: int | None) -> tuple[int | None, int | None]:
    """The tokens of the prompt and of the completion. One that is missing is what the other leaves of the total."""
    prompt, completion = count_of(usage, *PROMPT), count_of(usage, *COMPLETION)
    if not prompt and (miss := count_of(usage, NOT_CACHED)) is not None:
        prompt = miss + (count_of(usage, "prompt_cache_hit_tokens") or 0)
    if total and completion and not prompt and total > completion:
        prompt = total - completion
    if total and prompt and completion is None and total >= prompt:
        completion = total - prompt
    return prompt, completion


@dataclass(frozen=True, slots=True)
class _Beside:
    """Tokens that may be counted beside the prompt and the completion, although OpenAI counts them as parts."""

    cache: int
    reasoning: int
    # Some count has a name that only Anthropic uses, and the prompt is not called as OpenAI calls it.
    anthropic: bool
    anthropic_prompt: bool

    def added(self, prompt: int, completion: int, total: int | None) -> tuple[int, int]:
        """The prompt and the completion with everything that is counted beside them."""
        if total is None or total < prompt + completion:  # a total that is less than its parts says nothing
            cache_is_beside = self.cache > prompt or (self.anthropic and self.anthropic_prompt)
            reasoning_is_beside = self.reasoning > completion
            return prompt + self.cache * cache_is_beside, completion + self.reasoning * reasoning_is_beside
        rest = total - prompt - completion
        if rest == 0:
            # Translators of Anthropic's usage add up a total that leaves the cache out.
            return prompt + self.cache * (self.anthropic and self.cache > prompt), completion
        if self.cache and rest != self.reasoning and rest in (self.cache, self.cache + self.reasoning):
            prompt, rest = prompt + self.cache, rest - self.cache
        # What else the total has was thought. xAI says so, and Gemini's OpenAI endpoint shows thoughts only here.
        return prompt, completion + rest


def _most(usage: Mapping[str, Any], details: Iterable[str], names: Iterable[str]) -> int:
    """The largest count under any of the names. A vendor that says it twice may leave a zero in the other place."""
    holders = (usage, *(usage.get(name) for name in details))
    return max(count_of(holder, name) or 0 for holder in holders for name in names)


def _bounded(count: int | None, most: int) -> int | None:
    return None if count is None else min(count, most)
