"""OpenAI's SDK for Node, as npm installs it, calls the service."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest

from chat.models import CallRecord
from llm.simulator import Behaviour, SimulatorThread
from tests.support.database_servers import require

FOLDER = Path(__file__).parent / "node"
ANSWER = "This is a simulated answer from {}; no real model was asked. You said: Hello"
Run = Callable[[str], Any]


@pytest.fixture(scope="session")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the programs, and with the SDK in the version of the lock file."""
    npm = shutil.which("npm")
    require(npm and shutil.which("node"), "Node.js with npm")
    assert npm is not None
    folder = tmp_path_factory.mktemp("node")
    shutil.copytree(FOLDER, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("node_modules"))
    command = [npm, "ci", "--ignore-scripts", "--prefer-offline", "--no-audit", "--no-fund"]
    installed = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
    require(installed.returncode == 0, f"OpenAI's SDK for Node (npm ci says: {installed.stderr.strip()[-300:]})")
    return folder


@pytest.fixture
def run(programs: Path, client: httpx2.Client) -> Run:
    """Runs one of the programs against the service, and returns what it prints."""

    def run(name: str) -> Any:
        done = subprocess.run(
            ["node", "talk.mjs", name],
            cwd=programs,
            env={"PATH": os.environ["PATH"], "BASE_URL": str(client.base_url).rstrip("/")},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
        return json.loads(done.stdout)

    return run


def test_an_upstreams_failure_is_the_sdks_own_error_and_its_retries_are_told_off(run: Run) -> None:
    found = run("errors")
    assert {model: error[:3] for model, error in found.items()} == {
        "sim-401": ["InternalServerError", 502, "upstream_auth_failed"],
        "sim-429": ["RateLimitError", 429, "rate_limit_exceeded"],
        "sim-500": ["InternalServerError", 500, "server_error"],
        "sim-context": ["BadRequestError", 400, "context_length_exceeded"],
    }
    calls = dict(CallRecord.objects.values_list("route", "request_id"))
    assert calls == {model: error[3] for model, error in found.items()}
    assert CallRecord.objects.count() == 4


def test_a_stream_that_breaks_is_an_error_after_its_text(run: Run) -> None:
    assert run("broken") == ["This is a", "APIError", "stream_interrupted"]
    assert CallRecord.objects.get().status == "failed"


def test_a_timeout_and_a_default_message_are_taken_from_headers_and_body(run: Run) -> None:
    late, instead = run("extras")
    assert late[:3] == ["InternalServerError", 504, "upstream_timeout"]
    assert instead == "Later."


def test_a_whole_answer_comes_by_a_route_with_its_headers(run: Run) -> None:
    content, model, attempts, request_id = run("whole")
    assert (content, model, attempts) == (ANSWER.format("gpt-4o"), "gpt-4o", "2")
    assert CallRecord.objects.get().request_id == request_id


def test_a_stream_comes_by_a_route_with_its_usage(run: Run) -> None:
    content, total_tokens = run("stream")
    assert content == ANSWER.format("gpt-4o")
    call = CallRecord.objects.get()
    assert call.streamed
    assert call.prompt_tokens + call.completion_tokens == total_tokens


def test_the_sdks_tool_runner_makes_the_round_trip_whole_and_streamed(run: Run) -> None:
    called, told = run("tools")
    assert [list(arguments) for arguments in called] == [["city"], ["city"]]
    assert told == [ANSWER.format("sim-tool")] * 2
    assert CallRecord.objects.count() == 4


def test_structured_output_is_parsed(run: Run, simulator: SimulatorThread) -> None:
    simulator.script("gpt-4o", Behaviour(answer='{"city": "Oslo", "days": 3}'))
    assert run("parsed") == {"city": "Oslo", "days": 3}
    (request,) = simulator.requests()
    assert request["body"]["response_format"]["json_schema"]["name"] == "trip"


def test_a_response_comes_by_a_route_whole_and_streamed(run: Run) -> None:
    answer = ANSWER.format("gpt-4o")
    assert run("responses") == [answer, answer, "response.completed"]
    assert set(CallRecord.objects.values_list("operation", "streamed")) == {("responses", True), ("responses", False)}


def test_a_response_that_breaks_ends_with_an_error_event_and_is_never_complete(run: Run) -> None:
    assert run("brokenResponse") == ["error", "stream_interrupted", False]


def test_embeddings_are_numbers(run: Run) -> None:
    assert run("embeddings") == [True, True]


def test_models_are_listed_and_found(run: Run) -> None:
    models, found = run("models")
    assert models[0] == found == "gpt-4o"


def test_stored_completions_are_listed_changed_read_and_deleted(run: Run) -> None:
    assert run("stored") == [True, {"job": "done"}, ["Hello"], True, "NotFoundError"]
