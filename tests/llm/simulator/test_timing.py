"""Waits and paces: an answer takes the time that its script says."""

from __future__ import annotations

import time

import httpx2
import pytest

from llm.simulator import Behaviour, RunningSimulator
from tests.llm.simulator.chat_client import HELLO, ask


async def test_latency_comes_before_the_headers_and_the_first_token_after_them(
    simulator: RunningSimulator, http: httpx2.AsyncClient
) -> None:
    simulator.state.script("m", Behaviour(latency_s=0.1, first_token_s=0.2))
    started = time.perf_counter()
    body = {"model": "m", "messages": HELLO, "stream": True}
    async with http.stream("POST", "/v1/chat/completions", json=body) as response:
        headers_after = time.perf_counter() - started
        await response.aread()
    assert headers_after >= 0.1
    assert time.perf_counter() - started >= 0.3


@pytest.mark.parametrize("stream", [False, True])
async def test_an_answer_takes_the_time_of_its_tokens(
    simulator: RunningSimulator, http: httpx2.AsyncClient, stream: bool
) -> None:
    simulator.state.script("m", Behaviour(tokens_per_second=50, answer="word " * 10))
    started = time.perf_counter()
    await ask(http, stream=stream)
    assert time.perf_counter() - started >= 0.17


async def test_answers_on_a_kept_connection_are_not_held_back_by_nagle(http: httpx2.AsyncClient) -> None:
    seconds = []
    for _ in range(50):
        started = time.perf_counter()
        await ask(http)
        seconds.append(time.perf_counter() - started)
    # With Nagle's algorithm and delayed acknowledgements each takes 0.04 s. A busy machine delays many, but not all.
    assert sorted(seconds)[10] < 0.035


async def test_every_so_many_requests_one_is_slower(simulator: RunningSimulator, http: httpx2.AsyncClient) -> None:
    simulator.state.script("m", Behaviour(latency_s=0.01, tail_share=0.33, tail_factor=20))
    slow = []
    for _ in range(6):
        started = time.perf_counter()
        await ask(http)
        slow.append(time.perf_counter() - started >= 0.2)
    assert (slow[2], slow[5]) == (True, True)
    simulator.state.script("m", Behaviour(tail_share=0.33, tail_factor=20))
    assert [simulator.state.take_turn("m").slowness for _ in range(6)] == [1, 1, 20, 1, 1, 20]
