"""The examples of the seed document, exactly as they stand there. Only their port is changed."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from typing import Any

import httpx2
import pytest

from chat.models import CallRecord

BASIC_CHAT = """\
import requests

response = requests.post(
    "http://localhost:8000/chat",
    json={
        "prompt": "Explain async programming in Python",
        "model": "gpt-4-turbo",
        "temperature": 0.7,
        "max_tokens": 500
    }
)

print(response.json()["content"])
"""

FALLBACK_STRATEGY = """\
# Automatic fallback: gpt-4-turbo → gpt-3.5-turbo → default message
response = requests.post(
    "http://localhost:8000/chat/fallback",
    json={
        "prompt": "What is quantum computing?",
        "primary_provider": "openai",
        "primary_model": "gpt-4-turbo",
        "timeout": 10
    }
)

result = response.json()
print(f"Provider used: {result['provider_used']}")
print(f"Fallback triggered: {result['fallback_triggered']}")
print(f"Is default message: {result['is_default_message']}")
"""

STREAMING_RESPONSE = """\
import sseclient
import requests

response = requests.post(
    "http://localhost:8000/chat/stream",
    json={"prompt": "Tell me a story"},
    stream=True
)

client = sseclient.SSEClient(response)
for event in client.events():
    if event.data == '[DONE]':
        break
    print(event.data, end='', flush=True)
"""

CURL_HEALTH = "curl http://localhost:8000/health"
CURL_CHAT = """\
curl -X POST http://localhost:8000/chat \\
    -H "Content-Type: application/json" \\
    -d '{"prompt": "Hello, world!", "model": "gpt-4o"}'
"""
CURL_STATS = "curl http://localhost:8000/stats"


@pytest.fixture
def python(client: httpx2.Client, run: Callable[..., Any]) -> Callable[[str], str]:
    """Runs a snippet, and returns what it prints."""

    def python(snippet: str) -> str:
        done = run("-c", snippet.replace("localhost:8000", f"localhost:{client.base_url.port}"))
        assert (done.returncode, done.stderr) == (0, "")
        return str(done.stdout)

    return python


@pytest.fixture
def curl(client: httpx2.Client) -> Callable[[str], Any]:
    """Runs a curl command in a shell, and returns the JSON that it prints."""
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")

    def curl(command: str) -> Any:
        command = command.replace("localhost:8000", f"localhost:{client.base_url.port}")
        return json.loads(subprocess.run(command, shell=True, capture_output=True, check=True, timeout=30).stdout)

    return curl


def test_basic_chat(python: Callable[[str], str]) -> None:
    assert python(BASIC_CHAT).endswith("You said: Explain async programming in Python\n")
    call = CallRecord.objects.get()
    assert (call.door, call.model_used, call.status) == ("chat", "gpt-4-turbo", "succeeded")


def test_fallback_strategy(python: Callable[[str], str]) -> None:
    printed = python("import requests\n" + FALLBACK_STRATEGY)
    assert printed == "Provider used: openai\nFallback triggered: False\nIs default message: False\n"
    assert CallRecord.objects.get().route.startswith("openai/gpt-4-turbo>")


def test_streaming_response(python: Callable[[str], str]) -> None:
    assert python(STREAMING_RESPONSE).endswith("You said: Tell me a story")
    call = CallRecord.objects.get()
    assert (call.door, call.model_used, call.status) == ("stream", "gpt-4o", "succeeded")


def test_curl_health(curl: Callable[[str], Any]) -> None:
    assert curl(CURL_HEALTH)["status"] == "ok"


def test_curl_chat(curl: Callable[[str], Any]) -> None:
    answer = curl(CURL_CHAT)
    assert answer["content"].endswith("You said: Hello, world!")
    assert CallRecord.objects.get().request_id == answer["request_id"]


def test_curl_stats_has_what_the_document_lists(curl: Callable[[str], Any]) -> None:
    answer = curl(CURL_CHAT)
    stats = curl(CURL_STATS)
    assert (stats["total_requests"], stats["error_rate"]) == (1, 0)
    assert stats["average_latency_ms"] == answer["latency_ms"]
    assert stats["total_cost_usd"] == answer["cost_usd"] > 0
