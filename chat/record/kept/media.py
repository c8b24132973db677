"""Images, sound and files in base64, which are kept by their hash, their media type and their size.

Their bytes would make rows a hundred times larger, and nobody reads them there. The hash still says whether two calls
had the same image. In the place of the bytes stands a data URL that has no data and three parameters:

    data:image/png;sha256=9f86d0…;size=12345,

So it is a text where a text was, and a program that follows it finds nothing. Source: RFC 2397.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

# What begins the data of a data URL in base64.
BASE64 = ";base64,"
# The shortest data of a data URL within a longer text that is taken out. A shorter one is more likely an example.
MIN_LENGTH_IN_TEXT = 64
IN_TEXT = re.compile(rf"data:[\w.+/-]*(?:;[\w.+-]+=[\w.+-]*)*;base64,[A-Za-z0-9+/_-]{{{MIN_LENGTH_IN_TEXT},}}=*")
MEDIA_TYPE = re.compile(r"[\w.+-]{1,60}/[\w.+-]{1,60}")
MARK = re.compile(r"data:(?P<type>[\w.+-]+/[\w.+-]+);sha256=(?P<sha256>[0-9a-f]{64});size=(?P<size>\d+),")

# The media type of bytes of which nothing is known.
UNKNOWN_TYPE = "application/octet-stream"

# The objects whose `data` is sound or an image: OpenAI's, and Gemini's two spellings.
HOLDERS = frozenset({"input_audio", "audio", "inline_data", "inlineData"})
# The fields that say the media type of the `data` beside them.
TYPE_FIELDS = ("media_type", "mime_type", "mimeType")
# The fields that hold nothing but bytes, wherever they are.
BYTES_FIELDS = frozenset({"file_data", "b64_json"})
# All fields that may hold bare bytes.
MEDIA_FIELDS = BYTES_FIELDS | {"data", "result"}
# What bytes begin with, and the media type that this tells. Sound that begins with none of them has no head: PCM.
SIGNATURES = (
    (b"\x89PNG", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF8", "image/gif"),
    (b"%PDF", "application/pdf"),
    (b"ID3", "audio/mpeg"),
    (b"\xff\xfb", "audio/mpeg"),
    (b"\xff\xf3", "audio/mpeg"),
    (b"\xff\xf1", "audio/aac"),
    (b"OggS", "audio/ogg"),
    (b"fLaC", "audio/flac"),
)


@dataclass(frozen=True, slots=True)
class Media:
    """What a mark says. `size` is in bytes."""

    media_type: str
    sha256: str
    size: int


def read_mark(text: object) -> Media | None:
    """What stands in the place of bytes; None if the text is something else."""
    match = MARK.fullmatch(text) if isinstance(text, str) else None
    return match and Media(match["type"], match["sha256"], int(match["size"]))


def mark_of_url(text: str) -> str | None:
    """The mark for a text that is a data URL in base64 and nothing else; None for any other text."""
    if text[:5].lower() != "data:":
        return None
    head, comma, data = text.partition(",")
    if not comma or not head.lower().endswith(";base64") or " " in head:
        return None
    return _mark(data, head[5:].partition(";")[0])


def mark_of_field(place: str, name: str, holder: Mapping[str, Any]) -> str | None:
    """The mark for the field `name` of an object if it holds bare base64; `place` is the field that has the object."""
    text = holder[name]
    if not isinstance(text, str) or not text or text.startswith(("http://", "https://", "data:")):
        return None
    if name == "data" and place in HOLDERS:
        stated = holder.get("format")
        return _mark(text, f"audio/{stated}" if stated else _stated_type(holder), otherwise="audio/pcm")
    if name in BYTES_FIELDS or (name == "data" and _stated_type(holder)):
        return _mark(text, _stated_type(holder))
    if name == "result" and holder.get("type") == "image_generation_call":
        return _mark(text, f"image/{holder.get('output_format') or ''}", otherwise="image/png")
    return None


def split_at_urls(text: str) -> list[tuple[str, str]]:
    """The pieces of a text between long data URLs, each with the mark of the URL after it; "" after the last."""
    if BASE64 not in text:
        return [(text, "")]
    pieces, end = [], 0
    for match in IN_TEXT.finditer(text):
        pieces.append((text[end : match.start()], mark_of_url(match[0]) or ""))
        end = match.end()
    return [*pieces, (text[end:], "")]


def _stated_type(holder: Mapping[str, Any]) -> str:
    return next((str(holder[name]) for name in TYPE_FIELDS if holder.get(name)), "")


def _mark(text: str, stated: str, *, otherwise: str = UNKNOWN_TYPE) -> str:
    data = _bytes_of(text)
    media_type = stated if MEDIA_TYPE.fullmatch(stated) else _type_of(data) or otherwise
    return f"data:{media_type};sha256={hashlib.sha256(data).hexdigest()};size={len(data)},"


def _bytes_of(text: str) -> bytes:
    """The bytes that a text in base64 stands for, in either alphabet, padded or not; or the text itself."""
    try:
        if "-" in text or "_" in text:
            text = text.replace("-", "+").replace("_", "/")
        return base64.b64decode(text + "=" * (-len(text) % 4))
    except (binascii.Error, ValueError):
        return text.encode("utf-8", "replace")


def _type_of(data: bytes) -> str:
    if data[:4] == b"RIFF":
        return {b"WAVE": "audio/wav", b"WEBP": "image/webp"}.get(data[8:12], "")
    return next((media_type for signature, media_type in SIGNATURES if data.startswith(signature)), "")
