"""Base64 of images and sound: replaced by its hash, its media type and its size."""

from __future__ import annotations

import base64
import hashlib
import re
from typing import Any

import pytest

from chat.record.kept.keeping import Keeping
from chat.record.kept.media import Media, read_mark

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256))
WAV = b"RIFF\x00\x00\x00\x00WAVEfmt " + bytes(100)
PCM = bytes(range(200))


def base64_of(data: bytes) -> str:
    return base64.b64encode(data).decode()


def kept(value: Any) -> Any:
    return Keeping().value(value)


def media(data: bytes, media_type: str) -> Media:
    return Media(media_type, hashlib.sha256(data).hexdigest(), len(data))


@pytest.mark.parametrize(
    ("value", "data", "media_type"),
    [
        pytest.param({"url": f"data:image/png;base64,{base64_of(PNG)}"}, PNG, "image/png", id="data URL"),
        pytest.param({"url": f"DATA:image/png;a=b;Base64,{base64_of(PNG)}"}, PNG, "image/png", id="odd data URL"),
        pytest.param({"url": f"data:;base64,{base64_of(PNG)}"}, PNG, "image/png", id="no media type"),
        pytest.param({"url": f"data:image/gif;base64,{base64_of(b'GIF8')}"}, b"GIF8", "image/gif", id="small"),
        pytest.param({"url": "data:image/png;base64,"}, b"", "image/png", id="empty"),
        pytest.param({"url": f"data:a/b;base64,{base64_of(PNG).rstrip('=')}"}, PNG, "a/b", id="no padding"),
        pytest.param(
            {"url": f"data:a/b;base64,{base64.urlsafe_b64encode(PNG).decode()}"}, PNG, "a/b", id="other alphabet"
        ),
        pytest.param({"input_audio": {"data": base64_of(PCM), "format": "mp3"}}, PCM, "audio/mp3", id="input audio"),
        pytest.param({"audio": {"id": "a", "data": base64_of(WAV)}}, WAV, "audio/wav", id="sound of an answer"),
        pytest.param({"audio": {"data": base64_of(PCM)}}, PCM, "audio/pcm", id="sound without a head"),
        pytest.param({"file": {"file_data": base64_of(b"%PDF-1")}}, b"%PDF-1", "application/pdf", id="file"),
        pytest.param({"source": {"media_type": "image/webp", "data": base64_of(PCM)}}, PCM, "image/webp", id="source"),
        pytest.param(
            {"type": "image_generation_call", "output_format": "png", "result": base64_of(PCM)},
            PCM,
            "image/png",
            id="generated image",
        ),
        pytest.param({"b64_json": base64_of(PNG)}, PNG, "image/png", id="images API"),
    ],
)
def test_bytes_are_replaced_wherever_they_are(value: Any, data: bytes, media_type: str) -> None:
    marks = re.findall(r"data:[^,']*,", str(kept([value])))
    assert [read_mark(mark) for mark in marks] == [media(data, media_type)]
    if data:
        assert base64_of(data).rstrip("=") not in str(kept([value]))


@pytest.mark.parametrize(
    "value",
    [
        {"url": "https://example.com/cat.png"},
        {"url": "data:image/svg+xml,%3Csvg%3E"},
        {"file_data": "https://example.com/a.pdf"},
        {"type": "reasoning.encrypted", "format": "anthropic-claude-v1", "data": base64_of(PNG)},
        {"type": "redacted_thinking", "data": base64_of(PNG)},
        {"encrypted_content": base64_of(PNG)},
        {"type": "mcp_call", "result": base64_of(PNG)},
        "Write data:image/png;base64,iVBORw0KGgo= into the page.",
        "data: one, two",
    ],
)
def test_what_is_no_media_stays_as_it_is(value: Any) -> None:
    assert kept(value) == value


def test_a_long_data_url_within_a_text_is_replaced_and_the_text_stays() -> None:
    text = f"Here: ![cat](data:image/png;base64,{base64_of(PNG)}) and more"
    before, mark, after = re.fullmatch(r"(.*\()(.*)(\).*)", kept(text)).groups()  # type: ignore[union-attr]
    assert (before, read_mark(mark), after) == ("Here: ![cat](", media(PNG, "image/png"), ") and more")


def test_with_bytes_nothing_is_replaced() -> None:
    value = {"url": f"data:image/png;base64,{base64_of(PNG)}", "input_audio": {"data": base64_of(PCM)}}
    assert Keeping().value(value, with_bytes=True) == value


def test_a_media_type_is_redacted_too() -> None:
    keeping = Keeping((re.compile(r"\d{16}"),))
    text = keeping.text(f"data:image/4111111111111111;base64,{base64_of(PNG)}")
    assert read_mark(text) == media(PNG, "application/octet-stream")
