"""From what a caller sent to a native door, checked, to what the engine is asked to do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.conf import settings
from rest_framework.exceptions import ValidationError

from access.callers import Caller
from chat.models import ROUTE_LENGTH
from llm import CallRequest, Engine, ModelRef, RouteError

PASSED_ON = (
    "temperature",
    "top_p",
    "max_tokens",
    "presence_penalty",
    "frequency_penalty",
    "seed",
    "stop",
    "reasoning_effort",
    "response_format",
    "user",
)
"""Fields that go into the upstream's body under the same name."""


@dataclass(frozen=True, slots=True)
class Order:
    """One call as it was ordered: what to do, who asked, and how the answer is to look.

    `body_bytes` is the size of the caller's request; `typed_events` asks for a stream of JSON events. `stored`: the
    caller wants to find the answer again. `keep_completion`: its JSON goes into the record. `cache_ttl` is how many
    seconds an answer may be given again to the same request, 0 for never. `traceparent` is the caller's own span, as
    the W3C's Trace Context writes it. `headers` are for the answer: `start_call` says there what is left of the
    caller's limits.
    """

    request: CallRequest
    request_id: str
    door: str
    created_at: datetime
    caller: Caller
    metadata: Mapping[str, Any] = field(default_factory=dict)
    user_agent: str = ""
    body_bytes: int = 0
    typed_events: bool = False
    stored: bool = False
    keep_completion: bool = False
    cache_ttl: float = 0.0
    traceparent: str = ""
    headers: dict[str, str] = field(default_factory=dict)


def call_request(engine: Engine, written_route: str, data: Mapping[str, Any], *, stream: bool = False) -> CallRequest:
    """The engine's request for the checked fields of a native door. Raises ValidationError on an unreadable route."""
    if len(written_route) > ROUTE_LENGTH:  # each name may be short enough, and all of them together not
        named = next((name for name in ("models", "fallback_models") if name in data), "model")
        raise ValidationError({named: [f"All names of a call may have at most {ROUTE_LENGTH} characters together."]})
    try:
        route = engine.route(written_route)
    except RouteError as error:
        raise ValidationError({"model": [error.message]}) from error
    messages = data["messages"] if "messages" in data else [{"role": "user", "content": data["prompt"]}]
    body = {"messages": messages, "temperature": settings.DEFAULT_TEMPERATURE}
    body |= {name: data[name] for name in PASSED_ON if name in data}
    return CallRequest(
        route=route,
        body=body,
        stream=stream,
        timeout=data.get("timeout"),
        hedge_after=data.get("hedge_after", settings.HEDGE_AFTER),
        default_message=data.get("default_message"),
        shows_thoughts=False,
        keep_answer=stream and cache_ttl(data) > 0,
    )


def cache_ttl(data: Mapping[str, Any]) -> float:
    """What the caller said, else the setting."""
    return float(data.get("cache_ttl", settings.CACHE_TTL))


def parallel_route(data: Mapping[str, Any]) -> str:
    """A race between the models that were named, or else between the default model and the first fallback."""
    if "model" in data:
        return str(data["model"])
    models = data.get("models") or [settings.DEFAULT_MODEL, *settings.FALLBACK_MODELS[:1]]
    return "|".join(models)


def fallback_route(engine: Engine, data: Mapping[str, Any]) -> str:
    """The primary model, then the fallbacks, each model once, by whatever name."""
    if "model" in data:
        return str(data["model"])
    primary = data.get("primary_model", settings.DEFAULT_MODEL)
    if provider := data.get("primary_provider"):
        primary = f"{provider}/{primary}"
    names = [primary, *data.get("fallback_models", settings.FALLBACK_MODELS)]
    kept: list[str] = []
    asked: set[ModelRef] = set()
    for name in names:
        try:
            models = {model for stage in engine.route(name).stages for model in stage.models}
        except RouteError:
            return ">".join(names)  # call_request says what is wrong with it
        if not models <= asked:
            kept.append(name)
            asked |= models
    return ">".join(kept)
