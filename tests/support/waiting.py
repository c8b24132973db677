"""Waiting for something that another thread or process does."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from typing import Any


def eventually(holds: Callable[[], Any], within: float = 5.0, *, why: Callable[[], Any] = str) -> Any:
    """The first true value of `holds`. If there is none in time, the test fails and says `why()`."""
    deadline = time.monotonic() + within
    while not (value := holds()):
        if time.monotonic() > deadline:
            # A task that failed unseen logs a traceback when it is collected. If that happens while pytest writes its
            # own traceback, the whole run ends with a SystemError of Python 3.11's parser. So it happens here.
            gc.collect()
            raise AssertionError(f"it did not come true {why()}")
        time.sleep(0.005)
    return value
