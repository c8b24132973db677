"""How a call is shown: the columns of the list and the fields of its page."""

from __future__ import annotations

from django.contrib import admin
from django.template.loader import render_to_string
from django.utils.html import format_html
from django.utils.safestring import SafeString

from chat.admin import formats
from chat.admin.conversation import pretty, read_turns, shortened
from chat.models import CallRecord
from chat.record.content import content_of


class CallColumns:
    """To be mixed into the model's admin."""

    @admin.display(description="request id")
    def request(self, call: CallRecord) -> SafeString:
        return format_html('<span class="request-id" title="{}">{}</span>', call.request_id, call.request_id)

    @admin.display(description="created (UTC)")
    def created(self, call: CallRecord) -> str:
        return formats.moment(call.created_at)

    @admin.display(description="status")
    def status_badge(self, call: CallRecord) -> SafeString:
        return formats.badge(call.status)

    @admin.display(description="model used")
    def answered_by(self, call: CallRecord) -> str:
        return call.model_used or formats.NOTHING

    @admin.display(description="latency")
    def latency(self, call: CallRecord) -> str:
        return formats.milliseconds(call.latency_ms)

    @admin.display(description="first token")
    def first_token(self, call: CallRecord) -> str:
        return formats.milliseconds(call.time_to_first_token_ms)

    @admin.display(description="tokens in / out")
    def tokens(self, call: CallRecord) -> str:
        if call.prompt_tokens is None and call.completion_tokens is None:
            return formats.NOTHING
        return f"{formats.count(call.prompt_tokens)} / {formats.count(call.completion_tokens)}"

    @admin.display(description="cost")
    def cost(self, call: CallRecord) -> str:
        return formats.cost(call.cost_usd, estimated=call.usage_estimated)

    @admin.display(description="cost (USD)")
    def full_cost(self, call: CallRecord) -> str:
        return formats.exact_cost(call.cost_usd, estimated=call.usage_estimated)

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

    @admin.display(description="parameters")
    def parameters(self, call: CallRecord) -> SafeString | str:
        content = content_of(call)
        return _text(pretty(content.parameters)) if content and content.parameters else formats.NOTHING

    @admin.display(description="metadata")
    def caller_metadata(self, call: CallRecord) -> SafeString | str:
        return _text(pretty(call.metadata)) if call.metadata else formats.NOTHING


def _text(text: str) -> SafeString:
    return render_to_string("admin/chat/callrecord/text.html", {"part": shortened(text)})
