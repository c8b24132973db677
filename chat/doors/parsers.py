"""Reading a request's body."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import IO, Any

from rest_framework.exceptions import ParseError
from rest_framework.parsers import JSONParser

from chat.doors.packed_bodies import unpacked
from llm import MAX_DEPTH, is_too_deep

TOO_DEEP = f"The body's JSON is nested too deeply: at most {MAX_DEPTH} levels."


class StrictJSONParser(JSONParser):
    """JSON as its standard has it: UTF-8, no NaN, no number too large for a float, no half of a surrogate pair.

    A mark of byte order before it, which some programs of Windows write, is dropped, as RFC 8259 (section 8.1) allows.
    A body that passes can be sent upstream and stored. Raises ParseError with the reason, and what `unpacked` raises.
    """

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        request = (parser_context or {}).get("request")
        body: bytes = stream.read()
        if request is not None and (coding := request.META.get("HTTP_CONTENT_ENCODING")):
            body = unpacked(body, coding)
            # What is kept of a call is bounded by the size of its body.
            request.META["CONTENT_LENGTH"] = str(len(body))
        try:
            text = body.decode("utf-8-sig")
            value = json.loads(text, parse_constant=_refuse_constant, parse_float=_finite)
            # Counting brackets is much cheaper than looking at the depth, and few bodies have so many brackets.
            if text.count("[") + text.count("{") > MAX_DEPTH and is_too_deep(value):
                raise ParseError(TOO_DEEP)
            if "\\u" in text:  # Only an escape can contain a lone surrogate, because the text was valid UTF-8.
                json.dumps(value, ensure_ascii=False).encode("utf-8")
        except RecursionError as error:
            raise ParseError(TOO_DEEP) from error
        except UnicodeDecodeError as error:
            raise ParseError("The body is not UTF-8.") from error
        except UnicodeEncodeError as error:
            raise ParseError("The body's text has a lone surrogate, which is no character.") from error
        except ValueError as error:
            raise ParseError(f"The body is not JSON: {error}") from error
        return value


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON number")


def _finite(number: str) -> float:
    value = float(number)
    if not math.isfinite(value):
        raise ValueError("a number is too large")
    return value
