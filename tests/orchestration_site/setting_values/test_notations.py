"""The settings that have a notation of their own: providers, routes and prices."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from llm import ModelPrice, Provider
from orchestration_site.setting_values import Environment
from orchestration_site.setting_values.notations import (
    check_routes,
    read_patterns,
    read_prices,
    read_provider_choice,
    read_providers,
    read_routes,
    with_way_there,
)


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


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        ("groq=nonsense", "'groq' must be http"),
        ("groq=api.groq.com/v1", "'groq' must be http"),
        ("groq=http://:80/v1", "'groq' must be http"),
        ("groq=http://host:0/v1", "'groq' must be http"),
        ("groq=http://host:port/v1", "'groq' must be http"),
        ("groq=ftp://host", "'groq' must be http"),
        ("groq=http://a b/v1", "'groq' has a space"),
        ("groq=http://a/v1\nlocal=http://b/v1", "'groq' has a space"),
        ("groq=http://a/v1;local=http://b/v1", "commas between providers"),
        ("groq=http://a/v1#part", "'groq' has a #"),
        ("groq=http://user:secret@a/v1", "'groq' has a user or a password"),
        ("http://user:secret@a/v1?x=y", "part 1 can't be read"),
        ("a/b=http://x", "part 1 can't be read"),
        ("a|b=http://x", "letters, digits, - and _"),
        ("a=http://x,a=http://y", "'a' is there twice"),
        ("openai=http://x", "OPENAI_BASE_URL"),
    ],
)
def test_a_provider_that_can_never_be_called_is_an_error_that_shows_no_password(written: str, reason: str) -> None:
    with pytest.raises(ImproperlyConfigured) as raised:
        read_providers(environment(PROVIDERS=written), simulated=False)
    assert reason in str(raised.value)
    assert "secret" not in str(raised.value)


def test_a_query_of_a_base_address_stays_behind_the_path() -> None:
    env = environment(PROVIDERS="azure=https://a.openai.azure.com/openai/?api-version=2024-10-21")
    provider = read_providers(env, simulated=False)["azure"]
    assert provider.address_of("/chat/completions") == (
        "https://a.openai.azure.com/openai/chat/completions?api-version=2024-10-21"
    )


@pytest.mark.parametrize("key", ["sk-a b", '"sk-a"', "sk-\u201csmart\u201d", "sk-a\nsk-b"])
def test_a_key_that_cannot_be_sent_is_an_error_that_does_not_show_it(key: str) -> None:
    providers = read_providers(environment(PROVIDERS="my-vllm=http://v/v1", MY_VLLM_API_KEY=key), simulated=False)
    with pytest.raises(ImproperlyConfigured) as raised:
        with_way_there(providers, {})
    assert str(raised.value).startswith("MY_VLLM_API_KEY has ")
    assert "sk-" not in str(raised.value)


def test_another_server_in_openais_place_needs_no_key() -> None:
    for address, needs_key in (("http://127.0.0.1:8001/v1", False), ("https://api.openai.com/v1/", True)):
        providers = read_providers(environment(OPENAI_BASE_URL=address), simulated=False)
        assert with_way_there(providers, {})["openai"].needs_key is needs_key


def test_a_proxy_is_for_the_providers_that_no_proxy_does_not_name() -> None:
    env = environment(PROVIDERS="near=http://near.lan/v1,far=https://far.example/v1")
    providers = with_way_there(
        read_providers(env, simulated=True),
        {"HTTPS_PROXY": "http://proxy:3128", "HTTP_PROXY": "http://proxy:3128", "NO_PROXY": ".lan"},
    )
    assert {name: provider.proxy for name, provider in providers.items()} == {
        "openai": "",  # the simulator is a part of the process
        "near": "",
        "far": "http://proxy:3128",
    }


def test_routes_are_read_by_name() -> None:
    assert read_routes("") == {}
    assert read_routes(" fast = a|b ; safe=a>b;") == {"fast": "a|b", "safe": "a>b"}
    with pytest.raises(ImproperlyConfigured, match="ROUTES: 'fast'"):
        read_routes("fast;safe=a")


@pytest.mark.parametrize("written", ["fast=a|b,safe=c", "fast=a;fast=b", "a|b=c", "a b=c"])
def test_routes_with_the_wrong_separator_or_name_are_an_error(written: str) -> None:
    with pytest.raises(ImproperlyConfigured, match="ROUTES: "):
        read_routes(written)


@pytest.mark.parametrize(
    ("overrides", "named"),
    [
        ({"routes": {"fast": "a||b"}}, "ROUTES, 'fast' can't be read: A model is missing"),
        ({"routes": {"loop": "loop>a"}}, "ROUTES, 'loop' can't be read: The route 'loop' contains itself"),
        ({"routes": {"far": "grok/x"}}, "ROUTES, 'far' can't be read: There is no provider 'grok'. Known are openai."),
        ({"default_model": "a>"}, "DEFAULT_MODEL can't be read"),
        ({"fallback_models": ["a", " "]}, "FALLBACK_MODELS can't be read"),
        ({"fallback_models": ["grok/x"]}, "FALLBACK_MODELS can't be read: There is no provider 'grok'"),
    ],
)
def test_a_route_that_cannot_be_read_says_where_it_is(overrides: dict[str, Any], named: str) -> None:
    good: dict[str, Any] = {"routes": {}, "default_model": "a", "fallback_models": [], "providers": ["openai"]}
    check_routes(**good)
    with pytest.raises(ImproperlyConfigured) as raised:
        check_routes(**good | overrides)
    assert str(raised.value).startswith(named)


@pytest.mark.parametrize("written", ["[", '"text"', "[1]", '["("]', '[""]', '["x*"]', "{}"])
def test_patterns_that_are_no_list_of_expressions_are_an_error(written: str) -> None:
    with pytest.raises(ImproperlyConfigured, match="REDACT_PATTERNS"):
        read_patterns(written)


def test_prices_are_read_by_model() -> None:
    assert read_prices("") == {}
    assert read_prices("gpt-4o=2.5/10; mine = 0.1/0.2/0.05") == {
        "gpt-4o": ModelPrice(Decimal("2.5"), Decimal(10)),
        "mine": ModelPrice(Decimal("0.1"), Decimal("0.2"), Decimal("0.05")),
    }


@pytest.mark.parametrize("price", ["1", "a/b", "1/", "1/2/x", "1,5/2", "1/2,other=3/4", "1/2 other=3/4"])
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
