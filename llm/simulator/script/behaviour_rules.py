"""What the fields of a behaviour may hold: for each field a test, and the words for what it expects."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from typing import Any, Final

from llm.simulator.script.raw_steps import EXPECTED, are_steps
from llm.simulator.twists import TWISTS

# Whether a value is allowed, and what is expected, in words for an error message.
Rule = tuple[Callable[[Any], bool], str]


def _is_int(value: object, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _is_header(value: object) -> bool:
    return isinstance(value, str) and value.isascii() and value.isprintable() and value == value.strip() != ""


def _is_json_object(value: object) -> bool:
    if not isinstance(value, Mapping):
        return False
    try:
        json.dumps(dict(value))
    except (TypeError, ValueError):
        return False
    return True


def _optional(rule: Rule) -> Rule:
    holds, expected = rule
    return (lambda value: value is None or holds(value)), f"{expected}, or null"


_SECONDS: Final[Rule] = (lambda value: _is_number(value) and value >= 0, "a number of seconds, 0 or more")
_COUNT: Final[Rule] = (lambda value: _is_int(value, 0), "a whole number, 0 or more")
_TEXT: Final[Rule] = (lambda value: isinstance(value, str), "a text")
_FLAG: Final[Rule] = (lambda value: isinstance(value, bool), "true or false")
_HEADER: Final[Rule] = (_is_header, "a header value in printable ASCII")
_NAMES: Final[Rule] = (
    lambda value: isinstance(value, tuple) and all(isinstance(name, str) for name in value),
    "a list of parameter names",
)

# By the name of the field.
RULES: Final[Mapping[str, Rule]] = {
    "latency_s": _SECONDS,
    "first_token_s": _SECONDS,
    "tokens_per_second": _optional((lambda value: _is_number(value) and value > 0, "a number above 0")),
    "answer": _optional(_TEXT),
    "status": (lambda value: _is_int(value, 200) and value <= 599, "an HTTP status from 200 to 599"),
    "error": _optional((_is_json_object, "a JSON object")),
    "retry_after": _optional(_HEADER),
    "raw_body": _optional(_TEXT),
    "content_type": _HEADER,
    "steps": _optional((are_steps, EXPECTED)),
    "twists": (
        lambda value: isinstance(value, tuple) and all(name in TWISTS for name in value),
        f"a list of {', '.join(TWISTS)}",
    ),
    "answer_as": _optional((lambda value: value in ("stream", "whole"), '"stream" or "whole"')),
    "stream_content_type": _HEADER,
    "content_encoding": _optional((lambda value: value == "gzip", '"gzip"')),
    "cut_after": _optional(_COUNT),
    "stall_after": _optional(_COUNT),
    "end_after": _optional(_COUNT),
    "malformed_after": _optional(_COUNT),
    "error_after": _optional(_COUNT),
    "finish_reason": _optional(_TEXT),
    "empty": _FLAG,
    "refuse": _NAMES,
    "refuse_values": _NAMES,
    "forbid": _NAMES,
    "forbid_status": (lambda value: _is_int(value, 400) and value <= 599, "an HTTP status from 400 to 599"),
    "forbid_body": _optional((_is_json_object, "a JSON object")),
    "context_window": _optional(_COUNT),
    "tool_call": _FLAG,
    "cached_tokens": _COUNT,
    "reasoning_tokens": _COUNT,
    "usage": _FLAG,
    "billed_factor": (lambda value: _is_number(value) and 0 <= value <= 1_000, "a number from 0 to 1000"),
    "tail_share": (lambda value: _is_number(value) and 0 <= value <= 1, "a share from 0 to 1"),
    "tail_factor": (lambda value: _is_number(value) and value > 0, "a number above 0"),
    "times": _optional((lambda value: _is_int(value, 1), "a whole number, 1 or more")),
}
