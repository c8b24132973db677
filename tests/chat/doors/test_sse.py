"""chat.doors.sse: how events are written, kept alive, and closed."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncGenerator, Iterable
from dataclasses import dataclass, field

import pytest
import sseclient
from hypothesis import given
from hypothesis import strategies as st

from chat.doors.sse import DONE, HEARTBEAT, EventStreamResponse, event, text_event


@dataclass
class Parsed:
    """A stream as the HTML standard reads it: (event name, data) pairs, and its comments."""

    events: list[tuple[str, str]] = field(default_factory=list)
    comments: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """What a client puts together from the default events, up to the end marker."""
        return "".join(data for name, data in self.events if name == "message" and data != "[DONE]")


def parse(stream: bytes) -> Parsed:
    """HTML Standard, 9.2.6, "Interpreting an event stream". An event that no blank line ends is dropped."""
    parsed = Parsed()
    name, data = "", ""
    lines = re.split("\r\n|\r|\n", stream.decode("utf-8").removeprefix("\ufeff"))
    for line in lines[:-1]:  # what follows the last line end is no line yet
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
    """The events as sseclient-py reads them from a connection that cuts them anywhere."""
    pieces = (stream[start : start + piece] for start in range(0, len(stream), piece))
    return [(each.event, each.data) for each in sseclient.SSEClient(pieces).events()]  # type: ignore[arg-type]


def as_one_text(texts: Iterable[str]) -> str:
    """What server-sent events can carry: every line end is a newline."""
    return re.sub("\r\n|\r", "\n", "".join(texts))


@pytest.mark.parametrize(
    ("text", "arrives"),
    [
        ("plain", "plain"),
        (" a leading space", " a leading space"),
        ("  two", "  two"),
        ("\n", "\n"),
        ("\n\n", "\n\n"),
        ("a\nb", "a\nb"),
        ("a\n", "a\n"),
        ("\na", "\na"),
        ("a\n\nb\n", "a\n\nb\n"),
        ("a\rb", "a\nb"),
        ("a\r\nb", "a\nb"),
        ("a\n\rb", "a\n\nb"),
        ("a\u2028b\u2029c\x85d\x0be\x0cf\x1cg", "a\u2028b\u2029c\x85d\x0be\x0cf\x1cg"),
        ("\ufeff", "\ufeff"),
        ("\x00", "\x00"),
        ("data: x", "data: x"),
        (": a comment", ": a comment"),
        ("😀 ü 漢", "😀 ü 漢"),
        ("half \ud800 a pair", "half ? a pair"),
    ],
)
def test_a_text_arrives_as_it_is_in_any_client(text: str, arrives: str) -> None:
    stream = text_event(text)
    assert parse(stream).events == [("message", arrives)]
    assert by_sseclient(stream) == [("message", arrives)]


@pytest.mark.parametrize(
    "text",
    [
        "x\n\ndata: [DONE]\n\n",
        "x\r\rdata: [DONE]\r\r",
        "x\r\n\r\nevent: error\r\ndata: {}\r\n\r\n",
        "\nevent: error\ndata: {}",
        "\nid: 5\nretry: 1",
        "\n: comment",
        "\rdata: [DONE]\r",
    ],
)
def test_no_text_can_become_an_event_a_name_or_an_end(text: str) -> None:
    stream = text_event(text)
    assert parse(stream).events == by_sseclient(stream) == [("message", as_one_text([text]))]
    assert parse(stream).comments == []


def test_the_end_marker_as_the_models_text_ends_nothing() -> None:
    stream = text_event("[DONE]") + text_event("after") + DONE
    assert [data for _, data in parse(stream).events] == ["[", "DONE]", "after", "[DONE]"]
    assert [data for _, data in by_sseclient(stream)] == ["[", "DONE]", "after", "[DONE]"]


def test_an_empty_text_adds_nothing() -> None:
    assert parse(text_event("a") + text_event("") + text_event("b")).text == "ab"


@given(st.lists(st.text(alphabet=st.characters(exclude_categories=["Cs"])).map(lambda text: text.replace("\r", "\n"))))
def test_any_pieces_of_text_add_up_to_the_text(pieces: list[str]) -> None:
    stream = b"".join(map(text_event, pieces)) + DONE
    assert parse(stream).text == "".join(pieces)
    *texts, (_, last) = by_sseclient(stream)
    assert "".join(data for _, data in texts) == "".join(pieces)
    assert last == "[DONE]"
    assert [data for _, data in parse(stream).events].count("[DONE]") == 1


@given(st.text(alphabet="\r\n :aD[]NOEd"))
def test_one_piece_arrives_with_its_line_ends_as_newlines(text: str) -> None:
    assert parse(text_event(text)).text == as_one_text([text]) or text == "[DONE]"


@pytest.mark.parametrize("text", ["a\nb", "\r\n\r\n", "[DONE]", "\u2028", "\ud800", "\x00", '"}\n\ndata: x'])
def test_a_typed_event_is_one_event_and_exact(text: str) -> None:
    stream = event("delta", {"content": text})
    ((name, data),) = parse(stream).events
    assert (name, json.loads(data)) == ("delta", {"content": text})
    assert by_sseclient(stream) == [(name, data)]


async def source(*items: bytes | float, closed: list[str] | None = None) -> AsyncGenerator[bytes]:
    """Gives bytes; waits for seconds."""
    try:
        for item in items:
            if isinstance(item, bytes):
                yield item
            else:
                await asyncio.sleep(item)
    finally:
        if closed is not None:
            closed.append("closed")


def test_a_heartbeat_is_no_event_to_any_client() -> None:
    stream = HEARTBEAT + text_event("a") + HEARTBEAT + HEARTBEAT + text_event("b") + DONE
    assert [data for _, data in parse(stream).events] == ["a", "b", "[DONE]"]
    assert [data for _, data in by_sseclient(stream)] == ["a", "b", "[DONE]"]


async def test_the_answer_closes_its_source_in_the_readers_task() -> None:
    closed: list[str] = []
    response = EventStreamResponse(source(b"a", b"b", closed=closed))
    items = response.__aiter__()
    assert await anext(items) == b"a"  # type: ignore[arg-type]
    await items.aclose()  # type: ignore[attr-defined]
    assert closed == ["closed"]
