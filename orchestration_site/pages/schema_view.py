"""GET /schema"""

from __future__ import annotations

from drf_spectacular.views import SpectacularAPIView
from rest_framework.request import Request


class SchemaView(SpectacularAPIView):
    """The API's description. There is one version of it."""

    def _get_version_parameter(self, request: Request) -> None:
        # drf-spectacular would write `?version=` into a header, line ends and all.
        return None
