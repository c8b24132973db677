"""GET /health and GET /health/ready"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest
from django.db import OperationalError

from chat.models import CallRecord
from llm import Provider
from llm.simulator import Behaviour, SimulatorThread
from orchestration_site import __version__

StartSite = Callable[..., httpx2.Client]


class NoDatabase:
    """Stands for a connection whose database can't be reached."""

    # The service's own tasks look at these, and may do so while the test runs.
    vendor = "sqlite"
    errors_occurred = False

    def cursor(self) -> Any:
        raise OperationalError("could not connect to secret-host as secret-user")

    def close(self) -> None:
        """There is nothing to close."""


def test_health_says_that_the_process_lives(client: httpx2.Client) -> None:
    response = client.get("/health")
    assert response.status_code == 200
    assert response.json() == {"status": "ok", "version": __version__}
    assert client.head("/health").status_code == 200


def test_ready_has_the_state_of_each_dependency(client: httpx2.Client) -> None:
    response = client.get("/health/ready")
    assert response.status_code == 200
    ready = response.json()
    assert (ready["status"], ready["version"]) == ("ok", __version__)
    checks = ready["checks"]
    assert checks["database"] == "ok"
    assert checks["recorder"]["waiting"] == 0
    assert checks["providers"] == {"openai": "ok"}
    assert checks["circuit_breakers"] == {}
    assert checks["log_file"] == "ok"
    assert checks["open_calls"] == 0


def test_ready_says_when_the_folders_can_be_written_to_no_more(
    client: httpx2.Client, settings: Any, tmp_path: Path
) -> None:
    # Root may write into a folder whatever its mode is, so the folders are missing here.
    settings.SPOOL_DIR, settings.LOG_DIR = tmp_path, tmp_path
    checks = client.get("/health/ready").json()["checks"]
    assert (checks["spool_disk"], checks["log_file"]) == ("ok", "ok")
    settings.SPOOL_DIR, settings.LOG_DIR = tmp_path / "a", tmp_path / "b"
    response = client.get("/health/ready")
    checks = response.json()["checks"]
    assert (checks["spool_disk"], checks["log_file"]) == ("the folder is not there",) * 2
    assert response.status_code == 200  # calls are still taken and kept, as long as the database is there


def test_without_its_database_the_service_lives_but_is_not_ready(
    client: httpx2.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chat.record.database.connection", NoDatabase())
    response = client.get("/health/ready")
    assert response.status_code == 503
    assert (response.json()["status"], response.json()["checks"]["database"]) == ("unavailable", "OperationalError")
    assert "secret" not in response.text
    assert client.get("/health").status_code == 200


def test_an_open_circuit_breaker_is_shown_and_is_no_reason_to_take_the_service_away(
    start_site: StartSite, simulator: SimulatorThread
) -> None:
    client = start_site(BREAKER_FAILURES=1, MAX_RETRIES=0)
    simulator.script("gpt-4o", Behaviour(status=500))
    client.post("/chat", json={"prompt": "a", "model": "gpt-4o"})
    response = client.get("/health/ready")
    assert response.status_code == 200
    assert response.json()["checks"]["circuit_breakers"] == {"openai/gpt-4o": "open"}


def test_an_open_breaker_of_another_operation_than_chat_is_shown_with_its_operation(
    start_site: StartSite, simulator: SimulatorThread
) -> None:
    client = start_site(BREAKER_FAILURES=1, MAX_RETRIES=0)
    simulator.script("gpt-4o", Behaviour(status=500, times=1), Behaviour())
    client.post("/v1/embeddings", json={"input": "a", "model": "gpt-4o"})
    assert client.post("/chat", json={"prompt": "a", "model": "gpt-4o>gpt-4o-mini"}).json()["model_used"] == "gpt-4o"
    checks = client.get("/health/ready").json()["checks"]
    assert checks["circuit_breakers"] == {"openai/gpt-4o embeddings": "open"}


def test_a_name_that_only_callers_know_is_shown_to_nobody(start_site: StartSite) -> None:
    client = start_site(BREAKER_FAILURES=1, MAX_RETRIES=0)
    for number in range(3):
        client.post("/chat", json={"prompt": "a", "model": "sim-500", "user": str(number)})
        client.post("/chat", json={"prompt": "a", "model": "sim-503"})
    assert client.get("/health/ready").json()["checks"]["circuit_breakers"] == {"openai/other": "open"}


def test_a_missing_key_is_shown_and_never_a_key(start_site: StartSite, simulator: SimulatorThread) -> None:
    providers = {
        "openai": Provider(name="openai", base_url=simulator.base_url, api_key=""),
        "spare": Provider(name="spare", base_url=simulator.base_url, api_key="sk-secret-0123456789"),
    }
    response = start_site(PROVIDERS=providers).get("/health/ready")
    assert response.json()["checks"]["providers"] == {"openai": "no key", "spare": "ok"}
    assert "sk-secret" not in response.text


def test_asking_for_health_asks_no_model_and_leaves_no_row(client: httpx2.Client, simulator: SimulatorThread) -> None:
    client.get("/health")
    client.get("/health/ready")
    assert simulator.requests() == []
    assert CallRecord.objects.count() == 0
