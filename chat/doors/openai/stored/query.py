"""Reading what a caller sends to the addresses of stored completions."""

from __future__ import annotations

import re
from typing import Any

from django.http import QueryDict
from rest_framework import serializers
from rest_framework.exceptions import ValidationError

from chat.fields import MetadataField
from chat.history.query import refuse_null_characters
from chat.models import NAME_LENGTH

METADATA = re.compile(r"metadata\[(.{1,64})\]", re.DOTALL)


class MessagesQuery(serializers.Serializer[Any]):
    after = serializers.CharField(required=False, max_length=NAME_LENGTH)
    limit = serializers.IntegerField(min_value=1, max_value=100, default=20)
    order = serializers.ChoiceField(choices=["asc", "desc"], default="asc")


class ListQuery(MessagesQuery):
    model = serializers.CharField(required=False, max_length=NAME_LENGTH)
    metadata = serializers.CharField(required=False, help_text="`metadata[key]=value`; all that are given must hold.")


class MetadataSerializer(serializers.Serializer[Any]):
    metadata = MetadataField(allow_null=True)


def read_list_query(parameters: QueryDict) -> dict[str, Any]:
    """The checked query of a list, with `metadata` as pairs of a key and its value. Raises ValidationError."""
    plain = {name: value for name, value in parameters.items() if not METADATA.fullmatch(name)}
    if "metadata" in plain:
        raise ValidationError({"metadata": ["Write it as metadata[key]=value."]})
    query = ListQuery(data=plain)
    query.is_valid(raise_exception=True)
    pairs = [(match[1], str(parameters[name])) for name in parameters if (match := METADATA.fullmatch(name))]
    refuse_null_characters(pairs)
    return {**query.validated_data, "metadata": pairs}
