"""Token estimates, for what a provider bills and never says: a cancelled racer, a stream that was cut."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

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


def estimate_prompt_tokens(body: Mapping[str, Any]) -> int:
    """Prompt tokens of a chat-completions body. Text is counted exactly; images, audio and tools are left out."""
    messages = body.get("messages") or ()
    texts = (text for message in messages for text in _texts(message))
    return sum(map(count_tokens, texts)) + TOKENS_PER_MESSAGE * len(messages) + TOKENS_PER_REPLY


def _texts(message: object) -> Iterable[str]:
    if not isinstance(message, Mapping):
        return
    yield str(message.get("role", ""))
    content = message.get("content")
    if isinstance(content, str):
        yield content
    elif isinstance(content, list):
        for part in content:
            if isinstance(part, Mapping) and isinstance(part.get("text"), str):
                yield part["text"]
