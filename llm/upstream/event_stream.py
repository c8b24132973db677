"""Reading a stream of server-sent events: from pieces of bytes, which may end anywhere, to the data of each event.

Source: HTML Standard, section 9.2, "Server-sent events".
"""

from __future__ import annotations

# The largest event that is read, so that an upstream which never ends one can't fill the memory.
MAX_EVENT_BYTES = 64 * 1024 * 1024

BYTE_ORDER_MARK = b"\xef\xbb\xbf"


# How a stream of events may begin: with a field of an event, or with a comment.
BEGINNINGS = (b"data:", b"event:", b"id:", b"retry:", b":")


class EventTooLarge(ValueError):
    """An event is larger than MAX_EVENT_BYTES."""


class ErrorData(bytes):
    """The data of an event that is named `error`. It says what failed, whatever shape it has."""


class EventReader:
    """Reads one stream.

    Only an event's data is kept. Its other fields say nothing that OpenAI's APIs don't say in the data, but for one
    name: some servers name an event `error`, and its data does not say that it is one (`ErrorData`).
    """

    def __init__(self) -> None:
        self._rest: list[bytes] = []
        self._size = 0
        self._begun = False

    def feed(self, piece: bytes) -> list[bytes]:
        """The data of the events that end with this piece. Raises EventTooLarge."""
        # A carriage return at the end of the last piece may have ended an event already.
        may_wait = not self._rest or not self._rest[0].endswith(b"\r")
        self._rest.append(piece)
        self._size += len(piece)
        if self._size > MAX_EVENT_BYTES:
            raise EventTooLarge("an event of the stream does not end")
        if may_wait and b"\n" not in piece and b"\r" not in piece:
            return []  # a large event is joined only once, when its end has come
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

    def end(self) -> list[bytes]:
        """The data of a last event that came without the blank line which ends it. The standard would leave it out."""
        return self.feed(b"\n\n")


def begins_like_events(text: bytes) -> bool | None:
    """Whether a body begins like a stream of events; None if so little of it has come that it may."""
    if any(text.startswith(beginning) for beginning in BEGINNINGS):
        return True
    return None if any(beginning.startswith(text) for beginning in BEGINNINGS) else False


def _data_of(event: bytes) -> bytes | None:
    """None for an event without data, like a comment that keeps the connection alive."""
    if event.startswith(b"data: ") and b"\n" not in event:
        return event[6:]
    lines = event.split(b"\n")
    data = [line[5:].removeprefix(b" ") for line in lines if line.startswith(b"data:")]
    if not data:
        return None
    is_error = any(line.startswith(b"event:") and line[6:].strip() == b"error" for line in lines)
    return ErrorData(b"\n".join(data)) if is_error else b"\n".join(data)
