"""Token estimates for what a provider bills but does not report: a cancelled racer, or a stream that broke."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

from splintr import AnyTokenizer, Tokenizer

# How many bytes of a text are counted. So much English keeps the event loop busy for 10 ms, so much Chinese for some
# 70 ms. Of a longer text, samples of this size altogether are counted.
COUNTED_BYTES = 300_000

# How many samples are taken of a longer text.
SAMPLES = 100

# Tokens that frame each message, and tokens that begin the answer. Source: OpenAI Cookbook, "How to count tokens with
# tiktoken".
TOKENS_PER_MESSAGE = 3
TOKENS_PER_REPLY = 3


@lru_cache(maxsize=1)
def _tokenizer() -> AnyTokenizer:
    return Tokenizer.from_pretrained("o200k_base")


def load_tokenizer() -> None:
    """Load the vocabulary, which takes some 100 ms and 50 MB. Done at start, so that no call waits for it.

    The first long word, like a row of spaces or a key, takes splintr as long again, so one is counted here.
    """
    count_tokens("ready " + "a" * 1_000)


def count_tokens(text: str) -> int:
    """The number of tokens in a text by o200k_base, the vocabulary of OpenAI's models since gpt-4o.

    It is exact for a text of up to COUNTED_BYTES, and a few per cent off for a longer one.
    """
    data = text.encode("utf-8", "replace")
    if len(data) <= COUNTED_BYTES:
        return len(_tokenizer().encode(data.decode())) if data else 0
    step, length = len(data) // SAMPLES, COUNTED_BYTES // SAMPLES
    samples = [data[start : start + length].decode("utf-8", "ignore") for start in range(0, step * SAMPLES, step)]
    return round(sum(len(_tokenizer().encode(sample)) for sample in samples) * len(data) / (length * SAMPLES))


def estimate_message_tokens(messages: Iterable[object]) -> int:
    """The number of tokens in chat messages as a prompt. Text is counted; images, audio and tools are left out."""
    messages = list(messages)
    texts = [text for message in messages for text in _texts(message)]
    return _count_all(texts) + TOKENS_PER_MESSAGE * len(messages) + TOKENS_PER_REPLY


def count_input_tokens(value: object) -> int:
    """The number of tokens in an `input` or `prompt`: a text, tokens, messages, or a list of any of them."""
    texts: list[str] = []
    return _read_input(value, texts) + _count_all(texts)


def _read_input(value: object, texts: list[str]) -> int:
    """Add the texts of an input to `texts`. Returns the number of tokens that are in no text."""
    if isinstance(value, str):
        texts.append(value)
    elif isinstance(value, Mapping):
        texts.extend(_texts(value))
        return TOKENS_PER_MESSAGE
    elif isinstance(value, list):
        return sum(1 if isinstance(entry, int) else _read_input(entry, texts) for entry in value)
    return 0


def _count_all(texts: Sequence[str]) -> int:
    """The number of tokens in several texts. Each is counted by itself, unless they are too long altogether."""
    if sum(map(len, texts)) > COUNTED_BYTES:
        return count_tokens("\n".join(texts))
    return sum(map(count_tokens, texts))


def _texts(message: object) -> Iterable[str]:
    """The texts of a message, of a tool call or of a tool's result."""
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
