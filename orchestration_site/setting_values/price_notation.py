"""How prices are written in the setting PRICES, and how NAME_PRICES says whose prices a provider has."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation

import environ
from django.core.exceptions import ImproperlyConfigured

from llm import PRICE_KINDS, ModelPrice, price_list_names

# The kinds that need no name, in their order.
PLAIN = ("prompt", "completion", "cached")


def read_price_list(env: environ.Env, prefix: str) -> str:
    """The name of the price list in `PREFIX_PRICES`; empty if that is not set."""
    variable = f"{prefix}_PRICES"
    name = str(env.str(variable, "")).strip().lower()
    if name and name not in price_list_names():
        raise ImproperlyConfigured(
            f"{variable}: there is no price list '{name}'. The lists are {', '.join(price_list_names())}."
        )
    return name


def read_price(model: str, written: str) -> ModelPrice:
    """A price from `PROMPT/COMPLETION[/CACHED]` or from `KIND:PRICE,…`, in US dollars.

    The price of a kind of tokens is that of a million; that of a search or a request is that of one.
    """
    if ":" in written:
        return ModelPrice(**_by_name(model, written))
    parts = written.split("/")
    if not 2 <= len(parts) <= len(PLAIN):
        raise ImproperlyConfigured(
            f"PRICES: the price of '{model}' must be PROMPT/COMPLETION, PROMPT/COMPLETION/CACHED or KIND:PRICE,…, "
            f"not '{written}'."
        )
    return ModelPrice(**{kind: _number(model, kind, part) for kind, part in zip(PLAIN, parts, strict=False)})


def _by_name(model: str, written: str) -> dict[str, Decimal]:
    prices: dict[str, Decimal] = {}
    for part in filter(None, (part.strip() for part in written.split(","))):
        kind, colon, number = (piece.strip() for piece in part.partition(":"))
        if not colon:
            raise ImproperlyConfigured(f"PRICES: '{part}' in the price of '{model}' must be KIND:PRICE.")
        if kind not in PRICE_KINDS:
            raise ImproperlyConfigured(
                f"PRICES: the price of '{model}' names the kind '{kind}'. The kinds are {', '.join(PRICE_KINDS)}."
            )
        if kind in prices:
            raise ImproperlyConfigured(f"PRICES: the price of '{model}' names the kind '{kind}' twice.")
        prices[kind] = _number(model, kind, number)
    return prices


def _number(model: str, kind: str, written: str) -> Decimal:
    try:
        number = Decimal(written.strip())
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite() or number < 0:
        raise ImproperlyConfigured(
            f"PRICES: the {kind} price of '{model}' must be a number that is not negative, not '{written}'."
        )
    return number
