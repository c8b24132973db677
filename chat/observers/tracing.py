"""OpenTelemetry spans: one for a call, and one for each of its attempts. They hold neither prompts nor answers.

Source of the names: OpenTelemetry's semantic conventions for generative AI. This module is imported only where the
settings want traces, because importing OpenTelemetry takes about a second.
"""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import contextmanager

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.types import AttributeValue

from chat.order import Order
from chat.token_counts import token_counts
from llm import AttemptRecord, AttemptStatus, CallOutcome, CallStatus, Usage

# What the conventions call each of our operations.
OPERATIONS = {
    "chat.completions": "chat",
    "completions": "text_completion",
    "embeddings": "embeddings",
    "responses": "chat",
}
# What the conventions call each of our token counts.
USAGE_NAMES = {
    "gen_ai.usage.input_tokens": "prompt_tokens",
    "gen_ai.usage.output_tokens": "completion_tokens",
    "gen_ai.usage.cache_read.input_tokens": "cached_tokens",
    "gen_ai.usage.reasoning.output_tokens": "reasoning_tokens",
}
# The same of counts that are rare, so that an attribute is written only where it is above zero. The conventions have no
# names for searches; these are ours.
RARE_USAGE_NAMES = {
    "gen_ai.usage.cache_creation.input_tokens": "cache_write_tokens",
    "gen_ai.usage.audio.input_tokens": "audio_prompt_tokens",
    "gen_ai.usage.audio.output_tokens": "audio_completion_tokens",
    "llm.usage.web_searches": "web_searches",
    "llm.usage.file_searches": "file_searches",
}
# A millisecond in nanoseconds, because a span counts its time in nanoseconds.
MILLISECOND = 1_000_000


class CallTracer:
    """The observer that makes the spans of a call. It does so when the call has ended, because all is known then."""

    def __init__(self, provider: TracerProvider) -> None:
        self._tracer = provider.get_tracer("llm-orchestration")

    def __call__(self, order: Order, outcome: CallOutcome) -> None:
        ended = time.time_ns()
        started = ended - outcome.latency_ms * MILLISECOND
        operation = OPERATIONS[order.request.operation.name]
        asked = order.request.route.first
        # The span of the caller, if it sent one.
        parent = TraceContextTextMapPropagator().extract({"traceparent": order.traceparent})
        span = self._tracer.start_span(
            f"{operation} {asked.name}",
            context=parent,
            kind=SpanKind.SERVER,
            start_time=started,
            attributes={
                "gen_ai.operation.name": operation,
                "gen_ai.request.model": asked.name,
                "gen_ai.request.stream": order.request.stream,
                "llm.request_id": order.request_id,
                "llm.door": str(order.door),
                "llm.route": order.request.route.written,
                "llm.status": str(outcome.status),
                "llm.cached": outcome.cached,
                "llm.fallback_triggered": outcome.fallback_triggered,
                **_answered(outcome),
                **_usage(outcome.usage),
            },
        )
        inside = trace.set_span_in_context(span)
        for attempt in outcome.attempts:
            if attempt.status is not AttemptStatus.SKIPPED:
                self._attempt(attempt, operation, inside, started)
        if outcome.status is CallStatus.FAILED and outcome.error is not None:
            span.set_attribute("error.type", outcome.error.code)
            span.set_status(Status(StatusCode.ERROR, outcome.error.code))
        span.end(ended)

    def _attempt(self, attempt: AttemptRecord, operation: str, inside: Context, call_started: int) -> None:
        started = call_started + attempt.started_after_ms * MILLISECOND
        attributes: dict[str, AttributeValue] = {
            "gen_ai.operation.name": operation,
            "gen_ai.provider.name": attempt.provider,
            "gen_ai.request.model": attempt.model,
            "llm.attempt.status": str(attempt.status),
            "llm.attempt.raced": attempt.raced,
            **_usage(attempt.usage),
            **_tier(attempt.service_tier),
        }
        if attempt.answered_model:
            attributes["gen_ai.response.model"] = attempt.answered_model
        if attempt.time_to_first_token_ms is not None:
            attributes["gen_ai.response.time_to_first_chunk"] = attempt.time_to_first_token_ms / 1000
        if attempt.cost_usd is not None:
            attributes["llm.cost_usd"] = float(attempt.cost_usd)
        if attempt.cost_incomplete:
            attributes["llm.cost_incomplete"] = True
        if attempt.cost_estimated:
            attributes["llm.cost_estimated"] = True
        if attempt.http_status is not None:
            attributes["http.response.status_code"] = attempt.http_status
        span = self._tracer.start_span(
            f"{operation} {attempt.model}",
            context=inside,
            kind=SpanKind.CLIENT,
            start_time=started,
            attributes=attributes,
        )
        if attempt.error is not None:
            span.set_attribute("error.type", attempt.error.code)
            span.set_status(Status(StatusCode.ERROR, attempt.error.code))
        span.end(started + (attempt.latency_ms or 0) * MILLISECOND)


@contextmanager
def open_tracer() -> Generator[CallTracer]:
    """Sends spans in the background to OTEL_EXPORTER_OTLP_ENDPOINT. Those that are left are sent at the end."""
    provider = TracerProvider(resource=Resource.create({"service.name": "llm-orchestration"}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    try:
        yield CallTracer(provider)
    finally:
        provider.shutdown()


def _answered(outcome: CallOutcome) -> dict[str, AttributeValue]:
    answered: dict[str, AttributeValue] = dict(_tier(outcome.service_tier))
    if outcome.model_used:
        answered |= {"gen_ai.response.model": outcome.model_used, "gen_ai.provider.name": outcome.provider_used}
    if outcome.finish_reason:
        answered["gen_ai.response.finish_reasons"] = (outcome.finish_reason,)
    if outcome.completion_id:
        answered["gen_ai.response.id"] = outcome.completion_id
    if outcome.cost_usd is not None:
        answered["llm.cost_usd"] = float(outcome.cost_usd)
    if outcome.cost_estimated:
        answered["llm.cost_estimated"] = True
    if outcome.cost_incomplete:
        answered["llm.cost_incomplete"] = True
    return answered


def _tier(service_tier: str) -> dict[str, AttributeValue]:
    return {"openai.response.service_tier": service_tier} if service_tier else {}


def _usage(usage: Usage | None) -> dict[str, AttributeValue]:
    counts = token_counts(usage)
    usual = {name: count for name, column in USAGE_NAMES.items() if (count := counts[column]) is not None}
    return {**usual, **{name: count for name, column in RARE_USAGE_NAMES.items() if (count := counts[column])}}
