"""Reading the token counts that a provider reports, in the words of chat completions."""

from __future__ import annotations

import pytest

from llm import CHAT_COMPLETIONS, Usage


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12}, Usage(5, 7)),
        ({"prompt_tokens": 5, "completion_tokens": 7, "prompt_tokens_details": {"cached_tokens": 3}}, Usage(5, 7, 3)),
        (
            {"prompt_tokens": 5, "completion_tokens": 7, "completion_tokens_details": {"reasoning_tokens": 6}},
            Usage(5, 7, 0, 6),
        ),
        ({"prompt_tokens": 5, "completion_tokens": 7, "prompt_tokens_details": None}, Usage(5, 7)),
        ({"prompt_tokens": 5}, Usage(5, 0)),
        ({"prompt_tokens": 10**30, "completion_tokens": 1}, Usage(2**31 - 1, 1)),
        ({"total_tokens": 12}, None),
        ({}, None),
        (None, None),
        ("many", None),
    ],
)
def test_usage_is_what_the_provider_counted(usage: object, expected: Usage | None) -> None:
    assert CHAT_COMPLETIONS.usage({"usage": usage}) == expected


@pytest.mark.parametrize("count", [None, "5", -5, 5.5, [], {}])
def test_usage_that_cannot_be_read_is_none(count: object) -> None:
    assert CHAT_COMPLETIONS.usage({"usage": {"prompt_tokens": count, "completion_tokens": count}}) is None
