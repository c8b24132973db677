"""What a usage comes to at the prices of one model: each token counts once, at the price of its own kind."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal

from llm.config import PRICE_KINDS, PRICED_ONE_BY_ONE, ModelPrice
from llm.costs.usage import Usage

MILLION = Decimal(1_000_000)
NOTHING = Decimal(0)

# Prices of one token as whole numbers of this are exact, and whole numbers are quicker than decimals.
UNITS_OF_A_MILLIONTH = 10**18
UNIT = Decimal(1).scaleb(-24)

# Costs are rounded to multiples of this, because the database stores ten decimal places.
SMALLEST = Decimal("0.0000000001")


@dataclass(frozen=True, slots=True)
class Cost:
    """What an attempt cost, as far as it is known.

    `usd` is None where no price is known. `incomplete` means that something that was used has no known price, so that
    the whole is more than `usd`. `stated` means that the provider itself stated the cost.
    """

    usd: Decimal | None
    incomplete: bool = False
    stated: bool = False


UNKNOWN = Cost(None, incomplete=True)


class Rate:
    """The prices of one model, ready for use.

    A kind that has no price costs what the vendors who don't name its price charge: cached and written tokens and
    images as much as the prompt, and reasoning as much as the completion. Sound, pictures that a model has made, and
    searches always cost more than text, so they are left out where they have no price, and the cost is incomplete.
    """

    __slots__ = ("_cached", "_completion", "_has_plain_kinds", "_is_part", "_price", "_prompt", "_request")

    def __init__(self, price: ModelPrice, *, is_whole: bool = True) -> None:
        """With `is_whole` False the prices are only a lower bound, and so is each cost."""
        self._price = price
        self._is_part = not is_whole
        # Nearly every usage has plain kinds only, so their prices are kept ready.
        self._has_plain_kinds = names_all_tokens(price) and price.reasoning is None and not price.request
        self._request = price.request or NOTHING
        cached = price.prompt if price.cached is None else price.cached
        self._prompt, self._cached, self._completion = map(_in_units, (price.prompt, cached, price.completion))

    def cost(self, usage: Usage) -> Cost:
        if not self._has_plain_kinds or (
            usage.cache_write_tokens
            or usage.web_searches
            or usage.audio_prompt_tokens
            or usage.audio_completion_tokens
            or usage.image_prompt_tokens
            or usage.image_completion_tokens
            or usage.file_searches
            or usage.other_tools
        ):
            cost = self._cost_of_kinds(count_kinds(usage))
            return replace(cost, incomplete=True) if usage.other_tools else cost
        prompt_tokens, cached_tokens = usage.prompt_tokens, usage.cached_tokens
        cached_tokens = min(cached_tokens, prompt_tokens)
        units = (
            self._prompt * (prompt_tokens - cached_tokens)
            + self._cached * cached_tokens
            + self._completion * usage.completion_tokens
        )
        return Cost((units * UNIT).quantize(SMALLEST), self._is_part)

    def _cost_of_kinds(self, counts: dict[str, int]) -> Cost:
        usd, incomplete = self._request, self._is_part
        for kind, count in counts.items():
            if count:
                price, is_whole = self._price_of(kind)
                incomplete = incomplete or not is_whole
                usd += (price or NOTHING) * count / (1 if kind in PRICED_ONE_BY_ONE else MILLION)
        # Nothing that has a price was used, so nothing is known of the cost. It is not 0.
        return UNKNOWN if incomplete and not usd else Cost(usd.quantize(SMALLEST), incomplete)

    def _price_of(self, kind: str) -> tuple[Decimal | None, bool]:
        """The price that a kind is paid at, and whether it is the whole price."""
        price = self._price
        own: Decimal | None = getattr(price, kind)
        if own is not None:
            return own, True
        match kind:
            case "cached" | "cache_write" | "image_prompt":
                return price.prompt, price.prompt is not None
            case "cache_write_1h":
                # Writing for an hour costs more than writing for minutes.
                return (price.prompt if price.cache_write is None else price.cache_write), False
            case "reasoning":
                return price.completion, price.completion is not None
            case "cached_audio":
                return price.audio_prompt, price.audio_prompt is not None
            case "cached_image":
                return self._price_of("cached" if price.image_prompt is None else "image_prompt")
        return None, False


def _in_units(price: Decimal | None) -> int:
    """A price of a million tokens as that of one token, in units."""
    return int((price or NOTHING) * UNITS_OF_A_MILLIONTH)


def count_kinds(usage: Usage) -> dict[str, int]:
    """How much of each kind a usage has. No token is in two of them: they add up to the prompt and the completion.

    What is sound or an image, and is written to a cache too, counts as sound or image.
    """
    usage = usage.consistent()
    audio = usage.audio_prompt_tokens - usage.cached_audio_tokens
    images = usage.image_prompt_tokens - usage.cached_image_tokens
    in_prompt = {
        "cached": usage.cached_tokens - usage.cached_audio_tokens - usage.cached_image_tokens,
        "cached_audio": usage.cached_audio_tokens,
        "cached_image": usage.cached_image_tokens,
        "audio_prompt": audio,
        "image_prompt": images,
        "cache_write": usage.cache_write_tokens - usage.cache_write_1h_tokens,
        "cache_write_1h": usage.cache_write_1h_tokens,
    }
    in_completion = {
        "audio_completion": usage.audio_completion_tokens,
        "image_completion": usage.image_completion_tokens,
        "reasoning": usage.reasoning_tokens,
    }
    return {
        "prompt": usage.prompt_tokens - sum(in_prompt.values()),
        **in_prompt,
        "completion": usage.completion_tokens - sum(in_completion.values()),
        **in_completion,
        "web_search": usage.web_searches,
        "file_search": usage.file_searches,
    }


def merged(own: ModelPrice, listed: ModelPrice) -> ModelPrice:
    """The operator's own price of a model, with the list's price for what it does not name.

    Who names the prices of both prompt and completion has named those of all tokens: a kind that is left out costs as
    much as they do, and not what the list says. Searches and requests are another matter.
    """
    kinds = PRICED_ONE_BY_ONE if names_all_tokens(own) else PRICE_KINDS
    gaps = {kind: getattr(listed, kind) for kind in kinds if getattr(own, kind) is None}
    return replace(own, **gaps)


def names_all_tokens(price: ModelPrice) -> bool:
    return price.prompt is not None and price.completion is not None


def names_some_tokens(price: ModelPrice) -> bool:
    return price.prompt is not None or price.completion is not None


def scaled(price: ModelPrice, factor: Decimal) -> ModelPrice:
    """The price with all tokens at a part of theirs. Searches and requests cost the same."""
    tokens = {kind: getattr(price, kind) for kind in PRICE_KINDS if kind not in PRICED_ONE_BY_ONE}
    return replace(price, **{kind: number * factor for kind, number in tokens.items() if number is not None})
