"""The size of an image in pixels, read from the first bytes of its data URL."""

from __future__ import annotations

import base64
import binascii
import struct
from collections.abc import Callable

# How much base64 is decoded. The sizes of PNG, GIF and WebP stand in the first 30 bytes. That of a JPEG stands behind
# its metadata, which may hold a preview.
READ_CHARACTERS = 4 * 65_536

# How much is decoded at first, which is enough for all but JPEG.
FIRST_CHARACTERS = 64

# The markers of a JPEG's frame header, which has the size. C4, C8 and CC mean something else.
JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}

# Markers of a JPEG that have no length: the beginning of the image, and restarts.
JPEG_BARE = frozenset({0x01, 0xD8, *range(0xD0, 0xD8)})

Size = tuple[int, int]


def size_of_data_url(url: str) -> Size | None:
    """Width and height of the image in a data URL; None if it is no data URL, or has no size that can be read."""
    comma = url.find(",", 0, 256)
    if url[:5].lower() != "data:" or comma < 0 or ";base64" not in url[:comma].lower():
        return None
    return size_of_base64(url, comma + 1)


def size_of_base64(text: str, start: int = 0) -> Size | None:
    """Width and height of the image whose base64 begins at `start`; None if they can't be read."""
    try:
        head = _decoded(text[start : start + FIRST_CHARACTERS])
        size = next((size for read in (_png, _gif, _webp) if (size := read(head))), None)
        if size is None and head[:2] == b"\xff\xd8":
            size = _jpeg(_decoded(text[start : start + READ_CHARACTERS]))
    except (binascii.Error, ValueError, struct.error, IndexError):
        return None
    return size if size and min(size) > 0 else None


def _decoded(text: str) -> bytes:
    return base64.b64decode(text[: len(text) // 4 * 4])


def _png(head: bytes) -> Size | None:
    return struct.unpack(">II", head[16:24]) if head[:8] == b"\x89PNG\r\n\x1a\n" else None


def _gif(head: bytes) -> Size | None:
    return struct.unpack("<HH", head[6:10]) if head[:4] == b"GIF8" else None


def _webp(head: bytes) -> Size | None:
    if head[:4] != b"RIFF" or head[8:12] != b"WEBP":
        return None
    return WEBP_KINDS[head[12:16]](head) if head[12:16] in WEBP_KINDS else None


def _lossy(head: bytes) -> Size:
    width, height = struct.unpack("<HH", head[26:30])
    return width & 0x3FFF, height & 0x3FFF


def _lossless(head: bytes) -> Size:
    bits = int.from_bytes(head[21:25], "little")
    return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1


def _extended(head: bytes) -> Size:
    return int.from_bytes(head[24:27], "little") + 1, int.from_bytes(head[27:30], "little") + 1


# The three kinds of WebP files, by their first chunk.
WEBP_KINDS: dict[bytes, Callable[[bytes], Size]] = {b"VP8 ": _lossy, b"VP8L": _lossless, b"VP8X": _extended}


def _jpeg(data: bytes) -> Size | None:
    """Goes from segment to segment up to the frame header."""
    at = 0
    while at + 4 <= len(data):
        if data[at] != 0xFF:
            return None
        marker = data[at + 1]
        if marker == 0xFF:  # padding
            at += 1
        elif marker in JPEG_BARE:
            at += 2
        elif marker in JPEG_FRAMES:
            height, width = struct.unpack(">HH", data[at + 5 : at + 9])
            return width, height
        else:
            at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return None
