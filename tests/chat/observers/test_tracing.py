"""Traces: a real collector, on a real socket, gets a span for each call and for each of its attempts."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx2
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from chat.observers.tracing import open_tracer
from llm import Usage
from llm.simulator import Behaviour, SimulatorThread
from tests.support.loopback import loopback_post
from tests.support.outcomes import an_order, attempt_of, outcome_of
from tests.support.site_thread import running_site

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SECRET = "the words of a caller"


class Collector:
    """What an OpenTelemetry collector receives."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                collector.bodies.append(self.rfile.read(int(self.headers["content-length"])))
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *args: Any) -> None:
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def spans(self) -> list[Any]:
        requests = [ExportTraceServiceRequest.FromString(body) for body in self.bodies]
        return [
            span
            for request in requests
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]


@pytest.fixture
def collector() -> Iterator[Collector]:
    collector = Collector()
    thread = threading.Thread(target=collector.server.serve_forever, daemon=True)
    thread.start()
    yield collector
    collector.server.shutdown()
    thread.join()
    collector.server.server_close()


def attributes(span: Any) -> dict[str, Any]:
    return {a.key: getattr(a.value, a.value.WhichOneof("value")) for a in span.attributes}


def test_a_call_is_a_span_under_the_callers_own_and_its_attempts_are_spans_under_it(
    collector: Collector,
    simulator: SimulatorThread,
    start_site: Callable[..., httpx2.Client],
    settings: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
    simulator.script("bad", Behaviour(status=500))
    start_site()  # for its settings and its database
    settings.OTEL_EXPORTER_OTLP_ENDPOINT = collector.url
    with running_site() as base_url:
        answer = loopback_post(
            f"{base_url}/chat",
            json={"prompt": SECRET, "model": "bad>gpt-4o"},
            headers={"traceparent": f"00-{TRACE}-{PARENT}-01"},
        ).json()
    # Shutting down has sent what was left.
    (call,) = [span for span in collector.spans() if span.parent_span_id.hex() == PARENT]
    assert call.trace_id.hex() == TRACE
    assert call.name == "chat bad"
    said = attributes(call)
    assert said["gen_ai.operation.name"] == "chat"
    assert said["gen_ai.response.model"] == "gpt-4o"
    assert said["gen_ai.usage.output_tokens"] == answer["usage"]["completion_tokens"]
    assert said["llm.cost_usd"] == pytest.approx(answer["cost_usd"])
    assert said["llm.request_id"] == answer["request_id"]
    attempts = [span for span in collector.spans() if span.parent_span_id == call.span_id]
    assert [span.name for span in attempts] == ["chat bad", "chat gpt-4o"]
    assert attributes(attempts[0])["error.type"] == "upstream_failed"
    assert attempts[0].status.code == 2
    assert attributes(attempts[1])["gen_ai.provider.name"] == "openai"
    assert all(call.start_time_unix_nano <= span.start_time_unix_nano for span in attempts)
    assert all(SECRET.encode() not in body for body in collector.bodies)


def test_what_a_call_used_and_what_its_cost_is_worth_have_the_names_of_the_conventions(
    collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
    usage = Usage(
        prompt_tokens=9,
        completion_tokens=8,
        cached_tokens=1,
        cache_write_tokens=2,
        audio_prompt_tokens=3,
        audio_completion_tokens=4,
        web_searches=5,
        file_searches=6,
        estimated=True,
    )
    dear = attempt_of(
        usage=usage, cost_usd=Decimal("0.5"), cost_incomplete=True, service_tier="flex", answered_model="gpt-4o-2024"
    )
    with open_tracer() as trace:
        marks = {"cost_usd": Decimal("0.5"), "cost_estimated": True, "cost_incomplete": True}
        trace(an_order(request_id="dear"), outcome_of(dear, usage=usage, service_tier="flex", **marks))
        plain = attempt_of(usage=Usage(prompt_tokens=1, completion_tokens=1), cost_usd=Decimal(1))
        trace(an_order(request_id="plain"), outcome_of(plain, cost_usd=Decimal(1)))
    expected = {
        "gen_ai.usage.input_tokens": 9,
        "gen_ai.usage.output_tokens": 8,
        "gen_ai.usage.cache_read.input_tokens": 1,
        "gen_ai.usage.cache_creation.input_tokens": 2,
        "gen_ai.usage.audio.input_tokens": 3,
        "gen_ai.usage.audio.output_tokens": 4,
        "llm.usage.web_searches": 5,
        "llm.usage.file_searches": 6,
        "openai.response.service_tier": "flex",
        "llm.cost_usd": 0.5,
        "llm.cost_estimated": True,
        "llm.cost_incomplete": True,
    }
    spans = {attributes(span).get("llm.request_id"): span for span in collector.spans() if not span.parent_span_id}
    below = {span.parent_span_id: attributes(span) for span in collector.spans() if span.parent_span_id}
    for said in (attributes(spans["dear"]), below[spans["dear"].span_id]):
        assert {name: said.get(name) for name in expected} == expected
    assert below[spans["dear"].span_id]["gen_ai.response.model"] == "gpt-4o-2024"
    # What is rare is not there at all where it is zero or false.
    rare = set(expected) - {name for name in expected if name.endswith(("put_tokens", "cost_usd"))}
    for said in (attributes(spans["plain"]), below[spans["plain"].span_id]):
        assert not (rare | {"gen_ai.usage.cache_creation.input_tokens", "gen_ai.usage.audio.input_tokens"}) & set(said)
