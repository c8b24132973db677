"""Two real model servers, and the service in front of them. They run only with MODEL_TESTS=1.

MODEL_TESTS=1 .venv/bin/python -m pytest tests/models
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx2
import openai
import pytest

from chat.models import CallRecord
from llm import Provider
from llm.simulator import SimulatorThread
from tests.models.server.environment import interpreter
from tests.models.server.model_server import ANSWER_SECONDS, ModelServer

FOLDER = Path(__file__).parent

# Seconds within which a server must be free whose stream was cut. It looks up from its work after each token, which
# takes a few hundredths of a second where nothing else runs.
FREE_SECONDS = 5.0

# Why these tests are skipped.
REASON = "the server and its weights are 130 MB to install; MODEL_TESTS=1 tries them"


@pytest.hookimpl(tryfirst=True)  # before pytest chooses tests by their marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Every test of this folder is slow, and is skipped unless it is asked for. The first one installs the server."""
    for item in items:
        if item.path.is_relative_to(FOLDER):
            item.add_marker(pytest.mark.slow)
            item.add_marker(pytest.mark.timeout(1_200))
            if os.environ.get("MODEL_TESTS") != "1":
                item.add_marker(pytest.mark.skip(reason=REASON))


SECOND_KEY = "sk-second-0123456789abcdef"


@dataclass(frozen=True)
class Servers:
    """`first` knows tools and thoughts by chat.jinja. `second` has embeddings, and wants a key."""

    first: ModelServer
    second: ModelServer

    def __iter__(self) -> Iterator[ModelServer]:
        return iter((self.first, self.second))


@pytest.fixture(scope="session")
def _cache(request: pytest.FixtureRequest) -> Path:
    return Path(request.config.cache.mkdir("model_server"))


@pytest.fixture(scope="session")
def _servers(_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    python = interpreter(_cache)
    folder = tmp_path_factory.mktemp("model-servers")
    with ExitStack() as stack:
        servers = Servers(
            ModelServer(python, folder, "first", "--template", str(FOLDER / "server" / "chat.jinja")),
            ModelServer(python, folder, "second", "--embeddings", key=SECOND_KEY),
        )
        for server in servers:
            stack.callback(server.close)
        yield servers


@pytest.fixture
def servers(_servers: Servers, _cache: Path) -> Iterator[Servers]:
    """Both servers run, and work on nothing.

    Each test process has servers of its own, and only one process at a time may let them work, because all together
    would need more cores than there are.
    """
    with (_cache / "turn").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        for server in _servers:
            server.start()
        for server in _servers:
            server.becomes_free(within=ANSWER_SECONDS)
        yield _servers


@pytest.fixture
def start_service(
    start_site: Callable[..., httpx2.Client], servers: Servers, simulator: SimulatorThread
) -> Callable[..., httpx2.Client]:
    """Start the service in front of both servers, and of more providers: `start_service(provider, NAME=value)`.

    Models that are named without a provider are the simulator's.
    """

    def start(*more: Provider, **overrides: object) -> httpx2.Client:
        simulated = Provider(name="openai", base_url=simulator.base_url, api_key="sk-test-0123456789abcdef")
        providers = [simulated, *(server.provider for server in servers), *more]
        client = start_site(PROVIDERS={provider.name: provider for provider in providers}, **overrides)
        client.timeout = httpx2.Timeout(ANSWER_SECONDS)
        return client

    return start


@pytest.fixture
def service(start_service: Callable[..., httpx2.Client]) -> httpx2.Client:
    return start_service()


@pytest.fixture
def sdk(service: httpx2.Client) -> openai.OpenAI:
    """OpenAI's SDK in front of the service."""
    return openai.OpenAI(base_url=f"{service.base_url}/v1", api_key="none", http_client=service, max_retries=0)


def on_record() -> CallRecord:
    """The row of the call, once the call has ended."""
    give_up = time.monotonic() + 5
    while time.monotonic() < give_up:
        if call := CallRecord.objects.exclude(status="in_progress").first():
            return call
        time.sleep(0.01)
    raise AssertionError("no call has ended")
