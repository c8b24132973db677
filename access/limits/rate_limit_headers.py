"""The response headers that tell a caller what is left of its limits.

`RateLimit-*` follow draft-ietf-httpapi-ratelimit-headers, and `x-ratelimit-*` are those of OpenAI.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from access.limits.limit_store import Reading
from access.limits.meters import Kind, Lifetime, Meter

# The names of all headers that `rate_limit_headers` may set, in small letters. CORS must name them, so that pages of
# other origins may read them.
RATE_LIMIT_HEADERS = (
    *(f"ratelimit-{number}" for number in ("limit", "remaining", "reset")),
    *(
        f"x-ratelimit-{number}-{kind}"
        for kind in Kind
        if kind.lifetime is Lifetime.WINDOW
        for number in ("limit", "remaining", "reset")
    ),
)


def rate_limit_headers(meters: Sequence[Meter], readings: Sequence[Reading], *, taken: bool) -> dict[str, str]:
    """The headers for every limit of a window.

    `taken` says that the call was admitted, so its amounts are in use now.
    """
    headers: dict[str, str] = {}
    for meter, reading in zip(meters, readings, strict=True):
        if meter.is_lease:
            continue
        remaining = str(max(meter.limit - reading.used - (meter.amount if taken else 0), 0))
        reset = meter.hold_seconds if taken else reading.all_free
        headers[f"x-ratelimit-limit-{meter.kind}"] = str(meter.limit)
        headers[f"x-ratelimit-remaining-{meter.kind}"] = remaining
        headers[f"x-ratelimit-reset-{meter.kind}"] = f"{reset:.3f}".rstrip("0").rstrip(".") + "s"
        if meter.kind is Kind.REQUESTS:
            headers["RateLimit-Limit"] = str(meter.limit)
            headers["RateLimit-Remaining"] = remaining
            headers["RateLimit-Reset"] = str(math.ceil(reading.first_free or meter.hold_seconds))
    return headers
