"""The id of a request: every answer, log line and row of it has the same one."""

from __future__ import annotations

import secrets
from typing import Any


def new_request_id() -> str:
    """`req_` and 128 random bits."""
    return f"req_{secrets.token_hex(16)}"


def request_id_of(request: Any) -> str:
    """The id that the ASGI application gave to a Django or REST framework request, or else a new one."""
    state: dict[str, Any] = request.scope.setdefault("state", {}) if hasattr(request, "scope") else {}
    request_id: str = state.setdefault("request_id", new_request_id())
    return request_id
