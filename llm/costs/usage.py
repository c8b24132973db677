"""What an answer took: its tokens as its provider counts them, and the searches that it paid for."""

from __future__ import annotations

from dataclasses import dataclass, fields

# The largest number of tokens that is believed. No model takes so many, and the database's columns hold no more.
MAX_TOKENS = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Usage:
    """Token counts as OpenAI defines them, and numbers of other things that have a price.

    Parts of `prompt_tokens` are `cached_tokens` (read from the provider's cache), `cache_write_tokens` (written to it),
    `audio_prompt_tokens` and `image_prompt_tokens`. Parts of `completion_tokens` are `reasoning_tokens`,
    `audio_completion_tokens` and `image_completion_tokens`. `cached_audio_tokens` and `cached_image_tokens` are the
    audio and image part of `cached_tokens`. `cache_write_1h_tokens` is the part of `cache_write_tokens` that is kept
    for an hour. `estimated` means that the provider did not say, and that some of the numbers are ours.
    """

    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    cache_write_tokens: int = 0
    cache_write_1h_tokens: int = 0
    audio_prompt_tokens: int = 0
    audio_completion_tokens: int = 0
    cached_audio_tokens: int = 0
    image_prompt_tokens: int = 0
    image_completion_tokens: int = 0
    cached_image_tokens: int = 0
    web_searches: int = 0
    file_searches: int = 0
    estimated: bool = False

    @property
    def total_tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens

    def __add__(self, other: Usage) -> Usage:
        counts = {name: getattr(self, name) + getattr(other, name) for name in COUNTS}
        return Usage(**counts, estimated=self.estimated or other.estimated)


# The names of all counts of a usage.
COUNTS = tuple(field.name for field in fields(Usage) if field.name != "estimated")
