"""Twists of the events themselves, whatever they say."""

from __future__ import annotations

from collections.abc import Iterable

from llm.simulator.twists.twist import Twist


class NullEvents(Twist):
    """Before each event come a comment, an event with nothing in it, and `data: null`."""

    def event(self, event: bytes) -> Iterable[bytes]:
        return (b": working\n\n", b"data:\n\n", b"data: null\n\n", event)


class NoBlankLine(Twist):
    """The last event is not ended by a blank line, as by a server that joins events with blank lines."""

    def __init__(self) -> None:
        self._before = b""

    def event(self, event: bytes) -> Iterable[bytes]:
        # The blank line that ends an event is sent before the next one.
        parts = self._before + event.removesuffix(b"\n\n")
        self._before = b"\n\n"
        return (parts,)
