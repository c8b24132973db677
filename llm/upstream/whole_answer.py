"""A whole answer: read from the body of an HTTP answer, or put together from the chunks of a stream."""

from __future__ import annotations

from collections.abc import Iterable

import aiohttp

from llm.error_reading import error_in, read_error
from llm.errors import InvalidUpstreamResponse
from llm.json_values import Json, read_json
from llm.operations import Operation


def read_answer(response: aiohttp.ClientResponse, body: bytes) -> Json:
    """The body as an object. Raises InvalidUpstreamResponse, or the error that stands in the body of a 200."""
    try:
        answer = read_json(body)
    except (ValueError, RecursionError) as exception:
        raise InvalidUpstreamResponse("The upstream's answer is not JSON.", http_status=200) from exception
    if not isinstance(answer, dict):
        raise InvalidUpstreamResponse("The upstream's answer is not a JSON object.", http_status=200)
    if error := error_in(answer):
        raise read_error(error, http_status=response.status, headers=response.headers)
    return answer


def assemble_answer(operation: Operation, chunks: Iterable[Json]) -> Json:
    """The answer that a stream's chunks amount to. Raises InvalidUpstreamResponse."""
    try:
        return operation.assemble(chunks)
    except (TypeError, RuntimeError, AttributeError, ValueError) as exception:
        raise InvalidUpstreamResponse("The upstream's chunks do not add up to an answer.") from exception
