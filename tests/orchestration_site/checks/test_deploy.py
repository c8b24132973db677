"""`manage.py check --deploy`: the production checklist."""

from __future__ import annotations

import os
import re
import subprocess
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.checks import run_checks
from django.core.management import call_command
from django.core.management.base import SystemCheckError

from llm import Provider

ROOT = Path(__file__).parents[3]
OPERATIONS = ROOT / "docs" / "operations.md"
TWO_KEYS = {"openai": Provider(name="openai", base_url="https://api.openai.com/v1", api_key="sk-one,sk-two")}
ONE_KEY = {"openai": Provider(name="openai", base_url="https://api.openai.com/v1", api_key="sk-one")}
IDEAL: dict[str, Any] = {
    "ENVIRONMENT": "production",
    "PRODUCTION": True,
    "OPENAI_API_KEY": "sk-one,sk-two",
    "PROVIDERS": TWO_KEYS,
    "SECRET_KEY": "0123456789" * 6,
    "DEBUG": False,
    "ALLOWED_HOSTS": ["llm.example.com"],
    "HTTPS": True,
    "SECURE_SSL_REDIRECT": True,
    "SESSION_COOKIE_SECURE": True,
    "CSRF_COOKIE_SECURE": True,
    "SECURE_HSTS_SECONDS": 31_536_000,
    "TRUSTED_PROXIES": ["10.0.0.7"],
    "API_KEYS_REQUIRED": True,
    "RATE_LIMIT": "60/min",
    "CORS_ALLOWED_ORIGINS": ["https://app.example.com"],
    "ON_SQLITE": False,
    "REDIS_URL": "redis://redis:6379/0",
    "WEB_CONCURRENCY": 4,
    "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318",
    "LOG_RETENTION_DAYS": 30,
    "LOG_DIR": Path("/var/log/llm-orchestration"),
    "SPOOL_DIR": Path("/var/lib/llm-orchestration/spool"),
}


@pytest.fixture
def ideal(settings: Any) -> Any:
    for name, value in IDEAL.items():
        setattr(settings, name, value)
    return settings


def found() -> list[str]:
    messages = run_checks(include_deployment_checks=True)
    assert all(message.hint for message in messages if str(message.id).startswith("site."))
    return sorted(str(message.id) for message in messages if not message.is_silenced())


def test_an_ideal_production_has_nothing_to_report_of_ours_or_of_djangos(ideal: Any) -> None:
    assert found() == []


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"API_KEYS_REQUIRED": False}, ["site.W001"]),
        ({"TRUSTED_PROXIES": []}, ["site.W002"]),
        ({"TRUSTED_PROXIES": ["0.0.0.0/0"]}, ["site.W003"]),
        (
            {"HTTPS": False, "SESSION_COOKIE_SECURE": False, "CSRF_COOKIE_SECURE": False, "SECURE_HSTS_SECONDS": 0},
            ["security.W012", "security.W016", "site.W010"],
        ),
        ({"SECURE_HSTS_SECONDS": 0}, ["site.W011"]),
        ({"SECURE_HSTS_SECONDS": 3600}, ["site.W011"]),
        ({"SECURE_HSTS_SECONDS": 30 * 86_400}, []),
        ({"RATE_LIMIT": ""}, ["site.W012"]),
        ({"CORS_ALLOW_ALL_ORIGINS": True}, ["site.W013"]),
        ({"CORS_ALLOWED_ORIGINS": []}, []),
        ({"REDIS_URL": ""}, ["site.W014"]),
        ({"LOG_RETENTION_DAYS": 0}, ["site.W015"]),
        ({"PROVIDERS": ONE_KEY}, ["site.I010"]),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": ""}, ["site.I011"]),
        ({"LOG_DIR": ROOT / "logs"}, ["site.I012"]),
        ({"SPOOL_DIR": ROOT / "spool"}, ["site.I013"]),
        ({"ON_SQLITE": True, "WEB_CONCURRENCY": 1, "REDIS_URL": ""}, ["site.I014"]),
        ({"ON_SQLITE": True}, ["site.E014", "site.I014"]),
        ({"DEBUG": True}, ["security.W018", "site.E012"]),
    ],
)
def test_each_item_is_reported_where_it_is_open(ideal: Any, changed: dict[str, Any], expected: list[str]) -> None:
    for name, value in changed.items():
        setattr(ideal, name, value)
    assert found() == expected


def test_what_is_no_production_is_told_that_alone(ideal: Any) -> None:
    ideal.ENVIRONMENT, ideal.PRODUCTION = "development", False
    for name, value in {"RATE_LIMIT": "", "REDIS_URL": "", "PROVIDERS": ONE_KEY}.items():
        setattr(ideal, name, value)
    assert found() == ["site.E020"]
    with pytest.raises(SystemCheckError, match="ENVIRONMENT=production"):
        call_command("check", deploy=True, stdout=StringIO(), stderr=StringIO())


def test_the_checklist_is_asked_for_and_not_said_at_each_start(ideal: Any) -> None:
    ideal.RATE_LIMIT, ideal.REDIS_URL, ideal.PROVIDERS = "", "", ONE_KEY
    assert run_checks() == []


def test_no_key_is_in_what_is_reported(ideal: Any) -> None:
    ideal.PROVIDERS = ONE_KEY
    assert "sk-one" not in repr(run_checks(include_deployment_checks=True))


def documented(folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the command from the documentation, with a folder of the test in place of /var."""
    (command,) = re.findall(
        r"```bash\n(ENVIRONMENT=production .*?check --deploy.*?)```", OPERATIONS.read_text(), re.DOTALL
    )
    environment = {"PATH": os.environ["PATH"], **variables}
    return subprocess.run(
        ["bash", "-c", command.replace("=/var/", f"={folder}/")],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_documented_command_finds_nothing(tmp_path: Path) -> None:
    ended = documented(tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert "no issues" in ended.stdout


@pytest.mark.slow
def test_an_item_can_be_ticked_off(tmp_path: Path) -> None:
    ended = documented(tmp_path, HTTPS="false")
    assert ended.returncode == 1
    assert "site.W010" in ended.stderr
    ticked_off = documented(tmp_path, HTTPS="false", SILENCED_CHECKS="site.W010,security.W012,security.W016")
    assert ticked_off.returncode == 0, ticked_off.stderr


def test_the_documentation_explains_every_id() -> None:
    written = "".join((ROOT / "orchestration_site" / "checks" / name).read_text() for name in ("start.py", "deploy.py"))
    explained = OPERATIONS.read_text()
    for identifier in set(re.findall(r'id="site\.(\w+)"', written)):
        assert re.search(rf"\b{identifier}\b", explained), identifier
