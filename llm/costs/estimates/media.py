"""How many tokens images, sound and files in a prompt have, as far as their size tells."""

from __future__ import annotations

import base64
import binascii
import struct
from collections.abc import Mapping
from typing import Any

from llm.costs.estimates.image_size import size_of_base64, size_of_data_url
from llm.costs.estimates.images import UNKNOWN_SIZE, image_rule_of
from llm.costs.estimates.prompt import Prompt

# OpenAI's models hear ten tokens a second. Source: OpenAI's guide "Realtime costs": user audio is 1 token per 100 ms.
AUDIO_TOKENS_PER_SECOND = 10

# Bytes of a second of sound, where no header says how many. For mp3 it is the usual 128 kbit/s, for wav 24 kHz of 16
# bits.
AUDIO_BYTES_PER_SECOND = {"wav": 48_000, "pcm16": 48_000}
OTHER_AUDIO_BYTES_PER_SECOND = 16_000

# The text and the picture of a page of a PDF are billed. How many pages there are is not known without reading it. A
# page is taken to have 50 kB and 1,000 tokens.
PDF_BYTES_PER_TOKEN = 50

# A file whose content is somewhere else, as an address or an id, is taken for one of five pages.
UNSEEN_FILE_TOKENS = 5_000

# Bytes of a token of text in a file.
TEXT_BYTES_PER_TOKEN = 4

# Longest text in a file that is decoded and counted as a text.
DECODED_CHARACTERS = 400_000


def add_image(prompt: Prompt, model: str, image: object, detail: object = None) -> None:
    """Count an image: an object with `url` and `detail`, an address, a data URL, or base64 alone."""
    if isinstance(image, Mapping):
        detail = image.get("detail") or detail
        image = image.get("url") or image.get("image_url") or image.get("data") or ""
    address = image if isinstance(image, str) else ""
    is_bare = bool(address) and "://" not in address[:32] and address[:5].lower() != "data:"
    size = size_of_base64(address) if is_bare else size_of_data_url(address)
    written = detail if isinstance(detail, str) else ""
    prompt.images += image_rule_of(model).tokens(size or UNKNOWN_SIZE, written)
    prompt.add_data(address)


def add_audio(prompt: Prompt, audio: object) -> None:
    """Count sound: an object with `data` as base64 and `format`. What was said earlier and has only an id is unseen."""
    sound: Mapping[str, Any] = audio if isinstance(audio, Mapping) else {}
    data = sound.get("data")
    if not isinstance(data, str):
        return
    rate = _wav_rate(data) or AUDIO_BYTES_PER_SECOND.get(str(sound.get("format")), OTHER_AUDIO_BYTES_PER_SECOND)
    prompt.audio += round(_decoded_size(data) / rate * AUDIO_TOKENS_PER_SECOND)
    prompt.add_data(data)


def add_file(prompt: Prompt, file: Mapping[str, Any]) -> None:
    """Count a file: `file_data` as a data URL or base64, or what only names one."""
    data = file.get("file_data")
    if not isinstance(data, str):
        prompt.files += UNSEEN_FILE_TOKENS
        prompt.add_data(str(file.get("file_id") or file.get("file_url") or ""))
        return
    kind, comma, content = data.partition(",") if data[:5].lower() == "data:" else ("", "", data)
    prompt.file_bytes += len(content)
    if kind[5:].startswith(("text/", "application/json")) and len(content) <= DECODED_CHARACTERS and comma:
        try:
            prompt.add_text(base64.b64decode(content).decode("utf-8", "replace"))
        except (binascii.Error, ValueError):
            prompt.files += len(content) // TEXT_BYTES_PER_TOKEN
        return
    is_text = kind[5:].startswith("text/")
    prompt.files += _decoded_size(content) // (TEXT_BYTES_PER_TOKEN if is_text else PDF_BYTES_PER_TOKEN)
    prompt.add_data(content)


def _decoded_size(data: str) -> int:
    return len(data) * 3 // 4


def _wav_rate(data: str) -> int:
    """Bytes of a second, as a WAV file says; 0 if it is none."""
    try:
        head = base64.b64decode(data[:48])
        return int(struct.unpack("<I", head[28:32])[0]) if head[:4] == b"RIFF" and head[8:12] == b"WAVE" else 0
    except (binascii.Error, ValueError, struct.error):
        return 0
