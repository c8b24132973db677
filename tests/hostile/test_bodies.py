"""Bodies that only a hostile or broken client sends, at every door. Each gets an answer or an error that says why."""

from __future__ import annotations

import gzip
import json
import time
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import pytest

from chat.models import CallRecord
from chat.order import Order
from chat.record.call_rows import CallRows
from chat.record.row_maker import RowMaker
from llm import CallOutcome
from llm.simulator import SimulatorThread
from tests.support.wire import DOORS, MESSAGES, NATIVE, OPENAI

StartSite = Callable[..., httpx2.Client]

STORED = "/v1/chat/completions/chatcmpl-1"
JSON = "application/json"
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


def envelope(response: httpx2.Response) -> dict[str, Any]:
    """The error object, after a check that it has the shape of its door."""
    error: dict[str, Any] = response.json()["error"]
    assert response.headers["content-type"] == JSON
    assert error["request_id"] == response.headers["x-request-id"]
    assert error["message"]
    assert ("param" in error) == response.request.url.path.startswith("/v1/")
    return error


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


PACKED: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "GZIP": gzip.compress,
    "x-gzip": gzip.compress,
    "deflate": zlib.compress,
    "identity": bytes,
    "": bytes,
}


@pytest.mark.parametrize("path", DOORS)
def test_a_packed_body_is_unpacked(client: httpx2.Client, simulator: SimulatorThread, path: str) -> None:
    plain = json.dumps(DOORS[path]).encode()
    for coding, pack in PACKED.items():
        headers = {"content-type": JSON, "content-encoding": coding}
        assert client.post(path, content=pack(plain), headers=headers).status_code == 200, coding
        assert client.post(path, content=iter([pack(plain)]), headers=headers).status_code == 200, coding
    seen = [{**request["body"], "model": ""} for request in simulator.requests()]
    assert all(body == seen[0] for body in seen)


@pytest.mark.parametrize("path", [*DOORS, STORED])
def test_a_coding_that_can_not_be_unpacked_is_a_415_that_names_those_that_can(client: httpx2.Client, path: str) -> None:
    plain = json.dumps(DOORS.get(path, {"metadata": {}})).encode()
    for coding in ("br", "zstd", "identity, gzip", "gzip, gzip", "x", "compress", "\xff"):
        headers = [(b"content-type", JSON.encode()), (b"content-encoding", coding.encode("latin-1"))]
        response = client.post(path, content=plain, headers=headers)
        assert response.status_code == 415, coding
        assert "gzip or deflate" in envelope(response)["message"]
        assert response.headers["accept-encoding"] == "gzip, deflate"


@pytest.mark.parametrize("path", [*DOORS, STORED])
def test_a_body_that_is_not_packed_as_it_says_is_a_400(client: httpx2.Client, path: str) -> None:
    plain = json.dumps(DOORS.get(path, {"metadata": {}})).encode()
    packed = gzip.compress(plain)
    broken = packed[:12] + bytes([packed[12] ^ 255]) + packed[13:]
    for coding, body in (
        *(("gzip", plain), ("deflate", plain), ("deflate", packed), ("gzip", zlib.compress(plain))),
        *(("gzip", packed[:-1]), ("gzip", packed + b"more"), ("gzip", packed + packed), ("gzip", broken)),
        ("gzip", packed[:-8] + b"\x00" * 8),
    ):
        response = client.post(path, content=body, headers={"content-type": JSON, "content-encoding": coding})
        assert response.status_code == 400, (coding, body)
        assert coding in envelope(response)["message"]


@pytest.mark.parametrize("path", [*DOORS, STORED])
def test_a_small_body_that_unpacks_to_a_huge_one_is_a_413(start_site: StartSite, path: str) -> None:
    client = start_site(MAX_BODY_BYTES=1_000_000)
    plain = json.dumps(DOORS.get(path, {"metadata": {}})).encode()
    for kilobytes, status in ((900, (200, 404)), (1_100, (413,)), (200_000, (413,))):
        headers = {"content-type": JSON, "content-encoding": "gzip"}
        packed = _packed_with_spaces(plain, kilobytes)
        started = time.process_time()  # the time of other processes on the machine does not count
        response = client.post(path, content=packed, headers=headers)
        assert response.status_code in status
        assert time.process_time() - started < 2
        if status == (413,):
            assert "when it is unpacked" in envelope(response)["message"]


def _packed_with_spaces(plain: bytes, kilobytes: int) -> bytes:
    packer = zlib.compressobj(1, wbits=16 + zlib.MAX_WBITS)
    spaces = b" " * 1_000
    return b"".join([packer.compress(plain), *(packer.compress(spaces) for _ in range(kilobytes)), packer.flush()])


def test_who_has_no_key_has_nothing_unpacked(start_site: StartSite) -> None:
    client = start_site(API_KEYS_REQUIRED=True)
    for path in DOORS:
        headers = {"content-type": JSON, "content-encoding": "gzip"}
        assert client.post(path, content=b"no gzip", headers=headers).status_code == 401


