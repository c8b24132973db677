"""What the engine must know of an OpenAI API to race it, fall back across it, stream it, and say what it cost.

Bodies and answers are plain JSON: fields that nobody knows yet pass through. An operation only reads them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar

from llm.costs.usage import Usage
from llm.json_values import Json

MAX_TOKENS = 2**31 - 1
"""More than any model takes; an upstream that claims more is not believed."""

Accumulate = Callable[[dict[object, object], dict[object, object]], dict[object, object]]


class StreamReader(ABC):
    """How far one stream has come.

    `begun`: it has said something, so a race may be won by it. `finished`: it has given its finish reason; what follows
    is its usage at most.
    """

    begun = False
    finished = False

    @abstractmethod
    def read(self, chunk: Json) -> None:
        """Take note of a chunk. Raises UpstreamError where the chunk says that the answer failed."""


class Operation(ABC):
    """One API. `name` is what records say, `path` is below a provider's base URL."""

    name: ClassVar[str]
    path: ClassVar[str]
    can_stream: ClassVar[bool] = True

    def whole_body(self, body: Mapping[str, Any]) -> Json:
        """The body that asks for a whole answer."""
        return {name: value for name, value in body.items() if name not in ("stream", "stream_options")}

    @abstractmethod
    def stream_body(self, body: Mapping[str, Any]) -> Json:
        """The body that asks for a stream, with its usage."""

    @abstractmethod
    def check(self, answer: Json) -> None:
        """Raise InvalidUpstreamResponse, or the error that it names, unless a whole answer holds an answer."""

    @abstractmethod
    def reader(self) -> StreamReader:
        """For one stream."""

    @abstractmethod
    def assemble(self, chunks: Iterable[Json], accumulate: Accumulate) -> Json:
        """The whole answer that a stream's chunks amount to. `accumulate` is the SDK's way to merge deltas."""

    @abstractmethod
    def output_texts(self, answer: Json) -> list[str]:
        """Every piece of text that the model produced in an answer or chunk, for an estimate of its tokens."""

    @abstractmethod
    def says_something(self, answer: Json) -> bool:
        """Does an answer or chunk hold any output of the model?"""

    @abstractmethod
    def text(self, answer: Json) -> str:
        """What a person would read of an answer or chunk."""

    @abstractmethod
    def finish_reason(self, answer: Json) -> str:
        """Why an answer or chunk says that the model stopped; empty where it does not."""

    @abstractmethod
    def usage(self, answer: Json) -> Usage | None:
        """The provider's own count of tokens, or None where an answer or chunk has none that can be read."""

    def answer_id(self, answer: Json) -> str:
        """The upstream's name for an answer, or for the answer that a chunk belongs to; empty where it has none."""
        return str(answer.get("id") or "")

    @abstractmethod
    def messages(self, body: Mapping[str, Any]) -> list[Any]:
        """What was asked, as messages."""

    @abstractmethod
    def input_fields(self) -> frozenset[str]:
        """The fields of a body that `messages` is made of."""

    @abstractmethod
    def prompt_tokens(self, body: Mapping[str, Any]) -> int:
        """An estimate of what a body's prompt costs."""

    @abstractmethod
    def answer_of_text(self, text: str, model: str) -> Json | None:
        """An answer that says `text`, as a default message does; None where a text can be no answer."""

    @abstractmethod
    def chunks_of(self, answer: Json) -> list[Json]:
        """The chunks of a stream that amounts to `answer`."""


def count_of(holder: object, *names: str) -> int | None:
    """A number of tokens by the first of its names that can be read, or None."""
    for name in names:
        value = holder.get(name) if isinstance(holder, dict) else None
        if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
            return min(value, MAX_TOKENS)
    return None
