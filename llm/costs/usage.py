"""What an answer took: its tokens as its provider counts them, and the searches that it paid for."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

# The largest number of tokens that is believed. No model takes so many, and the database's columns hold no more.
MAX_TOKENS = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Usage:
    """Token counts as OpenAI defines them, and numbers of other things that have a price.

    Parts of `prompt_tokens` are `cached_tokens` (read from the provider's cache), `cache_write_tokens` (written to it),
    `audio_prompt_tokens` and `image_prompt_tokens`. Parts of `completion_tokens` are `reasoning_tokens`,
    `audio_completion_tokens` and `image_completion_tokens`. `cached_audio_tokens` and `cached_image_tokens` are the
    audio and image part of `cached_tokens`. `cache_write_1h_tokens` is the part of `cache_write_tokens` that is kept
    for an hour. `other_tools` is above zero if a tool was used whose cost can't be known from the answer. `estimated`
    means that the provider did not say, and that some of the numbers are ours.
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
    other_tools: int = 0
    estimated: bool = False

    @property
    def total_tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens

    @property
    def _has_rare_parts(self) -> bool:
        return bool(
            self.cache_write_tokens
            or self.cache_write_1h_tokens
            or self.audio_prompt_tokens
            or self.audio_completion_tokens
            or self.cached_audio_tokens
            or self.image_prompt_tokens
            or self.image_completion_tokens
            or self.cached_image_tokens
        )

    def consistent(self) -> Usage:
        """The same, with no part larger than what it is a part of. The parts of a whole don't overlap, except that what
        was read from a cache may be sound or an image."""
        prompt, completion = self.prompt_tokens, self.completion_tokens
        if self.cached_tokens <= prompt and self.reasoning_tokens <= completion and not self._has_rare_parts:
            return self
        cached = min(self.cached_tokens, prompt)
        cached_audio = min(self.cached_audio_tokens, self.audio_prompt_tokens, cached)
        cached_image = min(self.cached_image_tokens, self.image_prompt_tokens, cached - cached_audio)
        fresh = prompt - cached
        audio = min(self.audio_prompt_tokens - cached_audio, fresh)
        image = min(self.image_prompt_tokens - cached_image, fresh - audio)
        written = min(self.cache_write_tokens, fresh - audio - image)
        audio_completion = min(self.audio_completion_tokens, completion)
        image_completion = min(self.image_completion_tokens, completion - audio_completion)
        return replace(
            self,
            cached_tokens=cached,
            reasoning_tokens=min(self.reasoning_tokens, completion - audio_completion - image_completion),
            cache_write_tokens=written,
            cache_write_1h_tokens=min(self.cache_write_1h_tokens, written),
            audio_prompt_tokens=audio + cached_audio,
            audio_completion_tokens=audio_completion,
            cached_audio_tokens=cached_audio,
            image_prompt_tokens=image + cached_image,
            image_completion_tokens=image_completion,
            cached_image_tokens=cached_image,
        )

    def __add__(self, other: Usage) -> Usage:
        counts = {name: getattr(self, name) + getattr(other, name) for name in COUNTS}
        return Usage(**counts, estimated=self.estimated or other.estimated)


# The names of all counts of a usage.
COUNTS = tuple(field.name for field in fields(Usage) if field.name != "estimated")
