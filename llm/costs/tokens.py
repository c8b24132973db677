"""Token estimates, for what a provider bills and never says: a cancelled racer, a stream that was cut."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

from splintr import AnyTokenizer, Tokenizer

COUNTED_BYTES = 300_000
"""Counting takes the event loop 10 ms for so much English, some 70 ms for so much Chinese. Of a longer text, samples of
so many bytes altogether are counted."""
SAMPLES = 100

TOKENS_PER_MESSAGE = 3
TOKENS_PER_REPLY = 3
"""The frame around each message and before the answer. Source: OpenAI Cookbook, "How to count tokens with tiktoken"."""


@lru_cache(maxsize=1)
def _tokenizer() -> AnyTokenizer:
    return Tokenizer.from_pretrained("o200k_base")


def load_tokenizer() -> None:
    """Load the vocabulary now (some 100 ms and 50 MB), and not while calls wait.

    The first long word, like a row of spaces or a key, takes splintr as long again.
    """
    count_tokens("ready " + "a" * 1_000)


def count_tokens(text: str) -> int:
    """Tokens of a text by o200k_base, the vocabulary of OpenAI's models since gpt-4o.

    Exact for a text of up to COUNTED_BYTES, and within some per cent for a longer one.
    """
    data = text.encode("utf-8", "replace")
    if len(data) <= COUNTED_BYTES:
        return len(_tokenizer().encode(data.decode())) if data else 0
    step, length = len(data) // SAMPLES, COUNTED_BYTES // SAMPLES
    samples = [data[start : start + length].decode("utf-8", "ignore") for start in range(0, step * SAMPLES, step)]
    return round(sum(len(_tokenizer().encode(sample)) for sample in samples) * len(data) / (length * SAMPLES))


def estimate_message_tokens(messages: Iterable[object]) -> int:
    """Tokens of chat messages as a prompt. Text is counted; images, audio and tools are left out."""
    messages = list(messages)
    texts = [text for message in messages for text in _texts(message)]
    return _count_all(texts) + TOKENS_PER_MESSAGE * len(messages) + TOKENS_PER_REPLY


def count_input_tokens(value: object) -> int:
    """Tokens of an `input` or `prompt`: a text, tokens, messages, or a list of any of them."""
    texts: list[str] = []
    return _read_input(value, texts) + _count_all(texts)


def _read_input(value: object, texts: list[str]) -> int:
    """Add the texts of an input to `texts`. Returns the tokens that are in no text."""
    if isinstance(value, str):
        texts.append(value)
    elif isinstance(value, Mapping):
        texts.extend(_texts(value))
        return TOKENS_PER_MESSAGE
    elif isinstance(value, list):
        return sum(1 if isinstance(entry, int) else _read_input(entry, texts) for entry in value)
    return 0


def _count_all(texts: Sequence[str]) -> int:
    """Tokens of texts, each by itself unless they are too long altogether."""
    if sum(map(len, texts)) > COUNTED_BYTES:
        return count_tokens("\n".join(texts))
    return sum(map(count_tokens, texts))


def _texts(message: object) -> Iterable[str]:
    if not isinstance(message, Mapping):
        return
    yield str(message.get("role", ""))
    for field in ("content", "arguments", "output"):
        content = message.get(field)
        if isinstance(content, str):
            yield content
        elif isinstance(content, list):
            for part in content:
                if isinstance(part, Mapping) and isinstance(part.get("text"), str):
                    yield part["text"]
