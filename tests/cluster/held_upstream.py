"""An upstream that waits until the test tells it to go on.

It does not depend on time, so a slow machine fails no test.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from types import TracebackType
from typing import Any, Self

PIECES = ("one ", "two ", "three ", "four ", "five")
USAGE = {"prompt_tokens": 10, "completion_tokens": 900, "total_tokens": 910}
BASE = {"id": "chatcmpl-held", "created": 1_760_000_000, "model": "held"}


class HeldUpstream:
    """Serves chat completions on `port` of the loopback address. A context manager that may be entered once.

    A whole answer waits for `release`. A stream sends its first piece at once, and each further one when the test calls
    `next_piece`. After `release` it sends all that are left.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self._released = asyncio.Event()
        self._pieces = asyncio.Semaphore(0)
        self._connections: set[asyncio.Task[None]] = set()
        # Requests that have not been answered to the end yet, and the highest number of them so far.
        self.open = 0
        self.most = 0
        # Requests that have come.
        self.seen = 0
        # Requests whose client left before the end.
        self.left = 0

    def release(self) -> None:
        """Answer all requests that wait. From now on, every request is answered at once."""
        self._released.set()

    def hold(self) -> None:
        """Make requests wait again."""
        self._released.clear()

    def next_piece(self) -> None:
        self._pieces.release()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", self._port)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.close()
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        await self._server.wait_closed()

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = asyncio.create_task(self._serve(reader, writer))
        self._connections.add(connection)
        connection.add_done_callback(self._connections.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the only request of a connection."""
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            length = int(head.partition("content-length: ")[2].partition("\r\n")[0])
            order = json.loads(await reader.readexactly(length))
            self.seen += 1
            self.open += 1
            self.most = max(self.most, self.open)
            try:
                await self._answer(order, reader, writer)
            finally:
                self.open -= 1
        except (ConnectionError, asyncio.IncompleteReadError):
            self.left += 1
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def _answer(self, order: dict[str, Any], reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        start = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: "
        if not order.get("stream"):
            await self._until(self._released.wait(), reader)
            message = {"role": "assistant", "content": "".join(PIECES)}
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            body = json.dumps({**BASE, "object": "chat.completion", "choices": [choice], "usage": USAGE})
            writer.write(f"{start}application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
            await writer.drain()
            return
        writer.write(f"{start}text/event-stream\r\n\r\n".encode())
        for number, piece in enumerate(PIECES):
            if number:
                await self._until(self._may_go_on(), reader)
            writer.write(_event([{"index": 0, "delta": {"content": piece}, "finish_reason": None}]))
            await writer.drain()
        writer.write(_event([{"index": 0, "delta": {}, "finish_reason": "stop"}]) + _event([], usage=USAGE))
        writer.write(b"data: [DONE]\n\n")
        await writer.drain()

    async def _may_go_on(self) -> None:
        waits = [asyncio.ensure_future(self._released.wait()), asyncio.ensure_future(self._pieces.acquire())]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in waits:
                each.cancel()

    async def _until(self, condition: Any, reader: asyncio.StreamReader) -> None:
        """Wait for the condition. Raises ConnectionError if the client leaves before."""
        waiting, gone = asyncio.ensure_future(condition), asyncio.ensure_future(reader.read(1))
        try:
            await asyncio.wait([waiting, gone], return_when=asyncio.FIRST_COMPLETED)
            if not waiting.done():
                raise ConnectionError("the client has gone")
        finally:
            waiting.cancel()
            gone.cancel()


def _event(choices: list[dict[str, Any]], **fields: Any) -> bytes:
    chunk = {**BASE, "object": "chat.completion.chunk", "choices": choices, **fields}
    return f"data: {json.dumps(chunk)}\n\n".encode()
