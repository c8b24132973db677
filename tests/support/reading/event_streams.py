"""Reading server-sent events as a client does."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

import sseclient


@dataclass
class Parsed:
    """A stream as the HTML standard reads it: pairs of an event's name and data, and comments."""

    events: list[tuple[str, str]] = field(default_factory=list)
    comments: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """The text that a client puts together from the default events, without the end marker."""
        return "".join(data for name, data in self.events if name == "message" and data != "[DONE]")


def parse(stream: bytes) -> Parsed:
    """Read a stream by the rules of the HTML Standard, 9.2.6. An event that no blank line ends is dropped."""
    parsed = Parsed()
    name, data = "", ""
    lines = re.split("\r\n|\r|\n", stream.decode("utf-8").removeprefix("\ufeff"))
    for line in lines[:-1]:  # The text after the last line end is not a whole line yet.
        if line == "":
            if data:
                parsed.events.append((name or "message", data.removesuffix("\n")))
            name, data = "", ""
        elif line.startswith(":"):
            parsed.comments.append(line[1:].strip())
        else:
            key, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if key == "event":
                name = value
            elif key == "data":
                data += f"{value}\n"
    return parsed


def by_sseclient(stream: bytes, *, piece: int = 7) -> list[tuple[str, str]]:
    """The events as sseclient-py reads them from a connection that delivers them in small pieces."""
    pieces = (stream[start : start + piece] for start in range(0, len(stream), piece))
    return [(each.event, each.data) for each in sseclient.SSEClient(pieces).events()]  # type: ignore[arg-type]


def as_one_text(texts: Iterable[str]) -> str:
    """The texts as server-sent events carry them: every line end becomes a newline."""
    return re.sub("\r\n|\r", "\n", "".join(texts))
