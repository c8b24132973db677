"""The main fields of the bodies under `/v1`, for the API's schema. All other fields of OpenAI's go through too."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from chat.fields import ROUTE_HELP

_INPUT_HELP = "A text, or a list, as OpenAI has it."


class _RequestSerializer(serializers.Serializer[Any]):
    model = serializers.CharField(help_text=ROUTE_HELP)


class ChatCompletionRequestSerializer(_RequestSerializer):
    messages = serializers.ListField(child=serializers.DictField())
    stream = serializers.BooleanField(required=False)
    store = serializers.BooleanField(required=False, help_text="List it among the stored completions.")


class CompletionRequestSerializer(_RequestSerializer):
    prompt = serializers.JSONField(allow_null=True, help_text=_INPUT_HELP)
    stream = serializers.BooleanField(required=False)


class EmbeddingRequestSerializer(_RequestSerializer):
    input = serializers.JSONField(help_text=_INPUT_HELP)


class ResponseRequestSerializer(_RequestSerializer):
    input = serializers.JSONField(help_text=_INPUT_HELP)
    stream = serializers.BooleanField(required=False)


class _OpenAIErrorBodySerializer(serializers.Serializer[Any]):
    message = serializers.CharField()
    type = serializers.CharField(allow_null=True)
    param = serializers.CharField(allow_null=True)
    code = serializers.JSONField(allow_null=True, help_text="A text; some upstreams have a number.")
    request_id = serializers.CharField()


class OpenAIErrorSerializer(serializers.Serializer[Any]):
    error = _OpenAIErrorBodySerializer()
