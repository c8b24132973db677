"""Token counts of texts, without asking the provider."""

from __future__ import annotations

import pytest

from llm.costs.tokens import COUNTED_TEXTS, count_all, count_tokens, vocabulary_of


@pytest.mark.parametrize("piece", ["All work and no play. ", "网关把请求交给最快的模型。", "def f(x): return x\n"])
@pytest.mark.parametrize("model", ["gpt-4o", "gpt-4"])
def test_a_long_text_is_counted_by_samples_that_come_close(piece: str, model: str) -> None:
    text = piece * (2_000_000 // len(piece.encode()))
    exact = count_tokens(piece * 100, model) / 100 * len(text) / len(piece)
    assert count_tokens(text, model) == pytest.approx(exact, rel=0.02)
    assert count_tokens(text, model, counted_bytes=30_000) == pytest.approx(exact, rel=0.08)


@pytest.mark.parametrize("text", ["\ud800", "a\x00b", "🧑‍🚀" * 50, "<|endoftext|>", "é" * 1_000])
@pytest.mark.parametrize("model", ["gpt-4o", "gpt-4"])
def test_any_text_can_be_counted(text: str, model: str) -> None:
    assert count_tokens(text, model) >= 1


@pytest.mark.parametrize(
    ("text", "tokens"),
    [("tiktoken is great!", 6), ("antidisestablishmentarianism", 6), ("2 + 2 = 4", 7), ("お誕生日おめでとう", 9)],
)
def test_older_models_have_the_vocabulary_that_openai_names(text: str, tokens: int) -> None:
    """The numbers are those of OpenAI's cookbook, "How to count tokens with tiktoken", for cl100k_base."""
    assert count_tokens(text, "gpt-4") == tokens


@pytest.mark.parametrize(
    "model",
    [
        "gpt-4",
        "gpt-4-turbo-2024-04-09",
        "gpt-4-0613",
        "gpt-3.5-turbo",
        "gpt-35-turbo",
        "ft:gpt-3.5-turbo:me::7",
        "text-embedding-3-small",
        "text-embedding-ada-002",
        "openai/gpt-4",
    ],
)
def test_a_model_before_gpt_4o_has_its_own_vocabulary(model: str) -> None:
    assert vocabulary_of(model) == "cl100k_base"


@pytest.mark.parametrize(
    "model", ["gpt-4o", "gpt-4.1-mini", "gpt-4.5-preview", "chatgpt-4o-latest", "gpt-5", "o3", "llama-3.3-70b", "", "x"]
)
def test_any_other_model_has_the_one_of_gpt_4o(model: str) -> None:
    assert vocabulary_of(model) == "o200k_base"


def test_many_small_texts_are_counted_together() -> None:
    texts = ["word"] * (COUNTED_TEXTS + 1)
    assert count_all(texts) == pytest.approx(len(texts) * 2, rel=0.01)  # each with the break between two texts
