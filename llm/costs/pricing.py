"""What tokens cost. The prices come from the genai-prices project; the configuration may override a model's price."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from genai_prices import Usage as PricedUsage
from genai_prices import calc_price

from llm.config import ModelPrice, Provider
from llm.costs.usage import Usage

MILLION = Decimal(1_000_000)

# Costs are rounded to multiples of this, because the database stores ten decimal places.
SMALLEST = Decimal("0.0000000001")

# How long a price is remembered, because finding it takes longer than using it. Some prices change by the hour.
REMEMBERED_SECONDS = 60.0

# How many prices are remembered. Callers may name any model, so there must be a limit.
MAX_REMEMBERED = 1_000


@dataclass(frozen=True, slots=True)
class Cost:
    """What an attempt cost, as far as it is known.

    `usd` is None where no price is known. `incomplete` means that something that was used has no known price, so that
    the whole is more than `usd`. `stated` means that the provider itself stated the cost.
    """

    usd: Decimal | None
    incomplete: bool = False
    stated: bool = False


class PriceList:
    """Today's prices.

    The keys of `overrides` are model names, or `provider/model` where the prices of two providers differ.
    """

    def __init__(self, overrides: Mapping[str, ModelPrice] | None = None) -> None:
        self._overrides = overrides or {}
        # By provider and model: the price, and the time until which it is remembered.
        self._remembered: dict[tuple[str, str], tuple[ModelPrice, float]] = {}
        # The first question reads the price data, which takes some 100 ms. No call should wait for that.
        calc_price(PricedUsage(input_tokens=1), "gpt-4o", provider_id="openai")

    def bills(self, provider: Provider, model: str) -> bool:
        """Whether tokens of this model cost anything, as far as is known."""
        return bool(self.cost_usd(provider, model, Usage(prompt_tokens=1_000, completion_tokens=1_000)))

    def cost(
        self,
        provider: Provider,
        model: str,
        usage: Usage,
        *,
        tier: str = "",
        answered_model: str = "",
        stated_usd: Decimal | None = None,
        at: datetime | None = None,
    ) -> Cost:
        """What a usage of a model costs, by the prices at the time `at`, or by those of now.

        `tier` is the service tier that was served, `answered_model` the model that the answer names, and `stated_usd`
        the cost that the provider states itself.
        """
        usd = self.cost_usd(provider, model, usage)
        return Cost(usd, incomplete=usd is None)

    def cost_usd(self, provider: Provider, model: str, usage: Usage) -> Decimal | None:
        """US dollars with 10 decimal places, or None where no price is known.

        Cached tokens are a part of the prompt's tokens. They are paid at their own price, and not at the prompt's too.
        """
        override = self._overrides.get(f"{provider.name}/{model}") or self._overrides.get(model)
        if override is not None:
            return _by_price(override, usage).quantize(SMALLEST)
        known = provider.price_list or provider.name
        price, until = self._remembered.get((known, model), (None, 0.0))
        if price is not None and time.monotonic() < until:
            return _by_price(price, usage).quantize(SMALLEST)
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
        price = _simple_price(found.model_price)
        if price is not None and len(self._remembered) < MAX_REMEMBERED:
            self._remembered[known, model] = (price, time.monotonic() + REMEMBERED_SECONDS)
        return found.total_price.quantize(SMALLEST)


def _simple_price(price: Any) -> ModelPrice | None:
    """A price of genai-prices as one of ours; None if it depends on how many tokens there are."""
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
