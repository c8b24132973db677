"""What chat completions and text completions have in common: their answers consist of choices."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from llm.errors import InvalidUpstreamResponse
from llm.json_values import Json
from llm.operations.operation import StreamReader

# Finish reasons that explain an empty answer: the caller's own limit, or the provider's filter. The model is healthy.
EXPLAINS_EMPTY = frozenset({"length", "content_filter"})

# Fields of a chunk that belong to this chunk only. `obfuscation` is padding against the guessing of texts by length.
OF_THE_CHUNK = frozenset({"choices", "obfuscation"})

# Whether a choice holds any output of the model.
HasOutput = Callable[[Json], bool]


def choices_of(answer: Mapping[str, Any]) -> list[Json]:
    """The choices of an answer or chunk; an empty list if there are none."""
    choices = answer.get("choices")
    return [choice for choice in choices if isinstance(choice, dict)] if isinstance(choices, list) else []


def index_of(choice: Mapping[str, Any]) -> int:
    """Which of several choices this is; 0 if it does not say."""
    index = choice.get("index")
    return index if isinstance(index, int) else 0


def finish_reason_of(choice: Mapping[str, Any]) -> str:
    return str(choice.get("finish_reason") or "")


def first_finish_reason(answer: Mapping[str, Any]) -> str:
    """The finish reason of the first choice that has one; empty if none has."""
    return next(filter(None, map(finish_reason_of, choices_of(answer))), "")


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


def check_choices(answer: Json, has_output: HasOutput) -> None:
    """Raise InvalidUpstreamResponse unless a whole answer has some output and a finish reason."""
    choices = choices_of(answer)
    if not choices:
        raise InvalidUpstreamResponse("The upstream's answer has no choices.", http_status=200)
    if not any(has_output(choice) or finish_reason_of(choice) in EXPLAINS_EMPTY for choice in choices):
        raise InvalidUpstreamResponse("The upstream's answer is empty.", http_status=200)
    if not first_finish_reason(answer):
        raise InvalidUpstreamResponse("The upstream's answer has no finish reason.", http_status=200)


class ChoicesReader(StreamReader):
    """Follows a stream of choices. It has finished when every choice that has begun has given its finish reason."""

    def __init__(self, has_output: HasOutput) -> None:
        self._has_output = has_output
        self._open_choices: set[int] = set()

    def read(self, chunk: Json) -> None:
        for choice in choices_of(chunk):
            index, reason = index_of(choice), finish_reason_of(choice)
            has_output = self._has_output(choice)
            self.begun = self.begun or has_output or reason in EXPLAINS_EMPTY
            if reason:
                self._open_choices.discard(index)
                self.finished = not self._open_choices
            elif not self.finished or has_output:
                # An empty choice that comes after the finish reasons does not open the stream again.
                self._open_choices.add(index)
                self.finished = False


def merge_head(answer: Json, chunk: Json) -> None:
    """Take over what a chunk says about the whole answer. A later null does not erase what an earlier chunk said."""
    answer.update({name: value for name, value in chunk.items() if name not in OF_THE_CHUNK and value is not None})


def usage_chunks(answer: Json, head: Json) -> list[Json]:
    """The chunk that ends a stream with the usage of `answer`, in a list; an empty list if it has no usage."""
    return [{**head, "choices": [], "usage": answer["usage"]}] if answer.get("usage") else []
