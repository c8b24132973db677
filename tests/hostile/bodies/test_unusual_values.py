"""Bodies that are valid JSON with unusual names, numbers, sizes and depths."""

from __future__ import annotations

import json
from typing import Any

import httpx2
import pytest

from chat.models import CallRecord
from llm.simulator import SimulatorThread
from tests.hostile.bodies.refusals import JSON, envelope
from tests.support.wire import DOORS, MESSAGES, NATIVE, OPENAI


@pytest.mark.parametrize("path", DOORS)
def test_of_two_fields_with_one_name_the_last_counts_everywhere(
    client: httpx2.Client, simulator: SimulatorThread, path: str
) -> None:
    twice = json.dumps({"model": "gpt-4o-mini"})[:-1] + ", " + json.dumps({**DOORS[path], "model": "gpt-4o"})[1:]
    response = client.post(path, content=twice, headers={"content-type": JSON})
    assert response.status_code == 200
    assert [request["model"] for request in simulator.requests()] == ["gpt-4o"]
    assert CallRecord.objects.get().model_requested == "gpt-4o"


@pytest.mark.parametrize("path", OPENAI)
def test_numbers_of_any_size_go_through_as_they_are_and_are_on_record(
    client: httpx2.Client, simulator: SimulatorThread, path: str
) -> None:
    numbers = {"big": 10**4000, "small": -(10**30), "float": 1.7976931348623157e308, "tiny": 5e-324, "minus": -0.0}
    response = client.post(path, json={**DOORS[path], "x_numbers": numbers})
    assert response.status_code == 200
    assert simulator.requests()[0]["body"]["x_numbers"] == numbers
    detail = client.get(f"/calls/{response.headers['x-request-id']}")
    assert detail.status_code == 200
    assert detail.json()["parameters"]["x_numbers"]["big"] == 10**4000


@pytest.mark.parametrize(
    ("field", "value"),
    [(name, value) for name in ("max_tokens", "seed", "temperature", "timeout", "cache_ttl", "top_p")
     for value in (10**400, -(10**400), 2**63, 1e308, -1e308, -0.5)],
)  # fmt: skip
def test_a_number_out_of_range_is_named(client: httpx2.Client, field: str, value: float) -> None:
    for path, body in NATIVE.items():
        response = client.post(path, json={**body, field: value})
        assert response.status_code == 400, path
        assert field in envelope(response)["details"]["fields"]


def test_extras_in_a_v1_body_or_header_of_any_size_are_named(client: httpx2.Client) -> None:
    for path, body in OPENAI.items():
        for value in (10**400, 1e308, -1, "1e400", "9" * 5000, "nan", "inf", "0x10", "१", "", " 1", "1\u2028"):
            for name in ("x-timeout", "x-cache-ttl", "x-hedge-after"):
                response = client.post(path, json={**body, name: value})
                assert response.status_code == 400, (path, name, value)
                assert envelope(response)["param"] == name


def test_ten_thousand_messages(client: httpx2.Client, simulator: SimulatorThread) -> None:
    messages = MESSAGES * 10_000
    response = client.post("/v1/chat/completions", json={"model": "gpt-4o", "messages": messages})
    assert response.status_code == 200
    assert len(client.get(f"/calls/{response.headers['x-request-id']}").json()["messages"]) == 10_000
    for path in NATIVE:
        refused = client.post(path, json={"messages": messages})
        assert refused.status_code == 400
        assert "2048" in envelope(refused)["message"]


@pytest.mark.parametrize("path", DOORS)
def test_a_huge_text_is_answered_and_on_record(client: httpx2.Client, path: str) -> None:
    text = "é" * 2_000_000
    body = json.loads(json.dumps(DOORS[path]).replace('"hi"', json.dumps(text)))
    response = client.post(path, json=body)
    assert response.status_code == 200
    kept = client.get(f"/calls/{response.headers['x-request-id']}").json()["messages"]
    assert json.dumps(kept, ensure_ascii=False).count("é") == len(text)


@pytest.mark.parametrize("levels", [40, 90])
def test_a_body_of_some_depth_goes_through_and_is_on_record(
    client: httpx2.Client, simulator: SimulatorThread, levels: int
) -> None:
    deep = nested(levels)
    for path, body in OPENAI.items():
        response = client.post(path, json={**body, "x_deep": deep, "metadata": {"deep": deep}})
        assert response.status_code == 200, response.text
        assert simulator.requests()[-1]["body"]["x_deep"] == deep
        call = client.get(f"/calls/{response.headers['x-request-id']}").json()
        assert call["parameters"]["x_deep"] == call["metadata"]["deep"] == deep
    for path in NATIVE:
        message = {"role": "user", "content": [{"type": "text", "text": "hi", "deep": deep}]}
        for body in ({"messages": [message]}, {"prompt": "a", "response_format": {"type": "text", "deep": deep}}):
            response = client.post(path, json=body)
            assert response.status_code == 200, response.text


@pytest.mark.parametrize("levels", [101, 500, 850, 950])
def test_a_deeper_body_is_a_400_that_says_so(client: httpx2.Client, simulator: SimulatorThread, levels: int) -> None:
    deep = '{"a":' * levels + "1" + "}" * levels
    for path, body in DOORS.items():
        for field in ("x_deep", "metadata", "response_format"):
            content = json.dumps(body)[:-1] + f', "{field}": {deep}}}'
            response = client.post(path, content=content, headers={"content-type": JSON})
            assert response.status_code == 400, path
            assert "too deep" in envelope(response)["message"]
    assert simulator.requests() == []


def nested(levels: int) -> Any:
    deep: Any = "x"
    for level in range(levels):
        deep = {"a": deep} if level % 2 else [deep]
    return deep
