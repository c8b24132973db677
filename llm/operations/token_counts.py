"""Reading the token counts that a provider states. Every usage object is read here: of answers, chunks and attempts.

Vendors mean different things by the same words, so the counts are brought to OpenAI's meaning and checked for sense:
cached tokens are a part of the prompt, reasoning is a part of the completion, and both add up to the total.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from llm.costs.usage import COUNTS, MAX_TOKENS, Usage
from llm.operations.billing.counts import count_of
from llm.operations.billing.parts import cached_in, rare_parts, reasoning_in, written_in

# The names of the two main counts. Some servers use those of the Responses API for chat completions, or the reverse.
PROMPT: Final = ("prompt_tokens", "input_tokens")
COMPLETION: Final = ("completion_tokens", "output_tokens")
TOTAL: Final = "total_tokens"

# DeepSeek's name for the part of the prompt that no cache held.
NOT_CACHED: Final = "prompt_cache_miss_tokens"

# Anthropic's names. Its prompt is only what was neither read from a cache nor written to one.
BESIDE_PROMPT: Final = ("cache_read_input_tokens", "cache_creation_input_tokens")


@dataclass(frozen=True, slots=True)
class StatedUsage:
    """What a provider says that an answer took. None is a count that it does not say, or that can't be right."""

    prompt_tokens: int | None
    completion_tokens: int | None
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    cache_write_tokens: int = 0
    cache_write_1h_tokens: int = 0
    audio_prompt_tokens: int = 0
    audio_completion_tokens: int = 0
    cached_audio_tokens: int = 0
    image_prompt_tokens: int = 0
    image_completion_tokens: int = 0
    cached_image_tokens: int = 0
    web_searches: int = 0
    file_searches: int = 0

    def completed(self, *, prompt_tokens: Callable[[], int], completion_tokens: Callable[[], int]) -> Usage:
        """The usage with our own counts in the place of those that are missing. They are marked as an estimate.

        Zero tokens are no count where we count some: no answer comes from an empty prompt, and no text from nothing.
        """
        prompt = self.prompt_tokens or prompt_tokens()
        completion = self.completion_tokens or completion_tokens()
        is_ours = (prompt, completion) != (self.prompt_tokens, self.completion_tokens)
        return self._with(prompt, completion, estimated=is_ours)

    def consistent(self) -> StatedUsage:
        """The same, with no part larger than what it is a part of. A whole that is not known bounds nothing."""
        whole = (MAX_TOKENS if count is None else count for count in (self.prompt_tokens, self.completion_tokens))
        usage = self._with(*whole)
        return replace(self, **{name: getattr(usage, name) for name in PARTS})

    def _with(self, prompt_tokens: int, completion_tokens: int, *, estimated: bool = False) -> Usage:
        parts = {name: getattr(self, name) for name in PARTS}
        return Usage(prompt_tokens, completion_tokens, **parts, estimated=estimated).consistent()


# All counts but the two main ones, and but the tools, which no usage object tells.
PARTS: Final = tuple(name for name in COUNTS if name not in ("prompt_tokens", "completion_tokens", "other_tools"))


# The counts that nearly every answer has, and nothing else: the main ones, and one part of each.
MAIN: Final = frozenset({"prompt_tokens", "completion_tokens", TOTAL})
PLAIN_PARTS: Final = {"prompt_tokens_details": "cached_tokens", "completion_tokens_details": "reasoning_tokens"}


def read_usage(usage: object) -> StatedUsage | None:
    """The counts of a usage object; None if neither of the main ones is above zero."""
    if not isinstance(usage, dict):
        return None
    if (plain := _read_plain(usage)) is not None:
        return plain
    total = count_of(usage, TOTAL)
    prompt, completion = _main_counts(usage, total)
    if not prompt and not completion:
        return None
    cached, reasoning = cached_in(usage), reasoning_in(usage)
    if prompt is not None and completion is not None:
        beside = _Beside(
            cached + written_in(usage),
            reasoning,
            anthropic=any(count_of(usage, name) for name in BESIDE_PROMPT),
            anthropic_prompt="prompt_tokens" not in usage,
        )
        prompt, completion = beside.added(prompt, completion, total)
    return StatedUsage(
        prompt_tokens=_bounded(prompt, MAX_TOKENS),
        completion_tokens=_bounded(completion, MAX_TOKENS),
        cached_tokens=cached,
        reasoning_tokens=reasoning,
        **rare_parts(usage),
    ).consistent()


def _read_plain(usage: Mapping[str, Any]) -> StatedUsage | None:
    """The counts of a usage as OpenAI mostly writes it; None if it says anything else, or does not add up.

    This is read for every call, and looking for the words of all vendors takes ten times as long.
    """
    prompt, completion = usage.get("prompt_tokens"), usage.get("completion_tokens")
    if type(prompt) is not int or type(completion) is not int or not (0 < prompt < MAX_TOKENS > completion > 0):
        return None
    if usage.get(TOTAL) != prompt + completion:
        return None
    parts = dict.fromkeys(PLAIN_PARTS.values(), 0)
    for name, value in usage.items():
        if not value or name in MAIN:
            continue
        part = PLAIN_PARTS.get(name)
        if part is None or type(value) is not dict:
            return None
        for inner, count in value.items():
            if not count:
                continue
            if inner != part or type(count) is not int:
                return None
            parts[part] = count
    cached, reasoning = parts.values()
    if not (0 <= cached <= prompt and 0 <= reasoning <= completion):
        return None
    return StatedUsage(prompt, completion, cached, reasoning)


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


def _bounded(count: int | None, most: int) -> int | None:
    return None if count is None else min(count, most)
