"""An upstream that answers late, so that its caller may leave before."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from llm import Call, ModelPrice, Usage
from tests.llm.conftest import Asker

PRICE = ModelPrice(Decimal(2), Decimal(8))
PRICES = dict.fromkeys(("m", "other"), PRICE)
USAGE = Usage(1_000, 2_000)
COST = (Decimal(2) * 1_000 + Decimal(8) * 2_000) / 1_000_000

# How soon after nobody waits any more an upstream sees that it was cut.
AT_ONCE_SECONDS = 0.1


def json_answer(answer: Any) -> bytes:
    body = json.dumps(answer).encode()
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


def whole(text: str) -> bytes:
    message = {"role": "assistant", "content": text}
    usage = {"prompt_tokens": USAGE.prompt_tokens, "completion_tokens": USAGE.completion_tokens}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return json_answer({"id": "chatcmpl-late", "choices": [choice], "usage": usage})


@dataclass
class SlowUpstream:
    """Sends `answer` after `seconds`, and notes when a request came, and when its connection was cut."""

    seconds: float = 0.4
    answer: bytes = field(default_factory=lambda: whole("Better late than never."))
    came: asyncio.Event = field(default_factory=asyncio.Event)
    requests: int = 0
    cut_at: list[float] = field(default_factory=list)
    answered: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.requests += 1
        self.came.set()
        try:
            async with asyncio.timeout(self.seconds):
                await reader.read(1)  # returns only when the client has closed
            self.cut_at.append(time.perf_counter())
        except TimeoutError:
            writer.write(self.answer)
            await writer.drain()
            self.answered += 1
        except OSError:
            self.cut_at.append(time.perf_counter())

    async def was_cut(self, times: int = 1) -> float:
        """Wait until it has been cut so often. Returns when it was cut first."""
        async with asyncio.timeout(1):
            while len(self.cut_at) < times:
                await asyncio.sleep(0.005)
        return self.cut_at[0]


StartSlow = Callable[..., Awaitable[Asker]]


async def leave(upstream: SlowUpstream, call: Call) -> float:
    """The caller leaves once the upstream has got its request. Returns when."""
    await upstream.came.wait()
    call.cancel()
    return time.perf_counter()
