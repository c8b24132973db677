"""What tokens cost. Prices are kept by the genai-prices project; the configuration may override a model's."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from genai_prices import Usage as PricedUsage
from genai_prices import calc_price

from llm.config import ModelPrice, Provider
from llm.types import Usage

MILLION = Decimal(1_000_000)
SMALLEST = Decimal("0.0000000001")


class PriceList:
    """Prices of today. `overrides` are by model name, or by `provider/model` where two providers differ."""

    def __init__(self, overrides: Mapping[str, ModelPrice] | None = None) -> None:
        self._overrides = overrides or {}
        calc_price(PricedUsage(input_tokens=1), "gpt-4o", provider_id="openai")  # read the data now: some 100 ms

    def cost_usd(self, provider: Provider, model: str, usage: Usage) -> Decimal | None:
        """US dollars with 10 decimal places, or None where no price is known. Cached tokens are priced once."""
        override = self._overrides.get(f"{provider.name}/{model}") or self._overrides.get(model)
        if override is not None:
            return _by_override(override, usage).quantize(SMALLEST)
        try:
            price = calc_price(
                PricedUsage(
                    input_tokens=usage.prompt_tokens,
                    cache_read_tokens=min(usage.cached_tokens, usage.prompt_tokens),
                    output_tokens=usage.completion_tokens,
                ),
                model,
                provider_id=provider.price_list or provider.name,
            )
        except LookupError:
            return None
        return price.total_price.quantize(SMALLEST)


def _by_override(price: ModelPrice, usage: Usage) -> Decimal:
    cached = min(usage.cached_tokens, usage.prompt_tokens)
    cached_price = price.prompt if price.cached is None else price.cached
    return (
        price.prompt * (usage.prompt_tokens - cached)
        + cached_price * cached
        + price.completion * usage.completion_tokens
    ) / MILLION
