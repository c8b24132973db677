"""Errors as OpenAI words them, so that every SDK raises the error it knows.

    {"error": {"message", "type", "param", "code", "request_id"}}

An upstream's own error object goes through as it came.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rest_framework import exceptions
from rest_framework.response import Response

from chat.doors.exception_handler import flatten, handle, retry_after_header
from chat.doors.openai.headers import header_value, headers_of
from chat.errors import CallFailed, openai_status_of
from chat.request_ids import request_id_of
from llm import ContextWindowExceeded, NotSupported, UpstreamAuthFailed, UpstreamError

# Errors that few servers have a code for. A client that asks for the code gets ours where the upstream gave no name.
NAMED_BY_US = (ContextWindowExceeded, NotSupported)

# The `type` of an error by its status, for statuses where it is not simply the caller's or the server's fault.
TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}


def openai_handle(exception: Exception, context: Mapping[str, Any]) -> Response:
    """REST framework's exception handler for `/v1`. It runs on the event loop, so nothing in here may block."""
    request_id = request_id_of(context["request"])
    if isinstance(exception, CallFailed):
        error = exception.error
        # Our own retries are used up. Retries of the client on top of them would multiply the load.
        headers = headers_of(exception.outcome) | {"x-should-retry": "false"} | retry_after_header(error.retry_after)
        if error.upstream_request_id:
            headers["x-upstream-request-id"] = header_value(error.upstream_request_id)
        return Response(error_body(error, request_id), openai_status_of(error), headers=headers)
    answer = handle(exception, context)
    native = answer.data["error"]
    param = None
    if isinstance(exception, exceptions.ValidationError):
        param = next(iter(flatten(exception.detail)), None) or None
    code = native["code"]
    if isinstance(exception, exceptions.NotFound):
        code = exception.get_codes()  # The code says which thing was not found.
    answer.data = _body(native["message"], answer.status_code, code, param, request_id)
    return answer


def error_body(error: UpstreamError, request_id: str) -> dict[str, Any]:
    """The body for a failure of an upstream: its own error object, or ours if it gave none.

    An upstream that refuses our key may quote the key, so its words are never passed on.
    """
    if error.body and error.body.get("message") and not isinstance(error, UpstreamAuthFailed):
        body = {"type": None, "param": None, "code": None, **error.body, "request_id": request_id}
        if isinstance(error, NAMED_BY_US) and not isinstance(body["code"], str):
            body["code"] = error.code
        return {"error": body}
    return _body(error.message, openai_status_of(error), error.code, None, request_id)


def error_event(error: UpstreamError, request_id: str) -> dict[str, Any]:
    """The same as `error_body`, as the data of an event in a stream of the Responses API."""
    body = error_body(error, request_id)["error"]
    return {"type": "error", "code": body["code"] or error.code, "message": body["message"], "param": body["param"]}


def _body(message: str, status: int, code: str, param: str | None, request_id: str) -> dict[str, Any]:
    kind = TYPES.get(status, "server_error" if status >= 500 else "invalid_request_error")
    return {"error": {"message": message, "type": kind, "param": param, "code": code, "request_id": request_id}}
