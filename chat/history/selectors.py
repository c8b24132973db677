"""Reading the history: pages of calls, and one call with its attempts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from django.db.models import Func, Prefetch, Q, QuerySet, TextField, Value
from django.http import QueryDict
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from chat.fields import MomentField
from chat.models import Attempt, CallRecord

Pairs = list[tuple[str, str]]


@extend_schema_field(OpenApiTypes.STR)
class MetadataField(serializers.Field[Pairs, list[str], Any, Any]):
    """Keys and the values that they must have, out of every `metadata` of a query."""

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
    metadata = MetadataField(
        required=False, help_text="`key:value`, or a JSON object; `metadata[key]=value` does the same. May be repeated."
    )
    page_size = serializers.IntegerField(min_value=1, max_value=500, default=50)
    cursor = serializers.CharField(max_length=200, required=False, help_text="From a `next` or `previous` link.")


class MetadataText(Func):
    """The text under a key of a JSON object, whatever the key is. Django's own paths take digits for an index."""

    output_field = TextField()

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> Any:
        (column, column_params), (key, key_params) = map(compiler.compile, self.get_source_expressions())
        text = f"(SELECT value FROM json_each({column}) WHERE key = {key} AND type = 'text')"  # noqa: S608
        return text, (*column_params, *key_params)

    def as_postgresql(self, compiler: Any, connection: Any, **context: Any) -> Any:
        (column, column_params), (key, key_params) = map(compiler.compile, self.get_source_expressions())
        return f"({column} ->> {key}::text)", (*column_params, *key_params)


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
    if any("\x00" in text for pair in pairs for text in pair):
        raise serializers.ValidationError({"metadata": ["Null characters are not allowed."]})
    return {**query.validated_data, "metadata": pairs}


def calls(filters: Mapping[str, Any]) -> QuerySet[CallRecord]:
    """The calls that fit (`api_key`: of that key), with no content and no attempts. The page puts the newest first."""
    found = CallRecord.objects.all()
    for name in ("status", "door"):
        if name in filters:
            found = found.filter(**{name: filters[name]})
    if filters.get("api_key") is not None:
        found = found.filter(api_key=filters["api_key"])
    if "model" in filters:
        asked = Q(model_used="", model_requested=filters["model"])
        found = found.filter(Q(model_used=filters["model"]) | asked)
    if "since" in filters:
        found = found.filter(created_at__gte=filters["since"])
    if "until" in filters:
        found = found.filter(created_at__lt=filters["until"])
    for number, (key, value) in enumerate(filters["metadata"]):
        # As an alias, because a caller's key may hold anything, double underscores too.
        name = f"metadata_{number}"
        found = found.alias(**{name: MetadataText("metadata", Value(key))}).filter(**{name: value})
    return found


def call_with_attempts(request_id: str, *, api_key: str | None = None) -> CallRecord | None:
    """A call, if there is one; with `api_key`, if it is that key's."""
    if "\x00" in request_id:  # PostgreSQL has no place for it
        return None
    found = CallRecord.objects.filter(request_id=request_id)
    if api_key is not None:
        found = found.filter(api_key=api_key)
    return found.prefetch_related(Prefetch("attempts", Attempt.objects.order_by("ordinal"))).first()
