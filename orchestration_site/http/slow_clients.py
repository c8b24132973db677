"""How long a request may take to arrive, and how much a client may send beside its body.

The server below has no such bounds: it would wait for ever for the rest of a request, and keep headers without end.
What a body may be in bytes is `body_limit`'s.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from django.conf import settings
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from chat.errors import CODES, envelope
from chat.request_ids import new_request_id
from orchestration_site.http.request_id import HEADER

MAX_OVERHEAD_BYTES = 64 * 1024
"""Of the request line and the headers, and again of what stands around a body: the sizes of chunks, and trailers."""
OVERHEAD_OF_A_BYTE = 16
"""A chunk of one byte needs five more. Whoever needs many more than that means harm."""
BYTES_PER_SECOND = 10_000
"""A body gets more time the more of it has come, so that a large one may come over a slow line."""


class TimedProtocol(HttpToolsProtocol):
    """One connection. A request that comes too slowly is answered 408, one with too long a head 431; then it is closed.

    A request that arrives in one piece costs no timer.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._arriving = False  # a request has begun, and is not all here
        self._has_head = False
        self._raw_bytes = self._body_bytes = 0
        self._began = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._start_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._raw_bytes += len(data)
        super().data_received(data)
        if self.transport.is_closing():
            return
        if not self._arriving and self._is_answering:
            self._stop_timer()
        elif self._raw_bytes > MAX_OVERHEAD_BYTES + self._body_bytes * (OVERHEAD_OF_A_BYTE + 1):
            self._refuse(431, f"The headers of a request may have at most {MAX_OVERHEAD_BYTES} bytes.")
        elif self._timer is None:
            self._start_timer()

    def on_message_begin(self) -> None:
        self._arriving, self._has_head = True, False
        self._raw_bytes = self._body_bytes = 0
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        # What comes after a body is no header: a proxy in front has not seen it, so nobody may be believed there.
        if not self._has_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        self._has_head = True
        self._raw_bytes = 0

    def on_body(self, body: bytes) -> None:
        self._body_bytes += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._arriving = False
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        self._refuse(400, msg)

    @property
    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _start_timer(self) -> None:
        self._began = self.loop.time()
        self._timer = self.loop.call_later(settings.RECEIVE_TIMEOUT, self._look)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        """Is it too late? Not while it is we who do not read, or who are still answering the request before."""
        until = self._began + settings.RECEIVE_TIMEOUT + self._body_bytes / BYTES_PER_SECOND
        if self.flow.read_paused or self.pipeline or (self._is_answering and not self._has_head):
            self._start_timer()
        elif self.loop.time() < until:
            self._timer = self.loop.call_at(until, self._look)
        elif not self._arriving:
            self.transport.close()
        else:
            self._refuse(408, "The request did not arrive in time.")

    def _refuse(self, status: int, message: str) -> None:
        """Answer where no answer has begun, and close: whatever else the client sends is no request."""
        self._stop_timer()
        if self._is_answering and not self._has_head:
            # Requests before this one are still to be answered: the last of them closes.
            self.cycle.keep_alive = False
            self.flow.pause_reading()
            return
        begun = bool(self.pipeline) or (self._is_answering and self.cycle.response_started)
        if not (begun or self.transport.is_closing()):
            self.transport.write(self._answer(status, message))
        self.transport.close()

    def _answer(self, status: int, message: str) -> bytes:
        scope: Mapping[str, Any] = self.scope if self._arriving else {}
        request_id = str(scope.get("state", {}).get("request_id") or new_request_id())
        body = envelope(CODES[status], message, request_id)
        if scope.get("path", "").startswith("/v1/"):
            body["error"] |= {"type": "invalid_request_error", "param": None}
        content = json.dumps(body).encode()
        lines = (
            f"HTTP/1.1 {status} {HTTPStatus(status).phrase}",
            "content-type: application/json",
            f"content-length: {len(content)}",
            f"{HEADER.decode()}: {request_id}",
            "connection: close",
            "\r\n",
        )
        return "\r\n".join(lines).encode() + content
