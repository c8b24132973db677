"""The example examples/streaming.py."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from types import ModuleType
from typing import Any

import httpx2
import pytest
import responses
from responses.matchers import json_params_matcher

from chat.models import CallRecord
from llm.simulator import Behaviour, SimulatorThread
from tests.examples.conftest import SERVICE, error

STREAM = f"{SERVICE}/chat/stream"


@pytest.fixture
def streaming(load: Callable[[str], ModuleType]) -> ModuleType:
    return load("streaming")


def answer_with(service: responses.RequestsMock, body: str, **options: Any) -> None:
    service.post(STREAM, body=body.encode(), content_type="text/event-stream; charset=utf-8", **options)


def test_an_error_before_the_first_piece_is_an_ordinary_one(
    streaming: ModuleType, service: responses.RequestsMock
) -> None:
    service.post(STREAM, status=404, json=error("model_not_found", "No such model."))
    with pytest.raises(streaming.CallFailed, match=r"model_not_found: No such model\. \(request req_1\)"):
        next(streaming.pieces("Hi"))


@pytest.mark.parametrize("door", ["pieces", "typed_events"])
def test_an_error_event_ends_the_stream_with_its_words(
    streaming: ModuleType, service: responses.RequestsMock, door: str
) -> None:
    broken = json.dumps(error("stream_interrupted", "Cut.")["error"])
    answer_with(service, f'event: delta\ndata: {{"content": "One"}}\n\nevent: error\ndata: {broken}\n\n')
    stream = getattr(streaming, door)("Hi")
    next(stream)
    with pytest.raises(streaming.StreamInterrupted, match=r"stream_interrupted: Cut\. \(request req_1\)"):
        next(stream)


@pytest.mark.parametrize("door", ["pieces", "typed_events"])
def test_a_stream_without_an_end_is_not_taken_for_a_whole_answer(
    streaming: ModuleType, service: responses.RequestsMock, door: str
) -> None:
    answer_with(service, 'event: delta\ndata: {"content": "One"}\n\n')
    with pytest.raises(streaming.StreamInterrupted):
        list(getattr(streaming, door)("Hi"))


def test_lines_blanks_comments_and_other_scripts_come_through(
    streaming: ModuleType, service: responses.RequestsMock
) -> None:
    answer_with(service, ": keep-alive\n\ndata:  Grüße\n\ndata: a\ndata: \ndata: b\n\ndata: 你好\n\ndata: [DONE]\n\n")
    assert list(streaming.pieces("Hi")) == [" Grüße", "a\n\nb", "你好"]


def test_typed_events_are_asked_for_and_read(streaming: ModuleType, service: responses.RequestsMock) -> None:
    body = {"prompt": "Hi", "model": "a", "events": "json", "timeout": 60}
    events = 'event: delta\ndata: {"content": "[DONE]"}\n\nevent: done\ndata: {"content": "[DONE]"}\n\n'
    answer_with(service, events, match=[json_params_matcher(body)])
    read = list(streaming.typed_events("Hi", model="a"))
    assert read == [("delta", {"content": "[DONE]"}), ("done", {"content": "[DONE]"})]


def test_retry_after_is_waited_for(streaming: ModuleType, service: responses.RequestsMock, waits: list[float]) -> None:
    service.post(STREAM, status=429, json=error("upstream_rate_limited", "Later."), headers={"Retry-After": "2"})
    answer_with(service, "data: Hi\n\ndata: [DONE]\n\n")
    assert list(streaming.pieces("Hi")) == ["Hi"]
    assert waits == [2]


def test_pieces_come_while_the_model_still_speaks(
    load: Callable[[str], ModuleType],
    client: httpx2.Client,
    simulator: SimulatorThread,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    simulator.script("paced", Behaviour(answer="one two three four", tokens_per_second=10))
    streaming = load("streaming")
    monkeypatch.setattr("basic_call.BASE_URL", str(client.base_url))
    arrived = [(piece, time.monotonic()) for piece in streaming.pieces("Hi", model="paced")]
    assert "".join(piece for piece, _ in arrived) == "one two three four"
    assert arrived[-1][1] - arrived[0][1] > 0.15


def test_it_runs_and_shows_a_stream_a_fallback_and_a_break(run_example: Callable[..., str]) -> None:
    text, typed, broken = run_example("streaming", "Tell me", "a story").strip().split("\n\n")
    assert text.endswith("You said: Tell me a story")
    assert [line.split(":")[0].strip() for line in typed.splitlines()[1:]] == [
        "start",
        "delta",
        "delta",
        "delta",
        "usage",
        "done",
    ]
    assert "This is a … [stream_interrupted: " in broken
    columns = ("door", "streamed", "route", "status", "model_used")
    assert list(CallRecord.objects.order_by("id").values_list(*columns)) == [
        ("stream", True, "gpt-4o", "succeeded", "gpt-4o"),
        ("stream", True, "sim-503>gpt-4o-mini", "succeeded", "gpt-4o-mini"),
        ("stream", True, "sim-cut", "failed", "sim-cut"),
    ]
