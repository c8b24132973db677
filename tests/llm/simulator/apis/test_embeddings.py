"""The simulator's embeddings, failures first."""

from __future__ import annotations

import base64
import json
import struct
from typing import Any

import httpx2
import openai
import pytest

from llm.simulator import Behaviour, RunningSimulator
from tests.llm.simulator.chat_client import CUT


async def test_embeddings_may_lack_usage_or_vectors(simulator: RunningSimulator, http: httpx2.AsyncClient) -> None:
    simulator.state.script("e", Behaviour(usage=False, times=1), Behaviour(empty=True))
    body = {"model": "e", "input": ["one", "two"]}
    first, second = [(await http.post("/v1/embeddings", json=body)).json() for _ in range(2)]
    assert len(first["data"]) == 2
    assert "usage" not in first
    assert second["data"] == []


async def test_embeddings_are_cut_broken_and_replaced_by_errors(
    simulator: RunningSimulator, http: httpx2.AsyncClient
) -> None:
    body = {"model": "e", "input": "one"}
    simulator.state.script("e", Behaviour(malformed_after=0, times=1), Behaviour(error_after=0, times=1))
    with pytest.raises(json.JSONDecodeError):
        (await http.post("/v1/embeddings", json=body)).json()
    answer = await http.post("/v1/embeddings", json=body)
    assert (answer.status_code, list(answer.json())) == (200, ["error"])
    for cut_after in (0, 1):
        simulator.state.script("e", Behaviour(cut_after=cut_after))
        with pytest.raises(CUT):
            await http.post("/v1/embeddings", json=body)
    simulator.state.script("e", Behaviour(context_window=0))
    assert (await http.post("/v1/embeddings", json=body)).json()["error"]["param"] == "input"
    assert {seen["ended"] for seen in simulator.state.requests()} == {"complete"}


@pytest.mark.parametrize("encoding", [openai.omit, "float", "base64"])
async def test_embeddings_are_deterministic_and_of_length_one(sdk: openai.AsyncOpenAI, encoding: Any) -> None:
    answer = await sdk.embeddings.create(model="e", input=["one", "two", "one"], encoding_format=encoding)
    vectors = [item.embedding for item in answer.data]
    if encoding == "base64":
        vectors = [list(struct.unpack("<8f", base64.b64decode(str(each)))) for each in vectors]
    assert vectors[0] == vectors[2] != vectors[1]
    assert sum(value * value for value in vectors[0]) == pytest.approx(1)
    assert answer.usage.prompt_tokens == 3


async def test_embeddings_honour_dimensions_and_fail_like_any_model(http: httpx2.AsyncClient) -> None:
    response = await http.post("/v1/embeddings", json={"model": "e", "input": [1, 2, 3], "dimensions": 20})
    assert len(response.json()["data"][0]["embedding"]) == 20
    assert (await http.post("/v1/embeddings", json={"model": "sim-503", "input": "x"})).status_code == 503
    assert (await http.post("/v1/embeddings", json={"model": "e", "input": []})).status_code == 400
