"""Prices that a vendor has published and that genai-prices lacks. What stands here counts before genai-prices.

`PRICES` overrides them. Each entry names its source and the day on which that was read.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from llm.config import ModelPrice

# By the beginning of a model's name at OpenAI. The longest beginning counts.
OPENAI: Mapping[str, ModelPrice] = {
    # Sound. Source: OpenRouter's description of openai/gpt-4o-audio-preview (2026-03-23). The first version of the
    # model was dearer, and its price is not known here.
    "gpt-4o-audio-preview": ModelPrice(audio_prompt=Decimal(40), audio_completion=Decimal(80)),
    "gpt-4o-audio-preview-2024-10-01": ModelPrice(),
    # Sound. Source: therouter.ai, which adds a fifth to OpenAI's prices (2026-11-28).
    "gpt-4o-mini-audio": ModelPrice(audio_prompt=Decimal(10), audio_completion=Decimal(20)),
    # Searches. Source: OpenAI's price table as quoted at community.openai.com/t/1363698: 25 dollars for a thousand
    # searches by the preview models without reasoning, 10 for all others (2026-11-28).
    "gpt-4o-search-preview": ModelPrice(web_search=Decimal("0.025")),
    "gpt-4o-mini-search-preview": ModelPrice(web_search=Decimal("0.025")),
    "gpt-5-search-api": ModelPrice(web_search=Decimal("0.01")),
}

BY_PRICE_LIST: Mapping[str, Mapping[str, ModelPrice]] = {"openai": OPENAI, "azure": OPENAI}


def published_price(price_list: str, model: str) -> ModelPrice | None:
    """What is known here of a model's price, or None. Kinds that are None have to be looked up elsewhere."""
    known = BY_PRICE_LIST.get(price_list, {})
    beginnings = [beginning for beginning in known if model.startswith(beginning)]
    return known[max(beginnings, key=len)] if beginnings else None
