"""Serves the scripts and styles of the pages, so that no other server is needed for them."""

from __future__ import annotations

from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler
from django.core.exceptions import SuspiciousFileOperation
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from orchestration_site.http.errors import not_found


class StaticFiles(ASGIStaticFilesHandler):
    """Django's handler of static files, wrapped around an ASGI application.

    A path that leads out of the folders of static files is answered with 404, where Django would fail with 500. These
    answers do not pass the middleware, so they have none of its headers.
    """

    async def get_response_async(self, request: HttpRequest) -> HttpResponseBase:
        try:
            return await super().get_response_async(request)
        except (SuspiciousFileOperation, ValueError) as error:  # a NUL in the path is a ValueError
            return not_found(request, error)
