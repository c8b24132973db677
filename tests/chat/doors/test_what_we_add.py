"""What the service puts into a body is taken back when an upstream refuses it, and the caller never hears of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx2
import pytest

from chat.models import Attempt, CallRecord
from tests.support.upstreams.wire_answers import good, whole
from tests.support.upstreams.wire_replay import WIRE_CASES, Asked, Playing, Step, WireUpstream

ReplayedSite = Callable[..., tuple[httpx2.Client, WireUpstream]]
Json = dict[str, Any]

MESSAGES = [{"role": "user", "content": "hi"}]
REFUSALS: list[tuple[int, Json]] = [
    *((each["status"], each["body"]) for each in WIRE_CASES["stream-options-refused"]["refusals"]),
    (422, {"detail": [{"type": "extra_forbidden", "loc": ["body", "stream_options"], "msg": "Extra inputs"}]}),
]
refusals = pytest.mark.parametrize("number", range(len(REFUSALS)))
doors = pytest.mark.parametrize(
    ("door", "body"),
    [
        ("/v1/chat/completions", {"messages": MESSAGES, "stream": True, "model": "m"}),
        ("/v1/completions", {"prompt": "hi", "stream": True, "model": "m"}),
        ("/chat/stream", {"prompt": "hi", "model": "m"}),
        ("/chat/stream", {"prompt": "hi", "model": "m>good"}),
        ("/chat/parallel", {"prompt": "hi", "model": "m|slow"}),
        ("/v1/chat/completions", {"messages": MESSAGES, "model": "m|slow"}),
    ],
    ids=lambda value: value if isinstance(value, str) else value["model"],
)


def refuses(name: str, status: int, body: Json) -> Playing:
    """An upstream that refuses bodies with one field, and answers well without it."""

    def play(asked: Asked) -> list[Step]:
        return whole(body, status) if name in asked.body else good(asked)

    return play


def unknown(name: str, status: int = 400) -> Playing:
    return refuses(name, status, {"error": {"message": f"Unknown parameter: '{name}'.", "param": name}})


def statuses() -> list[tuple[str, int]]:
    call = CallRecord.objects.latest("created_at")
    return list(Attempt.objects.filter(call=call, model="m").order_by("ordinal").values_list("status", "http_status"))


@refusals
@doors
def test_refused_stream_options_are_left_out_and_that_is_remembered(
    replayed_site: ReplayedSite, door: str, body: Json, number: int
) -> None:
    status, said = REFUSALS[number]
    client, upstream = replayed_site({"m": refuses("stream_options", status, said)}, slow_seconds=3)
    for asked in (2, 3):
        response = client.post(door, json=body)
        assert response.status_code == 200, response.text
        assert "all is" in response.text
        assert upstream.count("m") == asked
        assert statuses() == ([("failed", status), ("succeeded", 200)] if asked == 2 else [("succeeded", 200)])
        assert CallRecord.objects.latest("created_at").status == "succeeded"
    ready = client.get("/health/ready").json()["checks"]
    assert ready["refused_parameters"] == {"openai/m": ["stream_options"]}
    assert ready["circuit_breakers"] == {}


def test_a_model_that_takes_no_streams_takes_part_in_a_race(replayed_site: ReplayedSite) -> None:
    client, upstream = replayed_site({"m": unknown("stream")}, slow_seconds=3)
    for asked in (2, 3):
        assert client.post("/chat/parallel", json={"prompt": "hi", "model": "m|slow"}).json()["model_used"] == "m"
        assert upstream.count("m") == asked


@pytest.mark.parametrize("status", [400, 422])
def test_the_temperature_of_the_settings_is_left_out_and_the_callers_own_is_not(
    replayed_site: ReplayedSite, status: int
) -> None:
    client, upstream = replayed_site({"m": unknown("temperature", status)})
    for asked in (2, 3):
        assert client.post("/chat", json={"prompt": "hi", "model": "m"}).status_code == 200
        assert upstream.count("m") == asked
    refused = client.post("/chat", json={"prompt": "hi", "model": "m", "temperature": 0.2})
    assert (refused.status_code, refused.json()["error"]["message"]) == (400, "Unknown parameter: 'temperature'.")
    assert upstream.count("m") == 4


def test_a_caller_whose_odd_request_names_our_field_takes_it_from_nobody_else(replayed_site: ReplayedSite) -> None:
    def play(asked: Asked) -> list[Step]:
        odd = asked.body["messages"][0]["role"] == "stream_options"
        return whole({"error": "unknown role stream_options"}, 400) if odd else good(asked)

    client, upstream = replayed_site({"m": play})
    odd = {"messages": [{"role": "stream_options", "content": "hi"}], "model": "m", "stream": True}
    response = client.post("/v1/chat/completions", json=odd)
    assert (response.status_code, response.json()["error"]["message"]) == (400, "unknown role stream_options")
    client.post("/v1/chat/completions", json={**odd, "messages": MESSAGES})
    assert upstream.seen[-1].body["stream_options"] == {"include_usage": True}
    assert client.get("/health/ready").json()["checks"]["refused_parameters"] == {}


def test_a_value_that_one_caller_was_refused_is_not_taken_from_another(replayed_site: ReplayedSite) -> None:
    def play(asked: Asked) -> list[Step]:
        if asked.body.get("temperature") is not None and asked.body.get("reasoning_effort"):
            message = "Unsupported parameter: 'temperature' is not supported with this model."
            error = {"message": message, "code": "unsupported_parameter", "param": "temperature"}
            return whole({"error": error}, 400)
        return good(asked)

    client, upstream = replayed_site({"m": play})
    thinks = {"messages": MESSAGES, "model": "m", "temperature": 0.2, "reasoning_effort": "high"}
    assert client.post("/v1/chat/completions", json=thinks).status_code == 200
    plain = {"messages": MESSAGES, "model": "m", "temperature": 0.9}
    assert client.post("/v1/chat/completions", json=plain).status_code == 200
    assert upstream.seen[-1].body["temperature"] == 0.9


def test_a_name_that_was_learned_for_a_limit_is_taken_back_too(replayed_site: ReplayedSite) -> None:
    """Behind one address there may be servers of several versions."""
    wants = ["max_completion_tokens"]

    def play(asked: Asked) -> list[Step]:
        names = {"max_tokens", "max_completion_tokens"} & asked.body.keys()
        if names <= {wants[0]}:
            return good(asked)
        [name] = names
        error = {"message": f"Unsupported parameter: '{name}'.", "param": name, "code": "unsupported_parameter"}
        return whole({"error": error}, 400)

    client, upstream = replayed_site({"m": play})
    order = {"prompt": "hi", "model": "m", "max_tokens": 5}
    assert client.post("/chat", json=order).status_code == 200
    wants[0] = "max_tokens"
    assert client.post("/chat", json=order).status_code == 200
    assert [("max_tokens" in asked.body) for asked in upstream.seen] == [True, False, False, True]
    assert client.post("/chat", json=order).status_code == 200
    assert upstream.count("m") == 5
