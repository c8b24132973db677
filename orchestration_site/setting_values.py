"""Reads the environment variables whose values have a notation of their own.

These are PROVIDERS, FETCH_AS_STREAMS, ROUTES, PRICES and REDACT_PATTERNS, and with PROVIDERS the keys and the price
lists of all providers. A value that can't be read raises ImproperlyConfigured, which names the variable.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from urllib.parse import urlsplit

import environ
from django.core.exceptions import ImproperlyConfigured

from llm import ModelPrice, Provider
from orchestration_site.price_notation import read_price, read_price_list

OPENAI_URL = "https://api.openai.com/v1"
# Anthropic's endpoint for clients of OpenAI.
ANTHROPIC_URL = "https://api.anthropic.com/v1/"
# How settings say no, in small letters.
FALSE_STRINGS = ("false", "off", "n", "no", "0")
PROVIDER_NAME = re.compile(r"[A-Za-z0-9_-]+")


def read_providers(env: environ.Env, *, simulated: bool) -> dict[str, Provider]:
    """The providers by name: OpenAI first, then Anthropic if it has a key, then those that PROVIDERS names.

    With `simulated` the bundled simulator takes the place of OpenAI. Its address is empty here, because it is known
    only when the simulator runs.
    """
    providers = {
        "openai": Provider(name="simulator", base_url="", needs_key=False, price_list="openai")
        if simulated
        else Provider(
            name="openai",
            base_url=env.str("OPENAI_BASE_URL", "") or OPENAI_URL,
            api_key=env.str("OPENAI_API_KEY", ""),
            price_list=read_price_list(env, "OPENAI"),
        )
    }
    if anthropic_key := env.str("ANTHROPIC_API_KEY", ""):
        providers["anthropic"] = Provider(name="anthropic", base_url=ANTHROPIC_URL, api_key=anthropic_key)
    for name, base_url in _pairs("PROVIDERS", env.str("PROVIDERS", ""), separator=","):
        if not PROVIDER_NAME.fullmatch(name):
            raise ImproperlyConfigured(f"PROVIDERS: the name '{name}' may have only letters, digits, - and _.")
        prefix = name.upper().replace("-", "_")
        providers[name] = Provider(
            name=name,
            base_url=base_url,
            api_key=env.str(f"{prefix}_API_KEY", ""),
            needs_key=False,
            price_list=read_price_list(env, prefix),
        )
    for provider in providers.values():
        if provider.base_url and not _is_address(provider.base_url):
            raise ImproperlyConfigured(f"The address of the provider '{provider.name}' must be http(s)://HOST….")
    return providers


def read_provider_choice(variable: str, written: str, providers: Iterable[str]) -> frozenset[str]:
    """The names of the providers that were chosen: `true` means all of `providers`, `false` or nothing means none.

    Otherwise it is a list of names, with commas between them.
    """
    if written.strip().lower() in ("", *environ.Env.BOOLEAN_TRUE_STRINGS, *FALSE_STRINGS):
        return frozenset(providers if written.strip().lower() in environ.Env.BOOLEAN_TRUE_STRINGS else ())
    chosen = frozenset(filter(None, (name.strip() for name in written.split(","))))
    if unknown := sorted(chosen.difference(providers)):
        raise ImproperlyConfigured(f"{variable}: there is no provider '{unknown[0]}'. Write true, false, or providers.")
    return chosen


def read_routes(written: str) -> dict[str, str]:
    """The routes by name, from `fast=gpt-4o|gpt-4o-mini;safe=gpt-4o>gpt-6-luna`."""
    return dict(_pairs("ROUTES", written, separator=";"))


def read_prices(written: str) -> dict[str, ModelPrice]:
    """The prices by model, from `model=PRICE;…` with each price as `price_notation` reads it."""
    return {model: read_price(model, price) for model, price in _pairs("PRICES", written, separator=";")}


def read_patterns(written: str) -> tuple[re.Pattern[str], ...]:
    """The regular expressions, from a JSON list of strings."""
    try:
        patterns = json.loads(written or "[]")
        return tuple(re.compile(pattern) for pattern in patterns)
    except (ValueError, TypeError, re.error) as error:
        raise ImproperlyConfigured(
            f'REDACT_PATTERNS must be a JSON list of regular expressions, like ["\\\\d{{16}}"]: {error}'
        ) from error


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _pairs(variable: str, written: str, *, separator: str) -> list[tuple[str, str]]:
    """The names and values in `NAME=VALUE`, of which there may be several with the separator between them."""
    pairs = []
    for part in filter(None, (part.strip() for part in written.split(separator))):
        name, equals, value = part.partition("=")
        if not equals or not name.strip() or not value.strip():
            raise ImproperlyConfigured(f"{variable}: '{part}' must be NAME=VALUE.")
        pairs.append((name.strip(), value.strip()))
    return pairs
