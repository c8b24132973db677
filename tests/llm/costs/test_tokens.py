"""Token counts of texts and messages, without asking the provider."""

from __future__ import annotations

from typing import Any

import pytest

from llm.costs.tokens import TOKENS_PER_MESSAGE, TOKENS_PER_REPLY, count_tokens, estimate_message_tokens


@pytest.mark.parametrize("piece", ["All work and no play. ", "网关把请求交给最快的模型。", "def f(x): return x\n"])
def test_a_long_prompt_is_counted_by_samples_that_come_close(piece: str) -> None:
    text = piece * (2_000_000 // len(piece.encode()))
    exact = count_tokens(piece * 100) / 100 * len(text) / len(piece)
    assert count_tokens(text) == pytest.approx(exact, rel=0.02)
    messages = [{"role": "user", "content": text[start : start + 1_000]} for start in range(0, len(text), 1_000)]
    assert estimate_message_tokens(messages) == pytest.approx(exact + TOKENS_PER_MESSAGE * len(messages), rel=0.05)


@pytest.mark.parametrize(
    ("content", "tokens"),
    [
        ("", 0),
        ("Hello there", 2),
        (
            [{"type": "text", "text": "Hello there"}, {"type": "image_url", "image_url": {"url": "data:" + "A" * 999}}],
            2,
        ),
        (None, 0),
        (["odd", 1, None, {"text": 5}], 0),
    ],
)
def test_a_prompt_is_counted_by_its_text(content: Any, tokens: int) -> None:
    role = count_tokens("user")
    counted = estimate_message_tokens([{"role": "user", "content": content}])
    assert counted == tokens + role + TOKENS_PER_MESSAGE + TOKENS_PER_REPLY


@pytest.mark.parametrize("text", ["\ud800", "a\x00b", "🧑‍🚀" * 50, "<|endoftext|>", "é" * 1_000])
def test_any_text_can_be_counted(text: str) -> None:
    assert count_tokens(text) >= 1
