"""From the body that a native door takes to what the engine is asked to do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from rest_framework.exceptions import ParseError, ValidationError
from rest_framework.request import Request

from chat.doors.native.serializers import PromptSerializer
from chat.doors.orders import cache_ttl_of, make_order
from chat.fields import checked
from chat.models import ROUTE_LENGTH, CallRecord
from chat.order import Order
from llm import CallRequest, Engine, ModelRef, RouteError

# Fields of a native door that go into the upstream's body under the same name.
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


@dataclass(frozen=True, slots=True)
class NativeDoor:
    """What makes a native door different from the others.

    `serializer` checks its body; `route` reads the route from the checked fields; `streams` says that it answers with
    events; `always_answers` that it answers with the default message where another door would answer with an error.
    """

    name: CallRecord.Door
    serializer: type[PromptSerializer]
    route: Callable[[Engine, Mapping[str, Any]], str]
    streams: bool = False
    always_answers: bool = False


def read_order(request: Request, engine: Engine, door: NativeDoor) -> Order:
    """Raises ParseError and ValidationError, which name the field."""
    if not isinstance(request.data, dict):
        raise ParseError("The body must be a JSON object.")
    data = checked(door.serializer, request.data)
    if door.always_answers:
        data.setdefault("default_message", settings.DEFAULT_MESSAGE)
    return make_order(
        request,
        call=call_request(engine, door.route(engine, data), data, stream=door.streams),
        door=door.name,
        metadata=data.get("metadata", {}),
        cache_ttl=cache_ttl_of(data),
        typed_events=data.get("events") == "json",
    )


def call_request(engine: Engine, written_route: str, data: Mapping[str, Any], *, stream: bool) -> CallRequest:
    """The engine's request for the checked fields of a native door. Raises ValidationError on an unreadable route."""
    if len(written_route) > ROUTE_LENGTH:  # Each name may be short enough, and all of them together too long.
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
        added=frozenset(body.keys() - {"messages"} - data.keys()),
        stream=stream,
        timeout=data.get("timeout"),
        hedge_after=data.get("hedge_after", settings.HEDGE_AFTER),
        default_message=data.get("default_message"),
        shows_thoughts=False,
    )


def chat_route(engine: Engine, data: Mapping[str, Any]) -> str:
    """The model or route that was named, or else the default model."""
    return str(data.get("model", settings.DEFAULT_MODEL))


def parallel_route(engine: Engine, data: Mapping[str, Any]) -> str:
    """A race between the models that were named, or else between the default model and the first fallback."""
    if "model" in data:
        return str(data["model"])
    models = data.get("models") or [settings.DEFAULT_MODEL, *settings.FALLBACK_MODELS[:1]]
    return "|".join(models)


def fallback_route(engine: Engine, data: Mapping[str, Any]) -> str:
    """The primary model, then the fallbacks. A model that has several names is asked once."""
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
            return ">".join(names)  # `call_request` reads it again, and says what is wrong with it.
        if not models <= asked:
            kept.append(name)
            asked |= models
    return ">".join(kept)
