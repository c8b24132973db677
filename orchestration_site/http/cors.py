"""What browsers of other origins may send and read, for django-cors-headers. Which origins: CORS_ALLOWED_ORIGINS."""

from __future__ import annotations

URLS = r"^/(?!(?:admin|static)(?:/|$))"
"""The API. The admin is for its own pages alone."""

METHODS = ("GET", "POST", "DELETE", "OPTIONS")

# The star covers what SDKs add (x-stainless-...), but never Authorization, and nothing at all in browsers before 2020.
REQUEST_HEADERS = (
    "authorization",
    "content-type",
    "accept",
    "x-api-key",
    "idempotency-key",
    "x-request-id",
    "x-route",
    "x-timeout",
    "x-hedge-after",
    "x-default-message",
    "x-cache-ttl",
    "traceparent",
    "tracestate",
    "openai-organization",
    "openai-project",
    "*",
)
RESPONSE_HEADERS = (
    "x-request-id",
    "retry-after",
    "www-authenticate",
    "ratelimit-limit",
    "ratelimit-remaining",
    "ratelimit-reset",
    *(f"x-ratelimit-{figure}-{kind}" for kind in ("requests", "tokens") for figure in ("limit", "remaining", "reset")),
    "idempotent-replayed",
    "x-cached",
    "x-attempts",
    "x-model-used",
    "x-provider-used",
    "x-cost-usd",
    "x-latency-ms",
    "x-upstream-request-id",
    "x-should-retry",
)
PREFLIGHT_SECONDS = 7200
"""The most that Chromium keeps."""
