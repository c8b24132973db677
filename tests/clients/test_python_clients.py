"""Python clients of other projects call the service, without any change.

    CLIENT_TESTS=1 .venv/bin/python -m pytest tests/clients/test_python_clients.py

They are installed into an environment of their own, which takes minutes. So these tests run only with CLIENT_TESTS=1.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest

from chat.models import CallRecord
from llm.simulator import Behaviour, SimulatorThread

FOLDER = Path(__file__).parent
ANSWER = "This is a simulated answer from {}; no real model was asked. You said: Hello"
TRIP = {"city": "Oslo", "days": 3}
FAILED = ("sim-401", "sim-429", "sim-500", "sim-context")

pytestmark = pytest.mark.skipif(
    os.environ.get("CLIENT_TESTS") != "1",
    reason="the clients take minutes to install; CLIENT_TESTS=1 tries them",
)


@dataclass(frozen=True)
class Client:
    """What differs between clients: the names of their errors, and the error of a stream that broke."""

    program: str
    late: str
    errors: tuple[tuple[str, int], ...]
    broken: str


CLIENTS = [
    Client(
        "talk_langchain.py",
        "InternalServerError",
        (("InternalServerError", 502), ("RateLimitError", 429), ("InternalServerError", 500), ("BadRequestError", 400)),
        "stream_interrupted",
    ),
    Client(
        "talk_pydantic_ai.py",
        "ModelServerError",
        (
            ("ModelServerError", 502),
            ("ModelRateLimitError", 429),
            ("ModelServerError", 500),
            ("ModelContextWindowExceededError", 400),
        ),
        "stream_interrupted",
    ),
    Client(
        "talk_litellm.py",
        "Timeout",
        (
            ("BadGatewayError", 502),
            ("RateLimitError", 429),
            ("InternalServerError", 500),
            ("ContextWindowExceededError", 400),
        ),
        "MidStreamFallbackError",
    ),
]


@pytest.fixture(scope="session")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment in which the clients are installed."""
    folder = tmp_path_factory.mktemp("clients")
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    interpreter = folder / "bin" / "python"
    install = [interpreter, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"]
    subprocess.run([*install, FOLDER / "requirements.txt"], check=True, timeout=900)
    return interpreter


@pytest.fixture
def run(python: Path, client: httpx2.Client, tmp_path: Path) -> Callable[[str], Any]:
    """Runs one of the programs against the service, and returns the last line that it prints."""

    def run(program: str) -> Any:
        done = subprocess.run(
            [python, FOLDER / "python" / program],
            cwd=tmp_path,
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(tmp_path),
                "BASE_URL": str(client.base_url).rstrip("/"),
                "PYTHONDONTWRITEBYTECODE": "1",
                "LITELLM_LOCAL_MODEL_COST_MAP": "True",
            },
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    return run


@pytest.mark.parametrize("of", CLIENTS, ids=lambda of: of.program)
def test_a_client_works_unchanged(run: Callable[[str], Any], simulator: SimulatorThread, of: Client) -> None:
    simulator.script("structured", Behaviour(answer=json.dumps(TRIP)))
    found = run(of.program)
    assert found["whole"] == found["stream"] == ANSWER.format("gpt-4o")
    assert found["async"] in ("gpt-4o", "gpt-4o-mini")
    arguments, told = found["tools"]
    assert list(arguments) == ["city"]
    assert told == ANSWER.format("sim-tool")
    assert found["structured"] == TRIP
    assert found["embeddings"] == 2
    assert found["default_message"] == "Later."
    assert found["broken"] == ["This is a", of.broken]
    assert of.late in found["late"][0]
    assert found["late"][1] == 504
    for model, (kind, status) in zip(FAILED, of.errors, strict=True):
        assert kind in found["errors"][model][0]
        assert found["errors"][model][1] == status
    # The service has already retried, so no client sends a failed request again.
    routes = Counter(CallRecord.objects.values_list("route", flat=True))
    expected = {**dict.fromkeys(FAILED, 1), "sim-500": 2, "sim-slow": 1, "sim-cut": 1, "sim-503>gpt-4o": 2}
    assert {route: routes[route] for route in expected} == expected
