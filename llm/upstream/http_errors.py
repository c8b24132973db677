"""What went wrong with an HTTP request, from where aiohttp or the answer says it to our own error tree."""

from __future__ import annotations

import aiohttp

from llm.error_reading import read_exception
from llm.errors import StreamInterrupted, UpstreamError
from llm.json_values import read_json
from llm.upstream.event_stream import EventTooLarge

# What aiohttp raises when a request fails on its way, or its answer on its way back.
HTTP_EXCEPTIONS = (aiohttp.ClientError, TimeoutError, OSError)


def error_object(body: bytes) -> object:
    """The error object of an answer with a bad status, or whatever else its body says."""
    try:
        said = read_json(body)
    except (ValueError, RecursionError):
        return body.decode("utf-8", "replace")
    if isinstance(said, dict) and isinstance(said.get("error"), dict | str):
        return said["error"]
    return said


def read_stream_exception(exception: Exception) -> UpstreamError:
    """What an exception means once a stream has begun: whatever else it is, it has interrupted the stream."""
    if isinstance(exception, EventTooLarge):
        return StreamInterrupted("An event of the upstream's stream does not end.", http_status=200)
    return StreamInterrupted(read_exception(exception).message)


def is_our_timeout(exception: BaseException) -> bool:
    """Did one of the engine's own clocks run out? The time-outs of aiohttp itself are ClientErrors as well."""
    return isinstance(exception, TimeoutError) and not isinstance(exception, aiohttp.ClientError)
