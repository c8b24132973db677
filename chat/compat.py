"""Private and undocumented parts of REST framework that this package uses, each in a function of its own.

A new release may change them without saying so. tests/chat/test_compat.py fails when one does.
Checked with Django REST framework 3.18.3 and adrf 0.1.14.
"""

from __future__ import annotations

from typing import Any, cast

from django.http import HttpRequest
from rest_framework.request import Request
from rest_framework.response import Response


def http_request_of(request: Request) -> HttpRequest:
    """Django's request inside one of REST framework.

    A door needs its class (`DoorRequest`) and its ASGI scope. REST framework passes on the attributes of Django's
    request, but has no public way to the request itself.
    """
    return cast(HttpRequest, cast(Any, request)._request)


def forget_parser_context(request: Request) -> None:
    """Let a request no longer refer to itself.

    REST framework puts the request into a dictionary that the request holds, for its parsers. Such a cycle is freed
    only by the garbage collector, and until then the body stays in memory. Call this when the body has been read.
    """
    request.parser_context.clear()


def forget_renderer_context(response: Response) -> None:
    """Let a rendered response no longer refer to itself, by the dictionary that its renderer got."""
    cast(dict[str, Any], cast(Any, response).renderer_context).clear()
