"""With bad settings production does not start, whichever way it is started."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.ports import free_port

ROOT = Path(__file__).parents[3]
SERVE = ("manage.py", "serve")
UVICORN = ("-m", "uvicorn", "orchestration_site.asgi:application")
WORKERS_ON_SQLITE = ("site.E014", "DATABASE_URL is a SQLite file", "Set DATABASE_URL=postgres://")
SECRET_KEY = "0123456789" * 6
# Each start takes two seconds of CPU, so `make test` starts the service once in each way.
LESS_OFTEN = pytest.mark.slow


def start(folder: Path, *command: str, **variables: str) -> tuple[int, str]:
    """Start a service whose settings are good except for those that are given. Returns its exit code and its output."""
    environment = {
        "PATH": os.environ["PATH"],
        "ENVIRONMENT": "production",
        "SECRET_KEY": SECRET_KEY,
        "ALLOWED_HOSTS": "llm.example.com",
        "OPENAI_API_KEY": "sk-test-0123456789",
        "TRUSTED_PROXIES": "10.0.0.7",
        "DATABASE_URL": f"sqlite:///{folder / 'db.sqlite3'}",
        "SPOOL_DIR": str(folder / "spool"),
        "LOG_DIR": str(folder / "logs"),
        "WEB_CONCURRENCY": "1",
        "DEBUG": "false",
        **variables,
    }
    ended = subprocess.run(
        [sys.executable, *command, "--port", str(free_port())],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return ended.returncode, ended.stdout + ended.stderr


@pytest.mark.parametrize("command", [SERVE, UVICORN])
def test_each_bad_setting_is_named_with_what_to_do(tmp_path: Path, command: tuple[str, ...]) -> None:
    empty = dict.fromkeys(("OPENAI_API_KEY", "SECRET_KEY", "ALLOWED_HOSTS"), "")
    code, said = start(tmp_path, *command, **empty, DEBUG="true")
    assert code != 0
    for expected in ("site.E010", "site.E011", "Set 50 random characters or more.", "site.E012", "site.E013"):
        assert expected in said


@pytest.mark.parametrize("command", [pytest.param(SERVE, marks=LESS_OFTEN), UVICORN])
def test_a_misspelt_environment_is_no_way_round(tmp_path: Path, command: tuple[str, ...]) -> None:
    code, said = start(tmp_path, *command, ENVIRONMENT="prod")
    assert code != 0
    assert said.strip() == (
        "The settings can't be used. ENVIRONMENT is 'prod', but it must be one of development, production, test."
    )


@pytest.mark.parametrize("command", [(*SERVE, "--workers", "2"), pytest.param(SERVE, marks=LESS_OFTEN)])
def test_several_workers_on_sqlite_are_refused(tmp_path: Path, command: tuple[str, ...]) -> None:
    code, said = start(tmp_path, *command, WEB_CONCURRENCY="1" if "--workers" in command else "2")
    assert code == 1
    assert all(expected in said for expected in WORKERS_ON_SQLITE)


@pytest.mark.slow
@pytest.mark.parametrize("command", [(*UVICORN, "--workers", "2"), UVICORN])
def test_several_workers_of_uvicorn_on_sqlite_are_refused(tmp_path: Path, command: tuple[str, ...]) -> None:
    # The exit code says nothing: uvicorn exits with 0 when all of its workers have refused.
    _, said = start(tmp_path, *command, WEB_CONCURRENCY="1" if "--workers" in command else "2")
    assert all(expected in said for expected in WORKERS_ON_SQLITE)
    assert "stopping the parent process" in said
    assert "Application startup complete" not in said


def test_a_refusal_cannot_be_silenced(tmp_path: Path) -> None:
    code, said = start(tmp_path, *SERVE, SECRET_KEY="short", SILENCED_CHECKS="site.E011")
    assert code != 0
    assert "site.E011" in said
