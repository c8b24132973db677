"""System checks, and the settings that name upstreams, routes and prices."""

from __future__ import annotations

from decimal import Decimal
from io import StringIO
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.core.management.base import SystemCheckError

from llm import ModelPrice, Provider
from orchestration_site.checks.start import (
    check_answers_given_again,
    check_environment,
    check_production,
    check_proxies,
    check_routes,
    check_workers,
)
from orchestration_site.environment import Environment
from orchestration_site.setting_values import read_prices, read_providers, read_routes


def environment(**variables: str) -> Environment:
    env = Environment()
    env.ENVIRON = variables
    return env


def ids(check: Any) -> list[str]:
    return [message.id for message in check(None)]


def production(settings: Any, **overrides: Any) -> None:
    """Settings that production may start with, but for the overrides."""
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
    production(settings, TRUSTED_PROXIES=["10.0.0.0/8", "nonsense"])  # E007, in production as elsewhere
    assert ids(check_proxies) == []


def test_production_without_a_secret_key_is_told_what_to_do(settings: Any) -> None:
    production(settings, SECRET_KEY="", ALLOWED_HOSTS=[])
    assert ids(check_production) == ["site.E011", "site.E013"]


def test_production_starts_on_good_settings_and_the_checks_show_no_key(settings: Any) -> None:
    production(settings)
    assert ids(check_production) == []
    production(settings, SECRET_KEY="insecure-0123456789", ALLOWED_HOSTS=[])
    assert "0123456789" not in repr([(m.msg, m.hint) for m in check_production(None)])


def test_openai_comes_first_and_needs_a_key() -> None:
    assert read_providers(environment(), simulated=False) == {
        "openai": Provider(name="openai", base_url="https://api.openai.com/v1", api_key="", needs_key=True)
    }
    named = environment(OPENAI_API_KEY="sk-1", OPENAI_BASE_URL="http://proxy/v1")
    assert read_providers(named, simulated=False)["openai"] == Provider(
        name="openai", base_url="http://proxy/v1", api_key="sk-1"
    )


def test_the_simulator_stands_in_for_openai() -> None:
    provider = read_providers(environment(), simulated=True)["openai"]
    assert (provider.name, provider.needs_key, provider.price_list) == ("simulator", False, "openai")


def test_anthropics_key_alone_adds_anthropic() -> None:
    providers = read_providers(environment(ANTHROPIC_API_KEY="sk-ant"), simulated=False)
    assert list(providers) == ["openai", "anthropic"]
    assert providers["anthropic"].base_url == "https://api.anthropic.com/v1/"
    assert providers["anthropic"].api_key == "sk-ant"


def test_providers_are_named_with_their_addresses_and_keys() -> None:
    env = environment(
        PROVIDERS=" groq = https://g/v1 , my-vllm=http://v/v1?a=b,", GROQ_API_KEY="k1", MY_VLLM_API_KEY="k2"
    )
    providers = read_providers(env, simulated=False)
    assert list(providers) == ["openai", "groq", "my-vllm"]
    assert providers["groq"] == Provider(name="groq", base_url="https://g/v1", api_key="k1", needs_key=False)
    assert (providers["my-vllm"].base_url, providers["my-vllm"].api_key) == ("http://v/v1?a=b", "k2")


def test_no_key_is_in_a_providers_repr() -> None:
    providers = read_providers(environment(OPENAI_API_KEY="sk-secret", ANTHROPIC_API_KEY="sk-secret"), simulated=False)
    assert "sk-secret" not in repr(providers)


@pytest.mark.parametrize("written", ["groq", "groq=", "=http://g", "a=http://a,b"])
def test_providers_that_cannot_be_read_are_an_error_that_names_the_variable(written: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=r"PROVIDERS: .*NAME=VALUE"):
        read_providers(environment(PROVIDERS=written), simulated=False)


@pytest.mark.parametrize("written", ["groq=nonsense", "groq=api.groq.com/v1", "a/b=http://x", "a|b=http://x"])
def test_a_provider_that_can_never_be_called_is_an_error_at_start(settings: Any, written: str) -> None:
    try:
        settings.PROVIDERS = read_providers(environment(PROVIDERS=written), simulated=False)
    except ImproperlyConfigured:
        return
    with pytest.raises(SystemCheckError):
        call_command("check", stdout=StringIO(), stderr=StringIO())


def test_routes_are_read_by_name() -> None:
    assert read_routes("") == {}
    assert read_routes(" fast = a|b ; safe=a>b;") == {"fast": "a|b", "safe": "a>b"}
    with pytest.raises(ImproperlyConfigured, match="ROUTES: 'fast'"):
        read_routes("fast;safe=a")


def test_prices_are_read_by_model() -> None:
    assert read_prices("") == {}
    assert read_prices("gpt-4o=2.5/10; mine = 0.1/0.2/0.05") == {
        "gpt-4o": ModelPrice(Decimal("2.5"), Decimal(10)),
        "mine": ModelPrice(Decimal("0.1"), Decimal("0.2"), Decimal("0.05")),
    }


@pytest.mark.parametrize("price", ["1", "a/b", "1/", "1/2/x", "1,5/2"])
def test_a_price_that_cannot_be_read_is_an_error_that_names_the_model(price: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=r"PRICES: .*'gpt-4o'"):
        read_prices(f"gpt-4o={price}")


@pytest.mark.parametrize("price", ["-1/2", "NaN/1", "Infinity/1", "1/2/3/4"])
def test_a_price_that_cannot_be_is_an_error(price: str) -> None:
    with pytest.raises(ImproperlyConfigured):
        read_prices(f"gpt-4o={price}")
