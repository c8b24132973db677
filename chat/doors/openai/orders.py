"""From the body that an OpenAI client sends, which goes to the upstream as it is, to what the engine is asked to do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from django.conf import settings
from rest_framework.exceptions import ParseError, ValidationError
from rest_framework.request import Request

from chat.compat import http_request_of
from chat.doors.openai.extras import EXTRAS, read_extras
from chat.doors.orders import cache_ttl_of, make_order
from chat.models import ROUTE_LENGTH, CallRecord
from chat.order import Order
from llm import CHAT_COMPLETIONS, RESPONSES, CallRequest, Engine, Operation, Route, RouteError

# The APIs whose answers can be stored, so that the caller finds them again under their ids.
STORABLE = (CHAT_COMPLETIONS.name,)


def read_order(request: Request, engine: Engine, operation: Operation) -> Order:
    """Raises ParseError and ValidationError, which name the parameter."""
    if not isinstance(request.data, dict):
        raise ParseError("The body must be a JSON object.")
    sent: dict[str, Any] = request.data
    if deployment := _deployment_of(request):
        # It is put into the body itself, because the fingerprint of an Idempotency-Key is made of that.
        sent["model"] = deployment
    extras = read_extras(request, sent)
    body = {name: value for name, value in sent.items() if name not in EXTRAS}
    model = body.pop("model", None)
    stream = _read_stream(body, operation)
    metadata = body.get("metadata")
    stored = operation.name in STORABLE and body.get("store") is True
    return make_order(
        request,
        call=CallRequest(
            route=_read_route(engine, "x-route" if "route" in extras else "model", extras.get("route", model)),
            body=body,
            operation=operation,
            stream=stream,
            timeout=extras.get("timeout"),
            hedge_after=extras.get("hedge_after", settings.HEDGE_AFTER),
            default_message=extras.get("default_message"),
        ),
        door=CallRecord.Door.OPENAI,
        metadata=metadata if isinstance(metadata, dict) else {},
        cache_ttl=cache_ttl_of(extras),
        stored=stored,
    )


def _deployment_of(request: Request) -> str | None:
    """The model that the address names, as Azure's do. It counts, as it does there, and not a `model` in the body."""
    state: Mapping[str, Any] = cast(Any, http_request_of(request)).scope["state"]
    return state.get("deployment")


def _read_stream(body: Mapping[str, Any], operation: Operation) -> bool:
    """Whether the caller asks for a stream. Raises ValidationError for what can't be streamed, or run at all."""
    stream = body.get("stream")
    if stream is not None and not isinstance(stream, bool):
        raise ValidationError({"stream": ["Must be a boolean."]})
    if stream and not operation.can_stream:
        raise ValidationError({"stream": [f"{operation.name} can't be streamed."]})
    if operation is RESPONSES and body.get("background"):
        # The caller would have to fetch it later, and only the one provider that made it has it.
        raise ValidationError({"background": ["Background responses are not supported. Use a stream."]})
    options = body.get("stream_options")
    if options is not None and not isinstance(options, dict):
        raise ValidationError({"stream_options": ["Must be an object."]})
    return bool(stream)


def _read_route(engine: Engine, parameter: str, written: object) -> Route:
    if not isinstance(written, str) or not written:
        raise ValidationError({parameter: ["You must name a model, or a route."]})
    if len(written) > ROUTE_LENGTH:
        raise ValidationError({parameter: [f"A route has at most {ROUTE_LENGTH} characters."]})
    try:
        return engine.route(written)
    except RouteError as error:
        raise ValidationError({parameter: [error.message]}) from error
