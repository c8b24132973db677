"""The tokens of images, against numbers of OpenAI's guide and against bills that its API was seen to send."""

from __future__ import annotations

import base64
import struct

import pytest

from llm.costs.estimates.image_size import READ_CHARACTERS, size_of_data_url
from llm.costs.estimates.images import image_rule_of


@pytest.mark.parametrize(
    ("model", "size", "detail", "tokens"),
    [
        # OpenAI's guide "Images and vision".
        ("gpt-4o", (1024, 1024), "high", 765),
        ("gpt-4o", (2048, 4096), "high", 1_105),
        ("gpt-4o", (4096, 8192), "low", 85),
        ("gpt-4.1-mini", (1024, 1024), "high", 1_659),  # 1,024 patches
        ("gpt-4.1-mini", (1800, 2400), "high", 2_353),  # 1,452 patches
        # Bills of an image of 128 by 64, without the 12 tokens of the rest of the prompt (topic 1262691).
        ("gpt-4o-mini", (128, 64), "low", 2_833),
        ("gpt-4o-mini", (128, 64), "high", 8_500),
        ("gpt-4.1", (128, 64), "high", 255),
        ("o3", (128, 64), "low", 75),
        ("o3", (128, 64), "high", 225),
        # A bill of 2,304 for the largest image (topic 1344040).
        ("gpt-5-nano", (1536, 1024), "high", 2_304),
        # A bill of 518 to 519 for 432 patches (topic 1377015).
        ("gpt-5-mini", (768, 576), "high", 519),
        ("gpt-5.4-nano-2026-03-17", (768, 576), "low", 519),
        ("gpt-5", (1024, 1024), "", 630),
    ],
)
def test_an_image_has_the_tokens_that_openai_says(model: str, size: tuple[int, int], detail: str, tokens: int) -> None:
    assert image_rule_of(model).tokens(size, detail) == tokens


@pytest.mark.parametrize("size", [(1, 1), (1, 100_000), (100_000, 1), (65_535, 65_535)])
@pytest.mark.parametrize("model", ["gpt-4o", "gpt-4.1-mini", "gpt-5.4", "nobody-knows"])
def test_no_size_makes_a_count_that_cannot_be(model: str, size: tuple[int, int]) -> None:
    assert 1 <= image_rule_of(model).tokens(size, "high") <= 4_000


def data_url(content: bytes, kind: str = "image/png") -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + struct.pack(">II", 640, 480) + b"\x08\x06" + b"\x00" * 40
GIF = b"GIF89a" + struct.pack("<HH", 640, 480) + b"\x00" * 20
LOSSY = b"RIFF\x00\x00\x00\x00WEBPVP8 " + b"\x00" * 7 + b"\x9d\x01\x2a" + struct.pack("<HH", 640, 480)
LOSSLESS = (
    b"RIFF\x00\x00\x00\x00WEBPVP8L" + b"\x00" * 4 + b"\x2f" + (639 | 479 << 14).to_bytes(4, "little") + b"\x00" * 9
)
EXTENDED = b"RIFF\x00\x00\x00\x00WEBPVP8X" + b"\x00" * 8 + (639).to_bytes(3, "little") + (479).to_bytes(3, "little")
FRAME = b"\xff\xc0\x00\x11\x08" + struct.pack(">HH", 480, 640) + b"\x03" * 10
JPEG = b"\xff\xd8\xff\xe0\x00\x10JFIF" + b"\x00" * 10 + b"\xff\xe1\x9c\x40" + b"\x01" * 39_998 + b"\xff\xff" + FRAME


@pytest.mark.parametrize("content", [PNG, GIF, LOSSY, LOSSLESS, EXTENDED, JPEG], ids=lambda content: content[:16].hex())
def test_the_size_stands_in_the_first_bytes(content: bytes) -> None:
    assert size_of_data_url(data_url(content)) == (640, 480)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "https://example.com/a.png",
        "data:image/png;base64,",
        "data:image/png;base64,????",
        "data:image/png,PNG",
        data_url(PNG[:20]),
        data_url(b"\xff\xd8" + b"\xff" * 200_000),
        data_url(b"\xff\xd8\xff\xe1\xff\xff" + b"\x00" * 10),
        data_url(b"\x89PNG\r\n\x1a\n" + b"\x00" * 40),
        "data:image/png;base64," + "é" * 80,
        "data:image/png;base64," + "A" * READ_CHARACTERS,
    ],
    ids=range(11),
)
def test_what_has_no_size_to_read_has_none(url: str) -> None:
    assert size_of_data_url(url) is None
