"""What an attempt costs. The prices come from the genai-prices project; the configuration may override them."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

from genai_prices.types import Provider as PriceListOfVendor

from llm.config import ModelPrice, Provider
from llm.costs.price_data import (
    ALWAYS,
    STANDARD_TIERS,
    Found,
    find_price,
    price_list_of,
    without_tier,
)
from llm.costs.rate import SMALLEST, UNKNOWN, Cost, Rate, merged, names_all_tokens, names_some_tokens
from llm.costs.usage import Usage

# How long a price is remembered, because finding it takes longer than using it. Some prices change by the hour.
REMEMBERED_SECONDS = 60.0

# How many prices are remembered, and how long all names that decide one may be together. Callers may name any model and
# any tier, so there must be limits.
MAX_REMEMBERED = 1_000
MAX_NAMES_LENGTH = 1_000


@dataclass(frozen=True, slots=True)
class _Rates:
    """The prices of one model by the length of the prompt, the longest first, and the time until which they count."""

    bands: tuple[tuple[int, Rate], ...]
    # The rate for a prompt of any length, if there is only one.
    only: Rate | None
    until: float

    def cost(self, usage: Usage) -> Cost:
        for start, rate in self.bands:
            if usage.prompt_tokens > start:
                return rate.cost(usage)
        return UNKNOWN


class PriceList:
    """Today's prices.

    The keys of `overrides` are model names, or `provider/model` where the prices of two providers differ. Either may
    have `@tier` behind it.
    """

    def __init__(self, overrides: Mapping[str, ModelPrice] | None = None) -> None:
        self._overrides = overrides or {}
        # By all that decides a price: the provider, the models, and the tier.
        self._remembered: dict[tuple[str, ...], _Rates] = {}
        self._vendors: dict[tuple[str, ...], PriceListOfVendor | None] = {}
        # The first question reads the price data, which takes some 100 ms. No call should wait for that.
        self.cost(Provider("openai", ""), "gpt-4o", Usage(1, 1))

    def bills(self, provider: Provider, model: str) -> bool:
        """Whether tokens of this model cost anything, as far as is known."""
        return bool(self.cost_usd(provider, model, Usage(prompt_tokens=1_000, completion_tokens=1_000)))

    def cost_usd(self, provider: Provider, model: str, usage: Usage) -> Decimal | None:
        """US dollars with 10 decimal places at the standard price, or None where no price is known."""
        return self.cost(provider, model, usage).usd

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

        `tier` is the service tier that was served, `answered_model` the model that the answer names if that is another
        one, and `stated_usd` the cost that the provider states itself. That counts, except a zero for a model that has
        a price. The price of the model that answered counts before that of the model that was asked.
        """
        if stated_usd:
            return Cost(stated_usd.quantize(SMALLEST), stated=True)
        key = (provider.name, provider.price_list, provider.base_url, model, tier, answered_model)
        rates = self._remembered.get(key) if at is None else None
        if rates is None or time.monotonic() >= rates.until:
            rates = self._find(provider, model, tier, answered_model, at or datetime.now(UTC))
            if at is None:
                self._remember(key, rates)
        cost = rates.only.cost(usage) if rates.only else rates.cost(usage)
        if stated_usd is not None and not cost.usd:
            return Cost(stated_usd.quantize(SMALLEST), stated=True)
        return cost

    def _remember(self, key: tuple[str, ...], rates: _Rates) -> None:
        if sum(map(len, key)) > MAX_NAMES_LENGTH:
            return
        if len(self._remembered) >= MAX_REMEMBERED:
            self._remembered.clear()
        self._remembered[key] = rates

    def _find(self, provider: Provider, model: str, tier: str, answered_model: str, at: datetime) -> _Rates:
        tier = tier.lower()
        tier = "" if tier in STANDARD_TIERS else tier
        names = [name for name in (answered_model, model) if name]
        vendor = self._vendor(provider)
        listed = next((found for name in names if vendor and (found := find_price(vendor, name, tier, at))), None)
        own, is_of_tier = self._override(provider, names, tier)
        if own is None:
            return _ready(listed)
        bands = tuple((start, merged(own, price)) for start, price in listed.bands) if listed else ((ALWAYS, own),)
        if listed is not None and not names_all_tokens(own):
            return _ready(Found(bands, is_whole=listed.is_whole or is_of_tier))
        found = Found(bands)
        return _ready(found if is_of_tier or not tier else without_tier(found, tier, vendor.id if vendor else ""))

    def _override(self, provider: Provider, names: list[str], tier: str) -> tuple[ModelPrice | None, bool]:
        """The configured price of the first of the names that has one, and whether it is the price of this tier."""
        keys = [f"{provider.name}/{name}" for name in names] + names
        for key in keys:
            plain, of_tier = self._overrides.get(key), self._overrides.get(f"{key}@{tier}") if tier else None
            if of_tier is not None:
                return (of_tier if plain is None else merged(of_tier, plain)), True
            if plain is not None:
                return plain, False
        return None, False

    def _vendor(self, provider: Provider) -> PriceListOfVendor | None:
        key = (provider.name, provider.price_list, provider.base_url)
        if key not in self._vendors:
            self._vendors[key] = price_list_of(provider)
        return self._vendors[key]


def _ready(found: Found | None) -> _Rates:
    """Prices that can be used, until it is time to look whether they have changed."""
    bands: tuple[tuple[int, Rate], ...] = ()
    if found is not None and any(names_some_tokens(price) for _, price in found.bands):
        bands = tuple((start, Rate(price, is_whole=found.is_whole)) for start, price in found.bands)
    only = bands[0][1] if len(bands) == 1 else None
    return _Rates(bands, only, time.monotonic() + REMEMBERED_SECONDS)
