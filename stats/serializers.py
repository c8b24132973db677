"""The form of /stats: the parameters of its query, and its answer as JSON.

The OpenAPI schema shows the docstrings of the serializers to callers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from decimal import Decimal
from typing import Any

from django.http import QueryDict
from rest_framework import serializers

from chat.fields import MomentField
from chat.models import NAME_LENGTH, CallRecord
from stats.statistics import Group, Percentiles, Statistics, StatsAnswer
from stats.stats_filter import GROUP_BY, GroupBy


class ChoiceField(serializers.ChoiceField):
    """One of a few values. The error text lists them."""

    def __init__(self, choices: Any, **options: Any) -> None:
        super().__init__(choices, **options)
        self.error_messages["invalid_choice"] = f"Must be one of {', '.join(self.choices)}."


class StatsQuerySerializer(serializers.Serializer[Any]):
    """The query of GET /stats. It takes a QueryDict, and refuses a parameter that is unknown or given twice."""

    since = MomentField(required=False, help_text="From this moment on.")
    until = MomentField(required=False, help_text="Up to, and without, this moment.")
    model = serializers.CharField(
        required=False,
        max_length=NAME_LENGTH,
        trim_whitespace=False,
        help_text="The model that answered, or the one asked for where none did.",
    )
    door = ChoiceField(CallRecord.Door.choices, required=False)
    status = ChoiceField(CallRecord.Status.choices, required=False)
    api_key = serializers.CharField(
        required=False,
        max_length=NAME_LENGTH,
        trim_whitespace=False,
        allow_blank=True,
        help_text="The name of a key. Empty: the calls without one.",
    )
    group_by = ChoiceField(GROUP_BY, required=False)

    def to_internal_value(self, data: QueryDict) -> Any:
        errors: dict[str, list[str]] = {}
        for name, values in data.lists():
            if name not in self.fields:
                errors[name] = [f"Unknown parameter. Known are: {', '.join(self.fields)}."]
            elif len(values) > 1:
                errors[name] = ["Must be given once."]
        if errors:
            raise serializers.ValidationError(errors)
        return super().to_internal_value(data.dict())

    def validate(self, attrs: Mapping[str, Any]) -> Mapping[str, Any]:
        if "since" in attrs and "until" in attrs and attrs["until"] < attrs["since"]:
            raise serializers.ValidationError({"until": ["Must not be before `since`."]})
        return attrs


class PercentilesSerializer(serializers.Serializer[Any]):
    p50 = serializers.IntegerField(allow_null=True)
    p95 = serializers.IntegerField(allow_null=True)
    p99 = serializers.IntegerField(allow_null=True)


class StatisticsSerializer(serializers.Serializer[Any]):
    """Describes `Statistics` in the schema. `statistics_json` writes the answer, because a serializer is slow."""

    total_requests = serializers.IntegerField()
    cancelled_requests = serializers.IntegerField()
    in_progress_requests = serializers.IntegerField()
    average_latency_ms = serializers.FloatField(allow_null=True)
    latency_ms = PercentilesSerializer()
    time_to_first_token_ms = PercentilesSerializer()
    total_cost_usd = serializers.FloatField()
    error_rate = serializers.FloatField(
        help_text="Failed, defaulted and interrupted calls, of those that ended and were not cancelled."
    )
    attempt_error_rate = serializers.FloatField(help_text="Failed attempts, of those that were sent.")
    fallback_rate = serializers.FloatField()
    default_message_rate = serializers.FloatField()
    race_win_rate = serializers.DictField(child=serializers.FloatField(), help_text="By model.")
    race_cost_usd = serializers.FloatField(help_text="What was spent on raced attempts that were not the answer.")
    estimated_cost_share = serializers.FloatField(help_text="The part of the cost whose tokens we counted ourselves.")
    prompt_tokens = serializers.IntegerField()
    completion_tokens = serializers.IntegerField()
    cached_tokens = serializers.IntegerField(help_text="The part of prompt_tokens that came from a provider's cache.")
    reasoning_tokens = serializers.IntegerField(help_text="The part of completion_tokens that was only thought.")
    cache_write_tokens = serializers.IntegerField(help_text="The part of prompt_tokens that was written to a cache.")
    audio_prompt_tokens = serializers.IntegerField(help_text="The part of prompt_tokens that was sound.")
    audio_completion_tokens = serializers.IntegerField(help_text="The part of completion_tokens that was sound.")
    web_searches = serializers.IntegerField()
    file_searches = serializers.IntegerField()
    cost_unknown_requests = serializers.IntegerField(help_text="Calls that are missing from the cost.")
    cost_incomplete_requests = serializers.IntegerField(help_text="Calls that have cost more than is known.")
    cost_estimated_requests = serializers.IntegerField(help_text="Calls some part of whose cost is a guess.")


class GroupSerializer(StatisticsSerializer):
    """A group: its key, once more under the name that was grouped by, and its figures."""

    key = serializers.CharField(allow_blank=True)

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        named: dict[str, Any] = {name: serializers.CharField(required=False, allow_blank=True) for name in GROUP_BY}
        return {**super().get_fields(), **named}


class StatsSerializer(StatisticsSerializer):
    """The answer of GET /stats."""

    groups = GroupSerializer(many=True)
    groups_truncated = serializers.BooleanField(help_text="There are more groups than are given.")


def answer_json(answer: StatsAnswer, group_by: GroupBy | None) -> dict[str, Any]:
    """The answer as JSON. Costs become floating point only here."""
    groups = [_group_json(group, group_by) for group in answer.groups if group_by]
    return {**statistics_json(answer.statistics), "groups": groups, "groups_truncated": answer.truncated}


def statistics_json(statistics: Statistics) -> dict[str, Any]:
    return {field.name: _plain(getattr(statistics, field.name)) for field in fields(statistics)}


def _group_json(group: Group, group_by: GroupBy) -> dict[str, Any]:
    return {"key": group.key, group_by: group.key, **statistics_json(group.statistics)}


def _plain(value: Any) -> Any:
    match value:
        case Percentiles():
            return asdict(value)
        case Decimal():
            return float(value)
    return value
