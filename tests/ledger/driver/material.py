"""What calls are made of: system prompts, conversations, pictures, recordings and tools."""

from __future__ import annotations

import base64
import io
import struct
import wave
import zlib
from functools import cache
from random import Random
from typing import Any

from tests.ledger.upstream.texts import SENTENCES, random_language, random_text

Json = dict[str, Any]

# How many system prompts and conversations the calls of a run share, and how many sentences a system prompt has. About
# 15 tokens are in a sentence, so most are long enough for the prompt cache.
SYSTEM_PROMPTS = 6
CONVERSATIONS = 8
SYSTEM_SENTENCES = (60, 220)

# Sentences of a user's message, and of an answer in a conversation's history.
USER_SENTENCES = (1, 30)
HISTORY_SENTENCES = (3, 20)

# A document that makes a prompt a long one (more than 272,000 tokens).
LONG_SENTENCES = 21_000

# Width and height of pictures.
PICTURES = ((768, 768), (1024, 1024), (1200, 800), (1800, 2400), (2048, 4096))

# Seconds of a recording, and its samples per second.
RECORDING_SECONDS = (1.0, 8.0)
SAMPLES_PER_SECOND = 8_000

FUNCTIONS: tuple[Json, ...] = (
    {
        "name": "search_catalogue",
        "description": "Search the catalogue of the library for books.",
        "parameters": {
            "type": "object",
            "properties": {
                "text": {"type": "string", "description": "The words to search for."},
                "language": {"type": "string", "description": "The language of the books.", "enum": ["de", "en", "fr"]},
            },
            "required": ["text"],
        },
    },
    {
        "name": "write_note",
        "description": "Write a note that a person reads later.",
        "parameters": {
            "type": "object",
            "properties": {"text": {"type": "string", "description": "What the note says."}},
            "required": ["text"],
        },
    },
)


class Material:
    def __init__(self, seed: int) -> None:
        random = Random(f"material {seed}")
        self.system_prompts = [
            random_text(random, "english", random.randint(*SYSTEM_SENTENCES)) for _ in range(SYSTEM_PROMPTS)
        ]
        self.conversations = [_conversation(random) for _ in range(CONVERSATIONS)]
        self.long_document = random_text(random, "english", LONG_SENTENCES)


def _conversation(random: Random) -> list[Json]:
    """Eight turns, from which a call takes a beginning."""
    language = random_language(random)
    turns: list[Json] = []
    for _ in range(8):
        turns.append({"role": "user", "content": random_text(random, language, random.randint(*HISTORY_SENTENCES))})
        if random.random() < 0.2:
            arguments = '{"text": "' + random.choice(SENTENCES["english"]) + '"}'
            call = {
                "id": "call_1",
                "type": "function",
                "function": {"name": "search_catalogue", "arguments": arguments},
            }
            turns.append({"role": "assistant", "content": None, "tool_calls": [call]})
            found = random_text(random, "english", 4)
            turns.append({"role": "tool", "tool_call_id": "call_1", "content": found})
        turns.append(
            {"role": "assistant", "content": random_text(random, language, random.randint(*HISTORY_SENTENCES))}
        )
    return turns


def picture(random: Random) -> str:
    return png_url(*random.choice(PICTURES))


def recording(random: Random) -> str:
    return wav(random.uniform(*RECORDING_SECONDS))


@cache
def png_url(width: int, height: int) -> str:
    """A data URL of a white PNG."""
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    rows = zlib.compress((b"\0" + b"\xff" * ((width + 7) // 8)) * height, 9)
    chunks = b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in ((b"IHDR", header), (b"IDAT", rows), (b"IEND", b""))
    )
    return "data:image/png;base64," + base64.b64encode(b"\x89PNG\r\n\x1a\n" + chunks).decode()


def wav(seconds: float) -> str:
    """A silent WAV file in base64."""
    data = io.BytesIO()
    with wave.open(data, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLES_PER_SECOND)
        file.writeframes(bytes(2 * int(seconds * SAMPLES_PER_SECOND)))
    return base64.b64encode(data.getvalue()).decode()
