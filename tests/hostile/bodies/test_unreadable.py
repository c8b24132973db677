"""Bodies that can't be read, at every door: an error says why, and no model is asked."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator

import httpx2
import pytest

from chat.models import CallRecord
from llm.simulator import SimulatorThread
from tests.hostile.bodies.refusals import JSON, STORED, envelope
from tests.support.wire import DOORS

DEEP = 100_000
OTHER_TYPES = (
    "text/plain",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=a",
    "text/json",
    "json",
    "application/json5",
    "application/vnd.api+json",
    "a" * 5000,
    "\xe9/\xe9",
    ";",
    "application/",
)

UNREADABLE = {
    "nothing but a bracket": b"{",
    "two values": b'{"prompt": "a"} {"prompt": "b"}',
    "not UTF-8": b'{"prompt": "\xff"}',
    "half of a character": b'{"prompt": "\xe2\x82',
    "an overlong slash": b'{"prompt": "\xc0\xaf"}',
    "a surrogate in UTF-8": b'{"prompt": "\xed\xa0\x80"}',
    "two marks of byte order": b'\xef\xbb\xbf\xef\xbb\xbf{"prompt": "a"}',
    "nothing but a mark of byte order": b"\xef\xbb\xbf",
    "UTF-16": '{"prompt": "a"}'.encode("utf-16"),
    "UTF-32": '{"prompt": "a"}'.encode("utf-32"),
    "a NUL": b'{"prompt": "a\x00"}',
    "only NULs": b"\x00" * 1000,
    "a raw control character": b'{"prompt": "a\x01"}',
    "a lone surrogate": b'{"prompt": "\\udc00", "model": "gpt-4o", "input": "a", "messages": []}',
    "a lone surrogate in a name": b'{"\\ud83d": 1, "prompt": "a"}',
    "a pair the wrong way round": b'{"prompt": "\\udc00\\ud800"}',
    "NaN": b'{"prompt": "a", "temperature": NaN}',
    "Infinity": b'{"prompt": "a", "temperature": -Infinity}',
    "a float without end": b'{"prompt": "a", "temperature": 1e400}',
    "an integer without end": b'{"prompt": "a", "seed": ' + b"9" * 100_000 + b"}",
    "brackets": b"[" * DEEP,
    "brackets that close": b"[" * DEEP + b"]" * DEEP,
    "brackets in a field": b'{"prompt": ' + b"[" * DEEP + b"]" * DEEP + b"}",
    "braces": b'{"a":' * DEEP + b"1" + b"}" * DEEP,
    "a comment": b'{"prompt": "a" /* b */}',
    "single quotes": b"{'prompt': 'a'}",
    "a trailing comma": b'{"prompt": "a",}',
    "a text": b'"prompt"',
    "a number": b"7",
    "null": b"null",
    "a list": b'[{"prompt": "a"}]',
    "gzip": gzip.compress(b'{"prompt": "a"}'),
    "a form": b"prompt=a&model=gpt-4o",
    "XML": b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>',
    "a pickle": b"\x80\x04\x95\x0b\x00\x00\x00\x00\x00\x00\x00\x8c\x02os\x8c\x06system\x93.",
}


@pytest.mark.parametrize("path", [*DOORS, STORED])
def test_what_cannot_be_read_is_a_400_at_every_door_and_asks_no_model(
    client: httpx2.Client, simulator: SimulatorThread, path: str
) -> None:
    for what, content in UNREADABLE.items():
        response = client.post(path, content=content, headers={"content-type": JSON})
        assert response.status_code == 400, what
        assert envelope(response)["code"] == "invalid_request", what
    assert simulator.requests() == []
    assert CallRecord.objects.count() == 0


@pytest.mark.parametrize("path", [*DOORS, STORED])
def test_an_empty_body_and_an_empty_object_are_a_400(
    client: httpx2.Client, simulator: SimulatorThread, path: str
) -> None:
    for content in (b"", b"  \r\n", b"{}", b'{"": ""}'):
        response = client.post(path, content=content, headers={"content-type": JSON})
        assert response.status_code == 400
        envelope(response)
    assert simulator.requests() == []


@pytest.mark.parametrize("path", [*DOORS, STORED])
def test_another_media_type_is_a_415(client: httpx2.Client, path: str) -> None:
    body = json.dumps(DOORS.get(path, {"metadata": {}})).encode()
    for media_type in OTHER_TYPES:
        response = client.post(path, content=body, headers=[(b"content-type", media_type.encode("latin-1"))])
        assert response.status_code == 415, media_type
        assert envelope(response)["code"] == "unsupported_media_type"


@pytest.mark.parametrize("path", DOORS)
def test_a_charset_does_not_change_what_json_is(client: httpx2.Client, path: str) -> None:
    for charset in ("utf-16", "latin-1", "utf-7", "zip", "nonsense", '"', "\xff"):
        media_type = f"{JSON}; charset={charset}".encode("latin-1")
        response = client.post(path, content=json.dumps(DOORS[path]).encode(), headers=[(b"content-type", media_type)])
        assert response.status_code == 200, charset
    latin = client.post(path, content=b'{"prompt": "\xe9"}', headers={"content-type": f"{JSON}; charset=latin-1"})
    assert latin.status_code == 400


@pytest.mark.parametrize("path", DOORS)
def test_a_mark_of_byte_order_before_the_json_is_dropped(client: httpx2.Client, path: str) -> None:
    body = b"\xef\xbb\xbf" + json.dumps(DOORS[path]).encode()
    assert client.post(path, content=body, headers={"content-type": JSON}).status_code == 200


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_over_the_limit_is_a_413_at_every_door(client: httpx2.Client, chunked: bool) -> None:
    piece = b" " * 1_000_000

    def pieces() -> Iterator[bytes]:
        for _ in range(25):
            yield piece

    headers = {"content-type": JSON} | ({} if chunked else {"content-length": str(25 * len(piece))})
    for path in (*DOORS, STORED):
        response = client.post(path, content=pieces(), headers=headers)
        assert response.status_code == 413, path
        assert envelope(response)["code"] == "request_too_large"
