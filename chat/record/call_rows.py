"""The rows of one call on their way into the database, as plain values, so that the spool can hold them as well."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from django.core.serializers.json import DjangoJSONEncoder

from chat.models import Attempt, CallRecord
from chat.record.bulk_insert import Values
from chat.record.content import Content


@dataclass(slots=True)
class CallRows:
    """The row of a call, the rows of its attempts, and what was said in it, where that is kept.

    `announced`: the call ran for so long that it got a row while it was in progress, and these rows take the place of
    that one. `amends`: the call has ended and has rows already, and these take their place, because they say how it
    went in the end. `size` is about how many bytes the rows have.
    """

    call: Values
    attempts: list[Values]
    content: Content | None = None
    announced: bool = False
    amends: bool = False
    size: int = 0

    @property
    def request_id(self) -> str:
        return str(self.call["request_id"])

    @property
    def is_start(self) -> bool:
        """Whether this is the row of a call that is still running."""
        return bool(self.call["status"] == CallRecord.Status.IN_PROGRESS)

    def to_json(self) -> str:
        """All but the size, as one line."""
        content = self.content.values() if self.content else None
        parts = {
            "call": self.call,
            "attempts": self.attempts,
            "content": content,
            "announced": self.announced,
            "amends": self.amends,
        }
        return json.dumps(parts, cls=_ExactEncoder)

    @classmethod
    def from_json(cls, line: str) -> Self:
        """The opposite of `to_json`. Raises ValueError, KeyError or TypeError if `to_json` has not written the line."""
        parts = json.loads(line)
        return cls(
            call=_read(CallRecord, parts["call"]),
            attempts=[_read(Attempt, attempt) for attempt in parts["attempts"]],
            content=Content.from_values(parts["content"]) if parts["content"] else None,
            announced=parts["announced"],
            # The last version has written no such field.
            amends=parts.get("amends", False),
            size=len(line),
        )


class _ExactEncoder(DjangoJSONEncoder):
    """Writes moments with all their microseconds, because they tell apart two calls that have the same id."""

    def default(self, o: Any) -> Any:
        return o.isoformat() if hasattr(o, "isoformat") else super().default(o)


def _read(model: type[CallRecord | Attempt], values: Mapping[str, Any]) -> Values:
    """JSON values as the model's fields have them: in JSON, dates and decimals are text."""
    fields = {field.name: field for field in model._meta.concrete_fields}
    return {name: fields[name].to_python(value) for name, value in values.items()}
