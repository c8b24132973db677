"""How many tokens an image or a recording is.

Sources: developers.openai.com/api/docs/guides/images-vision, "Calculating costs", and the guide to audio: a token is
100 ms of what a user says and 50 ms of what a model says.
"""

from __future__ import annotations

import base64
import io
import math
import struct
import wave
from fractions import Fraction

# Models that count tiles of 512 pixels: tokens of an image, and of each tile.
TILES = {"gpt-4o": (85, 170), "gpt-4o-mini": (2833, 5667), "o3": (75, 150), "gpt-4-turbo": (85, 170)}

# Models that count patches of 32 pixels, up to a limit: the factor of each patch.
PATCHES = {"gpt-4.1-mini": Fraction("1.62"), "o4-mini": Fraction("1.72")}
PATCH_LIMIT = 1536

# Tokens of a second of speech.
USER_TOKENS_PER_SECOND = 10
MODEL_TOKENS_PER_SECOND = 20


def image_tokens(model: str, url: str, detail: str) -> int:
    """The tokens of a PNG in a data URL. `detail` is low, high or auto, which is taken as high."""
    width, height = png_size(base64.b64decode(url.partition("base64,")[2]))
    if model in PATCHES:
        return math.floor(_patches(width, height) * PATCHES[model])
    base, tile = TILES[model]
    return base if detail == "low" else base + tile * _tiles(width, height)


def png_size(data: bytes) -> tuple[int, int]:
    width, height = struct.unpack(">II", data[16:24])
    return width, height


def _tiles(width: int, height: int) -> int:
    """Fit the image into 2048 x 2048, scale its shortest side to 768, and count the tiles that cover it.

    An image is never made larger.
    """
    scale = min(Fraction(1), Fraction(2048, max(width, height)))
    scale = min(scale, Fraction(768, min(width, height)))
    return math.ceil(width * scale / 512) * math.ceil(height * scale / 512)


def _patches(width: int, height: int) -> int:
    """The patches that cover the image. If they are too many, it is shrunk until whole patches fit into the limit."""
    patches = math.ceil(width / 32) * math.ceil(height / 32)
    if patches <= PATCH_LIMIT:
        return patches
    shrink = math.sqrt(PATCH_LIMIT * 32 * 32 / (width * height))
    columns, rows = width * shrink / 32, height * shrink / 32
    shrink *= min(math.floor(columns) / columns, math.floor(rows) / rows)
    return math.ceil(round(width * shrink / 32, 6)) * math.ceil(round(height * shrink / 32, 6))


def recording_tokens(data: str) -> int:
    """The tokens of a WAV file, which is given in base64."""
    with wave.open(io.BytesIO(base64.b64decode(data))) as recording:
        return math.ceil(Fraction(recording.getnframes(), recording.getframerate()) * USER_TOKENS_PER_SECOND)
