"""Makes the rows that are kept of a call from its order and its outcome."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from chat.errors import Stopping, openai_status_of, status_of
from chat.models import NAME_LENGTH, ROUTE_LENGTH, TIER_LENGTH, CallRecord
from chat.order import Order
from chat.record.bulk_insert import Values
from chat.record.call_rows import CallRows
from chat.record.content import Content
from chat.record.kept.answers import is_text_only, keep_answer
from chat.record.kept.keeping import Keeping, storable
from chat.record.kept.summary import summary_of
from chat.token_counts import other_counts, token_counts
from llm import AttemptRecord, CallOutcome, CallStatus, CostSoFar, UpstreamError, Usage

# Stands for an upstream's error message, where content is not stored.
NOT_STORED = "The upstream's own words, which are not stored."
# The status of a call whose caller went away before it was answered. nginx writes the same one into its log.
CLIENT_CLOSED_REQUEST = 499


@dataclass(frozen=True, slots=True)
class RowMaker:
    """Makes rows by the operator's rules.

    What was said is kept only with `store_content`. What matches a pattern of `redact` is kept nowhere.
    """

    store_content: bool = True
    redact: tuple[re.Pattern[str], ...] = ()

    def rows(self, order: Order, outcome: CallOutcome) -> CallRows:
        """The rows of a call that has ended."""
        call = self._ordered(order) | {
            "model_used": _name(outcome.model_used),
            "provider_used": outcome.provider_used,
            "status": str(outcome.status),
            "fallback_triggered": outcome.fallback_triggered,
            "is_default_message": outcome.status is CallStatus.DEFAULTED,
            "error_code": outcome.error_code,
            "error_message": self._why(outcome),
            "http_status": _http_status(order, outcome),
            "latency_ms": outcome.latency_ms,
            "time_to_first_token_ms": outcome.time_to_first_token_ms,
            "finish_reason": storable(outcome.finish_reason)[:64],
            "completion_id": _name(outcome.completion_id),
            "cached": outcome.cached,
            # The answer is listed as the completion of the call that a model answered. A call that was answered from
            # the cache has the same completion id, and that id must not be listed twice.
            "stored": order.stored and not outcome.cached,
            "service_tier": _name(outcome.service_tier)[:TIER_LENGTH],
            "cost_usd": outcome.cost_usd,
            "cost_incomplete": outcome.cost_incomplete,
            "cost_estimated": outcome.cost_estimated,
            **_tokens(outcome.usage),
        }
        content = self._content(order, outcome)
        return CallRows(
            call=call,
            attempts=[self._attempt(attempt) for attempt in outcome.attempts],
            content=content,
            size=order.body_bytes + (len(content.content) + len(content.written.get("answer", "")) if content else 0),
        )

    def start_rows(self, order: Order, so_far: CostSoFar, *, lease_until: datetime) -> CallRows:
        """The rows of a call that is still running. If its process dies, they stay, with what the call has cost."""
        return CallRows(
            call=self._ordered(order)
            | {
                "status": str(CallRecord.Status.IN_PROGRESS),
                "lease_until": lease_until,
                "cost_usd": so_far.cost_usd,
                "cost_incomplete": so_far.cost_incomplete,
                "cost_estimated": so_far.usage is not None,
                **_tokens(so_far.usage),
            },
            attempts=[],
            content=self._content(order, None),
            size=order.body_bytes,
        )

    def _ordered(self, order: Order) -> Values:
        """The columns that are known when a call begins."""
        request = order.request
        return {
            "request_id": order.request_id,
            "created_at": order.created_at,
            "door": str(order.door),
            "operation": request.operation.name,
            "stored": order.stored,
            "streamed": request.stream,
            "route": request.route.written[:ROUTE_LENGTH],
            "model_requested": request.route.first.name,
            "metadata": self.redacted(order.metadata),
            "api_key": order.caller.name,
            "client_ip": order.caller.address,
            "user_agent": storable(order.user_agent)[:400],
        }

    def _content(self, order: Order, outcome: CallOutcome | None) -> Content | None:
        if not self.store_content:
            return None
        request, keeping = order.request, self._keeping
        asked = request.operation.input_fields()
        parameters = {name: value for name, value in request.body.items() if name not in asked}
        # What its caller has asked to be stored is given back as it was, with the bytes of its images and sound.
        messages = keeping.kept(request.operation.messages(request.body), with_bytes=order.stored)
        asked_for = keeping.kept(parameters, with_bytes=order.stored)
        written = {"messages": messages.written, "parameters": asked_for.written}
        if outcome is None or outcome.answer is None:
            said = "" if outcome is None else keeping.text(outcome.content)
            return Content(messages.value, asked_for.value, said, written=written)
        kept = keep_answer(request.operation, outcome.answer, keeping, stored=order.stored)
        said = keeping.text(outcome.content) if is_text_only(kept.value) else summary_of(kept.value)
        return Content(messages.value, asked_for.value, said, kept.value, written | {"answer": kept.written})

    def _attempt(self, attempt: AttemptRecord) -> Values:
        return {
            "ordinal": attempt.ordinal,
            "model": _name(attempt.model),
            "provider": attempt.provider,
            "status": str(attempt.status),
            "error_code": attempt.error.code if attempt.error else "",
            "error_message": self._reason(attempt.error) if attempt.error else "",
            "http_status": attempt.http_status,
            "raced": attempt.raced,
            "started_after_ms": attempt.started_after_ms,
            "latency_ms": attempt.latency_ms,
            "time_to_first_token_ms": attempt.time_to_first_token_ms,
            "upstream_request_id": _name(attempt.upstream_request_id),
            "read_on": attempt.read_on,
            "service_tier": _name(attempt.service_tier)[:TIER_LENGTH],
            "answered_model": _name(attempt.answered_model),
            "other_usage": other_counts(attempt.usage),
            "cost_usd": attempt.cost_usd,
            "cost_incomplete": attempt.cost_incomplete,
            "cost_stated": attempt.cost_stated,
            **_tokens(attempt.usage),
        }

    def _why(self, outcome: CallOutcome) -> str:
        if outcome.stopped:
            return "The service stopped before this call ended."
        return self._reason(outcome.error) if outcome.error and outcome.error_code else ""

    def _reason(self, error: UpstreamError) -> str:
        if error.quoted and not self.store_content:  # the upstream's message may repeat the prompt
            return NOT_STORED
        return self._keeping.text(error.message)

    def redacted(self, value: Any) -> Any:
        """A JSON value as it may be kept, see `Keeping.value`."""
        return self._keeping.value(value, with_bytes=True)

    @property
    def _keeping(self) -> Keeping:
        return Keeping(self.redact)


def _tokens(usage: Usage | None) -> Values:
    return {**token_counts(usage), "usage_estimated": usage is not None and usage.estimated}


def _http_status(order: Order, outcome: CallOutcome) -> int:
    if outcome.stopped:
        return 200 if outcome.begun else Stopping.status_code
    if outcome.status is CallStatus.CANCELLED:
        return CLIENT_CLOSED_REQUEST
    if outcome.status is CallStatus.FAILED and outcome.error is not None and not outcome.begun:
        return openai_status_of(outcome.error) if order.door == CallRecord.Door.OPENAI else status_of(outcome.error)
    return 200


def _name(text: str) -> str:
    return storable(text)[:NAME_LENGTH]
