"""How a call is shown: the columns of the list, and the fields of its page."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from django.contrib import admin
from django.template.loader import render_to_string
from django.utils.html import format_html
from django.utils.safestring import SafeString

from chat.admin import formats
from chat.admin.conversation import pretty, read_turns, shortened
from chat.models import CallRecord
from chat.record.content import content_of
from chat.record.kept.summary import one_line

Show = TypeVar("Show", bound=Callable[..., Any])

# The fields that the list itself reads of a call, besides those of its columns: its pages start at positions.
POSITION = ("created_at",)

# How many characters of an answer the list shows.
SAID_SHOWN = 100


def column(description: str, *, reads: tuple[str, ...]) -> Callable[[Show], Show]:
    """A column of the list, with the fields of a call that it reads. The list loads no other fields.

    A field that is read but not named would cost one more query for each row. A test shows every column and fails then.
    """

    def decorate(show: Show) -> Show:
        show.reads = reads  # type: ignore[attr-defined]
        return admin.display(description=description)(show)

    return decorate


class CallColumns:
    """To be mixed into the model's admin."""

    @column("request id", reads=("request_id",))
    def request(self, call: CallRecord) -> SafeString:
        return format_html('<span class="request-id" title="{}">{}</span>', call.request_id, call.request_id)

    @column("created (UTC)", reads=("created_at",))
    def created(self, call: CallRecord) -> str:
        return formats.moment(call.created_at)

    @column("status", reads=("status",))
    def status_badge(self, call: CallRecord) -> SafeString:
        return formats.badge(call.status)

    @column("model used", reads=("model_used",))
    def answered_by(self, call: CallRecord) -> str:
        return call.model_used or formats.NOTHING

    @column("latency", reads=("latency_ms",))
    def latency(self, call: CallRecord) -> str:
        return formats.milliseconds(call.latency_ms)

    @column("first token", reads=("time_to_first_token_ms",))
    def first_token(self, call: CallRecord) -> str:
        return formats.milliseconds(call.time_to_first_token_ms)

    @column("tokens in / out", reads=("prompt_tokens", "completion_tokens"))
    def tokens(self, call: CallRecord) -> str:
        return formats.tokens(call)

    @column("cost", reads=("cost_usd", "cost_estimated", "usage_estimated", "cached", "cost_incomplete"))
    def cost(self, call: CallRecord) -> str:
        return formats.cost(call.cost_usd, estimated=call.cost_is_guessed, incomplete=call.cost_incomplete)

    @admin.display(description="cost (USD)")
    def full_cost(self, call: CallRecord) -> str:
        return formats.exact_cost(call.cost_usd, estimated=call.cost_is_guessed, incomplete=call.cost_incomplete)

    @admin.display(description="original cost (USD)")
    def original_cost(self, call: CallRecord) -> str:
        return formats.NOTHING if call.original_cost_usd is None else formats.exact_cost(call.original_cost_usd)

    @admin.display(description="charged (USD)")
    def charged(self, call: CallRecord) -> str:
        return formats.NOTHING if call.charged_usd is None else formats.exact_cost(call.charged_usd)

    @admin.display(description="messages")
    def conversation(self, call: CallRecord) -> SafeString | str:
        content = content_of(call)
        if content is None:
            return "Not kept: content is not stored, or it was pruned."
        return render_to_string("admin/chat/callrecord/conversation.html", {"turns": read_turns(content.messages)})

    @admin.display(description="answer")
    def answer(self, call: CallRecord) -> SafeString | str:
        content = content_of(call)
        return _text(content.content) if content and content.content else formats.NOTHING

    @admin.display(description="whole answer")
    def whole_answer(self, call: CallRecord) -> SafeString | str:
        content = content_of(call)
        return _text(pretty(content.answer)) if content and content.answer else formats.NOTHING

    @column("answer", reads=())
    def said(self, call: CallRecord) -> SafeString | str:
        """How the answer begins. `CallList.page` has read it for all calls of the page at once."""
        said = one_line(getattr(call, "beginning", ""), SAID_SHOWN)
        return format_html('<span class="said-line" title="{}">{}</span>', said, said) if said else formats.NOTHING

    @admin.display(description="parameters")
    def parameters(self, call: CallRecord) -> SafeString | str:
        content = content_of(call)
        return _text(pretty(content.parameters)) if content and content.parameters else formats.NOTHING

    @admin.display(description="metadata")
    def caller_metadata(self, call: CallRecord) -> SafeString | str:
        return _text(pretty(call.metadata)) if call.metadata else formats.NOTHING


def fields_read_by(columns: Iterable[Any]) -> list[str]:
    """The fields of a call that a list with these columns reads. A column without a method is a field itself."""
    fields = set(POSITION)
    for name in columns:
        fields.update(getattr(getattr(CallColumns, name, None), "reads", (name,)))
    return sorted(fields)


def _text(text: str) -> SafeString:
    return render_to_string("admin/chat/callrecord/text.html", {"part": shortened(text)})
