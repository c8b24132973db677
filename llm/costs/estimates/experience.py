"""What the answers that told their usage have taught: how fast a model thinks, how long it speaks, what it caches.

It is kept in this process alone. A new process learns it again from its first answers.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import NamedTuple

from llm.costs.estimates.beginnings import Beginnings
from llm.costs.estimates.ratio import Ratio

# How many models are remembered. Only models that have answered are, because callers may name any model.
MAX_MODELS = 200

# The tiers that have a speed of their own. Others count as the usual one.
TIERS = frozenset({"flex", "priority"})

# What is guessed of a whole answer of a model that has not answered yet, if no other model has either.
USUAL_COMPLETION = 200.0

# For how many seconds after its last chunk a stream that was cut is taken to have gone on.
UNSEEN_SECONDS = 0.2

# How many tokens a second a model thinks that has not answered yet, if its name says that it thinks.
USUAL_SPEED = 50.0
THINKS = re.compile(r"(ft:)?(o\d|gpt-([5-9]|\d\d)(?!.*chat)|.*(reason|think|-r1\b|gpt-oss))")


class ModelKey(NamedTuple):
    """What is learned apart from all else: a model of a provider, at a tier."""

    provider: str
    model: str
    tier: str = ""

    @classmethod
    def of(cls, provider: str, model: str, asked_tier: object) -> ModelKey:
        return cls(provider, model, asked_tier if isinstance(asked_tier, str) and asked_tier in TIERS else "")


@dataclass(slots=True)
class _Learned:
    # Tokens of an answer.
    completion: Ratio = field(default_factory=Ratio)
    # Tokens that nobody saw, to the seconds before the first that was seen.
    hidden: Ratio = field(default_factory=Ratio)
    # All tokens, to the seconds of the whole attempt.
    speed: Ratio = field(default_factory=Ratio)
    # Cached tokens that were told, to those that could be expected from the prompts before.
    cached: Ratio = field(default_factory=Ratio)
    # Tokens that were written to the cache, to those of the prompts that no cache held.
    written: Ratio = field(default_factory=Ratio)
    thinks: bool = False


class Experience:
    """One for all calls of an engine. Its memory is bounded."""

    def __init__(self) -> None:
        self.beginnings = Beginnings()
        self._models: OrderedDict[ModelKey, _Learned] = OrderedDict()
        self._any_completion = Ratio()

    def __len__(self) -> int:
        return len(self._models)

    def saw_answer(self, key: ModelKey, *, tokens: int, answers: int, seconds: float) -> None:
        """A model has answered, and has told the `tokens` of `answers` answers together. It took `seconds`."""
        learned = self._learned(key)
        learned.completion.add(tokens, answers)
        learned.speed.add(tokens, seconds)
        self._any_completion.add(tokens, answers)

    def saw_thoughts(self, key: ModelKey, *, hidden: int, silent_seconds: float) -> None:
        """A stream has shown its first token after `silent_seconds`, and of its tokens nobody saw `hidden`."""
        learned = self._learned(key)
        learned.thinks = learned.thinks or hidden > 0
        if learned.thinks:
            learned.hidden.add(hidden, silent_seconds)

    def saw_cached(self, key: ModelKey, *, told: int, expected: int) -> None:
        """A model has told how many tokens of a prompt were cached, of which so many had been sent before."""
        if expected > 0:
            self._learned(key).cached.add(min(told, expected), expected)

    def saw_written(self, key: ModelKey, *, told: int, expected: int) -> None:
        """A model has told how many tokens were written to its cache, of a prompt with so many that were not cached."""
        if expected > 0:
            self._learned(key).written.add(min(told, expected), expected)

    def thinks(self, key: ModelKey) -> bool:
        """Whether a model thinks, as far as is known."""
        learned = self._models.get(key)
        return learned.thinks if learned else bool(THINKS.match(key.model.rpartition("/")[2]))

    def expected_completion(self, key: ModelKey) -> float:
        """How many tokens one answer of a model usually has."""
        learned = self._models.get(key)
        own = learned.completion.value if learned else None
        return next((mean for mean in (own, self._any_completion.value) if mean is not None), USUAL_COMPLETION)

    def hidden_tokens(self, key: ModelKey, silent_seconds: float) -> float:
        """How many tokens a model has thought in so many seconds before it showed any; 0 for one that does not think.

        What is known of the model's thoughts decides, else its speed, else the usual speed.
        """
        if not self.thinks(key):
            return 0.0
        learned = self._models.get(key)
        known = (learned.hidden.value, learned.speed.value) if learned else ()
        return silent_seconds * next((speed for speed in known if speed is not None), USUAL_SPEED)

    def unseen_tokens(self, key: ModelKey, seconds: float) -> float:
        """How many tokens a model has made since the last chunk of a stream that was cut; 0 if nothing is known of it.

        A model goes on until its provider notices the cut. A stream that has stalled makes nothing, so the time counts
        for a moment only.
        """
        learned = self._models.get(key)
        speed = learned.speed.value if learned else None
        return 0.0 if speed is None else speed * min(seconds, UNSEEN_SECONDS)

    def cached_share(self, key: ModelKey) -> float:
        """Which share of the tokens that could be cached really was; 0 if nothing is known."""
        learned = self._models.get(key)
        return (learned.cached.value or 0.0) if learned else 0.0

    def written_share(self, key: ModelKey) -> float:
        """Which share of the tokens that could be written to the cache really was; 0 if nothing is known."""
        learned = self._models.get(key)
        return (learned.written.value or 0.0) if learned else 0.0

    def _learned(self, key: ModelKey) -> _Learned:
        learned = self._models.get(key)
        if learned is None:
            learned = self._models[key] = _Learned()
            if len(self._models) > MAX_MODELS:
                self._models.popitem(last=False)
        self._models.move_to_end(key)
        return learned
