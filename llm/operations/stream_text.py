"""The text that the reader of a stream is shown, piece by piece."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

from llm.json_values import Json
from llm.operations.accumulation.growing import joined


class StreamText(ABC):
    """Reads the text of one stream: `read` for each chunk, and `rest` at the end.

    A character whose two halves came in two chunks comes as one, with the second of them.
    """

    def __init__(self) -> None:
        self._half = ""

    def read(self, chunk: Json) -> str:
        """The text that this chunk adds to what was shown before it."""
        text = self.new_text(chunk)
        if self._half and text:
            text, self._half = joined([self._half, text]), ""
        if text and "\ud800" <= text[-1] <= "\udbff":
            text, self._half = text[:-1], text[-1]
        return text

    def rest(self) -> str:
        """Half a character that still waits when the stream has ended."""
        return self._half

    @abstractmethod
    def new_text(self, chunk: Json) -> str:
        """The text that this chunk adds, cut wherever the upstream cut it."""


class TextOfEach(StreamText):
    """For streams in which no chunk repeats what others have said."""

    def __init__(self, text: Callable[[Json], str]) -> None:
        super().__init__()
        self._text = text

    def new_text(self, chunk: Json) -> str:
        return self._text(chunk)
