"""The cost that a provider states itself, in US dollars. Its price list may be another than the one we have."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, Final

# xAI counts in ticks. Source: docs.x.ai, "Cost Tracking": a dollar has 10**10 of them.
TICKS: Final = "cost_in_usd_ticks"
DOLLARS_IN_A_TICK: Final = Decimal(1).scaleb(-10)

# Dollars. By vendor: OpenRouter and gateways, whose `cost` is a number; Perplexity, whose `cost` is an object; and
# DeepInfra.
COST: Final = "cost"
TOTAL_COST: Final = "total_cost"
ESTIMATED_COST: Final = "estimated_cost"

# What a key of one's own paid at the provider behind OpenRouter, which then charges nothing or a fee. Source:
# openrouter.ai/docs, "Usage Accounting".
OWN_KEY: Final = "is_byok"
DETAILS: Final = "cost_details"
UPSTREAM_COST: Final = "upstream_inference_cost"

# All fields of a usage that state a cost. `is_byok` stands beside one of them.
STATES_A_COST: Final = frozenset({TICKS, COST, TOTAL_COST, ESTIMATED_COST})

# A cost as large as this is an error, and the database holds no larger one.
TOO_MUCH: Final = Decimal(1_000_000)


def stated_cost(usage: object) -> Decimal | None:
    """US dollars as a usage object states them, or None if it states nothing that can be right."""
    if not isinstance(usage, Mapping):
        return None
    if (ticks := dollars(usage.get(TICKS), most=TOO_MUCH / DOLLARS_IN_A_TICK)) is not None:
        return ticks * DOLLARS_IN_A_TICK
    cost: Any = usage.get(COST)
    if isinstance(cost, Mapping):
        return dollars(cost.get(TOTAL_COST))
    charged = dollars(cost)
    if charged is None:
        return _first(dollars(usage.get(TOTAL_COST)), dollars(usage.get(ESTIMATED_COST)))
    details = usage.get(DETAILS)
    if usage.get(OWN_KEY) is True and isinstance(details, Mapping):
        paid = dollars(details.get(UPSTREAM_COST))
        return None if paid is None else charged + paid
    return None if usage.get(OWN_KEY) is True else charged


def dollars(value: object, *, most: Decimal = TOO_MUCH) -> Decimal | None:
    """An amount that may be written as a number or as a text; None if it can't be one."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        amount = Decimal(str(value)[:40])
    except InvalidOperation:
        return None
    return amount if amount.is_finite() and 0 <= amount < most else None


def _first(*amounts: Decimal | None) -> Decimal | None:
    return next((amount for amount in amounts if amount is not None), None)
