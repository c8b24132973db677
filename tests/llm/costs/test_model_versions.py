"""Which names mean the same model."""

from __future__ import annotations

import pytest

from llm.costs.model_versions import base_of, is_same_model, without_version


@pytest.mark.parametrize(
    ("asked", "answered"),
    [
        ("gpt-4o", "gpt-4o-2024-08-06"),
        ("gpt-4o-2024-08-06", "gpt-4o"),
        ("GPT-4o", "gpt-4o"),
        ("gpt-4", "gpt-4-0613"),
        ("claude-3-5-sonnet-latest", "claude-3-5-sonnet-20241022"),
        ("claude-3-5-sonnet", "claude-3-5-sonnet@20240620"),
        ("mistral-large-latest", "mistral-large-2407"),
        ("gemini-2.0-flash", "gemini-2.0-flash-001"),
        ("openai/gpt-4o", "gpt-4o-2024-08-06"),
        ("gemini-2.5-pro", "models/gemini-2.5-pro"),
        ("ft:gpt-4o-mini-2024-07-18:org::id", "ft:gpt-4o-mini-2024-07-18:org::id"),
    ],
)
def test_a_version_of_a_model_is_the_same_model(asked: str, answered: str) -> None:
    assert is_same_model(asked, answered)


@pytest.mark.parametrize(
    ("asked", "answered"),
    [
        ("gpt-4o", "gpt-4o-mini"),
        ("gpt-4o-mini", "gpt-4o"),
        ("gpt-4o-2024-05-13", "gpt-4o-2024-08-06"),
        ("openrouter/auto", "anthropic/claude-sonnet-4"),
        ("vendor-a/llama", "vendor-b/llama"),
        ("my-deployment", "gpt-4o-2024-08-06"),
    ],
)
def test_another_model_is_another(asked: str, answered: str) -> None:
    assert not is_same_model(asked, answered)


def test_a_fine_tuned_model_names_what_it_was_made_from() -> None:
    assert base_of("ft:gpt-4.1-2025-04-14:org::id") == "gpt-4.1-2025-04-14"
    assert base_of("ft:") == base_of("gpt-4o") == ""
    assert without_version("gpt-4.1-2025-04-14") == "gpt-4.1"