def test_a_packed_body_counts_with_its_unpacked_size(client: httpx2.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits to be written is bounded by the sizes of bodies, so they must be the true ones."""
    plain = json.dumps({"prompt": "a" * 100_000}).encode()
    headers = {"content-type": JSON, "content-encoding": "gzip"}
    sizes = []
    made = RowMaker.rows

    def rows(self: RowMaker, order: Order, outcome: CallOutcome) -> CallRows:
        sizes.append(order.body_bytes)
        return made(self, order, outcome)

    monkeypatch.setattr(RowMaker, "rows", rows)
    for path in ("/chat", "/chat/stream"):
        assert client.post(path, content=gzip.compress(plain), headers=headers).status_code == 200
    assert sizes == [len(plain)] * 2


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


# --- unusual, but valid -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", DOORS)
def test_of_two_fields_with_one_name_the_last_counts_everywhere(
    client: httpx2.Client, simulator: SimulatorThread, path: str
) -> None:
    twice = json.dumps({"model": "gpt-4o-mini"})[:-1] + ", " + json.dumps({**DOORS[path], "model": "gpt-4o"})[1:]
    response = client.post(path, content=twice, headers={"content-type": JSON})
    assert response.status_code == 200
    assert [request["model"] for request in simulator.requests()] == ["gpt-4o"]
    assert CallRecord.objects.get().model_requested == "gpt-4o"


@pytest.mark.parametrize("path", OPENAI)
def test_numbers_of_any_size_go_through_as_they_are_and_are_on_record(
    client: httpx2.Client, simulator: SimulatorThread, path: str
) -> None:
    numbers = {"big": 10**4000, "small": -(10**30), "float": 1.7976931348623157e308, "tiny": 5e-324, "minus": -0.0}
    response = client.post(path, json={**DOORS[path], "x_numbers": numbers})
    assert response.status_code == 200
    assert simulator.requests()[0]["body"]["x_numbers"] == numbers
    detail = client.get(f"/calls/{response.headers['x-request-id']}")
    assert detail.status_code == 200
    assert detail.json()["parameters"]["x_numbers"]["big"] == 10**4000


@pytest.mark.parametrize(
    ("field", "value"),
    [(name, value) for name in ("max_tokens", "seed", "temperature", "timeout", "cache_ttl", "top_p")
     for value in (10**400, -(10**400), 2**63, 1e308, -1e308, -0.5)],
)  # fmt: skip
def test_a_number_out_of_range_is_named(client: httpx2.Client, field: str, value: float) -> None:
    for path, body in NATIVE.items():
        response = client.post(path, json={**body, field: value})
        assert response.status_code == 400, path
        assert field in envelope(response)["details"]["fields"]


def test_extras_in_a_v1_body_or_header_of_any_size_are_named(client: httpx2.Client) -> None:
    for path, body in OPENAI.items():
        for value in (10**400, 1e308, -1, "1e400", "9" * 5000, "nan", "inf", "0x10", "१", "", " 1", "1\u2028"):
            for name in ("x-timeout", "x-cache-ttl", "x-hedge-after"):
                response = client.post(path, json={**body, name: value})
                assert response.status_code == 400, (path, name, value)
                assert envelope(response)["param"] == name


def test_ten_thousand_messages(client: httpx2.Client, simulator: SimulatorThread) -> None:
    messages = MESSAGES * 10_000
    response = client.post("/v1/chat/completions", json={"model": "gpt-4o", "messages": messages})
    assert response.status_code == 200
    assert len(client.get(f"/calls/{response.headers['x-request-id']}").json()["messages"]) == 10_000
    for path in NATIVE:
        refused = client.post(path, json={"messages": messages})
        assert refused.status_code == 400
        assert "2048" in envelope(refused)["message"]


@pytest.mark.parametrize("path", DOORS)
def test_a_huge_text_is_answered_and_on_record(client: httpx2.Client, path: str) -> None:
    text = "é" * 2_000_000
    body = json.loads(json.dumps(DOORS[path]).replace('"hi"', json.dumps(text)))
    response = client.post(path, json=body)
    assert response.status_code == 200
    kept = client.get(f"/calls/{response.headers['x-request-id']}").json()["messages"]
    assert json.dumps(kept, ensure_ascii=False).count("é") == len(text)


@pytest.mark.parametrize("levels", [40, 90])
def test_a_body_of_some_depth_goes_through_and_is_on_record(
    client: httpx2.Client, simulator: SimulatorThread, levels: int
) -> None:
    deep = nested(levels)
    for path, body in OPENAI.items():
        response = client.post(path, json={**body, "x_deep": deep, "metadata": {"deep": deep}})
        assert response.status_code == 200, response.text
        assert simulator.requests()[-1]["body"]["x_deep"] == deep
        call = client.get(f"/calls/{response.headers['x-request-id']}").json()
        assert call["parameters"]["x_deep"] == call["metadata"]["deep"] == deep
    for path in NATIVE:
        message = {"role": "user", "content": [{"type": "text", "text": "hi", "deep": deep}]}
        for body in ({"messages": [message]}, {"prompt": "a", "response_format": {"type": "text", "deep": deep}}):
            response = client.post(path, json=body)
            assert response.status_code == 200, response.text


@pytest.mark.parametrize("levels", [101, 500, 850, 950])
def test_a_deeper_body_is_a_400_that_says_so(client: httpx2.Client, simulator: SimulatorThread, levels: int) -> None:
    deep = '{"a":' * levels + "1" + "}" * levels
    for path, body in DOORS.items():
        for field in ("x_deep", "metadata", "response_format"):
            content = json.dumps(body)[:-1] + f', "{field}": {deep}}}'
            response = client.post(path, content=content, headers={"content-type": JSON})
            assert response.status_code == 400, path
            assert "too deep" in envelope(response)["message"]
    assert simulator.requests() == []


def nested(levels: int) -> Any:
    deep: Any = "x"
    for level in range(levels):
        deep = {"a": deep} if level % 2 else [deep]
    return deep
