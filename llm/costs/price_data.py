"""The price list: what genai-prices knows of a model, in our words.

Its models are looked up here and not by its `calc_price`, which remembers each name that it is asked for as long as the
process lives, prices sound as text where it has no price of sound, and does not say so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from re import match

from genai_prices.data_snapshot import find_provider_by_id, get_snapshot
from genai_prices.types import ModelInfo, TieredPrices
from genai_prices.types import ModelPrice as ListedPrice
from genai_prices.types import Provider as PriceListOfVendor

from llm.config import PRICED_ONE_BY_ONE, ModelPrice, Provider
from llm.costs.model_versions import base_of, without_version
from llm.costs.published_prices import published_price
from llm.costs.rate import merged, names_some_tokens, scaled

# Our kinds by their names in genai-prices.
KINDS: Mapping[str, str] = {
    "prompt": "input_mtok",
    "completion": "output_mtok",
    "cached": "cache_read_mtok",
    "cache_write": "cache_write_mtok",
    "cache_write_1h": "cache_write_1h_mtok",
    "audio_prompt": "input_audio_mtok",
    "audio_completion": "output_audio_mtok",
    "cached_audio": "cache_audio_read_mtok",
    "image_prompt": "input_image_mtok",
    "image_completion": "output_image_mtok",
    "cached_image": "cache_image_read_mtok",
    "reasoning": "output_reasoning_mtok",
    "web_search": "web_searches_kcount",
    "file_search": "storage_searches_kcount",
    "request": "requests_kcount",
}
THOUSAND = Decimal(1_000)

# Vendors whose models have one price for text and sound, unless they name one of sound.
ONE_PRICE_FOR_SOUND = frozenset({"google"})

# Words for a service tier that has the standard price. `scale` is paid in advance, and `auto` does not say what was
# served. `standard` is Anthropic's word, `on_demand` is Groq's.
STANDARD_TIERS = frozenset({"", "auto", "default", "scale", "standard", "standard_only", "on_demand"})

# Tiers at half the price, and the vendors who say so of all their models. Source: OpenAI's guide "Flex processing"
# ("tokens are priced at Batch API rates") and "Batch" ("50% cost discount"), read on 2026-11-28.
HALF_PRICE_TIERS = frozenset({"flex", "batch"})
HALF_PRICE_VENDORS = frozenset({"openai", "azure"})
HALF = Decimal("0.5")

# A price that depends on the length of the prompt: from how many tokens on, and the price. The longest comes first.
Bands = tuple[tuple[int, ModelPrice], ...]
ALWAYS = -1
FREE: Bands = ((ALWAYS, ModelPrice(prompt=Decimal(0), completion=Decimal(0))),)


@dataclass(frozen=True, slots=True)
class Found:
    """The prices of a model. `is_whole` is False if they are only a lower bound: the tier or the tuning costs more."""

    bands: Bands
    is_whole: bool = True


def price_list_names() -> list[str]:
    return sorted(vendor.id for vendor in get_snapshot().providers)


def price_list_of(provider: Provider) -> PriceListOfVendor | None:
    """The list that has a provider's prices: the one that is set, that knows its address, or that has its name."""
    vendors = get_snapshot().providers
    if provider.price_list:
        return find_provider_by_id(vendors, provider.price_list)
    by_address = next((vendor for vendor in vendors if match(vendor.api_pattern, provider.base_url)), None)
    return by_address or find_provider_by_id(vendors, provider.name)


def find_price(vendor: PriceListOfVendor, model: str, tier: str, at: datetime) -> Found | None:
    """The prices of a model at the time `at`, or None if the list has none.

    A version that the list does not know has the price of its model. A fine-tuned model has at least the price of the
    model that it was made from.
    """
    vendors, is_whole = get_snapshot().providers, True
    info = vendor.find_model(model, all_providers=vendors)
    if info is None and (base := base_of(model)):
        is_whole = False
        info = vendor.find_model(base, all_providers=vendors) or _unversioned(vendor, base)
    info = info or _unversioned(vendor, model)
    if info is None:
        return None
    listed, tier_is_known = _by_tier(vendor, info, tier, at)
    bands = tuple(
        (start, _in_our_words(vendor.id, model.lower(), listed, start)) for start in reversed(_starts(listed))
    )
    if not any(names_some_tokens(price) for _, price in bands):
        # It is paid for in another way, as by the minute. No price at all means that it is free.
        return None if any(value is not None for value in vars(listed).values()) else Found(FREE)
    found = Found(bands, is_whole)
    return found if tier_is_known else without_tier(found, tier, vendor.id)


def without_tier(found: Found, tier: str, price_list: str) -> Found:
    """Standard prices for a tier that has no prices of its own."""
    if tier not in HALF_PRICE_TIERS:
        return Found(found.bands, is_whole=False)
    if price_list not in HALF_PRICE_VENDORS:
        # Nobody else has said that it is cheaper for all models, and for Groq it is not.
        return found
    return Found(tuple((start, scaled(price, HALF)) for start, price in found.bands), found.is_whole)


def _unversioned(vendor: PriceListOfVendor, model: str) -> ModelInfo | None:
    plain = without_version(model)
    return None if plain == model else vendor.find_model(plain, all_providers=get_snapshot().providers)


def _by_tier(vendor: PriceListOfVendor, info: ModelInfo, tier: str, at: datetime) -> tuple[ListedPrice, bool]:
    """The prices of a tier, and whether the list knows that tier of the model."""
    if tier in STANDARD_TIERS:
        return info.get_prices(at), True
    # Anthropic calls its fast mode a speed, and not a tier.
    context = {"processing": tier} if tier == "batch" else {"service_tier": tier, "speed": tier}
    # A model that this vendor only resells has tiers of its own.
    variants = (info.price_variants or ()) if any(info is own for own in vendor.models) else ()
    is_known = any(
        all(context.get(name) == value for name, value in variant.when.items())
        and (variant.constraint is None or variant.constraint.active(at))
        for variant in variants
    )
    return info.get_prices(at, context if is_known else None), is_known


def _starts(listed: ListedPrice) -> list[int]:
    """The lengths of a prompt at which some price changes, in rising order."""
    tiers = (tier for value in vars(listed).values() if isinstance(value, TieredPrices) for tier in value.tiers)
    return [ALWAYS, *sorted({tier.start for tier in tiers})]


def _in_our_words(price_list: str, model: str, listed: ListedPrice, start: int) -> ModelPrice:
    """The prices of a prompt that is longer than `start`."""
    numbers = {kind: _at(getattr(listed, name), start) for kind, name in KINDS.items()}
    for kind in PRICED_ONE_BY_ONE:
        if (number := numbers[kind]) is not None:
            numbers[kind] = number / THOUSAND
    if price_list in ONE_PRICE_FOR_SOUND and numbers["audio_prompt"] is None:
        numbers["audio_prompt"], numbers["cached_audio"] = numbers["prompt"], numbers["cached"]
    price = ModelPrice(**numbers)
    published = published_price(price_list, model)
    return price if published is None else merged(published, price)


def _at(value: Decimal | TieredPrices | None, start: int) -> Decimal | None:
    if not isinstance(value, TieredPrices):
        return value
    return next((tier.price for tier in reversed(value.tiers) if tier.start <= start), value.base)
