"""What the description of the API (OpenAPI) says of every operation: the answers that are given before a view runs.

drf-spectacular writes the description; the settings name `Description` as the class that describes a view.
"""

from __future__ import annotations

from typing import Any

from drf_spectacular.extensions import OpenApiSerializerExtension
from drf_spectacular.openapi import AutoSchema

from chat.doors.openai.serializers import OpenAIErrorSerializer
from chat.errors import ErrorSerializer
from llm import Json
from orchestration_site.compat import map_serializer_without_extensions
from orchestration_site.http.errors import is_openai_address

# Answers of every operation: what each status means there.
ALWAYS = {"400": "The request can't be read."}
# Answers of an operation that needs an API key.
WITH_A_KEY = {
    "401": "No API key, or one that is wrong, revoked or has expired.",
    "503": "The database can't be reached at the moment.",
}
# Answers of an operation that takes a body.
WITH_A_BODY = {
    "408": "The body did not come in time.",
    "413": "The body is too large.",
    "415": "The body is not `application/json`, or is packed with something else than gzip or deflate.",
}
# Headers of every answer, and headers of the answers with a certain status.
HEADERS = {"X-Request-ID": "The id of this request: the caller's own, if it is well formed."}
HEADERS_OF = {
    "401": {"WWW-Authenticate": "How to send a key."},
    "429": {"Retry-After": "Seconds after which it may work, where that is known."},
}


class StrictBody(OpenApiSerializerExtension):  # type: ignore[no-untyped-call]
    """Describes a body in which an unknown field is an error."""

    target_class = "chat.fields.StrictSerializer"
    match_subclasses = True

    def map_serializer(self, auto_schema: Any, direction: Any) -> Json:
        described = map_serializer_without_extensions(auto_schema, self.target, direction)
        return {**described, "additionalProperties": False}


class Description(AutoSchema):
    """Describes a view of REST framework.

    All answers are taken for JSON. A view whose answer is something else, such as a stream of events, says so itself.
    """

    def map_renderers(self, attribute: str) -> list[Any]:
        del attribute
        return ["application/json"]

    def get_operation(self, *arguments: Any, **options: Any) -> Json | None:
        operation: Json | None = super().get_operation(*arguments, **options)
        if operation is not None:
            self._add_common_answers(operation)
        return operation

    def _add_common_answers(self, operation: Json) -> None:
        meanings = dict(ALWAYS)
        if operation.get("security"):
            meanings |= WITH_A_KEY
        if "requestBody" in operation:
            meanings |= WITH_A_BODY
        kind = OpenAIErrorSerializer if is_openai_address(self.path) else ErrorSerializer
        error = self.resolve_serializer(kind(), "response").ref
        answers: Json = operation["responses"]
        for status, meaning in meanings.items():
            answer = {"description": meaning, "content": {"application/json": {"schema": error}}}
            answers.setdefault(status, answer)
        for status, answer in answers.items():
            described = HEADERS | HEADERS_OF.get(status, {})
            answer["headers"] = {
                name: {"description": meaning, "schema": {"type": "string"}} for name, meaning in described.items()
            }
        operation["responses"] = dict(sorted(answers.items()))
