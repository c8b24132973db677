"""What a caller can ask for although OpenAI's protocol has no field for it.

Each extra comes as a header, or as a field of the body with the same name (an SDK's `extra_body`). Extras are read
here and never reach an upstream.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, cast

from rest_framework.exceptions import ValidationError
from rest_framework.request import Request

from chat.fields import (
    MAX_TIMEOUT_SECONDS,
    MAX_TTL_SECONDS,
    NumberField,
    StrictSerializer,
    TextField,
    checked,
)
from chat.models import ROUTE_LENGTH

EXTRAS = ("x-route", "x-timeout", "x-hedge-after", "x-default-message", "x-cache-ttl")
# The names under which Django keeps these headers in `request.META`.
META_NAMES = {f"HTTP_{name.upper().replace('-', '_')}": name for name in EXTRAS}


class WrittenNumberField(NumberField):
    """A number, or a number written as text, because headers are always text."""

    def to_internal_value(self, data: Any) -> float:
        if isinstance(data, str) and not re.fullmatch(r"[0-9.eE+-]{1,32}", data):
            self.fail("invalid")
        try:
            return super().to_internal_value(float(data) if isinstance(data, str) else data)
        except ValueError:
            self.fail("invalid")


class ExtrasSerializer(StrictSerializer):
    """The extras, under their names without `x-`."""

    route = TextField(required=False, max_length=ROUTE_LENGTH)
    timeout = WrittenNumberField(required=False, min_value=0.01, max_value=MAX_TIMEOUT_SECONDS)
    hedge_after = WrittenNumberField(required=False, min_value=0, max_value=MAX_TIMEOUT_SECONDS)
    default_message = TextField(required=False, max_length=10_000)
    cache_ttl = WrittenNumberField(required=False, min_value=0, max_value=MAX_TTL_SECONDS)


def read_extras(request: Request, body: Mapping[str, Any]) -> Mapping[str, Any]:
    """The checked extras, under their names in `ExtrasSerializer`. A header counts more than a field of the body.

    Raises ValidationError, which names each extra as the caller wrote it.
    """
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
    """The text of a header. Django has decoded it as Latin-1, and clients write UTF-8."""
    try:
        return value.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return value
