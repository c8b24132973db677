"""What an attempt has cost whose provider did not say, as well as it can be guessed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llm.costs.estimates import Experience, ModelKey, Prompt, PromptTokens, answers_asked, completion_bound, counted_as
from llm.costs.estimates.beginnings import FIRST_TOKENS, digests_of
from llm.costs.pricing import PriceList
from llm.costs.tokens import ROUGHLY_COUNTED_BYTES
from llm.costs.usage import MAX_TOKENS, Usage
from llm.operations import Operation
from llm.upstream.attempt import Attempt


class Guesses:
    """One for each call. `body` is what its caller asked for, and `experience` belongs to the engine."""

    def __init__(
        self, operation: Operation, body: Mapping[str, Any], *, experience: Experience, prices: PriceList
    ) -> None:
        self._operation = operation
        self._body = body
        self._experience = experience
        self._prices = prices
        # By the way of counting, because models count the same prompt in different ways.
        self._prompts: dict[object, tuple[Prompt, PromptTokens]] = {}

    def prompt_tokens(self, model: str) -> PromptTokens:
        """The tokens of the prompt. They are counted once for all models that count in the same way."""
        return self._prompt(model)[1]

    def usage(self, attempt: Attempt) -> Usage:
        """What an attempt has probably used that told nothing. See docs/decisions/0007."""
        return self._usage(attempt, self.prompt_tokens(attempt.model.name))

    def rough_usage(self, attempt: Attempt) -> Usage:
        """The same for an attempt that still runs, in case its process dies. Less of a long prompt is counted."""
        model = attempt.model.name
        known = self._prompts.get(counted_as(model))
        prompt = known[1] if known else self._read(model).tokens(model, counted_bytes=ROUGHLY_COUNTED_BYTES)
        return self._usage(attempt, prompt)

    def _usage(self, attempt: Attempt, prompt: PromptTokens) -> Usage:
        seen, hidden = attempt.produced_tokens(), 0
        if self._operation.can_stream:
            seen, hidden = self._bounded(*self._completion(attempt, seen))
        prompt_tokens = min(prompt.total, MAX_TOKENS)
        cached = self._cached(attempt, prompt_tokens)
        return Usage(
            prompt_tokens=prompt_tokens,
            completion_tokens=seen + hidden,
            cached_tokens=cached,
            cache_write_tokens=self._written(attempt, prompt_tokens, cached),
            reasoning_tokens=hidden,
            audio_prompt_tokens=min(prompt.audio, MAX_TOKENS),
            estimated=True,
        )

    def learn(self, attempt: Attempt, usage: Usage) -> None:
        """Learn from the usage of an attempt that has ended, told or guessed. Each attempt teaches a thing once."""
        if not self._operation.can_stream:
            return
        key = self._key(attempt)
        is_told = not usage.estimated and not attempt.has_taught
        if usage.prompt_tokens >= FIRST_TOKENS:
            digests = self._digests(attempt, usage.prompt_tokens)
            beginnings = self._experience.beginnings
            if is_told:
                known = beginnings.known_tokens(digests, attempt.started)
                self._experience.saw_cached(key, told=usage.cached_tokens, expected=known)
                fresh = usage.prompt_tokens - usage.cached_tokens
                self._experience.saw_written(key, told=usage.cache_write_tokens, expected=fresh)
            beginnings.note(digests, used=attempt.started, ready=attempt.read_prompt_by)
        if not is_told or not attempt.has_whole_answer:
            return
        attempt.has_taught = True
        answers, tokens = answers_asked(self._body), usage.completion_tokens
        self._experience.saw_answer(key, tokens=tokens, answers=answers, seconds=attempt.seconds)
        if attempt.by_stream and (usage.reasoning_tokens or self._experience.thinks(key)):
            unseen = tokens - attempt.produced_tokens() if usage.reasoning_tokens else 0
            hidden = max(0, min(usage.reasoning_tokens, unseen))
            self._experience.saw_thoughts(key, hidden=hidden, silent_seconds=attempt.silent_seconds)

    def _completion(self, attempt: Attempt, seen: int) -> tuple[int, int]:
        """The tokens that the model said, and those that it thought and that nobody saw."""
        key = self._key(attempt)
        if attempt.by_stream:
            unseen = self._experience.unseen_tokens(key, attempt.unseen_seconds)
            return seen + round(unseen), round(self._experience.hidden_tokens(key, attempt.silent_seconds))
        if attempt.was_cut and self._prices.bills(attempt.provider, attempt.model.name):
            # The provider goes on to the end, and bills all of it.
            expected = round(self._experience.expected_completion(key) * answers_asked(self._body))
            return max(seen, expected), 0
        return seen, 0

    def _bounded(self, seen: int, hidden: int) -> tuple[int, int]:
        """No more than the caller has allowed; but what was seen is certain, whatever the caller has allowed."""
        bound = completion_bound(self._body)
        most = MAX_TOKENS if bound is None else min(MAX_TOKENS, bound * answers_asked(self._body))
        if not hidden:
            return min(seen, most), 0
        return min(seen, MAX_TOKENS), max(0, min(hidden, most - seen))

    def _cached(self, attempt: Attempt, prompt_tokens: int) -> int:
        """How much of the prompt was probably billed as cached."""
        share = self._experience.cached_share(self._key(attempt))
        if not share or prompt_tokens < FIRST_TOKENS:
            return 0
        digests = self._digests(attempt, prompt_tokens)
        return round(share * self._experience.beginnings.known_tokens(digests, attempt.started))

    def _written(self, attempt: Attempt, prompt_tokens: int, cached_tokens: int) -> int:
        """How much of the prompt was probably billed as written to the cache."""
        share = self._experience.written_share(self._key(attempt)) if prompt_tokens >= FIRST_TOKENS else 0.0
        return round(share * max(0, prompt_tokens - cached_tokens))

    def _digests(self, attempt: Attempt, prompt_tokens: int) -> list[tuple[int, bytes]]:
        whose = f"{attempt.provider.name}\n{attempt.key}\n{attempt.model.name}"
        return digests_of(self._read(attempt.model.name).beginnings, prompt_tokens, whose)

    def _key(self, attempt: Attempt) -> ModelKey:
        return ModelKey.of(attempt.provider.name, attempt.model.name, self._body.get("service_tier"))

    def _read(self, model: str) -> Prompt:
        known = self._prompts.get(counted_as(model))
        return known[0] if known else self._operation.prompt(self._body, model)

    def _prompt(self, model: str) -> tuple[Prompt, PromptTokens]:
        way = counted_as(model)
        if way not in self._prompts:
            prompt = self._operation.prompt(self._body, model)
            self._prompts[way] = prompt, prompt.tokens(model)
        return self._prompts[way]
