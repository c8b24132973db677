"""Measures streams: the time to the first token, the chunks per second, and many streams that are open at once.

A client that parsed the events would be slower than the gateway. This one reads from plain sockets and only counts
MARK, which the upstream writes once into each piece of text. So it does not matter how a gateway formats the events.
"""

from __future__ import annotations

import asyncio
import socket
import statistics
import time
from dataclasses import dataclass
from typing import cast

from bench.machine import LOAD_CORE, SERVER_CORE, core_time
from bench.servers.server import Request, Server
from bench.servers.upstream import MARK

END = b"0\r\n\r\n"
WORD = MARK.encode()
OPEN_GIVES_UP_S = 60


@dataclass(frozen=True)
class FirstTokens:
    """Times to the first token in ms, with one stream at a time."""

    p50_ms: float
    p99_ms: float


def first_tokens(port: int, request: Request, *, streams: int) -> FirstTokens:
    """Read `streams` short streams, one after the other, on one connection."""
    raw = request.raw(port)
    times = []
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(streams):
            began = time.perf_counter()
            connection.sendall(raw)
            got = first = b""
            while not got.endswith(END):
                some = connection.recv(65536)
                if not some:
                    raise RuntimeError(f"The stream was cut: {got[-500:]!r}")
                got += some
                if not first and WORD in got:
                    first = WORD
                    times.append((time.perf_counter() - began) * 1000)
            if not first:
                raise RuntimeError(f"A stream without text: {got[:500]!r}")
    return FirstTokens(statistics.median(times), statistics.quantiles(times, n=100)[98])


class Reader(asyncio.Protocol):
    """Asks for a stream, and counts its chunks.

    With `chunks_each`, the number of chunks of a stream, it asks for another stream as soon as one has ended.
    """

    def __init__(self, raw: bytes, *, chunks_each: int | None = None) -> None:
        self.raw, self.chunks_each = raw, chunks_each
        self.chunks = self.ended = 0
        self.text_at: float | None = None
        self.broken = b""
        self.tail = b""
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.write(self.raw)

    def data_received(self, data: bytes) -> None:
        # A word that arrives in two parts is counted together with its second part.
        data = self.tail + data
        words = data.count(WORD)
        if words and self.text_at is None:
            self.text_at = time.perf_counter()
        if not self.chunks and not data.startswith(b"HTTP/1.1 200") and not self.tail:
            self.broken = data[:500]
        self.chunks += words
        if data.endswith(END):
            self.ended += 1
            self.tail = b""
            if self.chunks_each and self.chunks < self.ended * self.chunks_each:
                self.broken = b"a stream ended early: " + data[-500:]
            elif self.chunks_each:
                self.transport.write(self.raw)
        else:
            self.tail = data[1 - len(WORD) :]

    def connection_lost(self, error: Exception | None) -> None:
        self.broken = self.broken or b"the connection was closed"


@dataclass(frozen=True)
class Relayed:
    """Chunks of text per second, over several connections.

    `ended` is the number of streams that were read to their end.
    """

    chunks_per_s: float
    cpu_ms_per_1000_chunks: float | None
    ended: int
    others: float
    load: float


@dataclass(frozen=True)
class Slow:
    """Many slow streams: how many had text, how long that took, and the memory of the server afterwards."""

    open: int
    seconds_to_open: float
    memory_mib: float | None


async def connect(port: int, raw: bytes, count: int, chunks_each: int | None = None) -> list[Reader]:
    loop = asyncio.get_running_loop()
    readers = []
    for _ in range(count):
        _, reader = await loop.create_connection(lambda: Reader(raw, chunks_each=chunks_each), "127.0.0.1", port)
        readers.append(reader)
    return readers


async def relay(
    port: int, request: Request, *, chunks_each: int, connections: int, seconds: float, server: Server | None
) -> Relayed:
    """Read streams of `chunks_each` chunks each, for which `request` asks.

    Raises RuntimeError if a stream breaks or ends early.
    """
    readers = await connect(port, request.raw(port), connections, chunks_each)
    await asyncio.sleep(min(1.0, seconds / 4))  # by then, all streams have started
    began, before = time.perf_counter(), sum(reader.chunks for reader in readers)
    cpu = server.cpu_seconds() if server else 0.0
    served, loaded = core_time(SERVER_CORE), core_time(LOAD_CORE)
    await asyncio.sleep(seconds)
    length, chunks = time.perf_counter() - began, sum(reader.chunks for reader in readers) - before
    cpu = server.cpu_seconds() - cpu if server else 0.0
    served_after, loaded_after = core_time(SERVER_CORE), core_time(LOAD_CORE)
    broken = next((reader.broken for reader in readers if reader.broken), b"")
    for reader in readers:
        reader.transport.abort()
    if broken or not chunks:
        raise RuntimeError(f"A stream broke: {broken!r}")
    return Relayed(
        chunks_per_s=chunks / length,
        cpu_ms_per_1000_chunks=cpu * 1e6 / chunks if server else None,
        ended=sum(reader.ended for reader in readers),
        others=max(0.0, served_after.busy + served_after.stolen - served.busy - served.stolen - cpu) / length,
        load=(loaded_after.busy + loaded_after.stolen - loaded.busy - loaded.stolen) / length,
    )


async def hold_open(port: int, request: Request, *, streams: int, seconds: float, server: Server | None) -> Slow:
    """Open all streams at once, wait up to a minute for the text of each, and measure the memory `seconds` later."""
    began = time.perf_counter()
    readers = await connect(port, request.raw(port), streams)
    while not all(reader.text_at for reader in readers) and time.perf_counter() - began < OPEN_GIVES_UP_S:
        await asyncio.sleep(0.1)
    opened = max((reader.text_at or 0.0 for reader in readers), default=0.0) - began
    await asyncio.sleep(seconds)
    living = sum(1 for reader in readers if reader.text_at and not reader.broken)
    memory = server.memory_mib() if server else None
    for reader in readers:
        reader.transport.abort()
    return Slow(living, opened, memory)


async def hang_up_at_first_token(port: int, raw: bytes) -> None:
    """Ask for a stream, and close the connection as soon as there is text.

    Raises RuntimeError if there never is any.
    """
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(raw)
    got = b""
    try:
        while WORD not in got:
            some = await reader.read(65536)
            if not some:
                raise RuntimeError(f"The stream was cut: {got[-500:]!r}")
            got += some
    finally:
        writer.transport.abort()
