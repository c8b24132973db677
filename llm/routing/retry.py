"""When a failed stage may be tried again: exponential backoff with full jitter, never earlier than Retry-After.

Source: "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
"""

from __future__ import annotations

import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """`base` and `cap` in seconds: the n-th wait is a random time between 0 and min(cap, base * 2**n)."""

    max_retries: int
    base: float
    cap: float

    def delay(self, retry: int) -> float:
        """Seconds to wait before retry number `retry`, counted from 0."""
        return random.uniform(0.0, min(self.cap, self.base * 2.0 ** min(retry, 100)))  # noqa: S311 - jitter is no secret
