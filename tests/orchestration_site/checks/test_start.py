"""The checks that run at each start."""

from __future__ import annotations

from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import SystemCheckError

from orchestration_site.checks.start import (
    check_answers_given_again,
    check_environment,
    check_production,
    check_proxies,
    check_reading_on,
    check_routes,
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


@pytest.mark.parametrize(
    ("name", "good", "bad", "error"),
    [
        ("STORED_COMPLETIONS", ["asked", "all"], ["", "none", "ALL"], "site.E003"),
        ("CACHE_TTL", [0.0, 60.0, 31_536_000.0], [-1.0, float("nan"), float("inf")], "site.E004"),
        (
            "REDIS_URL",
            ["", "redis://host:6379/0", "rediss://u:p@host", "unix:///run/redis.sock", "redis://[::1]:6379"],
            ["host:6379", "http://host", "redis://host:port", "redis://:secret@host/0?no_such_option=1"],
            "site.E005",
        ),
    ],
)
def test_a_setting_of_answers_given_again_that_can_be_none_is_an_error(
    settings: Any, name: str, good: list[Any], bad: list[Any], error: str
) -> None:
    for value in good:
        setattr(settings, name, value)
        assert ids(check_answers_given_again) == [], value
    for value in bad:
        setattr(settings, name, value)
        (message,) = check_answers_given_again(None)
        assert message.id == error
        assert "secret" not in str(message)


@pytest.mark.parametrize(
    ("name", "good", "bad", "error"),
    [
        ("READ_ON_SECONDS", [0.0, 0.5, 60.0, 3_600.0], [-1.0, 3_601.0, float("nan"), float("inf")], "site.E008"),
        ("READ_ON_CALLS", [0, 1, 100_000], [-1], "site.E009"),
    ],
)
def test_a_bound_of_what_is_read_on_that_can_be_none_is_an_error(
    settings: Any, name: str, good: list[Any], bad: list[Any], error: str
) -> None:
    for value in good:
        setattr(settings, name, value)
        assert ids(check_reading_on) == [], value
    for value in bad:
        setattr(settings, name, value)
        assert ids(check_reading_on) == [error], value


def test_the_settings_of_the_tests_pass() -> None:
    call_command("check", stdout=StringIO(), stderr=StringIO())


def test_an_unknown_environment_is_an_error(settings: Any) -> None:
    settings.ENVIRONMENT = "staging"
    assert ids(check_environment) == ["site.E001"]
    for known in ("development", "production", "test"):
        settings.ENVIRONMENT = known
        assert ids(check_environment) == []


def test_a_route_that_cannot_be_read_is_an_error_that_says_where(settings: Any) -> None:
    settings.ROUTES = {"fast": "gpt-4o||gpt-4o-mini", "loop": "loop>gpt-4o", "good": "fast2", "fast2": "a|b"}
    settings.DEFAULT_MODEL = "gpt-4o>"
    settings.FALLBACK_MODELS = ["gpt-4o", " "]
    messages = list(check_routes(None))
    assert {message.id for message in messages} == {"site.E002"}
    assert [message.msg.partition(":")[0] for message in messages] == [
        "ROUTES, 'fast'",
        "ROUTES, 'loop'",
        "DEFAULT_MODEL",
        "FALLBACK_MODELS",
    ]
    assert all(message.hint for message in messages)


def test_the_default_model_may_be_a_named_route(settings: Any) -> None:
    settings.ROUTES = {"fast": "gpt-4o|gpt-4o-mini"}
    settings.DEFAULT_MODEL = "fast"
    assert ids(check_routes) == []


def test_there_need_be_no_fallback_models(settings: Any) -> None:
    settings.FALLBACK_MODELS = []
    assert ids(check_routes) == []


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
    production(settings, TRUSTED_PROXIES=["10.0.0.0/8", "nonsense"])  # that is E007, which is not only for production
    assert ids(check_proxies) == []


def test_production_without_a_secret_key_is_told_what_to_do(settings: Any) -> None:
    production(settings, SECRET_KEY="", ALLOWED_HOSTS=[])
    assert ids(check_production) == ["site.E011", "site.E013"]


def test_production_starts_on_good_settings_and_the_checks_show_no_key(settings: Any) -> None:
    production(settings)
    assert ids(check_production) == []
    production(settings, SECRET_KEY="insecure-0123456789", ALLOWED_HOSTS=[])
    assert "0123456789" not in repr([(m.msg, m.hint) for m in check_production(None)])
