"""Reads the environment variables whose values have a notation of their own.

These are PROVIDERS, FETCH_AS_STREAMS, ROUTES, PRICES and REDACT_PATTERNS, and with PROVIDERS the keys and the
price lists of all providers. A value that can't be read raises ImproperlyConfigured, which names the variable.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace

import environ
from django.core.exceptions import ImproperlyConfigured

from llm import ModelPrice, Provider, RouteError, parse_route
from orchestration_site.setting_values.addresses import problem_of_base_address
from orchestration_site.setting_values.errors import SettingError
from orchestration_site.setting_values.network import proxy_for
from orchestration_site.setting_values.numbers import FALSE_WORDS, TRUE_WORDS
from orchestration_site.setting_values.price_notation import read_price, read_price_list

OPENAI_URL = "https://api.openai.com/v1"
# Anthropic's endpoint for clients of OpenAI.
ANTHROPIC_URL = "https://api.anthropic.com/v1/"
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
    _check_separators(env.str("PROVIDERS", ""))
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
        if provider.base_url and (problem := problem_of_base_address(provider.base_url)):
            variable = "OPENAI_BASE_URL" if provider.name == "openai" else "PROVIDERS"
            raise ImproperlyConfigured(f"{variable}: the address of the provider '{provider.name}' {problem}.")
    return providers


def with_way_there(providers: dict[str, Provider], environment: Mapping[str, str]) -> dict[str, Provider]:
    """The providers with the proxies by which they are asked. Raises SettingError for a key that can't be sent.

    OpenAI's place at another address needs no key, because the server there may be one that needs none.
    """
    for name, provider in providers.items():
        for key in provider.api_keys:
            if not (key.isascii() and key.isprintable()) or any(sign in key for sign in " \"'"):
                raise SettingError(key_variable(name), "has a space, a quotation mark or another sign that no key has.")
    return {
        name: replace(
            provider,
            proxy=proxy_for(provider.base_url, environment) if provider.base_url else "",
            needs_key=provider.needs_key and (name != "openai" or is_openai(provider.base_url)),
        )
        for name, provider in providers.items()
    }


def is_openai(address: str) -> bool:
    """Whether this is OpenAI's own address."""
    return address.rstrip("/") == OPENAI_URL


def key_variable(provider: str) -> str:
    """The variable that holds the keys of a provider."""
    return f"{provider.upper().replace('-', '_')}_API_KEY"


def read_provider_choice(variable: str, written: str, providers: Iterable[str]) -> frozenset[str]:
    """The names of the providers that were chosen: `true` means all of `providers`, `false` or nothing means none.

    Otherwise it is a list of names, with commas between them.
    """
    if written.strip().lower() in ("", *TRUE_WORDS, *FALSE_WORDS):
        return frozenset(providers if written.strip().lower() in TRUE_WORDS else ())
    chosen = frozenset(filter(None, (name.strip() for name in written.split(","))))
    if unknown := sorted(chosen.difference(providers)):
        raise ImproperlyConfigured(f"{variable}: there is no provider '{unknown[0]}'. Write true, false, or providers.")
    return chosen


def read_routes(written: str) -> dict[str, str]:
    """The routes by name, from `fast=gpt-4o|gpt-4o-mini;safe=gpt-4o>gpt-6-luna`."""
    routes = dict(_pairs("ROUTES", written, separator=";"))
    for name, route in routes.items():
        if "=" in route:
            raise ImproperlyConfigured(f"ROUTES: the route '{name}' has a second = in it. Write ; between routes.")
        if re.search(r"[|>,\s]", name):
            raise ImproperlyConfigured(f"ROUTES: the name '{name}' may have no space, comma, | or >.")
    return routes


def check_routes(
    *, routes: Mapping[str, str], default_model: str, fallback_models: Iterable[str], providers: Iterable[str]
) -> None:
    """Raise SettingError if a route in the settings can't be read, or names a provider that there is not."""
    written = {f"ROUTES, '{name}'": name for name in routes} | {"DEFAULT_MODEL": default_model}
    if fallback := ">".join(fallback_models):
        written["FALLBACK_MODELS"] = fallback
    known = list(providers)
    for where, route in written.items():
        try:
            parse_route(route, providers=known, default_provider=known[0], routes=routes)
        except RouteError as error:
            raise SettingError(
                where, f"can't be read: {error.message} Write a|b for a race, a>b for a fallback."
            ) from None


def read_prices(written: str) -> dict[str, ModelPrice]:
    """The prices by model, from `model=PRICE;…` with each price as `price_notation` reads it."""
    return {model: read_price(model, price) for model, price in _pairs("PRICES", written, separator=";")}


def read_patterns(written: str) -> tuple[re.Pattern[str], ...]:
    """The regular expressions, from a JSON list of strings."""
    try:
        patterns = json.loads(written or "[]")
        if not isinstance(patterns, list) or not all(isinstance(pattern, str) for pattern in patterns):
            raise TypeError("it is something else")
        compiled = tuple(re.compile(pattern) for pattern in patterns)
        if any(pattern.fullmatch("") for pattern in compiled):
            raise ValueError("a pattern that matches nothing would redact everything")
        return compiled
    except (ValueError, TypeError, re.error) as error:
        raise ImproperlyConfigured(
            f'REDACT_PATTERNS must be a JSON list of regular expressions, like ["\\\\d{{16}}"]: {error}'
        ) from error


def _check_separators(written: str) -> None:
    """Refuse what is no list of providers. An address in it may have a password, so it is not quoted."""
    if ";" in written:
        raise ImproperlyConfigured("PROVIDERS: there is a ; in it. Write commas between providers.")
    for number, part in enumerate(filter(None, (part.strip() for part in written.split(","))), 1):
        name, equals, value = part.partition("=")
        if not equals or not name.strip() or not value.strip() or "/" in name or "@" in name:
            shown = f"'{part}'" if PROVIDER_NAME.fullmatch(name.strip() or part.strip("= ")) and not value else "it"
            raise ImproperlyConfigured(f"PROVIDERS: part {number} can't be read: {shown} must be NAME=VALUE.")
        if name.strip() == "openai":
            raise ImproperlyConfigured("PROVIDERS: 'openai' is there already; OPENAI_BASE_URL gives it an address.")


def _pairs(variable: str, written: str, *, separator: str) -> list[tuple[str, str]]:
    """The names and values in `NAME=VALUE`, of which there may be several with the separator between them."""
    pairs: list[tuple[str, str]] = []
    for part in filter(None, (part.strip() for part in written.split(separator))):
        name, equals, value = part.partition("=")
        if not equals or not name.strip() or not value.strip():
            raise ImproperlyConfigured(f"{variable}: '{part}' must be NAME=VALUE.")
        if name.strip() in dict(pairs):
            raise ImproperlyConfigured(f"{variable}: '{name.strip()}' is there twice.")
        pairs.append((name.strip(), value.strip()))
    return pairs
