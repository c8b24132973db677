"""Puts the middleware of the API around views that Django's own handler does not call."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import TypeAlias

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.module_loading import import_string

View: TypeAlias = Callable[[HttpRequest], Awaitable[HttpResponseBase]]


def with_middleware(view: View, middleware: Iterable[str]) -> View:
    """The view with these middleware classes around it, the first of them outermost.

    `middleware` are dotted names. The classes must be async, because they run on the event loop.
    """
    for name in reversed(list(middleware)):
        view = import_string(name)(view)
    return view
