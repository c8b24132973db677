"""The id of a request. Every answer, every log line and every row of the request has the same one."""

from __future__ import annotations

import os
import random
import secrets
import time
from dataclasses import dataclass
from typing import Any

# The longest id, as long as the column that holds it.
ID_LENGTH = 64
# Length of the suffix added when a caller reuses an X-Request-ID: a hyphen and 12 hexadecimal digits.
SUFFIX_LENGTH = 13

# What the state of a request has under this name says whether the caller chose the id.
CHOSEN = "request_id_is_chosen"
# How many ids that callers chose a process remembers. It takes about 1 MB.
RECENT_IDS = 10_000

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
    return own_id_of(request).value


def _state_of(request: Any) -> dict[str, Any]:
    state: dict[str, Any] = request.scope.setdefault("state", {}) if hasattr(request, "scope") else {}
    return state


@dataclass(frozen=True, slots=True, eq=False)
class OwnId:
    """The id of one request, wherever it is shown.

    It is in the state that all layers of the request share. Whatever shows the id reads it there when it is sent, so
    that a call which needs another id has that id in its answer, its log line and its row.
    """

    _state: dict[str, Any]

    @property
    def value(self) -> str:
        return str(self._state["request_id"])

    @property
    def is_chosen(self) -> bool:
        """Whether the caller chose it, so that another call may have the same."""
        return bool(self._state.get(CHOSEN))

    def change(self, request_id: str) -> None:
        self._state["request_id"] = request_id


def own_id_of(request: Any) -> OwnId:
    """The same id as that of `request_id_of`, which can be changed."""
    state = _state_of(request)
    state.setdefault("request_id", new_request_id())
    return OwnId(state)


class RecentIds:
    """The ids that callers of this process have chosen of late, so that a second call with one is told at once.

    An id that is not among them, because another process has seen it or because it was long ago, is noticed when the
    row is written.
    """

    def __init__(self, most: int = RECENT_IDS) -> None:
        self._most = most
        # A dictionary keeps the order in which the ids came.
        self._seen: dict[str, None] = {}

    def take(self, request_id: str) -> str:
        """The id, or one with a suffix if a call has it already."""
        if request_id in self._seen:
            return with_suffix(request_id)
        self._seen[request_id] = None
        if len(self._seen) > self._most:
            del self._seen[next(iter(self._seen))]
        return request_id


def with_suffix(request_id: str) -> str:
    """An id for a second call whose caller chose the same id: the start of that id, and a random suffix."""
    return f"{common_start(request_id)}-{secrets.token_hex(6)}"


def common_start(request_id: str) -> str:
    """What the id of a call begins with, whether or not it was given a suffix."""
    return request_id[: ID_LENGTH - SUFFIX_LENGTH]
