"""Raw steps: bytes that a script sends as they are, so that any recorded upstream can be played."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx2
import pytest

from llm.simulator import Behaviour, RunningSimulator
from llm.simulator.script.raw_steps import MAX_SENT_BYTES, MAX_STEPS
from tests.llm.simulator.chat_client import HELLO, ask, eventually
from tests.support.upstreams.wire_replay import WIRE_CASES, Json

STEPS = {
    f"{case} {model}": steps
    for case, content in WIRE_CASES.items()
    if isinstance(upstreams := content.get("upstreams"), dict)
    for model, steps in upstreams.items()
}
HI = {"send": "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"}


async def received(simulator: RunningSimulator, model: str = "m") -> bytes:
    """All bytes that come for one request until the simulator closes the connection."""
    body = json.dumps({"model": model, "messages": HELLO}).encode()
    lines = ("POST /v1/chat/completions HTTP/1.1", "Host: x", "Authorization: Bearer x", f"Content-Length: {len(body)}")
    head = "\r\n".join((*lines, "", ""))
    reader, writer = await asyncio.open_connection("127.0.0.1", simulator.port)
    writer.write(head.encode() + body)
    try:
        async with asyncio.timeout(10):
            return await reader.read()
    finally:
        writer.close()


@pytest.mark.parametrize("steps", STEPS.values(), ids=STEPS)
async def test_every_wire_case_is_played_byte_by_byte(
    simulator: RunningSimulator, http: httpx2.AsyncClient, steps: list[Json]
) -> None:
    quick = [{"wait": 0.05} if "wait" in step else step for step in steps]
    put = await http.put("/_script/m", json=quick)
    assert put.status_code == 200, put.text
    assert put.json()["behaviours"][0]["steps"] == quick
    expected = "".join(step.get("send", "") for step in steps).encode("latin-1")
    assert await received(simulator) == expected
    assert [seen["ended"] for seen in simulator.state.requests()] == ["complete"]


@pytest.mark.parametrize("case", WIRE_CASES["prompt-too-long"]["upstreams"], ids=lambda case: case["server"])
async def test_every_refusal_of_a_long_prompt_is_a_script(http: httpx2.AsyncClient, case: Json) -> None:
    error = case.get("error") or {"message": case["message"]}
    await http.put("/_script/m", json={"status": case["status"], "error": error})
    answer = await ask(http)
    assert (answer.status_code, answer.json()) == (case["status"], {"error": error})


@pytest.mark.parametrize("refusal", WIRE_CASES["stream-options-refused"]["refusals"])
async def test_every_refusal_of_stream_options_is_a_script(http: httpx2.AsyncClient, refusal: Json) -> None:
    script = {"forbid": ["stream_options"], "forbid_status": refusal["status"], "forbid_body": refusal["body"]}
    put = await http.put("/_script/m", json=script)
    assert put.status_code == 200, put.text
    refused = await ask(http, stream=True, stream_options={"include_usage": True})
    assert (refused.status_code, refused.json()) == (refusal["status"], refusal["body"])
    assert (await ask(http, stream=True)).status_code == 200


async def test_steps_wait_and_come_in_the_turn_of_their_script(
    simulator: RunningSimulator, http: httpx2.AsyncClient
) -> None:
    script = [{"steps": [{"wait": 0.2}, HI], "times": 1}, {"status": 500}]
    assert (await http.put("/_script/m", json=script)).status_code == 200
    clock = asyncio.get_running_loop().time
    started = clock()
    assert (await received(simulator)).endswith(b"hi")
    assert 0.2 <= clock() - started < 2
    assert (await ask(http)).status_code == 500


async def test_a_client_that_leaves_during_a_wait_is_noticed(
    simulator: RunningSimulator, http: httpx2.AsyncClient
) -> None:
    await http.put("/_script/m", json=[{"send": "HTTP/1.1 200 OK\r\n"}, {"wait": 600}])
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await ask(http)
    await eventually(lambda: simulator.state.requests()[-1]["ended"] == "disconnected")


@pytest.mark.parametrize(
    "steps",
    [
        [{"send": "漢"}],
        [{"send": 1}],
        [{"send": "a", "wait": 1}],
        [{"wait": -1}],
        [{"wait": True}],
        [{"wait": 601}],
        [{"wait": 0}] * (MAX_STEPS + 1),
        [{"send": "a" * (MAX_SENT_BYTES // 2 + 1)}] * 2,
    ],
)
async def test_steps_out_of_bounds_are_refused_by_name(http: httpx2.AsyncClient, steps: list[Any]) -> None:
    answer = await http.put("/_script/m", json=steps)
    assert answer.status_code == 400
    assert "steps: must be a list of 1 to 1000 steps" in answer.json()["error"]["message"]
    with pytest.raises(ValueError, match="steps: "):
        Behaviour.from_dict({"steps": steps})


def test_steps_survive_the_way_to_json_and_back() -> None:
    behaviour = Behaviour(steps=({"wait": 1}, HI), twists=("parts",), forbid=("x",), forbid_body={"a": 1})
    assert Behaviour.from_dict(json.loads(json.dumps(behaviour.to_dict()))) == behaviour
