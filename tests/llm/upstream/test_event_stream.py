"""Server-sent events are read from pieces of bytes, which may end anywhere."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from llm.upstream import event_stream
from llm.upstream.event_stream import ErrorData, EventReader, EventTooLarge, begins_like_events


def read(*pieces: bytes) -> list[bytes]:
    reader = EventReader()
    return [data for piece in pieces for data in reader.feed(piece)]


@pytest.mark.parametrize(
    ("stream", "events"),
    [
        (b"data: a\n\ndata: b\n\n", [b"a", b"b"]),
        (b"data:a\n\n", [b"a"]),
        (b"data:  a\n\n", [b" a"]),
        (b"data: a\ndata: b\n\n", [b"a\nb"]),
        (b"event: error\nid: 7\ndata: a\nretry: 3\n\n", [b"a"]),
        (b": a comment\n\n: another\n\ndata: a\n\n", [b"a"]),
        (b"event: ping\n\n", []),
        (b"data\n\n", []),
        (b"data: \n\n", [b""]),
        (b"\n\n\ndata: a\n\n", [b"a"]),
        (b"\xef\xbb\xbfdata: a\n\n", [b"a"]),
        (b"data: a\r\n\r\ndata: b\r\n\r\n", [b"a", b"b"]),
        (b"data: a\r\rdata: b\r\r", [b"a"]),  # its last carriage return may have a line feed to come
        (b"data: never ended", []),
        (b"data: never ended\n", []),
        (b"database: a\n\n", []),
        (b'data: {"a": "data: b"}\n\n', [b'{"a": "data: b"}']),
    ],
)
def test_events_are_read_as_the_standard_has_them(stream: bytes, events: list[bytes]) -> None:
    assert read(stream) == events


STREAM = b"\xef\xbb\xbfdata: one\r\n\r\n: hello\n\ndata: two\ndata: lines\n\nevent: x\rdata: three\r\rdata: {}\r\n\r\n"


@given(st.lists(st.integers(0, len(STREAM))))
@example([STREAM.index(b"\r\n") + 1])
@example(list(range(len(STREAM))))
def test_it_makes_no_difference_where_the_network_cuts(cuts: list[int]) -> None:
    ends = [0, *sorted(cuts), len(STREAM)]
    pieces = [STREAM[start:end] for start, end in pairwise(ends)]
    assert read(*pieces) == [b"one", b"two\nlines", b"three", b"{}"]


@pytest.mark.parametrize(
    ("stream", "is_error"),
    [
        (b"event: error\ndata: a\n\n", True),
        (b"data: a\nevent:error\n\n", True),
        (b"event: errors\ndata: a\n\n", False),
        (b"event: message\ndata: error\n\n", False),
        (b"data: a\n\n", False),
    ],
)
def test_the_data_of_an_event_that_is_named_error_is_known_as_such(stream: bytes, is_error: bool) -> None:
    [data] = read(stream)
    assert isinstance(data, ErrorData) == is_error


def test_an_event_is_not_held_back_once_it_has_ended() -> None:
    reader = EventReader()
    assert reader.feed(b"data: a\r\r") == []  # a line feed may come
    assert reader.feed(b"data: b") == [b"a"]


def test_an_event_without_end_does_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_stream, "MAX_EVENT_BYTES", 100)
    with pytest.raises(EventTooLarge):
        read(b"data: ", b"x" * 101)


def test_a_large_event_in_many_pieces_is_put_together() -> None:
    reader = EventReader()
    for _ in range(1_000):
        assert reader.feed(b"x" * 1_000) == []
    assert read(b"data: ", *([b"x" * 1_000] * 1_000), b"\n", b"\n") == [b"x" * 1_000_000]


@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n", b"\r", b"\n\n"])
def test_a_last_event_is_read_without_the_blank_line_that_ends_it(end: bytes) -> None:
    reader = EventReader()
    assert [*reader.feed(b"data: a\n\ndata: b" + end), *reader.end()] == [b"a", b"b"]
    assert reader.end() == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"data: {}", True),
        (b"event: x", True),
        (b": OPENROUTER PROCESSING", True),
        (b"dat", None),
        (b"", None),
        (b"{", False),
        (b"<html>", False),
        (b"database", False),
    ],
)
def test_the_first_bytes_tell_events_from_anything_else(text: bytes, expected: bool | None) -> None:
    assert begins_like_events(text) is expected
