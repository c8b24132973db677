"""Under which name the price list knows a model. All dated names of a model that cost the same have one."""

from __future__ import annotations

from genai_prices.data_snapshot import get_snapshot


def priced_as(price_list: str, model: str) -> str | None:
    """The name of the model in the list of prices: `gpt-4o` for `gpt-4o-2024-08-06`. None if the list does not have it.

    `price_list` is the provider's name in genai-prices.
    """
    try:
        _, found = get_snapshot().find_provider_model(model, None, price_list, None)
    except LookupError:
        return None
    return found.id
