"""The checks that run at each start."""

from __future__ import annotations

from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import SystemCheckError

from orchestration_site.checks.start import (
    check_env_file,
    check_production,
    check_proxies,
    check_workers,
)


def ids(check: Any) -> list[str]:
    return [message.id for message in check(None)]


def production(settings: Any, **overrides: Any) -> None:
    """Settings with which production starts, and the overrides."""
    good = {
        "ENVIRONMENT": "production",
        "PRODUCTION": True,
        "OPENAI_API_KEY": "sk-test-0123456789",
        "SECRET_KEY": "0123456789" * 5,
        "DEBUG": False,
        "ALLOWED_HOSTS": ["llm.example"],
        "HTTPS": True,
        "TRUSTED_PROXIES": ["10.0.0.7"],
        "ON_SQLITE": False,
    }
    for name, value in {**good, **overrides}.items():
        setattr(settings, name, value)


def test_the_settings_of_the_tests_pass() -> None:
    call_command("check", stdout=StringIO(), stderr=StringIO())


def test_a_name_in_the_env_file_that_is_nearly_a_setting_is_a_warning(settings: Any) -> None:
    settings.MISSPELT = {"RATE_LIMITS": "RATE_LIMIT"}
    (warning,) = check_env_file(None)
    assert (warning.id, warning.hint) == ("site.W004", "Did you mean RATE_LIMIT?")
    assert "RATE_LIMITS" in warning.msg


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("OPENAI_API_KEY", "", "site.E010"),
        ("OPENAI_API_KEY", " , ", "site.E010"),
        ("SECRET_KEY", "short", "site.E011"),
        ("SECRET_KEY", "0123456789" * 4 + "012345678", "site.E011"),
        ("SECRET_KEY", "change-me" * 10, "site.E011"),
        ("SECRET_KEY", "insecure" + "0123456789" * 6, "site.E011"),
        ("SECRET_KEY", "django-insecure-" + "0123456789" * 6, "site.E011"),
        ("DEBUG", True, "site.E012"),
        ("ALLOWED_HOSTS", [], "site.E013"),
        ("ALLOWED_HOSTS", ["llm.example", "*"], "site.E013"),
    ],
)
def test_production_does_not_start_on_what_is_insecure(settings: Any, name: str, value: Any, expected: str) -> None:
    production(settings, **{name: value})
    assert ids(check_production) == [expected]
    with pytest.raises(SystemCheckError, match=expected):
        call_command("check", stdout=StringIO(), stderr=StringIO())
    settings.PRODUCTION = False
    assert ids(check_production) == []


def on_sqlite(settings: Any, **overrides: Any) -> None:
    production(settings, ON_SQLITE=True, **overrides)


def test_production_does_not_start_with_several_workers_on_sqlite(settings: Any) -> None:
    on_sqlite(settings, WEB_CONCURRENCY=2)
    (error,) = check_workers(None)
    assert error.id == "site.E014"
    assert "DATABASE_URL" in error.msg
    assert "postgres://" in str(error.hint)
    on_sqlite(settings, WEB_CONCURRENCY=1)
    assert ids(check_workers) == []
    production(settings, WEB_CONCURRENCY=8)
    assert ids(check_workers) == []
    on_sqlite(settings, WEB_CONCURRENCY=8, ENVIRONMENT="test", PRODUCTION=False)
    assert ids(check_workers) == []


def test_https_with_no_trusted_proxy_is_a_warning_at_each_start(settings: Any) -> None:
    production(settings, TRUSTED_PROXIES=[])
    assert ids(check_proxies) == ["site.W002"]
    production(settings, TRUSTED_PROXIES=[], HTTPS=False)
    assert ids(check_proxies) == []


@pytest.mark.parametrize("everybody", ["0.0.0.0/0", "::/0"])
def test_trusting_everybody_is_a_warning(settings: Any, everybody: str) -> None:
    production(settings, TRUSTED_PROXIES=["10.0.0.0/8", everybody])
    assert ids(check_proxies) == ["site.W003"]


def test_production_without_a_secret_key_is_told_what_to_do(settings: Any) -> None:
    production(settings, SECRET_KEY="", ALLOWED_HOSTS=[])
    assert ids(check_production) == ["site.E011", "site.E013"]


def test_production_starts_on_good_settings_and_the_checks_show_no_key(settings: Any) -> None:
    production(settings)
    assert ids(check_production) == []
    production(settings, SECRET_KEY="insecure-0123456789", ALLOWED_HOSTS=[])
    assert "0123456789" not in repr([(m.msg, m.hint) for m in check_production(None)])
