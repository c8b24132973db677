"""The log line of a request that was refused before it became a call."""

from __future__ import annotations

import logging

from django.http import HttpRequest
from rest_framework.request import Request

from chat.request_ids import request_id_of


def log_refusal(logger: logging.Logger, request: HttpRequest | Request, *, status: int, code: str, detail: str) -> None:
    """Log a refusal. A request that made no call has no row in the history, so only this line tells of it.

    `detail` may name the caller's key, and must never contain its secret.
    """
    extra = {
        "request_id": request_id_of(request),
        "code": code,
        "http_status": status,
        "detail": detail,
        "path": request.path,
        "client_ip": request.META.get("REMOTE_ADDR"),
    }
    logger.info("request_refused", extra=extra)
