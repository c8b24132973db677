"""OpenAI's error objects, as the simulator answers with them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

# By status: type, code and message, after OpenAI's guide "Error codes". 529 is sent by other providers.
_KNOWN: Final[Mapping[int, tuple[str, str | None, str]]] = {
    400: ("invalid_request_error", None, "The request is invalid (simulated)."),
    401: ("invalid_request_error", "invalid_api_key", "Incorrect API key provided (simulated)."),
    402: ("insufficient_quota", "insufficient_credits", "Your account has no credit left (simulated)."),
    403: ("invalid_request_error", "permission_denied", "You do not have access to this resource (simulated)."),
    404: ("invalid_request_error", "model_not_found", "The model does not exist or you do not have access to it."),
    408: ("server_error", "request_timeout", "The request timed out (simulated)."),
    409: ("server_error", "conflict", "The resource was updated by another request (simulated)."),
    429: ("requests", "rate_limit_exceeded", "Rate limit reached for requests (simulated)."),
    500: ("server_error", "server_error", "The server had an error while processing your request (simulated)."),
    501: ("not_implemented_error", "not_implemented", "This server does not support this (simulated)."),
    502: ("server_error", "bad_gateway", "Bad gateway (simulated)."),
    503: ("server_error", "service_unavailable", "The engine is currently overloaded, please try again later."),
    504: ("server_error", "gateway_timeout", "Gateway timeout (simulated)."),
    529: ("overloaded_error", "overloaded", "Overloaded (simulated)."),
}

KNOWN_STATUSES: Final = tuple(_KNOWN)


class Refusal(Exception):
    """A request that the simulator answers with an error.

    `status` is the HTTP status, `error` is OpenAI's error object, and `allow` lists the methods that the address takes.
    `body` is what is sent: that object, unless another body is given.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        allow: str | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.allow = allow
        self.error = error_object("invalid_request_error", message, code=code, param=param)
        self.body = {"error": self.error} if body is None else body


def error_object(
    type_: str, message: str, *, code: str | None = None, param: str | None = None
) -> dict[str, str | None]:
    """The object that OpenAI puts under the key `error`."""
    return {"message": message, "type": type_, "param": param, "code": code}


def default_error(status: int) -> dict[str, Any]:
    """The error object that fits an HTTP status. Below 400, where no error is usual, it is that of a 500."""
    if status < 400:
        status = 500
    fallback = ("invalid_request_error" if status < 500 else "server_error", None, f"Simulated error {status}.")
    type_, code, message = _KNOWN.get(status, fallback)
    return error_object(type_, message, code=code)
