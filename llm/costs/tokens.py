"""Counting the tokens of a text as OpenAI's models do, without asking the provider."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Literal

from splintr import AnyTokenizer, Tokenizer

Vocabulary = Literal["o200k_base", "cl100k_base"]

# How many bytes of a text are counted. So much English keeps the event loop busy for 10 ms, so much Chinese for some
# 70 ms. Of a longer text, samples of this size altogether are counted.
COUNTED_BYTES = 300_000

# The same where a rough number will do: of a call that still runs.
ROUGHLY_COUNTED_BYTES = 30_000

# How many samples are taken of a longer text.
SAMPLES = 100

# How many texts are counted each by itself. More of them are put together first, because each count has a cost of its
# own: a prompt of a megabyte may consist of 35,000 messages.
COUNTED_TEXTS = 2_000

# The models before gpt-4o, by name. Source: the package tiktoken, `model.py`. All others, and names that nobody knows,
# have o200k_base.
CL100K = re.compile(r"(ft:)?(gpt-4(?![o.])|gpt-3\.5|gpt-35|text-embedding-(ada-002|3-)|(davinci|babbage)-002)")

# How many names of models are remembered with their vocabulary. Callers may name any model, so there must be a limit.
REMEMBERED_NAMES = 1_000


@lru_cache(maxsize=2)
def _tokenizer(vocabulary: Vocabulary) -> AnyTokenizer:
    return Tokenizer.from_pretrained(vocabulary)


@lru_cache(maxsize=REMEMBERED_NAMES)
def vocabulary_of(model: str) -> Vocabulary:
    """The vocabulary of a model. Other vendors' models have their own; o200k_base comes nearest to most of them."""
    return "cl100k_base" if CL100K.match(model.rpartition("/")[2]) else "o200k_base"


def load_tokenizer() -> None:
    """Load both vocabularies, which takes some 300 ms and 70 MB. Done at start, so that no call waits for it.

    The first long word, like a row of spaces or a key, takes splintr as long again, so one is counted here.
    """
    for model in ("gpt-4o", "gpt-4"):
        count_tokens("ready " + "a" * 1_000, model)


def count_tokens(text: str, model: str = "", *, counted_bytes: int = COUNTED_BYTES) -> int:
    """The number of tokens in a text by the vocabulary of the model.

    It is exact for a text of up to `counted_bytes`, and a few per cent off for a longer one.
    """
    data = text.encode("utf-8", "replace")
    if not data:
        return 0
    tokenizer = _tokenizer(vocabulary_of(model))
    if len(data) <= counted_bytes:
        return len(tokenizer.encode(data.decode()))
    step, length = len(data) // SAMPLES, counted_bytes // SAMPLES
    samples = [data[start : start + length].decode("utf-8", "ignore") for start in range(0, step * SAMPLES, step)]
    return round(sum(len(tokenizer.encode(sample)) for sample in samples) * len(data) / (length * SAMPLES))


def count_all(texts: Sequence[str], model: str = "", *, counted_bytes: int = COUNTED_BYTES) -> int:
    """The number of tokens in several texts. Each is counted by itself, unless they are too long or too many."""
    if len(texts) > COUNTED_TEXTS or sum(map(len, texts)) > counted_bytes:
        return count_tokens("\n".join(texts), model, counted_bytes=counted_bytes)
    return sum(count_tokens(text, model) for text in texts)
