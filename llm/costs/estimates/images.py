"""How many tokens an image in a prompt has.

Sources: OpenAI's guide "Images and vision", and what its API was seen to bill where the guide is wrong (the forum of
its developers, topics 1344040 and 1377015: 1.2 instead of 1.62 for gpt-5-mini, 1.5 instead of 2.46 for gpt-5-nano).
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

from llm.costs.estimates.image_size import Size

# What an image is taken for whose size is not known, because it is an address, or its bytes can't be read.
UNKNOWN_SIZE: Size = (1024, 1024)

REMEMBERED_NAMES = 1_000

TILE_PIXELS = 512
PATCH_PIXELS = 32
LONG_SIDE = 2_048
SHORT_SIDE = 768


class ImageRule(Protocol):
    """How one family of models counts images."""

    def tokens(self, size: Size, detail: str) -> int:
        """The tokens of an image. `detail` is what the request says: low, high, auto, original, or nothing."""


@dataclass(frozen=True, slots=True)
class Tiles:
    """The image is made to fit into 2048 by 2048, then down to a short side of 768. Each tile of 512 by 512 counts.

    With low detail only `base` counts.
    """

    base: int
    tile: int

    def tokens(self, size: Size, detail: str) -> int:
        if detail == "low":
            return self.base
        width, height = size
        shrink = min(1.0, LONG_SIDE / max(size))
        shrink = min(shrink, SHORT_SIDE / min(size))
        tiles = math.ceil(round(width * shrink, 6) / TILE_PIXELS) * math.ceil(round(height * shrink, 6) / TILE_PIXELS)
        return self.base + self.tile * tiles


@dataclass(frozen=True, slots=True)
class Patches:
    """Each patch of 32 by 32 counts. An image of more than `most` patches is made smaller. Detail changes nothing."""

    factor: float
    most: int = 1_536

    def tokens(self, size: Size, detail: str) -> int:
        width, height = size
        patches = _patches(width) * _patches(height)
        if patches > self.most:
            shrink = math.sqrt(self.most * PATCH_PIXELS**2 / (width * height))
            # The image is made a little smaller still, so that one side has a whole number of patches.
            wide, high = width * shrink / PATCH_PIXELS, height * shrink / PATCH_PIXELS
            shrink *= min(max(1, math.floor(wide)) / wide, max(1, math.floor(high)) / high)
            patches = min(self.most, _patches(width * shrink) * _patches(height * shrink))
        return math.ceil(round(patches * self.factor, 6))


def _patches(pixels: float) -> int:
    return math.ceil(round(pixels, 6) / PATCH_PIXELS)


# The first that fits the beginning of a model's name decides.
RULES: tuple[tuple[re.Pattern[str], ImageRule], ...] = tuple(
    (re.compile(name), rule)
    for name, rule in (
        (r"gpt-4o-mini", Tiles(2_833, 5_667)),
        (r"gpt-4\.1-mini", Patches(1.62)),
        (r"gpt-4\.1-nano", Patches(2.46)),
        (r"o4-mini|codex-mini", Patches(1.72)),
        (r"o1|o3", Tiles(75, 150)),
        (r"computer-use", Tiles(65, 129)),
        (r"gpt-5-nano", Patches(1.5)),
        (r"gpt-5(\.\d+)?(-codex)?-(mini|nano)", Patches(1.2)),
        (r"gpt-5(\.1)?(?![.\d])", Tiles(70, 140)),
        (r"gpt-5\.[23](?!\d)", Patches(1.2)),
        (r"gpt-([5-9]|\d\d)", Patches(1.2, most=2_500)),
        (r"", Tiles(85, 170)),
    )
)


@lru_cache(maxsize=REMEMBERED_NAMES)
def image_rule_of(model: str) -> ImageRule:
    """The rule of a model. Other vendors have rules of their own, which gpt-4o's stands for."""
    name = model.rpartition("/")[2].removeprefix("ft:")
    return next(rule for pattern, rule in RULES if pattern.match(name))
