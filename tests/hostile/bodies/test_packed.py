"""Bodies with a Content-Encoding: they are unpacked within the limit, or refused."""

from __future__ import annotations

import gzip
import json
import time
import zlib
from collections.abc import Callable

import httpx2
import pytest

from chat.order import Order
from chat.record.call_rows import CallRows
from chat.record.row_maker import RowMaker
from llm import CallOutcome
from llm.simulator import SimulatorThread
from tests.hostile.bodies.refusals import JSON, STORED, envelope
from tests.support.wire import DOORS

StartSite = Callable[..., httpx2.Client]
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
