"""What tokens cost: by the configured price, else by the price list, else nobody knows."""

from __future__ import annotations

from decimal import Decimal

import pytest
from genai_prices import data

from llm import ModelPrice, Provider, Usage
from llm.costs.pricing import PriceList

OPENAI = Provider("openai", "http://unused.invalid")
PRICES = {"m": ModelPrice(Decimal(2), Decimal(8), Decimal("0.5"))}


def test_a_price_is_per_million_tokens_and_cached_ones_cost_less_and_are_counted_once() -> None:
    prices = PriceList(PRICES)
    usage = Usage(prompt_tokens=1_000, completion_tokens=100, cached_tokens=400, reasoning_tokens=60)
    assert prices.cost_usd(OPENAI, "m", usage) == Decimal("0.0022000000")


def test_reasoning_tokens_are_a_part_of_the_completion_and_cost_no_more() -> None:
    prices = PriceList(PRICES)
    assert prices.cost_usd(OPENAI, "m", Usage(0, 100, reasoning_tokens=100)) == Decimal("0.0008")


def test_cached_tokens_cost_as_much_as_others_where_no_price_of_theirs_is_given() -> None:
    prices = PriceList({"m": ModelPrice(Decimal(2), Decimal(8))})
    assert prices.cost_usd(OPENAI, "m", Usage(1_000, 0, cached_tokens=1_000)) == Decimal("0.002")


@pytest.mark.parametrize("prices", [PriceList(PRICES), PriceList()])
def test_more_cached_tokens_than_there_are_tokens_cost_no_less_than_nothing(prices: PriceList) -> None:
    for model in ("m", "gpt-4o"):
        cost = prices.cost_usd(OPENAI, model, Usage(10, 0, cached_tokens=1_000))
        assert cost is None or cost > 0


def test_a_price_of_one_provider_counts_before_the_price_of_the_model() -> None:
    prices = PriceList({"m": ModelPrice(Decimal(1), Decimal(1)), "other/m": ModelPrice(Decimal(5), Decimal(5))})
    usage = Usage(1_000_000, 0)
    assert prices.cost_usd(OPENAI, "m", usage) == 1
    assert prices.cost_usd(Provider("other", ""), "m", usage) == 5


@pytest.mark.parametrize("provider", ["openai", "anthropic", "google", "deepseek", "mistral"])
def test_a_price_that_is_remembered_comes_to_what_the_price_list_says(provider: str) -> None:
    """For every model of a provider, and for numbers of tokens on both sides of any step."""
    models = [model.id for found in data.providers if found.id == provider for model in found.models]
    asked = Provider(provider, "")
    usages = [
        Usage(7, 3),
        Usage(1_000, 0, cached_tokens=999),
        Usage(0, 5),
        Usage(999_999, 12_345, cached_tokens=300_000),
    ]
    assert len(models) > 5
    for model in models:
        prices = PriceList()
        remembering = [prices.cost_usd(asked, model, usage) for usage in [usages[0], *usages]][1:]
        assert remembering == [PriceList().cost_usd(asked, model, usage) for usage in usages], model


def test_a_price_of_nothing_is_a_price() -> None:
    prices = PriceList({"gpt-4o": ModelPrice(Decimal(0), Decimal(0))})
    assert prices.cost_usd(OPENAI, "gpt-4o", Usage(1_000, 1_000)) == 0


def test_the_kept_prices_know_the_models_of_openai_their_cached_tokens_and_their_dated_names() -> None:
    prices = PriceList()
    fresh = prices.cost_usd(OPENAI, "gpt-4o", Usage(1_000, 0))
    cached = prices.cost_usd(OPENAI, "gpt-4o", Usage(1_000, 0, cached_tokens=1_000))
    assert fresh is not None and cached is not None
    assert 0 < cached < fresh
    assert prices.cost_usd(OPENAI, "gpt-4o-2024-08-06", Usage(1_000, 0)) == fresh


@pytest.mark.parametrize("model", ["", "no-such-model", "llama", "sim-500", "\ud800", "x" * 500])
def test_an_unknown_price_is_none(model: str) -> None:
    assert PriceList().cost_usd(OPENAI, model, Usage(10, 10)) is None


def test_the_models_of_an_unknown_provider_have_no_price() -> None:
    assert PriceList().cost_usd(Provider("somebody", ""), "gpt-4o", Usage(10, 10)) is None


def test_a_provider_may_be_known_to_the_prices_by_another_name() -> None:
    usage = Usage(1_000, 10)
    named = PriceList().cost_usd(Provider("mine", "", price_list="openai"), "gpt-4o", usage)
    assert named == PriceList().cost_usd(OPENAI, "gpt-4o", usage) is not None


@pytest.mark.parametrize("overrides", [{"gpt-4o": ModelPrice(Decimal("0.0123456789"), Decimal(1))}, {}])
def test_a_cost_has_ten_decimal_places(overrides: dict[str, ModelPrice]) -> None:
    cost = PriceList(overrides).cost_usd(OPENAI, "gpt-4o", Usage(1, 0))
    assert cost is not None
    assert cost.as_tuple().exponent == -10
