"""What users of other gateways were really billed, with the usage that they published beside it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from llm import PriceList, Provider
from llm.operations.token_counts import read_usage

WRITTEN = 159_217
# github.com/maximhq/bifrost/issues/3451: a stream of Claude Opus 4.7 that wrote nearly all of its prompt to the cache.
OPUS = ("anthropic", "claude-opus-4-7", Decimal("1.06376125"))
# github.com/Osmantic/ODS/pull/2519: a million tokens of gpt-4o, of which nine in ten came from the cache.
GPT_4O = ("openai", "gpt-4o", Decimal("1.375"))


@pytest.mark.parametrize(
    ("whose", "usage"),
    [
        pytest.param(
            OPUS, {"input_tokens": 6, "cache_creation_input_tokens": WRITTEN, "output_tokens": 2_745}, id="Anthropic's"
        ),
        pytest.param(
            OPUS,
            {
                "prompt_tokens": 6 + WRITTEN,
                "completion_tokens": 2_745,
                "total_tokens": 6 + WRITTEN + 2_745,
                "cache_creation_input_tokens": WRITTEN,
            },
            id="in OpenAI's shape, the cache in the prompt",
        ),
        pytest.param(
            OPUS,
            {
                "prompt_tokens": 6,
                "completion_tokens": 2_745,
                "total_tokens": 2_751,
                "cache_creation_input_tokens": WRITTEN,
            },
            id="in OpenAI's shape, the cache beside the prompt",
        ),
        pytest.param(
            GPT_4O,
            {
                "prompt_tokens": 1_000_000,
                "total_tokens": 1_000_000,
                "prompt_tokens_details": {"cached_tokens": 900_000},
            },
            id="OpenAI's",
        ),
    ],
)
def test_our_cost_is_what_was_billed(whose: tuple[str, str, Decimal], usage: dict[str, Any]) -> None:
    provider, model, billed = whose
    stated = read_usage(usage)
    assert stated is not None
    used = stated.completed(prompt_tokens=lambda: 0, completion_tokens=lambda: 0)
    cost = PriceList().cost(Provider(provider, ""), model, used)
    assert (cost.usd, cost.incomplete) == (billed, False)
