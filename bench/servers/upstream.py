"""An upstream that needs very little CPU time. It answers `POST /v1/chat/completions` with bytes that are ready made.

    .venv/bin/python -m bench.servers.upstream --port 9300

A whole answer is always the same. The prompt says what a stream consists of: `chunks=500` pieces, all at once or with
`pause_ms=1000` after each. Every piece of text contains MARK once, so that a client can count the pieces behind any
gateway. `GET /seen` answers how many requests have come: {"whole", "streams", "open_streams"}.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import time
from typing import Any, cast

import uvloop

MARK = "zebra"
ANSWER = " ".join(f"{MARK}{number}" for number in range(40))
USAGE = {"prompt_tokens": 12, "completion_tokens": 80, "total_tokens": 92}
# How many pieces are in one write. They are about 16 kB, so that the upstream soon notices a slow reader.
CHUNKS_AT_ONCE = 64

STREAM_ASKED = re.compile(rb'"stream":\s*true')
CHUNKS_ASKED = re.compile(rb"chunks=(\d+)")
PAUSE_ASKED = re.compile(rb"pause_ms=(\d+)")
LENGTH = re.compile(rb"\r\ncontent-length:\s*(\d+)", re.IGNORECASE)

# The same answer for all gateways. No cache can know it, because it was created just now.
COMPLETION = {
    "id": "chatcmpl-benchmark",
    "object": "chat.completion",
    "created": int(time.time()),
    "model": "gpt-4o",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": ANSWER, "refusal": None},
            "logprobs": None,
            "finish_reason": "stop",
        }
    ],
    "usage": USAGE,
    "system_fingerprint": "fp_benchmark",
}


def response(body: dict[str, Any]) -> bytes:
    content = json.dumps(body).encode()
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(content)
    return head + content


def event(choices: list[dict[str, Any]], usage: dict[str, int] | None = None) -> bytes:
    """Make an HTTP chunk that contains one event, in the form in which OpenAI sends it."""
    chunk = {name: COMPLETION[name] for name in ("id", "created", "model", "system_fingerprint")}
    chunk |= {"object": "chat.completion.chunk", "choices": choices, "usage": usage}
    return http_chunk(f"data: {json.dumps(chunk)}\n\n".encode())


def http_chunk(content: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(content), content)


def choice(delta: dict[str, str], finish_reason: str | None = None) -> list[dict[str, Any]]:
    return [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}]


WHOLE = response(COMPLETION)
STREAM_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
FIRST = event(choice({"role": "assistant", "content": ""}))
# The pieces differ, because LiteLLM ends a stream with an error if a hundred pieces in a row are the same.
PIECES = [event(choice({"content": f" {MARK}{number}"})) for number in range(CHUNKS_AT_ONCE)]
ALL_PIECES = b"".join(PIECES)
LAST = event(choice({}, "stop")) + event([], USAGE) + http_chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n"


class Seen:
    whole = 0
    streams = 0
    open_streams = 0


class Connection(asyncio.Protocol):
    def __init__(self, seen: Seen) -> None:
        self.seen = seen
        self.buffer = b""
        self.transport: asyncio.Transport
        self.stream: asyncio.Task[None] | None = None
        self.writable = asyncio.Event()
        self.writable.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(
            asyncio.Transport, transport
        )  # uvloop's transport has the same methods, but is of another class

    def connection_lost(self, error: Exception | None) -> None:
        if self.stream is not None:
            self.stream.cancel()

    def pause_writing(self) -> None:
        self.writable.clear()

    def resume_writing(self) -> None:
        self.writable.set()

    def data_received(self, data: bytes) -> None:
        self.buffer = self.buffer + data if self.buffer else data
        end = self.buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        length = LENGTH.search(self.buffer, 0, end + 2)
        total = end + 4 + (int(length[1]) if length else 0)
        if len(self.buffer) < total:
            return
        request, self.buffer = self.buffer[:total], self.buffer[total:]
        if request.startswith(b"GET"):
            self.transport.write(
                response({name: getattr(self.seen, name) for name in ("whole", "streams", "open_streams")})
            )
        elif STREAM_ASKED.search(request, end):
            self.seen.streams += 1
            self.stream = asyncio.get_running_loop().create_task(self.send_stream(request))
        else:
            self.seen.whole += 1
            self.transport.write(WHOLE)

    async def send_stream(self, request: bytes) -> None:
        chunks, pause = CHUNKS_ASKED.search(request), PAUSE_ASKED.search(request)
        left = int(chunks[1]) if chunks else 20
        self.seen.open_streams += 1
        try:
            self.transport.write(STREAM_HEAD + FIRST)
            while left:
                if pause:
                    self.transport.write(PIECES[left % CHUNKS_AT_ONCE])
                    left -= 1
                elif left >= CHUNKS_AT_ONCE:
                    self.transport.write(ALL_PIECES)
                    left -= CHUNKS_AT_ONCE
                else:
                    self.transport.write(b"".join(PIECES[:left]))
                    left = 0
                await self.writable.wait()
                if pause:
                    await asyncio.sleep(int(pause[1]) / 1000)
            self.transport.write(LAST)
        finally:
            self.seen.open_streams -= 1


async def serve(port: int) -> None:
    seen = Seen()
    server = await asyncio.get_running_loop().create_server(
        lambda: Connection(seen), "127.0.0.1", port, backlog=4096, reuse_address=True
    )
    await server.serve_forever()


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--port", type=int, default=9300)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(arguments.parse_args().port))
