"""The extras that OpenAI's protocol has no field for, as headers and in the body."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import httpx2
import openai
import pytest

from chat.models import CallRecord
from llm.simulator import SimulatorThread
from tests.support.openai_sdk import HELLO, chunks_of, events_of, sdk_of

StartSite = Callable[..., httpx2.Client]
DOOR = "/v1/chat/completions"


def test_none_of_them_reaches_an_upstream_and_the_header_counts(
    client: httpx2.Client, simulator: SimulatorThread
) -> None:
    extras = {
        "x-route": "sim-500",
        "x-timeout": 20,
        "x-hedge-after": 0.5,
        "x-default-message": "no",
        "x-cache-ttl": 0,
    }
    headers = {"x-route": "gpt-4o", "X-Timeout": "10.5", "x-hedge-after": "1e-1"}
    response = client.post(DOOR, json={"model": "ignored", "messages": HELLO, **extras}, headers=headers)
    assert (response.status_code, response.headers["x-model-used"]) == (200, "gpt-4o")
    assert [request["body"] for request in simulator.requests()] == [{"model": "gpt-4o", "messages": HELLO}]
    assert CallRecord.objects.get().body.parameters == {}
    assert client.post(DOOR, json={"messages": HELLO}, headers={"x-route": "gpt-4o"}).status_code == 200


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("x-route", "a>"),
        ("x-route", ""),
        ("x-route", "a" * 1001),
        ("x-timeout", "soon"),
        ("x-timeout", "0"),
        ("x-timeout", "nan"),
        ("x-timeout", "inf"),
        ("x-timeout", "1_0"),
        ("x-timeout", "-"),
        ("x-timeout", "3601"),
        ("x-hedge-after", "-1"),
        ("x-hedge-after", "NaN"),
        ("x-cache-ttl", "1e999"),
        ("x-default-message", "a" * 10_001),
    ],
)
def test_a_wrong_value_is_named_by_header_and_by_body(client: httpx2.Client, name: str, value: str) -> None:
    body = {"model": "gpt-4o", "messages": HELLO}
    for response in (
        client.post(DOOR, json=body, headers={name: value}),
        client.post(DOOR, json={**body, name: value}),
    ):
        assert response.status_code == 400, response.text
        assert response.json()["error"]["param"] == name
    assert CallRecord.objects.count() == 0


@pytest.mark.parametrize("value", [True, None, [], {}])
def test_a_value_of_a_wrong_type_is_named(client: httpx2.Client, value: Any) -> None:
    for name in ("x-timeout", "x-default-message", "x-route"):
        response = client.post(DOOR, json={"model": "gpt-4o", "messages": HELLO, name: value})
        assert (response.status_code, response.json()["error"]["param"]) == (400, name)


def test_a_timeout_and_a_hedge_of_the_caller_s_own(client: httpx2.Client, simulator: SimulatorThread) -> None:
    sdk = sdk_of(client)
    started = time.monotonic()
    with pytest.raises(openai.InternalServerError) as raised:
        sdk.chat.completions.create(model="sim-timeout", messages=HELLO, extra_headers={"x-timeout": "0.3"})  # type: ignore[arg-type]
    assert raised.value.status_code == 504
    assert time.monotonic() - started < 1.5
    simulator.reset()
    hedged = {"x-hedge-after": 30}
    sdk.chat.completions.create(model="gpt-4o|gpt-4o-mini", messages=HELLO, extra_body=hedged)  # type: ignore[arg-type]
    assert [request["model"] for request in simulator.requests()] == ["gpt-4o"]


def test_a_default_message_is_a_completion_whole_and_streamed(start_site: StartSite) -> None:
    client = start_site(MAX_RETRIES=0)
    sdk = sdk_of(client)
    text = "Sorry, 漢.\nLater."
    whole = sdk.chat.completions.create(model="sim-500", messages=HELLO, extra_body={"x-default-message": text})  # type: ignore[arg-type]
    assert (whole.choices[0].message.content, whole.choices[0].finish_reason) == (text, "stop")
    header = {"x-default-message": "Sorry, 漢.".encode()}
    streamed = client.post(DOOR, json={"model": "sim-500", "messages": HELLO, "stream": True}, headers=header)  # type: ignore[arg-type]
    said = [chunk["choices"][0]["delta"].get("content", "") for chunk in chunks_of(streamed)]
    assert ("".join(said), events_of(streamed)[-1]) == ("Sorry, 漢.", "[DONE]")
    assert "x-model-used" not in streamed.headers
    refused = client.post(DOOR, json={"model": "sim-400", "messages": HELLO}, headers=header)  # type: ignore[arg-type]
    assert refused.status_code == 400
    calls = CallRecord.objects.order_by("created_at").values_list("status", "http_status", "is_default_message")
    assert list(calls) == [("defaulted", 200, True), ("defaulted", 200, True), ("failed", 400, False)]


def test_a_model_s_name_that_fits_no_header_is_answered_all_the_same(client: httpx2.Client) -> None:
    response = client.post(DOOR, json={"model": "modell-ä-漢", "messages": HELLO})
    assert (response.status_code, response.headers["x-model-used"]) == (200, "modell-?-?")
