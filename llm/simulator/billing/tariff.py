"""What the simulator's usual models cost, and the names under which they are billed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Final


@dataclass(frozen=True, slots=True)
class Tariff:
    """US dollars per million tokens. `billed_as` is the dated name that stands for the model in usage and costs."""

    billed_as: str
    prompt: Decimal
    cached: Decimal
    completion: Decimal


def _tariff(billed_as: str, prompt: str, cached: str, completion: str) -> Tariff:
    return Tariff(billed_as, Decimal(prompt), Decimal(cached), Decimal(completion))


# By the name that a request gives. The prices are those of OpenAI's price page in November 2026. They stand here once
# more, because the simulator must not know what the engine takes for a price: it is what that is compared with.
TARIFFS: Final[Mapping[str, Tariff]] = {
    "gpt-4o": _tariff("gpt-4o-2024-08-06", "2.5", "1.25", "10"),
    "gpt-4o-mini": _tariff("gpt-4o-mini-2024-07-18", "0.15", "0.075", "0.6"),
    "gpt-4.1": _tariff("gpt-4.1-2025-04-14", "2", "0.5", "8"),
    "gpt-4.1-mini": _tariff("gpt-4.1-mini-2025-04-14", "0.4", "0.1", "1.6"),
    "text-embedding-3-small": _tariff("text-embedding-3-small", "0.02", "0.02", "0"),
}

# What is not in the list costs nothing.
_FREE: Final = Decimal(0)


def tariff_of(model: str) -> Tariff:
    """The tariff of a model, by the name that requests give it."""
    return TARIFFS.get(model) or Tariff(model, _FREE, _FREE, _FREE)
