"""Requests that can't be sent at all, because of a key or an address: attempts like any other."""

from __future__ import annotations

import logging

import pytest

from llm import AttemptStatus, CallStatus, UpstreamMisconfigured
from llm.config import Provider
from llm.simulator import SimulatorThread
from tests.llm.conftest import KEY, MODES, Mode, StartEngine

SECRET = "sk-secret"
KEYS = [f"{SECRET}\nx", f"{SECRET}\r\nX-More: 1", f"{SECRET}\0x", f"{SECRET}\ud800x", f"{SECRET}\x7fx"]
URLS = [
    "",
    "api.example.com/v1",
    "ftp://api.example.com/v1",
    "http://",
    "http:///v1",
    "http://[::1/v1",
    "http://127.0.0.1:999999/v1",
    "http://127.0.0.1:abc/v1",
    f"http://{'a' * 80}.example.com/v1",
    "http://a..b/v1",
    f"http://user:{SECRET}@127.0.0.1:1/v1",
]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("key", "url"), [*((key, None) for key in KEYS), *((f"{SECRET}-0123456789", url) for url in URLS)]
)
async def test_a_request_that_can_not_be_sent_is_on_record_and_the_next_stage_is_asked(
    simulator: SimulatorThread,
    start_engine: StartEngine,
    caplog: pytest.LogCaptureFixture,
    mode: Mode,
    key: str,
    url: str | None,
) -> None:
    caplog.set_level(logging.DEBUG)
    bad = Provider("bad", simulator.base_url if url is None else url, key)
    providers = {"bad": bad, "spare": Provider("spare", simulator.base_url, KEY)}
    asker = await start_engine(providers=providers, max_retries=2, breaker_failures=1)
    route = "m|m" if mode == "raced" else "m"
    racers = 2 if mode == "raced" else 1
    stream = mode == "streamed"

    alone = await asker.ask(route, stream=stream)
    assert alone.status is CallStatus.FAILED
    assert isinstance(alone.error, UpstreamMisconfigured)
    assert [attempt.status for attempt in alone.attempts] == [AttemptStatus.FAILED] * racers

    chained = await asker.ask(f"{route}>spare/ok", stream=stream)
    assert chained.status is CallStatus.SUCCEEDED
    failed = chained.attempts[0]
    assert failed.error is not None
    assert (failed.status, failed.error.code) == (AttemptStatus.FAILED, "upstream_misconfigured")
    assert (failed.http_status, failed.usage, failed.cost_usd) == (None, None, None)
    assert SECRET not in failed.error.message
    assert "bad" in failed.error.message
    assert asker.engine.breaker_states() == {}
    assert SECRET not in caplog.text
    assert "Traceback" not in caplog.text


@pytest.mark.parametrize("key", KEYS)
async def test_a_key_that_can_not_be_sent_is_set_aside_for_another_one(
    simulator: SimulatorThread, start_engine: StartEngine, key: str
) -> None:
    provider = Provider("openai", simulator.base_url, f"{key},{KEY}")
    asker = await start_engine(providers={"openai": provider})
    outcomes = [await asker.ask("m") for _ in range(4)]
    assert [outcome.status for outcome in outcomes] == [CallStatus.SUCCEEDED] * 4
    assert sum(len(outcome.attempts) for outcome in outcomes) == 5
    assert asker.engine.key_states() == {"openai": "1 of 2 keys refused"}


@pytest.mark.parametrize("name", ["💥", 'a"b', "a\\b", "..%2f..%2fadmin", "m?x=1#y", "%00", "{}", "null", "a" * 200])
async def test_whatever_a_model_is_called_it_is_asked(
    simulator: SimulatorThread, start_engine: StartEngine, name: str
) -> None:
    outcome = await (await start_engine()).ask(name)
    assert outcome.status is CallStatus.SUCCEEDED
    assert [seen["model"] for seen in simulator.requests()] == [name]
