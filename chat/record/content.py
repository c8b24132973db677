"""What was said in calls: their messages, their parameters and their answers.

This is the only reader and writer of the table. To keep content in another place, such as object storage, one would
change this file, and what depends on the database. The functions that return a condition need columns of the call,
because another place can't be joined. `write_contents` and `drop_contents` share the transaction of their callers.
docs/ARCHITECTURE.md ("The record") also names the places where answers are kept for a while.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from django.db.models import Q, TextField
from django.db.models.functions import Cast, Left
from django.db.models.lookups import IContains

from chat.models import CallContent, CallRecord
from chat.record.bulk_insert import Table, Values, Written
from llm import Json

TABLE = Table(CallContent)


@dataclass(frozen=True, slots=True)
class Content:
    """What was said in one call.

    `content` is the answer for a reader: its text, or in a few words what it is instead. `answer` is the answer as it
    is kept, see `chat.record.kept`; None where no upstream answered, and in rows of versions that did not keep it.
    `written` has fields as JSON text that were just written, by their names, so that they are not written again.
    """

    messages: Any = field(default_factory=list)
    parameters: Any = field(default_factory=dict)
    content: str = ""
    answer: Json | None = None
    written: Mapping[str, Written] = field(default_factory=dict, compare=False, repr=False)

    def row(self) -> Values:
        """The fields by name, as they are inserted."""
        return {**self.values(), **self.written}

    def values(self) -> Values:
        """The fields by name, as plain JSON."""
        return {
            "messages": self.messages,
            "parameters": self.parameters,
            "content": self.content,
            "answer": self.answer,
        }

    @classmethod
    def from_values(cls, values: Values) -> Self:
        """The opposite of `values`. Raises TypeError if a name is unknown."""
        values = dict(values)
        if "completion" in values:  # what the version before calls the answer, in its spool files
            values["answer"] = values.pop("completion")
        return cls(**values)


def write_contents(contents: Iterable[tuple[int, Content]], *, replace: bool = False) -> None:
    """Keep the content of calls, by their primary keys, in the transaction of the caller.

    With `replace` a call may have content already, and the new content takes its place.
    """
    rows = [{"call_id": call_id, **content.row()} for call_id, content in contents]
    TABLE.insert(rows, unique="call_id" if replace else "")


def content_of(call: CallRecord) -> Content | None:
    """What was said in a call, or None if it is not kept. It is read once for each `call` object."""
    try:
        return _content(call.body)
    except CallContent.DoesNotExist:
        return None


def contents_of(calls: Sequence[CallRecord]) -> dict[int, Content]:
    """What was said in several calls, by their primary keys. A call whose content is not kept is left out."""
    return {row.call_id: _content(row) for row in CallContent.objects.filter(call_id__in=[call.pk for call in calls])}


def beginnings_of(calls: Sequence[CallRecord], characters: int) -> dict[int, str]:
    """How the answers of several calls begin, by their primary keys. Nothing else that was said is read for that."""
    kept = CallContent.objects.filter(call_id__in=[call.pk for call in calls])
    return dict(kept.values_list("call_id", Left("content", characters)))


def drop_contents(call_ids: Sequence[int]) -> None:
    """Delete what was said in calls. The calls themselves stay."""
    CallContent.objects.filter(call_id__in=call_ids).delete()


def has_content() -> Q:
    """The calls whose content is kept."""
    return Q(body__isnull=False)


def has_answer() -> Q:
    """The calls of which the answer is kept."""
    return Q(body__answer__isnull=False)


def answer_names_model(model: str) -> Q:
    """The calls whose answer says that this model gave it."""
    return Q(body__answer__model=model)


def said(term: str) -> Q:
    """The calls with a text in their messages or in their answer. No index helps with this condition.

    What an answer says is in its `content`, the names and arguments of its tool calls included, so the answer itself,
    in which words like `assistant` are everywhere, need not be read.
    """
    matches = Q(body__content__icontains=term)
    # Messages are JSON. In JSON a quote and the end of a line are written as escapes, and in some databases an accented
    # letter is as well, so each way of writing the text is searched for.
    for escaped in sorted({json.dumps(term)[1:-1], json.dumps(term, ensure_ascii=False)[1:-1]}):
        matches |= Q(IContains(Cast("body__messages", TextField()), escaped))
    return matches


def _content(row: CallContent) -> Content:
    return Content(row.messages, row.parameters, row.content, row.answer)
