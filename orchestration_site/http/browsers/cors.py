"""What a page of another origin may send and read, as settings for django-cors-headers.

The setting CORS_ALLOWED_ORIGINS says which origins these are. The middleware itself is `Cors` in `security.py`.
"""

from __future__ import annotations

from access.limits.rate_limit_headers import RATE_LIMIT_HEADERS

# The addresses that pages of other origins may call: the whole API. The admin is only for its own pages.
URLS = r"^/(?!(?:admin|static)(?:/|$))"

METHODS = ("GET", "POST", "DELETE", "OPTIONS")

# Headers that a page may send. The star covers what SDKs add (x-stainless-...). It never covers Authorization, and
# browsers from before 2020 do not know it, so our own headers are named one by one.
REQUEST_HEADERS = (
    "authorization",
    "content-type",
    "accept",
    "api-key",
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
# Headers of an answer that a page may read.
RESPONSE_HEADERS = (
    "x-request-id",
    "retry-after",
    "www-authenticate",
    *RATE_LIMIT_HEADERS,
    "idempotent-replayed",
    "x-cached",
    "x-attempts",
    "x-model-used",
    "x-provider-used",
    "x-cost-usd",
    "x-cost-estimated",
    "x-cost-incomplete",
    "x-latency-ms",
    "x-upstream-request-id",
    "x-should-retry",
)
# How long a browser may remember the answer to a preflight. Chromium remembers it for two hours at most.
PREFLIGHT_SECONDS = 7200
