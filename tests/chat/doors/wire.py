"""What the tests of upstreams as they really speak share: asking each door, and reading what went on record."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx2

from chat.models import CallRecord
from tests.support.upstreams.wire_replay import WIRE_CASES, Playing, WireUpstream

Json = dict[str, Any]
ReplayedSite = Callable[..., tuple[httpx2.Client, WireUpstream]]

MESSAGES = [{"role": "user", "content": "hi"}]


def played(case: str) -> dict[str, Playing]:
    """The models of a file in tests/cases/wire."""
    models: dict[str, Playing] = WIRE_CASES[case]["upstreams"]
    return models


def completion(client: httpx2.Client, model: str, **body: Any) -> Json:
    """A whole chat completion of `/v1`."""
    response = client.post("/v1/chat/completions", json={"model": model, "messages": MESSAGES, **body})
    assert response.status_code == 200, response.text
    answer: Json = response.json()
    return answer


def chunks(client: httpx2.Client, model: str, path: str = "/v1/chat/completions", **body: Any) -> list[Json]:
    """The chunks of a stream of `/v1`, which must end as it should."""
    asked = {"messages": MESSAGES} if path.endswith("chat/completions") else {}
    response = client.post(path, json={"model": model, "stream": True, **asked, **body})
    assert response.status_code == 200, response.text
    assert response.text.endswith("data: [DONE]\n\n") or "/responses" in path, response.text
    return [json.loads(data) for data in events(response) if data != "[DONE]"]


def native(client: httpx2.Client, door: str, **body: Any) -> Json:
    """The answer of a native door, which must be one."""
    response = client.post(door, json={"prompt": "hi", **body})
    assert response.status_code == 200, response.text
    answer: Json = response.json()
    return answer


def streamed_text(client: httpx2.Client, model: str, **body: Any) -> str:
    """The text that `/chat/stream` gives in plain events. It must end as it should."""
    response = client.post("/chat/stream", json={"prompt": "hi", "model": model, **body})
    assert response.status_code == 200, response.text
    said = events(response)
    assert said[-1] == "[DONE]", response.text
    return "".join(said[:-1])


def events(response: httpx2.Response) -> list[str]:
    """The data of each event."""
    written = [event.split("\n") for event in response.text.split("\n\n")]
    data = [[line[6:] for line in lines if line.startswith("data: ")] for lines in written]
    return ["\n".join(lines) for lines in data if lines]


def last_call() -> CallRecord:
    return CallRecord.objects.latest("created_at")


def statuses() -> list[tuple[str, str, str]]:
    """Model, status and error code of each attempt of the last call."""
    attempts = last_call().attempts.order_by("ordinal")
    return [(attempt.model, attempt.status, attempt.error_code) for attempt in attempts]
