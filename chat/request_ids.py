"""The id of a request. Every answer, every log line and every row of the request has the same one."""

from __future__ import annotations

import os
import random
import secrets
import time
from typing import Any

# The longest id, as long as the column that holds it.
ID_LENGTH = 64
# Length of the suffix added when a caller reuses an X-Request-ID: a hyphen and 12 hexadecimal digits.
SUFFIX_LENGTH = 13

# An id has to be unique, but it is no secret, because what it names is guarded by keys. So it need not cost a system
# call each time.
_random = random.Random(os.urandom(32))  # noqa: S311


def new_request_id(at_ms: int | None = None) -> str:
    """`req_`, 48 bits of the time in ms (since 1970, now if none is given), and 80 random bits: 32 hexadecimal digits.

    The time comes first, as in UUID version 7 (RFC 9562). So rows of the same second share a page of the index, and a
    new row costs no more in a long history than in a short one.
    """
    milliseconds = time.time_ns() // 1_000_000 if at_ms is None else max(0, at_ms)
    return f"req_{milliseconds:012x}{_random.getrandbits(80):020x}"


def request_id_of(request: Any) -> str:
    """The id that the ASGI application gave to a Django or REST framework request, or else a new one."""
    state: dict[str, Any] = request.scope.setdefault("state", {}) if hasattr(request, "scope") else {}
    request_id: str = state.setdefault("request_id", new_request_id())
    return request_id


def with_suffix(request_id: str) -> str:
    """An id for a second call whose caller chose the same id: the start of that id, and a random suffix."""
    return f"{common_start(request_id)}-{secrets.token_hex(6)}"


def common_start(request_id: str) -> str:
    """What the id of a call begins with, whether or not it was given a suffix."""
    return request_id[: ID_LENGTH - SUFFIX_LENGTH]
