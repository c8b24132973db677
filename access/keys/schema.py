"""Tells the OpenAPI schema how a key is sent. The Authorize button of Swagger UI is made from this."""

from __future__ import annotations

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension


class ApiKeyScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = "access.keys.authentication.ApiKeyAuthentication"
    name = ["BearerKey", "AzureKey", "HeaderKey"]  # noqa: RUF012 - as drf-spectacular declares it

    def get_security_definition(self, auto_schema: Any) -> list[dict[str, Any]]:
        return [
            {"type": "http", "scheme": "bearer", "description": "An API key, as OpenAI's clients send theirs."},
            {"type": "apiKey", "in": "header", "name": "api-key", "description": "As Azure's clients send theirs."},
            {"type": "apiKey", "in": "header", "name": "X-API-Key"},
        ]

    def get_security_requirement(self, auto_schema: Any) -> list[dict[str, list[str]]]:
        return [{name: []} for name in self.name]  # a list of alternatives: one of them is enough
