"""Sends calls through nginx without a pause. Each has an id of its own, so that it can be found in the history."""

from __future__ import annotations

import asyncio
import secrets
import time
from dataclasses import dataclass, field
from itertools import count

import httpx2

from tests.cluster.installation import PATIENCE_SECONDS, Installation

ORDERS = (
    ("/chat", {"prompt": "a", "model": "gpt-4o"}),
    ("/chat/stream", {"prompt": "a", "model": "gpt-4o"}),
    ("/chat/parallel", {"prompt": "a", "model": "gpt-4o|gpt-4o-mini"}),
    ("/v1/chat/completions", {"model": "gpt-4o", "stream": True, "messages": [{"role": "user", "content": "a"}]}),
)


@dataclass(frozen=True, slots=True)
class Failure:
    """A call that failed. `how` names a status, a broken connection, or a stream without its end.

    `begun_at` is when the call began, by the monotonic clock.
    """

    begun_at: float
    how: str


@dataclass(slots=True)
class Outcomes:
    """The request ids of calls, by what their caller got."""

    whole: list[str] = field(default_factory=list)
    failed: dict[str, Failure] = field(default_factory=dict)

    @property
    def last_failed_at(self) -> float:
        """When the last of the failed calls began."""
        return max((failure.begun_at for failure in self.failed.values()), default=0.0)


async def call(
    client: httpx2.AsyncClient, outcomes: Outcomes, path: str, order: object, headers: dict[str, str]
) -> None:
    request_id, begun_at = f"req-{secrets.token_hex(12)}", time.monotonic()
    try:
        answer = await client.post(path, json=order, headers=headers | {"X-Request-ID": request_id})
    except httpx2.HTTPError as error:
        outcomes.failed[request_id] = Failure(begun_at, f"{path}: {type(error).__name__}: {error}")
        return
    streamed = answer.headers.get("content-type", "").startswith("text/event-stream")
    if answer.status_code == 200 and (not streamed or answer.text.endswith("data: [DONE]\n\n")):
        outcomes.whole.append(request_id)
    else:
        outcomes.failed[request_id] = Failure(begun_at, f"{path}: {answer.status_code} {answer.text[:200]}")


class Load:
    """A few clients. Each sends one call after the other until `stop()`."""

    def __init__(self, installation: Installation, headers: dict[str, str], *, clients: int = 8) -> None:
        self._installation = installation
        self._headers = headers
        self._stopped = False
        self.clients = clients
        self.outcomes = Outcomes()
        self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        async with self._installation.client() as client:
            await asyncio.gather(*(self._client(client, number) for number in range(self.clients)))

    async def _client(self, client: httpx2.AsyncClient, number: int) -> None:
        for turn in count(number):
            if self._stopped:
                return
            await call(client, self.outcomes, *ORDERS[turn % len(ORDERS)], self._headers)

    async def more(self, answers: int) -> None:
        """Wait until so many more whole answers have come."""
        wanted = len(self.outcomes.whole) + answers
        async with asyncio.timeout(PATIENCE_SECONDS):
            while len(self.outcomes.whole) < wanted:
                assert not self._task.done(), self._task.result()
                await asyncio.sleep(0.02)

    async def stop(self) -> None:
        self._stopped = True
        await self._task
