"""GET /schema, the description of the API in OpenAPI's format."""

from __future__ import annotations

from drf_spectacular.views import SpectacularAPIView

from orchestration_site.compat import NoVersionParameter


class SchemaView(NoVersionParameter, SpectacularAPIView):
    """The description of the API, of which there is one version only."""
