"""Limits how long a request may take to arrive, and how much a client may send besides the body.

uvicorn has no such limits: it would wait for ever for the rest of a request, and keep any number of headers. The size
of the body itself is limited by `bodies.body_limit`.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from django.conf import settings

from chat.errors import CODES
from chat.request_ids import new_request_id
from orchestration_site.compat import (
    close_after_answer,
    has_begun_to_answer,
    has_requests_waiting,
    is_answering,
    is_reading_paused,
    read_requests_with,
    scope_of_latest_request,
)
from orchestration_site.http.errors import error_body
from orchestration_site.http.protocol.stop_notice import StopNotice
from orchestration_site.http.protocol.upgrade_offers import OfferIgnoringParser, is_offered_in_vain
from orchestration_site.http.request_id import HEADER

# How many bytes the request line and the headers may have. The framing of a body (the sizes of chunks, and trailers)
# may have as many again.
MAX_OVERHEAD_BYTES = 64 * 1024
# How many more bytes of framing are allowed for each byte of the body. A chunk of one byte needs five, and no honest
# client needs many more.
FRAMING_BYTES_PER_BODY_BYTE = 16
# For so many bytes of the body that have arrived, a request gets another second, so that a large body may arrive over a
# slow line.
BYTES_PER_SECOND = 10_000


class TimedProtocol(StopNotice):
    """uvicorn's protocol for one connection of a client, with our limits.

    A request that arrives too slowly is answered with 408, and one with too many bytes of headers with 431. Then the
    connection is closed. A request that arrives in one piece needs no timer.

    A request that offers to go on in another protocol, such as HTTP/2, is answered as if it had not offered it.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        read_requests_with(self, OfferIgnoringParser(self))
        # Whether a request has begun to arrive and is not complete.
        self._arriving = False
        # Whether all headers of the latest request have arrived.
        self._has_headers = False
        # Bytes that have arrived of the part that is arriving (first the headers, then all the rest), and of the body.
        self._raw_bytes = self._body_bytes = 0
        # When the timer was started, by the clock of the event loop.
        self._timed_from = 0.0
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
        if not self._arriving and is_answering(self):
            self._stop_timer()
        elif self._raw_bytes > MAX_OVERHEAD_BYTES + self._body_bytes * (FRAMING_BYTES_PER_BODY_BYTE + 1):
            self._refuse(431, f"The headers of a request may have at most {MAX_OVERHEAD_BYTES} bytes.")
        elif self._timer is None:
            self._start_timer()

    def on_message_begin(self) -> None:
        self._arriving, self._has_headers = True, False
        self._raw_bytes = self._body_bytes = 0
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        # Trailers, which come after the body, are dropped. No proxy has checked them, and an X-Forwarded-For among them
        # would be believed like the proxy's own header.
        if not self._has_headers:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        if is_offered_in_vain(self):  # The parser will report this request again, without the offer.
            return
        super().on_headers_complete()
        self._has_headers = True
        self._raw_bytes = 0

    def on_body(self, body: bytes) -> None:
        self._body_bytes += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        if is_offered_in_vain(self):
            return
        self._arriving = False
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        self._refuse(400, msg)

    def _start_timer(self) -> None:
        self._timed_from = self.loop.time()
        self._timer = self.loop.call_later(settings.RECEIVE_TIMEOUT, self._check_time)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    @property
    def _is_answering_the_request_before(self) -> bool:
        """Whether the client has begun to send the next request while we are still answering the one before."""
        return is_answering(self) and not self._has_headers

    def _check_time(self) -> None:
        """Refuse the request if its time is over. It gets more time as long as it is we who keep the client waiting."""
        until = self._timed_from + settings.RECEIVE_TIMEOUT + self._body_bytes / BYTES_PER_SECOND
        if is_reading_paused(self) or has_requests_waiting(self) or self._is_answering_the_request_before:
            self._start_timer()
        elif self.loop.time() < until:
            self._timer = self.loop.call_at(until, self._check_time)
        elif not self._arriving:
            self.transport.close()
        else:
            self._refuse(408, "The request did not arrive in time.")

    def _refuse(self, status: int, message: str) -> None:
        """Send an error, unless an answer has begun already, and close the connection.

        Nothing that the client sends afterwards can be read as a request.
        """
        self._stop_timer()
        if self._is_answering_the_request_before:
            # That request must still get its answer, and the connection is closed after it.
            close_after_answer(self)
            return
        if not (has_begun_to_answer(self) or self.transport.is_closing()):
            self.transport.write(self._error_bytes(status, message))
        self.transport.close()

    def _error_bytes(self, status: int, message: str) -> bytes:
        """The whole answer as it goes over the connection. There is no request yet that Django could answer."""
        scope: Mapping[str, Any] = scope_of_latest_request(self) if self._arriving else {}
        request_id = str(scope.get("state", {}).get("request_id") or new_request_id())
        content = json.dumps(error_body(scope.get("path", ""), status, CODES[status], message, request_id)).encode()
        lines = (
            f"HTTP/1.1 {status} {HTTPStatus(status).phrase}",
            "content-type: application/json",
            f"content-length: {len(content)}",
            f"{HEADER.decode()}: {request_id}",
            "connection: close",
            "\r\n",
        )
        return "\r\n".join(lines).encode() + content
