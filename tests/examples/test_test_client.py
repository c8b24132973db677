"""The example examples/test_client.py."""

from __future__ import annotations

import json
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
import responses
from responses.matchers import json_params_matcher, query_param_matcher

from chat.models import CallRecord
from tests.examples.conftest import ANSWER, EXAMPLES, SERVICE, error


@pytest.fixture
def module(load: Callable[[str], ModuleType]) -> ModuleType:
    return load("test_client")


@pytest.fixture
def llm(module: ModuleType) -> Any:
    return module.LLMClient(f"{SERVICE}/", timeout=20)


def test_an_error_has_the_services_code_message_and_request_id(
    module: ModuleType, llm: Any, service: responses.RequestsMock
) -> None:
    attempts = [{"model": "a", "error_code": "upstream_failed"}]
    service.post(f"{SERVICE}/chat", status=502, json=error("upstream_failed", "Down.", attempts=attempts))
    with pytest.raises(module.LLMError, match=r"^upstream_failed: Down\. \(request req_1\)$") as caught:
        llm.chat("Hi")
    assert (caught.value.code, caught.value.request_id) == ("upstream_failed", "req_1")
    assert caught.value.details == {"attempts": attempts}


@pytest.mark.parametrize("body", ["<h1>Bad Gateway</h1>", '{"error": "Bad Gateway"}', "[]", ""])
def test_an_error_that_is_not_the_services_own_is_an_error_all_the_same(
    module: ModuleType, llm: Any, service: responses.RequestsMock, body: str
) -> None:
    service.get(f"{SERVICE}/stats", status=502, body=body)
    with pytest.raises(module.LLMError, match="http_502: Bad Gateway"):
        llm.stats()


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("data: One\n\n", "stream_interrupted"),
        ('data: One\n\nevent: error\ndata: {"code": "upstream_timeout", "message": "Late."}\n\n', "upstream_timeout"),
    ],
)
def test_a_stream_that_breaks_off_is_an_error(
    module: ModuleType, llm: Any, service: responses.RequestsMock, body: str, reason: str
) -> None:
    service.post(f"{SERVICE}/chat/stream", body=body, content_type="text/event-stream")
    stream = llm.stream("Hi")
    assert next(stream) == "One"
    with pytest.raises(module.LLMError, match=reason):
        next(stream)


def test_retry_after_is_waited_for_at_every_door(llm: Any, service: responses.RequestsMock, waits: list[float]) -> None:
    for method, path in (("POST", "/chat"), ("GET", "/stats")):
        service.add(method, SERVICE + path, status=429, json=error("x", "Later."), headers={"Retry-After": "3"})
        service.add(method, SERVICE + path, json=ANSWER)
    assert llm.chat("Hi") == llm.stats() == ANSWER
    assert waits == [3, 3]


@pytest.mark.parametrize(
    ("retry_after", "expected"), [("1", [1, 1]), ("31", []), ("Wed, 21 Oct 2026 07:28:00 GMT", [])]
)
def test_patience_has_an_end(
    module: ModuleType,
    llm: Any,
    service: responses.RequestsMock,
    waits: list[float],
    retry_after: str,
    expected: list[float],
) -> None:
    for _ in range(len(expected) + 1):
        service.post(
            f"{SERVICE}/chat", status=429, json=error("rate_limited", "Later."), headers={"Retry-After": retry_after}
        )
    with pytest.raises(module.LLMError, match="rate_limited"):
        llm.chat("Hi")
    assert waits == expected


@pytest.mark.parametrize(
    ("ask", "path", "body"),
    [
        (lambda llm: llm.chat("Hi", temperature=0.2), "/chat", {"temperature": 0.2}),
        (
            lambda llm: llm.parallel("Hi", "a", "b", hedge_after=1),
            "/chat/parallel",
            {"models": ["a", "b"], "hedge_after": 1},
        ),
        (lambda llm: llm.fallback("Hi", primary_model="a"), "/chat/fallback", {"primary_model": "a"}),
    ],
)
def test_each_door_gets_its_order(
    llm: Any, service: responses.RequestsMock, ask: Callable[[Any], Any], path: str, body: dict[str, Any]
) -> None:
    matcher = json_params_matcher({"prompt": "Hi", "timeout": 20, **body})
    service.post(SERVICE + path, json=ANSWER, match=[matcher])
    assert ask(llm) == ANSWER


def test_a_timeout_of_a_calls_own_counts_for_the_connection_too(llm: Any, service: responses.RequestsMock) -> None:
    service.post(f"{SERVICE}/chat", json=ANSWER)
    llm.chat("Hi", timeout=90)
    sent = service.calls[0].request
    assert json.loads(sent.body)["timeout"] == 90
    assert sent.req_kwargs["timeout"] == (5, 95)


def test_a_stream_comes_in_pieces(llm: Any, service: responses.RequestsMock) -> None:
    service.post(
        f"{SERVICE}/chat/stream",
        body="data: a\ndata: b\n\ndata:  c\n\ndata: [DONE]\n\n",
        content_type="text/event-stream",
    )
    assert list(llm.stream("Hi")) == ["a\nb", " c"]


def test_the_history_is_read_page_after_page_and_no_further_than_needed(
    llm: Any, service: responses.RequestsMock
) -> None:
    calls = f"{SERVICE}/calls"
    first = {"results": [{"request_id": "1"}, {"request_id": "2"}], "next": f"{calls}?cursor=x&status=failed"}
    service.get(calls, json=first, match=[query_param_matcher({"status": "failed"})])
    history = llm.calls(status="failed")
    assert [next(history)["request_id"], next(history)["request_id"]] == ["1", "2"]
    assert len(service.calls) == 1
    last = {"results": [{"request_id": "3"}], "next": None}
    service.get(calls, json=last, match=[query_param_matcher({"cursor": "x", "status": "failed"})])
    assert [call["request_id"] for call in history] == ["3"]


def test_pytest_finds_no_test_in_it(run: Callable[..., Any]) -> None:
    plugins = [option for name in ("django", "asyncio", "cacheprovider") for option in ("-p", f"no:{name}")]
    done = run("-m", "pytest", "--collect-only", "-q", "-c", "/dev/null", *plugins, EXAMPLES / "test_client.py")
    assert "no tests collected" in done.stdout, done.stdout + done.stderr
    assert "error" not in done.stdout


def test_it_runs_and_shows_every_door(run_example: Callable[..., str]) -> None:
    lines = dict(line.split(":", 1) for line in run_example("test_client").splitlines())
    assert lines["chat"].strip().endswith("You said: Hello, world!")
    assert lines["parallel"].strip() == "won by gpt-4o-mini"
    assert lines["fallback"].strip() == "gpt-4o-mini in place of sim-503"
    assert lines["stream"].strip().replace("|", "") == "This is a simulated"
    assert lines["call"].strip() == "[{'role': 'user', 'content': 'Hello, world!'}]"
    assert lines["calls"].strip() == "['stream', 'fallback', 'parallel', 'chat']"
    assert lines["stats"].strip() == "4 calls so far"
    assert lines["error"].strip().startswith("upstream_auth_failed: ")
    assert list(CallRecord.objects.order_by("id").values_list("door", "status")) == [
        ("chat", "succeeded"),
        ("parallel", "succeeded"),
        ("fallback", "succeeded"),
        ("stream", "succeeded"),
        ("chat", "failed"),
    ]
