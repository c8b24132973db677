"""From the body that an OpenAI client sends, which goes through as it is, to what the engine is asked to do.

What the protocol has no field for comes in headers, or in the body under the same names (an SDK's `extra_body`):
`x-route`, `x-timeout`, `x-hedge-after`, `x-default-message`, `x-cache-ttl`. They never reach an upstream.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, cast

from django.conf import settings
from django.utils import timezone
from rest_framework.exceptions import ParseError, ValidationError
from rest_framework.request import Request

from access.keys.authentication import caller_of
from chat.fields import (
    MAX_TIMEOUT_SECONDS,
    MAX_TTL_SECONDS,
    NumberField,
    StrictSerializer,
    TextField,
    checked,
)
from chat.models import ROUTE_LENGTH, CallRecord
from chat.order import Order, cache_ttl
from chat.request_ids import request_id_of
from llm import CHAT_COMPLETIONS, RESPONSES, CallRequest, Engine, Operation, Route, RouteError

EXTRAS = ("x-route", "x-timeout", "x-hedge-after", "x-default-message", "x-cache-ttl")
META_NAMES = {f"HTTP_{name.upper().replace('-', '_')}": name for name in EXTRAS}
"""Under which Django has their headers in `request.META`."""
STORABLE = (CHAT_COMPLETIONS.name,)


class WrittenNumberField(NumberField):
    """A number, or the text of one: headers are text."""

    def to_internal_value(self, data: Any) -> float:
        if isinstance(data, str) and not re.fullmatch(r"[0-9.eE+-]{1,32}", data):
            self.fail("invalid")
        try:
            return super().to_internal_value(float(data) if isinstance(data, str) else data)
        except ValueError:
            self.fail("invalid")


class ExtrasSerializer(StrictSerializer):
    """The extras, without their `x-`."""

    route = TextField(required=False, max_length=ROUTE_LENGTH)
    timeout = WrittenNumberField(required=False, min_value=0.01, max_value=MAX_TIMEOUT_SECONDS)
    hedge_after = WrittenNumberField(required=False, min_value=0, max_value=MAX_TIMEOUT_SECONDS)
    default_message = TextField(required=False, max_length=10_000)
    cache_ttl = WrittenNumberField(required=False, min_value=0, max_value=MAX_TTL_SECONDS)


def read_order(request: Request, engine: Engine, operation: Operation) -> Order:
    """Raises ParseError and ValidationError, which name the parameter."""
    if not isinstance(request.data, dict):
        raise ParseError("The body must be a JSON object.")
    sent: dict[str, Any] = request.data
    extras = _extras(request, sent)
    body = {name: value for name, value in sent.items() if name not in EXTRAS}
    model = body.pop("model", None)
    stream = _stream(body, operation)
    metadata = body.get("metadata")
    stored = operation.name in STORABLE and body.get("store") is True
    keep_completion = operation.name in STORABLE and (stored or settings.STORED_COMPLETIONS == "all")
    ttl = cache_ttl(extras)
    return Order(
        request=CallRequest(
            route=_route(engine, "x-route" if "route" in extras else "model", extras.get("route", model)),
            body=body,
            operation=operation,
            stream=stream,
            timeout=extras.get("timeout"),
            hedge_after=extras.get("hedge_after", settings.HEDGE_AFTER),
            default_message=extras.get("default_message"),
            keep_answer=stream and (keep_completion or ttl > 0),
        ),
        request_id=request_id_of(request),
        door=CallRecord.Door.OPENAI,
        created_at=timezone.now(),
        metadata=metadata if isinstance(metadata, dict) else {},
        caller=caller_of(request),
        traceparent=request.META.get("HTTP_TRACEPARENT", ""),
        user_agent=request.META.get("HTTP_USER_AGENT", ""),
        body_bytes=int(request.META.get("CONTENT_LENGTH") or 0),
        stored=stored,
        keep_completion=keep_completion,
        cache_ttl=ttl,
    )


def _extras(request: Request, body: Mapping[str, Any]) -> Mapping[str, Any]:
    """The checked extras. Where one is given twice, the header counts."""
    given = {name: body[name] for name in EXTRAS if name in body}
    for meta_name, name in META_NAMES.items():
        if meta_name in request.META:
            given[name] = _header_text(request.META[meta_name])
    if not given:
        return {}
    try:
        return checked(ExtrasSerializer, {name[2:].replace("-", "_"): value for name, value in given.items()})
    except ValidationError as error:
        reasons = cast(Mapping[str, Any], error.detail)
        raise ValidationError({f"x-{name.replace('_', '-')}": said for name, said in reasons.items()}) from None


def _header_text(value: str) -> str:
    """Headers are read as Latin-1; clients write UTF-8 into them."""
    try:
        return value.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return value


def _stream(body: Mapping[str, Any], operation: Operation) -> bool:
    stream = body.get("stream")
    if stream is not None and not isinstance(stream, bool):
        raise ValidationError({"stream": ["Must be a boolean."]})
    if stream and not operation.can_stream:
        raise ValidationError({"stream": [f"{operation.name} can't be streamed."]})
    if operation is RESPONSES and body.get("background"):
        # It would have to be fetched later from the one provider that has it.
        raise ValidationError({"background": ["Background responses are not supported. Use a stream."]})
    options = body.get("stream_options")
    if options is not None and not isinstance(options, dict):
        raise ValidationError({"stream_options": ["Must be an object."]})
    return bool(stream)


def _route(engine: Engine, parameter: str, written: object) -> Route:
    if not isinstance(written, str) or not written:
        raise ValidationError({parameter: ["You must name a model, or a route."]})
    if len(written) > ROUTE_LENGTH:
        raise ValidationError({parameter: [f"A route has at most {ROUTE_LENGTH} characters."]})
    try:
        return engine.route(written)
    except RouteError as error:
        raise ValidationError({parameter: [error.message]}) from error
