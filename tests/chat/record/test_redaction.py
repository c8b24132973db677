"""REDACT_PATTERNS and STORE_CONTENT: what is never kept."""

from __future__ import annotations

import re
from collections.abc import Callable

import httpx2
import pytest
from django.core.exceptions import ImproperlyConfigured

from chat.models import Attempt, CallContent, CallRecord
from llm.simulator import Behaviour, SimulatorThread
from orchestration_site.setting_values.notations import read_patterns

CARD = "4111111111111111"


def kept() -> str:
    return repr([list(row) for kind in (CallRecord, CallContent, Attempt) for row in kind.objects.values_list()])


def test_what_is_redacted_is_in_no_row_though_the_upstream_and_the_caller_have_it(
    start_site: Callable[..., httpx2.Client], simulator: SimulatorThread
) -> None:
    client = start_site(REDACT_PATTERNS=(re.compile(r"\d{16}"),))
    simulator.script("echo", Behaviour(answer=f"Your card is {CARD}."))
    messages = [{"role": "user", "content": [{"type": "text", "text": f"My card is {CARD}"}]}]
    body = {"messages": messages, "model": "echo", "user": CARD, "metadata": {"card": CARD}}
    assert client.post("/chat", json=body).json()["content"] == f"Your card is {CARD}."
    assert CARD in client.post("/chat/stream", json=body).text.replace("\n\ndata: ", "")
    assert CARD in str(simulator.requests()[0]["body"])
    assert CARD not in kept()
    assert "Your card is [redacted]." in kept()


def test_an_upstream_error_is_redacted_too(
    start_site: Callable[..., httpx2.Client], simulator: SimulatorThread
) -> None:
    client = start_site(REDACT_PATTERNS=(re.compile(r"\d{16}"),))
    simulator.script(
        "angry", Behaviour(status=400, error={"message": f"What is {CARD}?", "type": "invalid_request_error"})
    )
    assert CARD in client.post("/chat", json={"prompt": "a", "model": "angry"}).text
    assert CARD not in kept()


def test_numbers_are_redacted_too(start_site: Callable[..., httpx2.Client]) -> None:
    client = start_site(REDACT_PATTERNS=(re.compile(r"\d{16}"),))
    body = {"messages": [{"role": "user", "content": "a", "x_card": int(CARD)}], "model": "gpt-4o", "x_limit": 5}
    body |= {"x_nested": {"card": [int(CARD)]}, "x_flag": True}
    assert client.post("/v1/chat/completions", json=body).status_code == 200
    assert CARD not in kept()
    content = CallContent.objects.get()
    assert content.messages[0]["x_card"] == "[redacted]"
    assert (content.parameters["x_limit"], content.parameters["x_flag"]) == (5, True)


def test_where_no_content_is_stored_an_upstream_error_is_not_quoted_either(
    start_site: Callable[..., httpx2.Client], simulator: SimulatorThread
) -> None:
    client = start_site(STORE_CONTENT=False)
    simulator.script(
        "angry", Behaviour(status=400, error={"message": "What is 'my prompt'?", "type": "invalid_request_error"})
    )
    assert "my prompt" in client.post("/chat", json={"prompt": "my prompt", "model": "angry"}).text
    assert "my prompt" not in kept()
    client.post("/chat", json={"prompt": "my prompt", "model": "sim-401"})
    assert Attempt.objects.get(http_status=401).error_message == "The upstream refused our key."


def test_a_nul_in_a_prompt_reaches_the_upstream_and_is_kept_as_a_replacement(
    client: httpx2.Client, simulator: SimulatorThread
) -> None:
    assert client.post("/chat", json={"prompt": "a\x00b"}).status_code == 200
    assert simulator.requests()[0]["body"]["messages"][0]["content"] == "a\x00b"
    assert CallContent.objects.get().messages[0]["content"] == "a\ufffdb"


@pytest.mark.parametrize("written", ["[", '{"a": 1}x', '["("]', "[1]", "5"])
def test_patterns_that_cannot_be_read_stop_the_start_with_the_reason(written: str) -> None:
    with pytest.raises(ImproperlyConfigured, match="REDACT_PATTERNS"):
        read_patterns(written)
