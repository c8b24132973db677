"""The media types of answers besides JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rest_framework.renderers import JSONRenderer


class EventStreamRenderer(JSONRenderer):
    """Lets in a client that accepts only `text/event-stream`.

    REST framework renders only errors here, and they are JSON. The doors write their streams themselves.
    """

    media_type = "text/event-stream"
    format = "sse"

    def render(
        self, data: Any, accepted_media_type: str | None = None, renderer_context: Mapping[str, Any] | None = None
    ) -> bytes:
        if renderer_context:
            renderer_context["response"]["Content-Type"] = "application/json"
        return super().render(data, "application/json", renderer_context)
