"""One call as its caller ordered it, whatever door it came to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from access.callers import Caller
from chat.request_ids import OwnId
from llm import CallRequest


@dataclass(frozen=True, slots=True)
class Order:
    """One call as it was ordered: what to do, who asked, and how the answer is to look."""

    request: CallRequest
    own_id: OwnId
    door: str
    created_at: datetime
    caller: Caller
    metadata: Mapping[str, Any] = field(default_factory=dict)
    user_agent: str = ""
    # The size of the caller's request.
    body_bytes: int = 0
    # The stream is to consist of JSON events instead of plain text.
    typed_events: bool = False
    # The caller wants to find the answer again among the stored completions.
    stored: bool = False
    # For how many seconds the answer may be given again to the same request; 0 for never.
    cache_ttl: float = 0.0
    # The caller's own span, as the W3C's Trace Context writes it.
    traceparent: str = ""
    # Headers for the answer: `start_call` adds what is left of the caller's limits.
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def request_id(self) -> str:
        """The id of the call. It is another one from the moment on in which the call turns out to need another."""
        return self.own_id.value
