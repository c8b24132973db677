"""Stored chat completions, from our own history. Source of the shapes: OpenAI's API reference, "Chat completions"."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Q, QuerySet, Value
from django.http import QueryDict
from rest_framework import serializers
from rest_framework.exceptions import NotFound, ValidationError

from chat.fields import MetadataField
from chat.history.selectors import MetadataText
from chat.models import NAME_LENGTH, CallRecord
from chat.record.content import (
    Content,
    completion_names_model,
    content_of,
    contents_of,
    drop_contents,
    has_completion,
)
from llm import CHAT_COMPLETIONS, Json

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
    """Raises ValidationError."""
    plain = {name: value for name, value in parameters.items() if not METADATA.fullmatch(name)}
    if "metadata" in plain:
        raise ValidationError({"metadata": ["Write it as metadata[key]=value."]})
    query = ListQuery(data=plain)
    query.is_valid(raise_exception=True)
    pairs = [(match[1], parameters[name]) for name in parameters if (match := METADATA.fullmatch(name))]
    if any("\x00" in text for pair in pairs for text in pair):
        raise ValidationError({"metadata": ["Null characters are not allowed."]})
    return {**query.validated_data, "metadata": pairs}


def list_completions(owner: str | None, query: Mapping[str, Any]) -> Json:
    """A page, oldest first unless the query says otherwise."""
    found = _stored(owner)
    if "model" in query:
        found = found.filter(Q(model_used=query["model"]) | completion_names_model(query["model"]))
    for number, (key, value) in enumerate(query["metadata"]):
        name = f"metadata_{number}"
        found = found.alias(**{name: MetadataText("metadata", Value(key))}).filter(**{name: value})
    newest_first = query["order"] == "desc"
    if "after" in query:
        last = _one(owner, query["after"], newest=not newest_first)
        older = Q(created_at__lt=last.created_at) | Q(created_at=last.created_at, id__lt=last.id)
        newer = Q(created_at__gt=last.created_at) | Q(created_at=last.created_at, id__gt=last.id)
        found = found.filter(older if newest_first else newer)
    order = ("-created_at", "-id") if newest_first else ("created_at", "id")
    calls = list(found.order_by(*order)[: query["limit"] + 1])
    contents = contents_of(calls)
    completions = [_completion(call, contents[call.pk]) for call in calls if call.pk in contents]
    return _page(completions, query["limit"])


def read_completion(owner: str | None, completion_id: str) -> Json:
    """Raises NotFound."""
    call = _one(owner, completion_id)
    return _completion(call, _content(call))


def update_metadata(owner: str | None, completion_id: str, metadata: Mapping[str, str]) -> Json:
    """`metadata` must be fit to be kept, see `RowMaker`. Raises NotFound."""
    call = _one(owner, completion_id)
    content = _content(call)
    call.metadata = dict(metadata)
    call.save(update_fields=["metadata"])
    return _completion(call, content)


def delete_completion(owner: str | None, completion_id: str) -> Json:
    """What was said goes; the figures stay, because they were paid. Raises NotFound."""
    call = _one(owner, completion_id)
    with transaction.atomic():
        drop_contents([call.pk])
        CallRecord.objects.filter(id=call.id).update(stored=False)
    return {"object": "chat.completion.deleted", "id": completion_id, "deleted": True}


def list_messages(owner: str | None, completion_id: str, query: Mapping[str, Any]) -> Json:
    """The messages that were sent. Raises NotFound."""
    call = _one(owner, completion_id)
    messages = [
        {"content": None, **_as_object(message), "id": f"{completion_id}-{number}"}
        for number, message in enumerate(_content(call).messages)
    ]
    for message in messages:
        if isinstance(message["content"], list):
            message["content_parts"] = message["content"]
            message["content"] = None
    if query["order"] == "desc":
        messages.reverse()
    if "after" in query:
        ids = [message["id"] for message in messages]
        if query["after"] not in ids:
            raise NotFound(f"There is no message '{query['after']}'.")
        messages = messages[ids.index(query["after"]) + 1 :]
    return _page(messages[: query["limit"] + 1], query["limit"])


def _stored(owner: str | None) -> QuerySet[CallRecord]:
    """What is listed: what was sent with `store: true`, or by the setting everything that was kept.

    An answer that the cache gave again is the same completion, and is there already. `owner` is the API key whose they
    are, None for any.
    """
    listed = Q() if settings.STORED_COMPLETIONS == "all" else Q(stored=True)
    kept = CallRecord.objects.filter(listed, has_completion(), operation=CHAT_COMPLETIONS.name, cached=False)
    if owner is not None:
        kept = kept.filter(api_key=owner)
    return kept.exclude(completion_id="")


def _one(owner: str | None, completion_id: str, *, newest: bool = True) -> CallRecord:
    """The newest, should an upstream have given an id twice. (A page goes on after the last, so that pages do end.)"""
    call = None
    order = ("-created_at", "-id") if newest else ("created_at", "id")
    if "\x00" not in completion_id:
        call = _stored(owner).filter(completion_id=completion_id).order_by(*order).first()
    if call is None:
        raise _not_found(completion_id)
    return call


def _content(call: CallRecord) -> Content:
    """Raises NotFound, for a completion that is deleted at this moment."""
    content = content_of(call)
    if content is None:
        raise _not_found(call.completion_id)
    return content


def _not_found(completion_id: str) -> NotFound:
    return NotFound(f"There is no stored completion '{completion_id}'.")


def _completion(call: CallRecord, content: Content) -> Json:
    return {**(content.completion or {}), "metadata": call.metadata, "request_id": call.request_id}


def _as_object(message: object) -> Json:
    return dict(message) if isinstance(message, dict) else {"role": "user", "content": message}


def _page(items: Sequence[Json], limit: int) -> Json:
    """`items` is one more than `limit` where there is a next page."""
    shown = items[:limit]
    return {
        "object": "list",
        "data": list(shown),
        "first_id": shown[0]["id"] if shown else None,
        "last_id": shown[-1]["id"] if shown else None,
        "has_more": len(items) > limit,
    }
