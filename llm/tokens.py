"""Token estimates, for what a provider bills and never says: a cancelled racer, a stream that was cut."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache

from splintr import AnyTokenizer, Tokenizer

TOKENS_PER_MESSAGE = 3
TOKENS_PER_REPLY = 3
"""The frame around each message and before the answer. Source: OpenAI Cookbook, "How to count tokens with tiktoken"."""


@lru_cache(maxsize=1)
def _tokenizer() -> AnyTokenizer:
    return Tokenizer.from_pretrained("o200k_base")


def load_tokenizer() -> None:
    """Load the vocabulary now (some 100 ms and 50 MB), and not while calls wait."""
    count_tokens("ready")


def count_tokens(text: str) -> int:
    """Tokens of a text by o200k_base, the vocabulary of OpenAI's models since gpt-4o."""
    return len(_tokenizer().encode(text.encode("utf-8", "replace").decode())) if text else 0


def estimate_message_tokens(messages: Iterable[object]) -> int:
    """Tokens of chat messages as a prompt. Text is counted exactly; images, audio and tools are left out."""
    counts = [TOKENS_PER_MESSAGE + sum(map(count_tokens, _texts(message))) for message in messages]
    return sum(counts) + TOKENS_PER_REPLY


def count_input_tokens(value: object) -> int:
    """Tokens of an `input` or `prompt`: a text, tokens, messages, or a list of any of them."""
    if isinstance(value, str):
        return count_tokens(value)
    if isinstance(value, Mapping):
        return TOKENS_PER_MESSAGE + sum(map(count_tokens, _texts(value)))
    if isinstance(value, list):
        return sum(1 if isinstance(entry, int) else count_input_tokens(entry) for entry in value)
    return 0


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
