"""Reading a whole answer from the body of an HTTP answer."""

from __future__ import annotations

import aiohttp

from llm.error_reading import error_in, read_error
from llm.errors import InvalidUpstreamResponse
from llm.json_values import Json, read_json
from llm.upstream.attempt import Attempt


def read_answer(response: aiohttp.ClientResponse, body: bytes, attempt: Attempt) -> Json:
    """The body as an object. Raises InvalidUpstreamResponse, or the error that stands in the body of a 200.

    The attempt notes what such an error says of the usage.
    """
    try:
        answer = read_json(body)
    except (ValueError, RecursionError) as exception:
        raise InvalidUpstreamResponse("The upstream's answer is not JSON.", http_status=200) from exception
    if not isinstance(answer, dict):
        raise InvalidUpstreamResponse("The upstream's answer is not a JSON object.", http_status=200)
    if error := error_in(answer):
        attempt.saw_failed_answer(answer)
        raise read_error(error, http_status=response.status, headers=response.headers)
    return answer
