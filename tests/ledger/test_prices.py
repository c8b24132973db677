"""The ledger's arithmetic, against amounts that were computed by hand."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tests.ledger.upstream.prices import PRICES, Searches, Tokens, amount_usd

CASES = {
    # 800 x 2.50 + 200 x 1.25 + 500 x 10.00 = 7,250 millionths
    "a cached prompt": ("gpt-4o", "default", Tokens(1_000, 500, cached=200), Searches(), "0.00725"),
    # 1,000 x 4.25 + 500 x 17.00 = 12,750
    "priority": ("gpt-4o", "priority", Tokens(1_000, 500), Searches(), "0.01275"),
    # 600 x 1.00 + 400 x 0.25 + 100 x 4.00 = 1,100; reasoning is a part of the completion
    "flex": ("o3", "flex", Tokens(1_000, 100, cached=400, reasoning=80), Searches(), "0.0011"),
    # 500 x 2.00 + 1,000 x 0.20 + 1,500 x 2.50 + 200 x 12.00 = 7,350
    "cache writes": ("gpt-5.6-terra", "default", Tokens(3_000, 200, 1_000, 1_500), Searches(), "0.00735"),
    # 1,500 x 1.25 x 1.00 + 200 x 6.00 = 3,075
    "cache writes by flex": ("gpt-5.6-terra", "flex", Tokens(1_500, 200, written=1_500), Searches(), "0.003075"),
    # 272,000 x 0.20 = 54,400
    "a prompt that is just not long": ("gpt-5.6-luna", "default", Tokens(272_000), Searches(), "0.0544"),
    # 2 x (50,000 x 0.20 + 100,000 x 0.02 + 150,000 x 0.25) + 1.5 x 1,000 x 1.20 = 99,000 + 1,800
    "a long prompt": ("gpt-5.6-luna", "default", Tokens(300_000, 1_000, 100_000, 150_000), Searches(), "0.1008"),
    # 300,000 x 2.50 + 10 x 10.00: gpt-4o has no step
    "a prompt that is long for others": ("gpt-4o", "default", Tokens(300_000, 10), Searches(), "0.7501"),
    # 40 x 2.50 + 80 x 32.00 + 100 x 10.00 + 400 x 64.00 = 29,260
    "audio": ("gpt-audio", "default", Tokens(120, 500, audio_in=80, audio_out=400), Searches(), "0.02926"),
    # 100 x 2.50 + 10 x 15.00 = 400, and 2 x 0.01 + 3 x 0.0025
    "searches": ("gpt-5.4", "default", Tokens(100, 10), Searches(web=2, file=3), "0.0279"),
    # 1,000 x 5.00 + 10 x 30.00 = 5,300; a tool costs the same in each tier
    "searches by priority": ("gpt-5.4", "priority", Tokens(1_000, 10), Searches(web=1), "0.0153"),
    # 1,234 x 0.02 = 24.68
    "an embedding": ("text-embedding-3-small", "default", Tokens(1_234), Searches(), "0.00002468"),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_an_amount_is_what_the_price_page_makes_it(case: tuple[str, str, Tokens, Searches, str]) -> None:
    model, tier, tokens, searches, amount = case
    assert amount_usd(model, tier, tokens, searches) == Decimal(amount)


def test_every_model_has_a_price_for_the_default_tier() -> None:
    assert all("default" in tiers for tiers in PRICES.values())
