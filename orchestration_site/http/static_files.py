"""The pages' scripts and styles, served by the service itself."""

from __future__ import annotations

from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler
from django.core.exceptions import SuspiciousFileOperation
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from orchestration_site.http.errors import not_found


class StaticFiles(ASGIStaticFilesHandler):
    """Django's, but a path that leads out of the folders is a 404 like any that leads nowhere, and no failure."""

    async def get_response_async(self, request: HttpRequest) -> HttpResponseBase:
        try:
            return await super().get_response_async(request)
        except (SuspiciousFileOperation, ValueError) as error:  # a NUL is a ValueError
            return not_found(request, error)
