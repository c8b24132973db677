"""The production checklist: what `manage.py check --deploy` checks besides the checks of each start.

A warning names a risk. An info names something that is good to know. The setting SILENCED_CHECKS silences an item that
you have decided otherwise.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Info, Warning, register

DAY_SECONDS = 86_400


@register(deploy=True)
def check_is_production(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> Iterable[CheckMessage]:
    if not settings.PRODUCTION:
        yield Error(
            f"ENVIRONMENT is '{settings.ENVIRONMENT}': keys are not required, and bad settings are not refused.",
            hint="Set ENVIRONMENT=production. The rest of the checklist is checked only then.",
            id="site.E020",
        )


@register(deploy=True)
def check_https(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> Iterable[CheckMessage]:
    if not settings.PRODUCTION:
        return
    if not settings.HTTPS:
        yield Warning(
            "HTTPS is off: keys, prompts and the admin's password can be read by others on the network.",
            hint="End TLS in a proxy (deploy/nginx.conf), name it in TRUSTED_PROXIES, and leave HTTPS out.",
            id="site.W010",
        )
    elif settings.SECURE_HSTS_SECONDS < 30 * DAY_SECONDS:
        yield Warning(
            f"Browsers insist on HTTPS for only {settings.SECURE_HSTS_SECONDS} seconds.",
            hint="Once HTTPS works, set HSTS_SECONDS=31536000 (a year). A browser that has seen it can't be told "
            "otherwise before that time is over.",
            id="site.W011",
        )


@register(deploy=True)
def check_callers(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> Iterable[CheckMessage]:
    """Check limits and origins. That keys are required is W001, which is checked at each start."""
    if not settings.PRODUCTION:
        return
    if not settings.RATE_LIMIT:
        yield Warning(
            "RATE_LIMIT is empty: a key without a limit of its own may make any number of calls.",
            hint="Set RATE_LIMIT, like 60/min. `manage.py api_key create` sets the limits and budgets of a key.",
            id="site.W012",
        )
    if settings.CORS_ALLOW_ALL_ORIGINS:
        yield Warning(
            "CORS_ALLOWED_ORIGINS is *: the pages of every website may call the service with a key that they know.",
            hint="Name the origins, like https://app.example.com. Leave it empty if no browser calls the service.",
            id="site.W013",
        )


@register(deploy=True)
def check_shared_state(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> Iterable[CheckMessage]:
    if not settings.PRODUCTION:
        return
    if settings.ON_SQLITE:
        yield Info(
            "DATABASE_URL is a SQLite file: the service can be only one process on one machine.",
            hint="Set DATABASE_URL=postgres://user:password@host:5432/name to run more.",
            id="site.I014",
        )
    elif not settings.REDIS_URL:
        yield Warning(
            "REDIS_URL is empty: each process counts limits by itself, so n processes together allow n times as much.",
            hint="Set REDIS_URL=redis://host:6379/0.",
            id="site.W014",
        )


@register(deploy=True)
def check_watching(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> Iterable[CheckMessage]:
    if not settings.PRODUCTION:
        return
    if not settings.OTEL_EXPORTER_OTLP_ENDPOINT:
        yield Info(
            "OTEL_EXPORTER_OTLP_ENDPOINT is empty: there are no traces. No setting tells whether /metrics is read.",
            hint="Set it to your collector, like http://collector:4318. Let Prometheus read /metrics with a key of the "
            "scope read_all. docs/operations.md says what is worth an alert.",
            id="site.I011",
        )
    if settings.LOG_RETENTION_DAYS <= 0:
        yield Warning(
            "LOG_RETENTION_DAYS is 0: log files are kept until the disk is full.",
            hint="Set LOG_RETENTION_DAYS, like 30.",
            id="site.W015",
        )
    if settings.LOG_DIR.resolve().is_relative_to(settings.BASE_DIR):
        yield Info(
            "LOG_DIR is inside the program's own folder.",
            hint="Set LOG_DIR to a folder that your log shipper reads, like /var/log/llm-orchestration. Or let it read "
            "standard error, which gets the same JSON lines.",
            id="site.I012",
        )
    if settings.SPOOL_DIR.resolve().is_relative_to(settings.BASE_DIR):
        yield Info(
            "SPOOL_DIR is inside the program's own folder: calls that wait there for the database are lost with it.",
            hint="Set SPOOL_DIR to a disk that outlives a deployment, like /var/lib/llm-orchestration/spool.",
            id="site.I013",
        )


@register(deploy=True)
def check_key_rotation(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> Iterable[CheckMessage]:
    if not settings.PRODUCTION:
        return
    single = [provider.name for provider in settings.PROVIDERS.values() if len(provider.api_keys) == 1]
    if single:
        yield Info(
            f"There is only one key for {', '.join(single)}: once it is revoked, calls fail until a restart.",
            hint="Give two keys with a comma between them. Revoke the old one when the new one is in use "
            "(docs/operations.md).",
            id="site.I010",
        )
