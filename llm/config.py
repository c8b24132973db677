"""The engine's configuration. Whoever embeds the engine builds it; nothing here reads a file or the environment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class Provider:
    """An OpenAI-compatible upstream."""

    # What records call it.
    name: str

    base_url: str

    # One key, or several with commas between them, which are used in turn. Empty if there is none.
    api_key: str = field(default="", repr=False)

    # True if calls need a key. If it is True and there is no key, the models fail with UpstreamNotConfigured.
    needs_key: bool = True

    # Whose prices it has, by their name in genai-prices; empty if its own name or its address tells.
    price_list: str = ""

    # The HTTP proxy by which it is asked; empty if it is asked directly. It may contain a password.
    proxy: str = field(default="", repr=False)

    def address_of(self, path: str) -> str:
        """Where an operation is asked for. A query in the base address stays behind the path."""
        base, question, query = self.base_url.partition("?")
        return f"{base.rstrip('/')}{path}{question}{query}"

    @property
    def api_keys(self) -> tuple[str, ...]:
        return tuple(filter(None, (key.strip() for key in self.api_key.split(","))))


@dataclass(frozen=True, slots=True)
class ModelPrice:
    """The prices of a model by kind, in US dollars: of a million tokens, or of one search or request.

    None is a kind that has no price of its own. `cached`, `cache_write`, `image_prompt` and `reasoning` cost as much as
    other tokens then; whatever else is left without a price makes a cost incomplete (`llm/costs/rate.py`).
    """

    prompt: Decimal | None = None
    completion: Decimal | None = None
    cached: Decimal | None = None
    cache_write: Decimal | None = None
    cache_write_1h: Decimal | None = None
    audio_prompt: Decimal | None = None
    audio_completion: Decimal | None = None
    cached_audio: Decimal | None = None
    image_prompt: Decimal | None = None
    image_completion: Decimal | None = None
    cached_image: Decimal | None = None
    reasoning: Decimal | None = None
    web_search: Decimal | None = None
    file_search: Decimal | None = None
    request: Decimal | None = None


# The names of all kinds that can have a price.
PRICE_KINDS = tuple(field.name for field in fields(ModelPrice))

# The kinds whose price is that of one, and not of a million tokens.
PRICED_ONE_BY_ONE = frozenset({"web_search", "file_search", "request"})


@dataclass(frozen=True, slots=True)
class EngineConfig:
    """All durations are in seconds."""

    # By the name that a route uses. The first provider is the one of models that are named without a provider.
    providers: Mapping[str, Provider]

    # The routes that have a name, as they are written.
    routes: Mapping[str, str] = field(default_factory=dict)

    # Prices that count before those of genai-prices, by `model` or by `provider/model`. With `@tier` behind the name,
    # like `gpt-4o@flex`, they are those of one service tier.
    prices: Mapping[str, ModelPrice] = field(default_factory=dict)

    # The bound on a whole answer, or on a stream up to its first content, for callers that give none.
    request_timeout: float = 300.0

    # The bound on one attempt, up to its answer or its first content. None: an attempt may use all the time that the
    # call still has.
    attempt_timeout: float | None = None

    connect_timeout: float = 5.0

    # The bound on a stream up to its first content.
    first_token_timeout: float = 120.0

    # A stream that sends nothing for so long has stalled.
    stream_idle_timeout: float = 60.0

    # How long, and how many at once, whole answers of models with a price are read on when nobody waits for them any
    # more. 0 for either means not at all.
    read_on_seconds: float = 60.0
    read_on_calls: int = 100

    # The providers, by the name that a route uses, whose whole answers are fetched as streams.
    fetch_as_streams: frozenset[str] = frozenset()

    # How often the last stage is retried at most.
    max_retries: int = 2

    # The wait before the n-th retry, counted from 0, is random, up to `retry_base` * 2**n but never over `retry_cap`.
    retry_base: float = 0.5
    retry_cap: float = 8.0

    # The share of recent calls, from 0 to 1, that may start a racer because the ones before it are slow.
    hedge_budget: float = 0.1

    # A model is skipped after so many failures in a row, and for so long.
    breaker_failures: int = 5
    breaker_cooldown: float = 30.0

    @property
    def default_provider(self) -> str:
        return next(iter(self.providers))
