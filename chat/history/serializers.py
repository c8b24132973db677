"""What GET /calls and GET /calls/{request_id} answer."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from chat.models import Attempt, CallRecord
from chat.record.content import content_of

# What a list shows of a call. These are all columns except the primary key and the lease.
CALL_FIELDS: tuple[str, ...] = (
    "request_id",
    "created_at",
    "door",
    "operation",
    "streamed",
    "route",
    "model_requested",
    "model_used",
    "provider_used",
    "status",
    "fallback_triggered",
    "is_default_message",
    "error_code",
    "error_message",
    "http_status",
    "latency_ms",
    "time_to_first_token_ms",
    "finish_reason",
    "completion_id",
    "stored",
    "cached",
    "prompt_tokens",
    "completion_tokens",
    "cached_tokens",
    "reasoning_tokens",
    "cache_write_tokens",
    "audio_prompt_tokens",
    "audio_completion_tokens",
    "web_searches",
    "file_searches",
    "service_tier",
    "usage_estimated",
    "cost_usd",
    "cost_estimated",
    "cost_incomplete",
    "original_cost_usd",
    "charged_usd",
    "metadata",
    "api_key",
    "client_ip",
    "user_agent",
)


class CallSerializer(serializers.ModelSerializer[CallRecord]):
    """A call in a list: its figures."""

    cost_usd = serializers.FloatField(allow_null=True)
    cost_estimated = serializers.BooleanField(source="cost_is_guessed", help_text="Some part of the cost is a guess.")
    original_cost_usd = serializers.FloatField(allow_null=True)
    charged_usd = serializers.FloatField(allow_null=True)

    class Meta:
        model = CallRecord
        fields = CALL_FIELDS


class AttemptSerializer(serializers.ModelSerializer[Attempt]):
    cost_usd = serializers.FloatField(allow_null=True)
    original_cost_usd = serializers.FloatField(allow_null=True)

    class Meta:
        model = Attempt
        exclude = ("id", "call")


class CallDetailSerializer(CallSerializer):
    """One call: its figures, its content where it is kept, and its attempts."""

    # A call's row does not have these four, so they are null until `to_representation` has filled them in.
    messages = serializers.JSONField(default=None, allow_null=True)
    parameters = serializers.JSONField(default=None, allow_null=True)
    content = serializers.CharField(
        default=None, allow_null=True, help_text="The answer for a reader: its text, or what it is instead."
    )
    answer = serializers.JSONField(
        default=None,
        allow_null=True,
        help_text=(
            "The answer of the upstream, whole or as far as it came. The bytes of images and sound are replaced by "
            "`data:<media type>;sha256=<hash>;size=<bytes>,`, and vectors by their number and dimensions."
        ),
    )
    attempts = AttemptSerializer(many=True)

    class Meta(CallSerializer.Meta):
        fields = (*CALL_FIELDS, "messages", "parameters", "content", "answer", "attempts")

    def to_representation(self, instance: CallRecord) -> Any:
        shown = super().to_representation(instance)
        if content := content_of(instance):
            shown |= {name: getattr(content, name) for name in ("messages", "parameters", "content", "answer")}
        return shown
