"""Reading a stream of server-sent events: from pieces of bytes, cut anywhere, to the data of each event.

Source: HTML Standard, section 9.2, "Server-sent events".
"""

from __future__ import annotations

MAX_EVENT_BYTES = 64 * 1024 * 1024
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class EventTooLarge(ValueError):
    """An event that does not end."""


class EventReader:
    """Reads one stream. Only data is kept of an event: OpenAI's APIs say in it what else they have to say."""

    def __init__(self) -> None:
        self._rest: list[bytes] = []
        self._size = 0
        self._begun = False

    def feed(self, piece: bytes) -> list[bytes]:
        """The data of the events that end with this piece. Raises EventTooLarge."""
        may_wait = not self._rest or not self._rest[0].endswith(b"\r")  # which may end an event
        self._rest.append(piece)
        self._size += len(piece)
        if self._size > MAX_EVENT_BYTES:
            raise EventTooLarge("an event of the stream does not end")
        if may_wait and b"\n" not in piece and b"\r" not in piece:
            return []  # in the midst of a large event, which is put together once
        text = b"".join(self._rest)
        if not self._begun and len(text) >= len(BYTE_ORDER_MARK):
            self._begun = True
            text = text.removeprefix(BYTE_ORDER_MARK)
        ends_in_return = False
        if b"\r" in text:
            # The next piece may begin with the line feed that belongs to a carriage return at the end.
            ends_in_return = text.endswith(b"\r")
            text = text.removesuffix(b"\r").replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        *events, rest = text.split(b"\n\n")
        rest += b"\r" if ends_in_return else b""
        self._rest, self._size = [rest], len(rest)
        return [data for event in events if (data := _data_of(event)) is not None]


def _data_of(event: bytes) -> bytes | None:
    """None for an event without data, like a comment that keeps the connection alive."""
    if event.startswith(b"data: ") and b"\n" not in event:
        return event[6:]
    lines = [line[5:].removeprefix(b" ") for line in event.split(b"\n") if line.startswith(b"data:")]
    return b"\n".join(lines) if lines else None
