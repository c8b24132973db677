"""How a simulated model behaves: one value object, scriptable from Python and from JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final, Self

from llm.simulator.openai_errors import default_error


@dataclass(frozen=True, slots=True)
class Behaviour:
    """How one model answers. The default is a healthy, quick answer.

    Waits are in seconds, rates in content chunks a second. The fields ending in `_after` count content chunks, of about
    a token each. One that is larger than the answer takes effect just before the finish reason, so it always does. At 0
    it takes effect before the first event; `cut_after` before the headers, and so does `stall_after` of a whole answer.

    A whole answer is sent at once, after all the time its generation would take: `latency_s`, `first_token_s`, and the
    tokens at `tokens_per_second`. For it, `cut_after` and `stall_after` above 0 mean headers and half of the body,
    `end_after` a shortened answer with no finish reason, `malformed_after` half a JSON body, `error_after` an error
    object inside a 200.

    It is the same for every API. The Responses API says a finish reason by its status: length and content_filter are
    incomplete, none is in_progress, any other is completed. An embedding has no content chunks.

    Raises ValueError, naming the field, for a value out of range or of the wrong type.
    """

    latency_s: float = 0.0
    """Wait before the response headers."""
    first_token_s: float = 0.0
    """Wait after the headers (and the role chunk) before the first content."""
    tokens_per_second: float | None = None
    """Pace of the content; None: as fast as possible."""
    answer: str | None = None
    """The text; None: JSON that fits the request's format, else words that name the model and echo the user's last."""
    status: int = 200
    """HTTP status, 200 to 599. From 300 on the body is an error object."""
    error: Mapping[str, Any] | None = field(default=None, hash=False)
    """The error object, verbatim; None: one that fits the status."""
    retry_after: str | None = None
    """The Retry-After header, verbatim: seconds or an HTTP date."""
    raw_body: str | None = None
    """A body sent as it is, whatever the request asked for, with `status` and `content_type`."""
    content_type: str = "application/json"
    """The Content-Type of `raw_body`."""
    cut_after: int | None = None
    """Reset the TCP connection."""
    stall_after: int | None = None
    """Send nothing more; the connection stays open until the client goes."""
    end_after: int | None = None
    """End the body cleanly, with no finish reason and nothing that ends a stream."""
    malformed_after: int | None = None
    """Send one event that is not JSON, and go on."""
    error_after: int | None = None
    """Send one event with an error object, and end."""
    finish_reason: str | None = None
    """None: stop, length, or tool_calls, whichever is true."""
    empty: bool = False
    """No content at all; no vectors."""
    refuse: tuple[str, ...] = ()
    """Parameters answered with 400 `unsupported_parameter`."""
    refuse_values: tuple[str, ...] = ()
    """Parameters answered with 400 `unsupported_value`, unless they have OpenAI's default value."""
    context_window: int | None = None
    """Prompt tokens above it are answered with 400 `context_length_exceeded`."""
    tool_call: bool = False
    """Call the function tool that the request chose, else its first, unless its last message is already a result."""
    cached_tokens: int = 0
    """Part of the prompt tokens, which are never fewer."""
    reasoning_tokens: int = 0
    """Counted in the completion tokens too, as OpenAI does."""
    usage: bool = True
    """False: the upstream reports no usage, even when asked."""
    tail_share: float = 0.0
    """This share of the requests, every round(1/share)-th, waits `tail_factor` times as long. 0: none."""
    tail_factor: float = 1.0
    times: int | None = None
    """Applies to so many requests of the model, then the next of the script does; None: for ever."""

    def __post_init__(self) -> None:
        for name, (holds, expected) in _RULES.items():
            value = getattr(self, name)
            if not holds(value):
                raise ValueError(f"{name}: must be {expected}, not {value!r}")

    @classmethod
    def from_dict(cls, mapping: Mapping[str, Any]) -> Self:
        """Build a behaviour from JSON-like data. Raises ValueError, naming the field, for an unknown or wrong one."""
        if not isinstance(mapping, Mapping):
            raise ValueError(f"a behaviour must be an object, not {mapping!r}")  # noqa: TRY004 - the contract
        values = dict(mapping)
        for name in values:
            if name not in _RULES:
                raise ValueError(f"{name}: no such field; there are {', '.join(_RULES)}")
        for name in ("refuse", "refuse_values"):
            if isinstance(values.get(name), list):
                values[name] = tuple(values[name])
        return cls(**values)

    def to_dict(self) -> dict[str, Any]:
        """All fields as JSON-like data; `from_dict` of it is equal to this behaviour."""
        values: dict[str, Any] = {}
        for each in fields(self):
            value = getattr(self, each.name)
            if isinstance(value, tuple):
                value = list(value)
            elif isinstance(value, Mapping):
                value = dict(value)
            values[each.name] = value
        return values

    @property
    def error_object(self) -> Mapping[str, Any]:
        """The error that this behaviour answers with where it answers with one."""
        return default_error(self.status) if self.error is None else self.error


_Rule = tuple[Callable[[Any], bool], str]


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


def _optional(rule: _Rule) -> _Rule:
    holds, expected = rule
    return (lambda value: value is None or holds(value)), f"{expected}, or null"


_SECONDS: Final[_Rule] = (lambda value: _is_number(value) and value >= 0, "a number of seconds, 0 or more")
_COUNT: Final[_Rule] = (lambda value: _is_int(value, 0), "a whole number, 0 or more")
_TEXT: Final[_Rule] = (lambda value: isinstance(value, str), "a text")
_FLAG: Final[_Rule] = (lambda value: isinstance(value, bool), "true or false")
_HEADER: Final[_Rule] = (_is_header, "a header value in printable ASCII")
_NAMES: Final[_Rule] = (
    lambda value: isinstance(value, tuple) and all(isinstance(name, str) for name in value),
    "a list of parameter names",
)

_RULES: Final[Mapping[str, _Rule]] = {
    "latency_s": _SECONDS,
    "first_token_s": _SECONDS,
    "tokens_per_second": _optional((lambda value: _is_number(value) and value > 0, "a number above 0")),
    "answer": _optional(_TEXT),
    "status": (lambda value: _is_int(value, 200) and value <= 599, "an HTTP status from 200 to 599"),
    "error": _optional((_is_json_object, "a JSON object")),
    "retry_after": _optional(_HEADER),
    "raw_body": _optional(_TEXT),
    "content_type": _HEADER,
    "cut_after": _optional(_COUNT),
    "stall_after": _optional(_COUNT),
    "end_after": _optional(_COUNT),
    "malformed_after": _optional(_COUNT),
    "error_after": _optional(_COUNT),
    "finish_reason": _optional(_TEXT),
    "empty": _FLAG,
    "refuse": _NAMES,
    "refuse_values": _NAMES,
    "context_window": _optional(_COUNT),
    "tool_call": _FLAG,
    "cached_tokens": _COUNT,
    "reasoning_tokens": _COUNT,
    "usage": _FLAG,
    "tail_share": (lambda value: _is_number(value) and 0 <= value <= 1, "a share from 0 to 1"),
    "tail_factor": (lambda value: _is_number(value) and value > 0, "a number above 0"),
    "times": _optional((lambda value: _is_int(value, 1), "a whole number, 1 or more")),
}
