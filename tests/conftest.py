"""Fixtures of all tests: the simulator as upstream, and the whole service on a real socket with a real database."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from functools import cache
from typing import Any

import httpx2
import pytest
import redis
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

from llm import Provider
from llm.simulator import SimulatorThread
from llm.upstream.compat import ssl_context
from tests.support.loopback import loopback_client
from tests.support.site_thread import SharedServer, running_site, shared_server
from tests.support.upstreams.wire_answers import good, slow
from tests.support.upstreams.wire_replay import Playing, WireUpstream

# How many random examples a property test tries (HYPOTHESIS_PROFILE). `make test` tries the same few each time, and
# `make test-slow` the same many, so that neither is red by chance. `deep` is for whoever has an hour, and tries others
# each time. A test may not fail for being slow, because another process may have the machine.
_patient = hypothesis_settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
hypothesis_settings.register_profile("quick", _patient, max_examples=40, derandomize=True)
hypothesis_settings.register_profile("thorough", _patient, max_examples=500, derandomize=True)
hypothesis_settings.register_profile("deep", _patient, max_examples=5_000, print_blob=True)
hypothesis_settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))

TEST_KEY = "sk-test-0123456789abcdef"


@pytest.fixture(scope="session", autouse=True)
def _certificates_are_read_once() -> Iterator[None]:
    """Each engine would read all certificates of the machine, which takes 24 ms of CPU. The tests' engines share them.

    The certificates are real, so that what depends on them still does.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("llm.upstream.client.ssl_context", cache(ssl_context))
        yield


@pytest.fixture(scope="session")
def _simulator() -> Iterator[SimulatorThread]:
    with SimulatorThread() as simulator:
        yield simulator


@pytest.fixture
def simulator(_simulator: SimulatorThread) -> Iterator[SimulatorThread]:
    """The upstream. It has no script, and has seen no request."""
    _simulator.reset()
    yield _simulator
    _simulator.reset()


@pytest.fixture(scope="session")
def shared_site() -> Iterator[SharedServer]:
    """The server of `start_site`, whose services come and go."""
    with shared_server() as server:
        yield server


@pytest.fixture
def start_site(
    simulator: SimulatorThread,
    settings: Any,
    transactional_db: None,
    shared_site: SharedServer,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Callable[..., httpx2.Client]]:
    """Start the service with settings of your own: `start_site(STORE_CONTENT=False)` gives a client for it."""
    if settings.REDIS_URL:  # a real Redis remembers how much of their limits earlier tests have used
        # On a busy machine it may take longer than a second, and then limits would be counted in memory.
        monkeypatch.setattr("access.limits.limiter.REDIS_TIMEOUT_SECONDS", 30.0)
        with redis.Redis.from_url(settings.REDIS_URL) as shared:
            shared.flushdb()
    with ExitStack() as stack:

        def start(**overrides: object) -> httpx2.Client:
            provider = Provider(name="openai", base_url=simulator.base_url, api_key=TEST_KEY)
            settings.PROVIDERS = {"openai": provider}
            for name, value in overrides.items():
                setattr(settings, name, value)
            site = shared_site.service() if shared_site.is_free else running_site()  # a test may start several at once
            base_url = stack.enter_context(site)
            return stack.enter_context(loopback_client(base_url=base_url, timeout=30))

        yield start


@pytest.fixture
def client(start_site: Callable[..., httpx2.Client]) -> httpx2.Client:
    """An HTTP client of the service with its default settings."""
    return start_site()


@pytest.fixture
def replayed_site(
    start_site: Callable[..., httpx2.Client],
) -> Iterator[Callable[..., tuple[httpx2.Client, WireUpstream]]]:
    """`replayed_site(models, **settings)` gives a client of a site whose upstream plays `models`, and that upstream.

    `models` maps names to steps, or to functions that make steps for a request; see
    `tests.support.upstreams.wire_replay`. The models `good` and `wide` answer well, and `slow` does so after
    `slow_seconds`.
    """
    with ExitStack() as stack:

        def start(
            models: Mapping[str, Playing], *, slow_seconds: float = 1.0, **overrides: object
        ) -> tuple[httpx2.Client, WireUpstream]:
            always: dict[str, Playing] = {"good": good, "wide": good, "slow": slow(slow_seconds)}
            upstream = stack.enter_context(WireUpstream(always | dict(models)))
            provider = Provider(name="openai", base_url=upstream.base_url, api_key=TEST_KEY)
            return start_site(PROVIDERS={"openai": provider}, **overrides), upstream

        yield start
