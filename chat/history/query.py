"""Reading the query parameters of GET /calls."""

from __future__ import annotations

import json
from typing import Any

from django.http import QueryDict
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from chat.fields import MomentField
from chat.models import TIER_LENGTH, CallRecord

Pairs = list[tuple[str, str]]


@extend_schema_field(OpenApiTypes.STR)
class MetadataFilterField(serializers.Field[Pairs, list[str], Any, Any]):
    """The keys and values that a call's metadata must have, read from every `metadata` parameter of a query."""

    def to_internal_value(self, data: list[str]) -> Pairs:
        return [pair for written in data for pair in self._pairs(written)]

    def _pairs(self, written: str) -> Pairs:
        if not written.startswith("{"):
            key, colon, value = written.partition(":")
            if not colon or not key:
                raise serializers.ValidationError("Must be `key:value` or a JSON object.")
            return [(key, value)]
        try:
            pairs = json.loads(written)
        except (ValueError, RecursionError) as error:
            raise serializers.ValidationError("Must be `key:value` or a JSON object.") from error
        if not isinstance(pairs, dict) or not all(isinstance(value, str) for value in pairs.values()):
            raise serializers.ValidationError("The values of a JSON object must be strings.")
        return list(pairs.items())


class HistoryQuery(serializers.Serializer[Any]):
    """The filters of GET /calls."""

    status = serializers.ChoiceField(choices=CallRecord.Status.choices, required=False)
    model = serializers.CharField(max_length=200, required=False, help_text="The model that answered, or was asked.")
    door = serializers.ChoiceField(choices=CallRecord.Door.choices, required=False)
    since = MomentField(required=False)
    until = MomentField(required=False)
    metadata = MetadataFilterField(
        required=False, help_text="`key:value`, or a JSON object; `metadata[key]=value` does the same. May be repeated."
    )
    service_tier = serializers.CharField(
        max_length=TIER_LENGTH,
        required=False,
        allow_blank=True,
        help_text="The tier that was served. Empty: the calls whose answer named none.",
    )
    cost_estimated = serializers.BooleanField(required=False, help_text="Some part of the cost is a guess.")
    cost_incomplete = serializers.BooleanField(required=False, help_text="Something that was used has no known price.")
    page_size = serializers.IntegerField(min_value=1, max_value=500, default=50)
    cursor = serializers.CharField(max_length=200, required=False, help_text="From a `next` or `previous` link.")


def read_query(parameters: QueryDict) -> dict[str, Any]:
    """The checked filters and the page. Raises ValidationError that names the parameter."""
    in_brackets = {name for name in parameters if name.startswith("metadata[") and name.endswith("]")}
    plain = set(parameters) - in_brackets
    known = HistoryQuery().fields
    if unknown := sorted(plain - set(known)):
        names = ", ".join(known)
        raise serializers.ValidationError({name: [f"Unknown parameter. Known are: {names}."] for name in unknown})
    if repeated := sorted(name for name in plain - {"metadata"} if len(parameters.getlist(name)) > 1):
        raise serializers.ValidationError({name: ["Must be given once."] for name in repeated})
    data = {name: parameters.getlist(name) if name == "metadata" else parameters[name] for name in plain}
    query = HistoryQuery(data=data)
    query.is_valid(raise_exception=True)
    brackets = [
        (name[len("metadata[") : -1], value) for name in sorted(in_brackets) for value in parameters.getlist(name)
    ]
    pairs = [*query.validated_data.get("metadata", []), *brackets]
    refuse_null_characters(pairs)
    return {**query.validated_data, "metadata": pairs}


def refuse_null_characters(pairs: Pairs) -> None:
    """PostgreSQL can't compare a text that has a null character. Raises ValidationError."""
    if any("\x00" in text for pair in pairs for text in pair):
        raise serializers.ValidationError({"metadata": ["Null characters are not allowed."]})
