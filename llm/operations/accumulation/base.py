"""What every accumulator promises."""

from __future__ import annotations

from typing import Any, Protocol

from llm.json_values import Json


class Accumulator(Protocol):
    """Takes the chunks of one stream in their order, and has the whole answer at any time.

    Nothing raises: what has an odd shape is kept where it has a place, and is ignored where it has none.
    The chunks stay as they are. Values that are not joined (the entries of lists, values that nobody knows) are the
    same objects in the answer as in the chunks, because a copy of all log probabilities would double their cost: who
    changes an answer below its messages must copy it first.
    """

    def add(self, chunk: Any) -> None:
        """Take note of a chunk."""

    def answer(self) -> Json:
        """The answer so far, as a new object; what comes later does not change it. May be asked again later.

        It costs as much as the answer is long, so it is for the end of a stream and not for each chunk.
        """
