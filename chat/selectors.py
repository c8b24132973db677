"""Reading the history: pages of calls, and one call with its attempts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from django.db.models import Prefetch, Q, QuerySet
from django.db.models.fields.json import KeyTextTransform
from rest_framework import serializers

from chat.models import Attempt, CallRecord
from chat.moments import MomentField


class HistoryQuery(serializers.Serializer[Any]):
    """The filters of GET /calls."""

    status = serializers.ChoiceField(choices=CallRecord.Status.choices, required=False)
    model = serializers.CharField(max_length=200, required=False, help_text="The model that answered, or was asked.")
    door = serializers.ChoiceField(choices=CallRecord.Door.choices, required=False)
    since = MomentField(required=False)
    until = MomentField(required=False)
    metadata = serializers.CharField(
        required=False, help_text="`key:value`, or a JSON object; `metadata[key]=value` does the same."
    )

    def validate_metadata(self, value: str) -> dict[str, str]:
        if value.startswith("{"):
            try:
                pairs = json.loads(value)
            except ValueError as error:
                raise serializers.ValidationError("Must be `key:value` or a JSON object.") from error
            if not isinstance(pairs, dict) or not all(isinstance(inner, str) for inner in pairs.values()):
                raise serializers.ValidationError("The values of a JSON object must be strings.")
            return pairs
        key, colon, wanted = value.partition(":")
        if not colon or not key:
            raise serializers.ValidationError("Must be `key:value` or a JSON object.")
        return {key: wanted}


PAGING = frozenset({"cursor", "page_size"})


def read_query(parameters: Mapping[str, str]) -> dict[str, Any]:
    """The checked filters. Raises ValidationError that names the parameter."""
    in_brackets = {name for name in parameters if name.startswith("metadata[") and name.endswith("]")}
    brackets = {name[len("metadata[") : -1]: parameters[name] for name in in_brackets}
    plain = {name: value for name, value in parameters.items() if name not in in_brackets}
    if unknown := sorted(set(plain) - set(HistoryQuery().fields) - PAGING):
        known = ", ".join([*HistoryQuery().fields, "cursor", "page_size"])
        raise serializers.ValidationError({name: [f"Unknown parameter. Known are: {known}."] for name in unknown})
    query = HistoryQuery(data=plain)
    query.is_valid(raise_exception=True)
    filters = dict(query.validated_data)
    filters["metadata"] = {**filters.get("metadata", {}), **brackets}
    return filters


def calls(filters: Mapping[str, Any]) -> QuerySet[CallRecord]:
    """The calls that fit, with no content and no attempts. Newest first is the page's business."""
    found = CallRecord.objects.all()
    for name in ("status", "door"):
        if name in filters:
            found = found.filter(**{name: filters[name]})
    if "model" in filters:
        asked = Q(model_used="", model_requested=filters["model"])
        found = found.filter(Q(model_used=filters["model"]) | asked)
    if "since" in filters:
        found = found.filter(created_at__gte=filters["since"])
    if "until" in filters:
        found = found.filter(created_at__lt=filters["until"])
    for number, (key, value) in enumerate(filters.get("metadata", {}).items()):
        # As an alias, because a caller's key may hold anything, double underscores too.
        name = f"metadata_{number}"
        found = found.alias(**{name: KeyTextTransform(key, "metadata")}).filter(**{name: value})
    return found


def call_with_attempts(request_id: str) -> CallRecord | None:
    return (
        CallRecord.objects.filter(request_id=request_id)
        .select_related("body")
        .prefetch_related(Prefetch("attempts", Attempt.objects.order_by("ordinal")))
        .first()
    )
