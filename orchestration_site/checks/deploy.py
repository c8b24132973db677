"""The production checklist: what `manage.py check --deploy` looks at besides what production refuses to start with.

A warning is a risk, an info is worth knowing. `SILENCED_CHECKS` ticks off what was decided otherwise.
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
            hint="Set ENVIRONMENT=production. The rest of the checklist is looked at then.",
            id="site.E020",
        )


@register(deploy=True)
def check_https(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> Iterable[CheckMessage]:
    if not settings.PRODUCTION:
        return
    if not settings.HTTPS:
        yield Warning(
            "HTTPS is off: keys, prompts and the admin's password may be read on the way.",
            hint="End TLS in a proxy (deploy/nginx.conf), name it in TRUSTED_PROXIES, and leave HTTPS out.",
            id="site.W010",
        )
    elif settings.SECURE_HSTS_SECONDS < 30 * DAY_SECONDS:
        yield Warning(
            f"Browsers keep to HTTPS for {settings.SECURE_HSTS_SECONDS} seconds only.",
            hint="Once HTTPS works, set HSTS_SECONDS=31536000 (a year). It can't be taken back from a browser.",
            id="site.W011",
        )


@register(deploy=True)
def check_callers(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> Iterable[CheckMessage]:
    """Keys that are not required are W001, which is not for deployments alone."""
    if not settings.PRODUCTION:
        return
    if not settings.RATE_LIMIT:
        yield Warning(
            "RATE_LIMIT is empty: a key without a limit of its own may call without end.",
            hint="Set RATE_LIMIT, like 60/min. `manage.py api_key create` sets limits and budgets of a key.",
            id="site.W012",
        )
    if settings.CORS_ALLOW_ALL_ORIGINS:
        yield Warning(
            "CORS_ALLOWED_ORIGINS is *: the pages of every website may call the service with a key they know.",
            hint="Name the origins, like https://app.example.com; or leave it empty, if no browser calls it.",
            id="site.W013",
        )


@register(deploy=True)
def check_shared_state(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> Iterable[CheckMessage]:
    if not settings.PRODUCTION:
        return
    if settings.ON_SQLITE:
        yield Info(
            "DATABASE_URL is a SQLite file: one process, on one machine.",
            hint="Set DATABASE_URL=postgres://user:password@host:5432/name for more.",
            id="site.I014",
        )
    elif not settings.REDIS_URL:
        yield Warning(
            "REDIS_URL is empty: each process counts limits by itself, so that n of them let n times as much through.",
            hint="Set REDIS_URL=redis://host:6379/0.",
            id="site.W014",
        )


@register(deploy=True)
def check_watching(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> Iterable[CheckMessage]:
    if not settings.PRODUCTION:
        return
    if not settings.OTEL_EXPORTER_OTLP_ENDPOINT:
        yield Info(
            "OTEL_EXPORTER_OTLP_ENDPOINT is empty: there are no traces. No setting says whether /metrics is scraped.",
            hint="Set it to your collector, like http://collector:4318, and let Prometheus read /metrics with a key of "
            "scope read_all. What is worth an alert: docs/operations.md.",
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
            hint="Set LOG_DIR to where your log shipper reads, like /var/log/llm-orchestration; or let it read "
            "standard error, where the same JSON lines go.",
            id="site.I012",
        )
    if settings.SPOOL_DIR.resolve().is_relative_to(settings.BASE_DIR):
        yield Info(
            "SPOOL_DIR is inside the program's own folder: what waits there for the database goes with it.",
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
            f"There is one key only for {', '.join(single)}: once it is revoked, calls fail until a restart.",
            hint="Give two, with a comma between; revoke the old one when the new one is in use (docs/operations.md).",
            id="site.I010",
        )
