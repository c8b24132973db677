"""Sends a request every two milliseconds, and measures the times to the answers.

    python -m bench.load.probe PORT SECONDS STATUS

The request is a completion without a model. A gateway refuses it (STATUS 400) as soon as its event loop gets to it, so
the time to the answer is how long the loop was busy with other work. The probe is a process of its own, because nothing
else may delay it. It prints `Pauses` as JSON.
"""

from __future__ import annotations

import json
import math
import re
import socket
import sys
import time
from dataclasses import asdict, dataclass

from bench.servers.server import Request

EVERY_S = 0.002
LENGTH = re.compile(rb"\r\ncontent-length:\s*(\d+)\r\n", re.IGNORECASE)


@dataclass(frozen=True)
class Pauses:
    """Times to an answer, in ms. `longest` has the ten longest, each with the second at which the request was sent."""

    asked: int
    p50_ms: float
    p99_ms: float
    over_50_ms: int
    longest: list[tuple[float, float]]


def read_answer(connection: socket.socket, status: str) -> None:
    """Read one answer to its last byte.

    Its head and body may arrive separately. Raises RuntimeError for another status.
    """
    expected = f"HTTP/1.1 {status}".encode()
    got = b""
    while True:
        some = connection.recv(4096)
        got += some
        if not some or not expected.startswith(got[: len(expected)]):
            raise RuntimeError(f"The answer is not a {status}: {got!r}")
        length, end = LENGTH.search(got), got.find(b"\r\n\r\n")
        if length and end >= 0 and len(got) >= end + 4 + int(length[1]):
            return


def probe(port: int, seconds: float, status: str) -> Pauses:
    request = Request("/v1/chat/completions", {"content-type": "application/json"}, b"{}").raw(port)
    times: list[tuple[float, float]] = []
    began = time.perf_counter()
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while (asked := time.perf_counter()) < began + seconds:
            connection.sendall(request)
            read_answer(connection, status)
            times.append(((time.perf_counter() - asked) * 1000, asked - began))
            time.sleep(max(0.0, asked + EVERY_S - time.perf_counter()))
    times.sort()
    return Pauses(
        asked=len(times),
        p50_ms=times[len(times) // 2][0],
        p99_ms=times[math.ceil(0.99 * len(times)) - 1][0],
        over_50_ms=sum(1 for taken, _ in times if taken > 50),
        longest=times[:-11:-1],
    )


if __name__ == "__main__":
    print(json.dumps(asdict(probe(int(sys.argv[1]), float(sys.argv[2]), sys.argv[3]))))
