"""One HTTP request and its answer over raw ASGI. It notices at once if the client leaves."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, MutableMapping
from email.utils import formatdate
from typing import Any, Final

from llm.simulator.openai_errors import Refusal

AsgiScope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = Iterable[tuple[str, str]]

# The ASGI extension by which the simulator's own server lets the application work on the connection itself: `reset` and
# `close` end it, and `send_raw` puts bytes on it that are no HTTP of the server's.
CONNECTION_EXTENSION: Final = "llm.simulator.connection"

# Statuses whose answers have no body, by RFC 9110.
BODILESS: Final = (204, 304)

# A larger request body is refused.
MAX_BODY_BYTES: Final = 64 * 1024 * 1024


class ClientGone(Exception):
    """The client left before it had sent its whole request."""


class Exchange:
    """A request and its answer."""

    def __init__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.query: str = scope.get("query_string", b"").decode("latin-1")
        self._scope = scope
        self._receive = receive
        self._send = send
        self._started = time.perf_counter()

    @property
    def has_bearer(self) -> bool:
        """Whether there is an Authorization header of the kind that OpenAI takes. Any key will do."""
        return self._bearer is not None

    @property
    def bearer(self) -> str:
        """The key that OpenAI takes from the Authorization header; empty if there is none."""
        return self._bearer or ""

    @property
    def _bearer(self) -> str | None:
        for name, value in self._scope["headers"]:
            if name.lower() == b"authorization":
                return value[7:].decode("latin-1").strip() if value[:7].lower() == b"bearer " else None
        return None

    async def read_body(self) -> bytes:
        """Read the whole body. Raises ClientGone, or Refusal (413) if it is larger than `MAX_BODY_BYTES`."""
        parts: list[bytes] = []
        size_bytes = 0
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise ClientGone
            part: bytes = message.get("body", b"")
            size_bytes += len(part)
            if size_bytes > MAX_BODY_BYTES:
                raise Refusal(413, f"The body is larger than {MAX_BODY_BYTES} bytes.")
            parts.append(part)
            if not message.get("more_body", False):
                return b"".join(parts)

    async def run(self, answer: Coroutine[Any, Any, None]) -> None:
        """Run `answer`, and cancel it as soon as the client leaves. Both tasks have ended when this returns."""
        working = asyncio.create_task(answer)
        leaving = asyncio.create_task(self._client_leaves())
        try:
            await asyncio.wait((working, leaving), return_when=asyncio.FIRST_COMPLETED)
        finally:
            working.cancel()
            leaving.cancel()
            await asyncio.wait((working, leaving))
        for task in (working, leaving):
            if not task.cancelled():
                task.result()

    async def start(self, status: int, headers: Headers) -> None:
        """Send the status and the headers. Adds the headers that every answer has."""
        everywhere = (
            ("date", formatdate(usegmt=True)),
            ("x-request-id", f"req_{uuid.uuid4().hex}"),
            ("openai-processing-ms", str(round((time.perf_counter() - self._started) * 1000))),
        )
        await self._send(
            {
                "type": "http.response.start",
                "status": status,
                "headers": [(name.encode(), value.encode()) for name, value in (*headers, *everywhere)],
            }
        )

    async def write(self, body: bytes, *, more: bool) -> None:
        """Send a part of the body. `more` says whether another part follows."""
        await self._send({"type": "http.response.body", "body": body, "more_body": more})

    async def send(self, status: int, body: bytes, headers: Headers) -> None:
        """Answer in one piece."""
        length = () if status in BODILESS else (("content-length", str(len(body))),)
        await self.start(status, (*headers, *length))
        await self.write(body, more=False)

    async def send_json(self, status: int, payload: object, headers: Headers = ()) -> None:
        """Answer with JSON in one piece."""
        await self.send(status, to_json(payload), (*headers, ("content-type", "application/json")))

    async def stall(self) -> None:
        """Do nothing until the client leaves, which cancels this."""
        await asyncio.get_running_loop().create_future()

    async def reset_connection(self) -> None:
        """Reset the connection after everything that was written has been sent. The reset then cancels this.

        Raises RuntimeError if the server is not the simulator's own, because ASGI itself has no message for a reset.
        """
        await self._connection["reset"]()
        await self.stall()

    async def send_raw(self, data: bytes) -> None:
        """Put bytes on the connection as they are. Raises RuntimeError as `reset_connection` does."""
        await self._connection["send_raw"](data)

    async def close_connection(self) -> None:
        """Close the connection after everything has been sent, which then cancels this. Raises as the others do."""
        self._connection["close"]()
        await self.stall()

    @property
    def _connection(self) -> Mapping[str, Any]:
        extension: Mapping[str, Any] | None = self._scope.get("extensions", {}).get(CONNECTION_EXTENSION)
        if extension is None:
            raise RuntimeError("this ASGI server does not give away its connections; use llm.simulator.serve")
        return extension

    async def _client_leaves(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass


def to_json(payload: object) -> bytes:
    """Compact JSON in UTF-8, as OpenAI sends it. Half a surrogate pair, unknown to UTF-8, becomes a question mark."""
    return json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
