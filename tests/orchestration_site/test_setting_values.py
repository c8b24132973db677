"""The settings that have a notation of their own: providers, routes and prices."""

from __future__ import annotations

from decimal import Decimal
from io import StringIO
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from orchestration_site.environment import Environment

from llm import ModelPrice, Provider
from orchestration_site.setting_values import read_prices, read_provider_choice, read_providers, read_routes


def environment(**variables: str) -> Environment:
    env = Environment()
    env.ENVIRON = variables
    return env


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


@pytest.mark.parametrize(
    ("written", "chosen"),
    [
        ("", set()),
        ("false", set()),
        ("False", set()),
        ("0", set()),
        ("true", {"openai", "groq"}),
        ("ON", {"openai", "groq"}),
        ("groq", {"groq"}),
        (" openai , groq,", {"openai", "groq"}),
    ],
)
def test_providers_are_chosen_all_at_once_or_by_name(written: str, chosen: set[str]) -> None:
    assert read_provider_choice("FETCH_AS_STREAMS", written, ["openai", "groq"]) == chosen


@pytest.mark.parametrize("written", ["gorq", "openai,-", "true,groq", "-1"])
def test_a_choice_of_a_provider_that_there_is_not_names_the_variable_and_the_provider(written: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=r"FETCH_AS_STREAMS: there is no provider '(gorq|-|true|-1)'"):
        read_provider_choice("FETCH_AS_STREAMS", written, ["openai", "groq"])
