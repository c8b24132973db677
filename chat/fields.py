"""Fields and the strict serializer with which the rooms of this package check what callers send."""

from __future__ import annotations

import datetime as dt
import re
from functools import cache, cached_property
from typing import Any, ClassVar

from django.core.validators import ProhibitNullCharactersValidator
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.fields import empty
from rest_framework.validators import ProhibitSurrogateCharactersValidator

from chat.models import ROUTE_LENGTH

# The validators that REST framework adds to every text field, and that `TextField` takes away again.
CHARACTER_CHECKS = (ProhibitNullCharactersValidator, ProhibitSurrogateCharactersValidator)

# The longest timeout and the longest time to keep an answer that a caller may ask for.
MAX_TIMEOUT_SECONDS = 3600.0
MAX_TTL_SECONDS = 31_536_000.0

ROUTE_HELP = "A model, a race `a|b`, a fallback chain `a>b`, both, or a route that the settings name."

# A date, a time and an offset whose `+` became a space: forms and query strings decode a plus sign like that.
SPACED_OFFSET = re.compile(r"(.+[T ].+) (\d\d(:?\d\d)?)")


class StrictSerializer(serializers.Serializer[Any]):
    """A serializer that refuses unknown fields: a typo must not silently change what is asked for and paid.

    It is quicker than REST framework's own for bodies that leave out most of the fields.
    """

    @cached_property
    def _by_name(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        """The fields in a plain dict, because each look-up in REST framework's own mapping calls Python code."""
        return dict(self.fields)

    @cached_property
    def _with_default(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        return {name: field for name, field in self._by_name.items() if field.default is not empty}

    def to_internal_value(self, data: Any) -> Any:
        if not isinstance(data, dict):
            return super().to_internal_value(data)
        value: dict[str, Any] = {}
        errors: dict[str, Any] = {}
        for name, field in self._by_name.items():
            if name in data:
                try:
                    value[name] = field.run_validation(data[name])
                except serializers.ValidationError as error:
                    errors[name] = error.detail
            elif field.required:
                errors[name] = [field.error_messages["required"]]
        if errors:
            raise serializers.ValidationError(errors)
        if unknown := sorted(data.keys() - self._by_name.keys()):
            known = ", ".join(sorted(self._by_name))
            raise serializers.ValidationError({name: [f"Unknown field. Known are: {known}."] for name in unknown})
        for name, field in self._with_default.items():
            if name not in data:
                value[name] = field.get_default()
        return value


@cache
def _reusable(serializer: type[StrictSerializer]) -> StrictSerializer:
    return serializer()


def checked(serializer: type[StrictSerializer], data: dict[str, Any]) -> dict[str, Any]:
    """The checked fields of a body. Raises ValidationError.

    One serializer checks all requests. It keeps nothing of a request, and making a new one would copy all its fields.
    """
    return dict(_reusable(serializer).run_validation(data))


class NumberField(serializers.FloatField):
    """A JSON number: no string, no boolean, no NaN."""

    def to_internal_value(self, data: Any) -> float:
        if isinstance(data, bool) or not isinstance(data, int | float):
            self.fail("invalid")
        return super().to_internal_value(data)


class WholeNumberField(serializers.IntegerField):
    """A whole JSON number: no string, no boolean."""

    def to_internal_value(self, data: Any) -> int:
        if isinstance(data, bool) or not isinstance(data, int | float):
            self.fail("invalid")
        return super().to_internal_value(data)


class TextField(serializers.CharField):
    """A JSON string, taken as it is: it is not trimmed, and a number is no text."""

    def __init__(self, **options: Any) -> None:
        super().__init__(trim_whitespace=False, **options)
        # An upstream takes a NUL, so a prompt may hold one. Lone surrogates can't come this far, because
        # `StrictJSONParser` refuses them. REST framework's own check looks at each character in Python, which would
        # hold up all other calls for a long prompt.
        self.validators = [v for v in self.validators if not isinstance(v, CHARACTER_CHECKS)]

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return super().to_internal_value(data)


class RouteField(TextField):
    """A route as callers write it. Whether it can be read is checked by the engine."""

    def __init__(self, **options: Any) -> None:
        super().__init__(max_length=ROUTE_LENGTH, help_text=ROUTE_HELP, **options)


class MetadataField(serializers.DictField):
    """A caller's own pairs, within OpenAI's limits: up to 16 pairs, keys of 64 characters, values of 512."""

    def __init__(self, **options: Any) -> None:
        super().__init__(child=TextField(max_length=512, allow_blank=True), **options)

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, dict) and len(data) > 16:
            raise serializers.ValidationError(["At most 16 pairs."])
        if isinstance(data, dict) and any(len(key) > 64 for key in data):
            raise serializers.ValidationError(["A key has at most 64 characters."])
        return super().to_internal_value(data)


@extend_schema_field(OpenApiTypes.DATETIME)
class MomentField(serializers.Field[dt.datetime, str, str, Any]):
    """A date or a date-time in ISO 8601. Without an offset it is UTC; a date stands for its first moment."""

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
