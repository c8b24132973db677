"""The rows of one call on their way into the database: plain values, so that a file can hold them as well."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from django.core.serializers.json import DjangoJSONEncoder

from chat.models import Attempt, CallContent, CallRecord

Values = dict[str, Any]


@dataclass(slots=True)
class CallRows:
    """Values by field name. `size` is about their number of bytes.

    `announced`: a row of this call is there already, since it ran long enough to get one while it was in progress; what
    is in here takes its place.
    """

    call: Values
    attempts: list[Values]
    content: Values | None = None
    announced: bool = False
    size: int = 0

    @property
    def request_id(self) -> str:
        return str(self.call["request_id"])

    @property
    def is_start(self) -> bool:
        """Is this the row of a call that is still running?"""
        return bool(self.call["status"] == CallRecord.Status.IN_PROGRESS)

    def to_json(self) -> str:
        """One line."""
        parts = {"call": self.call, "attempts": self.attempts, "content": self.content, "announced": self.announced}
        return json.dumps(parts, cls=_ExactEncoder)

    @classmethod
    def from_json(cls, line: str) -> Self:
        """Raises ValueError, KeyError or TypeError where the line is not one of ours."""
        parts = json.loads(line)
        return cls(
            call=_read(CallRecord, parts["call"]),
            attempts=[_read(Attempt, attempt) for attempt in parts["attempts"]],
            content=parts["content"] and _read(CallContent, parts["content"]),
            announced=parts["announced"],
            size=len(line),
        )


class _ExactEncoder(DjangoJSONEncoder):
    """Moments with all their microseconds: they tell two calls with one id apart."""

    def default(self, o: Any) -> Any:
        return o.isoformat() if hasattr(o, "isoformat") else super().default(o)


def _read(model: type[CallRecord | Attempt | CallContent], values: Mapping[str, Any]) -> Values:
    """JSON values as the model's fields have them: dates and decimals were text."""
    fields = {field.name: field for field in model._meta.concrete_fields}
    return {name: fields[name].to_python(value) for name, value in values.items()}
