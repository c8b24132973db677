"""An engine on real sockets. Its upstreams are the simulator, or raw servers for what the simulator can't do."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest

from llm import Call, CallOutcome, CallRequest, Engine, EngineConfig, LateEnd, Provider
from llm.json_values import Json
from llm.simulator import SimulatorThread

KEY = "sk-test-0123456789abcdef"
HELLO = {"messages": [{"role": "user", "content": "Hello there"}]}

# What a raw upstream does once it has read a request: it sends these bytes and closes, or does what the function does.
Answer = bytes | Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
RawUpstream = Callable[[Answer], Awaitable[str]]

# The three ways in which an answer is fetched: whole, as a stream, or whole in a race, where it is fetched as a stream.
Mode = Literal["whole", "streamed", "raced"]
MODES: list[Mode] = ["whole", "streamed", "raced"]


async def chunks(call: Call) -> AsyncGenerator[Json, None]:
    """The chunks of a stream, one by one."""
    async with aclosing(call.batches()) as batches:
        async for batch in batches:
            for chunk in batch:
                yield chunk


async def read_to_the_end(call: Call) -> list[Json]:
    """All chunks of a stream."""
    return [chunk async for chunk in chunks(call)]


@dataclass
class Asker:
    """An engine, and what its calls came to. `outcomes` are those that `on_end` was given, in their order.

    `late_ends` are those of calls of which something was read on.
    """

    engine: Engine
    outcomes: list[CallOutcome] = field(default_factory=list)
    late_ends: list[LateEnd] = field(default_factory=list)

    def start(self, route: str, body: dict[str, Any] | None = None, **request: Any) -> Call:
        asked = CallRequest(self.engine.route(route), {**HELLO, **(body or {})}, **request)
        return self.engine.start(asked, self.on_end, self.on_late_end)

    async def ask(self, route: str, body: dict[str, Any] | None = None, **request: Any) -> CallOutcome:
        """The outcome of a call whose caller stays to the end."""
        call = self.start(route, body, **request)
        if call.request.stream:
            await read_to_the_end(call)
        return await call.settled()

    async def on_end(self, outcome: CallOutcome) -> None:
        self.outcomes.append(outcome)

    async def on_late_end(self, late_end: LateEnd) -> None:
        self.late_ends.append(late_end)


StartEngine = Callable[..., Awaitable[Asker]]


@pytest.fixture
async def start_engine(simulator: SimulatorThread) -> AsyncIterator[StartEngine]:
    """`await start_engine(upstream, max_retries=0, …)`: `m` is a model of `upstream`, `spare/ok` one that answers."""
    async with AsyncExitStack() as stack:

        async def start(upstream: str = "", **config: Any) -> Asker:
            providers = {"openai": Provider("openai", upstream or simulator.base_url, KEY)}
            if upstream:
                providers["spare"] = Provider("spare", simulator.base_url, KEY, price_list="openai")
            defaults: dict[str, Any] = {"max_retries": 0, "retry_base": 0.001, "breaker_failures": 1_000}
            engine = Engine(EngineConfig(**{"providers": providers, **defaults, **config}))
            return Asker(await stack.enter_async_context(engine))

        yield start


@pytest.fixture
async def raw_upstream() -> AsyncIterator[Callable[[Answer], Awaitable[str]]]:
    """`await raw_upstream(answer)`: the base URL of a server that does just that with every request."""
    servers: list[asyncio.Server] = []
    serving: set[asyncio.Task[None]] = set()

    async def start(answer: Answer) -> str:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            serving.add(task)
            try:
                await _read_request(reader)
                if isinstance(answer, bytes):
                    writer.write(answer)
                    await writer.drain()
                else:
                    await answer(reader, writer)
            except (OSError, EOFError, asyncio.CancelledError):
                pass  # the client, or the test, has had enough
            finally:
                writer.close()
                serving.discard(task)

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        servers.append(server)
        return f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"

    yield start
    for server in servers:
        server.close()
    for task in list(serving):
        task.cancel()
    if serving:
        await asyncio.wait(serving)


async def _read_request(reader: asyncio.StreamReader) -> None:
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    _, _, rest = head.partition(b"content-length:")
    await reader.readexactly(int(rest.partition(b"\r\n")[0] or 0))


@pytest.fixture
def refusing_upstream() -> str:
    """Nobody listens there."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"http://127.0.0.1:{listener.getsockname()[1]}/v1"


@pytest.fixture
def full_upstream() -> Any:
    """A listener that accepts nothing and whose backlog is full: the kernel drops every attempt to connect."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        for client in waiting:
            client.setblocking(False)
            client.connect_ex(listener.getsockname())
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
        for client in waiting:
            client.close()
