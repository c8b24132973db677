"""Ignores a client's offer to go on in another protocol, as RFC 9110 (section 7.8) allows every server.

The HTTP client of Java sends `Upgrade: h2c` with each first request of a connection without TLS, and so do Ktor and
others. The parser that uvicorn uses (llhttp) then takes everything after the headers for the other protocol: the body
of the request would be lost, and its bytes be read as the next request. See Kludex/uvicorn#2722.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from httptools import HttpParserUpgrade, HttpRequestParser

from orchestration_site.compat import (
    headers_of_latest_request,
    read_requests_with,
    target_of_latest_request,
    will_change_protocol,
)

if TYPE_CHECKING:
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

# Headers that belong to an offer, and also the words for them in the header `Connection`.
OFFER = (b"upgrade", b"http2-settings")


class OfferIgnoringParser(HttpRequestParser):
    """Reads the requests of a connection. One whose offer is ignored is read a second time, without the offer.

    The first time the parser stops at the end of the headers, so the body is read only once. The second time another
    parser takes over, because the first one may read nothing after it has stopped.
    """

    def __init__(self, connection: HttpToolsProtocol) -> None:
        super().__init__(connection)
        self._connection = connection

    def feed_data(self, data: Any) -> None:
        """Read what has come. Raises HttpParserUpgrade for an offer that is accepted, and HttpParserError."""
        rest: memoryview[int] = memoryview(data)
        parser: HttpRequestParser = self
        while True:
            try:
                HttpRequestParser.feed_data(parser, rest)
                return
            except HttpParserUpgrade as stop:
                if not is_offered_in_vain(self._connection):
                    raise
                rest = rest[stop.args[0] :]
            head = _head_without_offer(self._connection)
            parser = OfferIgnoringParser(self._connection)
            read_requests_with(self._connection, parser)
            HttpRequestParser.feed_data(parser, head)


def is_offered_in_vain(connection: HttpToolsProtocol) -> bool:
    """Whether the request that is being read offers another protocol, and we go on in HTTP/1.1."""
    parser = connection.parser
    # CONNECT changes the protocol without a header that offers it, and is refused elsewhere.
    return parser.should_upgrade() and parser.get_method() != b"CONNECT" and not will_change_protocol(connection)


def _head_without_offer(connection: HttpToolsProtocol) -> bytes:
    """The request line and the headers of the latest request, as the client would send them without its offer."""
    method, version = connection.parser.get_method(), connection.parser.get_http_version().encode()
    lines = [b"%s %s HTTP/%s" % (method, target_of_latest_request(connection), version)]
    lines += [b"%s: %s" % header for header in _without_offer(headers_of_latest_request(connection))]
    return b"\r\n".join([*lines, b"", b""])


def _without_offer(headers: list[tuple[bytes, bytes]]) -> Iterator[tuple[bytes, bytes]]:
    for name, value in headers:
        if name == b"connection":
            kept = [word for word in value.split(b",") if word.strip().lower() not in OFFER]
            if kept:
                yield name, b",".join(kept)
        elif name not in OFFER:
            yield name, value
