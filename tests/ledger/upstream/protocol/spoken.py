"""What a model says: pieces of text with the number of tokens in each."""

from __future__ import annotations

import codecs
import json
from dataclasses import dataclass
from functools import lru_cache
from random import Random

from tests.ledger.upstream.plans import CHUNK_SIZES, Plan
from tests.ledger.upstream.prompts import PER_TOOL_CALL, encode, tokenizer, vocabulary_of
from tests.ledger.upstream.texts import SENTENCES, random_text

# Audio tokens for each token of what is said aloud: a spoken word takes about 0.3 s, and a second is 20 tokens.
AUDIO_PER_TEXT = 5

# How many hidden tokens are made in one step.
REASONING_STEP = 8


@dataclass(frozen=True, slots=True)
class Spoken:
    pieces: tuple[tuple[str, int], ...]
    # The name of the function that is called with this text as its arguments, or nothing.
    function: str = ""
    aloud: bool = False

    @property
    def text(self) -> str:
        return "".join(text for text, _ in self.pieces)

    @property
    def frame(self) -> int:
        """Tokens that are made and are in no text."""
        return PER_TOOL_CALL if self.function else 0


def speak(model: str, plan: Plan, random: Random, *, functions: list[str], aloud: bool) -> Spoken:
    """The answer of this plan: a text, the same text read aloud, or a call of one of the functions."""
    tokens = random_tokens(model, plan, random)
    if plan.calls_function and functions:
        function = random.choice(functions)
        arguments = json.dumps({"text": tokenizer(vocabulary_of(model)).decode_lossy(tokens)}, ensure_ascii=False)
        pieces = pieces_of(model, encode(model, arguments), random)
        return Spoken((("", len(encode(model, function))), *pieces), function=function)
    return Spoken(pieces_of(model, tokens, random), aloud=aloud)


def random_tokens(model: str, plan: Plan, random: Random) -> list[int]:
    """As many tokens as the plan says, of real text."""
    sentences = 1 + plan.answer // _shortest(model, plan.language)
    return encode(model, random_text(random, plan.language, sentences))[: plan.answer]


@lru_cache
def _shortest(model: str, language: str) -> int:
    """The tokens of the shortest sentence, less one for a space that may be joined."""
    return min(len(encode(model, sentence)) for sentence in SENTENCES[language]) - 1


def pieces_of(model: str, tokens: list[int], random: Random) -> tuple[tuple[str, int], ...]:
    """The tokens as the pieces of a stream. A character whose bytes are in two pieces comes with the second."""
    vocabulary = tokenizer(vocabulary_of(model))
    decoder = codecs.getincrementaldecoder("utf-8")("ignore")
    pieces, start = [], 0
    while start < len(tokens):
        some = tokens[start : start + random.choice(CHUNK_SIZES)]
        pieces.append((decoder.decode(vocabulary.decode_bytes(some)), len(some)))
        start += len(some)
    return tuple(pieces)
