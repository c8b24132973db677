"""How prices are written in PRICES, and whose prices a provider has."""

from __future__ import annotations

from decimal import Decimal

import pytest
from django.core.exceptions import ImproperlyConfigured

from llm import PRICE_KINDS, ModelPrice
from orchestration_site.setting_values.notations import read_prices, read_providers
from tests.orchestration_site.setting_values.test_notations import environment


def test_every_kind_can_be_named() -> None:
    written = ",".join(f"{kind}:{number}" for number, kind in enumerate(PRICE_KINDS))
    expected = ModelPrice(**{kind: Decimal(number) for number, kind in enumerate(PRICE_KINDS)})
    assert read_prices(f"m={written}") == {"m": expected}


def test_kinds_may_be_named_in_any_order_and_for_a_tier() -> None:
    read = read_prices(" gpt-4o = completion : 10 , prompt:2.5,web_search:0.01; gpt-4o@flex=1.25/5;ft:a:b::c=3/6")
    assert read == {
        "gpt-4o": ModelPrice(Decimal("2.5"), Decimal(10), web_search=Decimal("0.01")),
        "gpt-4o@flex": ModelPrice(Decimal("1.25"), Decimal(5)),
        "ft:a:b::c": ModelPrice(Decimal(3), Decimal(6)),
    }


def test_an_unknown_kind_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ImproperlyConfigured, match=r"'gpt-4o' names the kind 'audio'.*audio_prompt, audio_completion"):
        read_prices("gpt-4o=audio:40")


@pytest.mark.parametrize(
    ("price", "reason"),
    [
        ("prompt:1,2", "'2' in the price of 'm' must be KIND:PRICE"),
        ("prompt:1,prompt:2", "names the kind 'prompt' twice"),
        ("prompt:-1", "the prompt price of 'm' must be a number that is not negative"),
        ("prompt:x", "the prompt price of 'm' must be a number"),
        ("prompt:", "the prompt price of 'm' must be a number"),
        ("prompt:Infinity", "the prompt price of 'm' must be a number"),
    ],
)
def test_a_named_price_that_cannot_be_is_refused_with_the_reason(price: str, reason: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=f"PRICES: .*{reason}"):
        read_prices(f"m={price}")


def test_a_provider_may_say_whose_prices_it_has() -> None:
    env = environment(
        PROVIDERS="my-azure=http://proxy/v1,plain=http://p/v1", MY_AZURE_PRICES=" Azure ", OPENAI_PRICES="azure"
    )
    providers = read_providers(env, simulated=False)
    lists = {name: provider.price_list for name, provider in providers.items()}
    assert lists == {"openai": "azure", "my-azure": "azure", "plain": ""}


def test_a_price_list_that_there_is_not_is_refused_with_the_known_ones() -> None:
    with pytest.raises(
        ImproperlyConfigured, match=r"EU_PRICES: there is no price list 'microsoft'.*anthropic, .*azure"
    ):
        read_providers(environment(PROVIDERS="eu=http://proxy/v1", EU_PRICES="microsoft"), simulated=False)
