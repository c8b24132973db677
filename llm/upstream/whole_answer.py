"""Reading a JSON object that an upstream sent: a whole answer, or what says in it that there is none."""

from __future__ import annotations

import aiohttp

from llm.error_reading import read_error
from llm.errors import InvalidUpstreamResponse
from llm.json_values import Json, read_json


def read_answer(response: aiohttp.ClientResponse, body: bytes) -> Json:
    """The body as an object. Raises InvalidUpstreamResponse, or the error that stands in the body of a 200."""
    try:
        answer = read_json(body)
    except (ValueError, RecursionError) as exception:
        raise InvalidUpstreamResponse("The upstream's answer is not JSON.", http_status=200) from exception
    if not isinstance(answer, dict):
        raise InvalidUpstreamResponse("The upstream's answer is not a JSON object.", http_status=200)
    if (error := error_in(answer)) is not None:
        raise read_error(error, http_status=response.status, headers=response.headers)
    return answer


def error_in(said: Json, event_name: bytes = b"") -> object | None:
    """The error object that a whole answer or a chunk holds, or is; None if it holds none."""
    if said.get("error"):
        error: object = said["error"]
        return error
    return said if said.get("object") == "error" or event_name == b"error" else None
