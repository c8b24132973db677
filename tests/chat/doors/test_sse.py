"""chat.doors.sse: how events are written, kept alive and closed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat.doors.sse import DONE, HEARTBEAT, EventStreamResponse, event, text_event
from tests.support.reading.event_streams import as_one_text, by_sseclient, parse


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
    """A stream of these items: bytes are sent, and a number is a time to wait in seconds."""
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
