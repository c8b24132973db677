"""A world to play: what upstreams and callers will do. All times are in seconds of a virtual clock."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from llm.config import EngineConfig, Provider
from llm.errors import EmptyAnswer, UnsupportedParameter, UpstreamError
from llm.json_values import Json

# Longer than any world lasts.
NEVER = 1e6
PROVIDERS = {"openai": Provider(name="openai", base_url="http://scripted.invalid/v1", api_key="sk-test")}


@dataclass(frozen=True)
class Fault:
    """How a request fails: an error of ours, a connection that is cut, or an upstream that says nothing more.

    EmptyAnswer is not raised by the script: the answer is empty, and the engine must find that out.
    """

    kind: type[UpstreamError] | Literal["cut", "stalled"]
    retry_after: float | None = None
    parameter: str = "temperature"

    def error(self) -> UpstreamError:
        assert not isinstance(self.kind, str)
        details: Json = {"retry_after": self.retry_after, "http_status": 500, "upstream_request_id": "req"}
        if issubclass(self.kind, UnsupportedParameter):
            details["parameter"] = self.parameter
        return self.kind("scripted", **details)


@dataclass(frozen=True)
class Behaviour:
    """One request: `before` seconds, then `pieces` of text each after a `gap`; a fault comes after `good` of them."""

    before: float = 0.0
    gap: float = 0.0
    pieces: int = 1
    fault: Fault | None = None
    good: int = 0

    @property
    def is_empty(self) -> bool:
        return self.fault is not None and self.fault.kind is EmptyAnswer

    @property
    def said(self) -> int:
        if self.is_empty:
            return 0
        return self.pieces if self.fault is None else min(self.good, self.pieces)

    @property
    def first_after(self) -> float:
        return self.before + self.gap * min(1, self.said)

    @property
    def whole_after(self) -> float:
        return self.before + self.gap * self.said


@dataclass(frozen=True)
class Gone:
    """The caller goes `at` seconds into the call and `ticks` turns of the loop, and is told so `times` times."""

    at: float
    ticks: int
    times: int


@dataclass(frozen=True)
class Caller:
    route: str
    who: str = ""
    stream: bool = False
    starts: float = 0.0
    timeout: float | None = None
    hedge_after: float = 0.0
    default_message: str | None = None
    reading: float = 0.0
    gone: Gone | None = None


@dataclass(frozen=True)
class World:
    """`models`: for each model how its requests go in turn; the last one is also how all later ones go."""

    models: dict[str, list[Behaviour]]
    callers: list[Caller]
    config: EngineConfig
