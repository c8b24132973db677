"""Every kind of token and search at its own price. The amounts are worked out by hand from the vendors' price pages."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from llm import Cost, ModelPrice, PriceList, Provider, Usage

OPENAI = Provider("openai", "https://api.openai.com/v1")
ANTHROPIC = Provider("anthropic", "https://api.anthropic.com/v1/")
GOOGLE = Provider("google", "https://generativelanguage.googleapis.com/v1beta/openai")
GROQ = Provider("groq", "https://api.groq.com/openai/v1")
AZURE = Provider("mine", "https://mine.openai.azure.com/openai/v1")

# A day on which all the prices below count.
AT = datetime(2026, 11, 20, 12, tzinfo=UTC)
PRICES = PriceList()
MILLION = 1_000_000


def cost(provider: Provider, model: str, usage: Usage, **told: str) -> Cost:
    return PRICES.cost(provider, model, usage, at=AT, **told)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("provider", "model", "usage", "usd"),
    [
        # 2.50 / 1.25 cached / 10.00
        (OPENAI, "gpt-4o", Usage(1_000, 100, cached_tokens=400), "0.0030000000"),
        # 4.00 / 0.40 cached / 5.00 written / 20.00: 100 fresh, 300 cached and 600 written tokens
        (
            OPENAI,
            "gpt-5.6-sol",
            Usage(1_000, 100, cached_tokens=300, cache_write_tokens=600),
            "0.0055200000",
        ),
        # The same prices doubled, and 30.00, for a prompt of more than 272,000 tokens
        (OPENAI, "gpt-5.6-sol", Usage(272_000, 1_000), "1.1080000000"),
        (OPENAI, "gpt-5.6-sol", Usage(272_001, 1_000), "2.2060080000"),
        # Text 2.50 / 10.00, sound 32.00 / 64.00
        (OPENAI, "gpt-audio", Usage(1_000, 500, audio_prompt_tokens=800, audio_completion_tokens=400), "0.0527000000"),
        # Sound 40.00 / 80.00, which genai-prices does not know
        (
            OPENAI,
            "gpt-4o-audio-preview",
            Usage(1_000, 500, audio_prompt_tokens=800, audio_completion_tokens=400),
            "0.0655000000",
        ),
        # Text 4.00, cached 0.40, sound 32.00, cached sound 0.40
        (
            OPENAI,
            "gpt-realtime",
            Usage(1_000, 0, cached_tokens=500, audio_prompt_tokens=600, cached_audio_tokens=200),
            "0.0134000000",
        ),
        # Images are text for a model that has no price of images
        (OPENAI, "gpt-4o", Usage(1_000, 0, image_prompt_tokens=900), "0.0025000000"),
        # Three searches on the web at 10 for a thousand, two in files at 2.50
        (OPENAI, "gpt-4.1", Usage(0, 0, web_searches=3, file_searches=2), "0.0350000000"),
        # 25 for a thousand, and 2.50 / 10.00
        (OPENAI, "gpt-4o-search-preview", Usage(1_000, 100, web_searches=1), "0.0285000000"),
        (OPENAI, "gpt-4o-mini-search-preview-2025-03-11", Usage(0, 0, web_searches=1), "0.0250000000"),
        # 5.00 / 0.50 read / 6.25 written / 10.00 written for an hour / 25.00
        (
            ANTHROPIC,
            "claude-opus-4-8",
            Usage(1_000, 10, cached_tokens=400, cache_write_tokens=500, cache_write_1h_tokens=200),
            "0.0048250000",
        ),
        # 0.30 / 1.00 sound / 2.50
        (GOOGLE, "gemini-2.5-flash", Usage(1_000, 100, audio_prompt_tokens=600), "0.0009700000"),
        # One price for text and sound: 1.25 / 10.00
        (GOOGLE, "gemini-2.5-pro", Usage(1_000, 100, audio_prompt_tokens=600), "0.0022500000"),
        # Text 2.50, an image 30.00
        (GOOGLE, "gemini-2.5-flash-image", Usage(0, 1_300, image_completion_tokens=1_290), "0.0387250000"),
        # 2.00 / 8.00, reasoning 3.00
        (
            Provider("perplexity", ""),
            "sonar-deep-research",
            Usage(0, 1_000, reasoning_tokens=900, web_searches=4),
            "0.0235000000",
        ),
        # 1.00 / 1.00, and 12 for a thousand requests
        (Provider("perplexity", ""), "sonar", Usage(500, 500), "0.0130000000"),
        # Fine-tuned: 0.30 / 1.20
        (OPENAI, "ft:gpt-4o-mini-2024-07-18:org::id", Usage(1_000, 1_000), "0.0015000000"),
        # A version that the list does not know, Azure's name, and a model that Azure resells
        (OPENAI, "gpt-4o-2029-01-31", Usage(1_000, 0), "0.0025000000"),
        (AZURE, "gpt-35-turbo", Usage(1_000, 1_000), "0.0020000000"),
        (AZURE, "gpt-4o-2024-08-06", Usage(1_000, 0), "0.0025000000"),
    ],
)
def test_the_cost_of_each_kind_is_as_the_price_page_says(
    provider: Provider, model: str, usage: Usage, usd: str
) -> None:
    assert cost(provider, model, usage) == Cost(Decimal(usd))


@pytest.mark.parametrize(
    ("model", "tier", "usd", "incomplete"),
    [
        ("gpt-5", "", "0.0112500000", False),
        *(("gpt-5", tier, "0.0112500000", False) for tier in ("default", "auto", "scale", "standard", "on_demand")),
        ("gpt-5", "flex", "0.0056250000", False),
        ("gpt-5", "Flex", "0.0056250000", False),
        ("gpt-5", "batch", "0.0056250000", False),
        ("gpt-5", "priority", "0.0225000000", False),
        ("gpt-5", "fast", "0.0225000000", False),
        # 2.50 / 10.00: no price of flex is published, so it is half by OpenAI's rule.
        ("gpt-4o", "flex", "0.0062500000", False),
        ("gpt-4o", "priority", "0.0212500000", False),
        # Nobody says what these cost, but it is more than the standard price.
        ("gpt-4", "priority", "0.0900000000", True),
        ("gpt-5", "ultrafast", "0.0112500000", True),
    ],
)
def test_the_tier_that_was_served_decides_the_price(model: str, tier: str, usd: str, incomplete: bool) -> None:
    assert cost(OPENAI, model, Usage(1_000, 1_000), tier=tier) == Cost(Decimal(usd), incomplete)


def test_a_tier_changes_nothing_of_what_a_search_costs() -> None:
    for tier in ("", "flex", "priority"):
        assert cost(OPENAI, "gpt-4o", Usage(0, 0, web_searches=1), tier=tier).usd == Decimal("0.01")


def test_only_vendors_that_say_so_have_flex_at_half_the_price() -> None:
    standard = cost(GROQ, "llama-3.3-70b-versatile", Usage(1_000, 1_000))
    assert cost(GROQ, "llama-3.3-70b-versatile", Usage(1_000, 1_000), tier="flex") == standard
    # A model that Azure resells has OpenAI's standard price, and tiers of Azure's own.
    assert cost(AZURE, "gpt-5", Usage(1_000, 0), tier="priority") == Cost(Decimal("0.0012500000"), incomplete=True)


def test_the_fast_mode_of_anthropic_has_its_price() -> None:
    assert cost(ANTHROPIC, "claude-opus-4-8", Usage(1_000, 1_000), tier="fast") == Cost(Decimal("0.06"))


@pytest.mark.parametrize(
    ("usage", "usd"),
    [
        (Usage(1_000, 0, audio_prompt_tokens=400), "0.0015"),
        (Usage(0, 1_000, audio_completion_tokens=900), "0.001"),
        (Usage(0, 1_000, image_completion_tokens=900), "0.001"),
    ],
)
def test_a_kind_without_a_price_is_left_out_and_the_cost_is_incomplete(usage: Usage, usd: str) -> None:
    assert cost(OPENAI, "gpt-4o", usage) == Cost(Decimal(usd), incomplete=True)


def test_a_search_without_a_price_makes_the_cost_incomplete() -> None:
    assert cost(OPENAI, "gpt-3.5-turbo", Usage(1_000, 0, web_searches=1)) == Cost(Decimal("0.0005"), incomplete=True)


@pytest.mark.parametrize("model", ["nobody-knows", "gpt-live-1"])
def test_a_model_without_a_price_of_tokens_has_no_cost_and_not_a_cost_of_0(model: str) -> None:
    assert cost(OPENAI, model, Usage(1_000, 1_000)) == Cost(None, incomplete=True)


def test_an_own_price_of_sound_alone_is_no_price_of_a_model_that_nobody_knows() -> None:
    prices = PriceList({"nobody-knows": ModelPrice(audio_prompt=Decimal(40))})
    assert prices.cost(OPENAI, "nobody-knows", Usage(1_000, 1_000, audio_prompt_tokens=500)).usd is None


def test_a_usage_of_nothing_that_has_a_price_has_no_cost_and_not_a_cost_of_0() -> None:
    assert cost(OPENAI, "gpt-4o", Usage(0, 500, audio_completion_tokens=500)) == Cost(None, incomplete=True)


def test_writing_costs_as_much_as_reading_the_prompt_where_nobody_asks_more() -> None:
    """Models of OpenAI before gpt-5.6."""
    assert cost(OPENAI, "gpt-5", Usage(1_000, 0, cache_write_tokens=1_000)) == Cost(Decimal("0.00125"))


def test_a_fine_tuned_model_costs_at_least_as_much_as_its_base() -> None:
    assert cost(OPENAI, "ft:gpt-4.1-2025-04-14:org::id", Usage(1_000, 0)) == Cost(Decimal("0.002"), incomplete=True)


def test_the_price_of_the_model_that_answered_counts_if_it_is_known() -> None:
    usage = Usage(1_000, 0)
    assert cost(OPENAI, "my-alias", usage, answered_model="gpt-4o").usd == Decimal("0.0025")
    assert cost(OPENAI, "gpt-4o", usage, answered_model="gpt-4o-mini").usd == Decimal("0.00015")
    assert cost(OPENAI, "gpt-4o", usage, answered_model="/models/some.gguf").usd == Decimal("0.0025")


def test_a_cost_that_the_provider_states_counts_and_a_zero_does_not_where_there_is_a_price() -> None:
    usage = Usage(1_000, 0)
    stated = PRICES.cost(OPENAI, "gpt-4o", usage, stated_usd=Decimal("0.123"))
    assert stated == Cost(Decimal("0.123"), stated=True)
    assert PRICES.cost(OPENAI, "gpt-4o", usage, stated_usd=Decimal(0)) == Cost(Decimal("0.0025"))
    assert PRICES.cost(OPENAI, "nobody-knows", usage, stated_usd=Decimal(0)) == Cost(Decimal(0), stated=True)


def test_a_price_is_that_of_its_day() -> None:
    """o3 became cheaper on 2025-06-10: from 10.00 to 2.00."""
    for day, usd in ((9, "0.01"), (10, "0.002")):
        at = datetime(2025, 6, day, 23, tzinfo=UTC)
        assert PRICES.cost(OPENAI, "o3", Usage(1_000, 0), at=at).usd == Decimal(usd)


def test_nothing_that_decides_a_price_is_forgotten_when_it_is_remembered() -> None:
    prices = PriceList()
    usage = Usage(1_000, 1_000)
    asked = [("gpt-5", "", ""), ("gpt-5", "flex", ""), ("gpt-5", "", "gpt-4o"), ("gpt-5", "priority", "gpt-4o")]
    first = [prices.cost(OPENAI, model, usage, tier=tier, answered_model=other) for model, tier, other in asked]
    again = [prices.cost(OPENAI, model, usage, tier=tier, answered_model=other) for model, tier, other in asked]
    assert first == again
    assert len(set(first)) == len(asked)


def test_prices_of_models_that_nobody_knows_push_no_other_price_out_for_long() -> None:
    prices = PriceList()
    for number in range(1_100):
        prices.cost(OPENAI, f"no-model-{number}", Usage(1, 1))
    prices.cost(OPENAI, "x" * 1_000_000, Usage(1, 1), tier="y" * 1_000_000)
    assert prices.cost(OPENAI, "gpt-4o", Usage(1_000, 0)).usd == Decimal("0.0025")
    assert len(prices._remembered) <= 1_000
    assert max(len(name) for key in prices._remembered for name in key) < 1_000


SOUND = ModelPrice(audio_prompt=Decimal(40), web_search=Decimal("0.03"))
WHOLE = ModelPrice(Decimal(2), Decimal(8))


def test_an_own_price_of_some_kinds_leaves_the_others_as_they_are() -> None:
    prices = PriceList({"gpt-4o": SOUND})
    usage = Usage(1_000, 100, cached_tokens=200, audio_prompt_tokens=500, web_searches=1)
    # 300 * 2.50 + 200 * 1.25 + 500 * 40 + 100 * 10, and a search
    assert prices.cost(OPENAI, "gpt-4o", usage) == Cost(Decimal("0.0520000000"))
    assert prices.cost(OPENAI, "gpt-4o", usage, tier="priority").usd == Decimal("0.0534000000")


def test_an_own_price_of_prompt_and_completion_is_that_of_all_tokens_and_of_no_searches() -> None:
    prices = PriceList({"gpt-4o": WHOLE})
    assert prices.cost(OPENAI, "gpt-4o", Usage(1_000, 0, cached_tokens=1_000)).usd == Decimal("0.002")
    assert prices.cost(OPENAI, "gpt-4o", Usage(0, 0, web_searches=1)) == Cost(Decimal("0.01"))


def test_an_own_price_may_be_that_of_a_tier() -> None:
    prices = PriceList({"gpt-4o": WHOLE, "gpt-4o@priority": ModelPrice(Decimal(5), Decimal(20)), "m": WHOLE})
    usage = Usage(1_000, 1_000)
    assert prices.cost(OPENAI, "gpt-4o", usage, tier="priority") == Cost(Decimal("0.025"))
    assert prices.cost(OPENAI, "gpt-4o", usage, tier="flex") == Cost(Decimal("0.005"))
    assert prices.cost(OPENAI, "gpt-4o", usage, tier="ultrafast") == Cost(Decimal("0.01"), incomplete=True)
    assert prices.cost(Provider("local", ""), "m", usage, tier="flex") == Cost(Decimal("0.01"))


@pytest.mark.parametrize(
    ("name", "address", "price_list", "usd"),
    [
        ("eu", "https://my.openai.azure.com/openai/v1", "", "0.0025"),
        ("fast", "https://api.groq.com/openai/v1", "", None),
        ("eu", "http://proxy.local/v1", "azure", "0.0025"),
        ("eu", "http://proxy.local/v1", "", None),
    ],
)
def test_whose_prices_a_provider_has_is_set_or_told_by_its_address(
    name: str, address: str, price_list: str, usd: str | None
) -> None:
    found = cost(Provider(name, address, price_list=price_list), "gpt-4o", Usage(1_000, 0)).usd
    assert found == (None if usd is None else Decimal(usd))
