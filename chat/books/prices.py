"""What an attempt that is on record would cost by the prices of another day, or by a list of prices that was mended."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from chat.models import Attempt
from chat.token_counts import OTHER_COUNTS, TOKEN_COLUMNS
from llm import Cost, PriceList, Provider, Usage

# The columns of an attempt that decide what it costs.
PRICED_COLUMNS = (
    "provider",
    "model",
    *TOKEN_COLUMNS,
    "other_usage",
    "usage_estimated",
    "service_tier",
    "answered_model",
)

# How many costs are remembered. A batch is priced twice: to find out what changes, and again when its rows are locked.
MAX_REMEMBERED = 50_000


class RowPrices:
    """Prices rows. `providers` are those of the settings. A row may name one that is there no more.

    With `of_today`, each row gets the prices of now. Otherwise it gets those of the time of its call.
    """

    def __init__(self, prices: PriceList, providers: Iterable[Provider], *, of_today: bool = False) -> None:
        self._prices = prices
        self._providers = {provider.name: provider for provider in providers}
        self._of_today = of_today
        self._remembered: dict[tuple[Any, ...], Cost] = {}

    def cost(self, attempt: Attempt, created_at: datetime) -> Cost:
        """What the attempt costs, which was part of a call that began at `created_at`. It has counts of tokens."""
        usage = usage_of(attempt)
        at = None if self._of_today else created_at
        key = (attempt.provider, attempt.model, usage, attempt.service_tier, attempt.answered_model, at)
        if (cost := self._remembered.get(key)) is None:
            # A provider that is gone has the price list of its name, like one for which the settings name no other.
            provider = self._providers.get(attempt.provider) or Provider(name=attempt.provider, base_url="")
            cost = self._prices.cost(
                provider,
                attempt.model,
                usage,
                tier=attempt.service_tier,
                answered_model=attempt.answered_model,
                at=at,
            )
            if len(self._remembered) >= MAX_REMEMBERED:
                self._remembered.clear()
            self._remembered[key] = cost
        return cost


def has_usage(attempt: Attempt) -> bool:
    """Whether it is known what the attempt used."""
    return attempt.prompt_tokens is not None or attempt.completion_tokens is not None


def usage_of(attempt: Attempt) -> Usage:
    """What the attempt used, from its columns. A count that nobody knew when the row was written is 0."""
    counts = {name: getattr(attempt, name) or 0 for name in TOKEN_COLUMNS}
    others = {name: count for name, count in (attempt.other_usage or {}).items() if name in OTHER_COUNTS}
    return Usage(**counts | others, estimated=attempt.usage_estimated)
