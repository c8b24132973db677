"""What a twist is: it is made for one answer, and sees the answer whole, or each of its events in turn."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

Json = dict[str, Any]


class Twist:
    """Changes nothing. `event` is one server-sent event as bytes, with the blank line that ends it."""

    def whole(self, answer: Json) -> Json:
        """The answer in one piece as it goes out."""
        return answer

    def event(self, event: bytes) -> Iterable[bytes]:
        """The events that go out in the place of one."""
        return (event,)


class PayloadTwist(Twist):
    """Changes what events say. An event that holds no object, like `[DONE]`, goes out as it is."""

    def payload(self, payload: Json) -> Iterable[Json]:
        """The payloads that go out in the place of one, which may be changed and given back."""
        return (payload,)

    def event(self, event: bytes) -> Iterator[bytes]:
        head, mark, data = event.partition(b"data: ")
        if not data.startswith(b"{"):
            yield event
            return
        for payload in self.payload(json.loads(data)):
            # Escapes for all but ASCII: half of a surrogate pair has no other form.
            yield head + mark + json.dumps(payload).encode() + b"\n\n"


class ChoiceTwist(PayloadTwist):
    """Changes the choices of chat and text completions. Events of other APIs go out as they are."""

    def choice(self, choice: Json) -> None:
        """Change one choice of a whole answer or of an event."""

    def whole(self, answer: Json) -> Json:
        for choice in answer.get("choices", ()):
            self.choice(choice)
        return answer

    def payload(self, payload: Json) -> Iterable[Json]:
        return (self.whole(payload),)


def said_in(choice: Json) -> Json:
    """The message or the delta of a choice; the choice itself in text completions, which have neither."""
    said: Json = choice.get("message") or choice.get("delta") or choice
    return said
