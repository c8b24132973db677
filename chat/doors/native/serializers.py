"""What the native doors take, and how the API's schema describes what they answer."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from chat.fields import (
    MAX_TIMEOUT_SECONDS,
    MAX_TTL_SECONDS,
    MetadataField,
    NumberField,
    RouteField,
    StrictSerializer,
    TextField,
    WholeNumberField,
)
from chat.models import Attempt

ROLES = ("system", "developer", "user", "assistant", "tool", "function")


class MessageSerializer(serializers.Serializer[Any]):
    """One message, as OpenAI has it. Fields beyond these pass through."""

    role = serializers.ChoiceField(choices=ROLES)
    content = serializers.JSONField(required=False, allow_null=True, help_text="Text, or a list of content parts.")

    def to_internal_value(self, data: Any) -> Any:
        if not (isinstance(data, dict) and data.get("role") in ROLES):
            # This raises an error that says what is wrong. It is left out for good messages, because it takes long for
            # a long conversation.
            super().to_internal_value(data)
        content = data.get("content")
        if not (content is None or isinstance(content, str) or (isinstance(content, list) and content)):
            raise serializers.ValidationError({"content": ["Must be text, or a list of content parts."]})
        if content is None and data["role"] != "assistant":
            raise serializers.ValidationError({"content": ["This field is required."]})
        return dict(data)


_SEQUENCE = {"type": "string", "minLength": 1}


@extend_schema_field({"oneOf": [_SEQUENCE, {"type": "array", "items": _SEQUENCE, "minItems": 1, "maxItems": 4}]})
class StopField(serializers.Field[Any, Any, Any, Any]):
    """One to four sequences: a string, or a list of strings."""

    def to_internal_value(self, data: Any) -> Any:
        sequences = [data] if isinstance(data, str) else data
        if not isinstance(sequences, list) or not 1 <= len(sequences) <= 4:
            raise serializers.ValidationError(["Must be a string, or a list of 1 to 4 strings."])
        if not all(isinstance(sequence, str) and sequence for sequence in sequences):
            raise serializers.ValidationError(["Each sequence must be a string that is not empty."])
        return data


class PromptSerializer(StrictSerializer):
    """What every chat door takes."""

    prompt = TextField(required=False, help_text="One user message. Either this or `messages`.")
    messages = serializers.ListField(child=MessageSerializer(), required=False, min_length=1, max_length=2048)
    temperature = NumberField(required=False, min_value=0, max_value=2)
    top_p = NumberField(required=False, min_value=0, max_value=1)
    max_tokens = WholeNumberField(required=False, min_value=1, max_value=10_000_000)
    presence_penalty = NumberField(required=False, min_value=-2, max_value=2)
    frequency_penalty = NumberField(required=False, min_value=-2, max_value=2)
    seed = WholeNumberField(required=False, min_value=-(2**63), max_value=2**63 - 1)
    stop = StopField(required=False)
    reasoning_effort = TextField(required=False, max_length=32)
    response_format = serializers.DictField(required=False)
    user = TextField(required=False, max_length=512)
    timeout = NumberField(
        required=False, min_value=0.01, max_value=MAX_TIMEOUT_SECONDS, help_text="Seconds for the whole call."
    )
    default_message = TextField(required=False, max_length=10_000, help_text="Answer with this text if no model can.")
    metadata = MetadataField(required=False)
    cache_ttl = NumberField(
        required=False,
        min_value=0,
        max_value=MAX_TTL_SECONDS,
        help_text="Seconds for which this answer may be given again to the same request; 0 asks a model in any case.",
    )

    def validate(self, attrs: Any) -> Any:
        if ("prompt" in attrs) == ("messages" in attrs):
            given = "both" if "prompt" in attrs else "neither"
            raise serializers.ValidationError({"prompt": [f"Give either `prompt` or `messages`, not {given}."]})
        return attrs


class HedgeSerializer(PromptSerializer):
    hedge_after = NumberField(
        required=False,
        min_value=0,
        max_value=MAX_TIMEOUT_SECONDS,
        help_text="Seconds after which the next model of a race starts; 0 starts all at once.",
    )


class ChatSerializer(HedgeSerializer):
    """POST /chat"""

    model = RouteField(required=False)


class ChatStreamSerializer(ChatSerializer):
    """POST /chat/stream"""

    events = serializers.ChoiceField(choices=["text", "json"], default="text", help_text="Plain text, or typed events.")


class ParallelSerializer(HedgeSerializer):
    """POST /chat/parallel"""

    models = serializers.ListField(child=TextField(max_length=200), required=False, min_length=2, max_length=8)
    model = RouteField(required=False)

    def validate(self, attrs: Any) -> Any:
        if "models" in attrs and "model" in attrs:
            raise serializers.ValidationError({"models": ["Give either `models` or `model`, not both."]})
        for number, name in enumerate(attrs.get("models", ())):
            if "|" in name or ">" in name:
                reason = "Name one model each; a route goes into `model`."
                raise serializers.ValidationError({"models": {str(number): [reason]}})
        return super().validate(attrs)


class FallbackSerializer(HedgeSerializer):
    """POST /chat/fallback"""

    primary_provider = TextField(required=False, max_length=100)
    primary_model = RouteField(required=False)
    fallback_models = serializers.ListField(child=TextField(max_length=200), required=False, max_length=8)
    model = RouteField(required=False)

    def validate(self, attrs: Any) -> Any:
        others = {"primary_provider", "primary_model", "fallback_models"} & attrs.keys()
        if "model" in attrs and others:
            raise serializers.ValidationError({"model": [f"Give either `model` or `{sorted(others)[0]}`, not both."]})
        provider = attrs.get("primary_provider")
        if provider is not None and provider not in settings.PROVIDERS:
            known = ", ".join(settings.PROVIDERS)
            reason = f"There is no provider '{provider}'. Configured are: {known}."
            raise serializers.ValidationError({"primary_provider": [reason]})
        return super().validate(attrs)


class UsageSerializer(serializers.Serializer[Any]):
    prompt_tokens = serializers.IntegerField(allow_null=True)
    completion_tokens = serializers.IntegerField(allow_null=True)
    total_tokens = serializers.IntegerField(allow_null=True)
    cached_tokens = serializers.IntegerField(allow_null=True)
    reasoning_tokens = serializers.IntegerField(allow_null=True)
    cache_write_tokens = serializers.IntegerField(allow_null=True)
    audio_prompt_tokens = serializers.IntegerField(allow_null=True)
    audio_completion_tokens = serializers.IntegerField(allow_null=True)
    web_searches = serializers.IntegerField(allow_null=True)
    file_searches = serializers.IntegerField(allow_null=True)
    estimated = serializers.BooleanField()


class AnswerAttemptSerializer(serializers.Serializer[Any]):
    model = serializers.CharField()
    provider = serializers.CharField()
    status = serializers.ChoiceField(choices=Attempt.Status.choices)
    error_code = serializers.CharField(allow_null=True)
    latency_ms = serializers.IntegerField(allow_null=True)
    cost_usd = serializers.FloatField(allow_null=True)
    cost_estimated = serializers.BooleanField()
    cost_incomplete = serializers.BooleanField()


class AnswerSerializer(serializers.Serializer[Any]):
    """What the chat doors answer. It describes; the answer is written by `chat.doors.native.answers`."""

    request_id = serializers.CharField()
    content = serializers.CharField()
    model_used = serializers.CharField(allow_null=True)
    provider_used = serializers.CharField(allow_null=True)
    model = serializers.CharField(allow_null=True)
    finish_reason = serializers.CharField(allow_null=True)
    fallback_triggered = serializers.BooleanField()
    is_default_message = serializers.BooleanField()
    usage = UsageSerializer()
    cost_usd = serializers.FloatField(
        allow_null=True, help_text="What is known of the cost of all attempts together; null where no price is known."
    )
    cost_estimated = serializers.BooleanField(help_text="Some part of the cost is a guess, be it that of a loser.")
    cost_incomplete = serializers.BooleanField(help_text="Something that was used has no known price: it cost more.")
    latency_ms = serializers.IntegerField()
    created_at = serializers.DateTimeField()
    attempts = AnswerAttemptSerializer(many=True)
