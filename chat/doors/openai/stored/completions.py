"""Listing, reading, changing and deleting stored completions.

In every function `api_key` is the key whose completions are meant, or None for those of every key.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Q, QuerySet
from rest_framework.exceptions import NotFound

from chat.history.keyset import Direction, Position, Scan, take
from chat.history.metadata import with_metadata
from chat.models import CallRecord
from chat.record.content import (
    Content,
    answer_names_model,
    content_of,
    contents_of,
    drop_contents,
    has_answer,
)
from chat.record.kept.answers import TEXT_ONLY
from llm import CHAT_COMPLETIONS, Json

# A call that was cut, or that failed, has an answer as far as it came, but that is no completion. A default message
# counts in rows of earlier versions only, which kept it as if it were an answer.
WHOLE = (CallRecord.Status.SUCCEEDED, CallRecord.Status.DEFAULTED)

_DIRECTIONS = {"asc": Direction.NEWER, "desc": Direction.OLDER}


def list_completions(api_key: str | None, query: Mapping[str, Any]) -> Json:
    """One page of the list, oldest completions first unless the query says otherwise. Raises NotFound."""
    found = _stored(api_key)
    if "model" in query:
        found = found.filter(Q(model_used=query["model"]) | answer_names_model(query["model"]))
    found = with_metadata(found, query["metadata"])
    direction = _DIRECTIONS[query["order"]]
    last = Position.of(_one(api_key, query["after"], furthest=direction)) if "after" in query else None
    calls, has_more = take(Scan(direction, last).over(found), query["limit"])
    contents = contents_of(calls)
    # A completion that is deleted at this moment is left out.
    completions = [_completion(call, contents[call.pk]) for call in calls if call.pk in contents]
    return _page(completions, has_more=has_more)


def read_completion(api_key: str | None, completion_id: str) -> Json:
    """Raises NotFound."""
    call = _one(api_key, completion_id)
    return _completion(call, _content(call))


def update_metadata(api_key: str | None, completion_id: str, metadata: Mapping[str, str]) -> Json:
    """Replace the metadata. It must be redacted already, see `RowMaker`. Raises NotFound."""
    call = _one(api_key, completion_id)
    content = _content(call)
    call.metadata = dict(metadata)
    call.save(update_fields=["metadata"])
    return _completion(call, content)


def delete_completion(api_key: str | None, completion_id: str) -> Json:
    """Delete what was said. The row with tokens and cost stays, because the call was paid for. Raises NotFound."""
    call = _one(api_key, completion_id)
    with transaction.atomic():
        drop_contents([call.pk])
        CallRecord.objects.filter(id=call.id).update(stored=False)
    return {"object": "chat.completion.deleted", "id": completion_id, "deleted": True}


def list_messages(api_key: str | None, completion_id: str, query: Mapping[str, Any]) -> Json:
    """One page of the messages that were sent. Raises NotFound."""
    call = _one(api_key, completion_id)
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
    limit = query["limit"]
    return _page(messages[:limit], has_more=len(messages) > limit)


def _stored(api_key: str | None) -> QuerySet[CallRecord]:
    """The calls that count as stored: those sent with `store: true`, or by a setting all that were answered.

    An answer from the cache is left out: it is the same completion as the first one, which is in the list already.
    """
    listed = Q() if settings.STORED_COMPLETIONS == "all" else Q(stored=True)
    whole = Q(status__in=WHOLE, operation=CHAT_COMPLETIONS.name, cached=False)
    kept = CallRecord.objects.filter(listed, whole, has_answer())
    if api_key is not None:
        kept = kept.filter(api_key=api_key)
    return kept.exclude(completion_id="")


def _one(api_key: str | None, completion_id: str, *, furthest: Direction = Direction.NEWER) -> CallRecord:
    """The call with this completion id. Raises NotFound.

    An upstream may have given an id twice. Then it is the newest of them; or for paging the one that lies furthest in
    the direction of the pages, because a page that began at a nearer one would show the same calls again and again.
    """
    call = None
    if "\x00" not in completion_id:  # PostgreSQL can't look for a null character.
        found = _stored(api_key).filter(completion_id=completion_id)
        call = Scan(furthest.opposite).over(found).first()
    if call is None:
        raise _not_found(completion_id)
    return call


def _content(call: CallRecord) -> Content:
    """What was said in the call. Raises NotFound for a completion that is deleted at this moment."""
    content = content_of(call)
    if content is None:
        raise _not_found(call.completion_id)
    return content


def _not_found(completion_id: str) -> NotFound:
    return NotFound(f"There is no stored completion '{completion_id}'.")


def _completion(call: CallRecord, content: Content) -> Json:
    answer = content.answer or {}
    if TEXT_ONLY in answer:  # it was too large, and its choices are made of its text again
        of_text = CHAT_COMPLETIONS.answer_of_text(content.content, call.model_used) or {}
        answer = {**of_text, **{name: value for name, value in answer.items() if name != TEXT_ONLY}}
    return {**answer, "metadata": call.metadata, "request_id": call.request_id}


def _as_object(message: object) -> Json:
    return dict(message) if isinstance(message, dict) else {"role": "user", "content": message}


def _page(items: Sequence[Json], *, has_more: bool) -> Json:
    """A page as OpenAI's lists have it."""
    return {
        "object": "list",
        "data": list(items),
        "first_id": items[0]["id"] if items else None,
        "last_id": items[-1]["id"] if items else None,
        "has_more": has_more,
    }
