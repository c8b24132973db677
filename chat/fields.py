"""A moment as a caller writes it into a query."""

from __future__ import annotations

import datetime as dt
import re
from typing import Any, ClassVar

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

SPACED_OFFSET = re.compile(r"(.+[T ].+) (\d\d(:?\d\d)?)")
"""A date, a time, and an offset whose `+` was decoded to a space, as a form has it."""


@extend_schema_field(OpenApiTypes.DATETIME)
class MomentField(serializers.Field[dt.datetime, str, str, Any]):
    """A date or a date-time in ISO 8601. Without an offset it is UTC; a date is its first moment."""

    default_error_messages: ClassVar = {"invalid": "Must be a date or a date-time, like 2026-11-24T10:30:00Z."}

    def to_internal_value(self, data: str) -> dt.datetime:
        text = data.strip()
        if spaced := SPACED_OFFSET.fullmatch(text):
            text = f"{spaced[1]}+{spaced[2]}"
        try:
            moment = dt.datetime.fromisoformat(text)
            return moment.replace(tzinfo=moment.tzinfo or dt.UTC).astimezone(dt.UTC)
        except (ValueError, OverflowError):
            self.fail("invalid")
