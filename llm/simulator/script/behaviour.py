"""How a simulated model behaves: one value object that can be written in Python and in JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Self

from llm.simulator.openai_errors import default_error
from llm.simulator.script.behaviour_rules import RULES
from llm.simulator.script.raw_steps import Step


@dataclass(frozen=True, slots=True)
class Behaviour:
    """How one model answers. The default is a healthy, quick answer.

    Waits are in seconds, rates in content chunks a second. The fields ending in `_after` count content chunks, each of
    about one token. A number larger than the answer takes effect just before the finish reason, so that it always
    takes effect. With 0, it takes effect before the first event; `cut_after`, and `stall_after` for a whole answer,
    take effect before the headers.

    A whole answer is sent at once, after all the time that generating it would take: `latency_s`, `first_token_s`, and
    the tokens at `tokens_per_second`. For a whole answer, `cut_after` and `stall_after` above 0 mean headers and half
    of the body, `end_after` means a shortened answer without a finish reason, `malformed_after` means half a JSON
    body, and `error_after` means an error object inside a 200.

    A behaviour is the same for every API. The Responses API expresses a finish reason as a status: length and
    content_filter become incomplete, no finish reason becomes in_progress, and any other becomes completed. An
    embedding has no content chunks.

    Raises ValueError, which names the field, if a value is out of range or of the wrong type.
    """

    # The wait before the response headers.
    latency_s: float = 0.0
    # The wait after the headers (and the chunk with the role) before the first content.
    first_token_s: float = 0.0
    # The pace of the content; None means as fast as possible.
    tokens_per_second: float | None = None
    # The text. None means JSON if the request asks for it, else a sentence that names the model and echoes the user's
    # last message.
    answer: str | None = None
    # The HTTP status, from 200 to 599. From 300 on, the body is an error object.
    status: int = 200
    # The error object exactly as it is sent; None means one that fits the status.
    error: Mapping[str, Any] | None = field(default=None, hash=False)
    # The Retry-After header exactly as it is sent: seconds, or an HTTP date.
    retry_after: str | None = None
    # A body that is sent as it is, with `status` and `content_type`, whatever the request asks for.
    raw_body: str | None = None
    # The Content-Type of `raw_body`.
    content_type: str = "application/json"
    # Raw bytes and waits that are played in the place of any answer, HTTP head included. The connection then ends.
    steps: tuple[Step, ...] | None = field(default=None, hash=False)
    # What is done to a good answer on its way out, by the names of `llm.simulator.twists.TWISTS`, one after the other.
    twists: tuple[str, ...] = ()
    # How a request for a stream, and one for a whole answer, are answered: as a stream, or whole. None: as asked.
    answer_as: str | None = None
    # The Content-Type of a stream.
    stream_content_type: str = "text/event-stream; charset=utf-8"
    # The Content-Encoding of answers: gzip, or none.
    content_encoding: str | None = None
    # Reset the TCP connection.
    cut_after: int | None = None
    # Send nothing more; the connection stays open until the client closes it.
    stall_after: int | None = None
    # End the body properly, but without a finish reason and without the event that ends a stream.
    end_after: int | None = None
    # Send one event that is not JSON, then go on.
    malformed_after: int | None = None
    # Send one event with an error object, then end.
    error_after: int | None = None
    # The finish reason; None means stop, length or tool_calls, whichever is true.
    finish_reason: str | None = None
    # Send no content at all, or no vectors.
    empty: bool = False
    # Parameters that are answered with 400 `unsupported_parameter`.
    refuse: tuple[str, ...] = ()
    # Parameters that are answered with 400 `unsupported_value`, unless they have OpenAI's default value.
    refuse_values: tuple[str, ...] = ()
    # Fields that no request may have, as with servers that take no field which they do not know.
    forbid: tuple[str, ...] = ()
    # The answer to a request that has one: its status, and its body; None means one with `extra_forbidden` in it.
    forbid_status: int = 422
    forbid_body: Mapping[str, Any] | None = field(default=None, hash=False)
    # A prompt of more tokens is answered with 400 `context_length_exceeded`.
    context_window: int | None = None
    # Call the function that the request chose, else its first one. If the last message is already a tool's result, the
    # model answers in words.
    tool_call: bool = False
    # How many of the prompt's tokens came from the cache. The prompt never has fewer tokens than this.
    cached_tokens: int = 0
    # Reasoning tokens. As OpenAI does, they are counted in the completion's tokens too.
    reasoning_tokens: int = 0
    # False means that the upstream reports no usage, even if it is asked to.
    usage: bool = True
    # The usage and costs of the organization have so many times the tokens that the answer had: a bill that is wrong.
    billed_factor: float = 1.0
    # This share of the requests, that is every round(1/share)-th, waits `tail_factor` times as long. 0 means none.
    tail_share: float = 0.0
    tail_factor: float = 1.0
    # How many requests of the model it applies to before the next behaviour of the script does; None means all.
    times: int | None = None

    def __post_init__(self) -> None:
        for name, (holds, expected) in RULES.items():
            value = getattr(self, name)
            if not holds(value):
                raise ValueError(f"{name}: must be {expected}, not {value!r}")

    @classmethod
    def from_dict(cls, mapping: Mapping[str, Any]) -> Self:
        """Build a behaviour from JSON-like data. Raises ValueError, which names the unknown or wrong field."""
        if not isinstance(mapping, Mapping):
            raise ValueError(f"a behaviour must be an object, not {mapping!r}")  # noqa: TRY004 - callers expect ValueError
        values = dict(mapping)
        for name in values:
            if name not in RULES:
                raise ValueError(f"{name}: no such field; there are {', '.join(RULES)}")
        for name in ("refuse", "refuse_values", "forbid", "twists", "steps"):
            if isinstance(values.get(name), list):
                values[name] = tuple(values[name])
        return cls(**values)

    def to_dict(self) -> dict[str, Any]:
        """All fields as JSON-like data. `from_dict` turns it into an equal behaviour."""
        values: dict[str, Any] = {}
        for each in fields(self):
            value = getattr(self, each.name)
            if isinstance(value, tuple):
                value = [dict(each) if isinstance(each, Mapping) else each for each in value]
            elif isinstance(value, Mapping):
                value = dict(value)
            values[each.name] = value
        return values

    @property
    def error_object(self) -> Mapping[str, Any]:
        """The error object that this behaviour sends where it sends one."""
        return default_error(self.status) if self.error is None else self.error
