"""Checks that run at each start. An error says which setting is wrong and what to do, and stops the start.

They look at what only the whole of the settings, or the machine, can tell. A value that can't be read has stopped the
start before, when `setting_values` read it.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterable, Sequence
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register
from django.core.exceptions import ImproperlyConfigured

from llm import Provider
from orchestration_site.http.proxies import read_networks


@register
def check_env_file(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> Iterable[CheckMessage]:
    for name, meant in settings.MISSPELT.items():
        yield Warning(
            f".env sets {name}, which is not the name of a setting and changes nothing.",
            hint=f"Did you mean {meant}?",
            id="site.W004",
        )


@register
def check_access(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> Iterable[CheckMessage]:
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
    if any(network.prefixlen == 0 for network in read_networks(settings.TRUSTED_PROXIES)):
        yield Warning(
            "TRUSTED_PROXIES contains every address: any caller can choose the address by which limits count.",
            hint="Name only the network of your proxies, like 10.0.0.0/8.",
            id="site.W003",
        )
