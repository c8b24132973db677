"""Unpacks a body that came compressed.

Some clients and proxies compress long prompts. A small body can unpack to a huge one, so it is unpacked only as far as
a body may be large, and only after the caller's key has been checked.
"""

from __future__ import annotations

import zlib

from django.conf import settings
from rest_framework.exceptions import APIException, ParseError

# The codings that can be unpacked, and how zlib calls their formats. `x-gzip` is an old name for gzip (RFC 9110,
# section 8.4.1.3).
GZIP = 16 + zlib.MAX_WBITS
FORMATS = {"gzip": GZIP, "x-gzip": GZIP, "deflate": zlib.MAX_WBITS}


class UnknownCoding(APIException):
    """The body is packed in a way that can't be unpacked here."""

    status_code = 415
    # RFC 9110 (section 12.5.3): how a server says what it would have taken.
    headers = {"Accept-Encoding": "gzip, deflate"}  # noqa: RUF012

    def __init__(self) -> None:
        super().__init__("The header Content-Encoding may be gzip or deflate. Send the body so, or as it is.")


class UnpacksTooLarge(APIException):
    status_code = 413

    def __init__(self) -> None:
        super().__init__(f"The body may have at most {settings.MAX_BODY_BYTES} bytes when it is unpacked.")


def unpacked(body: bytes, coding: str) -> bytes:
    """The body as it was before it was packed with what Content-Encoding names.

    Raises UnknownCoding, UnpacksTooLarge, and ParseError for a body that is not packed so, or not to its end.
    """
    coding = coding.strip().lower()
    if coding in ("", "identity"):
        return body
    if coding not in FORMATS:
        raise UnknownCoding
    unpacker = zlib.decompressobj(FORMATS[coding])
    try:
        plain = unpacker.decompress(body, settings.MAX_BODY_BYTES + 1)
    except zlib.error as error:
        raise ParseError(f"The body is not {coding}, which its Content-Encoding names.") from error
    if len(plain) > settings.MAX_BODY_BYTES:
        raise UnpacksTooLarge
    if not unpacker.eof or unpacker.unused_data:
        raise ParseError(f"The body is not {coding} from its beginning to its end.")
    return plain
