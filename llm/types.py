"""The values that go into the engine and come out of it. All frozen; times in milliseconds, money in US dollars."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any, TypeAlias

from llm.errors import UpstreamError

Json: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True)
class ModelRef:
    """One model of one provider. `provider` is the name under which the provider is configured."""

    provider: str
    name: str


@dataclass(frozen=True, slots=True)
class Stage:
    """Models that race. A stage of one is no race."""

    models: tuple[ModelRef, ...]


@dataclass(frozen=True, slots=True)
class Route:
    """Stages in the order in which they are tried, and the text they were read from."""

    written: str
    stages: tuple[Stage, ...]

    @property
    def first(self) -> ModelRef:
        return self.stages[0].models[0]


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens as OpenAI counts them: the prompt's include the cached ones, the completion's the reasoning ones."""

    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    estimated: bool = False

    @property
    def total_tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            prompt_tokens=self.prompt_tokens + other.prompt_tokens,
            completion_tokens=self.completion_tokens + other.completion_tokens,
            cached_tokens=self.cached_tokens + other.cached_tokens,
            reasoning_tokens=self.reasoning_tokens + other.reasoning_tokens,
            estimated=self.estimated or other.estimated,
        )


class AttemptStatus(StrEnum):
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    LOST = "lost"
    SKIPPED = "skipped"


class CallStatus(StrEnum):
    SUCCEEDED = "succeeded"
    DEFAULTED = "defaulted"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class AttemptRecord:
    """How one upstream request went. `raced`: it ran beside others of its stage."""

    ordinal: int
    model: str
    provider: str
    status: AttemptStatus
    raced: bool
    started_after_ms: int
    latency_ms: int | None = None
    time_to_first_token_ms: int | None = None
    error: UpstreamError | None = None
    http_status: int | None = None
    usage: Usage | None = None
    cost_usd: Decimal | None = None
    upstream_request_id: str = ""
