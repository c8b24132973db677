"""What went wrong with an HTTP request, from where aiohttp or the answer says it to our own error tree."""

from __future__ import annotations

import aiohttp

from llm.error_reading import read_exception
from llm.errors import StreamInterrupted, UpstreamError
from llm.json_values import read_json
from llm.upstream.event_stream import EventReader, EventTooLarge

# What aiohttp raises when a request fails on its way, or its answer on its way back.
HTTP_EXCEPTIONS = (aiohttp.ClientError, TimeoutError, OSError)


def error_body(body: bytes) -> object:
    """What the body of an answer with a bad status says: JSON, also as the data of an event, else text."""
    for written in (body, *EventReader().feed(body + b"\n\n")):
        try:
            return read_json(written)
        except (ValueError, RecursionError):
            continue
    return body.decode("utf-8", "replace")


def read_stream_exception(exception: Exception) -> UpstreamError:
    """What an exception means once a stream has begun: whatever else it is, it has interrupted the stream."""
    if isinstance(exception, EventTooLarge):
        return StreamInterrupted("An event of the upstream's stream does not end.", http_status=200)
    return StreamInterrupted(read_exception(exception).message)


def is_our_timeout(exception: BaseException) -> bool:
    """Did one of the engine's own clocks run out? The time-outs of aiohttp itself are ClientErrors as well."""
    return isinstance(exception, TimeoutError) and not isinstance(exception, aiohttp.ClientError)
