"""What holds for every price and every usage: costs add up, are never negative, and are those of genai-prices."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from genai_prices import Usage as ListedUsage
from genai_prices import calc_price
from genai_prices.data_snapshot import get_snapshot
from genai_prices.types import ModelInfo, TieredPrices
from hypothesis import given
from hypothesis import strategies as st

from llm import COUNTS, PRICE_KINDS, Cost, ModelPrice, PriceList, Provider, Usage
from llm.costs.price_data import KINDS
from llm.costs.rate import Rate, count_kinds

OPENAI = Provider("openai", "https://api.openai.com/v1")
AT = datetime(2026, 11, 20, 12, tzinfo=UTC)

counts = st.integers(min_value=0, max_value=400_000)
# All counts that can have a price.
PRICED = [name for name in COUNTS if name != "other_tools"]
usages = st.builds(Usage, **dict.fromkeys(PRICED, counts)).map(lambda usage: usage.consistent())
prices = st.decimals(min_value=0, max_value=1_000, places=6)
model_prices = st.builds(ModelPrice, **dict.fromkeys(PRICE_KINDS, st.none() | prices))
whole_prices = st.builds(ModelPrice, **{kind: prices for kind in PRICE_KINDS if kind != "request"})


@given(usages)
def test_the_kinds_of_a_usage_share_no_token_and_leave_none_out(usage: Usage) -> None:
    kinds = count_kinds(usage)
    assert min(kinds.values()) >= 0
    searches = usage.web_searches + usage.file_searches
    assert sum(kinds.values()) == usage.total_tokens + searches
    assert usage.consistent() == usage


@given(whole_prices, usages)
def test_a_tool_whose_cost_nobody_tells_makes_the_cost_a_part_of_it(price: ModelPrice, usage: Usage) -> None:
    alone = Rate(price).cost(usage)
    assert Rate(price).cost(replace(usage, other_tools=1)) == replace(alone, incomplete=True)


@given(st.builds(Usage, **dict.fromkeys(COUNTS, counts)))
def test_a_usage_that_contradicts_itself_is_priced_as_what_it_can_be(usage: Usage) -> None:
    assert min(count_kinds(usage).values()) >= 0
    assert sum(count_kinds(usage).values()) == usage.total_tokens + usage.web_searches + usage.file_searches


@given(whole_prices, usages, usages)
def test_the_cost_of_two_usages_is_the_sum_of_their_costs(price: ModelPrice, one: Usage, other: Usage) -> None:
    rate = Rate(price)
    costs = [rate.cost(usage) for usage in (one, other, one + other)]
    assert not any(cost.incomplete for cost in costs)
    apart, together = sum((cost.usd or Decimal(0) for cost in costs[:2]), Decimal(0)), costs[2].usd
    assert together is not None
    assert abs(apart - together) <= Decimal("0.0000000002")


@given(model_prices, usages)
def test_a_cost_is_never_negative_and_no_kind_without_a_price_makes_it_larger(price: ModelPrice, usage: Usage) -> None:
    cost = Rate(price).cost(usage)
    known = cost.usd or Decimal(0)
    assert known >= 0
    assert cost.usd is not None or cost.incomplete
    gaps = {kind: Decimal(1_000) for kind in PRICE_KINDS if getattr(price, kind) is None and kind != "request"}
    if cost.incomplete:
        dearest = ModelPrice(**{kind: gaps.get(kind, getattr(price, kind)) for kind in PRICE_KINDS})
        filled = Rate(dearest).cost(usage)
        assert filled.usd is not None and filled.usd >= known
        assert not filled.incomplete


@given(st.sampled_from(["gpt-4o", "gpt-5", "nobody-knows"]), usages, st.sampled_from(["", "flex", "priority", "odd"]))
def test_a_cost_that_is_not_known_is_marked(model: str, usage: Usage, tier: str) -> None:
    cost = PRICES.cost(OPENAI, model, usage, tier=tier, at=AT)
    assert cost.incomplete or (cost.usd is not None and (cost.usd > 0 or usage == Usage(0, 0)))
    if cost.usd is None:
        assert cost == Cost(None, incomplete=True)


PRICES = PriceList()
VENDORS = ["openai", "anthropic", "google", "deepseek", "mistral", "groq", "x-ai", "perplexity", "openrouter"]
# The counts of genai-prices by our kinds. Its counts of a whole have their parts in them, as ours do.
LISTED = {
    "prompt": ("input_tokens", "prompt_tokens"),
    "completion": ("output_tokens", "completion_tokens"),
    "cached": ("cache_read_tokens", "cached_tokens"),
    "cache_write": ("cache_write_tokens", "cache_write_tokens"),
    "cache_write_1h": ("cache_write_1h_tokens", "cache_write_1h_tokens"),
    "audio_prompt": ("input_audio_tokens", "audio_prompt_tokens"),
    "audio_completion": ("output_audio_tokens", "audio_completion_tokens"),
    "cached_audio": ("cache_audio_read_tokens", "cached_audio_tokens"),
    "image_prompt": ("input_image_tokens", "image_prompt_tokens"),
    "image_completion": ("output_image_tokens", "image_completion_tokens"),
    "cached_image": ("cache_image_read_tokens", "cached_image_tokens"),
    "reasoning": ("output_reasoning_tokens", "reasoning_tokens"),
    "web_search": ("web_searches", "web_searches"),
    "file_search": ("storage_searches", "file_searches"),
}
# Sizes on both sides of every step.
SIZES = (50_000, 150_000, 230_000, 600_000)


def contexts_of(model: ModelInfo) -> list[tuple[str, dict[str, str]]]:
    """The standard tier, and each that the list has a price of, with what genai-prices is asked for."""
    found: list[tuple[str, dict[str, str]]] = [("", {})]
    for variant in model.price_variants or ():
        [(name, value)] = variant.when.items()
        if name in ("service_tier", "processing", "speed") and value != "default":
            found.append((value, {name: value}))
    return found


@pytest.mark.parametrize("vendor", VENDORS)
def test_a_cost_is_what_genai_prices_says_wherever_it_has_the_price_of_all_kinds(vendor: str) -> None:
    """For all models and tiers, with as many kinds as a model has prices of."""
    [listed] = [found for found in get_snapshot().providers if found.id == vendor]
    compared = 0
    for model in listed.models:
        if listed.find_model(model.id) is not model:
            continue
        for tier, context in contexts_of(model):
            known = vars(model.get_prices(AT, context))
            kinds = [kind for kind in LISTED if isinstance(known.get(KINDS[kind]), Decimal | TieredPrices)]
            if "prompt" not in kinds or "completion" not in kinds or _is_ours(vendor, model.id):
                continue
            for size in SIZES:
                usage = _usage(kinds, size)
                theirs: dict[str, Any] = {name: getattr(usage, ours) for name, ours in LISTED.values()}
                asked = calc_price(
                    ListedUsage(**theirs),
                    model.id,
                    provider_id=vendor,
                    genai_request_timestamp=AT,
                    price_context=context,
                )
                ours = PRICES.cost(Provider(vendor, ""), model.id, usage, tier=tier, at=AT)
                assert ours == Cost(asked.total_price.quantize(Decimal("0.0000000001"))), (model.id, tier, usage)
                compared += 1
    assert compared >= 4


def _is_ours(vendor: str, model: str) -> bool:
    """Whether our own table counts before genai-prices."""
    return vendor == "openai" and ("search" in model or "audio" in model)


def _usage(kinds: list[str], size: int) -> Usage:
    """A usage with every kind that has a price, in which the parts leave some of the whole."""
    shares = {"prompt": 1.0, "completion": 0.1, "cached": 0.3, "cache_write": 0.2, "cache_write_1h": 0.1}
    shares |= {"audio_prompt": 0.2, "image_prompt": 0.15, "cached_audio": 0.05, "cached_image": 0.05}
    shares |= {"audio_completion": 0.02, "image_completion": 0.01, "reasoning": 0.03}
    counts = {LISTED[kind][1]: int(size * share) for kind, share in shares.items() if kind in kinds}
    searches = {LISTED[kind][1]: 3 for kind in ("web_search", "file_search") if kind in kinds}
    return Usage(**counts, **searches)
