"""Runs the upstream as a process of its own, on the core that makes the load."""

from __future__ import annotations

import json
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from bench.machine import LOAD_CORE
from bench.servers.contestants import NO_GATEWAY, ROOT, WORK
from bench.servers.server import Server

UPSTREAM_PORT = 9300


@dataclass(frozen=True)
class Seen:
    """What the upstream has received so far."""

    whole: int
    streams: int
    open_streams: int


def seen() -> Seen:
    with urllib.request.urlopen(f"http://127.0.0.1:{UPSTREAM_PORT}/seen") as answer:
        return Seen(**json.load(answer))


@contextmanager
def upstream() -> Iterator[None]:
    command = [sys.executable, "-m", "bench.servers.upstream", "--port", str(UPSTREAM_PORT)]
    server = Server(command, {}, ROOT, WORK / "upstream.log", UPSTREAM_PORT, str(LOAD_CORE))
    try:
        server.start(NO_GATEWAY.request(upstream_port=UPSTREAM_PORT))
        yield
    finally:
        server.stop()
