"""The parts of a usage that have prices of their own, in the words of many vendors."""

from __future__ import annotations

from typing import Any

import pytest

from llm import Usage
from llm.operations.token_counts import StatedUsage, read_usage

FULL = {"prompt_tokens": 1_000, "completion_tokens": 100, "total_tokens": 1_100}


def stated(**parts: int) -> StatedUsage:
    return StatedUsage(1_000, 100, **parts)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        pytest.param(
            {"prompt_tokens_details": {"cache_write_tokens": 700}}, stated(cache_write_tokens=700), id="OpenAI"
        ),
        pytest.param(
            {"prompt_tokens_details": {"cached_tokens": 0, "cache_creation_tokens": 700}},
            stated(cache_write_tokens=700),
            id="LiteLLM",
        ),
        pytest.param({"input_token_details": {"cache_creation": 700}}, stated(cache_write_tokens=700), id="LangChain"),
        pytest.param(
            {"cache_creation": {"ephemeral_5m_input_tokens": 500, "ephemeral_1h_input_tokens": 200}},
            stated(cache_write_tokens=700, cache_write_1h_tokens=200),
            id="Anthropic, by how long they are kept",
        ),
        pytest.param(
            {
                "cache_creation_input_tokens": 700,
                "prompt_tokens_details": {"cache_creation_token_details": {"ephemeral_1h_input_tokens": 200}},
            },
            stated(cache_write_tokens=700, cache_write_1h_tokens=200),
            id="LiteLLM, by how long they are kept",
        ),
        pytest.param(
            {
                "prompt_tokens_details": {"audio_tokens": 300, "text_tokens": 600, "image_tokens": 100},
                "completion_tokens_details": {"audio_tokens": 80, "text_tokens": 20},
            },
            stated(audio_prompt_tokens=300, image_prompt_tokens=100, audio_completion_tokens=80),
            id="OpenAI and xAI: sound and images",
        ),
        pytest.param(
            {
                "input_token_details": {
                    "cached_tokens": 500,
                    "audio_tokens": 300,
                    "cached_tokens_details": {"text_tokens": 300, "audio_tokens": 200},
                }
            },
            stated(cached_tokens=500, audio_prompt_tokens=300, cached_audio_tokens=200),
            id="OpenAI: cached sound",
        ),
        pytest.param(
            {"completion_tokens_details": {"reasoning_tokens": 10, "image_tokens": 90}},
            stated(reasoning_tokens=10, image_completion_tokens=90),
            id="OpenRouter: images",
        ),
        pytest.param({"num_search_queries": 4, "citation_tokens": 9}, stated(web_searches=4), id="Perplexity"),
        pytest.param({"server_tool_use": {"web_search_requests": 2}}, stated(web_searches=2), id="Anthropic: searches"),
        pytest.param(
            {"server_side_tool_usage_details": {"web_search_calls": 3, "file_search_calls": 1, "x_search_calls": 0}},
            stated(web_searches=3, file_searches=1),
            id="xAI: searches",
        ),
        pytest.param(
            {"prompt_tokens_details": {"audio_tokens": "300", "image_tokens": 100.0}},
            stated(audio_prompt_tokens=300, image_prompt_tokens=100),
            id="texts and floats",
        ),
        pytest.param(
            {
                "prompt_tokens_details": {"audio_tokens": None, "image_tokens": -3, "cache_write_tokens": "many"},
                "completion_tokens_details": [],
                "server_tool_use": None,
                "cache_creation": "none",
            },
            stated(),
            id="what can't be a count",
        ),
    ],
)
def test_parts_are_read_in_the_words_of_many_vendors(said: dict[str, Any], expected: StatedUsage) -> None:
    assert read_usage({**FULL, **said}) == expected


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"prompt_tokens_details": {"audio_tokens": 5_000}}, stated(audio_prompt_tokens=1_000)),
        (
            {"prompt_tokens_details": {"cached_tokens": 900, "cache_write_tokens": 500}},
            stated(cached_tokens=900, cache_write_tokens=100),
        ),
        (
            {"completion_tokens_details": {"audio_tokens": 90, "reasoning_tokens": 50}},
            stated(audio_completion_tokens=90, reasoning_tokens=10),
        ),
    ],
)
def test_a_part_is_no_larger_than_what_the_other_parts_leave_of_the_whole(
    said: dict[str, Any], expected: StatedUsage
) -> None:
    assert read_usage({**FULL, **said}) == expected


def test_parts_of_a_whole_that_was_not_told_are_kept_for_our_own_count() -> None:
    usage = read_usage({"completion_tokens": 100, "prompt_tokens_details": {"audio_tokens": 600}})
    assert usage == StatedUsage(None, 100, audio_prompt_tokens=600)
    counted = usage.completed(prompt_tokens=lambda: 500, completion_tokens=lambda: 0)
    assert counted == Usage(500, 100, audio_prompt_tokens=500, estimated=True)
