"""Checks that run at each start. An error says which setting is wrong and what to do, and stops the start."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any

import redis.asyncio
from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register
from django.core.exceptions import ImproperlyConfigured

from access.limit_rules import parse_rate
from chat.fields import MAX_TTL_SECONDS
from llm import EngineConfig, Provider, RouteError, parse_route
from orchestration_site.http.proxies import read_networks

ENVIRONMENTS = ("development", "production", "test")
STORED_COMPLETIONS = ("asked", "all")
# The longest time for which anybody may want to read an answer on. No model works on one for so long.
MAX_READ_ON_SECONDS = 3_600


@register
def check_environment(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> Iterable[CheckMessage]:
    if settings.ENVIRONMENT not in ENVIRONMENTS:
        yield Error(
            f"ENVIRONMENT is '{settings.ENVIRONMENT}'.", hint=f"Use one of {', '.join(ENVIRONMENTS)}.", id="site.E001"
        )


@register
def check_routes(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> Iterable[CheckMessage]:
    """Check that every route in the settings can be read."""
    config = EngineConfig(providers=settings.PROVIDERS, routes=settings.ROUTES)
    written = {f"ROUTES, '{name}'": name for name in settings.ROUTES}
    written["DEFAULT_MODEL"] = settings.DEFAULT_MODEL
    if settings.FALLBACK_MODELS:
        written["FALLBACK_MODELS"] = ">".join(settings.FALLBACK_MODELS)
    for where, route in written.items():
        try:
            parse_route(
                route,
                providers=config.providers,
                default_provider=config.default_provider,
                routes=config.routes,
            )
        except RouteError as error:
            yield Error(f"{where}: {error.message}", hint="Write a|b for a race, a>b for a fallback.", id="site.E002")


@register
def check_answers_given_again(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> Iterable[CheckMessage]:
    if settings.STORED_COMPLETIONS not in STORED_COMPLETIONS:
        yield Error(
            f"STORED_COMPLETIONS is '{settings.STORED_COMPLETIONS}'.",
            hint=f"Use one of {', '.join(STORED_COMPLETIONS)}.",
            id="site.E003",
        )
    if not 0 <= settings.CACHE_TTL <= MAX_TTL_SECONDS:
        yield Error(
            f"CACHE_TTL is {settings.CACHE_TTL:g}.",
            hint=f"Use a number of seconds from 0 (never) to {MAX_TTL_SECONDS:.0f} (a year).",
            id="site.E004",
        )
    if settings.REDIS_URL:
        try:
            redis.asyncio.ConnectionPool.from_url(settings.REDIS_URL).make_connection()  # type: ignore[no-untyped-call]
        except (ValueError, TypeError):  # the text of the error may contain the password
            yield Error(
                "REDIS_URL can't be read.", hint="Write redis://host:6379/0, or rediss:// for TLS.", id="site.E005"
            )


@register
def check_reading_on(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> Iterable[CheckMessage]:
    if not 0 <= settings.READ_ON_SECONDS <= MAX_READ_ON_SECONDS:
        yield Error(
            f"READ_ON_SECONDS is {settings.READ_ON_SECONDS:g}.",
            hint=f"Use a number of seconds from 0 (answers are not read on) to {MAX_READ_ON_SECONDS} (an hour).",
            id="site.E008",
        )
    if settings.READ_ON_CALLS < 0:
        yield Error(
            f"READ_ON_CALLS is {settings.READ_ON_CALLS}.",
            hint="Use how many answers may be read on at once, or 0 for none.",
            id="site.E009",
        )


@register
def check_access(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> Iterable[CheckMessage]:
    try:
        parse_rate(settings.RATE_LIMIT)
    except ValueError as error:
        yield Error(f"RATE_LIMIT: {error}", id="site.E006")
    try:
        read_networks(settings.TRUSTED_PROXIES)
    except ValueError as error:
        yield Error(f"TRUSTED_PROXIES: {error}", hint="Write addresses or networks, like 10.0.0.0/8.", id="site.E007")
    if settings.PRODUCTION and not settings.API_KEYS_REQUIRED:
        yield Warning(
            "API_KEYS_REQUIRED is off: everybody who reaches the service can call models and see every call.",
            hint="Leave API_KEYS_REQUIRED out, or set it to true.",
            id="site.W001",
        )


@register
def check_production(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> Iterable[CheckMessage]:
    """Check what production must not start with."""
    if not settings.PRODUCTION:
        return
    if not Provider(name="openai", base_url="", api_key=settings.OPENAI_API_KEY).api_keys:
        yield Error("There is no upstream key.", hint="Set OPENAI_API_KEY.", id="site.E010")
    try:
        secret_key = settings.SECRET_KEY
    except ImproperlyConfigured:  # this is how Django says that the key is empty
        secret_key = ""
    if len(secret_key) < 50 or len(set(secret_key)) < 10 or "insecure" in secret_key:
        yield Error("SECRET_KEY is missing or weak.", hint="Set 50 random characters or more.", id="site.E011")
    if settings.DEBUG:
        yield Error("DEBUG is on.", hint="Leave DEBUG out, or set it to false.", id="site.E012")
    if not settings.ALLOWED_HOSTS or "*" in settings.ALLOWED_HOSTS:
        yield Error(
            "ALLOWED_HOSTS is empty, or allows every host.",
            hint="Set ALLOWED_HOSTS to your host names.",
            id="site.E013",
        )


@register
def check_workers(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> Iterable[CheckMessage]:
    """Check that there is only one worker if the database is SQLite.

    SQLite has one writer at a time. Several workers would wait for each other's commits, and under load for too long.
    """
    if not settings.PRODUCTION or not settings.ON_SQLITE:
        return
    # `uvicorn --workers` does not tell its workers how many they are. But each of several workers is a child process,
    # and a single worker is not.
    if settings.WEB_CONCURRENCY > 1 or multiprocessing.parent_process() is not None:
        yield Error(
            "There are several workers, but DATABASE_URL is a SQLite file, which only one worker can use.",
            hint="Set DATABASE_URL=postgres://user:password@host:5432/name, or WEB_CONCURRENCY (--workers) to 1.",
            id="site.E014",
        )


@register
def check_proxies(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> Iterable[CheckMessage]:
    """Warn if no proxy is trusted, so that every request is refused, or if everybody is trusted as a proxy."""
    if not settings.PRODUCTION:
        return
    if settings.HTTPS and not settings.TRUSTED_PROXIES:
        yield Warning(
            "HTTPS is on and TRUSTED_PROXIES is empty: behind a proxy that ends TLS, every request is refused.",
            hint="Set TRUSTED_PROXIES to that proxy's address or network; or HTTPS=false to serve plain HTTP.",
            id="site.W002",
        )
    with suppress(ValueError):  # a network that can't be read is E007
        if any(network.prefixlen == 0 for network in read_networks(settings.TRUSTED_PROXIES)):
            yield Warning(
                "TRUSTED_PROXIES contains every address: any caller can choose the address by which limits count.",
                hint="Name only the network of your proxies, like 10.0.0.0/8.",
                id="site.W003",
            )
