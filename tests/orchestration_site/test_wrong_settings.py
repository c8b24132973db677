"""Each setting with a value that makes no sense: the start stops with one line that names it, and shows no secret."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.loaded_settings import load_settings, refusals
from tests.support.ports import free_port

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("access", "chat", "llm", "stats")

# A variable, a value that is refused, and what the line says. Each value with "secret" in it must not be shown.
WRONG = [
    ("ENVIRONMENT", "prod", "one of development, production, test"),
    ("DEBUG", "enabled", "one of true, yes, on, 1 for yes"),
    ("API_KEYS_REQUIRED", "true # must", "one of true, yes, on, 1 for yes"),
    ("HTTPS", "ja", "one of true"),
    ("STORE_CONTENT", "y", "one of true"),
    ("ALLOWED_HOSTS", "https://llm.example.com", "not a host name"),
    ("ALLOWED_HOSTS", "a.example b.example", "Write commas"),
    ("CSRF_TRUSTED_ORIGINS", "llm.example.com", "not an origin"),
    ("CORS_ALLOWED_ORIGINS", "app.example.com", "not an origin"),
    ("ROOT_PATH", "llm", "begins with a slash"),
    ("HSTS_SECONDS", "-1", "a time from 0"),
    ("SILENCED_CHECKS", "W012", "an id like site.W012"),
    ("DATABASE_URL", "postgres://u:secret@h/db?sslmod=require", "the parameter 'sslmod'"),
    ("DATABASE_URL", "mysql://u:secret@h/db", "its scheme is none of"),
    ("DATABASE_POOL", "0", "a whole number from 1 to 1000"),
    ("MAX_BODY_BYTES", "20MB", "a whole number"),
    ("RECEIVE_TIMEOUT", "0", "a time from 1ms"),
    ("RATE_LIMIT", "60", "60/min"),
    ("TRUSTED_PROXIES", "nonsense", "does not appear to be an IPv4 or IPv6 network"),
    ("OPENAI_API_KEY", "sk-secret with-space", "has a space"),
    ("OPENAI_BASE_URL", "https://u:secret@host/v1", "user or a password"),
    ("OPENAI_BASE_URL", "api.openai.com", "http(s)://HOST"),
    ("PROVIDERS", "groq=https://u:secret@host/v1", "user or a password"),
    ("PROVIDERS", "groq=https://a/v1;local=http://b/v1", "commas between providers"),
    ("ROUTES", "fast=a|b,safe=c", "Write ; between routes"),
    ("ROUTES", "fast=grok/x", "There is no provider 'grok'"),
    ("PRICES", "a=1/2,b=3/4", "price of 'a'"),
    ("DEFAULT_MODEL", "grok/x", "There is no provider 'grok'"),
    ("FALLBACK_MODELS", "a;b", "Write commas"),
    ("FETCH_AS_STREAMS", "gorq", "there is no provider 'gorq'"),
    ("DEFAULT_TEMPERATURE", "2.1", "a number from 0 to 2"),
    ("REQUEST_TIMEOUT", "0", "a time from 1ms"),
    ("REQUEST_TIMEOUT", "5mm", "a number of seconds, or one with a unit"),
    ("ATTEMPT_TIMEOUT", "-1", "a time from 0"),
    ("CONNECT_TIMEOUT", "nan", "a time from 1ms"),
    ("FIRST_TOKEN_TIMEOUT", "inf", "a time from 1ms"),
    ("STREAM_IDLE_TIMEOUT", "2d", "a time from 1ms to 1d"),
    ("READ_ON_SECONDS", "3601", "a time from 0 to 1h"),
    ("READ_ON_CALLS", "-1", "a whole number from 0"),
    ("MAX_RETRIES", "-1", "a whole number from 0 to 20"),
    ("HEDGE_AFTER", "-1", "a time from 0"),
    ("HEDGE_BUDGET", "10%", "a number from 0 to 1"),
    ("BREAKER_FAILURES", "abc", "a whole number from 1"),
    ("BREAKER_COOLDOWN", "-1s", "a time from 0"),
    ("WEB_CONCURRENCY", "0", "a whole number from 1"),
    ("SHUTDOWN_GRACE", "soon", "a time from 0"),
    ("REDIS_URL", "redis://:secret@host:port", "redis://host:6379/0"),
    ("CACHE_TTL", "400d", "a time from 0 to 365d"),
    ("CACHE_MAX_BYTES", "64M", "a whole number"),
    ("STORED_COMPLETIONS", "none", "one of asked, all"),
    ("REDACT_PATTERNS", "[", "JSON list of regular expressions"),
    ("LOG_LEVEL", "LOUD", "one of DEBUG, INFO"),
    ("LOG_RETENTION_DAYS", "-1", "a whole number of days from 0"),
    ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318", "http(s)://HOST"),
    ("HTTPS_PROXY", "socks5://u:secret@host", "http://host:port"),
    ("SSL_CERT_FILE", "/nonexistent", "does not name a file"),
]
STARTS = {
    "check": ("manage.py", "check"),
    "serve": ("manage.py", "serve", "--port", "PORT"),
    "runserver": ("manage.py", "runserver", "PORT"),
    "uvicorn": ("-m", "uvicorn", "orchestration_site.asgi:application", "--port", "PORT"),
}
# Each start takes a second of CPU, so `make test` has one of each kind.
LESS_OFTEN = pytest.mark.slow


def test_each_wrong_value_names_its_variable_in_one_line_without_a_secret() -> None:
    said = refusals({}, *({name: value} for name, value, _ in WRONG))
    assert said[0] == ""
    for (name, value, reason), line in zip(WRONG, said[1:], strict=True):
        assert name in line, (name, value, line)
        assert reason in line, (name, value, line)
        assert "secret" not in line
        assert len(line.splitlines()) == 1


def test_values_that_can_be_read_are_the_settings() -> None:
    (found,) = load_settings(
        {
            "REQUEST_TIMEOUT": "5m",
            "HEDGE_AFTER": "500ms",
            "CACHE_TTL": "1h",
            "LOG_RETENTION_DAYS": "7d",
            "API_KEYS_REQUIRED": " Yes ",
            "FALLBACK_MODELS": " a , b ",
            "SECRET_KEY": "$ecret-of-fifty-characters",
            "SPOOL_DIR": "var/spool",
            "DATABASE_URL": "postgres://u:p%40$s@a,b/db?sslmode=require",
            "LOG_LEVEL": "debug",
        }
    )
    expected = {
        "REQUEST_TIMEOUT": "300.0",
        "HEDGE_AFTER": "0.5",
        "CACHE_TTL": "3600.0",
        "LOG_RETENTION_DAYS": "7",
        "API_KEYS_REQUIRED": "True",
        "FALLBACK_MODELS": "['a', 'b']",
        "SECRET_KEY": "$ecret-of-fifty-characters",
        "SPOOL_DIR": str(ROOT / "var/spool"),
        "LOG_LEVEL": "DEBUG",
    }
    assert {name: found[name] for name in expected} == expected
    assert "'PASSWORD': 'p@$s'" in found["DATABASES"]
    assert "'sslmode': 'require'" in found["DATABASES"]


def test_an_address_in_openais_place_counts_in_development_without_a_key() -> None:
    here, simulated, with_key = load_settings(
        {"ENVIRONMENT": "development", "OPENAI_BASE_URL": "http://127.0.0.1:8001/v1"},
        {"ENVIRONMENT": "development", "OPENAI_BASE_URL": "https://api.openai.com/v1"},
        {"ENVIRONMENT": "development", "OPENAI_API_KEY": "sk-1"},
    )
    assert (here["SIMULATED"], simulated["SIMULATED"], with_key["SIMULATED"]) == ("False", "True", "False")
    assert "base_url='http://127.0.0.1:8001/v1', needs_key=False" in here["PROVIDERS"]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the project in a folder of its own, so that it can have a `.env`."""
    folder = tmp_path / "project"
    shutil.copytree(ROOT / "orchestration_site", folder / "orchestration_site", ignore=shutil.ignore_patterns("*.pyc"))
    shutil.copy(ROOT / "manage.py", folder)
    for package in PACKAGES:
        (folder / package).symlink_to(ROOT / package)
    return folder


