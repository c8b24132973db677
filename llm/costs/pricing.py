"""What tokens cost. Prices are kept by the genai-prices project; the configuration may override a model's."""

from __future__ import annotations

import time
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from genai_prices import Usage as PricedUsage
from genai_prices import calc_price

from llm.config import ModelPrice, Provider
from llm.costs.usage import Usage

MILLION = Decimal(1_000_000)
SMALLEST = Decimal("0.0000000001")
REMEMBERED_SECONDS = 60.0
"""Finding a price takes longer than counting with it. Some prices change by the hour."""
MAX_REMEMBERED = 1_000


class PriceList:
    """Prices of today. `overrides` are by model name, or by `provider/model` where two providers differ."""

    def __init__(self, overrides: Mapping[str, ModelPrice] | None = None) -> None:
        self._overrides = overrides or {}
        self._plain: dict[tuple[str, str], tuple[ModelPrice, float]] = {}
        calc_price(PricedUsage(input_tokens=1), "gpt-4o", provider_id="openai")  # read the data now: some 100 ms

    def cost_usd(self, provider: Provider, model: str, usage: Usage) -> Decimal | None:
        """US dollars with 10 decimal places, or None where no price is known. Cached tokens are priced once."""
        override = self._overrides.get(f"{provider.name}/{model}") or self._overrides.get(model)
        if override is not None:
            return _by_price(override, usage).quantize(SMALLEST)
        known = provider.price_list or provider.name
        plain, until = self._plain.get((known, model), (None, 0.0))
        if plain is not None and time.monotonic() < until:
            return _by_price(plain, usage).quantize(SMALLEST)
        try:
            found = calc_price(
                PricedUsage(
                    input_tokens=usage.prompt_tokens,
                    cache_read_tokens=min(usage.cached_tokens, usage.prompt_tokens),
                    output_tokens=usage.completion_tokens,
                ),
                model,
                provider_id=known,
            )
        except LookupError:
            return None
        if (plain := _plain(found.model_price)) is not None and len(self._plain) < MAX_REMEMBERED:
            self._plain[known, model] = (plain, time.monotonic() + REMEMBERED_SECONDS)
        return found.total_price.quantize(SMALLEST)


def _plain(price: Any) -> ModelPrice | None:
    """A price of genai-prices that is a number for each kind of token, and no steps by how many there are."""
    prompt, completion, cached = price.input_mtok, price.output_mtok, price.cache_read_mtok
    if all(isinstance(number, Decimal) for number in (prompt, completion, cached)):
        return ModelPrice(prompt, completion, cached)
    return None


def _by_price(price: ModelPrice, usage: Usage) -> Decimal:
    cached = min(usage.cached_tokens, usage.prompt_tokens)
    cached_price = price.prompt if price.cached is None else price.cached
    return (
        price.prompt * (usage.prompt_tokens - cached)
        + cached_price * cached
        + price.completion * usage.completion_tokens
    ) / MILLION
