"""What the engine must know about one of OpenAI's APIs to race it, fall back across it, stream it, and price it.

Bodies and answers are plain JSON, so that fields which nobody knows yet pass through. An operation only reads them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, ClassVar

from llm.costs.estimates import Prompt
from llm.json_values import Json
from llm.operations.accumulation import Accumulator
from llm.operations.accumulation.usage import Usage as UsageInPieces
from llm.operations.billing.searches import NO_TOOLS, ToolUse
from llm.operations.billing.stated_cost import STATES_A_COST, stated_cost
from llm.operations.stream_text import StreamText, TextOfEach
from llm.operations.token_counts import StatedUsage, read_usage


class StreamReader(ABC):
    """How far one stream has come.

    `alive`: it has produced something, be it thoughts. `begun`: it has produced some output, so it can win a race.
    `finished`: as much as was asked for has given its finish reason and nothing came after, so the stream may end here.
    `over`: all that may still follow is the mark of its end.
    """

    alive = False
    begun = False
    finished = False
    over = False

    @abstractmethod
    def read(self, chunk: Json) -> None:
        """Take note of a chunk. Raises UpstreamError if the chunk says that the answer failed."""


class Operation(ABC):
    """One API. `name` is what records call it, and `path` is its address below a provider's base URL."""

    name: ClassVar[str]
    path: ClassVar[str]
    can_stream: ClassVar[bool] = True

    # What the accumulator is told where `[DONE]` is all that says the end of a stream.
    end: ClassVar[Json] = {}

    def whole_body(self, body: Mapping[str, Any]) -> Json:
        """The body that asks for a whole answer."""
        return {name: value for name, value in body.items() if name not in ("stream", "stream_options")}

    @abstractmethod
    def stream_body(self, body: Mapping[str, Any]) -> Json:
        """The body that asks for a stream and for its usage."""

    @abstractmethod
    def check(self, answer: Json, body: Mapping[str, Any]) -> None:
        """Check that a whole answer to `body` has some output in it.

        Raises InvalidUpstreamResponse if it is no answer, EmptyAnswer if it is one that says nothing and gives no
        reason for that, or the error that the answer itself names.
        """

    @abstractmethod
    def reader(self, body: Mapping[str, Any]) -> StreamReader:
        """A new reader for one stream, the answer to `body`."""

    @abstractmethod
    def accumulator(self) -> Accumulator:
        """A new accumulator, which puts the whole answer together from the chunks of one stream."""

    @abstractmethod
    def output_texts(self, answer: Json) -> list[str]:
        """Every piece of text that the model produced in an answer or chunk. Its tokens are estimated from them."""

    @abstractmethod
    def says_something(self, answer: Json) -> bool:
        """Whether an answer or chunk holds any output of the model."""

    @abstractmethod
    def text(self, answer: Json) -> str:
        """The text of an answer or chunk that a person would read."""

    def stream_text(self) -> StreamText:
        """A new reader for the text of one stream."""
        return TextOfEach(self.text)

    @abstractmethod
    def finish_reason(self, answer: Json) -> str:
        """Why the model stopped, as an answer or chunk says it; empty if it does not say it."""

    @abstractmethod
    def usages(self, answer: Json) -> Iterable[Json]:
        """The usage objects of an answer or chunk, as the provider wrote them, wherever it put them."""

    def read_usage(self, usage: object) -> StatedUsage | None:
        """The token counts in a usage object; None if it has none that can be believed."""
        return read_usage(usage)

    def usage(self, answer: Json) -> StatedUsage | None:
        """The provider's own token counts of an answer or chunk; None if it has none that can be believed."""
        return self.read_usage(self._usage_object(answer))

    def stated_cost(self, answer: Json) -> Decimal | None:
        """US dollars, where the provider states the cost of an answer; None if it does not."""
        if all(STATES_A_COST.isdisjoint(usage) for usage in self.usages(answer)):
            return None
        return stated_cost(self._usage_object(answer))

    def tools_used(self, answer: Json, model: str) -> ToolUse:
        """The tools that the provider ran for a whole answer, if they cost something. `model` is the one asked."""
        return NO_TOOLS

    def _usage_object(self, answer: Json) -> Any:
        """The usage of an answer or chunk, put together from all places in which it stands."""
        pieces = UsageInPieces()
        for usage in self.usages(answer):
            pieces.add(usage)
        return pieces.whole()

    def answer_id(self, answer: Json) -> str:
        """The upstream's id of an answer, or of the answer that a chunk belongs to; empty if there is none."""
        return str(answer.get("id") or "")

    @abstractmethod
    def messages(self, body: Mapping[str, Any]) -> list[Any]:
        """What was asked, as a list of messages."""

    @abstractmethod
    def input_fields(self) -> frozenset[str]:
        """The fields of a body that `messages` is made from."""

    @abstractmethod
    def prompt(self, body: Mapping[str, Any], model: str = "") -> Prompt:
        """The prompt in a body, as the model would count it."""

    def prompt_tokens(self, body: Mapping[str, Any], model: str = "") -> int:
        """An estimate of how many tokens the prompt in a body has."""
        return self.prompt(body, model).tokens(model).total

    @abstractmethod
    def answer_of_text(self, text: str, model: str) -> Json | None:
        """An answer that says `text`, for a default message; None if this API's answers hold no text."""

    @abstractmethod
    def chunks_of(self, answer: Json) -> list[Json]:
        """The chunks of a stream that adds up to `answer`."""
