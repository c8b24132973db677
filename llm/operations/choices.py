"""What chat completions and text completions have in common: their answers consist of choices."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from llm.error_reading import read_error
from llm.errors import EmptyAnswer, InvalidUpstreamResponse, UpstreamFailed
from llm.json_values import Json
from llm.operations.accumulation.growing import index_of as stated_index_of
from llm.operations.operation import StreamReader

# Finish reasons that explain an empty answer: the caller's own limit, or the provider's filter. The model is healthy.
# `sensitive` is Zhipu's word for the filter.
EXPLAINS_EMPTY = frozenset({"length", "content_filter", "sensitive"})

# Finish reasons by which a provider says that it has failed. The last two are DeepSeek's and Zhipu's.
FAILED = frozenset({"error", "abort", "aborted", "insufficient_system_resource", "network_error"})

# What stands in place of a finish reason where a server has none to give.
NO_REASON = frozenset({"null", "none"})

# Whether a choice holds output of some kind.
Holds = Callable[[Json], bool]


def choices_of(answer: Mapping[str, Any]) -> list[Json]:
    """The choices of an answer or chunk; an empty list if there are none."""
    choices = answer.get("choices")
    return [choice for choice in choices if isinstance(choice, dict)] if isinstance(choices, list) else []


def index_of(choice: Mapping[str, Any]) -> int:
    """Which of several choices this is; 0 if it does not say."""
    return stated_index_of(choice) or 0


def finish_reason_of(choice: Mapping[str, Any]) -> str:
    reason = choice.get("finish_reason")
    return "" if not reason or str(reason).lower() in NO_REASON else str(reason)


def first_finish_reason(answer: Mapping[str, Any]) -> str:
    """The finish reason of the choice whose text is that of the answer; empty if it has none."""
    reasons = (finish_reason_of(choice) for choice in choices_of(answer) if index_of(choice) == 0)
    return next(filter(None, reasons), "")


def usages_of(answer: Mapping[str, Any]) -> list[Json]:
    """The usage objects of an answer or chunk: its own, those of its choices (Moonshot), or that of Groq's field."""
    own = answer.get("usage")
    if isinstance(own, dict) and own:
        return [own]
    holders = choices_of(answer)
    if isinstance(groq := answer.get("x_groq"), dict):
        holders = [*holders, groq]
    return [usage for holder in holders if isinstance(usage := holder.get("usage"), dict)]


def stream_body(body: Mapping[str, Any]) -> Json:
    """The body that asks for a stream. It always asks for the usage: without it nobody knows what a stream cost."""
    return {**body, "stream": True, "stream_options": {**(body.get("stream_options") or {}), "include_usage": True}}


def choices_asked(body: Mapping[str, Any]) -> int:
    """How many choices a body asks for, of each prompt."""
    n = body.get("n")
    return n if isinstance(n, int) and n > 1 else 1


def check_choices(answer: Json, body: Mapping[str, Any], has_output: Holds) -> None:
    """Check that a whole answer has some output, or a reason to be without.

    Raises InvalidUpstreamResponse if it has no choices, EmptyAnswer if they say nothing, or the error that one names.
    """
    choices = choices_of(answer)
    if not choices:
        raise InvalidUpstreamResponse("The upstream's answer has no choices.", http_status=200)
    for choice in choices:
        raise_if_failed(choice)
    if any(map(has_output, choices)) or body.get("stop"):  # the model may have begun with the caller's own stop
        return
    if not any(finish_reason_of(choice).lower() in EXPLAINS_EMPTY for choice in choices):
        raise EmptyAnswer("The upstream's answer is empty.", http_status=200)


def raise_if_failed(choice: Json) -> None:
    """Raise the error that stands inside a choice, if there is one."""
    if error := choice.get("error"):
        raise read_error(error, http_status=200)
    if (reason := finish_reason_of(choice)).lower() in FAILED:
        raise UpstreamFailed(f"The upstream ended its answer with the finish reason '{reason}'.", http_status=200)


class ChoicesReader(StreamReader):
    """Follows a stream of choices. It has finished when as many as were `asked` for, and all that have begun, have
    given their finish reason, and nothing came after. It is over when its usage has come after that.
    """

    def __init__(self, asked: int, *, has_output: Holds, has_thoughts: Holds) -> None:
        self._asked = asked
        self._has_output = has_output
        self._has_thoughts = has_thoughts
        self._open: set[int] = set()
        self._ended: set[int] = set()

    def read(self, chunk: Json) -> None:
        choices = choices_of(chunk)
        for choice in choices:
            raise_if_failed(choice)
            self._read_choice(choice)
        self.finished = len(self._ended) >= self._asked and not self._open
        self.over = self.finished and (self.over or (not choices and bool(chunk.get("usage"))))

    def _read_choice(self, choice: Json) -> None:
        index = index_of(choice)
        has_output = self._has_output(choice)
        is_alive = has_output or self._has_thoughts(choice)
        self.begun = self.begun or has_output
        self.alive = self.alive or is_alive
        if finish_reason_of(choice):
            self._ended.add(index)
            self._open.discard(index)
        elif index not in self._ended or (is_alive and not choice.get("message")):
            # An empty choice after its finish reason does not open the choice again, nor does one that repeats it.
            self._ended.discard(index)
            self._open.add(index)


def usage_chunks(answer: Json, head: Json) -> list[Json]:
    """The chunk that ends a stream with the usage of `answer`, in a list; an empty list if it has no usage."""
    return [{**head, "choices": [], "usage": answer["usage"]}] if answer.get("usage") else []


def numbered(choices: list[Json]) -> list[tuple[int, Json]]:
    """The choices of a whole answer, each with its index: the one that it states, or its place where it states none."""
    indexes = [stated_index_of(choice) for choice in choices]
    return [(place if indexes[place] is None else index_of(choice), choice) for place, choice in enumerate(choices)]
