"""Which beginnings of prompts were sent to a model a short while ago, because providers bill less for those.

OpenAI caches the beginning of a prompt of 1,024 tokens or more, in steps of 128 tokens, for 5 to 10 minutes after it
was used last. Source: OpenAI's guide "Prompt caching".
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from hashlib import blake2b

# The shortest beginning that is cached, and by how much a longer one is longer.
FIRST_TOKENS = 1_024
STEP_TOKENS = 128

# Bytes of a token, where beginnings are cut. The same beginning must end at the same byte in prompts of any length, so
# bytes and not tokens are the measure.
BYTES_PER_TOKEN = 4

# How long a beginning is cached after it was used.
CACHED_SECONDS = 600.0

# How many beginnings are remembered: about 2 MB. Long prompts of one caller may push out those of others, which makes
# the guesses about these somewhat too high.
MAX_BEGINNINGS = 20_000

# From here on a step is a part of the prompt so far, so that a prompt of any length has at most some 200 beginnings.
STEPS_PER_DOUBLING = 16


class Beginnings:
    """Remembers digests, and no texts."""

    def __init__(self) -> None:
        # When each was first there for others, and when it was used last.
        self._seen: OrderedDict[bytes, tuple[float, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._seen)

    def known_tokens(self, digests: Sequence[tuple[int, bytes]], at: float) -> int:
        """How many tokens of a prompt with these digests were cached at a time, if the provider caches at all."""
        for tokens, digest in reversed(digests):
            first, last = self._seen.get(digest, (at + 1, 0.0))
            if first <= at <= last + CACHED_SECONDS:
                return tokens
        return 0

    def note(self, digests: Iterable[tuple[int, bytes]], *, used: float, ready: float) -> None:
        """Note a prompt that was sent at the time `used`, and that the provider had read at the time `ready`."""
        for _, digest in digests:
            first, last = self._seen.get(digest, (ready, used))
            if used > last + CACHED_SECONDS:
                first = ready
            self._seen[digest] = (min(first, ready), max(last, used))
            self._seen.move_to_end(digest)
        while len(self._seen) > MAX_BEGINNINGS:
            self._seen.popitem(last=False)


def digests_of(texts: Iterable[str], tokens: int, whose: str) -> list[tuple[int, bytes]]:
    """The beginnings of a prompt, each with its length in tokens and its digest; none if the prompt is too short.

    `tokens` is the length of the whole prompt. A place in the text is taken for the same place in the tokens. `whose`
    keeps apart what has caches of its own: the provider, its key and the model.
    """
    if tokens < FIRST_TOKENS:
        return []
    data = "\x00".join(texts).encode("utf-8", "replace")
    found: list[tuple[int, bytes]] = []
    digest = blake2b(whose.encode(), digest_size=12)
    done, end = 0, FIRST_TOKENS * BYTES_PER_TOKEN
    while end <= len(data):
        digest.update(data[done:end])
        found.append((_whole_steps(end / len(data) * tokens), digest.copy().digest()))
        done, end = end, end + max(STEP_TOKENS * BYTES_PER_TOKEN, _step(end))
    return [(length, each) for length, each in found if length >= FIRST_TOKENS]


def _step(end: int) -> int:
    """A step that depends on the place alone, so that all prompts are cut at the same places."""
    return (1 << end.bit_length() - 1) // STEPS_PER_DOUBLING


def _whole_steps(tokens: float) -> int:
    return int(tokens) // STEP_TOKENS * STEP_TOKENS
