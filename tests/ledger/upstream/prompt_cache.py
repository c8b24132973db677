"""The prompt cache. Source: developers.openai.com/api/docs/guides/prompt-caching.

Models before the GPT-5.6 family reuse the longest beginning that they have processed, from 1,024 tokens on in steps of
128, and write it for nothing. GPT-5.6 and later reuse what was written up to a breakpoint: one that the caller has set
in a part of a message, or the one at the end of the prompt, which is there by itself. They bill what they write.
"""

from __future__ import annotations

from collections.abc import Iterable
from random import Random

from tests.ledger.upstream.prices import BILLS_WRITES
from tests.ledger.upstream.prompts import Prompt

# Shorter prompts are not cached.
SHORTEST = 1024

# The steps of the older models.
STEP = 128

# The models that have a prompt cache at all: gpt-4o and newer.
WITHOUT_CACHE = ("gpt-3.5", "gpt-4-turbo", "text-embedding", "gpt-audio")

# How often a request goes to a machine that does not have the beginning it could reuse. OpenAI says that it happens
# ("requests may overflow to other machines"), and that it is rarer since GPT-5.6, but not how often.
MISSES = 0.1
MISSES_SINCE_56 = 0.02


class PromptCache:
    """What each model has processed. A beginning can be reused once the prompt that wrote it has been read."""

    def __init__(self) -> None:
        # By model and by the hash of a beginning: from when on it can be reused, in seconds of the caller's clock.
        self._known: dict[tuple[str, int], float] = {}

    def read(self, model: str, prompt: Prompt, *, now: float, ready: float, random: Random) -> tuple[int, int]:
        """How many tokens of this prompt come from the cache, and how many are written to it and billed."""
        length = len(prompt.tokens)
        if length < SHORTEST or model.startswith(WITHOUT_CACHE):
            return 0, 0
        bills_writes = model in BILLS_WRITES
        if bills_writes:
            written = {*prompt.breakpoints, *prompt.message_ends[-1:]}
            ends = sorted(end for end in {*written, *prompt.message_ends} if end >= SHORTEST)
        else:
            ends = list(range(SHORTEST, length + 1, STEP))
            written = set(ends)
        keys = {end: (model, key) for end, key in _hashes(prompt.tokens, ends)}
        missed = random.random() < (MISSES_SINCE_56 if bills_writes else MISSES)
        known = (end for end in reversed(ends) if self._known.get(keys[end], now + 1) <= now)
        cached = 0 if missed else next(known, 0)
        for end in written & keys.keys():
            self._known.setdefault(keys[end], ready)
        return cached, max(0, ends[-1] - cached) if bills_writes and ends else 0


def _hashes(tokens: list[int], ends: Iterable[int]) -> Iterable[tuple[int, int]]:
    """The hash of the beginning of each length in `ends`, which ascend."""
    value = start = 0
    for end in ends:
        value = hash((value, tuple(tokens[start:end])))
        start = end
        yield end, value
