"""The parts of a usage, in the words of many vendors: what was cached, thought, sound, an image, or searched."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from llm.operations.billing.counts import count_of

# Objects that hold the parts of a count.
PROMPT_DETAILS: Final = ("prompt_tokens_details", "input_tokens_details", "input_token_details")
COMPLETION_DETAILS: Final = ("completion_tokens_details", "output_tokens_details", "output_token_details")

# Names of the tokens that a cache held already, in the usage object or in its details. By vendor: OpenAI, Moonshot and
# Together; DeepSeek; Anthropic and its translators; xAI; OpenAI's Codex; LangChain; gateways.
CACHED: Final = (
    "cached_tokens",
    "prompt_cache_hit_tokens",
    "cache_read_input_tokens",
    "cached_prompt_text_tokens",
    "cached_input_tokens",
    "cache_read",
    "cache_read_tokens",
)

# Names of the tokens that were written to a cache. By vendor: Anthropic; OpenAI and OpenRouter; gateways; LiteLLM;
# LangChain.
WRITTEN: Final = (
    "cache_creation_input_tokens",
    "cache_write_tokens",
    "cache_write_input_tokens",
    "cache_creation_tokens",
    "cache_creation",
)

# Where the written tokens are told apart by how long they are kept: Anthropic's object, and LiteLLM's in the details.
WRITTEN_BY_TIME: Final = ("cache_creation", "cache_creation_token_details")
MINUTES: Final = "ephemeral_5m_input_tokens"
HOUR: Final = "ephemeral_1h_input_tokens"

REASONING: Final = ("reasoning_tokens", "reasoning_output_tokens", "thinking_tokens")

# Parts of a detail: sound and images. Outside of the details nobody could say what they are a part of.
AUDIO: Final = "audio_tokens"
IMAGE: Final = "image_tokens"

# What of the cached tokens was sound or an image. Source: OpenAI's Realtime API.
CACHED_DETAILS: Final = "cached_tokens_details"

# Searches that the provider made: the name of the count, and the object of the usage that it is in. By vendor:
# Perplexity; Anthropic and OpenRouter; xAI.
WEB_SEARCHES: Final = (
    ("", "num_search_queries"),
    ("server_tool_use", "web_search_requests"),
    ("server_tool_use_details", "web_search_requests"),
    ("server_side_tool_usage_details", "web_search_calls"),
)
FILE_SEARCHES: Final = (("server_side_tool_usage_details", "file_search_calls"),)


def cached_in(usage: Mapping[str, Any]) -> int:
    return _most(usage, PROMPT_DETAILS, CACHED)


def written_in(usage: Mapping[str, Any]) -> int:
    by_time = sum(count_of(holder, name) or 0 for holder in _written_by_time(usage)[:1] for name in (MINUTES, HOUR))
    return max(_most(usage, PROMPT_DETAILS, WRITTEN), by_time)


def reasoning_in(usage: Mapping[str, Any]) -> int:
    return _most(usage, COMPLETION_DETAILS, REASONING)


def rare_parts(usage: Mapping[str, Any]) -> dict[str, int]:
    """The counts that most answers don't have, by their names in `Usage`. Those that are 0 are left out."""
    prompt_details, completion_details = _objects(usage, PROMPT_DETAILS), _objects(usage, COMPLETION_DETAILS)
    cached_details = [inner for holder in (usage, *prompt_details) for inner in _objects(holder, (CACHED_DETAILS,))]
    counts = {
        "cache_write_tokens": written_in(usage),
        "cache_write_1h_tokens": _largest(_written_by_time(usage), HOUR),
        "audio_prompt_tokens": _largest(prompt_details, AUDIO),
        "audio_completion_tokens": _largest(completion_details, AUDIO),
        "cached_audio_tokens": _largest(cached_details, AUDIO),
        "image_prompt_tokens": _largest(prompt_details, IMAGE),
        "image_completion_tokens": _largest(completion_details, IMAGE),
        "cached_image_tokens": _largest(cached_details, IMAGE),
        "web_searches": _searches(usage, WEB_SEARCHES),
        "file_searches": _searches(usage, FILE_SEARCHES),
    }
    return {name: count for name, count in counts.items() if count}


def _written_by_time(usage: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [
        inner for holder in (usage, *_objects(usage, PROMPT_DETAILS)) for inner in _objects(holder, WRITTEN_BY_TIME)
    ]


def _searches(usage: Mapping[str, Any], places: Iterable[tuple[str, str]]) -> int:
    return max(count_of(usage.get(place) if place else usage, name) or 0 for place, name in places)


def _objects(holder: Mapping[str, Any], names: Iterable[str]) -> list[Mapping[str, Any]]:
    return [inner for name in names if isinstance(inner := holder.get(name), Mapping)]


def _largest(holders: Iterable[Mapping[str, Any]], name: str) -> int:
    return max((count_of(holder, name) or 0 for holder in holders), default=0)


def _most(usage: Mapping[str, Any], details: Iterable[str], names: Iterable[str]) -> int:
    """The largest count under any of the names. A vendor that says it twice may leave a zero in the other place."""
    holders = (usage, *(usage.get(name) for name in details))
    return max(count_of(holder, name) or 0 for holder in holders for name in names)