def start(way: str, *, folder: Path = ROOT, **variables: str) -> tuple[int, str, str]:
    """Start the service in one of the ways. Returns its exit code, and what it wrote to stdout and to stderr."""
    command = [part.replace("PORT", str(free_port())) for part in STARTS[way]]
    environment = {"PATH": os.environ["PATH"], "OPENAI_API_KEY": "sk-one", **variables}
    ended = subprocess.run(
        [sys.executable, *command], cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    return ended.returncode, ended.stdout, ended.stderr


@pytest.mark.parametrize(
    ("way", "name", "value"),
    [
        ("check", "MAX_RETRIES", "-1"),
        ("serve", "API_KEYS_REQUIRED", "enabled"),
        ("runserver", "REQUEST_TIMEOUT", "5mm"),
        ("uvicorn", "DATABASE_URL", "postgres://u:secret@h/db?sslmod=require"),
        pytest.param("check", "DATABASE_URL", "postgres://u:secret@h:port/db", marks=LESS_OFTEN),
        pytest.param("serve", "PROVIDERS", "groq=https://u:secret@host/v1", marks=LESS_OFTEN),
        pytest.param("runserver", "ROUTES", "fast=a|b,safe=c", marks=LESS_OFTEN),
        pytest.param("uvicorn", "BREAKER_FAILURES", "abc", marks=LESS_OFTEN),
        pytest.param("uvicorn", "OPENAI_API_KEY", "sk-secret 'quoted'", marks=LESS_OFTEN),
        pytest.param("check", "ENVIRONMENT", "prod", marks=LESS_OFTEN),
        pytest.param("serve", "REDIS_URL", "redis://:secret@host:port", marks=LESS_OFTEN),
        pytest.param("check", "PRICES", "a=1/2,b=3/4", marks=LESS_OFTEN),
    ],
)
def test_each_way_to_start_ends_with_one_line(way: str, name: str, value: str) -> None:
    code, out, err = start(way, **{name: value})
    assert code != 0
    (line,) = (out + err).splitlines()
    assert name in line
    assert "secret" not in line


@pytest.mark.parametrize("way", ["check", pytest.param("uvicorn", marks=LESS_OFTEN)])
def test_a_line_of_the_env_file_that_cannot_be_read_stops_the_start(project: Path, way: str) -> None:
    (project / ".env").write_text("DEBUG=true\n\nSECRET_KEY: secret\n")
    code, out, err = start(way, folder=project)
    assert code != 0
    assert (out + err).startswith("The settings can't be used. .env can't be read: line 3 is not NAME=value.")
    assert len((out + err).splitlines()) == 1
    assert "secret" not in out + err


def test_a_name_in_the_env_file_that_is_nearly_a_setting_is_told(project: Path) -> None:
    (project / ".env").write_text("\ufeffDEBUG=true # yes\r\nOPENAI_APIKEY=sk-secret\r\n")
    code, out, err = start("check", folder=project)
    assert code == 0, err
    assert ".env sets OPENAI_APIKEY, which is not the name of a setting" in out + err
    assert "Did you mean OPENAI_API_KEY?" in out + err
    assert "sk-secret" not in out + err


@pytest.mark.parametrize("name", ["SPOOL_DIR", pytest.param("LOG_DIR", marks=LESS_OFTEN)])
@pytest.mark.parametrize("way", ["check", *(pytest.param(way, marks=LESS_OFTEN) for way in ("serve", "runserver"))])
def test_a_folder_that_cannot_be_written_to_stops_the_start(tmp_path: Path, way: str, name: str) -> None:
    (tmp_path / "file").write_text("")
    good = {"DATABASE_URL": f"sqlite:///{tmp_path}/db.sqlite3", "SPOOL_DIR": str(tmp_path), "LOG_DIR": str(tmp_path)}
    code, out, err = start(way, **good | {name: str(tmp_path / "file" / "folder")})
    assert code != 0
    assert f"{name} is {tmp_path}/file/folder, where no file can be written" in err
    assert "Traceback" not in out + err
    assert len(err.splitlines()) == 1


@pytest.mark.slow
def test_under_uvicorn_a_folder_that_cannot_be_written_to_stops_the_start_without_a_traceback(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    code, out, err = start("uvicorn", SPOOL_DIR=str(tmp_path / "file" / "folder"), LOG_DIR=str(tmp_path))
    assert code == 3
    assert "SPOOL_DIR is " in err
    assert "Traceback" not in out + err
