"""What OpenAI charges, as literal numbers from its own pages, and the arithmetic of one bill line.

Sources, as they read in October and November 2026:

- developers.openai.com/api/docs/pricing, the tables "Standard", "Flex" and "Priority" (which it also calls "Fast
  mode"), the table of audio tokens, and the fees of tools.
- openai.com/api-priority-processing, for the priority prices of gpt-4.1, gpt-4o, o3 and o4-mini.
- developers.openai.com/api/docs/guides/tools-web-search: of the actions of a web search call, a search has a fee; to
  open a page has none.
- developers.openai.com/api/docs/models/gpt-5.6-luna: "Prompts with >272K input tokens are priced at 2x input and 1.5x
  output for the full request" and "Cache writes are billed at 1.25x the uncached input token rate".
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

MILLION = Decimal(1_000_000)

# A prompt of more tokens than this is a long one.
LONG_PROMPT = 272_000

# What a long prompt does to the prices of the whole request.
LONG_INPUT = Decimal(2)
LONG_OUTPUT = Decimal("1.5")

# The price of a token that is written to the prompt cache, in input prices.
CACHE_WRITE = Decimal("1.25")

# US dollars for one call of a tool: 10 and 2.50 for a thousand.
WEB_SEARCH = Decimal("0.01")
FILE_SEARCH = Decimal("0.0025")


@dataclass(frozen=True, slots=True)
class Rate:
    """US dollars per million tokens. `cached` is None where the price page has a dash: there is no discount."""

    input: Decimal
    cached: Decimal | None
    output: Decimal


def rate(input_price: str, cached: str | None, output: str) -> Rate:
    return Rate(Decimal(input_price), None if cached is None else Decimal(cached), Decimal(output))


# By model and by the tier that served the request: input, cached input, output.
PRICES: dict[str, dict[str, Rate]] = {
    "gpt-3.5-turbo": {"default": rate("0.50", None, "1.50")},
    "gpt-3.5-turbo-instruct": {"default": rate("1.50", None, "2.00")},
    "gpt-4-turbo": {"default": rate("10.00", None, "30.00")},
    "gpt-4o": {"default": rate("2.50", "1.25", "10.00"), "priority": rate("4.25", "2.125", "17.00")},
    "gpt-4o-mini": {"default": rate("0.15", "0.075", "0.60"), "priority": rate("0.25", "0.125", "1.00")},
    "gpt-4.1-mini": {"default": rate("0.40", "0.10", "1.60"), "priority": rate("0.70", "0.175", "2.80")},
    "o3": {
        "default": rate("2.00", "0.50", "8.00"),
        "flex": rate("1.00", "0.25", "4.00"),
        "priority": rate("3.50", "0.875", "14.00"),
    },
    "o4-mini": {
        "default": rate("1.10", "0.275", "4.40"),
        "flex": rate("0.55", "0.138", "2.20"),
        "priority": rate("2.00", "0.50", "8.00"),
    },
    "gpt-5.4": {
        "default": rate("2.50", "0.25", "15.00"),
        "flex": rate("1.25", "0.13", "7.50"),
        "priority": rate("5.00", "0.50", "30.00"),
    },
    "gpt-5.6-sol": {
        "default": rate("4.00", "0.40", "20.00"),
        "flex": rate("2.00", "0.20", "10.00"),
        "priority": rate("8.00", "0.80", "40.00"),
    },
    "gpt-5.6-terra": {
        "default": rate("2.00", "0.20", "12.00"),
        "flex": rate("1.00", "0.10", "6.00"),
        "priority": rate("4.00", "0.40", "24.00"),
    },
    "gpt-5.6-luna": {
        "default": rate("0.20", "0.02", "1.20"),
        "flex": rate("0.10", "0.01", "0.60"),
        "priority": rate("0.40", "0.04", "2.40"),
    },
    "gpt-audio": {"default": rate("2.50", None, "10.00")},
    "text-embedding-3-small": {"default": rate("0.02", None, "0")},
    "text-embedding-3-large": {"default": rate("0.13", None, "0")},
}

# US dollars per million audio tokens: in, out.
AUDIO_PRICES = {"gpt-audio": (Decimal("32.00"), Decimal("64.00"))}

# Models whose long prompts cost more, and the tiers for which the rule above says how much. For gpt-5.4, the page has
# other numbers by flex and none by priority.
EACH_TIER = ("default", "flex", "priority")
STEPPED = {"gpt-5.4": ("default",), "gpt-5.6-sol": EACH_TIER, "gpt-5.6-terra": EACH_TIER, "gpt-5.6-luna": EACH_TIER}

# Models of the GPT-5.6 family, whose writes to the prompt cache are billed.
BILLS_WRITES = frozenset({"gpt-5.6-sol", "gpt-5.6-terra", "gpt-5.6-luna"})


@dataclass(frozen=True, slots=True)
class Tokens:
    """What one request took. `cached`, `written` and `audio_in` are parts of `prompt`, and do not overlap.

    `reasoning` and `audio_out` are parts of `completion`.
    """

    prompt: int
    completion: int = 0
    cached: int = 0
    written: int = 0
    reasoning: int = 0
    audio_in: int = 0
    audio_out: int = 0


@dataclass(frozen=True, slots=True)
class Searches:
    """How many calls of a tool were made that have a fee."""

    web: int = 0
    file: int = 0


def amount_usd(model: str, tier: str, tokens: Tokens, searches: Searches = Searches()) -> Decimal:
    """The exact amount of one bill line."""
    price = PRICES[model][tier]
    audio_in, audio_out = AUDIO_PRICES.get(model, (price.input, price.output))
    cached_price = price.input if price.cached is None else price.cached
    write_price = price.input * CACHE_WRITE if model in BILLS_WRITES else price.input
    fresh = tokens.prompt - tokens.cached - tokens.written - tokens.audio_in
    prompt = (
        fresh * price.input + tokens.cached * cached_price + tokens.written * write_price + tokens.audio_in * audio_in
    )
    completion = (tokens.completion - tokens.audio_out) * price.output + tokens.audio_out * audio_out
    if model in STEPPED and tokens.prompt > LONG_PROMPT:
        assert tier in STEPPED[model], f"the ledger does not know the price of a long prompt of {model} by {tier}"
        prompt *= LONG_INPUT
        completion *= LONG_OUTPUT
    return (prompt + completion) / MILLION + searches.web * WEB_SEARCH + searches.file * FILE_SEARCH
