"""How long to wait before a failed stage is tried again: exponential backoff with full jitter.

The walk never retries earlier than the upstream's Retry-After, whatever the delay is.

Source: "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
"""

from __future__ import annotations

import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often to retry, and a random wait of 0 to min(cap, base * 2**n) seconds before retry n."""

    max_retries: int
    base: float
    cap: float

    def delay(self, retry: int) -> float:
        """Seconds to wait before retry number `retry`, counted from 0."""
        return random.uniform(0.0, min(self.cap, self.base * 2.0 ** min(retry, 100)))  # noqa: S311 - jitter is no secret
