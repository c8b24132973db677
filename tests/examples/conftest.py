"""The examples as modules, and as the programs that a newcomer runs."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx2
import pytest
import responses

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
SERVICE = "http://service.test"
ANSWER: dict[str, Any] = {
    "request_id": "req_1",
    "content": "Hello!",
    "model_used": "gpt-4o",
    "provider_used": "openai",
    "fallback_triggered": False,
    "is_default_message": False,
    "cost_usd": 0.0001,
    "latency_ms": 12,
    "attempts": [
        {"model": "gpt-4o", "provider": "openai", "status": "succeeded", "error_code": None, "latency_ms": 11}
    ],
}


def error(code: str, message: str, **details: Any) -> dict[str, Any]:
    """The service's error envelope."""
    return {"error": {"code": code, "message": message, "request_id": "req_1", "details": details}}


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], ModuleType]]:
    """Load an example from its path, as `python examples/…` does: its neighbours can be imported."""
    monkeypatch.setenv("BASE_URL", f"{SERVICE}/")
    monkeypatch.syspath_prepend(EXAMPLES)
    sys.modules.pop("basic_call", None)

    def load(name: str) -> ModuleType:
        spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    yield load
    sys.modules.pop("basic_call", None)


@pytest.fixture
def service() -> Iterator[responses.RequestsMock]:
    """A service that answers as it is told, and must be asked for every answer it has."""
    with responses.RequestsMock() as mock:
        yield mock


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that an example sleeps, without sleeping."""
    slept: list[float] = []
    monkeypatch.setattr("time.sleep", slept.append)
    return slept


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run a Python program in a process of its own, against the service at `base_url`; every warning is an error."""

    def run(*arguments: str | Path, base_url: str = "http://127.0.0.1:9") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-W", "error", *map(str, arguments)],
            cwd=tmp_path,
            env={"BASE_URL": base_url, "PYTHONUTF8": "1", "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=60,
            check=False,
        )

    return run


@pytest.fixture
def run_example(client: httpx2.Client, run: Callable[..., Any]) -> Callable[..., str]:
    """Run an example against the real service; what it prints. It must end well, and say nothing on stderr."""

    def run_example(name: str, *arguments: str) -> str:
        done = run(EXAMPLES / f"{name}.py", *arguments, base_url=str(client.base_url))
        assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
        return str(done.stdout)

    return run_example
