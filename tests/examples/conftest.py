"""Fixtures that load the examples as modules, and that run them as programs."""

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
    "cost_estimated": False,
    "cost_incomplete": False,
    "latency_ms": 12,
    "attempts": [
        {"model": "gpt-4o", "provider": "openai", "status": "succeeded", "error_code": None, "latency_ms": 11}
    ],
}


def error(code: str, message: str, **details: Any) -> dict[str, Any]:
    """A response with an error in the service's envelope."""
    return {"error": {"code": code, "message": message, "request_id": "req_1", "details": details}}


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], ModuleType]]:
    """Load an example from its path. Like with `python examples/…`, it can import the other examples."""
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
    """A service with prepared answers. The test fails if the example does not ask for all of them."""
    with responses.RequestsMock() as mock:
        yield mock


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Records the seconds that an example would sleep, without sleeping."""
    slept: list[float] = []
    monkeypatch.setattr("time.sleep", slept.append)
    return slept


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run a Python program in a process of its own, against the service at `base_url`. Every warning is an error."""

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
    """Runs an example against the real service, and returns what it prints.

    The example must succeed, and write nothing to standard error.
    """

    def run_example(name: str, *arguments: str) -> str:
        done = run(EXAMPLES / f"{name}.py", *arguments, base_url=str(client.base_url))
        assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
        return str(done.stdout)

    return run_example
