"""The text of a chat completion's stream, in which a server may repeat the whole message at the end."""

from __future__ import annotations

from llm.json_values import Json
from llm.operations.accumulation.growing import joined
from llm.operations.chat.messages import content_text, message_in, refusal_text, says_something, visible_text
from llm.operations.choices import choices_of, index_of
from llm.operations.stream_text import StreamText


class ChatText(StreamText):
    """The text of the first choice.

    It reads a stream as the accumulator does, so that the text which was shown is the text which is on record.
    """

    def __init__(self) -> None:
        super().__init__()
        self._shown: list[str] = []
        self._has_deltas = False
        self._has_content = False

    def new_text(self, chunk: Json) -> str:
        text = ""
        for choice in choices_of(chunk):
            if index_of(choice) == 0 and (piece := self._piece(choice)):
                self._shown.append(piece)
                text += piece
        return text

    def _piece(self, choice: Json) -> str:
        message = message_in(choice)
        if message is choice.get("message"):
            return self._beyond_what_was_shown(message)
        self._has_deltas = self._has_deltas or says_something(message)
        if content := content_text(message):
            self._has_content = True
            return content
        return "" if self._has_content else refusal_text(message)

    def _beyond_what_was_shown(self, message: Json) -> str:
        """What a message that repeats the text so far has more than that."""
        text = visible_text(message)
        so_far = joined(self._shown)
        self._shown = [so_far]
        if text.startswith(so_far):
            return text[len(so_far) :]
        # Without deltas, the messages themselves are the pieces. After deltas, nothing can be taken back.
        return "" if self._has_deltas else text
