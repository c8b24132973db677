"""The limit on the size of a request's body."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponseBase

from orchestration_site.http.bodies.body_limit import BodyLimit

SCOPE = {
    "type": "http",
    "method": "POST",
    "path": "/chat",
    "query_string": b"",
    "headers": [(b"content-length", b"11")],
    "state": {"request_id": "req_1"},
}


class Marking:
    """A middleware that puts a header on each answer."""

    def __init__(self, get_response: Any) -> None:
        self._get_response = get_response

    async def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response: HttpResponseBase = await self._get_response(request)
        response["x-marked"] = "yes"
        return response


async def test_a_413_passes_the_middleware_that_the_limit_is_given() -> None:
    sent: list[Any] = []

    async def receive() -> Any:
        raise AssertionError("the announced length is enough to refuse the body")

    async def send(message: Any) -> None:
        sent.append(message)

    async def application(scope: Any, receive: Any, send: Any) -> None:
        raise AssertionError("a body that is too large reaches nobody")

    limit = BodyLimit(application, max_bytes=10, middleware=[f"{__name__}.Marking"])
    await limit(SCOPE, receive, send)
    assert sent[0]["status"] == 413
    assert (b"x-marked", b"yes") in sent[0]["headers"]
