"""The id of a request: every answer, log line and row of it has the same one."""

from __future__ import annotations

import os
import random
import time
from typing import Any

# An id is unique, and no secret: what it names is guarded by keys. So it need not cost a system call.
_random = random.Random(os.urandom(32))  # noqa: S311


def new_request_id(at_ms: int | None = None) -> str:
    """`req_`, 48 bits of the time in ms (since 1970, now if none is given), and 80 random bits: 32 hexadecimal digits.

    The time first, as UUID version 7 has it (RFC 9562): rows of the same second share a page of the index, and a long
    history costs no more than a short one.
    """
    milliseconds = time.time_ns() // 1_000_000 if at_ms is None else max(0, at_ms)
    return f"req_{milliseconds:012x}{_random.getrandbits(80):020x}"


def request_id_of(request: Any) -> str:
    """The id that the ASGI application gave to a Django or REST framework request, or else a new one."""
    state: dict[str, Any] = request.scope.setdefault("state", {}) if hasattr(request, "scope") else {}
    request_id: str = state.setdefault("request_id", new_request_id())
    return request_id
