"""The engine's configuration. Built by whoever embeds the engine; nothing here reads a file or the environment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class Provider:
    """An OpenAI-compatible upstream.

    `name` is what records say. `api_key` is one key, or several with commas between them, which are used in turn; empty
    where there is none, and a provider that needs one is then refused with UpstreamNotConfigured instead of being
    called. `price_list` is the name under which genai-prices knows it.
    """

    name: str
    base_url: str
    api_key: str = field(default="", repr=False)
    needs_key: bool = True
    price_list: str = ""

    @property
    def api_keys(self) -> tuple[str, ...]:
        return tuple(filter(None, (key.strip() for key in self.api_key.split(","))))


@dataclass(frozen=True, slots=True)
class ModelPrice:
    """US dollars per million tokens; `cached` is null where cached tokens cost as much as others."""

    prompt: Decimal
    completion: Decimal
    cached: Decimal | None = None


@dataclass(frozen=True, slots=True)
class EngineConfig:
    """All durations in seconds. `providers` by the name a route uses; the first is the default one."""

    providers: Mapping[str, Provider]
    routes: Mapping[str, str] = field(default_factory=dict)
    prices: Mapping[str, ModelPrice] = field(default_factory=dict)
    request_timeout: float = 300.0
    attempt_timeout: float | None = None
    connect_timeout: float = 5.0
    first_token_timeout: float = 120.0
    stream_idle_timeout: float = 60.0
    max_retries: int = 2
    retry_base: float = 0.5
    retry_cap: float = 8.0
    hedge_budget: float = 0.1
    breaker_failures: int = 5
    breaker_cooldown: float = 30.0

    @property
    def default_provider(self) -> str:
        return next(iter(self.providers))
