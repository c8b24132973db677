"""A site that stops serves open calls within its grace, and cancels the rest."""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack
from typing import Any

import pytest

from chat.models import CallRecord
from llm import Provider
from llm.simulator import Behaviour, SimulatorThread
from tests.chat.doors.disconnects.callers import PACED, caller
from tests.support.loopback import loopback_client
from tests.support.site_thread import running_site
from tests.support.waiting import eventually


@pytest.fixture
def upstream(simulator: SimulatorThread, settings: Any, transactional_db: None) -> SimulatorThread:
    """The simulator as the provider of a site that the test itself starts and stops."""
    settings.PROVIDERS = {"openai": Provider(name="openai", base_url=simulator.base_url, api_key="sk-test")}
    return simulator


def test_a_stream_that_ends_within_the_grace_is_served_to_its_end(upstream: SimulatorThread) -> None:
    upstream.script("paced", Behaviour(answer="word " * 20, tokens_per_second=25))
    received: list[bytes] = []
    begun = threading.Event()

    def read(base_url: str) -> None:
        with (
            loopback_client(base_url=base_url, timeout=10) as client,
            client.stream("POST", "/chat/stream", json={"prompt": "a", "model": "paced"}) as response,
        ):
            for piece in response.iter_raw():
                received.append(piece)
                begun.set()

    with running_site() as base_url:
        reader = threading.Thread(target=read, args=(base_url,))
        reader.start()
        assert begun.wait(5)
    reader.join(5)
    assert b"".join(received).endswith(b"data: [DONE]\n\n")
    assert CallRecord.objects.get().status == "succeeded"


def test_stopping_the_site_ends_what_does_not_end_by_itself_within_its_grace_and_all_of_it_is_on_record(
    upstream: SimulatorThread,
) -> None:
    upstream.script("paced", PACED)
    with ExitStack() as site:
        client = loopback_client(base_url=site.enter_context(running_site()))
        with (
            client,
            caller(client, "/chat/stream", model="paced") as streaming,
            caller(client, "/chat", model="sim-timeout"),
            caller(client, "/chat/stream", model="sim-timeout"),
            caller(client, "/chat/parallel", models=["paced", "sim-timeout"]),
        ):
            eventually(lambda: len(upstream.requests()) == 5)
            received = b""
            while b"three" not in received:
                received += streaming.recv(4096)
            stopped_at = time.monotonic()
            site.close()
            took = time.monotonic() - stopped_at
            while piece := streaming.recv(65536):
                received += piece
    assert took < 8
    assert b"[DONE]" not in received
    calls = {(call.door, call.streamed, call.route): call for call in CallRecord.objects.all()}
    assert len(calls) == 4
    assert {call.status for call in calls.values()} == {"cancelled"}
    assert calls["stream", True, "paced"].body.content.startswith("one two three")
    assert all(call.usage_estimated for call in calls.values())
    assert upstream.state.open_requests == 0
