"""Upstreams whose answers a test writes itself, for answers that the simulator does not give."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx2
import pytest

from llm import Provider

Json = dict[str, Any]


@dataclass(frozen=True)
class Reply:
    """An upstream's answer: JSON, bytes, or pieces that are sent one by one as they are made."""

    body: Json | bytes | Iterator[bytes]
    status: int = 200
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)


def sse(*events: Json, named: bool = False, done: bool = True) -> bytes:
    lines = [
        (f"event: {event['type']}\n" if named else "") + f"data: {json.dumps(event, ensure_ascii=False)}\n\n"
        for event in events
    ]
    return "".join([*lines, "data: [DONE]\n\n" if done else ""]).encode()


def event_stream(*events: Json, named: bool = False, done: bool = True) -> Reply:
    return Reply(sse(*events, named=named, done=done), content_type="text/event-stream")


class WrittenUpstream:
    """An upstream that answers with `answer(path, body)`. `seen` holds the path and the body of each request."""

    def __init__(self, answer: Callable[[str, Json], Reply]) -> None:
        self.seen: list[tuple[str, Json]] = []
        upstream = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                upstream.seen.append((self.path, body))
                reply = answer(self.path, body)
                self.send_response(reply.status)
                for name, value in {"Content-Type": reply.content_type, **reply.headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                match reply.body:
                    case bytes():
                        self.wfile.write(reply.body)
                    case dict():
                        self.wfile.write(json.dumps(reply.body).encode())
                    case pieces:
                        for piece in pieces:
                            self.wfile.write(piece)

            def log_message(self, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.base_url = f"http://127.0.0.1:{self.server.server_port}/v1"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))

    def __enter__(self) -> WrittenUpstream:
        self.thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def written_site(
    start_site: Callable[..., httpx2.Client],
) -> Iterator[Callable[..., tuple[httpx2.Client, WrittenUpstream]]]:
    """`written_site(answer)` gives a client of a site, and its upstream, which answers with `answer(path, body)`."""
    with ExitStack() as stack:

        def start(answer: Callable[[str, Json], Reply], **overrides: Any) -> tuple[httpx2.Client, WrittenUpstream]:
            upstream = stack.enter_context(WrittenUpstream(answer))
            providers = {"openai": Provider(name="openai", base_url=upstream.base_url, api_key="sk-written-0123456789")}
            return start_site(PROVIDERS=providers, **overrides), upstream

        yield start
